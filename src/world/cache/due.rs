//! How often the store is asked for the same: what was loaded a moment ago is not loaded again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cache::Key;

/// For how many seconds it is not asked again.
const PAUSE: u64 = 5;

/// Names that are known at most; then all are forgotten, and asked again.
const MOST: usize = 4096;

/// When each was asked last, in seconds since the Unix epoch.
#[derive(Default)]
pub(super) struct Due(Mutex<HashMap<Key, u64>>);

// === impl Due ===

impl Due {
    /// Whether it is time to ask; if so, it has been asked now.
    pub fn is_due(&self, name: Key, now: u64) -> bool {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.get(&name).is_some_and(|last| now.abs_diff(*last) < PAUSE) {
            return false;
        }
        if asked.len() >= MOST {
            asked.clear();
        }
        asked.insert(name, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_not_asked_twice_in_a_moment() {
        let due = Due::default();
        let key = |n: u8| Key([n; 32]);
        assert!(due.is_due(key(1), 100) && !due.is_due(key(1), 104) && due.is_due(key(2), 104));
        assert!(due.is_due(key(1), 105) && due.is_due(key(1), 50));
    }
}
