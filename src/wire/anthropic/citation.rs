//! Citations: where a text block has something from.
//!
//! What a citation says of the place inside of its document (characters, pages, blocks, the index that the
//! search tool encrypts) has no word in [`Citation`] and is named; a text block is cited as a whole.

use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::Dropped;
use crate::llm::part::Citation;

/// The members that say where in a source the quote stands.
const PLACES: &[&str] = &[
    "start_char_index",
    "end_char_index",
    "start_page_number",
    "end_page_number",
    "start_block_index",
    "end_block_index",
    "search_result_index",
    "encrypted_index",
    "file_id",
];

/// Reads the `citations` of a text block.
pub(super) fn read_all<'a>(list: Value<'_, 'a>, dropped: &mut Dropped) -> Vec<Citation<'a>> {
    list.elements().map(|citation| read(citation, dropped)).collect()
}

/// Reads one, of whatever type.
pub(super) fn read<'a>(citation: Value<'_, 'a>, dropped: &mut Dropped) -> Citation<'a> {
    let text = |key| citation.get(key).and_then(Value::text);
    for (key, value) in citation.members() {
        if PLACES.contains(&&*key) && !value.is_empty() {
            dropped.inside("content[].citations[].", &key);
        }
    }
    Citation {
        url: text("url").or_else(|| text("source")),
        title: text("title").or_else(|| text("document_title")),
        quote: text("cited_text"),
        document: citation.get("document_index").and_then(Value::whole),
        start: None,
        end: None,
    }
}

/// Whether there is a type of citation that says this.
pub(super) fn is_sayable(citation: &Citation<'_>) -> bool {
    citation.url.is_some() || citation.document.is_some()
}

/// Writes one for a client. One with a URL is a search result's, else it is a document's; clients want a
/// document's character range, which nobody knows here and which is therefore empty.
pub(super) fn write(o: &mut ObjectWriter<'_>, citation: &Citation<'_>) {
    o.text("cited_text", citation.quote.as_deref().unwrap_or_default());
    match (&citation.url, &citation.title) {
        (Some(url), title) => {
            o.text("type", "web_search_result_location");
            o.text("url", url);
            match title {
                Some(title) => o.text("title", title),
                None => o.null("title"),
            }
            o.text("encrypted_index", "");
        }
        (None, title) => {
            o.text("type", "char_location");
            o.number("document_index", citation.document.unwrap_or(0));
            match title {
                Some(title) => o.text("document_title", title),
                None => o.null("document_title"),
            }
            o.number("start_char_index", 0);
            o.number("end_char_index", 0);
        }
    }
}
