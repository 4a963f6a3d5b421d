//! Cool-downs that replicas share: what a provider says of an account to one of them spares the others the same.
//!
//! A call never waits for it. It reads what this process knows ([`Health`]); what it is told is written to the store
//! by a task, and what others wrote is read by the same task, which looks once a second whether there is news. The
//! store counts the time, so that no replica's clock matters. While it is away each replica goes by what it sees
//! itself. What concerns the way to a provider (no connection, 5xx) is not told: see [`Health`].
//!
//! A notice is called `BACKEND|ACCOUNT|MODEL`, without a model for all of them; see [`Policy::account`]. Nothing of
//! it is believed beyond what an own answer could say: a backend and an account that this process has, for no longer
//! than [`MAX_COOLDOWN`](crate::target::health::MAX_COOLDOWN), and [`DENIED`](crate::target::health::DENIED) where it
//! is for all models.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::Policies;
use crate::base::now::Instant;
use crate::limit::redis::notices::{Heard, LEAST, MOST, NAME};
use crate::limit::redis::{Down, Redis};
use crate::policy::Policy;
use crate::target::Health;
use crate::target::health::{self, Observation};

/// How often it is looked for news: one small command of each replica.
const LOOK: Duration = Duration::from_secs(1);

/// The shortest time from one telling to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// What it is by the clock of those who observe.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What is counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Notices that were written.
    pub told: Counter,
    /// Those of others that were new and meant an account of this process.
    pub learnt: Counter,
    /// Those that found no room while the store was away.
    pub lost: Counter,
    /// What stood among them and is no notice.
    pub strange: Counter,
    /// Times the store was asked or told and did not answer.
    pub failed: Counter,
}

/// What cools down, here and, where there is a store, of all replicas.
#[derive(Default)]
pub struct Cooling {
    health: Arc<Health>,
    shared: OnceLock<(Arc<Shared>, AbortOnDropHandle<()>)>,
}

/// What the task needs.
struct Shared {
    health: Arc<Health>,
    policies: Policies,
    redis: Redis,
    clock: Clock,
    counts: Counts,
    book: Mutex<Book>,
    /// Something is to be told.
    news: Notify,
}

/// Notices by name, and until when they hold. Both lists are bounded.
#[derive(Default)]
struct Book {
    /// They are to be told.
    waiting: HashMap<String, Instant>,
    /// The store has them.
    known: HashMap<String, Instant>,
}

/// As of when all is known that was told.
#[derive(Default)]
struct Mark {
    version: Option<u64>,
    /// Of the policy: places of credentials are those of one.
    generation: u64,
    /// The store has failed, and it was said.
    failing: bool,
}

// === impl Cooling ===

impl Cooling {
    /// What this process knows.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Shares it through this store from now on; of several the first stays. Needs a tokio runtime.
    pub fn share(&self, redis: Redis, policies: Policies, clock: Clock, counts: Counts) {
        self.shared.get_or_init(|| {
            let (book, news, health) = (Mutex::default(), Notify::new(), self.health.clone());
            let shared = Arc::new(Shared { health, policies, redis, clock, counts, book, news });
            let task = tokio::spawn(Arc::clone(&shared).keep());
            (shared, AbortOnDropHandle::new(task))
        });
    }

    /// Takes an answer into account. It is known here when this returns, and told later.
    pub(super) fn observe(&self, seen: &Observation) {
        let cooling = self.health.observe(seen);
        if let (Some(cooling), Some((shared, _))) = (cooling, self.shared.get()) {
            shared.put(&cooling, seen.at);
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Leaves a notice to be told, where an account is meant and the store does not have it yet.
    fn put(&self, cooling: &health::Cooling, now: Instant) {
        let Some(name) = name(&self.policies.get(), cooling) else { return };
        let mut book = self.book();
        let known = book.known.get(&name).copied().unwrap_or_default().max(now);
        if cooling.until < known.plus(LEAST) {
            return;
        }
        if book.wait(name, cooling.until) {
            self.news.notify_one();
        } else {
            self.counts.lost.inc();
        }
    }

    /// Tells and listens until it is dropped.
    async fn keep(self: Arc<Self>) {
        let mut mark = Mark::default();
        self.look(&mut mark).await;
        // Replicas that start together do not ask together.
        let some = getrandom::u32().map_or(0, |random| u64::from(random) % 1000);
        sleep(LOOK * u32::try_from(some).unwrap_or_default() / 1000).await;
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                _ = ticks.tick() => {
                    self.look(&mut mark).await;
                    // What could not be told before.
                    self.tell(&mut mark).await;
                }
                () = self.news.notified() => {
                    self.tell(&mut mark).await;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Learns what is new.
    async fn look(&self, mark: &mut Mark) {
        let looked = self.learn(mark).await;
        self.note(looked, mark);
    }

    async fn learn(&self, mark: &mut Mark) -> Result<(), Down> {
        let version = self.redis.version().await?;
        // A policy is not kept while the store is waited for.
        let generation = self.policies.get().generation;
        if (version, generation) == (mark.version, mark.generation) {
            return Ok(());
        }
        let before = mark.version.filter(|before| version.is_some_and(|version| *before <= version));
        if before.is_none() && mark.version.is_some() {
            // The store has lost what it had.
            self.book().known.clear();
        }
        if version.is_none() {
            (mark.version, mark.generation) = (None, generation);
            return Ok(());
        }
        let since = before.filter(|_| generation == mark.generation).unwrap_or(0);
        let heard = self.redis.listen(since).await?;
        (mark.version, mark.generation) = (Some(heard.version), generation);
        self.believe(heard, &self.policies.get());
        Ok(())
    }

    fn believe(&self, heard: Heard, policy: &Policy) {
        let now = (self.clock)();
        self.counts.strange.inc_by(heard.strange as u64);
        for (name, left) in heard.notices {
            let mut parts = name.splitn(3, '|');
            let (Some(backend), Some(account), Some(model)) = (parts.next(), parts.next(), parts.next()) else {
                self.counts.strange.inc();
                continue;
            };
            let Some((backend, places)) = policy.credentials_of(backend, account) else { continue };
            let model = (!model.is_empty()).then(|| Arc::from(model));
            for place in &places {
                self.health.learn(&backend, *place, model.as_ref(), now, left);
            }
            if self.book().know(name, now.plus(left), now) && !places.is_empty() {
                self.counts.learnt.inc();
            }
        }
    }

    /// Tells what waits.
    async fn tell(&self, mark: &mut Mark) {
        let now = (self.clock)();
        let waiting = std::mem::take(&mut self.book().waiting);
        let still = waiting.into_iter().filter(|(_, until)| *until >= now.plus(LEAST));
        let notices: Vec<(String, Duration)> = still.map(|(name, until)| (name, until.since(now))).collect();
        if notices.is_empty() {
            return;
        }
        let told = self.redis.tell(&notices).await;
        let mut book = self.book();
        for (name, left) in notices {
            let until = now.plus(left);
            match told {
                Ok(()) => {
                    self.counts.told.inc();
                    book.know(name, until, now);
                }
                Err(_) if book.wait(name, until) => {}
                Err(_) => drop(self.counts.lost.inc()),
            }
        }
        drop(book);
        self.note(told, mark);
    }

    /// Counts what fails, and says it once.
    fn note(&self, done: Result<(), Down>, mark: &mut Mark) {
        match done {
            Ok(()) => mark.failing = false,
            Err(down) => {
                self.counts.failed.inc();
                if !std::mem::replace(&mut mark.failing, true) {
                    tracing::warn!("cool-downs are not shared until the store answers again: {down}");
                }
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Book ===

impl Book {
    /// False where there is no room.
    fn wait(&mut self, name: String, until: Instant) -> bool {
        if self.waiting.len() >= MOST && !self.waiting.contains_key(&name) {
            return false;
        }
        let waiting = self.waiting.entry(name).or_default();
        *waiting = until.max(*waiting);
        true
    }

    /// Whether it is news.
    fn know(&mut self, name: String, until: Instant, now: Instant) -> bool {
        if self.known.len() >= 2 * MOST {
            self.known.retain(|_, until| *until > now);
            if self.known.len() >= 2 * MOST {
                // It is told once more than need be.
                self.known.clear();
            }
        }
        let known = self.known.entry(name).or_default();
        let is_news = until >= (*known).max(now).plus(LEAST);
        *known = until.max(*known);
        is_news
    }
}

/// What a notice is called; none where no account is meant, or its name is too long.
fn name(policy: &Policy, cooling: &health::Cooling) -> Option<String> {
    let backend = policy.targets.backends.iter().position(|one| one.name == cooling.backend)?;
    let account = policy.account(backend, cooling.credential?)?;
    let model = cooling.model.as_deref().unwrap_or_default();
    let name = format!("{}|{account}|{model}", cooling.backend);
    (name.len() <= NAME).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Instant {
        Instant(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_waits_and_what_is_known_is_bounded() {
        let mut book = Book::default();
        for number in 0..10 * MOST {
            assert_eq!(book.wait(number.to_string(), seconds(9)), number < MOST);
            book.know(number.to_string(), seconds(9), seconds(1));
            assert!(book.known.len() <= 2 * MOST);
        }
        assert!(book.wait("0".to_owned(), seconds(10)), "it has its place");
        assert_eq!((book.waiting.len(), book.waiting["0"]), (MOST, seconds(10)));
        assert!(book.wait("0".to_owned(), seconds(3)));
        assert_eq!(book.waiting["0"], seconds(10), "never shorter");
    }

    #[test]
    fn what_is_known_as_long_is_no_news() {
        let mut book = Book::default();
        assert!(book.know("a".to_owned(), seconds(9), seconds(1)));
        assert!(!book.know("a".to_owned(), seconds(9), seconds(1)));
        assert!(!book.know("a".to_owned(), seconds(9).plus(LEAST / 2), seconds(1)));
        assert!(book.know("a".to_owned(), seconds(20), seconds(1)));
        assert!(!book.know("b".to_owned(), seconds(1), seconds(1)), "it is over");
    }
}
