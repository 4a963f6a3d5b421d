//! A `GenerateContentResponse`, written.

use super::contents_write::{write_arguments, write_media};
use super::spoken::Spoken;
use super::{finish, grounding, logprobs, media, seal, usage};
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::part::{Citation, Media, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Finish, Format, Reply, Signature};
use crate::wire::codec::Writing;

/// Writes a whole answer.
pub(super) fn write(reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
    write_object(out, |o| {
        o.array("candidates", |a| {
            for (index, choice) in (0..).zip(&reply.choices) {
                a.object(|o| candidate(o, index, choice, dropped));
            }
        });
        if let Some(usage) = &reply.usage {
            usage::write(o, usage, dropped);
        }
        name(o, &reply.model, &reply.id, to);
    });
    if reply.service_tier.is_some() {
        dropped.field("service_tier");
    }
}

/// Writes who answered, and the answer's id.
pub(super) fn name(o: &mut ObjectWriter<'_>, model: &str, id: &str, to: &Writing) {
    o.text("modelVersion", if model.is_empty() { &to.model } else { model });
    o.text("responseId", if id.is_empty() { &to.id } else { id });
}

fn candidate(o: &mut ObjectWriter<'_>, index: u64, choice: &Choice, dropped: &mut Dropped) {
    let mut spoken = Spoken::default();
    let mut cited: Vec<&Citation<'_>> = Vec::new();
    // Nothing was said where a filter stopped it at once.
    if !(choice.parts.is_empty() && matches!(choice.finish, Some(Finish::ContentFilter | Finish::Refusal))) {
        o.object("content", |o| {
            o.array("parts", |a| {
                for part in &choice.parts {
                    if let Content::Text { text, citations } = &part.content {
                        spoken.push(text);
                        cited.extend(citations);
                    }
                    if is_sayable(&part.content, dropped) {
                        a.object(|o| content(o, &part.content));
                    }
                }
                if a.is_empty() {
                    a.object(|o| o.text("text", ""));
                }
            });
            o.text("role", "model");
        });
    }
    o.text_if("finishReason", choice.finish.map(finish::word));
    o.number("index", index);
    if !cited.is_empty() {
        let cited: Vec<_> = cited.into_iter().map(|citation| (citation, &spoken)).collect();
        grounding::write(o, &cited, dropped);
    }
    if choice.logprobs.as_ref().is_some_and(|tokens| !logprobs::write(o, tokens)) {
        dropped.field("logprobs");
    }
    dropped.ending(choice.finish, choice.stop_sequence.is_some());
}

/// False, and named, for what no part can hold.
pub(super) fn is_sayable(content: &Content<'_>, dropped: &mut Dropped) -> bool {
    match content {
        Content::Media(one) if media::sayable(one).is_none() => {
            dropped.field("choices[].message.images");
            false
        }
        // No model returns what a function did.
        Content::ToolResult(_) => false,
        _ => true,
    }
}

/// Writes the members of one part.
pub(super) fn content(o: &mut ObjectWriter<'_>, content: &Content<'_>) {
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => o.text("text", text),
        Content::Reasoning { text, signature } => thought(o, text, signature.as_ref()),
        Content::Redacted(data) => {
            o.text("text", "");
            o.flag("thought", true);
            o.text("thoughtSignature", &seal::write_redacted(data));
        }
        Content::ToolCall(one) => call(o, one),
        Content::Media(one) => picture(o, one),
        Content::ToolResult(_) => {}
    }
}

/// Writes a thought, or the seal of what stands before it.
pub(super) fn thought(o: &mut ObjectWriter<'_>, text: &str, signature: Option<&Signature<'_>>) {
    o.text("text", text);
    // Gemini signs texts, too; others sign thoughts alone, told or not.
    if !text.is_empty() || signature.is_some_and(|signature| signature.maker != Format::Gemini) {
        o.flag("thought", true);
    }
    o.text_if("thoughtSignature", signature.map(seal::write).as_deref());
}

pub(super) fn call(o: &mut ObjectWriter<'_>, call: &ToolCall<'_>) {
    o.object("functionCall", |o| {
        o.text_if("id", Some(&*call.id).filter(|id| !id.is_empty()));
        o.text("name", &call.name);
        write_arguments(o, &call.arguments);
    });
    o.text_if("thoughtSignature", call.signature.as_ref().map(seal::write).as_deref());
}

pub(super) fn picture(o: &mut ObjectWriter<'_>, one: &Media<'_>) {
    if let Some(sayable) = media::sayable(one) {
        write_media(o, &sayable);
    }
}
