//! What is taken, by whomever: never more than the limit, on the store's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use weir::limit::take::{Fit, Posture, Standing, Take};
use weir::limit::window::{Calendar, Unit as Span, Window};
use weir::limit::{Limit, MOST, Unit};

use super::{MINUTE, all, granted, left, limit, refused, replica, take, timed};
use crate::support::redis::Server;

/// A second of the Unix time in microseconds; this one begins a part, a minute and an hour.
const NOON: u64 = 1_790_000_000 / 3_600 * 3_600 * 1_000_000;

#[tokio::test]
async fn two_replicas_share_one_limit() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let rpm = limit("fair/rpm", Unit::Requests, 10, MINUTE);
    let first = granted(&one, &[take(&rpm, 6)]).await;
    assert_eq!((first.taken[0].amount, first.taken[0].standing.left), (6, 4));
    assert_eq!(refused(&two, &[take(&rpm, 5)]).await.standings[0].left, 4);
    granted(&two, &[take(&rpm, 4)]).await;
    for replica in [&one, &two] {
        assert_eq!(refused(replica, &[take(&rpm, 1)]).await.take, 0);
    }
    two.settle(&[all(&first, 1)]).await.expect("the store answers");
    assert_eq!((left(&one, &take(&rpm, 1)).await, left(&two, &take(&rpm, 1)).await), (5, 5));
}

/// 64 at once ask for 7 of 500, again and again, through two replicas: 71 are granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_take_what_there_is_and_no_more() {
    let server = Server::new();
    let replicas = [replica(&server).await, replica(&server).await];
    let tokens = limit("fair/tokens", Unit::Tokens, 500, Window::Rolling(Duration::from_secs(3600)));
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..64 {
        let (replica, takes) = (replicas[taker % 2].clone(), [take(&tokens, 7)]);
        takers.spawn(async move {
            let mut count = 0;
            while replica.reserve(super::id(), &takes).await.expect("the store answers").is_ok() {
                count += 1;
            }
            count
        });
    }
    assert_eq!(takers.join_all().await.iter().sum::<u64>(), 71);
    assert_eq!(left(&replicas[0], &take(&tokens, 1)).await, 500 - 71 * 7);
}

#[tokio::test]
async fn one_round_trip_takes_all_or_nothing() {
    let server = Server::new();
    let redis = replica(&server).await;
    let month = Window::Calendar(Calendar { unit: Span::Month, zone: TimeZone::UTC });
    let limits = [
        limit("fair/rpm", Unit::Requests, 100, MINUTE),
        limit("fair/usd", Unit::Usd, 50, month),
        limit("fair/calls", Unit::Concurrency, 3, Window::Held),
    ];
    let takes = |amount| limits.each_ref().map(|limit| take(limit, amount));
    let asked = server.calls("evalsha");
    granted(&redis, &takes(2)).await;
    let answer = refused(&redis, &takes(2)).await;
    assert_eq!(server.calls("evalsha") - asked, 2);
    assert_eq!((answer.take, answer.wait), (2, None));
    assert_eq!(answer.standings.iter().map(|standing| standing.left).collect::<Vec<_>>(), [98, 48, 1]);
    for (limit, still) in limits.iter().zip([98, 48, 1]) {
        assert_eq!(left(&redis, &take(limit, 1)).await, still);
    }
}

/// An observed take is charged whether it fits or not, a shadowed one only if it does; neither refuses.
#[tokio::test]
async fn postures_say_what_becomes_of_what_does_not_fit() {
    let server = Server::new();
    let redis = replica(&server).await;
    let [hard, seen, dark] = ["a", "b", "c"].map(|id| limit(id, Unit::Requests, 5, MINUTE));
    let with = |limit: &Arc<Limit>, posture| Take { posture, ..take(limit, 4) };
    let takes = [with(&hard, Posture::Enforce), with(&seen, Posture::Observe), with(&dark, Posture::Shadow)];
    granted(&redis, &takes).await;
    let grant = granted(&redis, &[Take { amount: 1, ..takes[0].clone() }, takes[1].clone(), takes[2].clone()]).await;
    let told: Vec<(u64, Fit, u64)> = grant.taken.iter().map(|it| (it.amount, it.fit, it.standing.left)).collect();
    assert_eq!(told, [(1, Fit::Fits, 0), (4, Fit::Over, 0), (0, Fit::Over, 1)]);
    // What was spent was spent.
    redis.settle(&[all(&grant, 3)]).await.expect("the store answers");
    assert_eq!(
        (left(&redis, &takes[0]).await, left(&redis, &takes[1]).await, left(&redis, &takes[2]).await),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn waits_are_exact_to_the_microsecond() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(NOON));
    let redis = timed(&server, &clock, 0).await;
    let rpm = limit("fair/rpm", Unit::Requests, 10, MINUTE);
    granted(&redis, &[take(&rpm, 4)]).await;
    clock.store(NOON + 30_500_000, Ordering::Relaxed);
    let second = granted(&redis, &[take(&rpm, 6)]).await;
    assert_eq!(second.taken[0].standing.reset, Duration::from_micros(60_500_000));
    for (amount, after) in [(3, 61_000_000), (4, 61_000_000), (5, 91_000_000), (10, 91_000_000)] {
        let wait = refused(&redis, &[take(&rpm, amount)]).await.wait.expect("it would fit");
        assert_eq!(wait, Duration::from_micros(after - 30_500_000), "{amount}");
    }
    assert_eq!(refused(&redis, &[take(&rpm, 11)]).await.wait, None);
    clock.store(NOON + 60_999_999, Ordering::Relaxed);
    assert_eq!(refused(&redis, &[take(&rpm, 4)]).await.wait, Some(Duration::from_micros(1)));
    clock.store(NOON + 61_000_000, Ordering::Relaxed);
    granted(&redis, &[take(&rpm, 4)]).await;
    // A clock that steps back gives nothing back, and takes nothing twice.
    clock.store(NOON, Ordering::Relaxed);
    assert_eq!(refused(&redis, &[take(&rpm, 1)]).await.wait, Some(Duration::from_secs(30)));
    clock.store(NOON + 3_600_000_000, Ordering::Relaxed);
    assert_eq!(left(&redis, &take(&rpm, 1)).await, 10);
}

/// A settlement changes the part of the admission as long as that counts, and nothing afterwards.
#[tokio::test]
async fn a_settlement_belongs_to_its_part() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(NOON));
    let redis = timed(&server, &clock, 0).await;
    let rpm = limit("fair/rpm", Unit::Requests, 10, MINUTE);
    let early = granted(&redis, &[take(&rpm, 2)]).await;
    let twin = granted(&redis, &[take(&rpm, 2)]).await;
    clock.store(NOON + 59_000_000, Ordering::Relaxed);
    granted(&redis, &[take(&rpm, 3)]).await;
    redis.settle(&[all(&early, 5)]).await.expect("the store answers");
    assert_eq!(left(&redis, &take(&rpm, 1)).await, 0);
    clock.store(NOON + 61_000_000, Ordering::Relaxed);
    assert_eq!(left(&redis, &take(&rpm, 1)).await, 7);
    redis.settle(&[all(&twin, 0)]).await.expect("the store answers");
    assert_eq!(left(&redis, &take(&rpm, 1)).await, 7);
}

/// Replicas whose clocks are days wrong charge the same hour, day and month: that of the store.
#[tokio::test]
async fn replicas_with_wrong_clocks_agree_on_the_unit() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(NOON + 61_000_000));
    let replicas = [
        timed(&server, &clock, 0).await,
        timed(&server, &clock, 5 * 86_400).await,
        timed(&server, &clock, -40 * 86_400).await,
        timed(&server, &clock, -1_800).await,
    ];
    let zone = TimeZone::get("Europe/Berlin").expect("a zone");
    for unit in [Span::Hour, Span::Day, Span::Week, Span::Month, Span::Year] {
        let calendar = Calendar { unit, zone: zone.clone() };
        let span = calendar.unit_at(NOON / 1_000_000 + 61);
        let budget = limit(&format!("{unit:?}"), Unit::Usd, 4, Window::Calendar(calendar));
        let reset = Duration::from_micros(span.end * 1_000_000 - NOON - 61_000_000);
        for (index, replica) in (1..).zip(&replicas) {
            let grant = granted(replica, &[take(&budget, 1)]).await;
            let standing = Standing { ceiling: 4, left: 4 - index, reset };
            assert_eq!((grant.taken[0].bucket, grant.taken[0].standing), (span.begin, standing), "{unit:?} {index}");
        }
        assert_eq!(refused(&replicas[1], &[take(&budget, 1)]).await.wait, Some(reset));
    }
    // In the next hour there is room again, and only in the hour's.
    clock.store(NOON + 3_600_000_000, Ordering::Relaxed);
    let hour = limit("Hour", Unit::Usd, 4, Window::Calendar(Calendar { unit: Span::Hour, zone }));
    assert_eq!(left(&replicas[2], &take(&hour, 1)).await, 4);
}

#[tokio::test]
async fn large_amounts_are_exact() {
    let server = Server::new();
    let redis = replica(&server).await;
    let year = Window::Calendar(Calendar { unit: Span::Year, zone: TimeZone::UTC });
    for (id, window) in [("rolling", Window::Rolling(Duration::from_secs(86_400))), ("year", year)] {
        let usd = limit(id, Unit::Usd, MOST, window);
        let most = granted(&redis, &[take(&usd, MOST - 2)]).await;
        assert_eq!((most.taken[0].amount, most.taken[0].standing.left), (MOST - 2, 2));
        granted(&redis, &[take(&usd, 1)]).await;
        refused(&redis, &[take(&usd, 2)]).await;
        redis.settle(&[all(&most, MOST - 3)]).await.expect("the store answers");
        assert_eq!(left(&redis, &take(&usd, 1)).await, 2, "{id}");
        granted(&redis, &[take(&usd, 2)]).await;
        // Where numbers end, no more than that is charged.
        let observed = Take { posture: Posture::Observe, ..take(&usd, MOST) };
        assert_eq!(granted(&redis, &[observed]).await.taken[0].amount, 0);
    }
}

#[tokio::test]
async fn a_warning_is_given_once_by_all_replicas_together() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    let day = Window::Calendar(Calendar { unit: Span::Year, zone: TimeZone::UTC });
    let mut usd = limit("usd", Unit::Usd, 1_000, day);
    Arc::get_mut(&mut usd).expect("ours").warn_at = vec![50, 80, 95];
    let mut passed = Vec::new();
    for (replica, amount) in [(&one, 499), (&two, 1), (&one, 100), (&two, 200), (&one, 50), (&two, 100)] {
        passed.push(granted(replica, &[take(&usd, amount)]).await.taken[0].passed);
    }
    assert_eq!(passed, [None, Some(50), None, Some(80), None, Some(95)]);
}

/// No key stays for ever, and each is under the prefix.
#[tokio::test]
async fn every_key_goes_by_itself() {
    let server = Server::new();
    let redis = replica(&server).await;
    let windows = [
        MINUTE,
        Window::Held,
        Window::Calendar(Calendar { unit: Span::Hour, zone: TimeZone::UTC }),
        Window::Calendar(Calendar { unit: Span::Year, zone: TimeZone::UTC }),
    ];
    let takes: Vec<Take> =
        (0..).zip(windows).map(|(n, window)| take(&limit(&format!("l{n}"), Unit::Requests, 9, window), 1)).collect();
    let grant = granted(&redis, &takes).await;
    granted(&redis, &takes).await;
    redis.settle(&[all(&grant, 2)]).await.expect("the store answers");
    let keys: Vec<String> = server.say(&["KEYS", "*"]);
    assert_eq!(keys.len(), 4 + 2 + 1, "{keys:?}");
    for key in keys {
        let expires: i64 = server.say(&["PTTL", &key]);
        assert!(key.starts_with("weir:") && expires > 0, "{key} {expires}");
    }
}
