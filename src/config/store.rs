//! The store that replicas share, with what its sources hold now.

use std::path::PathBuf;

use super::secret::{self, SecretSource, Secrets};
use super::spec::{Encryption, SharedRedis};
use super::{KeysAre, Options};
use crate::base::secret::Secret;
use crate::cache::redis::{AtRest, Keys};

/// A store to connect to. What is not stated is none, and so is what is not to be had: then the store says that it
/// wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    pub redis: SharedRedis,
    pub password: Option<Secret>,
    pub sentinel_password: Option<Secret>,
    /// Certificates in PEM.
    pub ca: Option<String>,
    /// A certificate and its key in PEM.
    pub pair: Option<(String, Secret)>,
    /// How answers lie there; none where they are not kept there.
    pub at_rest: Option<AtRest>,
}

/// A field below `stores.redis` whose source does not hold what it should, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub field: &'static str,
    pub why: String,
}

// === impl Store ===

impl Store {
    /// With what is not to be had.
    pub fn load(redis: &SharedRedis, options: &Options, secrets: &dyn Secrets) -> (Store, Vec<Lack>) {
        let mut lacks = Vec::new();
        let mut load = |field, source: Option<&SecretSource>| {
            let loaded = secret::load_text(std::slice::from_ref(source?), secrets, options.secrets_dir.as_deref());
            let loaded = loaded.map_err(|missing| lacks.push(Lack { field, why: missing.to_string() })).ok();
            loaded.filter(|_| options.keys == KeysAre::Read)
        };
        let file = |path: &PathBuf| SecretSource::File(path.clone());
        let password = load("password", redis.password.as_ref());
        let sentinel_password = load("sentinel.password", redis.sentinel.password.as_ref());
        let ca = load("tls.ca", redis.tls.ca.as_ref().map(file).as_ref());
        let (certificate, key) = redis.tls.pair.as_ref().map(|(one, other)| (file(one), file(other))).unzip();
        let certificate = load("tls.certificate", certificate.as_ref());
        let key = load("tls.key", key.as_ref());
        let store = Store {
            redis: redis.clone(),
            password,
            sentinel_password,
            ca: ca.map(|ca| ca.expose().to_owned()),
            pair: certificate.map(|certificate| certificate.expose().to_owned()).zip(key),
            at_rest: at_rest(redis, options, secrets).unwrap_or_else(|lack| {
                lacks.push(lack);
                None
            }),
        };
        (store, lacks)
    }
}

/// How answers lie there.
fn at_rest(redis: &SharedRedis, options: &Options, secrets: &dyn Secrets) -> Result<Option<AtRest>, Lack> {
    let source = match &redis.encryption {
        Encryption::Unkeyed => return Ok(None),
        Encryption::Disabled => return Ok(Some(AtRest::Plain)),
        Encryption::Key(source) => std::slice::from_ref(source),
    };
    let lack = |why: &dyn std::fmt::Display| Lack {
        field: "encryptionKey",
        why: format!("{why}; without it answers are kept in each process alone"),
    };
    let text = secret::load_text(source, secrets, options.secrets_dir.as_deref()).map_err(|missing| lack(&missing))?;
    let keys = Keys::read(&text).map_err(|bad| lack(&bad))?;
    Ok((options.keys == KeysAre::Read).then_some(AtRest::Sealed(keys)))
}
