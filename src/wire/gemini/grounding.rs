//! Where an answer took something from: `citationMetadata` and `groundingMetadata`, whose places are bytes
//! (REST reference, `CitationSource`, `Segment`).

use std::borrow::Cow;

use super::spelling::get;
use super::spoken::Spoken;
use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::Dropped;
use crate::llm::part::Citation;

/// What a grounding has beside its sources.
const ASIDE: &[&str] = &[
    "webSearchQueries",
    "searchEntryPoint",
    "retrievalMetadata",
    "retrievalQueries",
    "imageSearchQueries",
    "googleMapsWidgetContextToken",
];

/// Citations of one answer; more are not a real one's.
const MOST: usize = 1024;

/// Reads `citationMetadata`, in the spelling of either API.
pub(super) fn citations(value: Value<'_, '_>, spoken: &Spoken, out: &mut Vec<Citation<'static>>) {
    let all = get(value, "citations").or_else(|| get(value, "citationSources"));
    for cited in all.into_iter().flat_map(Value::elements).take(MOST) {
        out.push(Citation {
            url: text(cited, "uri"),
            title: text(cited, "title"),
            // A zero is not written.
            start: place(cited, "startIndex", spoken).or_else(|| get(cited, "endIndex").map(|_| 0)),
            end: place(cited, "endIndex", spoken),
            ..Citation::default()
        });
    }
}

/// Reads `groundingMetadata`: a citation for each source of each passage, and one for each source that
/// stands for no passage.
pub(super) fn grounding(
    value: Value<'_, '_>,
    spoken: &Spoken,
    out: &mut Vec<Citation<'static>>,
    dropped: &mut Dropped,
) {
    let chunks = get(value, "groundingChunks").into_iter().flat_map(Value::elements).take(MOST);
    let sources: Vec<Citation<'static>> = chunks.map(source).collect();
    let mut used = vec![false; sources.len()];
    for support in get(value, "groundingSupports").into_iter().flat_map(Value::elements).take(MOST) {
        let segment = get(support, "segment");
        // Where other parts' texts stand is not known here.
        let first = segment.filter(|segment| get(*segment, "partIndex").and_then(Value::whole).unwrap_or(0) == 0);
        let end = first.and_then(|segment| place(segment, "endIndex", spoken));
        let start = first.and_then(|segment| place(segment, "startIndex", spoken)).or(end.map(|_| 0));
        let indices = get(support, "groundingChunkIndices").into_iter().flat_map(Value::elements);
        for index in indices.filter_map(Value::whole).filter_map(|index| usize::try_from(index).ok()) {
            if out.len() >= MOST {
                return dropped.field("candidates[].groundingMetadata.groundingSupports");
            }
            if let (Some(source), Some(used)) = (sources.get(index), used.get_mut(index)) {
                *used = true;
                out.push(Citation { start, end, ..source.clone() });
            }
        }
    }
    out.extend(sources.into_iter().zip(used).filter(|(_, used)| !used).map(|(source, _)| source));
    for name in ASIDE {
        if get(value, name).is_some_and(|value| !value.is_empty()) {
            dropped.inside("candidates[].groundingMetadata.", name);
        }
    }
}

fn source(chunk: Value<'_, '_>) -> Citation<'static> {
    let Some((kind, inner)) = chunk.members().next() else { return Citation::default() };
    let quote = text(inner, "text").filter(|_| kind == "retrievedContext");
    Citation { url: text(inner, "uri"), title: text(inner, "title"), quote, ..Citation::default() }
}

fn text(value: Value<'_, '_>, name: &str) -> Option<Cow<'static, str>> {
    let text = get(value, name)?.text()?;
    (!text.is_empty()).then(|| Cow::Owned(text.into_owned()))
}

fn place(value: Value<'_, '_>, name: &str, spoken: &Spoken) -> Option<u64> {
    spoken.characters(get(value, name)?.whole()?)
}

/// Writes `groundingMetadata`, which is the same in both APIs.
pub(super) fn write<'c>(o: &mut ObjectWriter<'_>, citations: &[(&'c Citation<'c>, &Spoken)], dropped: &mut Dropped) {
    o.object("groundingMetadata", |o| {
        o.array("groundingChunks", |a| {
            for (citation, _) in citations {
                // A page of the web has no text of its own here.
                let is_web = citation.quote.is_none();
                a.object(|o| {
                    o.object(if is_web { "web" } else { "retrievedContext" }, |o| {
                        o.text_if("uri", citation.url.as_deref());
                        o.text_if("title", citation.title.as_deref());
                        o.text_if("text", citation.quote.as_deref());
                    });
                });
                if citation.document.is_some() {
                    dropped.field("citations[].document_index");
                }
            }
        });
        let passages = citations.iter().enumerate().filter_map(|(index, (citation, spoken))| {
            Some((index, spoken.bytes(citation.start.unwrap_or(0))?, spoken.bytes(citation.end?)?))
        });
        let mut passages = passages.peekable();
        if passages.peek().is_some() {
            o.array("groundingSupports", |a| {
                for (index, start, end) in passages {
                    a.object(|o| {
                        o.object("segment", |o| {
                            o.number("startIndex", start);
                            o.number("endIndex", end);
                        });
                        o.array("groundingChunkIndices", |a| a.raw(&index.to_string()));
                    });
                }
            });
        }
    });
}
