//! [io] What one source gave last, who waits for it, and who wants another. It waits; whoever fetches is
//! somebody else.
//!
//! | a call finds                                   | it                                             |
//! |------------------------------------------------|------------------------------------------------|
//! | a good one                                     | takes it                                       |
//! | none, and none has failed yet                  | waits for it, [`FIRST`] at most                |
//! | none, a fetch runs or begins within [`SOON`]   | waits for that one, [`AGAIN`] at most          |
//! | none, the last fetch failed, a pause is kept   | is refused at once, and is why the next begins |
//!
//! So one fault of an endpoint refuses nobody for long, and an endpoint that is down or never answers holds few
//! calls at a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

pub use super::clock::now;
use super::clock::{self, Clock};
use super::sigv4::Keys;
use super::source::Source;
use crate::base::secret::Secret;

/// The longest that a call waits for a source that has not failed: as long as one request to it may take.
pub const FIRST: Duration = Duration::from_secs(10);

/// The longest that a call waits for a source whose last fetch failed.
pub const AGAIN: Duration = Duration::from_secs(2);

/// How soon the next fetch begins that is worth waiting for.
pub const SOON: Duration = Duration::from_secs(1);

/// A source with what it gave last. Configurations share it for as long as they name the same source.
pub struct Lease {
    pub source: Source,
    /// [`Source::name`].
    pub name: Arc<str>,
    state: watch::Sender<State>,
    wishes: Wishes,
    clock: Arc<dyn Clock>,
}

/// How others tell whoever fetches that another one is wanted.
#[derive(Clone, Default)]
pub struct Wishes {
    /// A call has none.
    pub none: Arc<Notify>,
    /// A server did not take what there is.
    pub rejected: Arc<Notify>,
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
    /// Until when none begins after a failure, whoever wants it; as [`Clock::elapsed`].
    pub rests_until: Duration,
}

// === impl Lease ===

impl Lease {
    /// Nothing has been fetched yet.
    pub fn new(source: Source) -> Self {
        Lease::timed(source, clock::system())
    }

    /// One that goes by another clock.
    pub fn timed(source: Source, clock: Arc<dyn Clock>) -> Self {
        let name = source.name();
        Lease { source, name, state: watch::Sender::default(), wishes: Wishes::default(), clock }
    }

    /// What it gave, if that is still good at `unix_seconds`.
    pub fn current(&self, unix_seconds: u64) -> Option<Grant> {
        self.state.borrow().good(unix_seconds)
    }

    /// What it gave or is about to give; none as the table above says.
    pub async fn wait(&self) -> Option<Grant> {
        let mut state = self.state.subscribe();
        let patience = if state.borrow().failures == 0 { FIRST } else { AGAIN };
        let mut impatience = self.clock.sleep(patience);
        loop {
            {
                let seen = state.borrow_and_update();
                let grant = seen.good(self.clock.unix());
                if grant.is_some() {
                    return grant;
                }
                self.wishes.none.notify_one();
                if seen.failures > 0 && !seen.fetching && self.clock.elapsed() + SOON < seen.rests_until {
                    return None;
                }
            }
            tokio::select! {
                changed = state.changed() => changed.ok()?,
                () = &mut impatience => return None,
            }
        }
    }

    /// Asks for one soon: there is none.
    pub fn want(&self) {
        self.wishes.none.notify_one();
    }

    /// A server did not take what had left at `unix_seconds`: asks for another one, unless that has come already.
    pub fn reject(&self, unix_seconds: u64) {
        if self.state.borrow().held.as_ref().is_some_and(|held| held.since <= unix_seconds) {
            self.wishes.rejected.notify_one();
        }
    }

    /// What tells whoever fetches that another one is wanted.
    pub fn wishes(&self) -> Wishes {
        self.wishes.clone()
    }

    /// By what it goes.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
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
        self.state.send_replace(State { held: Some(held), ..State::default() });
    }

    /// A fetch has failed, and none begins before this time, as [`Clock::elapsed`]. What it gave before stays, as
    /// long as it is good.
    pub fn fail(&self, rests_until: Duration) {
        self.state.send_modify(|state| {
            let failures = state.failures.saturating_add(1);
            *state = State { held: state.held.take(), fetching: false, failures, rests_until };
        });
    }

    /// Holds what the source before gave, which was the same but for a secret, until it gives something itself.
    pub fn inherit(&self, before: &Lease) {
        let held = before.state.borrow().held.clone();
        self.state.send_if_modified(|state| {
            let is_empty = state.held.is_none();
            state.held = state.held.take().or(held);
            is_empty
        });
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
    /// Whether what it gave is not good any more.
    pub fn has_ended(&self, unix_seconds: u64) -> bool {
        self.held.is_some() && self.good(unix_seconds).is_none()
    }

    fn good(&self, unix_seconds: u64) -> Option<Grant> {
        let held = self.held.as_ref()?;
        held.until.is_none_or(|until| unix_seconds < until).then(|| held.grant.clone())
    }
}
