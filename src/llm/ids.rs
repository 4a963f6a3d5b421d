//! Ids for calls of clients whose API has none, for APIs that cannot do without.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::part::{ToolCall, ToolResult};

/// Gives ids to the calls of one chat in their order, and to their results. A result without an id is that of
/// the oldest open call of its name, or of the oldest one at all.
#[derive(Debug, Default)]
pub struct CallIds {
    calls: usize,
    open: VecDeque<(String, String)>,
}

// === impl CallIds ===

impl CallIds {
    /// The call's id, or a made one.
    pub fn call<'c>(&mut self, call: &'c ToolCall<'_>) -> Cow<'c, str> {
        let number = self.calls;
        self.calls += 1;
        if !call.id.is_empty() {
            return Cow::Borrowed(&call.id);
        }
        let id = format!("call_{number}");
        self.open.push_back((id.clone(), call.name.to_string()));
        Cow::Owned(id)
    }

    /// The id of the call that this is the result of.
    pub fn result<'r>(&mut self, result: &'r ToolResult<'_>) -> Cow<'r, str> {
        if !result.id.is_empty() {
            return Cow::Borrowed(&result.id);
        }
        let same = |(_, name): &(String, String)| result.name.as_deref() == Some(&**name);
        let at = self.open.iter().position(same).unwrap_or(0);
        Cow::Owned(self.open.remove(at).map_or_else(|| "call_unknown".to_owned(), |(id, _)| id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_find_their_calls_by_name_and_by_order() {
        let call =
            |id: &'static str, name: &'static str| ToolCall { id: id.into(), name: name.into(), ..ToolCall::default() };
        let result = |id: &'static str, name: Option<&'static str>| ToolResult {
            id: id.into(),
            name: name.map(Cow::Borrowed),
            parts: Vec::new(),
            is_error: false,
        };
        let mut ids = CallIds::default();
        assert_eq!(ids.call(&call("", "a")), "call_0");
        assert_eq!(ids.call(&call("own", "b")), "own");
        assert_eq!(ids.call(&call("", "b")), "call_2");
        assert_eq!(ids.call(&call("", "a")), "call_3");
        assert_eq!(ids.result(&result("", Some("b"))), "call_2");
        assert_eq!(ids.result(&result("own", None)), "own");
        assert_eq!(ids.result(&result("", Some("a"))), "call_0");
        assert_eq!(ids.result(&result("", Some("c"))), "call_3");
        assert_eq!(ids.result(&result("", None)), "call_unknown");
    }
}
