//! One step of a streamed answer, in no wire format.

use super::{Finish, Usage};

/// A piece of an answer. A whole stream is `Start`, any number of pieces, `Finish`, perhaps
/// `Usage`, and `End`; a stream without `End` was truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    Start {
        id: String,
        model: String,
        created: u64,
    },
    Text(String),
    Reasoning(String),
    /// A tool call begins or goes on. `id` and `name` come with its first piece only.
    ToolCall {
        index: u32,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
    },
    Finish(Finish),
    Usage(Usage),
    /// The stream's own terminal event was seen.
    End,
}
