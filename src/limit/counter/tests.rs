//! A counter against its charges, each by itself.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::limit::Unit;
use crate::limit::window::Unit as CalendarUnit;

const SECOND: u64 = 1_000_000_000;

fn limit(window: Window, warn_at: &[u8]) -> Limit {
    Limit { warn_at: warn_at.to_vec(), ..Limit::new("policy/limit", Unit::Tokens, 100, window) }
}

fn minute(warn_at: &[u8]) -> Limit {
    limit(Window::Rolling(Duration::from_secs(60)), warn_at)
}

fn daily(warn_at: &[u8]) -> Limit {
    limit(Window::Calendar(Calendar { unit: CalendarUnit::Day, zone: TimeZone::UTC }), warn_at)
}

fn steady(secs: u64) -> Time {
    Time { steady: secs * SECOND, unix: 0 }
}

fn unix(unix: u64) -> Time {
    Time { steady: 0, unix }
}

#[derive(Clone, Debug)]
enum Step {
    Charge(u64),
    /// Of the charge that is so many before the last, to this.
    Settle(usize, u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..50u64).prop_map(Step::Charge),
        2 => (0..70usize, 0..80u64).prop_map(|(back, to)| Step::Settle(back, to)),
        3 => (0..4_000_000_000u64).prop_map(Step::Pass),
        1 => (0..70 * SECOND).prop_map(Step::Pass),
    ]
}

/// The sum of what is charged in parts that still count at `now`, and the end of the last of them.
fn by_hand(charges: &[(u64, u64)], now: u64) -> (u64, u64) {
    let live = charges.iter().filter(|(part, amount)| *amount > 0 && now / SECOND - part <= 60);
    live.fold((0, 0), |(sum, last), (part, amount)| (sum + amount, last.max((part + 61) * SECOND)))
}

proptest! {
    #[test]
    fn a_rolling_counter_is_the_sum_of_its_charges(steps in prop::collection::vec(step(), 1..200)) {
        let limit = minute(&[]);
        let mut now = 1_000 * SECOND + 7;
        let time = |steady| Time { steady, unix: 0 };
        let mut counter = Counter::new(&limit.window, time(now));
        let mut charges: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            counter.advance(&limit.window, time(now));
            match step {
                Step::Charge(amount) => {
                    let charged = counter.charge(&limit, amount, 100, time(now));
                    prop_assert_eq!((charged.amount, charged.bucket), (amount, now / SECOND));
                    charges.push((now / SECOND, amount));
                }
                Step::Settle(back, to) => {
                    let Some(at) = charges.len().checked_sub(back + 1) else { continue };
                    let (part, from) = charges[at];
                    counter.settle(&limit, part, from, to, time(now));
                    // Settled once: what it is now is another charge in the same part.
                    charges[at].1 = to;
                    if now / SECOND - part > 60 {
                        charges[at].1 = from;
                    }
                }
                Step::Pass(nanos) => now += nanos,
            }
            let (used, end) = by_hand(&charges, now);
            prop_assert_eq!(counter.used_at(&limit.window, time(now)), used);
            prop_assert_eq!(counter.reset(&limit.window, time(now)), Duration::from_nanos(end.saturating_sub(now)));
            counter.advance(&limit.window, time(now));
            prop_assert_eq!(counter.used(), used);
            prop_assert_eq!(counter.older.len(), counter.filled.count_ones() as usize);
            prop_assert_eq!(counter.newest + counter.older.iter().sum::<u64>(), counter.used);
            prop_assert!(counter.older.iter().all(|held| *held > 0));
            prop_assert_eq!(counter.idle(&limit.window).is_past(time(now)), used == 0);
            for amount in [0, 1, 30, 100, 101] {
                let wait = counter.wait(&limit.window, amount, 100, time(now));
                let later = (now / SECOND..).map(|part| (part * SECOND).max(now));
                let fits = |at: &u64| by_hand(&charges, *at).0 + amount <= 100;
                let expected = (amount <= 100).then(|| later.take(62).find(fits)).flatten();
                prop_assert_eq!(wait, expected.map(|at| Duration::from_nanos(at - now)), "{}", amount);
            }
        }
    }
}

#[test]
fn time_does_not_go_back() {
    let limit = minute(&[]);
    let mut counter = Counter::new(&limit.window, steady(100));
    counter.charge(&limit, 5, 100, Time::default());
    counter.advance(&limit.window, steady(90));
    assert_eq!(counter.charge(&limit, 5, 100, Time::default()).bucket, 100);
    counter.advance(&limit.window, steady(160));
    assert_eq!(counter.used(), 10);
    counter.advance(&limit.window, steady(161));
    assert_eq!(counter.used(), 0);

    let limit = daily(&[]);
    let mut counter = Counter::new(&limit.window, unix(86_400));
    counter.charge(&limit, 5, 100, Time::default());
    counter.advance(&limit.window, unix(1_000));
    assert_eq!((counter.bucket(), counter.used()), (86_400, 5));
    assert_eq!(counter.reset(&limit.window, unix(1_000)), Duration::from_secs(2 * 86_400 - 1_000));
    assert_eq!(counter.idle(&limit.window), End::Unix(2 * 86_400));
    counter.settle(&limit, 86_400, 5, 0, Time::default());
    assert!(!counter.idle(&limit.window).is_past(unix(1_000)), "it knows that the day had begun");
}

#[test]
fn a_counter_ends_at_the_largest_amount() {
    for limit in [minute(&[]), daily(&[]), limit(Window::Held, &[])] {
        let mut counter = Counter::new(&limit.window, Time::default());
        assert_eq!(counter.charge(&limit, MOST - 5, MOST, Time::default()).amount, MOST - 5);
        assert_eq!(counter.charge(&limit, 10, MOST, Time::default()).amount, 5);
        assert_eq!(counter.charge(&limit, u64::MAX, MOST, Time::default()).amount, 0);
        counter.settle(&limit, 0, 5, u64::MAX, Time::default());
        assert!(counter.used() <= MOST, "{}", counter.used());
        assert!(!counter.fits(u64::MAX, MOST));
        assert_eq!(
            counter.wait(&limit.window, u64::MAX, u64::MAX, Time::default()).is_some(),
            limit.window != Window::Held
        );
    }
}

#[test]
fn a_charge_that_is_settled_twice_takes_no_more_than_there_is() {
    for limit in [minute(&[]), daily(&[]), limit(Window::Held, &[])] {
        let mut counter = Counter::new(&limit.window, Time::default());
        counter.charge(&limit, 5, 100, Time::default());
        counter.settle(&limit, 0, 5, 0, Time::default());
        counter.settle(&limit, 0, 5, 0, Time::default());
        assert_eq!(counter.used(), 0);
    }
}

/// A call that reserves so much and settles at once.
fn spend(counter: &mut Counter, limit: &Limit, (reserved, spent): (u64, u64), ceiling: u64, now: Time) -> Option<u8> {
    let charged = counter.charge(limit, reserved, ceiling, now);
    counter.settle(limit, charged.bucket, reserved, spent, now);
    charged.passed.or(counter.close(limit, charged.bucket, reserved, ceiling, now))
}

#[test]
fn a_reservation_is_no_spend() {
    for limit in [minute(&[50]), daily(&[50])] {
        let mut counter = Counter::new(&limit.window, steady(0));
        let charged = counter.charge(&limit, 90, 100, steady(0));
        let other = counter.charge(&limit, 10, 100, steady(0));
        assert_eq!((charged.passed, other.passed), (None, None));
        counter.settle(&limit, charged.bucket, 90, 3, steady(0));
        assert_eq!(counter.close(&limit, charged.bucket, 90, 100, steady(0)), None);
        // What it came to is what it had taken, so there is nothing to settle.
        assert_eq!(counter.close(&limit, other.bucket, 10, 100, steady(0)), None);
        assert_eq!(spend(&mut counter, &limit, (80, 37), 100, steady(0)), Some(50));
        assert_eq!(spend(&mut counter, &limit, (40, 9), 100, steady(0)), None, "it has been told");
    }
    for limit in [limit(Window::Held, &[50]), Limit { unit: Unit::Requests, ..minute(&[50]) }] {
        let limit = if limit.window == Window::Held { Limit { unit: Unit::Concurrency, ..limit } } else { limit };
        let mut counter = Counter::new(&limit.window, steady(0));
        assert_eq!(counter.charge(&limit, 49, 100, steady(0)).passed, None);
        assert_eq!(counter.charge(&limit, 1, 100, steady(0)).passed, Some(50), "it is what it is when it is taken");
    }
}

#[test]
fn what_is_open_leaves_the_window_with_its_part() {
    let limit = minute(&[50]);
    let mut counter = Counter::new(&limit.window, steady(0));
    // A call that lasts longer than its window.
    let long = counter.charge(&limit, 40, 100, steady(0)).bucket;
    counter.advance(&limit.window, steady(61));
    assert_eq!(spend(&mut counter, &limit, (60, 50), 100, steady(61)), Some(50));
    counter.settle(&limit, long, 40, 10, steady(62));
    assert_eq!((counter.close(&limit, long, 40, 100, steady(62)), counter.used()), (None, 50));
}

#[test]
fn warnings_go_by_the_ceiling_of_the_call() {
    let limit = minute(&[80]);
    let mut counter = Counter::new(&limit.window, steady(0));
    // Of 75 that are not kept for others, 60 are 80 %; of all they are less.
    assert_eq!(spend(&mut counter, &limit, (62, 62), 75, steady(0)), Some(80));
    assert_eq!(spend(&mut counter, &limit, (1, 1), 100, steady(1)), None);
    assert_eq!(spend(&mut counter, &limit, (1, 1), 75, steady(1)), None, "it has not fallen in between");
    counter.settle(&limit, 0, 62, 46, steady(2));
    assert_eq!(spend(&mut counter, &limit, (12, 12), 75, steady(60)), None, "48 are 80 % of 60: not far enough");
    counter.settle(&limit, 0, 46, 32, steady(60));
    assert_eq!(spend(&mut counter, &limit, (14, 14), 75, steady(60)), Some(80), "it has fallen to 46");
}

#[test]
fn what_rises_and_falls_is_told_once_a_minute() {
    let limit = Limit { unit: Unit::Concurrency, ..limit(Window::Held, &[50]) };
    let mut counter = Counter::new(&limit.window, steady(0));
    let told = (0..600).filter(|second| spend(&mut counter, &limit, (1, 0), 2, steady(*second)).is_some());
    assert_eq!(told.count(), 10);
}

#[test]
fn a_warned_day_is_remembered_when_nothing_is_used() {
    let limit = daily(&[50]);
    let mut counter = Counter::new(&limit.window, unix(10));
    assert_eq!(spend(&mut counter, &limit, (60, 60), 100, unix(10)), Some(50));
    counter.settle(&limit, 0, 60, 0, unix(10));
    assert_eq!((counter.used(), counter.idle(&limit.window)), (0, End::Unix(86_400)));
}

const YEARS: u64 = 10 * 365 * 86_400;

#[test]
fn what_a_wrong_clock_has_seen_comes_back_to_now() {
    let hour = Limit { window: Window::Rolling(Duration::from_secs(3_600)), ..minute(&[]) };
    for (limit, at) in [(minute(&[]), steady as fn(u64) -> Time), (hour, steady), (daily(&[]), unix)] {
        let (now, mut counter) = (at(100_000), Counter::new(&limit.window, at(100_000 + YEARS)));
        let bucket = counter.charge(&limit, 60, 100, at(100_000 + YEARS)).bucket;
        assert!(counter.advance(&limit.window, now), "it is said");
        assert!(!counter.advance(&limit.window, now), "once");
        let alike = Counter::new(&limit.window, now);
        assert_eq!((counter.bucket(), counter.used()), (alike.bucket(), 60));
        // Of a call of that time nothing is given back.
        counter.settle(&limit, bucket, 60, 5, now);
        assert_eq!(counter.used(), 60);
        counter.settle(&limit, bucket, 5, 15, now);
        assert_eq!(counter.used(), 70);
        let end = counter.reset(&limit.window, now).as_secs();
        assert!(end <= 86_400, "{end}");
        counter.advance(&limit.window, at(100_000 + end));
        assert_eq!(counter.used(), 0, "it leaves with the window in which it is now");
    }
}

#[test]
fn parts_come_back_as_old_as_they_were() {
    let limit = minute(&[]);
    let mut counter = Counter::new(&limit.window, steady(YEARS));
    counter.charge(&limit, 10, 100, steady(YEARS));
    counter.advance(&limit.window, steady(YEARS + 20));
    counter.charge(&limit, 20, 100, steady(YEARS + 20));
    assert!(counter.advance(&limit.window, steady(1_000)));
    assert_eq!(counter.charges().collect::<Vec<_>>(), [(980, 10), (1_000, 20)]);
}

#[test]
fn the_next_unit_is_not_far_ahead() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for unit in [CalendarUnit::Hour, CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month, CalendarUnit::Year] {
        let calendar = Calendar { unit, zone: berlin.clone() };
        // A year by weeks, over both changes of the clocks.
        for at in (0..53).map(|week| 1_774_692_000 + week * 7 * 86_400) {
            let now = calendar.unit_at(at);
            let (next, window) = (calendar.unit_at(now.end), Window::Calendar(calendar.clone()));
            assert!(!window.is_far_ahead(now.begin, now.begin) && !window.is_far_ahead(next.begin, now.begin));
            assert!(window.is_far_ahead(next.end, now.begin) && !window.is_far_ahead(now.begin, next.begin));
        }
    }
}

/// What a key costs: the counter itself, and eight bytes more for each part of a rolling window in which it was used.
#[test]
fn a_counter_is_small() {
    assert!(size_of::<Counter>() <= 72, "{}", size_of::<Counter>());
}
