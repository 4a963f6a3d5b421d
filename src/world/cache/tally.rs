//! What became of answers that could have been kept.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Reason;

/// Counters of one process, since its start.
#[derive(Debug, Default)]
pub struct Tally {
    kept: AtomicU64,
    bytes: AtomicU64,
    /// By [`Reason::ALL`].
    not_kept: [AtomicU64; Reason::ALL.len()],
}

// === impl Tally ===

impl Tally {
    pub(super) fn kept(&self, bytes: usize) {
        self.kept.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn not_kept(&self, reason: Reason) {
        let at = Reason::ALL.iter().position(|one| *one == reason);
        if let Some(count) = at.and_then(|at| self.not_kept.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers that were kept, and their bytes as they are encoded.
    pub fn stored(&self) -> (u64, u64) {
        (self.kept.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Answers that were not, by each reason.
    pub fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().zip(&self.not_kept).map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }
}
