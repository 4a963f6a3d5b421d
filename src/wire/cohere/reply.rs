//! An answer that came in one piece.

use super::answer::{Ended, cited_block, read_call, read_citation, read_finish, read_logprobs};
use crate::base::json::Kind;
use crate::base::json::tree::Value;
use crate::llm::part::Citation;
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Part, Reply};
use crate::wire::codec::Unreadable;
use crate::wire::scan;

pub(super) fn read(root: Value<'_, '_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
    let mut reply = Reply::default();
    let mut choice = Choice::default();
    let mut has_message = false;
    for (key, value) in root.members() {
        match &*key {
            "id" => reply.id = value.text().unwrap_or_default().into_owned(),
            "message" => {
                has_message = value.kind() == Kind::Object;
                choice.parts = read_message(value, dropped).into_iter().map(Part::into_owned).collect();
            }
            "finish_reason" => match value.text().map(|word| (read_finish(&word), word)) {
                Some((Ended::Well(finish), _)) => choice.finish = Some(finish),
                Some((Ended::Failed(_), _)) => return Err(Unreadable("it broke off with an error or a timeout")),
                Some((Ended::Unknown, word)) => dropped.inside("finish_reason ", &word),
                None => {}
            },
            "usage" => reply.usage = scan::read_usage(value.raw()),
            "logprobs" => choice.logprobs = read_logprobs(value),
            _ if value.is_empty() => {}
            other => dropped.field(other.to_owned()),
        }
    }
    reply.choices.push(choice);
    if has_message { Ok(reply) } else { Err(Unreadable("it has no message")) }
}

/// The parts of a message in the order in which they were thought, said and called.
fn read_message<'a>(message: Value<'_, 'a>, dropped: &mut Dropped) -> Vec<Part<'a>> {
    let (mut parts, mut plan, mut calls, mut citations) = (Vec::new(), None, Vec::new(), None);
    for (key, value) in message.members() {
        match &*key {
            "role" if value.text().is_none_or(|role| role == "assistant") => {}
            "content" => read_content(value, &mut parts, dropped),
            "tool_plan" => plan = value.text().filter(|text| !text.is_empty()),
            "tool_calls" => calls.extend(value.elements().map(|value| read_call(value, dropped))),
            "citations" => citations = Some(value),
            _ if value.is_empty() => {}
            other => dropped.inside("message.", other),
        }
    }
    cite(&mut parts, citations, dropped);
    let mut parts: Vec<Part<'a>> = parts.into_iter().filter(|part| !is_nothing(part)).collect();
    parts.extend(plan.map(|text| Part::new(Content::Reasoning { text, signature: None })));
    parts.extend(calls.into_iter().map(Content::ToolCall).map(Part::new));
    parts
}

/// A part for each block, so that citations find theirs by its number.
fn read_content<'a>(value: Value<'_, 'a>, out: &mut Vec<Part<'a>>, dropped: &mut Dropped) {
    out.extend(value.text().map(Part::text));
    for block in value.elements() {
        let text = |key: &str| block.get(key).and_then(Value::text).unwrap_or_default();
        out.push(match block.get("type").and_then(Value::text).as_deref() {
            Some("text") => Part::text(text("text")),
            Some("thinking") => Part::new(Content::Reasoning { text: text("thinking"), signature: None }),
            other => {
                dropped.inside("message.content[].", other.unwrap_or("type"));
                Part::text("")
            }
        });
    }
}

fn cite<'a>(parts: &mut [Part<'a>], citations: Option<Value<'_, 'a>>, dropped: &mut Dropped) {
    let Some(citations) = citations else { return };
    let mut starts = Vec::with_capacity(parts.len());
    let mut start = 0;
    for part in parts.iter() {
        starts.push(start);
        start += part.as_text().map_or(0, |text| text.chars().count() as u64);
    }
    for value in citations.elements() {
        let at = cited_block(value).and_then(|block| usize::try_from(block).ok()).unwrap_or(usize::MAX);
        let (part, start) = (parts.get_mut(at).map(|part| &mut part.content), starts.get(at).copied());
        match (part, start) {
            (Some(Content::Text { citations, .. }), Some(start)) => {
                read_citation(value, start, dropped, |citation: Citation<'a>| citations.push(citation));
            }
            _ => dropped.field("message.citations[]"),
        }
    }
}

fn is_nothing(part: &Part<'_>) -> bool {
    match &part.content {
        Content::Text { text, citations } => text.is_empty() && citations.is_empty(),
        Content::Reasoning { text, .. } => text.is_empty(),
        _ => false,
    }
}
