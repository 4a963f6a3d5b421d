//! The store away, stopped, slow, full, reset or empty: a look finds nothing, within its time, and nothing else
//! happens; when the store is back, so are the answers.

use std::time::Duration;

use weir::cache::redis::{Options, Redis, Tallies};
use weir::store;

use super::*;
use crate::support::redis_proxy::{Proxy, Replies};

/// The longest that a look waits here.
const SHORT: Duration = Duration::from_millis(50);
/// A look waits for the store no longer than that; the rest is what a machine that does something else may take.
const BOUND: Duration = Duration::from_secs(10);

fn hasty(url: String) -> Options {
    Options::new(store::Options { timeout: SHORT, ..store::Options::new(url) }, sealed(1))
}

/// What a look comes to that is not waited for longer than is bearable.
async fn look(redis: &Redis, number: u8) -> Option<Entry> {
    let (shop, key) = (shop(), key(number));
    let look = tokio::time::timeout(BOUND, redis.get(&shop, &key));
    look.await.expect("a look ends in its time")
}

/// Looks until the breaker is open: each finds nothing.
async fn until_shut(redis: &Redis) {
    until_by(redis, |redis| redis.state() == State::Down).await;
    let before = redis.tallies();
    for _ in 0..1_000 {
        assert_eq!(look(redis, 1).await, None);
        redis.put(&shop(), &key(2), entry("dropped"));
    }
    let after = redis.tallies();
    assert!(after.failed - before.failed == 1_000 && after.dropped - before.dropped == 1_000, "{before:?} {after:?}");
    assert!(redis.vectors(&shop(), &key(1)).await.is_empty());
}

async fn until_by(redis: &Redis, holds: impl Fn(&Redis) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds(redis) {
        assert!(Instant::now() < end, "{redis:?}");
        assert_eq!(look(redis, 1).await, None);
    }
}

/// It is found again, and what is written is found.
async fn is_back(redis: &Redis, text: &str) {
    until("it is ok", || redis.state() == State::Ok).await;
    let end = Instant::now() + PATIENCE;
    while look(redis, 1).await.is_none_or(|entry| entry.bytes != text) {
        // A late write is dropped.
        redis.put(&shop(), &key(1), entry(text));
        assert!(Instant::now() < end && redis.drain(PATIENCE).await, "{redis:?}");
    }
}

#[tokio::test]
async fn it_starts_without_a_store_and_finds_it_later() {
    let mut server = Server::new();
    server.kill();
    let redis = Redis::connect(hasty(server.url())).expect("usable options");
    until_shut(&redis).await;
    server.resume();
    is_back(&redis, "found").await;
}

#[tokio::test]
async fn a_stopped_server_keeps_nobody_waiting() {
    let server = Server::new();
    let redis = ready(hasty(server.url())).await;
    is_back(&redis, "before").await;
    server.signal("STOP");
    until_shut(&redis).await;
    server.signal("CONT");
    until("it is ok", || redis.state() == State::Ok).await;
    finds(&redis, 1, "before").await;
    is_back(&redis, "after").await;
}

#[tokio::test]
async fn a_killed_server_comes_back_with_nothing() {
    let mut server = Server::new();
    let redis = ready(hasty(server.url())).await;
    is_back(&redis, "before").await;
    server.kill();
    until_shut(&redis).await;
    server.resume();
    until("it is ok", || redis.state() == State::Ok).await;
    assert_eq!(look(&redis, 1).await, None);
    is_back(&redis, "after").await;
    server.say::<()>(&["FLUSHALL"]);
    assert_eq!(look(&redis, 1).await, None);
    server.say::<()>(&["SCRIPT", "FLUSH"]);
    is_back(&redis, "again").await;
}

/// One that takes no more writes still gives what it has, as long as it is asked.
#[tokio::test]
async fn a_full_server_takes_nothing_and_gives_what_it_has() {
    let server = Server::new();
    let redis = ready(hasty(server.url())).await;
    is_back(&redis, "before").await;
    server.say::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = redis.tallies();
    redis.put(&shop(), &key(2), entry("dropped"));
    redis.add(&shop(), &key(2), vector(1, "dropped"));
    assert!(redis.drain(PATIENCE).await);
    let after = redis.tallies();
    assert_eq!((after.dropped - before.dropped, after.written), (2, before.written));
    let found = look(&redis, 1).await;
    assert!(found.is_none_or(|entry| entry.bytes == "before"));
    server.say::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    is_back(&redis, "after").await;
    assert_eq!(look(&redis, 2).await, None);
}

/// Replies that come late, get lost, or break with the connection, with and without a reset.
#[tokio::test]
async fn a_bad_wire_is_a_miss() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let redis = ready(hasty(proxy.url())).await;
    is_back(&redis, "before").await;
    for replies in [Replies::Slow(SHORT * 4), Replies::Lost] {
        proxy.set(replies);
        until_by(&redis, |redis| redis.state() == State::Down).await;
        proxy.set(Replies::Pass);
        proxy.cut();
        is_back(&redis, "before").await;
    }
    proxy.reset();
    for _ in 0..2 {
        // The first are those from before; those that follow end with a reset.
        proxy.cut();
        is_back(&redis, "before").await;
    }
    for round in 0..50 {
        proxy.set(Replies::Broken);
        let found = look(&redis, 1).await;
        assert!(found.is_none_or(|entry| entry.bytes == "before"), "{round}");
    }
    is_back(&redis, "before").await;
}

/// What waits is bounded in number and bytes while the store does nothing, and all of it is counted.
#[tokio::test]
async fn what_waits_is_bounded_and_counted() {
    let server = Server::new();
    let options = hasty(server.url());
    let redis = ready(Options { queue: 8, queue_bytes: 10_000, ..options }).await;
    server.signal("STOP");
    for number in 0..100 {
        redis.put(&shop(), &key(number), entry("small"));
        assert!(redis.waiting() <= 2 * 8);
    }
    redis.put(&shop(), &key(0), Entry { bytes: vec![0; 10_001].into(), ..entry("") });
    assert!(redis.drain(PATIENCE).await);
    server.signal("CONT");
    until("it is ok", || redis.state() == State::Ok).await;
    let Tallies { written, dropped, .. } = redis.tallies();
    assert_eq!(written + dropped, 101);
    assert!(dropped >= 101 - 2 * 8, "{dropped}");
}

/// Looks and writes of many while the server is stopped, killed, flushed and full in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_look_ends_and_finds_what_was_kept_or_nothing() {
    let mut server = Server::new();
    let redis = ready(hasty(server.url())).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8_u8 {
        let (redis, stopped) = (redis.clone(), stopped.clone());
        callers.spawn(async move {
            let (mut looks, own) = (0_u64, format!("answer of {caller}"));
            while !*stopped.borrow() {
                redis.put(&shop(), &key(caller), entry(&own));
                let found = look(&redis, caller).await;
                assert!(found.is_none_or(|entry| entry.bytes == own));
                looks += 1;
                tokio::task::yield_now().await;
            }
            looks
        });
    }
    for _ in 0..2 {
        server.signal("STOP");
        until("it is down", || redis.state() == State::Down).await;
        server.signal("CONT");
        until("it is ok", || redis.state() == State::Ok).await;
        server.say::<()>(&["FLUSHALL"]);
        server.kill();
        until("it is down", || redis.state() == State::Down).await;
        server.resume();
        until("it is ok", || redis.state() == State::Ok).await;
    }
    stop.send(true).expect("they listen");
    assert!(callers.join_all().await.iter().all(|looks| *looks > 0));
    let Tallies { hits, misses, failed, bad, .. } = redis.tallies();
    assert!(hits > 0 && failed > 0 && bad == 0, "{hits} {misses} {failed} {bad}");
}
