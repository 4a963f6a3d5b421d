//! An answer in one piece, read and written.

use std::borrow::Cow;

use super::item_read::{OUTPUT, Thought, kind_of, read_call, read_image, read_said, read_thought};
use super::item_write::{
    Call, call_seal, is_citable, is_image, name_of, seal_of, write_annotation, write_call, write_image, write_message,
    write_output_text, write_refusal, write_thought,
};
use super::response::{Head, State};
use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, Kind, Tree, write_array, write_object};
use crate::llm::part::Citation;
use crate::llm::reply::Choice;
use crate::llm::{Content, Dropped, Finish, Part, Reply, Signature};
use crate::wire::codec::{Unreadable, Writing};
use crate::wire::{custom, scan};

pub(super) fn read(body: &Tree<'_>, dropped: &mut Dropped) -> Result<Reply, Unreadable> {
    let root = body.root();
    let output = root.get("output").filter(|output| output.kind() == Kind::Array);
    let output = output.ok_or(Unreadable("it has no output"))?;
    let mut choice = read_output(output, dropped);
    let has_calls = choice.tool_calls().next().is_some();
    choice.finish = Some(read_finish(root, has_calls, dropped)?);
    let text = |key: &str| root.get(key).and_then(Value::text).unwrap_or_default().into_owned();
    Ok(Reply {
        id: text("id"),
        model: text("model"),
        created: root.get("created_at").and_then(Value::whole).unwrap_or(0),
        choices: vec![choice],
        usage: root.get("usage").and_then(|usage| scan::read_usage(usage.raw())),
        service_tier: root.get("service_tier").and_then(Value::text).map(|tier| tier.into_owned()),
    })
}

/// Why a response ended, by its `status`.
pub(super) fn read_finish(root: Value<'_, '_>, calls: bool, dropped: &mut Dropped) -> Result<Finish, Unreadable> {
    match root.get("status").and_then(Value::text).as_deref() {
        // Some who imitate this API leave it out.
        Some("completed") | None => Ok(if calls { Finish::ToolCalls } else { Finish::Stop }),
        Some("incomplete") => {
            let reason = root.get("incomplete_details").and_then(|details| details.get("reason")?.text());
            match reason.as_deref() {
                Some("content_filter") => return Ok(Finish::ContentFilter),
                Some("max_output_tokens") | None => {}
                Some(other) => dropped.inside("incomplete_details.reason ", other),
            }
            Ok(Finish::Length)
        }
        Some("failed") => Err(Unreadable("its status is failed")),
        Some(_) => Err(Unreadable("its status is none of an answer that is done")),
    }
}

/// Reads the items of an answer.
pub(super) fn read_output(output: Value<'_, '_>, dropped: &mut Dropped) -> Choice {
    let mut choice = Choice::default();
    let mut next: Option<Signature<'static>> = None;
    for item in output.elements() {
        let kind = kind_of(item);
        let seal = next.take();
        let content = match &*kind {
            "message" => {
                read_message(item, &mut choice, dropped);
                None
            }
            "function_call" | "custom_tool_call" => {
                let mut call = read_call(item, OUTPUT, dropped).into_owned();
                call.signature = seal;
                Some(Content::ToolCall(call))
            }
            "reasoning" => match read_thought(item, OUTPUT, dropped) {
                Thought::Said(content) => Some(content),
                Thought::OfCall(sealed) => {
                    next = Some(sealed.into_owned());
                    None
                }
                Thought::Nothing => None,
            },
            "image_generation_call" if item.get("result").is_some() => read_image(item).map(Content::Media),
            other => {
                dropped.inside(OUTPUT.item, if other.is_empty() { "type" } else { other });
                None
            }
        };
        choice.parts.extend(content.map(|content| Part::new(content).into_owned()));
    }
    choice
}

pub(super) fn read_message(item: Value<'_, '_>, choice: &mut Choice, dropped: &mut Dropped) {
    for (key, value) in item.members() {
        match &*key {
            "type" | "id" | "status" | "role" => {}
            "content" => {
                for part in value.elements() {
                    let read = read_said(part, OUTPUT, &mut choice.logprobs, dropped);
                    choice.parts.extend(read.map(Part::into_owned));
                }
            }
            _ if value.is_empty() => {}
            other => dropped.inside(OUTPUT.item, other),
        }
    }
}

pub(super) fn write(reply: &Reply, to: &Writing, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let mut head = Head::new(to, &reply.id, &reply.model, reply.created);
    head.tier.clone_from(&reply.service_tier);
    // This API has one answer to a request.
    if reply.choices.len() > 1 {
        dropped.field("choices");
    }
    let nothing = Choice::default();
    let choice = reply.choices.first().unwrap_or(&nothing);
    dropped.ending(choice.finish, choice.stop_sequence.is_some());
    let refused = choice.parts.iter().any(|part| matches!(part.content, Content::Refusal(_)));
    let state = State::of_finish(choice.finish, refused);
    write_object(out, |o| {
        head.write(o, state, reply.usage.as_ref(), |a| {
            Output { to, state, items: 0, logprobs: choice.logprobs.as_deref() }.write(choice, a, dropped);
        });
    });
}

/// Writes the items of an answer.
struct Output<'w> {
    to: &'w Writing,
    state: State<'w>,
    items: u64,
    /// They are of all texts together, and go with the first.
    logprobs: Option<&'w str>,
}

// === impl Output ===

impl Output<'_> {
    fn write(mut self, choice: &Choice, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
        let mut rest = &choice.parts[..];
        while let Some((first, behind)) = rest.split_first() {
            let count = rest.iter().take_while(|part| is_said(&part.content)).count();
            if count == 0 {
                self.item(&first.content, behind.is_empty(), a, dropped);
                rest = behind;
                continue;
            }
            let (message, behind) = rest.split_at(count);
            self.message(message, behind.is_empty(), a, dropped);
            rest = behind;
        }
        if self.logprobs.is_some() {
            dropped.field("logprobs");
        }
    }

    fn next_id(&mut self, prefix: &str) -> String {
        self.items += 1;
        format!("{prefix}_{}_{}", self.to.id, self.items - 1)
    }

    /// Only the last item can be one that was cut off.
    fn status(&self, is_last: bool) -> &'static str {
        if is_last { self.state.of_item() } else { "completed" }
    }

    fn message(&mut self, parts: &[Part<'_>], is_last: bool, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
        let mut content = Vec::new();
        write_array(&mut content, |a| {
            for part in parts {
                match &part.content {
                    Content::Text { text, citations } => {
                        let annotations = annotations(text, citations, dropped);
                        let logprobs = self.logprobs.take().unwrap_or_default();
                        a.object(|o| write_output_text(o, text, &annotations, logprobs));
                    }
                    Content::Refusal(text) => a.object(|o| write_refusal(o, text)),
                    _ => {}
                }
            }
        });
        let content = String::from_utf8(content).unwrap_or_default();
        let content = content.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or_default();
        let (id, status) = (self.next_id("msg"), self.status(is_last));
        a.object(|o| write_message(o, &id, status, content));
    }

    fn item(&mut self, content: &Content<'_>, is_last: bool, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
        match content {
            Content::ToolCall(call) => {
                if let Some(signature) = &call.signature {
                    let id = self.next_id("rs");
                    a.object(|o| write_thought(o, &id, None, Some(&call_seal(signature))));
                }
                let is_custom = self.to.custom.has(&call.name);
                let (item_id, status) = (self.next_id(if is_custom { "ctc" } else { "fc" }), self.status(is_last));
                let made = ["call_", item_id.split_once('_').map_or("", |(_, number)| number)].concat();
                let id = if call.id.is_empty() { &*made } else { &*call.id };
                let arguments = match &*call.arguments {
                    text if is_custom => custom::text_of(text),
                    "" => Cow::Borrowed("{}"),
                    arguments => Cow::Borrowed(arguments),
                };
                let call = Call { item_id: &item_id, id, name: &call.name, arguments: &arguments, is_custom };
                a.object(|o| write_call(o, status, &call));
            }
            Content::Reasoning { text, signature: None } => {
                let id = self.next_id("rs");
                a.object(|o| write_thought(o, &id, Some(text), None));
            }
            Content::Reasoning { text, signature: Some(signature) } => {
                let (id, seal) = seal_of(signature, self.next_id("rs"));
                a.object(|o| write_thought(o, &id, Some(text), Some(&seal)));
            }
            Content::Redacted(signature) => {
                let (id, seal) = seal_of(signature, self.next_id("rs"));
                a.object(|o| write_thought(o, &id, None, Some(&seal)));
            }
            Content::Media(media) if is_image(media) => {
                let id = self.next_id("ig");
                a.object(|o| write_image(o, &id, "completed", Some(media)));
            }
            Content::Media(media) => dropped.field(name_of(media)),
            Content::Text { .. } | Content::Refusal(_) | Content::ToolResult(_) => {}
        }
    }
}

fn is_said(content: &Content<'_>) -> bool {
    matches!(content, Content::Text { .. } | Content::Refusal(_))
}

/// The annotations of a text, as JSON with commas between them.
fn annotations(text: &str, citations: &[Citation<'_>], dropped: &mut Dropped) -> String {
    let mut out = Vec::new();
    write_array(&mut out, |a| {
        for citation in citations {
            match is_citable(citation) {
                true => a.object(|o| write_annotation(o, citation, text, dropped)),
                false => dropped.field("citations"),
            }
        }
    });
    let inner = out.get(1..out.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(inner).into_owned()
}
