//! What one call teaches, what is forgotten, and what no input can do.

use proptest::prelude::*;

use super::*;

const KEY: Key<'static> = Key { backend: "mock", model: "m" };

#[test]
fn four_bytes_a_token_until_something_is_learned() {
    let learned = Learned::new();
    assert_eq!([0, 1, 4, 5, 6, 400].map(|bytes| learned.estimate_output(KEY, bytes)), [0, 1, 1, 1, 2, 100]);
    assert_eq!(learned.estimate_input(KEY, 400), 100);
}

#[test]
fn one_call_of_equal_words_is_exact_from_then_on() {
    let learned = Learned::new();
    learned.observe_output(KEY, 7, 35);
    for tokens in [1, 2, 3, 1_000, 999_999_999] {
        assert_eq!(learned.estimate_output(KEY, 5 * tokens), tokens);
    }
    assert_eq!(learned.estimate_output(KEY, 12), 2);
    assert_eq!(learned.estimate_output(KEY, 13), 3);
    assert_eq!(learned.estimate_input(KEY, 400), 100, "input is learned by itself");
    assert_eq!(learned.estimate_output(Key { model: "other", ..KEY }, 400), 100);
    assert_eq!(learned.estimate_output(Key { backend: "other", ..KEY }, 400), 100);
}

#[test]
fn a_million_equal_calls_stay_exact() {
    let learned = Learned::new();
    for words in (1..2_000u64).cycle().take(100_000) {
        learned.observe_output(KEY, words, 5 * words);
    }
    assert_eq!(learned.estimate_output(KEY, 5 * 123_456_789), 123_456_789);
}

#[test]
fn an_old_ratio_is_forgotten() {
    let learned = Learned::new();
    learned.observe_input(KEY, 500_000, 1_000_000);
    for _ in 0..30 {
        learned.observe_input(KEY, 25_000, 100_000);
    }
    assert_eq!(learned.estimate_input(KEY, 1_000_000), 250_000);
}

#[test]
fn what_is_no_text_teaches_nothing() {
    let learned = Learned::new();
    learned.observe_output(KEY, 0, 100);
    learned.observe_output(KEY, 100, 0);
    learned.observe_output(KEY, 101, 100);
    learned.observe_input(KEY, 1_000, 5_000_000);
    learned.observe_input(KEY, u64::MAX, u64::MAX);
    let long = "x".repeat(MAX_NAME + 1);
    learned.observe_input(Key { backend: "", model: &long }, 10, 50);
    assert!(learned.is_empty());
}

#[test]
fn the_table_is_bounded_and_keeps_what_is_used() {
    let learned = Learned::new();
    for i in 0..3 * MAX_MODELS {
        learned.observe_output(KEY, 10, 20);
        learned.observe_output(Key { backend: "mock", model: &format!("made-up-{i}") }, 10, 50);
    }
    assert_eq!(learned.len(), MAX_MODELS);
    assert_eq!(learned.estimate_output(KEY, 100), 50, "the busy model is still known");
    assert_eq!(learned.estimate_output(Key { backend: "mock", model: "made-up-0" }, 100), 25);
}

#[test]
fn backend_and_model_do_not_run_together() {
    let learned = Learned::new();
    learned.observe_output(Key { backend: "a", model: "bc" }, 10, 20);
    assert_eq!(learned.estimate_output(Key { backend: "ab", model: "c" }, 100), 25);
}

proptest! {
    #[test]
    fn never_fewer_tokens_for_more_bytes_and_never_a_panic(
        seen in proptest::collection::vec((any::<u64>(), any::<u64>()), 0..8),
        plausible in proptest::collection::vec((1u64..5_000, 0u64..40), 0..8),
        a in any::<u64>(),
        b in any::<u64>(),
    ) {
        let learned = Learned::new();
        for (tokens, bytes) in seen {
            learned.observe_input(KEY, tokens, bytes);
        }
        for (tokens, more) in plausible {
            learned.observe_input(KEY, tokens, tokens + tokens * more);
        }
        let (less, more) = (a.min(b), a.max(b));
        prop_assert!(learned.estimate_input(KEY, less) <= learned.estimate_input(KEY, more));
        prop_assert!(learned.estimate_input(KEY, more) <= more, "a token is a byte or more");
    }

    #[test]
    fn equal_words_are_exact_whatever_came_before(length in 1u64..30, calls in proptest::collection::vec(1u64..300_000, 1..20), n in 1u64..1_000_000) {
        let learned = Learned::new();
        for words in calls {
            learned.observe_output(KEY, words, words * length);
        }
        prop_assert_eq!(learned.estimate_output(KEY, n * length), n);
    }
}
