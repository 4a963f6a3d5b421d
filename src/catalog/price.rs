//! What a model costs: a table of exact rates, and the one function that turns usage into money.
//!
//! The words here are those of `prices.json`; they cover every field of the community price map, so
//! that an import drops nothing. [`Price::cost`] uses all of them for what [`crate::llm::Usage`] states:
//! token classes with thresholds, service tiers, cache lifetimes, off-peak windows and factors, and the
//! units with sizes and qualities. What no usage states (video, sessions, credits, free searches) is
//! kept and shown.

mod bill;
mod off_peak;
mod zone;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::money::{Multiplier, NanoUsd, Rate};

pub use bill::Terms;
pub use zone::Zone;

/// The price of one model at one provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Price {
    /// `provider/model`, the name of the row that a record states.
    pub name: Arc<str>,
    pub mode: Option<Mode>,
    /// No two rows have the same unit and the same conditions (checked where a file is read).
    pub rates: Vec<RateRow>,
    pub off_peak: Option<OffPeak>,
    pub multipliers: Vec<Factor>,
    pub search: Option<Search>,
    pub limits: Limits,
    /// The day after which the provider may refuse the model, `YYYY-MM-DD`.
    pub deprecated: Option<Box<str>>,
    /// Where the numbers were read.
    pub source: Option<Box<str>>,
    /// Facts of the provider's that are no prices, as they were found.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// One rate and the conditions under which it holds; a condition that is not stated always holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRow {
    pub unit: Unit,
    pub rate: Rate,
    /// Holds for the whole request if it is strictly larger than this: in tokens of its total input,
    /// or in results asked for where the unit is a query. 0 always holds. A price map's ranges
    /// "from, to" are rows with `above: from`, its inclusive thresholds `above: threshold - 1`.
    pub above: u64,
    /// Holds for prompt cache entries of this lifetime.
    pub ttl: Option<Ttl>,
    pub tier: Option<Tier>,
    /// An image size, a video resolution, the size of a search context or the kind of a guardrail
    /// unit, as the provider spells it.
    pub variant: Option<Box<str>>,
    pub quality: Option<Box<str>>,
    /// Holds for media longer than this many seconds.
    pub above_seconds: Option<u32>,
}

/// What is counted. A rate is USD for one of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    // Tokens, in the classes of `llm::Usage` and a few finer ones.
    Input,
    Output,
    Reasoning,
    CacheRead,
    /// A hit in a cache that the caller made explicitly, where it has a price of its own.
    CacheReadExplicit,
    CacheWrite,
    AudioIn,
    AudioOut,
    AudioCacheRead,
    AudioCacheWrite,
    ImageIn,
    ImageOut,
    ImageCacheRead,
    VideoIn,
    VideoOut,
    Citation,
    // Anything else that is counted.
    PerImageIn,
    PerImageOut,
    PerPixelIn,
    PerPixelOut,
    PerCharacterIn,
    PerCharacterOut,
    /// Wall-clock seconds of provisioned capacity.
    PerSecond,
    PerSecondIn,
    PerSecondOut,
    PerAudioSecondIn,
    PerVideoSecondIn,
    PerVideoSecondOut,
    PerQuery,
    /// A web search; `variant` is the size of its context.
    PerSearch,
    PerMapsQuery,
    PerRequest,
    PerMessage,
    PerPage,
    PerAnnotatedPage,
    PerCredit,
    PerSession,
    PerGuardrailUnit,
    /// Databricks units per token: a reference, the bill is in USD.
    DbuIn,
    DbuOut,
}

/// How long a prompt cache entry lives, where it is not the provider's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum Ttl {
    #[serde(rename = "1h")]
    OneHour,
    #[serde(rename = "12h")]
    TwelveHours,
}

/// A service tier with prices of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    #[serde(alias = "batch")]
    Batches,
    Flex,
    Priority,
    Balanced,
    Ultrafast,
    Decisions,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Chat,
    Completion,
    Responses,
    Embedding,
    Rerank,
    Moderation,
    ImageGeneration,
    ImageEdit,
    AudioTranscription,
    AudioSpeech,
    VideoGeneration,
    Realtime,
    Search,
    Ocr,
    Extraction,
    Evaluation,
    Decisions,
    Guardrail,
    VectorStore,
}

/// Rates that replace others at certain times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffPeak {
    pub rates: Vec<RateRow>,
    pub windows: Vec<Window>,
    /// The zone in which weekdays change; UTC if none. Hours are always UTC.
    pub weekday_timezone: Option<Zone>,
}

/// Hours of certain days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From and to in minutes of the day, `to` exclusive; to 0 or below from means over midnight.
    pub hours_utc: Vec<(u16, u16)>,
    /// 1 is Monday, 7 is Sunday; empty is every day.
    pub weekdays: Vec<u8>,
}

/// A factor on the tokens of a bill when the request says `value` of `on`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    pub on: FactorOn,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<str>>,
    pub by: Multiplier,
}

/// What a [`Factor`] depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorOn {
    /// Anthropic's `inference_geo`.
    InferenceGeo,
    /// Anthropic's `speed`.
    Speed,
    /// A regional host instead of the global one (Vertex).
    RegionalEndpoint,
    /// Data residency of the project (OpenAI).
    RegionalProcessing,
}

/// How searches made by the model are billed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<SearchBilling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeSearches>,
}

/// What counts as one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchBilling {
    PerQuery,
    PerRequest,
}

/// Searches that cost nothing, shared by all models of a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FreeSearches {
    pub count: u64,
    pub period: Period,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<str>>,
}

/// How often free searches come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
}

/// Sizes a model accepts, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
}

/// What one call costs. `input + output == total`; `total` is the exact sum rounded once, so
/// `output` may differ by one nano from what its own tokens would round to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub input: NanoUsd,
    pub output: NanoUsd,
    pub total: NanoUsd,
}

/// Why there is no cost. It is not zero: it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    #[error("no price is known for this model")]
    NoRow,
    #[error("the price of this model states no rate for {0:?}")]
    NoRate(Unit),
}

// === impl Price ===

impl Price {
    /// A price with one rate a class, as configuration states it. A class without a rate of its own
    /// is billed as its fallback in [`Price::cost`].
    pub fn flat(name: &str, rates: impl IntoIterator<Item = (Unit, Rate)>) -> Price {
        let rates = rates.into_iter().map(|(unit, rate)| RateRow::new(unit, rate)).collect();
        Price { name: Arc::from(name), rates, ..Price::default() }
    }
}

// === impl RateRow ===

impl RateRow {
    /// A rate that always holds.
    pub fn new(unit: Unit, rate: Rate) -> RateRow {
        RateRow { unit, rate, above: 0, ttl: None, tier: None, variant: None, quality: None, above_seconds: None }
    }

    /// What rates are put in order by in a file: the ordinary ones first, by unit.
    pub fn order(&self) -> impl Ord + use<'_> {
        let (variant, quality) = (self.variant.as_deref(), self.quality.as_deref());
        (self.tier, self.above, self.unit, self.ttl, variant, quality, self.above_seconds)
    }

    /// True if the two rows hold under the very same conditions, so that one of them is too many.
    pub fn same_conditions(&self, other: &RateRow) -> bool {
        RateRow { rate: other.rate, ..self.clone() } == *other
    }
}

// === impl Tier ===

impl Tier {
    /// The tier that a provider names in `service_tier`; none for its ordinary one (`default`,
    /// `auto`, `standard`, `on_demand`) and for a name that has no prices.
    pub fn of(name: &str) -> Option<Tier> {
        match name {
            "batch" | "batches" => Some(Tier::Batches),
            "flex" => Some(Tier::Flex),
            "priority" => Some(Tier::Priority),
            "balanced" => Some(Tier::Balanced),
            "ultrafast" => Some(Tier::Ultrafast),
            "decisions" => Some(Tier::Decisions),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
