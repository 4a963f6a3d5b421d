//! What whole answers and streams spell alike: how one ended, calls, citations and log probabilities.

use std::borrow::Cow;

use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, write_array};
use crate::llm::part::{Citation, ToolCall};
use crate::llm::{Dropped, FaultKind, Finish};

/// What a `finish_reason` says.
pub(super) enum Ended {
    Well(Finish),
    Failed(FaultKind),
    Unknown,
}

pub(super) fn read_finish(word: &str) -> Ended {
    match word {
        "COMPLETE" => Ended::Well(Finish::Stop),
        "STOP_SEQUENCE" => Ended::Well(Finish::StopSequence),
        // The second word is the API's first version's, as those below with an underscore.
        "MAX_TOKENS" | "ERROR_LIMIT" => Ended::Well(Finish::Length),
        "TOOL_CALL" => Ended::Well(Finish::ToolCalls),
        "ERROR_TOXIC" => Ended::Well(Finish::ContentFilter),
        "ERROR" => Ended::Failed(FaultKind::Server),
        "TIMEOUT" => Ended::Failed(FaultKind::Timeout),
        _ => Ended::Unknown,
    }
}

/// An element of `tool_calls`, or a piece of one.
pub(super) fn read_call<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> ToolCall<'a> {
    let mut call = ToolCall::default();
    for (key, value) in value.members() {
        match &*key {
            "id" => call.id = value.text().unwrap_or_default(),
            "type" if value.text().is_none_or(|kind| kind == "function") => {}
            "function" => {
                for (key, value) in value.members() {
                    match &*key {
                        "name" => call.name = value.text().unwrap_or_default(),
                        "arguments" if value.is_null() => {}
                        "arguments" => call.arguments = value.text().unwrap_or(Cow::Borrowed(value.raw())),
                        _ if value.is_empty() => {}
                        other => dropped.inside("message.tool_calls[].function.", other),
                    }
                }
            }
            _ if value.is_empty() => {}
            other => dropped.inside("message.tool_calls[].", other),
        }
    }
    call
}

/// Which content block a citation holds in; none for one that is not of the answer's text.
pub(super) fn cited_block(value: Value<'_, '_>) -> Option<u64> {
    let kind = value.get("type").and_then(Value::text);
    let is_text = kind.is_none_or(|kind| kind == "TEXT_CONTENT");
    is_text.then(|| value.get("content_index").and_then(Value::whole).unwrap_or(0))
}

/// One citation for each of its sources. Positions count from the start of the block, which is at `start` in
/// the answer's text.
pub(super) fn read_citation<'a>(
    value: Value<'_, 'a>,
    start: u64,
    dropped: &mut Dropped,
    mut out: impl FnMut(Citation<'a>),
) {
    let at = |key: &str| value.get(key).and_then(Value::whole).map(|at| at.saturating_add(start));
    let place = Citation { start: at("start"), end: at("end"), ..Citation::default() };
    for (key, _) in value.members().filter(|(_, value)| !value.is_empty()) {
        if !matches!(&*key, "start" | "end" | "text" | "sources" | "content_index" | "type") {
            dropped.inside("message.citations[].", &key);
        }
    }
    let sources = value.get("sources");
    if sources.is_none_or(|sources| sources.elements().next().is_none()) {
        return out(place);
    }
    for source in sources.into_iter().flat_map(Value::elements) {
        // What a function returned, or a document: an object of names that whoever made it chose.
        let object = source.get("document").or_else(|| source.get("tool_output"));
        let text = |names: &[&str]| names.iter().find_map(|name| object?.get(name)?.text());
        let (url, title) = (text(&["url", "uri"]), text(&["title"]));
        let quote = text(&["snippet", "text"]);
        if url.is_none() && title.is_none() && quote.is_none() {
            dropped.field("message.citations[].sources[]");
        }
        out(Citation { url, title, quote, ..place.clone() });
    }
}

/// Writes an element of `logprobs` as one of OpenAI's `logprobs.content`. An element may stand for several
/// tokens: the probability of their text is the product of theirs.
fn write_logprob(a: &mut ArrayWriter<'_>, item: Value<'_, '_>) {
    let mut each = item.get("logprobs").into_iter().flat_map(Value::elements).filter_map(Value::number);
    let Some(first) = each.next() else { return };
    let rest: Vec<f64> = each.filter_map(|number| number.parse().ok()).collect();
    let sum = match (&rest[..], first.parse::<f64>()) {
        ([], _) | (_, Err(_)) => first.to_owned(),
        (rest, Ok(first)) => (first + rest.iter().sum::<f64>()).to_string(),
    };
    let text = item.get("text").and_then(Value::text).unwrap_or_default();
    a.object(|o| {
        o.text("token", &text);
        o.raw("logprob", &sum);
        o.array("bytes", |a| text.bytes().for_each(|byte| a.raw(&byte.to_string())));
        o.array("top_logprobs", |_| {});
    });
}

/// The elements of OpenAI's `logprobs.content`; none for an empty list. A stream has one element an event.
pub(super) fn read_logprobs(value: Value<'_, '_>) -> Option<String> {
    let mut out = Vec::new();
    write_array(&mut out, |a| match value.elements().next() {
        Some(_) => value.elements().for_each(|item| write_logprob(a, item)),
        None => write_logprob(a, value),
    });
    let text = String::from_utf8(out).ok()?;
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.is_empty()).then(|| inner.to_owned())
}
