//! The end user that a request body names: in the field of its dialect, and nowhere else.

use crate::base::json::{self, Kind, Member};
use crate::llm::Dialect;

/// The longest text that is looked at, in bytes, quotes and escapes included.
const MAX: usize = 4096;

/// The end user: `metadata.user_id` of Anthropic's format, else `user`. None where it stands twice.
pub fn user(dialect: Dialect, body: &[u8]) -> Option<String> {
    let members = json::object(body).ok()?;
    if dialect != Dialect::Anthropic {
        return text(body, json::unique(&members, "user").ok()??);
    }
    let metadata = json::unique(&members, "metadata").ok()??;
    if metadata.kind != Kind::Object {
        return None;
    }
    let nested = json::members(body, metadata.value).ok()?;
    text(body, json::unique(&nested, "user_id").ok()??)
}

fn text(body: &[u8], member: &Member<'_>) -> Option<String> {
    let raw = member.value.slice(body);
    if member.kind != Kind::String || raw.len() > MAX {
        return None;
    }
    serde_json::from_slice(raw).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_a_place_for_it() {
        let found = |dialect, body: &str| user(dialect, body.as_bytes());
        assert_eq!(found(Dialect::OpenAi, r#"{"user":"a\u0064a","metadata":{"user_id":"x"}}"#).as_deref(), Some("ada"));
        assert_eq!(found(Dialect::Anthropic, r#"{"user":"x","metadata":{"user_id":"ada"}}"#).as_deref(), Some("ada"));
        for body in
            [r#"{"user":1}"#, r#"{"user":"a","user":"b"}"#, "{}", "[]", r#"{"metadata":[]}"#, r#"{"user":"\ud800"}"#]
        {
            assert_eq!((found(Dialect::OpenAi, body), found(Dialect::Anthropic, body)), (None, None), "{body}");
        }
    }
}
