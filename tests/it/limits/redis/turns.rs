//! Counters from one part or unit to the next, whoever is the first to come: a call, or what one came to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use weir::limit::Unit;
use weir::limit::redis::Redis;
use weir::limit::take::{Grant, Settlement, Take, Taken};
use weir::limit::window::{Calendar, Unit as Span, Window};

use super::{MINUTE, granted, id, left, limit, refused, take, timed};
use crate::support::redis::Server;

const SECOND: u64 = 1_000_000;

fn micros(time: &str) -> u64 {
    u64::try_from(time.parse::<Timestamp>().expect("a time").as_microsecond()).expect("after 1970")
}

/// A call that went on though nobody knew whether it fitted comes to this.
async fn unchecked(redis: &Redis, take: &Take, amount: u64) {
    let id = id();
    let grant = Grant { id, taken: vec![Taken::unchecked(id, take)] };
    redis.settle(&[Settlement { grant, amounts: vec![amount] }]).await.expect("the store answers");
}

fn month(zone: &str) -> Window {
    Window::Calendar(Calendar { unit: Span::Month, zone: TimeZone::get(zone).expect("a zone") })
}

#[tokio::test]
async fn a_settlement_that_is_the_first_of_its_part_counts_for_a_window() {
    for after in [1, 50, 60, 61, 62, 110, 200] {
        let server = Server::new();
        let begin = micros("2026-03-28T10:00:00Z");
        let clock = Arc::new(AtomicU64::new(begin));
        let redis = timed(&server, &clock, 0).await;
        let rpm = take(&limit("fair/rpm", Unit::Requests, 100, MINUTE), 10);
        granted(&redis, std::slice::from_ref(&rpm)).await;
        clock.store(begin + after * SECOND, Ordering::Relaxed);
        unchecked(&redis, &rpm, 90).await;
        for later in 0..=60 {
            clock.store(begin + (after + later) * SECOND, Ordering::Relaxed);
            let first = if after + later <= 60 { 10 } else { 0 };
            assert_eq!(left(&redis, &rpm).await, 10 - first, "after {after} + {later} s");
            refused(&redis, &[Take { amount: 11, ..rpm.clone() }]).await;
        }
        clock.store(begin + (after + 61) * SECOND, Ordering::Relaxed);
        granted(&redis, &[Take { amount: 100, ..rpm.clone() }]).await;
    }
}

#[tokio::test]
async fn a_settlement_that_is_the_first_of_its_unit_opens_it() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(micros("2026-03-31T23:59:00Z")));
    let redis = timed(&server, &clock, 0).await;
    let usd = take(&limit("fair/usd", Unit::Usd, 500, month("UTC")), 500);
    let old = granted(&redis, std::slice::from_ref(&usd)).await;
    clock.store(micros("2026-04-01T00:00:30Z"), Ordering::Relaxed);
    unchecked(&redis, &usd, 400).await;
    assert_eq!(left(&redis, &usd).await, 100);
    // What was taken in the month before changes nothing in this one.
    redis.settle(&[Settlement { grant: old, amounts: vec![0] }]).await.expect("the store answers");
    refused(&redis, std::slice::from_ref(&usd)).await;
    assert_eq!(left(&redis, &usd).await, 100);
    clock.store(micros("2026-05-01T00:00:00Z"), Ordering::Relaxed);
    granted(&redis, &[usd]).await;
}

/// A unit ends as it began.
#[tokio::test]
async fn another_zone_opens_no_unit_while_one_runs() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(micros("2026-03-31T23:00:00Z")));
    let redis = timed(&server, &clock, 0).await;
    let of = |zone| take(&limit("fair/usd", Unit::Usd, 500, month(zone)), 300);
    let grant = granted(&redis, &[of("Europe/Berlin")]).await;
    // In UTC this is another month than it was an hour ago.
    clock.store(micros("2026-04-01T01:00:00Z"), Ordering::Relaxed);
    assert_eq!(left(&redis, &of("UTC")).await, 200);
    let wait = refused(&redis, &[of("UTC")]).await.wait.expect("the end of April in Berlin");
    assert_eq!(
        clock.load(Ordering::Relaxed) + u64::try_from(wait.as_micros()).expect("short"),
        micros("2026-04-30T22:00:00Z")
    );
    redis.settle(&[Settlement { grant, amounts: vec![100] }]).await.expect("the store answers");
    unchecked(&redis, &of("UTC"), 50).await;
    assert_eq!(left(&redis, &of("UTC")).await, 350);
    clock.store(micros("2026-05-01T00:00:00Z"), Ordering::Relaxed);
    assert_eq!(left(&redis, &of("UTC")).await, 500);
}

/// What was used stays used for a window or unit from now, and no longer.
#[tokio::test]
async fn a_clock_that_was_far_ahead_locks_nobody_out() {
    let server = Server::new();
    let clock = Arc::new(AtomicU64::new(micros("2036-01-01T00:00:00Z")));
    let redis = timed(&server, &clock, 0).await;
    let rpm = take(&limit("fair/rpm", Unit::Requests, 10, MINUTE), 10);
    let usd = take(&limit("fair/usd", Unit::Usd, 500, month("UTC")), 500);
    granted(&redis, &[rpm.clone(), usd.clone()]).await;
    let now = micros("2026-03-28T10:00:00Z");
    clock.store(now, Ordering::Relaxed);
    assert_eq!((left(&redis, &rpm).await, left(&redis, &usd).await), (0, 0));
    for take in [&rpm, &usd] {
        refused(&redis, std::slice::from_ref(take)).await;
    }
    clock.store(now + 61 * SECOND, Ordering::Relaxed);
    granted(&redis, &[rpm]).await;
    refused(&redis, std::slice::from_ref(&usd)).await;
    clock.store(micros("2026-04-01T00:00:00Z"), Ordering::Relaxed);
    granted(&redis, &[usd]).await;
}
