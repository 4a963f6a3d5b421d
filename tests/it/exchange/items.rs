//! Vectors from memory, input by input: what is asked of the provider, what is put together, what is kept.

mod coalesced;
mod edges;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use weir::base::money::NanoUsd;
use weir::cache::{Reason, Rule, Scope, Secret, Status};
use weir::exchange::event::{Action, Again, Answer, Ask, Event, Note, Slot, Stop};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::llm::Dialect;
use weir::policy::cache::CachePolicy;
use weir::policy::{Mode, Policy};
use weir::target::{Backend, Serves, Targets};
use weir::world::cache::Cache;

use super::support::*;

const EMBEDDINGS: &str = "/v1/embeddings";

/// What several calls share.
struct Shop {
    policy: Policy,
    cache: Arc<Cache>,
    seconds: Arc<AtomicU64>,
}

impl Shop {
    fn new(policy: Policy) -> Self {
        let seconds = Arc::new(AtomicU64::new(1_000));
        let clock = seconds.clone();
        let clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let mut policy = policy;
        if policy.caches.is_empty() {
            policy.caches = caches(Mode::Enforce);
        }
        Shop { policy, cache: Arc::new(Cache::new(Secret::random([3; 32]), 64 << 20, clock)), seconds }
    }

    /// A call up to where it leaves, or is answered.
    fn ask_with(&self, mode: BodyMode, headers: &[(&str, &str)], body: &str) -> World {
        let mut world = World::in_mode(self.policy.clone(), mode);
        let mut head = post(EMBEDDINGS);
        headers.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body), true));
        while world.gate_open {
            let answer = match world.asks.last() {
                Some(Ask::RecallItems(ask)) => {
                    Answer::RecallItems(self.cache.recall_items_now(ask).expect("it is in memory"))
                }
                Some(Ask::Reserve(_)) => granted(world.asks.len() as u64),
                other => panic!("{other:?} is not asked here"),
            };
            world.send(Event::Answer(Slot::Gate, answer));
        }
        world
    }

    fn ask(&self, body: &str) -> World {
        self.ask_with(BodyMode::FullDuplex, &[], body)
    }

    /// A whole call.
    fn call(&self, body: &str) -> World {
        let mut world = self.ask(body);
        if world.envoy.upstream.began {
            let answer = provided(&world.upstream());
            world.reply(json(), answer);
        }
        self.finish(&mut world);
        world
    }

    fn finish(&self, world: &mut World) {
        world.end();
        world.notes().into_iter().for_each(|note| _ = self.cache.hear(note.clone()));
    }

    fn refused(&self, reason: Reason) -> u64 {
        self.cache.tally().refused().find(|(one, _)| *one == reason).map_or(0, |(_, count)| count)
    }

    fn kept(&self) -> u64 {
        self.cache.tally().stored().0
    }
}

/// For each of its callers alone; the one who calls is called ann.
fn own() -> Policy {
    let mut policy = policy();
    let mut ann = (*policy.identity.own).clone();
    ann.consumer = Some("ann".into());
    policy.identity.own = Arc::new(ann);
    policy.caches = vec![CachePolicy::everywhere(Rule::new("own", Scope::Consumer, MINUTES), Mode::Enforce)].into();
    policy
}

const MINUTES: Duration = Duration::from_secs(600);

fn inputs(body: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(body).expect("JSON");
    match &body["input"] {
        Value::Array(list) if !list[0].is_number() => list.clone(),
        one => vec![one.clone()],
    }
}

/// A vector of an input, in numbers that are seldom written so.
fn vector(input: &Value) -> String {
    let text = input.to_string();
    let sum = text.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!(r#"{{"object": "embedding", "embedding": [0.10,-{sum}E-3, 1.0 ], "index": "#)
}

/// As many tokens as the inputs have bytes as JSON.
fn tokens(inputs: &[Value]) -> usize {
    inputs.iter().map(|input| input.to_string().len()).sum()
}

/// What the provider says to what has come to it.
fn provided(body: &str) -> String {
    let inputs = inputs(body);
    let data: Vec<String> = inputs.iter().enumerate().map(|(n, input)| format!("{}{n}}}", vector(input))).collect();
    let tokens = tokens(&inputs);
    format!(
        r#"{{"id":"e-1","object":"list","data":[{}],"model":"small-1","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#,
        data.join(",")
    )
}

fn data(answer: &str) -> &str {
    let from = answer.find("\"data\":").expect("vectors");
    &answer[from..=answer.rfind(']').expect("their end")]
}

fn body(inputs: &[&str]) -> String {
    format!(r#"{{"model": "text-embedding-3-small", "input": {}, "user":"u"}}"#, json!(inputs))
}

#[test]
fn what_is_known_is_answered_at_once() {
    let shop = Shop::new(own());
    let first = shop.call(&body(&["a", "b"]));
    assert_eq!((first.client(), first.client_header("x-weir-cache")), (provided(&body(&["a", "b"])), Some("miss")));
    assert_eq!(first.upstream(), body(&["a", "b"]));
    shop.seconds.fetch_add(30, Ordering::Relaxed);
    shop.call(&body(&["c"]));
    shop.seconds.fetch_add(12, Ordering::Relaxed);
    // In another order, one of them alone, and each of them from another call.
    for asked in [&["b", "a"][..], &["a"], &["c", "a", "c"]] {
        let world = shop.call(&body(asked));
        assert!(!world.envoy.upstream.began, "{asked:?}");
        assert_eq!(data(&world.client()), data(&provided(&body(asked))), "{asked:?}");
        let said: Value = serde_json::from_str(&world.client()).expect("JSON");
        let would = tokens(&inputs(&body(asked))) as u64;
        assert_eq!((&said["object"], &said["model"]), (&json!("list"), &json!("small-1")));
        assert_eq!(said["usage"], json!({"prompt_tokens": would, "total_tokens": would}));
        let told = (world.client_header("x-weir-cache"), world.client_header("age"), world.envoy.client.status);
        assert_eq!(told, (Some("hit"), Some("42"), 200));
        let record = world.record();
        assert_eq!((record.outcome, record.cost, record.usage), (Outcome::Replayed, Some(NanoUsd(0)), usage(0, 0)));
        let cached = record.cached.as_deref().expect("a rule is about it");
        let saved = cached.saved.expect("it would have cost something");
        assert_eq!(
            (cached.status, saved.usage, cached.age),
            (Status::Hit, usage(would, 0), Some(Duration::from_secs(42)))
        );
        assert!(saved.cost.is_none_or(|cost| cost > NanoUsd(0)));
    }
    // One text, and a list of it, are the same.
    let one = shop.call(r#"{"input":"c","user":"u","model":"text-embedding-3-small"}"#);
    assert!(!one.envoy.upstream.began, "{}", one.client());
}

#[test]
fn the_provider_is_asked_for_what_nobody_knows() {
    let shop = Shop::new(own());
    shop.call(&body(&["a", "c"]));
    let asked = body(&["a", "b", "c", "d", "b"]);
    let mut world = shop.ask(&asked);
    assert_eq!(world.upstream(), body(&["b", "d"]));
    assert_eq!(world.upstream_header("accept-encoding"), Some("identity"));
    let answer = provided(&world.upstream());
    world.reply(json(), &answer);
    shop.finish(&mut world);
    assert_eq!(data(&world.client()), data(&provided(&asked)));
    let said: Value = serde_json::from_str(&world.client()).expect("JSON");
    // What the provider says beside its vectors is what it has said, and what it bills.
    assert_eq!((&said["id"], &said["usage"]["prompt_tokens"]), (&json!("e-1"), &json!(6)));
    let record = world.record();
    assert_eq!((record.outcome, record.usage), (Outcome::Completed, usage(6, 0)));
    let cached = record.cached.as_deref().expect("a rule is about it");
    assert_eq!((cached.status, cached.saved.expect("a part").usage), (Status::Miss, usage(9, 0)));
    assert_eq!((world.client_header("x-weir-cache"), world.client_header("age")), (Some("miss"), None));
    assert!(!shop.call(&body(&["d", "b"])).envoy.upstream.began);
}

#[test]
fn the_same_input_is_asked_for_once() {
    let shop = Shop::new(policy());
    let asked = body(&["a", "b", "a", "a"]);
    let mut world = shop.ask(&asked);
    assert_eq!(inputs(&world.upstream()), [json!("a"), json!("b")]);
    let answer = provided(&world.upstream());
    world.reply(json(), &answer);
    shop.finish(&mut world);
    assert_eq!(data(&world.client()), data(&provided(&asked)));
    let cached = world.record().cached.as_deref().expect("a rule is about it");
    assert_eq!(cached.saved.expect("two of them").usage, usage(6, 0));
    assert_eq!(shop.kept(), 2);
}

fn any_input() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c]{0,2}".prop_map(Value::from),
        prop::sample::select(vec![json!("ä\n\""), json!([1, 2]), json!([1]), json!({"content": "a", "title": "t"})]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is known already, and however the answer comes in pieces.
    #[test]
    fn whatever_is_known_the_vectors_are_the_same(
        before in prop::collection::vec(any_input(), 0..6),
        asked in prop::collection::vec(any_input(), 1..9),
        step in 1_usize..200,
    ) {
        let shop = Shop::new(policy());
        let body = |inputs: &[Value]| json!({"model": "text-embedding-3-small", "input": inputs}).to_string();
        if !before.is_empty() && !before[0].is_number() {
            shop.call(&body(&before));
        }
        let asked = body(&asked);
        let mut world = shop.ask(&asked);
        if world.envoy.upstream.began {
            let answer = provided(&world.upstream());
            world.send(Event::Response(json(), false));
            for piece in answer.as_bytes().chunks(step) {
                world.send(Event::Chunk(bytes(piece), false));
            }
            world.send(Event::Chunk(bytes(""), true));
        }
        shop.finish(&mut world);
        let (client, whole) = (world.client(), provided(&asked));
        prop_assert_eq!(data(&client), data(&whole));
        prop_assert_eq!(world.envoy.client.status, 200);
        // Now all of it is known.
        let again = shop.call(&asked);
        prop_assert!(!again.envoy.upstream.began);
        let client = again.client();
        prop_assert_eq!(data(&client), data(&whole));
    }
}

#[test]
fn of_an_answer_that_cannot_be_put_together_nothing_is_sent_or_kept() {
    let shop = Shop::new(policy());
    shop.call(&body(&["a"]));
    let good = provided(&body(&["b"]));
    let two = provided(&body(&["b", "c"]));
    for answer in ["", "{}", "no JSON", &good[..good.len() - 1], &two, &good.replace("\"index\": 0", "\"index\": 1")] {
        let mut world = shop.ask(&body(&["a", "b"]));
        world.reply(json(), answer);
        shop.finish(&mut world);
        assert_eq!(world.refused(), (502, "upstream_invalid_response".to_owned()), "{answer}");
        assert_eq!(world.record().outcome, Outcome::UpstreamError);
        assert_eq!(world.record().cached.as_deref().and_then(|cached| cached.saved), None);
    }
    let mut bare = shop.ask(&body(&["a", "b"]));
    bare.send(Event::Response(json(), true));
    shop.finish(&mut bare);
    assert_eq!(bare.refused().0, 502);
    // What its provider says of an error is said as it is.
    for (status, answer) in [(429, r#"{"error": {"message":"slow","code":"rate_limit_exceeded"} }"#), (500, "oops")] {
        let mut world = shop.ask(&body(&["a", "b"]));
        world.reply(response(status, &[("content-type", "application/json")]), answer);
        shop.finish(&mut world);
        assert_eq!((world.envoy.client.status, &*world.client()), (status, answer));
    }
    assert_eq!(shop.kept(), 1);
}

#[test]
fn an_answer_that_is_none_goes_on_as_it_is_and_is_not_kept() {
    let shop = Shop::new(policy());
    let good = provided(&body(&["a"]));
    let both = provided(&body(&["a", "b"]));
    for (status, answer) in [(200, "{}"), (200, "no JSON"), (200, &*both), (400, &*good), (201, &*good)] {
        let mut world = shop.ask(&body(&["a"]));
        world.reply(response(status, &[("content-type", "application/json")]), answer);
        shop.finish(&mut world);
        assert_eq!((world.envoy.client.status, &*world.client()), (status, answer));
    }
    let mut gone = shop.ask(&body(&["a"]));
    gone.send(Event::Response(json(), false)).send(Event::Chunk(bytes(&good[..good.len() - 1]), false));
    shop.finish(&mut gone);
    assert_eq!(shop.kept(), 0);
    assert_eq!((shop.refused(Reason::Lossy), shop.refused(Reason::Incomplete)), (2, 4));
}

#[test]
fn a_limit_is_asked_for_what_leaves() {
    let long = "x".repeat(400);
    let mut limited = policy();
    limited.limits = limits(Mode::Enforce, weir::policy::OnError::Deny, &weir::policy::limits::Exceeded::Deny);
    let shop = Shop::new(limited);
    let reserved = |world: &World| -> Vec<u64> {
        let takes = world.asks.iter().filter_map(|ask| match ask {
            Ask::Reserve(ask) => Some(ask.takes.iter().map(|take| take.amount).sum()),
            _ => None,
        });
        takes.collect()
    };
    let whole = shop.call(&body(&[&long, "b"]));
    let part = shop.call(&body(&[&long, "c"]));
    let none = shop.call(&body(&[&long, "b"]));
    let (whole, part, none) = (reserved(&whole), reserved(&part), reserved(&none));
    assert_eq!((whole.len(), part.len()), (2, 2));
    assert!(part[1] + 100 < whole[1], "{part:?} {whole:?}");
    assert_eq!(none.len(), 1, "what is known counts as a request and spends nothing");
}

#[test]
fn a_caller_may_want_less_of_it() {
    let rule = Rule::new("own", Scope::Consumer, MINUTES);
    let bypass = Some(weir::policy::select::Callers::default());
    let document = CachePolicy { bypass, ..CachePolicy::everywhere(rule, Mode::Enforce) };
    let shop = Shop::new(Policy { caches: vec![document].into(), ..own() });
    shop.call(&body(&["a"]));
    shop.seconds.fetch_add(60, Ordering::Relaxed);
    let asked = |header: (&str, &str)| {
        let mut world = shop.ask_with(BodyMode::FullDuplex, &[header], &body(&["a"]));
        let left = world.envoy.upstream.began;
        if left {
            world.reply(json(), provided(&body(&["a"])));
        }
        let before = shop.kept();
        shop.finish(&mut world);
        let status = world.record().cached.as_deref().expect("a rule is about it").status;
        (left, status, shop.kept() - before)
    };
    assert_eq!(asked(("cache-control", "max-age=60")), (false, Status::Hit, 0));
    assert_eq!(asked(("cache-control", "no-store")), (false, Status::Hit, 0));
    assert_eq!(asked(("x-weir-cache", "bypass")), (true, Status::Bypass, 0));
    assert_eq!(asked(("cache-control", "max-age=59, no-store")), (true, Status::Miss, 0));
    assert_eq!(asked(("cache-control", "no-cache")), (true, Status::Refresh, 1));
    assert_eq!(shop.refused(Reason::NoStore), 1);
}

#[test]
fn in_shadow_nothing_changes_but_what_is_told() {
    let mut shadow = policy();
    shadow.caches = caches(Mode::Shadow);
    let shop = Shop::new(shadow);
    shop.call(&body(&["a"]));
    let world = shop.call(&body(&["a", "a", "b"]));
    assert_eq!(world.upstream(), body(&["a", "a", "b"]));
    assert!(world.notes().contains(&&Note::Shadow { step: "recall", reason: "hit" }));
    assert_eq!(world.client(), provided(&body(&["a", "a", "b"])));
}

#[test]
fn nobody_reads_what_another_one_has_asked() {
    let shop = Shop::new(own());
    shop.call(&body(&["a"]));
    let mut other = own();
    let mut caller = (*other.identity.own).clone();
    caller.consumer = Some("bob".into());
    other.identity.own = Arc::new(caller.clone());
    let shop = Shop { policy: other.clone(), ..shop };
    assert!(shop.call(&body(&["a"])).envoy.upstream.began);
    caller.consumer = None;
    other.identity.own = Arc::new(caller);
    let shop = Shop { policy: other, ..shop };
    let world = shop.call(&body(&["a"]));
    let cached = world.record().cached.as_deref().expect("a rule is about it");
    assert_eq!((cached.status, cached.reason), (Status::Bypass, Some(Reason::NoScope)));
}
