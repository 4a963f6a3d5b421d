//! Content blocks written, of requests.

use super::family::Family;
use super::names;
use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::chat::Role;
use crate::llm::part::{CacheMark, Content, Media, MediaKind, Part, Source, ToolCall, ToolResult};
use crate::llm::{CallIds, Dropped, Format, Signature};
use crate::wire::arguments::as_object;

/// What the blocks of one request share.
pub(super) struct Blocks<'d> {
    pub(super) family: Family,
    pub(super) ids: CallIds,
    pub(super) documents: names::Documents,
    pub(super) marks: Marks,
    pub(super) dropped: &'d mut Dropped,
}

/// Whether the API takes this part from this side, and the model. What it does not take is named; a blank
/// text, which it refuses, says nothing.
pub(super) fn is_sayable(part: &Part<'_>, role: Role, family: Family, dropped: &mut Dropped) -> bool {
    let lost = match (&part.content, role) {
        (Content::Text { text, citations }, _) => {
            if !citations.is_empty() {
                dropped.field("messages[].annotations");
            }
            return !text.trim().is_empty();
        }
        (Content::Refusal(text), _) => return !text.trim().is_empty(),
        (Content::Media(media), Role::User) => return is_legal(media, family, dropped),
        (Content::ToolCall(call), Role::Assistant) => {
            if call.signature.is_some() {
                dropped.field("messages[].tool_calls[].signature");
            }
            return true;
        }
        (Content::ToolResult(_), Role::User) => return true,
        (Content::Reasoning { signature, .. }, Role::Assistant) => {
            // A thought without its seal is refused.
            let is_claude = matches!(family, Family::Claude(..));
            let own = |seal: &Signature<'_>| match is_claude {
                true => seal.for_claude(Format::Converse).is_some(),
                false => seal.for_provider(Format::Converse).is_some(),
            };
            if signature.as_ref().is_some_and(own) {
                return true;
            }
            "messages[].reasoning_content"
        }
        (Content::Redacted(seal), Role::Assistant) => {
            if seal.for_provider(Format::Converse).is_some() {
                return true;
            }
            "messages[].reasoning_content"
        }
        (Content::Reasoning { .. } | Content::Redacted(_), _) => "messages[].reasoning_content",
        (Content::ToolCall(_), _) => "messages[].tool_calls",
        (Content::ToolResult(_), _) => "messages[].tool_call_id",
        (Content::Media(media), _) => media.kind.field(),
    };
    dropped.field(lost);
    false
}

fn is_legal(media: &Media<'_>, family: Family, dropped: &mut Dropped) -> bool {
    if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
        dropped.field("messages[].content[].image_url.detail");
    }
    let has_source = match &media.source {
        Source::Base64(data) => !data.is_empty(),
        // No other URL is fetched.
        Source::Url(url) => url.starts_with("s3://"),
        Source::FileId(_) => {
            dropped.field("messages[].content[].file.file_id");
            return false;
        }
        Source::Text(text) => media.kind == MediaKind::File && !text.is_empty(),
    };
    let hears = !family.is_claude() || matches!(media.kind, MediaKind::Image | MediaKind::File);
    let is_legal = has_source && hears && names::format(media).is_some();
    if !is_legal {
        dropped.field(media.kind.field());
    }
    is_legal
}

/// The cache points of one request. Where there are more than the API takes, the first are left out: the last
/// ones hold the most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    skipped: usize,
}

/// Cache points of one request (Bedrock user guide, "Prompt caching").
const MOST_MARKS: usize = 4;

// === impl Marks ===

impl Marks {
    /// For `count` points; none for a model that does not know them.
    pub(super) fn of(count: usize, family: Family, dropped: &mut Dropped) -> Self {
        let skipped = if family.caches() { count.saturating_sub(MOST_MARKS) } else { count };
        if skipped > 0 {
            dropped.field("cache_control");
        }
        Marks { skipped }
    }

    pub(super) fn write(&mut self, mark: Option<CacheMark>, a: &mut ArrayWriter<'_>) {
        let Some(mark) = mark else { return };
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        a.object(|o| {
            o.object("cachePoint", |o| {
                o.text("type", "default");
                if mark == CacheMark::Hour {
                    o.text("ttl", "1h");
                }
            });
        });
    }
}

/// Writes one image, document, video or sound as the API's block of that kind.
pub(super) fn write_media(media: &Media<'_>, format: &str, name: Option<&str>, o: &mut ObjectWriter<'_>) {
    let kind = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::File => "document",
    };
    o.object(kind, |o| {
        o.text("format", format);
        o.text_if("name", name);
        o.object("source", |o| match &media.source {
            Source::Base64(data) => o.text("bytes", data),
            Source::Text(text) => o.text("bytes", &crate::base::base64::encode(text.as_bytes())),
            Source::Url(url) => o.object("s3Location", |o| o.text("uri", url)),
            Source::FileId(_) => {}
        });
    });
}

/// The part's cache point; those inside of a result stand behind it.
pub(super) fn mark_of(part: &Part<'_>) -> Option<CacheMark> {
    part.cache.or_else(|| match &part.content {
        Content::ToolResult(result) => result.parts.iter().find_map(|part| part.cache),
        _ => None,
    })
}

// === impl Blocks ===

impl Blocks<'_> {
    /// Writes one part and its cache point. All of it is sayable.
    pub(super) fn write(&mut self, part: &Part<'_>, trims: bool, a: &mut ArrayWriter<'_>) {
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => {
                a.object(|o| o.text("text", if trims { text.trim_end() } else { text }));
            }
            Content::Media(media) => self.media(media, a),
            Content::ToolCall(call) => self.call(call, a),
            Content::ToolResult(result) => self.result(result, a),
            Content::Reasoning { text, signature } => {
                let seal = signature.as_ref().map(|seal| &*seal.data);
                a.object(|o| {
                    o.object("reasoningContent", |o| {
                        o.object("reasoningText", |o| {
                            o.text("text", text);
                            o.text_if("signature", seal);
                        });
                    });
                });
            }
            Content::Redacted(seal) => {
                a.object(|o| o.object("reasoningContent", |o| o.text("redactedContent", &seal.data)));
            }
        }
        self.marks.write(mark_of(part), a);
    }

    fn media(&mut self, media: &Media<'_>, a: &mut ArrayWriter<'_>) {
        let Some(format) = names::format(media) else { return };
        let name = (media.kind == MediaKind::File).then(|| self.documents.name(media.name.as_deref()));
        a.object(|o| write_media(media, format, name.as_deref(), o));
    }

    fn call(&mut self, call: &ToolCall<'_>, a: &mut ArrayWriter<'_>) {
        let id = self.ids.call(call);
        a.object(|o| {
            o.object("toolUse", |o| {
                o.text("toolUseId", &names::id(&id));
                o.text("name", &call.name);
                o.raw("input", &as_object(&call.arguments));
            });
        });
    }

    fn result(&mut self, result: &ToolResult<'_>, a: &mut ArrayWriter<'_>) {
        let id = self.ids.result(result);
        a.object(|o| {
            o.object("toolResult", |o| {
                o.text("toolUseId", &names::id(&id));
                o.array("content", |a| {
                    result.parts.iter().for_each(|part| self.part_of_result(part, a));
                });
                if result.is_error && self.family.is_rich_in_tools() {
                    o.text("status", "error");
                } else if result.is_error {
                    self.dropped.field("messages[].content[].is_error");
                }
            });
        });
    }

    /// A result may hold less than a message, and blank texts.
    fn part_of_result(&mut self, part: &Part<'_>, a: &mut ArrayWriter<'_>) {
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => a.object(|o| o.text("text", text)),
            Content::Media(media) if media.kind == MediaKind::Audio => self.dropped.field(media.kind.field()),
            Content::Media(media) => {
                if is_legal(media, self.family, self.dropped) {
                    self.media(media, a);
                }
            }
            _ => self.dropped.field("messages[].content[].tool_result.content"),
        }
    }
}
