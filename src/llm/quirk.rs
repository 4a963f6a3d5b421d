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
}
