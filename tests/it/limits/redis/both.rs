//! Limits of the process and of the fleet under one call: taken together or not at all, each row settled under the
//! grant that it came with.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use weir::limit::lease::Leases;
use weir::limit::redis::{Redis, State};
use weir::limit::take::{Fit, Grant, Take};
use weir::limit::{Ask, Counting, Limit, Settle, Spent, Unit};
use weir::llm::Usage;
use weir::tokens::uncounted::{Counted, Text, Uncounted};
use weir::world::Limits;

use super::{MINUTE, PATIENCE, left, limit, replica, take, until};
use crate::limits::held;
use crate::support::redis::Server;

/// What both count: requests here, tokens and calls there.
fn takes() -> [Take; 3] {
    let own = Limit { counting: Counting::Process, ..(*limit("own/rpm", Unit::Requests, 5, MINUTE)).clone() };
    let calls = Limit { counting: Counting::Fleet { lease: 0 }, ..(*held("fleet/calls", 2)).clone() };
    let tokens = limit("fleet/tokens", Unit::Tokens, 100_000, MINUTE);
    [take(&Arc::new(own), 1), take(&tokens, 40_000), take(&Arc::new(calls), 1)]
}

async fn limits(server: &Server) -> (Limits, Redis) {
    let (limits, redis) = (Limits::default(), replica(server).await);
    limits.share(Leases::new(redis.clone()));
    (limits, redis)
}

async fn granted(limits: &Limits, takes: &[Take]) -> Grant {
    limits.reserve(&Ask { takes: takes.to_vec() }).await.expect("it fits")
}

/// What is left: of requests here, of tokens and of calls there.
async fn all_left(limits: &Limits, redis: &Redis) -> [u64; 3] {
    assert!(limits.drain(PATIENCE).await);
    let [own, tokens, calls] = takes();
    let row = limits.list(Some("own/rpm"), 1).first().map_or(0, |row| row.used);
    [own.ceiling - row, left(redis, &tokens).await, left(redis, &calls).await]
}

fn used(output: u64) -> Spent {
    Spent::Used { usage: Usage { output, ..Usage::default() }, cost: None }
}

#[tokio::test]
async fn what_the_store_refuses_takes_nothing_here() {
    let server = Server::new();
    let (limits, redis) = limits(&server).await;
    let first = granted(&limits, &takes()).await;
    granted(&limits, &takes()).await;
    let refused = limits.reserve(&Ask { takes: takes().into() }).await.expect_err("100 tokens have no room for 120");
    let known: Vec<bool> = refused.standings.iter().map(|standing| standing.is_known()).collect();
    // The place among the calls is as full, and nobody knows for how long.
    assert_eq!((refused.take, refused.wait, known), (2, None, vec![false, true, true]));
    assert_eq!(all_left(&limits, &redis).await, [3, 20_000, 0]);
    limits.settle(Settle { grant: first, guessed: Vec::new(), spent: Spent::Undone, uncounted: None });
    assert_eq!(all_left(&limits, &redis).await, [4, 60_000, 1]);
}

/// A question that nobody waits for any more has taken nothing, here or there.
#[tokio::test]
async fn a_question_that_is_dropped_leaves_nothing_taken() {
    let server = Server::new();
    let (limits, redis) = limits(&server).await;
    server.signal("STOP");
    let ask = Ask { takes: takes().into() };
    timeout(Duration::from_millis(50), limits.reserve(&ask)).await.expect_err("nobody answers");
    server.signal("CONT");
    until("it is ok", || redis.state() == State::Ok).await;
    assert_eq!(all_left(&limits, &redis).await, [5, 100_000, 2]);
}

/// What is taken more while a call runs has an id of its own, and its rows go by that.
#[tokio::test]
async fn what_is_taken_more_is_settled_under_its_own_grant() {
    let server = Server::new();
    let (limits, redis) = limits(&server).await;
    for (output, charged) in [(70, 70_000), (30, 30_000), (95, 95_000)] {
        let mut grant = granted(&limits, &takes()).await;
        let more = granted(&limits, &takes()[1..2]).await;
        assert_ne!(grant.id, more.id);
        grant.taken.extend(more.taken);
        assert_eq!(all_left(&limits, &redis).await[1], 20_000);
        limits.settle(Settle { grant, guessed: Vec::new(), spent: used(output), uncounted: None });
        assert_eq!(all_left(&limits, &redis).await[1..], [100_000 - charged, 2]);
        server.say::<()>(&["FLUSHALL"]);
    }
}

/// A call is over when it is over; what its text comes to is charged when it is counted.
#[tokio::test]
async fn calls_are_free_before_their_text_is_counted() {
    let server = Server::new();
    let (limits, redis) = limits(&server).await;
    let text = Text { kept: b" time".repeat(10), whole: 50, beyond: 0 };
    let bill = |output| Counted { usage: Usage { output, ..Usage::default() }, cost: None, price: None };
    let uncounted = Some(Uncounted::new("gpt-4o", text, bill));
    let mut settle =
        Settle { grant: granted(&limits, &takes()).await, guessed: Vec::new(), spent: used(40), uncounted };
    limits.settle_now(&mut settle);
    assert_eq!(all_left(&limits, &redis).await, [4, 60_000, 2]);
    settle.count(|_| {});
    limits.settle(settle);
    assert_eq!(all_left(&limits, &redis).await, [4, 90_000, 2]);
}

/// Without an answer the fleet's rows are unchecked, and what the call came to is charged in the end.
#[tokio::test]
async fn what_went_on_unchecked_is_charged_when_the_store_is_back() {
    let server = Server::new();
    let redis = Redis::connect(weir::limit::redis::Options {
        timeout: Duration::from_millis(50),
        ..weir::limit::redis::Options::new(server.url())
    });
    let redis = super::ready(redis.expect("usable options")).await;
    let limits = Limits::default();
    limits.share(Leases::new(redis.clone()));
    server.signal("STOP");
    let grants = [granted(&limits, &takes()).await, granted(&limits, &takes()).await];
    let fits: Vec<Fit> = grants[0].taken.iter().map(|row| row.fit).collect();
    assert_eq!(fits, [Fit::Fits, Fit::Unchecked, Fit::Unchecked]);
    let [went, stayed] = grants;
    limits.settle(Settle { grant: went, guessed: Vec::new(), spent: used(25), uncounted: None });
    limits.settle(Settle { grant: stayed, guessed: Vec::new(), spent: Spent::Undone, uncounted: None });
    server.signal("CONT");
    until("it is ok", || redis.state() == State::Ok).await;
    assert!(limits.drain(PATIENCE).await);
    let sure = replica(&server).await;
    assert_eq!(all_left(&limits, &sure).await, [4, 75_000, 2]);
}
