//! Whole answers, usage and stop reasons.

use super::blocks::{self, Side};
use super::{cite, content, names};
use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, Kind, ObjectWriter, write_object};
use crate::llm::part::{Content, Media, MediaKind, Part, Source};
use crate::llm::reply::Choice;
use crate::llm::{Dropped, Finish, Format, Reply, Usage};
use crate::wire::arguments::as_object;
use crate::wire::codec::{Unreadable, Writing};

/// Stop reasons; the first of a [`Finish`] is the one that is written for it.
const REASONS: &[(&str, Finish)] = &[
    ("end_turn", Finish::Stop),
    ("stop_sequence", Finish::StopSequence),
    ("max_tokens", Finish::Length),
    ("model_context_window_exceeded", Finish::Length),
    ("tool_use", Finish::ToolCalls),
    ("content_filtered", Finish::ContentFilter),
    ("guardrail_intervened", Finish::ContentFilter),
    // None of the API's words; what Claude says goes through all the same.
    ("refusal", Finish::Refusal),
    ("pause_turn", Finish::Pause),
];

/// Members of an answer that tell of the provider's machines.
const ASIDE: &[&str] = &["metrics", "performanceConfig"];

/// Reads a `ConverseResponse`.
///
/// # Errors
/// For what is none.
pub(super) fn read(body: Value<'_, '_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
    let message = body.get("output").and_then(|output| output.get("message"));
    let content = message.and_then(|message| message.get("content")).filter(|value| value.kind() == Kind::Array);
    let content = content.ok_or(Unreadable("it has no output.message.content"))?;
    let mut parts = Vec::new();
    blocks::read(content, Side::Answer, &mut parts, dropped).map_err(Unreadable)?;
    let mut choice = Choice { parts: parts.into_iter().map(Part::into_owned).collect(), ..Choice::default() };
    let mut reply = Reply::default();
    let mut reason = None;
    for (key, value) in body.members().filter(|(_, value)| !value.is_empty()) {
        match &*key {
            "output" => {}
            "stopReason" => reason = value.text(),
            "usage" => reply.usage = usage(value),
            "serviceTier" => {
                reply.service_tier = value.get("type").and_then(Value::text).map(|tier| tier.into_owned());
            }
            "additionalModelResponseFields" => choice.stop_sequence = stop_sequence(value, dropped),
            key if ASIDE.contains(&key) => {}
            other => dropped.field(other.to_owned()),
        }
    }
    let has_calls = choice.tool_calls().next().is_some();
    choice.finish = Some(match reason {
        Some(reason) => finish(&reason, dropped),
        None if has_calls => Finish::ToolCalls,
        None => Finish::Stop,
    });
    reply.choices.push(choice);
    Ok(reply)
}

/// Why an answer ended. What nobody has a word for is named.
pub(super) fn finish(reason: &str, dropped: &mut Dropped) -> Finish {
    match REASONS.iter().find(|(word, _)| *word == reason) {
        Some(&(_, finish)) => finish,
        None => {
            // `malformed_model_output`, `malformed_tool_use`
            dropped.field("stopReason");
            Finish::Stop
        }
    }
}

/// The API's word for it.
pub(super) fn reason(finish: Finish, dropped: &mut Dropped) -> &'static str {
    match finish {
        Finish::Refusal => "content_filtered",
        Finish::Pause => {
            dropped.field("finish_reason");
            "end_turn"
        }
        other => REASONS.iter().find(|(_, finish)| *finish == other).map_or("end_turn", |(word, _)| *word),
    }
}

/// Which stop sequence it was, where the client asked for Anthropic's own field.
pub(super) fn stop_sequence(fields: Value<'_, '_>, dropped: &mut Dropped) -> Option<String> {
    let mut found = None;
    for (key, value) in fields.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "stop_sequence" => found = value.text().map(|text| text.into_owned()),
            other => dropped.inside("additionalModelResponseFields.", other),
        }
    }
    found
}

/// Reads a `TokenUsage`: `inputTokens` excludes what the cache has.
pub(super) fn usage(value: Value<'_, '_>) -> Option<Usage> {
    let number = |key: &str| value.get(key).and_then(Value::whole);
    let (input, output) = (number("inputTokens"), number("outputTokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let written = |ttl: &str| {
        let details = value.get("cacheDetails").map(Value::elements).into_iter().flatten();
        let same = details.filter(|detail| detail.get("ttl").and_then(Value::text).as_deref() == Some(ttl));
        same.filter_map(|detail| detail.get("inputTokens").and_then(Value::whole)).fold(0, u64::saturating_add)
    };
    let hour = written("1h");
    let rest = number("cacheWriteInputTokens").unwrap_or(0).saturating_sub(hour);
    Some(Usage {
        input: input.unwrap_or(0),
        output: output.unwrap_or(0),
        cache_read: number("cacheReadInputTokens").unwrap_or(0),
        cache_write_5m: rest.max(written("5m")),
        cache_write_1h: hour,
        ..Usage::default()
    })
}

/// Writes a `TokenUsage`. Sound and images are counted as what they are billed as here: tokens.
pub(super) fn write_usage(usage: &Usage, o: &mut ObjectWriter<'_>) {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let input = usage.total_input().saturating_sub(usage.cache_read).saturating_sub(written);
    o.number("inputTokens", input);
    o.number("outputTokens", usage.total_output());
    o.number("totalTokens", usage.total_input().saturating_add(usage.total_output()));
    if usage.cache_read > 0 {
        o.number("cacheReadInputTokens", usage.cache_read);
    }
    if written > 0 {
        o.number("cacheWriteInputTokens", written);
        o.array("cacheDetails", |a| {
            for (ttl, tokens) in [("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h)] {
                if tokens > 0 {
                    a.object(|o| {
                        o.text("ttl", ttl);
                        o.number("inputTokens", tokens);
                    });
                }
            }
        });
    }
}

/// The id of a call to which its provider gave none.
pub(super) fn call_id(to: &Writing, index: usize) -> String {
    names::id(&format!("tooluse_{}_{index}", to.id)).into_owned()
}

/// Writes a `ConverseResponse`.
pub(super) fn write(reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let nothing = Choice::default();
    let choice = reply.choices.first().unwrap_or(&nothing);
    if reply.choices.len() > 1 {
        dropped.field("choices");
    }
    if choice.logprobs.is_some() {
        dropped.field("logprobs");
    }
    write_object(out, |o| {
        o.object("output", |o| {
            o.object("message", |o| {
                o.text("role", "assistant");
                o.array("content", |a| {
                    let mut calls = 0;
                    choice.parts.iter().for_each(|part| write_part(part, to, &mut calls, a, dropped));
                });
            });
        });
        o.text("stopReason", reason(choice.finish.unwrap_or(Finish::Stop), dropped));
        o.object("usage", |o| write_usage(&reply.usage.unwrap_or_default(), o));
        // How long it took is not known where an answer is written; the member is required.
        o.object("metrics", |o| o.number("latencyMs", 0));
        if let Some(stop) = &choice.stop_sequence {
            o.object("additionalModelResponseFields", |o| o.text("stop_sequence", stop));
        }
        if let Some(tier) = reply.service_tier.as_deref().and_then(tier) {
            o.object("serviceTier", |o| o.text("type", tier));
        }
    });
}

/// The API's word for a tier in another one's.
fn tier(tier: &str) -> Option<&'static str> {
    ["priority", "default", "flex", "reserved"].into_iter().find(|word| *word == tier).or(match tier {
        "standard" => Some("default"),
        _ => None,
    })
}

fn write_part(part: &Part<'_>, to: &Writing, calls: &mut usize, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    match &part.content {
        Content::Text { text, citations } if !citations.is_empty() => cite::write_block(text, citations, a, dropped),
        Content::Text { text, .. } | Content::Refusal(text) => a.object(|o| o.text("text", text)),
        Content::Media(media) => match format_of(media) {
            Some(format) => a.object(|o| content::write_media(media, format, None, o)),
            None => dropped.field(lost(media)),
        },
        Content::ToolCall(call) => {
            let id = if call.id.is_empty() { call_id(to, *calls) } else { call.id.to_string() };
            *calls += 1;
            if call.signature.is_some() {
                dropped.field("tool_calls[].signature");
            }
            a.object(|o| {
                o.object("toolUse", |o| {
                    o.text("toolUseId", &id);
                    o.text("name", &call.name);
                    o.raw("input", &as_object(&call.arguments));
                });
            });
        }
        Content::Reasoning { text, signature } => a.object(|o| {
            o.object("reasoningContent", |o| {
                o.object("reasoningText", |o| {
                    o.text("text", text);
                    let seal = signature.as_ref().map(|seal| seal.for_client(Format::Converse));
                    o.text_if("signature", seal.as_deref());
                });
            });
        }),
        Content::Redacted(seal) => {
            a.object(|o| o.object("reasoningContent", |o| o.text("redactedContent", &names::blob(seal))));
        }
        // No model returns what a function did.
        Content::ToolResult(_) => {}
    }
}

/// The format of what an answer can hold: an image or sound, in bytes.
pub(super) fn format_of(media: &Media<'_>) -> Option<&'static str> {
    let holds = matches!(media.kind, MediaKind::Image | MediaKind::Audio) && matches!(media.source, Source::Base64(_));
    names::format(media).filter(|_| holds)
}

/// What people know a medium of an answer as.
pub(super) fn lost(media: &Media<'_>) -> &'static str {
    match media.kind {
        MediaKind::Audio => "audio",
        _ => "images",
    }
}
