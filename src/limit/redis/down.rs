//! [io] Why the store did not do it.

use std::time::Duration;

use redis::Value;

use super::answers::words;

/// It cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The library's words repeat no password, for there is none in a URL.
    #[error("the address or the certificates of the limit store are not usable: {0}")]
    Address(redis::RedisError),
    #[error("no random numbers to name this replica with: {0}")]
    Random(getrandom::Error),
}

/// The store did not do it, or nobody knows whether it did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    #[error("the limit store is down and is not asked")]
    Shut,
    #[error("the limit store has not answered within {0:?}")]
    Late(Duration),
    #[error("no connection to the limit store: {0}")]
    Lost(String),
    /// With its code.
    #[error("the limit store does not do it: {0}")]
    Answer(String),
    #[error("the limit store's answer is not understood; is another version of Weir using this prefix?")]
    Strange,
    #[error("the grant was settled or cancelled before")]
    Over,
    #[error("the limit store is away and there is no room for more settlements")]
    Full,
}

// === impl Down ===

impl Down {
    pub(super) fn lost(error: redis::RedisError) -> Down {
        Down::Lost(error.to_string())
    }

    /// A server's error, or what is no answer at all.
    pub(super) fn of(value: &Value) -> Down {
        match value {
            Value::ServerError(_) => Down::Answer(words(value)),
            _ => Down::Strange,
        }
    }
}
