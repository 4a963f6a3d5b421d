//! A chat's stream of lines, read. Calls come whole; the line with `done` is the last.

use super::fault;
use super::reply::Line;
use crate::base::json::Tree;
use crate::llm::{Content, Delta, Dropped};
use crate::wire::codec::{StreamReader, Unreadable};
use crate::wire::sse;

/// Reads the lines of one stream.
#[derive(Default)]
pub(super) struct Reader {
    started: bool,
    /// The number of the next call.
    calls: u32,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &sse::Event, out: &mut Vec<Delta>, dropped: &mut Dropped) -> Result<(), Unreadable> {
        if event.data.is_empty() {
            return Ok(());
        }
        let tree = Tree::read(&event.data).map_err(|_| Unreadable("a line of its stream is no JSON"))?;
        if let Some(message) = fault::message(tree.root()) {
            out.push(Delta::Error(fault::in_stream(&message)));
            return Ok(());
        }
        let mut line = Line::read(tree.root(), dropped);
        if !line.has_message && !line.done {
            return Err(Unreadable("a line of its stream has no message"));
        }
        if !std::mem::replace(&mut self.started, true) {
            let model = std::mem::take(&mut line.model).into_owned();
            out.push(Delta::Start { id: String::new(), model, created: line.created, usage: None });
        }
        for part in std::mem::take(&mut line.parts) {
            out.extend(self.step(part.into_owned().content));
        }
        let tokens = line.logprobs.take();
        out.extend(tokens.map(|tokens| Delta::Logprobs { choice: 0, tokens }));
        out.extend(line.finish(self.calls > 0, dropped).map(Delta::finish));
        out.extend(line.usage.map(Delta::Usage));
        if line.done {
            out.push(Delta::End);
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    fn step(&mut self, content: Content<'static>) -> Option<Delta> {
        let choice = 0;
        Some(match content {
            Content::Text { text, .. } => Delta::Text { choice, text: text.into_owned() },
            Content::Reasoning { text, .. } => Delta::Reasoning { choice, text: text.into_owned() },
            Content::Media(media) => Delta::Media { choice, media: Box::new(media) },
            Content::ToolCall(call) => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                Delta::ToolCall {
                    choice,
                    index,
                    id: Some(call.id.into_owned()).filter(|id| !id.is_empty()),
                    name: Some(call.name.into_owned()),
                    arguments: call.arguments.into_owned(),
                    signature: None,
                }
            }
            _ => return None,
        })
    }
}
