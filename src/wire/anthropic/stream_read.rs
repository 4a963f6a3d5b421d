//! Reads a stream's events (Anthropic, "Streaming Messages", 2026-11). Every event says its type in its data,
//! which is read; the name in front of it says the same and may be missing.

use super::reply_read::{finish, own, owned, refusal};
use super::{citation, fault, usage};
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::llm::part::Citation;
use crate::llm::{Delta, Dropped, Format, Signature, Usage};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::sse;

/// Blocks that may be open at once; the API opens one after the other.
const MOST_OPEN: usize = 64;

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    usage: Usage,
    open: Vec<(u64, Block)>,
    calls: u32,
    /// Characters of text so far.
    said: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// Where it begins, in characters of the answer's text.
    Text(u64),
    Thinking,
    Call(u32),
    /// It has no word here, and was named.
    Unknown,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if event.is_empty() {
            return Ok(());
        }
        let Ok(tree) = Tree::read(&event.data) else { return Err(Unreadable("an event is not JSON")) };
        let root = tree.root();
        // Bedrock's, which the frame names and not its data.
        if let Some(name) = event.name.as_deref().filter(|name| name.ends_with(b"Exception")) {
            out.push(Delta::Error(fault::exception(&String::from_utf8_lossy(name), root)));
            return Ok(());
        }
        let kind = root.get("type").and_then(Value::text);
        match &*kind.ok_or(Unreadable("an event of an Anthropic stream has a type"))? {
            "message_start" => self.start(root, out, dropped),
            "content_block_start" => return self.begin(root, out, dropped),
            "content_block_delta" => self.go_on(root, out, dropped),
            "content_block_stop" => {
                let index = index(root);
                self.open.retain(|(open, _)| *open != index);
            }
            "message_delta" => self.finish(root, out, dropped),
            "message_stop" => out.push(Delta::End),
            "ping" => out.push(Delta::Ping),
            "error" => out.push(Delta::Error(fault::in_stream(root))),
            unknown => dropped.field(unknown.to_owned()),
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    fn start(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let message = root.get("message");
        let stated = message.and_then(|message| message.get("usage"));
        if let Some(stated) = stated {
            self.usage = usage::read(stated, self.usage, dropped);
        }
        let text = |key| message.and_then(|message| owned(message, key)).unwrap_or_default();
        let usage = stated.map(|_| self.usage);
        out.push(Delta::Start { id: text("id"), model: text("model"), created: 0, usage });
    }

    fn begin(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        let block = root.get("content_block").ok_or(Unreadable("a block that begins is there"))?;
        let text = |key| owned(block, key).unwrap_or_default();
        let kind = match &*block.get("type").and_then(Value::text).unwrap_or_default() {
            "text" => {
                let kind = Block::Text(self.said);
                self.push_text(text("text"), out);
                let list = block.get("citations").map(|list| citation::read_all(list, dropped));
                list.into_iter().flatten().for_each(|citation| self.push_citation(kind, citation, out));
                kind
            }
            "thinking" => {
                push_thought(text("thinking"), out);
                push_seal(text("signature"), out);
                Block::Thinking
            }
            "redacted_thinking" => {
                let data = Signature::read(Format::Messages, text("data").into());
                out.push(Delta::Redacted { choice: 0, data });
                Block::Unknown
            }
            "tool_use" => {
                let call = self.calls;
                self.calls += 1;
                // Imitators state a whole input here, and no piece of it later.
                let whole = block.get("input").filter(|input| input.kind() == Kind::Object && !input.is_empty());
                let arguments = whole.map_or("", Value::raw).to_owned();
                let (id, name) = (Some(text("id")), Some(text("name")));
                out.push(Delta::ToolCall { choice: 0, index: call, id, name, arguments, signature: None });
                Block::Call(call)
            }
            unknown => {
                dropped.inside("content[].", unknown);
                Block::Unknown
            }
        };
        if self.open.len() == MOST_OPEN {
            return Err(Unreadable("too many blocks of one answer are open"));
        }
        self.open.push((index(root), kind));
        Ok(())
    }

    fn go_on(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        let at = index(root);
        let block = self.open.iter().rev().find(|(open, _)| *open == at).map(|&(_, block)| block);
        let Some(delta) = root.get("delta") else { return };
        let text = |key| owned(delta, key).unwrap_or_default();
        match (&*delta.get("type").and_then(Value::text).unwrap_or_default(), block) {
            (_, Some(Block::Unknown)) => {}
            ("text_delta", _) => self.push_text(text("text"), out),
            ("thinking_delta", _) => push_thought(text("thinking"), out),
            ("signature_delta", _) => push_seal(text("signature"), out),
            ("input_json_delta", Some(Block::Call(index))) => {
                let arguments = text("partial_json");
                if !arguments.is_empty() {
                    out.push(Delta::ToolCall { choice: 0, index, id: None, name: None, arguments, signature: None });
                }
            }
            ("citations_delta", Some(kind @ Block::Text(_))) => {
                let citation = delta.get("citation").map(|citation| citation::read(citation, dropped));
                citation.into_iter().for_each(|citation| self.push_citation(kind, citation, out));
            }
            (unknown, _) => dropped.field(unknown.to_owned()),
        }
    }

    fn finish(&mut self, root: Value<'_, '_>, out: &mut Vec<Delta>, dropped: &mut Dropped) {
        if let Some(delta) = root.get("delta") {
            out.extend(refusal(delta).map(|text| Delta::Refusal { choice: 0, text }));
            let finish = delta.get("stop_reason").and_then(Value::text).and_then(|word| finish(&word, dropped));
            let stop_sequence = owned(delta, "stop_sequence");
            out.extend(finish.map(|finish| Delta::Finish { choice: 0, finish, stop_sequence }));
        }
        if let Some(stated) = root.get("usage") {
            self.usage = usage::read(stated, self.usage, dropped);
            out.push(Delta::Usage(self.usage));
        }
    }

    fn push_text(&mut self, text: String, out: &mut Vec<Delta>) {
        if !text.is_empty() {
            self.said += text.chars().count() as u64;
            out.push(Delta::Text { choice: 0, text });
        }
    }

    /// It holds from where its block begins to where that is by now.
    fn push_citation(&self, block: Block, citation: Citation<'_>, out: &mut Vec<Delta>) {
        let start = match block {
            Block::Text(start) => Some(start),
            _ => None,
        };
        let citation = Box::new(Citation { start, end: start.map(|_| self.said), ..own(citation) });
        out.push(Delta::Citation { choice: 0, citation });
    }
}

fn push_thought(text: String, out: &mut Vec<Delta>) {
    if !text.is_empty() {
        out.push(Delta::Reasoning { choice: 0, text });
    }
}

fn push_seal(text: String, out: &mut Vec<Delta>) {
    if !text.is_empty() {
        out.push(Delta::Signature { choice: 0, signature: Signature::read(Format::Messages, text.into()) });
    }
}

fn index(root: Value<'_, '_>) -> u64 {
    root.get("index").and_then(Value::whole).unwrap_or(0)
}
