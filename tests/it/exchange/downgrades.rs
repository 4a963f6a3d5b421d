//! Calls that a limit sends elsewhere: what still holds there, what is counted, and what a caller is told that is
//! refused there. And calls without the key that a limit counts by.

use std::time::Duration;

use weir::exchange::event::{Ask, Note};
use weir::exchange::record::Outcome as End;
use weir::guard;
use weir::limit::key::{Fact, Key, WhenKeyMissing};
use weir::limit::memory::Memory;
use weir::limit::tally::Outcome;
use weir::limit::window::{Calendar, Unit as Every, Window};
use weir::limit::{Limit, Unit};
use weir::policy::access::AccessPolicy;
use weir::policy::limits::{Exceeded, LimitPolicy, Rule};
use weir::policy::select::{Scope, TargetRef};
use weir::policy::{Mode, Policy};
use weir::target;

use super::limits::{TOKEN, minute, next, own, settle, used, with};
use super::support::*;

const STATED: &str = r#"{"model":"gpt-4o-mini","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}"#;

fn hour() -> Window {
    Window::Rolling(Duration::from_secs(3600))
}

/// The rule sends what does not fit to `two`, as `gpt-4o`.
fn sends_on(rule: Rule) -> Rule {
    Rule { exceeded: Exceeded::Downgrade("two".into(), "gpt-4o".into()), ..rule }
}

/// `gpt-4o-mini` goes to `one` by a route, and these limits speak for calls of that route.
fn routed(rules: impl IntoIterator<Item = Rule>) -> Policy {
    let mut policy = with([]);
    let choices = vec![target::Choice { backend: 0, model: None, priority: 0, weight: 1 }];
    let model = target::Match { model: Some(target::Glob::new("gpt-4o-mini")), ..target::Match::default() };
    let rule = target::Rule { name: "r/chat".into(), matches: vec![model], choices, ..target::Rule::default() };
    policy.targets.root.rules = vec![rule].into();
    let targets = vec![TargetRef::Route { name: "r".into(), rule: None }];
    let scope = Scope { id: "LLMLimitPolicy/p".into(), targets, ..Scope::default() };
    policy.limits = vec![LimitPolicy { scope, ..LimitPolicy::new(rules) }].into();
    policy
}

fn world(policy: Policy) -> World {
    let mut world = World::new(policy);
    world.store = Some(Memory::new(100));
    world
}

/// A call to its end, and where it went: the model that left, or the code of the refusal.
fn went(world: &mut World) -> String {
    world.call(CHAT, STATED);
    if world.envoy.upstream.began {
        world.reply(json(), DOCUMENT);
    }
    world.end();
    match world.record().outcome {
        End::Refused => world.refused().1,
        _ => world.record().sent_model.to_string(),
    }
}

/// So many calls one after another, and the world of the last.
fn all_went(policy: Policy, count: usize) -> (Vec<String>, World) {
    let mut world = world(policy);
    let mut all = vec![went(&mut world)];
    for _ in 1..count {
        world = next(&mut world);
        all.push(went(&mut world));
    }
    settle(&world);
    (all, world)
}

/// What the limits made of the last call.
fn met(world: &World) -> Vec<(String, Outcome)> {
    world.record().met.iter().map(|(limit, outcome)| (limit.id.to_string(), *outcome)).collect()
}

fn words(all: &[(&str, Outcome)]) -> Vec<(String, Outcome)> {
    all.iter().map(|(id, outcome)| ((*id).to_owned(), *outcome)).collect()
}

#[test]
fn limits_of_the_route_hold_where_the_call_is_sent() {
    let by_route = |limit| Limit { per: vec![Key::Fact(Fact::Route)], ..limit };
    let policy = routed([
        Rule::new(by_route(own("p/rpm", Unit::Requests, 3))),
        // It has the longer wait, and so is the one that is told of where neither has room.
        sends_on(Rule::new(Limit { window: hour(), ..own("p/premium", Unit::Requests, 1) })),
    ]);
    let (all, world) = all_went(policy, 5);
    assert_eq!(all, ["gpt-4o-mini", "gpt-4o", "gpt-4o", "rate_limit_exceeded", "rate_limit_exceeded"]);
    assert_eq!(met(&world), words(&[("p/premium", Outcome::Downgraded), ("p/rpm", Outcome::Denied)]));
    let rows = world.store.as_ref().expect("a store").list(Some("p/rpm"), 10, world.time());
    assert_eq!(rows.iter().map(|row| &*row.key).collect::<Vec<_>>(), ["p/rpm|r"], "one counter, of the route");
    assert_eq!((used(&world, "p/rpm"), used(&world, "p/premium")), (3, 3), "what is refused is no call of any limit");
}

#[test]
fn access_of_the_route_holds_where_the_call_is_sent() {
    let mut policy = routed([sends_on(Rule::new(own("p/premium", Unit::Requests, 1)))]);
    let targets = vec![TargetRef::Route { name: "r".into(), rule: None }];
    let scope = Scope { id: "LLMAccessPolicy/a".into(), targets, ..Scope::default() };
    let rule = weir::access::Rule::new(None, &[target::Glob::new("gpt-4o")], Vec::new());
    policy.access = vec![AccessPolicy { scope, rule }].into();
    let (all, world) = all_went(policy, 2);
    assert_eq!(all, ["gpt-4o-mini", "model_not_allowed"]);
    assert_eq!(used(&world, "p/premium"), 1);
}

#[test]
fn the_limit_that_sends_a_call_on_counts_it_and_refuses_it_no_more() {
    let tokens = own("p/tpm", Unit::Tokens, 50);
    for (rule, calls, each) in [
        (Rule::new(own("p/rpm", Unit::Requests, 2)), 5, 1),
        (Rule { exact: true, ..Rule::new(tokens.clone()) }, 5, 12 * TOKEN),
        (Rule { cuts: true, ..Rule::new(tokens) }, 5, 12 * TOKEN),
    ] {
        let limit = rule.limit.id.clone();
        let (all, world) = all_went(with([sends_on(rule)]), calls);
        assert_eq!(all, ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "gpt-4o", "gpt-4o"], "{limit}");
        assert_eq!(used(&world, &limit), calls as u64 * each, "{limit}: nothing goes uncounted");
        assert_eq!(met(&world), words(&[(&limit, Outcome::Downgraded)]));
        assert_eq!(world.client_header("x-ratelimit-limit-requests"), None, "what refuses nobody is not told");
        let charges: Vec<_> = world.record().limits.iter().map(|charge| charge.charged).collect();
        assert_eq!(charges, [Some(each)], "{limit}");
    }
}

#[test]
fn another_counter_of_the_same_limit_holds_as_any_does() {
    let per = vec![Key::Fact(Fact::Model)];
    let limit = Limit { name: "mine".into(), per, ..own("p/each", Unit::Requests, 2) };
    let (all, world) = all_went(with([sends_on(Rule::new(limit))]), 5);
    assert_eq!(all, ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "gpt-4o", "rate_limit_exceeded"]);
    assert_eq!(met(&world), words(&[("p/each", Outcome::Denied)]));
    assert_eq!(used(&world, "p/each"), 4);
    assert!(world.client().contains(r#"\"mine\""#) && world.client_header("retry-after").is_some());
}

#[test]
fn a_call_that_is_where_a_limit_would_send_it_is_refused_by_that_places_own_counter() {
    let here = |rule: Rule| Rule { exceeded: Exceeded::Downgrade("one".into(), "gpt-4o-mini".into()), ..rule };
    let each = Limit { per: vec![Key::Fact(Fact::Model)], ..own("p/l", Unit::Requests, 1) };
    assert_eq!(all_went(with([here(Rule::new(each))]), 2).0, ["gpt-4o-mini", "rate_limit_exceeded"]);
    let (all, world) = all_went(with([here(Rule::new(own("p/l", Unit::Requests, 1)))]), 3);
    assert_eq!((all, used(&world, "p/l")), (vec!["gpt-4o-mini".to_owned(); 3], 3));
}

#[test]
fn what_would_be_sent_on_twice_is_refused_in_the_words_of_the_limit_that_is_out() {
    let month = Window::Calendar(Calendar { unit: Every::Month, zone: jiff::tz::TimeZone::UTC });
    let budget = Limit { window: month, ..own("p/second", Unit::Usd, 1) };
    for (second, code, should_retry) in [
        (Limit { name: "second".into(), ..own("p/second", Unit::Requests, 0) }, "insufficient_quota", Some("false")),
        (Limit { name: "second".into(), ..own("p/second", Unit::Requests, 1) }, "rate_limit_exceeded", None),
        (Limit { name: "second".into(), amount: 1, ..budget }, "project_spend_limit_exceeded", Some("false")),
    ] {
        let first = own("p/first", Unit::Requests, u64::from(second.amount == 1 && second.unit == Unit::Requests));
        let policy = with([sends_on(Rule::new(first)), sends_on(Rule::new(second.clone()))]);
        let (all, world) = all_went(policy, 2);
        assert_eq!(all[1], code);
        assert!(world.client().contains(r#"\"second\""#), "{}", world.client());
        assert_eq!(world.client_header("x-should-retry"), should_retry);
        assert_eq!(world.client_header("retry-after").is_some(), should_retry.is_none());
        let left = world.client_header("x-ratelimit-remaining-requests");
        assert_eq!(left, (second.unit == Unit::Requests).then_some("0"), "how it stands is told as ever");
        let refused = world.record().decisions.iter().find(|one| one.outcome == "refused").expect("a reason");
        assert_eq!(&*refused.detail, "p/second");
        assert_eq!(met(&world)[1], ("p/second".to_owned(), Outcome::Denied));
    }
}

#[test]
fn a_budget_that_sends_calls_on_still_needs_a_price_there() {
    let to = Exceeded::Downgrade("two".into(), "nobody-knows".into());
    let budget = Limit { amount: 1, ..own("p/usd", Unit::Usd, 1) };
    let (all, _) = all_went(with([Rule { exceeded: to, ..Rule::new(budget) }]), 1);
    assert_eq!(all, ["model_not_allowed"]);
}

/// The prompt was judged, and stays so: it is the same text.
#[test]
fn a_limit_behind_a_guard_sends_on_with_what_was_admitted_given_back() {
    let mut policy = with([
        Rule::new(own("p/rpm", Unit::Requests, 9)),
        sends_on(Rule::new(own("p/tpm", Unit::Tokens, 5))),
        Rule::new(Limit { window: Window::Held, ..own("p/parallel", Unit::Concurrency, 2) }),
    ]);
    policy.guards.rules = vec![guard::Rule { name: "pii".to_owned() }];
    let mut world = world(policy);
    world.call(CHAT, STATED).reply(json(), DOCUMENT).end();
    assert_eq!(world.asks.iter().filter(|ask| matches!(ask, Ask::Judge(_))).count(), 1);
    settle(&world);
    assert_eq!(&*world.record().sent_model.to_string(), "gpt-4o");
    assert_eq!((used(&world, "p/rpm"), used(&world, "p/tpm"), used(&world, "p/parallel")), (1, 12 * TOKEN, 0));
    let expected = [("p/tpm", Outcome::Downgraded), ("p/rpm", Outcome::Granted), ("p/parallel", Outcome::Granted)];
    assert_eq!(met(&world), words(&expected));
}

#[test]
fn of_a_call_that_waits_is_counted_once_what_became_of_it() {
    let rule = Rule {
        exceeded: Exceeded::Throttle(Duration::from_secs(5)),
        ..Rule::new(Limit { window: Window::Held, ..own("p/parallel", Unit::Concurrency, 1) })
    };
    let mut first = world(with([rule]));
    first.call(CHAT, STATED);
    let mut second = World::new(Policy::clone(&first.policy));
    second.store = first.store.take();
    second.call(CHAT, STATED);
    for _ in 0..20 {
        second.wait(Duration::from_millis(50));
    }
    assert!(second.asks.len() > 20, "{}", second.asks.len());
    first.store = second.store.take();
    first.reply(json(), DOCUMENT).end();
    settle(&first);
    second.store = first.store.take();
    second.wait(Duration::from_millis(50)).reply(json(), DOCUMENT).end();
    for world in [first, second] {
        assert_eq!(met(&world), words(&[("p/parallel", Outcome::Granted)]));
    }
}

#[test]
fn a_call_without_its_key_is_refused_only_by_a_limit_that_refuses() {
    let lacks = |rule: Rule| {
        let per = vec![Key::Fact(Fact::Session)];
        let limit =
            Limit { per, when_key_missing: WhenKeyMissing::Deny, ..Limit::new("p/l", Unit::Tokens, 9, minute()) };
        Rule { limit: limit.into(), ..rule }
    };
    let plain = || Rule::new(own("p/x", Unit::Requests, 9));
    for (rule, passes, outcome, shadows, words) in [
        (plain(), false, Outcome::Denied, 0, "refuses, for"),
        (
            Rule { exceeded: Exceeded::Observe, ..plain() },
            true,
            Outcome::Observed,
            0,
            "only observes, and counts nothing,",
        ),
        (Rule { mode: Mode::Shadow, ..plain() }, true, Outcome::ShadowDenied, 1, "would refuse, for"),
    ] {
        // Beside it stands a limit that is asked more than once.
        let counted = Rule { exact: true, ..Rule::new(own("p/tpm", Unit::Tokens, 100)) };
        let mut world = world(with([lacks(rule), counted]));
        assert_eq!(went(&mut world), if passes { "gpt-4o-mini" } else { "unsupported_value" });
        assert_eq!(met(&world)[0], ("p/l".to_owned(), outcome));
        let told = world.record().explain(&world.policy, None).to_string();
        assert!(told.contains(&format!("p/l: {words}")), "{told}");
        let found = world.notes().iter().filter(|note| matches!(note, Note::Shadow { .. })).count();
        assert_eq!(found, shadows);
        let word = [(Outcome::Observed, "observed"), (Outcome::ShadowDenied, "would_refuse")];
        if let Some((_, word)) = word.iter().find(|(known, _)| *known == outcome) {
            let told: Vec<_> = world.record().decisions.iter().filter(|one| one.outcome == *word).collect();
            assert_eq!(told.iter().map(|one| (one.reason, &*one.detail)).collect::<Vec<_>>(), [("key_missing", "p/l")]);
        }
    }
}

/// Another attempt is one that the limits of the first one cover: nothing is asked of a store any more by then.
#[test]
fn a_call_fails_over_only_to_where_it_meets_the_same_limits() {
    let left = |per: Vec<Key>, unit: Unit| {
        let limit = Limit { per, ..Limit::new("p/l", unit, 5_000_000_000, Window::Rolling(Duration::from_secs(60))) };
        let mut policy = fails_over(policy());
        policy.limits = vec![LimitPolicy::new([Rule::new(limit)])].into();
        let mut world = World::new(policy);
        world.store = Some(Memory::new(10));
        world.call(CHAT, chat(false)).reply(json(), DOCUMENT).end();
        world.upstream_header("x-weir-backend").map(str::to_owned)
    };
    let both = Some("one,two,one,two".to_owned());
    assert_eq!(left(Vec::new(), Unit::Requests), both);
    assert_eq!(left(Vec::new(), Unit::Usd), both, "both have a price");
    assert_eq!(left(vec![Key::Fact(Fact::Model)], Unit::Tokens), both, "both have the same model");
    assert_eq!(left(vec![Key::Fact(Fact::Backend)], Unit::Requests), Some("one".to_owned()));
}
