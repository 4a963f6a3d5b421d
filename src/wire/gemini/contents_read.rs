//! `contents` and `systemInstruction` of a request, read.

use std::borrow::Cow;

use super::piece::{self, Data, Piece};
use super::seal::Seal;
use super::spelling::{Bad, elements, message, text};
use crate::base::json::tree::Value;
use crate::llm::chat::Role;
use crate::llm::part::ToolResult;
use crate::llm::{Chat, Content, Dropped, Part};

const PARTS: &str = "contents[].parts[]";

/// Reads what the sides said.
///
/// # Errors
/// For what is no content.
pub(super) fn read<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Bad> {
    for content in elements(value, "contents")? {
        let (mut role, mut said) = (Role::User, None);
        for (key, value) in message(content, "contents[]")? {
            match &*key {
                "role" => {
                    role = match &*text(value, "contents[].role")? {
                        "model" => Role::Assistant,
                        // Older clients answer a call in this role.
                        "user" | "function" | "" => Role::User,
                        _ => return Err(Bad::Type("contents[].role", "user or model")),
                    }
                }
                "parts" => said = Some(value),
                _ if value.is_empty() => {}
                other => dropped.inside("contents[].", other),
            }
        }
        let mut parts = Vec::new();
        for value in said.map(|said| elements(said, "contents[].parts")).transpose()?.into_iter().flatten() {
            push(piece::read(value, PARTS, dropped)?, role, &mut parts, dropped)?;
        }
        if !parts.is_empty() {
            chat.say(role, parts);
        }
    }
    Ok(())
}

/// Reads the instructions: text alone (REST reference, `systemInstruction`).
///
/// # Errors
/// For what is no content.
pub(super) fn instructions<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, Bad> {
    let mut parts = Vec::new();
    for (key, value) in message(value, "systemInstruction")? {
        match &*key {
            "role" => {}
            "parts" => {
                for value in elements(value, "systemInstruction.parts")? {
                    match piece::read(value, "systemInstruction.parts[]", dropped)?.data {
                        Data::Text(text) => parts.push(Part::text(text)),
                        Data::Nothing => {}
                        _ => dropped.field("systemInstruction.parts[]"),
                    }
                }
            }
            _ if value.is_empty() => {}
            other => dropped.inside("systemInstruction.", other),
        }
    }
    Ok(parts)
}

fn push<'a>(piece: Piece<'_, 'a>, role: Role, parts: &mut Vec<Part<'a>>, dropped: &mut Dropped) -> Result<(), Bad> {
    let Piece { data, is_thought, seal } = piece;
    if let Some(Seal::Redacted(data)) = seal {
        parts.push(Part::new(Content::Redacted(data)));
        return Ok(());
    }
    let signature = seal.map(|seal| match seal {
        Seal::Signed(signature) | Seal::Redacted(signature) => signature,
    });
    match data {
        Data::Text(text) if is_thought => {
            // A streamed thought comes in pieces, the signature with the last one; other APIs know only
            // whole ones.
            if let Some(Content::Reasoning { text: before, signature: kept @ None }) =
                parts.last_mut().map(|part| &mut part.content)
            {
                before.to_mut().push_str(&text);
                *kept = signature;
            } else {
                parts.push(Part::new(Content::Reasoning { text, signature }));
            }
            return Ok(());
        }
        Data::Call(mut call) => {
            if role == Role::User {
                return Err(Bad::Type("contents[].parts[].functionCall", "in a content of the model's"));
            }
            call.signature = signature;
            parts.push(Part::new(Content::ToolCall(call)));
            return Ok(());
        }
        Data::Text(text) if text.is_empty() => {}
        Data::Text(text) => parts.push(Part::text(text)),
        Data::Media(media) => parts.push(Part::new(Content::Media(media))),
        Data::Response(value) if role == Role::User => {
            parts.push(Part::new(Content::ToolResult(response(value, dropped)?)));
        }
        Data::Response(_) => {
            return Err(Bad::Type("contents[].parts[].functionResponse", "in a content of the user's"));
        }
        Data::Nothing => {}
    }
    // The seal of a text or an image stands behind it, as a thought that is not told.
    if let Some(signature) = signature {
        parts.push(Part::new(Content::Reasoning { text: "".into(), signature: Some(signature) }));
    }
    Ok(())
}

fn response<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<ToolResult<'a>, Bad> {
    let (mut id, mut name) = (Cow::Borrowed(""), Cow::Borrowed(""));
    let (mut parts, mut media, mut is_error) = (Vec::new(), Vec::new(), false);
    for (key, value) in message(value, "functionResponse")? {
        match &*key {
            "id" => id = text(value, "functionResponse.id")?,
            "name" => name = text(value, "functionResponse.name")?,
            "response" => {
                let (text, failed) = returned(value)?;
                is_error = failed;
                parts.push(Part::text(text));
            }
            "parts" => {
                for value in elements(value, "functionResponse.parts")? {
                    match piece::read(value, "contents[].parts[].functionResponse.parts[]", dropped)?.data {
                        Data::Media(one) => media.push(Part::new(Content::Media(one))),
                        Data::Nothing => {}
                        _ => dropped.field("contents[].parts[].functionResponse.parts[]"),
                    }
                }
            }
            _ if value.is_empty() => {}
            other => dropped.field(["contents[].parts[].functionResponse.", other].concat()),
        }
    }
    if name.is_empty() {
        return Err(Bad::Type("functionResponse.name", "the name of a function"));
    }
    parts.append(&mut media);
    Ok(ToolResult { id, name: Some(name), parts, is_error })
}

/// What a function returned, as text, and whether it failed. An object of one member says which (REST
/// reference, `FunctionResponse.response`); any other object is what was returned.
fn returned<'a>(value: Value<'_, 'a>) -> Result<(Cow<'a, str>, bool), Bad> {
    let mut members = message(value, "functionResponse.response")?;
    let only = members.next().filter(|_| members.next().is_none());
    // A field that is `null` is no field, but here it is part of what was returned.
    let only = only.filter(|_| value.members().count() == 1);
    match only {
        Some((key, inner)) if matches!(&*key, "result" | "output" | "error") => {
            let text = inner.text().unwrap_or(Cow::Borrowed(inner.raw()));
            Ok((text, key == "error"))
        }
        _ => Ok((Cow::Borrowed(value.raw()), false)),
    }
}
