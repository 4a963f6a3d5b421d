//! Where this process counts its limits: in memory, kept by a journal where there is one, and in the store that
//! replicas share.

use std::sync::Arc;

use super::{AppError, store};
use crate::admin::{InStore, Listing};
use crate::config::{Bootstrap, Store};
use crate::extproc::Pool;
use crate::limit::journal::Journal;
use crate::limit::lease::Leases;
use crate::limit::redis::Redis;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Seen;
use crate::world::cooling::Counts;
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

/// Connects the limits and the cool-downs with the store, and all of them with the metrics.
///
/// # Errors
/// When the store can never be reached.
pub(super) fn share(
    world: &Local,
    store: Option<Store>,
    metrics: &Metrics,
    pool: Arc<Pool>,
) -> Result<Option<Redis>, AppError> {
    let (limits, store) = (world.limits(), store.map(store::connect).transpose()?);
    if let Some(store) = &store {
        limits.share(Leases::new(store.clone()));
        metrics.store.watch(store.clone());
        let counted = &metrics.cooling;
        let counts = Counts {
            told: counted.told.clone(),
            learnt: counted.learnt.clone(),
            lost: counted.lost.clone(),
            strange: counted.strange.clone(),
            failed: counted.failed.clone(),
        };
        world.cooling().share(store.clone(), world.policies(), Arc::new(move || pool.mono()), counts);
    }
    metrics.limits.watch(move || Seen {
        tallies: limits.tallies().all(),
        totals: limits.totals(),
        peaks: limits.peaks(),
        uncounted: limits.uncounted(),
    });
    Ok(store)
}

/// What cools down now, for who is asked for it.
pub(super) fn cooling(world: &Local, pool: Arc<Pool>) -> Arc<Listing> {
    let cooling = world.cooling();
    Arc::new(move || {
        let now = pool.mono();
        cooling.health().list(now).into_iter().map(|one| (one.until.since(now), one)).collect()
    })
}

/// What a limit is called in the store, for who would reset it.
pub(super) fn in_store(policies: Policies, limits: Arc<Limits>) -> Arc<InStore> {
    Arc::new(move |id, key| {
        let policy = policies.get();
        let limit = policy.shared().find(|limit| *limit.id == *id)?;
        limits.in_store(limit, key)
    })
}
