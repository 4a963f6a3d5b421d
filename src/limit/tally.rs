//! What became of the takes of each limit, counted since the start.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::take::{Fit, Grant, Posture, Refused, Take};
use super::{Limit, Unit, lease};

/// Most limits that are told apart: configurations may come and go without an end.
const MOST: usize = 1024;

/// By the id of the limit.
#[derive(Debug, Default)]
pub struct Tallies {
    rows: RwLock<HashMap<Arc<str>, Arc<Tally>>>,
}

/// One limit's.
#[derive(Debug)]
pub struct Tally {
    pub limit: Arc<str>,
    pub unit: Unit,
    pub granted: AtomicU64,
    pub denied: AtomicU64,
    /// In Shadow: it would have been denied.
    pub shadow_denied: AtomicU64,
    /// Above it, and only observed.
    pub observed: AtomicU64,
    /// The store did not say.
    pub unchecked: AtomicU64,
    /// Granted out of a slice that this process holds, and asked of the store though the limit has slices.
    pub leased: AtomicU64,
    pub asked: AtomicU64,
    /// Times a share of `warnAt` was passed.
    pub warned: AtomicU64,
    /// Takes whose key found no room, so that they were counted with all such keys of the limit.
    pub overflowed: AtomicU64,
    /// What is taken by calls that are not over, in the parts of the unit.
    pub reserved: AtomicI64,
}

// === impl Tallies ===

impl Tallies {
    /// Counts an answer of the store.
    pub fn count(&self, takes: &[Take], decision: &Result<Grant, Refused>) {
        match decision {
            Ok(grant) => {
                for (take, taken) in takes.iter().zip(&grant.taken) {
                    let Some(tally) = self.of(&take.limit) else { continue };
                    let counter = match (taken.fit, take.posture) {
                        (Fit::Fits, _) => &tally.granted,
                        (Fit::Over, Posture::Shadow) => &tally.shadow_denied,
                        (Fit::Over, _) => &tally.observed,
                        (Fit::Unchecked, _) => &tally.unchecked,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    if lease::has_slices(&take.limit) && taken.fit != Fit::Unchecked {
                        let counter = if taken.slice.is_some() { &tally.leased } else { &tally.asked };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    tally.warned.fetch_add(taken.passed.is_some().into(), Ordering::Relaxed);
                    tally.hold(taken.amount, 1);
                }
            }
            Err(refused) => {
                if let Some(tally) = takes.get(refused.take).and_then(|take| self.of(&take.limit)) {
                    tally.denied.fetch_add(1, Ordering::Relaxed);
                }
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

    /// None where there are too many. A limit whose unit has changed begins anew.
    fn of(&self, limit: &Limit) -> Option<Arc<Tally>> {
        let is_its = |tally: &&Arc<Tally>| tally.unit == limit.unit;
        if let Some(known) = self.rows.read().unwrap_or_else(PoisonError::into_inner).get(&limit.id).filter(is_its) {
            return Some(known.clone());
        }
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= MOST && !rows.contains_key(&limit.id) {
            return None;
        }
        let tally = rows.entry(limit.id.clone()).or_insert_with(|| Arc::new(Tally::new(limit)));
        if tally.unit != limit.unit {
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
            granted: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            shadow_denied: AtomicU64::new(0),
            observed: AtomicU64::new(0),
            unchecked: AtomicU64::new(0),
            leased: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            warned: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            reserved: AtomicI64::new(0),
        }
    }

    fn hold(&self, amount: u64, sign: i64) {
        // An amount is at most 2^53.
        let amount = i64::try_from(amount).unwrap_or(0);
        self.reserved.fetch_add(sign * amount, Ordering::Relaxed);
    }
}
