//! Priorities, weights, callers that are kept, and what is passed over.

use std::cell::Cell;
use std::time::Duration;

use super::super::health::{Observation, Outcome};
use super::super::{Retry, RetryOn, Rules, StickyBy};
use super::*;

/// What a test varies.
struct Case {
    affinity: &'static [StickyBy],
    cooled: &'static [(&'static str, u64)],
    draw: u64,
    dialect: Dialect,
    is_chat: bool,
    session: &'static str,
    denied: &'static [usize],
    /// Backends without a credential for the caller.
    keyless: &'static [usize],
    /// Windows that the call does not fit in, where the rule wants to know of any.
    overfull: &'static [(usize, u64)],
}

const PLAIN: Case = Case {
    affinity: &[],
    cooled: &[],
    draw: 0,
    dialect: Dialect::OpenAi,
    is_chat: false,
    session: "s",
    denied: &[],
    keyless: &[],
    overfull: &[],
};

// === impl Case ===

impl Case {
    /// `a` and `b` first, then `c`; `d` speaks another dialect, and `e` has no weight.
    fn run(&self) -> Result<Chosen, Refusal> {
        let choice = |(backend, priority, weight)| Choice { backend, model: None, priority, weight };
        let choices = [(2, 1, 1), (0, 0, 3), (1, 0, 1), (3, 0, 9), (4, 0, 0)].map(choice);
        let affinity = self.affinity.into();
        let long = Retry { attempts: 1, on: vec![RetryOn::ContextTooLong], ..Retry::default() };
        let retry = (!self.overfull.is_empty()).then(|| long.into());
        let rules: Rules = vec![Rule { choices: choices.into(), affinity, retry, ..Rule::default() }].into();
        let health = Health::new();
        for &(name, seconds) in self.cooled {
            let outcome = Outcome::RateLimited(Some(Duration::from_secs(seconds)));
            let (backend, model, at) = (name.into(), "m".into(), Instant(0));
            health.observe(&Observation { backend, credential: 0, model, outcome, cooldown: None, at });
        }
        let (asked, measured) = (Cell::new(0), Cell::new(0));
        let how = Choosing {
            draw: self.draw,
            dialect: self.dialect,
            crosses: &|_, _| self.is_chat,
            sticky: Sticky { session: Some(self.session), ..Sticky::default() },
            health: &health,
            now: Instant(0),
            door: &|candidate| {
                asked.set(asked.get() + 1);
                match candidate.index {
                    index if self.keyless.contains(&index) => Err(Closed::Credential),
                    index if self.denied.contains(&index) => Err(Closed::Access),
                    _ => Ok(0),
                }
            },
            overfull: &|_, candidate| {
                measured.set(measured.get() + 1);
                self.overfull.iter().find(|(index, _)| *index == candidate.index).map(|(_, window)| *window)
            },
        };
        let chosen = choose(&rules[0], &backends(), &"m".into(), &how);
        assert!(asked.get() <= 4, "each choice with a weight is asked about once, not {} times", asked.get());
        assert!(measured.get() <= if self.overfull.is_empty() { 0 } else { 4 }, "{}", measured.get());
        chosen
    }

    fn name(&self) -> String {
        self.run().unwrap().target.backend.name.to_string()
    }

    /// Where it goes, why, and what was passed over.
    fn told(&self) -> (String, &'static str, String) {
        let chosen = self.run().unwrap();
        let passed = chosen.passed_over.iter().map(|passed| format!("{} {}", passed.backend, passed.reason));
        (chosen.target.backend.name.to_string(), chosen.why.as_str(), passed.collect::<Vec<_>>().join(", "))
    }
}

fn backends() -> Vec<Arc<Backend>> {
    let backend = |name: &str| Backend {
        name: name.into(),
        namespace: None,
        provider: name.into(),
        dialect: if name == "d" { Dialect::Anthropic } else { Dialect::OpenAi },
        authority: name.into(),
        prefix: String::new(),
        asks_stream_usage: false,
        speaks: crate::wire::Speaks::default(),
        azure: None,
        quirks: Vec::new(),
        headers: Vec::new(),
        removed_headers: Vec::new(),
    };
    ["a", "b", "c", "d", "e"].map(|name| Arc::new(backend(name))).into()
}

#[test]
fn weights_share_a_priority_and_those_that_are_not_fit_have_no_share() {
    let drawn = |cooled| (0..4).map(|draw| Case { draw, cooled, ..PLAIN }.name()).collect::<String>();
    assert_eq!(drawn(&[]), "aaab");
    assert_eq!(drawn(&[("a", 9)]), "bbbb");
    assert_eq!(drawn(&[("a", 9), ("b", 9)]), "cccc");
    // All cool down: the one whose time ends first, whatever its priority.
    assert_eq!(drawn(&[("a", 9), ("b", 8), ("c", 7)]), "cccc");
    assert_eq!(drawn(&[("a", 9), ("b", 6), ("c", 7)]), "bbbb");
}

#[test]
fn what_was_passed_over_is_told_with_the_reason() {
    let told = |case: Case| case.told();
    assert_eq!(told(PLAIN), ("a".into(), "rule", "d dialect".into()));
    let cooled = &[("a", 9), ("b", 9)];
    assert_eq!(told(Case { cooled, ..PLAIN }), ("c".into(), "rule", "a cooled, b cooled, d dialect".into()));
    let cooled = &[("a", 9), ("b", 7), ("c", 8)];
    let passed = "a cooled, d dialect";
    assert_eq!(told(Case { cooled, ..PLAIN }), ("b".into(), "least_cooled", passed.into()));
    assert_eq!(told(Case { denied: &[0], ..PLAIN }), ("b".into(), "rule", "a not_allowed, d dialect".into()));
    let anthropic = Case { dialect: Dialect::Anthropic, ..PLAIN };
    assert_eq!(told(anthropic), ("d".into(), "rule", "a dialect, b dialect".into()));
    // A chat can be said in every dialect.
    let chat = Case { is_chat: true, cooled: &[("a", 9), ("b", 9), ("c", 9)], ..PLAIN };
    assert_eq!(told(chat), ("d".into(), "rule", "a cooled, b cooled".into()));
    // A dialect that none speaks excludes none: the caller is told what the one speaks that is chosen.
    assert_eq!(told(Case { dialect: Dialect::Gemini, ..PLAIN }), ("a".into(), "rule", String::new()));
    // Where all are closed the first one says why, and each is told of.
    let none = Case { denied: &[0, 1, 2], keyless: &[3], ..PLAIN };
    assert_eq!(told(none), ("a".into(), "closed", "b not_allowed, d no_credential, c not_allowed".into()));
}

#[test]
fn a_caller_is_kept_whatever_is_drawn_and_moves_while_its_own_cools_down() {
    const BY: &[StickyBy] = &[StickyBy::Session];
    const SESSIONS: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let goes = |session, draw, cooled| Case { affinity: BY, session, draw, cooled, ..PLAIN }.told();
    let mut seen = String::new();
    for session in SESSIONS {
        let (kept, why, _) = goes(session, 0, &[]);
        assert_eq!(why, "affinity");
        for draw in 1..9 {
            assert_eq!(goes(session, draw, &[]).0, kept);
        }
        let expected = if kept == "b" { "a" } else { &kept };
        assert_eq!(goes(session, 0, &[("b", 9)]).0, expected);
        seen.push_str(&kept);
    }
    assert!(seen.contains('a') && seen.contains('b'), "{seen}");
    // Nobody is known: by the draw.
    assert_eq!(goes("", 3, &[]).0, "b");
    assert_eq!(goes("", 3, &[]).1, "rule");
}

#[test]
fn a_model_that_cannot_hold_the_call_is_passed_over_for_the_next_one_that_can() {
    let told = |case: Case| case.told();
    let overfull: &[_] = &[(0, 100), (1, 200)];
    let passed = "a context_too_long, b context_too_long, d dialect";
    assert_eq!(told(Case { overfull, ..PLAIN }), ("c".into(), "rule", passed.into()));
    assert_eq!(told(Case { overfull: &[(0, 100)], ..PLAIN }).0, "b");
    // One that can hold it and cools down is better than one that cannot.
    let case = Case { overfull, cooled: &[("c", 9)], ..PLAIN };
    assert_eq!(told(case), ("c".into(), "least_cooled", passed.into()));
    // What is closed, or speaks another dialect, holds nothing.
    let passed = "a context_too_long, d dialect";
    assert_eq!(told(Case { overfull, denied: &[2], ..PLAIN }), ("b".into(), "largest_window", passed.into()));
}

#[test]
fn where_none_can_hold_the_call_it_goes_to_the_largest_window() {
    let told = |case: Case| case.told();
    let overfull: &[_] = &[(0, 100), (1, 200), (2, 300)];
    let passed = "a context_too_long, b context_too_long, d dialect";
    assert_eq!(told(Case { overfull, ..PLAIN }), ("c".into(), "largest_window", passed.into()));
    let case = Case { overfull, cooled: &[("c", 9)], ..PLAIN };
    assert_eq!(told(case), ("c".into(), "least_cooled", passed.into()));
    // Of equally large ones the lowest priority, by weight.
    let equal: &[_] = &[(0, 300), (1, 300), (2, 300)];
    let drawn: String = (0..4).map(|draw| Case { draw, overfull: equal, ..PLAIN }.name()).collect();
    assert_eq!(drawn, "aaab");
    let chat = Case { is_chat: true, overfull: &[(0, 1), (1, 1), (2, 1), (3, 2)], ..PLAIN };
    assert_eq!(told(chat).0, "d");
}
