//! Writes images and documents (Anthropic, "Images and vision", "PDF support", 2026-11): images as base64 or
//! by URL, PDFs likewise, any other document as text. Bedrock and Vertex read no URLs and keep no files.

use std::borrow::Cow;

use crate::base::base64;
use crate::base::json::ObjectWriter;
use crate::llm::Dropped;
use crate::llm::part::{Media, MediaKind, Source};
use crate::wire::codec::Envelope;

/// The images that are read, and how their base64 begins.
const IMAGES: &[(&str, &str)] =
    &[("image/png", "iVBORw"), ("image/jpeg", "/9j/"), ("image/gif", "R0lGOD"), ("image/webp", "UklGR")];

const PDF: (&str, &str) = ("application/pdf", "JVBERi");

/// What a block's `source` is.
pub(super) struct Block<'m> {
    kind: &'static str,
    source: From<'m>,
    title: Option<&'m str>,
}

enum From<'m> {
    Base64 { mime: &'static str, data: &'m str },
    Url(&'m str),
    File(&'m str),
    Text(Cow<'m, str>),
}

impl<'m> Block<'m> {
    /// The block for it; nothing, and it is named, where there is none.
    pub(super) fn of(media: &'m Media<'_>, envelope: Envelope, dropped: &mut Dropped) -> Option<Self> {
        let (source, name) = match media.kind {
            MediaKind::Image => (image(media, envelope), "messages[].content[].image_url"),
            MediaKind::File => (document(media, envelope), "messages[].content[].file"),
            MediaKind::Audio => (None, "messages[].content[].input_audio"),
            MediaKind::Video => (None, "messages[].content[].video_url"),
        };
        let Some(source) = source.filter(|_| !media.source.is_empty()) else {
            dropped.field(name);
            return None;
        };
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            dropped.field("messages[].content[].image_url.detail");
        }
        let kind = if media.kind == MediaKind::Image { "image" } else { "document" };
        let title = media.name.as_deref().filter(|title| kind == "document" && !title.is_empty());
        Some(Block { kind, source, title })
    }

    pub(super) fn write(&self, o: &mut ObjectWriter<'_>) {
        o.text("type", self.kind);
        o.object("source", |o| match &self.source {
            From::Base64 { mime, data } => {
                o.text("type", "base64");
                o.text("media_type", mime);
                o.text("data", data);
            }
            From::Url(url) => {
                o.text("type", "url");
                o.text("url", url);
            }
            From::File(id) => {
                o.text("type", "file");
                o.text("file_id", id);
            }
            From::Text(text) => {
                o.text("type", "text");
                o.text("media_type", "text/plain");
                o.text("data", text);
            }
        });
        o.text_if("title", self.title);
    }
}

fn image<'m>(media: &'m Media<'_>, envelope: Envelope) -> Option<From<'m>> {
    match &media.source {
        Source::Base64(data) => {
            let mime = media.mime.as_deref().map(|mime| if mime == "image/jpg" { "image/jpeg" } else { mime });
            let known = IMAGES.iter().find(|(known, head)| match mime {
                Some(mime) => mime == *known,
                None => data.starts_with(head),
            });
            known.map(|&(mime, _)| From::Base64 { mime, data })
        }
        source => remote(source, envelope),
    }
}

fn document<'m>(media: &'m Media<'_>, envelope: Envelope) -> Option<From<'m>> {
    let mime = media.mime.as_deref();
    match &media.source {
        Source::Text(text) => (!text.trim().is_empty()).then(|| From::Text(Cow::Borrowed(text))),
        Source::Base64(data) if mime == Some(PDF.0) || (mime.is_none() && data.starts_with(PDF.1)) => {
            Some(From::Base64 { mime: PDF.0, data })
        }
        Source::Base64(data) if mime.is_some_and(is_text) => {
            let text = String::from_utf8(base64::decode(data.as_bytes())?).ok()?;
            (!text.trim().is_empty()).then_some(From::Text(Cow::Owned(text)))
        }
        Source::Base64(_) => None,
        source => remote(source, envelope),
    }
}

/// What stands elsewhere. A file's id is Anthropic's own if it looks like one of them.
fn remote<'m>(source: &'m Source<'_>, envelope: Envelope) -> Option<From<'m>> {
    match source {
        _ if envelope != Envelope::Plain => None,
        Source::Url(url) if url.starts_with("https://") || url.starts_with("http://") => Some(From::Url(url)),
        Source::FileId(id) if id.starts_with("file_") => Some(From::File(id)),
        _ => None,
    }
}

fn is_text(mime: &str) -> bool {
    let mime = mime.split(';').next().unwrap_or_default().trim();
    mime.starts_with("text/") || matches!(mime, "application/json" | "application/xml" | "application/yaml")
}
