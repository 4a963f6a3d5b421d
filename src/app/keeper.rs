//! Keeps fetched credentials fresh: a task for each source that a configuration in force, or an exchange that
//! still runs, names. It fetches in the background and before the last one ends, one fetch at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, watch};

use crate::credential::clock::Clock;
use crate::credential::lease::{Held, Lease, State, Wishes};
use crate::credential::refresh::{PAUSE, Refresh};
use crate::credential::source::Source;
use crate::credential::{self, FetchError, Issued, Outside};
use crate::policy::credentials::Credentials;
use crate::telemetry::Metrics;

/// The longest that one fetch may take, with everything that it asks for on the way.
const LIMIT: Duration = Duration::from_secs(20);

/// The wall's clock may step, and a machine may sleep, while nothing happens: it is looked at so often at least.
const LOOK: Duration = Duration::from_secs(30);

/// Who fetches.
pub type Fetch = Arc<dyn Fn(Source) -> Fetching + Send + Sync>;

type Fetching = Pin<Box<dyn Future<Output = Result<Issued, FetchError>> + Send>>;

/// All leases of the process.
pub struct Keeper {
    leases: Mutex<Vec<Weak<Lease>>>,
    fetch: Fetch,
    metrics: Arc<Metrics>,
}

/// The task of one lease. It holds the lease only while it fetches, and ends with it.
struct Task {
    lease: Weak<Lease>,
    name: Arc<str>,
    state: watch::Receiver<State>,
    wishes: Wishes,
    clock: Arc<dyn Clock>,
    fetch: Fetch,
    failures: Counter,
    refresh: Refresh,
    /// The last failure that was told of.
    told: Option<String>,
}

/// Fetches with what the process has.
pub fn outside() -> Fetch {
    let outside = Outside::process();
    Arc::new(move |source| {
        let outside = outside.clone();
        Box::pin(async move { credential::fetch(&source, &outside).await })
    })
}

// === impl Keeper ===

impl Keeper {
    pub fn new(fetch: Fetch, metrics: Arc<Metrics>) -> Self {
        Keeper { leases: Mutex::default(), fetch, metrics }
    }

    /// Takes up what a configuration names that is about to be in force: a source that another one named
    /// before keeps what it has, and one that is new is fetched from at once. Where only its secret is new, what
    /// was had with the one before is used until then; and until its end, where the new secret gives nothing.
    pub fn adopt(&self, credentials: &mut Credentials) {
        // A poisoned lock still guards a consistent list.
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|lease| lease.strong_count() > 0);
        for fetched in credentials.fetched() {
            let alive = || leases.iter().rev().filter_map(Weak::upgrade);
            match alive().find(|known| known.source == fetched.lease.source) {
                Some(known) => fetched.lease = known,
                None => {
                    if let Some(before) = alive().find(|known| fetched.lease.source.follows(&known.source)) {
                        fetched.lease.inherit(&before);
                    }
                    leases.push(Arc::downgrade(&fetched.lease));
                    self.metrics.credentials.watch(&fetched.lease);
                    tokio::spawn(self.task(&fetched.lease).run());
                }
            }
        }
    }

    /// A backend did not take the credential of this name that had left at `unix_seconds`: it is fetched again
    /// soon, unless that was another one than there is now.
    pub fn rejected(&self, name: &str, unix_seconds: u64) {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = leases.iter().filter_map(Weak::upgrade).filter(|lease| *lease.name == *name);
        of_name.for_each(|lease| lease.reject(unix_seconds));
    }

    fn task(&self, lease: &Arc<Lease>) -> Task {
        Task {
            lease: Arc::downgrade(lease),
            name: lease.name.clone(),
            state: lease.watch(),
            wishes: lease.wishes(),
            clock: lease.clock(),
            fetch: self.fetch.clone(),
            failures: self.metrics.credentials.failures(&lease.name),
            refresh: Refresh::default(),
            told: None,
        }
    }
}

// === impl Task ===

impl Task {
    async fn run(mut self) {
        while self.is_due().await {
            let Some(lease) = self.lease.upgrade() else { return };
            lease.begin();
            self.refresh.begun(self.now());
            let result = tokio::select! {
                result = (self.fetch)(lease.source.clone()) => result,
                () = self.clock.sleep(LIMIT) => Err(FetchError::Slow(LIMIT)),
            };
            self.ended(&lease, result);
        }
    }

    /// By a clock that never steps.
    fn now(&self) -> u64 {
        self.clock.elapsed().as_secs()
    }

    /// Waits until it is time; false when the lease is gone.
    async fn is_due(&mut self) -> bool {
        loop {
            let wait = Duration::from_secs(self.refresh.due()).saturating_sub(self.clock.elapsed());
            if wait.is_zero() {
                return true;
            }
            tokio::select! {
                () = self.clock.sleep(wait.min(LOOK)) => {}
                () = self.wishes.none.notified() => self.refresh.wanted(self.now()),
                () = self.wishes.rejected.notified() => self.refresh.rejected(self.now()),
                changed = self.state.changed() => if changed.is_err() { return false },
            }
            if self.refresh.failures() == 0 && self.state.borrow().has_ended(self.clock.unix()) {
                self.refresh.wanted(self.now());
            }
        }
    }

    fn ended(&mut self, lease: &Lease, result: Result<Issued, FetchError>) {
        let (now, draw) = (self.now(), getrandom::u32().unwrap_or_default());
        match result {
            Ok(Issued { grant, until }) => {
                let since = self.clock.unix();
                // It cannot be fetched more often than this, whatever it says.
                let until = until.map(|until| until.max(since.saturating_add(PAUSE)));
                self.refresh.succeeded(now, until.map(|until| until.saturating_sub(since)), draw);
                // Who asked while it was fetched has got it. Nobody can have met the new one before it is put.
                forget(&self.wishes.none);
                forget(&self.wishes.rejected);
                lease.put(Held { grant, since, until });
                if self.told.take().is_some() {
                    tracing::info!("credential {:?} is fetched again", self.name);
                }
            }
            Err(error) => {
                self.refresh.failed(now, draw);
                let mut wanted = self.refresh;
                wanted.wanted(now);
                lease.fail(Duration::from_secs(wanted.due()));
                self.failures.inc();
                let text = error.to_string();
                if self.told.as_ref() != Some(&text) {
                    let stays = match lease.current(self.clock.unix()) {
                        Some(_) => "the one before stays in use until it ends",
                        None => "calls that need it are refused",
                    };
                    tracing::warn!("credential {:?} cannot be fetched, {stays}: {text}", self.name);
                    self.told = Some(text);
                }
            }
        }
    }
}

/// Takes back what was told and not yet heard.
fn forget(told: &Notify) {
    std::pin::pin!(told.notified()).enable();
}

#[cfg(test)]
mod tests;
