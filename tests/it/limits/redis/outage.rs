//! The store away, full, stopped or killed: nothing hangs, nothing is charged twice, and the sums are right when
//! it is back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use weir::limit::Unit;
use weir::limit::redis::{Down, Options, Redis, State, Terms};
use weir::limit::take::{Grant, Take};
use weir::limit::window::Window;

use super::{PATIENCE, all, granted, id, left, limit, ready, replica, take, until};
use crate::support::redis::{Server, usual};

const SHORT: Duration = Duration::from_millis(50);
const AMOUNT: u64 = 1_000_000;

type States = Arc<Mutex<Vec<State>>>;

fn tokens(amount: u64) -> Take {
    take(&limit("fair/tokens", Unit::Tokens, AMOUNT, Window::Rolling(Duration::from_secs(3_600))), amount)
}

fn hasty(url: String) -> (Redis, States) {
    let states = States::default();
    let told = Arc::clone(&states);
    let on_state = Arc::new(move |state| told.lock().expect("no panic").push(state));
    let options = Options { timeout: SHORT, on_state, ..Options::new(url) };
    (Redis::connect(options).expect("usable options"), states)
}

/// Asks until the breaker is open. Every grant that was heard of.
async fn until_shut(redis: &Redis) -> Vec<Grant> {
    let mut grants = Vec::new();
    loop {
        match redis.reserve(id(), &[tokens(10)]).await {
            Ok(grant) => grants.extend(grant.ok()),
            Err(Down::Shut) => return grants,
            Err(_) => {}
        }
    }
}

async fn until_ok(redis: &Redis) {
    until("it is ok", || redis.state() == State::Ok).await;
    assert!(redis.drain(PATIENCE).await);
}

#[tokio::test]
async fn it_starts_without_a_store_and_finds_it_later() {
    let mut server = Server::new();
    server.kill();
    let (redis, states) = hasty(server.url());
    until("it is down", || redis.state() == State::Down).await;
    assert_eq!(redis.reserve(id(), &[tokens(1)]).await, Err(Down::Shut));
    assert_eq!(redis.peek(&[tokens(1)]).await, Err(Down::Shut));
    server.resume();
    until_ok(&redis).await;
    granted(&redis, &[tokens(1)]).await;
    assert_eq!(*states.lock().expect("no panic"), [State::Down, State::Degraded, State::Ok]);
}

#[tokio::test]
async fn a_stopped_server_keeps_nobody_waiting() {
    let server = Server::new();
    let (redis, states) = hasty(server.url());
    let redis = ready(redis).await;
    let grants: Vec<Grant> = [granted(&redis, &[tokens(500)]).await, granted(&redis, &[tokens(500)]).await].into();
    server.signal("STOP");
    assert!(until_shut(&redis).await.is_empty());
    for (grant, amount) in grants.iter().zip([700, 100]) {
        assert_eq!(redis.settle(&[all(grant, amount)]).await, Err(Down::Shut));
    }
    assert!(redis.waiting() >= 2);
    server.signal("CONT");
    until_ok(&redis).await;
    // What the server granted late to nobody was taken back, whatever came first.
    assert_eq!((left(&redis, &tokens(1)).await, redis.dropped()), (AMOUNT - 800, 0));
    let states = states.lock().expect("no panic").clone();
    assert_eq!(states, [State::Ok, State::Degraded, State::Down, State::Degraded, State::Ok]);
}

/// What the server forgets is charged with what it came to; what it remembers is charged once.
#[tokio::test]
async fn a_killed_server_comes_back_with_sums_that_are_right() {
    for (persistence, kept) in [("no", false), ("yes", true)] {
        let mut server = Server::start(usual(), &["--appendonly", persistence, "--appendfsync", "always"]);
        let redis = ready(hasty(server.url()).0).await;
        let done = granted(&redis, &[tokens(100)]).await;
        redis.settle(&[all(&done, 40)]).await.expect("the store answers");
        let open = granted(&redis, &[tokens(1_000)]).await;
        server.kill();
        until_shut(&redis).await;
        assert_eq!(redis.settle(&[all(&open, 300)]).await, Err(Down::Shut));
        server.resume();
        until_ok(&redis).await;
        let again = granted(&redis, &[tokens(7)]).await;
        redis.settle(&[all(&again, 7), all(&open, 300)]).await.expect("the store answers");
        let sum = 300 + 7 + if kept { 40 } else { 0 };
        assert_eq!((AMOUNT - left(&redis, &tokens(1)).await, redis.dropped()), (sum, 0), "{persistence}");
    }
}

/// A refund of what the store has lost takes nothing from what others have charged since.
#[tokio::test]
async fn what_was_lost_is_not_given_back() {
    let server = Server::new();
    let redis = replica(&server).await;
    let lost = granted(&redis, &[tokens(AMOUNT)]).await;
    server.say::<()>(&["FLUSHALL"]);
    granted(&redis, &[tokens(AMOUNT - 5)]).await;
    redis.settle(&[all(&lost, 2)]).await.expect("the store answers");
    assert_eq!(left(&redis, &tokens(1)).await, 3);
}

#[tokio::test]
async fn a_full_server_grants_nothing_and_forgets_nothing() {
    let server = Server::new();
    let redis = ready(hasty(server.url()).0).await;
    let grant = granted(&redis, &[tokens(1_000)]).await;
    server.say::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = redis.reserve(id(), &[tokens(10)]).await;
    assert_eq!(full, Err(Down::Answer("it answers OOM".into())));
    assert!(until_shut(&redis).await.is_empty());
    assert_eq!(redis.settle(&[all(&grant, 400)]).await, Err(Down::Shut));
    server.say::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    until_ok(&redis).await;
    assert_eq!((left(&redis, &tokens(1)).await, redis.dropped()), (AMOUNT - 400, 0));
}

/// One broken key is no outage of all others.
#[tokio::test]
async fn an_error_of_one_key_is_of_that_key() {
    let server = Server::new();
    let redis = replica(&server).await;
    let grant = granted(&redis, &[tokens(1)]).await;
    let keys: Vec<String> = server.say(&["KEYS", "*tokens:r*"]);
    server.say::<()>(&["SET", &keys[0], "another's"]);
    for _ in 0..20 {
        let answer = redis.reserve(id(), &[tokens(1)]).await;
        assert!(matches!(&answer, Err(Down::Answer(words)) if !words.contains("search")), "{answer:?}");
    }
    redis.settle(&[all(&grant, 1)]).await.expect_err("it cannot be done");
    until("the settlement is given up", || redis.dropped() == 1).await;
    assert_eq!((redis.state(), redis.waiting()), (State::Ok, 0));
    let other = limit("fair/other", Unit::Requests, 5, super::MINUTE);
    granted(&redis, &[take(&other, 1)]).await;
}

#[tokio::test]
async fn what_waits_is_bounded_and_counted() {
    let mut server = Server::new();
    let options = Options { timeout: SHORT, ..Options::new(server.url()) };
    let terms = Terms { queue: 8, ..Terms::default() };
    let redis = ready(Redis::connect_with(options, terms).expect("usable options")).await;
    let mut grants = Vec::new();
    for _ in 0..20 {
        grants.push(granted(&redis, &[tokens(100)]).await);
    }
    server.signal("STOP");
    until_shut(&redis).await;
    let before = redis.waiting();
    let mut full = 0;
    for grant in &grants {
        match redis.settle(&[all(grant, 1)]).await {
            Err(Down::Full) => full += 1,
            other => assert_eq!(other, Err(Down::Shut)),
        }
    }
    // One more may be in the hands of whoever sends them.
    assert!(full >= 20 - 9 && redis.dropped() >= full && before + redis.waiting() <= 2 * 9 + 128, "{full}");
    server.signal("CONT");
    until_ok(&redis).await;
    let done = 20 - full;
    assert_eq!(left(&redis, &tokens(1)).await, AMOUNT - full * 100 - done);
    server.kill();
}
