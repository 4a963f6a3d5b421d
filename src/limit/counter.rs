//! One key's counter: how much of a window is used, by the bucket of its admission. It knows no clock and no other
//! counter. Its amounts are a limit's parts, and all together at most [`MOST`].

mod warnings;

use std::time::Duration;

use warnings::Warnings;

use super::window::{self, Calendar, End, PARTS, Time, Window};
use super::{Limit, MOST};

/// What one key has used of a limit. Its time never goes back; see [`Counter::advance`].
#[derive(Clone, Debug)]
pub struct Counter {
    /// The newest bucket that time has stood in.
    bucket: u64,
    /// Of a calendar: the second at which that unit ends. So only a call in a new unit asks the calendar.
    until: u64,
    /// Of all buckets together.
    used: u64,
    /// Of the newest bucket.
    newest: u64,
    /// Which of the parts before it hold something: bit `n` is the part `n` before the newest.
    filled: u64,
    /// What those hold, the oldest first. Empty for a window of one bucket, and short where calls are few.
    older: Vec<u64>,
    /// None before a limit that warns has charged it.
    warnings: Option<Box<Warnings>>,
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// Less than was asked for only where a counter ends, at [`MOST`].
    pub amount: u64,
    /// Where it can be settled.
    pub bucket: u64,
    /// The highest share of the limit's `warn_at` that what is settled has reached and that was not told yet.
    pub passed: Option<u8>,
}

/// The parts that are still in a window beside the newest.
const LIVE: u64 = (1 << (PARTS + 1)) - 1;

// === impl Counter ===

impl Counter {
    pub fn new(window: &Window, now: Time) -> Counter {
        let mut counter = Counter::empty(0, 0);
        counter.advance(window, now);
        counter
    }

    /// One that holds these buckets, the oldest first. `end` is that of the newest, as its window has it.
    pub fn restored(window: &Window, charges: &[(u64, u64)], end: u64) -> Counter {
        let oldest = charges.first().map_or(0, |(bucket, _)| *bucket);
        let mut counter = Counter::empty(oldest, end);
        for (bucket, amount) in charges {
            match window {
                Window::Rolling(_) => counter.roll(*bucket),
                // Of a calendar only the newest counts.
                Window::Calendar(_) | Window::Held => counter = Counter::empty(*bucket, end),
            }
            let amount = (*amount).min(MOST.saturating_sub(counter.used));
            counter.newest += amount;
            counter.used += amount;
        }
        counter
    }

    fn empty(bucket: u64, until: u64) -> Counter {
        Counter { bucket, until, used: 0, newest: 0, filled: 0, older: Vec::new(), warnings: None }
    }

    /// Drops what has left the window. A `now` before the newest that was seen changes nothing, and what is charged
    /// then belongs to that newest bucket; unless that is so far ahead that the clock must have been wrong: then it
    /// moves to now, with all that is used. Whether it did, and something is.
    pub fn advance(&mut self, window: &Window, now: Time) -> bool {
        match window {
            Window::Held => {}
            Window::Rolling(length) => {
                let bucket = now.steady / window::part(*length);
                if window.is_far_ahead(self.bucket, bucket) {
                    return self.recede(bucket, 0);
                }
                self.roll(bucket);
            }
            Window::Calendar(calendar) if now.unix >= self.until => self.turn(calendar, now.unix),
            Window::Calendar(calendar) if now.unix < self.bucket => {
                let unit = calendar.unit_at(now.unix);
                if window.is_far_ahead(self.bucket, unit.begin) {
                    return self.recede(unit.begin, unit.end);
                }
            }
            Window::Calendar(_) => {}
        }
        false
    }

    /// Whether a charge of a bucket still counts.
    pub fn counts(&self, window: &Window, bucket: u64) -> bool {
        bucket >= self.oldest(window)
    }

    /// Where a charge goes.
    pub fn bucket(&self) -> u64 {
        self.bucket
    }

    pub fn used(&self) -> u64 {
        self.used
    }

    /// What will be used at `now`, or is, if nothing is charged until then.
    pub fn used_at(&self, window: &Window, now: Time) -> u64 {
        let past = self.charges().filter(|(bucket, _)| self.end(window, *bucket).is_past(now));
        past.fold(self.used, |used, (_, held)| used.saturating_sub(held))
    }

    pub fn fits(&self, amount: u64, ceiling: u64) -> bool {
        self.used.saturating_add(amount) <= ceiling
    }

    /// After how long `amount` fits if nothing else is charged; none where it never does or nobody knows.
    pub fn wait(&self, window: &Window, amount: u64, ceiling: u64, now: Time) -> Option<Duration> {
        let room = ceiling.checked_sub(amount)?;
        let mut used = self.used;
        if used <= room {
            return Some(Duration::ZERO);
        }
        for (bucket, held) in self.charges() {
            used = used.saturating_sub(held);
            if used <= room {
                return self.end(window, bucket).after(now);
            }
        }
        None
    }

    /// After how long nothing is used any more; zero where nothing is, or where nobody knows.
    pub fn reset(&self, window: &Window, now: Time) -> Duration {
        let end = self.youngest().map(|bucket| self.end(window, bucket));
        end.and_then(|end| end.after(now)).unwrap_or_default()
    }

    /// When the counter may be forgotten: a new one would say the same.
    pub fn idle(&self, window: &Window) -> End {
        match (window, self.youngest()) {
            (_, Some(bucket)) => self.end(window, bucket),
            // That a warning was given is to be known as long as the unit lasts.
            (Window::Calendar(_), None) if self.warnings.as_ref().is_some_and(|warnings| warnings.given > 0) => {
                End::Unix(self.until)
            }
            // A counter that is ahead of its clock keeps time from going back.
            (Window::Calendar(_), None) => End::Unix(self.bucket),
            (Window::Rolling(length), None) => End::Steady(self.bucket.saturating_mul(window::part(*length))),
            (Window::Held, None) => End::Steady(0),
        }
    }

    /// Charges the newest bucket, whether that fits or not.
    pub fn charge(&mut self, limit: &Limit, amount: u64, ceiling: u64, now: Time) -> Charged {
        self.rearm(limit, now);
        let amount = amount.min(MOST.saturating_sub(self.used));
        self.newest += amount;
        self.used += amount;
        Charged { amount, bucket: self.bucket, passed: self.warn(limit, amount, ceiling, now) }
    }

    /// Charges `to` instead of `from` in a bucket, as long as that counts; nothing afterwards. A held amount is
    /// released whatever it came to. [`Counter::close`] is to be told of it too.
    pub fn settle(&mut self, limit: &Limit, bucket: u64, from: u64, to: u64, now: Time) {
        self.rearm(limit, now);
        let age = self.bucket.saturating_sub(bucket);
        match limit.window {
            Window::Held => self.newest = self.replaced(self.newest, from, 0),
            // It was taken when the clock showed what it no longer does. Nobody knows what of it is still here: it
            // stays as it was taken, and what it came to beyond that is charged.
            _ if bucket > self.bucket => self.newest = self.replaced(self.newest, 0, to.saturating_sub(from)),
            _ if age == 0 => self.newest = self.replaced(self.newest, from, to),
            Window::Rolling(_) if age <= PARTS => self.settle_older(age, from, to),
            Window::Rolling(_) | Window::Calendar(_) => {}
        }
    }

    fn settle_older(&mut self, age: u64, from: u64, to: u64) {
        let bit = 1 << age;
        // Bits above it are older parts, which stand before it.
        let at = usize::try_from((self.filled >> age >> 1).count_ones()).unwrap_or(usize::MAX).min(self.older.len());
        let held = if self.filled & bit == 0 { None } else { self.older.get(at).copied() };
        let new = self.replaced(held.unwrap_or(0), from, to);
        match (held, self.older.get_mut(at)) {
            (Some(_), _) if new == 0 => {
                self.older.remove(at);
                self.filled &= !bit;
            }
            (Some(_), Some(held)) => *held = new,
            _ if new == 0 => {}
            _ => {
                self.older.insert(at, new);
                self.filled |= bit;
            }
        }
    }

    /// What a bucket holds with `to` instead of `from`; the sum of all is put right.
    fn replaced(&mut self, held: u64, from: u64, to: u64) -> u64 {
        let rest = self.used.saturating_sub(held);
        let new = held.saturating_sub(from).saturating_add(to).min(MOST.saturating_sub(rest));
        self.used = rest + new;
        new
    }

    /// Moves on to a later part.
    fn roll(&mut self, bucket: u64) {
        let steps = bucket.saturating_sub(self.bucket);
        if steps == 0 {
            return;
        }
        self.bucket = bucket;
        if self.newest > 0 {
            self.older.push(self.newest);
            self.filled |= 1;
            self.newest = 0;
        }
        let shift = u32::try_from(steps).unwrap_or(u32::MAX);
        self.filled = self.filled.checked_shl(shift).unwrap_or(0) & LIVE;
        let live = usize::try_from(self.filled.count_ones()).unwrap_or(usize::MAX);
        let gone = self.older.len().saturating_sub(live);
        self.used = self.older.drain(..gone).fold(self.used, u64::saturating_sub);
        if let Some(warnings) = &mut self.warnings {
            warnings.leave(bucket.saturating_sub(PARTS));
        }
    }

    /// Moves back, as old as everything is. Whether something is used.
    fn recede(&mut self, bucket: u64, until: u64) -> bool {
        (self.bucket, self.until) = (bucket, until);
        if let Some(warnings) = &mut self.warnings {
            warnings.recede();
        }
        self.used > 0
    }

    /// Moves on to a later unit.
    fn turn(&mut self, calendar: &Calendar, unix: u64) {
        let unit = calendar.unit_at(unix);
        // Later than it was, unless the limit's zone has been changed since.
        self.bucket = unit.begin.max(self.bucket);
        self.until = unit.end;
        (self.used, self.newest) = (0, 0);
        if let Some(warnings) = &mut self.warnings {
            warnings.renew();
        }
    }

    /// Every bucket that holds something, the oldest first.
    pub fn charges(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut left = self.filled;
        let ages = std::iter::from_fn(move || {
            let age = left.checked_ilog2()?;
            left ^= 1 << age;
            Some(u64::from(age))
        });
        let older = ages.zip(&self.older).map(|(age, held)| (self.bucket.saturating_sub(age), *held));
        older.chain((self.newest > 0).then_some((self.bucket, self.newest)))
    }

    /// The latest bucket that holds something.
    fn youngest(&self) -> Option<u64> {
        match (self.newest, self.filled) {
            (0, 0) => None,
            (0, filled) => Some(self.bucket.saturating_sub(u64::from(filled.trailing_zeros()))),
            _ => Some(self.bucket),
        }
    }

    fn end(&self, window: &Window, bucket: u64) -> End {
        match window {
            Window::Calendar(_) => End::Unix(self.until),
            Window::Held | Window::Rolling(_) => window.end(bucket),
        }
    }
}

#[cfg(test)]
mod tests;
