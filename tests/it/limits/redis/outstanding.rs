//! How much of a counter is leased, as the store has it: all replicas together are granted no more, and what is over
//! makes room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use weir::limit::Unit;
use weir::limit::redis::{Redis, Slice, Wanted};
use weir::limit::window::{Calendar, Unit as Span, Window};

use super::{PATIENCE, limit, take, timed};
use crate::support::redis::Server;

const NOW: u64 = 1_790_000_000_000_000;
const YEARS: u64 = 10 * 365 * 86_400 * 1_000_000;
const CELL: Duration = Duration::from_secs(5);
/// How much may be leased together.
const MOST: u64 = 1_000;

/// A rolling window whose parts are cells, and a unit of a calendar.
fn windows() -> [Window; 2] {
    let month = Calendar { unit: Span::Month, zone: TimeZone::UTC };
    [Window::Rolling(60 * CELL), Window::Calendar(month)]
}

/// All that may be leased is wanted, by a replica that holds some already if it is `known` when that ends.
fn wanted(redis: &Redis, window: &Window, known: u64) -> Wanted {
    let limit = limit("fair/leased", Unit::Requests, 1_000_000, window.clone());
    Wanted { id: redis.id(), take: take(&limit, MOST), least: 1, most: MOST, cell: CELL, after: 0, known }
}

/// How much it is granted, and until when.
async fn leased(redis: &Redis, wanted: &Wanted) -> Option<(u64, u64)> {
    match redis.lease(std::slice::from_ref(wanted)).await.remove(0).expect("the store answers") {
        Slice::Granted { row, ends, .. } => Some((row.amount, ends)),
        Slice::Nothing => None,
    }
}

/// Leases all that there is, half of it first; the first question, and when it ends.
async fn exhaust(redis: &Redis, window: &Window) -> (Wanted, u64) {
    let first = wanted(redis, window, 0);
    let (half, ends) = leased(redis, &first).await.expect("there is room");
    let (rest, _) = leased(redis, &wanted(redis, window, ends)).await.expect("there is room");
    assert_eq!((half, rest), (MOST / 2, MOST / 2));
    assert_eq!(leased(redis, &wanted(redis, window, ends)).await, None, "there is no more");
    (first, ends)
}

#[tokio::test]
async fn a_slice_that_nobody_heard_of_is_not_held_once_it_is_given_up() {
    let server = Server::new();
    let redis = timed(&server, &Arc::new(AtomicU64::new(NOW)), 0).await;
    for window in windows() {
        let (first, ends) = exhaust(&redis, &window).await;
        for _ in 0..2 {
            redis.give_up(&first);
            assert!(redis.drain(PATIENCE).await);
        }
        let again = leased(&redis, &wanted(&redis, &window, ends)).await;
        assert_eq!(again, Some((MOST / 2, ends)), "{window:?}");
        assert_eq!(leased(&redis, &wanted(&redis, &window, ends)).await, None, "it is taken off once");
    }
    assert_eq!(redis.dropped(), 0);
}

/// What replicas hold they hold on their own clocks, whatever the store's shows.
#[tokio::test]
async fn what_is_held_stays_held_when_a_clock_that_was_far_ahead_is_set_right() {
    let server = Server::new();
    for window in windows() {
        let clock = Arc::new(AtomicU64::new(NOW + YEARS));
        let redis = timed(&server, &clock, 0).await;
        exhaust(&redis, &window).await;
        clock.store(NOW, Ordering::Relaxed);
        assert_eq!(leased(&redis, &wanted(&redis, &window, 0)).await, None, "{window:?}");
        // And no longer than it would otherwise.
        clock.fetch_add(3 * 5_000_000, Ordering::Relaxed);
        assert!(leased(&redis, &wanted(&redis, &window, 0)).await.is_some(), "{window:?}");
    }
}
