//! An assistant's message: in an answer as `message`, in a chunk as `delta`, and in the history that a
//! request brings back.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, ObjectWriter, Tree, write_object};
use crate::llm::part::{Citation, Media, MediaKind, Source, ToolCall};
use crate::llm::{Content, Dropped, Finish, Format, Part, Signature};
use crate::wire::codec::Writing;
use crate::wire::custom;

/// One function that is called, as it stands in `tool_calls`.
pub(super) struct Call<'a> {
    pub index: Option<u64>,
    pub call: ToolCall<'a>,
    pub has_id: bool,
    pub has_name: bool,
}

pub(super) fn read_finish(word: &str) -> Option<Finish> {
    match word {
        "stop" | "eos" => Some(Finish::Stop),
        "length" | "model_length" => Some(Finish::Length),
        "tool_calls" => Some(Finish::ToolCalls),
        "content_filter" => Some(Finish::ContentFilter),
        _ => None,
    }
}

pub(super) fn finish_word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Pause => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter | Finish::Refusal => "content_filter",
    }
}

/// Reads one element of `tool_calls`; `place` is the path of `tool_calls`, for what is dropped.
pub(super) fn read_call<'a>(value: Value<'_, 'a>, place: &'static str, dropped: &mut Dropped) -> Call<'a> {
    let mut read = Call { index: None, call: ToolCall::default(), has_id: false, has_name: false };
    for (key, value) in value.members() {
        match &*key {
            "index" => read.index = value.whole(),
            "id" => {
                read.call.id = value.text().unwrap_or_default();
                read.has_id = !read.call.id.is_empty();
            }
            "type" if value.text().is_none_or(|kind| matches!(&*kind, "function" | "custom")) => {}
            "function" | "custom" => {
                for (inner, value) in value.members() {
                    match &*inner {
                        "name" => {
                            read.call.name = value.text().unwrap_or_default();
                            read.has_name = !read.call.name.is_empty();
                        }
                        "input" if key == "custom" => {
                            read.call.arguments = Cow::Owned(custom::arguments(&value.text().unwrap_or_default()));
                        }
                        // Some write the object itself.
                        "arguments" => read.call.arguments = value.text().unwrap_or(Cow::Borrowed(value.raw())),
                        _ if value.is_empty() => {}
                        other => dropped.inside(place, other),
                    }
                }
            }
            "extra_content" if value.get("google").and_then(|google| google.get("thought_signature")).is_some() => {
                let signature = value.get("google").and_then(|google| google.get("thought_signature")?.text());
                read.call.signature = signature.map(|text| Signature::read(Format::Gemini, text));
            }
            _ if value.is_empty() => {}
            other => dropped.inside(place, other),
        }
    }
    if read.call.arguments == "null" {
        read.call.arguments = Cow::Borrowed("");
    }
    read
}

/// The id of a call whose provider gives none, the same whole and streamed; no other answer has it.
pub(super) fn made_id(to: &Writing, choice: u64, number: u64) -> String {
    format!("call_{}_{choice}_{number}", to.id)
}

/// Writes one element of `tool_calls`; of a piece of one, `index` says which.
pub(super) fn write_call(a: &mut ArrayWriter<'_>, index: Option<u64>, call: &CallPiece<'_>) {
    a.object(|o| {
        o.number_if("index", index);
        if let Some(id) = call.id {
            o.text("id", id);
            o.text("type", if call.is_custom { "custom" } else { "function" });
        }
        let (kind, said) = if call.is_custom { ("custom", "input") } else { ("function", "arguments") };
        o.object(kind, |o| {
            o.text_if("name", call.name);
            o.text(said, call.arguments);
        });
        if let Some(signature) = call.signature {
            let text = signature.for_client(Format::Gemini);
            o.object("extra_content", |o| o.object("google", |o| o.text("thought_signature", &text)));
        }
    });
}

/// What is written of a call.
pub(super) struct CallPiece<'a> {
    pub id: Option<&'a str>,
    pub name: Option<&'a str>,
    /// Or the text of a custom tool.
    pub arguments: &'a str,
    pub is_custom: bool,
    pub signature: Option<&'a Signature<'a>>,
}

/// `reasoning_details` (OpenRouter API, "Reasoning tokens"): the only form in which a client of this API
/// holds a provider's seal and gives it back.
pub(super) fn read_details<'a>(value: Value<'_, 'a>, out: &mut Vec<Part<'a>>) {
    for detail in value.elements() {
        let text = |key: &str| detail.get(key).and_then(Value::text);
        let kind = text("type");
        match kind.as_deref() {
            Some("reasoning.text") => {
                let signature = read_seal(detail, "signature");
                let text = text("text").unwrap_or_default();
                out.push(Part::new(Content::Reasoning { text, signature }));
            }
            Some("reasoning.summary") => {
                let text = text("summary").unwrap_or_default();
                out.push(Part::new(Content::Reasoning { text, signature: None }));
            }
            Some("reasoning.encrypted") => {
                out.extend(read_seal(detail, "data").map(|seal| Part::new(Content::Redacted(seal))));
            }
            _ => {}
        }
    }
}

/// What belongs to a seal beside itself: whose form it has, and of which thought it is.
const SEALED: [&str; 2] = ["format", "id"];

/// A seal of `reasoning_details`; with what belongs to it as an object of both, for the provider wants all of
/// it back.
fn read_seal<'a>(detail: Value<'_, 'a>, key: &str) -> Option<Signature<'a>> {
    let seal = Signature::read(Format::Chat, detail.get(key)?.text()?);
    let beside = || SEALED.into_iter().filter_map(|key| Some((key, detail.get(key)?.text()?)));
    // A seal that looks like a packed one is packed, so that it comes back as it is.
    let is_packed = beside().next().is_some() || unpacked(&seal.data).is_some();
    if seal.maker != Format::Chat || seal.data.is_empty() || !is_packed {
        return Some(seal);
    }
    let mut packed = Vec::with_capacity(seal.data.len() + 64);
    write_object(&mut packed, |o| {
        o.text("seal", &seal.data);
        beside().for_each(|(key, text)| o.text(key, &text));
    });
    Some(Signature { maker: Format::Chat, data: Cow::Owned(String::from_utf8(packed).ok()?) })
}

/// Writes what [`read_seal`] reads.
fn write_seal(o: &mut ObjectWriter<'_>, key: &str, seal: &Signature<'_>) {
    let text = seal.for_client(Format::Chat);
    let Some(packed) = unpacked(&text) else { return o.text(key, &text) };
    let member = |name: &str| packed.root().get(name).and_then(Value::text);
    o.text(key, &member("seal").unwrap_or_default());
    SEALED.into_iter().for_each(|name| o.text_if(name, member(name).as_deref()));
}

/// A seal with what belongs to it. A provider's own seal may be an object as well, of another form.
fn unpacked(seal: &str) -> Option<Tree<'_>> {
    let packed = seal.starts_with('{').then(|| Tree::read(seal.as_bytes()).ok()).flatten()?;
    packed.root().get("seal")?.text().is_some().then_some(packed)
}

/// Puts a thought that was told as plain text to what details say of it: a stream says the text in one place
/// and its seal in the other.
pub(super) fn join_thought<'a>(thought: Option<Cow<'a, str>>, details: &mut Vec<Part<'a>>) {
    let Some(thought) = thought else { return };
    let is_told = |part: &Part<'_>| matches!(&part.content, Content::Reasoning { text, .. } if !text.is_empty());
    if details.iter().any(is_told) {
        return;
    }
    let sealed = details.iter_mut().find_map(|part| match &mut part.content {
        Content::Reasoning { text, .. } => Some(text),
        _ => None,
    });
    match sealed {
        Some(text) => *text = thought,
        None => details.insert(0, Part::new(Content::Reasoning { text: thought, signature: None })),
    }
}

/// `index` is that of a piece of a stream: OpenAI's SDK puts the pieces of a list together by it.
pub(super) fn write_text_detail(
    a: &mut ArrayWriter<'_>,
    index: Option<u64>,
    text: &str,
    signature: Option<&Signature<'_>>,
) {
    a.object(|o| {
        o.number_if("index", index);
        o.text("type", "reasoning.text");
        o.text("text", text);
        if let Some(signature) = signature {
            write_seal(o, "signature", signature);
        }
    });
}

pub(super) fn write_redacted_detail(a: &mut ArrayWriter<'_>, index: Option<u64>, data: &Signature<'_>) {
    a.object(|o| {
        o.number_if("index", index);
        o.text("type", "reasoning.encrypted");
        write_seal(o, "data", data);
    });
}

/// An element of `annotations`: OpenAI's `url_citation`.
pub(super) fn read_annotation<'a>(value: Value<'_, 'a>) -> Option<Citation<'a>> {
    let said = value.get("url_citation")?;
    Some(Citation {
        url: Some(said.get("url")?.text()?),
        title: said.get("title").and_then(Value::text),
        start: said.get("start_index").and_then(Value::whole),
        end: said.get("end_index").and_then(Value::whole),
        ..Citation::default()
    })
}

/// Writes a citation that has a URL; of others this API knows none. False for those.
pub(super) fn write_annotation(a: &mut ArrayWriter<'_>, index: Option<u64>, citation: &Citation<'_>) -> bool {
    let Some(url) = &citation.url else { return false };
    a.object(|o| {
        o.number_if("index", index);
        o.text("type", "url_citation");
        o.object("url_citation", |o| {
            o.text("url", url);
            o.text("title", citation.title.as_deref().unwrap_or_default());
            o.number("start_index", citation.start.unwrap_or(0));
            o.number("end_index", citation.end.unwrap_or(0));
        });
    });
    true
}

/// An element of `images` (OpenRouter API, "Image generation"): a data URL.
pub(super) fn read_image<'a>(value: Value<'_, 'a>) -> Option<Media<'a>> {
    Some(image_of(value.get("image_url")?.get("url")?.text()?))
}

/// An image at a URL, or in it.
pub(super) fn image_of(url: Cow<'_, str>) -> Media<'_> {
    let (mime, source) = source_of(url);
    Media { kind: MediaKind::Image, mime, source, name: None, detail: None }
}

/// A data URL as what is in it; any other one as it stands.
pub(super) fn source_of(url: Cow<'_, str>) -> (Option<Cow<'_, str>>, Source<'_>) {
    let Some((mime, at)) = data_url(&url) else { return (None, Source::Url(url)) };
    let mime = (!mime.is_empty()).then(|| mime.to_owned().into());
    let data = match url {
        Cow::Borrowed(url) => Cow::Borrowed(url.get(at..).unwrap_or_default()),
        Cow::Owned(url) => Cow::Owned(url.get(at..).unwrap_or_default().to_owned()),
    };
    (mime, Source::Base64(data))
}

/// The media type of a data URL in base64 (RFC 2397), and where its data begins.
fn data_url(url: &str) -> Option<(&str, usize)> {
    let rest = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and(url.get(5..))?;
    let comma = rest.find(',')?;
    let (head, _) = rest.split_at(comma);
    let mime = head.strip_suffix(";base64")?;
    Some((mime.split(';').next().unwrap_or_default(), 5 + comma + 1))
}

pub(super) fn write_image(a: &mut ArrayWriter<'_>, index: Option<u64>, media: &Media<'_>) -> bool {
    if media.kind != MediaKind::Image {
        return false;
    }
    let Some(url) = url_of(media) else { return false };
    a.object(|o| {
        o.number_if("index", index);
        o.text("type", "image_url");
        o.object("image_url", |o| o.text("url", &url));
    });
    true
}

/// Media as a URL, if they can be one.
pub(super) fn url_of<'a>(media: &'a Media<'_>) -> Option<Cow<'a, str>> {
    match &media.source {
        Source::Url(url) => Some(Cow::Borrowed(url)),
        Source::Base64(data) => {
            let mime = media.mime.as_deref().unwrap_or("image/png");
            Some(Cow::Owned(["data:", mime, ";base64,", data].concat()))
        }
        Source::FileId(_) | Source::Text(_) => None,
    }
}

/// `logprobs` of a choice.
pub(super) fn write_logprobs(o: &mut ObjectWriter<'_>, tokens: &str) {
    o.object("logprobs", |o| {
        o.raw("content", &["[", tokens, "]"].concat());
        o.null("refusal");
    });
}

/// The elements of `logprobs.content`, as they stand.
pub(super) fn read_logprobs(value: Value<'_, '_>) -> Option<String> {
    let raw = value.get("content")?.raw();
    let inner = raw.strip_prefix('[')?.strip_suffix(']')?.trim();
    (!inner.is_empty()).then(|| inner.to_owned())
}
