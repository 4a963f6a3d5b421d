//! What is particular to counters in process: their bound, and what is dropped for it.

use std::collections::HashSet;
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

/// Where keys of a limit count that find no room.
fn crowd(limit: &Arc<Limit>, window: Window) -> Take {
    let key = format!("{} (no room)", limit.id);
    take(&Arc::new(Limit { window, ..Limit::clone(limit) }), key, 0)
}

fn left(store: &Memory, take: Take, now: Time) -> u64 {
    store.peek(&[Take { amount: 0, ..take }], now)[0].left
}

#[test]
fn keys_without_room_are_counted_together_and_no_spend_is_dropped_for_them() {
    let hour = Window::Rolling(Duration::from_secs(3_600));
    for (limit, window, of_crowd) in [(minute(), 61, minute().window.clone()), (daily(), 86_400, hour)] {
        let store = Memory::new(4);
        for key in 0..2 {
            assert_eq!(fit(&reserve(&store, &[take(&limit, key, 10)], at(0))), [(Fit::Fits, 10)]);
        }
        let grant = reserve(&store, &[take(&limit, 2, 10), take(&limit, 0, 10), take(&limit, 3, 60)], at(1));
        assert_eq!(fit(&grant), [(Fit::Fits, 10), (Fit::Fits, 10), (Fit::Fits, 60)]);
        assert_eq!(grant.taken[0].key, grant.taken[2].key, "those of 2 and 3 are one");
        assert_eq!((&*grant.taken[1].key, grant.taken[2].standing.left), ("0", 30));
        // It is enforced there, with the ceiling of the limit.
        let refused = store.reserve(2, &[take(&limit, 4, 31)], at(1)).expect_err("70 of 100 are used");
        let longest = Duration::from_secs(3_661);
        assert!(refused.wait.is_some_and(|wait| wait > Duration::ZERO && wait <= longest), "{:?}", refused.wait);
        settle(&store, &Grant { id: 1, taken: grant.taken[2..].to_vec() }, 5, at(2));
        assert_eq!(left(&store, crowd(&limit, of_crowd.clone()), at(2)), 85);
        for (key, used) in [(0, 20), (1, 10), (2, 0), (3, 0)] {
            assert_eq!(left(&store, take(&limit, key, 0), at(window - 1)), 100 - used);
        }
        // All of these have left the window by now.
        let grant = reserve(&store, &[take(&limit, 3, 10)], at(window + 1));
        assert_eq!((&*grant.taken[0].key, fit(&grant)), ("3", vec![(Fit::Fits, 10)]));
    }
}

/// Made-up keys under a monthly limit, each of which uses a little.
#[test]
fn who_makes_up_keys_takes_no_room_from_other_limits_and_locks_nobody_out_for_long() {
    let calendar = Calendar { unit: CalendarUnit::Month, zone: TimeZone::UTC };
    let flooded = limit("flooded", Unit::Usd, Window::Calendar(calendar));
    let also = Arc::new(Limit { id: "policy/also".into(), ..Limit::clone(&flooded) });
    let (team, store) = (daily(), Memory::new(20_000));
    let known = |now| fit(&reserve(&store, &[take(&flooded, "known", 1)], now))[0].0;
    assert_eq!(known(at(0)), Fit::Fits);
    for key in 0..40_000 {
        let _ = store.reserve(1, &[take(&flooded, format!("f{key}"), 1)], at(1));
        let _ = store.reserve(1, &[take(&also, format!("a{key}"), 1)], at(1));
    }
    let keys: Vec<_> = store.totals(at(1)).iter().map(|total| total.keys).collect();
    assert!(keys.iter().all(|keys| (6_000..=7_000).contains(keys)), "a third each: {keys:?}");
    // Another limit has room for its keys, as one that has its counter has.
    for key in 0..1_000 {
        let grant = reserve(&store, &[take(&team, format!("t{key}"), 1)], at(2));
        assert_eq!((fit(&grant), &*grant.taken[0].key), (vec![(Fit::Fits, 1)], &*format!("t{key}")));
    }
    assert_eq!(known(at(2)), Fit::Fits);
    // Those who come now share what each would have had, and it comes back within the hour.
    let refused = store.reserve(1, &[take(&flooded, "late", 50)], at(2)).expect_err("all is used");
    assert!(refused.wait.is_some_and(|wait| wait <= Duration::from_secs(3_661)), "{:?}", refused.wait);
    assert_eq!(fit(&reserve(&store, &[take(&flooded, "late", 50)], at(3_700))), [(Fit::Fits, 50)]);
    assert!(store.reset("policy/flooded", None, at(3_700)).keys > 6_000);
    assert_eq!(&*reserve(&store, &[take(&flooded, "late", 50)], at(3_700)).taken[0].key, "late");
}

#[test]
fn an_unchecked_take_is_counted_when_it_is_settled() {
    let (limit, store) = (minute(), Memory::new(10));
    let mut grant = reserve(&store, &[take(&limit, "b", 0)], at(0));
    grant.taken[0].fit = Fit::Unchecked;
    settle(&store, &grant, 30, at(1));
    assert_eq!(left(&store, take(&limit, "b", 0), at(1)), 70);
    // In its own part: it is forgotten with that.
    assert_eq!(left(&store, take(&limit, "b", 0), at(60)), 70);
    assert_eq!(left(&store, take(&limit, "b", 0), at(61)), 100);
    settle(&store, &grant, 30, at(200));
    assert_eq!(left(&store, take(&limit, "b", 0), at(200)), 100, "too late to be charged");
}

#[test]
fn what_finds_no_room_at_all_is_said() {
    let store = Memory::new(1);
    let mut grants = Vec::new();
    // Of each limit one key finds no room, until there is none for the counters of those either.
    for number in 0..70 {
        let limit = limit(&format!("l{number}"), Unit::Requests, Window::Rolling(Duration::from_secs(60)));
        grants.push(reserve(&store, &[take(&limit, format!("k{number}"), 10)], at(0)));
    }
    let unchecked = grants.iter().filter(|grant| fit(grant) == [(Fit::Unchecked, 0)]).count();
    assert_eq!(unchecked, 70 - 65);
    settle(&store, &grants[69], 30, at(1));
    assert_eq!(store.uncounted(), 1);
}

const YEARS: u64 = 10 * 365 * 86_400;

#[test]
fn a_clock_that_was_wrong_for_a_while_holds_nothing_up() {
    let (limit, store) = (daily(), Memory::new(10));
    for key in ["a", "b"] {
        settle(&store, &reserve(&store, &[take(&limit, key, 60)], at(YEARS)), 50, at(YEARS));
    }
    assert_eq!(store.reset("policy/daily", Some("b"), at(YEARS)).keys, 1);
    // The key that was reset begins now, and what "a" has used counts now.
    assert_eq!(reserve(&store, &[take(&limit, "b", 1)], at(10)).taken[0].bucket, 0);
    store.reserve(1, &[take(&limit, "a", 51)], at(10)).expect_err("50 are used");
    reserve(&store, &[take(&limit, "a", 50)], at(10));
    assert_eq!(reserve(&store, &[take(&limit, "a", 100)], at(86_400)).taken[0].bucket, 86_400);
    // What came to more than was taken, of a key that is not known any more.
    let grant = reserve(&store, &[take(&limit, "c", 0)], at(86_400));
    settle(&store, &grant, 7, at(86_400));
    assert_eq!(left(&store, take(&limit, "c", 0), at(86_400)), 93);
}

#[test]
fn what_a_wrong_clock_has_left_makes_room_again() {
    let (limit, store) = (daily(), Memory::new(2));
    assert_eq!(&*reserve(&store, &[take(&limit, "old", 60)], at(YEARS)).taken[0].key, "old");
    let key = |now| reserve(&store, &[take(&limit, "new", 1)], now).taken[0].key.to_string();
    assert_eq!(key(at(10)), "policy/daily (no room)", "it moves to today");
    assert_eq!(key(at(86_400)), "new");
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
    for bound in [0, 1, 2, 1_023, 1_024, 5_000, 20_011] {
        let store = Memory::new(bound);
        // One limit alone gets half of it, and many limits all but nothing of it.
        let one = minute();
        let kept = (0..2 * bound + 10).filter(|key| {
            let key = format!("k{key}");
            store.reserve(1, &[take(&one, &key, 1)], at(0)).is_ok_and(|grant| *grant.taken[0].key == *key)
        });
        let (kept, shards) = (kept.count(), store.shards.len());
        // One of them is that of those that find no room.
        let half = store.bound() / 2;
        assert!((half.saturating_sub(1)..=half + shards).contains(&kept), "{kept} of {bound}");
    }
    let store = Memory::new(1_000);
    let kept = (0..5_000).filter(|number| {
        let limit = limit(&format!("l{}", number % 99), Unit::Requests, minute().window.clone());
        let key = format!("k{number}");
        store.reserve(1, &[take(&limit, &key, 1)], at(0)).is_ok_and(|grant| *grant.taken[0].key == *key)
    });
    assert_eq!(kept.count(), 990, "99 of 100 parts");
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
    /// A key finds no room just where its limit has as many as are free, counting those whose spend counts; and whatever
    /// is dropped, nothing that counts is.
    #[test]
    fn room_is_found_whenever_there_is_some(steps in prop::collection::vec(step(), 1..150)) {
        const BOUND: usize = 6;
        let store = Memory::new(BOUND);
        let limits = [minute(), limit("held", Unit::Concurrency, Window::Held)];
        let limit = |key: u8| &limits[usize::from(key % 2)];
        // Those of the crowds are 100 and 101.
        let mut charges: Vec<(u8, u64, u64)> = Vec::new();
        let mut open: Vec<(usize, u8, Grant)> = Vec::new();
        let (mut now, mut seen) = (100, HashSet::new());
        let used = |charges: &[(u8, u64, u64)], key: u8, now: u64| -> u64 {
            let live = charges.iter().filter(|(of, part, _)| *of == key && (key % 2 == 1 || now - part <= 60));
            live.map(|(_, _, amount)| *amount).sum()
        };
        let all = || (0..12).chain([100, 101]);
        for step in steps {
            match step {
                Step::Take(key, amount) => {
                    let observed = Take { posture: Posture::Observe, ..take(limit(key), key, amount) };
                    let counts = |other: &u8| used(&charges, *other, now) > 0;
                    let own = all().filter(|other| other % 2 == key % 2).filter(counts).count();
                    let free = BOUND.saturating_sub(all().filter(counts).count());
                    let is_new = amount > 0 && used(&charges, key, now) == 0;
                    let grant = reserve(&store, &[observed], at(now));
                    prop_assert_eq!(grant.taken[0].fit, Fit::Fits);
                    let is_crowded = grant.taken[0].key.ends_with("(no room)");
                    // A key that was there before may still have its place, though nothing of it counts.
                    let was_there = seen.contains(&key);
                    if amount > 0 && !is_crowded {
                        seen.insert(key);
                    }
                    prop_assert!(!is_crowded || is_new && own >= free, "{} of {}", own, free);
                    prop_assert!(is_crowded || was_there || !(is_new && own >= free), "{} of {}", own, free);
                    charges.push((if is_crowded { 100 + key % 2 } else { key }, now, grant.taken[0].amount));
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
            for key in all() {
                let found = match key {
                    100.. => crowd(limit(key), limit(key).window.clone()),
                    _ => take(limit(key), key, 0),
                };
                prop_assert_eq!(left(&store, found, at(now)), 100u64.saturating_sub(used(&charges, key, now)));
            }
            prop_assert_eq!(store.uncounted(), 0);
        }
    }
}
