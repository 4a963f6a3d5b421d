//! The families about the store that replicas share: how it stands, and what waits for it.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::StoreState;
use crate::limit::redis::{Redis, State};

/// The store of limits. Without one the state has no series, and nothing waits.
#[derive(Debug)]
pub struct Store {
    watched: OnceLock<Redis>,
    state: Family<StoreState, Gauge>,
    waiting: Gauge,
    dropped: Counter,
}

// === impl Store ===

impl Store {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let state = Family::<StoreState, Gauge>::default();
        registry.register("weir_limit_store_state", "1 for the state that the shared store is in", state.clone());
        Store {
            watched: OnceLock::new(),
            state,
            waiting: super::gauge(registry, "weir_limit_store_waiting", "Settlements that wait for the shared store"),
            dropped: super::counter(
                registry,
                "weir_limit_store_dropped",
                "Settlements that the shared store was not told of: what was reserved stays charged",
            ),
        }
    }

    /// Shows this store. Of several the first is shown.
    pub fn watch(&self, store: Redis) {
        let _ = self.watched.set(store);
    }

    /// Looks at the store: what is shown is as of now.
    pub(super) fn look(&self) {
        let Some(store) = self.watched.get() else { return };
        let now = store.state();
        for state in [State::Ok, State::Degraded, State::Down] {
            let labels = StoreState { state: state.as_str() };
            self.state.get_or_create_owned(&labels).set((state == now).into());
        }
        self.waiting.set(i64::try_from(store.waiting()).unwrap_or(i64::MAX));
        self.dropped.inner().store(store.dropped(), Ordering::Relaxed);
    }
}
