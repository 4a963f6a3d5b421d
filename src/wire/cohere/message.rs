//! The messages of a request.

use super::content::{Block, note_cache, returned, shown, text, write};
use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::chat::{Role, Turn};
use crate::llm::ids::CallIds;
use crate::llm::part::{Citation, ToolCall, ToolResult};
use crate::llm::{Content, Dropped, Part};
use crate::wire::arguments;

pub(super) fn write_turn(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, ids: &mut CallIds, dropped: &mut Dropped) {
    if turn.name.is_some() {
        dropped.field("messages[].name");
    }
    match turn.role {
        Role::System | Role::Developer => {
            let blocks: Vec<Block<'_>> = turn.parts.iter().filter_map(|part| text(part, dropped)).collect();
            write_said(a, "system", &blocks);
        }
        Role::User => write_user(a, turn, ids, dropped),
        Role::Assistant => write_assistant(a, turn, ids, dropped),
    }
}

fn write_said(a: &mut ArrayWriter<'_>, role: &str, blocks: &[Block<'_>]) {
    if blocks.is_empty() {
        return;
    }
    a.object(|o| {
        o.text("role", role);
        write(o, blocks);
    });
}

/// Results come first: they answer the turn before. What they show beside text is shown by the user behind
/// all of them.
fn write_user(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, ids: &mut CallIds, dropped: &mut Dropped) {
    let (mut asides, mut said) = (Vec::new(), Vec::new());
    for part in &turn.parts {
        match &part.content {
            Content::ToolResult(result) => {
                note_cache(part, dropped);
                write_result(a, result, ids, dropped);
                let media = result.parts.iter().filter(|part| matches!(part.content, Content::Media(_)));
                asides.extend(media.filter(|part| !is_document(part)).filter_map(|part| shown(part, dropped)));
            }
            Content::ToolCall(_) | Content::Reasoning { .. } | Content::Redacted(_) => {
                dropped.field("messages[].content[]");
            }
            _ => said.extend(shown(part, dropped)),
        }
    }
    asides.extend(said);
    write_said(a, "user", &asides);
}

/// What [`returned`] takes of media.
fn is_document(part: &Part<'_>) -> bool {
    matches!(returned(part, &mut Dropped::default()), Some(Block::Document(..)))
}

fn write_result(a: &mut ArrayWriter<'_>, result: &ToolResult<'_>, ids: &mut CallIds, dropped: &mut Dropped) {
    let id = ids.result(result);
    let mut blocks = Vec::new();
    // There is no flag for it; the model reads it all the same.
    if result.is_error {
        blocks.push(Block::Text("Error:"));
    }
    blocks.extend(result.parts.iter().filter_map(|part| returned(part, dropped)));
    a.object(|o| {
        o.text("role", "tool");
        o.text("tool_call_id", &id);
        match &blocks[..] {
            [] => o.text("content", ""),
            [Block::Text(flag), Block::Text(text)] if result.is_error => o.text("content", &[flag, " ", text].concat()),
            blocks => write(o, blocks),
        }
    });
}

fn write_assistant(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, ids: &mut CallIds, dropped: &mut Dropped) {
    let calls: Vec<&ToolCall<'_>> = turn.parts.iter().filter_map(called).collect();
    let (mut blocks, mut cited, mut plan, mut start) = (Vec::new(), Vec::new(), String::new(), 0);
    for part in &turn.parts {
        match &part.content {
            // Nobody seals thoughts here: a sealed one is another provider's.
            Content::Reasoning { text, signature: None } if calls.is_empty() => blocks.push(Block::Thinking(text)),
            Content::Reasoning { text, signature: None } => plan.push_str(text),
            Content::Reasoning { .. } | Content::Redacted(_) => dropped.field("messages[].reasoning"),
            Content::ToolResult(_) => dropped.field("messages[].content[].tool_result"),
            Content::ToolCall(call) => {
                note_cache(part, dropped);
                if call.signature.is_some() {
                    dropped.field("messages[].tool_calls[].thought_signature");
                }
            }
            Content::Text { text: said, citations } => {
                cited.extend(citations.iter().map(|citation| Cited { citation, said, start, block: blocks.len() }));
                start += count(said);
                blocks.extend(text(part, dropped));
            }
            _ => blocks.extend(text(part, dropped)),
        }
    }
    if blocks.is_empty() && calls.is_empty() {
        return;
    }
    a.object(|o| {
        o.text("role", "assistant");
        if !blocks.is_empty() {
            write(o, &blocks);
        }
        if !plan.is_empty() {
            o.text("tool_plan", &plan);
        }
        if !calls.is_empty() {
            o.array("tool_calls", |a| calls.iter().for_each(|call| write_call(a, call, ids)));
        }
        write_cited(o, &cited, dropped);
    });
}

fn called<'p, 'a>(part: &'p Part<'a>) -> Option<&'p ToolCall<'a>> {
    match &part.content {
        Content::ToolCall(call) => Some(call),
        _ => None,
    }
}

fn write_call(a: &mut ArrayWriter<'_>, call: &ToolCall<'_>, ids: &mut CallIds) {
    a.object(|o| {
        o.text("id", &ids.call(call));
        o.text("type", "function");
        o.object("function", |o| {
            o.text("name", &call.name);
            o.text("arguments", &arguments::as_object(&call.arguments));
        });
    });
}

/// A citation, and where its text stands: the block, and how much of the answer's text is before it.
struct Cited<'p> {
    citation: &'p Citation<'p>,
    said: &'p str,
    start: u64,
    block: usize,
}

fn count(text: &str) -> u64 {
    text.chars().count() as u64
}

/// Citations that say where they hold and whereof.
fn write_cited(o: &mut ObjectWriter<'_>, cited: &[Cited<'_>], dropped: &mut Dropped) {
    let legal = |cited: &&Cited<'_>| cited.words().is_some() && cited.citation.document.is_none();
    if cited.iter().any(|cited| !legal(&cited)) {
        dropped.field("messages[].annotations");
    }
    if !cited.iter().any(|cited| legal(&cited)) {
        return;
    }
    o.array("citations", |a| cited.iter().filter(legal).for_each(|cited| cited.write(a)));
}

// === impl Cited ===

impl Cited<'_> {
    /// From and to in its block, and what is said there.
    fn words(&self) -> Option<(u64, u64, &str)> {
        let (start, end) = (self.citation.start?.checked_sub(self.start)?, self.citation.end?.checked_sub(self.start)?);
        let place = |at: u64| {
            let at = usize::try_from(at).ok()?;
            self.said.char_indices().map(|(byte, _)| byte).chain([self.said.len()]).nth(at)
        };
        Some((start, end, self.said.get(place(start)?..place(end)?)?))
    }

    fn write(&self, a: &mut ArrayWriter<'_>) {
        let Some((start, end, words)) = self.words() else { return };
        a.object(|o| {
            o.number("start", start);
            o.number("end", end);
            o.text("text", words);
            o.array("sources", |a| {
                a.object(|o| {
                    o.text("type", "document");
                    o.object("document", |o| {
                        o.text_if("title", self.citation.title.as_deref());
                        o.text_if("url", self.citation.url.as_deref());
                        o.text_if("snippet", self.citation.quote.as_deref());
                    });
                });
            });
            o.number("content_index", self.block as u64);
            o.text("type", "TEXT_CONTENT");
        });
    }
}
