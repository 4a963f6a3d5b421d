//! Writes a stream's events for a client: `message_start`, one block after the other, `message_delta` with
//! why it ended and the usage, `message_stop`.
//!
//! Blocks are never open side by side: the official Go SDK adds whatever comes to the last one. Where a
//! provider tells calls by turns, those behind the open one are held back until it is complete: [`InTurn`].

use super::reply_write::{call_id, call_seal, stop_reason, write_head, write_thought};
use super::{citation, fault, usage};
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::{Delta, Dropped, Fault, Finish, Format, Signature, Usage};
use crate::wire::codec::{StreamWriter, Writing};
use crate::wire::in_turn::{Call, InTurn, Turn};
use crate::wire::sse;

/// One stream.
pub(super) struct Writer {
    to: Writing,
    state: State,
    /// The index of the block that is open, or comes next.
    block: u64,
    open: Option<Open>,
    turns: InTurn,
    refuses: bool,
    usage: Usage,
    finish: Option<(Finish, Option<String>)>,
    /// One event's data.
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Running,
    Ended,
    Failed,
}

enum Open {
    /// A text that has a citation is over.
    Text {
        is_cited: bool,
    },
    Thought,
    Call,
}

impl StreamWriter for Writer {
    fn write(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if matches!(self.state, State::Ended | State::Failed) {
            return;
        }
        if let Delta::Start { id, model, usage, .. } = delta {
            return self.start(id, model, *usage, out);
        }
        if delta.choice().unwrap_or_default() > 0 {
            return dropped.field("choices");
        }
        if self.state == State::New && !matches!(delta, Delta::Error(_)) {
            self.start("", "", None, out);
        }
        match delta {
            Delta::Start { .. } => {}
            Delta::Text { text, .. } => self.text(text, out, dropped),
            Delta::Refusal { text, .. } => {
                self.refuses = true;
                self.text(text, out, dropped);
            }
            Delta::Reasoning { text, .. } => self.thought(text, out, dropped),
            Delta::Signature { signature, .. } => self.seal(signature, out, dropped),
            Delta::Redacted { data, .. } => self.redacted(data, out, dropped),
            Delta::ToolCall { .. } => self.call(delta, out, dropped),
            Delta::Citation { citation, .. } if citation::is_sayable(citation) => {
                self.open_text(false, out, dropped);
                self.delta(out, "citations_delta", |o| o.object("citation", |o| citation::write(o, citation)));
                self.open = Some(Open::Text { is_cited: true });
            }
            Delta::Citation { .. } => dropped.field("annotations"),
            Delta::Media { .. } => dropped.field("content[].media"),
            Delta::Logprobs { .. } => dropped.field("logprobs"),
            Delta::Finish { finish, stop_sequence, .. } => self.finish = Some((*finish, stop_sequence.clone())),
            Delta::Usage(usage) => self.usage = *usage,
            Delta::Ping => self.event(out, "ping", |_| {}),
            Delta::Error(said) => self.fail(said, out),
            Delta::End => self.end(out, dropped),
        }
    }

    fn held(&self) -> usize {
        self.turns.held()
    }

    fn has_failed(&self) -> bool {
        self.state == State::Failed
    }
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(to: Writing) -> Self {
        Writer {
            to,
            state: State::New,
            block: 0,
            open: None,
            turns: InTurn::default(),
            refuses: false,
            usage: Usage::default(),
            finish: None,
            data: Vec::new(),
        }
    }

    /// Writes one event; `fill` writes what it says besides its type.
    fn event(&mut self, out: &mut Vec<u8>, kind: &'static str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.data.clear();
        write_object(&mut self.data, |o| {
            o.text("type", kind);
            fill(o);
        });
        sse::write(out, Some(kind), &self.data);
    }

    /// A second start says nothing new.
    fn start(&mut self, id: &str, model: &str, usage: Option<Usage>, out: &mut Vec<u8>) {
        if self.state != State::New {
            return;
        }
        self.state = State::Running;
        self.usage = usage.unwrap_or_default();
        let (to, known) = (self.to.clone(), self.usage);
        self.event(out, "message_start", |o| {
            o.object("message", |o| {
                write_head(o, id, model, &to);
                o.array("content", |_| {});
                o.null("stop_reason");
                o.null("stop_sequence");
                o.object("usage", |o| usage::write(o, &known));
            });
        });
    }

    fn begin(&mut self, out: &mut Vec<u8>, open: Option<Open>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let index = self.block;
        self.event(out, "content_block_start", |o| {
            o.number("index", index);
            o.object("content_block", fill);
        });
        self.open = open;
    }

    fn delta(&mut self, out: &mut Vec<u8>, kind: &'static str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let index = self.block;
        self.event(out, "content_block_delta", |o| {
            o.number("index", index);
            o.object("delta", |o| {
                o.text("type", kind);
                fill(o);
            });
        });
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        let index = self.block;
        self.event(out, "content_block_stop", |o| o.number("index", index));
        self.block += 1;
        self.open = None;
    }

    /// Ends the block that is open, and writes the calls that waited for its end.
    fn close(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if self.open.is_some() {
            self.stop(out);
        }
        for call in self.turns.close() {
            self.begin_call(&call, out, dropped);
            self.stop(out);
        }
        self.turns.close();
    }

    /// A text is open behind this: one without a citation, if `is_fresh`.
    fn open_text(&mut self, is_fresh: bool, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if matches!(self.open, Some(Open::Text { is_cited }) if !(is_cited && is_fresh)) {
            return;
        }
        self.close(out, dropped);
        self.begin(out, Some(Open::Text { is_cited: false }), |o| {
            o.text("type", "text");
            o.text("text", "");
        });
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if !text.is_empty() {
            self.open_text(true, out, dropped);
            self.delta(out, "text_delta", |o| o.text("text", text));
        }
    }

    fn open_thought(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if !matches!(self.open, Some(Open::Thought)) {
            self.close(out, dropped);
            self.begin(out, Some(Open::Thought), |o| write_thought(o, "", None));
        }
    }

    fn thought(&mut self, text: &str, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if !text.is_empty() {
            self.open_thought(out, dropped);
            self.delta(out, "thinking_delta", |o| o.text("thinking", text));
        }
    }

    fn seal(&mut self, signature: &Signature<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.open_thought(out, dropped);
        self.delta(out, "signature_delta", |o| o.text("signature", &signature.for_client(Format::Messages)));
        self.stop(out);
    }

    fn redacted(&mut self, data: &Signature<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.close(out, dropped);
        self.begin(out, None, |o| {
            o.text("type", "redacted_thinking");
            o.text("data", &data.for_client(Format::Messages));
        });
        self.stop(out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        sse::write(out, Some("error"), &fault::write(fault));
        self.state = State::Failed;
    }

    fn end(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.close(out, dropped);
        let (finish, stop_sequence) = self.finish.take().unzip();
        let reason = stop_reason(finish, self.turns.any(), self.refuses);
        let total = self.usage;
        self.event(out, "message_delta", |o| {
            o.object("delta", |o| {
                o.text("stop_reason", reason);
                match stop_sequence.flatten() {
                    Some(word) => o.text("stop_sequence", &word),
                    None => o.null("stop_sequence"),
                }
            });
            o.object("usage", |o| usage::write(o, &total));
        });
        self.event(out, "message_stop", |_| {});
        self.state = State::Ended;
    }
}

/// Calls.
impl Writer {
    fn call(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        match self.turns.push(delta) {
            Ok(Turn::Begin(call)) => {
                self.close(out, dropped);
                self.begin_call(&call, out, dropped);
            }
            Ok(Turn::GoOn) => {
                let Delta::ToolCall { arguments, .. } = delta else { return };
                self.go_on(arguments, out);
            }
            Ok(Turn::Wait) => return,
            Err(fault) => return self.fail(&fault, out),
        }
        while let Some(call) = self.turns.next() {
            self.stop(out);
            self.begin_call(&call, out, dropped);
        }
    }

    fn begin_call(&mut self, call: &Call, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if let Some(seal) = call_seal(call.signature.as_ref(), dropped) {
            self.begin(out, None, |o| write_thought(o, "", None));
            self.delta(out, "signature_delta", |o| o.text("signature", &seal.for_client(Format::Messages)));
            self.stop(out);
        }
        let id = call_id(&call.id, call.index, &self.to);
        self.begin(out, Some(Open::Call), |o| {
            o.text("type", "tool_use");
            o.text("id", &id);
            o.text("name", &call.name);
            o.raw("input", "{}");
        });
        self.turns.begin(call);
        self.go_on(&call.arguments, out);
    }

    fn go_on(&mut self, arguments: &str, out: &mut Vec<u8>) {
        if !arguments.is_empty() {
            self.delta(out, "input_json_delta", |o| o.text("partial_json", arguments));
        }
    }
}
