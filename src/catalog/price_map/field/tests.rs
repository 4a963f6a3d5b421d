//! Every field of the map as it is today, and how names that nobody has thought of fare.

use super::*;

fn rate(name: &str) -> Conditions<'_> {
    match field(name) {
        Field::Rate(conditions) => conditions,
        other => panic!("{name} is {other:?}"),
    }
}

const PLAIN: Conditions<'_> = Conditions {
    unit: Unit::Input,
    legacy: false,
    above: 0,
    ttl: None,
    tier: None,
    variant: None,
    above_seconds: None,
};

#[test]
fn a_name_is_a_unit_and_its_conditions() {
    for (name, wanted) in [
        ("input_cost_per_token", PLAIN),
        ("input_cost_per_token_above_272k_tokens", Conditions { above: 272_000, ..PLAIN }),
        ("input_cost_per_token_batches", Conditions { tier: Some(Tier::Batches), ..PLAIN }),
        (
            "input_cost_per_token_above_200k_tokens_priority",
            Conditions { above: 200_000, tier: Some(Tier::Priority), ..PLAIN },
        ),
        (
            "cache_creation_input_token_cost_above_12hr_above_272k_tokens_ultrafast",
            Conditions {
                unit: Unit::CacheWrite,
                above: 272_000,
                ttl: Some(Ttl::TwelveHours),
                tier: Some(Tier::Ultrafast),
                ..PLAIN
            },
        ),
        (
            "cache_creation_input_token_cost_above_1hr_above_100k_tokens",
            Conditions { unit: Unit::CacheWrite, above: 100_000, ttl: Some(Ttl::OneHour), ..PLAIN },
        ),
        ("output_cost_per_image_0.5K", Conditions { unit: Unit::PerImageOut, variant: Some("0.5K"), ..PLAIN }),
        ("output_cost_per_image_1024", Conditions { unit: Unit::PerImageOut, variant: Some("1024"), ..PLAIN }),
        ("output_cost_per_second_1080p", Conditions { unit: Unit::PerSecondOut, variant: Some("1080p"), ..PLAIN }),
        ("output_cost_per_image_token", Conditions { unit: Unit::ImageOut, ..PLAIN }),
        (
            "output_cost_per_image_token_batches",
            Conditions { unit: Unit::ImageOut, tier: Some(Tier::Batches), ..PLAIN },
        ),
        (
            "input_cost_per_video_per_second_above_15s_interval",
            Conditions { unit: Unit::PerVideoSecondIn, above_seconds: Some(15), ..PLAIN },
        ),
        (
            "input_cost_per_character_above_128k_tokens",
            Conditions { unit: Unit::PerCharacterIn, above: 128_000, ..PLAIN },
        ),
        ("input_cost_per_token_cache_hit", Conditions { unit: Unit::CacheRead, legacy: true, ..PLAIN }),
        (
            "annotation_cost_per_page_batches",
            Conditions { unit: Unit::PerAnnotatedPage, tier: Some(Tier::Batches), ..PLAIN },
        ),
    ] {
        assert_eq!(rate(name), wanted, "{name}");
    }
}

#[test]
fn products_of_what_is_known_are_known() {
    for (unit, _) in UNITS {
        for condition in ["", "_above_1hr", "_above_64k_tokens", "_above_12hr_above_2000k_tokens"] {
            for tier in ["", "_batches", "_flex", "_priority", "_balanced", "_ultrafast", "_decisions"] {
                let name = format!("{unit}{condition}{tier}");
                assert!(matches!(field(&name), Field::Rate(_)), "{name}");
            }
        }
    }
}

#[test]
fn what_is_no_price_is_known_as_such_and_the_rest_is_not() {
    for name in ["supports_vision", "supports_anything", "rpm", "token_count_model", "max_tokens", "supported_regions"]
    {
        assert_eq!(field(name), Field::Aside, "{name}");
    }
    for name in [
        "",
        "input_cost_per_furlong",
        "input_cost_per_token_above_2hr",
        "input_cost_per_token_above_xk_tokens",
        "input_cost_per_token_above_200k",
        "input_cost_per_token_gold",
        "input_cost_per_token_720p",
        "output_cost_per_second_",
        "output_cost_per_second_p",
        "_batches",
        "support",
        "file_search_cost_per_1k_calls",
        "regional_processing_uplift_multiplier_mars",
    ] {
        assert_eq!(field(name), Field::Unknown, "{name}");
    }
}
