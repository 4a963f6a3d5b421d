//! What cools down, for how long, and what is forgotten. The clock is a number.

use super::*;

const A: &str = "a";

fn seconds(seconds: u64) -> Instant {
    Instant(0).plus(Duration::from_secs(seconds))
}

fn seen(model: &str, outcome: Outcome, at: u64) -> Observation {
    Observation { backend: A.into(), credential: 0, model: model.into(), outcome, cooldown: None, at: seconds(at) }
}

fn until(health: &Health, model: &str, at: u64) -> Option<u64> {
    health.cooling_until(A, 0, model, seconds(at)).map(|until| until.0 / 1_000_000_000)
}

#[test]
fn a_limit_is_the_models_and_lasts_as_long_as_the_provider_says() {
    let health = Health::new();
    health.observe(&seen("m", Outcome::RateLimited(Some(Duration::from_secs(2))), 10));
    assert_eq!(until(&health, "m", 10), Some(12));
    assert_eq!(until(&health, "m", 12), None);
    assert_eq!(until(&health, "other", 10), None);
    assert_eq!(health.cooling_until("b", 0, "m", seconds(10)), None);
    // Without a word of the provider's the rule's, and without that the usual time.
    health.observe(&seen("n", Outcome::RateLimited(None), 10));
    assert_eq!(until(&health, "n", 10), Some(40));
    let ruled = Observation { cooldown: Some(Duration::from_secs(5)), ..seen("o", Outcome::RateLimited(None), 10) };
    health.observe(&ruled);
    assert_eq!(until(&health, "o", 10), Some(15));
    // A shorter time that comes later does not make a longer one shorter, and none is endless.
    health.observe(&seen("n", Outcome::RateLimited(Some(Duration::from_secs(1))), 11));
    assert_eq!(until(&health, "n", 11), Some(40));
    health.observe(&seen("p", Outcome::RateLimited(Some(Duration::MAX)), 0));
    assert_eq!(until(&health, "p", 0), Some(3600));
}

#[test]
fn a_refused_key_and_a_lost_connection_are_the_backends() {
    for (outcome, expected) in [(Outcome::Denied, 10), (Outcome::Unreachable, 30)] {
        let health = Health::new();
        health.observe(&seen("m", outcome, 0));
        assert_eq!((until(&health, "m", 0), until(&health, "n", 0)), (Some(expected), Some(expected)), "{outcome:?}");
    }
    let health = Health::new();
    health.observe(&seen("m", Outcome::Forbidden, 0));
    assert_eq!((until(&health, "m", 0), until(&health, "n", 0)), (Some(10), None));
}

#[test]
fn three_failures_in_a_row_cool_down_and_a_success_begins_anew() {
    let health = Health::new();
    for outcome in [Outcome::Failed, Outcome::Failed, Outcome::Success, Outcome::Failed, Outcome::Failed] {
        health.observe(&seen("m", outcome, 0));
        assert_eq!(until(&health, "m", 0), None);
    }
    health.observe(&seen("n", Outcome::Failed, 1));
    assert_eq!(until(&health, "m", 1), Some(31));
    // When the time is over one more failure is enough, and one success makes it well.
    health.observe(&seen("m", Outcome::Failed, 40));
    assert_eq!(until(&health, "m", 40), Some(70));
    health.observe(&seen("m", Outcome::Success, 80));
    health.observe(&seen("m", Outcome::Failed, 80));
    assert_eq!(until(&health, "m", 80), None);
}

#[test]
fn what_is_over_is_forgotten_and_what_is_remembered_is_bounded() {
    let health = Health::new();
    health.observe(&seen("m", Outcome::Success, 0));
    assert!(!health.is_noted(A));
    for at in 0..2 * MAX_MODELS {
        health.observe(&seen(&format!("m{at}"), Outcome::RateLimited(Some(Duration::from_secs(at as u64 + 1))), 0));
    }
    let table = health.table.read().unwrap();
    assert_eq!(table[A].keys[&0].models.len(), MAX_MODELS);
    drop(table);
    assert_eq!(until(&health, "m0", 0), None, "the first to end made room");
    assert!(until(&health, &format!("m{}", 2 * MAX_MODELS - 1), 0).is_some());
    // While something cools down a success changes nothing, unless failures are being counted.
    assert!(!health.awaits_success(A, seconds(0)) && health.awaits_success(A, seconds(3600)));
    health.observe(&seen("m", Outcome::Failed, 0));
    assert!(health.awaits_success(A, seconds(0)) && !health.awaits_success("b", seconds(0)));
    health.observe(&seen("m", Outcome::Success, 3600));
    assert!(!health.is_noted(A) && !health.awaits_success(A, seconds(3600)));
}

#[test]
fn what_befalls_one_key_leaves_those_with_another_alone() {
    let health = Health::new();
    let until = |credential, model| health.cooling_until(A, credential, model, seconds(1)).is_some();
    health.observe(&Observation { credential: 1, ..seen("m", Outcome::RateLimited(None), 0) });
    assert!(until(1, "m") && !until(1, "n") && !until(0, "m"));
    health.observe(&Observation { credential: 2, ..seen("m", Outcome::Denied, 0) });
    assert!(until(2, "m") && until(2, "n") && !until(0, "m") && !until(1, "n"));
    // A place that nothing can be reached at is one, whoever calls.
    health.observe(&Observation { credential: 2, ..seen("m", Outcome::Unreachable, 0) });
    assert!(until(0, "m") && until(1, "n") && until(7, "x"));
}

#[test]
fn only_a_providers_word_on_a_key_is_for_others() {
    let health = Health::new();
    let word = |outcome| {
        let said = health.observe(&seen("m", outcome, 10))?;
        assert_eq!((&*said.backend, said.credential), (A, Some(0)));
        Some((said.model.is_some(), said.until.0 / 1_000_000_000))
    };
    for outcome in [Outcome::Success, Outcome::Failed, Outcome::Failed, Outcome::Failed, Outcome::Unreachable] {
        assert_eq!(word(outcome), None, "{outcome:?}");
    }
    assert_eq!(word(Outcome::Denied), Some((false, 20)));
    assert_eq!(word(Outcome::Forbidden), Some((true, 20)));
    assert_eq!(word(Outcome::RateLimited(Some(Duration::from_secs(60)))), Some((true, 70)));
    assert_eq!(word(Outcome::RateLimited(Some(Duration::from_secs(1)))), Some((true, 70)), "as long as it holds");
    // Nor does it become so beside one.
    for outcome in [Outcome::Success, Outcome::Failed, Outcome::Unreachable] {
        assert_eq!(word(outcome), None, "{outcome:?}");
    }
}

#[test]
fn what_others_say_is_believed_within_the_bounds_of_what_is_seen_here() {
    let health = Health::new();
    let (backend, model): (Arc<str>, Arc<str>) = (A.into(), "m".into());
    health.learn(&backend, 0, Some(&model), seconds(10), Duration::from_secs(5));
    assert_eq!((until(&health, "m", 10), until(&health, "n", 10)), (Some(15), None));
    health.learn(&backend, 0, Some(&model), seconds(10), Duration::from_secs(1));
    assert_eq!(until(&health, "m", 10), Some(15), "never shorter");
    health.learn(&backend, 0, Some(&model), seconds(10), Duration::MAX);
    assert_eq!(until(&health, "m", 10), Some(3610));
    health.learn(&backend, 0, None, seconds(10), Duration::MAX);
    assert_eq!(until(&health, "n", 10), Some(20));
    assert!(!health.awaits_success(A, seconds(11)), "it is no streak");
    (0..10_000).for_each(|n| health.learn(&backend, 0, Some(&n.to_string().into()), seconds(10), MAX_COOLDOWN));
    assert_eq!(health.list(seconds(10)).len(), MAX_MODELS + 1);
    assert_eq!(health.list(seconds(4000)), []);
}

#[test]
fn all_that_cools_down_is_listed_in_order() {
    let health = Health::new();
    let two = Observation { credential: 1, ..seen("b", Outcome::RateLimited(None), 0) };
    health.observe(&two);
    health.observe(&seen("a", Outcome::RateLimited(None), 0));
    health.observe(&seen("a", Outcome::Denied, 0));
    health.observe(&seen("a", Outcome::Unreachable, 0));
    let rows = |at| {
        let row = |one: Cooling| (one.credential, one.model.as_deref().map(str::to_owned), one.until.0 / 1_000_000_000);
        health.list(seconds(at)).into_iter().map(row).collect::<Vec<_>>()
    };
    let text = |model: &str| Some(model.to_owned());
    let all = [(None, None, 30), (Some(0), None, 10), (Some(0), text("a"), 30), (Some(1), text("b"), 30)];
    assert_eq!(rows(0), all);
    assert_eq!(rows(10).len(), 3);
    assert_eq!(rows(30), []);
}
