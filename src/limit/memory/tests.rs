//! What is particular to counters in process: their bound, and what is dropped for it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::limit::Unit;
use crate::limit::window::{Calendar, Unit as CalendarUnit};

fn limit(name: &str, unit: Unit, window: Window) -> Arc<Limit> {
    Arc::new(Limit { name: name.into(), ..Limit::new(&format!("policy/{name}"), unit, 100, window) })
}

fn minute() -> Arc<Limit> {
    limit("minute", Unit::Requests, Window::Rolling(Duration::from_secs(60)))
}

fn daily() -> Arc<Limit> {
    limit("daily", Unit::Usd, Window::Calendar(Calendar { unit: CalendarUnit::Day, zone: TimeZone::UTC }))
}

fn take(limit: &Arc<Limit>, key: impl std::fmt::Display, amount: u64) -> Take {
    let (limit, key) = (limit.clone(), key.to_string().into());
    Take { limit, key, ceiling: 100, amount, posture: Posture::Enforce }
}

fn at(secs: u64) -> Time {
    Time { steady: secs * 1_000_000_000, unix: secs }
}

fn reserve(store: &Memory, takes: &[Take], now: Time) -> Grant {
    store.reserve(1, takes, now).expect("it fits")
}

fn settle(store: &Memory, grant: &Grant, amount: u64, now: Time) {
    let amounts = vec![amount; grant.taken.len()];
    store.settle(&Settlement { grant: grant.clone(), amounts }, now);
}

fn fit(grant: &Grant) -> Vec<(Fit, u64)> {
    grant.taken.iter().map(|taken| (taken.fit, taken.amount)).collect()
}

#[test]
fn a_key_without_room_is_unchecked_and_no_spend_is_dropped_for_it() {
    for (limit, window) in [(minute(), 61), (daily(), 86_400)] {
        let store = Memory::new(3);
        for key in 0..3 {
            reserve(&store, &[take(&limit, key, 10)], at(0));
        }
        let grant = reserve(&store, &[take(&limit, 3, 10), take(&limit, 0, 10)], at(1));
        assert_eq!(fit(&grant), [(Fit::Unchecked, 0), (Fit::Fits, 10)]);
        assert_eq!(grant.taken[0].standing, Standing { ceiling: 100, left: 100, reset: Duration::ZERO });
        let more_than_there_is = store.reserve(2, &[take(&limit, 3, 101)], at(1)).expect_err("room or not");
        assert_eq!(more_than_there_is.wait, None);
        for (key, used) in [(0, 20), (1, 10), (2, 10), (3, 0)] {
            assert_eq!(store.peek(&[take(&limit, key, 0)], at(window - 1))[0].left, 100 - used);
        }
        // All of these have left the window by now.
        let grant = reserve(&store, &[take(&limit, 3, 10)], at(window + 1));
        assert_eq!(fit(&grant), [(Fit::Fits, 10)]);
    }
}

#[test]
fn an_unchecked_take_is_counted_when_there_is_room_at_last() {
    let (limit, held) = (minute(), limit("held", Unit::Concurrency, Window::Held));
    let store = Memory::new(1);
    let first = reserve(&store, &[take(&limit, "a", 10)], at(0));
    let second = reserve(&store, &[take(&limit, "b", 10)], at(0));
    let third = reserve(&store, &[take(&held, "c", 1)], at(0));
    assert_eq!((fit(&second), fit(&third)), (vec![(Fit::Unchecked, 0)], vec![(Fit::Unchecked, 0)]));
    settle(&store, &second, 30, at(1));
    assert_eq!(store.uncounted(), 1, "there is none yet, and that is said");
    settle(&store, &first, 0, at(1));
    settle(&store, &third, 1, at(1));
    settle(&store, &second, 30, at(1));
    assert_eq!((store.uncounted(), store.peek(&[take(&limit, "b", 0)], at(1))[0].left), (1, 70));
    // In its own part: it is forgotten with that.
    assert_eq!(store.peek(&[take(&limit, "b", 0)], at(60))[0].left, 70);
    assert_eq!(store.peek(&[take(&limit, "b", 0)], at(61))[0].left, 100);
    settle(&store, &second, 30, at(200));
    assert_eq!(store.peek(&[take(&limit, "b", 0)], at(200))[0].left, 100, "too late to be charged");
}

#[test]
fn nothing_is_kept_of_a_call_that_takes_nothing() {
    let (limit, store) = (minute(), Memory::new(1));
    reserve(&store, &[take(&limit, "a", 0)], at(0));
    store.reserve(1, &[take(&limit, "b", 101)], at(0)).expect_err("more than there is");
    assert_eq!(fit(&reserve(&store, &[take(&limit, "c", 1)], at(0))), [(Fit::Fits, 1)]);
    // What it comes to in the end is charged all the same.
    let store = Memory::new(1);
    let grant = reserve(&store, &[take(&limit, "a", 0)], at(0));
    settle(&store, &grant, 40, at(1));
    assert_eq!(store.peek(&[take(&limit, "a", 0)], at(1))[0].left, 60);
}

#[test]
fn a_dropped_counter_does_not_let_time_go_back() {
    let (limit, store) = (daily(), Memory::new(1));
    reserve(&store, &[take(&limit, "a", 100)], at(86_300));
    // The next day has begun, and another key has its room.
    let other = reserve(&store, &[take(&limit, "b", 1)], at(86_400));
    settle(&store, &other, 0, at(86_400));
    let again = reserve(&store, &[take(&limit, "a", 60)], Time { unix: 86_390, ..at(86_410) });
    assert_eq!(again.taken[0].bucket, 86_400, "yesterday is spent");
    store.reserve(2, &[take(&limit, "a", 60)], at(86_420)).expect_err("and today has not begun again");
}

#[test]
fn a_changed_window_begins_anew_and_a_changed_amount_does_not() {
    let store = Memory::new(10);
    let (old, day) = (minute(), daily());
    reserve(&store, &[take(&old, "k", 90)], at(0));
    let wider = Arc::new(Limit { amount: 200, ..Limit::clone(&old) });
    let refused = store.reserve(1, &[take(&wider, "k", 20)], at(1)).expect_err("90 are used");
    assert_eq!(refused.standings[0].left, 10);
    let longer = Arc::new(Limit { window: Window::Rolling(Duration::from_secs(120)), ..Limit::clone(&old) });
    let in_tokens = Arc::new(Limit { unit: Unit::Tokens, ..Limit::clone(&old) });
    let by_the_day = Arc::new(Limit { window: day.window.clone(), ..Limit::clone(&old) });
    for changed in [longer, in_tokens, by_the_day] {
        reserve(&store, &[take(&changed, "k", 100)], at(1));
    }
    assert_eq!(store.peek(&[take(&old, "k", 0)], at(1))[0].left, 10, "calls that know the old one go on with it");
}

#[test]
fn two_keys_in_one_place_are_not_one_counter() {
    let (limit, mut shard) = (minute(), Shard::new(10));
    shard.charge(7, &take(&limit, "a", 1), at(0)).expect("there is room");
    assert!(shard.charge(7, &take(&limit, "b", 1), at(0)).is_none());
    assert!(shard.at(7, &take(&limit, "b", 1), at(0)).is_none());
    assert_eq!(shard.at(7, &take(&limit, "a", 1), at(0)).map(|slot| slot.counter.used()), Some(1));
}

#[test]
fn the_list_is_of_those_who_used_most() {
    let (first, second, store) = (minute(), daily(), Memory::new(100_000));
    for key in 1..=50 {
        reserve(&store, &[take(&first, format!("m{key:02}"), key), take(&second, format!("d{key:02}"), 2)], at(0));
    }
    let over = reserve(&store, &[take(&second, "over", 1)], at(0));
    settle(&store, &over, 150, at(0));
    let released = reserve(&store, &[take(&first, "none", 100)], at(0));
    settle(&store, &released, 0, at(0));
    let keys = |rows: Vec<list::Row>| rows.iter().map(|row| row.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys(store.list(None, 3, at(1))), ["over", "m50", "m49"]);
    assert_eq!(keys(store.list(Some("policy/daily"), 3, at(1))), ["over", "d01", "d02"]);
    assert_eq!(store.list(None, 1_000, at(1)).len(), 101);
    assert_eq!(store.list(None, 0, at(1)), []);
    assert_eq!(store.list(Some("policy/none"), 3, at(1)), []);
    let row = &store.list(Some("policy/minute"), 1, at(1))[0];
    assert_eq!((row.used, row.ceiling, row.reset, row.utilisation()), (50, 100, Duration::from_secs(60), 500_000));
    let said = |now| store.totals(now).iter().map(|t| (t.limit.name.to_string(), t.keys, t.utilisation)).collect();
    let totals: Vec<(String, usize, u64)> = said(at(1));
    assert_eq!(totals, [("daily".to_owned(), 51, 1_500_000), ("minute".to_owned(), 50, 500_000)]);
    let totals: Vec<(String, usize, u64)> = said(at(61));
    assert_eq!(totals, [("daily".to_owned(), 51, 1_500_000)]);
}

#[test]
fn the_bound_is_that_of_all_shards_together() {
    for bound in [0, 1, 1_023, 1_024, 5_000, 20_011] {
        let (limit, store) = (minute(), Memory::new(bound));
        let takes = |key| [take(&limit, key, 1)];
        let granted = (0..2 * bound + 10).map(|key| reserve(&store, &takes(key), at(0)).taken[0].fit);
        let kept = granted.filter(|fit| *fit == Fit::Fits).count();
        assert_eq!(store.totals(at(0))[0].keys, kept);
        assert_eq!(kept, store.bound(), "{bound}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Take(u8, u64),
    Settle(prop::sample::Index, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12u8, 0..4u64).prop_map(|(key, amount)| Step::Take(key, amount)),
        3 => (any::<prop::sample::Index>(), 0..3u64).prop_map(|(which, to)| Step::Settle(which, to)),
        2 => (0..40u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// A take is unchecked just where as many other keys as there is room for have spend that counts, and whatever
    /// is dropped, nothing that counts is.
    #[test]
    fn room_is_found_whenever_there_is_some(steps in prop::collection::vec(step(), 1..150)) {
        const BOUND: usize = 4;
        let store = Memory::new(BOUND);
        let limits = [minute(), limit("held", Unit::Concurrency, Window::Held)];
        let limit = |key: u8| &limits[usize::from(key % 2)];
        let mut charges: Vec<(u8, u64, u64)> = Vec::new();
        let mut open: Vec<(usize, u8, Grant)> = Vec::new();
        let mut now = 100;
        let used = |charges: &[(u8, u64, u64)], key: u8, now: u64| -> u64 {
            let live = charges.iter().filter(|(of, part, _)| *of == key && (key % 2 == 1 || now - part <= 60));
            live.map(|(_, _, amount)| *amount).sum()
        };
        for step in steps {
            match step {
                Step::Take(key, amount) => {
                    let observed = Take { posture: Posture::Observe, ..take(limit(key), key, amount) };
                    let others = (0..12).filter(|other| *other != key && used(&charges, *other, now) > 0).count();
                    let grant = reserve(&store, &[observed], at(now));
                    let is_unchecked = amount > 0 && used(&charges, key, now) == 0 && others >= BOUND;
                    prop_assert_eq!(grant.taken[0].fit == Fit::Unchecked, is_unchecked);
                    charges.push((key, now, grant.taken[0].amount));
                    open.push((charges.len() - 1, key, grant));
                }
                Step::Settle(which, to) => {
                    if open.is_empty() {
                        continue;
                    }
                    let (at_charge, key, grant) = open.swap_remove(which.index(open.len()));
                    let to = if key % 2 == 1 { 0 } else { to.min(grant.taken[0].amount) };
                    settle(&store, &grant, to, at(now));
                    if key % 2 == 1 || now - charges[at_charge].1 <= 60 {
                        charges[at_charge].2 = to;
                    }
                }
                Step::Pass(secs) => now += secs,
            }
            let expected: HashMap<u8, u64> = (0..12).map(|key| (key, used(&charges, key, now))).collect();
            for (key, used) in expected {
                prop_assert_eq!(store.peek(&[take(limit(key), key, 0)], at(now))[0].left, 100u64.saturating_sub(used));
            }
            prop_assert_eq!(store.uncounted(), 0);
        }
    }
}
