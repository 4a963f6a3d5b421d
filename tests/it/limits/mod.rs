//! Limits, whatever store counts them: one suite of behaviours, and any interleaving of callers against a model that
//! adds up by hand. A store joins with an implementation of [`Store`], a line of `behaviours!` and one of
//! [`random::follow`].

/// Every behaviour of [`suite`] as a test of its own, each on a new store.
macro_rules! behaviours {
    // What not every store does yet.
    (beyond $make:expr) => {
        behaviours! { $make =>
            a_reservation_alone_warns_of_nothing
            a_warning_comes_again_only_after_a_deep_fall
        }
    };
    ($make:expr) => {
        behaviours! { $make =>
            up_to_the_amount_and_no_further
            all_or_nothing
            the_longest_wait_is_told
            a_rolling_wait_is_exact
            a_calendars_wait_is_exact
            what_never_fits_has_no_wait
            less_is_given_back_where_it_was_taken
            more_is_charged_even_over_the_ceiling
            what_has_left_the_window_is_not_settled
            observing_charges_and_never_refuses
            a_shadow_takes_what_fits_and_nothing_else
            a_call_is_held_until_it_is_settled
            takes_of_one_counter_add_up
            each_caller_has_its_own_ceiling
            keys_and_limits_are_apart
            a_warning_is_given_once_a_unit
            a_rolling_warning_is_given_again_after_a_fall
            standings_say_what_is_left_and_for_how_long
            peeking_takes_nothing
            a_day_is_as_long_as_it_is_in_its_zone
            a_wall_clock_that_steps_back_gives_nothing_twice
            nothing_leaves_a_window_early
            what_is_far_ahead_comes_back_to_now
            what_was_taken_far_ahead_is_not_given_back
            a_unit_that_runs_ends_as_it_began
            what_was_unchecked_is_charged_in_its_own_part
        }
    };
    ($make:expr => $($name:ident)*) => {
        $(#[tokio::test]
        async fn $name() {
            let store = $make.await;
            $crate::limits::suite::$name(&store).await;
        })*
    };
}

mod fleet;
mod hammer;
mod interleaved;
mod memory;
mod model;
mod random;
mod redis;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use weir::limit::take::{Fit, Grant, Posture, Refused, Settlement, Standing, Take};
use weir::limit::window::{Calendar, Time, Unit as CalendarUnit, Window};
use weir::limit::{Limit, Unit};

/// What counts limits. It is told the time. Both clocks of a `Time` show the same moment, except in the one behaviour
/// and the one property that step the wall clock.
pub trait Store {
    async fn reserve(&self, id: u128, takes: &[Take], now: Time) -> Result<Grant, Refused>;

    /// Which shares of `warnAt` are told to be reached by it; a store that does not say it here says it to the next call.
    async fn settle(&self, settlement: &Settlement, now: Time) -> Vec<u8>;

    async fn peek(&self, takes: &[Take], now: Time) -> Vec<Standing>;
}

/// Where the clocks of every test begin: 2026-03-28 10:00:00 UTC, the day before Berlin's clocks are set forward. Ten
/// minutes of it are whole parts of every rolling window here.
pub const BEGIN: u64 = 1_774_692_000;

/// The moment so much later than [`BEGIN`], on both clocks.
pub fn at(after: Duration) -> Time {
    let steady = u64::try_from((Duration::from_secs(BEGIN) + after).as_nanos()).expect("before 2554");
    Time { steady, unix: BEGIN + after.as_secs() }
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn limit(name: &str, unit: Unit, amount: u64, window: Window) -> Limit {
    Limit { name: name.into(), ..Limit::new(&format!("policy/{name}"), unit, amount, window) }
}

/// So many requests in any stretch of this length.
pub fn rolling(name: &str, amount: u64, length: Duration) -> Arc<Limit> {
    Arc::new(limit(name, Unit::Requests, amount, Window::Rolling(length)))
}

/// So much in each unit of UTC's calendar.
pub fn calendar(name: &str, amount: u64, unit: CalendarUnit) -> Arc<Limit> {
    let zone = jiff::tz::TimeZone::UTC;
    Arc::new(limit(name, Unit::Usd, amount, Window::Calendar(Calendar { unit, zone })))
}

/// So many calls at a time.
pub fn held(name: &str, amount: u64) -> Arc<Limit> {
    Arc::new(limit(name, Unit::Concurrency, amount, Window::Held))
}

/// Enforced, up to the limit's amount, on the limit's only key.
pub fn take(limit: &Arc<Limit>, amount: u64) -> Take {
    let (key, ceiling) = (limit.id.clone(), limit.amount);
    Take { limit: limit.clone(), key, ceiling, amount, posture: Posture::Enforce }
}

pub fn as_posture(posture: Posture, take: Take) -> Take {
    Take { posture, ..take }
}

pub fn settlement(grant: &Grant, amounts: &[u64]) -> Settlement {
    Settlement { grant: grant.clone(), amounts: amounts.to_vec() }
}

pub fn fits(grant: &Grant) -> Vec<Fit> {
    grant.taken.iter().map(|taken| taken.fit).collect()
}

pub fn amounts(grant: &Grant) -> Vec<u64> {
    grant.taken.iter().map(|taken| taken.amount).collect()
}
