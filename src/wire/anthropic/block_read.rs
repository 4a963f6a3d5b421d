//! Reads the blocks of a message.

use std::borrow::Cow;

use super::citation;
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::part::{CacheMark, Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Code, Content, Dropped, Format, Part, Refusal, Signature};

/// Where the blocks of a message stand, in the names of what is left out.
pub(super) const MESSAGES: &str = "messages[].content[].";

/// Reads text, or a list of blocks: a message, the system prompt, what a tool returned.
///
/// # Errors
/// 400 for what is neither.
pub(super) fn content<'a>(
    value: Value<'_, 'a>,
    place: &'static str,
    dropped: &mut Dropped,
) -> Result<Vec<Part<'a>>, Refusal> {
    if let Some(text) = value.text() {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    if value.kind() != Kind::Array {
        return Err(wrong(place, "must be a string or a list of blocks"));
    }
    let mut parts: Vec<Part<'a>> = Vec::new();
    for block in value.elements() {
        let Some(mut part) = read(block, place, dropped)? else { continue };
        take_seal(&mut parts, &mut part);
        parts.push(part);
    }
    Ok(parts)
}

/// The mark of a `cache_control`.
pub(super) fn mark(value: Value<'_, '_>) -> CacheMark {
    match value.get("ttl").and_then(Value::text).as_deref() {
        Some("1h") => CacheMark::Hour,
        _ => CacheMark::Default,
    }
}

/// 400 for a field of a wrong type or value.
pub(super) fn wrong(place: &'static str, what: &str) -> Refusal {
    let name = place.trim_end_matches('.');
    Refusal::new(Code::UnsupportedValue, format!("The field {name} {what}.")).param(name)
}

fn read<'a>(block: Value<'_, 'a>, place: &'static str, dropped: &mut Dropped) -> Result<Option<Part<'a>>, Refusal> {
    let Some(kind) = block.get("type").and_then(Value::text) else {
        return Err(wrong(place, "must have blocks that name their type"));
    };
    let (content, known): (_, &[&str]) = match &*kind {
        "text" => {
            let citations = block.get("citations").map(|list| citation::read_all(list, dropped)).unwrap_or_default();
            (Content::Text { text: text(block, "text", place)?, citations }, &["text", "citations"])
        }
        "image" => {
            let Some(media) = image(block) else { return drop_block(&kind, place, dropped) };
            (Content::Media(media), &["source"])
        }
        "document" => {
            let Some(media) = document(block, dropped) else { return drop_block(&kind, place, dropped) };
            let known = match block.get("citations").and_then(|on| on.get("enabled")).and_then(Value::flag) {
                Some(true) => &["source", "title"][..],
                _ => &["source", "title", "citations"],
            };
            (Content::Media(media), known)
        }
        "search_result" => (Content::Media(search_result(block)), &["title", "content", "citations"]),
        "thinking" => {
            let signature = block.get("signature").and_then(Value::text).filter(|seal| !seal.is_empty());
            let signature = signature.map(|seal| Signature::read(Format::Messages, seal));
            (Content::Reasoning { text: text(block, "thinking", place)?, signature }, &["thinking", "signature"])
        }
        "redacted_thinking" => {
            (Content::Redacted(Signature::read(Format::Messages, text(block, "data", place)?)), &["data"])
        }
        "tool_use" => {
            let arguments = block.get("input").map_or("", Value::raw).into();
            let (id, name) = (text(block, "id", place)?, text(block, "name", place)?);
            (Content::ToolCall(ToolCall { id, name, arguments, signature: None }), &["id", "name", "input"])
        }
        "tool_result" => {
            let id = text(block, "tool_use_id", place)?;
            let parts = block.get("content").map(|inner| content_of(inner, dropped)).transpose()?.unwrap_or_default();
            let is_error = block.get("is_error").and_then(Value::flag).unwrap_or(false);
            let known = &["tool_use_id", "content", "is_error"];
            (Content::ToolResult(ToolResult { id, name: None, parts, is_error }), known)
        }
        _ => return drop_block(&kind, place, dropped),
    };
    for (key, value) in block.members() {
        // The model itself calls directly; code that runs at Anthropic may call, too.
        let is_plain = matches!(&*key, "type" | "cache_control")
            || (key == "caller" && value.get("type").and_then(Value::text).is_some_and(|kind| kind == "direct"));
        if !is_plain && !known.contains(&&*key) && !value.is_empty() {
            dropped.inside(place, &key);
        }
    }
    Ok(Some(Part { content, cache: block.get("cache_control").map(mark) }))
}

/// What a tool returned holds no result of another: blocks are one level deep.
fn content_of<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Vec<Part<'a>>, Refusal> {
    const PLACE: &str = "messages[].content[].content[].";
    if let Some(text) = value.text() {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::text(text)] });
    }
    if value.kind() != Kind::Array {
        return Err(wrong(PLACE, "must be a string or a list of blocks"));
    }
    let mut parts = Vec::new();
    for block in value.elements() {
        match block.get("type").and_then(Value::text).as_deref() {
            Some("tool_result" | "tool_use") => dropped.inside(PLACE, "tool_result"),
            _ => parts.extend(read(block, PLACE, dropped)?),
        }
    }
    Ok(parts)
}

/// Only Gemini seals calls, and Anthropic's have no place for it: the seal came as that of an empty thought
/// in front of the call (see [`super::reply_write`]).
fn take_seal<'a>(parts: &mut Vec<Part<'a>>, part: &mut Part<'a>) {
    let Content::ToolCall(call) = &mut part.content else { return };
    let is_seal = |part: &mut Part<'_>| match &part.content {
        Content::Reasoning { text, signature: Some(seal) } => text.is_empty() && seal.maker == Format::Gemini,
        _ => false,
    };
    if let Some(Part { content: Content::Reasoning { signature, .. }, .. }) = parts.pop_if(is_seal) {
        call.signature = signature;
    }
}

fn drop_block<T>(kind: &str, place: &'static str, dropped: &mut Dropped) -> Result<Option<T>, Refusal> {
    dropped.inside(place, kind);
    Ok(None)
}

fn text<'a>(block: Value<'_, 'a>, key: &str, place: &'static str) -> Result<Cow<'a, str>, Refusal> {
    block.get(key).and_then(Value::text).ok_or_else(|| wrong(place, &format!("must have {key} as a string")))
}

fn image<'a>(block: Value<'_, 'a>) -> Option<Media<'a>> {
    let from = block.get("source")?;
    let mime = from.get("media_type").and_then(Value::text);
    Some(Media { kind: MediaKind::Image, mime, source: source(from)?, name: None, detail: None })
}

fn document<'a>(block: Value<'_, 'a>, dropped: &mut Dropped) -> Option<Media<'a>> {
    let from = block.get("source")?;
    let name = block.get("title").and_then(Value::text);
    let (mime, source) = match from.get("type").and_then(Value::text).as_deref() {
        Some("text") => (from.get("media_type").and_then(Value::text), Source::Text(from.get("data")?.text()?)),
        Some("content") => (Some("text/plain".into()), Source::Text(joined(from.get("content")?, dropped))),
        Some("url") => (Some("application/pdf".into()), source(from)?),
        _ => (from.get("media_type").and_then(Value::text), source(from)?),
    };
    Some(Media { kind: MediaKind::File, mime, source, name, detail: None })
}

/// A search result is a document with a title; where it was found is named.
fn search_result<'a>(block: Value<'_, 'a>) -> Media<'a> {
    let text = block.get("content").map(|content| joined(content, &mut Dropped::default())).unwrap_or_default();
    let name = block.get("title").and_then(Value::text);
    Media { kind: MediaKind::File, mime: Some("text/plain".into()), source: Source::Text(text), name, detail: None }
}

/// The texts of a document that is made of blocks.
fn joined<'a>(content: Value<'_, 'a>, dropped: &mut Dropped) -> Cow<'a, str> {
    if let Some(text) = content.text() {
        return text;
    }
    let mut texts = Vec::new();
    for block in content.elements() {
        match block.get("text").and_then(Value::text) {
            Some(text) => texts.push(text),
            None => dropped.inside(MESSAGES, "source.content[].image"),
        }
    }
    match texts.len() {
        1 => texts.pop().unwrap_or_default(),
        _ => texts.join("\n").into(),
    }
}

fn source<'a>(from: Value<'_, 'a>) -> Option<Source<'a>> {
    let text = |key| from.get(key).and_then(Value::text);
    match &*text("type")? {
        "base64" => Some(Source::Base64(text("data")?)),
        "url" => Some(Source::Url(text("url")?)),
        "file" => Some(Source::FileId(text("file_id")?)),
        _ => None,
    }
}
