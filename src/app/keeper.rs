//! Keeps fetched credentials fresh: a task for each source that a configuration in force, or an exchange that
//! still runs, names. It fetches in the background and before the last one ends, one fetch at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::credential::lease::{self, Held, Lease, State};
use crate::credential::refresh::{Refresh, good_until};
use crate::credential::source::Source;
use crate::credential::{self, FetchError, Issued, Outside};
use crate::policy::credentials::Credentials;
use crate::telemetry::Metrics;

/// The longest that one fetch may take, with everything that it asks for on the way.
const LIMIT: Duration = Duration::from_secs(20);

/// The clock may step while nothing happens: it is looked at once in so many seconds at least.
const LOOK: u64 = 30;

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
    wish: Arc<Notify>,
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
    /// before keeps what it has, and one that is new is fetched from at once.
    pub fn adopt(&self, credentials: &mut Credentials) {
        // A poisoned lock still guards a consistent list.
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|lease| lease.strong_count() > 0);
        for fetched in credentials.fetched() {
            let known = leases.iter().filter_map(Weak::upgrade).find(|known| known.source == fetched.lease.source);
            match known {
                Some(known) => fetched.lease = known,
                None => {
                    leases.push(Arc::downgrade(&fetched.lease));
                    self.metrics.credentials.watch(&fetched.lease);
                    tokio::spawn(self.task(&fetched.lease).run());
                }
            }
        }
    }

    /// A backend did not take the credential of this name: it is fetched again soon.
    pub fn rejected(&self, name: &str) {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.iter().filter_map(Weak::upgrade).filter(|lease| *lease.name == *name).for_each(|lease| lease.want());
    }

    fn task(&self, lease: &Arc<Lease>) -> Task {
        Task {
            lease: Arc::downgrade(lease),
            name: lease.name.clone(),
            state: lease.watch(),
            wish: lease.wish(),
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
            self.refresh.begun(lease::now());
            let result = timeout(LIMIT, (self.fetch)(lease.source.clone())).await;
            self.ended(&lease, result.unwrap_or(Err(FetchError::Slow(LIMIT))));
            // Who asked while it was fetched has got it.
            tokio::select! {
                biased;
                () = self.wish.notified() => {}
                () = std::future::ready(()) => {}
            }
        }
    }

    /// Waits until it is time; false when the lease is gone.
    async fn is_due(&mut self) -> bool {
        loop {
            let wait = self.refresh.due().saturating_sub(lease::now());
            if wait == 0 {
                return true;
            }
            tokio::select! {
                () = sleep(Duration::from_secs(wait.min(LOOK))) => {}
                () = self.wish.notified() => self.refresh.wanted(lease::now()),
                changed = self.state.changed() => if changed.is_err() { return false },
            }
        }
    }

    fn ended(&mut self, lease: &Lease, result: Result<Issued, FetchError>) {
        let (now, draw) = (lease::now(), getrandom::u32().unwrap_or_default());
        match result {
            Ok(Issued { grant, until }) => {
                let until = good_until(now, until);
                self.refresh.succeeded(now, until, draw);
                lease.put(Held { grant, since: now, until });
                if self.told.take().is_some() {
                    tracing::info!("credential {:?} is fetched again", self.name);
                }
            }
            Err(error) => {
                self.refresh.failed(now, draw);
                lease.fail();
                self.failures.inc();
                let text = error.to_string();
                if self.told.as_ref() != Some(&text) {
                    let stays = match lease.current(now) {
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

#[cfg(test)]
mod tests;
