//! Writes the items of an answer's `output`, whole or piece by piece.

use super::item_read::{CALL_SEAL, split_seal};
use crate::base::json::ObjectWriter;
use crate::llm::part::{Citation, Media, MediaKind, Source};
use crate::llm::{Dropped, Format, Signature};

/// `{"type":…,"text":…}`.
pub(super) fn write_text(o: &mut ObjectWriter<'_>, kind: &str, text: &str) {
    o.text("type", kind);
    o.text("text", text);
}

/// The content of a message. `annotations` and `logprobs` are elements as JSON, commas between them.
pub(super) fn write_output_text(o: &mut ObjectWriter<'_>, text: &str, annotations: &str, logprobs: &str) {
    write_text(o, "output_text", text);
    o.array("annotations", |a| a.raw(annotations));
    o.array("logprobs", |a| a.raw(logprobs));
}

pub(super) fn write_refusal(o: &mut ObjectWriter<'_>, text: &str) {
    o.text("type", "refusal");
    o.text("refusal", text);
}

/// A message; `content` is as [`write_output_text`]'s lists are.
pub(super) fn write_message(o: &mut ObjectWriter<'_>, id: &str, status: &str, content: &str) {
    o.text("id", id);
    o.text("type", "message");
    o.text("status", status);
    o.array("content", |a| a.raw(content));
    o.text("role", "assistant");
}

/// A `function_call` or a `custom_tool_call`, as far as it is known.
pub(super) struct Call<'a> {
    pub item_id: &'a str,
    pub id: &'a str,
    pub name: &'a str,
    /// Or the text of a custom tool.
    pub arguments: &'a str,
    pub is_custom: bool,
}

pub(super) fn write_call(o: &mut ObjectWriter<'_>, status: &str, call: &Call<'_>) {
    if call.is_custom {
        // Such an item has no state.
        o.text("id", call.item_id);
        o.text("type", "custom_tool_call");
        o.text("call_id", call.id);
        o.text("name", call.name);
        return o.text("input", call.arguments);
    }
    o.text("id", call.item_id);
    o.text("type", "function_call");
    o.text("status", status);
    o.text("arguments", call.arguments);
    o.text("call_id", call.id);
    o.text("name", call.name);
}

/// A `reasoning` item. Without `text` it is one that nobody but its maker reads.
pub(super) fn write_thought(o: &mut ObjectWriter<'_>, id: &str, text: Option<&str>, seal: Option<&str>) {
    o.text("id", id);
    o.text("type", "reasoning");
    o.array("summary", |a| text.into_iter().for_each(|text| a.object(|o| write_text(o, "summary_text", text))));
    o.text_if("encrypted_content", seal);
}

/// The id and the seal under which a client of this API gets a thought: the provider's id where that
/// provider speaks this API, for it belongs to the seal.
pub(super) fn seal_of(signature: &Signature<'_>, made: String) -> (String, String) {
    let seal = signature.for_client(Format::Responses);
    match split_seal(&seal) {
        (Some(id), seal) => (id.to_owned(), seal.to_owned()),
        (None, _) => (made, seal.into_owned()),
    }
}

/// The seal of a call, which goes in front of it.
pub(super) fn call_seal(signature: &Signature<'_>) -> String {
    [CALL_SEAL, &*signature.for_client(Format::Responses)].concat()
}

/// An `image_generation_call`. False for media that it cannot hold.
pub(super) fn is_image(media: &Media<'_>) -> bool {
    media.kind == MediaKind::Image && matches!(media.source, Source::Base64(_))
}

/// What media are called that cannot be said.
pub(super) fn name_of(media: &Media<'_>) -> &'static str {
    match media.kind {
        MediaKind::Image => "choices[].message.images",
        MediaKind::Audio => "choices[].message.audio",
        MediaKind::Video | MediaKind::File => "choices[].message.media",
    }
}

pub(super) fn write_image(o: &mut ObjectWriter<'_>, id: &str, status: &str, media: Option<&Media<'_>>) {
    o.text("id", id);
    o.text("type", "image_generation_call");
    o.text("status", status);
    match media.map(|media| (&media.source, media.mime.as_deref())) {
        Some((Source::Base64(data), mime)) => {
            o.text_if("output_format", mime.and_then(|mime| mime.strip_prefix("image/")));
            o.text("result", data);
        }
        _ => o.null("result"),
    }
}

/// Where a citation can be said at all: this API cites URLs and files.
pub(super) fn is_citable(citation: &Citation<'_>) -> bool {
    citation.url.is_some() || citation.title.is_some() || citation.document.is_some()
}

/// Writes an annotation of `text`, all of which it is of where nobody says where it begins and ends.
pub(super) fn write_annotation(o: &mut ObjectWriter<'_>, citation: &Citation<'_>, text: &str, dropped: &mut Dropped) {
    if citation.quote.is_some() {
        dropped.field("citations[].cited_text");
    }
    let title = citation.title.as_deref().unwrap_or_default();
    if let Some(url) = &citation.url {
        let end = citation.end.unwrap_or_else(|| text.chars().count() as u64);
        o.text("type", "url_citation");
        o.number("start_index", citation.start.unwrap_or(0));
        o.number("end_index", end);
        o.text("url", url);
        o.text("title", title);
        return;
    }
    o.text("type", "file_citation");
    // The file came with the request, and nobody gave it an id.
    o.text("file_id", "");
    o.text("filename", title);
    o.number("index", citation.document.unwrap_or(0));
}
