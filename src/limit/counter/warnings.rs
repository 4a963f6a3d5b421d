//! Which shares of a limit have been told of. They go by what is settled: a reservation is the most that a call may
//! come to, and most calls come to much less.

use super::super::{Limit, Stage};
use super::Counter;
use crate::limit::window::{PARTS, Time, Window};

/// Of one counter. Only those of limits that warn have it.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    /// How many of the limit's shares have been told.
    pub(super) given: u8,
    /// The ceiling to which the last of them belonged, and when that was on the steady clock.
    of: u64,
    told: u64,
    /// What calls that are not over have reserved, by the bucket of their admission, the oldest first. Of what is
    /// what it is when it is taken (requests, calls at a time) nothing is open.
    open: Vec<(u64, u64)>,
}

/// A share is told again when the use has fallen below so many percent of it.
const FALLEN: u128 = 80;
/// And no sooner than this after a share was told last, in nanoseconds: a counter of a few calls at a time rises and
/// falls with each of them.
const PAUSE: u64 = 60_000_000_000;

// === impl Warnings ===

impl Warnings {
    fn reserve(&mut self, bucket: u64, amount: u64) {
        match self.open.last_mut() {
            Some((last, open)) if *last == bucket => *open = open.saturating_add(amount),
            _ if amount == 0 => {}
            _ => {
                let at = self.open.partition_point(|(before, _)| *before < bucket);
                self.open.insert(at, (bucket, amount));
            }
        }
    }

    fn close(&mut self, bucket: u64, amount: u64) {
        let Ok(at) = self.open.binary_search_by_key(&bucket, |(bucket, _)| *bucket) else { return };
        let Some((_, open)) = self.open.get_mut(at) else { return };
        *open = open.saturating_sub(amount);
        if *open == 0 {
            self.open.remove(at);
        }
    }

    /// What was reserved in these buckets no longer counts.
    pub(super) fn leave(&mut self, before: u64) {
        let gone = self.open.partition_point(|(bucket, _)| *bucket < before);
        self.open.drain(..gone);
    }

    /// Time stands in an earlier bucket than it did, and what is open there is no longer told from the rest.
    pub(super) fn recede(&mut self) {
        self.open.clear();
    }

    /// A new unit of a calendar begins.
    pub(super) fn renew(&mut self) {
        self.open.clear();
        self.given = 0;
    }
}

// === impl Counter ===

impl Counter {
    /// Shares below which the use has fallen can be told again, except in a calendar's unit, which has each once.
    pub(super) fn rearm(&mut self, limit: &Limit, now: Time) {
        let settled = self.settled();
        let Some(warnings) = &mut self.warnings else { return };
        let is_soon = now.steady < warnings.told.saturating_add(PAUSE);
        if warnings.given == 0 || is_soon || matches!(limit.window, Window::Calendar(_)) {
            return;
        }
        while let Some(share) = warnings.given.checked_sub(1).map(|last| limit.warn_at.get(usize::from(last))) {
            if share.is_some_and(|share| reaches(settled, 100 * 100, warnings.of, u128::from(*share) * FALLEN)) {
                return;
            }
            warnings.given -= 1;
        }
    }

    /// The highest share that is reached and has not been told yet; `reserved` is what a call has just taken.
    pub(super) fn warn(&mut self, limit: &Limit, reserved: u64, ceiling: u64, now: Time) -> Option<u8> {
        if limit.warn_at.is_empty() {
            return None;
        }
        let bucket = self.bucket;
        let warnings = self.warnings.get_or_insert_default();
        if limit.unit.stage() == Stage::Reserve {
            warnings.reserve(bucket, reserved);
        }
        let settled = self.settled();
        let warnings = self.warnings.get_or_insert_default();
        let mut passed = None;
        while let Some(share) = limit.warn_at.get(usize::from(warnings.given)) {
            if warnings.given == u8::MAX || settled == 0 || !reaches(settled, 100, ceiling, u128::from(*share)) {
                break;
            }
            warnings.given += 1;
            (warnings.of, warnings.told) = (ceiling, now.steady);
            passed = Some(*share);
        }
        passed
    }

    /// What a call reserved is what it came to, or has been put right: a share may be reached by that.
    pub fn close(&mut self, limit: &Limit, bucket: u64, reserved: u64, ceiling: u64, now: Time) -> Option<u8> {
        if let Some(warnings) = &mut self.warnings {
            warnings.close(bucket, reserved);
        }
        self.warn(limit, 0, ceiling, now)
    }

    /// What is used, without what calls that are not over have reserved.
    fn settled(&self) -> u64 {
        let open = self.warnings.iter().flat_map(|warnings| &warnings.open);
        open.fold(self.used, |used, (_, open)| used.saturating_sub(*open))
    }

    /// The first bucket of which something counts.
    pub(super) fn oldest(&self, window: &Window) -> u64 {
        match window {
            Window::Held => 0,
            Window::Rolling(_) => self.bucket.saturating_sub(PARTS),
            Window::Calendar(_) => self.bucket,
        }
    }
}

/// `used / hundred >= ceiling * share`, without a fraction.
fn reaches(used: u64, hundred: u128, ceiling: u64, share: u128) -> bool {
    u128::from(used) * hundred >= u128::from(ceiling) * share
}
