//! Reads a whole answer: an object of type `message`.

use std::borrow::Cow;

use super::citation;
use super::usage;
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::part::{Citation, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Finish, Format, Part, Reply, Signature, Usage};
use crate::wire::codec::Unreadable;

/// What an answer has besides what is read.
const KNOWN: &[&str] = &[
    "id",
    "type",
    "role",
    "model",
    "content",
    "stop_reason",
    "stop_sequence",
    "stop_details",
    "usage",
    // What Bedrock measured, for its own console.
    "amazon-bedrock-invocationMetrics",
];

/// Reads a whole body.
///
/// # Errors
/// For a body that has no list `content`.
pub(super) fn read(body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
    let root = body.root();
    let content = root.get("content").filter(|content| content.kind() == Kind::Array);
    let content = content.ok_or(Unreadable("an Anthropic message has a list of content"))?;
    let mut parts: Vec<Part<'static>> = Vec::new();
    let mut said = 0;
    for block in content.elements() {
        parts.extend(read_block(block, &mut said, dropped));
    }
    parts.extend(refusal(root).map(|why| Part::new(Content::Refusal(why.into()))));
    for (key, value) in root.members() {
        if !KNOWN.contains(&&*key) && !value.is_empty() {
            dropped.field(key.into_owned());
        }
    }
    let usage = root.get("usage");
    let choice = Choice {
        parts,
        finish: root.get("stop_reason").and_then(Value::text).and_then(|word| finish(&word, dropped)),
        stop_sequence: owned(root, "stop_sequence"),
        logprobs: None,
    };
    Ok(Reply {
        id: owned(root, "id").unwrap_or_default(),
        model: owned(root, "model").unwrap_or_default(),
        created: 0,
        choices: vec![choice],
        usage: usage.map(|usage| usage::read(usage, Usage::default(), dropped)),
        service_tier: usage.and_then(|usage| owned(usage, "service_tier")),
    })
}

/// The word for why an answer ended. One that is not known may even mean that it broke off.
pub(super) fn finish(word: &str, dropped: &mut Dropped) -> Option<Finish> {
    Some(match word {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        _ => {
            dropped.field("stop_reason");
            return None;
        }
    })
}

/// Why the model will not answer, of an answer or of a `message_delta`.
pub(super) fn refusal(holder: Value<'_, '_>) -> Option<String> {
    holder.get("stop_details").and_then(|details| owned(details, "explanation"))
}

pub(super) fn owned(value: Value<'_, '_>, key: &str) -> Option<String> {
    value.get(key).and_then(Value::text).map(Cow::into_owned)
}

/// A citation that outlives its body.
pub(super) fn own(citation: Citation<'_>) -> Citation<'static> {
    let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
    Citation {
        url: own(citation.url),
        title: own(citation.title),
        quote: own(citation.quote),
        document: citation.document,
        start: citation.start,
        end: citation.end,
    }
}

/// `said` is how many characters of text stand in front of the block.
fn read_block(block: Value<'_, '_>, said: &mut u64, dropped: &mut Dropped) -> Option<Part<'static>> {
    let text = |key| owned(block, key).unwrap_or_default();
    let content = match &*block.get("type").and_then(Value::text).unwrap_or_default() {
        "text" => {
            let (text, start) = (text("text"), *said);
            *said += text.chars().count() as u64;
            let extent = |citation| Citation { start: Some(start), end: Some(*said), ..own(citation) };
            let list = block.get("citations").map(|list| citation::read_all(list, dropped)).unwrap_or_default();
            Content::Text { text: text.into(), citations: list.into_iter().map(extent).collect() }
        }
        "thinking" => {
            let seal = text("signature");
            let signature = (!seal.is_empty()).then(|| Signature::read(Format::Messages, seal.into()));
            Content::Reasoning { text: text("thinking").into(), signature }
        }
        "redacted_thinking" => Content::Redacted(Signature::read(Format::Messages, text("data").into())),
        "tool_use" => Content::ToolCall(ToolCall {
            id: text("id").into(),
            name: text("name").into(),
            arguments: block.get("input").map_or("", Value::raw).to_owned().into(),
            signature: None,
        }),
        unknown => {
            dropped.inside("content[].", unknown);
            return None;
        }
    };
    Some(Part::new(content))
}
