//! The text of a prompt in a request body of any format that is held here: what a tokenizer gets to
//! see, without the JSON around it and without images, audio and files.
//!
//! | member of the body | text |
//! |---|---|
//! | `messages`, `contents`; `input`, `prompt`, `query`, `documents`, `suffix`, `prediction` | strings, and strings under other keys than those of `MUTE`, however deep |
//! | `system`, `instructions`, `systemInstruction` | the same; a message of its own |
//! | `tools`, `functions`, Converse's `toolConfig`; the schema of an answer | every string, and the names of `properties` |
//! | a tool's call or result in a message: `input`, `arguments`, `args`, `response`, `json`, where it is an object | as it stands |
//!
//! How a provider writes tools into the prompt is not published, and neither is how much any but
//! OpenAI's chat format adds to the text.

use super::stated;
use crate::base::json::{self, JsonError, Kind, Member, Span};
use crate::llm::Operation;

/// What the documentation of OpenAI's chat format adds to the text: so much for each message, and as
/// much once more because every answer is primed with the beginning of one.
pub(super) const FRAME: u64 = 3;

/// A larger body is not counted.
pub const MAX_COUNTED: usize = 4 << 20;

/// What of a prompt is not text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub messages: u64,
    /// Messages that name who says them.
    pub names: u64,
    /// Tokens that the client has made by itself: numbers where a text could stand.
    pub tokens: u64,
}

/// The keys whose string values are no text: names that servers go by, places, and what is read as `wire::parts`
/// reads it. A seal of earlier thoughts is the provider's own, and as long as those were.
const MUTE: &[&str] = &[
    "type",
    "id",
    "tool_call_id",
    "tool_use_id",
    "toolUseId",
    "call_id",
    "item_id",
    "status",
    "url",
    "uri",
    "data",
    "bytes",
    "file_data",
    "file_id",
    "file_url",
    "fileUri",
    "file_uri",
    "result",
    "image_url",
    "audio_url",
    "video_url",
    "document_url",
    "input_audio",
    "detail",
    "format",
    "media_type",
    "mime_type",
    "mimeType",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "ttl",
];

/// Reads a prompt, one string at a time.
struct Reader<'a, 'f> {
    body: &'a [u8],
    each: &'f mut dyn FnMut(&str),
    shape: Shape,
}

/// The tokens of the prompt in a request body, by `count` of each string; none where it is no JSON.
/// Messages are framed as OpenAI's chat format frames them, whichever format they are in: the others
/// add something as well.
pub fn tokens(operation: Operation, body: &[u8], mut count: impl FnMut(&str) -> u64) -> Option<u64> {
    let mut tokens = 0_u64;
    let shape = read(body, &mut |text| tokens += count(text)).ok()?;
    let talks = matches!(operation, Operation::Chat | Operation::Responses);
    let framed = if talks && shape.messages > 0 { FRAME * (shape.messages + 1) + shape.names } else { 0 };
    Some(tokens + framed + shape.tokens)
}

/// Calls `each` with the words of one JSON schema: every string, and the names of `properties`.
///
/// # Errors
/// As [`read`].
pub(super) fn schema(text: &str, each: &mut dyn FnMut(&str)) -> Result<(), JsonError> {
    let body = text.as_bytes();
    json::object(body)?;
    let begin = body.iter().position(|byte| *byte == b'{').unwrap_or_default();
    let whole = Span { start: begin, end: body.len() };
    Reader { body, each, shape: Shape::default() }.schema(whole, Kind::Object, false)
}

/// Calls `each` with every string of the prompt, in order.
///
/// # Errors
/// What is no JSON object, is nested too deep, or has a list that is too long.
pub fn read(body: &[u8], each: &mut dyn FnMut(&str)) -> Result<Shape, JsonError> {
    let mut reader = Reader { body, each, shape: Shape::default() };
    for member in json::object(body)? {
        let (value, kind) = (member.value, member.kind);
        // A server written in Go reads any case.
        match &*member.key.to_ascii_lowercase() {
            "messages" | "contents" => reader.messages(value, kind)?,
            "input" if kind == Kind::Array => reader.messages(value, kind)?,
            "input" | "prompt" | "query" | "documents" | "suffix" | "prediction" => reader.text(value, kind)?,
            "system" | "instructions" | "systeminstruction" | "system_instruction" if kind != Kind::Null => {
                reader.shape.messages += 1;
                reader.text(value, kind)?;
            }
            "tools" | "functions" | "toolconfig" | "response_format" | "output_format" | "output_config"
            | "generationconfig" | "generation_config" => reader.schema(value, kind, false)?,
            _ => {}
        }
    }
    Ok(reader.shape)
}

// === impl Reader ===

impl Reader<'_, '_> {
    fn say(&mut self, value: Span) {
        if let Some(text) = json::string(value.slice(self.body)) {
            (self.each)(&text);
        }
    }

    /// A list in which an object is a message.
    fn messages(&mut self, value: Span, kind: Kind) -> Result<(), JsonError> {
        if kind != Kind::Array {
            return self.text(value, kind);
        }
        for (value, kind) in json::elements(self.body, value)? {
            if kind == Kind::Object {
                self.shape.messages += 1;
                let named = json::members(self.body, value)?.iter().any(|member| member.key == "name");
                self.shape.names += u64::from(named);
            }
            self.text(value, kind)?;
        }
        Ok(())
    }

    /// A value whose strings are text, except those under the keys of [`MUTE`].
    fn text(&mut self, value: Span, kind: Kind) -> Result<(), JsonError> {
        match kind {
            Kind::String => self.say(value),
            Kind::Number => self.shape.tokens += 1,
            Kind::Array => match json::elements(self.body, value) {
                Ok(all) => {
                    for (value, kind) in all {
                        self.text(value, kind)?;
                    }
                }
                // Too long to be listed.
                Err(_) if stated::is_list_of_numbers(value.slice(self.body)) => {
                    let commas = value.slice(self.body).iter().filter(|byte| **byte == b',').count();
                    self.shape.tokens += commas as u64 + 1;
                }
                Err(error) => return Err(error),
            },
            Kind::Object => {
                let members = json::members(self.body, value)?;
                let holds_text = self.holds_text(&members);
                for member in members {
                    let is_text = !MUTE.contains(&&*member.key) || (holds_text && member.key == "data");
                    match (member.kind, &*member.key) {
                        (Kind::Object, "input" | "arguments" | "args" | "response" | "json") => self.raw(member.value),
                        (Kind::Array | Kind::Object, _) => self.text(member.value, member.kind)?,
                        (Kind::String, _) if is_text => self.say(member.value),
                        _ => {}
                    }
                }
            }
            Kind::True | Kind::False | Kind::Null => {}
        }
        Ok(())
    }

    /// Whether what stands under `data` is said to be text.
    fn holds_text(&self, members: &[Member<'_>]) -> bool {
        let says = |member: &Member<'_>| json::string(member.value.slice(self.body));
        members.iter().any(|member| member.key == "data")
            && members.iter().filter(|member| member.kind == Kind::String).any(|member| match &*member.key {
                "type" => says(member).is_some_and(|kind| kind == "text"),
                "media_type" | "mime_type" | "mimeType" => says(member).is_some_and(|mime| mime.starts_with("text/")),
                _ => false,
            })
    }

    /// A value that a model wrote as JSON.
    fn raw(&mut self, value: Span) {
        (self.each)(&String::from_utf8_lossy(value.slice(self.body)));
    }

    /// The description of tools: every string, and the names of parameters where `names` says so.
    fn schema(&mut self, value: Span, kind: Kind, names: bool) -> Result<(), JsonError> {
        match kind {
            Kind::String => self.say(value),
            Kind::Array => {
                for (value, kind) in json::elements(self.body, value)? {
                    self.schema(value, kind, false)?;
                }
            }
            Kind::Object => {
                for member in json::members(self.body, value)? {
                    if names {
                        (self.each)(&member.key);
                    }
                    let lists = !names && member.key == "properties";
                    self.schema(member.value, member.kind, lists)?;
                }
            }
            Kind::Number | Kind::True | Kind::False | Kind::Null => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
