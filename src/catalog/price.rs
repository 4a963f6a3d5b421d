//! What a model costs: a table of exact rates, and the one function that turns tokens into money.
//!
//! The words here are those of `prices.json`; they cover every field of the community price map, so
//! that an import drops nothing. [`Price::cost`] uses what a chat, completion, responses or
//! embeddings call is billed by (token classes, thresholds, service tiers, cache lifetimes). The
//! other units, off-peak windows, multipliers and search terms are read, checked and kept.

use std::sync::Arc;

use serde::Deserialize;

use crate::base::money::{Multiplier, NanoUsd, Rate, Sum};
use crate::llm::Usage;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Ttl {
    #[serde(rename = "1h")]
    OneHour,
    #[serde(rename = "12h")]
    TwelveHours,
}

/// A service tier with prices of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
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
    pub weekday_timezone: Option<Box<str>>,
}

/// Hours of certain days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From and to in minutes of the day, `to` exclusive; to 0 or below from means over midnight.
    pub hours_utc: Vec<(u16, u16)>,
    /// 1 is Monday, 7 is Sunday; empty is every day.
    pub weekdays: Vec<u8>,
}

/// A factor on the whole bill when the request says `value` of `on`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    pub on: FactorOn,
    pub value: Option<Box<str>>,
    pub by: Multiplier,
}

/// What a [`Factor`] depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    pub billing: Option<SearchBilling>,
    pub free: Option<FreeSearches>,
}

/// What counts as one search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchBilling {
    PerQuery,
    PerRequest,
}

/// Searches that cost nothing, shared by all models of a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeSearches {
    pub count: u64,
    pub period: Period,
    pub group: Option<Box<str>>,
}

/// How often free searches come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
}

/// Sizes a model accepts, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub max_input: Option<u64>,
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
    #[error("the price of this model states no rate for {0:?} tokens")]
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

    /// What `usage` costs at this price, in the service tier that served it.
    ///
    /// * A threshold is of the total input and decides for the whole request.
    /// * A tier that the price does not know, or has no rate for, is billed at the base rate.
    ///   The highest threshold that is exceeded comes before the tier: what a provider charges for
    ///   a long prompt it charges in every tier that has no long-prompt rate of its own.
    /// * A class without a rate is billed as the class it is a part of: cache, audio and image
    ///   input as input; reasoning, audio and image output as output. A cache entry of one hour
    ///   is billed as any other where one hour has no rate. In a tier that prices output and not
    ///   reasoning, reasoning is output.
    ///
    /// # Errors
    /// [`Unpriced::NoRate`] if there are tokens of a class that has no rate and no fallback.
    pub fn cost(&self, usage: &Usage, tier: Option<&str>) -> Result<Cost, Unpriced> {
        self.cost_times(usage, tier, Multiplier::ONE)
    }

    /// Like [`Price::cost`], times a factor; still rounded once.
    pub fn cost_times(&self, usage: &Usage, tier: Option<&str>, factor: Multiplier) -> Result<Cost, Unpriced> {
        let select = Select { rates: &self.rates, tier: tier.and_then(Tier::of), total: usage.total_input() };
        let mut input = Sum::default();
        for (tokens, units) in [
            (usage.input, &[(Unit::Input, None)][..]),
            (usage.cache_read, &[(Unit::CacheRead, None), (Unit::Input, None)]),
            (usage.cache_write_5m, &[(Unit::CacheWrite, None), (Unit::Input, None)]),
            (
                usage.cache_write_1h,
                &[(Unit::CacheWrite, Some(Ttl::OneHour)), (Unit::CacheWrite, None), (Unit::Input, None)],
            ),
            (usage.audio_in, &[(Unit::AudioIn, None), (Unit::Input, None)]),
            (usage.image_in, &[(Unit::ImageIn, None), (Unit::Input, None)]),
        ] {
            select.add(&mut input, tokens, units)?;
        }
        let mut output = Sum::default();
        let reasoning = usage.reasoning.min(usage.output);
        for (tokens, units) in [
            (usage.output - reasoning, &[(Unit::Output, None)][..]),
            (reasoning, select.reasoning()),
            (usage.audio_out, &[(Unit::AudioOut, None), (Unit::Output, None)]),
            (usage.image_out, &[(Unit::ImageOut, None), (Unit::Output, None)]),
        ] {
            select.add(&mut output, tokens, units)?;
        }
        let total = input.plus(output).nanos_times(factor);
        let input = input.nanos_times(factor);
        Ok(Cost { input, output: total.saturating_sub(input), total })
    }
}

// === impl RateRow ===

impl RateRow {
    /// A rate that always holds.
    pub fn new(unit: Unit, rate: Rate) -> RateRow {
        RateRow { unit, rate, above: 0, ttl: None, tier: None, variant: None, quality: None, above_seconds: None }
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

/// The choice of rates for one request.
struct Select<'a> {
    rates: &'a [RateRow],
    tier: Option<Tier>,
    /// Total input of the request, in tokens.
    total: u64,
}

// === impl Select ===

impl Select<'_> {
    /// Adds `tokens` at the first of `units` that has a rate. No tokens need no rate.
    fn add(&self, sum: &mut Sum, tokens: u64, units: &[(Unit, Option<Ttl>)]) -> Result<(), Unpriced> {
        if tokens == 0 {
            return Ok(());
        }
        match units.iter().find_map(|(unit, ttl)| self.row(*unit, *ttl)) {
            Some(row) => {
                sum.add(tokens, row.rate);
                Ok(())
            }
            None => Err(Unpriced::NoRate(units.last().map_or(Unit::Input, |(unit, _)| *unit))),
        }
    }

    /// What reasoning is billed as. A tier that prices output and not reasoning means both: the
    /// base rate for reasoning may be less than half of what the tier charges for any output.
    fn reasoning(&self) -> &'static [(Unit, Option<Ttl>)] {
        let in_tier = |unit| self.row(unit, None).is_some_and(|row| row.tier.is_some());
        if in_tier(Unit::Output) && !in_tier(Unit::Reasoning) {
            &[(Unit::Output, None)]
        } else {
            &[(Unit::Reasoning, None), (Unit::Output, None)]
        }
    }

    fn row(&self, unit: Unit, ttl: Option<Ttl>) -> Option<&RateRow> {
        self.rates
            .iter()
            .filter(|row| row.unit == unit && row.ttl == ttl)
            .filter(|row| row.tier.is_none() || row.tier == self.tier)
            .filter(|row| row.above == 0 || self.total > row.above)
            .filter(|row| row.variant.is_none() && row.quality.is_none() && row.above_seconds.is_none())
            .max_by_key(|row| (row.above, row.tier.is_some()))
    }
}

#[cfg(test)]
mod tests;
