//! The last exchanges by id, for whoever asks why. Bounded: the number here, the size of each by
//! what `record` lets into it.
//!
//! Every exchange is remembered and hardly one is asked for, so remembering is what is cheap:
//! nothing is copied, and nothing is looked up before somebody asks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record;
use crate::exchange::record::Record;

/// How many exchanges the process remembers.
pub const EXCHANGES: usize = 1024;

/// A ring of the last exchanges. Share it in an `Arc`.
#[derive(Debug)]
pub struct Recent {
    capacity: usize,
    /// Oldest first.
    ring: Mutex<VecDeque<Box<Record>>>,
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

    /// Remembers an exchange and forgets the oldest if there is no room. What is too long in it is
    /// cut first.
    pub fn insert(&self, mut record: Box<Record>) {
        record::bound(&mut record);
        let oldest = {
            let mut ring = self.lock();
            ring.push_back(record);
            if ring.len() > self.capacity { ring.pop_front() } else { None }
        };
        // Not under the lock: it is a dozen small pieces of memory.
        drop(oldest);
    }

    /// The exchange whose response carried this `x-weir-request-id`, if it is still remembered; of
    /// several with the same id the last. Looks at each, a few microseconds a thousand.
    pub fn get(&self, id: &str) -> Option<Record> {
        self.lock().iter().rev().find(|record| &*record.id == id).map(|record| Record::clone(record))
    }

    /// How many exchanges are remembered at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Box<Record>>> {
        // Nothing here can panic between two changes that belong together, short of no memory.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::sample;

    fn record(id: usize, status: u16) -> Box<Record> {
        Box::new(Record { id: id.to_string().into(), status, ..sample() })
    }

    #[test]
    fn the_oldest_goes_first() {
        let recent = Recent::new(3);
        for id in 0..10 {
            recent.insert(record(id, 200));
        }
        let kept: Vec<_> = (0..10).filter(|id| recent.get(&id.to_string()).is_some()).collect();
        assert_eq!(kept, [7, 8, 9]);
        assert_eq!(recent.lock().len(), 3);
    }

    #[test]
    fn of_the_same_id_the_last_is_shown() {
        let recent = Recent::new(3);
        for (id, status) in [(1, 200), (1, 500), (2, 200)] {
            recent.insert(record(id, status));
        }
        assert_eq!(recent.get("1").unwrap().status, 500);
        assert!(recent.get("2").is_some());
        assert_eq!(recent.get("3"), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let recent = Recent::new(1);
        recent.insert(Box::new(Record { path: "x".repeat(1 << 20).into(), ..sample() }));
        assert!(recent.get("req-1").unwrap().path.len() < 2048);
    }
}
