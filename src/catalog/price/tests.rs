//! The rules of a bill, and cases with their expected nano-USD worked out by hand.

use proptest::prelude::*;

use super::*;
use crate::catalog::Catalog;
use crate::llm::{Units, Usage};

mod units;

/// `(model, usage, tier, input, output)`: nano-USD, from the providers' published prices per million.
type Case = (&'static str, Usage, Option<&'static str>, i64, i64);

fn input(input: u64) -> Usage {
    Usage { input, ..Usage::default() }
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

fn rate(per_million: &str) -> Rate {
    Rate::per_million(per_million).unwrap()
}

fn check(provider: &str, cases: &[Case]) {
    let catalog = Catalog::builtin();
    for (model, usage, tier, input, output) in cases {
        let price = catalog.price(provider, model).unwrap_or_else(|| panic!("{provider}/{model} has no row"));
        let cost = price.cost(usage, *tier).unwrap();
        assert_eq!((cost.input.nanos(), cost.output.nanos()), (*input, *output), "{model} {usage:?} {tier:?}");
        assert_eq!(cost.total, cost.input + cost.output);
    }
}

#[test]
fn openai_bills() {
    let cached = Usage { cache_read: 8_000, ..usage(2_000, 200) };
    check(
        "openai",
        &[
            // 0.15 and 0.60 a million; cached 0.075.
            ("gpt-4o-mini", usage(1_000, 200), None, 150_000, 120_000),
            ("gpt-4o-mini", cached, None, 300_000 + 600_000, 120_000),
            // 2.50 / 10, cached 1.25; priority 4.25 / 17, cached 2.125; batches half.
            ("gpt-4o", usage(1_000, 200), None, 2_500_000, 2_000_000),
            ("gpt-4o", cached, Some("priority"), 8_500_000 + 17_000_000, 3_400_000),
            ("gpt-4o", usage(1_000, 200), Some("batch"), 1_250_000, 1_000_000),
            // No flex prices: the base rate.
            ("gpt-4o", usage(1_000, 200), Some("flex"), 2_500_000, 2_000_000),
            ("gpt-4o", usage(1_000, 200), Some("default"), 2_500_000, 2_000_000),
            // 1.25 / 10, reasoning billed as output; flex half of it.
            ("gpt-5", Usage { reasoning: 700, ..usage(1_000, 900) }, None, 1_250_000, 9_000_000),
            ("gpt-5", usage(1_000, 900), Some("flex"), 625_000, 4_500_000),
            ("o3", usage(1_000, 200), None, 2_000_000, 1_600_000),
            ("gpt-3.5-turbo", usage(1_000, 200), None, 500_000, 300_000),
            // 0.02 a million, no output.
            ("text-embedding-3-small", input(12_345), None, 246_900, 0),
        ],
    );
}

#[test]
fn thresholds_are_strict_and_decide_for_the_whole_request() {
    let long_read = Usage { cache_read: 272_000, ..usage(1, 100) };
    check(
        "openai",
        &[
            // 10 / 50, cached 1; above 272,000 tokens 20 / 75, cached 2; priority twice that.
            ("gpt-6-astra", usage(272_000, 100), None, 2_720_000_000, 5_000_000),
            ("gpt-6-astra", usage(272_001, 100), None, 5_440_020_000, 7_500_000),
            ("gpt-6-astra", long_read, None, 20_000 + 544_000_000, 7_500_000),
            ("gpt-6-astra", usage(272_001, 100), Some("priority"), 10_880_040_000, 15_000_000),
        ],
    );
}

#[test]
fn anthropic_bills() {
    let written = Usage { cache_read: 1_000, cache_write_5m: 2_000, cache_write_1h: 4_000, ..usage(3_000, 200) };
    check(
        "anthropic",
        &[
            // 3 / 15, read 0.30, written 3.75 for 5 minutes and 6 for an hour.
            ("claude-sonnet-4-5", written, None, 9_000_000 + 300_000 + 7_500_000 + 24_000_000, 3_000_000),
            ("claude-haiku-4-5", usage(1_000, 200), None, 1_000_000, 1_000_000),
            ("claude-opus-4-6", usage(1_000, 200), None, 5_000_000, 5_000_000),
            ("claude-opus-4-6", usage(1_000, 200), Some("batches"), 2_500_000, 2_500_000),
            // 0.10 a million; 0.50 above 100,000, an hour 1.00.
            ("claude-haiku-5-5", usage(100_000, 0), None, 10_000_000, 0),
            ("claude-haiku-5-5", Usage { cache_write_1h: 100_001, ..input(0) }, None, 100_001_000, 0),
        ],
    );
}

#[test]
fn groq_and_mistral_bills() {
    check("groq", &[("openai/gpt-oss-120b", usage(1_000, 200), None, 150_000, 120_000)]);
    check("mistral", &[("mistral-large-latest", usage(1_000, 200), None, 500_000, 300_000)]);
}

/// What is cached is billed once, at the rate of what it is; what has none, at the nearest.
#[test]
fn cached_sound_and_images_and_video_have_rates_of_their_own() {
    let sound = Usage { cache_read: 1_000, cache_read_audio: 600, audio_in: 50, ..usage(10, 0) };
    // 10 x 300 + 400 x 30 + 600 x 100 + 50 x 1,000 nano-USD.
    check("gemini", &[("gemini-2.5-flash", sound, None, 125_000, 0)]);
    let images = Usage { cache_read: 100, cache_read_image: 80, image_in: 20, image_out: 10, ..usage(5, 0) };
    // 5 x 5,000 + 20 x 1,250 + 80 x 2,500 + 20 x 10,000; 10 x 40,000.
    check("openai", &[("gpt-image-1", images, None, 450_000, 400_000)]);
    let video = Usage { video_in: 10, ..usage(100, 0) };
    check("gemini", &[("gemini-embedding-2", video, None, 140_000, 0)]);
    let film = Usage { video_out: 100, ..usage(100, 10) };
    check("gemini", &[("gemini-omni-1.1-flash", film, None, 150_000, 1_840_000)]);

    let cached = Usage { cache_read: 7, cache_read_audio: 3, cache_read_image: 4, ..usage(0, 0) };
    let bill = |rates: &[(Unit, &str)]| {
        Price::flat("p/m", rates.iter().map(|(unit, text)| (*unit, rate(text))))
            .cost(&cached, None)
            .unwrap()
            .input
            .nanos()
    };
    assert_eq!(bill(&[(Unit::Input, "1"), (Unit::CacheRead, "0.1"), (Unit::AudioIn, "5")]), 700);
    assert_eq!(bill(&[(Unit::Input, "1"), (Unit::AudioIn, "5")]), 3 * 5_000 + 4 * 1_000);
    // Parts that are more than their whole.
    let odd = Usage { cache_read: 5, cache_read_audio: 9, cache_read_image: u64::MAX, ..usage(0, 0) };
    let price = Price::flat("p/m", [(Unit::CacheRead, rate("1"))]);
    assert_eq!(price.cost(&odd, None).unwrap().total.nanos(), 5_000);
}

#[test]
fn classes_without_a_rate_are_billed_as_what_they_are_part_of() {
    let price = Price::flat("p/m", [(Unit::Input, rate("1")), (Unit::Output, rate("2"))]);
    let all = Usage {
        input: 1,
        cache_read: 10,
        cache_write_5m: 100,
        cache_write_1h: 1_000,
        output: 50,
        reasoning: 20,
        audio_in: 10_000,
        audio_out: 100,
        image_in: 100_000,
        image_out: 1_000,
        ..Usage::default()
    };
    let cost = price.cost(&all, None).unwrap();
    assert_eq!((cost.input, cost.output), (NanoUsd(111_111_000), NanoUsd(2_300_000)));

    let own = [
        (Unit::Input, "1"),
        (Unit::CacheRead, "2"),
        (Unit::CacheWrite, "3"),
        (Unit::AudioIn, "4"),
        (Unit::ImageIn, "5"),
        (Unit::Output, "6"),
        (Unit::Reasoning, "7"),
        (Unit::AudioOut, "8"),
        (Unit::ImageOut, "9"),
    ];
    let price = Price::flat("p/m", own.map(|(unit, per_million)| (unit, rate(per_million))));
    let cost = price.cost(&all, None).unwrap();
    assert_eq!(cost.input.nanos(), 1_000 + 20_000 + 300_000 + 3_000_000 + 40_000_000 + 500_000_000);
    assert_eq!(cost.output.nanos(), 30 * 6_000 + 20 * 7_000 + 100 * 8_000 + 1_000 * 9_000);
}

#[test]
fn what_has_no_rate_at_all_is_unpriced_and_not_free() {
    let embedding = Price::flat("p/m", [(Unit::Input, rate("1"))]);
    assert_eq!(embedding.cost(&usage(1, 1), None), Err(Unpriced::NoRate(Unit::Output)));
    assert_eq!(embedding.cost(&Usage { reasoning: 1, ..usage(0, 1) }, None), Err(Unpriced::NoRate(Unit::Output)));
    assert!(embedding.cost(&input(1), None).is_ok(), "no tokens need no rate");
    assert_eq!(Price::default().cost(&input(1), None), Err(Unpriced::NoRate(Unit::Input)));
    assert_eq!(Price::default().cost(&Usage::default(), None), Ok(Cost::default()));
}

#[test]
fn a_threshold_comes_before_a_tier() {
    let mut price = Price::flat("p/m", [(Unit::Input, rate("1"))]);
    price.rates.push(RateRow { tier: Some(Tier::Flex), ..RateRow::new(Unit::Input, rate("2")) });
    price.rates.push(RateRow { above: 100, ..RateRow::new(Unit::Input, rate("3")) });
    price.rates.push(RateRow { above: 200, tier: Some(Tier::Flex), ..RateRow::new(Unit::Input, rate("4")) });
    let cost = |tokens, tier| price.cost(&input(tokens), tier).unwrap().total.nanos() / 1_000;
    assert_eq!([cost(100, None), cost(101, None), cost(201, None)], [100, 303, 603]);
    assert_eq!([cost(100, Some("flex")), cost(101, Some("flex")), cost(201, Some("flex"))], [200, 303, 804]);
    assert_eq!(cost(100, Some("no-such-tier")), 100);
}

#[test]
fn a_tier_that_prices_output_prices_reasoning() {
    let mut price = Price::flat("p/m", [(Unit::Output, rate("2")), (Unit::Reasoning, rate("3"))]);
    price.rates.push(RateRow { tier: Some(Tier::Priority), ..RateRow::new(Unit::Output, rate("5")) });
    let used = Usage { reasoning: 400, ..usage(0, 1_000) };
    let cost = |price: &Price, tier| price.cost(&used, tier).unwrap().total.nanos() / 1_000;
    assert_eq!(cost(&price, None), 600 * 2 + 400 * 3);
    assert_eq!(cost(&price, Some("priority")), 1_000 * 5);
    price.rates.push(RateRow { tier: Some(Tier::Priority), ..RateRow::new(Unit::Reasoning, rate("7")) });
    assert_eq!(cost(&price, Some("priority")), 600 * 5 + 400 * 7);
}

#[test]
fn reasoning_beyond_the_output_is_not_billed_twice() {
    let price = Price::flat("p/m", [(Unit::Output, rate("1"))]);
    let cost = price.cost(&Usage { reasoning: 500, ..usage(0, 10) }, None).unwrap();
    assert_eq!(cost.total, NanoUsd(10_000));
}

#[test]
fn the_total_is_rounded_once() {
    // 0.4 nano a token each way: apart they are nothing, together one nano.
    let price = Price::flat("p/m", [(Unit::Input, rate("0.0004")), (Unit::Output, rate("0.0004"))]);
    let cost = price.cost(&usage(1, 1), None).unwrap();
    assert_eq!((cost.input, cost.output, cost.total), (NanoUsd(0), NanoUsd(1), NanoUsd(1)));
}

proptest! {
    #[test]
    fn parts_add_up_and_the_total_is_the_exact_sum_rounded(
        tokens in proptest::array::uniform5(0u64..10_000_000),
        nanos in proptest::array::uniform5(0u64..1_000_000_000),
        reasoning in 0u64..10_000_000,
    ) {
        let units = [Unit::Input, Unit::CacheRead, Unit::CacheWrite, Unit::Output, Unit::AudioOut];
        // Rates in millionths of a nano-USD per token.
        let rates = units.iter().zip(nanos).map(|(unit, n)| (*unit, format!("{n}e-15").parse().unwrap()));
        let price = Price::flat("p/m", rates);
        let [input, cache_read, cache_write_5m, output, audio_out] = tokens;
        let usage = Usage { input, cache_read, cache_write_5m, output, audio_out, reasoning, ..Usage::default() };
        let cost = price.cost(&usage, None).unwrap();
        let exact: u128 = tokens.iter().zip(nanos).map(|(t, n)| u128::from(*t) * u128::from(n)).sum();
        prop_assert_eq!(cost.total.nanos() as u128, (exact + 500_000) / 1_000_000);
        prop_assert_eq!(cost.input + cost.output, cost.total);
        prop_assert!(cost.input >= NanoUsd::ZERO && cost.output >= NanoUsd::ZERO);
    }

    #[test]
    fn no_usage_panics(t in proptest::array::uniform14(any::<u64>()), tier in proptest::option::of(".{0,12}")) {
        let usage = Usage {
            input: t[0], cache_read: t[1], cache_write_5m: t[2], cache_write_1h: t[3], output: t[4],
            reasoning: t[5], audio_in: t[6], audio_out: t[7], image_in: t[8], image_out: t[9],
            video_in: t[10], video_out: t[11], cache_read_audio: t[12], cache_read_image: t[13],
            units: Units { searches: t[0], audio_in_ms: t[1], images_in: t[2], ..Units::default() },
        };
        let catalog = Catalog::builtin();
        let cost = catalog.price("openai", "gpt-6-astra").unwrap().cost(&usage, tier.as_deref()).unwrap();
        prop_assert_eq!(cost.input + cost.output, cost.total);
    }
}
