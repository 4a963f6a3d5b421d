//! The cache of this process: made from what is configured, and for who shows it and who empties it.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use super::{AppError, store};
use crate::admin::Caching;
use crate::cache::redis::{Options, Redis};
use crate::cache::{Extent, Partition, Place};
use crate::config::{Bootstrap, Store};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::cache::Seen;
use crate::world::cache::{Cache, random, wall};
use crate::world::{Local, Policies};

/// Gives the world its cache, and the cache the store where there is one in which answers may lie.
///
/// # Errors
/// When the store can never be reached.
pub(super) fn kept(world: Local, bootstrap: &Bootstrap, store: Option<&Store>) -> Result<Local, AppError> {
    let bytes = bootstrap.overload.max_cached;
    let Some((store, at_rest)) = store.and_then(|store| Some((store, store.at_rest.clone()?))) else {
        return Ok(world.with_cache(Cache::new(random(), bytes, Arc::new(wall))));
    };
    let world = world.with_cache(Cache::new(at_rest.secret(&store.redis.prefix), bytes, Arc::new(wall)));
    let cache = world.cache();
    let held: Weak<Cache> = Arc::downgrade(&cache);
    let on_forget = Arc::new(move |extent: &Extent| {
        if let Some(cache) = held.upgrade() {
            cache.forget(extent);
        }
    });
    cache.share(Redis::connect(Options { on_forget, ..Options::new(store::options(store.clone()), at_rest) })?);
    Ok(world)
}

/// Lets the metrics look into the cache, and says how it is shown and emptied.
pub(super) fn shown(world: &Local, metrics: &Metrics) -> Caching {
    let (cache, policies) = (world.cache(), world.policies());
    let looked_at = cache.clone();
    metrics.cache.watch(move || seen(&looked_at));
    let emptied = cache.clone();
    Caching { show: Arc::new(move || seen(&cache)), forget: Arc::new(move |whose| forget(&emptied, &policies, whose)) }
}

fn seen(cache: &Cache) -> Seen {
    let (flights, followers) = cache.on_their_way();
    Seen {
        memory: cache.stand(),
        stored: cache.tally().stored(),
        refused: cache.tally().refused().collect(),
        alike: cache.tally().alike().filter(|(.., count)| *count > 0).collect(),
        store: cache.store().map(Redis::tallies),
        flights: flights as u64,
        followers: followers as u64,
    }
}

/// Forgets answers here and, where there is one, in the store, and says how many that were here. A partition has a
/// place in each namespace whose documents keep answers.
fn forget(cache: &Cache, policies: &Policies, whose: Option<&Partition>) -> Result<usize, String> {
    let extents: Vec<Extent> = match whose {
        None => vec![Extent::All],
        Some(partition) => {
            let policy = policies.get();
            let namespaces: HashSet<&Arc<str>> =
                policy.caches.iter().map(|document| &document.rule.namespace).collect();
            let place = |namespace: &Arc<str>| Place {
                namespace: namespace.clone(),
                tag: cache.secret().tag(namespace, partition),
            };
            namespaces.into_iter().map(|namespace| Extent::Place(place(namespace))).collect()
        }
    };
    let here = extents.iter().map(|extent| cache.forget(extent)).sum();
    let Some(store) = cache.store() else { return Ok(here) };
    // Who asks waits for the store; a page is served by a thread that others can do without.
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        extents.iter().try_for_each(|extent| {
            let told = runtime.block_on(store.forget(extent));
            told.map(drop)
                .map_err(|down| format!("what is in the shared store may not all be forgotten: {down}; ask again"))
        })
    })?;
    Ok(here)
}
