//! How many tokens a caller's calls of a model are answered with, and how many they bring: what a reservation
//! assumes of a call that states no bound, or that refers to what is not in it. Bounded in memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

use super::learned::Key;

/// How many of them are kept. Above that the one that has gone unobserved for the longest time of a few
/// that are looked at makes room.
const MAX: usize = 4096;

/// How many are looked at then.
const LOOKED_AT: usize = 8;

/// What has been learned about all callers and models. Only hashes are kept: two whose 64 bits are the same
/// share an expectation, and an expectation is no more than that.
#[derive(Debug, Default)]
pub struct Outputs {
    hasher: RandomState,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<u64, Entry>,
    /// Counts observations.
    clock: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    input: u64,
    output: u64,
    observed: u64,
}

// === impl Outputs ===

impl Outputs {
    /// A complete call of this caller had so many tokens, and was answered with so many.
    pub fn observe(&self, caller: &str, key: Key<'_>, input: u64, output: u64) {
        let hash = self.hasher.hash_one((caller, key));
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.clock += 1;
        let observed = table.clock;
        if !table.entries.contains_key(&hash) && table.entries.len() >= MAX {
            // The order of a map is random enough to choose a few by.
            let few = table.entries.iter().take(LOOKED_AT);
            let oldest = few.min_by_key(|(_, entry)| entry.observed).map(|(hash, _)| *hash);
            oldest.map(|hash| table.entries.remove(&hash));
        }
        let entry = table.entries.entry(hash).or_insert(Entry { input, output, observed });
        entry.observed = observed;
        (entry.input, entry.output) = (next(entry.input, input), next(entry.output, output));
    }

    /// How many tokens the next answer is expected to have at most, if any was seen.
    pub fn expected(&self, caller: &str, key: Key<'_>) -> Option<u64> {
        self.entry(caller, key).map(|entry| entry.output)
    }

    /// How many tokens the next prompt is expected to have at most, if any was seen.
    pub fn expected_input(&self, caller: &str, key: Key<'_>) -> Option<u64> {
        self.entry(caller, key).map(|entry| entry.input)
    }

    fn entry(&self, caller: &str, key: Key<'_>) -> Option<Entry> {
        let hash = self.hasher.hash_one((caller, key));
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.entries.get(&hash).copied()
    }
}

/// A maximum that forgets: it rises at once, and falls by an eighth of the way with each answer.
fn next(expected: u64, seen: u64) -> u64 {
    match expected.checked_sub(seen) {
        Some(above) => expected - above / 8,
        None => seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key<'_> = Key { backend: "b", model: "m" };

    #[test]
    fn it_rises_at_once_and_forgets_slowly() {
        let outputs = Outputs::default();
        assert_eq!(outputs.expected("a", KEY), None);
        outputs.observe("a", KEY, 1_000 - 100, 100);
        outputs.observe("a", KEY, 1_000 - 900, 900);
        assert_eq!(outputs.expected("a", KEY), Some(900));
        outputs.observe("a", KEY, 1_000 - 100, 100);
        assert_eq!(outputs.expected("a", KEY), Some(800));
        assert_eq!(outputs.expected_input("a", KEY), Some(900), "prompts by themselves");
        assert_eq!(outputs.expected("b", KEY), None, "each caller has its own");
        assert_eq!(outputs.expected("a", Key { model: "n", ..KEY }), None);
    }

    #[test]
    fn it_is_bounded_and_keeps_who_is_busy() {
        let outputs = Outputs::default();
        for at in 0..3 * MAX {
            outputs.observe("busy", KEY, 1_000 - 7, 7);
            outputs.observe(&at.to_string(), KEY, 1_000 - 1, 1);
        }
        assert!(outputs.table.read().unwrap().entries.len() <= MAX);
        assert_eq!(outputs.expected("busy", KEY), Some(7));
    }
}
