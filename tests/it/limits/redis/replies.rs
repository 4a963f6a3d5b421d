//! What is said twice counts once, and what nobody has heard the answer of is taken back.

use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::task::JoinHandle;
use weir::limit::redis::{Down, Options, Redis, State};
use weir::limit::take::{Grant, Take, Taken};
use weir::limit::window::{Calendar, Unit as Span, Window};
use weir::limit::{Decision, Unit};

use super::{MINUTE, PATIENCE, all, granted, id, left, limit, patient, ready, replica, take, until};
use crate::support::redis::Server;
use crate::support::redis_proxy::{Proxy, Replies};

/// A timeout that the test waits for.
const SHORT: Duration = Duration::from_millis(50);

fn takes() -> [Take; 2] {
    let rpm = limit("fair/rpm", Unit::Requests, 10, MINUTE);
    let calls = limit("fair/calls", Unit::Concurrency, 10, Window::Held);
    [take(&rpm, 1), take(&calls, 1)]
}

async fn hasty(proxy: &Proxy) -> Redis {
    let options = Options { timeout: SHORT, ..Options::new(proxy.url()) };
    ready(Redis::connect(options).expect("usable options")).await
}

/// What is left of both limits.
async fn both(redis: &Redis) -> [u64; 2] {
    let takes = takes();
    [left(redis, &takes[0]).await, left(redis, &takes[1]).await]
}

/// A reserve that the store has granted, and whose answer did not come.
struct Unheard {
    server: Server,
    proxy: Proxy,
    /// Another replica, whose answers come.
    sure: Redis,
    redis: Redis,
    asking: JoinHandle<Result<Decision, Down>>,
}

impl Unheard {
    async fn new() -> Unheard {
        let server = Server::new();
        let proxy = Proxy::new(server.socket(), None).await;
        let sure = replica(&server).await;
        let redis = ready(Redis::connect(patient(proxy.url())).expect("usable options")).await;
        let came = proxy.came();
        proxy.set(Replies::Lost);
        let asking = tokio::spawn({
            let redis = redis.clone();
            async move { redis.reserve(id(), &takes()).await }
        });
        until("the store has answered", || proxy.came() > came).await;
        assert_eq!(both(&sure).await, [9, 9]);
        Unheard { server, proxy, sure, redis, asking }
    }
}

#[tokio::test]
async fn a_grant_is_given_once_whoever_asks_how_often() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let id = id();
    let grant = one.reserve(id, &takes()).await.expect("the store answers").expect("it fits");
    for replica in [&one, &two, &one] {
        assert_eq!(replica.reserve(id, &takes()).await.expect("the store answers"), Ok(grant.clone()));
    }
    assert_eq!(both(&one).await, [9, 9]);
    for replica in [&one, &one, &two] {
        replica.settle(&[all(&grant, 3)]).await.expect("the store answers");
        assert_eq!(both(&two).await, [7, 10]);
    }
    // It is over: neither another settlement, nor a cancel, nor a late reserve changes anything.
    two.settle(&[all(&grant, 9)]).await.expect("the store answers");
    two.cancel(id, &takes()).await.expect("the store answers");
    assert_eq!(one.reserve(id, &takes()).await, Err(Down::Over));
    assert_eq!(both(&one).await, [7, 10]);
}

#[tokio::test]
async fn a_cancel_takes_back_and_forbids() {
    let server = Server::new();
    let redis = replica(&server).await;
    let (before, after) = (id(), id());
    redis.reserve(after, &takes()).await.expect("the store answers").expect("it fits");
    for (id, still) in [(before, [9, 9]), (after, [10, 10])] {
        redis.cancel(id, &takes()).await.expect("the store answers");
        assert_eq!(redis.reserve(id, &takes()).await, Err(Down::Over));
        assert_eq!(both(&redis).await, still);
    }
}

/// The store grants, and nobody hears of it.
#[tokio::test]
async fn a_grant_whose_reply_is_lost_is_taken_back() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let (sure, redis) = (replica(&server).await, hasty(&proxy).await);
    let came = proxy.came();
    proxy.set(Replies::Lost);
    assert_eq!(redis.reserve(id(), &takes()).await, Err(Down::Late(SHORT)));
    // It was granted.
    until("the store has answered", || proxy.came() > came).await;
    proxy.set(Replies::Pass);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(both(&sure).await, [10, 10]);
    assert_eq!(redis.dropped(), 0);
}

/// The connection breaks when the store has granted: it is asked again on another one.
#[tokio::test]
async fn a_grant_whose_connection_breaks_is_given_once() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let sure = replica(&server).await;
    let redis = ready(Redis::connect(patient(proxy.url())).expect("usable options")).await;
    for round in 1..=3 {
        proxy.set(Replies::Broken);
        let grant = granted(&redis, &takes()).await;
        assert_eq!(both(&sure).await, [10 - round, 9]);
        proxy.set(Replies::Broken);
        redis.settle(&[all(&grant, 1)]).await.expect("the store answers");
        assert_eq!(both(&sure).await, [10 - round, 10]);
    }
}

/// And on that one it is told only that its user may not do it, as long as that is so.
#[tokio::test]
async fn a_grant_whose_second_answer_is_an_error_is_taken_back() {
    let Unheard { server, proxy, sure, redis, asking } = Unheard::new().await;
    server.say::<()>(&["ACL", "SETUSER", "default", "-get"]);
    proxy.set(Replies::Pass);
    proxy.cut();
    let answer = asking.await.expect("no panic");
    assert!(matches!(answer, Err(Down::Answer(_))), "{answer:?}");
    server.say::<()>(&["ACL", "SETUSER", "default", "+get"]);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((both(&sure).await, redis.dropped()), ([10, 10], 0));
}

/// Whoever asked is gone before the answer.
#[tokio::test]
async fn a_reserve_that_nobody_waits_for_is_taken_back() {
    let Unheard { server: _server, proxy, sure, redis, asking } = Unheard::new().await;
    asking.abort();
    assert!(asking.await.is_err_and(|error| error.is_cancelled()));
    proxy.set(Replies::Pass);
    proxy.cut();
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((both(&sure).await, redis.dropped()), ([10, 10], 0));
}

#[tokio::test]
async fn a_settlement_whose_reply_is_lost_is_done_once() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let (sure, redis) = (replica(&server).await, hasty(&proxy).await);
    let grant = granted(&redis, &takes()).await;
    proxy.set(Replies::Lost);
    assert_eq!(redis.settle(&[all(&grant, 4)]).await, Err(Down::Late(SHORT)));
    until("it is done", || redis.state() == State::Down).await;
    assert_eq!((both(&sure).await, redis.waiting()), ([6, 10], 1));
    proxy.set(Replies::Pass);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((both(&sure).await, redis.dropped()), ([6, 10], 0));
}

/// Replies that are always late: the store is left alone, and what it did for nobody is taken back.
#[tokio::test]
async fn slow_replies_open_the_breaker() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let (sure, redis) = (replica(&server).await, hasty(&proxy).await);
    proxy.set(Replies::Slow(SHORT * 4));
    let mut shut = 0;
    while shut < 100 {
        match redis.reserve(id(), &takes()).await {
            Err(Down::Shut) => shut += 1,
            Err(Down::Late(SHORT) | Down::Lost(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(redis.state(), State::Down);
    proxy.set(Replies::Pass);
    until("it is ok", || redis.state() == State::Ok).await;
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(both(&sure).await, [10, 10]);
    granted(&redis, &takes()).await;
}

/// A server that was told to forget its scripts is told them again.
#[tokio::test]
async fn forgotten_scripts_are_loaded() {
    let server = Server::new();
    let redis = replica(&server).await;
    for _ in 0..3 {
        server.say::<()>(&["SCRIPT", "FLUSH"]);
        let grant = granted(&redis, &takes()).await;
        server.say::<()>(&["SCRIPT", "FLUSH"]);
        redis.settle(&[all(&grant, 0)]).await.expect("the store answers");
        server.say::<()>(&["SCRIPT", "FLUSH"]);
        assert_eq!(both(&redis).await, [10, 10]);
    }
    assert_eq!(redis.state(), State::Ok);
}

/// The store did not answer and the call went on: what it came to is charged, once, and nothing else.
#[tokio::test]
async fn what_went_on_unchecked_is_charged_in_the_end() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let (sure, redis) = (replica(&server).await, hasty(&proxy).await);
    let year = Window::Calendar(Calendar { unit: Span::Year, zone: TimeZone::UTC });
    let takes = [takes(), [take(&limit("usd", Unit::Usd, 10, year), 1), takes()[1].clone()]].concat();
    proxy.set(Replies::Lost);
    let id = id();
    assert_eq!(redis.reserve(id, &takes).await, Err(Down::Late(SHORT)));
    let grant = Grant { id, taken: takes.iter().map(|take| Taken::unchecked(id, take)).collect() };
    proxy.set(Replies::Pass);
    until("the cancel is done", || redis.waiting() == 0).await;
    assert_eq!(both(&sure).await, [10, 10]);
    for _ in 0..2 {
        until("it is ok", || redis.state() == State::Ok).await;
        redis.settle(&[all(&grant, 4)]).await.expect("the store answers");
        assert_eq!((both(&sure).await, left(&sure, &takes[2]).await), ([6, 10], 6));
    }
}
