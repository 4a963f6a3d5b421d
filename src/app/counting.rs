//! Where this process counts its limits: in memory, kept by a journal where there is one, and in the store that
//! replicas share.

use std::sync::Arc;

use super::{AppError, store};
use crate::admin::InStore;
use crate::config::{Bootstrap, Store};
use crate::limit::journal::Journal;
use crate::limit::lease::Leases;
use crate::limit::redis::Redis;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Seen;
use crate::world::{KEYS, Limits, Local, Policies};

/// A world that goes on with what an earlier process spent.
///
/// # Errors
/// When the journal that the configuration names cannot be opened.
pub(super) fn kept(world: Local, bootstrap: &Bootstrap, metrics: &Metrics) -> Result<Local, AppError> {
    let Some(settings) = &bootstrap.journal else { return Ok(world) };
    match Journal::open(settings, KEYS, metrics.journal.clone()) {
        Ok((journal, found)) => Ok(world.with_limits(Limits::kept(journal, found))),
        Err(error) if settings.is_implied => {
            tracing::warn!("what is spent of limits ends with this process: {error}");
            Ok(world)
        }
        Err(error) => Err(error.into()),
    }
}

/// Connects the limits with the store, and both with the metrics.
///
/// # Errors
/// When the store can never be reached.
pub(super) fn share(limits: &Arc<Limits>, store: Option<Store>, metrics: &Metrics) -> Result<Option<Redis>, AppError> {
    let store = store.map(store::connect).transpose()?;
    if let Some(store) = &store {
        limits.share(Leases::new(store.clone()));
        metrics.store.watch(store.clone());
    }
    let seen = limits.clone();
    metrics.limits.watch(move || Seen {
        tallies: seen.tallies().all(),
        totals: seen.totals(),
        peaks: seen.peaks(),
        uncounted: seen.uncounted(),
    });
    Ok(store)
}

/// What a limit is called in the store, for who would reset it.
pub(super) fn in_store(policies: Policies, limits: Arc<Limits>) -> Arc<InStore> {
    Arc::new(move |id, key| {
        let policy = policies.get();
        let limit = policy.shared().find(|limit| *limit.id == *id)?;
        limits.in_store(limit, key)
    })
}
