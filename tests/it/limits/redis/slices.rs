//! Slices when replies are lost, when the store is away, when nobody calls any more, and when many call at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::sleep;
use weir::limit::lease::Leases;
use weir::limit::redis::{Clock, Options, Redis, State, Terms};
use weir::limit::take::{Fit, Posture, Take};
use weir::limit::window::{Calendar, Unit as Span, Window};
use weir::limit::{Counting, Limit, Unit};

use super::{MINUTE, PATIENCE, all, id, left, ready, replica, until};
use crate::support::redis::Server;
use crate::support::redis_proxy::{Proxy, Replies};

const HOUR: Window = Window::Rolling(Duration::from_secs(3_600));

fn leased(unit: Unit, amount: u64, window: Window, lease: u8) -> Take {
    let counting = Counting::Fleet { lease };
    let limit = Limit { counting, ..(*super::limit("fair/limit", unit, amount, window)).clone() };
    super::take(&Arc::new(limit), 1)
}

/// One whose clock, and the store's, are the test's.
async fn by_hand(url: String, timeout: Duration, clock: &Arc<AtomicU64>) -> Leases {
    let clock = Clock { store: Some(Arc::clone(clock)), skew: 0 };
    let options = Options { timeout, ..Options::new(url) };
    Leases::by_hand(
        ready(Redis::connect_with(options, Terms { clock, ..Terms::default() }).expect("usable options")).await,
        1,
    )
}

/// Whether a call was granted out of a slice; none if it was not granted.
async fn call(leases: &Leases, take: &Take) -> Option<bool> {
    let grant = leases.reserve(id(), std::slice::from_ref(take)).await.ok()?;
    (grant.taken[0].fit == Fit::Fits).then(|| grant.taken[0].slice.is_some())
}

#[tokio::test]
async fn what_is_asked_for_twice_is_leased_once() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let leases = by_hand(proxy.url(), Duration::from_millis(50), &clock).await;
    let direct = by_hand(server.url(), PATIENCE, &clock).await;
    let direct = direct.redis();
    let take = leased(Unit::Requests, 10_000, HOUR, 10);
    for _ in 0..10 {
        assert_eq!(call(&leases, &take).await, Some(false));
    }
    // The slice is granted, and nobody hears of it.
    proxy.set(Replies::Lost);
    leases.turn().await;
    let held = 10_000 - 10 - left(direct, &take).await;
    assert!(held > 0);
    proxy.set(Replies::Pass);
    until("it is ok", || leases.redis().state() == State::Ok).await;
    leases.turn().await;
    assert_eq!(call(&leases, &take).await, Some(true));
    assert_eq!(left(direct, &take).await, 10_000 - 10 - held);
    // One that is not heard of for long is taken back.
    proxy.set(Replies::Lost);
    clock.fetch_add(5_000_000, Ordering::Relaxed);
    for _ in 0..3 {
        call(&leases, &take).await;
        clock.fetch_add(600_000, Ordering::Relaxed);
        leases.turn().await;
    }
    proxy.set(Replies::Pass);
    until("it is ok", || leases.redis().state() == State::Ok).await;
    assert!(leases.drain(PATIENCE).await);
    let spent = 10_000 - left(direct, &take).await;
    assert!((11..=14).contains(&spent), "{spent}");
}

#[tokio::test]
async fn what_is_held_is_granted_while_the_store_is_away() {
    let mut server = Server::new();
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let leases = by_hand(server.url(), Duration::from_millis(50), &clock).await;
    let take = leased(Unit::Requests, 10_000, HOUR, 10);
    for _ in 0..20 {
        call(&leases, &take).await;
    }
    leases.turn().await;
    server.kill();
    let mut granted = 0;
    while call(&leases, &take).await == Some(true) {
        granted += 1;
    }
    assert!((20..=1_000).contains(&granted), "{granted}");
    // Then nobody says whether it fits.
    let grant = leases.reserve(id(), std::slice::from_ref(&take)).await.expect("a grant");
    assert_eq!(grant.taken[0].fit, Fit::Unchecked);
    while leases.redis().state() != State::Down {
        assert_eq!(call(&leases, &take).await, None);
    }
    // A slice is over when its time is.
    clock.fetch_add(6_000_000, Ordering::Relaxed);
    assert_eq!(call(&leases, &take).await, None);
    server.resume();
    until("it is ok", || leases.redis().state() == State::Ok).await;
}

/// At the edge of a limit a replica gives back what it holds and asks again, as long as a call may wait for all of it
/// together: here there is time for one reply, and not for two.
#[tokio::test]
async fn no_call_waits_longer_for_several_answers_than_for_one() {
    let server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let timeout = Duration::from_secs(2);
    let leases = by_hand(proxy.url(), timeout, &clock).await;
    let take = leased(Unit::Requests, 1_000, HOUR, 50);
    for _ in 0..20 {
        call(&leases, &take).await;
    }
    leases.turn().await;
    assert_eq!(call(&leases, &take).await, Some(true), "it has a slice");
    // It fits only if the slice is given back.
    let large = Take { amount: 1_000 - 21, ..take };
    proxy.set(Replies::Slow(timeout * 6 / 10));
    let refused = leases.reserve(id(), std::slice::from_ref(&large)).await;
    assert!(refused.is_err(), "{refused:?}");
    proxy.set(Replies::Pass);
    until("it is ok", || leases.redis().state() == State::Ok).await;
    assert!(leases.redis().drain(PATIENCE).await);
    // What was granted to nobody is taken back.
    assert_eq!(call(&leases, &large).await, Some(false));
}

/// By the task itself, on real clocks.
#[tokio::test]
async fn what_nobody_uses_is_given_back() {
    let server = Server::new();
    let leases = Leases::new(replica(&server).await);
    let direct = replica(&server).await;
    let take = leased(Unit::Requests, 100_000, HOUR, 10);
    let mut calls = 0;
    while call(&leases, &take).await != Some(true) {
        calls += 1;
        sleep(Duration::from_millis(2)).await;
    }
    calls += 1;
    assert!(left(&direct, &take).await < 100_000 - calls, "something is held");
    while left(&direct, &take).await != 100_000 - calls {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_an_end_finds_held_is_given_back() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let leases = by_hand(server.url(), PATIENCE, &clock).await;
    let take = Take { amount: 7_000, ..leased(Unit::Tokens, 50_000_000, MINUTE, 10) };
    let mut grants = Vec::new();
    for turn in 0..20 {
        grants.push(leases.reserve(id(), std::slice::from_ref(&take)).await.expect("it fits"));
        leases.turn().await;
        if turn % 3 == 0 {
            clock.fetch_add(300_000, Ordering::Relaxed);
        }
    }
    assert!(grants.iter().any(|grant| grant.taken[0].slice.is_some()));
    for grant in &grants {
        leases.settle_later(all(grant, 9_000));
    }
    assert!(leases.drain(PATIENCE).await);
    assert_eq!(leases.peek(&[take]).await.expect("the store answers")[0].left, 50_000_000 - 20 * 9_000);
}

/// What is small, what is held by calls and what says so asks each time.
#[tokio::test]
async fn some_limits_have_no_slices() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let leases = by_hand(server.url(), PATIENCE, &clock).await;
    for take in [
        leased(Unit::Requests, 99, HOUR, 10),
        leased(Unit::Usd, 99_000_000_000, HOUR, 10),
        leased(Unit::Requests, 10_000, Window::Rolling(Duration::from_secs(10)), 10),
        leased(Unit::Concurrency, 1_000, Window::Held, 10),
        leased(Unit::Requests, 10_000, HOUR, 0),
    ] {
        for _ in 0..10 {
            assert_eq!(call(&leases, &take).await, Some(false), "{:?}", take.limit.unit);
            leases.turn().await;
        }
    }
}

/// A call that may use less of all takes nothing of what was leased to one that may use more.
#[tokio::test]
async fn a_lower_ceiling_holds() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(1_790_000_000_000_000));
    let leases = by_hand(server.url(), PATIENCE, &clock).await;
    let all = leased(Unit::Requests, 1_000, HOUR, 50);
    let less = Take { ceiling: 500, ..all.clone() };
    let mut used = 0;
    for step in 0..2_000 {
        used += u64::from(call(&leases, &all).await.is_some());
        if call(&leases, &less).await.is_some() {
            used += 1;
            assert!(used <= 500, "{used}");
        }
        if step % 10 == 0 {
            leases.turn().await;
        }
    }
    assert_eq!(used, 1_000);
}

/// 64 at once through two replicas, whatever a slice's state is when they come; some are only watched.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_take_what_there_is_and_no_more() {
    let server = Server::new();
    let replicas = [Leases::new(replica(&server).await), Leases::new(replica(&server).await)];
    let take = leased(Unit::Requests, 5_000, HOUR, 10);
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..64 {
        let (replica, take) = (replicas[taker % 2].clone(), take.clone());
        takers.spawn(async move {
            let (mut count, mut hits) = (0, 0);
            while let Some(hit) = call(&replica, &take).await {
                count += 1;
                hits += u64::from(hit);
                tokio::task::yield_now().await;
            }
            (count, hits)
        });
    }
    let (granted, hits) = takers.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{hits} of {granted} asked nobody");
    assert!((4_500..=5_000).contains(&granted) && hits > 0, "{granted}, {hits}");
    for replica in &replicas {
        assert!(replica.drain(PATIENCE).await);
    }
    let shadow = Take { posture: Posture::Shadow, ..take };
    assert_eq!(left(replicas[0].redis(), &shadow).await, 5_000 - granted);
}

/// A unit of a calendar ends for a slice when it ends for the store, also within a second.
#[tokio::test]
async fn a_slice_ends_with_its_unit() {
    // 100 ms before an hour.
    let clock = Arc::new(AtomicU64::new(1_790_000_000 / 3_600 * 3_600 * 1_000_000 + 3_600_000_000 - 100_000));
    let server = Server::new();
    let leases = by_hand(server.url(), PATIENCE, &clock).await;
    let hour = Window::Calendar(Calendar { unit: Span::Hour, zone: TimeZone::UTC });
    let take = leased(Unit::Requests, 10_000, hour, 10);
    for _ in 0..10 {
        call(&leases, &take).await;
    }
    leases.turn().await;
    assert_eq!(call(&leases, &take).await, Some(true));
    clock.fetch_add(100_000, Ordering::Relaxed);
    assert_eq!(call(&leases, &take).await, Some(false), "this is another hour");
}
