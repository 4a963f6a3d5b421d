//! The composition root: configuration in, servers up, notes worked off, an end in good order.

pub mod documents;
pub mod reload;
pub mod status;

mod caching;
mod check;
mod counting;
mod keeper;
mod notes;
pub mod prices;
mod runtime;
mod serving;
mod store;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::admin::{self, Admin, Caching, Listing, Scope};
use crate::config::{Bootstrap, Compiled, ConfigError, Store};
use crate::extproc::signing::Signing;
use crate::extproc::tls::TermsError;
use crate::extproc::{Pool, PoolLimits};
use crate::identity::Role;
use crate::limit::journal::JournalError;
use crate::limit::redis::{Redis, Unusable};
use crate::policy::Policy;
use crate::telemetry::{Ledger, Metrics, Recent, Sinks};
use crate::tokens::Learned;
use crate::world::cache::Cache;
use crate::world::{Closer, Limits, Local, Policies};

use self::documents::{Documents, First, Snapshot};
use self::keeper::Keeper;
use self::notes::{Told, Unaccepted};
use self::reload::{Alone, Follower, Reload, Running};
use self::serving::{LAST_WORDS, Serving, private_parent};
use self::status::Status;

pub use check::{check, load};
pub use runtime::runtime;
pub use serving::{Listeners, listen};

/// Why Weir does not run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("the configuration is not valid:\n{}", lines(.0))]
    Config(Vec<ConfigError>),
    #[error("the configuration is not valid, and so it is not known where to listen:\n{}", lines(.0))]
    Bootstrap(Vec<ConfigError>),
    #[error("the price file is not valid:\n{}", lines(.0))]
    Prices(Vec<ConfigError>),
    #[error("cannot listen on {what}: {source}")]
    Listen { what: String, source: io::Error },
    #[error("the ext_proc listener cannot speak TLS: {0}")]
    Tls(#[from] TermsError),
    #[error("cannot write the ledger {path}: {source}", path = path.display())]
    Ledger { path: PathBuf, source: io::Error },
    #[error("the shared store cannot be used: {0}")]
    Store(#[from] Unusable),
    #[error("cannot keep what is spent: {0}")]
    Journal(#[from] JournalError),
    #[error("the ext_proc server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    #[error("the ext_proc server ended by itself")]
    Ended,
    #[error("the admin server failed: {0}")]
    Admin(io::Error),
}

/// What the command line alone can say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Posture {
    /// Keys are put on requests that come over plain TCP.
    pub insist: bool,
    /// The admin socket may change what can be changed.
    pub mutations: bool,
}

/// A process that has started: its servers run until it is told to drain.
pub struct Core {
    pub metrics: Arc<Metrics>,
    pub recent: Arc<Recent>,
    ready: Arc<AtomicBool>,
    pool: Arc<Pool>,
    drain_timeout: Duration,
    serving: Serving,
    notes: JoinHandle<()>,
    closer: Closer,
    policies: Policies,
    limits: Arc<Limits>,
    status: Arc<Status>,
    unauthorized: Arc<Notify>,
    keeper: Arc<Keeper>,
    signing: Signing,
    store: Option<Redis>,
    cooling: Arc<Listing>,
    caching: Caching,
    cache: Arc<Cache>,
}

// === impl Core ===

impl Core {
    /// Starts serving on `listeners`. `store` is what its replicas share, `ledger` where records go, if anywhere.
    ///
    /// # Errors
    /// When the ledger or the journal cannot be opened, the store can never be reached, or the place for attempts cannot
    /// be taken.
    pub fn start(
        mut policy: Policy,
        bootstrap: &Bootstrap,
        store: Option<Store>,
        mut listeners: Listeners,
        signing: Signing,
        ledger: Option<&Path>,
    ) -> Result<Core, AppError> {
        tracing::info!("{}", signing.reason());
        policy.may_sign = signing.is_on();
        let metrics = Arc::new(Metrics::new());
        listeners.calls = listeners.calls.counted(&metrics);
        let keeper = Arc::new(Keeper::new(keeper::outside(), metrics.clone()));
        keeper.adopt(&mut policy.credentials);
        let recent = Arc::new(Recent::default());
        let open = |path: &Path| {
            let opened = Ledger::open(path, metrics.ledger_dropped.clone());
            opened.map_err(|source| AppError::Ledger { path: path.to_owned(), source })
        };
        let sinks = Sinks { metrics: metrics.clone(), ledger: ledger.map(open).transpose()?, recent: recent.clone() };
        let overload = &bootstrap.overload;
        let limits = PoolLimits { max_exchanges: overload.max_exchanges, max_buffered: overload.max_buffered };
        let pool = match &listeners.attempts {
            Some(attempts) => Pool::of(limits, metrics.clone(), attempts.process()),
            None => Pool::new(limits, metrics.clone()),
        };
        let learned = Arc::new(Learned::new());
        let dropped = metrics.notes_dropped.clone();
        let (world, receiver) = Local::new(Arc::new(policy), learned.clone(), overload.max_exchanges, dropped);
        let world = caching::kept(counting::kept(world, bootstrap, &metrics)?, bootstrap, store.as_ref())?;
        let (closer, policies, limits) = (world.closer(), world.policies(), world.limits());
        let unauthorized = Arc::new(Notify::new());
        let unaccepted = Unaccepted { keys: unauthorized.clone(), fetched: keeper.clone() };
        let store = counting::share(&world, store, &metrics, pool.clone())?;
        let cooling = counting::cooling(&world, pool.clone());
        let (cache, caching) = (world.cache(), caching::shown(&world, &metrics));
        cache.count_in(pool.clone());
        let told = Told { learned, unaccepted, limits: limits.clone() };
        let serving = Serving::start(listeners, Arc::new(world), &pool)?;
        Ok(Core {
            metrics,
            recent,
            ready: Arc::new(AtomicBool::new(true)),
            pool,
            drain_timeout: bootstrap.drain_timeout,
            serving,
            notes: tokio::task::spawn_blocking(|| notes::work_off(receiver, sinks, told)),
            closer,
            policies,
            limits,
            status: Arc::default(),
            unauthorized,
            keeper,
            signing,
            store,
            cooling,
            caching,
            cache,
        })
    }

    /// Makes Weir's own calls through the proxy that listens there, as `HOST:PORT`.
    pub fn call_through(&self, listen: &str) {
        self.cache.call_through(listen);
    }

    /// What the admin servers show of this process. A gateway is not ready before it has a
    /// configuration; whether a sidecar is never depends on one. `mutations`: what can be changed may be.
    pub fn admin(&self, mutations: bool) -> Admin {
        let (ready, policies, status) = (self.ready.clone(), self.policies.clone(), self.status.clone());
        let explained_by = self.policies.clone();
        let is_served = move || {
            let policy = policies.get();
            policy.is_configured || policy.role == Role::Sidecar
        };
        Admin {
            metrics: self.metrics.clone(),
            recent: self.recent.clone(),
            ready: Arc::new(move || ready.load(Ordering::Relaxed) && is_served()),
            explain: Arc::new(move |record| status::explained(&explained_by, record)),
            config: Arc::new(move || status.page()),
            limits: self.limits.clone(),
            in_store: counting::in_store(self.policies.clone(), self.limits.clone()),
            cooling: self.cooling.clone(),
            cache: self.caching.clone(),
            mutations,
        }
    }

    /// What puts later configurations in force. `bootstrap` and the rest are what this was started with.
    pub fn reload<F: Follower>(
        &self,
        documents: Arc<Documents>,
        bootstrap: Bootstrap,
        follower: F,
        read: Result<Snapshot, Vec<ConfigError>>,
        errors: Vec<ConfigError>,
    ) -> Reload<F> {
        let running = Running {
            policies: self.policies.clone(),
            metrics: self.metrics.clone(),
            status: self.status.clone(),
            unauthorized: self.unauthorized.clone(),
            keeper: self.keeper.clone(),
            bootstrap,
            signing: self.signing,
            store: self.store.clone(),
            cache: self.cache.clone(),
        };
        Reload::new(documents, running, follower, read, errors)
    }

    /// Readiness goes, new work is refused, live streams finish up to the drain timeout, failing over where their rules
    /// say so; then they are ended with their dialect's error event. What exchanges have left by then is worked off and
    /// the ledger is closed, whether or not a connection is still open.
    ///
    /// # Errors
    /// What the server failed with, if it did.
    pub async fn drain(self) -> Result<(), AppError> {
        self.ready.store(false, Ordering::Relaxed);
        let served = self.serving.finish(self.drain_timeout, &self.pool).await;
        self.closer.close();
        if tokio::time::timeout(LAST_WORDS, self.notes).await.is_err() {
            tracing::warn!("not every record could be written before the end");
        }
        if !self.limits.drain(store::DRAIN).await {
            tracing::warn!("the shared store was not told of all that is settled; what was reserved stays charged");
        }
        served
    }

    /// Waits for a server to end by itself. What its exchanges left is still to be drained.
    pub async fn failed(&mut self) -> AppError {
        self.serving.failed().await
    }
}

/// `weir run`: serves until `stop` is done, then drains. `ready` is told one line when it would
/// answer. Without a valid configuration it serves too, and refuses every request until there is one.
///
/// # Errors
/// When it cannot start, or a server fails.
pub async fn run<H: Future<Output = ()> + Send>(
    documents: Documents,
    posture: Posture,
    stop: impl Future<Output = ()>,
    hangup: impl FnMut() -> H + Send,
    ready: impl FnOnce(&str),
) -> Result<(), AppError> {
    let First { read, compiled, errors } = documents.first()?;
    let Compiled { policy, bootstrap, store, warnings, .. } = compiled;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let (listeners, signing, extproc) = listen(&bootstrap, posture.insist).await?;
    let mut core = Core::start(policy, &bootstrap, store, listeners, signing, bootstrap.ledger.as_deref())?;
    core.call_through(&bootstrap.egress.listen.to_string());
    let reload = core.reload(Arc::new(documents), bootstrap.clone(), Alone, read, errors);
    let socket = &bootstrap.listen.admin_socket;
    let failed = |what: String| move |source| AppError::Listen { what, source };
    private_parent(socket).map_err(failed(socket.display().to_string()))?;
    let admin_listener = admin::bind_unix(socket).await.map_err(failed(format!("unix:{}", socket.display())))?;
    let address = &bootstrap.listen.metrics;
    let public = TcpListener::bind((address.host.as_str(), address.port)).await;
    let public = public.map_err(failed(address.to_string()))?;
    let bound: SocketAddr = public.local_addr().map_err(failed(address.to_string()))?;
    ready(&format!("ready extproc={extproc} admin=unix:{} metrics={bound}", socket.display()));
    let admin = core.admin(posture.mutations);
    let pages = async {
        tokio::select! {
            () = reload.run(hangup) => Ok(()),
            result = admin::serve(admin_listener, admin.clone()) => result,
            result = admin::serve_tcp(public, admin.clone(), Scope::Public) => result,
        }
    };
    let mut pages = std::pin::pin!(pages);
    let result = tokio::select! {
        () = stop => Ok(()),
        error = core.failed() => Err(error),
        result = &mut pages => result.map_err(AppError::Admin),
    };
    // The pages stay while the rest drains: readiness has to say no, and metrics are still counted.
    let stay = async {
        if result.is_ok() {
            let _ = pages.await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        drained = core.drain() => drained?,
        () = stay => {}
    }
    result
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
