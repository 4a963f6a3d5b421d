//! Time as a value. Nothing below layer 6 reads a clock; it is told what time it is.

use std::time::Duration;

/// The instant at which an event is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Monotonic, from an arbitrary origin that is fixed for the process. Use it for durations.
    pub mono: Instant,
    /// Nanoseconds since the Unix epoch. Use it for records; it may step.
    pub unix_nanos: u64,
}

/// A point on the monotonic clock, in nanoseconds from the process's own origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

// === impl Instant ===

impl Instant {
    /// The time from `earlier` to `self`, zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved forward; saturates at the end of the clock.
    pub fn plus(self, by: Duration) -> Instant {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanos))
    }
}
