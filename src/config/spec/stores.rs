//! What replicas share: `stores` of a WeirBootstrap.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::secret::{self, SecretSource};
use super::super::shape::{Fields, Only, Rule, Shape, may, need, set};
use super::super::text;
use super::listener::FILE;
use super::or;
use super::process::positive;
use super::scope::any_text;

/// A Redis, or what speaks as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRedis {
    /// One of a server, several of a Cluster, or those of Sentinels; without a password.
    pub urls: Vec<String>,
    pub username: Option<String>,
    pub password: Option<SecretSource>,
    pub sentinel: SharedSentinel,
    pub tls: SharedTls,
    /// The longest that a request waits for it.
    pub timeout: Duration,
    /// The beginning of every key.
    pub prefix: String,
    pub encryption: Encryption,
}

/// How answers lie there that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// They do not, for want of a key.
    #[default]
    Unkeyed,
    Key(SecretSource),
    /// As they are: somebody wants it so.
    Disabled,
}

/// Who comes to the Sentinels: they have users of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedSentinel {
    pub username: Option<String>,
    pub password: Option<SecretSource>,
}

/// Whom TLS trusts, and who comes. The files are read when the process starts, and again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedTls {
    /// PEM: the CAs of the servers; none for the system's own.
    pub ca: Option<PathBuf>,
    /// PEM: the certificate that is shown, and those that lead to its CA; and its key.
    pub pair: Option<(PathBuf, PathBuf)>,
}

pub(super) const STORES: Fields =
    Fields::of(&[need("redis", Shape::Object(&REDIS), "A Redis, or what speaks as one.")]);
const REDIS: Fields = Fields {
    rows: &[
        need(
            "urls",
            set(&Shape::Text(&text::REDIS_URL), 16),
            "redis://HOST:PORT/DATABASE, or rediss:// for TLS; several are servers of one Cluster. \
         redis+sentinel://HOST:PORT/MASTER/DATABASE names a Sentinel. Without a password.",
        ),
        may("username", Shape::Text(&text::ANY), "The user."),
        may("password", Shape::Object(&secret::SOURCE), "Where the password is."),
        may("sentinel", Shape::Object(&SENTINEL), "Who comes to the Sentinels; absent means nobody in particular."),
        may("tls", Shape::Object(&TLS), "Of rediss:// URLs; absent means the system's CAs and no certificate."),
        may("timeout", Shape::Text(&text::SOME_DURATION), "The longest that a request waits for the store.").or("20ms"),
        may("prefix", Shape::Text(&text::IDENTIFIER), "The beginning of every key.").or("weir"),
        may(
            "encryption",
            Shape::Word(&ENCRYPTION),
            "Disabled keeps answers there as they are, for whoever can read it.",
        )
        .or("Enabled"),
        may(
            "encryptionKey",
            Shape::Object(&secret::SOURCE),
            "Where the keys are that kept answers are encrypted with: 32 random bytes a line, as 64 hexadecimal digits or \
         in base64. The first encrypts, up to three others are those before it. Absent means that answers are kept in \
         each process alone.",
        ),
    ],
    rules: &[Rule::Only {
        key: "encryption",
        fields: &[Only { field: "encryptionKey", words: &["Enabled"], why: KEY_FOR_NOTHING }],
    }],
};
const KEY_FOR_NOTHING: &str = "encryptionKey is for encryption: Enabled";
const ENCRYPTION: &[(&str, Option<bool>)] = &[("Enabled", Some(true)), ("Disabled", Some(false))];

const SENTINEL: Fields = Fields::of(&[
    may("username", Shape::Text(&text::ANY), "The user."),
    may("password", Shape::Object(&secret::SOURCE), "Where the password is."),
]);
const TLS: Fields = Fields {
    rows: &[
        may("ca", Shape::Object(&FILE), "CA certificates of the servers; absent means the system's own."),
        may("certificate", Shape::Object(&FILE), "The certificate that is shown to a server that asks for one."),
        may("key", Shape::Object(&FILE), "Its key."),
    ],
    rules: &[Rule::Says, Rule::Beside("certificate", "key"), Rule::Beside("key", "certificate")],
};

// === impl SharedRedis ===

impl SharedRedis {
    /// Reads `stores`; where that is wrong, some store stands for it.
    pub(super) fn read(stores: &Reader<'_>) -> SharedRedis {
        let mut read = SharedRedis::default();
        let redis = stores.object(&STORES).and_then(|stores| stores.need("redis")?.object(&REDIS));
        let Some(redis) = redis else { return read };
        if let Some(urls) = redis.need("urls").and_then(|urls| read_urls(&urls)) {
            read.urls = urls;
        }
        read.username = redis.get("username").and_then(|name| name.parsed(any_text));
        read.password = redis.get("password").and_then(|password| SecretSource::read(&password));
        if let Some(prefix) = redis.get("prefix").and_then(|prefix| prefix.parsed(form::identifier)) {
            read.prefix = prefix;
        }
        if let Some(sentinel) = redis.get("sentinel") {
            read.sentinel = read_sentinel(&sentinel).unwrap_or_default();
            if !read.urls.iter().any(|url| url.contains(SENTINEL_SCHEME)) {
                sentinel.error("no URL is of a Sentinel: say redis+sentinel://HOST:PORT/MASTER, or leave this out");
            }
        }
        if let Some(tls) = redis.get("tls") {
            read.tls = read_tls(&tls).unwrap_or_default();
            if !read.urls.iter().any(|url| url.starts_with("rediss")) {
                tls.error("only a rediss:// URL has TLS: say rediss://HOST:PORT, or leave this out");
            }
        }
        read.encryption = read_encryption(&redis);
        if let Some(timeout) = redis.get("timeout").and_then(positive) {
            read.timeout = timeout;
        }
        read
    }
}

impl Default for SharedRedis {
    fn default() -> Self {
        SharedRedis {
            urls: vec!["redis://127.0.0.1:6379/0".to_owned()],
            username: None,
            password: None,
            sentinel: SharedSentinel::default(),
            tls: SharedTls::default(),
            timeout: Duration::from_millis(20),
            prefix: "weir".to_owned(),
            encryption: Encryption::default(),
        }
    }
}

const SENTINEL_SCHEME: &str = "+sentinel://";

/// One server is one URL; more of them are a Cluster's or the Sentinels'.
fn read_urls(reader: &Reader<'_>) -> Option<Vec<String>> {
    let mut seen = HashSet::new();
    let urls = reader.list(|url| {
        // Somebody may have written a password into it: no error repeats anything of it.
        if url.peek().is_some_and(|text| !seen.insert(text)) {
            url.error("duplicate URL");
        }
        url.hushed().parsed(form::redis_url)
    })?;
    let kinds: HashSet<_> = urls.iter().map(|url| kind(url)).collect();
    if kinds.len() > 1 {
        reader.error(
            "several URLs are servers of one Cluster, or Sentinels that watch one master: all of them have one \
             scheme, one database and one master",
        );
    } else if urls.len() > 1 && kinds.iter().any(|(scheme, rest)| !scheme.ends_with("+sentinel") && !rest.is_empty()) {
        reader.error("several URLs are servers of one Cluster, which has no database but 0: leave it out");
    }
    Some(urls)
}

/// What all URLs of one store have in common: the scheme, and what comes behind the address.
fn kind(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let behind = rest.split_once('/').map_or("", |(_, behind)| behind.trim_end_matches('/'));
    let is_zero = !behind.is_empty() && behind.bytes().all(|byte| byte == b'0') && !scheme.ends_with("+sentinel");
    (scheme, if is_zero { "" } else { behind.strip_suffix("/0").unwrap_or(behind) })
}

fn read_encryption(redis: &Object<'_>) -> Encryption {
    let is_enabled = or(redis, "encryption", true, |word| word.word(ENCRYPTION));
    let key = redis.get("encryptionKey");
    if let Some(key) = key.as_ref().filter(|_| !is_enabled) {
        key.error("is for `encryption: Enabled`: leave one of them out");
    }
    match key.and_then(|key| SecretSource::read(&key)) {
        Some(source) => Encryption::Key(source),
        None if is_enabled => Encryption::Unkeyed,
        None => Encryption::Disabled,
    }
}

fn read_sentinel(reader: &Reader<'_>) -> Option<SharedSentinel> {
    let sentinel = reader.object(&SENTINEL)?;
    Some(SharedSentinel {
        username: sentinel.get("username").and_then(|name| name.parsed(any_text)),
        password: sentinel.get("password").and_then(|password| SecretSource::read(&password)),
    })
}

fn read_tls(reader: &Reader<'_>) -> Option<SharedTls> {
    let tls = reader.object(&TLS)?;
    let file = |name| {
        let file = tls.get(name)?.object(&FILE)?.need("file")?;
        file.parsed(form::file_path).map(PathBuf::from)
    };
    if tls.names().is_empty() {
        reader.error("says nothing: give ca, or certificate and key, or leave this out");
    }
    for (one, other) in [("certificate", "key"), ("key", "certificate")] {
        if let Some(alone) = tls.get(one).filter(|_| tls.get(other).is_none()) {
            alone.error(format!("needs {other} beside it"));
        }
    }
    Some(SharedTls { ca: file("ca"), pair: file("certificate").zip(file("key")) })
}
