//! Counters in this process: bounded in keys, divided into shards, each call all or nothing. A limit gets as many of
//! the keys as are still free. One that finds no room is counted with all others of its limit that find none; see
//! [`overflow`]. A counter with spend that still counts is never dropped for another. Nothing here reads a clock or
//! waits for anything but a lock, and a lock is held for one operation only.

pub mod list;
pub mod lock;
mod overflow;
mod shard;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::counter::Counter;
use super::take::{Fit, Grant, Passed, Posture, Refused, Settlement, Standing, Take, Taken};
use super::window::{self, Time, Window};
use super::{Limit, Unit};
use lock::{Lock, Locks, Std};
use shard::Shard;

/// The counters of all keys of all limits that are counted in this process.
pub struct Memory<L: Locks = Std> {
    /// Seeded at random, for callers choose keys. What it makes of a key says which shard the key is in and finds it
    /// there.
    hasher: RandomState,
    shards: Box<[L::Lock<Shard>]>,
    bound: usize,
    uncounted: AtomicU64,
    /// The hour of the Unix time in which counters from far ahead were told of last.
    told: AtomicU64,
}

/// The shards of one call, locked in their order, so that no two calls wait for one another.
struct Locked<'a, L: Locks + 'a> {
    /// Of each take, and which of the guards has it.
    places: Vec<(u64, usize)>,
    guards: Vec<Guard<'a, L>>,
    /// Takes whose counters are not there and find no room.
    lacking: Vec<usize>,
}

type Guard<'a, L> = <<L as Locks>::Lock<Shard> as Lock<Shard>>::Guard<'a>;

/// More are of no use to a process of a few dozen threads that holds a lock for a microsecond.
const SHARDS: usize = 16;
/// A shard has its own share of the bound. With fewer keys than this it would be full long before the others.
const LEAST: usize = 1_024;

// === impl Memory ===

impl Memory {
    /// Room for `bound` keys, and for one at least; of one limit alone for half of them, rounded up. A shard is full
    /// with its share of them, so of very many keys about a twentieth may find no room before the last place is taken.
    pub fn new(bound: usize) -> Memory {
        Memory::with_locks(bound)
    }
}

impl<L: Locks> Memory<L> {
    /// [`Memory::new`] with locks of this kind.
    pub fn with_locks(bound: usize) -> Memory<L> {
        let bound = bound.max(1);
        let count = (bound / LEAST).clamp(1, SHARDS);
        let shards = (0..count).map(|n| Lock::new(Shard::new(bound / count + usize::from(n < bound % count))));
        let (uncounted, told) = (AtomicU64::new(0), AtomicU64::new(0));
        Memory { hasher: RandomState::new(), shards: shards.collect(), bound, uncounted, told }
    }

    /// Takes all of `takes`, or nothing where one of them is enforced and does not fit. Takes of one counter add up.
    /// A take that finds no room for its key is of the counter that such keys of its limit have together, and so is
    /// what is `taken`; in the one case in which not even that has room it is `Unchecked`.
    ///
    /// # Errors
    /// The take that did not fit. Nothing was taken of any.
    pub fn reserve(&self, id: u128, takes: &[Take], now: Time) -> Result<Grant, Refused> {
        let mut locked = self.lock(takes);
        let decision = locked.judge(takes, now).map(|fits| locked.take_all(id, takes, fits, now));
        let lacking = std::mem::take(&mut locked.lacking);
        let receded = locked.has_receded();
        drop(locked);
        if receded {
            self.tell_receded(now);
        }
        match decision? {
            Some(grant) => Ok(grant),
            None => {
                let takes = overflow::instead(takes, &lacking);
                let mut locked = self.lock(&takes);
                let fits = locked.judge(&takes, now)?;
                locked.lacking.clear();
                Ok(locked.take_all(id, &takes, fits, now).unwrap_or(Grant { id, taken: Vec::new() }))
            }
        }
    }

    /// Charges what a grant came to, each take in the bucket of its admission, and says which shares of `warnAt` are
    /// reached by that. A charge that no longer counts, or that is not known, changes nothing; one that was `Unchecked`
    /// is counted if there is room by now, and else in [`Memory::uncounted`]. A grant is to be settled once.
    pub fn settle(&self, settlement: &Settlement, now: Time) -> Vec<Passed> {
        let (mut all, mut receded) = (Vec::new(), false);
        for (taken, amount) in settlement.grant.taken.iter().zip(&settlement.amounts) {
            let is_same = *amount == taken.amount && taken.limit.window != Window::Held;
            if is_same && taken.limit.warn_at.is_empty() {
                continue;
            }
            let place = self.place(&taken.limit, &taken.key);
            let Some(mut shard) = self.shard(place) else { continue };
            let settled =
                if is_same { Some(shard.close(place, taken, now)) } else { shard.settle(place, taken, *amount, now) };
            receded |= std::mem::take(&mut shard.receded);
            drop(shard);
            if settled.is_none() {
                self.uncounted.fetch_add(1, Ordering::Relaxed);
            }
            let passed = |share| Passed { limit: taken.limit.clone(), key: taken.key.clone(), share };
            all.extend(settled.flatten().map(passed));
        }
        if receded {
            self.tell_receded(now);
        }
        all
    }

    /// How each limit stands, in order. Nothing is taken, and no counter is made or moved on.
    pub fn peek(&self, takes: &[Take], now: Time) -> Vec<Standing> {
        let standing = |take: &Take| {
            let place = self.place(&take.limit, &take.key);
            let shard = self.shard(place);
            let slot = shard.as_ref().and_then(|shard| shard.find(place, &take.limit, &take.key));
            standing(slot.map(|slot| &slot.counter), take, now)
        };
        takes.iter().map(standing).collect()
    }

    /// Charges what an earlier process has left in these buckets, the oldest first; `end` is when the newest ends to
    /// count, on the clock of its window. Before anything else is charged, for it takes the place of what is. False
    /// where there is no room.
    pub fn restore(&self, limit: &Arc<Limit>, key: &Arc<str>, charges: &[(u64, u64)], end: u64, now: Time) -> bool {
        let place = self.place(limit, key);
        let counter = Counter::restored(&limit.window, charges, end);
        self.shard(place).is_some_and(|mut shard| shard.restore(place, limit, key, counter, now))
    }

    /// How many keys there is room for.
    pub fn bound(&self) -> usize {
        self.bound
    }

    /// How many settlements, since the start, found no room to charge what an unchecked take had come to.
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Ordering::Relaxed)
    }

    /// One line an hour, however many counters there are.
    fn tell_receded(&self, now: Time) {
        let hour = now.unix / 3_600;
        if self.told.swap(hour, Ordering::Relaxed) != hour {
            tracing::warn!(
                "the clock is far behind what it has shown before: what is used of limits in that time counts as used now"
            );
        }
    }

    /// A limit whose window or unit is changed begins with new counters: what the old ones hold says nothing of it,
    /// and calls that still know the old limit go on with those.
    fn place(&self, limit: &Limit, key: &str) -> u64 {
        self.hasher.hash_one((kind(limit), key))
    }

    fn lock(&self, takes: &[Take]) -> Locked<'_, L> {
        let shard = |place: u64| shard_of(place, self.shards.len());
        let places: Vec<u64> = takes.iter().map(|take| self.place(&take.limit, &take.key)).collect();
        let mut wanted: Vec<usize> = places.iter().map(|place| shard(*place)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let guard = |place: u64| wanted.binary_search(&shard(place)).unwrap_or(usize::MAX);
        let places = places.into_iter().map(|place| (place, guard(place))).collect();
        let guards = wanted.iter().filter_map(|n| self.shards.get(*n)).map(Lock::hold).collect();
        Locked { places, guards, lacking: Vec::new() }
    }

    fn shard(&self, place: u64) -> Option<Guard<'_, L>> {
        self.shards.get(shard_of(place, self.shards.len())).map(Lock::hold)
    }
}

/// By the upper half of a place; a shard's table goes by the lowest and the uppermost bits.
fn shard_of(place: u64, shards: usize) -> usize {
    let middle = usize::try_from(place >> 24 & 0xff_ffff).unwrap_or(0);
    middle % shards.max(1)
}

/// What must be the same for two limits to have one counter, beside the key.
fn kind(limit: &Limit) -> (Unit, u8, u64) {
    let (window, length) = match &limit.window {
        Window::Held => (0, 0),
        Window::Rolling(length) => (1, window::part(*length)),
        // Not the zone: a unit that runs ends as it began.
        Window::Calendar(calendar) => (2, calendar.unit as u64),
    };
    (limit.unit, window, length)
}

/// What is said of a counter; a key that has none has used nothing.
fn standing(counter: Option<&Counter>, take: &Take, now: Time) -> Standing {
    let used = counter.map_or(0, |counter| counter.used_at(&take.limit.window, now));
    let reset = counter.map(|counter| counter.reset(&take.limit.window, now)).unwrap_or_default();
    Standing { ceiling: take.ceiling, left: take.ceiling.saturating_sub(used), reset }
}

/// Whether a wait is longer than another; none is longest.
fn is_longer(wait: Option<Duration>, than: Option<Duration>) -> bool {
    than.is_some_and(|than| wait.is_none_or(|wait| wait > than))
}

// === impl Locked ===

impl<L: Locks> Locked<'_, L> {
    /// Whether each take fits, with those before it that have the same counter.
    fn judge(&mut self, takes: &[Take], now: Time) -> Result<Vec<bool>, Refused> {
        let mut fits: Vec<bool> = Vec::with_capacity(takes.len());
        let mut refused: Option<(usize, Option<Duration>)> = None;
        for (n, take) in takes.iter().enumerate() {
            let amount = take.amount.saturating_add(self.before(n, takes, &fits));
            let counter = self.counter(n, take, now);
            let fit = counter.map_or(amount <= take.ceiling, |counter| counter.fits(amount, take.ceiling));
            let is_new = counter.is_none();
            fits.push(fit);
            if is_new && take.amount > 0 && self.lacks(n, take, now) {
                self.lacking.push(n);
            }
            if fit || take.posture != Posture::Enforce {
                continue;
            }
            let counter = self.counter(n, take, now);
            let wait = counter.and_then(|counter| counter.wait(&take.limit.window, amount, take.ceiling, now));
            if refused.is_none_or(|(_, longest)| is_longer(wait, longest)) {
                refused = Some((n, wait));
            }
        }
        match refused {
            None => Ok(fits),
            Some((take, wait)) => Err(Refused { take, wait, standings: self.standings(takes, now) }),
        }
    }

    /// Whether a take has no counter and finds no room for one.
    fn lacks(&mut self, n: usize, take: &Take, now: Time) -> bool {
        self.shard(n).is_some_and(|(_, shard)| !shard.has_room(&take.limit, &take.key, now))
    }

    /// Whether a counter was far ahead of the clock, told once.
    fn has_receded(&mut self) -> bool {
        let told = self.guards.iter_mut().map(|shard| std::mem::take(&mut shard.receded));
        told.fold(false, |any, one| any | one)
    }

    /// What the takes before this one will have charged to the same counter.
    fn before(&self, n: usize, takes: &[Take], fits: &[bool]) -> u64 {
        let place = self.places.get(n).map(|(place, _)| *place);
        let same = |(at, _): &(u64, usize)| Some(*at) == place;
        let charged = self.places.iter().zip(takes.iter().zip(fits)).filter(|(at, _)| same(at));
        let charged = charged.filter(|(_, (take, fits))| **fits || take.posture != Posture::Shadow);
        charged.fold(0, |sum, (_, (take, _))| sum.saturating_add(take.amount))
    }

    fn standings(&mut self, takes: &[Take], now: Time) -> Vec<Standing> {
        let all = takes.iter().enumerate();
        all.map(|(n, take)| standing(self.counter(n, take, now), take, now)).collect()
    }

    /// Takes what was judged. None where some of it finds no room.
    fn take_all(&mut self, id: u128, takes: &[Take], fits: Vec<bool>, now: Time) -> Option<Grant> {
        if !self.lacking.is_empty() {
            return None;
        }
        let taken = takes.iter().zip(fits).enumerate().map(|(n, (take, fits))| self.take(id, n, take, fits, now));
        Some(Grant { id, taken: taken.collect() })
    }

    fn take(&mut self, grant: u128, n: usize, take: &Take, fits: bool, now: Time) -> Taken {
        let taken = |amount, bucket, fit, passed, standing| Taken {
            grant,
            limit: take.limit.clone(),
            key: take.key.clone(),
            amount,
            bucket,
            fit,
            standing,
            passed,
            slice: None,
        };
        let fit = if fits { Fit::Fits } else { Fit::Over };
        let amount = if fits || take.posture != Posture::Shadow { take.amount } else { 0 };
        let charged = match self.shard(n) {
            Some((place, shard)) if amount > 0 => shard.charge(place, take, now),
            _ => {
                let counter = self.counter(n, take, now);
                let bucket = counter.map_or_else(|| take.limit.window.bucket(now), Counter::bucket);
                return taken(0, bucket, fit, None, standing(counter, take, now));
            }
        };
        let Some(charged) = charged else {
            return taken(0, take.limit.window.bucket(now), Fit::Unchecked, None, standing(None, take, now));
        };
        let standing = standing(self.counter(n, take, now), take, now);
        taken(charged.amount, charged.bucket, fit, charged.passed, standing)
    }

    fn counter(&mut self, n: usize, take: &Take, now: Time) -> Option<&Counter> {
        let (place, shard) = self.shard(n)?;
        shard.at(place, take, now).map(|slot| &slot.counter)
    }

    fn shard(&mut self, n: usize) -> Option<(u64, &mut Shard)> {
        let (place, guard) = *self.places.get(n)?;
        Some((place, self.guards.get_mut(guard)?))
    }
}

#[cfg(test)]
mod tests;
