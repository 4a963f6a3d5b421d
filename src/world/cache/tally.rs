//! What became of answers that could have been kept.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Reason;
use crate::cache::semantic::Veto;

/// Counters of one process, since its start.
#[derive(Debug)]
pub struct Tally {
    kept: AtomicU64,
    bytes: AtomicU64,
    /// By [`Reason::ALL`].
    not_kept: [AtomicU64; Reason::ALL.len()],
    /// By [`Like::ALL`], and then by [`Veto::ALL`].
    like: [AtomicU64; Like::ALL.len() + Veto::ALL.len()],
}

/// What became of like questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// Nobody made a vector of the question.
    NotEmbedded,
    /// In Shadow: the answer to a like question says the same as the live one, letter by letter.
    WouldSame,
    /// In Shadow: both are spelt alike.
    WouldAlike,
    /// In Shadow: it says something else.
    WouldDiffer,
    /// The nearest question is another one all the same.
    Vetoed(Veto),
}

// === impl Tally ===

impl Default for Tally {
    fn default() -> Self {
        let zeros = || AtomicU64::new(0);
        Tally {
            kept: zeros(),
            bytes: zeros(),
            not_kept: std::array::from_fn(|_| zeros()),
            like: std::array::from_fn(|_| zeros()),
        }
    }
}

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

    pub(super) fn like(&self, like: Like) {
        if let Some(count) = like.place().and_then(|at| self.like.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of like questions, by its word.
    pub fn alike(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let named = Like::ALL.iter().map(|like| (like.as_str(), ""));
        let vetoed = Veto::ALL.iter().map(|veto| ("vetoed", veto.as_str()));
        named.chain(vetoed).zip(&self.like).map(|((word, why), count)| (word, why, count.load(Ordering::Relaxed)))
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

// === impl Like ===

impl Like {
    /// All but vetoes.
    const ALL: [Like; 4] = [Like::NotEmbedded, Like::WouldSame, Like::WouldAlike, Like::WouldDiffer];

    fn as_str(self) -> &'static str {
        match self {
            Like::NotEmbedded => "not_embedded",
            Like::WouldSame => "would_same",
            Like::WouldAlike => "would_alike",
            Like::WouldDiffer => "would_differ",
            Like::Vetoed(_) => "vetoed",
        }
    }

    fn place(self) -> Option<usize> {
        match self {
            Like::Vetoed(veto) => Veto::ALL.iter().position(|one| *one == veto).map(|at| at + Like::ALL.len()),
            like => Like::ALL.iter().position(|one| *one == like),
        }
    }
}
