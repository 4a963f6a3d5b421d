//! Calls at a time: exact while they end, and let go when their replica is not heard of any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir::limit::Unit;
use weir::limit::redis::{Clock, Down, Options, Redis, State, Terms};
use weir::limit::take::Take;
use weir::limit::window::Window;

use super::{MINUTE, PATIENCE, all, granted, id, left, limit, patient, ready, refused, replica, take, until};
use crate::support::redis::Server;
use crate::support::redis_proxy::{Proxy, Replies};

/// Three heartbeats.
const HOLD: Duration = Duration::from_millis(600);

fn calls(amount: u64) -> Take {
    take(&limit("fair/calls", Unit::Concurrency, amount, Window::Held), 1)
}

fn terms() -> Terms {
    Terms { hold: HOLD, ..Terms::default() }
}

async fn beating(server: &Server) -> Redis {
    ready(Redis::connect_with(patient(server.url()), terms()).expect("usable options")).await
}

#[tokio::test]
async fn calls_are_counted_by_whoever_has_them() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let (a, b) = (granted(&one, &[calls(3)]).await, granted(&two, &[calls(3)]).await);
    let c = granted(&one, &[calls(3)]).await;
    assert_eq!((c.taken[0].bucket, c.taken[0].standing.left), (0, 0));
    assert_eq!(refused(&two, &[calls(3)]).await.wait, None);
    // Any amount lets it go, once.
    for (grant, amount, still) in [(&a, 0, 1), (&a, 1, 1), (&b, 1, 2), (&c, 7, 3)] {
        two.settle(&[all(grant, amount)]).await.expect("the store answers");
        assert_eq!(left(&one, &calls(3)).await, still);
    }
    let keys: Vec<String> = server.say(&["KEYS", "weir:{fair/calls|*h"]);
    assert_eq!(keys, Vec::<String>::new());
}

/// One replica crashes and one does not, for much longer than calls are held.
#[tokio::test]
async fn the_calls_of_a_dead_replica_are_let_go_and_no_others() {
    let server = Server::new();
    let (dead, alive, sure) = (beating(&server).await, beating(&server).await, replica(&server).await);
    for replica in [&dead, &dead, &alive] {
        granted(replica, &[calls(4)]).await;
    }
    assert_eq!(left(&sure, &calls(4)).await, 1);
    let grant = granted(&alive, &[calls(4)]).await;
    // Nothing runs any more of it: neither its heartbeat nor its settlements.
    drop(dead);
    let mut free = 0;
    while free != 2 {
        free = left(&sure, &calls(4)).await;
        assert!(free == 0 || free == 2, "those of one replica go together, and no others");
        tokio::time::sleep(HOLD / 20).await;
    }
    tokio::time::sleep(HOLD * 3).await;
    assert_eq!(left(&sure, &calls(4)).await, 2);
    alive.settle(&[all(&grant, 1)]).await.expect("the store answers");
    assert_eq!(left(&sure, &calls(4)).await, 3);
}

/// The same on a clock that the test sets, to the millisecond.
#[tokio::test]
async fn calls_are_held_as_long_as_is_said() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let timed = || Clock { store: Some(Arc::clone(&clock)), skew: 0 };
    // A heartbeat an hour: none comes after the first.
    let slow = || Terms { hold: Duration::from_secs(3 * 3600), clock: timed(), ..Terms::default() };
    let one = ready(Redis::connect_with(patient(server.url()), slow()).expect("usable options")).await;
    let two = ready(Redis::connect_with(patient(server.url()), slow()).expect("usable options")).await;
    granted(&one, &[calls(2)]).await;
    clock.fetch_add(3_600_000_000, Ordering::Relaxed);
    granted(&two, &[calls(2)]).await;
    clock.fetch_add(2 * 3_600_000_000 - 1_000, Ordering::Relaxed);
    assert_eq!(left(&two, &calls(2)).await, 0);
    clock.fetch_add(1_000, Ordering::Relaxed);
    let both = [Take { amount: 2, ..calls(2) }];
    assert_eq!(refused(&two, &both).await.standings[0].left, 1);
    // Where nobody is heard of any more it may be the store that was away: they have a heartbeat's time more, once.
    clock.fetch_add(3_600_000_000, Ordering::Relaxed);
    assert_eq!(refused(&two, &both).await.standings[0].left, 1);
    clock.fetch_add(3_600_000_000 - 1_000, Ordering::Relaxed);
    assert_eq!(refused(&two, &both).await.standings[0].left, 1);
    clock.fetch_add(1_000, Ordering::Relaxed);
    granted(&two, &both).await;
}

/// A store that could not be reached lets nobody in on the calls that went on meanwhile.
#[tokio::test]
async fn calls_outlast_a_time_without_the_store() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let options = |url| Options { timeout: HOLD / 10, ..Options::new(url) };
    let far = ready(Redis::connect_with(options(proxy.url()), terms()).expect("usable options")).await;
    let near = ready(Redis::connect_with(options(server.url()), terms()).expect("usable options")).await;
    granted(&far, &[calls(4)]).await;
    granted(&far, &[calls(4)]).await;
    proxy.set(Replies::Lost);
    proxy.cut();
    tokio::time::sleep(HOLD * 2).await;
    // Nobody was heard of: this first question does not end their calls.
    assert_eq!(refused(&near, &[Take { amount: 3, ..calls(4) }]).await.standings[0].left, 2);
    proxy.set(Replies::Pass);
    until("it is back", || far.state() != State::Down).await;
    tokio::time::sleep(HOLD).await;
    assert_eq!(left(&near, &calls(4)).await, 2);
}

/// What finds no room in the queue ends all the same, though its replica lives; only what stays charged is counted.
#[tokio::test]
async fn calls_whose_end_is_dropped_are_let_go() {
    let server = Server::new();
    let sure = replica(&server).await;
    let redis =
        ready(Redis::connect_with(patient(server.url()), Terms { queue: 0, ..terms() }).expect("usable options")).await;
    let spent = take(&limit("fair/spent", Unit::Requests, 9, MINUTE), 1);
    granted(&redis, &[calls(9)]).await;
    let settled = granted(&redis, &[calls(9)]).await;
    let released = granted(&redis, &[calls(9), spent.clone()]).await;
    let both = granted(&redis, &[calls(9), spent.clone()]).await;
    let unheard = id();
    redis.reserve(unheard, &[calls(9)]).await.expect("the store answers").expect("it fits");
    assert_eq!(redis.settle(&[all(&settled, 1)]).await, Err(Down::Full));
    redis.release_later(&released);
    assert_eq!(redis.cancel(unheard, &[calls(9)]).await, Err(Down::Full));
    assert_eq!(redis.dropped(), 0, "heartbeats say it");
    redis.settle_later(all(&both, 0));
    assert_eq!(redis.dropped(), 1, "a request stays charged");
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut free = 4;
    while free != 8 {
        assert!(tokio::time::Instant::now() < end, "in vain: {free} are free");
        free = left(&sure, &calls(9)).await;
        tokio::time::sleep(HOLD / 20).await;
    }
    tokio::time::sleep(HOLD * 2).await;
    assert_eq!((left(&sure, &calls(9)).await, left(&sure, &spent).await), (8, 7));
}

/// A store that has lost its memory is told again what is held.
#[tokio::test]
async fn a_heartbeat_brings_back_what_the_store_has_lost() {
    let server = Server::new();
    let (redis, sure) = (beating(&server).await, replica(&server).await);
    let first = granted(&redis, &[calls(5)]).await;
    let second = granted(&redis, &[calls(5)]).await;
    server.say::<()>(&["FLUSHALL"]);
    redis.settle(&[all(&first, 1)]).await.expect("the store answers");
    let third = granted(&redis, &[calls(5)]).await;
    let mut free = 5;
    while free != 3 {
        free = left(&sure, &calls(5)).await;
        tokio::time::sleep(HOLD / 20).await;
    }
    for grant in [&second, &third, &first] {
        redis.settle(&[all(grant, 1)]).await.expect("the store answers");
    }
    // No heartbeat that was on its way brings one back for good.
    tokio::time::sleep(HOLD * 2).await;
    assert_eq!(left(&sure, &calls(5)).await, 5);
    until("nothing waits", || redis.waiting() == 0).await;
}
