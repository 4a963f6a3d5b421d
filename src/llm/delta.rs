//! One step of a streamed answer, in no wire format.

use super::part::{Citation, Media, Signature};
use super::{Fault, Finish, Usage};

/// A piece of an answer. A whole stream is `Start`, any number of pieces, a `Finish` for each choice,
/// perhaps `Usage`, and `End`; a stream without `End` was truncated.
///
/// `choice` counts the answers from 0. Pieces of one text, one thought or one call follow each other: what
/// begins ends what was there before, except that calls of OpenAI's form may be interleaved by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    Start {
        id: String,
        model: String,
        /// Seconds since the Unix epoch; 0 where the provider does not say it.
        created: u64,
        /// What is known of the usage by now (Anthropic states the input here).
        usage: Option<Usage>,
    },
    Text {
        choice: u32,
        text: String,
    },
    Reasoning {
        choice: u32,
        text: String,
    },
    /// The thought before it is over, and this is its seal.
    Signature {
        choice: u32,
        signature: Signature<'static>,
    },
    /// A whole thought that nobody but its provider can read.
    Redacted {
        choice: u32,
        data: Signature<'static>,
    },
    Refusal {
        choice: u32,
        text: String,
    },
    /// A tool call begins or goes on. `id`, `name` and `signature` come with its first piece only; calls of
    /// a choice are numbered from 0 without a gap.
    ToolCall {
        choice: u32,
        index: u32,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
        signature: Option<Signature<'static>>,
    },
    /// Belongs to the text before it.
    Citation {
        choice: u32,
        citation: Box<Citation<'static>>,
    },
    /// A whole image, or sound.
    Media {
        choice: u32,
        media: Box<Media<'static>>,
    },
    /// Elements of OpenAI's `logprobs.content`, as JSON, commas between them.
    Logprobs {
        choice: u32,
        tokens: String,
    },
    Finish {
        choice: u32,
        finish: Finish,
        stop_sequence: Option<String>,
    },
    Usage(Usage),
    /// Nothing, so that the connection is seen to live.
    Ping,
    /// The provider says inside of the stream that it failed. Nothing but `End` may follow.
    Error(Fault),
    /// The stream's own terminal event was seen.
    End,
}

// === impl Delta ===

impl Delta {
    /// Text of the only answer.
    pub fn text(text: impl Into<String>) -> Self {
        Delta::Text { choice: 0, text: text.into() }
    }

    /// The end of the only answer.
    pub fn finish(finish: Finish) -> Self {
        Delta::Finish { choice: 0, finish, stop_sequence: None }
    }

    /// The answer of which this is a step; none for what is of all of them.
    pub fn choice(&self) -> Option<u32> {
        match self {
            Delta::Text { choice, .. }
            | Delta::Reasoning { choice, .. }
            | Delta::Signature { choice, .. }
            | Delta::Redacted { choice, .. }
            | Delta::Refusal { choice, .. }
            | Delta::ToolCall { choice, .. }
            | Delta::Citation { choice, .. }
            | Delta::Media { choice, .. }
            | Delta::Logprobs { choice, .. }
            | Delta::Finish { choice, .. } => Some(*choice),
            Delta::Start { .. } | Delta::Usage(_) | Delta::Ping | Delta::Error(_) | Delta::End => None,
        }
    }

    /// Bytes that this step holds: text, and whatever else is as long as its maker likes.
    pub fn weight(&self) -> usize {
        match self {
            Delta::Media { media, .. } => media.source.len(),
            Delta::Signature { signature, .. } | Delta::Redacted { data: signature, .. } => signature.data.len(),
            Delta::Citation { citation, .. } => 64 + citation.quote.as_ref().map_or(0, |quote| quote.len()),
            Delta::Logprobs { tokens, .. } => tokens.len(),
            Delta::ToolCall { id, name, arguments, signature, .. } => {
                let signature = signature.as_ref().map_or(0, |signature| signature.data.len());
                len(id) + len(name) + arguments.len() + signature
            }
            Delta::Start { id, model, .. } => id.len() + model.len(),
            Delta::Finish { stop_sequence, .. } => len(stop_sequence),
            text => text.text_len(),
        }
    }

    /// Bytes of text that this step carries.
    pub fn text_len(&self) -> usize {
        match self {
            Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => text.len(),
            Delta::ToolCall { arguments, .. } => arguments.len(),
            _ => 0,
        }
    }
}

fn len(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}
