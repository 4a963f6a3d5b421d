//! The families about credentials: how old they are, when they end, and what went wrong with them.

use std::sync::{Arc, PoisonError, RwLock, Weak};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{Named, OTHER, Rejected};
use super::series::Sets;
use crate::credential::lease::Lease;
use crate::exchange::record::{Outcome, Record};

/// Most series of a family: configurations may come and go without an end.
const SERIES: usize = 256;

/// What happens to credentials.
#[derive(Debug)]
pub struct Credentials {
    leases: RwLock<Vec<Weak<Lease>>>,
    age: Family<Named, Gauge>,
    expires: Family<Named, Gauge>,
    failures: Family<Named, Counter>,
    rejected: Family<Rejected, Counter>,
    failure_sets: Sets,
    rejected_sets: Sets,
}

// === impl Credentials ===

impl Credentials {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let credentials = Credentials {
            leases: RwLock::default(),
            age: Family::default(),
            expires: Family::default(),
            failures: Family::default(),
            rejected: Family::default(),
            failure_sets: Sets::new(SERIES),
            rejected_sets: Sets::new(SERIES),
        };
        let Credentials { age, expires, failures, rejected, .. } = &credentials;
        registry.register(
            "weir_credential_age_seconds",
            "Seconds since a credential was fetched; absent before the first time",
            age.clone(),
        );
        registry.register(
            "weir_credential_expires_seconds",
            "Seconds until a fetched credential ends, below zero when it has; absent where it does not",
            expires.clone(),
        );
        registry.register("weir_credential_refresh_failures", "Fetches of a credential that failed", failures.clone());
        registry.register(
            "weir_credential_rejected",
            "Calls that a backend answered with 401 or 403 although they were signed",
            rejected.clone(),
        );
        credentials
    }

    /// Shows a lease for as long as there is somebody who holds it.
    pub fn watch(&self, lease: &Arc<Lease>) {
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        leases.push(Arc::downgrade(lease));
    }

    /// Counts the failed fetches of a credential.
    pub fn failures(&self, credential: &Arc<str>) -> Counter {
        let labels = Named { credential: credential.clone() };
        if let Some(known) = self.failures.get(&labels) {
            return known.clone();
        }
        let labels = if self.failure_sets.claim(SERIES) { labels } else { Named { credential: OTHER.into() } };
        self.failures.get_or_create_owned(&labels)
    }

    /// Counts a call that was signed, where the backend did not take it.
    pub(super) fn observe(&self, record: &Record) {
        if !(matches!(record.status, 401 | 403) && record.outcome == Outcome::UpstreamError) {
            return;
        }
        let (Some(backend), Some(credential)) = (&record.backend, &record.credential) else { return };
        let labels = Rejected { backend: backend.clone(), credential: credential.clone() };
        if let Some(known) = self.rejected.get(&labels) {
            known.inc();
            return;
        }
        let other = || Rejected { backend: OTHER.into(), credential: OTHER.into() };
        let labels = if self.rejected_sets.claim(SERIES) { labels } else { other() };
        self.rejected.get_or_create_owned(&labels).inc();
    }

    /// Looks at the leases: their ages are as of now.
    pub(super) fn look(&self) {
        let mut leases = self.leases.write().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|lease| lease.strong_count() > 0);
        self.age.clear();
        self.expires.clear();
        for lease in leases.iter().filter_map(Weak::upgrade) {
            let (state, now) = (lease.watch(), lease.clock().unix());
            let state = state.borrow();
            let Some(held) = &state.held else { continue };
            let labels = Named { credential: lease.name.clone() };
            let seconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            self.age.get_or_create_owned(&labels).set(seconds(now.saturating_sub(held.since)));
            if let Some(until) = held.until {
                self.expires.get_or_create_owned(&labels).set(seconds(until) - seconds(now));
            }
        }
    }
}
