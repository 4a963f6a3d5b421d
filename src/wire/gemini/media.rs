//! Media: `inlineData` and `fileData`.

use std::borrow::Cow;

use super::spelling::{Bad, fields, text};
use crate::base::json::tree::Value;
use crate::llm::Dropped;
use crate::llm::part::{Media, MediaKind, Source};

/// Types by a URL's extension: those that Gemini reads ("Image understanding", "Audio understanding",
/// "Video understanding", "Document understanding").
const EXTENSIONS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("aiff", "audio/aiff"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
];

/// Types by how their base64 begins.
const BEGINNINGS: &[(&str, &str)] = &[
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
    ("SUQz", "audio/mp3"),
];

/// What a URL of the Files API begins with: an upload's id, in effect, which no other provider can read.
const UPLOADS: &str = "https://generativelanguage.googleapis.com/";

/// Media that can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sayable<'c> {
    /// Base64, and its type.
    Inline(Cow<'c, str>, &'c str),
    /// A URI, and its type.
    File(Option<Cow<'c, str>>, &'c str),
    Text(&'c str),
}

/// Reads an `inlineData`.
pub(super) fn inline<'a>(value: Value<'_, 'a>, place: &'static str, dropped: &mut Dropped) -> Result<Media<'a>, Bad> {
    let (mut mime, mut data, mut name) = (None, None, None);
    for (key, value) in fields(value)? {
        match &*key {
            "mimeType" => mime = Some(text(value, "mimeType")?),
            "data" => data = Some(text(value, "data")?),
            "displayName" => name = Some(text(value, "displayName")?),
            _ if value.is_empty() => {}
            other => dropped.field([place, ".inlineData.", other].concat()),
        }
    }
    let data = data.ok_or(Bad::Type("inlineData.data", "a string of base64"))?;
    Ok(Media { kind: kind(mime.as_deref()), mime, source: Source::Base64(standard(data)), name, detail: None })
}

/// Reads a `fileData`.
pub(super) fn file<'a>(value: Value<'_, 'a>, place: &'static str, dropped: &mut Dropped) -> Result<Media<'a>, Bad> {
    let (mut mime, mut uri, mut name) = (None, None, None);
    for (key, value) in fields(value)? {
        match &*key {
            "mimeType" => mime = Some(text(value, "mimeType")?),
            "fileUri" => uri = Some(text(value, "fileUri")?),
            "displayName" => name = Some(text(value, "displayName")?),
            _ if value.is_empty() => {}
            other => dropped.field([place, ".fileData.", other].concat()),
        }
    }
    let uri = uri.ok_or(Bad::Type("fileData.fileUri", "a URI"))?;
    let kind = kind(mime.as_deref().or_else(|| by_extension(&uri)));
    let source = if uri.starts_with(UPLOADS) { Source::FileId(uri) } else { Source::Url(uri) };
    Ok(Media { kind, mime, source, name, detail: None })
}

/// How media are said here; nothing where they cannot be. `typeless` where a file needs no type.
pub(super) fn sayable<'c>(media: &'c Media<'_>) -> Option<Sayable<'c>> {
    let mime = media.mime.as_deref().filter(|mime| mime.contains('/')).map(Cow::Borrowed);
    match &media.source {
        Source::Base64(data) => {
            let known =
                BEGINNINGS.iter().find(|(begin, _)| data.starts_with(begin)).map(|(_, mime)| Cow::Borrowed(*mime));
            Some(Sayable::Inline(mime.or(known)?, data))
        }
        Source::Url(uri) if ["https://", "http://", "gs://"].iter().any(|scheme| uri.starts_with(scheme)) => {
            let mime = mime.or_else(|| by_extension(uri).map(Cow::Borrowed))?;
            Some(Sayable::File(Some(mime), uri))
        }
        Source::FileId(uri) if uri.starts_with(UPLOADS) => Some(Sayable::File(mime, uri)),
        Source::Url(_) | Source::FileId(_) => None,
        Source::Text(text) => Some(Sayable::Text(text)),
    }
}

/// What media of this type are.
fn kind(mime: Option<&str>) -> MediaKind {
    match mime.and_then(|mime| mime.split('/').next()) {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::File,
    }
}

fn by_extension(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    EXTENSIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|&(_, mime)| mime)
}

/// SDKs write bytes in the URL-safe alphabet; other APIs read the standard one alone.
fn standard(data: Cow<'_, str>) -> Cow<'_, str> {
    match data.contains(['-', '_']) {
        true => Cow::Owned(
            data.chars()
                .map(|c| {
                    if c == '-' {
                        '+'
                    } else if c == '_' {
                        '/'
                    } else {
                        c
                    }
                })
                .collect(),
        ),
        false => data,
    }
}
