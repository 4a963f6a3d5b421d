//! Where a call goes when a backend has failed, what its answer says to the next one, and what the proxy
//! is told to try again.

use std::sync::Arc;
use std::time::Duration;

use weir::base::now::{Instant, Now};
use weir::credential::Credential;
use weir::exchange::event::{Action, Event, Note, ResponseHead, Value};
use weir::exchange::phase::BodyMode;
use weir::exchange::{Exchange, LOCAL_REPLY_HEADER, Setup};
use weir::policy::Policy;
use weir::target::health::{Observation, Outcome};
use weir::target::{Choice, Health, Retry, RetryOn, Rule, StickyBy};

use super::support::*;

/// `gpt-4o-mini` goes to `one`, and to `two` when that cools down.
fn chained(retry: Option<Retry>) -> Policy {
    let mut policy = policy();
    let choice = |backend, priority| Choice { backend, model: None, priority, weight: 1 };
    let choices = vec![choice(0, 0), choice(1, 1)];
    let affinity = vec![StickyBy::Session];
    let rule = Rule { name: "r/chain".into(), choices, affinity, retry: retry.map(Arc::new), ..Rule::default() };
    policy.targets.root.rules = vec![rule].into();
    policy
}

fn observed(world: &World) -> Vec<Observation> {
    let observation = |note: &&Note| match note {
        Note::Observe(observation) => Some(observation.clone()),
        _ => None,
    };
    world.notes().iter().filter_map(observation).collect()
}

/// What the answer to a call through `policy` says of its backend.
fn says(policy: Policy, head: ResponseHead) -> Option<(String, Outcome, Option<Duration>)> {
    let mut world = World::new(policy);
    world.call(CHAT, chat(false)).reply(head, DOCUMENT);
    world.end();
    let mut found = observed(&world);
    assert!(found.len() <= 1, "{found:?}");
    found.pop().map(|seen| (format!("{}/{}", seen.backend, seen.model), seen.outcome, seen.cooldown))
}

#[test]
fn an_answer_tells_what_is_new_of_its_backend() {
    let json = |status, more: &[(&str, &str)]| {
        response(
            status,
            &[&[("content-type", "application/json"), ("x-envoy-upstream-service-time", "1")], more].concat(),
        )
    };
    let local = |status, flags| response(status, &[("content-type", "application/json"), (LOCAL_REPLY_HEADER, flags)]);
    let two = Some(Duration::from_secs(2));
    for (head, expected) in [
        (json(200, &[]), None),
        (json(400, &[]), None),
        (json(429, &[]), Some(Outcome::RateLimited(None))),
        (json(429, &[("retry-after", "2")]), Some(Outcome::RateLimited(two))),
        (json(401, &[]), Some(Outcome::Denied)),
        (json(403, &[]), Some(Outcome::Forbidden)),
        (json(500, &[]), Some(Outcome::Failed)),
        (json(529, &[]), Some(Outcome::Failed)),
        (local(503, "UF,URX"), Some(Outcome::Unreachable)),
        (local(503, "UC"), Some(Outcome::Failed)),
        (local(429, "RL"), None),
    ] {
        let found = says(chained(None), head.clone());
        assert_eq!(found.as_ref().map(|found| found.1), expected, "{head:?}");
        assert!(found.is_none_or(|found| found.0 == "one/gpt-4o-mini" && found.2.is_none()));
    }
    let minute = Some(Duration::from_secs(60));
    let ruled = chained(Some(Retry { cooldown: minute, ..Retry::default() }));
    assert_eq!(says(ruled, json(500, &[])).map(|found| found.2), Some(minute));
    // A caller's own key says nothing to others; a failure does.
    for (status, expected) in [(401, None), (403, None), (429, None), (500, Some(Outcome::Failed))] {
        let mut policy = chained(None);
        policy.credentials.set(0, Credential::Caller);
        assert_eq!(says(policy, json(status, &[])).map(|found| found.1), expected, "{status}");
    }
}

#[test]
fn what_passes_or_never_left_says_nothing() {
    let mut world = World::new(policy());
    world.send(Event::Request(post("/v1/files"), false)).send(Event::RequestBody(bytes("{}"), true));
    world.reply(response(500, &[("content-type", "application/json")]), "{}").end();
    assert_eq!(observed(&world), []);
    let mut world = World::new(policy());
    world.send(Event::Request(post(CHAT), false));
    world.reply(response(503, &[("content-type", "text/plain")]), "no").end();
    assert_eq!(observed(&world), []);
}

#[test]
fn a_backend_that_cools_down_is_passed_over_and_its_next_success_is_told() {
    let health = Arc::new(Health::new());
    let failed = Observation {
        backend: "one".into(),
        credential: 0,
        model: "gpt-4o-mini".into(),
        outcome: Outcome::Failed,
        cooldown: None,
        at: Instant(0),
    };
    let goes = |health: &Arc<Health>| {
        let (policy, mode) = (Arc::new(chained(None)), BodyMode::FullDuplex);
        let setup = Setup { id: "1".into(), policy, learned: Arc::default(), health: health.clone(), mode, draw: 0 };
        let (mut exchange, mut out) = (Exchange::new(setup), Vec::new());
        let request = [Event::Request(post(CHAT), false), Event::RequestBody(bytes(chat(false)), true)];
        let answer = [Event::Response(json(), false), Event::Chunk(bytes(DOCUMENT), true)];
        let now = Now { mono: Instant(0), unix_nanos: 0 };
        request.into_iter().chain(answer).for_each(|event| exchange.on(event, now, &mut out));
        let (mut backend, mut seen) = (None, Vec::new());
        for action in out {
            match action {
                Action::Note(Note::Record(record)) => backend = record.backend.as_deref().map(str::to_owned),
                Action::Note(Note::Observe(observation)) => seen.push(observation),
                _ => {}
            }
        }
        (backend, seen)
    };
    health.observe(&failed);
    let (backend, seen) = goes(&health);
    assert_eq!(backend.as_deref(), Some("one"));
    assert_eq!(seen.iter().map(|seen| seen.outcome).collect::<Vec<_>>(), [Outcome::Success]);
    seen.iter().for_each(|seen| drop(health.observe(seen)));
    for _ in 0..3 {
        health.observe(&failed);
    }
    let (backend, seen) = goes(&health);
    assert_eq!((backend.as_deref(), seen.len()), (Some("two"), 0), "nothing is known of `two`");
}

#[test]
fn the_proxy_is_told_what_to_try_again() {
    let orders = |retry: Option<Retry>| {
        let mut world = World::new(chained(retry));
        world.call(CHAT, chat(false));
        let head = world.actions.iter().find_map(|action| match action {
            Action::Forward { head, .. } => Some(head.clone()),
            _ => None,
        });
        let text = |value: Value| match value {
            Value::Text(text) => text.to_string(),
            Value::Secret { .. } | Value::Original(_) => "secret".to_owned(),
        };
        let set = head.expect("it left").set.into_iter().filter(|(name, _)| name.starts_with("x-envoy-"));
        set.map(|(name, value)| format!("{}={}", &name["x-envoy-".len()..], text(value))).collect::<Vec<_>>()
    };
    assert_eq!(orders(None), Vec::<String>::new());
    assert_eq!(orders(Some(Retry { cooldown: Some(Duration::ZERO), ..Retry::default() })), Vec::<String>::new());
    let on = vec![RetryOn::RateLimited, RetryOn::ServerError, RetryOn::ConnectFailure];
    let per_try_timeout = Some(Duration::from_millis(1500));
    assert_eq!(
        orders(Some(Retry { attempts: 2, on, per_try_timeout, cooldown: None })),
        [
            "retry-on=retriable-status-codes,5xx,connect-failure,refused-stream,reset-before-request",
            "max-retries=2",
            "retriable-status-codes=429",
            "upstream-rq-per-try-timeout-ms=1500",
        ]
    );
    assert_eq!(
        orders(Some(Retry { attempts: 1, on: vec![RetryOn::ServerError], ..Retry::default() })),
        ["retry-on=5xx", "max-retries=1"]
    );
}
