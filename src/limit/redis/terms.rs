//! [io] What a replica that counts is told of its own part.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// How calls are held, and what waits.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long the calls of a replica stay held that is not heard of. It is heard of three times as often.
    pub hold: Duration,
    /// How many settlements wait at most while the store is away.
    pub queue: usize,
    #[doc(hidden)]
    pub clock: Clock,
}

/// What time it is; for tests.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The store's, in microseconds since the Unix epoch, instead of its own.
    pub store: Option<Arc<AtomicU64>>,
    /// By how many seconds this replica's is wrong.
    pub skew: i64,
}

// === impl Terms ===

impl Default for Terms {
    fn default() -> Self {
        Terms { hold: Duration::from_secs(15), queue: 16_384, clock: Clock::default() }
    }
}
