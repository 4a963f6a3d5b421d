//! Content blocks read, of requests and of answers.

use std::borrow::Cow;

use super::{cite, names};
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::part::{CacheMark, Content, Media, MediaKind, Part, Source, ToolCall, ToolResult};
use crate::llm::{Dropped, Format, Signature};

/// Whose blocks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// A client's: names and seals are its own.
    Request,
    /// A provider's: it says names as they were written to it.
    Answer,
}

/// What a block lacks.
pub(super) type Lack = &'static str;

impl Side {
    fn place(self) -> &'static str {
        match self {
            Side::Request => "messages[].content[].",
            Side::Answer => "output.message.content[].",
        }
    }
}

/// Appends what the blocks of `content` say.
///
/// # Errors
/// For a block that lacks what it cannot be without.
pub(super) fn read<'a>(
    content: Value<'_, 'a>,
    side: Side,
    parts: &mut Vec<Part<'a>>,
    dropped: &mut Dropped,
) -> Result<(), Lack> {
    let begin = parts.len();
    for block in content.elements() {
        if block.kind() != Kind::Object {
            return Err("A content block is no object.");
        }
        for (key, value) in block.members().filter(|(_, value)| !value.is_null()) {
            match &*key {
                "cachePoint" => match parts[begin..].last_mut() {
                    Some(part) => part.cache = Some(mark(value)),
                    None => dropped.inside(side.place(), "cachePoint"),
                },
                key => parts.extend(block_of(key, value, side, dropped)?.map(Part::new)),
            }
        }
    }
    Ok(())
}

/// How long a cache point keeps.
pub(super) fn mark(point: Value<'_, '_>) -> CacheMark {
    match point.get("ttl").and_then(Value::text).as_deref() {
        Some("1h") => CacheMark::Hour,
        _ => CacheMark::Default,
    }
}

fn block_of<'a>(
    key: &str,
    value: Value<'_, 'a>,
    side: Side,
    dropped: &mut Dropped,
) -> Result<Option<Content<'a>>, Lack> {
    Ok(Some(match key {
        "text" => Content::Text { text: value.text().ok_or("A block's text is no string.")?, citations: Vec::new() },
        "image" => Content::Media(media(value, MediaKind::Image, side, dropped)?),
        "document" => Content::Media(media(value, MediaKind::File, side, dropped)?),
        "video" => Content::Media(media(value, MediaKind::Video, side, dropped)?),
        "audio" => Content::Media(media(value, MediaKind::Audio, side, dropped)?),
        "toolUse" if value.get("type").is_none() => Content::ToolCall(call(value, dropped)?),
        "toolResult" if value.get("type").is_none() => Content::ToolResult(result(value, side, dropped)?),
        "reasoningContent" => return thought(value, side, dropped),
        "citationsContent" => {
            let citations = value.get("citations").map(Value::elements).into_iter().flatten();
            let citations = citations.map(|citation| cite::read(citation, dropped)).collect();
            let text = value.get("content").and_then(cite::joined).unwrap_or_default();
            Content::Text { text, citations }
        }
        "guardContent" => {
            // What is guarded is said all the same; that it is to be guarded is not.
            dropped.inside(side.place(), key);
            let Some(text) = value.get("text").and_then(|text| text.get("text")).and_then(Value::text) else {
                return Ok(None);
            };
            Content::Text { text, citations: Vec::new() }
        }
        "searchResult" => {
            dropped.inside(side.place(), "searchResult.source");
            let text = value.get("content").and_then(cite::joined).ok_or("A search result has no content.")?;
            Content::Media(Media {
                kind: MediaKind::File,
                mime: Some(Cow::Borrowed("text/plain")),
                source: Source::Text(text),
                name: value.get("title").and_then(Value::text),
                detail: None,
            })
        }
        other => {
            dropped.inside(side.place(), other);
            return Ok(None);
        }
    }))
}

fn media<'a>(value: Value<'_, 'a>, kind: MediaKind, side: Side, dropped: &mut Dropped) -> Result<Media<'a>, Lack> {
    let source = value.get("source").ok_or("An image, document, video or sound has no source.")?;
    let mut format = value.get("format").and_then(Value::text);
    let mut read = None;
    for (key, value) in source.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "bytes" => read = value.text().map(Source::Base64),
            "s3Location" => {
                read = value.get("uri").and_then(Value::text).map(Source::Url);
                if value.get("bucketOwner").is_some() {
                    dropped.inside(side.place(), "source.s3Location.bucketOwner");
                }
            }
            "text" => read = value.text().map(Source::Text),
            "content" => read = cite::joined(value).map(Source::Text),
            other => dropped.inside(side.place(), other),
        }
    }
    for key in ["context", "citations", "error"] {
        if value.get(key).is_some_and(|value| !value.is_empty()) {
            dropped.inside(side.place(), key);
        }
    }
    let source = read.ok_or("The source of an image, document, video or sound cannot be read.")?;
    if let (Source::Text(_), None) = (&source, &format) {
        format = Some(Cow::Borrowed("txt"));
    }
    Ok(Media {
        kind,
        mime: format.and_then(|format| names::mime(kind, &format)).map(Cow::Borrowed),
        source,
        name: value.get("name").and_then(Value::text),
        detail: None,
    })
}

fn call<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<ToolCall<'a>, Lack> {
    let text = |key: &str| value.get(key).and_then(Value::text);
    let name = text("name").ok_or("A tool use has no name.")?;
    for (key, _) in
        value.members().filter(|(key, value)| !value.is_empty() && !matches!(&**key, "toolUseId" | "name" | "input"))
    {
        dropped.inside("toolUse.", &key);
    }
    Ok(ToolCall {
        id: text("toolUseId").ok_or("A tool use has no toolUseId.")?,
        name,
        arguments: Cow::Borrowed(value.get("input").map_or("{}", Value::raw)),
        signature: None,
    })
}

fn result<'a>(value: Value<'_, 'a>, side: Side, dropped: &mut Dropped) -> Result<ToolResult<'a>, Lack> {
    let mut parts = Vec::new();
    for block in value.get("content").map(Value::elements).into_iter().flatten() {
        for (key, value) in block.members().filter(|(_, value)| !value.is_null()) {
            let content = match &*key {
                // What a function says as JSON is a text for everybody else.
                "json" => Some(Content::Text { text: Cow::Borrowed(value.raw()), citations: Vec::new() }),
                // A result in a result is none.
                "toolUse" | "toolResult" => return Err("A tool result holds another one."),
                key => block_of(key, value, side, dropped)?,
            };
            parts.extend(content.map(Part::new));
        }
    }
    let status = value.get("status").and_then(Value::text);
    Ok(ToolResult {
        id: value.get("toolUseId").and_then(Value::text).ok_or("A tool result has no toolUseId.")?,
        name: None,
        parts,
        is_error: status.as_deref() == Some("error"),
    })
}

fn thought<'a>(value: Value<'_, 'a>, side: Side, dropped: &mut Dropped) -> Result<Option<Content<'a>>, Lack> {
    if let Some(blob) = value.get("redactedContent").and_then(Value::text) {
        return Ok(Some(Content::Redacted(names::seal(blob))));
    }
    let Some(thought) = value.get("reasoningText") else {
        dropped.inside(side.place(), "reasoningContent");
        return Ok(None);
    };
    let text = thought.get("text").and_then(Value::text).ok_or("A reasoning block has no text.")?;
    let signature = thought.get("signature").and_then(Value::text);
    let signature = signature.map(|text| Signature::read(Format::Converse, text));
    Ok(Some(Content::Reasoning { text, signature }))
}
