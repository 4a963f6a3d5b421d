//! What is kept of an answer.

use std::time::Duration;

use bytes::Bytes;

/// An answer as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The answer, encoded; only this module's reader knows how.
    pub bytes: Bytes,
    /// When it was stored, in seconds since the Unix epoch.
    pub stored: u64,
    /// How long it may be read, from then on; whole seconds, at least one.
    pub ttl: Duration,
}

// === impl Entry ===

impl Entry {
    /// Its age at `now`, in seconds since the Unix epoch; none when it may not be read any more. A clock that was set
    /// back makes it new, not eternal: the store ends it as well.
    pub fn age(&self, now: u64) -> Option<Duration> {
        let age = Duration::from_secs(now.saturating_sub(self.stored));
        (age < self.ttl).then_some(age)
    }
}
