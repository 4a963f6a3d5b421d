//! What an operator sees of the counters: the keys that have used most, and each limit's sums; and how they are
//! emptied. Each shard is looked at by itself, so that calls may come between, and is locked as long as that takes.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Memory;
use super::lock::{Lock, Locks};
use super::shard::Slot;
use crate::limit::Limit;
use crate::limit::take::{Fit, Grant, Settlement, Standing, Taken};
use crate::limit::window::{Time, Window};

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

/// What was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// By which something was used.
    pub keys: usize,
    /// All that was, as a grant that came to nothing: for who keeps what is counted elsewhere. It is nobody's grant.
    pub settlement: Settlement,
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

impl<L: Locks> Memory<L> {
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

    /// Forgets what is used of a limit, by one key or by all. What is held is the calls' own to release. Calls that
    /// are not over are charged what they come to, less at most what they had taken.
    pub fn reset(&self, limit: &str, key: Option<&str>, now: Time) -> Reset {
        let wanted = |slot: &Slot| {
            let window = &slot.limit.window;
            let named = *slot.limit.id == *limit && key.is_none_or(|key| *slot.key == *key);
            named && *window != Window::Held && slot.counter.used_at(window, now) > 0
        };
        let mut reset = Reset {
            keys: 0,
            settlement: Settlement { grant: Grant { id: 0, taken: Vec::new() }, amounts: Vec::new() },
        };
        for slot in self.shards.iter().flat_map(|shard| shard.hold().take_all(wanted, now)) {
            reset.keys += 1;
            let rows = slot.counter.charges().map(|(bucket, amount)| Taken {
                grant: 0,
                limit: slot.limit.clone(),
                key: slot.key.clone(),
                amount,
                bucket,
                fit: Fit::Fits,
                standing: Standing::UNKNOWN,
                passed: None,
                slice: None,
            });
            reset.settlement.grant.taken.extend(rows);
        }
        reset.settlement.amounts = vec![0; reset.settlement.grant.taken.len()];
        reset
    }

    /// Every key of which something is used, and how much.
    fn each(&self, now: Time, mut see: impl FnMut(&Slot, u64)) {
        for shard in &self.shards {
            for slot in shard.hold().slots() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Unit;
    use crate::limit::take::{Posture, Take};

    const NOW: Time = Time { steady: 1_790_000_000_000_000_000, unix: 1_790_000_000 };

    fn take(limit: &Arc<Limit>, key: &str, amount: u64) -> Take {
        Take { limit: limit.clone(), key: key.into(), ceiling: limit.amount, amount, posture: Posture::Enforce }
    }

    #[test]
    fn what_is_reset_can_be_used_again_and_nothing_else() {
        let memory = Memory::new(100);
        let rolling = Window::Rolling(Duration::from_secs(60));
        let limit = |id, window| Arc::new(Limit::new(id, Unit::Requests, 2, window));
        let (one, other, held) =
            (limit("p/one", rolling.clone()), limit("p/other", rolling), limit("p/held", Window::Held));
        let fill = |limit: &Arc<Limit>, key: &str| memory.reserve(1, &[take(limit, key, 2)], NOW).is_ok();
        for (limit, key) in [(&one, "one|a"), (&one, "one|b"), (&other, "other|a"), (&held, "held|a")] {
            assert!(fill(limit, key) && !fill(limit, key));
        }
        assert_eq!(memory.reset("p/one", Some("one|a"), NOW).keys, 1);
        assert!(fill(&one, "one|a") && !fill(&one, "one|b") && !fill(&other, "other|a"));
        assert_eq!((memory.reset("p/one", None, NOW).keys, memory.reset("p/one", None, NOW).keys), (2, 0));
        assert!(fill(&one, "one|a") && fill(&one, "one|b") && !fill(&other, "other|a"));
        // Nobody but its call knows that it is over.
        assert_eq!((memory.reset("p/held", None, NOW).keys, memory.reset("p/none", None, NOW).keys), (0, 0));
        assert!(!fill(&held, "held|a"));
    }

    #[test]
    fn a_call_that_is_not_over_at_the_reset_is_charged_what_it_comes_to() {
        let memory = Memory::new(100);
        let limit = Arc::new(Limit::new("p/l", Unit::Requests, 10, Window::Rolling(Duration::from_secs(60))));
        let grant = memory.reserve(1, &[take(&limit, "l", 9)], NOW).unwrap();
        let Reset { keys, settlement } = memory.reset("p/l", None, NOW);
        let rows: Vec<_> = settlement.grant.taken.iter().map(|taken| (&*taken.key, taken.amount)).collect();
        assert_eq!((keys, rows, settlement.amounts), (1, vec![("l", 9)], vec![0]));
        memory.settle(&Settlement { grant, amounts: vec![4] }, NOW);
        assert_eq!(memory.list(None, 10, NOW).iter().map(|row| row.used).collect::<Vec<_>>(), [4]);
    }
}
