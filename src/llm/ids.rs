//! Ids for calls of clients whose API has none, for APIs that cannot do without.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

use super::part::{ToolCall, ToolResult};

/// Gives ids to the calls of one chat in their order, and to their results. A result without an id is that of
/// the oldest open call of its name, or of the oldest one at all.
#[derive(Debug, Default)]
pub struct CallIds {
    calls: usize,
    /// The names of the open calls, by number.
    open: BTreeMap<usize, String>,
    /// Their numbers, the oldest first, by name.
    by_name: HashMap<String, VecDeque<usize>>,
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
        self.open.insert(number, call.name.to_string());
        match self.by_name.get_mut(&*call.name) {
            Some(numbers) => numbers.push_back(number),
            None => drop(self.by_name.insert(call.name.to_string(), VecDeque::from([number]))),
        }
        Cow::Owned(made(number))
    }

    /// The id of the call that this is the result of.
    pub fn result<'r>(&mut self, result: &'r ToolResult<'_>) -> Cow<'r, str> {
        if !result.id.is_empty() {
            return Cow::Borrowed(&result.id);
        }
        let named = result.name.as_deref().and_then(|name| self.by_name.get(name)?.front().copied());
        let number = named.or_else(|| self.open.first_key_value().map(|(number, _)| *number));
        Cow::Owned(number.map_or_else(|| "call_unknown".to_owned(), |number| self.close(number)))
    }

    /// Closes the oldest call of its name.
    fn close(&mut self, number: usize) -> String {
        if let Some(numbers) = self.open.remove(&number).and_then(|name| self.by_name.get_mut(&name)) {
            numbers.pop_front();
        }
        made(number)
    }
}

fn made(number: usize) -> String {
    format!("call_{number}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(id: &'static str, name: &'static str) -> ToolCall<'static> {
        ToolCall { id: id.into(), name: name.into(), ..ToolCall::default() }
    }

    fn result(id: &'static str, name: Option<&'static str>) -> ToolResult<'static> {
        ToolResult { id: id.into(), name: name.map(Cow::Borrowed), parts: Vec::new(), is_error: false }
    }

    #[test]
    fn results_find_their_calls_by_name_and_by_order() {
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
    proptest! {
        /// As the rule says it: all open calls are looked through, from the oldest on.
        #[test]
        fn a_result_closes_what_a_search_finds(
            steps in prop::collection::vec((any::<bool>(), prop::option::of(prop::sample::select(&["a", "b", "c"][..]))), 0..64),
        ) {
            let (mut ids, mut calls, mut open) = (CallIds::default(), 0, Vec::new());
            for (is_call, name) in steps {
                if is_call {
                    let (name, id) = (name.unwrap_or("d"), format!("call_{calls}"));
                    calls += 1;
                    prop_assert_eq!(ids.call(&call("", name)).into_owned(), id.clone());
                    open.push((id, name));
                    continue;
                }
                let at = open.iter().position(|(_, open)| Some(*open) == name).unwrap_or(0);
                let expected = if open.is_empty() { "call_unknown".to_owned() } else { open.remove(at).0 };
                prop_assert_eq!(ids.result(&result("", name)).into_owned(), expected);
            }
        }
    }
}
