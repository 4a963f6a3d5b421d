//! A chat completion that came, or goes, in one piece.

use std::borrow::Cow;

use super::message::{
    CallPiece, finish_word, join_thought, made_id, read_annotation, read_call, read_details, read_finish, read_image,
    read_logprobs, write_annotation, write_call, write_image, write_logprobs, write_redacted_detail, write_text_detail,
};
use super::usage;
use crate::base::json::tree::Value;
use crate::base::json::{Kind, ObjectWriter, write_object};
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Part, Reply};
use crate::wire::codec::{Unreadable, Writing};
use crate::wire::{custom, scan};

pub(super) fn read(root: Value<'_, '_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
    let mut reply = Reply::default();
    let mut is_ours = false;
    for (key, value) in root.members() {
        match &*key {
            "id" => reply.id = value.text().unwrap_or_default().into_owned(),
            "model" => reply.model = value.text().unwrap_or_default().into_owned(),
            "created" => reply.created = value.whole().unwrap_or(0),
            "service_tier" => reply.service_tier = value.text().map(|tier| tier.into_owned()),
            "choices" => {
                is_ours = value.kind() == Kind::Array;
                for choice in value.elements() {
                    reply.choices.push(read_choice(choice, dropped)?);
                }
            }
            "usage" => reply.usage = scan::read_usage(value.raw()),
            "object" | "system_fingerprint" | "obfuscation" | "provider" | "prompt_filter_results" => {}
            "x_groq" if value.members().all(|(key, _)| matches!(&*key, "id" | "seed" | "usage")) => {
                reply.usage = reply.usage.or_else(|| scan::read_usage(value.get("usage")?.raw()))
            }
            _ if value.is_empty() => {}
            other => dropped.field(other.to_owned()),
        }
    }
    if is_ours && !reply.choices.is_empty() { Ok(reply) } else { Err(Unreadable("it has no choices")) }
}

fn read_choice(value: Value<'_, '_>, dropped: &mut Dropped) -> Result<Choice, Unreadable> {
    let mut choice = Choice::default();
    let mut message = None;
    for (key, value) in value.members() {
        match &*key {
            "message" => message = Some(value),
            "finish_reason" => {
                if let Some(word) = value.text() {
                    choice.finish = read_finish(&word);
                    if choice.finish.is_none() {
                        dropped.inside("choices[].finish_reason ", &word);
                    }
                }
            }
            "logprobs" => choice.logprobs = read_logprobs(value),
            "index" | "native_finish_reason" => {}
            _ if value.is_empty() => {}
            other => dropped.inside("choices[].", other),
        }
    }
    let message = message.ok_or(Unreadable("a choice has no message"))?;
    choice.parts = read_message(message, dropped).into_iter().map(Part::into_owned).collect();
    Ok(choice)
}

/// The parts of a message in the order in which they were thought, said and called.
fn read_message<'a>(message: Value<'_, 'a>, dropped: &mut Dropped) -> Vec<Part<'a>> {
    let (mut thought, mut details, mut said, mut calls) = (None, Vec::new(), Vec::new(), Vec::new());
    let mut citations = Vec::new();
    for (key, value) in message.members() {
        match &*key {
            "role" if value.text().is_none_or(|role| role == "assistant") => {}
            "content" => read_content(value, &mut said, dropped),
            // The second name is OpenRouter's and vLLM's newer one.
            "reasoning_content" | "reasoning" => thought = thought.or(value.text().filter(|text| !text.is_empty())),
            "reasoning_details" => read_details(value, &mut details),
            "refusal" => said.extend(value.text().map(|text| Part::new(Content::Refusal(text)))),
            "tool_calls" => {
                let read = |value| Part::new(Content::ToolCall(read_call(value, TOOL_CALLS, dropped).call));
                calls.extend(value.elements().map(read));
            }
            "annotations" => {
                for value in value.elements() {
                    match read_annotation(value) {
                        Some(citation) => citations.push(citation),
                        None => dropped.field("choices[].message.annotations"),
                    }
                }
            }
            "images" => said.extend(value.elements().filter_map(read_image).map(Content::Media).map(Part::new)),
            _ if value.is_empty() => {}
            other => dropped.inside("choices[].message.", other),
        }
    }
    join_thought(thought, &mut details);
    if let Some(Content::Text { citations: kept, .. }) = said.last_mut().map(|part: &mut Part<'_>| &mut part.content) {
        *kept = citations;
    }
    details.extend(said);
    details.extend(calls);
    details
}

const TOOL_CALLS: &str = "choices[].message.tool_calls[].";

/// A string, or parts: Mistral's `text` and `thinking`.
fn read_content<'a>(value: Value<'_, 'a>, out: &mut Vec<Part<'a>>, dropped: &mut Dropped) {
    out.extend(value.text().filter(|text| !text.is_empty()).map(Part::text));
    for part in value.elements() {
        let text = |value: Value<'_, 'a>| value.get("text").and_then(Value::text);
        match part.get("type").and_then(Value::text).as_deref() {
            Some("text") => out.extend(text(part).map(Part::text)),
            Some("refusal") => {
                out.extend(part.get("refusal").and_then(Value::text).map(|text| Part::new(Content::Refusal(text))))
            }
            Some("thinking") => {
                let thoughts = part.get("thinking").into_iter().flat_map(Value::elements).filter_map(text);
                out.extend(thoughts.map(|text| Part::new(Content::Reasoning { text, signature: None })));
            }
            other => dropped.inside("choices[].message.content[].", other.unwrap_or("type")),
        }
    }
}

pub(super) fn write(reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let made = ["chatcmpl-", &to.id].concat();
    let created = if reply.created == 0 { to.created } else { reply.created };
    write_object(out, |o| {
        o.text("id", if reply.id.is_empty() { &made } else { &reply.id });
        o.text("object", "chat.completion");
        o.number("created", created);
        o.text("model", if reply.model.is_empty() { &to.model } else { &reply.model });
        o.array("choices", |a| {
            for (index, choice) in (0..).zip(&reply.choices) {
                a.object(|o| write_choice(o, index, choice, to, dropped));
            }
        });
        if let Some(usage) = &reply.usage {
            usage::write(o, usage);
        }
        o.text_if("service_tier", reply.service_tier.as_deref().and_then(tier_word));
    });
}

/// OpenAI's words for a tier; a client that checks them refuses another one.
pub(in crate::wire) fn tier_word(tier: &str) -> Option<&str> {
    match tier {
        "auto" | "default" | "flex" | "scale" | "priority" => Some(tier),
        // Anthropic's and Bedrock's word for what OpenAI calls so.
        "standard" => Some("default"),
        _ => None,
    }
}

fn write_choice(o: &mut ObjectWriter<'_>, index: u64, choice: &Choice, to: &Writing, dropped: &mut Dropped) {
    o.number("index", index);
    o.object("message", |o| write_message(o, index, choice, to, dropped));
    match &choice.logprobs {
        Some(tokens) => write_logprobs(o, tokens),
        None => o.null("logprobs"),
    }
    dropped.ending(choice.finish, choice.stop_sequence.is_some());
    match choice.finish {
        Some(finish) => o.text("finish_reason", finish_word(finish)),
        None => o.null("finish_reason"),
    }
}

fn write_message(o: &mut ObjectWriter<'_>, index: u64, choice: &Choice, to: &Writing, dropped: &mut Dropped) {
    o.text("role", "assistant");
    let text: String = choice.parts.iter().filter_map(Part::as_text).collect();
    let has_calls = choice.tool_calls().next().is_some();
    let refusal = gathered(choice, |content| if let Content::Refusal(text) = content { text } else { "" });
    match text.is_empty() && (has_calls || !refusal.is_empty()) {
        true => o.null("content"),
        false => o.text("content", &text),
    }
    match refusal.is_empty() {
        true => o.null("refusal"),
        false => o.text("refusal", &refusal),
    }
    let thought = gathered(choice, |content| if let Content::Reasoning { text, .. } = content { text } else { "" });
    if !thought.is_empty() {
        o.text("reasoning_content", &thought);
    }
    if has_seal(choice) {
        o.array("reasoning_details", |a| {
            for part in &choice.parts {
                match &part.content {
                    Content::Reasoning { text, signature } => write_text_detail(a, None, text, signature.as_ref()),
                    Content::Redacted(data) => write_redacted_detail(a, None, data),
                    _ => {}
                }
            }
        });
    }
    if has_calls {
        o.array("tool_calls", |a| {
            for (number, call) in (0..).zip(choice.tool_calls()) {
                let made = made_id(to, index, number);
                let is_custom = to.custom.has(&call.name);
                let arguments = match &*call.arguments {
                    text if is_custom => custom::text_of(text),
                    "" => Cow::Borrowed("{}"),
                    arguments => Cow::Borrowed(arguments),
                };
                let piece = CallPiece {
                    id: Some(if call.id.is_empty() { &made } else { &call.id }),
                    name: Some(&call.name),
                    arguments: &arguments,
                    is_custom,
                    signature: call.signature.as_ref(),
                };
                write_call(a, None, &piece);
            }
        });
    }
    write_asides(o, choice, dropped);
}

fn gathered(choice: &Choice, pick: impl for<'a> Fn(&'a Content<'static>) -> &'a str) -> String {
    choice.parts.iter().map(|part| pick(&part.content)).collect()
}

fn has_seal(choice: &Choice) -> bool {
    choice
        .parts
        .iter()
        .any(|part| matches!(part.content, Content::Redacted(_) | Content::Reasoning { signature: Some(_), .. }))
}

/// Citations and images.
fn write_asides(o: &mut ObjectWriter<'_>, choice: &Choice, dropped: &mut Dropped) {
    let citations = || {
        choice.parts.iter().flat_map(|part| match &part.content {
            Content::Text { citations, .. } => &citations[..],
            _ => &[],
        })
    };
    if citations().next().is_some() {
        o.array("annotations", |a| {
            for citation in citations() {
                if !write_annotation(a, None, citation) {
                    dropped.field("citations");
                }
            }
        });
    }
    let media = || {
        choice
            .parts
            .iter()
            .filter_map(|part| if let Content::Media(media) = &part.content { Some(media) } else { None })
    };
    if media().next().is_some() {
        o.array("images", |a| {
            for media in media() {
                if !write_image(a, None, media) {
                    dropped.field("media");
                }
            }
        });
    }
}
