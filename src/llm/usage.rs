//! Tokens, in disjoint classes. Every wire format is normalised to these.

use std::fmt;
use std::sync::Arc;

use crate::base::words::Words;

/// Tokens of one call. All classes are disjoint, except that `reasoning` is a part of `output`.
///
/// OpenAI counts cached and audio tokens inside `prompt_tokens`; Anthropic counts cached tokens
/// beside `input_tokens`. A reader of a format subtracts or not, so that nobody else has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Text tokens of the prompt that were neither read from nor written to a prompt cache.
    pub input: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's prompt cache for 5 minutes, or for its default time.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the provider's prompt cache for 1 hour.
    pub cache_write_1h: u64,
    /// Text tokens of the answer, reasoning included.
    pub output: u64,
    /// The part of `output` that was reasoning.
    pub reasoning: u64,
    pub audio_in: u64,
    pub audio_out: u64,
    pub image_in: u64,
    pub image_out: u64,
}

/// Where the numbers of a [`Usage`] come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsageSource {
    /// The provider stated them.
    Provider,
    /// Weir derived them from the bytes that went through.
    Estimated,
    /// Nothing can be said. This is not zero.
    Unknown,
}

/// Which row of which table a price stands in; shown as `provider/model@version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRow {
    /// `provider/model`.
    pub name: Arc<str>,
    /// The version of the table; `config` for a price from the configuration and `default` for a
    /// provider's price for models without one.
    pub version: Words,
}

// === impl Usage ===

impl Usage {
    /// All tokens that went in, of whatever class.
    pub fn total_input(&self) -> u64 {
        [self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_in, self.image_in]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// All tokens that came out, of whatever class.
    pub fn total_output(&self) -> u64 {
        self.output.saturating_add(self.audio_out).saturating_add(self.image_out)
    }
}

// === impl UsageSource ===

impl UsageSource {
    /// The word used in records, metadata and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            UsageSource::Provider => "provider",
            UsageSource::Estimated => "estimated",
            UsageSource::Unknown => "unknown",
        }
    }
}

// === impl PriceRow ===

impl fmt::Display for PriceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}
