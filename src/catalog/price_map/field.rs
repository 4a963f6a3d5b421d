//! The grammar of the map's field names: `UNIT[_SIZE][_above_…]*[_TIER]`. It covers products of these
//! that no model has today.

use super::super::price::{Tier, Ttl, Unit};

/// What a member of a model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// A rate and the conditions under which it holds.
    Rate(Conditions<'a>),
    /// A table of its own: [`super::table`] reads it.
    Table(Table),
    /// A fact that is kept beside the price.
    Fact(Fact),
    /// What is no matter of price: what a model can do, and how LiteLLM calls it.
    Aside,
    Unknown,
}

/// The part of a rate that stands in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conditions<'a> {
    pub(super) unit: Unit,
    /// The name is not the unit's usual one; where both stand, the usual one counts.
    pub(super) legacy: bool,
    pub(super) above: u64,
    pub(super) ttl: Option<Ttl>,
    pub(super) tier: Option<Tier>,
    pub(super) variant: Option<&'a str>,
    pub(super) above_seconds: Option<u32>,
}

/// A member whose value is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Tiers,
    OffPeak,
    SearchContext,
    Guardrail,
    ProviderSpecific,
    SearchBilling,
    FreeSearches,
    /// With the value that the factor depends on.
    RegionalProcessing(&'static str),
    RegionalEndpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Provider,
    Mode,
    MaxInput,
    MaxOutput,
    Deprecated,
    Source,
}

/// Every unit by its usual name.
const UNITS: &[(&str, Unit)] = &[
    ("input_cost_per_token", Unit::Input),
    ("output_cost_per_token", Unit::Output),
    ("output_cost_per_reasoning_token", Unit::Reasoning),
    ("cache_read_input_token_cost", Unit::CacheRead),
    ("explicit_cache_read_input_token_cost", Unit::CacheReadExplicit),
    ("cache_creation_input_token_cost", Unit::CacheWrite),
    ("input_cost_per_audio_token", Unit::AudioIn),
    ("output_cost_per_audio_token", Unit::AudioOut),
    ("cache_read_input_audio_token_cost", Unit::AudioCacheRead),
    ("cache_creation_input_audio_token_cost", Unit::AudioCacheWrite),
    ("input_cost_per_image_token", Unit::ImageIn),
    ("output_cost_per_image_token", Unit::ImageOut),
    ("cache_read_input_image_token_cost", Unit::ImageCacheRead),
    ("input_cost_per_video_token", Unit::VideoIn),
    ("output_cost_per_video_token", Unit::VideoOut),
    ("citation_cost_per_token", Unit::Citation),
    ("input_cost_per_image", Unit::PerImageIn),
    ("output_cost_per_image", Unit::PerImageOut),
    ("input_cost_per_pixel", Unit::PerPixelIn),
    ("output_cost_per_pixel", Unit::PerPixelOut),
    ("input_cost_per_character", Unit::PerCharacterIn),
    ("output_cost_per_character", Unit::PerCharacterOut),
    ("cost_per_second", Unit::PerSecond),
    ("input_cost_per_second", Unit::PerSecondIn),
    ("output_cost_per_second", Unit::PerSecondOut),
    ("input_cost_per_audio_per_second", Unit::PerAudioSecondIn),
    ("input_cost_per_video_per_second", Unit::PerVideoSecondIn),
    ("output_cost_per_video_per_second", Unit::PerVideoSecondOut),
    ("input_cost_per_query", Unit::PerQuery),
    ("google_maps_grounding_cost_per_query", Unit::PerMapsQuery),
    ("input_cost_per_request", Unit::PerRequest),
    ("input_cost_per_text_message", Unit::PerMessage),
    ("ocr_cost_per_page", Unit::PerPage),
    ("annotation_cost_per_page", Unit::PerAnnotatedPage),
    ("ocr_cost_per_credit", Unit::PerCredit),
    ("code_interpreter_cost_per_session", Unit::PerSession),
    ("input_dbu_cost_per_token", Unit::DbuIn),
    ("output_dbu_cost_per_token", Unit::DbuOut),
];

/// Other names of the same.
const LEGACY: &[(&str, Unit)] = &[("input_cost_per_token_cache_hit", Unit::CacheRead)];

const TIERS: &[(&str, Tier)] = &[
    ("_batches", Tier::Batches),
    ("_flex", Tier::Flex),
    ("_priority", Tier::Priority),
    ("_balanced", Tier::Balanced),
    ("_ultrafast", Tier::Ultrafast),
    ("_decisions", Tier::Decisions),
];

const TABLES: &[(&str, Table)] = &[
    ("tiered_pricing", Table::Tiers),
    ("off_peak_pricing", Table::OffPeak),
    ("search_context_cost_per_query", Table::SearchContext),
    ("guardrail_cost_per_unit", Table::Guardrail),
    ("provider_specific_entry", Table::ProviderSpecific),
    ("web_search_billing_unit", Table::SearchBilling),
    ("search_free_requests", Table::FreeSearches),
    ("regional_processing_uplift_multiplier_us", Table::RegionalProcessing("us")),
    ("regional_processing_uplift_multiplier_eu", Table::RegionalProcessing("eu")),
    ("regional_endpoint_uplift_multiplier", Table::RegionalEndpoint),
];

const FACTS: &[(&str, Fact)] = &[
    ("litellm_provider", Fact::Provider),
    ("mode", Fact::Mode),
    ("max_input_tokens", Fact::MaxInput),
    ("max_output_tokens", Fact::MaxOutput),
    ("deprecation_date", Fact::Deprecated),
    ("source", Fact::Source),
];

/// No matter of price. A name that ends in `*` stands for all that begin so.
const ASIDE: &[&str] = &[
    "supports_*",
    "supported_*",
    "max_tokens",
    "max_*_per_prompt",
    "max_audio_length_hours",
    "max_video_length",
    "max_pdf_size_mb",
    "max_document_chunks_per_query",
    "max_query_tokens",
    "max_tokens_per_document_chunk",
    "metadata",
    "comment",
    "rpm",
    "tpm",
    "prompt_cache_min_tokens",
    "output_vector_size",
    "thinking_always_on",
    "default_reasoning_effort",
    "reasoning_*",
    "token_count_*",
    "use_openai_responses_path",
    "uses_embed_content",
    "gemini_*",
    "bedrock_*",
    "vertex_ai_audio_api",
    "audio_transcription_config",
];

/// Reads the name of a member.
pub(super) fn field(name: &str) -> Field<'_> {
    let find = |tables: &[(&str, Table)]| tables.iter().find(|(known, _)| *known == name).map(|(_, table)| *table);
    if let Some(table) = find(TABLES) {
        return Field::Table(table);
    }
    if let Some((_, fact)) = FACTS.iter().find(|(known, _)| *known == name) {
        return Field::Fact(*fact);
    }
    if let Some(conditions) = rate(name) {
        return Field::Rate(conditions);
    }
    if ASIDE.iter().any(|known| is_like(name, known)) { Field::Aside } else { Field::Unknown }
}

fn is_like(name: &str, known: &str) -> bool {
    match known.split_once('*') {
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => name == known,
    }
}

fn rate(name: &str) -> Option<Conditions<'_>> {
    let tier = TIERS.iter().find_map(|(suffix, tier)| Some((name.strip_suffix(suffix)?, *tier)));
    let (mut rest, tier) = tier.map_or((name, None), |(rest, tier)| (rest, Some(tier)));
    let (mut above, mut ttl, mut above_seconds) = (0, None, None);
    while let Some((before, condition)) = rest.rsplit_once("_above_") {
        if let Some(thousands) = condition.strip_suffix("k_tokens") {
            above = thousands.parse::<u32>().ok().map(|thousands| u64::from(thousands) * 1000)?;
        } else if let Some(seconds) = condition.strip_suffix("s_interval") {
            above_seconds = Some(seconds.parse().ok()?);
        } else {
            ttl = Some(match condition {
                "1hr" => Ttl::OneHour,
                "12hr" => Ttl::TwelveHours,
                _ => return None,
            });
        }
        rest = before;
    }
    let find =
        |units: &[(&str, Unit)], name: &str| units.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit);
    let (unit, legacy, variant) = match (find(UNITS, rest), find(LEGACY, rest)) {
        (Some(unit), _) => (unit, false, None),
        (None, Some(unit)) => (unit, true, None),
        (None, None) => {
            let (name, size) = rest.rsplit_once('_').filter(|(_, size)| is_size(size))?;
            let unit = find(UNITS, name).filter(|unit| matches!(unit, Unit::PerImageOut | Unit::PerSecondOut))?;
            (unit, false, Some(size))
        }
    };
    Some(Conditions { unit, legacy, above, ttl, tier, variant, above_seconds })
}

/// A resolution such as `0.5K`, `1024`, `480p` and `4k`.
fn is_size(text: &str) -> bool {
    let number = text.strip_suffix(['p', 'k', 'K']).unwrap_or(text);
    number.starts_with(|c: char| c.is_ascii_digit()) && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

#[cfg(test)]
mod tests;
