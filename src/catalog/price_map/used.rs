//! Every field of the map that is a matter of price: what it says is billed, or why it is not.

use super::field::{Conditions, Field, field};
use crate::catalog::price::{Price, RateRow, Terms, Tier, Ttl, Unit};
use crate::llm::{Units, Usage};

/// The fields of the map of LiteLLM 1.109.1.
const FIELDS: &[&str] = &[
    "annotation_cost_per_page",
    "annotation_cost_per_page_batches",
    "cache_creation_input_audio_token_cost",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_100k_tokens",
    "cache_creation_input_token_cost_above_100k_tokens_batches",
    "cache_creation_input_token_cost_above_12hr",
    "cache_creation_input_token_cost_above_12hr_above_272k_tokens",
    "cache_creation_input_token_cost_above_12hr_above_272k_tokens_batches",
    "cache_creation_input_token_cost_above_12hr_above_272k_tokens_flex",
    "cache_creation_input_token_cost_above_12hr_above_272k_tokens_priority",
    "cache_creation_input_token_cost_above_12hr_above_272k_tokens_ultrafast",
    "cache_creation_input_token_cost_above_12hr_batches",
    "cache_creation_input_token_cost_above_12hr_flex",
    "cache_creation_input_token_cost_above_12hr_priority",
    "cache_creation_input_token_cost_above_12hr_ultrafast",
    "cache_creation_input_token_cost_above_1hr",
    "cache_creation_input_token_cost_above_1hr_above_100k_tokens",
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
    "cache_creation_input_token_cost_above_200k_tokens",
    "cache_creation_input_token_cost_above_272k_tokens",
    "cache_creation_input_token_cost_above_272k_tokens_batches",
    "cache_creation_input_token_cost_above_272k_tokens_decisions",
    "cache_creation_input_token_cost_above_272k_tokens_flex",
    "cache_creation_input_token_cost_above_272k_tokens_priority",
    "cache_creation_input_token_cost_above_272k_tokens_ultrafast",
    "cache_creation_input_token_cost_batches",
    "cache_creation_input_token_cost_decisions",
    "cache_creation_input_token_cost_flex",
    "cache_creation_input_token_cost_priority",
    "cache_creation_input_token_cost_ultrafast",
    "cache_read_input_audio_token_cost",
    "cache_read_input_audio_token_cost_batches",
    "cache_read_input_audio_token_cost_flex",
    "cache_read_input_audio_token_cost_priority",
    "cache_read_input_image_token_cost",
    "cache_read_input_token_cost",
    "cache_read_input_token_cost_above_100k_tokens",
    "cache_read_input_token_cost_above_100k_tokens_batches",
    "cache_read_input_token_cost_above_200k_tokens",
    "cache_read_input_token_cost_above_200k_tokens_batches",
    "cache_read_input_token_cost_above_200k_tokens_priority",
    "cache_read_input_token_cost_above_272k_tokens",
    "cache_read_input_token_cost_above_272k_tokens_batches",
    "cache_read_input_token_cost_above_272k_tokens_decisions",
    "cache_read_input_token_cost_above_272k_tokens_flex",
    "cache_read_input_token_cost_above_272k_tokens_priority",
    "cache_read_input_token_cost_above_272k_tokens_ultrafast",
    "cache_read_input_token_cost_above_512k_tokens",
    "cache_read_input_token_cost_balanced",
    "cache_read_input_token_cost_batches",
    "cache_read_input_token_cost_decisions",
    "cache_read_input_token_cost_flex",
    "cache_read_input_token_cost_priority",
    "cache_read_input_token_cost_ultrafast",
    "citation_cost_per_token",
    "code_interpreter_cost_per_session",
    "cost_per_second",
    "explicit_cache_read_input_token_cost",
    "google_maps_grounding_cost_per_query",
    "guardrail_cost_per_unit",
    "input_cost_per_audio_per_second",
    "input_cost_per_audio_per_second_above_128k_tokens",
    "input_cost_per_audio_token",
    "input_cost_per_audio_token_batches",
    "input_cost_per_audio_token_flex",
    "input_cost_per_audio_token_priority",
    "input_cost_per_character",
    "input_cost_per_character_above_128k_tokens",
    "input_cost_per_image",
    "input_cost_per_image_above_128k_tokens",
    "input_cost_per_image_token",
    "input_cost_per_image_token_batches",
    "input_cost_per_pixel",
    "input_cost_per_query",
    "input_cost_per_request",
    "input_cost_per_second",
    "input_cost_per_text_message",
    "input_cost_per_token",
    "input_cost_per_token_above_100k_tokens",
    "input_cost_per_token_above_100k_tokens_batches",
    "input_cost_per_token_above_128k_tokens",
    "input_cost_per_token_above_200k_tokens",
    "input_cost_per_token_above_200k_tokens_batches",
    "input_cost_per_token_above_200k_tokens_priority",
    "input_cost_per_token_above_256k_tokens",
    "input_cost_per_token_above_272k_tokens",
    "input_cost_per_token_above_272k_tokens_batches",
    "input_cost_per_token_above_272k_tokens_decisions",
    "input_cost_per_token_above_272k_tokens_flex",
    "input_cost_per_token_above_272k_tokens_priority",
    "input_cost_per_token_above_272k_tokens_ultrafast",
    "input_cost_per_token_above_32k_tokens",
    "input_cost_per_token_above_512k_tokens",
    "input_cost_per_token_balanced",
    "input_cost_per_token_batches",
    "input_cost_per_token_cache_hit",
    "input_cost_per_token_decisions",
    "input_cost_per_token_flex",
    "input_cost_per_token_priority",
    "input_cost_per_token_ultrafast",
    "input_cost_per_video_per_second",
    "input_cost_per_video_per_second_above_128k_tokens",
    "input_cost_per_video_per_second_above_15s_interval",
    "input_cost_per_video_per_second_above_8s_interval",
    "input_cost_per_video_token",
    "input_cost_per_video_token_batches",
    "input_dbu_cost_per_token",
    "ocr_cost_per_credit",
    "ocr_cost_per_page",
    "ocr_cost_per_page_batches",
    "off_peak_pricing",
    "output_cost_per_audio_token",
    "output_cost_per_character",
    "output_cost_per_character_above_128k_tokens",
    "output_cost_per_image",
    "output_cost_per_image_0.5K",
    "output_cost_per_image_1024",
    "output_cost_per_image_1536",
    "output_cost_per_image_1K",
    "output_cost_per_image_2K",
    "output_cost_per_image_4K",
    "output_cost_per_image_512",
    "output_cost_per_image_token",
    "output_cost_per_image_token_batches",
    "output_cost_per_pixel",
    "output_cost_per_reasoning_token",
    "output_cost_per_second",
    "output_cost_per_second_1080p",
    "output_cost_per_second_2k",
    "output_cost_per_second_480p",
    "output_cost_per_second_4k",
    "output_cost_per_second_720p",
    "output_cost_per_second_768p",
    "output_cost_per_token",
    "output_cost_per_token_above_100k_tokens",
    "output_cost_per_token_above_100k_tokens_batches",
    "output_cost_per_token_above_128k_tokens",
    "output_cost_per_token_above_200k_tokens",
    "output_cost_per_token_above_200k_tokens_batches",
    "output_cost_per_token_above_200k_tokens_priority",
    "output_cost_per_token_above_256k_tokens",
    "output_cost_per_token_above_272k_tokens",
    "output_cost_per_token_above_272k_tokens_batches",
    "output_cost_per_token_above_272k_tokens_decisions",
    "output_cost_per_token_above_272k_tokens_flex",
    "output_cost_per_token_above_272k_tokens_priority",
    "output_cost_per_token_above_272k_tokens_ultrafast",
    "output_cost_per_token_above_32k_tokens",
    "output_cost_per_token_above_512k_tokens",
    "output_cost_per_token_balanced",
    "output_cost_per_token_batches",
    "output_cost_per_token_decisions",
    "output_cost_per_token_flex",
    "output_cost_per_token_priority",
    "output_cost_per_token_ultrafast",
    "output_cost_per_video_per_second",
    "output_cost_per_video_token",
    "output_dbu_cost_per_token",
    "provider_specific_entry",
    "regional_endpoint_uplift_multiplier",
    "regional_processing_uplift_multiplier_eu",
    "regional_processing_uplift_multiplier_us",
    "search_context_cost_per_query",
    "search_free_requests",
    "tiered_pricing",
    "web_search_billing_unit",
];

/// Tables, and whether a bill depends on them: the tests of `price_map` and of `price` show how.
const TABLES: &[(&str, &str)] = &[
    ("guardrail_cost_per_unit", "a guardrail is called by itself, and what it is billed by is in no answer of a model"),
    ("search_free_requests", "who counts the free searches of a day or a month is the provider"),
    ("off_peak_pricing", ""),
    ("provider_specific_entry", ""),
    ("regional_endpoint_uplift_multiplier", ""),
    ("regional_processing_uplift_multiplier_eu", ""),
    ("regional_processing_uplift_multiplier_us", ""),
    ("search_context_cost_per_query", ""),
    ("tiered_pricing", ""),
    ("web_search_billing_unit", ""),
];

/// Units that are billed nowhere, and why.
const ARGUED: &[(Unit, &str)] = &[
    (Unit::CacheReadExplicit, "told from an implicit hit by `cache_type` alone; billed at the dearer rate of that"),
    (Unit::AudioCacheWrite, "a realtime session, which is a WebSocket and passes"),
    (Unit::Citation, "Perplexity states its cost, and that wins"),
    (Unit::PerCharacterOut, "the models that had it (MedLM) are gone, and state tokens"),
    (Unit::PerSecond, "provisioned capacity, billed by the clock and not by calls"),
    (Unit::PerSecondOut, "video, or a transcription whose other half is billed by the second that went in"),
    (Unit::PerVideoSecondIn, "no answer of Bedrock or Vertex says how long a video was"),
    (Unit::PerVideoSecondOut, "video is made by a job whose answer comes by another call"),
    (Unit::PerMapsQuery, "no usage says how often Google Maps was asked"),
    (Unit::PerMessage, "a realtime session"),
    (Unit::PerAnnotatedPage, "no usage tells annotated pages from others"),
    (Unit::PerCredit, "how many credits a document takes is the provider's secret"),
    (Unit::PerSession, "a container lives for longer than a call"),
    (Unit::DbuIn, "a reference; the bill is in USD"),
    (Unit::DbuOut, "a reference; the bill is in USD"),
];

/// Conditions under which a rate is billed nowhere, and why.
fn argued(at: &Conditions<'_>) -> Option<&'static str> {
    let unit = ARGUED.iter().find(|(unit, _)| *unit == at.unit).map(|(_, why)| *why);
    let ttl = (at.ttl == Some(Ttl::TwelveHours)).then_some("no usage tells entries of 12 hours; billed as any other");
    let above = (at.above > 0 && !at.unit.is_token()).then_some("a price of Vertex's from when Gemini had no tokens");
    unit.or(ttl).or(above)
}

/// A call that uses one of a unit; none where no usage can say it.
fn one(unit: Unit) -> Option<Usage> {
    let none = Usage::default();
    let units = |units| Usage { units, ..none };
    Some(match unit {
        Unit::Input => Usage { input: 1, ..none },
        Unit::Output => Usage { output: 1, ..none },
        Unit::Reasoning => Usage { output: 1, reasoning: 1, ..none },
        Unit::CacheRead => Usage { cache_read: 1, ..none },
        Unit::CacheWrite => Usage { cache_write_5m: 1, ..none },
        Unit::AudioIn => Usage { audio_in: 1, ..none },
        Unit::AudioOut => Usage { audio_out: 1, ..none },
        Unit::AudioCacheRead => Usage { cache_read: 1, cache_read_audio: 1, ..none },
        Unit::ImageIn => Usage { image_in: 1, ..none },
        Unit::ImageOut => Usage { image_out: 1, ..none },
        Unit::ImageCacheRead => Usage { cache_read: 1, cache_read_image: 1, ..none },
        Unit::VideoIn => Usage { video_in: 1, ..none },
        Unit::VideoOut => Usage { video_out: 1, ..none },
        Unit::PerImageIn => units(Units { images_in: 1, ..Units::NONE }),
        Unit::PerImageOut | Unit::PerPixelIn | Unit::PerPixelOut => units(Units { images_out: 1, ..Units::NONE }),
        Unit::PerCharacterIn => units(Units { characters: 1, ..Units::NONE }),
        Unit::PerSecondIn | Unit::PerAudioSecondIn => units(Units { audio_in_ms: 1_000, ..Units::NONE }),
        Unit::PerQuery => units(Units { queries: 1, ..Units::NONE }),
        Unit::PerPage => units(Units { pages: 1, ..Units::NONE }),
        Unit::PerRequest => Usage { input: 1, ..none },
        _ => return None,
    })
}

/// What a call is billed where a field is the only one that fits it, and others would be dearer.
fn billed(at: &Conditions<'_>) -> Option<i64> {
    let usage = match (one(at.unit)?, at.ttl) {
        (usage, Some(Ttl::OneHour)) => Usage { cache_write_5m: 0, cache_write_1h: usage.cache_write_5m, ..usage },
        (usage, _) => usage,
    };
    // What a threshold is exceeded by costs nothing here.
    let beside = if at.unit == Unit::Input { Unit::CacheRead } else { Unit::Input };
    let filler = match beside {
        _ if at.above == 0 => usage,
        Unit::CacheRead => Usage { cache_read: at.above + 1, ..usage },
        _ => Usage { input: at.above + 1, ..usage },
    };
    let row = |unit, rate: &str| RateRow::new(unit, rate.parse().unwrap());
    let fits = RateRow {
        above: at.above,
        ttl: at.ttl,
        tier: at.tier,
        variant: at.variant.map(Into::into),
        above_seconds: at.above_seconds,
        ..row(at.unit, "0.000000007")
    };
    let mut rates = vec![fits];
    if at.unit.is_token() || at.unit == Unit::PerRequest {
        rates.push(row(beside, "0"));
        // What stands without conditions is passed over.
        if (at.above, at.ttl, at.tier) != (0, None, None) {
            rates.push(row(at.unit, "1"));
        }
    }
    let mode =
        matches!(at.unit, Unit::PerPixelIn | Unit::PerImageIn).then_some(crate::catalog::price::Mode::ImageGeneration);
    let price = Price { rates, mode, ..Price::default() };
    let tier = at.tier.map(|tier| match tier {
        Tier::Batches => "batch",
        Tier::Flex => "flex",
        Tier::Priority => "priority",
        Tier::Balanced => "balanced",
        Tier::Ultrafast => "ultrafast",
        Tier::Decisions => "decisions",
    });
    let terms = Terms { tier, size: at.variant.or(Some("1x1")), ..Terms::default() };
    price.cost(&filler, terms).ok().map(|cost| cost.total.nanos())
}

#[test]
fn every_field_is_billed_or_it_is_said_why_not() {
    let mut units = std::collections::BTreeSet::new();
    for name in FIELDS {
        match field(name) {
            Field::Table(_) => assert!(TABLES.iter().any(|(table, _)| table == name), "{name}"),
            Field::Rate(at) => {
                units.insert(at.unit);
                match argued(&at) {
                    Some(why) => assert!(!why.is_empty() && billed(&at) != Some(7), "{name} is billed"),
                    None => assert_eq!(billed(&at), Some(7), "{name} is not billed"),
                }
            }
            other => panic!("{name} is {other:?}"),
        }
    }
    for (unit, _) in ARGUED {
        assert!(units.contains(unit), "{unit:?} is in no field, so nothing has to be said");
    }
}
