//! The APIs in which a chat is asked and answered.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Dialect, Operation};

/// One API's spelling of requests, answers, streams and errors. A provider's [`Dialect`] says where its
/// calls go; what their bodies say is this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Format {
    /// OpenAI Chat Completions, and everybody who imitates them.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini `generateContent`, of AI Studio and of Vertex.
    Gemini,
    /// Bedrock `Converse`.
    Converse,
    /// Cohere v2 `chat`.
    Cohere,
    /// Ollama's own `/api/chat`.
    Ollama,
}

// === impl Format ===

impl Format {
    pub const ALL: [Format; 7] = [
        Format::Chat,
        Format::Responses,
        Format::Messages,
        Format::Gemini,
        Format::Converse,
        Format::Cohere,
        Format::Ollama,
    ];

    /// Those that clients speak to Weir.
    pub const CLIENTS: [Format; 5] =
        [Format::Chat, Format::Messages, Format::Responses, Format::Gemini, Format::Converse];

    /// The format of a client's chat, if what it asks for is one.
    pub fn of_client(dialect: Dialect, operation: Operation) -> Option<Format> {
        match (dialect, operation) {
            (Dialect::OpenAi, Operation::Chat) => Some(Format::Chat),
            (Dialect::OpenAi, Operation::Responses) => Some(Format::Responses),
            (Dialect::Anthropic, Operation::Chat) => Some(Format::Messages),
            (Dialect::Gemini, Operation::Chat) => Some(Format::Gemini),
            (Dialect::Bedrock, Operation::Chat) => Some(Format::Converse),
            _ => None,
        }
    }

    /// The word used in records and in what Weir marks as its own.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Chat => "openai-chat",
            Format::Responses => "openai-responses",
            Format::Messages => "anthropic-messages",
            Format::Gemini => "gemini",
            Format::Converse => "bedrock-converse",
            Format::Cohere => "cohere-chat",
            Format::Ollama => "ollama-chat",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
