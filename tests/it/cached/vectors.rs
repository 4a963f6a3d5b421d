//! Vectors that replicas share in one real Redis, and calls that miss the same at once: what one has asked for no other
//! one asks for again, whoever fails or leaves, and nobody is given what is another's.

use std::sync::Arc;

use serde_json::{Value, json};

use super::shared::{Replicas, shared};
use super::*;
use crate::faults::rig::{aborts, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{Connection, Request};

const EMBEDDINGS: &str = "/v1/embeddings";

/// How many ask at once.
const HERD: usize = 64;

fn body(inputs: &[&str]) -> Value {
    json!({"model": "alpha", "input": inputs, "dimensions": 8})
}

/// Begins a call of this consumer, and leaves its answer to be read.
async fn begin(rig: &Rig, consumer: u8, orders: &[(&str, &str)], inputs: &[&str]) -> Connection {
    let key = bearer(consumer);
    let headers = [&[("content-type", "application/json"), ("authorization", &key[..])], orders].concat();
    let request = Request { method: "POST", path: EMBEDDINGS, headers: &headers };
    let mut connection = Connection::open(&rig.address, "POST").await.expect("Envoy takes the connection");
    connection.send(&request.with_length(body(inputs).to_string().as_bytes())).await.expect("Envoy reads");
    connection
}

async fn embed(rig: &Rig, consumer: u8, inputs: &[&str]) -> Response {
    begin(rig, consumer, &[], inputs).await.finish().await
}

/// The vectors of an answer, in their order. It must be complete.
fn vectors(answer: &Response) -> Vec<Value> {
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    let data = answer.json()["data"].as_array().expect("a list").clone();
    let places: Vec<u64> = data.iter().map(|element| number(&element["index"])).collect();
    assert!(places.iter().copied().eq(0..data.len() as u64), "{places:?}");
    data.into_iter().map(|element| element["embedding"].clone()).collect()
}

/// The tokens of all inputs that the provider was asked for.
fn embedded(rig: &Rig) -> u64 {
    rig.mock().tally().models["alpha"].prompt_tokens
}

async fn what_one_has_asked_for_no_replica_asks_for_again(_: BodyMode) {
    let replicas = Replicas::start(&cache(EXACT), "10s").await;
    let (one, two) = (&replicas.one, &replicas.two);
    let [old, other, new] = ["An input of one.", "Another of them.", "A third, and new"];
    let first = vectors(&embed(one, 1, &[old, other]).await);
    Replicas::written(one, 2.0).await;
    let before = embedded(one);
    let known = embed(two, 1, &[other, old]).await;
    assert_eq!((vectors(&known), said(&known)), (vec![first[1].clone(), first[0].clone()], Some("hit")));
    assert_eq!((asked(one), embedded(one)), (1, before));
    // Of old and new inputs the new ones leave.
    let part = embed(two, 1, &[old, new, other]).await;
    assert_eq!((vectors(&part).len(), said(&part)), (3, Some("miss")));
    assert_eq!((&vectors(&part)[0], &vectors(&part)[2]), (&first[0], &first[1]));
    assert_eq!((asked(one), embedded(one) - before), (2, number(&part.json()["usage"]["prompt_tokens"])));
    assert!(embedded(one) - before < before, "one of three");
    Replicas::written(two, 1.0).await;
    assert_eq!(said(&embed(one, 1, &[new]).await), Some("hit"));
    // Another caller asks for all of it.
    let stranger = embed(two, 2, &[old, other]).await;
    assert_eq!((vectors(&stranger), said(&stranger), asked(one)), (first.clone(), Some("miss"), 3));
    Replicas::written(two, 3.0).await;
    // What is forgotten at one is forgotten at all, and only what was meant.
    assert_eq!(one.remove("/cache?scope=consumer/c1").await.status, 200);
    let entries = || async { two.admin("/cache").await.json()["memory"]["entries"].as_u64() };
    wait("word of it", || async { entries().await == Some(2) }).await;
    assert_eq!(said(&embed(two, 1, &[new]).await), Some("miss"));
    assert_eq!(said(&embed(one, 2, &[old, other]).await), Some("hit"));
    assert_eq!(asked(one), 4);
    replicas.end(&shared()).await;
}

/// Callers of both replicas ask for the same few inputs while Redis is killed, stopped in its tracks and started anew.
async fn whatever_becomes_of_redis_every_input_has_its_vector(_: BodyMode) {
    let mut replicas = Replicas::start(&cache(EXACT), "20ms").await;
    let all: Vec<String> = (0..24).map(|number| format!("Input {number}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let expected = vectors(&embed(&replicas.one, 3, &all).await);
    for (round, trouble) in ["none", "killed", "back", "stopped", "goes on", "emptied"].into_iter().enumerate() {
        match trouble {
            "killed" => replicas.server.kill(),
            "back" => replicas.server.resume(),
            "stopped" => replicas.server.signal("STOP"),
            "goes on" => replicas.server.signal("CONT"),
            "emptied" => replicas.server.say::<()>(&["FLUSHALL"]),
            _ => {}
        }
        for step in 0..4 {
            let upto = 4 * round + step + 1;
            let mut calls = Vec::new();
            for (rig, caller) in replicas.both().into_iter().flat_map(|rig| [1_u8, 2].map(|caller| (rig, caller))) {
                calls.push(begin(rig, caller, &[], &all[upto / 2..upto]).await);
            }
            for call in calls {
                assert_eq!(vectors(&call.finish().await), expected[upto / 2..upto], "{trouble}");
            }
        }
    }
    // It is used again as soon as it can be.
    let until = Instant::now() + LONG;
    for tries in 0.. {
        let input = format!("Again? {tries}");
        embed(&replicas.one, 1, &[&input]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if said(&embed(&replicas.two, 1, &[&input]).await) == Some("hit") {
            break;
        }
        assert!(Instant::now() < until, "nothing is shared after {LONG:?}");
    }
    replicas.end(&shared()).await;
}

async fn a_herd_makes_one_call(mode: BodyMode) {
    let rig = Arc::new(rig(mode, &cache(EXACT)).await);
    let calls: Vec<_> = (0..HERD)
        .map(|_| {
            let rig = rig.clone();
            tokio::spawn(async move { begin(&rig, 1, &[("x-mock-delay", "4000")], &["a", "b"]).await.finish().await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(vectors(&call.await.expect("no panic")));
    }
    assert_eq!(asked(&rig), 1, "the mock's own count");
    assert!(answers.iter().all(|answer| answer.len() == 2 && *answer == answers[0]));
    let records = rig.records_when(HERD).await;
    let count = |result: &str| records.iter().filter(|record| record["cached"]["result"] == result).count();
    // Who came after the end found it kept.
    assert_eq!((count("miss"), count("follow") + count("hit")), (1, HERD - 1));
    assert!(count("follow") > 0, "nobody waited");
    let paid = records.iter().filter(|record| number(&record["costNanoUsd"]) > 0).count();
    assert_eq!(paid, 1, "who waits spends nothing");
    let rig = Arc::into_inner(rig).expect("all calls are done");
    assert_eq!(rig.samples().await.sum("weir_cache_flights", &[]), 0.0);
    rig.end(&Exceptions::default()).await;
}

/// Waits until so many wait for others.
async fn followers(rig: &Rig, count: usize) {
    let now = || async { rig.samples().await.sum("weir_cache_followers", &[]) };
    wait("followers", || async { now().await == count as f64 }).await;
}

async fn who_waits_takes_over_from_a_leader_that_leaves(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let leader = begin(&rig, 1, &[("x-mock-delay", "60000")], &["a"]).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    // Another caller waits for nobody.
    let other = vectors(&embed(&rig, 2, &["a"]).await);
    let mut waiting = Vec::new();
    for at in 0..6 {
        waiting.push(begin(&rig, 1, &[], &["a"]).await);
        followers(&rig, at + 1).await;
    }
    leader.abort();
    for call in waiting {
        assert_eq!(vectors(&call.finish().await), other);
    }
    assert_eq!(asked(&rig), 3, "the other caller, the one that left, and the one that took over");
    rig.end(&aborts()).await;
}

async fn a_leader_that_fails_is_nobody_elses_failure(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let leader = begin(&rig, 1, &[("x-mock-status", "500"), ("x-mock-delay", "4000")], &["a"]).await;
    wait("the leader at the mock", || async { asked(&rig) == 1 }).await;
    let (one, two) = (begin(&rig, 1, &[], &["a"]).await, begin(&rig, 1, &[], &["a"]).await);
    followers(&rig, 2).await;
    let failed = leader.finish().await;
    let (one, two) = (vectors(&one.finish().await), vectors(&two.finish().await));
    assert_eq!((failed.status, one, asked(&rig)), (500, two, 3), "{failed:?}");
    rig.end(&Exceptions::default()).await;
}

every_mode!(a_herd_makes_one_call, a_leader_that_fails_is_nobody_elses_failure);
first_mode!(
    what_one_has_asked_for_no_replica_asks_for_again,
    whatever_becomes_of_redis_every_input_has_its_vector,
    who_waits_takes_over_from_a_leader_that_leaves
);
