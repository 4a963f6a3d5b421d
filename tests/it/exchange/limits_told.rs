//! What the operator is told of a call's limits: the proxy's metadata, the record, and why.

use weir::exchange::event::{Action, Answer, Event, Failure, Meta, MetaValue};
use weir::exchange::record::Outcome;
use weir::limit::key::{Fact, Key, WhenKeyMissing};
use weir::limit::memory::Memory;
use weir::limit::{Limit, Unit};
use weir::policy::limits::{Exceeded, Kept, LimitPolicy, Override, Rule};
use weir::policy::select::{Caller, From, Scope};
use weir::policy::{Mode, OnError};

use super::limits::{TOKEN, minute, own, with, words, world};
use super::support::*;

/// All metadata that the proxy was given, with how the request left or was answered first.
fn told(world: &World) -> Vec<(&'static str, String)> {
    let metas = world.actions.iter().filter_map(|action| match action {
        Action::Forward { head, .. } | Action::Head(head) => Some(&head.meta),
        Action::Respond(local) | Action::Open(local) => Some(&local.meta),
        Action::Emit { meta, .. } => Some(meta),
        _ => None,
    });
    let text = |value: &MetaValue| match value {
        MetaValue::Text(text) => text.to_string(),
        MetaValue::Number(number) => number.to_string(),
    };
    metas.flat_map(|meta: &Meta| meta.iter().map(|(name, value)| (*name, text(value)))).collect()
}

fn field(world: &World, name: &str) -> Option<String> {
    told(world).into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The ids of the record's charges, what was reserved and what stays.
fn charges(world: &World) -> Vec<(String, u64, Option<u64>)> {
    let all = world.record().limits.iter();
    all.map(|charge| (charge.limit.id.to_string(), charge.reserved, charge.charged)).collect()
}

const STATED: &str = r#"{"model":"gpt-4o-mini","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}"#;

#[test]
fn what_is_granted_stands_in_the_metadata_of_the_request_and_in_the_record() {
    let shadow = Rule { mode: Mode::Shadow, ..Rule::new(own("p/shadow", Unit::Requests, 0)) };
    let tokens = |name, amount| Rule::new(own(name, Unit::Tokens, amount));
    let mut world = world([
        Rule::new(own("p/rpm", Unit::Requests, 10)),
        tokens("p/tpm", 5_000),
        tokens("p/day", 9_000),
        shadow,
        Rule::new(own("p/usd", Unit::Usd, 1)),
    ]);
    world.call(CHAT, STATED);
    let bound = STATED.len() as u64 + 20;
    assert_eq!(field(&world, "limits").as_deref(), Some("p/rpm, p/tpm, p/day, p/usd"));
    assert_eq!(field(&world, "reserved_tokens"), Some(bound.to_string()));
    let nanos: u64 = field(&world, "reserved_cost_nano_usd").expect("a price").parse().expect("a number");
    assert!(nanos > 0 && field(&world, "reserved_cost_usd").is_some_and(|text| text.starts_with("0.0000")));
    world.reply(json(), DOCUMENT).end();
    assert_eq!(field(&world, "limit"), None);
    let cost = u64::try_from(world.record().cost.expect("a price").nanos()).expect("a cost");
    let expected = [
        ("p/rpm", 1, 1),
        ("p/tpm", bound * TOKEN, 12 * TOKEN),
        ("p/day", bound * TOKEN, 12 * TOKEN),
        ("p/shadow", 0, 0),
        ("p/usd", nanos, cost),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(id, reserved, charged)| (id.to_owned(), reserved, Some(charged))).collect();
    assert_eq!(charges(&world), expected);
}

#[test]
fn where_no_limit_is_met_nothing_is_told_of_any() {
    let mut world = World::new(policy());
    world.call(CHAT, STATED).reply(json(), DOCUMENT).end();
    for name in ["limits", "limit", "reserved_tokens", "reserved_cost_nano_usd", "reserved_cost_usd"] {
        assert_eq!(field(&world, name), None, "{name}");
    }
    assert!(world.record().limits.is_empty());
}

#[test]
fn the_limit_that_refuses_is_named_by_its_id_and_to_the_caller_by_its_name() {
    let lacks = Limit {
        per: vec![Key::Fact(Fact::Session)],
        when_key_missing: WhenKeyMissing::Deny,
        ..own("p/session", Unit::Requests, 9)
    };
    let named = |mut limit: Limit| {
        limit.name = "mine".into();
        limit
    };
    for (limit, id) in [
        (own("p/none", Unit::Requests, 0), "p/none"),
        (own("p/small", Unit::Tokens, 1), "p/small"),
        (lacks, "p/session"),
        (Limit { amount: 1, ..own("p/usd", Unit::Usd, 1) }, "p/usd"),
    ] {
        let mut world = world([Rule::new(own("p/fits", Unit::Requests, 9)), Rule::new(named(limit))]);
        world.call(CHAT, STATED).end();
        assert_eq!(world.record().outcome, Outcome::Refused, "{id}");
        assert_eq!(field(&world, "limit").as_deref(), Some(id));
        assert_eq!(field(&world, "limits"), None, "{id}");
        assert!(world.record().limits.is_empty(), "{id}: nothing was charged");
        let refused = world.record().decisions.iter().find(|decision| decision.outcome == "refused").expect("a reason");
        assert_eq!((&*refused.detail, world.client().contains(id)), (id, false));
    }
}

#[test]
fn a_limit_that_cannot_be_checked_is_named_where_it_refuses_and_where_it_lets_pass() {
    for (on_error, refuses) in [(OnError::Deny, true), (OnError::Allow, false)] {
        let rule = Rule { on_error, ..Rule::new(own("p/rpm", Unit::Requests, 9)) };
        let mut world = World::new(with([rule])).answers([Answer::Failed(Failure::Unavailable)]);
        world.call(CHAT, STATED);
        if !refuses {
            world.reply(json(), DOCUMENT);
        }
        world.end();
        assert_eq!(field(&world, "limit").as_deref(), refuses.then_some("p/rpm"));
        let opened = world.record().decisions.iter().find(|decision| decision.reason == "fail_open");
        assert_eq!(opened.map(|decision| &*decision.detail), (!refuses).then_some("p/rpm"));
    }
}

#[test]
fn the_limit_that_cuts_an_answer_is_named_with_its_end() {
    let rule = Rule { cuts: true, output: Some(1), ..Rule::new(own("p/tpm", Unit::Tokens, 600)) };
    let mut world = world([rule]);
    world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
    for _ in 0..100 {
        world.send(Event::Chunk(bytes(words(10)), false));
    }
    world.end();
    assert_eq!(world.record().outcome, Outcome::Cut);
    assert_eq!(field(&world, "limit").as_deref(), Some("p/tpm"));
    let cut = world.record().decisions.iter().find(|decision| decision.outcome == "cut").expect("a reason");
    assert_eq!(&*cut.detail, "p/tpm");
    let usage = world.record().usage;
    let [(_, reserved, charged)] = &charges(&world)[..] else { panic!("one row for all that was taken") };
    assert_eq!(*charged, Some((usage.input + usage.output) * TOKEN));
    assert!(reserved >= &charged.expect("known"), "{reserved} {charged:?}");
}

/// What is said of each limit of the only policy.
fn lines(world: &World) -> Vec<String> {
    let told = world.record().explain(&world.policy, None);
    let [line] = &told.applied[..] else { panic!("{told}") };
    line.limits.iter().map(ToString::to_string).collect()
}

#[test]
fn why_says_of_each_limit_whose_counter_how_much_and_what_was_taken() {
    let by = |fact, missing, limit: Limit| Limit { per: vec![Key::Fact(fact)], when_key_missing: missing, ..limit };
    let prod = From(vec![Caller { teams: vec![weir::base::glob::Glob::new("prod")], ..Caller::default() }]);
    let rules = [
        Rule {
            overrides: vec![Override {
                matches: vec![(Fact::Namespace, "shop".into())],
                amount: 20,
                until: Some(4_102_444_800),
            }],
            ..Rule::new(own("p/rpm", Unit::Requests, 10))
        },
        Rule {
            kept: Some(Kept { from: prod, share: 25 }),
            exceeded: Exceeded::Observe,
            ..Rule::new(Limit::new("p/tpm", Unit::Tokens, 8_000 * TOKEN, minute()))
        },
        Rule::new(by(Fact::Session, WhenKeyMissing::Skip, own("p/skip", Unit::Requests, 10))),
        Rule::new(by(Fact::Session, WhenKeyMissing::Shared, own("p/shared", Unit::Requests, 10))),
    ];
    let mut world = world(rules);
    world.call(CHAT, STATED).reply(json(), DOCUMENT).end();
    let likely = (STATED.len() as u64).div_ceil(4) + 20;
    let expected = [
        "p/rpm: 20 requests in 1m (an override for Namespace shop until 2100-01-01T00:00:00Z) by Namespace shop; denies; \
         took 1 request and was charged 1 request; counter p/rpm|shop"
            .to_owned(),
        format!(
            "p/tpm: 6000 tokens in 1m (25% are kept for others); only observes; took {likely} tokens and was charged \
             12 tokens; counter p/tpm"
        ),
        "p/skip: not asked, for the call has no Session".to_owned(),
        "p/shared: 10 requests in 1m by Session unknown; denies; took 1 request and was charged 1 request; \
         counter p/shared|~"
            .to_owned(),
    ];
    assert_eq!(lines(&world), expected);
    // Nobody counts: what would be taken is said, and nothing of what is left.
    let mut peeked = World::new(weir::policy::Policy::clone(&world.policy)).answers([Answer::Peeked]);
    peeked.call(CHAT, STATED).end();
    let said = lines(&peeked);
    assert!(said[0].contains("; takes 1 request; counter"), "{said:?}");
    assert!(said[1].contains(&format!("takes {likely} tokens; counter")), "{said:?}");
    assert!(peeked.settles().is_empty(), "nothing was granted");
    let shown = world.record().explain(&world.policy, None).to_json();
    let first = &shown["policies"][0]["limits"][0];
    let expected = serde_json::json!({
        "limit": "p/rpm", "unit": "Requests", "ceiling": "20", "allows": "20 requests in 1m",
        "because": ["an override for Namespace shop until 2100-01-01T00:00:00Z"],
        "by": [{"key": "Namespace", "value": "shop"}], "exceeded": "denies", "enforced": true,
        "counter": "p/rpm|shop", "atMost": "1", "probably": "1", "charged": "1",
    });
    assert_eq!(*first, expected);
    assert_eq!(shown["policies"][0]["limits"][2]["skippedWithout"], "Session");
}

#[test]
fn a_policy_that_does_not_speak_says_why_and_nothing_of_its_limits() {
    let mut policy = with([]);
    let scope = Scope { id: "LLMLimitPolicy/p".into(), namespace: Some("other".into()), ..Scope::default() };
    let rules = vec![Rule::new(own("p/rpm", Unit::Requests, 0)).into()];
    policy.limits = vec![LimitPolicy { scope, rules }].into();
    let mut world = World::new(policy);
    world.store = Some(Memory::new(10));
    world.call(CHAT, STATED).reply(json(), DOCUMENT).end();
    let told = world.record().explain(&world.policy, None);
    let [line] = &told.others[..] else { panic!("{told}") };
    assert!(line.limits.is_empty() && line.to_string().contains("it speaks for namespace \"other\""), "{line}");
}
