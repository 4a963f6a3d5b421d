//! [io] How it stands with the store: what its servers say of themselves, in one word.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::breaker::State;
use super::{OnState, Purpose};

/// The states of all servers. The store is `Ok` or `Down` where all of them are, and else `Degraded`.
pub(super) struct Board {
    servers: Mutex<HashMap<u64, State>>,
    state: watch::Sender<State>,
    on_state: OnState,
    purpose: Purpose,
}

// === impl Board ===

impl Board {
    /// Nothing is known of any server.
    pub(super) fn new(purpose: Purpose, on_state: OnState) -> Board {
        Board { servers: Mutex::default(), state: watch::Sender::new(State::Degraded), on_state, purpose }
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// It is new whenever a server's state is another, though all together may stay what they were.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// A server has another state. It has a name where there are several.
    pub(super) fn tell(&self, server: u64, name: Option<&str>, state: State, words: &str) {
        let mut servers = self.lock();
        if servers.insert(server, state) == Some(state) {
            return;
        }
        let Purpose { store, without_server, .. } = self.purpose;
        match (name, state) {
            (None, _) => {}
            (Some(name), State::Ok) => tracing::info!("the {store}'s server {name} is ok"),
            (Some(name), State::Degraded) => tracing::warn!("the {store}'s server {name} is degraded: {words}"),
            (Some(name), State::Down) => {
                tracing::error!("the {store}'s server {name} is down; {without_server}: {words}");
            }
        }
        self.publish(&servers, words);
    }

    /// A server is asked from now on, or no more.
    pub(super) fn change(&self, gone: impl Iterator<Item = u64>, new: impl Iterator<Item = u64>) {
        let mut servers = self.lock();
        for gone in gone {
            servers.remove(&gone);
        }
        servers.extend(new.map(|new| (new, State::Degraded)));
        self.publish(&servers, "its servers are found");
    }

    /// No server is known, or it is not known where they are.
    pub(super) fn lost(&self, words: &str) {
        let servers = self.lock();
        if servers.is_empty() {
            self.put(State::Down, words);
        }
    }

    /// Under the lock, so that states are told in their order.
    fn publish(&self, servers: &HashMap<u64, State>, words: &str) {
        let all = |state| !servers.is_empty() && servers.values().all(|one| *one == state);
        let state = [State::Ok, State::Down].into_iter().find(|state| all(*state)).unwrap_or(State::Degraded);
        self.put(state, words);
    }

    fn put(&self, state: State, words: &str) {
        if self.state.send_replace(state) == state {
            return;
        }
        (self.on_state)(state);
        let Purpose { store, without, .. } = self.purpose;
        match state {
            State::Ok => tracing::info!("the {store} is ok"),
            State::Degraded => tracing::warn!("the {store} is degraded: {words}"),
            State::Down => tracing::error!("the {store} is down; {without}: {words}"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, State>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
