//! Puts a new configuration in force while the process runs, and new keys, or refuses them whole and
//! leaves what there is. An exchange keeps the policy that it began with.
//!
//! | what happens                    | what is done                                                     |
//! |---------------------------------|------------------------------------------------------------------|
//! | the documents or the prices change | read, checked, compiled, put in force; or refused, said once  |
//! | SIGHUP                          | the same, changed or not                                         |
//! | a file with a key changes       | the documents in force are compiled again with the new key       |
//! | a backend answers a signed 401  | the files with keys are read, once in [`PAUSE`] at most          |
//! | a key is gone or is none        | the one before stays in use, with a warning                      |
//! | a credential that is fetched    | is kept by `keeper`, over every reload that still names it       |
//! | no document is left             | refused: it is far more often an accident than meant             |
//! | `spec.role` is another          | refused: half of each role is no configuration                   |
//! | a limit asks a shared store, and the process has none | refused: it would be counted nowhere       |
//! | another part of the WeirBootstrap that the process was started with | said; all the rest applies    |

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::documents::{Documents, Snapshot};
use super::keeper::Keeper;
use super::status::{Status, describe};
use crate::config::watch::Watch;
use crate::config::{Bootstrap, Compiled, ConfigError, Store};
use crate::extproc::signing::Signing;
use crate::limit::redis::Redis;
use crate::policy::Policy;
use crate::telemetry::Metrics;
use crate::world::Policies;
use crate::world::cache::Cache;

/// The least time between two looks for new keys because a backend did not take the old one.
pub const PAUSE: Duration = Duration::from_secs(2);

/// How often a follower is asked to tidy up, while it wants to.
const TIDY: Duration = Duration::from_secs(1);

/// What has to change with the policy, such as the proxy in front.
pub trait Follower: Send + 'static {
    /// Prepares for a policy that is about to be in force, so that what it adds can be used.
    ///
    /// # Errors
    /// When it cannot be followed; then the policy is refused.
    fn prepare(&mut self, next: &Policy) -> impl Future<Output = Result<(), FollowError>> + Send;

    /// The policy before is out of force, though exchanges may still run with it.
    fn left(&mut self, before: Arc<Policy>);

    /// Removes what nothing uses any more; true when there is more to remove later.
    fn tidy(&mut self) -> impl Future<Output = bool> + Send;
}

/// Why the rest of the process does not follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("Envoy's files cannot be written: {0}")]
    Files(std::io::Error),
    #[error("Envoy refuses the clusters or the routes of this configuration; its log says why")]
    Refused,
    #[error("Envoy has not taken over the new clusters and routes after {0:?}; it is tried again")]
    Late(Duration),
    #[error(
        "LLMBackend {0:?} keeps its name and is somewhere else: while calls that began before still run, its key could \
         reach the new place. Give the new one another name, or restart"
    )]
    Moved(String),
}

/// Nothing follows: a mesh configures the proxy.
pub struct Alone;

/// What a reload works on.
pub struct Running {
    pub policies: Policies,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    /// Told when a backend did not take a key.
    pub unauthorized: Arc<Notify>,
    /// Who fetches credentials.
    pub keeper: Arc<Keeper>,
    /// What the process was started with.
    pub bootstrap: Bootstrap,
    pub signing: Signing,
    /// What its replicas share.
    pub store: Option<Redis>,
    pub cache: Arc<Cache>,
}

/// The task that reloads.
pub struct Reload<F> {
    documents: Arc<Documents>,
    running: Running,
    follower: F,
    /// The documents and prices in force.
    good: Option<Snapshot>,
    /// What was tried last; none where it is to be tried again.
    tried: Option<Result<Snapshot, Vec<ConfigError>>>,
    /// When a follower is to be asked again.
    tidy_at: Option<Instant>,
}

/// Why a look is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Files,
    Hangup,
    Unauthorized,
}

// === impl Alone ===

impl Follower for Alone {
    async fn prepare(&mut self, _: &Policy) -> Result<(), FollowError> {
        Ok(())
    }

    fn left(&mut self, _: Arc<Policy>) {}

    async fn tidy(&mut self) -> bool {
        false
    }
}

// === impl Reload ===

impl<F: Follower> Reload<F> {
    /// What follows the first load, which is told here: what was read and what was wrong with it.
    pub fn new(
        documents: Arc<Documents>,
        running: Running,
        follower: F,
        read: Result<Snapshot, Vec<ConfigError>>,
        errors: Vec<ConfigError>,
    ) -> Self {
        let policy = running.policies.get();
        let mut reload = Reload { documents, running, follower, good: None, tried: Some(read.clone()), tidy_at: None };
        match read {
            Ok(read) if errors.is_empty() => reload.accepted(read, &policy, Vec::new()),
            _ => {
                reload.running.status.show(describe(&policy, &reload.running.bootstrap, reload.running.signing));
                reload.refused(&errors);
            }
        }
        reload
    }

    /// Reloads until it is dropped. `hangup` gives each SIGHUP.
    pub async fn run<H: Future<Output = ()> + Send>(mut self, mut hangup: impl FnMut() -> H + Send) {
        let mut watch = Watch::new(self.watched());
        let mut rested = Instant::now();
        let unauthorized = self.running.unauthorized.clone();
        loop {
            let asked = async {
                // A 401 that comes in the pause is seen to when it is over.
                sleep_until(rested).await;
                unauthorized.notified().await;
            };
            let cause = tokio::select! {
                () = watch.changed() => Some(Cause::Files),
                () = hangup() => Some(Cause::Hangup),
                () = asked => Some(Cause::Unauthorized),
                () = when(self.tidy_at) => None,
            };
            match cause {
                Some(cause) => self.look(cause).await,
                None => {
                    let more = self.follower.tidy().await;
                    self.tidy_at = more.then(|| Instant::now() + TIDY);
                }
            }
            if cause == Some(Cause::Unauthorized) {
                rested = Instant::now() + PAUSE;
            }
            watch.set(self.watched());
        }
    }

    /// The documents, the prices, and every file with a key.
    fn watched(&self) -> Vec<std::path::PathBuf> {
        let paths = [self.documents.path(), self.documents.price_file()].into_iter().flatten();
        paths.map(Path::to_path_buf).chain(self.documents.secrets.files()).collect()
    }

    async fn look(&mut self, cause: Cause) {
        if cause != Cause::Unauthorized && self.documents.are_files() {
            let read = self.blocking(Documents::read).await;
            let Some(read) = read else { return };
            if cause == Cause::Hangup || self.tried.as_ref() != Some(&read) {
                self.tried = Some(read.clone());
                return match read {
                    Ok(read) => self.try_out(read).await,
                    Err(errors) => self.refused(&errors),
                };
            }
        }
        let Some(good) = self.good.clone() else { return };
        let load = move |documents: &Documents| documents.secrets.have_changed().then(|| documents.load(&good));
        // It was valid with other keys, and what a key says is no matter of validity.
        if let Some(Some(Ok(compiled))) = self.blocking(load).await {
            self.put_keys(compiled);
        }
    }

    /// Keys have changed, and nothing else.
    fn put_keys(&mut self, compiled: Compiled) {
        tracing::info!("keys have changed in their files; the new ones are in use");
        warn(&compiled.warnings);
        self.authenticate(compiled.store);
        self.replace(compiled.policy);
        self.running.metrics.loads.secrets_changed();
        self.tell_kept();
    }

    async fn try_out(&mut self, read: Snapshot) {
        if self.good.as_ref().is_some_and(|good| !good.source.is_empty()) && read.source.is_empty() {
            let message = "no document is left, and that is more often an accident than meant; restart with it to \
                           run without any";
            return self.refused(&[self.about("", message.to_owned())]);
        }
        let of = read.clone();
        let compiled = match self.blocking(move |documents| documents.load(&of)).await {
            Some(Ok(compiled)) => compiled,
            Some(Err(errors)) => return self.refused(&errors),
            None => return,
        };
        let bootstrap = &self.running.bootstrap;
        if compiled.bootstrap.role != bootstrap.role {
            let message = format!(
                "is {}, and this process was started as {}: restart it to change its role",
                compiled.bootstrap.role.as_str(),
                bootstrap.role.as_str()
            );
            return self.refused(&[self.about("spec.role", message)]);
        }
        if bootstrap.redis.is_none() && compiled.policy.asks_store() {
            let message = "NoSharedStore: a limit counts for the whole fleet, and this process was started without a \
                           store: restart it to connect to the one that is named now";
            return self.refused(&[self.about("spec.stores", message.to_owned())]);
        }
        let needs_restart = needs_restart(bootstrap, &compiled.bootstrap);
        if let Err(error) = self.follower.prepare(&compiled.policy).await {
            if let FollowError::Late(_) = error {
                self.tried = None;
            }
            return self.refused(&[self.about("", error.to_string())]);
        }
        for field in &needs_restart {
            tracing::warn!("needs a restart: {field}; the rest of the new configuration is in force");
        }
        warn(&compiled.warnings);
        tracing::info!(
            backends = compiled.policy.targets.backends.len(),
            rules = compiled.policy.targets.rules().count(),
            hash = read.source.hash(),
            prices = &**read.catalog.version(),
            "a new configuration is in force"
        );
        self.authenticate(compiled.store);
        self.replace(compiled.policy);
        let policy = self.running.policies.get();
        self.accepted(read, &policy, needs_restart);
    }

    /// A password may have changed, or the key of kept answers; where the store is, only a new process takes over.
    fn authenticate(&self, store: Option<Store>) {
        let running = &self.running;
        let Some(store) = store.filter(|store| running.bootstrap.redis.as_ref() == Some(&store.redis)) else { return };
        let kept = running.cache.store();
        // A key that cannot be read just now leaves the one in use.
        if let Some(at_rest) = store.at_rest.clone() {
            if kept.is_none() {
                tracing::warn!(
                    "needs a restart: spec.stores.redis.encryptionKey; until then answers are kept in this process alone"
                );
            }
            running.cache.seal_with(at_rest, &store.redis.prefix);
        }
        let options = super::store::options(store);
        let limits = running.store.as_ref().map(|limits| limits.authenticate(options.clone()));
        let kept = kept.map(|kept| kept.authenticate(options));
        for error in [limits, kept].into_iter().flatten().filter_map(Result::err) {
            tracing::error!("{error}");
        }
    }

    fn replace(&mut self, mut policy: Policy) {
        policy.may_sign = self.running.signing.is_on();
        self.running.keeper.adopt(&mut policy.credentials);
        self.follower.left(self.running.policies.replace(policy));
        self.tidy_at.get_or_insert_with(|| Instant::now() + TIDY);
    }

    fn accepted(&mut self, read: Snapshot, policy: &Policy, needs_restart: Vec<String>) {
        let (running, hash) = (&self.running, read.source.hash());
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        running.metrics.loads.succeeded(&hash, since.as_secs());
        running.status.accepted(describe(policy, &running.bootstrap, running.signing), hash, needs_restart);
        self.good = Some(read);
        self.tell_kept();
    }

    fn refused(&self, errors: &[ConfigError]) {
        let stays = if self.good.is_some() { "the last valid one stays in force" } else { "there is none yet" };
        tracing::error!("the configuration is refused, {stays}; errors: {}", errors.len());
        for error in errors {
            tracing::error!("{error}");
        }
        self.running.metrics.loads.refused();
        self.running.status.refused(errors);
    }

    fn tell_kept(&self) {
        let kept = self.documents.secrets.kept();
        for path in &kept {
            tracing::warn!("file {} holds no key any more; the one that it held stays in use", path.display());
        }
        self.running.metrics.loads.secrets_kept(kept.len());
        self.running.status.keeps(kept);
    }

    fn about(&self, path: &str, message: String) -> ConfigError {
        let file = self.documents.path().map_or_else(|| "stdin".to_owned(), |path| path.display().to_string());
        ConfigError { file, document: 0, path: path.to_owned(), message }
    }

    /// Reads or compiles beside the threads that serve.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Documents) -> T + Send + 'static) -> Option<T> {
        let documents = self.documents.clone();
        tokio::task::spawn_blocking(move || work(&documents)).await.ok()
    }
}

/// The parts of the WeirBootstrap that only a new process takes over.
fn needs_restart(running: &Bootstrap, next: &Bootstrap) -> Vec<String> {
    let (r, n) = (running, next);
    let rows = [
        ("spec.listen", r.listen != n.listen),
        ("spec.egress", r.egress != n.egress),
        ("spec.stores", r.redis != n.redis),
        ("spec.overload.maxExchanges", r.overload.max_exchanges != n.overload.max_exchanges),
        ("spec.overload.maxBuffered", r.overload.max_buffered != n.overload.max_buffered),
        ("spec.overload.maxCached", r.overload.max_cached != n.overload.max_cached),
        ("spec.ledger", r.ledger != n.ledger),
        ("spec.journal", r.journal != n.journal),
        ("spec.drainTimeout", r.drain_timeout != n.drain_timeout),
    ];
    rows.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field.to_owned()).collect()
}

fn warn(warnings: &[ConfigError]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

async fn when(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
