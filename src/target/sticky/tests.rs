//! Shares follow weights, and a choice that goes moves only its own callers.

use super::*;

const CALLERS: u32 = 20_000;

fn key(caller: u32) -> StickyKey {
    let session = format!("session-{caller}");
    Sticky { session: Some(&session), ..Sticky::default() }.key(&[StickyBy::Session]).unwrap()
}

fn nearest(key: StickyKey, choices: &[(&'static str, u32)]) -> &'static str {
    let distances = choices.iter().map(|&(name, weight)| (key.distance(name, "m", weight), name));
    distances.reduce(|best, next| if next.0.is_less(best.0) { next } else { best }).unwrap().1
}

#[test]
fn shares_follow_weights() {
    let choices = [("a", 95), ("b", 5), ("c", 1), ("d", 300)];
    let total: u32 = choices.iter().map(|choice| choice.1).sum();
    let chosen: Vec<&str> = (0..CALLERS).map(|caller| nearest(key(caller), &choices)).collect();
    let mut chi_square = 0.0;
    for (name, weight) in choices {
        let expected = f64::from(CALLERS) * f64::from(weight) / f64::from(total);
        let found = u32::try_from(chosen.iter().filter(|other| **other == name).count()).unwrap();
        chi_square += (f64::from(found) - expected).powi(2) / expected;
    }
    // Three degrees of freedom: above 16.3 once in a thousand tries. There is only this one try.
    assert!(chi_square < 16.3, "{chi_square}");
}

#[test]
fn a_choice_that_goes_moves_its_own_callers_and_no_others() {
    let all = [("a", 3), ("b", 2), ("c", 5)];
    let mut moved = 0;
    for caller in 0..CALLERS {
        let (before, after) = (nearest(key(caller), &all), nearest(key(caller), &all[..2]));
        assert!(before == after || before == "c", "{caller}: {before} -> {after}");
        moved += u32::from(before != after);
    }
    assert!(moved > CALLERS * 4 / 10 && moved < CALLERS * 6 / 10, "{moved}");
}

/// Two replicas agree only if this never changes.
#[test]
fn the_hash_is_the_same_everywhere() {
    assert_eq!(key(7), StickyKey(GOLDEN_KEY));
    let chosen: String = (0..24).map(|caller| nearest(key(caller), &[("a", 1), ("b", 1)])).collect();
    assert_eq!(chosen, GOLDEN_CHOICES);
    // One half, one quarter, and nearly all.
    assert_eq!([1 << 63, 1 << 62, u64::MAX].map(minus_log2), [1 << 32, 2 << 32, 1]);
}

/// Computed by another program, in floating point.
const GOLDEN_KEY: u64 = 0x9374_dc79_be6c_7b37;
const GOLDEN_CHOICES: &str = "bbbbbbabbbbabbbaabbaaaaa";

#[test]
fn values_that_are_not_there_keep_nobody() {
    let by = [StickyBy::Session, StickyBy::Consumer];
    let of = |session, consumer| Sticky { session, consumer, namespace: Some("n") }.key(&by);
    assert_eq!((of(None, None), of(Some(""), None)), (None, None));
    assert_eq!(of(None, Some("c")), of(Some(""), Some("c")));
    let all = [of(Some("c"), None), of(None, Some("c")), of(Some("c"), Some("c")), of(Some("cc"), None)];
    for (at, one) in all.iter().enumerate() {
        assert!(one.is_some() && !all[at + 1..].contains(one));
    }
    assert_eq!(Sticky { namespace: Some("n"), ..Sticky::default() }.key(&[]), None);
}
