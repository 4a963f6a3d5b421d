//! What a message of a request holds: a string, or blocks.

use std::borrow::Cow;

use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::part::{Media, MediaKind, Source};
use crate::llm::{Content, Dropped, Part};

/// One block of a message.
pub(super) enum Block<'p> {
    Text(&'p str),
    Thinking(&'p str),
    Image {
        url: Cow<'p, str>,
        detail: Option<&'p str>,
    },
    /// Of a function's result: text that can be cited, and its title.
    Document(&'p str, Option<&'p str>),
}

/// Text of whoever says it.
pub(super) fn text<'p>(part: &'p Part<'_>, dropped: &mut Dropped) -> Option<Block<'p>> {
    note_cache(part, dropped);
    match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => Some(Block::Text(text)),
        Content::Media(media) => {
            dropped.field(media.kind.field());
            None
        }
        _ => None,
    }
}

/// What the user says or shows.
pub(super) fn shown<'p>(part: &'p Part<'_>, dropped: &mut Dropped) -> Option<Block<'p>> {
    let Content::Media(media) = &part.content else { return text(part, dropped) };
    note_cache(part, dropped);
    let block = match (media.kind, &media.source) {
        (MediaKind::Image, _) => image(media, dropped),
        (MediaKind::File, Source::Text(text)) => {
            if media.name.is_some() {
                dropped.field("messages[].content[].file.filename");
            }
            Some(Block::Text(text))
        }
        _ => None,
    };
    if block.is_none() {
        dropped.field(media.kind.field());
    }
    block
}

/// What a function returned, as far as a result can hold it; none for what the user has to show.
pub(super) fn returned<'p>(part: &'p Part<'_>, dropped: &mut Dropped) -> Option<Block<'p>> {
    match &part.content {
        Content::Media(Media { kind: MediaKind::File, source: Source::Text(text), name, .. }) => {
            note_cache(part, dropped);
            Some(Block::Document(text, name.as_deref()))
        }
        Content::Media(_) => None,
        _ => text(part, dropped),
    }
}

pub(super) fn note_cache(part: &Part<'_>, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.field("cache_control");
    }
}

/// A web address or a data URL; other addresses are known to other providers alone.
fn image<'p>(media: &'p Media<'_>, dropped: &mut Dropped) -> Option<Block<'p>> {
    let url = match &media.source {
        Source::Url(url) if url.starts_with("http://") || url.starts_with("https://") => Cow::Borrowed(&**url),
        Source::Base64(data) => {
            let mime = media.mime.as_deref().unwrap_or("image/png");
            Cow::Owned(["data:", mime, ";base64,", data].concat())
        }
        _ => return None,
    };
    let detail = media.detail.as_deref().filter(|detail| matches!(*detail, "auto" | "low" | "high"));
    if media.detail.is_some() && detail.is_none() {
        dropped.field("messages[].content[].image_url.detail");
    }
    Some(Block::Image { url, detail })
}

/// Writes `content`: a string where that says it all.
pub(super) fn write(o: &mut ObjectWriter<'_>, blocks: &[Block<'_>]) {
    match blocks {
        [Block::Text(text)] => o.text("content", text),
        blocks => o.array("content", |a| blocks.iter().for_each(|block| write_block(a, block))),
    }
}

fn write_block(a: &mut ArrayWriter<'_>, block: &Block<'_>) {
    a.object(|o| match block {
        Block::Text(text) => {
            o.text("type", "text");
            o.text("text", text);
        }
        Block::Thinking(text) => {
            o.text("type", "thinking");
            o.text("thinking", text);
        }
        Block::Image { url, detail } => {
            o.text("type", "image_url");
            o.object("image_url", |o| {
                o.text("url", url);
                o.text_if("detail", *detail);
            });
        }
        Block::Document(text, title) => {
            o.text("type", "document");
            o.object("document", |o| {
                o.object("data", |o| {
                    o.text_if("title", *title);
                    o.text("text", text);
                });
            });
        }
    });
}
