//! The store that replicas share, with the password that its source holds now.

use super::secret::{self, Secrets};
use super::spec::SharedRedis;
use super::{KeysAre, Options};
use crate::base::secret::Secret;

/// A store to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    pub redis: SharedRedis,
    /// None where none is stated, or where it is not to be had: then the store says that it wants one.
    pub password: Option<Secret>,
}

// === impl Store ===

impl Store {
    /// With what is wrong where there is no password that should be there.
    pub fn load(redis: &SharedRedis, options: &Options, secrets: &dyn Secrets) -> (Store, Option<String>) {
        let dir = options.secrets_dir.as_deref();
        let sources = redis.password.as_slice();
        let loaded = (!sources.is_empty()).then(|| secret::load_text(sources, secrets, dir)).transpose();
        let (password, missing) = match loaded {
            Ok(password) => (password, None),
            Err(missing) => (None, Some(missing.to_string())),
        };
        let password = password.filter(|_| options.keys == KeysAre::Read);
        (Store { redis: redis.clone(), password }, missing)
    }
}
