//! What all exchanges of a process share: how many there are, how many bytes they hold, and the
//! word that it is time to stop.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::originals::Originals;
use super::registry::Registry;
use crate::base::now::{Instant, Now};
use crate::telemetry::Metrics;
use crate::world::cache::Budget;

/// Bounds over all exchanges together. What does not fit is shed; nothing queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    pub max_exchanges: usize,
    /// Bytes of bodies that are held, over all exchanges.
    pub max_buffered: usize,
}

/// What all exchanges share.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    /// Its gauges are what is counted with, so that what is shown is what is enforced.
    metrics: Arc<Metrics>,
    origin: std::time::Instant,
    random: RandomState,
    counter: AtomicU64,
    /// What names this process in the ids of its exchanges.
    process: u64,
    wrong_mode: Once,
    unreadable: Once,
    unheard: Once,
    given_up: Once,
    attempts: Arc<Registry>,
    originals: Originals,
    deadline: CancellationToken,
    /// The same as a flag, which costs less to look at.
    over: AtomicBool,
}

/// Bytes that are held beside those of a place, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pool: Arc<Pool>,
    bytes: usize,
}

/// A place among the exchanges in flight.
#[derive(Debug)]
pub struct Place {
    pool: Arc<Pool>,
    buffered: usize,
}

// === impl Pool ===

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Pool::of(limits, metrics, RandomState::new().hash_one(std::process::id()))
    }

    /// An empty pool of the process that has this number, which nobody else has drawn.
    pub fn of(limits: PoolLimits, metrics: Arc<Metrics>, process: u64) -> Arc<Self> {
        Arc::new(Pool {
            limits,
            metrics,
            origin: std::time::Instant::now(),
            random: RandomState::new(),
            counter: AtomicU64::new(0),
            process,
            wrong_mode: Once::new(),
            unreadable: Once::new(),
            unheard: Once::new(),
            given_up: Once::new(),
            attempts: Arc::default(),
            originals: Originals::default(),
            deadline: CancellationToken::new(),
            over: AtomicBool::new(false),
        })
    }

    /// Exchanges in flight.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.metrics.in_flight.get()).unwrap_or(0)
    }

    /// Bytes held.
    pub fn buffered(&self) -> u64 {
        u64::try_from(self.metrics.buffered.get()).unwrap_or(0)
    }

    /// What still runs has to end now.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.deadline.cancel();
    }

    /// Whether [`Pool::end`] was called.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Done when [`Pool::end`] is called.
    pub(super) fn over(&self) -> WaitForCancellationFutureOwned {
        self.deadline.clone().cancelled_owned()
    }

    /// A place for one more exchange, and whether there was room for it.
    pub(super) fn enter(self: &Arc<Self>) -> (Place, bool) {
        let before = usize::try_from(self.metrics.in_flight.inc()).unwrap_or(0);
        (Place { pool: self.clone(), buffered: 0 }, before < self.limits.max_exchanges)
    }

    /// The exchanges that may be tried again.
    pub(super) fn attempts(&self) -> &Arc<Registry> {
        &self.attempts
    }

    /// The originals of calls that have left.
    pub(super) fn originals(&self) -> &Originals {
        &self.originals
    }

    /// How many bytes too many it would be with `more`.
    pub(super) fn excess(&self, more: usize) -> u64 {
        (self.buffered() + more as u64).saturating_sub(self.limits.max_buffered as u64)
    }

    /// So many bytes are held, or are not any more.
    pub(super) fn hold(&self, bytes: usize, more: bool) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if bytes != 0 {
            self.metrics.buffered.inc_by(if more { bytes } else { -bytes });
        }
    }

    /// So many originals were given up. The first is told in the log.
    pub(super) fn count_given_up(&self, count: usize) {
        self.metrics.originals_given_up.inc_by(count as u64);
        self.given_up.call_once(|| {
            tracing::warn!(
                "bodies of calls that wait for a provider were given up to make room for others; such a call cannot \
                 be sent to another backend. Raise overload.maxBuffered, or look for the provider that is slow; \
                 weir_originals_given_up_total counts them"
            );
        });
    }

    /// An exchange is shed because there are too many, or because too many bytes are held.
    pub(super) fn count_shed(&self, cause: &'static str) {
        self.metrics.shed(cause);
    }

    /// Once for a process: the filter is configured for a body mode that is not spoken here.
    pub(super) fn complain_of_mode(&self) {
        self.wrong_mode.call_once(|| {
            tracing::error!(
                "an Envoy sends bodies in a mode that Weir does not speak; set request_body_mode and \
                 response_body_mode of the ext_proc filter to FULL_DUPLEX_STREAMED, or to BUFFERED and STREAMED, or \
                 both to BUFFERED, and send trailers"
            );
        });
    }

    /// Once for a process: a message cannot be read, or is too large. `why` says nothing of its content.
    pub(super) fn complain_of_message(&self, why: &str) {
        self.unreadable.call_once(|| {
            tracing::error!(
                "an exchange failed because a message of Envoy's cannot be read; let only Envoy connect to the \
                 ext_proc listener, and its ext_proc filter send what Weir's configuration allows: {why}"
            );
        });
    }

    /// Once for a process: a call cannot go on to another backend, for nobody here knows it.
    pub(super) fn complain_of_attempt(&self) {
        self.unheard.call_once(|| {
            tracing::warn!(
                "a call that failed at one backend cannot be sent to the next: neither this process nor another one that \
                 is reached in the directory of its socket has it. That is so for a moment after Weir has crashed; \
                 otherwise let this Envoy reach one Weir alone, with configuration that this version has rendered"
            );
        });
    }

    /// What time it is.
    pub(super) fn now(&self) -> Now {
        let mono = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Instant(mono), unix_nanos: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// What time it is by the monotonic clock of exchanges.
    pub fn mono(&self) -> Instant {
        self.now().mono
    }

    /// The time from now to `at`; zero when it has passed.
    pub(super) fn until(&self, at: Instant) -> Duration {
        at.since(self.now().mono)
    }

    /// A number that nobody can guess and that does not come again in this process.
    pub(super) fn draw(&self) -> u64 {
        self.random.hash_one(self.counter.fetch_add(1, Ordering::Relaxed))
    }

    /// The id of a new exchange, of 32 digits: the number of the process that has it, and one that does not come again.
    pub(super) fn id(&self) -> Arc<str> {
        format!("{:016x}{:016x}", self.process, self.draw()).into()
    }
}

/// What followers of answers wait for. No original is given up for it: who finds no room asks for itself.
impl Budget for Pool {
    fn take(&self, bytes: usize) -> bool {
        let fits = self.excess(bytes) == 0;
        if fits {
            Pool::hold(self, bytes, true);
        }
        fits
    }

    fn hold(&self, bytes: usize) {
        Pool::hold(self, bytes, true);
    }

    fn give(&self, bytes: usize) {
        Pool::hold(self, bytes, false);
    }
}

// === impl Place ===

impl Place {
    /// This exchange holds `bytes` now.
    pub(super) fn holds(&mut self, bytes: usize) {
        self.pool.hold(bytes.abs_diff(self.buffered), bytes > self.buffered);
        self.buffered = bytes;
    }

    /// True when `more` bytes would be too many for all exchanges together.
    pub(super) fn is_full_for(&self, more: usize) -> bool {
        self.pool.excess(more) > 0
    }

    /// True when there is room for `more` bytes, be it that originals are given up for them.
    pub(super) fn makes_room_for(&self, more: usize) -> bool {
        self.pool.make_room(more)
    }
}

// === impl Held ===

impl Held {
    /// These are held from now on, whether there is room or not.
    pub fn new(pool: &Arc<Pool>, bytes: usize) -> Self {
        pool.hold(bytes, true);
        Held { pool: pool.clone(), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pool.hold(self.bytes, false);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holds(0);
        self.pool.metrics.in_flight.dec();
    }
}
