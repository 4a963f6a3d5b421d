//! One element of `parts`, of a request or of an answer.

use std::borrow::Cow;

use super::media;
use super::seal::{self, Seal};
use super::spelling::{Bad, fields, flag, message, text};
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::Dropped;
use crate::llm::part::{Media, ToolCall};

/// One part. Exactly one of its fields is its data.
pub(super) struct Piece<'t, 'a> {
    pub data: Data<'t, 'a>,
    pub is_thought: bool,
    pub seal: Option<Seal<'a>>,
}

pub(super) enum Data<'t, 'a> {
    /// None that is known here; it was named.
    Nothing,
    Text(Cow<'a, str>),
    Media(Media<'a>),
    /// A call without its signature.
    Call(ToolCall<'a>),
    Response(Value<'t, 'a>),
}

/// Reads one part; `place` is its path, for what is dropped.
///
/// # Errors
/// For a part with two data, and for fields of another type.
pub(super) fn read<'t, 'a>(
    value: Value<'t, 'a>,
    place: &'static str,
    dropped: &mut Dropped,
) -> Result<Piece<'t, 'a>, Bad> {
    let mut piece = Piece { data: Data::Nothing, is_thought: false, seal: None };
    for (key, value) in message(value, "parts[]")? {
        let data = match &*key {
            "text" => Data::Text(text(value, "parts[].text")?),
            "inlineData" => Data::Media(media::inline(value, place, dropped)?),
            "fileData" => Data::Media(media::file(value, place, dropped)?),
            "functionCall" => Data::Call(call(value, place, dropped)?),
            "functionResponse" => Data::Response(value),
            "thought" => {
                piece.is_thought = flag(value, "parts[].thought")?;
                continue;
            }
            "thoughtSignature" => {
                let seal = text(value, "parts[].thoughtSignature")?;
                piece.seal = (!seal.is_empty()).then(|| seal::read(seal));
                continue;
            }
            other => {
                if !value.is_empty() {
                    dropped.field([place, ".", other].concat());
                }
                continue;
            }
        };
        if !matches!(piece.data, Data::Nothing) {
            return Err(Bad::Type("parts[]", "one of text, inlineData, fileData, functionCall and functionResponse"));
        }
        piece.data = data;
    }
    Ok(piece)
}

fn call<'a>(value: Value<'_, 'a>, place: &'static str, dropped: &mut Dropped) -> Result<ToolCall<'a>, Bad> {
    let mut call = ToolCall::default();
    for (key, value) in fields(value)? {
        match &*key {
            "id" => call.id = text(value, "functionCall.id")?,
            "name" => call.name = text(value, "functionCall.name")?,
            "args" if value.kind() == Kind::Object => call.arguments = Cow::Borrowed(value.raw()),
            "args" => return Err(Bad::Type("functionCall.args", "an object")),
            "willContinue" if value.flag() == Some(false) => {}
            _ if value.is_empty() => {}
            other => dropped.field([place, ".functionCall.", other].concat()),
        }
    }
    if call.arguments.is_empty() {
        call.arguments = Cow::Borrowed("{}");
    }
    Ok(call)
}
