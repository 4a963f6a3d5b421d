//! Identical calls at once: one of them asks the provider, and the others are told what it is told. Who leads may
//! fail or leave, and so may who follows; nobody else suffers.

use std::sync::Arc;

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::isolation::spoken;
use super::{EXACT, ask, ask_as, asked, bearer, cache, question, recorded, rig, said, words};
use crate::faults::rig::{CHAT, LONG, Rig, aborts, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Connection, Request};

/// How many ask at once.
const HERD: usize = 500;

/// Begins a chat call of the first consumer, and leaves its answer to be read.
async fn begin(rig: &Rig, orders: &[(&str, &str)], body: &Value) -> Connection {
    let key = bearer(1);
    rig.open(&[&[("authorization", &key[..])], orders].concat(), body).await
}

/// Waits until so many follow.
async fn followers(rig: &Rig, count: usize) {
    let now = || async { rig.samples().await.sum("weir_cache_followers", &[]) };
    wait("followers", || async { now().await == count as f64 }).await;
}

/// What the herd asks, in four APIs and two forms.
fn asks(at: usize) -> (&'static str, Value) {
    let text = "How wide?";
    let chat = |stream: bool| json!({"model": "alpha", "max_tokens": 99, "stream": stream, "messages": [{"role": "user", "content": text}]});
    let google = || json!({"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"maxOutputTokens": 99}});
    match at % 8 {
        0 => (CHAT, chat(false)),
        1 => (CHAT, chat(true)),
        2 => ("/v1/messages", chat(true)),
        3 => ("/v1/messages", chat(false)),
        4 => ("/v1beta/models/alpha:generateContent", google()),
        5 => ("/v1beta/models/alpha:streamGenerateContent?alt=sse", google()),
        stream => {
            ("/v1/responses", json!({"model": "alpha", "max_output_tokens": 99, "stream": stream == 7, "input": text}))
        }
    }
}

async fn a_herd_makes_one_call(mode: BodyMode) {
    let rig = Arc::new(rig(mode, &cache(EXACT)).await);
    let calls: Vec<_> = (0..HERD)
        .map(|at| {
            let (address, (path, body)) = (rig.address.clone(), asks(at));
            tokio::spawn(async move {
                let (key, words) = (bearer(1), (10 + at % 80).to_string());
                let headers = [
                    ("content-type", "application/json"),
                    ("authorization", &key[..]),
                    ("x-mock-tokens", &words),
                    ("x-mock-delay", "4000"),
                ];
                let request = Request { method: "POST", path, headers: &headers };
                let bytes = request.with_length(body.to_string().as_bytes());
                http1::exchange(&address, "POST", &bytes).await.expect("Envoy takes the connection")
            })
        })
        .collect();
    let mut lengths = Vec::new();
    for (at, call) in calls.into_iter().enumerate() {
        let answer = call.await.expect("no panic");
        lengths.push(spoken(asks(at).0, &answer));
    }
    assert_eq!(asked(&rig), 1, "the mock's own count");
    assert!(lengths.iter().all(|length| *length == lengths[0]), "one answer for all: {lengths:?}");
    let records = rig.records_when(HERD).await;
    let count = |result: &str| records.iter().filter(|record| record["cached"]["result"] == result).count();
    // Who came after the end found it kept.
    assert_eq!((count("miss"), count("follow") + count("hit")), (1, HERD - 1));
    assert!(count("follow") > 0, "nobody followed");
    let paid = records.iter().filter(|record| super::number(&record["costNanoUsd"]) > 0).count();
    assert_eq!(paid, 1, "followers spend nothing");
    let rig = Arc::into_inner(rig).expect("all calls are done");
    assert_eq!(rig.samples().await.sum("weir_cache_flights", &[]), 0.0);
    rig.end(&Exceptions::default()).await;
}

/// A follower reads the first words while the provider is far from its end. When the leader leaves then, who has read
/// something is told that the answer ended, and who has not asks itself.
async fn a_follower_hears_it_live_and_outlives_its_leader(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let slow = [("x-mock-tokens", "900"), ("x-mock-spacing", "50")];
    let mut leader = begin(&rig, &slow, &question("Live?", true)).await;
    leader.read_body(300).await;
    let mut live = begin(&rig, &[("x-mock-tokens", "31")], &question("Live?", true)).await;
    let heard = live.read_until(|answer| answer.text().contains("good")).await.clone();
    assert!(heard.text().contains(" time"), "from the beginning on: {heard:?}");
    let first = || rig.mock().tally().recent[0].clone();
    assert!(!first().complete && !first().aborted, "the leader's answer was over: {:?}", first());
    let whole = begin(&rig, &[("x-mock-tokens", "32")], &question("Live?", false)).await;
    followers(&rig, 2).await;
    assert_eq!(asked(&rig), 1);
    leader.abort();
    let cut = live.finish().await;
    let last = cut.events().into_iter().rfind(|event| event != "[DONE]").expect("events");
    let last: Value = serde_json::from_str(&last).expect("JSON");
    assert!(cut.complete && last["error"]["code"] == "stream_truncated", "{cut:?}");
    let answer = whole.finish().await;
    assert_eq!((words(&answer), asked(&rig)), (32, 2), "{answer:?}");
    let record = rig.record_of(&cut).await;
    assert_eq!(record["outcome"], "OUTCOME_TRUNCATED", "{record:#}");
    assert_eq!(words(&ask(&rig, 33, &question("Live?", false), &[]).await), 32, "what the second leader got is kept");
    rig.end(&aborts()).await;
}

/// Two of a team who ask the same at once are not to see it by the answers.
async fn of_a_team_each_has_an_answer_of_its_own(mode: BodyMode) {
    let rig = rig(mode, &cache(&format!("scope: Team, {EXACT}"))).await;
    let leader = begin(&rig, &[("x-mock-delay", "3000"), ("x-mock-tokens", "20")], &question("Who?", false)).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    let mut waiting = Vec::new();
    for stream in [false, true] {
        waiting.push(begin(&rig, &[("x-mock-tokens", "30")], &question("Who?", stream)).await);
    }
    followers(&rig, 2).await;
    let first = leader.finish().await;
    for follower in waiting {
        let answer = follower.finish().await;
        assert_eq!((words(&answer), answer.header("x-weir-cache")), (20, None), "{answer:?}");
        let id = format!("chatcmpl-{}", answer.header("x-weir-request-id").expect("an id"));
        assert!(answer.text().contains(&id), "{answer:?}");
        assert!(!answer.text().contains(first.json()["id"].as_str().expect("an id")), "{answer:?}");
    }
    assert_eq!(asked(&rig), 1);
    rig.end(&Exceptions::default()).await;
}

async fn who_waits_takes_over_from_a_leader_that_leaves(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let leader = begin(&rig, &[("x-mock-delay", "60000")], &question("Who?", true)).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    let mut waiting = Vec::new();
    for at in 0..6_usize {
        let words = (20 + at).to_string();
        waiting.push(begin(&rig, &[("x-mock-tokens", &words)], &question("Who?", at % 2 == 0)).await);
        followers(&rig, at + 1).await;
    }
    leader.abort();
    for follower in waiting {
        let answer = follower.finish().await;
        assert_eq!(words(&answer), 20, "{answer:?}");
    }
    assert_eq!(asked(&rig), 2, "the one that left, and the one that took over");
    rig.end(&aborts()).await;
}

async fn a_leader_that_fails_is_nobody_elses_failure(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let orders = [("x-mock-status", "500"), ("x-mock-delay", "4000")];
    let leader = begin(&rig, &orders, &question("What?", false)).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    let orders = [("x-mock-tokens", "21")];
    let one = begin(&rig, &orders, &question("What?", false)).await;
    let other = begin(&rig, &orders, &question("What?", true)).await;
    followers(&rig, 2).await;
    // What failed is nobody's answer: each asks for itself, and none waits for another one's failure.
    let (failed, one, other) = (leader.finish().await, one.finish().await, other.finish().await);
    assert_eq!((failed.status, words(&one), words(&other), asked(&rig)), (500, 21, 21, 3), "{failed:?}");
    rig.end(&Exceptions::default()).await;
}

async fn a_follower_that_leaves_harms_nobody(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let orders = [("x-mock-delay", "3000"), ("x-mock-tokens", "20")];
    let leader = begin(&rig, &orders, &question("When?", false)).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    let (mut left, mut stays) = (Vec::new(), Vec::new());
    for at in 0..8 {
        let follower = begin(&rig, &[("x-mock-tokens", "21")], &question("When?", at % 4 < 2)).await;
        if at % 2 == 0 { left.push(follower) } else { stays.push(follower) }
    }
    rig.in_flight(9).await;
    left.into_iter().for_each(|follower| drop(follower.abort()));
    rig.in_flight(5).await;
    for call in stays.into_iter().chain([leader]) {
        assert_eq!(words(&call.finish().await), 20);
    }
    assert_eq!(asked(&rig), 1);
    rig.end(&Exceptions::default()).await;
}

async fn another_consumer_asks_for_itself(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let body = question("Where?", false);
    let orders = [("x-mock-delay", "2000")];
    let calls = tokio::join!(
        ask_as(&rig, 1, 21, &body, &orders),
        ask_as(&rig, 2, 22, &body, &orders),
        ask_as(&rig, 3, 23, &body, &orders)
    );
    assert_eq!((words(&calls.0), words(&calls.1), words(&calls.2), asked(&rig)), (21, 22, 23, 3));
    rig.end(&Exceptions::default()).await;
}

async fn nobody_follows_where_the_policy_says_no(mode: BodyMode) {
    let rig = rig(mode, &cache("exact: {ttl: 1h}, coalescing: Disabled")).await;
    let body = question("How?", false);
    let orders = [("x-mock-delay", "2000")];
    let calls = tokio::join!(ask(&rig, 21, &body, &orders), ask(&rig, 22, &body, &orders));
    assert_eq!((words(&calls.0), words(&calls.1), asked(&rig)), (21, 22, 2));
    rig.end(&Exceptions::default()).await;
}

/// Where nothing is kept, calls that run at the same time still share an answer; later ones do not.
async fn calls_share_an_answer_that_nobody_keeps(mode: BodyMode) {
    let rig = rig(mode, &cache("coalescing: Enabled")).await;
    let body = question("Now?", false);
    let leader = begin(&rig, &[("x-mock-delay", "2000"), ("x-mock-tokens", "20")], &body).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    let follower = ask(&rig, 21, &body, &[]).await;
    assert_eq!((words(&follower), said(&follower)), (20, Some("hit")));
    assert_eq!(recorded(&rig, &follower).await.0, "follow");
    assert_eq!(words(&leader.finish().await), 20);
    assert_eq!(words(&ask(&rig, 22, &body, &[]).await), 22);
    rig.end(&Exceptions::default()).await;
}

/// Nothing new is taken; who follows hears the end of what it follows.
async fn who_follows_is_told_the_end_before_the_process_ends(mode: BodyMode) {
    let mut rig = rig(mode, &cache(EXACT)).await;
    let orders = [("x-mock-tokens", "100"), ("x-mock-spacing", "50")];
    let mut leader = begin(&rig, &orders, &question("End?", true)).await;
    leader.read_body(300).await;
    let whole = begin(&rig, &[], &question("End?", false)).await;
    let mut live = begin(&rig, &[], &question("End?", true)).await;
    live.read_body(300).await;
    followers(&rig, 2).await;
    rig.weir.signal("TERM");
    for call in [leader, live, whole] {
        assert_eq!(words(&call.finish().await), 100);
    }
    let status = rig.weir.wait(LONG).expect("Weir ends when the last of them has");
    assert!(status.success(), "{status}: {}", rig.weir.written());
    let records = rig.records_when(3).await;
    let followed = records.iter().filter(|record| record["cached"]["result"] == "follow").count();
    assert_eq!((followed, asked(&rig)), (2, 1));
    rig.judge(&crate::faults::rig::outage()).await;
}

every_mode!(a_herd_makes_one_call, a_leader_that_fails_is_nobody_elses_failure, another_consumer_asks_for_itself);
first_mode!(
    a_follower_hears_it_live_and_outlives_its_leader,
    of_a_team_each_has_an_answer_of_its_own,
    who_waits_takes_over_from_a_leader_that_leaves,
    a_follower_that_leaves_harms_nobody,
    nobody_follows_where_the_policy_says_no,
    calls_share_an_answer_that_nobody_keeps,
    who_follows_is_told_the_end_before_the_process_ends,
);
