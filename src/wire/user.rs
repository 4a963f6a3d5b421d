//! The end user that a request body names: in the field of its dialect, and nowhere else.

use crate::base::json::{self, Kind, Member};
use crate::llm::Dialect;

/// The longest text that is looked at, in bytes, quotes and escapes included.
const MAX: usize = 4096;

/// The end user: `metadata.user_id` of Anthropic's format; `safety_identifier` of OpenAI's, else `user`, which it
/// replaces (API reference "Create chat completion", `user`). None where it stands twice.
///
/// Gemini and Converse have no such field. Vertex's `labels` are for billing reports, of at most 1,000 values a
/// key ("Custom metadata labels"); Converse's `requestMetadata` is for filtering logs. Which key of those names a
/// person, if one does, is each client's own affair.
pub fn user(dialect: Dialect, body: &[u8]) -> Option<String> {
    let members = json::object(body).ok()?;
    let only = |key| json::unique(&members, key);
    match dialect {
        Dialect::Gemini | Dialect::Bedrock => None,
        Dialect::Anthropic => {
            let metadata = only("metadata").ok()??;
            if metadata.kind != Kind::Object {
                return None;
            }
            let nested = json::members(body, metadata.value).ok()?;
            text(body, json::unique(&nested, "user_id").ok()??)
        }
        _ => match only("safety_identifier").ok()?.filter(|member| member.kind != Kind::Null) {
            Some(member) => text(body, member),
            None => text(body, only("user").ok()??),
        },
    }
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
        for (body, expected) in [
            (r#"{"user":"x","safety_identifier":"ada"}"#, Some("ada")),
            (r#"{"safety_identifier":null,"user":"ada"}"#, Some("ada")),
            (r#"{"safety_identifier":7,"user":"ada"}"#, None),
            (r#"{"safety_identifier":"a","safety_identifier":"b","user":"ada"}"#, None),
        ] {
            assert_eq!(found(Dialect::OpenAi, body).as_deref(), expected, "{body}");
        }
        let all = r#"{"user":"x","safety_identifier":"x","labels":{"user":"x"},"requestMetadata":{"user":"x"},"metadata":{"user_id":"x"}}"#;
        assert_eq!((found(Dialect::Gemini, all), found(Dialect::Bedrock, all)), (None, None));
        for body in
            [r#"{"user":1}"#, r#"{"user":"a","user":"b"}"#, "{}", "[]", r#"{"metadata":[]}"#, r#"{"user":"\ud800"}"#]
        {
            assert_eq!((found(Dialect::OpenAi, body), found(Dialect::Anthropic, body)), (None, None), "{body}");
        }
    }
}
