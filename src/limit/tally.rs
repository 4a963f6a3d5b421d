//! What became of the calls that met each limit, and of the takes that were asked of it, counted since the start.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::peak::Peak;
use super::take::{Fit, Grant, Refused, Standing, Take, Taken};
use super::window::Time;
use super::{Limit, Unit, lease};

/// Most limits that are told apart: configurations may come and go without an end.
const MOST: usize = 1024;

/// By the id of the limit.
#[derive(Debug, Default)]
pub struct Tallies {
    rows: RwLock<HashMap<Arc<str>, Arc<Tally>>>,
}

/// What one limit made of one call, however often its counter was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It had room for it.
    Granted,
    /// It refused it.
    Denied,
    /// It sent it elsewhere.
    Downgraded,
    /// It ended its answer.
    Cut,
    /// In Shadow: it would have refused it.
    ShadowDenied,
    /// It had no room for it, or no key to count it by, and let it pass.
    Observed,
    /// The store did not say. `onError` says what became of the call.
    Unchecked,
}

/// One limit's.
#[derive(Debug)]
pub struct Tally {
    pub limit: Arc<str>,
    pub unit: Unit,
    /// It is counted in the store that replicas share.
    pub is_shared: bool,
    /// Times its counter was asked. A call asks more than once where it waits, is counted, or takes more while it runs.
    pub asks: AtomicU64,
    /// Granted out of a slice that this process holds, and asked of the store though the limit has slices.
    pub leased: AtomicU64,
    pub asked: AtomicU64,
    /// Times a share of `warnAt` was passed.
    pub warned: AtomicU64,
    /// Takes whose key found no room, so that they were counted with all such keys of the limit.
    pub overflowed: AtomicU64,
    /// What is taken by calls that are not over, in the parts of the unit.
    pub reserved: AtomicI64,
    /// How full the store said it is, for the fullest key; nothing of one that is counted in this process.
    pub peak: Peak,
    calls: [AtomicU64; Outcome::ALL.len()],
}

// === impl Tallies ===

impl Tallies {
    /// Counts an answer of the store.
    pub fn count(&self, takes: &[Take], decision: &Result<Grant, Refused>, now: impl Fn() -> Time) {
        for (place, take) in takes.iter().enumerate() {
            let Some(tally) = self.of(&take.limit) else { continue };
            tally.asks.fetch_add(1, Ordering::Relaxed);
            let standing = match decision {
                Ok(grant) => grant.taken.get(place).map(|taken| {
                    tally.warned.fetch_add(taken.passed.is_some().into(), Ordering::Relaxed);
                    tally.hold(taken.amount, 1);
                    tally.lease(taken);
                    taken.standing
                }),
                Err(refused) => refused.standings.get(place).copied(),
            };
            if let Some(used) = standing.filter(|_| tally.is_shared).and_then(Standing::utilisation) {
                tally.peak.see(used, now());
            }
        }
    }

    /// Counts a call that is over, once for each limit that it met.
    pub fn tell(&self, met: &[(Arc<Limit>, Outcome)]) {
        for (limit, outcome) in met {
            if let Some(tally) = self.of(limit) {
                tally.calls_of(*outcome).fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts a share of `warnAt` that a settlement has reached.
    pub fn warned(&self, limit: &Limit) {
        if let Some(tally) = self.of(limit) {
            tally.warned.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a take whose key found no room. Whether it is the first of its limit.
    pub fn overflowed(&self, limit: &Limit) -> bool {
        self.of(limit).is_some_and(|tally| tally.overflowed.fetch_add(1, Ordering::Relaxed) == 0)
    }

    /// Counts a take that is settled.
    pub fn settled(&self, limit: &Limit, amount: u64) {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = rows.get(&limit.id).filter(|tally| tally.unit == limit.unit) {
            tally.hold(amount, -1);
        }
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Tally>> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// None where there are too many. A limit whose unit has changed, or the place where it is counted, begins anew.
    fn of(&self, limit: &Limit) -> Option<Arc<Tally>> {
        let is_its = |tally: &&Arc<Tally>| tally.is_of(limit);
        if let Some(known) = self.rows.read().unwrap_or_else(PoisonError::into_inner).get(&limit.id).filter(is_its) {
            return Some(known.clone());
        }
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= MOST && !rows.contains_key(&limit.id) {
            return None;
        }
        let tally = rows.entry(limit.id.clone()).or_insert_with(|| Arc::new(Tally::new(limit)));
        if !tally.is_of(limit) {
            *tally = Arc::new(Tally::new(limit));
        }
        Some(tally.clone())
    }
}

// === impl Tally ===

impl Tally {
    fn new(limit: &Limit) -> Self {
        Tally {
            limit: limit.id.clone(),
            unit: limit.unit,
            is_shared: limit.is_shared(),
            asks: AtomicU64::new(0),
            leased: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            warned: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            reserved: AtomicI64::new(0),
            peak: Peak::default(),
            calls: Default::default(),
        }
    }

    /// Of how many calls it made this.
    pub fn calls(&self, outcome: Outcome) -> u64 {
        self.calls_of(outcome).load(Ordering::Relaxed)
    }

    fn calls_of(&self, outcome: Outcome) -> &AtomicU64 {
        let [granted, denied, downgraded, cut, shadow_denied, observed, unchecked] = &self.calls;
        match outcome {
            Outcome::Granted => granted,
            Outcome::Denied => denied,
            Outcome::Downgraded => downgraded,
            Outcome::Cut => cut,
            Outcome::ShadowDenied => shadow_denied,
            Outcome::Observed => observed,
            Outcome::Unchecked => unchecked,
        }
    }

    fn is_of(&self, limit: &Limit) -> bool {
        self.unit == limit.unit && self.is_shared == limit.is_shared()
    }

    fn lease(&self, taken: &Taken) {
        if lease::has_slices(&taken.limit) && taken.fit != Fit::Unchecked {
            let counter = if taken.slice.is_some() { &self.leased } else { &self.asked };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hold(&self, amount: u64, sign: i64) {
        // An amount is at most 2^53.
        let amount = i64::try_from(amount).unwrap_or(0);
        self.reserved.fetch_add(sign * amount, Ordering::Relaxed);
    }
}

// === impl Outcome ===

impl Outcome {
    pub const ALL: [Outcome; 7] = [
        Outcome::Granted,
        Outcome::Denied,
        Outcome::Downgraded,
        Outcome::Cut,
        Outcome::ShadowDenied,
        Outcome::Observed,
        Outcome::Unchecked,
    ];

    /// The word of metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Granted => "granted",
            Outcome::Denied => "denied",
            Outcome::Downgraded => "downgraded",
            Outcome::Cut => "cut",
            Outcome::ShadowDenied => "shadow_denied",
            Outcome::Observed => "observed",
            Outcome::Unchecked => "unchecked",
        }
    }
}
