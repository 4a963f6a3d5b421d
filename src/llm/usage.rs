//! Tokens in disjoint classes, and the other units that calls are billed by. Every wire format is
//! normalised to these.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::words::Words;

/// Tokens of one call. All classes are disjoint, except that `reasoning` is a part of `output`, and
/// `cache_read_audio` and `cache_read_image` are parts of `cache_read`.
///
/// OpenAI counts cached and audio tokens inside `prompt_tokens`; Anthropic counts cached tokens
/// beside `input_tokens`. A reader of a format subtracts or not, so that nobody else has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Usage {
    /// Text tokens of the prompt that were neither read from nor written to a prompt cache.
    pub input: u64,
    /// Prompt tokens read from the provider's prompt cache, of whatever kind.
    pub cache_read: u64,
    /// The part of `cache_read` that was sound.
    pub cache_read_audio: u64,
    /// The part of `cache_read` that was images.
    pub cache_read_image: u64,
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
    pub video_in: u64,
    pub video_out: u64,
    /// What was counted beside tokens, or instead of them.
    pub units: Units,
}

/// What a call is counted in beside tokens. Whole numbers; 0 is none, or not said.
///
/// They do not say again what a token class says: whether a provider that states both bills both is
/// a matter of its price row (`catalog::price`).
///
/// | unit | where it is said |
/// |---|---|
/// | `images_in` | Cohere v2 embed: `meta.billed_units.images` |
/// | `images_out` | OpenAI images (2026-09): elements of `data`; in a stream, events `image_generation.completed` and `image_edit.completed` |
/// | `audio_in_ms` | OpenAI transcriptions: `usage.seconds` of `type: "duration"`, else `duration` (`verbose_json`, `diarized_json`); Mistral: `usage.prompt_audio_seconds`; nobody says it in `text`, `srt` and `vtt`: counted of an uploaded WAV |
/// | `characters` | nobody says it: counted in `input` of a speech request |
/// | `queries` | Cohere v2 rerank: `meta.billed_units.search_units` |
/// | `pages` | Mistral OCR: `usage_info.pages_processed` |
/// | `searches` | Anthropic (2023-06-01): `usage.server_tool_use.web_search_requests`; Perplexity: `usage.num_search_queries` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Units {
    /// Images that were sent and are billed by their number.
    pub images_in: u64,
    /// Images that were made.
    pub images_out: u64,
    /// Milliseconds of sound that was sent. A third decimal of a second is more than anybody states.
    pub audio_in_ms: u64,
    /// Characters of text to be spoken: Unicode scalar values. OpenAI bills by the character and does
    /// not say which kind; for text outside of the Basic Multilingual Plane UTF-16 would be more.
    pub characters: u64,
    /// Searches, in the provider's own unit (Cohere: one query with up to 100 documents).
    pub queries: u64,
    /// Pages of documents that were read.
    pub pages: u64,
    /// Searches of the web that the model made for its answer.
    pub searches: u64,
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
    /// provider's price for models without one, `stated` for what the provider itself says it bills.
    pub version: Words,
}

// === impl Usage ===

impl Usage {
    /// All tokens that went in, of whatever class.
    pub fn total_input(&self) -> u64 {
        let cached = [self.cache_read, self.cache_write_5m, self.cache_write_1h];
        let rest = [self.input, self.audio_in, self.image_in, self.video_in];
        cached.into_iter().chain(rest).fold(0, u64::saturating_add)
    }

    /// All tokens that came out, of whatever class.
    pub fn total_output(&self) -> u64 {
        [self.output, self.audio_out, self.image_out, self.video_out].into_iter().fold(0, u64::saturating_add)
    }
}

// === impl Units ===

impl Units {
    pub const NONE: Units =
        Units { images_in: 0, images_out: 0, audio_in_ms: 0, characters: 0, queries: 0, pages: 0, searches: 0 };

    /// Nothing was counted.
    pub fn is_none(&self) -> bool {
        *self == Units::NONE
    }

    /// Each unit under the name that records and metadata have for it.
    pub fn named(&self) -> [(&'static str, u64); 7] {
        // Without `..`, so that a unit that is added there is not forgotten here.
        let &Units { images_in, images_out, audio_in_ms, characters, queries, pages, searches } = self;
        [
            ("images_in", images_in),
            ("images_out", images_out),
            ("audio_in_ms", audio_in_ms),
            ("characters", characters),
            ("queries", queries),
            ("pages", pages),
            ("searches", searches),
        ]
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

impl PriceRow {
    /// No row: the provider said itself what it bills.
    pub fn stated() -> PriceRow {
        PriceRow { name: Arc::from("provider"), version: Words::Fixed("stated") }
    }
}

impl fmt::Display for PriceRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}
