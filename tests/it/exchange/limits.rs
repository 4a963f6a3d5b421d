//! Limits on the way of a call, with a store that counts: what is taken and charged, what a caller is told, and
//! how a stream ends when a limit runs out under it.

use std::time::Duration;

use weir::exchange::event::{Ask, Event};
use weir::exchange::record::Outcome;
use weir::identity::Workload;
use weir::limit::key::{Fact, Key};
use weir::limit::memory::Memory;
use weir::limit::take::Posture;
use weir::limit::window::{Calendar, Unit as Every, Window};
use weir::limit::{Limit, Spent, Unit};
use weir::policy::limits::{Exceeded, LimitPolicy, Rule};
use weir::policy::{Mode, Policy, Unpriced};

use super::support::*;

pub const TOKEN: u64 = 1_000;

pub fn minute() -> Window {
    Window::Rolling(Duration::from_secs(60))
}

/// A limit that counts the pod alone.
pub fn own(name: &str, unit: Unit, amount: u64) -> Limit {
    let per = vec![Key::Fact(Fact::Namespace)];
    Limit { per, ..Limit::new(name, unit, amount * unit.scale(), minute()) }
}

pub fn with(rules: impl IntoIterator<Item = Rule>) -> Policy {
    let mut policy = policy();
    let pod = Workload { namespace: "shop".into(), service_account: "web".into(), name: "web".into() };
    policy.identity = weir::identity::Rules::new(&pod);
    policy.limits = vec![LimitPolicy::new(rules)].into();
    policy
}

/// A world with a store of its own.
pub fn world(rules: impl IntoIterator<Item = Rule>) -> World {
    let mut world = World::new(with(rules));
    world.store = Some(Memory::new(1_000));
    world
}

/// The same store and the same policy, for the next call.
pub fn next(world: &mut World) -> World {
    settle(world);
    let mut next = World::new(Policy::clone(&world.policy));
    (next.store, next.clock) = (world.store.take(), world.clock);
    next
}

/// What a world does with what its exchange left.
pub fn settle(world: &World) {
    let store = world.store.as_ref().expect("a store");
    for settled in world.settles() {
        store.settle(&settled.clone().settlement(), world.time());
    }
}

pub fn used(world: &World, name: &str) -> u64 {
    let rows = world.store.as_ref().expect("a store").list(Some(name), 10, world.time());
    rows.iter().map(|row| row.used).sum()
}

#[test]
fn a_call_is_charged_what_it_came_to_and_the_caller_is_told_what_is_left() {
    let mut world = world([Rule::new(own("rpm", Unit::Requests, 10)), Rule::new(own("tpm", Unit::Tokens, 5_000))]);
    world.call(CHAT, chat(false));
    let [Ask::Reserve(ask)] = &world.asks[..] else { panic!("one question: {:?}", world.asks) };
    let amounts: Vec<u64> = ask.takes.iter().map(|take| take.amount).collect();
    let bytes = chat(false).len() as u64;
    assert_eq!(amounts, [1, (bytes + 1_024) * TOKEN], "the bytes, and what is assumed of an answer");
    let head = response(200, &[("content-type", "application/json"), ("x-ratelimit-remaining-requests", "77")]);
    world.reply(head, DOCUMENT).end();
    assert_eq!(world.client_header("x-ratelimit-limit-requests"), Some("10"));
    assert_eq!(world.client_header("x-ratelimit-remaining-requests"), Some("9"));
    assert_eq!(world.client_header("x-weir-upstream-ratelimit-remaining-requests"), Some("77"));
    // A quarter of the bytes is what a prompt probably has.
    let left = 5_000 - bytes.div_ceil(4) - 1_024;
    assert_eq!(world.client_header("x-ratelimit-remaining-tokens"), Some(&*left.to_string()));
    settle(&world);
    assert_eq!((used(&world, "rpm"), used(&world, "tpm")), (1, 12 * TOKEN));
}

#[test]
fn nobody_is_told_of_limits_that_others_share_or_that_are_not_enforced() {
    let all = Rule::new(Limit::new("all", Unit::Requests, 10, minute()));
    let shadow = Rule { mode: Mode::Shadow, ..Rule::new(own("shadow", Unit::Tokens, 5)) };
    let mut world = world([all, shadow]);
    world.call(CHAT, chat(false));
    let head = response(200, &[("content-type", "application/json"), ("x-ratelimit-remaining-requests", "77")]);
    world.reply(head, DOCUMENT).end();
    assert_eq!(world.client_header("x-ratelimit-remaining-requests"), Some("77"), "the provider's own stays");
    assert_eq!(world.client_header("x-ratelimit-remaining-tokens"), None);
    settle(&world);
    assert_eq!((used(&world, "all"), used(&world, "shadow")), (1, 0), "what would be refused uses nothing");
}

#[test]
fn what_is_refused_says_when_it_fits_and_takes_nothing_of_any_limit() {
    let mut world = world([Rule::new(own("rpm", Unit::Requests, 1)), Rule::new(own("tpm", Unit::Tokens, 9_000))]);
    world.call(CHAT, chat(false)).reply(json(), DOCUMENT).end();
    let mut world = next(&mut world);
    world.wait(Duration::from_secs(10)).call(CHAT, chat(false)).end();
    assert_eq!(world.refused(), (429, "rate_limit_exceeded".to_owned()));
    // The oldest part counts whole.
    assert_eq!(world.client_header("retry-after"), Some("51"));
    assert_eq!(world.client_header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(world.client_header("x-should-retry"), None);
    settle(&world);
    assert_eq!((used(&world, "rpm"), used(&world, "tpm")), (1, 12 * TOKEN));
    let mut world = next(&mut world);
    world.wait(Duration::from_secs(51)).call(CHAT, chat(false)).reply(json(), DOCUMENT).end();
    assert_eq!(world.envoy.client.status, 200);
}

#[test]
fn a_budget_says_that_asking_again_is_of_no_use() {
    let month = || Window::Calendar(Calendar { unit: Every::Month, zone: jiff::tz::TimeZone::UTC });
    for (unit, code) in [(Unit::Usd, "project_spend_limit_exceeded"), (Unit::Requests, "insufficient_quota")] {
        let limit = Limit { window: month(), amount: 1, ..own("monthly", unit, 1) };
        let mut world = world([Rule::new(limit)]);
        if unit == Unit::Requests {
            world.call(CHAT, chat(false)).reply(json(), DOCUMENT).end();
            world = next(&mut world);
        }
        world.call(CHAT, chat(false)).end();
        assert_eq!(world.refused(), (429, code.to_owned()));
        assert_eq!((world.client_header("x-should-retry"), world.client_header("retry-after")), (Some("false"), None));
    }
}

#[test]
fn a_bound_never_refuses_what_a_count_would_admit() {
    let stated = r#"{"model":"gpt-4o-mini","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}"#;
    let mut world = world([Rule::new(own("tpm", Unit::Tokens, 30))]);
    world.call(CHAT, stated);
    let asked: Vec<u64> = world.asks.iter().filter_map(amount).collect();
    assert_eq!(asked, [(stated.len() as u64 + 20) * TOKEN, 29 * TOKEN], "{:?}", world.asks);
    assert!(world.envoy.upstream.began);
    world.reply(json(), DOCUMENT).end();
    // One that has no room for its count is refused.
    let mut world = next(&mut world);
    world.call(CHAT, stated).end();
    assert_eq!(world.refused(), (429, "rate_limit_exceeded".to_owned()));
}

fn amount(ask: &Ask) -> Option<u64> {
    match ask {
        Ask::Reserve(ask) => Some(ask.takes[0].amount),
        _ => None,
    }
}

#[test]
fn what_is_only_assumed_of_an_answer_is_never_more_than_the_limit() {
    let mut world = world([Rule::new(own("tpm", Unit::Tokens, 500))]);
    world.call(CHAT, chat(false));
    assert_eq!(amount(&world.asks[0]), Some(500 * TOKEN));
    assert!(world.envoy.upstream.began);
    world.reply(json(), DOCUMENT).end();
}

#[test]
fn what_is_only_observed_is_charged_and_never_refused() {
    let rule = Rule { exceeded: Exceeded::Observe, ..Rule::new(own("rpm", Unit::Requests, 1)) };
    let mut world = world([rule]);
    for _ in 0..3 {
        world.call(CHAT, chat(false)).reply(json(), DOCUMENT).end();
        assert_eq!(world.envoy.client.status, 200);
        world = next(&mut world);
    }
    assert_eq!(used(&world, "rpm"), 3);
}

#[test]
fn a_call_without_a_price_is_refused_under_a_budget_unless_the_profile_allows_it() {
    let unpriced = r#"{"model":"one/nobody-knows","messages":[]}"#;
    let budget = || Rule::new(own("usd", Unit::Usd, 1));
    let mut refused = world([budget()]);
    refused.call(CHAT, unpriced).end();
    assert_eq!(refused.refused(), (403, "model_not_allowed".to_owned()));
    let mut policy = with([budget()]);
    policy.profile.unpriced = Unpriced::Allow;
    let mut allowed = World::new(policy);
    allowed.store = Some(Memory::new(10));
    allowed.call(CHAT, unpriced);
    assert!(allowed.envoy.upstream.began);
    allowed.reply(json(), DOCUMENT).end();
    // In Shadow it changes nothing.
    let mut shadow = world([Rule { mode: Mode::Shadow, ..budget() }]);
    shadow.call(CHAT, unpriced);
    assert!(shadow.envoy.upstream.began);
    shadow.reply(json(), DOCUMENT).end();
}

#[test]
fn concurrency_is_held_as_long_as_the_call_lasts() {
    let limit = Limit { window: Window::Held, ..own("parallel", Unit::Concurrency, 1) };
    let mut first = world([Rule::new(limit)]);
    first.call(CHAT, chat(false));
    let mut second = World::new(Policy::clone(&first.policy));
    second.store = first.store.take();
    second.call(CHAT, chat(false)).end();
    assert_eq!(second.refused(), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(second.client_header("retry-after"), Some("1"));
    first.store = second.store.take();
    first.reply(json(), DOCUMENT).end();
    settle(&first);
    assert_eq!(used(&first, "parallel"), 0);
}

/// Streams of 40 words, each a token by what is known of its bytes.
pub fn words(count: usize) -> String {
    let word = r#"data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"abcd"}}]}"#;
    format!("{word}\n\n").repeat(count)
}

#[test]
fn a_stream_ends_where_its_limit_runs_out_and_is_billed_for_what_was_sent() {
    let rule = Rule { cuts: true, output: Some(1), ..Rule::new(own("tpm", Unit::Tokens, 600)) };
    let mut world = world([rule]);
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
    for _ in 0..100 {
        world.send(Event::Chunk(bytes(words(10)), false));
    }
    let told = world.client();
    world.end();
    let record = world.record();
    assert_eq!((record.outcome, record.status), (Outcome::Cut, 200));
    assert!(told.ends_with("data: [DONE]\n\n") && told.contains(r#""finish_reason":"length""#), "{told}");
    let sent = told.matches("abcd").count() as u64;
    assert_eq!(record.usage.output, sent, "billed for what was sent");
    settle(&world);
    let charged = used(&world, "tpm");
    assert_eq!(charged, (record.usage.input + sent) * TOKEN);
    assert!(charged <= 600 * TOKEN && charged > 300 * TOKEN, "{charged}");
    let cuts: Vec<Posture> = world.asks.iter().filter_map(posture).collect();
    assert!(cuts.len() >= 2, "it asked for more: {cuts:?}");
}

fn posture(ask: &Ask) -> Option<Posture> {
    match ask {
        Ask::Reserve(ask) => Some(ask.takes[0].posture),
        _ => None,
    }
}

#[test]
fn a_stream_under_a_limit_that_lets_it_finish_is_charged_beyond_it() {
    let rule = Rule { output: Some(1), ..Rule::new(own("tpm", Unit::Tokens, 200)) };
    let mut world = world([rule]);
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
    world.send(Event::Chunk(bytes(words(300)), false)).send(Event::Chunk(bytes("data: [DONE]\n\n"), true)).end();
    assert_eq!(world.record().outcome, Outcome::Completed);
    settle(&world);
    assert!(used(&world, "tpm") > 300 * TOKEN);
    let spent: Vec<bool> = world.settles().iter().map(|one| matches!(one.spent, Spent::Used { .. })).collect();
    assert_eq!(spent, [true]);
}
