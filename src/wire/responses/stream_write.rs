//! Writes the events of a stream (API reference "Streaming events", 2026-10), in the order in which the
//! official SDKs want them: a response is created, each item is added, said and done, and the last event
//! repeats the whole response.
//!
//! That repetition is why the answer is kept here: at most [`MOST`] bytes of it. A longer one ends with an
//! error rather than with a response that leaves something out.

use super::fault::write_event;
use super::item_write::{
    call_seal, is_citable, is_image, name_of, seal_of, write_annotation, write_image, write_thought,
};
use super::open::{Call, Events, Message, Thought};
use super::response::{Head, State};
use crate::base::json::write_object;
use crate::llm::part::{Citation, Media};
use crate::llm::{Delta, Dropped, Fault, FaultKind, Finish, Format, Signature, Usage};
use crate::wire::codec::{StreamWriter, Writing};
use crate::wire::custom::Text;

/// Bytes of an answer that are kept.
const MOST: usize = 8 << 20;

/// Calls that are told apart; a stream with more is not a real one.
const MAX_CALLS: u32 = 1024;

/// Writes one stream.
pub(super) struct Writer {
    to: Writing,
    head: Head,
    phase: Phase,
    events: Events,
    /// The items that are done, in order, as JSON, commas between them.
    output: Vec<u8>,
    /// Items so far, done or not.
    items: u64,
    /// What is being said: a message, a thought, or calls, of which a provider may make several at once.
    message: Option<Message>,
    thought: Option<Thought>,
    calls: Vec<Call>,
    /// Calls so far.
    called: u32,
    /// Elements that wait for the text that they are of.
    logprobs: String,
    refused: bool,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Running,
    Over,
    Failed,
}

impl StreamWriter for Writer {
    fn write(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        match delta {
            _ if matches!(self.phase, Phase::Over | Phase::Failed) => return,
            // What keeps an event stream alive is a comment.
            Delta::Ping => return out.extend_from_slice(b": ping\n\n"),
            Delta::Start { id, model, created, usage } => {
                self.usage = self.usage.or(*usage);
                return self.start(id, model, *created, out);
            }
            Delta::Usage(usage) => {
                self.usage = Some(*usage);
                return;
            }
            _ => self.start("", "", 0, out),
        }
        if delta.choice().unwrap_or_default() > 0 {
            // This API has one answer to a request.
            return dropped.field("choices");
        }
        self.piece(delta, out, dropped);
        if self.phase == Phase::Running && self.kept() > MOST {
            let message = format!("The answer is longer than the {MOST} bytes that a stream of this API can repeat.");
            self.fail(&Fault::in_stream(FaultKind::Server, message), out);
        }
    }

    fn held(&self) -> usize {
        self.kept()
    }

    fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }
}

// === impl Writer ===

impl Writer {
    pub fn new(to: Writing) -> Self {
        Writer {
            to,
            head: Head::default(),
            phase: Phase::Before,
            events: Events::default(),
            output: Vec::new(),
            items: 0,
            message: None,
            thought: None,
            calls: Vec::new(),
            called: 0,
            logprobs: String::new(),
            refused: false,
            finish: None,
            usage: None,
        }
    }

    fn start(&mut self, id: &str, model: &str, created: u64, out: &mut Vec<u8>) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Running;
        self.head = Head::new(&self.to, id, model, created);
        for kind in ["response.created", "response.in_progress"] {
            self.events.write(kind, out, |o| {
                o.object("response", |o| self.head.write(o, State::Running, None, |_| {}));
            });
        }
    }

    fn piece(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        match delta {
            Delta::Text { text, .. } => self.say(text, false, out),
            Delta::Refusal { text, .. } => {
                self.refused = true;
                self.say(text, true, out);
            }
            Delta::Reasoning { text, .. } if text.is_empty() => {}
            Delta::Reasoning { text, .. } => self.think(text, out),
            Delta::Signature { signature, .. } => self.seal(signature, out),
            Delta::Redacted { data, .. } => self.redact(data, out),
            Delta::ToolCall { .. } => self.call(delta, out, dropped),
            Delta::Citation { citation, .. } => self.cite(citation, out, dropped),
            Delta::Media { media, .. } if is_image(media) => self.image(media, out),
            Delta::Media { media, .. } => dropped.field(name_of(media)),
            Delta::Logprobs { tokens, .. } => self.tell(tokens, out),
            Delta::Finish { finish, stop_sequence, .. } => {
                dropped.ending(Some(*finish), stop_sequence.is_some());
                self.finish = Some(*finish);
            }
            Delta::Error(fault) => self.fail(fault, out),
            Delta::End => self.end(out, dropped),
            Delta::Start { .. } | Delta::Usage(_) | Delta::Ping => {}
        }
    }

    fn state(&self) -> State<'static> {
        State::of_finish(self.finish, self.refused)
    }

    /// Bytes of the answer that are held.
    fn kept(&self) -> usize {
        let said = self.message.as_ref().map_or(0, Message::len) + self.thought.as_ref().map_or(0, Thought::len);
        let called: usize = self.calls.iter().map(Call::len).sum();
        self.output.len() + said + called + self.logprobs.len()
    }

    /// The number and the id of the next item.
    fn next(&mut self, prefix: &str) -> (u64, String) {
        let index = self.items;
        self.items += 1;
        (index, format!("{prefix}_{}_{index}", self.to.id))
    }

    /// Text, or a refusal.
    fn say(&mut self, text: &str, is_refusal: bool, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if self.message.is_none() {
            self.close(out);
            let (index, id) = self.next("msg");
            self.message = Some(Message::begin(index, id, &mut self.events, out));
        }
        let logprobs = if is_refusal { String::new() } else { std::mem::take(&mut self.logprobs) };
        if let Some(message) = &mut self.message {
            message.say(text, is_refusal, &logprobs, &mut self.events, out);
        }
    }

    /// Elements of the log probabilities of the text before them, or behind them where none was said yet.
    fn tell(&mut self, tokens: &str, out: &mut Vec<u8>) {
        // Between elements there may be line ends, which the data of an event here must not have.
        let tokens = tokens.replace(['\n', '\r'], " ");
        match &mut self.message {
            Some(message) if message.text().is_some() => message.say("", false, &tokens, &mut self.events, out),
            _ => {
                if !self.logprobs.is_empty() {
                    self.logprobs.push(',');
                }
                self.logprobs.push_str(&tokens);
            }
        }
    }

    fn cite(&mut self, citation: &Citation<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let Some(message) = self.message.as_mut().filter(|_| is_citable(citation)) else {
            return dropped.field("citations");
        };
        let Some(text) = message.text() else { return dropped.field("citations") };
        let mut annotation = Vec::with_capacity(128);
        write_object(&mut annotation, |o| write_annotation(o, citation, text, dropped));
        message.cite(&annotation, &mut self.events, out);
    }

    fn think(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.thought.is_none() {
            self.close(out);
            let (index, id) = self.next("rs");
            self.thought = Some(Thought::begin(index, id, &mut self.events, out));
        }
        if let Some(thought) = &mut self.thought {
            thought.say(text, &mut self.events, out);
        }
    }

    /// The seal of the thought before it, or of one of which nothing else is told.
    fn seal(&mut self, signature: &Signature<'_>, out: &mut Vec<u8>) {
        let thought = self.thought.take().unwrap_or_else(|| {
            self.close(out);
            let (index, id) = self.next("rs");
            Thought::begin(index, id, &mut self.events, out)
        });
        let seal = signature.for_client(Format::Responses);
        thought.end(Some(&seal), &mut self.events, out, &mut self.output);
    }

    fn redact(&mut self, data: &Signature<'_>, out: &mut Vec<u8>) {
        self.close(out);
        let (index, made) = self.next("rs");
        let (id, seal) = seal_of(data, made);
        self.sealed(index, &id, &seal, out);
    }

    /// An item that is nothing but a seal.
    fn sealed(&mut self, index: u64, id: &str, seal: &str, out: &mut Vec<u8>) {
        self.events.item("response.output_item.added", index, out, |o| write_thought(o, id, None, None));
        self.events.done(index, out, &mut self.output, |o| write_thought(o, id, None, Some(seal)));
    }

    fn call(&mut self, delta: &Delta, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let Delta::ToolCall { index: number, id, name, arguments, signature, .. } = delta else { return };
        if *number >= self.called {
            if self.called >= MAX_CALLS {
                return dropped.field("tool_calls[]");
            }
            self.called = number.saturating_add(1);
            self.begin_call(*number, id.as_deref(), name.as_deref(), signature.as_ref(), out);
        }
        match self.calls.iter_mut().find(|call| call.number == *number) {
            Some(_) if arguments.is_empty() => {}
            Some(call) => call.say(arguments, &mut self.events, out),
            // The call is over: what was there of it was whole, or something else was said since.
            None if arguments.trim().is_empty() => {}
            None => dropped.field("tool_calls[].function.arguments"),
        }
    }

    fn begin_call(
        &mut self,
        number: u32,
        id: Option<&str>,
        name: Option<&str>,
        signature: Option<&Signature<'_>>,
        out: &mut Vec<u8>,
    ) {
        self.close_said(out);
        // Calls that are whole are over, so that what is done is done in order; others may go on.
        while self.calls.first().is_some_and(Call::is_whole) {
            let call = self.calls.remove(0);
            call.end("completed", &mut self.events, out, &mut self.output);
        }
        if let Some(signature) = signature {
            self.close(out);
            let (index, id) = self.next("rs");
            self.sealed(index, &id, &call_seal(signature), out);
        }
        let name = name.unwrap_or_default().to_owned();
        let text = self.to.custom.has(&name).then(Text::default);
        let (index, item_id) = self.next(if text.is_some() { "ctc" } else { "fc" });
        let id = match id.filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => format!("call_{}_{index}", self.to.id),
        };
        let call = Call { number, index, item_id, id, name, arguments: String::new(), text };
        call.begin(&mut self.events, out);
        self.calls.push(call);
    }

    fn image(&mut self, media: &Media<'_>, out: &mut Vec<u8>) {
        self.close(out);
        let (index, id) = self.next("ig");
        self.events.item("response.output_item.added", index, out, |o| write_image(o, &id, "in_progress", None));
        self.events.write("response.image_generation_call.completed", out, |o| {
            o.text("item_id", &id);
            o.number("output_index", index);
        });
        self.events.done(index, out, &mut self.output, |o| write_image(o, &id, "completed", Some(media)));
    }

    /// Ends the message or the thought that is being said.
    fn close_said(&mut self, out: &mut Vec<u8>) {
        let status = self.state().of_item();
        if let Some(thought) = self.thought.take() {
            thought.end(None, &mut self.events, out, &mut self.output);
        }
        if let Some(message) = self.message.take() {
            message.end(status, &mut self.events, out, &mut self.output);
        }
    }

    /// Ends all that is being said.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.close_said(out);
        let status = self.state().of_item();
        for call in self.calls.drain(..) {
            call.end(status, &mut self.events, out, &mut self.output);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>, dropped: &mut Dropped) {
        self.close(out);
        if !self.logprobs.is_empty() {
            dropped.field("logprobs");
        }
        let state = self.state();
        let kind = match state {
            State::Incomplete(_) => "response.incomplete",
            _ => "response.completed",
        };
        self.last(kind, state, out);
    }

    /// As the provider itself does it: an event that says what is wrong, and the response that failed of it.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.events.write("error", out, |o| write_event(o, fault));
        self.last("response.failed", State::Failed(fault), out);
        self.phase = Phase::Failed;
    }

    fn last(&mut self, kind: &str, state: State<'_>, out: &mut Vec<u8>) {
        let output = std::str::from_utf8(&self.output).unwrap_or_default();
        self.events.write(kind, out, |o| {
            o.object("response", |o| self.head.write(o, state, self.usage.as_ref(), |a| a.raw(output)));
        });
        self.phase = Phase::Over;
        self.output = Vec::new();
        (self.message, self.thought) = (None, None);
        self.calls.clear();
    }
}
