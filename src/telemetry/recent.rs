//! The last exchanges by id, for whoever asks why. Bounded: the number here, the size of each by
//! what `record` lets into it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::v1::UsageRecord;

/// How many exchanges the process remembers.
pub const EXCHANGES: usize = 1024;

/// A ring of the last exchanges. Share it in an `Arc`.
#[derive(Debug)]
pub struct Recent {
    capacity: usize,
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    by_id: HashMap<Arc<str>, Arc<UsageRecord>>,
    /// Oldest first; the same ids as in the map.
    order: VecDeque<Arc<str>>,
}

// === impl Recent ===

impl Default for Recent {
    fn default() -> Self {
        Self::new(EXCHANGES)
    }
}

impl Recent {
    /// An empty ring for so many exchanges.
    pub fn new(capacity: usize) -> Self {
        Recent { capacity, ring: Mutex::default() }
    }

    /// Remembers an exchange and forgets the oldest if there is no room. A second record with the
    /// same id replaces the first in its place.
    pub fn insert(&self, record: Arc<UsageRecord>) {
        let mut ring = self.lock();
        let id: Arc<str> = Arc::from(record.id.as_str());
        if ring.by_id.insert(Arc::clone(&id), record).is_none() {
            ring.order.push_back(id);
        }
        if ring.order.len() > self.capacity
            && let Some(oldest) = ring.order.pop_front()
        {
            ring.by_id.remove(&oldest);
        }
    }

    /// The exchange whose response carried this `x-weir-request-id`, if it is still remembered.
    pub fn get(&self, id: &str) -> Option<Arc<UsageRecord>> {
        self.lock().by_id.get(id).cloned()
    }

    /// How many exchanges are remembered at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing here can panic between two changes that belong together, short of no memory.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: usize, status: u32) -> Arc<UsageRecord> {
        Arc::new(UsageRecord { id: id.to_string(), status, ..UsageRecord::default() })
    }

    #[test]
    fn the_oldest_goes_first() {
        let recent = Recent::new(3);
        for id in 0..10 {
            recent.insert(record(id, 200));
        }
        let kept: Vec<_> = (0..10).filter(|id| recent.get(&id.to_string()).is_some()).collect();
        assert_eq!(kept, [7, 8, 9]);
        let ring = recent.lock();
        assert_eq!((ring.by_id.len(), ring.order.len()), (3, 3));
    }

    #[test]
    fn the_same_id_is_one_exchange() {
        let recent = Recent::new(2);
        for (id, status) in [(1, 200), (1, 500), (2, 200)] {
            recent.insert(record(id, status));
        }
        assert_eq!(recent.get("1").unwrap().status, 500);
        assert!(recent.get("2").is_some());
        assert_eq!(recent.get("3"), None);
    }
}
