//! What an operator sees of the counters: the keys that have used most, and each limit's sums. Each shard is looked
//! at by itself, so that calls may come between, and is locked as long as that takes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::shard::Slot;
use super::{Memory, held};
use crate::limit::Limit;
use crate::limit::window::Time;

/// How one key stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    pub used: u64,
    /// That of the latest call.
    pub ceiling: u64,
    /// Until nothing is used any more, if nothing more is taken.
    pub reset: Duration,
}

/// How all keys of one limit stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    pub limit: Arc<Limit>,
    /// Those of which something is used.
    pub keys: usize,
    /// The highest of them, in millionths.
    pub utilisation: u64,
}

/// The order of a list: the highest utilisation first; then it goes by the limit's id, by the key, and by what is
/// used, for two of one id where the configuration has changed.
type Rank = (Reverse<u64>, Arc<str>, Arc<str>, u64);

const MILLION: u128 = 1_000_000;

/// In millionths; more than a million where a call came to more than was taken.
fn utilisation(used: u64, ceiling: u64) -> u64 {
    u64::try_from(u128::from(used) * MILLION / u128::from(ceiling.max(1))).unwrap_or(u64::MAX)
}

// === impl Memory ===

impl Memory {
    /// The `most` keys of which most is used, of all limits or of the one with this id, the highest utilisation first.
    /// Keys of which nothing is used are left out.
    pub fn list(&self, limit: Option<&str>, most: usize, now: Time) -> Vec<Row> {
        let mut best: BTreeMap<Rank, Row> = BTreeMap::new();
        self.each(now, |slot, used| {
            let share = Reverse(utilisation(used, slot.ceiling));
            let is_full = best.len() >= most;
            // Most keys of many are no longer among the best, and cost no more than this.
            let is_behind = best.last_key_value().is_none_or(|(last, _)| share > last.0);
            if (is_full && is_behind) || limit.is_some_and(|limit| *slot.limit.id != *limit) {
                return;
            }
            let reset = slot.counter.reset(&slot.limit.window, now);
            let (limit, key) = (slot.limit.clone(), slot.key.clone());
            let rank = (share, limit.id.clone(), key.clone(), used);
            best.insert(rank, Row { limit, key, used, ceiling: slot.ceiling, reset });
            if is_full {
                best.pop_last();
            }
        });
        best.into_values().collect()
    }

    /// Every limit of which something is used, by its id.
    pub fn totals(&self, now: Time) -> Vec<Total> {
        let mut totals: BTreeMap<Arc<str>, Total> = BTreeMap::new();
        self.each(now, |slot, used| {
            let share = utilisation(used, slot.ceiling);
            if let Some(total) = totals.get_mut(&slot.limit.id) {
                total.keys += 1;
                total.utilisation = total.utilisation.max(share);
                return;
            }
            let total = Total { limit: slot.limit.clone(), keys: 1, utilisation: share };
            totals.insert(slot.limit.id.clone(), total);
        });
        totals.into_values().collect()
    }

    /// Every key of which something is used, and how much.
    fn each(&self, now: Time, mut see: impl FnMut(&Slot, u64)) {
        for shard in &self.shards {
            for slot in held(shard).slots() {
                let used = slot.counter.used_at(&slot.limit.window, now);
                if used > 0 {
                    see(slot, used);
                }
            }
        }
    }
}

// === impl Row ===

impl Row {
    /// What is used of the ceiling, in millionths; more than a million where a call came to more than was taken.
    pub fn utilisation(&self) -> u64 {
        utilisation(self.used, self.ceiling)
    }
}
