//! Writes a whole answer for a client.

use super::citation;
use super::turn_write::write_input;
use super::usage;
use crate::base::json::{ArrayWriter, ObjectWriter, write_object};
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Finish, Format, Part, Reply, Signature};
use crate::wire::codec::Writing;

/// Writes a whole body.
pub(super) fn write(reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let nothing = Choice::default();
    let choice = reply.choices.first().unwrap_or(&nothing);
    if reply.choices.len() > 1 {
        dropped.field("choices");
    }
    if choice.logprobs.is_some() {
        dropped.field("logprobs");
    }
    let mut calls = 0;
    write_object(out, |o| {
        write_head(o, &reply.id, &reply.model, to);
        o.array("content", |a| {
            for part in &choice.parts {
                write_part(a, part, to, &mut calls, dropped);
            }
        });
        let refuses = choice.parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
        o.text("stop_reason", stop_reason(choice.finish, calls > 0, refuses));
        match &choice.stop_sequence {
            Some(word) => o.text("stop_sequence", word),
            None => o.null("stop_sequence"),
        }
        o.object("usage", |o| {
            usage::write(o, &reply.usage.unwrap_or_default());
            o.text_if("service_tier", tier(reply.service_tier.as_deref()));
        });
    });
}

/// What a message begins with.
pub(super) fn write_head(o: &mut ObjectWriter<'_>, id: &str, model: &str, to: &Writing) {
    match id.is_empty() {
        true => o.text("id", &format!("msg_{}", to.id)),
        false => o.text("id", id),
    }
    o.text("type", "message");
    o.text("role", "assistant");
    o.text("model", if model.is_empty() { &to.model } else { model });
}

/// The word for why an answer ended. Clients act on `tool_use`, so an answer with calls ends so, whatever
/// other providers say of it.
pub(super) fn stop_reason(finish: Option<Finish>, calls: bool, refuses: bool) -> &'static str {
    match finish {
        Some(Finish::ContentFilter | Finish::Refusal) => "refusal",
        Some(Finish::Length) => "max_tokens",
        Some(Finish::StopSequence) => "stop_sequence",
        Some(Finish::Pause) => "pause_turn",
        Some(Finish::ToolCalls) => "tool_use",
        Some(Finish::Stop) | None if calls => "tool_use",
        Some(Finish::Stop) | None if refuses => "refusal",
        Some(Finish::Stop) | None => "end_turn",
    }
}

/// The id of a call that its provider gave none.
pub(super) fn call_id(id: &str, number: u32, to: &Writing) -> String {
    match id.is_empty() {
        true => format!("toolu_{}_{number}", to.id),
        false => id.to_owned(),
    }
}

/// Members of a thought.
pub(super) fn write_thought(o: &mut ObjectWriter<'_>, text: &str, seal: Option<&Signature<'_>>) {
    o.text("type", "thinking");
    o.text("thinking", text);
    o.text("signature", &seal.map(|seal| seal.for_client(Format::Messages)).unwrap_or_default());
}

fn write_part(a: &mut ArrayWriter<'_>, part: &Part<'_>, to: &Writing, calls: &mut u32, dropped: &mut Dropped) {
    match &part.content {
        Content::Text { text, citations } if !text.is_empty() => a.object(|o| {
            o.text("type", "text");
            o.text("text", text);
            let said: Vec<_> = citations.iter().filter(|citation| citation::is_sayable(citation)).collect();
            if said.len() < citations.len() {
                dropped.field("annotations");
            }
            if !said.is_empty() {
                o.array("citations", |a| said.iter().for_each(|said| a.object(|o| citation::write(o, said))));
            }
        }),
        Content::Refusal(text) if !text.is_empty() => a.object(|o| {
            o.text("type", "text");
            o.text("text", text);
        }),
        Content::Text { .. } | Content::Refusal(_) => {}
        Content::Reasoning { text, signature } => a.object(|o| write_thought(o, text, signature.as_ref())),
        Content::Redacted(seal) => a.object(|o| {
            o.text("type", "redacted_thinking");
            o.text("data", &seal.for_client(Format::Messages));
        }),
        Content::ToolCall(call) => {
            if let Some(seal) = call_seal(call.signature.as_ref(), dropped) {
                a.object(|o| write_thought(o, "", Some(seal)));
            }
            a.object(|o| {
                o.text("type", "tool_use");
                o.text("id", &call_id(&call.id, *calls, to));
                o.text("name", &call.name);
                write_input(o, "input", &call.arguments);
            });
            *calls += 1;
        }
        Content::Media(_) => dropped.field("content[].media"),
        Content::ToolResult(_) => dropped.field("content[].tool_result"),
    }
}

/// The seal of a call. Calls have no place for one here, so Gemini's goes as that of an empty thought in
/// front; nobody else seals calls.
pub(super) fn call_seal<'c, 's>(
    signature: Option<&'c Signature<'s>>,
    dropped: &mut Dropped,
) -> Option<&'c Signature<'s>> {
    let seal = signature?;
    if seal.maker == Format::Gemini {
        return Some(seal);
    }
    dropped.field("tool_calls[].signature");
    None
}

/// Which of Anthropic's words says it.
fn tier(word: Option<&str>) -> Option<&'static str> {
    match word? {
        "standard" | "default" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}
