//! [io] Counters that replicas share, in one Redis or what speaks as one. All limits of a call are taken in one
//! round trip by one script, all or nothing, on the store's clock. What is asked twice is taken once: a grant
//! leaves a mark under its id.
//!
//! Nothing here waits longer than [`Options::timeout`] for the store, and nothing fails for want of it at the
//! start. What must reach it and may be late, settlements and cancels, waits in a bounded queue while it is away.
//! The store must not evict keys (`maxmemory-policy noeviction`, its default).

mod ask;
mod beat;
mod breaker;
mod keys;
mod lease;
mod link;
mod options;
mod queue;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Pipeline, Value};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Limit;
use super::take::{Grant, Refused, Settlement, Standing, Take};
use crate::base::secret::Secret;
use ask::{Answer, At, Voice};
use beat::Held;
pub use breaker::State;
use keys::Names;
pub use lease::{Back, Change, Slice, Wanted};
use link::{Link, Verb};
pub use options::{Options, Tls};
use queue::{Queue, Work};

/// Told of each state, when it begins. It must not wait for anything.
pub type OnState = Arc<dyn Fn(State) + Send + Sync>;

/// It cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The library's words repeat no password, for there is none in a URL.
    #[error("the address or the certificates of the limit store are not usable: {0}")]
    Address(redis::RedisError),
    #[error("no random numbers to name this replica with: {0}")]
    Random(getrandom::Error),
}

/// The store did not do it, or nobody knows whether it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    #[error("the limit store is down and is not asked")]
    Shut,
    #[error("the limit store has not answered within {0:?}")]
    Late(Duration),
    #[error("no connection to the limit store: {0}")]
    Lost(String),
    /// With its code.
    #[error("the limit store does not do it: {0}")]
    Answer(String),
    #[error("the limit store's answer is not understood; is another version of Weir using this prefix?")]
    Strange,
    #[error("the grant was settled or cancelled before")]
    Over,
    #[error("the limit store is away and there is no room for more settlements")]
    Full,
}

/// A store. Clones are the same; the last one that is dropped ends its tasks, and the connection with them.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    options: Arc<Options>,
    _tasks: Arc<[AbortOnDropHandle<()>; 3]>,
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

/// What the tasks need.
struct Shared {
    link: Arc<Link>,
    voice: Voice,
    queue: Queue,
    held: Held,
    clock: Clock,
    /// The store's clock less ours, in seconds, where that matters.
    offset: AtomicI64,
    ids: AtomicU64,
}

/// Cancels a reserve that nobody knows the answer of.
struct Unheard<'a> {
    shared: &'a Shared,
    id: u128,
    takes: &'a [Take],
}

// === impl Redis ===

impl Redis {
    /// Begins to connect. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where the options can never work; never for want of a server.
    pub fn connect(options: Options) -> Result<Redis, Unusable> {
        Redis::connect_at(options, Clock::default())
    }

    /// [`Redis::connect`] with another clock.
    ///
    /// # Errors
    /// As there.
    #[doc(hidden)]
    pub fn connect_at(options: Options, clock: Clock) -> Result<Redis, Unusable> {
        let names = Names::new(&options.prefix);
        let client = options.client().map_err(Unusable::Address)?;
        let number = getrandom::u64().map_err(Unusable::Random)?;
        let replica = format!("{number:016x}");
        let shared = Arc::new(Shared {
            link: Arc::new(Link::new(client, names.probe(), options.timeout, Arc::clone(&options.on_state))),
            voice: Voice { names, number, replica, hold: options.hold },
            queue: Queue::new(options.queue),
            held: Held::default(),
            clock,
            offset: AtomicI64::new(0),
            ids: AtomicU64::new(0),
        });
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&shared.link).keep())),
            AbortOnDropHandle::new(tokio::spawn(queue::work(Arc::clone(&shared)))),
            AbortOnDropHandle::new(tokio::spawn(beat::beat(Arc::clone(&shared)))),
        ];
        Ok(Redis { shared, options: Arc::new(options), _tasks: Arc::new(tasks) })
    }

    /// Says another password from the next connection on: the server asks for it once a connection.
    ///
    /// # Errors
    /// As [`Redis::connect`].
    pub fn authenticate(&self, password: Option<Secret>) -> Result<(), Unusable> {
        let client = Options { password, ..Options::clone(&self.options) }.client().map_err(Unusable::Address)?;
        self.shared.link.connect_as(client);
        Ok(())
    }

    /// Takes all or nothing. Asked again with the same id and takes, it gives the same grant and takes nothing
    /// more. An id is no other grant's, of any replica.
    ///
    /// # Errors
    /// Then nothing is taken, or what may have been taken is given back as soon as the store can be asked. The
    /// same holds when the future is dropped before it is done.
    pub async fn reserve(&self, id: u128, takes: &[Take]) -> Result<Result<Grant, Refused>, Down> {
        if takes.is_empty() {
            return Ok(Ok(Grant { id, taken: Vec::new() }));
        }
        let unheard = Unheard { shared: &self.shared, id, takes };
        let answer = self.ask(Some(id), takes).await;
        if !matches!(answer, Err(Down::Late(_) | Down::Lost(_) | Down::Strange)) {
            unheard.heard();
        }
        if let Ok(Ok(grant)) = &answer {
            self.shared.held.begin(&self.shared, grant);
        }
        answer
    }

    /// How each limit stands, in order. Nothing is taken.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn peek(&self, takes: &[Take]) -> Result<Vec<Standing>, Down> {
        if takes.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.ask(None, takes).await?;
        Ok(answer.map_or_else(|refused| refused.standings, |grant| grant.taken.iter().map(|it| it.standing).collect()))
    }

    /// Charges what grants came to. Settling a grant again changes nothing.
    ///
    /// # Errors
    /// When it is not known to be done in time. It is done later, unless it is [`Down::Full`]: then what was
    /// reserved stays charged for those for which there was no room. There is nothing to repeat.
    pub async fn settle(&self, settlements: &[Settlement]) -> Result<(), Down> {
        let mut all = Vec::with_capacity(settlements.len());
        for settlement in settlements.iter().filter(|settlement| !settlement.grant.taken.is_empty()) {
            self.shared.held.end(&self.shared, &settlement.grant);
            all.push(self.shared.queue.push(Work::Settle(settlement.clone())));
        }
        self.done(all).await
    }

    /// [`Redis::settle`] of one grant for which nobody waits: all rows that were taken under its id, in their order.
    pub fn settle_later(&self, settlement: Settlement) {
        self.shared.held.end(&self.shared, &settlement.grant);
        // Whether it is done, or there was no room for it, is counted.
        let _ = self.shared.queue.push(Work::Settle(settlement));
    }

    /// Lets go of the calls that a grant holds, for it is settled only when what it came to is known.
    pub fn release_later(&self, grant: &Grant) {
        if let Some(held) = self.shared.voice.held(grant) {
            self.shared.held.end(&self.shared, grant);
            let _ = self.shared.queue.push(Work::Release(held));
        }
    }

    /// Takes back a reserve of which nobody knows whether it was granted; one that comes later under this id is
    /// not granted any more.
    ///
    /// # Errors
    /// As [`Redis::settle`].
    pub async fn cancel(&self, id: u128, takes: &[Take]) -> Result<(), Down> {
        if takes.is_empty() {
            return Ok(());
        }
        let undo = self.shared.voice.undo(id, takes);
        self.done(vec![self.shared.queue.push(Work::Cancel(undo))]).await
    }

    /// How it stands with the store.
    pub fn state(&self) -> State {
        self.shared.link.state()
    }

    /// Settlements that wait for the store.
    pub fn waiting(&self) -> u64 {
        self.shared.queue.waiting()
    }

    /// Settlements that were given up since the start: what was reserved stayed charged.
    pub fn dropped(&self) -> u64 {
        self.shared.queue.dropped()
    }

    /// What a limit is called there, by one key or by all: a pattern in the sense of `SCAN`.
    pub fn pattern(&self, limit: &Limit, key: Option<&str>) -> String {
        self.shared.voice.names.pattern(limit, key)
    }

    /// Waits until no settlement waits any more, and no longer than `limit`. Whether that is so.
    pub async fn drain(&self, limit: Duration) -> bool {
        timeout(limit, self.shared.queue.empty()).await.is_ok()
    }

    async fn ask(&self, id: Option<u128>, takes: &[Take]) -> Result<Result<Grant, Refused>, Down> {
        for _ in 0..2 {
            let digest = self.shared.link.digest(Verb::Reserve);
            let mut commands = Pipeline::new();
            commands.add_command(self.shared.voice.reserve(digest, id, takes, self.shared.at()));
            let values = self.shared.link.send(&commands).await?;
            let value = values.first().ok_or(Down::Strange)?;
            match ask::read(value, id.unwrap_or_default(), takes)? {
                Answer::Granted(grant) => return Ok(Ok(grant)),
                Answer::Refused(refused) => return Ok(Err(refused)),
                Answer::Over => return Err(Down::Over),
                Answer::OtherTime(unix) => self.shared.learn(unix),
                Answer::Nothing => return Err(Down::Strange),
            }
        }
        Err(Down::Strange)
    }

    async fn done(&self, jobs: Vec<Option<tokio::sync::oneshot::Receiver<()>>>) -> Result<(), Down> {
        let full = jobs.iter().any(Option::is_none);
        if self.state() == State::Down && !jobs.is_empty() {
            return Err(if full { Down::Full } else { Down::Shut });
        }
        let limit = self.shared.link.timeout();
        let told = timeout(limit, async {
            for job in jobs.into_iter().flatten() {
                job.await.map_err(|_| Down::Strange)?;
            }
            Ok(())
        });
        let told = told.await.unwrap_or(Err(Down::Late(limit)));
        if full { Err(Down::Full) } else { told }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("state", &self.state()).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn at(&self) -> At {
        let store = self.clock.store.as_ref().map(|store| store.load(Ordering::Relaxed));
        At { store: store.unwrap_or(0), unix: self.unix().saturating_add_signed(self.offset.load(Ordering::Relaxed)) }
    }

    /// Our own clock, in seconds.
    fn unix(&self) -> u64 {
        let unix = match &self.clock.store {
            Some(store) => store.load(Ordering::Relaxed) / 1_000_000,
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        };
        unix.saturating_add_signed(self.clock.skew)
    }

    /// Learns what time it is there.
    fn learn(&self, unix: u64) {
        let there = i64::try_from(unix).unwrap_or(i64::MAX);
        let here = i64::try_from(self.unix()).unwrap_or(i64::MAX);
        self.offset.store(there.saturating_sub(here), Ordering::Relaxed);
    }
}

// === impl Unheard ===

impl Unheard<'_> {
    fn heard(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        // Who waits for it is nobody.
        let _ = self.shared.queue.push(Work::Cancel(self.shared.voice.undo(self.id, self.takes)));
    }
}

// === impl Down ===

impl Down {
    fn lost(error: redis::RedisError) -> Down {
        Down::Lost(error.to_string())
    }

    /// A server's error, or what is no answer at all.
    fn of(value: &Value) -> Down {
        match value {
            Value::ServerError(_) => Down::Answer(link::words(value)),
            _ => Down::Strange,
        }
    }
}

/// Whether nothing was sent.
fn shut(down: &Down) -> bool {
    *down == Down::Shut
}
