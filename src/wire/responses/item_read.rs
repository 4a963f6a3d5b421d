//! What requests bring back and answers bring: messages of the model, calls, thoughts, images. The same
//! items stand in `input` and in `output` (API reference "The response object", 2026-10).

use std::borrow::Cow;

use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::part::{CacheMark, Citation, Media, MediaKind, Source, ToolCall};
use crate::llm::{Content, Dropped, Format, Part, Signature};
use crate::wire::custom;

/// Where items stand, for the names of what is dropped there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub item: &'static str,
    pub content: &'static str,
    pub annotation: &'static str,
}

pub(super) const INPUT: Place =
    Place { item: "input[].", content: "input[].content[].", annotation: "input[].content[].annotations[]." };

pub(super) const OUTPUT: Place =
    Place { item: "output[].", content: "output[].content[].", annotation: "output[].content[].annotations[]." };

/// What stands in front of the seal of a call. A call has no place for one here, so that it goes in front
/// of it, as a thought that says nothing.
pub(super) const CALL_SEAL: &str = "call.";

/// What is between two parts of a thought: they are the paragraphs of one text.
pub(super) const PARAGRAPH: &str = "\n\n";

/// What a `reasoning` item is.
pub(super) enum Thought<'a> {
    Said(Content<'a>),
    /// The seal of the call behind it.
    OfCall(Signature<'a>),
    Nothing,
}

/// The `type` of an item or of a part.
pub(super) fn kind_of<'a>(value: Value<'_, 'a>) -> Cow<'a, str> {
    value.get("type").and_then(Value::text).unwrap_or_default()
}

/// Reads a part of an assistant's message. Elements of `logprobs` go to `logprobs`.
pub(super) fn read_said<'a>(
    part: Value<'_, 'a>,
    place: Place,
    logprobs: &mut Option<String>,
    dropped: &mut Dropped,
) -> Option<Part<'a>> {
    let kind = kind_of(part);
    match &*kind {
        "output_text" | "input_text" | "text" => {
            let read = read_text(part, place, dropped);
            if let Some(tokens) = part.get("logprobs").and_then(elements) {
                let kept = logprobs.get_or_insert_default();
                if !kept.is_empty() {
                    kept.push(',');
                }
                kept.push_str(tokens);
            }
            Some(read)
        }
        "refusal" => Some(Part::new(Content::Refusal(part.get("refusal").and_then(Value::text).unwrap_or_default()))),
        // Models with open weights say their thoughts here.
        "reasoning_text" | "summary_text" => {
            let text = part.get("text").and_then(Value::text).unwrap_or_default();
            Some(Part::new(Content::Reasoning { text, signature: None }))
        }
        other => {
            dropped.inside(place.content, if other.is_empty() { "type" } else { other });
            None
        }
    }
}

/// Reads a part that is text, whoever says it.
pub(super) fn read_text<'a>(part: Value<'_, 'a>, place: Place, dropped: &mut Dropped) -> Part<'a> {
    let (mut text, mut citations, mut cache) = (Cow::Borrowed(""), Vec::new(), None);
    for (key, value) in part.members() {
        match &*key {
            "type" | "logprobs" => {}
            "text" => text = value.text().unwrap_or_default(),
            "annotations" => {
                citations.extend(value.elements().filter_map(|value| read_annotation(value, place, dropped)));
            }
            "prompt_cache_breakpoint" => cache = read_cache(value),
            _ if value.is_empty() => {}
            other => dropped.inside(place.content, other),
        }
    }
    Part { content: Content::Text { text, citations }, cache }
}

/// `prompt_cache_breakpoint`: the shorter of its times, `30m`, is the API's own.
pub(super) fn read_cache(value: Value<'_, '_>) -> Option<CacheMark> {
    (value.kind() == Kind::Object).then(|| match value.get("ttl").and_then(Value::text).as_deref() {
        Some("12h") => CacheMark::Hour,
        _ => CacheMark::Default,
    })
}

/// The elements of an array of `logprobs` as they stand; none of an empty one.
pub(super) fn elements<'a>(logprobs: Value<'_, 'a>) -> Option<&'a str> {
    let inner = logprobs.raw().strip_prefix('[')?.strip_suffix(']')?.trim();
    (!inner.is_empty()).then_some(inner)
}

/// Reads an annotation. Of a file the name and the number are told, but not its id.
pub(super) fn read_annotation<'a>(value: Value<'_, 'a>, place: Place, dropped: &mut Dropped) -> Option<Citation<'a>> {
    let mut citation = Citation::default();
    let kind = kind_of(value);
    if !matches!(&*kind, "url_citation" | "file_citation" | "container_file_citation") {
        dropped.inside(place.annotation, if kind.is_empty() { "type" } else { &kind });
        return None;
    }
    for (key, value) in value.members() {
        match &*key {
            "type" => {}
            "url" => citation.url = value.text(),
            "title" | "filename" => citation.title = value.text(),
            "start_index" => citation.start = value.whole(),
            "end_index" => citation.end = value.whole(),
            "index" => citation.document = value.whole(),
            _ if value.is_empty() => {}
            other => dropped.inside(place.annotation, other),
        }
    }
    Some(citation)
}

/// Reads a `function_call`, or a `custom_tool_call`.
pub(super) fn read_call<'a>(item: Value<'_, 'a>, place: Place, dropped: &mut Dropped) -> ToolCall<'a> {
    let mut call = ToolCall::default();
    let is_custom = kind_of(item) == "custom_tool_call";
    for (key, value) in item.members() {
        match &*key {
            "type" | "id" | "status" => {}
            "call_id" => call.id = value.text().unwrap_or_default(),
            "name" => call.name = value.text().unwrap_or_default(),
            // Some write the object itself.
            "arguments" if !value.is_null() => call.arguments = value.text().unwrap_or(Cow::Borrowed(value.raw())),
            "input" if is_custom => {
                call.arguments = Cow::Owned(custom::arguments(&value.text().unwrap_or_default()));
            }
            _ if value.is_empty() => {}
            other => dropped.inside(place.item, other),
        }
    }
    if call.id.is_empty() {
        call.id = item.get("id").and_then(Value::text).unwrap_or_default();
    }
    call
}

/// Reads a `reasoning` item: the paragraphs of its summary, and of its text where a model tells it.
pub(super) fn read_thought<'a>(item: Value<'_, 'a>, place: Place, dropped: &mut Dropped) -> Thought<'a> {
    let mut seal = None;
    for (key, value) in item.members() {
        match &*key {
            "type" | "id" | "status" | "summary" | "content" => {}
            "encrypted_content" => seal = value.text(),
            _ if value.is_empty() => {}
            other => dropped.inside(place.item, other),
        }
    }
    let id = item.get("id").and_then(Value::text).unwrap_or_default();
    if let Some(seal) = seal.as_ref().and_then(|seal| seal.strip_prefix(CALL_SEAL)) {
        return Thought::OfCall(Signature::read(Format::Responses, Cow::Owned(seal.to_owned())));
    }
    let signature = seal.map(|seal| sealed(&id, seal));
    let paragraphs = || ["summary", "content"].into_iter().filter_map(|key| item.get(key)).flat_map(Value::elements);
    match (paragraphs().next().is_some(), signature) {
        (true, signature) => Thought::Said(Content::Reasoning { text: join(paragraphs()), signature }),
        (false, Some(signature)) => Thought::Said(Content::Redacted(signature)),
        (false, None) => Thought::Nothing,
    }
}

fn join<'t, 'a: 't>(paragraphs: impl Iterator<Item = Value<'t, 'a>>) -> Cow<'a, str> {
    let texts = paragraphs.filter_map(|value| value.get("text")?.text()).filter(|text| !text.is_empty());
    texts.reduce(|all, next| Cow::Owned([&*all, PARAGRAPH, &*next].concat())).unwrap_or_default()
}

/// The seal of a thought with the item's id in front of it, for the provider wants to see both again and
/// checks that they belong together. What another one made is marked, and belongs to no id.
fn sealed<'a>(id: &str, seal: Cow<'a, str>) -> Signature<'a> {
    let read = Signature::read(Format::Responses, seal);
    match read.maker == Format::Responses && is_thought_id(id) && split_seal(&read.data).0.is_none() {
        true => Signature { maker: read.maker, data: Cow::Owned([id, ":", &*read.data].concat()) },
        false => read,
    }
}

/// The id and the seal that [`sealed`] put together; no id where there was none.
pub(super) fn split_seal(data: &str) -> (Option<&str>, &str) {
    match data.split_once(':') {
        Some((id, seal)) if is_thought_id(id) => (Some(id), seal),
        _ => (None, data),
    }
}

fn is_thought_id(id: &str) -> bool {
    id.starts_with("rs_") && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
}

/// Reads the image of an `image_generation_call`, if it is there.
pub(super) fn read_image<'a>(item: Value<'_, 'a>) -> Option<Media<'a>> {
    let data = item.get("result")?.text()?;
    let format = item.get("output_format").and_then(Value::text).unwrap_or("png".into());
    let mime = Some(Cow::Owned(["image/", &*format].concat()));
    Some(Media { kind: MediaKind::Image, mime, source: Source::Base64(data), name: None, detail: None })
}

/// A data URL in base64 (RFC 2397) as what is in it; any other one as it stands.
pub(super) fn source_of(url: Cow<'_, str>) -> (Option<Cow<'_, str>>, Source<'_>) {
    let Some((mime, at)) = data_url(&url) else { return (None, Source::Url(url)) };
    let mime = (!mime.is_empty()).then(|| Cow::Owned(mime.to_owned()));
    let data = match url {
        Cow::Borrowed(url) => Cow::Borrowed(url.get(at..).unwrap_or_default()),
        Cow::Owned(url) => Cow::Owned(url.get(at..).unwrap_or_default().to_owned()),
    };
    (mime, Source::Base64(data))
}

/// The media type, and where the data begins.
fn data_url(url: &str) -> Option<(&str, usize)> {
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and(url.get(5..))?;
    let comma = rest.find(',')?;
    let mime = rest.get(..comma)?.strip_suffix(";base64")?;
    Some((mime.split(';').next().unwrap_or_default(), 5 + comma + 1))
}
