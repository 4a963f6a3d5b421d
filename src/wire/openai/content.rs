//! The content of a message in a request: a string, or parts.

use std::borrow::Cow;

use super::message::{image_of, source_of, url_of};
use super::request_read::read_cache;
use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::part::{Media, MediaKind, Source};
use crate::llm::{Content, Dropped, Part};

/// The string under `key`.
pub(super) fn read_text<'a>(value: Value<'_, 'a>, key: &str) -> Option<Cow<'a, str>> {
    value.get(key)?.text()
}

pub(super) fn read_parts<'a>(value: Value<'_, 'a>, out: &mut Vec<Part<'a>>, dropped: &mut Dropped) {
    out.extend(value.text().filter(|text| !text.is_empty()).map(Part::text));
    for part in value.elements() {
        let kind = read_text(part, "type");
        let content = match kind.as_deref() {
            Some("text" | "input_text" | "output_text") => read_text(part, "text").map(|text| Part::text(text).content),
            Some("refusal") => read_text(part, "refusal").map(Content::Refusal),
            Some("image_url") => read_image(part).map(Content::Media),
            Some("input_audio") => read_audio(part).map(Content::Media),
            Some("file") => read_file(part).map(Content::Media),
            Some("video_url") => {
                let url = part.get("video_url").and_then(|url| read_text(url, "url"));
                url.map(|url| Content::Media(Media { kind: MediaKind::Video, ..image_of(url) }))
            }
            _ => None,
        };
        let Some(content) = content else {
            dropped.inside("messages[].content[].", kind.as_deref().unwrap_or("type"));
            continue;
        };
        let cache = part.get("cache_control").map(read_cache);
        out.push(Part { content, cache });
    }
}

fn read_image<'a>(part: Value<'_, 'a>) -> Option<Media<'a>> {
    let image = part.get("image_url")?;
    let url = read_text(image, "url").or_else(|| image.text())?;
    Some(Media { detail: read_text(image, "detail"), ..image_of(url) })
}

fn read_audio<'a>(part: Value<'_, 'a>) -> Option<Media<'a>> {
    let audio = part.get("input_audio")?;
    let format = read_text(audio, "format");
    let mime = format.map(|format| match &*format {
        "mp3" => Cow::Borrowed("audio/mpeg"),
        other => Cow::Owned(["audio/", other].concat()),
    });
    let source = Source::Base64(read_text(audio, "data")?);
    Some(Media { kind: MediaKind::Audio, mime, source, name: None, detail: None })
}

fn read_file<'a>(part: Value<'_, 'a>) -> Option<Media<'a>> {
    let file = part.get("file")?;
    let name = read_text(file, "filename");
    let (mime, source) = match (read_text(file, "file_data"), read_text(file, "file_id")) {
        (Some(data), _) => match source_of(data) {
            // Base64 alone is taken as well.
            (None, Source::Url(data)) if !data.starts_with("http") => (None, Source::Base64(data)),
            found => found,
        },
        (None, Some(id)) => (None, Source::FileId(id)),
        (None, None) => return None,
    };
    Some(Media { kind: MediaKind::File, mime, source, name, detail: None })
}

/// Writes what a side said: a string where that says it all. Several texts are one with this `between` them;
/// many who imitate the API take nothing but strings from anybody but the user.
pub(super) fn write_content(
    o: &mut ObjectWriter<'_>,
    parts: &[&Part<'_>],
    between: Option<&str>,
    dropped: &mut Dropped,
) {
    if let Some(between) = between
        && let Some(texts) = parts.iter().map(|part| part.as_text()).collect::<Option<Vec<_>>>()
    {
        parts.iter().for_each(|part| note_cache(part, dropped));
        return o.text("content", &texts.join(between));
    }
    if let [only] = parts
        && let Some(text) = only.as_text()
    {
        note_cache(only, dropped);
        return o.text("content", text);
    }
    o.array("content", |a| parts.iter().for_each(|part| write_part(a, part, dropped)));
}

pub(super) fn note_cache(part: &Part<'_>, dropped: &mut Dropped) {
    // OpenAI caches by itself.
    if part.cache.is_some() {
        dropped.field("cache_control");
    }
}

fn write_part(a: &mut ArrayWriter<'_>, part: &Part<'_>, dropped: &mut Dropped) {
    note_cache(part, dropped);
    match &part.content {
        Content::Text { text, .. } => a.object(|o| {
            o.text("type", "text");
            o.text("text", text);
        }),
        Content::Refusal(text) => a.object(|o| {
            o.text("type", "refusal");
            o.text("refusal", text);
        }),
        Content::Media(media) if !write_media(a, media) => dropped.field(name_of(media)),
        // Media that were written; thoughts, calls and results have places of their own.
        _ => {}
    }
}

pub(super) fn name_of(media: &Media<'_>) -> &'static str {
    match media.kind {
        MediaKind::Image => "messages[].content[].image_url",
        MediaKind::Audio => "messages[].content[].input_audio",
        MediaKind::Video => "messages[].content[].video_url",
        MediaKind::File => "messages[].content[].file",
    }
}

fn write_media(a: &mut ArrayWriter<'_>, media: &Media<'_>) -> bool {
    match (media.kind, &media.source) {
        // An address in a store of another provider's cloud is known there alone.
        (MediaKind::Image, Source::Url(url)) if !url.starts_with("http") => return false,
        (MediaKind::Image, _) => {
            let Some(url) = url_of(media) else { return false };
            a.object(|o| {
                o.text("type", "image_url");
                o.object("image_url", |o| {
                    o.text("url", &url);
                    o.text_if("detail", media.detail.as_deref());
                });
            });
        }
        (MediaKind::Audio, Source::Base64(data)) => {
            // OpenAI takes these two.
            let format = match media.mime.as_deref() {
                Some("audio/mpeg" | "audio/mp3") => "mp3",
                Some("audio/wav" | "audio/x-wav" | "audio/wave") | None => "wav",
                Some(_) => return false,
            };
            a.object(|o| {
                o.text("type", "input_audio");
                o.object("input_audio", |o| {
                    o.text("data", data);
                    o.text("format", format);
                });
            });
        }
        (MediaKind::File, Source::Text(text)) => a.object(|o| {
            o.text("type", "text");
            o.text("text", text);
        }),
        (MediaKind::File, Source::Base64(data)) => {
            let mime = media.mime.as_deref().unwrap_or("application/pdf");
            a.object(|o| {
                o.text("type", "file");
                o.object("file", |o| {
                    o.text("filename", media.name.as_deref().unwrap_or("document.pdf"));
                    o.text("file_data", &["data:", mime, ";base64,", data].concat());
                });
            });
        }
        _ => return false,
    }
    true
}
