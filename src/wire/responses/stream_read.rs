//! Reads the events of a stream (API reference "Streaming events", 2026-10).
//!
//! What a `done` event repeats counts only where no piece of it came before: some who imitate this API
//! send nothing else. Events of tools that the provider runs by itself are dropped by name.

use super::fault;
use super::item_read::{
    OUTPUT, PARAGRAPH, Thought, elements, kind_of, read_annotation, read_call, read_image, read_thought,
};
use super::reply::{read_finish, read_output};
use crate::base::json::Tree;
use crate::base::json::tree::Value;
use crate::llm::part::Citation;
use crate::llm::reply::Choice;
use crate::llm::{Content, Delta, Dropped, Reply, Signature};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::{custom, scan, sse};

/// Items that are told apart; a stream with more is not a real one.
const MAX_ITEMS: usize = 1024;

/// Citations of one text that are kept until it ends.
const MAX_CITATIONS: usize = 1024;

/// Bytes of what they say.
const MAX_CITED: usize = 1 << 20;

/// Reads one stream.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    over: bool,
    items: Vec<Item>,
    calls: u32,
    /// Of the text that is being said. They follow it, so that it stays in one piece.
    citations: Vec<Citation<'static>>,
    /// Bytes of them.
    cited: usize,
    /// Of the call that comes next.
    seal: Option<Signature<'static>>,
}

/// An item that has begun.
struct Item {
    /// The provider's number.
    output: u64,
    /// Ours, of a call.
    call: u32,
    /// The last of its parts of which a piece came.
    heard: Option<u64>,
    /// A citation of that part came.
    cited: bool,
}

/// The kinds of parts, told apart beside their number.
#[derive(Clone, Copy)]
enum Part {
    Text,
    Refusal,
    Summary,
    Thought,
    Arguments,
    /// Of a custom tool.
    Input,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if event.data.is_empty() || event.data == b"[DONE]"[..] || self.over {
            return Ok(());
        }
        let tree = Tree::read(&event.data).map_err(|_| Unreadable("an event of its stream is no JSON"))?;
        let root = tree.root();
        let kind = kind_of(root);
        if kind.is_empty() {
            return Err(Unreadable("an event of its stream has no type"));
        }
        self.event(&kind, root, out, dropped)
    }

    fn held(&self) -> usize {
        self.cited + self.seal.as_ref().map_or(0, |seal| seal.data.len())
    }
}

// === impl Reader ===

impl Reader {
    fn event(
        &mut self,
        kind: &str,
        root: Value<'_, '_>,
        out: &mut Vec<Delta>,
        dropped: &mut Dropped,
    ) -> Result<(), Unreadable> {
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => self.start(root, out),
            "response.output_item.added" => self.added(root, out, dropped),
            "response.output_item.done" => self.done(root, out, dropped),
            "response.content_part.added" | "response.reasoning_summary_part.added" => {}
            "response.reasoning_summary_part.done" => {}
            // The image itself comes with its item.
            "response.image_generation_call.in_progress" | "response.image_generation_call.generating" => {}
            "response.image_generation_call.completed" => {}
            "response.content_part.done" => self.part_done(root, out, dropped),
            "response.output_text.delta" => self.piece(root, Part::Text, "delta", out),
            "response.output_text.done" => self.rest(root, Part::Text, "text", out),
            "response.output_text.annotation.added" => self.cite(root.get("annotation"), root, dropped),
            "response.refusal.delta" => self.piece(root, Part::Refusal, "delta", out),
            "response.refusal.done" => self.rest(root, Part::Refusal, "refusal", out),
            "response.function_call_arguments.delta" => self.piece(root, Part::Arguments, "delta", out),
            "response.function_call_arguments.done" => self.rest(root, Part::Arguments, "arguments", out),
            "response.custom_tool_call_input.delta" => self.piece(root, Part::Input, "delta", out),
            "response.custom_tool_call_input.done" => self.rest(root, Part::Input, "input", out),
            "response.reasoning_summary_text.delta" => self.piece(root, Part::Summary, "delta", out),
            "response.reasoning_summary_text.done" => self.rest(root, Part::Summary, "text", out),
            "response.reasoning_text.delta" => self.piece(root, Part::Thought, "delta", out),
            "response.reasoning_text.done" => self.rest(root, Part::Thought, "text", out),
            "response.completed" | "response.incomplete" => self.end(root, out, dropped)?,
            "response.failed" | "response.cancelled" | "error" => self.fail(root, out),
            "keepalive" | "ping" => out.push(Delta::Ping),
            other => dropped.field(other.to_owned()),
        }
        Ok(())
    }

    fn start(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let response = root.get("response");
        let text = |key: &str| response.and_then(|response| response.get(key)?.text()).unwrap_or_default().into_owned();
        let created = response.and_then(|response| response.get("created_at")?.whole()).unwrap_or(0);
        out.push(Delta::Start { id: text("id"), model: text("model"), created, usage: None });
    }

    /// Which of the items an event is of: the one of its number, or the last where it has none.
    fn find(&mut self, root: Value<'_, '_>) -> Option<usize> {
        match root.get("output_index").and_then(Value::whole) {
            Some(output) => self.items.iter().rposition(|item| item.output == output),
            None => self.items.len().checked_sub(1),
        }
    }

    /// The same, begun where it was not.
    fn item(&mut self, root: Value<'_, '_>) -> Option<&mut Item> {
        let at = match self.find(root) {
            Some(at) => at,
            None if self.items.len() >= MAX_ITEMS => return None,
            None => {
                let output = root.get("output_index").and_then(Value::whole).unwrap_or(self.items.len() as u64);
                self.items.push(Item { output, call: 0, heard: None, cited: false });
                self.items.len() - 1
            }
        };
        self.items.get_mut(at)
    }

    fn added(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let Some(item) = root.get("item") else { return };
        self.flush(out);
        let is_call = matches!(&*kind_of(item), "function_call" | "custom_tool_call");
        if !is_call {
            self.seal = None;
        }
        if self.find(root).is_some() && root.get("output_index").is_some() {
            return;
        }
        if root.get("output_index").is_none() && self.items.len() < MAX_ITEMS {
            let output = self.items.len() as u64;
            self.items.push(Item { output, call: 0, heard: None, cited: false });
        }
        let call = self.calls;
        let Some(known) = self.item(root) else { return dropped.field("output[]") };
        if is_call {
            known.call = call;
            self.begin(item, out, dropped);
        }
    }

    /// A call begins. What it has of its arguments by now comes again when it is done.
    fn begin(&mut self, item: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let call = read_call(item, OUTPUT, dropped);
        out.push(Delta::ToolCall {
            choice: 0,
            index: self.calls,
            id: Some(call.id.into_owned()),
            name: Some(call.name.into_owned()),
            arguments: String::new(),
            signature: self.seal.take(),
        });
        self.calls += 1;
    }

    /// A piece of a part.
    fn piece(&mut self, root: Value<'_, '_>, part: Part, key: &str, out: &mut Vec<Delta>) {
        let Some(text) = root.get(key).and_then(Value::text).map(|text| text.into_owned()) else { return };
        let place = part.place(root);
        let Some(item) = self.item(root) else { return };
        let (call, before) = (item.call, item.heard.replace(place));
        let is_new = before != Some(place);
        if is_new {
            item.cited = false;
        }
        if is_new && matches!(part, Part::Text | Part::Refusal) {
            self.flush(out);
        }
        if is_new && before.is_some() && matches!(part, Part::Summary | Part::Thought) {
            out.push(Delta::Reasoning { choice: 0, text: PARAGRAPH.to_owned() });
        }
        let text = match part {
            // Its arguments are an object with the text in it.
            Part::Input if before.is_none() => [custom::OPEN, &custom::escaped(&text)].concat(),
            Part::Input => custom::escaped(&text),
            _ => text,
        };
        if !text.is_empty() {
            out.push(part.delta(text, call));
        }
        if let Some(tokens) = root.get("logprobs").and_then(elements) {
            out.push(Delta::Logprobs { choice: 0, tokens: tokens.to_owned() });
        }
    }

    /// A part that is done: all of it, where no piece came.
    fn rest(&mut self, root: Value<'_, '_>, part: Part, key: &str, out: &mut Vec<Delta>) {
        let place = part.place(root);
        if self.item(root).is_some_and(|item| item.heard != Some(place)) {
            self.piece(root, part, key, out);
        }
    }

    fn cite(&mut self, annotation: Option<Value<'_, '_>>, root: Value<'_, '_>, dropped: &mut Dropped) {
        let citation = annotation.and_then(|value| read_annotation(value, OUTPUT, dropped));
        let Some(citation) = citation.map(Citation::into_owned) else { return };
        let texts = [&citation.url, &citation.title, &citation.quote];
        let bytes: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        if self.citations.len() >= MAX_CITATIONS || self.cited + bytes > MAX_CITED {
            return dropped.field("output[].content[].annotations");
        }
        self.cited += bytes;
        self.citations.push(citation);
        if let Some(item) = self.item(root) {
            item.cited = true;
        }
    }

    /// A text is over, and its citations come.
    fn flush(&mut self, out: &mut Vec<Delta>) {
        let cite = |citation| Delta::Citation { choice: 0, citation: Box::new(citation) };
        self.cited = 0;
        out.extend(self.citations.drain(..).map(cite));
    }

    fn part_done(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let Some(part) = root.get("part") else { return };
        match &*kind_of(part) {
            "output_text" => self.rest_of(root, part, Part::Text, "text", out),
            "refusal" => self.rest_of(root, part, Part::Refusal, "refusal", out),
            "reasoning_text" => self.rest_of(root, part, Part::Thought, "text", out),
            _ => {}
        }
        if self.item(root).is_some_and(|item| !item.cited) {
            for annotation in part.get("annotations").into_iter().flat_map(Value::elements) {
                self.cite(Some(annotation), root, dropped);
            }
        }
        self.flush(out);
    }

    /// As [`Reader::rest`], of a part that stands in an object of its own.
    fn rest_of(&mut self, root: Value<'_, '_>, value: Value<'_, '_>, part: Part, key: &str, out: &mut Vec<Delta>) {
        let place = part.place(root);
        let text = value.get(key).and_then(Value::text).filter(|text| !text.is_empty());
        let Some(item) = self.item(root).filter(|item| item.heard != Some(place)) else { return };
        let call = item.call;
        if let Some(text) = text {
            item.heard = Some(place);
            out.push(part.delta(text.into_owned(), call));
        }
    }

    fn done(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let Some(value) = root.get("item") else { return };
        self.flush(out);
        let kind = kind_of(value);
        let is_new = self.find(root).is_none();
        let Some(item) = self.item(root) else { return dropped.field("output[]") };
        let (is_heard, call) = (item.heard.is_some(), item.call);
        item.heard = Some(u64::MAX);
        match &*kind {
            "custom_tool_call" if is_heard => {
                out.push(Part::Arguments.delta(custom::CLOSE.to_owned(), call));
            }
            "function_call" | "custom_tool_call" => {
                let call = if is_new { self.calls } else { call };
                if is_new {
                    self.begin(value, out, dropped);
                }
                let arguments = read_call(value, OUTPUT, dropped).arguments.into_owned();
                if !is_heard && !arguments.is_empty() {
                    out.push(Part::Arguments.delta(arguments, call));
                }
            }
            "reasoning" => self.thought_done(value, is_heard, out, dropped),
            "image_generation_call" => match read_image(value) {
                Some(media) => out.push(Delta::Media { choice: 0, media: Box::new(media.into_owned()) }),
                None => dropped.inside(OUTPUT.item, &kind),
            },
            "message" if is_heard => {}
            "message" => {
                let mut choice = Choice::default();
                super::reply::read_message(value, &mut choice, dropped);
                self.push_choice(choice, out);
            }
            other => dropped.inside(OUTPUT.item, other),
        }
    }

    fn thought_done(&mut self, item: Value<'_, '_>, heard: bool, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        match read_thought(item, OUTPUT, dropped) {
            Thought::Said(Content::Reasoning { text, signature }) => {
                if !heard && !text.is_empty() {
                    out.push(Delta::Reasoning { choice: 0, text: text.into_owned() });
                }
                let signature = signature.map(Signature::into_owned);
                out.extend(signature.map(|signature| Delta::Signature { choice: 0, signature }));
            }
            Thought::Said(Content::Redacted(data)) => {
                let signature = data.into_owned();
                out.push(match heard {
                    true => Delta::Signature { choice: 0, signature },
                    false => Delta::Redacted { choice: 0, data: signature },
                });
            }
            Thought::OfCall(seal) => self.seal = Some(seal.into_owned()),
            Thought::Said(_) | Thought::Nothing => {}
        }
    }

    /// What was read in one piece, as steps.
    fn push_choice(&mut self, choice: Choice, out: &mut Vec<Delta>) {
        let reply = Reply { choices: vec![choice], ..Reply::default() };
        let ends = |delta: &Delta| matches!(delta, Delta::Start { .. } | Delta::End);
        out.extend(reply.steps().into_iter().filter(|delta| !ends(delta)));
    }

    fn end(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        let response = root.get("response").ok_or(Unreadable("the end of its stream has no response"))?;
        self.start(root, out);
        self.flush(out);
        let mut has_calls = self.calls > 0;
        if let Some(output) = response.get("output").filter(|_| self.items.is_empty()) {
            let choice = read_output(output, dropped);
            has_calls = choice.tool_calls().next().is_some();
            self.push_choice(choice, out);
        }
        let finish = read_finish(response, has_calls, dropped)?;
        out.push(Delta::finish(finish));
        out.extend(response.get("usage").and_then(|usage| scan::read_usage(usage.raw())).map(Delta::Usage));
        out.push(Delta::End);
        self.over = true;
        Ok(())
    }

    fn fail(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>) {
        let error = root.get("error").or_else(|| root.get("response")?.get("error")).unwrap_or(root);
        out.push(Delta::Error(fault::read_event(error)));
        out.push(Delta::End);
        self.over = true;
    }
}

// === impl Part ===

impl Part {
    /// A number for a part of an item, and for what kind of part it is.
    fn place(self, root: Value<'_, '_>) -> u64 {
        let key = if matches!(self, Part::Summary) { "summary_index" } else { "content_index" };
        let index = root.get(key).and_then(Value::whole).unwrap_or(0);
        index.saturating_mul(8).saturating_add(self as u64)
    }

    fn delta(self, text: String, call: u32) -> Delta {
        let choice = 0;
        match self {
            Part::Text => Delta::Text { choice, text },
            Part::Refusal => Delta::Refusal { choice, text },
            Part::Summary | Part::Thought => Delta::Reasoning { choice, text },
            Part::Arguments | Part::Input => {
                Delta::ToolCall { choice, index: call, id: None, name: None, arguments: text, signature: None }
            }
        }
    }
}
