//! A chat completion's stream of chunks, written.

use super::DONE;
use super::error::write_fault;
use super::message::{
    CallPiece, finish_word, made_id, write_annotation, write_call, write_image, write_logprobs, write_redacted_detail,
    write_text_detail,
};
use super::usage;
use crate::base::json::{ArrayWriter, ObjectWriter, write_object};
use crate::llm::part::{Citation, Media};
use crate::llm::{Delta, Dropped, Usage};
use crate::wire::codec::{StreamWriter, Writing};
use crate::wire::custom::Text;
use crate::wire::sse;

/// Writes the chunks of one stream.
pub(super) struct Writer {
    to: Writing,
    /// `{"id":…,"object":…,"created":…,"model":…,"choices":` of every chunk; empty before the first.
    prefix: Vec<u8>,
    /// Choices that were begun with their role.
    begun: Vec<u32>,
    /// Elements of lists so far: details of the reasoning, annotations, images.
    listed: [u64; 3],
    /// Calls of custom tools whose text is not over: of which choice, and their number.
    texts: Vec<(u32, u32, Text)>,
    has_failed: bool,
}

/// Texts of custom tools that are kept at once; a stream with more is not a real one.
const MAX_TEXTS: usize = 1024;

const DETAILS: usize = 0;
const ANNOTATIONS: usize = 1;
const IMAGES: usize = 2;

// === impl Writer ===

impl Writer {
    pub fn new(to: Writing) -> Self {
        Writer { to, prefix: Vec::new(), begun: Vec::new(), listed: [0; 3], texts: Vec::new(), has_failed: false }
    }

    fn start(&mut self, id: &str, model: &str, created: u64) {
        let made = ["chatcmpl-", &self.to.id].concat();
        let mut prefix = Vec::with_capacity(160);
        write_object(&mut prefix, |o| {
            o.text("id", if id.is_empty() { &made } else { id });
            o.text("object", "chat.completion.chunk");
            o.number("created", if created == 0 { self.to.created } else { created });
            o.text("model", if model.is_empty() { &self.to.model } else { model });
        });
        prefix.pop();
        prefix.extend_from_slice(b",\"choices\":");
        self.prefix = prefix;
    }

    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            self.start("", "", 0);
        }
        if self.to.resumed || self.begun.contains(&choice) {
            return;
        }
        // A provider that numbers choices at will is not followed beyond what can be remembered.
        if self.begun.len() < 1024 {
            self.begun.push(choice);
        }
        self.choice(choice, out, |o| {
            o.object("delta", |o| {
                o.text("role", "assistant");
                o.text("content", "");
            });
            o.null("finish_reason");
        });
    }

    /// A chunk with one choice.
    fn choice(&self, choice: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.prefix);
        out.push(b'[');
        write_object(out, |o| {
            o.number("index", choice.into());
            fill(o);
        });
        out.push(b']');
        out.extend_from_slice(if self.to.usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }

    fn delta(&mut self, choice: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.begin(choice, out);
        self.choice(choice, out, |o| {
            o.object("delta", fill);
            o.null("finish_reason");
        });
    }

    fn cite(&mut self, choice: u32, citation: &Citation<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if citation.url.is_none() {
            return dropped.field("citations");
        }
        let index = self.next(ANNOTATIONS);
        self.listed(choice, "annotations", out, |a| {
            write_annotation(a, index, citation);
        });
    }

    fn show(&mut self, choice: u32, media: &Media<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let mut is_written = false;
        let index = self.next(IMAGES);
        self.listed(choice, "images", out, |a| is_written = write_image(a, index, media));
        if !is_written {
            dropped.field("media");
        }
    }

    /// The usage chunk: without a choice.
    fn total(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            self.start("", "", 0);
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(b"[],");
        let mut object = Vec::new();
        write_object(&mut object, |o| usage::write(o, usage));
        out.extend_from_slice(object.get(1..).unwrap_or_default());
        out.extend_from_slice(b"\n\n");
    }

    /// The place of the next element of a list.
    fn next(&mut self, list: usize) -> Option<u64> {
        let next = self.listed.get_mut(list)?;
        *next += 1;
        Some(*next - 1)
    }

    fn call(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let Delta::ToolCall { choice, index, id, name, arguments, signature } = delta else { return };
        let (choice, index) = (*choice, *index);
        let is_custom = name.as_deref().is_some_and(|name| self.to.custom.has(name));
        let is_this = |(of, number, _): &(u32, u32, Text)| (*of, *number) == (choice, index);
        // Some name a call in each of its pieces.
        if is_custom && self.texts.len() < MAX_TEXTS && !self.texts.iter().any(is_this) {
            self.texts.push((choice, index, Text::default()));
        }
        let text = self.texts.iter_mut().find(|text| is_this(text));
        let said = text.map(|(.., text)| text.push(arguments));
        // The first piece of a call names it.
        let made = name.as_ref().map(|_| made_id(&self.to, choice.into(), index.into()));
        let id = id.as_deref().filter(|id| !id.is_empty()).or(made.as_deref());
        if said.as_ref().is_some_and(|said| said.is_empty() && name.is_none()) {
            return;
        }
        let piece = CallPiece {
            id,
            name: name.as_deref(),
            arguments: said.as_deref().unwrap_or(arguments),
            is_custom: said.is_some(),
            signature: signature.as_ref(),
        };
        self.listed(choice, "tool_calls", out, |a| write_call(a, Some(index.into()), &piece));
    }

    /// Says what is left of the texts of a choice.
    fn end_texts(&mut self, choice: u32, out: &mut Vec<u8>) {
        for (of, index, mut text) in std::mem::take(&mut self.texts) {
            if of != choice {
                self.texts.push((of, index, text));
                continue;
            }
            let rest = text.end();
            if !rest.is_empty() {
                let piece = CallPiece { id: None, name: None, arguments: &rest, is_custom: true, signature: None };
                self.listed(choice, "tool_calls", out, |a| write_call(a, Some(index.into()), &piece));
            }
        }
    }

    fn listed(&mut self, choice: u32, key: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        self.delta(choice, out, |o| o.array(key, fill));
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        match delta {
            Delta::Start { id, model, created, .. } => {
                self.start(id, model, *created);
                self.begin(0, out);
            }
            Delta::Text { choice, text } => self.delta(*choice, out, |o| o.text("content", text)),
            Delta::Reasoning { choice, text } => self.delta(*choice, out, |o| o.text("reasoning_content", text)),
            Delta::Refusal { choice, text } => self.delta(*choice, out, |o| o.text("refusal", text)),
            Delta::Signature { choice, signature } => {
                let index = self.next(DETAILS);
                self.listed(*choice, "reasoning_details", out, |a| write_text_detail(a, index, "", Some(signature)));
            }
            Delta::Redacted { choice, data } => {
                let index = self.next(DETAILS);
                self.listed(*choice, "reasoning_details", out, |a| write_redacted_detail(a, index, data));
            }
            Delta::ToolCall { .. } => self.call(delta, out),
            Delta::Citation { choice, citation } => self.cite(*choice, citation, out, dropped),
            Delta::Media { choice, media } => self.show(*choice, media, out, dropped),
            Delta::Logprobs { choice, tokens } => {
                self.begin(*choice, out);
                self.choice(*choice, out, |o| {
                    o.object("delta", |_| {});
                    write_logprobs(o, tokens);
                    o.null("finish_reason");
                });
            }
            Delta::Finish { choice, finish, stop_sequence } => {
                dropped.ending(Some(*finish), stop_sequence.is_some());
                self.end_texts(*choice, out);
                self.begin(*choice, out);
                self.choice(*choice, out, |o| {
                    o.object("delta", |_| {});
                    o.text("finish_reason", finish_word(*finish));
                });
            }
            Delta::Usage(usage) if self.to.usage => self.total(usage, out),
            Delta::Usage(_) => {}
            // What keeps an event stream alive is a comment.
            Delta::Ping => out.extend_from_slice(b": ping\n\n"),
            Delta::Error(fault) => {
                self.has_failed = true;
                sse::write(out, None, &write_fault(fault));
            }
            Delta::End => sse::write(out, None, DONE),
        }
    }

    fn held(&self) -> usize {
        self.texts.iter().map(|(.., text)| size_of::<(u32, u32, Text)>() + text.len()).sum()
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }
}
