//! Citations, of whole answers and of streams. Where in the answer they hold is not said here; what is said
//! is where in the document they were found, for which there are no canonical words.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::Dropped;
use crate::llm::part::Citation;

/// Members of `location` that tell a document of the request.
const DOCUMENTS: &[&str] = &["documentChar", "documentPage", "documentChunk"];

/// Reads a `Citation` or a `CitationsDelta`.
pub(super) fn read<'a>(citation: Value<'_, 'a>, dropped: &mut Dropped) -> Citation<'a> {
    let mut read = Citation::default();
    for (key, value) in citation.members().filter(|(_, value)| !value.is_empty()) {
        match &*key {
            "title" => read.title = value.text(),
            "source" => match value.text() {
                Some(source) if source.contains("://") => read.url = read.url.or(Some(source)),
                _ => dropped.field("citations[].source"),
            },
            "sourceContent" => read.quote = joined(value),
            "location" => read_location(value, &mut read, dropped),
            other => dropped.inside("citations[].", other),
        }
    }
    read
}

fn read_location<'a>(location: Value<'_, 'a>, read: &mut Citation<'a>, dropped: &mut Dropped) {
    for (key, value) in location.members() {
        match &*key {
            "web" => read.url = value.get("url").and_then(Value::text).or(read.url.take()),
            key if DOCUMENTS.contains(&key) => {
                read.document = value.get("documentIndex").and_then(Value::whole);
                if value.get("start").is_some() || value.get("end").is_some() {
                    dropped.field("citations[].location.start");
                }
            }
            other => dropped.inside("citations[].location.", other),
        }
    }
}

/// The texts of an array of `{"text":…}`.
pub(super) fn joined<'a>(array: Value<'_, 'a>) -> Option<Cow<'a, str>> {
    let mut texts = array.elements().filter_map(|element| element.get("text").and_then(Value::text));
    let first = texts.next()?;
    Some(texts.fold(first, |whole, text| Cow::Owned([&*whole, &*text].concat())))
}

/// Writes all that a citation has, but for where in the answer it holds.
pub(super) fn write(citation: &Citation<'_>, o: &mut ObjectWriter<'_>, dropped: &mut Dropped) {
    let Citation { url, title, quote, document, start, end } = citation;
    o.text_if("title", title.as_deref());
    if let Some(quote) = quote {
        o.array("sourceContent", |a| a.object(|o| o.text("text", quote)));
    }
    match (url, document) {
        (Some(url), document) => {
            o.object("location", |o| o.object("web", |o| o.text("url", url)));
            if document.is_some() {
                dropped.field("annotations[].document_index");
            }
        }
        (None, Some(index)) => {
            o.object("location", |o| o.object("documentChar", |o| o.number("documentIndex", *index)));
        }
        (None, None) => {}
    }
    if start.is_some() || end.is_some() {
        dropped.field("annotations[].start_index");
    }
}

/// Writes a text with its citations as one block.
pub(super) fn write_block(text: &str, citations: &[Citation<'_>], a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    a.object(|o| {
        o.object("citationsContent", |o| {
            o.array("content", |a| a.object(|o| o.text("text", text)));
            o.array("citations", |a| {
                for citation in citations {
                    a.object(|o| write(citation, o, dropped));
                }
            });
        });
    });
}
