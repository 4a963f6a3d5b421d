//! Writes the turns of a chat as the items of `input`.
//!
//! Items carry no ids, for the provider looks up what has one: only a thought goes back under the id that
//! it came with, because its seal belongs to it.

use std::borrow::Cow;
use std::collections::HashSet;

use super::item_read::split_seal;
use super::item_write::{write_annotation, write_text};
use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::chat::{Role, Turn};
use crate::llm::part::{Media, MediaKind, Source, ToolResult};
use crate::llm::{CallIds, Content, Dropped, Format, Part, Signature};
use crate::wire::Custom;
use crate::wire::custom::text_of;
use crate::wire::fit::fit;

/// `custom` are the tools whose calls have a text.
pub(super) fn write(turns: &[Turn<'_>], custom: &Custom, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    let mut calls = Calls { ids: CallIds::default(), custom, texts: HashSet::new() };
    for turn in turns {
        if turn.name.is_some() {
            dropped.field("messages[].name");
        }
        let mut rest = &turn.parts[..];
        while let Some((first, behind)) = rest.split_first() {
            if is_said(&first.content) {
                let count = rest.iter().take_while(|part| is_said(&part.content)).count();
                let (message, behind) = rest.split_at(count);
                write_message(turn.role, message, a, dropped);
                rest = behind;
                continue;
            }
            write_item(first, &mut calls, a, dropped);
            rest = behind;
        }
    }
}

/// The calls so far.
struct Calls<'c> {
    ids: CallIds,
    custom: &'c Custom,
    /// The ids of those that have a text.
    texts: HashSet<String>,
}

/// What stands in a message, and not beside it.
fn is_said(content: &Content<'_>) -> bool {
    matches!(content, Content::Text { .. } | Content::Media(_) | Content::Refusal(_))
}

fn write_message(role: Role, parts: &[Part<'_>], a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    let word = match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    // What cannot be said must not leave an empty message.
    let is_sayable = |part: &Part<'_>| match &part.content {
        Content::Media(media) => role != Role::Assistant && is_sayable(media),
        _ => true,
    };
    parts.iter().filter(|part| !is_sayable(part)).for_each(|part| drop_part(part, dropped));
    let mut sayable = parts.iter().filter(|part| is_sayable(part)).peekable();
    if sayable.peek().is_none() {
        return;
    }
    a.object(|o| {
        o.text("type", "message");
        o.text("role", word);
        o.array("content", |a| {
            sayable.for_each(|part| match role {
                Role::Assistant => write_own(part, a, dropped),
                _ => write_content(part, a, dropped),
            });
        });
    });
}

/// A part of what the model said.
fn write_own(part: &Part<'_>, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    drop_cache(part, dropped);
    match &part.content {
        Content::Text { text, citations } => a.object(|o| {
            o.text("type", "output_text");
            o.text("text", text);
            o.array("annotations", |a| {
                for citation in citations {
                    // A file is named by an id, which nobody here has.
                    match citation.url.is_some() {
                        true => a.object(|o| write_annotation(o, citation, text, dropped)),
                        false => dropped.field("messages[].content[].citations"),
                    }
                }
            });
        }),
        Content::Refusal(text) => a.object(|o| {
            o.text("type", "refusal");
            o.text("refusal", text);
        }),
        _ => {}
    }
}

/// A part of what is told to the model.
fn write_content(part: &Part<'_>, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    drop_cache(part, dropped);
    match &part.content {
        // Only the model refuses; what else says so is text.
        Content::Text { text, .. } | Content::Refusal(text) => a.object(|o| write_text(o, "input_text", text)),
        Content::Media(media) => a.object(|o| write_media(o, media, dropped)),
        _ => {}
    }
}

/// Breakpoints are an error for models before GPT-5.6 (guide "Prompt caching"), which cache by themselves.
fn drop_cache(part: &Part<'_>, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.field("cache_control");
    }
}

fn is_sayable(media: &Media<'_>) -> bool {
    let is_reachable = match &media.source {
        Source::Url(url) => url.starts_with("https://") || url.starts_with("http://"),
        _ => true,
    };
    match media.kind {
        MediaKind::Image => is_reachable && !matches!(media.source, Source::Text(_)),
        MediaKind::File => is_reachable,
        MediaKind::Audio | MediaKind::Video => false,
    }
}

fn drop_part(part: &Part<'_>, dropped: &mut Dropped) {
    let Content::Media(media) = &part.content else { return };
    dropped.field(match media.kind {
        MediaKind::Image => "messages[].content[].image_url",
        MediaKind::Audio => "messages[].content[].input_audio",
        MediaKind::Video => "messages[].content[].video_url",
        MediaKind::File => "messages[].content[].file",
    });
}

fn write_media(o: &mut ObjectWriter<'_>, media: &Media<'_>, dropped: &mut Dropped) {
    if let Source::Text(text) = &media.source {
        write_text(o, "input_text", text);
        if media.name.is_some() {
            dropped.field("messages[].content[].file.filename");
        }
        return;
    }
    let is_image = media.kind == MediaKind::Image;
    o.text("type", if is_image { "input_image" } else { "input_file" });
    match &media.source {
        Source::FileId(id) => o.text("file_id", id),
        Source::Url(url) => o.text(if is_image { "image_url" } else { "file_url" }, url),
        Source::Base64(data) => {
            let usual = if is_image { "image/png" } else { "application/pdf" };
            let url = ["data:", media.mime.as_deref().unwrap_or(usual), ";base64,", data].concat();
            if !is_image {
                // Data without a name are an error.
                let made = || ["document.", extension(media.mime.as_deref().unwrap_or(usual))].concat();
                o.text("filename", &media.name.as_deref().map_or_else(|| made().into(), Cow::Borrowed));
            }
            o.text(if is_image { "image_url" } else { "file_data" }, &url);
        }
        Source::Text(_) => {}
    }
    if is_image {
        o.text("detail", media.detail.as_deref().unwrap_or("auto"));
    } else if media.name.is_some() && !matches!(media.source, Source::Base64(_)) {
        dropped.field("messages[].content[].file.filename");
    }
}

/// The end of a file's name, by which the provider tells what it is.
fn extension(mime: &str) -> &str {
    match mime {
        "text/plain" => "txt",
        "text/markdown" => "md",
        _ => mime.split('/').nth(1).filter(|kind| kind.bytes().all(|b| b.is_ascii_alphanumeric())).unwrap_or("bin"),
    }
}

/// What stands beside messages.
fn write_item(part: &Part<'_>, calls: &mut Calls<'_>, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    drop_cache(part, dropped);
    match &part.content {
        Content::ToolCall(call) => a.object(|o| {
            let id = calls.ids.call(call);
            let is_text = calls.custom.has(&call.name);
            o.text("type", if is_text { "custom_tool_call" } else { "function_call" });
            o.text("call_id", &fit(&id));
            o.text("name", &call.name);
            match is_text {
                true => o.text("input", &text_of(&call.arguments)),
                false => o.text("arguments", if call.arguments.is_empty() { "{}" } else { &call.arguments }),
            }
            if is_text {
                calls.texts.insert(id.into_owned());
            }
            if call.signature.is_some() {
                dropped.field("messages[].tool_calls[].signature");
            }
        }),
        Content::ToolResult(result) => a.object(|o| {
            let id = calls.ids.result(result);
            let is_text = calls.texts.contains(&*id);
            o.text("type", if is_text { "custom_tool_call_output" } else { "function_call_output" });
            o.text("call_id", &fit(&id));
            write_result(o, result, dropped);
        }),
        Content::Reasoning { text, signature } => match own(signature.as_ref()) {
            Some(seal) => a.object(|o| write_thought(o, seal, Some(text))),
            None => dropped.field("messages[].reasoning_content"),
        },
        Content::Redacted(seal) => match own(Some(seal)) {
            Some(seal) => a.object(|o| write_thought(o, seal, None)),
            None => dropped.field("messages[].redacted_thinking"),
        },
        _ => {}
    }
}

/// The provider's own seal and the id that it belongs to: the provider wants both.
fn own<'s>(seal: Option<&'s Signature<'_>>) -> Option<(&'s str, &'s str)> {
    let (id, seal) = split_seal(seal?.for_provider(Format::Responses)?);
    Some((id?, seal))
}

/// A thought goes back only with its seal: one of which an id alone is left is looked up and not found.
fn write_thought(o: &mut ObjectWriter<'_>, (id, seal): (&str, &str), text: Option<&str>) {
    o.text("type", "reasoning");
    o.text("id", id);
    o.array("summary", |a| text.into_iter().for_each(|text| a.object(|o| write_text(o, "summary_text", text))));
    o.text("encrypted_content", seal);
}

fn write_result(o: &mut ObjectWriter<'_>, result: &ToolResult<'_>, dropped: &mut Dropped) {
    if result.is_error {
        dropped.field("messages[].content[].is_error");
    }
    match &result.parts[..] {
        [] => o.text("output", ""),
        [part] if part.as_text().is_some() => {
            drop_cache(part, dropped);
            o.text("output", part.as_text().unwrap_or_default());
        }
        parts => {
            let is_sayable = |part: &&Part<'_>| match &part.content {
                Content::Media(media) => is_sayable(media),
                content => is_said(content),
            };
            parts.iter().filter(|part| !is_sayable(part)).for_each(|part| drop_part(part, dropped));
            if !parts.iter().any(|part| is_sayable(&part)) {
                return o.text("output", "");
            }
            o.array("output", |a| {
                parts.iter().filter(is_sayable).for_each(|part| write_content(part, a, dropped));
            });
        }
    }
}
