//! What rules of routes come to.

use std::time::Duration;

use super::fake::{Fakes, load_text};
use super::*;
use crate::llm::Operation;
use crate::target::{Glob, HeaderMatch, Retry, RetryOn, StickyBy};

#[test]
fn a_rule_comes_to_what_it_says_and_its_lowest_priority_stands_first() {
    let compiled = load_text(SUPPORTED, &Fakes::default()).unwrap();
    let targets = &compiled.policy.targets;
    let rule = &targets.root.rules[0];
    let priorities: Vec<u32> = rule.choices.iter().map(|choice| choice.priority).collect();
    assert_eq!(priorities, [0, 0, 0, 1]);
    assert_eq!(rule.affinity, [StickyBy::Session, StickyBy::Consumer]);
    let gold = HeaderMatch { name: "x-tier".into(), value: Glob::exact("gold") };
    assert_eq!((&rule.matches[1].headers, rule.matches[1].operation), (&vec![gold], Some(Operation::Chat)));
    let thirty = Some(Duration::from_secs(30));
    let on = vec![RetryOn::RateLimited, RetryOn::ServerError, RetryOn::ConnectFailure, RetryOn::ContextTooLong];
    let retry = Retry { attempts: 1, on, per_try_timeout: thirty, cooldown: thirty };
    assert_eq!(rule.retry.as_deref(), Some(&retry));
}
