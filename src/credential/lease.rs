//! [io] What one source gave last, who waits for it, and who wants another. It tells the time and waits;
//! whoever fetches is somebody else.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use super::sigv4::Keys;
use super::source::Source;
use crate::base::secret::Secret;

/// A source with what it gave last. Configurations share it for as long as they name the same source.
pub struct Lease {
    pub source: Source,
    /// [`Source::name`].
    pub name: Arc<str>,
    state: watch::Sender<State>,
    wish: Arc<Notify>,
}

/// What a source gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// A bearer token.
    Token(Secret),
    /// A key that signs.
    Aws(Arc<Keys>),
}

/// What it gave, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub grant: Grant,
    /// In seconds since the Unix epoch, as all times here.
    pub since: u64,
    /// None where it does not end.
    pub until: Option<u64>,
}

/// How it stands with a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The last good one, also when it has ended.
    pub held: Option<Held>,
    /// A fetch runs.
    pub fetching: bool,
    /// Fetches that have failed since one succeeded.
    pub failures: u32,
}

// === impl Lease ===

impl Lease {
    /// Nothing has been fetched yet.
    pub fn new(source: Source) -> Self {
        let name = source.name();
        Lease { source, name, state: watch::Sender::default(), wish: Arc::default() }
    }

    /// What it gave, if that is still good at `unix_seconds`.
    pub fn current(&self, unix_seconds: u64) -> Option<Grant> {
        self.state.borrow().good(unix_seconds)
    }

    /// What it gave or is about to give; none when the fetch that is waited for fails, or when the last one
    /// failed and it is not time for another.
    pub async fn wait(&self) -> Option<Grant> {
        let mut state = self.state.subscribe();
        if !state.borrow().fetching {
            self.want();
        }
        loop {
            {
                let seen = state.borrow_and_update();
                let grant = seen.good(now());
                if grant.is_some() || (seen.failures > 0 && !seen.fetching) {
                    return grant;
                }
            }
            state.changed().await.ok()?;
        }
    }

    /// Asks for another one soon: there is none, or a server did not take it.
    pub fn want(&self) {
        self.wish.notify_one();
    }

    /// What tells whoever fetches that another one is wanted.
    pub fn wish(&self) -> Arc<Notify> {
        self.wish.clone()
    }

    /// How it stands, now and later. The end of the lease ends it.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// A fetch begins.
    pub fn begin(&self) {
        self.state.send_modify(|state| state.fetching = true);
    }

    /// A fetch has brought this.
    pub fn put(&self, held: Held) {
        self.state.send_replace(State { held: Some(held), fetching: false, failures: 0 });
    }

    /// A fetch has failed. What it gave before stays, as long as it is good.
    pub fn fail(&self) {
        self.state.send_modify(|state| (state.fetching, state.failures) = (false, state.failures.saturating_add(1)));
    }
}

/// Leases of the same source are alike, whatever they hold.
impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Lease {}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.name).finish()
    }
}

// === impl State ===

impl State {
    fn good(&self, unix_seconds: u64) -> Option<Grant> {
        let held = self.held.as_ref()?;
        held.until.is_none_or(|until| unix_seconds < until).then(|| held.grant.clone())
    }
}

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
