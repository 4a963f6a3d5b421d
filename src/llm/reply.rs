//! A complete answer, in no wire format.

use serde::{Deserialize, Serialize};

use super::Usage;
use super::part::{Content, Part, ToolCall};

/// One complete answer of a chat model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reply {
    /// The provider's id of the answer; empty where it gives none.
    pub id: String,
    /// The model that answered, as the provider names it; empty where it does not.
    pub model: String,
    /// Seconds since the Unix epoch, as the provider states it; 0 where it does not.
    pub created: u64,
    /// In the order of their index; more than one only where more were asked for.
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    /// As the provider spells it.
    pub service_tier: Option<String>,
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Choice {
    pub parts: Vec<Part<'static>>,
    pub finish: Option<Finish>,
    /// Which stop sequence ended it, where the API says that.
    pub stop_sequence: Option<String>,
    /// The elements of OpenAI's `logprobs.content`, as JSON, commas between them.
    pub logprobs: Option<String>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Finish {
    Stop,
    /// One of the request's stop sequences came.
    StopSequence,
    Length,
    ToolCalls,
    ContentFilter,
    /// The model will not (Anthropic `refusal`).
    Refusal,
    /// The turn is to be taken up again as it stands (Anthropic `pause_turn`).
    Pause,
}

// === impl Reply ===

impl Reply {
    /// The text of the first answer.
    pub fn text(&self) -> String {
        let parts = self.choices.first().map(|choice| &choice.parts[..]).unwrap_or_default();
        parts.iter().filter_map(Part::as_text).collect()
    }
}

// === impl Choice ===

impl Choice {
    /// The functions to be called, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall<'static>> {
        self.parts.iter().filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some(call),
            _ => None,
        })
    }
}
