//! What the store has come to since the start.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; 8]);

/// Its fields, in the order of [`Tallies`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Hits,
    Misses,
    Failed,
    Bad,
    Written,
    Dropped,
    BytesRead,
    BytesWritten,
}

/// How often what happened since the start. Each look for an answer, for vectors, or for
/// what is known of a call's inputs is one of the first three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Looks that found something.
    pub hits: u64,
    /// Looks that found nothing, or nothing but what may not be used any more.
    pub misses: u64,
    /// Looks that the store did not answer, or not in time; of several values, or not all of them.
    pub failed: u64,
    /// Values that were none, or not ours, or did not open. They are removed.
    pub bad: u64,
    /// Answers and vectors that were written.
    pub written: u64,
    /// Those that were not, or of which that is not known: they were too large or too late, there was no room for them
    /// to wait, or the store did not take them.
    pub dropped: u64,
    /// Bytes of values that were found, as they lie in the store.
    pub bytes_read: u64,
    /// Bytes of values that were written.
    pub bytes_written: u64,
}

// === impl Tallies ===

impl Tallies {
    /// Those that count how often, by their words.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        let Tallies { hits, misses, failed, bad, written, dropped, bytes_read: _, bytes_written: _ } = *self;
        [("hit", hits), ("miss", misses), ("failed", failed), ("bad", bad), ("written", written), ("dropped", dropped)]
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&self, count: Count, amount: u64) {
        if let Some(of) = self.0.get(count as usize) {
            of.fetch_add(amount, Ordering::Relaxed);
        }
    }

    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn read(&self) -> Tallies {
        let [hits, misses, failed, bad, written, dropped, bytes_read, bytes_written] =
            self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        Tallies { hits, misses, failed, bad, written, dropped, bytes_read, bytes_written }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_has_its_field() {
        let tally = Tally::default();
        let all = [
            Count::Hits,
            Count::Misses,
            Count::Failed,
            Count::Bad,
            Count::Written,
            Count::Dropped,
            Count::BytesRead,
            Count::BytesWritten,
        ];
        for (count, amount) in all.into_iter().zip(1..) {
            tally.add(count, amount);
        }
        tally.one(Count::Hits);
        let expected =
            Tallies { hits: 2, misses: 2, failed: 3, bad: 4, written: 5, dropped: 6, bytes_read: 7, bytes_written: 8 };
        assert_eq!(tally.read(), expected);
    }
}
