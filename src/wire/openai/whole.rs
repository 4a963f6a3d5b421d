//! Whether the canonical words can say all that an answer says. What they cannot say is lost when the
//! answer is said again, so such an answer is not kept and not handed on.
//!
//! A member that is not listed counts unless it is empty: providers add members, and one that nobody
//! here has heard of may be what the client asked for (annotations, audio, citations, logprobs, a
//! refusal, the legacy `function_call`).

use crate::base::json::{self, JsonError, Kind, Member, Span};

/// The members of an object that are read, or may be lost.
pub(super) struct Shape {
    plain: &'static [&'static str],
    /// Objects, or arrays of them.
    nested: &'static [(&'static str, &'static Shape)],
}

/// A whole answer.
pub(super) const DOCUMENT: Shape = answer(&[("choices", &DOCUMENT_CHOICE), ("x_groq", &X_GROQ)]);
/// An event of a stream.
pub(super) const CHUNK: Shape = answer(&[("choices", &CHUNK_CHOICE), ("x_groq", &X_GROQ)]);

/// `object` follows from which of the two it is; usage is read elsewhere; the rest tells of the
/// provider's machines, and `obfuscation` only evens out the size of chunks.
const fn answer(nested: &'static [(&'static str, &'static Shape)]) -> Shape {
    let plain = &["id", "object", "created", "model", "usage", "system_fingerprint", "service_tier", "obfuscation"];
    Shape { plain, nested }
}

const DOCUMENT_CHOICE: Shape = Shape { plain: CHOICE, nested: &[("message", &MESSAGE)] };
const CHUNK_CHOICE: Shape = Shape { plain: CHOICE, nested: &[("delta", &MESSAGE)] };
const CHOICE: &[&str] = &["index", "finish_reason"];
const MESSAGE: Shape = Shape { plain: &["role", "content", "reasoning_content"], nested: &[("tool_calls", &CALL)] };
const CALL: Shape = Shape { plain: &["index", "id", "type"], nested: &[("function", &FUNCTION)] };
const FUNCTION: Shape = Shape { plain: &["name", "arguments"], nested: &[] };
const X_GROQ: Shape = Shape { plain: &["id", "seed", "usage"], nested: &[] };

/// True when nothing in this [`DOCUMENT`] or [`CHUNK`] would be lost, as far as the names of its members
/// tell.
pub(super) fn is_sayable(data: &[u8], shape: &Shape) -> bool {
    json::object(data).is_ok_and(|members| fits(data, &members, shape).unwrap_or(false))
}

fn fits(data: &[u8], members: &[Member<'_>], shape: &Shape) -> Result<bool, JsonError> {
    for member in members {
        if shape.plain.contains(&&*member.key) || is_empty(data, member.value, member.kind) {
            continue;
        }
        let Some((_, inner)) = shape.nested.iter().find(|(name, _)| *name == member.key) else { return Ok(false) };
        let objects = match member.kind {
            Kind::Array => json::elements(data, member.value)?,
            kind => vec![(member.value, kind)],
        };
        for (object, kind) in objects {
            if kind != Kind::Object || !fits(data, &json::members(data, object)?, inner)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// `null`, `""`, `[]` and `{}` say no more than nothing does.
fn is_empty(data: &[u8], value: Span, kind: Kind) -> bool {
    let inside = || data.get(value.start + 1..value.end.saturating_sub(1)).unwrap_or_default();
    match kind {
        Kind::Null => true,
        Kind::String => inside().is_empty(),
        Kind::Array | Kind::Object => inside().iter().all(u8::is_ascii_whitespace),
        Kind::Number | Kind::True | Kind::False => false,
    }
}
