//! [io] Entries in this process: bounded by bytes, each ended by its own time. What is asked for often stays.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache;

use super::entry::Entry;
use super::extent::Extent;
use super::key::{Key, Place};

/// Entries of this process. All times of entries are in seconds since the Unix epoch; what ends them is the
/// monotonic clock.
pub struct Memory {
    entries: Cache<Key, Held>,
    /// Those that left for want of room.
    evicted: std::sync::Arc<AtomicU64>,
}

/// An entry, and whose it is: a key is in one place only, and what is forgotten is found by this.
#[derive(Clone)]
struct Held {
    place: Place,
    entry: Entry,
    /// How long it stays.
    left: Duration,
}

/// Bytes that an entry takes beside its own: the key, the places in the tables, and the head of its bytes. Measured
/// with 10,000 entries; see `benches/core.rs`.
pub const OVERHEAD: u32 = 384;

struct Ends;

// === impl Ends ===

impl Expiry<Key, Held> for Ends {
    fn expire_after_create(&self, _: &Key, held: &Held, _: Instant) -> Option<Duration> {
        Some(held.left)
    }

    fn expire_after_update(&self, _: &Key, held: &Held, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(held.left)
    }
}

// === impl Memory ===

impl Memory {
    /// Keeps at most so many bytes.
    pub fn new(bytes: u64) -> Self {
        let evicted = std::sync::Arc::new(AtomicU64::new(0));
        let counted = evicted.clone();
        let entries = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_: &Key, held: &Held| {
                u32::try_from(held.entry.bytes.len()).unwrap_or(u32::MAX).saturating_add(OVERHEAD)
            })
            .expire_after(Ends)
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build();
        Memory { entries, evicted }
    }

    /// The entry under a key, if it is in this place and not over at `now`.
    pub fn get(&self, place: &Place, key: &Key, now: u64) -> Option<Entry> {
        let held = self.entries.get(key)?;
        (held.place == *place && held.entry.age(now).is_some()).then_some(held.entry)
    }

    /// Keeps an entry, in the place of what was there.
    pub fn put(&self, place: &Place, key: Key, entry: Entry) {
        let left = entry.ttl;
        self.put_for(place, key, entry, left);
    }

    /// The same for no longer than this.
    pub fn put_for(&self, place: &Place, key: Key, entry: Entry, left: Duration) {
        self.entries.insert(key, Held { place: place.clone(), entry, left });
    }

    /// Forgets an entry, if it is still this one.
    pub fn remove(&self, key: &Key, entry: &Entry) {
        self.entries.entry(*key).and_compute_with(|held| match held {
            Some(held) if held.value().entry == *entry => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// Forgets what an extent covers, and says how many entries that were. Nothing of it is found from now on.
    pub fn forget(&self, extent: &Extent) -> usize {
        let keys: Vec<Key> =
            self.entries.iter().filter(|(_, held)| extent.covers(&held.place)).map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.entries.invalidate(key));
        keys.len()
    }

    /// Entries and their bytes, and how many left for want of room.
    pub fn stand(&self) -> Stand {
        self.entries.run_pending_tasks();
        let evicted = self.evicted.load(Ordering::Relaxed);
        Stand { entries: self.entries.entry_count(), bytes: self.entries.weighted_size(), evicted }
    }
}

/// How full it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    pub entries: u64,
    pub bytes: u64,
    pub evicted: u64,
}

/// Without what is in it.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::Tag;

    fn place(namespace: &str, tag: u8) -> Place {
        Place { namespace: namespace.into(), tag: Tag([tag; 16]) }
    }

    fn entry(text: &'static str, stored: u64) -> Entry {
        Entry { bytes: Bytes::from_static(text.as_bytes()), stored, ttl: Duration::from_secs(60) }
    }

    fn key(n: u64) -> Key {
        Key(*blake3::hash(&n.to_le_bytes()).as_bytes())
    }

    #[test]
    fn an_entry_is_found_in_its_place_and_in_its_time_alone() {
        let memory = Memory::new(1 << 20);
        memory.put(&place("a", 1), key(1), entry("one", 100));
        assert_eq!(memory.get(&place("a", 1), &key(1), 100), Some(entry("one", 100)));
        assert_eq!(memory.get(&place("a", 2), &key(1), 100), None);
        assert_eq!(memory.get(&place("b", 1), &key(1), 100), None);
        assert_eq!(memory.get(&place("a", 1), &key(2), 100), None);
        assert_eq!(memory.get(&place("a", 1), &key(1), 160), None);
        memory.remove(&key(1), &entry("two", 100));
        assert!(memory.get(&place("a", 1), &key(1), 100).is_some());
        memory.remove(&key(1), &entry("one", 100));
        assert_eq!(memory.get(&place("a", 1), &key(1), 100), None);
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let memory = Memory::new(100 * u64::from(OVERHEAD + 3));
        for n in 0..10_000 {
            memory.put(&place("a", 1), key(n), entry("abc", 0));
        }
        let stand = memory.stand();
        assert!(stand.entries <= 100 && stand.bytes <= 100 * u64::from(OVERHEAD + 3), "{stand:?}");
        assert!(stand.entries > 50 && stand.evicted >= 9_900, "{stand:?}");
        let large = Entry { bytes: Bytes::from(vec![0; 1 << 20]), ..entry("", 0) };
        memory.put(&place("a", 1), key(0), large);
        memory.stand();
        assert_eq!(memory.get(&place("a", 1), &key(0), 0), None);
    }

    #[test]
    fn what_is_forgotten_is_gone_and_nothing_else() {
        let memory = Memory::new(1 << 20);
        for (n, (namespace, tag)) in [("a", 1), ("a", 2), ("b", 1), ("b", 3)].into_iter().enumerate() {
            memory.put(&place(namespace, tag), key(n as u64), entry("x", 0));
        }
        assert_eq!(memory.forget(&Extent::Place(place("a", 1))), 1);
        assert_eq!(memory.get(&place("a", 1), &key(0), 0), None);
        assert!(memory.get(&place("a", 2), &key(1), 0).is_some());
        assert_eq!(memory.forget(&Extent::Namespace("b".into())), 2);
        assert_eq!(memory.forget(&Extent::All), 1);
        assert_eq!(memory.stand().entries, 0);
    }
}
