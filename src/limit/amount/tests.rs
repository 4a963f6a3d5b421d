//! Amounts by hand.

use proptest::prelude::*;

use super::*;
use crate::limit::window::Window;

fn limit(unit: Unit, weights: Weights) -> Limit {
    Limit { weights, ..Limit::new("policy/limit", unit, 100, Window::Held) }
}

fn weights(all: [&str; 5]) -> Weights {
    let [input, cache_read, cache_write, output, reasoning] = all.map(|weight| weight.parse().expect("a decimal"));
    Weights { input, cache_read, cache_write, output, reasoning }
}

const USAGE: Usage = Usage {
    input: 100,
    cache_read: 1_000,
    cache_write_5m: 10,
    cache_write_1h: 5,
    output: 50,
    reasoning: 20,
    audio_in: 7,
    audio_out: 3,
    image_in: 2,
    image_out: 1,
    cache_read_audio: 30,
    cache_read_image: 4,
    video_in: 0,
    video_out: 0,
    units: crate::llm::usage::Units::NONE,
};

#[test]
fn a_call_comes_to_what_its_unit_says() {
    let rows = [
        (Unit::Requests, Some(1)),
        (Unit::Concurrency, Some(1)),
        (Unit::Tokens, Some(1_178_000)),
        (Unit::Usd, Some(42)),
    ];
    for (unit, expected) in rows {
        assert_eq!(limit(unit, Weights::default()).charge(&USAGE, Some(NanoUsd(42))), expected, "{unit:?}");
        let unknown = expected.filter(|_| unit != Unit::Usd);
        assert_eq!(limit(unit, Weights::default()).charge(&USAGE, None), unknown, "{unit:?}");
        assert_eq!(limit(unit, Weights::default()).bound(0, 0, None).is_some(), unit != Unit::Usd);
    }
    assert_eq!(limit(Unit::Usd, Weights::default()).charge(&USAGE, Some(NanoUsd(-1))), Some(0), "a credit");
    assert_eq!(limit(Unit::Usd, Weights::default()).bound(1, 1, Some(NanoUsd::MAX)), Some(MOST));
}

#[test]
fn tokens_weigh_what_their_class_does() {
    // 109 in, 1000 read, 15 written, 34 out and 20 of reasoning.
    let rows = [
        (["1", "0", "0", "0", "0"], 109_000),
        (["0", "0.1", "0", "0", "0"], 100_000),
        (["0", "0", "1.25", "0", "0"], 18_750),
        (["0", "0", "0", "5", "0"], 170_000),
        (["0", "0", "0", "0", "2"], 40_000),
        (["1", "0.1", "1.25", "5", "2"], 437_750),
        // Once, and up: 109 millionths, and a thousand and 109 of them.
        (["0.000001", "0", "0", "0", "0"], 1),
        (["0.000001", "0.000001", "0", "0", "0"], 2),
        (["0", "0", "0", "0", "0"], 0),
    ];
    for (all, expected) in rows {
        assert_eq!(limit(Unit::Tokens, weights(all)).charge(&USAGE, None), Some(expected), "{all:?}");
    }
    let wrong = Usage { output: 10, reasoning: 30, ..Usage::default() };
    assert_eq!(limit(Unit::Tokens, Weights::default()).charge(&wrong, None), Some(10_000), "a part of the output");
}

#[test]
fn the_bound_takes_the_dearest_class() {
    let rows = [
        (["1", "0.1", "1.25", "5", "2"], 1_250 * 10 + 5_000 * 20),
        (["1", "2", "1.25", "1", "3"], 2_000 * 10 + 3_000 * 20),
        (["0", "0", "0", "0", "0"], 0),
    ];
    for (all, expected) in rows {
        assert_eq!(limit(Unit::Tokens, weights(all)).bound(10, 20, None), Some(expected), "{all:?}");
    }
    assert_eq!(limit(Unit::Tokens, Weights::default()).bound(u64::MAX, u64::MAX, None), Some(MOST));
}

proptest! {
    /// Whatever classes the tokens turn out to be of, they come to no more than the bound.
    #[test]
    fn no_call_comes_to_more_than_its_bound(
        tokens in prop::array::uniform11(0..100_000u64),
        reasoning in 0..100_000u64,
        billionths in prop::array::uniform5(0..10_000_000_000u64),
    ) {
        let [input, cache_read, cache_write_5m, cache_write_1h, output, ..] = tokens;
        let [.., audio_in, audio_out, image_in, image_out, video_in, video_out] = tokens;
        let reasoning = reasoning.min(output);
        let units = crate::llm::usage::Units::NONE;
        let usage = Usage {
            input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
            audio_in, audio_out, image_in, image_out, video_in, video_out,
            cache_read_audio: cache_read / 2, cache_read_image: cache_read / 3, units,
        };
        let texts = billionths.map(|weight| format!("{}.{:09}", weight / 1_000_000_000, weight % 1_000_000_000));
        let limit = limit(Unit::Tokens, weights([&texts[0], &texts[1], &texts[2], &texts[3], &texts[4]]));
        let bound = limit.bound(usage.total_input(), usage.total_output(), None);
        prop_assert!(limit.charge(&usage, None) <= bound);
    }
}
