//! What a store does beyond the rest: warnings of what is settled, clocks that were wrong, a zone that is changed. A
//! store joins with a line of `behaviours!(beyond ..)`.

use std::sync::Arc;
use std::time::Duration;

use weir::limit::take::{Fit, Take};
use weir::limit::window::{Calendar, Time, Unit as CalendarUnit, Window};
use weir::limit::{Limit, Unit};

use super::super::{Store, at, calendar, limit, rolling, secs, settlement, take};
use super::{MINUTE, NOW, warned};

/// What is told of a call that reserves so much and comes to so much: when it is settled, or to the call after it.
async fn told(store: &impl Store, limit: &Arc<Limit>, id: u128, (reserved, spent): (u64, u64), now: Time) -> Vec<u8> {
    let before = store.reserve(id, &[take(limit, reserved)], now).await.expect("it fits");
    let mut told: Vec<u8> = before.taken[0].passed.into_iter().collect();
    told.extend(store.settle(&settlement(&before, &[spent]), now).await);
    let after = store.reserve(id + 1, &[take(limit, 0)], now).await.expect("it fits");
    told.extend(after.taken[0].passed);
    store.settle(&settlement(&after, &[0]), now).await;
    told
}

pub async fn a_reservation_alone_warns_of_nothing(store: &impl Store) {
    let day = Window::Calendar(Calendar { unit: CalendarUnit::Day, zone: jiff::tz::TimeZone::UTC });
    for (id, window) in (0..).zip([day, Window::Rolling(MINUTE)]) {
        let limit = warned(limit(&format!("spend{id}"), Unit::Usd, 100, window), &[50, 80]);
        let open = store.reserve(100 + id, &[take(&limit, 30)], at(NOW)).await.expect("it fits");
        for (n, call, expected) in [
            (0, (60, 3), vec![]),
            (2, (60, 40), vec![]),
            // 43 are spent, and 30 of a call that is not over do not count.
            (4, (20, 6), vec![]),
            (6, (20, 2), vec![50]),
            (8, (10, 1), vec![]),
        ] {
            assert_eq!(told(store, &limit, 1_000 * id + n, call, at(NOW)).await, expected, "{n}");
        }
        // 52 and what the open one comes to.
        let mut heard = store.settle(&settlement(&open, &[30]), at(NOW)).await;
        let next = store.reserve(1_000 * id + 10, &[take(&limit, 1)], at(NOW)).await.expect("it fits");
        heard.extend(next.taken[0].passed);
        assert_eq!(heard, [80]);
    }
}

pub async fn a_warning_comes_again_only_after_a_deep_fall(store: &impl Store) {
    let limit = warned(limit("spend", Unit::Tokens, 100, Window::Rolling(MINUTE)), &[50]);
    for (id, amount, after, expected) in [
        (0, 15, NOW, vec![]),
        (2, 40, secs(1), vec![50]),
        // The 15 are gone: 40 is 80 % of the share, and no less.
        (4, 15, secs(61), vec![]),
        // The 40 are.
        (6, 35, secs(62), vec![50]),
    ] {
        assert_eq!(told(store, &limit, id, (amount, amount), at(after)).await, expected, "{id}");
    }
}

const MONTH: Duration = secs(31 * 86_400);

pub async fn what_is_far_ahead_comes_back_to_now(store: &impl Store) {
    for limit in [rolling("rolling", 100, MINUTE), calendar("hourly", 100, CalendarUnit::Hour)] {
        // A clock that is a month ahead for a while.
        store.reserve(1, &[take(&limit, 60)], at(MONTH)).await.expect("it fits");
        let refused = store.reserve(2, &[take(&limit, 41)], at(NOW)).await.expect_err("60 are used");
        let end = if &*limit.name == "rolling" { secs(61) } else { secs(3_600) };
        assert_eq!((refused.wait, refused.standings[0].left), (Some(end), 40), "{}", limit.name);
        store.reserve(3, &[take(&limit, 40)], at(NOW)).await.expect("beside what is used");
        store.reserve(4, &[take(&limit, 1)], at(end - secs(1))).await.expect_err("all is used");
        store.reserve(5, &[take(&limit, 100)], at(end)).await.expect("it has left with its window");
    }
}

pub async fn what_was_taken_far_ahead_is_not_given_back(store: &impl Store) {
    for limit in [rolling("rolling", 100, MINUTE), calendar("hourly", 100, CalendarUnit::Hour)] {
        let [less, more] = [1, 2].map(|id| (id, take(&limit, 20)));
        let less = store.reserve(less.0, &[less.1], at(MONTH)).await.expect("it fits");
        let more = store.reserve(more.0, &[more.1], at(MONTH)).await.expect("it fits");
        store.reserve(3, &[take(&limit, 10)], at(NOW)).await.expect("it comes back to now");
        store.settle(&settlement(&less, &[5]), at(secs(1))).await;
        store.settle(&settlement(&more, &[35]), at(secs(1))).await;
        assert_eq!(store.peek(&[take(&limit, 0)], at(secs(1))).await[0].left, 35, "{}", limit.name);
    }
}

/// The month of Berlin has begun an hour before that of UTC, and is used up.
pub async fn a_unit_that_runs_ends_as_it_began(store: &impl Store) {
    let zone = |name| jiff::tz::TimeZone::get(name).expect("a zone");
    let of = |zone| {
        let window = Window::Calendar(Calendar { unit: CalendarUnit::Month, zone });
        take(&Arc::new(limit("monthly", Unit::Usd, 100, window)), 100)
    };
    // Berlin's April begins at 22:00 UTC of 31 March, 84 hours after the beginning.
    let (berlin, utc) = (of(zone("Europe/Berlin")), of(jiff::tz::TimeZone::UTC));
    store.reserve(1, &[berlin], at(secs(84 * 3_600))).await.expect("April has begun in Berlin");
    for after in [secs(84 * 3_600 + 60), secs(86 * 3_600), secs(20 * 86_400)] {
        store.reserve(2, &[Take { amount: 1, ..utc.clone() }], at(after)).await.expect_err("it is the same month");
    }
    store.reserve(3, &[utc], at(secs(35 * 86_400))).await.expect("May");
}

/// What was not known to be taken is charged when it is known, in the part or the unit of that moment, and leaves with
/// it: whenever the counter was asked before.
pub async fn what_was_unchecked_is_charged_in_its_own_part(store: &impl Store) {
    for (limit, step) in [(rolling("rolling", 100, MINUTE), 1), (calendar("hourly", 100, CalendarUnit::Hour), 3_600)] {
        let window = if step == 1 { 61 } else { 3_600 };
        store.reserve(1, &[take(&limit, 10)], at(NOW)).await.expect("it fits");
        let later = secs(if step == 1 { 50 } else { 3_600 });
        let mut grant = store.reserve(2, &[take(&limit, 0)], at(later)).await.expect("it takes nothing");
        grant.taken[0].fit = Fit::Unchecked;
        store.settle(&settlement(&grant, &[90]), at(later)).await;
        for after in [window, window + 1, later.as_secs() + window - 1] {
            store.reserve(3, &[take(&limit, 50)], at(secs(after))).await.expect_err("90 are used");
        }
        store.reserve(4, &[take(&limit, 100)], at(later + secs(window))).await.expect("it has left");
    }
}
