//! Windows as pure functions of time. A rolling window is 60 parts and the one that time stands in; the
//! oldest counts whole, so that in no stretch of the window's length more than the amount is used. A
//! calendar's begins anew with each of its units.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// What time it is, for windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Nanoseconds on a clock that never steps. It began at the Unix time of the process's start, or goes on where
    /// that of the process stood that left a journal; nothing else is to be made of it.
    pub steady: u64,
    /// Seconds since the Unix epoch. It may step.
    pub unix: u64,
}

/// In which time an amount may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// It is used as long as the call lasts (`Concurrency`).
    Held,
    /// In any stretch of time of this length.
    Rolling(Duration),
    Calendar(Calendar),
}

/// From the beginning of one unit of a calendar to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub unit: Unit,
    pub zone: TimeZone,
}

/// A week begins on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// One unit of a calendar, in seconds since the Unix epoch: from `begin` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub begin: u64,
    pub end: u64,
}

/// When a bucket ends to count: from this moment on it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At this nanosecond of the steady clock.
    Steady(u64),
    /// At this second of the Unix time.
    Unix(u64),
    /// When the call ends, and nobody knows when that is.
    Release,
}

/// Parts of a rolling window.
pub const PARTS: u64 = 60;

const HOUR: i64 = 3_600;

/// The length of a part of a rolling window, in nanoseconds: a 60th, rounded up to whole microseconds, for a store's
/// clock has nothing finer and all stores shall cut time at the same places.
pub fn part(length: Duration) -> u64 {
    let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    nanos.div_ceil(PARTS * 1_000).max(1).saturating_mul(1_000)
}

// === impl Time ===

impl Time {
    /// Each clock as far as it has come in either.
    #[must_use]
    pub fn latest(self, other: Time) -> Time {
        Time { steady: self.steady.max(other.steady), unix: self.unix.max(other.unix) }
    }
}

// === impl Window ===

impl Window {
    /// The bucket in which time stands: the number of a rolling window's part since its clock began, the second at
    /// which a calendar's unit began; 0 where there is but one.
    pub fn bucket(&self, now: Time) -> u64 {
        match self {
            Window::Held => 0,
            Window::Rolling(length) => now.steady / part(*length),
            Window::Calendar(calendar) => calendar.unit_at(now.unix).begin,
        }
    }

    /// When a bucket ends to count. A rolling window's does when time has left the 60 parts after it.
    pub fn end(&self, bucket: u64) -> End {
        match self {
            Window::Held => End::Release,
            Window::Rolling(length) => End::Steady(bucket.saturating_add(PARTS + 1).saturating_mul(part(*length))),
            Window::Calendar(calendar) => End::Unix(calendar.unit_at(bucket).end),
        }
    }

    /// Whether a bucket is ahead of the one in which time stands by more than one unit, or one window. A clock that is
    /// put right by a little never shows so much; one that was wrong by years does, and no spend may wait for those.
    pub fn is_far_ahead(&self, bucket: u64, current: u64) -> bool {
        match self {
            Window::Held => false,
            Window::Rolling(_) => bucket > current.saturating_add(PARTS),
            Window::Calendar(calendar) => {
                bucket > current && bucket >= calendar.unit_at(calendar.unit_at(current).end).end
            }
        }
    }
}

// === impl Calendar ===

impl Calendar {
    /// The unit in which a second lies. Every second lies in one, and a later second in the same or a later one, also
    /// where clocks are set back over midnight. A day is as long as it is in its zone. An hour ends where clocks are
    /// set, so that the two hours of a night that have one name are two.
    pub fn unit_at(&self, unix: u64) -> Span {
        // Beyond the year 9999, where calendars end, all time is one unit.
        self.spanned(unix).unwrap_or(Span { begin: 0, end: u64::MAX })
    }

    fn spanned(&self, unix: u64) -> Option<Span> {
        let at = Timestamp::from_second(i64::try_from(unix).ok()?).ok()?;
        let (begin, end) = match self.unit {
            Unit::Hour => self.hour(at)?,
            Unit::Day | Unit::Week | Unit::Month | Unit::Year => self.dates(at)?,
        };
        Some(Span { begin: u64::try_from(begin).unwrap_or(0), end: u64::try_from(end).ok()? })
    }

    /// The hour by the clock that is valid then, cut where that clock begins or ends to be.
    fn hour(&self, at: Timestamp) -> Option<(i64, i64)> {
        let offset = self.zone.to_offset(at);
        let second = at.as_second();
        let mut begin = second - (second + i64::from(offset.seconds())).rem_euclid(HOUR);
        let mut end = begin + HOUR;
        // Not every entry of a zone's table changes its offset.
        let following = self.zone.following(at).take_while(|entry| entry.timestamp().as_second() < end);
        if let Some(entry) = following.into_iter().find(|entry| entry.offset() != offset) {
            end = entry.timestamp().as_second();
        }
        let mut later = at.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
        while let Some(entry) = self.zone.preceding(later).next().filter(|e| e.timestamp().as_second() > begin) {
            later = entry.timestamp();
            let before = later.checked_sub(jiff::SignedDuration::from_secs(1)).ok()?;
            if self.zone.to_offset(before) != offset {
                begin = later.as_second();
            }
        }
        Some((begin, end))
    }

    /// From the first instant of a unit's first date to that of the next unit's.
    fn dates(&self, at: Timestamp) -> Option<(i64, i64)> {
        let mut first = self.first(self.zone.to_datetime(at).date())?;
        let mut next = self.next(first)?;
        // Clocks that are set back over midnight show yesterday's date again; today has begun all the same.
        while self.start(next)? <= at {
            (first, next) = (next, self.next(next)?);
        }
        Some((self.start(first)?.as_second(), self.start(next)?.as_second()))
    }

    /// The first date of the unit of a date.
    fn first(&self, date: Date) -> Option<Date> {
        match self.unit {
            Unit::Hour | Unit::Day => Some(date),
            Unit::Week => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                date.checked_sub(jiff::Span::new().days(days)).ok()
            }
            Unit::Month => Some(date.first_of_month()),
            Unit::Year => Some(date.first_of_year()),
        }
    }

    fn next(&self, first: Date) -> Option<Date> {
        let unit = jiff::Span::new();
        let unit = match self.unit {
            Unit::Hour | Unit::Day => unit.days(1),
            Unit::Week => unit.weeks(1),
            Unit::Month => unit.months(1),
            Unit::Year => unit.years(1),
        };
        first.checked_add(unit).ok()
    }

    /// The first instant of a date, or of what follows it where the zone left it out.
    fn start(&self, date: Date) -> Option<Timestamp> {
        let midnight: DateTime = date.at(0, 0, 0, 0);
        let ambiguous = self.zone.to_ambiguous_timestamp(midnight);
        let AmbiguousOffset::Gap { before, .. } = ambiguous.offset() else {
            return ambiguous.compatible().ok();
        };
        // Clocks jump over midnight: the date begins with the jump, and that is the last change before this instant.
        let after = before.to_timestamp(midnight).ok()?.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
        Some(self.zone.preceding(after).next()?.timestamp())
    }
}

// === impl End ===

impl End {
    pub fn is_past(self, now: Time) -> bool {
        match self {
            End::Steady(end) => now.steady >= end,
            End::Unix(end) => now.unix >= end,
            End::Release => false,
        }
    }

    /// How long until then; zero when it is past.
    pub fn after(self, now: Time) -> Option<Duration> {
        match self {
            End::Steady(end) => Some(Duration::from_nanos(end.saturating_sub(now.steady))),
            End::Unix(end) => Some(Duration::from_secs(end.saturating_sub(now.unix))),
            End::Release => None,
        }
    }
}

#[cfg(test)]
mod tests;
