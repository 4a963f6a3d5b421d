//! The bodies of calls that have left, as they came, for the attempts that may follow. They are held as every other
//! body, and are the first to go: where one that comes has no room, the largest are given up until it has. A call
//! whose original is gone goes on, but cannot be written for another backend.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::pool::Pool;

/// The originals of all exchanges together.
#[derive(Debug, Default)]
pub(super) struct Originals {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_size: BTreeMap<Key, Bytes>,
    /// Bytes of all of them.
    bytes: u64,
    /// What the next one is numbered.
    next: u64,
}

/// The largest is the last, and of two of a size the older.
type Key = (usize, Reverse<u64>);

/// One original. It is held until this is dropped, or until it is given up.
#[derive(Debug)]
pub(super) struct Original {
    pool: Arc<Pool>,
    key: Key,
}

// === impl Pool ===

impl Pool {
    /// Keeps an original.
    pub(super) fn keep(self: &Arc<Self>, body: Bytes) -> Original {
        self.hold(body.len(), true);
        let key = self.originals().with(|kept| kept.insert(body));
        Original { pool: self.clone(), key }
    }

    /// True when there is room for `more` bytes. Originals are given up for them where that makes the room.
    pub(super) fn make_room(&self, more: usize) -> bool {
        if self.excess(more) == 0 {
            return true;
        }
        // Counted under the lock, or two that come at once would both give up what is needed for one.
        let given_up = self.originals().with(|kept| {
            let excess = self.excess(more);
            (kept.bytes >= excess).then(|| {
                let given_up = kept.give_up(excess);
                given_up.iter().for_each(|body| self.hold(body.len(), false));
                given_up
            })
        });
        if let Some(given_up) = given_up.as_ref().filter(|given_up| !given_up.is_empty()) {
            self.count_given_up(given_up.len());
        }
        given_up.is_some()
    }
}

// === impl Originals ===

impl Originals {
    fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Kept ===

impl Kept {
    fn insert(&mut self, body: Bytes) -> Key {
        let key = (body.len(), Reverse(self.next));
        self.next += 1;
        self.bytes += body.len() as u64;
        self.by_size.insert(key, body);
        key
    }

    fn remove(&mut self, key: &Key) -> Option<Bytes> {
        let body = self.by_size.remove(key)?;
        self.bytes -= body.len() as u64;
        Some(body)
    }

    /// Takes out so many bytes, or more. The largest first: so the fewest calls lose theirs.
    fn give_up(&mut self, excess: u64) -> Vec<Bytes> {
        let (mut freed, mut given_up) = (0, Vec::new());
        while freed < excess
            && let Some((_, body)) = self.by_size.pop_last()
        {
            freed += body.len() as u64;
            given_up.push(body);
        }
        self.bytes -= freed;
        given_up
    }
}

// === impl Original ===

impl Original {
    /// The body, for it to be written once more; none where it was given up, or where there is no room for what is
    /// written.
    pub fn to_write_again(&self) -> Option<Bytes> {
        let body = self.pool.originals().with(|kept| kept.by_size.get(&self.key).cloned())?;
        self.pool.make_room(body.len()).then_some(body)
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        // Freed behind the lock.
        if let Some(body) = self.pool.originals().with(|kept| kept.remove(&self.key)) {
            self.pool.hold(body.len(), false);
        }
    }
}

#[cfg(test)]
mod tests;
