//! [io] The time by which credentials are kept: one clock that never steps, for when the next fetch is due, and
//! the wall's, for when a credential ends. A test moves its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What ends when the time is over.
pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock.
pub trait Clock: Send + Sync {
    /// Since an origin that stays the same; it never steps.
    fn elapsed(&self) -> Duration;

    /// Seconds since the Unix epoch; it may step.
    fn unix(&self) -> u64;

    fn sleep(&self, time: Duration) -> Pause;
}

/// The machine's own.
pub fn system() -> Arc<dyn Clock> {
    Arc::new(System { origin: Instant::now() })
}

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

struct System {
    origin: Instant,
}

// === impl System ===

impl Clock for System {
    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    fn unix(&self) -> u64 {
        now()
    }

    fn sleep(&self, time: Duration) -> Pause {
        Box::pin(tokio::time::sleep(time))
    }
}
