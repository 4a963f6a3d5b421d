//! The events of a `ConverseStream` written: `messageStart`, blocks one after another, `messageStop`,
//! `metadata`; or an exception. Calls that come interleaved are put in a row: [`InTurn`].

use super::{answer, cite, fault, names};
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::part::{Media, Source};
use crate::llm::{Delta, Dropped, Fault, Finish, Format, Usage};
use crate::wire::codec::{StreamWriter, Writing};
use crate::wire::frames;
use crate::wire::in_turn::{Call, InTurn, Turn};

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Writer {
    to: Writing,
    is_started: bool,
    /// The block that is open.
    open: Option<Block>,
    /// The number of the next block.
    next: u64,
    turns: InTurn,
    is_stopped: bool,
    is_over: bool,
    has_failed: bool,
    usage: Usage,
    /// What a payload is made in.
    payload: Vec<u8>,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Text,
    /// A text that has a citation.
    Cited,
    Thought,
    /// A thought that is sealed.
    Sealed,
    Call,
    Image,
}

// === impl Writer ===

impl StreamWriter for Writer {
    fn write(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if self.is_over {
            return;
        }
        match delta {
            Delta::Start { usage, .. } => {
                self.usage = usage.unwrap_or(self.usage);
                self.start(out);
            }
            Delta::Usage(usage) => self.usage = *usage,
            Delta::Ping => {}
            Delta::Error(fault) => self.fail(fault, out),
            Delta::End => self.end(out, dropped),
            Delta::Finish { choice: 0, finish, stop_sequence } => {
                self.stop(*finish, stop_sequence.as_deref(), out, dropped);
            }
            Delta::Logprobs { .. } => dropped.field("logprobs"),
            piece => self.piece(piece, out, dropped),
        }
    }

    fn held(&self) -> usize {
        self.turns.held()
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }
}

impl Writer {
    pub(super) fn new(to: Writing) -> Self {
        Writer {
            is_started: to.resumed,
            to,
            open: None,
            next: 0,
            turns: InTurn::default(),
            is_stopped: false,
            is_over: false,
            has_failed: false,
            usage: Usage::default(),
            payload: Vec::new(),
        }
    }

    /// One event; `fill` writes its members.
    fn event(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.payload.clear();
        write_object(&mut self.payload, fill);
        frames::write(out, name, &self.payload);
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_started, true) {
            self.event("messageStart", out, |o| o.text("role", "assistant"));
        }
    }

    fn piece(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        match delta {
            Delta::Text { choice: 0, text } | Delta::Refusal { choice: 0, text } => {
                // A text that has a citation is over.
                self.be_in(Block::Text, &[], out, dropped);
                self.delta(out, |o| o.text("text", text));
            }
            Delta::Reasoning { choice: 0, text } => {
                self.be_in(Block::Thought, &[], out, dropped);
                self.delta(out, |o| o.object("reasoningContent", |o| o.text("text", text)));
            }
            Delta::Signature { choice: 0, signature } => {
                self.be_in(Block::Thought, &[], out, dropped);
                let seal = signature.for_client(Format::Converse);
                self.delta(out, |o| o.object("reasoningContent", |o| o.text("signature", &seal)));
                self.open = Some(Block::Sealed);
            }
            Delta::Redacted { choice: 0, data } => {
                self.be_in(Block::Thought, &[], out, dropped);
                let blob = names::blob(data);
                self.delta(out, |o| o.object("reasoningContent", |o| o.text("redactedContent", &blob)));
                self.open = Some(Block::Sealed);
            }
            Delta::Citation { choice: 0, citation } => {
                self.be_in(Block::Text, &[Block::Cited], out, dropped);
                self.delta(out, |o| o.object("citation", |o| cite::write(citation, o, dropped)));
                self.open = Some(Block::Cited);
            }
            Delta::ToolCall { choice: 0, .. } => self.call(delta, out, dropped),
            Delta::Media { choice: 0, media } => self.media(media, out, dropped),
            // Of any other answer than the first.
            _ => dropped.field("choices"),
        }
    }

    fn call(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        match self.turns.push(delta) {
            Ok(Turn::Begin(call)) => {
                self.start(out);
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
            self.stop_block(out);
            self.begin_call(&call, out, dropped);
        }
    }

    fn begin_call(&mut self, call: &Call, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if call.signature.is_some() {
            dropped.field("tool_calls[].signature");
        }
        let id = match call.id.is_empty() {
            true => answer::call_id(&self.to, call.index as usize),
            false => call.id.clone(),
        };
        let block = self.next;
        self.event("contentBlockStart", out, |o| {
            o.object("start", |o| {
                o.object("toolUse", |o| {
                    o.text("toolUseId", &id);
                    o.text("name", &call.name);
                });
            });
            o.number("contentBlockIndex", block);
        });
        self.open = Some(Block::Call);
        self.turns.begin(call);
        self.go_on(&call.arguments, out);
    }

    fn go_on(&mut self, arguments: &str, out: &mut Vec<u8>) {
        if !arguments.is_empty() {
            self.delta(out, |o| o.object("toolUse", |o| o.text("input", arguments)));
        }
    }

    fn media(&mut self, media: &Media<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        // There is no sound in a stream.
        let format = answer::format_of(media).filter(|_| media.kind == crate::llm::part::MediaKind::Image);
        let (Some(format), Source::Base64(data)) = (format, &media.source) else {
            return dropped.field(answer::lost(media));
        };
        self.start(out);
        self.close(out, dropped);
        let block = self.next;
        self.event("contentBlockStart", out, |o| {
            o.object("start", |o| o.object("image", |o| o.text("format", format)));
            o.number("contentBlockIndex", block);
        });
        self.open = Some(Block::Image);
        self.delta(out, |o| o.object("image", |o| o.object("source", |o| o.text("bytes", data))));
        self.close(out, dropped);
    }

    /// Sees to it that a block of this kind is open, or one of those that go on with it.
    fn be_in(&mut self, block: Block, also: &[Block], out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.start(out);
        if self.open.is_some_and(|open| open == block || also.contains(&open)) {
            return;
        }
        self.close(out, dropped);
        // A block that is no call has no `contentBlockStart`.
        self.open = Some(block);
    }

    fn delta(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let block = self.next;
        self.event("contentBlockDelta", out, |o| {
            o.object("delta", fill);
            o.number("contentBlockIndex", block);
        });
    }

    /// Ends the block that is open, and writes the calls that waited for its end.
    fn close(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.stop_block(out);
        for call in self.turns.close() {
            self.begin_call(&call, out, dropped);
            self.stop_block(out);
        }
        self.turns.close();
    }

    fn stop_block(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            let block = self.next;
            self.next += 1;
            self.event("contentBlockStop", out, |o| o.number("contentBlockIndex", block));
        }
    }

    fn stop(&mut self, finish: Finish, sequence: Option<&str>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        if std::mem::replace(&mut self.is_stopped, true) {
            return;
        }
        self.start(out);
        self.close(out, dropped);
        let reason = answer::reason(finish, dropped);
        self.event("messageStop", out, |o| {
            o.text("stopReason", reason);
            if let Some(sequence) = sequence {
                o.object("additionalModelResponseFields", |o| o.text("stop_sequence", sequence));
            }
        });
    }

    fn end(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.stop(Finish::Stop, None, out, dropped);
        let usage = self.usage;
        self.event("metadata", out, |o| {
            o.object("usage", |o| answer::write_usage(&usage, o));
            // How long it took is not known here; the member is required.
            o.object("metrics", |o| o.number("latencyMs", 0));
        });
        self.is_over = true;
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        fault::write_in_stream(fault.kind, &fault.message, out);
        (self.is_over, self.has_failed) = (true, true);
    }
}
