//! What every store does. Each behaviour gets a new store.

mod beyond;

use std::sync::Arc;
use std::time::Duration;

pub use beyond::*;

use weir::limit::take::{Fit, Posture, Take};
use weir::limit::window::{Calendar, Time, Unit as CalendarUnit, Window};
use weir::limit::{Limit, Unit};

use super::{
    BEGIN, Store, amounts, as_posture, at, calendar, fits, held, limit, millis, rolling, secs, settlement, take,
};

const NOW: Duration = Duration::ZERO;
const MINUTE: Duration = secs(60);

pub async fn up_to_the_amount_and_no_further(store: &impl Store) {
    for limit in [rolling("rpm", 10, MINUTE), calendar("daily", 10, CalendarUnit::Day), held("parallel", 10)] {
        for id in 0..10 {
            let grant = store.reserve(id, &[take(&limit, 1)], at(NOW)).await.expect("it fits");
            assert_eq!(grant.id, id);
            assert_eq!((fits(&grant), amounts(&grant)), (vec![Fit::Fits], vec![1]));
        }
        let refused = store.reserve(10, &[take(&limit, 1)], at(NOW)).await.expect_err("it is full");
        assert_eq!((refused.take, refused.standings[0].left), (0, 0), "{}", limit.name);
    }
}

pub async fn all_or_nothing(store: &impl Store) {
    let (wide, narrow) = (rolling("wide", 100, MINUTE), rolling("narrow", 5, MINUTE));
    let last = calendar("last", 100, CalendarUnit::Month);
    let takes = |amount| [take(&wide, amount), take(&narrow, amount), take(&last, amount)];
    store.reserve(1, &takes(3), at(NOW)).await.expect("all three fit");
    let refused = store.reserve(2, &takes(3), at(NOW)).await.expect_err("the second does not fit");
    assert_eq!(refused.take, 1);
    let left: Vec<u64> = refused.standings.iter().map(|standing| standing.left).collect();
    assert_eq!(left, [97, 2, 97]);
    store.reserve(3, &takes(2), at(NOW)).await.expect("nothing was taken of any");
}

pub async fn the_longest_wait_is_told(store: &impl Store) {
    let short = rolling("short", 1, MINUTE);
    let long = rolling("long", 1, secs(3600));
    let never = held("never", 1);
    let all = [take(&short, 1), take(&long, 1), take(&never, 1)];
    store.reserve(1, &all, at(NOW)).await.expect("the first");
    let told = async |takes: &[Take]| {
        let refused = store.reserve(2, takes, at(NOW)).await.expect_err("all are full");
        (refused.take, refused.wait)
    };
    assert_eq!(told(&all[..1]).await, (0, Some(secs(61))));
    assert_eq!(told(&all[..2]).await, (1, Some(secs(61 * 60))));
    assert_eq!(told(&[all[1].clone(), all[0].clone()]).await, (0, Some(secs(61 * 60))));
    assert_eq!(told(&all).await, (2, None));
    assert_eq!(told(&[all[2].clone(), all[1].clone()]).await, (0, None));
}

/// Three charges, at 0 s, 10.5 s and 20 s; each is given up with its part, 61 s after that began.
pub async fn a_rolling_wait_is_exact(store: &impl Store) {
    let limit = rolling("tpm", 100, MINUTE);
    for (id, amount, after) in [(1, 50, NOW), (2, 30, millis(10_500)), (3, 20, secs(20))] {
        store.reserve(id, &[take(&limit, amount)], at(after)).await.expect("it fits");
    }
    for (amount, until) in [(1, 61), (50, 61), (51, 71), (80, 71), (81, 81), (100, 81)] {
        let refused = store.reserve(9, &[take(&limit, amount)], at(millis(20_250))).await.expect_err("it is full");
        assert_eq!(refused.wait, Some(secs(until) - millis(20_250)), "{amount}");
    }
    let until = secs(61);
    store.reserve(4, &[take(&limit, 50)], at(until - Duration::from_micros(1))).await.expect_err("a moment too early");
    store.reserve(5, &[take(&limit, 50)], at(until)).await.expect("then it fits");
}

pub async fn a_calendars_wait_is_exact(store: &impl Store) {
    let limit = calendar("daily", 100, CalendarUnit::Day);
    let midnight = secs(14 * 3600);
    store.reserve(1, &[take(&limit, 100)], at(NOW)).await.expect("it fits");
    let refused = store.reserve(2, &[take(&limit, 1)], at(secs(100))).await.expect_err("it is full");
    assert_eq!(refused.wait, Some(midnight - secs(100)));
    store.reserve(3, &[take(&limit, 1)], at(midnight - secs(1))).await.expect_err("a second too early");
    store.reserve(4, &[take(&limit, 100)], at(midnight)).await.expect("a new day");
}

pub async fn what_never_fits_has_no_wait(store: &impl Store) {
    let limit = rolling("rpm", 10, MINUTE);
    for used in [0, 4] {
        store.reserve(used.into(), &[take(&limit, used)], at(NOW)).await.expect("it fits");
        let refused = store.reserve(9, &[take(&limit, 11)], at(NOW)).await.expect_err("more than there is at all");
        assert_eq!((refused.wait, refused.standings[0].left), (None, 10 - used));
    }
}

pub async fn less_is_given_back_where_it_was_taken(store: &impl Store) {
    for limit in [rolling("rolling", 100, MINUTE), calendar("hourly", 100, CalendarUnit::Hour)] {
        let early = store.reserve(1, &[take(&limit, 60)], at(NOW)).await.expect("it fits");
        store.reserve(2, &[take(&limit, 40)], at(secs(30))).await.expect("it fits");
        store.settle(&settlement(&early, &[10]), at(secs(40))).await;
        assert_eq!(store.peek(&[take(&limit, 0)], at(secs(40))).await[0].left, 50, "{}", limit.name);
        store.reserve(3, &[take(&limit, 51)], at(secs(40))).await.expect_err("no more than that");
        store.reserve(4, &[take(&limit, 50)], at(secs(40))).await.expect("what was given back");
    }
    let limit = rolling("aborted", 100, MINUTE);
    let grant = store.reserve(5, &[take(&limit, 100)], at(NOW)).await.expect("it fits");
    store.settle(&settlement(&grant, &[0]), at(secs(1))).await;
    let standing = store.peek(&[take(&limit, 0)], at(secs(1))).await[0];
    assert_eq!((standing.left, standing.reset), (100, Duration::ZERO));
}

pub async fn more_is_charged_even_over_the_ceiling(store: &impl Store) {
    for limit in [rolling("rolling", 100, MINUTE), calendar("hourly", 100, CalendarUnit::Hour)] {
        let grant = store.reserve(1, &[take(&limit, 90)], at(NOW)).await.expect("it fits");
        store.settle(&settlement(&grant, &[150]), at(secs(30))).await;
        assert_eq!(store.peek(&[take(&limit, 0)], at(secs(30))).await[0].left, 0, "{}", limit.name);
        store.reserve(2, &[take(&limit, 1)], at(secs(30))).await.expect_err("it is over");
        // It was spent when the call was admitted, and is forgotten with that.
        let end = if &*limit.name == "rolling" { secs(61) } else { secs(3600) };
        store.reserve(3, &[take(&limit, 1)], at(end - secs(1))).await.expect_err("it still counts");
        store.reserve(4, &[take(&limit, 100)], at(end)).await.expect("nothing counts any more");
    }
}

pub async fn what_has_left_the_window_is_not_settled(store: &impl Store) {
    for (limit, end) in [(rolling("rolling", 100, MINUTE), 61), (calendar("hourly", 100, CalendarUnit::Hour), 3600)] {
        let old = store.reserve(1, &[take(&limit, 60)], at(NOW)).await.expect("it fits");
        let other = store.reserve(2, &[take(&limit, 40)], at(NOW)).await.expect("it fits");
        store.reserve(3, &[take(&limit, 30)], at(secs(end))).await.expect("a new window");
        store.settle(&settlement(&old, &[0]), at(secs(end))).await;
        store.settle(&settlement(&other, &[90]), at(secs(end))).await;
        assert_eq!(store.peek(&[take(&limit, 0)], at(secs(end))).await[0].left, 70, "{}", limit.name);
    }
}

pub async fn observing_charges_and_never_refuses(store: &impl Store) {
    let limit = rolling("observed", 10, MINUTE);
    let observe = |amount| as_posture(Posture::Observe, take(&limit, amount));
    let first = store.reserve(1, &[observe(8)], at(NOW)).await.expect("observed");
    let second = store.reserve(2, &[observe(8)], at(NOW)).await.expect("observed");
    assert_eq!((fits(&first), amounts(&first)), (vec![Fit::Fits], vec![8]));
    assert_eq!((fits(&second), amounts(&second)), (vec![Fit::Over], vec![8]));
    store.settle(&settlement(&first, &[2]), at(NOW)).await;
    store.reserve(3, &[take(&limit, 1)], at(NOW)).await.expect_err("2 and 8 are used");
    store.settle(&settlement(&second, &[3]), at(NOW)).await;
    store.reserve(4, &[take(&limit, 5)], at(NOW)).await.expect("2 and 3 are used");
}

pub async fn a_shadow_takes_what_fits_and_nothing_else(store: &impl Store) {
    let (limit, beside) = (rolling("shadow", 10, MINUTE), rolling("beside", 100, MINUTE));
    let takes = |amount| [as_posture(Posture::Shadow, take(&limit, amount)), take(&beside, amount)];
    let first = store.reserve(1, &takes(8), at(NOW)).await.expect("a shadow does not refuse");
    assert_eq!((fits(&first), amounts(&first)), (vec![Fit::Fits, Fit::Fits], vec![8, 8]));
    let second = store.reserve(2, &takes(8), at(NOW)).await.expect("a shadow does not refuse");
    assert_eq!((fits(&second), amounts(&second)), (vec![Fit::Over, Fit::Fits], vec![0, 8]));
    let third = store.reserve(3, &takes(2), at(NOW)).await.expect("what was not taken is still there");
    assert_eq!((fits(&third), amounts(&third)), (vec![Fit::Fits, Fit::Fits], vec![2, 2]));
    store.settle(&settlement(&second, &[0, 8]), at(NOW)).await;
    let left: Vec<u64> = store.peek(&takes(0), at(NOW)).await.iter().map(|standing| standing.left).collect();
    assert_eq!(left, [0, 82]);
}

pub async fn a_call_is_held_until_it_is_settled(store: &impl Store) {
    let limit = held("parallel", 2);
    let first = store.reserve(1, &[take(&limit, 1)], at(NOW)).await.expect("one");
    let second = store.reserve(2, &[take(&limit, 1)], at(NOW)).await.expect("two");
    let refused = store.reserve(3, &[take(&limit, 1)], at(NOW)).await.expect_err("three");
    assert_eq!((refused.wait, refused.standings[0].left), (None, 0));
    // Whatever a call is said to have come to, it is over.
    store.settle(&settlement(&first, &[1]), at(secs(1))).await;
    let third = store.reserve(3, &[take(&limit, 1)], at(secs(1))).await.expect("the first is over");
    store.settle(&settlement(&second, &[0]), at(secs(2))).await;
    store.settle(&settlement(&third, &[7]), at(secs(2))).await;
    assert_eq!(store.peek(&[take(&limit, 1)], at(secs(2))).await[0].left, 2);
}

pub async fn takes_of_one_counter_add_up(store: &impl Store) {
    for limit in [rolling("rolling", 10, MINUTE), calendar("hourly", 10, CalendarUnit::Hour), held("parallel", 10)] {
        let twice = |amount| [take(&limit, amount), take(&limit, amount)];
        let refused = store.reserve(1, &twice(6), at(NOW)).await.expect_err("12 are too many");
        assert_eq!((refused.take, refused.wait, refused.standings[0].left), (1, None, 10), "{}", limit.name);
        let grant = store.reserve(2, &twice(4), at(NOW)).await.expect("8 fit");
        assert_eq!(store.peek(&twice(0), at(NOW)).await[0].left, 2);
        let refused = store.reserve(3, &twice(2), at(NOW)).await.expect_err("12 are too many");
        assert_eq!(refused.take, 1);
        store.settle(&settlement(&grant, &[1, 3]), at(NOW)).await;
        let left = if limit.unit == Unit::Concurrency { 10 } else { 6 };
        assert_eq!(store.peek(&twice(0), at(NOW)).await[0].left, left, "{}", limit.name);
    }
    // What a shadow does not take is not there for the next one.
    let limit = rolling("shadowed", 10, MINUTE);
    let takes = [as_posture(Posture::Shadow, take(&limit, 11)), take(&limit, 10)];
    let grant = store.reserve(4, &takes, at(NOW)).await.expect("only 10 are taken");
    assert_eq!(amounts(&grant), [0, 10]);
}

pub async fn each_caller_has_its_own_ceiling(store: &impl Store) {
    let limit = rolling("kept", 100, MINUTE);
    let up_to = |ceiling, amount| Take { ceiling, ..take(&limit, amount) };
    store.reserve(1, &[up_to(75, 75)], at(NOW)).await.expect("all but what is kept");
    let refused = store.reserve(2, &[up_to(75, 1)], at(NOW)).await.expect_err("the rest is kept");
    assert_eq!((refused.standings[0].ceiling, refused.standings[0].left), (75, 0));
    let grant = store.reserve(3, &[up_to(100, 25)], at(NOW)).await.expect("for whom it is kept");
    assert_eq!((grant.taken[0].standing.ceiling, grant.taken[0].standing.left), (100, 0));
    store.reserve(4, &[up_to(100, 1)], at(NOW)).await.expect_err("nothing is left");
    store.reserve(5, &[up_to(900, 800)], at(NOW)).await.expect("an override");
}

pub async fn keys_and_limits_are_apart(store: &impl Store) {
    let (one, other) = (rolling("one", 5, MINUTE), rolling("other", 5, MINUTE));
    let of = |limit: &Arc<Limit>, key: &str| Take { key: key.into(), ..take(limit, 5) };
    let takes = [of(&one, "policy/one|a"), of(&one, "policy/one|b"), of(&other, "policy/other|a")];
    for (id, take) in (1..).zip(&takes) {
        store.reserve(id, std::slice::from_ref(take), at(NOW)).await.expect("its own counter");
    }
    store.reserve(4, &takes[..1], at(NOW)).await.expect_err("full");
}

fn warned(mut limit: Limit, shares: &[u8]) -> Arc<Limit> {
    limit.warn_at = shares.to_vec();
    Arc::new(limit)
}

pub async fn a_warning_is_given_once_a_unit(store: &impl Store) {
    let window = Window::Calendar(Calendar { unit: CalendarUnit::Day, zone: jiff::tz::TimeZone::UTC });
    let limit = warned(limit("calls", Unit::Requests, 100, window), &[50, 80]);
    let midnight = secs(14 * 3600);
    let rows = [
        (49, NOW, None),
        (1, NOW, Some(50)),
        (10, NOW, None),
        (20, NOW, Some(80)),
        (20, NOW, None),
        // A new day, and both at once.
        (90, midnight, Some(80)),
    ];
    let mut last = None;
    for (id, (amount, after, passed)) in (0..).zip(rows) {
        let grant = store.reserve(id, &[take(&limit, amount)], at(after)).await.expect("it fits");
        assert_eq!(grant.taken[0].passed, passed, "{id}");
        last = Some(grant);
    }
    store.settle(&settlement(&last.expect("the last"), &[0]), at(midnight)).await;
    let grant = store.reserve(9, &[take(&limit, 90)], at(midnight)).await.expect("it fits");
    assert_eq!(grant.taken[0].passed, None, "once a unit, whatever was given back");
}

pub async fn a_rolling_warning_is_given_again_after_a_fall(store: &impl Store) {
    let limit = warned(limit("rpm", Unit::Requests, 100, Window::Rolling(MINUTE)), &[50, 80]);
    let rows = [
        (60, NOW, Some(50)),
        (5, secs(1), None),
        // The 60 are gone.
        (30, secs(61), None),
        (15, secs(61), Some(50)),
        (50, secs(61), Some(80)),
        // All is gone, and everything begins anew.
        (79, secs(200), Some(50)),
    ];
    for (id, (amount, after, passed)) in (0..).zip(rows) {
        let grant = store.reserve(id, &[take(&limit, amount)], at(after)).await.expect("it fits");
        assert_eq!(grant.taken[0].passed, passed, "{id}");
    }
}

pub async fn standings_say_what_is_left_and_for_how_long(store: &impl Store) {
    let takes = [rolling("rolling", 10, MINUTE), calendar("hourly", 10, CalendarUnit::Hour), held("parallel", 10)]
        .map(|limit| take(&limit, 3));
    let said = async |after| {
        let standings = store.peek(&takes, at(after)).await;
        standings.iter().map(|standing| (standing.ceiling, standing.left, standing.reset)).collect::<Vec<_>>()
    };
    assert_eq!(said(NOW).await, vec![(10, 10, NOW); 3]);
    let grant = store.reserve(1, &takes, at(millis(500))).await.expect("all fit");
    let first: Vec<_> = grant.taken.iter().map(|taken| (taken.standing.left, taken.standing.reset)).collect();
    assert_eq!(first[0], (7, millis(60_500)));
    // Whole seconds, rounded up: a wall clock has no finer ones.
    assert_eq!((first[1].0, first[1].1.max(millis(3_599_500))), (7, secs(3600)));
    assert_eq!(first[2], (7, NOW), "nobody knows");
    store.reserve(2, &takes, at(secs(30))).await.expect("all fit");
    assert_eq!(said(secs(30)).await, [(10, 4, secs(61)), (10, 4, secs(3570)), (10, 4, NOW)]);
    assert_eq!(said(secs(61)).await, [(10, 7, secs(30)), (10, 4, secs(3539)), (10, 4, NOW)]);
    assert_eq!(said(secs(91)).await[0], (10, 10, NOW));
}

pub async fn peeking_takes_nothing(store: &impl Store) {
    let limits = [rolling("rolling", 10, MINUTE), calendar("hourly", 10, CalendarUnit::Hour), held("parallel", 10)];
    let takes = limits.map(|limit| take(&limit, 10));
    store.peek(&takes, at(NOW)).await;
    // It does not move time on either.
    store.peek(&takes, at(secs(7200))).await;
    let grant = store.reserve(1, &takes, at(NOW)).await.expect("nothing was taken");
    store.peek(&takes, at(secs(7200))).await;
    store.reserve(2, &takes, at(NOW)).await.expect_err("all is taken");
    store.settle(&settlement(&grant, &[0, 0, 0]), at(NOW)).await;
    store.reserve(3, &takes, at(NOW)).await.expect("it was given back");
}

/// Berlin's 29 March 2026 begins at 23:00 UTC, 13 hours after the beginning, and has 23 hours.
pub async fn a_day_is_as_long_as_it_is_in_its_zone(store: &impl Store) {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone");
    let window = Window::Calendar(Calendar { unit: CalendarUnit::Day, zone });
    let limit = Arc::new(limit("daily", Unit::Usd, 100, window));
    let (begin, end) = (secs(13 * 3600), secs(36 * 3600));
    store.reserve(1, &[take(&limit, 100)], at(begin - secs(1))).await.expect("the day before");
    let grant = store.reserve(2, &[take(&limit, 100)], at(begin)).await.expect("a new day");
    assert_eq!((grant.taken[0].bucket, grant.taken[0].standing.reset), (BEGIN + 13 * 3600, end - begin));
    store.reserve(3, &[take(&limit, 1)], at(end - secs(1))).await.expect_err("it lasts 23 hours");
    store.reserve(4, &[take(&limit, 1)], at(end)).await.expect("and no longer");
}

pub async fn a_wall_clock_that_steps_back_gives_nothing_twice(store: &impl Store) {
    let limit = calendar("hourly", 100, CalendarUnit::Hour);
    let stepped = |steady: u64, unix: u64| Time { unix: BEGIN + unix, ..at(secs(steady)) };
    store.reserve(1, &[take(&limit, 100)], stepped(0, 0)).await.expect("the first hour");
    store.reserve(2, &[take(&limit, 60)], stepped(10, 3600)).await.expect("the second");
    let back = stepped(20, 1800);
    let refused = store.reserve(3, &[take(&limit, 50)], back).await.expect_err("it is still the second");
    assert_eq!(refused.standings[0].left, 40);
    store.reserve(4, &[take(&limit, 40)], back).await.expect("what the second has left");
    store.reserve(5, &[take(&limit, 1)], stepped(30, 7199)).await.expect_err("the second is full");
    store.reserve(6, &[take(&limit, 100)], stepped(40, 7200)).await.expect("the third");
}

/// One request as often as it is admitted, at odd times, for three windows: whatever stretch of a window's length is
/// looked at, no more than the amount began in it; and as soon as the wait is over there is room.
pub async fn nothing_leaves_a_window_early(store: &impl Store) {
    let (limit, length) = (rolling("even", 7, MINUTE), MINUTE);
    let (mut admitted, mut now) = (Vec::new(), millis(137));
    for id in 0..400 {
        match store.reserve(id, &[take(&limit, 1)], at(now)).await {
            Ok(_) => {
                admitted.push(now);
                now += millis(u64::try_from(id % 13).expect("small") * 777);
            }
            Err(refused) => now += refused.wait.expect("it fits later"),
        }
    }
    let within = |from: &Duration| admitted.iter().filter(|at| (*from..=*from + length).contains(*at)).count();
    assert_eq!(admitted.iter().map(within).max(), Some(7));
    // A part is all that is lost of a window.
    let most = (now.as_secs() / 61 + 1) * 7;
    assert!(u64::try_from(admitted.len()).expect("few") <= most);
    assert!(admitted.len() > 7 * 20, "{}", admitted.len());
}
