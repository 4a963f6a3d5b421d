//! A stream of `GenerateContentResponse`s, written: as events, or as the elements of one array.
//!
//! Gemini says a call whole and knows no event for an end: calls are gathered until something else is said,
//! and how it ended is said in the last response, with the usage.

use super::answer_write as answer;
use super::spoken::Spoken;
use super::{fault, finish, grounding, logprobs, seal, usage};
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::part::ToolCall;
use crate::llm::{Content, Delta, Dropped, Fault, FaultKind, Finish, Signature, Usage};
use crate::wire::codec::{StreamWriter, Writing};
use crate::wire::sse;

/// What is held of calls, in bytes. A stream with more ends here with an error.
const HELD: usize = 4 << 20;

/// Calls that are held, of all answers.
const CALLS: usize = 1024;

/// Answers that are written; what others say is dropped.
const CHOICES: u32 = 128;

/// Writes one stream.
pub(super) struct Writer {
    to: Writing,
    id: String,
    model: String,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    /// Bytes of calls that are held, and how many they are.
    held: (usize, usize),
    /// Something was written, here or before.
    is_begun: bool,
    /// Nothing may follow.
    is_over: bool,
    has_failed: bool,
}

#[derive(Default)]
struct Choice {
    calls: Vec<ToolCall<'static>>,
    finish: Option<Finish>,
    /// Its last piece was a thought, which a signature would be of.
    is_thinking: bool,
    has_said: bool,
    spoken: Spoken,
}

// === impl Writer ===

impl StreamWriter for Writer {
    fn write(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if self.is_over {
            return;
        }
        match delta {
            Delta::Start { id, model, usage, .. } => {
                self.id.clone_from(id);
                self.model.clone_from(model);
                self.usage = usage.or(self.usage);
            }
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::Ping => {}
            Delta::Error(fault) => self.fail(fault, out),
            Delta::End => self.end(out, dropped),
            Delta::ToolCall { .. } => self.gather(delta, out, dropped),
            Delta::Finish { choice, finish, stop_sequence } => {
                dropped.ending(Some(*finish), stop_sequence.is_some());
                self.flush(*choice, out, dropped);
                if let Some(choice) = self.choice(*choice, dropped) {
                    choice.finish = Some(*finish);
                }
            }
            Delta::Text { choice, .. }
            | Delta::Reasoning { choice, .. }
            | Delta::Signature { choice, .. }
            | Delta::Redacted { choice, .. }
            | Delta::Refusal { choice, .. }
            | Delta::Citation { choice, .. }
            | Delta::Media { choice, .. }
            | Delta::Logprobs { choice, .. } => {
                self.flush(*choice, out, dropped);
                self.piece(*choice, delta, out, dropped);
            }
        }
    }

    fn held(&self) -> usize {
        self.held.0 + self.choices.iter().map(|choice| choice.spoken.held()).sum::<usize>()
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }
}

impl Writer {
    pub fn new(to: Writing) -> Self {
        Writer {
            is_begun: to.resumed,
            to,
            id: String::new(),
            model: String::new(),
            choices: Vec::new(),
            usage: None,
            held: (0, 0),
            is_over: false,
            has_failed: false,
        }
    }

    fn choice(&mut self, index: u32, dropped: &mut Dropped) -> Option<&mut Choice> {
        if index >= CHOICES {
            dropped.field("choices[]");
            return None;
        }
        let index = index as usize;
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, Choice::default);
        }
        self.choices.get_mut(index)
    }

    /// What is said at once.
    fn piece(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let Some(choice) = self.choice(index, dropped) else { return };
        let was_thinking = std::mem::replace(&mut choice.is_thinking, matches!(delta, Delta::Reasoning { .. }));
        choice.has_said = true;
        match delta {
            Delta::Text { text, .. } => {
                choice.spoken.push(text);
                self.part(index, out, |o| o.text("text", text));
            }
            Delta::Refusal { text, .. } => self.part(index, out, |o| o.text("text", text)),
            Delta::Reasoning { text, .. } => self.part(index, out, |o| {
                o.text("text", text);
                o.flag("thought", true);
            }),
            Delta::Signature { signature, .. } => self.part(index, out, |o| sign(o, signature, was_thinking)),
            Delta::Redacted { data, .. } => {
                self.part(index, out, |o| answer::content(o, &Content::Redacted(data.clone())));
            }
            Delta::Media { media, .. } => {
                if super::media::sayable(media).is_some() {
                    self.part(index, out, |o| answer::picture(o, media));
                } else {
                    dropped.field("choices[].delta.images");
                }
            }
            Delta::Citation { citation, .. } => {
                let spoken = std::mem::take(&mut choice.spoken);
                self.candidate(index, out, |o| {
                    o.object("content", empty);
                    grounding::write(o, &[(citation, &spoken)], dropped);
                });
                if let Some(choice) = self.choices.get_mut(index as usize) {
                    choice.spoken = spoken;
                }
            }
            Delta::Logprobs { tokens, .. } => self.candidate(index, out, |o| {
                o.object("content", empty);
                if !logprobs::write(o, tokens) {
                    dropped.field("logprobs");
                }
            }),
            _ => {}
        }
    }

    fn gather(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let Delta::ToolCall { choice, index, id, name, arguments, signature } = delta else { return };
        let added = arguments.len() + id.as_ref().map_or(0, String::len) + name.as_ref().map_or(0, String::len);
        let (bytes, calls) = self.held;
        let index = *index as usize;
        let Some(choice) = self.choice(*choice, dropped) else { return };
        let is_new = index >= choice.calls.len();
        if index > choice.calls.len() && index >= CALLS || bytes + added > HELD || calls + usize::from(is_new) > CALLS {
            let message =
                format!("The answer calls functions with more than {HELD} bytes; this API says a call whole.");
            return self.fail(&Fault::in_stream(FaultKind::Server, message), out);
        }
        if is_new {
            choice.calls.resize_with(index + 1, ToolCall::default);
        }
        choice.is_thinking = false;
        choice.has_said = true;
        let Some(call) = choice.calls.get_mut(index) else { return };
        for (kept, said) in [(&mut call.id, id), (&mut call.name, name)] {
            if let Some(said) = said.as_ref().filter(|_| kept.is_empty()) {
                *kept = said.clone().into();
            }
        }
        if call.signature.is_none() {
            call.signature.clone_from(signature);
        }
        call.arguments.to_mut().push_str(arguments);
        self.held = (bytes + added, calls + usize::from(is_new));
    }

    /// Says the calls that were gathered. One that was said already has lost its name, and is left.
    fn flush(&mut self, index: u32, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let Some(choice) = self.choice(index, dropped) else { return };
        if choice.calls.iter().all(|call| call.name.is_empty()) {
            return;
        }
        let mut calls = std::mem::take(&mut choice.calls);
        for call in calls.iter_mut().filter(|call| !call.name.is_empty()) {
            self.part(index, out, |o| answer::call(o, call));
            self.held.0 = self.held.0.saturating_sub(call.arguments.len() + call.id.len() + call.name.len());
            *call = ToolCall::default();
        }
        // Their numbers are taken.
        if let Some(choice) = self.choices.get_mut(index as usize) {
            choice.calls = calls;
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        for index in (0..CHOICES).take(self.choices.len()) {
            self.flush(index, out, dropped);
        }
        let choices = std::mem::take(&mut self.choices);
        if !choices.is_empty() || self.usage.is_some() {
            let (usage, mut body) = (self.usage, Vec::new());
            write_object(&mut body, |o| {
                o.array("candidates", |a| {
                    for (index, choice) in (0..).zip(&choices) {
                        a.object(|o| last(o, index, choice));
                    }
                });
                if let Some(usage) = &usage {
                    usage::write(o, usage, dropped);
                }
                answer::name(o, &self.model, &self.id, &self.to);
            });
            self.element(&body, out);
        }
        self.close(out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.has_failed = true;
        self.element(&fault::write_fault(fault), out);
        self.choices = Vec::new();
        self.held = (0, 0);
        self.close(out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.is_over = true;
        if self.to.array {
            out.extend_from_slice(if self.is_begun { b"\n]" } else { b"[]" });
        }
    }

    fn part(&mut self, index: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.candidate(index, out, |o| {
            o.object("content", |o| {
                o.array("parts", |a| a.object(fill));
                o.text("role", "model");
            });
        });
    }

    /// A response with one candidate.
    fn candidate(&mut self, index: u32, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let mut body = Vec::with_capacity(256);
        write_object(&mut body, |o| {
            o.array("candidates", |a| {
                a.object(|o| {
                    fill(o);
                    o.number("index", index.into());
                });
            });
            answer::name(o, &self.model, &self.id, &self.to);
        });
        self.element(&body, out);
    }

    fn element(&mut self, body: &[u8], out: &mut Vec<u8>) {
        if !self.to.array {
            self.is_begun = true;
            return sse::write(out, None, body);
        }
        out.extend_from_slice(if std::mem::replace(&mut self.is_begun, true) { b",\n" } else { b"[" });
        out.extend_from_slice(body);
    }
}

fn empty(o: &mut ObjectWriter<'_>) {
    o.array("parts", |a| a.object(|o| o.text("text", "")));
    o.text("role", "model");
}

fn sign(o: &mut ObjectWriter<'_>, signature: &Signature<'_>, was_thinking: bool) {
    if was_thinking {
        o.text("text", "");
        o.flag("thought", true);
        o.text("thoughtSignature", &seal::write(signature));
    } else {
        answer::thought(o, "", Some(signature));
    }
}

/// A candidate of the last response.
fn last(o: &mut ObjectWriter<'_>, index: u64, choice: &Choice) {
    let is_filtered = matches!(choice.finish, Some(Finish::ContentFilter | Finish::Refusal));
    if choice.has_said || !is_filtered {
        o.object("content", empty);
    }
    o.text_if("finishReason", choice.finish.map(finish::word));
    o.number("index", index);
}
