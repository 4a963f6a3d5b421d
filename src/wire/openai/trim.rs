//! Taking out of a stream what its client did not ask for.

use crate::base::json::{self, Kind, Member, Span};
use crate::wire::codec::Trim;

/// What of a chunk is there only because usage was asked for.
pub(super) fn trim(data: &[u8]) -> Trim {
    let Ok(members) = json::object(data) else { return Trim::Keep };
    let Some(at) = members.iter().position(|member| member.key == "usage") else { return Trim::Keep };
    let choices = members.iter().find(|member| member.key == "choices");
    let no_choices = choices.is_some_and(|found| {
        found.kind == Kind::Array
            && data[found.value.start + 1..found.value.end - 1].iter().all(u8::is_ascii_whitespace)
    });
    // An error is nobody's usage, whatever stands beside it.
    let says_error = members.iter().any(|member| member.key == "error" && member.kind != Kind::Null);
    match members[at].kind {
        Kind::Object if no_choices && !says_error => Trim::Drop,
        Kind::Null => Trim::Cut(with_comma(&members, at)),
        _ => Trim::Keep,
    }
}

/// A member and the comma that goes with it: the one behind it, or in front of the last one.
fn with_comma(members: &[Member<'_>], at: usize) -> Span {
    let member = &members[at];
    let before = at.checked_sub(1).and_then(|before| members.get(before));
    match (members.get(at + 1), before) {
        (Some(next), _) => Span { start: member.key_span.start, end: next.key_span.start },
        (None, Some(before)) => Span { start: before.value.end, end: member.value.end },
        (None, None) => Span { start: member.key_span.start, end: member.value.end },
    }
}
