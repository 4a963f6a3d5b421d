//! A part of all keys behind one lock. When it is full, what no longer counts is dropped, all of it in one pass; and
//! while it is known that a pass would find nothing, none is made.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::{kind, overflow};
use crate::limit::Limit;
use crate::limit::counter::{Charged, Counter};
use crate::limit::take::{Take, Taken};
use crate::limit::window::{End, Time, Window};

pub struct Shard {
    most: usize,
    slots: HashMap<u64, Slot, BuildHasherDefault<Place>>,
    /// How many of them each limit has, by its id.
    keys: HashMap<Arc<str>, usize>,
    /// Until when, on either clock, no counter can be dropped.
    quiet: Time,
    /// When one was dropped last. A new counter begins no earlier: the one before it may have seen that time.
    floor: Time,
    /// A counter with spend has been found far ahead of the clock, and nobody has been told.
    pub receded: bool,
}

/// Beyond what there is room for: for the counters of keys that find none.
const SPARE: usize = 64;

/// The longest that no pass is made while keys find no room, in seconds: what a clock that was wrong has seen would
/// not end for years.
const PATIENCE: u64 = 3_600;

/// One key.
pub struct Slot {
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    /// That of the latest take.
    pub ceiling: u64,
    pub counter: Counter,
}

/// A place is a hash already.
#[derive(Default)]
pub struct Place(u64);

// === impl Shard ===

impl Shard {
    pub fn new(most: usize) -> Shard {
        let (quiet, floor) = (Time::default(), Time::default());
        Shard { most, slots: HashMap::default(), keys: HashMap::new(), quiet, floor, receded: false }
    }

    pub fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values()
    }

    /// The counter as it is. None too where another key is in its place, which of a million keys happens to one in
    /// millions of processes: that key is not counted, and its takes are `Unchecked`.
    pub fn find(&self, place: u64, limit: &Limit, key: &str) -> Option<&Slot> {
        self.slots.get(&place).filter(|slot| slot.is_of(limit, key))
    }

    /// The counter of a take as it is now.
    pub fn at(&mut self, place: u64, take: &Take, now: Time) -> Option<&Slot> {
        let slot = self.slots.get_mut(&place).filter(|slot| slot.is_of(&take.limit, &take.key))?;
        self.receded |= slot.counter.advance(&take.limit.window, now);
        Some(slot)
    }

    /// Charges a take, whether it fits or not. None where there is no room for its key.
    pub fn charge(&mut self, place: u64, take: &Take, now: Time) -> Option<Charged> {
        let slot = self.open(place, &take.limit, &take.key, now)?;
        slot.ceiling = take.ceiling;
        let charged = slot.counter.charge(&take.limit, take.amount, take.ceiling, now);
        let idle = slot.counter.idle(&take.limit.window);
        self.stir(idle);
        Some(charged)
    }

    /// Charges `amount` instead of what was taken, and says which share is reached by that. None where it should have
    /// been charged and there is no room.
    pub fn settle(&mut self, place: u64, taken: &Taken, amount: u64, now: Time) -> Option<Option<u8>> {
        let window = &taken.limit.window;
        let known = self.find(place, &taken.limit, &taken.key).is_some();
        let counts = || *window != Window::Held && self.begin(window, now).counts(window, taken.bucket);
        if !known && (amount == 0 || !counts()) {
            return Some(None);
        }
        let slot = self.open(place, &taken.limit, &taken.key, now)?;
        slot.counter.settle(&taken.limit, taken.bucket, taken.amount, amount, now);
        let passed = slot.counter.close(&taken.limit, taken.bucket, taken.amount, taken.standing.ceiling, now);
        let idle = slot.counter.idle(window);
        // Were these left for the next pass, a pass could find but one of them, and the next call need another pass.
        if idle.is_past(now) && self.slots.len() >= self.most.div_ceil(2) {
            self.remove(place);
            self.floor = self.floor.latest(now);
        } else {
            self.stir(idle);
        }
        Some(passed)
    }

    /// What was taken is what it came to: nothing changes but that it is settled. Which share is reached by that.
    pub fn close(&mut self, place: u64, taken: &Taken, now: Time) -> Option<u8> {
        let slot = self.slots.get_mut(&place).filter(|slot| slot.is_of(&taken.limit, &taken.key))?;
        self.receded |= slot.counter.advance(&taken.limit.window, now);
        slot.counter.close(&taken.limit, taken.bucket, taken.amount, taken.standing.ceiling, now)
    }

    /// Puts a counter in the place of a key. False where there is no room for it. Its limit may have more keys than it
    /// would get now: in another process they were divided otherwise.
    pub fn restore(&mut self, place: u64, limit: &Arc<Limit>, key: &Arc<str>, counter: Counter, now: Time) -> bool {
        let idle = counter.idle(&limit.window);
        if !self.slots.contains_key(&place) && self.slots.len() < self.most.saturating_add(SPARE) {
            self.insert(place, limit, key, now);
        }
        let Some(slot) = self.open(place, limit, key, now) else { return false };
        slot.counter = counter;
        self.stir(idle);
        true
    }

    /// The counter of a key, a new one if it has none and there is room.
    fn open(&mut self, place: u64, limit: &Arc<Limit>, key: &Arc<str>, now: Time) -> Option<&mut Slot> {
        if !self.slots.contains_key(&place) {
            if !self.has_room(limit, key, now) {
                return None;
            }
            self.insert(place, limit, key, now);
        }
        let slot = self.slots.get_mut(&place).filter(|slot| slot.is_of(limit, key))?;
        if !Arc::ptr_eq(&slot.limit, limit) {
            slot.limit = limit.clone();
        }
        self.receded |= slot.counter.advance(&limit.window, now);
        Some(slot)
    }

    fn insert(&mut self, place: u64, limit: &Arc<Limit>, key: &Arc<str>, now: Time) {
        let counter = self.begin(&limit.window, now);
        self.slots.insert(place, Slot { limit: limit.clone(), key: key.clone(), ceiling: limit.amount, counter });
        *self.keys.entry(limit.id.clone()).or_default() += 1;
    }

    /// A new counter.
    fn begin(&self, window: &Window, now: Time) -> Counter {
        let mut counter = Counter::new(window, now.latest(self.floor));
        // What was dropped last may have been dropped by a clock that was wrong.
        counter.advance(window, now);
        counter
    }

    /// Whether there is room for one more key of a limit. It may have as many as are still free, so that one alone gets
    /// half of the room, any number of them leave some, and a limit of few keys always finds some.
    pub fn has_room(&mut self, limit: &Limit, key: &str, now: Time) -> bool {
        let is_spare = overflow::is_one(limit, key);
        if self.has_free(limit, is_spare) {
            return true;
        }
        if now.steady < self.quiet.steady && now.unix < self.quiet.unix {
            return false;
        }
        let hour = PATIENCE.saturating_mul(1_000_000_000);
        let mut quiet = Time { steady: now.steady.saturating_add(hour), unix: now.unix.saturating_add(PATIENCE) };
        let before = self.slots.len();
        self.slots.retain(|_, slot| {
            self.receded |= slot.counter.advance(&slot.limit.window, now);
            let idle = slot.counter.idle(&slot.limit.window);
            if !idle.is_past(now) {
                quiet = sooner(quiet, idle);
                return true;
            }
            forget(&mut self.keys, &slot.limit.id);
            false
        });
        self.quiet = quiet;
        if self.slots.len() < before {
            self.floor = self.floor.latest(now);
        }
        self.has_free(limit, is_spare)
    }

    fn has_free(&self, limit: &Limit, is_spare: bool) -> bool {
        if is_spare {
            return self.slots.len() < self.most.saturating_add(SPARE);
        }
        self.keys.get(&limit.id).copied().unwrap_or(0) < self.most.saturating_sub(self.slots.len())
    }

    fn remove(&mut self, place: u64) {
        if let Some(slot) = self.slots.remove(&place) {
            forget(&mut self.keys, &slot.limit.id);
        }
    }

    /// Drops counters as if they had never been, and gives them.
    pub fn take_all(&mut self, wanted: impl Fn(&Slot) -> bool, now: Time) -> Vec<Slot> {
        let taken: Vec<Slot> = self.slots.extract_if(|_, slot| wanted(slot)).map(|(_, slot)| slot).collect();
        taken.iter().for_each(|slot| forget(&mut self.keys, &slot.limit.id));
        if !taken.is_empty() {
            self.floor = self.floor.latest(now);
        }
        taken
    }

    /// A counter can be dropped from then on.
    fn stir(&mut self, idle: End) {
        self.quiet = sooner(self.quiet, idle);
    }
}

/// A limit has one key less.
fn forget(keys: &mut HashMap<Arc<str>, usize>, id: &Arc<str>) {
    if let Some(count) = keys.get_mut(id) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            keys.remove(id);
        }
    }
}

fn sooner(time: Time, end: End) -> Time {
    match end {
        End::Steady(end) => Time { steady: time.steady.min(end), ..time },
        End::Unix(end) => Time { unix: time.unix.min(end), ..time },
        End::Release => time,
    }
}

// === impl Slot ===

impl Slot {
    fn is_of(&self, limit: &Limit, key: &str) -> bool {
        *self.key == *key && kind(&self.limit) == kind(limit)
    }
}

// === impl Place ===

impl Hasher for Place {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, place: u64) {
        self.0 = place;
    }
}
