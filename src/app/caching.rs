//! The cache of this process, for who shows it and who empties it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::admin::Caching;
use crate::cache::Partition;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::cache::Seen;
use crate::world::cache::Cache;
use crate::world::{Local, Policies};

/// Lets the metrics look into the cache, and says how it is shown and emptied.
pub(super) fn shown(world: &Local, metrics: &Metrics) -> Caching {
    let (cache, policies) = (world.cache(), world.policies());
    let looked_at = cache.clone();
    metrics.cache.watch(move || seen(&looked_at));
    let emptied = cache.clone();
    Caching { show: Arc::new(move || seen(&cache)), forget: Arc::new(move |whose| forget(&emptied, &policies, whose)) }
}

fn seen(cache: &Cache) -> Seen {
    let (flights, followers, _) = cache.flights().stand();
    Seen {
        memory: cache.stand(),
        stored: cache.tally().stored(),
        refused: cache.tally().refused().collect(),
        flights: flights as u64,
        followers: followers as u64,
    }
}

/// A partition has a place in each namespace whose documents keep answers.
fn forget(cache: &Cache, policies: &Policies, whose: Option<&Partition>) -> usize {
    let Some(partition) = whose else { return cache.forget(None, None) };
    let policy = policies.get();
    let namespaces: HashSet<&Arc<str>> = policy.caches.iter().map(|document| &document.rule.namespace).collect();
    let tags = namespaces.into_iter().map(|namespace| (namespace, cache.secret().tag(namespace, partition)));
    tags.map(|(namespace, tag)| cache.forget(Some(namespace), Some(tag))).sum()
}
