//! A part of all keys behind one lock. When it is full, what no longer counts is dropped, all of it in one pass; and
//! while it is known that a pass would find nothing, none is made.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::kind;
use crate::limit::Limit;
use crate::limit::counter::{Charged, Counter};
use crate::limit::take::{Take, Taken};
use crate::limit::window::{End, Time, Window};

pub struct Shard {
    most: usize,
    slots: HashMap<u64, Slot, BuildHasherDefault<Place>>,
    /// Until when, on either clock, no counter can be dropped.
    quiet: Time,
    /// When one was dropped last. A new counter begins no earlier: the one before it may have seen that time.
    floor: Time,
}

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
        Shard { most, slots: HashMap::default(), quiet: Time::default(), floor: Time::default() }
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
        slot.counter.advance(&take.limit.window, now);
        Some(slot)
    }

    /// Charges a take, whether it fits or not. None where there is no room for its key.
    pub fn charge(&mut self, place: u64, take: &Take, now: Time) -> Option<Charged> {
        let slot = self.open(place, &take.limit, &take.key, now)?;
        slot.ceiling = take.ceiling;
        let charged = slot.counter.charge(&take.limit, take.amount, take.ceiling);
        let idle = slot.counter.idle(&take.limit.window);
        self.stir(idle);
        Some(charged)
    }

    /// Charges `amount` instead of what was taken. False where it should have been charged and there is no room.
    pub fn settle(&mut self, place: u64, taken: &Taken, amount: u64, now: Time) -> bool {
        let window = &taken.limit.window;
        let known = self.find(place, &taken.limit, &taken.key).is_some();
        let counts = || *window != Window::Held && !window.end(taken.bucket).is_past(now.latest(self.floor));
        if !known && (amount == 0 || !counts()) {
            return true;
        }
        let Some(slot) = self.open(place, &taken.limit, &taken.key, now) else { return false };
        slot.counter.settle(&taken.limit, taken.bucket, taken.amount, amount);
        let idle = slot.counter.idle(window);
        // Were these left for the next pass, a pass could find but one of them, and the next call need another pass.
        if idle.is_past(now) && self.slots.len() >= self.most.div_ceil(2) {
            self.slots.remove(&place);
            self.floor = self.floor.latest(now);
        } else {
            self.stir(idle);
        }
        true
    }

    /// Puts a counter in the place of a key. False where there is no room for it.
    pub fn restore(&mut self, place: u64, limit: &Arc<Limit>, key: &Arc<str>, counter: Counter, now: Time) -> bool {
        let idle = counter.idle(&limit.window);
        let Some(slot) = self.open(place, limit, key, now) else { return false };
        slot.counter = counter;
        self.stir(idle);
        true
    }

    /// The counter of a key, a new one if it has none and there is room.
    fn open(&mut self, place: u64, limit: &Arc<Limit>, key: &Arc<str>, now: Time) -> Option<&mut Slot> {
        if !self.slots.contains_key(&place) {
            if !self.has_room(now) {
                return None;
            }
            let counter = Counter::new(&limit.window, now.latest(self.floor));
            self.slots.insert(place, Slot { limit: limit.clone(), key: key.clone(), ceiling: limit.amount, counter });
        }
        let slot = self.slots.get_mut(&place).filter(|slot| slot.is_of(limit, key))?;
        if !Arc::ptr_eq(&slot.limit, limit) {
            slot.limit = limit.clone();
        }
        slot.counter.advance(&limit.window, now);
        Some(slot)
    }

    fn has_room(&mut self, now: Time) -> bool {
        if self.slots.len() < self.most {
            return true;
        }
        if now.steady < self.quiet.steady && now.unix < self.quiet.unix {
            return false;
        }
        let mut quiet = Time { steady: u64::MAX, unix: u64::MAX };
        self.slots.retain(|_, slot| {
            let idle = slot.counter.idle(&slot.limit.window);
            quiet = sooner(quiet, idle);
            !idle.is_past(now)
        });
        self.quiet = quiet;
        if self.slots.len() < self.most {
            self.floor = self.floor.latest(now);
        }
        self.slots.len() < self.most
    }

    /// Drops counters as if they had never been, and gives them.
    pub fn take_all(&mut self, wanted: impl Fn(&Slot) -> bool, now: Time) -> Vec<Slot> {
        let taken: Vec<Slot> = self.slots.extract_if(|_, slot| wanted(slot)).map(|(_, slot)| slot).collect();
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
