//! `contents` and `systemInstruction` of a request, read.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::piece::{self, Data, Piece};
use super::seal::Seal;
use super::spelling::{Bad, elements, message, text};
use crate::base::json::tree::Value;
use crate::llm::chat::Role;
use crate::llm::part::ToolResult;
use crate::llm::{Chat, Content, Dropped, Part};

/// How far behind the first one an answer may be to a call of its name.
const LATE: usize = 64;

const PARTS: &str = "contents[].parts[]";

/// The ids of calls that are not answered yet, by the functions' names. SDKs leave them out of answers, also
/// where the call had one.
#[derive(Default)]
struct Ids<'a>(HashMap<Cow<'a, str>, VecDeque<Cow<'a, str>>>);

/// Reads what the sides said.
///
/// # Errors
/// For what is no content.
pub(super) fn read<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Bad> {
    let mut ids = Ids::default();
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
            push(piece::read(value, PARTS, dropped)?, role, &mut ids, &mut parts, dropped)?;
        }
        if !parts.is_empty() {
            chat.say(role, parts);
        }
    }
    let models = chat.turns.iter_mut().filter(|turn| turn.role == Role::Assistant);
    models.for_each(|turn| turn.parts = join(std::mem::take(&mut turn.parts)));
    Ok(())
}

/// Joins what was streamed: SDKs put each response of a stream into a content of its own. A thought's seal
/// comes with its last piece, and other APIs know only whole thoughts.
fn join(parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
    let mut joined: Vec<Part<'_>> = Vec::with_capacity(parts.len());
    for mut part in parts {
        match (joined.last_mut().map(|last| &mut last.content), &mut part.content) {
            (Some(Content::Text { text: before, .. }), Content::Text { text, .. }) => before.to_mut().push_str(text),
            (
                Some(Content::Reasoning { text: before, signature: kept @ None }),
                Content::Reasoning { text, signature },
            ) => {
                before.to_mut().push_str(text);
                *kept = signature.take();
            }
            _ => joined.push(part),
        }
    }
    joined
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

fn push<'a>(
    piece: Piece<'_, 'a>,
    role: Role,
    ids: &mut Ids<'a>,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<(), Bad> {
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
            parts.push(Part::new(Content::Reasoning { text, signature }));
            return Ok(());
        }
        Data::Call(mut call) => {
            if role == Role::User {
                return Err(Bad::Type("contents[].parts[].functionCall", "in a content of the model's"));
            }
            if call.name.is_empty() {
                return Err(Bad::Type("functionCall.name", "the name of a function"));
            }
            ids.called(call.name.clone(), call.id.clone());
            call.signature = signature;
            parts.push(Part::new(Content::ToolCall(call)));
            return Ok(());
        }
        Data::Text(text) if text.is_empty() => {}
        Data::Text(text) => parts.push(Part::text(text)),
        Data::Media(media) => parts.push(Part::new(Content::Media(media))),
        Data::Response(value) if role == Role::User => {
            parts.push(Part::new(Content::ToolResult(response(value, ids, dropped)?)));
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

fn response<'a>(value: Value<'_, 'a>, ids: &mut Ids<'a>, dropped: &mut Dropped) -> Result<ToolResult<'a>, Bad> {
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
    ids.answered(&name, &mut id);
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

// === impl Ids ===

impl<'a> Ids<'a> {
    fn called(&mut self, name: Cow<'a, str>, id: Cow<'a, str>) {
        self.0.entry(name).or_default().push_back(id);
    }

    /// The call that is answered is open no more; it is the first one of the name where no id says which.
    fn answered(&mut self, name: &str, id: &mut Cow<'a, str>) {
        let Some(open) = self.0.get_mut(name) else { return };
        if id.is_empty() {
            *id = open.pop_front().unwrap_or_default();
        } else if let Some(at) = open.iter().take(LATE).position(|known| known == id) {
            open.remove(at);
        }
    }
}
