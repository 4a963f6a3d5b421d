//! What replicas share: `stores` of a WeirBootstrap.

use std::collections::HashSet;
use std::time::Duration;

use super::super::form;
use super::super::read::Reader;
use super::super::secret::{self, SecretSource};
use super::super::shape::{Fields, Shape, may, need, set};
use super::super::text;
use super::process::positive;
use super::scope::any_text;

/// A Redis, or what speaks as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRedis {
    /// Without a password.
    pub url: String,
    pub username: Option<String>,
    pub password: Option<SecretSource>,
    /// The longest that a request waits for it.
    pub timeout: Duration,
    /// The beginning of every key.
    pub prefix: String,
}

pub(super) const STORES: Fields =
    Fields::of(&[need("redis", Shape::Object(&REDIS), "A Redis, or what speaks as one.")]);
const REDIS: Fields = Fields::of(&[
    need(
        "urls",
        set(&Shape::Text(&text::REDIS_URL), 16),
        "redis://HOST:PORT/DATABASE, or rediss:// for TLS; without a password.",
    ),
    may("username", Shape::Text(&text::ANY), "The user."),
    may("password", Shape::Object(&secret::SOURCE), "Where the password is."),
    may("timeout", Shape::Text(&text::SOME_DURATION), "The longest that a request waits for the store.").or("20ms"),
    may("prefix", Shape::Text(&text::IDENTIFIER), "The beginning of every key.").or("weir"),
    may("encryptionKey", Shape::Object(&secret::SOURCE), "Where the key is that kept answers are encrypted with."),
]);

// === impl SharedRedis ===

impl SharedRedis {
    /// Reads `stores`; where that is wrong, some store stands for it.
    pub(super) fn read(stores: &Reader<'_>) -> SharedRedis {
        let mut read = SharedRedis::default();
        let redis = stores.object(&STORES).and_then(|stores| stores.need("redis")?.object(&REDIS));
        let Some(redis) = redis else { return read };
        if let Some(url) = redis.need("urls").and_then(|urls| first_url(&urls)) {
            read.url = url;
        }
        read.username = redis.get("username").and_then(|name| name.parsed(any_text));
        read.password = redis.get("password").and_then(|password| SecretSource::read(&password));
        if let Some(prefix) = redis.get("prefix").and_then(|prefix| prefix.parsed(form::identifier)) {
            read.prefix = prefix;
        }
        redis.later("encryptionKey").and_then(|key| SecretSource::read(&key));
        if let Some(timeout) = redis.get("timeout").and_then(positive) {
            read.timeout = timeout;
        }
        read
    }
}

impl Default for SharedRedis {
    fn default() -> Self {
        SharedRedis {
            url: "redis://127.0.0.1:6379/0".to_owned(),
            username: None,
            password: None,
            timeout: Duration::from_millis(20),
            prefix: "weir".to_owned(),
        }
    }
}

/// One server is one URL; more of them are a Cluster's or the Sentinels'.
fn first_url(urls: &Reader<'_>) -> Option<String> {
    let mut seen = HashSet::new();
    let urls = urls.list(|url| {
        // Somebody may have written a password into it: no error repeats anything of it.
        if url.peek().is_some_and(|text| !seen.insert(text)) {
            url.error("duplicate URL");
        } else if seen.len() == 2 {
            url.not_yet_of("a second URL, for Cluster or Sentinel");
        }
        url.hushed().parsed(form::redis_url)
    });
    urls?.into_iter().next()
}
