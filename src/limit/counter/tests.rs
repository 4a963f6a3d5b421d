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
                    let charged = counter.charge(&limit, amount, 100);
                    prop_assert_eq!((charged.amount, charged.bucket), (amount, now / SECOND));
                    charges.push((now / SECOND, amount));
                }
                Step::Settle(back, to) => {
                    let Some(at) = charges.len().checked_sub(back + 1) else { continue };
                    let (part, from) = charges[at];
                    counter.settle(&limit, part, from, to);
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
    counter.charge(&limit, 5, 100);
    counter.advance(&limit.window, steady(90));
    assert_eq!(counter.charge(&limit, 5, 100).bucket, 100);
    counter.advance(&limit.window, steady(160));
    assert_eq!(counter.used(), 10);
    counter.advance(&limit.window, steady(161));
    assert_eq!(counter.used(), 0);

    let limit = daily(&[]);
    let mut counter = Counter::new(&limit.window, unix(86_400));
    counter.charge(&limit, 5, 100);
    counter.advance(&limit.window, unix(1_000));
    assert_eq!((counter.bucket(), counter.used()), (86_400, 5));
    assert_eq!(counter.reset(&limit.window, unix(1_000)), Duration::from_secs(2 * 86_400 - 1_000));
    assert_eq!(counter.idle(&limit.window), End::Unix(2 * 86_400));
    counter.settle(&limit, 86_400, 5, 0);
    assert!(!counter.idle(&limit.window).is_past(unix(1_000)), "it knows that the day had begun");
}

#[test]
fn a_counter_ends_at_the_largest_amount() {
    for limit in [minute(&[]), daily(&[]), limit(Window::Held, &[])] {
        let mut counter = Counter::new(&limit.window, Time::default());
        assert_eq!(counter.charge(&limit, MOST - 5, MOST).amount, MOST - 5);
        assert_eq!(counter.charge(&limit, 10, MOST).amount, 5);
        assert_eq!(counter.charge(&limit, u64::MAX, MOST).amount, 0);
        counter.settle(&limit, 0, 5, u64::MAX);
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
        counter.charge(&limit, 5, 100);
        counter.settle(&limit, 0, 5, 0);
        counter.settle(&limit, 0, 5, 0);
        assert_eq!(counter.used(), 0);
    }
}

#[test]
fn warnings_go_by_the_ceiling_of_the_call() {
    let limit = minute(&[80]);
    let mut counter = Counter::new(&limit.window, steady(0));
    // Of 75 that are not kept for others, 60 are 80 %; of all they are less.
    assert_eq!(counter.charge(&limit, 62, 75).passed, Some(80));
    assert_eq!(counter.charge(&limit, 1, 100).passed, None);
    assert_eq!(counter.charge(&limit, 1, 75).passed, None, "it has not fallen in between");
    counter.settle(&limit, 0, 64, 59);
    assert_eq!(counter.charge(&limit, 1, 75).passed, Some(80), "it has");
}

#[test]
fn a_fall_between_two_charges_is_not_forgotten() {
    let limit = minute(&[50]);
    let mut counter = Counter::new(&limit.window, steady(0));
    assert_eq!(counter.charge(&limit, 60, 100).passed, Some(50));
    counter.settle(&limit, 0, 60, 10);
    counter.settle(&limit, 0, 10, 60);
    assert_eq!(counter.charge(&limit, 1, 100).passed, Some(50));
}

#[test]
fn a_warned_day_is_remembered_when_nothing_is_used() {
    let limit = daily(&[50]);
    let mut counter = Counter::new(&limit.window, unix(10));
    assert_eq!(counter.charge(&limit, 60, 100).passed, Some(50));
    counter.settle(&limit, 0, 60, 0);
    assert_eq!((counter.used(), counter.idle(&limit.window)), (0, End::Unix(86_400)));
}

/// What a key costs: the counter itself, and eight bytes more for each part of a rolling window in which it was used.
#[test]
fn a_counter_is_small() {
    assert!(size_of::<Counter>() <= 80, "{}", size_of::<Counter>());
}
