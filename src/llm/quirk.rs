//! The ways in which a provider can differ from its dialect.

use serde::Deserialize;

/// One such way. It is data of the catalogue; the reader or writer of the dialect acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// A chunk of a stream may state usage under `x_groq.usage`.
    UsageInXGroq,
    /// A request with `stream_options` is an error, so they are taken out of it.
    RefusesStreamOptions,
    /// The output of a chat completion is bounded by `max_tokens` alone: `max_completion_tokens` is an
    /// error, or is not read.
    OnlyMaxTokens,
    /// It is bounded by `max_completion_tokens` alone.
    OnlyMaxCompletionTokens,
    /// A temperature of 2, which is OpenAI's largest, is an error: 1.99 is the largest.
    TemperatureBelowTwo,
    /// Its models that think do it fully by the Responses API alone, and some are served by nothing else; only
    /// for a provider that has that API. Which models these are follows from their names.
    ReasonsInResponses,
    /// An assistant's message brings its thought back as `reasoning_content`; a message that calls functions
    /// without one is an error while the model thinks.
    WantsReasoningContent,
    /// An assistant's message brings its thought back as `reasoning` and, where it is sealed, as
    /// `reasoning_details`.
    TakesReasoning,
    /// The id of a call is nine letters and digits.
    NineLetterIds,
    /// A call brings its seal back as `extra_content.google.thought_signature`.
    TakesThoughtSignatures,
}
