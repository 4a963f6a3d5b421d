//! The items of a stream that are being said: each begins, grows and ends with its own events.

use super::item_write::{self, write_message, write_output_text, write_refusal, write_text, write_thought};
use crate::base::json::{ObjectWriter, Tree, write_object};
use crate::wire::custom::Text;

/// Numbers the events as they go out.
#[derive(Default)]
pub(super) struct Events {
    sequence: u64,
}

/// A message, and the part of it that is being said.
pub(super) struct Message {
    index: u64,
    id: String,
    /// The parts that are done, as JSON, commas between them.
    content: Vec<u8>,
    parts: u64,
    part: Option<Part>,
}

struct Part {
    is_refusal: bool,
    text: String,
    /// As JSON, commas between them.
    annotations: Vec<u8>,
    cited: u64,
    logprobs: String,
}

/// A thought that is being told, as the one paragraph of its summary.
pub(super) struct Thought {
    index: u64,
    id: String,
    text: String,
}

/// A call that is being made.
pub(super) struct Call {
    /// The provider's number of it.
    pub number: u32,
    pub index: u64,
    pub item_id: String,
    pub id: String,
    pub name: String,
    /// What was said of them, or of the text of a custom tool.
    pub arguments: String,
    /// The text of a custom tool in arguments that are not said.
    pub text: Option<Text>,
}

// === impl Events ===

impl Events {
    /// Writes one event; `fill` writes what is behind its type and number.
    pub fn write(&mut self, kind: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        write_object(out, |o| {
            o.text("type", kind);
            o.number("sequence_number", self.sequence);
            fill(o);
        });
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    /// Writes an event of an item as a whole.
    pub fn item(&mut self, kind: &str, index: u64, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.write(kind, out, |o| {
            o.number("output_index", index);
            o.object("item", fill);
        });
    }

    /// Writes the event with which an item is done, and keeps the item.
    pub fn done(
        &mut self,
        index: u64,
        out: &mut Vec<u8>,
        output: &mut Vec<u8>,
        fill: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        let mut item = Vec::new();
        write_object(&mut item, fill);
        let json = std::str::from_utf8(&item).unwrap_or("{}");
        self.write("response.output_item.done", out, |o| {
            o.number("output_index", index);
            o.raw("item", json);
        });
        push(output, &item);
    }
}

/// Adds an element to a list of them.
pub(super) fn push(list: &mut Vec<u8>, element: &[u8]) {
    if !list.is_empty() {
        list.push(b',');
    }
    list.extend_from_slice(element);
}

fn text_of(list: &[u8]) -> &str {
    std::str::from_utf8(list).unwrap_or_default()
}

// === impl Message ===

impl Message {
    pub fn begin(index: u64, id: String, events: &mut Events, out: &mut Vec<u8>) -> Self {
        events.item("response.output_item.added", index, out, |o| write_message(o, &id, "in_progress", ""));
        Message { index, id, content: Vec::new(), parts: 0, part: None }
    }

    /// The text that is being said; none of a refusal, or before the first.
    pub fn text(&self) -> Option<&str> {
        self.part.as_ref().filter(|part| !part.is_refusal).map(|part| &*part.text)
    }

    /// Bytes that are kept.
    pub fn len(&self) -> usize {
        let part = self.part.as_ref().map_or(0, |part| part.text.len() + part.annotations.len() + part.logprobs.len());
        self.content.len() + part
    }

    /// Says a piece. A text that was cited is over, and the next one is a part of its own.
    pub fn say(&mut self, text: &str, is_refusal: bool, logprobs: &str, events: &mut Events, out: &mut Vec<u8>) {
        let is_over = |part: &Part| part.is_refusal != is_refusal || (part.cited > 0 && !text.is_empty());
        if self.part.as_ref().is_some_and(is_over) {
            self.end_part(events, out);
        }
        if self.part.is_none() {
            self.begin_part(is_refusal, events, out);
        }
        let kind = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.event(kind, events, out, |o| {
            o.text("delta", text);
            if !is_refusal {
                o.array("logprobs", |a| a.raw(logprobs));
            }
        });
        let Some(part) = &mut self.part else { return };
        part.text.push_str(text);
        if !logprobs.is_empty() {
            if !part.logprobs.is_empty() {
                part.logprobs.push(',');
            }
            part.logprobs.push_str(logprobs);
        }
    }

    /// Adds an annotation to the text.
    pub fn cite(&mut self, annotation: &[u8], events: &mut Events, out: &mut Vec<u8>) {
        let cited = self.part.as_ref().map_or(0, |part| part.cited);
        self.event("response.output_text.annotation.added", events, out, |o| {
            o.number("annotation_index", cited);
            o.raw("annotation", text_of(annotation));
        });
        if let Some(part) = &mut self.part {
            part.cited += 1;
            push(&mut part.annotations, annotation);
        }
    }

    pub fn end(mut self, status: &str, events: &mut Events, out: &mut Vec<u8>, output: &mut Vec<u8>) {
        self.end_part(events, out);
        events.done(self.index, out, output, |o| write_message(o, &self.id, status, text_of(&self.content)));
    }

    fn begin_part(&mut self, is_refusal: bool, events: &mut Events, out: &mut Vec<u8>) {
        let part = Part { is_refusal, text: String::new(), annotations: Vec::new(), cited: 0, logprobs: String::new() };
        self.event("response.content_part.added", events, out, |o| o.object("part", |o| part.write(o)));
        self.part = Some(part);
    }

    fn end_part(&mut self, events: &mut Events, out: &mut Vec<u8>) {
        let Some(part) = self.part.take() else { return };
        match part.is_refusal {
            true => self.event("response.refusal.done", events, out, |o| o.text("refusal", &part.text)),
            false => self.event("response.output_text.done", events, out, |o| {
                o.text("text", &part.text);
                o.array("logprobs", |a| a.raw(&part.logprobs));
            }),
        }
        self.event("response.content_part.done", events, out, |o| o.object("part", |o| part.write(o)));
        let mut json = Vec::new();
        write_object(&mut json, |o| part.write(o));
        push(&mut self.content, &json);
        self.parts += 1;
    }

    fn event(&self, kind: &str, events: &mut Events, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        events.write(kind, out, |o| {
            o.text("item_id", &self.id);
            o.number("output_index", self.index);
            o.number("content_index", self.parts);
            fill(o);
        });
    }
}

// === impl Part ===

impl Part {
    fn write(&self, o: &mut ObjectWriter<'_>) {
        match self.is_refusal {
            true => write_refusal(o, &self.text),
            false => write_output_text(o, &self.text, text_of(&self.annotations), &self.logprobs),
        }
    }
}

// === impl Thought ===

impl Thought {
    pub fn begin(index: u64, id: String, events: &mut Events, out: &mut Vec<u8>) -> Self {
        events.item("response.output_item.added", index, out, |o| write_thought(o, &id, None, None));
        let thought = Thought { index, id, text: String::new() };
        thought.event("response.reasoning_summary_part.added", events, out, |o| {
            o.object("part", |o| write_text(o, "summary_text", ""));
        });
        thought
    }

    /// Bytes that are kept.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn say(&mut self, text: &str, events: &mut Events, out: &mut Vec<u8>) {
        self.event("response.reasoning_summary_text.delta", events, out, |o| o.text("delta", text));
        self.text.push_str(text);
    }

    pub fn end(self, seal: Option<&str>, events: &mut Events, out: &mut Vec<u8>, output: &mut Vec<u8>) {
        self.event("response.reasoning_summary_text.done", events, out, |o| o.text("text", &self.text));
        self.event("response.reasoning_summary_part.done", events, out, |o| {
            o.object("part", |o| write_text(o, "summary_text", &self.text));
        });
        events.done(self.index, out, output, |o| write_thought(o, &self.id, Some(&self.text), seal));
    }

    fn event(&self, kind: &str, events: &mut Events, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        events.write(kind, out, |o| {
            o.text("item_id", &self.id);
            o.number("output_index", self.index);
            o.number("summary_index", 0);
            fill(o);
        });
    }
}

// === impl Call ===

impl Call {
    /// Announces the call. What it has of its arguments is said behind that.
    pub fn begin(&self, events: &mut Events, out: &mut Vec<u8>) {
        events.item("response.output_item.added", self.index, out, |o| self.write(o, "in_progress"));
    }

    /// Bytes that are kept.
    pub fn len(&self) -> usize {
        self.id.len() + self.name.len() + self.arguments.len() + self.text.as_ref().map_or(0, Text::len)
    }

    pub fn say(&mut self, piece: &str, events: &mut Events, out: &mut Vec<u8>) {
        let Some(text) = &mut self.text else {
            self.event("response.function_call_arguments.delta", events, out, |o| o.text("delta", piece));
            return self.arguments.push_str(piece);
        };
        let said = text.push(piece);
        self.say_text(&said, events, out);
    }

    fn say_text(&mut self, said: &str, events: &mut Events, out: &mut Vec<u8>) {
        if !said.is_empty() {
            self.event("response.custom_tool_call_input.delta", events, out, |o| o.text("delta", said));
            self.arguments.push_str(said);
        }
    }

    /// All of its arguments are there: nothing that may follow belongs to them.
    pub fn is_whole(&self) -> bool {
        self.text.as_ref().map_or_else(|| Tree::read(self.arguments.as_bytes()).is_ok(), Text::is_whole)
    }

    pub fn end(mut self, status: &str, events: &mut Events, out: &mut Vec<u8>, output: &mut Vec<u8>) {
        match &mut self.text {
            Some(text) => {
                let rest = text.end();
                self.say_text(&rest, events, out);
                self.event("response.custom_tool_call_input.done", events, out, |o| o.text("input", &self.arguments));
            }
            None => {
                if self.arguments.is_empty() {
                    self.say("{}", events, out);
                }
                self.event("response.function_call_arguments.done", events, out, |o| {
                    o.text("name", &self.name);
                    o.text("arguments", &self.arguments);
                });
            }
        }
        events.done(self.index, out, output, |o| self.write(o, status));
    }

    fn write(&self, o: &mut ObjectWriter<'_>, status: &str) {
        let Call { item_id, id, name, arguments, .. } = self;
        let is_custom = self.text.is_some();
        item_write::write_call(o, status, &item_write::Call { item_id, id, name, arguments, is_custom });
    }

    fn event(&self, kind: &str, events: &mut Events, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        events.write(kind, out, |o| {
            o.text("item_id", &self.item_id);
            o.number("output_index", self.index);
            fill(o);
        });
    }
}
