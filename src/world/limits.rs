//! The limits of this process: by which clock and under which ids they are counted, where, and what is told of
//! them.

mod kept;
mod shared;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

use crate::limit::journal::Journal;
use crate::limit::journal::clock::Clock;
use crate::limit::lease::Leases;
use crate::limit::memory::Memory;
use crate::limit::memory::list::{Reset, Row, Total};
use crate::limit::take::{Grant, Passed, Settlement, Take, Taken};
use crate::limit::tally::{Tallies, Tally};
use crate::limit::{Ask, Decision, Limit, Settle, Unit};

/// Keys that are counted at the same time, over all limits, of which one alone gets half: 60 MiB, as they are commonly
/// used. A journal keeps as many once more and a quarter, in as much; but where each key is used in every part of a
/// rolling window, a key takes half a KiB here and 1.5 KiB there, which is 400 MiB together.
pub const KEYS: usize = 200_000;

/// Shared by all exchanges.
pub struct Limits {
    memory: Memory,
    /// What replicas share; none where each counts alone.
    store: OnceLock<Leases>,
    clock: Clock,
    /// Where what is counted in this process is written down; none where it ends with it.
    journal: Option<Journal>,
    /// The upper half of the grants' ids: no other process has the same.
    replica: u64,
    grants: AtomicU64,
    tallies: Tallies,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory: Memory::new(KEYS),
            store: OnceLock::new(),
            clock: Clock::start(None),
            journal: None,
            replica: RandomState::new().hash_one(std::process::id()),
            grants: AtomicU64::new(0),
            tallies: Tallies::default(),
        }
    }
}

impl Limits {
    /// Counts in this store what is counted for the whole fleet. Of several the first stays.
    pub fn share(&self, store: Leases) {
        let _ = self.store.set(store);
    }

    /// Takes of all limits, or of none. A future that is dropped before it is done has taken nothing. What is written
    /// down is by then; where it cannot be, its takes are `Unchecked`.
    pub async fn reserve(&self, ask: &Ask) -> Decision {
        let id = self.next_id();
        let mut decision = match is_shared(ask) {
            false => self.memory.reserve(id, &ask.takes, self.clock.now()),
            true => self.reserve_both(id, &ask.takes).await,
        };
        if let (Some(journal), Ok(grant)) = (&self.journal, decision.as_mut()) {
            self.keep(journal, grant).await;
        }
        self.tell(ask, &decision);
        decision
    }

    /// The same for what is counted in memory alone; none where there is more to ask, and nothing was taken then.
    pub fn reserve_now(&self, ask: &Ask) -> Option<Decision> {
        if self.journal.is_some() || is_shared(ask) {
            return None;
        }
        let decision = self.memory.reserve(self.next_id(), &ask.takes, self.clock.now());
        self.tell(ask, &decision);
        Some(decision)
    }

    fn next_id(&self) -> u128 {
        u128::from(self.replica) << 64 | u128::from(self.grants.fetch_add(1, Ordering::Relaxed))
    }

    fn tell(&self, ask: &Ask, decision: &Decision) {
        self.tallies.count(&ask.takes, decision, || self.clock.now());
        if let Ok(grant) = decision {
            grant.taken.iter().for_each(warn);
            self.tell_overflows(&ask.takes, grant);
        }
    }

    /// Settles what can be settled now, and leaves the rest of the grant in `settle`: what is counted while it
    /// lasts is free at once, also where the text has to be counted first. A store settles all rows of a grant
    /// together, so of its calls it is told beforehand.
    pub fn settle_now(&self, settle: &mut Settle) {
        let taken = std::mem::take(&mut settle.grant.taken);
        let guessed = std::mem::take(&mut settle.guessed);
        let mut now =
            Settle { grant: Grant { id: settle.grant.id, taken }, guessed, spent: settle.spent, uncounted: None };
        if settle.uncounted.is_some() {
            let rows = std::mem::take(&mut now.grant.taken);
            let guessed = std::mem::take(&mut now.guessed);
            for (taken, guess) in rows.into_iter().zip(guessed.into_iter().chain(std::iter::repeat(0))) {
                let is_now = taken.limit.unit == Unit::Concurrency && !taken.limit.is_shared();
                let part = if is_now { &mut now } else { &mut *settle };
                part.grant.taken.push(taken);
                part.guessed.push(guess);
            }
            self.release_shared(&settle.grant);
        }
        self.settle(now);
    }

    /// Charges what a grant came to.
    pub fn settle(&self, settle: Settle) {
        if settle.grant.taken.is_empty() {
            return;
        }
        let settlement = settle.settlement();
        for taken in &settlement.grant.taken {
            self.tallies.settled(&taken.limit, taken.amount);
        }
        self.charge(settlement);
    }

    fn charge(&self, settlement: Settlement) {
        let own = self.settle_shared(settlement);
        for Passed { limit, key, share } in self.memory.settle(&own, self.clock.now()) {
            self.tallies.warned(&limit);
            say(&limit, &key, share);
        }
        if let Some(journal) = &self.journal {
            journal.settle(&own);
        }
    }

    /// Who makes up keys shall not fill the log with them: the metrics count.
    fn tell_overflows(&self, takes: &[Take], grant: &Grant) {
        for (take, taken) in takes.iter().zip(&grant.taken) {
            if taken.key != take.key && self.tallies.overflowed(&take.limit) {
                tracing::warn!(
                    limit = &*take.limit.id,
                    "a limit has so many keys that there is no room for more: those are counted together from now on"
                );
            }
        }
    }

    /// What became of the takes of each limit.
    pub fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// The part that is used of each limit that replicas share, in millionths, by the key that used most of it of
    /// those that were asked for here within the last minute.
    pub fn peaks(&self) -> Vec<(Arc<Tally>, u32)> {
        let now = self.clock.now();
        let all = self.tallies.all().into_iter();
        all.filter_map(|tally| tally.peak.highest(now).map(|peak| (tally, peak))).collect()
    }

    /// Settlements that found no room for what they should have charged.
    pub fn uncounted(&self) -> u64 {
        self.memory.uncounted()
    }

    /// How the limits stand.
    pub fn totals(&self) -> Vec<Total> {
        self.memory.totals(self.clock.now())
    }

    /// Forgets what is used of a limit, by one key or by all, also in the journal, and says by how many keys
    /// something was; see [`Memory::reset`].
    pub fn reset(&self, limit: &str, key: Option<&str>) -> usize {
        let Reset { keys, settlement } = self.memory.reset(limit, key, self.clock.now());
        if let Some(journal) = &self.journal {
            journal.settle(&settlement);
        }
        keys
    }

    /// What a limit that replicas share, by one key or by all, is called in the store: a pattern in the sense of
    /// `SCAN`. None where there is no store.
    pub fn in_store(&self, limit: &Limit, key: Option<&str>) -> Option<String> {
        self.store.get().map(|store| store.redis().pattern(limit, key))
    }

    /// The keys of which most is used, of all limits or of one.
    pub fn list(&self, limit: Option<&str>, most: usize) -> Vec<Row> {
        self.memory.list(limit, most, self.clock.now())
    }
}

/// Whether any of it is counted in the store that replicas share.
fn is_shared(ask: &Ask) -> bool {
    ask.takes.iter().any(|take| take.limit.is_shared())
}

/// A share is passed once in a calendar's unit, and elsewhere once in a minute at most: no line for each call.
fn warn(taken: &Taken) {
    if let Some(share) = taken.passed {
        say(&taken.limit, &taken.key, share);
    }
}

/// Whose counter it is says `GET /limits`, to who may know it.
fn say(limit: &Limit, key: &str, share: u8) {
    tracing::warn!(limit = &*limit.id, counter = %mark(key), "{share} % of a limit is used");
}

/// The same text for the same counter, in every process, that names nobody.
fn mark(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::Counting;
    use crate::limit::take::Posture;
    use crate::limit::window::Window;

    #[test]
    fn only_what_is_counted_in_memory_is_answered_at_once() {
        let limits = Limits::default();
        let ask = |counting| {
            let limit = Limit { counting, ..Limit::new("p/calls", Unit::Concurrency, 1, Window::Held) };
            let take =
                Take { key: "p/calls".into(), ceiling: 1, amount: 1, posture: Posture::Enforce, limit: limit.into() };
            Ask { takes: vec![take] }
        };
        assert!(limits.reserve_now(&ask(Counting::Fleet { lease: 0 })).is_none());
        assert!(limits.reserve_now(&ask(Counting::Process)).is_some_and(|decision| decision.is_ok()));
        assert!(limits.reserve_now(&ask(Counting::Process)).is_some_and(|decision| decision.is_err()));
        let tallies = limits.tallies().all();
        assert_eq!(tallies.iter().map(|tally| tally.asks.load(Ordering::Relaxed)).sum::<u64>(), 2);
    }

    #[test]
    fn a_counter_is_named_without_its_words() {
        let marks = ["p/monthly|alice@example.com", "p/monthly|bob@example.com"].map(mark);
        assert!(marks.iter().all(|mark| mark.len() == 8) && marks[0] != marks[1], "{marks:?}");
        assert_eq!(marks[0], mark("p/monthly|alice@example.com"));
    }
}
