//! [io] Why the store did not do it.

use std::time::Duration;

use redis::Value;

use super::answers::words;

/// It cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The library's words repeat no password, for there is none in a URL.
    #[error("the address or the certificates of the {0} are not usable: {1}")]
    Address(&'static str, redis::RedisError),
    #[error("no random numbers to name this replica with: {0}")]
    Random(getrandom::Error),
}

/// The store did not do it, or nobody knows whether it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    #[error("the store is down and is not asked")]
    Shut,
    #[error("the store has not answered within {0:?}")]
    Late(Duration),
    #[error("no connection to the store: {0}")]
    Lost(String),
    /// With its code.
    #[error("the store does not do it: {0}")]
    Answer(String),
    #[error("the store's answer is not understood; is another version of Weir using this prefix?")]
    Strange,
}

// === impl Down ===

impl Down {
    pub(super) fn lost(error: redis::RedisError) -> Down {
        Down::Lost(error.to_string())
    }

    /// A server's error, or what is no answer at all.
    pub fn of(value: &Value) -> Down {
        match value {
            Value::ServerError(_) => Down::Answer(words(value)),
            _ => Down::Strange,
        }
    }
}
