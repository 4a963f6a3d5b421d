//! Limits of this process whose spend is written down: they begin with what the one before has left, and nothing is
//! taken of them that the next one would not know.

use super::Limits;
use crate::limit::journal::{self, Found, Journal, Spend};
use crate::limit::take::{Fit, Grant, Settlement, Taken};

/// A grant that nobody has heard of yet. It is given back where nobody ever does.
struct Unheard<'a> {
    limits: &'a Limits,
    grant: Option<Grant>,
}

// === impl Limits ===

impl Limits {
    /// Limits that begin with what earlier processes have spent, and are written down.
    pub fn kept(journal: Journal, found: Found) -> Limits {
        let limits = Limits { clock: found.clock, journal: Some(journal), ..Limits::default() };
        let now = limits.clock.now();
        let count = found.counters.len();
        let restored = |spend: &Spend| limits.memory.restore(&spend.limit, &spend.key, &spend.charges, spend.end, now);
        let lost = count - found.counters.iter().filter(|spend| restored(spend)).count();
        if lost > 0 {
            tracing::warn!(counters = count, lost, "there is no room for all that earlier processes have spent");
        }
        limits
    }

    pub(super) async fn keep(&self, journal: &Journal, grant: &mut Grant) {
        let Some(writing) = journal.reserve(grant) else { return };
        let taken = std::mem::take(&mut grant.taken);
        let mut unheard = Unheard { limits: self, grant: Some(Grant { id: grant.id, taken }) };
        let is_kept = writing.is_kept().await;
        grant.taken = unheard.grant.take().map(|grant| grant.taken).unwrap_or_default();
        let is_lost = |taken: &&mut Taken| !is_kept && taken.amount > 0 && journal::keeps(&taken.limit);
        grant.taken.iter_mut().filter(is_lost).for_each(|taken| taken.fit = Fit::Unchecked);
    }

    /// Waits until everything that was settled is written down. Not for a thread that runs tasks.
    pub fn flush(&self) {
        self.journal.iter().for_each(Journal::flush);
    }

    /// Ends what is written down, with all of it on the disk. Not for a thread that runs tasks.
    pub fn close(&self) {
        self.journal.iter().for_each(Journal::close);
    }
}

// === impl Unheard ===

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.limits.charge(Settlement { amounts: vec![0; grant.taken.len()], grant });
        }
    }
}

#[cfg(test)]
mod tests;
