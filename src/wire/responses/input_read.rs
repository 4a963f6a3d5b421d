//! Reads `input`: a text, or items in the order in which they were said.

use std::borrow::Cow;

use super::item_read::{
    INPUT, Thought, kind_of, read_cache, read_call, read_image, read_said, read_text, read_thought, source_of,
};
use super::request_read::{state, want};
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::chat::Role;
use crate::llm::part::{Media, MediaKind, Source, ToolResult};
use crate::llm::{Chat, Content, Dropped, Part, Refusal, Signature};

pub(super) fn read<'a>(input: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    if let Some(text) = input.text() {
        chat.say(Role::User, [Part::text(text)]);
        return Ok(());
    }
    want((input.kind() == Kind::Array).then_some(()), "input", "a string or an array")?;
    let mut reader = Reader { chat, dropped, seal: None };
    for (at, item) in input.elements().enumerate() {
        reader.item(at, item)?;
    }
    Ok(())
}

struct Reader<'r, 'a> {
    chat: &'r mut Chat<'a>,
    dropped: &'r mut Dropped,
    /// Of the call that comes next.
    seal: Option<Signature<'a>>,
}

// === impl Reader ===

impl<'a> Reader<'_, 'a> {
    fn item(&mut self, at: usize, item: Value<'_, 'a>) -> Result<(), Refusal> {
        let kind = kind_of(item);
        let seal = self.seal.take();
        match &*kind {
            "message" => self.message(at, item)?,
            "" if item.get("role").is_some() => self.message(at, item)?,
            "function_call" | "custom_tool_call" => {
                let mut call = read_call(item, INPUT, self.dropped);
                want((!call.name.is_empty()).then_some(()), format!("input[{at}].name"), "the name of a function")?;
                call.signature = seal;
                self.chat.say(Role::Assistant, [Part::new(Content::ToolCall(call))]);
            }
            "function_call_output" | "custom_tool_call_output" => {
                let result = self.result(at, item)?;
                self.chat.say(Role::User, [Part::new(Content::ToolResult(result))]);
            }
            "reasoning" => match read_thought(item, INPUT, self.dropped) {
                Thought::Said(content) => self.chat.say(Role::Assistant, [Part::new(content)]),
                Thought::OfCall(seal) => self.seal = Some(seal),
                Thought::Nothing => {}
            },
            "image_generation_call" => match read_image(item) {
                Some(media) => self.chat.say(Role::Assistant, [Part::new(Content::Media(media))]),
                None => self.dropped.inside(INPUT.item, &kind),
            },
            // What is behind a reference, or was compacted, the provider alone knows.
            "item_reference" | "compaction" => return Err(state(format!("input[{at}]"))),
            "" if item.get("id").is_some() => return Err(state(format!("input[{at}]"))),
            "" => want(None, format!("input[{at}]"), "an item with a type")?,
            other => self.dropped.inside(INPUT.item, other),
        }
        Ok(())
    }

    fn message(&mut self, at: usize, item: Value<'_, 'a>) -> Result<(), Refusal> {
        let role = match item.get("role").and_then(Value::text).as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some("developer") => Role::Developer,
            _ => return want(None, format!("input[{at}].role"), "user, assistant, system or developer"),
        };
        for (key, value) in item.members() {
            match &*key {
                // An id and a state are what the provider made of it.
                "type" | "role" | "content" | "id" | "status" => {}
                _ if value.is_empty() => {}
                other => self.dropped.inside(INPUT.item, other),
            }
        }
        let param = || format!("input[{at}].content");
        let content = want(item.get("content"), param(), "a string or an array")?;
        let parts = match content.text() {
            Some(text) => vec![Part::text(text)],
            None if content.kind() == Kind::Array => self.parts(&param(), content, role)?,
            None => return want(None, param(), "a string or an array"),
        };
        if !parts.is_empty() {
            self.chat.say(role, parts);
        }
        Ok(())
    }

    fn parts(&mut self, param: &str, content: Value<'_, 'a>, role: Role) -> Result<Vec<Part<'a>>, Refusal> {
        let mut parts = Vec::new();
        for part in content.elements() {
            match &*kind_of(part) {
                "input_text" | "text" => parts.push(read_text(part, INPUT, self.dropped)),
                "input_image" => parts.push(self.image(param, part)?),
                "input_file" => parts.push(self.file(param, part)?),
                "input_audio" => parts.push(self.audio(param, part)?),
                _ if role == Role::Assistant => parts.extend(read_said(part, INPUT, &mut None, self.dropped)),
                "output_text" => parts.push(read_text(part, INPUT, self.dropped)),
                other => self.dropped.inside(INPUT.content, if other.is_empty() { "type" } else { other }),
            }
        }
        Ok(parts)
    }

    fn result(&mut self, at: usize, item: Value<'_, 'a>) -> Result<ToolResult<'a>, Refusal> {
        let mut result = ToolResult { id: "".into(), name: None, parts: Vec::new(), is_error: false };
        for (key, value) in item.members() {
            match &*key {
                "type" | "id" | "status" | "output" => {}
                "call_id" => result.id = value.text().unwrap_or_default(),
                "name" => result.name = value.text(),
                _ if value.is_empty() => {}
                other => self.dropped.inside(INPUT.item, other),
            }
        }
        want((!result.id.is_empty()).then_some(()), format!("input[{at}].call_id"), "the id of a call")?;
        let param = format!("input[{at}].output");
        let output = want(item.get("output"), param.clone(), "a string or an array")?;
        result.parts = match output.text() {
            Some(text) => vec![Part::text(text)],
            None => self.parts(&param, output, Role::User)?,
        };
        Ok(result)
    }

    fn image(&mut self, param: &str, part: Value<'_, 'a>) -> Result<Part<'a>, Refusal> {
        let (mut source, mut mime, mut detail, mut cache) = (None, None, None, None);
        for (key, value) in part.members() {
            match &*key {
                "type" => {}
                "image_url" => {
                    if let Some(url) = value.text() {
                        let (of_url, at) = source_of(url);
                        (mime, source) = (of_url, Some(at));
                    }
                }
                "file_id" => source = source.or(value.text().map(Source::FileId)),
                "detail" => detail = value.text(),
                "prompt_cache_breakpoint" => cache = read_cache(value),
                _ if value.is_empty() => {}
                other => self.dropped.inside(INPUT.content, other),
            }
        }
        let source = want(source, param.to_owned(), "a list in which every image has an image_url or a file_id")?;
        let media = Media { kind: MediaKind::Image, mime, source, name: None, detail };
        Ok(Part { content: Content::Media(media), cache })
    }

    fn file(&mut self, param: &str, part: Value<'_, 'a>) -> Result<Part<'a>, Refusal> {
        let (mut source, mut mime, mut name, mut cache) = (None, None, None, None);
        for (key, value) in part.members() {
            match &*key {
                "type" => {}
                // A data URL; some write the data alone.
                "file_data" => {
                    if let Some(data) = value.text() {
                        let (of_url, at) = source_of(data);
                        let at = if let Source::Url(data) = at { Source::Base64(data) } else { at };
                        (mime, source) = (of_url, Some(at));
                    }
                }
                "file_url" => source = source.or(value.text().map(Source::Url)),
                "file_id" => source = source.or(value.text().map(Source::FileId)),
                "filename" => name = value.text(),
                "prompt_cache_breakpoint" => cache = read_cache(value),
                "detail" if value.text().as_deref() == Some("auto") => {}
                _ if value.is_empty() => {}
                other => self.dropped.inside(INPUT.content, other),
            }
        }
        let source =
            want(source, param.to_owned(), "a list in which every file has file_data, a file_url or a file_id")?;
        let media = Media { kind: MediaKind::File, mime, source, name, detail: None };
        Ok(Part { content: Content::Media(media), cache })
    }

    fn audio(&mut self, param: &str, part: Value<'_, 'a>) -> Result<Part<'a>, Refusal> {
        let audio = part.get("input_audio").unwrap_or(part);
        let data = audio.get("data").and_then(Value::text);
        let data = want(data, param.to_owned(), "a list in which all input_audio has data")?;
        let format = audio.get("format").and_then(Value::text);
        let mime = format.map(|format| match &*format {
            "mp3" => Cow::Borrowed("audio/mpeg"),
            other => Cow::Owned(["audio/", other].concat()),
        });
        let media = Media { kind: MediaKind::Audio, mime, source: Source::Base64(data), name: None, detail: None };
        Ok(Part::new(Content::Media(media)))
    }
}
