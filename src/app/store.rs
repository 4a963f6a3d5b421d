//! The store that replicas share: from what is configured to one that is asked.

use std::time::Duration;

use crate::config::Store;
use crate::limit::redis::{Options, Redis, Unusable};

/// How long the end waits for what the store has not heard of yet.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// Begins to connect; whether the store is there now is no matter of the start.
///
/// # Errors
/// Where what is configured can never work.
pub(super) fn connect(store: Store) -> Result<Redis, Unusable> {
    let Store { redis, password } = store;
    Redis::connect(Options {
        username: redis.username,
        password,
        timeout: redis.timeout,
        prefix: redis.prefix,
        ..Options::new(redis.url)
    })
}
