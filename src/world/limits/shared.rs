//! Limits that all replicas share, beside those of this process. Of a question that asks both, the process takes
//! first: it costs nothing to undo, and what it refuses never asks the store. Then one round trip takes the rest,
//! all or nothing over both.

use std::time::Duration;

use super::{Limits, warn};
use crate::limit::Decision;
use crate::limit::take::{Fit, Grant, Refused, Settlement, Standing, Take, Taken};

/// What was taken in this process while the store is asked. It is given back unless it is kept.
struct Own<'a> {
    limits: &'a Limits,
    grant: Option<Grant>,
}

// === impl Limits ===

impl Limits {
    /// What the store does not say is `Unchecked`.
    pub(super) async fn reserve_both(&self, id: u128, takes: &[Take]) -> Decision {
        let (shared, own): (Vec<Take>, Vec<Take>) = takes.iter().cloned().partition(|take| take.limit.is_shared());
        let own = match self.memory.reserve(id, &own, self.clock.now()) {
            Ok(grant) => Own { limits: self, grant: Some(grant) },
            Err(refused) => return Err(widen(refused, takes, false)),
        };
        let there = match self.store.get() {
            Some(store) => match store.reserve(id, &shared).await {
                Ok(grant) => grant.taken,
                Err(refused) => return Err(widen(refused, takes, true)),
            },
            None => shared.iter().map(|take| Taken::unchecked(id, take)).collect(),
        };
        Ok(Grant { id, taken: merge(takes, own.keep(), there) })
    }

    /// Lets the store know at once which calls are over whose grants are settled later.
    pub(super) fn release_shared(&self, grant: &Grant) {
        let Some(store) = self.store.get() else { return };
        for Settlement { grant, .. } in
            by_grant(grant.taken.iter().filter(|row| row.limit.is_shared()).map(|row| (row.clone(), 0)))
        {
            store.redis().release_later(&grant);
        }
    }

    /// Tells the store what its grants came to. What is left belongs to this process.
    pub(super) fn settle_shared(&self, settlement: Settlement) -> Settlement {
        let Settlement { grant, amounts } = settlement;
        if !grant.taken.iter().any(|taken| taken.limit.is_shared()) {
            return Settlement { grant, amounts };
        }
        let rows = grant.taken.into_iter().zip(amounts);
        let (shared, own): (Vec<_>, Vec<_>) = rows.partition(|(taken, _)| taken.limit.is_shared());
        if let Some(store) = self.store.get() {
            for settlement in by_grant(shared.into_iter()).into_iter().filter(is_told) {
                store.settle_later(settlement);
            }
        }
        let (taken, amounts) = own.into_iter().unzip();
        Settlement { grant: Grant { id: grant.id, taken }, amounts }
    }

    /// Waits until the store has heard of all that is settled, and no longer than `limit`. Whether it has.
    pub async fn drain(&self, limit: Duration) -> bool {
        match self.store.get() {
            Some(store) => store.drain(limit).await,
            None => true,
        }
    }
}

/// Each grant by itself, its rows in their order.
fn by_grant(rows: impl Iterator<Item = (Taken, u64)>) -> Vec<Settlement> {
    let mut all: Vec<Settlement> = Vec::with_capacity(1);
    for (taken, amount) in rows {
        match all.iter_mut().find(|one| one.grant.id == taken.grant) {
            Some(one) => {
                one.grant.taken.push(taken);
                one.amounts.push(amount);
            }
            None => {
                all.push(Settlement { grant: Grant { id: taken.grant, taken: vec![taken] }, amounts: vec![amount] })
            }
        }
    }
    all
}

/// A question that was not answered, of a call that came to nothing, is taken back without this.
fn is_told(settlement: &Settlement) -> bool {
    let is_checked = settlement.grant.taken.iter().any(|taken| taken.fit != Fit::Unchecked);
    is_checked || settlement.amounts.iter().any(|amount| *amount > 0)
}

/// The rows of both in the order of the takes.
fn merge(takes: &[Take], own: Vec<Taken>, shared: Vec<Taken>) -> Vec<Taken> {
    let (mut own, mut shared) = (own.into_iter(), shared.into_iter());
    let next = |take: &Take| if take.limit.is_shared() { shared.next() } else { own.next() };
    takes.iter().filter_map(next).collect()
}

/// A refusal of the shared takes alone, or of the others alone, as one of all takes.
fn widen(refused: Refused, takes: &[Take], of_shared: bool) -> Refused {
    let is_asked = |take: &Take| take.limit.is_shared() == of_shared;
    let mut places = takes.iter().enumerate().filter(|(_, take)| is_asked(take)).map(|(place, _)| place);
    let mut standings = refused.standings.into_iter();
    let standing = |take: &Take| is_asked(take).then(|| standings.next()).flatten().unwrap_or(Standing::UNKNOWN);
    Refused {
        take: places.nth(refused.take).unwrap_or_default(),
        wait: refused.wait,
        standings: takes.iter().map(standing).collect(),
    }
}

// === impl Own ===

impl Own<'_> {
    fn keep(mut self) -> Vec<Taken> {
        self.grant.take().map(|grant| grant.taken).unwrap_or_default()
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let Some(grant) = self.grant.take() else { return };
        // A share that was passed for a moment is told all the same: a calendar's unit tells it once.
        grant.taken.iter().for_each(warn);
        let amounts = vec![0; grant.taken.len()];
        self.limits.memory.settle(&Settlement { grant, amounts }, self.limits.clock.now());
    }
}

#[cfg(test)]
mod tests;
