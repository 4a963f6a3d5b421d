//! Money against a reference that works on strings of digits, so that it shares no code with it.

use proptest::prelude::*;

use super::*;

fn rate(text: &str) -> Rate {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Schoolbook arithmetic on decimal digits, least significant first.
mod digits {
    pub fn of(mut n: u128) -> Vec<u32> {
        let mut out = vec![];
        while n > 0 {
            out.push(u32::try_from(n % 10).unwrap());
            n /= 10;
        }
        out
    }

    pub fn mul(a: &[u32], b: &[u32]) -> Vec<u32> {
        let mut out = vec![0u32; a.len() + b.len() + 1];
        for (i, x) in a.iter().enumerate() {
            for (j, y) in b.iter().enumerate() {
                out[i + j] += x * y;
            }
            carry(&mut out);
        }
        out
    }

    pub fn add(a: &[u32], b: &[u32]) -> Vec<u32> {
        let len = a.len().max(b.len()) + 1;
        let mut out: Vec<u32> = (0..len).map(|i| a.get(i).unwrap_or(&0) + b.get(i).unwrap_or(&0)).collect();
        carry(&mut out);
        out
    }

    fn carry(out: &mut [u32]) {
        for i in 0..out.len() - 1 {
            out[i + 1] += out[i] / 10;
            out[i] %= 10;
        }
    }

    /// Drops `places` digits, half up.
    pub fn round(n: &[u32], places: usize) -> Vec<u32> {
        let up = n.get(places - 1).is_some_and(|d| *d >= 5);
        let kept = n.get(places..).unwrap_or(&[]);
        if up { add(kept, &[1]) } else { kept.to_vec() }
    }

    /// Saturates at `i64::MAX`, as money does.
    pub fn to_i64(n: &[u32]) -> i64 {
        n.iter().rev().try_fold(0i64, |v, d| v.checked_mul(10)?.checked_add(i64::from(*d))).unwrap_or(i64::MAX)
    }
}

#[test]
fn rates_are_exact_in_every_spelling() {
    for text in ["1.5e-07", "0.00000015", "15e-8", "1.5E-7", "+.00000015", "150e-9", "0.000000150000000000000"] {
        assert_eq!(rate(text).attos(), 150_000_000_000, "{text}");
    }
    assert_eq!(Rate::per_million("0.15"), Ok(rate("1.5e-07")));
    assert_eq!(Rate::per_million("0.0025").map(Rate::attos), Ok(2_500_000_000), "2.5 nano a token");
    assert_eq!(Rate::per_million("15"), Ok(rate("1.5e-05")));
    assert_eq!(rate("0"), Rate::ZERO);
    assert_eq!(rate("0e99"), Rate::ZERO);
    assert_eq!(rate("0.0450").to_string(), "0.045");
    assert_eq!(rate("3").to_string(), "3");
}

#[test]
fn what_is_no_price_is_refused() {
    use MoneyError::{Negative, Syntax, TooLarge, TooPrecise};
    for (text, want) in [
        ("", Syntax),
        (".", Syntax),
        ("e5", Syntax),
        ("1e", Syntax),
        ("1.2.3", Syntax),
        ("0x10", Syntax),
        ("NaN", Syntax),
        ("inf", Syntax),
        ("1,5", Syntax),
        ("--1", Syntax),
        ("-+1", Syntax),
        (" 1", Syntax),
        ("1_000", Syntax),
        ("١", Syntax),
        ("-1", Negative),
        ("1e-19", TooPrecise),
        ("1.0000000000000000001", TooPrecise),
        ("1e-2147483648", TooPrecise),
        ("1e2147483647", TooLarge),
        ("1e10", TooLarge),
        ("99999999999999999999999999999999999999999999", TooLarge),
    ] {
        assert_eq!(text.parse::<Rate>(), Err(want), "{text}");
    }
    assert_eq!("0".repeat(65).parse::<Rate>(), Err(Syntax), "longer than any price");
    assert_eq!("1000001".parse::<Multiplier>(), Err(TooLarge));
    assert_eq!("0.0000000001".parse::<Multiplier>(), Err(TooPrecise));
}

#[test]
fn amounts_print_all_nine_places_and_read_back() {
    for (nanos, text) in [
        (0, "0.000000000"),
        (123_450, "0.000123450"),
        (1_000_000_000, "1.000000000"),
        (-1, "-0.000000001"),
        (i64::MAX, "9223372036.854775807"),
        (i64::MIN, "-9223372036.854775808"),
    ] {
        assert_eq!(NanoUsd(nanos).to_string(), text);
        assert_eq!(text.parse(), Ok(NanoUsd(nanos)));
    }
    assert_eq!("9223372036.854775808".parse::<NanoUsd>(), Err(MoneyError::TooLarge));
    assert_eq!("0.0000000001".parse::<NanoUsd>(), Err(MoneyError::TooPrecise));
}

#[test]
fn a_sum_is_rounded_once_and_half_goes_up() {
    let mut sum = Sum::default();
    // Three classes of 0.4 nano each: rounded one by one they would be nothing.
    for _ in 0..3 {
        sum.add(1, rate("4e-10"));
    }
    assert_eq!(sum.nanos(), NanoUsd(1));
    let half = |units| {
        let mut sum = Sum::default();
        sum.add(units, rate("5e-10"));
        sum.nanos()
    };
    assert_eq!([half(1), half(2), half(3)], [NanoUsd(1), NanoUsd(1), NanoUsd(2)]);
}

#[test]
fn a_multiplier_works_on_the_exact_sum() {
    let mut sum = Sum::default();
    sum.add(1_000, rate("1.5e-07"));
    sum.add(7, rate("6e-07"));
    assert_eq!(sum.nanos(), NanoUsd(154_200));
    assert_eq!(sum.nanos_times("0.85".parse().unwrap()), NanoUsd(131_070));
    assert_eq!(sum.nanos_times("0".parse().unwrap()), NanoUsd::ZERO);
    assert_eq!(sum.nanos_times(Multiplier::ONE), sum.nanos());
}

#[test]
fn the_ends_of_the_range_saturate() {
    let mut sum = Sum::default();
    sum.add(u64::MAX, Rate(MAX_RATE));
    sum.add(u64::MAX, Rate(MAX_RATE));
    assert_eq!(sum.nanos(), NanoUsd::MAX);
    assert_eq!(sum.nanos_times(Multiplier(MAX_MULTIPLIER)), NanoUsd::MAX);
    assert_eq!(NanoUsd::MAX + NanoUsd(1), NanoUsd::MAX);
    assert_eq!(NanoUsd(i64::MIN).saturating_sub(NanoUsd(1)), NanoUsd(i64::MIN));
}

#[test]
fn the_nearest_rate_is_found_where_the_text_is_too_fine() {
    for (text, attos, exact) in [
        ("1.5e-07", 150_000_000_000, true),
        ("2.0000000000000002e-07", 200_000_000_000, false),
        ("4.285999999999999e-06", 4_286_000_000_000, false),
        ("1e-19", 0, false),
        ("5e-19", 1, false),
        ("1e-99", 0, false),
        ("0", 0, true),
    ] {
        let (rate, is_exact) = Rate::nearest(text).unwrap();
        assert_eq!((rate.attos(), is_exact), (attos, exact), "{text}");
    }
    assert_eq!(Rate::nearest("-1e-19"), Err(MoneyError::Negative));
    assert_eq!(Rate::nearest("x"), Err(MoneyError::Syntax));
}

#[test]
fn the_shortest_text_is_that_of_price_maps() {
    for text in
        ["0", "1.5e-07", "6e-07", "0.04", "0.0001", "1e-05", "1.2345e-05", "12", "1", "1e-18", "0.000283333333333"]
    {
        assert_eq!(text.parse::<Rate>().unwrap().shortest(), text);
    }
    for (text, shown) in [("1", "1"), ("1.10", "1.1"), ("0.850000001", "0.850000001"), ("0", "0"), ("20", "20")] {
        assert_eq!(text.parse::<Multiplier>().unwrap().to_string(), shown);
    }
}

proptest! {
    #[test]
    fn the_shortest_text_is_read_as_the_same_rate(attos in 0u128..1_000_000_000_000_000_000_000) {
        let rate: Rate = format!("{attos}e-18").parse().unwrap();
        prop_assert_eq!(rate.shortest().parse::<Rate>(), Ok(rate));
    }

    #[test]
    fn agrees_with_schoolbook_arithmetic(
        parts in proptest::collection::vec((any::<u64>(), 0u128..=MAX_RATE), 0..6),
        small in proptest::collection::vec((0u64..3_000_000, 0u128..1_000_000_000_000_000), 0..6),
        factor in prop_oneof![Just(ONE), 0..=MAX_MULTIPLIER],
    ) {
        for parts in [parts, small] {
            let mut sum = Sum::default();
            let mut reference = vec![];
            for (units, rate) in parts {
                sum.add(units, Rate(rate));
                let product = digits::mul(&digits::of(u128::from(units)), &digits::of(rate));
                reference = digits::add(&reference, &product);
            }
            let reference = digits::mul(&reference, &digits::of(u128::from(factor)));
            let want = digits::to_i64(&digits::round(&reference, 18));
            // A sum that saturates is beyond all money, but a tiny factor could bring it back.
            if sum.0 < u128::MAX {
                prop_assert_eq!(sum.nanos_times(Multiplier(factor)), NanoUsd(want));
            }
        }
    }

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        let _ = text.parse::<Rate>();
        let _ = text.parse::<NanoUsd>();
        let _ = Rate::per_million(&text);
    }

    #[test]
    fn an_exponent_only_moves_the_point(digits in 0u64..1_000_000_000, places in 0usize..12, exponent in -3i32..6) {
        let plain = shift_point(digits, places, exponent);
        let with_exponent = shift_point(digits, places, 0) + &format!("e{exponent}");
        prop_assert_eq!(plain.parse::<Rate>(), with_exponent.parse::<Rate>());
    }

    #[test]
    fn display_reads_back(nanos in any::<i64>(), attos in 0u128..=MAX_RATE) {
        prop_assert_eq!(NanoUsd(nanos).to_string().parse(), Ok(NanoUsd(nanos)));
        prop_assert_eq!(Rate(attos).to_string().parse(), Ok(Rate(attos)));
    }
}

/// `digits` with the decimal point `places - exponent` places from the right, as text.
fn shift_point(digits: u64, places: usize, exponent: i32) -> String {
    let places = i32::try_from(places).unwrap() - exponent;
    if places <= 0 {
        return format!("{digits}{}", "0".repeat(places.unsigned_abs() as usize));
    }
    let places = places as usize;
    let text = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = text.split_at(text.len() - places);
    format!("{whole}.{fraction}")
}
