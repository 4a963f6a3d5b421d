//! The store that replicas share: from what is configured to one that is asked.

use std::time::Duration;

use crate::config::Store;
use crate::limit::redis::{Options, Redis, Tls, Unusable};

/// How long the end waits for what the store has not heard of yet.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// Begins to connect; whether the store is there now is no matter of the start.
///
/// # Errors
/// Where what is configured can never work.
pub(super) fn connect(store: Store) -> Result<Redis, Unusable> {
    Redis::connect(options(store))
}

pub(super) fn options(store: Store) -> Options {
    let Store { redis, password, sentinel_password, ca, pair, at_rest: _ } = store;
    Options {
        urls: redis.urls,
        username: redis.username,
        password,
        sentinel_username: redis.sentinel.username,
        sentinel_password,
        tls: Tls {
            // Where they are stated and not to be had, no server is trusted.
            authorities: redis.tls.ca.is_some().then(|| ca.unwrap_or_default().into_bytes()),
            client: pair.map(|(certificate, key)| (certificate.into_bytes(), key)),
        },
        timeout: redis.timeout,
        prefix: redis.prefix,
        ..Options::new("")
    }
}
