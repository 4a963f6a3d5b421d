//! A stream's steps, folded into the answer they spell.

use super::reply::ToolCall;
use super::{Delta, Reply};

/// Tool calls kept of one answer; a stream that names more is not a real one.
const MAX_TOOL_CALLS: usize = 1024;

/// Folds steps as they come.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    reply: Reply,
    complete: bool,
    /// Something was said that the answer here does not hold.
    lossy: bool,
    bytes: usize,
}

// === impl Fold ===

impl Fold {
    /// Adds one step.
    pub fn push(&mut self, delta: &Delta) {
        match delta {
            Delta::Start { id, model, created } => {
                self.reply.id.clone_from(id);
                self.reply.model.clone_from(model);
                self.reply.created = *created;
            }
            Delta::Text(text) => self.reply.text.push_str(text),
            Delta::Reasoning(text) => self.reply.reasoning.push_str(text),
            Delta::ToolCall { index, id, name, arguments } => {
                let index = *index as usize;
                // Calls are numbered as they begin; what fills a gap would be a call that nobody made.
                if index >= MAX_TOOL_CALLS || index > self.reply.tool_calls.len() {
                    self.lossy = true;
                    return;
                }
                if self.reply.tool_calls.len() <= index {
                    self.reply.tool_calls.resize_with(index + 1, ToolCall::default);
                }
                let call = &mut self.reply.tool_calls[index];
                // The first piece says who it is; providers that repeat it mean the same call.
                for (kept, said) in [(&mut call.id, id), (&mut call.name, name)] {
                    if let Some(said) = said.as_ref().filter(|_| kept.is_empty()) {
                        self.bytes += said.len();
                        kept.clone_from(said);
                    }
                }
                call.arguments.push_str(arguments);
            }
            Delta::Finish(finish) => self.reply.finish = Some(*finish),
            Delta::Usage(usage) => self.reply.usage = Some(*usage),
            Delta::End => self.complete = true,
        }
        self.bytes += delta.text_len();
    }

    /// Bytes held: text, and what names tool calls.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True when nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Something was said that this answer does not hold.
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// The answer, if its own end was seen and all of it is in it.
    pub fn complete(self) -> Option<Reply> {
        (self.complete && !self.lossy).then_some(self.reply)
    }
}

// === impl Delta ===

impl Delta {
    /// Bytes of text that this step carries.
    pub fn text_len(&self) -> usize {
        match self {
            Delta::Text(text) | Delta::Reasoning(text) => text.len(),
            Delta::ToolCall { arguments, .. } => arguments.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(id: Option<&str>, name: Option<&str>, arguments: &str) -> Delta {
        let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
        Delta::ToolCall { index: 0, id, name, arguments: arguments.to_owned() }
    }

    #[test]
    fn a_tool_call_is_named_once_and_all_of_it_is_counted() {
        let mut fold = Fold::default();
        for delta in [
            piece(Some("id"), Some("name"), "{"),
            piece(Some("id"), Some("name"), "}"),
            piece(None, None, ""),
            Delta::End,
        ] {
            fold.push(&delta);
        }
        assert_eq!(fold.len(), "id".len() + "name".len() + "{}".len());
        let calls = fold.complete().unwrap().tool_calls;
        assert_eq!(calls, [ToolCall { id: "id".into(), name: "name".into(), arguments: "{}".into() }]);
    }

    #[test]
    fn a_call_that_cannot_be_held_makes_no_answer() {
        for index in [1, 1024, u32::MAX] {
            let mut fold = Fold::default();
            let arguments = "{}".to_owned();
            fold.push(&Delta::ToolCall { index, id: None, name: Some("f".into()), arguments });
            fold.push(&Delta::End);
            assert_eq!((fold.len(), fold.complete()), (0, None), "{index}");
        }
    }

    #[test]
    fn a_stream_without_its_end_is_no_answer() {
        let mut fold = Fold::default();
        fold.push(&Delta::Text("half".into()));
        assert_eq!(fold.complete(), None);
    }
}
