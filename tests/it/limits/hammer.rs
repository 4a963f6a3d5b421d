//! Threads on the shards of one store. What they were granted and have given back is added up beside it, and what the
//! store says in the end is the same to the last part. The locks are the standard library's and a call takes all of
//! its shards in one order; a model checker would need the store built on its own locks, and to hold them in both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use weir::limit::memory::Memory;
use weir::limit::take::Take;
use weir::limit::window::Unit as CalendarUnit;

use super::{at, calendar, held, rolling, secs, settlement, take};

const THREADS: u64 = 8;
const CALLS: u64 = 20_000;
const KEYS: usize = 24;
const PARALLEL: usize = 3;

#[test]
fn the_ledger_is_exact_after_many_threads() {
    // More keys than a shard has, so that most calls lock several, in every combination.
    let store = Memory::new(100_000);
    let budget = calendar("budget", 1_000_000_000, CalendarUnit::Month);
    let minute = rolling("minute", 400, secs(3600));
    let parallel = held("parallel", PARALLEL as u64);
    let of = |limit: &Arc<_>, key: usize, amount| Take { key: format!("{key}").into(), ..take(limit, amount) };
    let spent: Vec<AtomicU64> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let inside: Vec<AtomicUsize> = (0..KEYS).map(|_| AtomicUsize::new(0)).collect();
    let (granted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let call = |thread: u64, number: u64| {
        // Every thread goes through the keys in another order.
        let draw = (number * (2 * thread + 3)) ^ (number >> 3).wrapping_mul(0x9e37_79b9);
        let key = |shift: u64| usize::try_from((draw >> shift) % KEYS as u64).expect("small");
        let (first, second, third) = (key(0), key(5), key(11));
        let takes = [of(&budget, first, 9), of(&parallel, second, 1), of(&budget, third, 5), of(&minute, third, 1)];
        let id = u128::from(thread * CALLS + number);
        let now = at(secs(number / 100));
        let Ok(grant) = store.reserve(id, &takes, now) else {
            refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        granted.fetch_add(1, Ordering::Relaxed);
        assert!(inside[second].fetch_add(1, Ordering::SeqCst) < PARALLEL, "more at a time than there may be");
        if number.is_multiple_of(7) {
            thread::yield_now();
        }
        let came_to = [number % 17, 1, 0, 1];
        spent[first].fetch_add(came_to[0], Ordering::Relaxed);
        inside[second].fetch_sub(1, Ordering::SeqCst);
        store.settle(&settlement(&grant, &came_to), now);
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let call = &call;
            scope.spawn(move || (0..CALLS).for_each(|number| call(thread, number)));
        }
    });
    let now = at(secs(CALLS / 100));
    for (key, spent) in spent.iter().enumerate() {
        let [budget, parallel] = [of(&budget, key, 0), of(&parallel, key, 0)].map(|take| (take.ceiling, take));
        let left: Vec<u64> = store.peek(&[budget.1, parallel.1], now).iter().map(|standing| standing.left).collect();
        assert_eq!(left, [budget.0 - spent.load(Ordering::Relaxed), parallel.0], "{key}");
    }
    let (granted, refused) = (granted.into_inner(), refused.into_inner());
    assert_eq!(granted + refused, THREADS * CALLS);
    // The rolling limit let through what it may and not one more: all of this is in less than one window.
    assert_eq!(granted, 400 * KEYS as u64);
    assert_eq!(store.uncounted(), 0);
}
