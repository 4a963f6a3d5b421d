//! A chat's stream of events, read: `message-start`, blocks, a plan, calls and citations, `message-end`.

use super::answer::{Ended, cited_block, read_call, read_citation, read_finish, read_logprobs};
use super::fault;
use crate::base::json::Tree;
use crate::base::json::tree::Value;
use crate::llm::{Delta, Dropped, Fault, FaultKind};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::{scan, sse};

/// Blocks and calls that are told apart; a stream that names more is not a real one.
const MOST: usize = 1024;

/// What some deployments send behind `message-end`.
const DONE: &[u8] = b"[DONE]";

/// Reads the events of one stream.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    ended: bool,
    /// Characters of the answer's text so far.
    said: u64,
    has_text: bool,
    /// Of each block its number, and how much of the text was before it.
    blocks: Vec<(u64, u64)>,
    /// The provider's number of each call.
    calls: Vec<u64>,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if event.data.is_empty() {
            return Ok(());
        }
        if event.data == DONE {
            if !std::mem::replace(&mut self.ended, true) {
                out.push(Delta::End);
            }
            return Ok(());
        }
        let tree = Tree::read(&event.data).map_err(|_| Unreadable("an event of its stream is no JSON"))?;
        let root = tree.root();
        let Some(kind) = root.get("type").and_then(Value::text) else {
            // An error is written as in an answer of its own.
            let message = root.get("message").and_then(Value::text);
            let message = message.ok_or(Unreadable("an event of its stream has no type"))?;
            out.push(error(FaultKind::Server, &message));
            return Ok(());
        };
        if kind == "message-start" {
            self.start(root.get("id").and_then(Value::text).unwrap_or_default().into_owned(), out);
        }
        let delta = root.get("delta");
        let message = delta.and_then(|delta| delta.get("message"));
        let index = root.get("index").and_then(Value::whole);
        match &*kind {
            "content-start" => {
                if self.blocks.len() < MOST {
                    self.blocks.push((index.unwrap_or(0), self.said));
                }
                self.read_content(message, out, dropped);
            }
            "content-delta" => {
                self.read_content(message, out, dropped);
                let tokens = root.get("logprobs").and_then(read_logprobs);
                out.extend(tokens.map(|tokens| Delta::Logprobs { choice: 0, tokens }));
            }
            "tool-plan-delta" => {
                let plan = message.and_then(|message| message.get("tool_plan")).and_then(Value::text);
                self.think(plan, out);
            }
            "tool-call-start" | "tool-call-delta" => self.read_call(index, &kind, message, out, dropped),
            "citation-start" => self.read_citations(message, out, dropped),
            "message-end" => self.read_end(delta, out, dropped),
            "message-start" | "content-end" | "tool-call-end" | "citation-end" | "debug" => {}
            other => dropped.inside("event ", other),
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    fn start(&mut self, id: String, out: &mut Vec<Delta>) {
        if !std::mem::replace(&mut self.started, true) {
            out.push(Delta::Start { id, model: String::new(), created: 0, usage: None });
        }
    }

    fn think(&mut self, text: Option<std::borrow::Cow<'_, str>>, out: &mut Vec<Delta>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.start(String::new(), out);
            out.push(Delta::Reasoning { choice: 0, text: text.into_owned() });
        }
    }

    fn read_content(&mut self, message: Option<Value<'_, '_>>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        for (key, value) in message.and_then(|message| message.get("content")).into_iter().flat_map(Value::members) {
            match &*key {
                "text" => {
                    if let Some(text) = value.text().filter(|text| !text.is_empty()) {
                        self.start(String::new(), out);
                        self.has_text = true;
                        self.said = self.said.saturating_add(text.chars().count() as u64);
                        out.push(Delta::text(text));
                    }
                }
                "thinking" => self.think(value.text(), out),
                "type" if value.text().is_none_or(|kind| kind == "text" || kind == "thinking") => {}
                _ if value.is_empty() => {}
                other => dropped.inside("message.content[].", other),
            }
        }
    }

    fn read_call(
        &mut self,
        index: Option<u64>,
        kind: &str,
        message: Option<Value<'_, '_>>,
        out: &mut Vec<Delta>,
        dropped: &mut Dropped,
    ) {
        let Some(value) = message.and_then(|message| message.get("tool_calls")) else { return };
        let call = read_call(value.elements().next().unwrap_or(value), dropped).into_owned();
        let is_new = kind == "tool-call-start";
        let known = match index {
            Some(index) if !is_new => self.calls.iter().rposition(|known| *known == index),
            _ if is_new => None,
            _ => self.calls.len().checked_sub(1),
        };
        let at = match known {
            Some(at) => at,
            None if is_new && self.calls.len() < MOST => {
                self.calls.push(index.unwrap_or(self.calls.len() as u64));
                self.calls.len() - 1
            }
            None => return dropped.field("message.tool_calls[]"),
        };
        self.start(String::new(), out);
        out.push(Delta::ToolCall {
            choice: 0,
            index: u32::try_from(at).unwrap_or(u32::MAX),
            id: (is_new && !call.id.is_empty()).then(|| call.id.into_owned()),
            name: (is_new && !call.name.is_empty()).then(|| call.name.into_owned()),
            arguments: call.arguments.into_owned(),
            signature: None,
        });
    }

    fn read_citations(&mut self, message: Option<Value<'_, '_>>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let Some(value) = message.and_then(|message| message.get("citations")) else { return };
        let listed = value.elements();
        for value in listed.chain([value].into_iter().filter(|value| value.members().next().is_some())) {
            let Some(block) = cited_block(value).filter(|_| self.has_text) else {
                dropped.field("message.citations[]");
                continue;
            };
            let start = self.blocks.iter().find(|(number, _)| *number == block).map_or(0, |(_, start)| *start);
            read_citation(value, start, dropped, |citation| {
                out.push(Delta::Citation { choice: 0, citation: Box::new(citation.into_owned()) });
            });
        }
    }

    fn read_end(&mut self, delta: Option<Value<'_, '_>>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let get = |key: &str| delta.and_then(|delta| delta.get(key));
        let usage = get("usage").and_then(|usage| scan::read_usage(usage.raw()));
        let word = get("finish_reason").and_then(Value::text).unwrap_or_default();
        let ended = read_finish(&word);
        let said = get("error").and_then(Value::text);
        if let (Ended::Failed(_), _) | (_, Some(_)) = (&ended, &said) {
            let kind = if let Ended::Failed(kind) = ended { kind } else { FaultKind::Server };
            out.extend(usage.map(Delta::Usage));
            out.push(error(kind, said.as_deref().unwrap_or("The provider broke the answer off.")));
            self.ended = true;
            return;
        }
        self.start(String::new(), out);
        match ended {
            Ended::Well(finish) => out.push(Delta::finish(finish)),
            _ => dropped.inside("finish_reason ", &word),
        }
        out.extend(usage.map(Delta::Usage));
        if !std::mem::replace(&mut self.ended, true) {
            out.push(Delta::End);
        }
    }
}

/// The words of an error in a stream; a request's own fault may come to light this late.
fn error(kind: FaultKind, message: &str) -> Delta {
    let told = fault::kind(FaultKind::InvalidRequest, message);
    let kind = if told == FaultKind::InvalidRequest { kind } else { told };
    Delta::Error(Fault::in_stream(kind, message))
}
