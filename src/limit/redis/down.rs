//! [io] Why the store did not count it.

use std::time::Duration;

use redis::Value;

use crate::store;

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
    /// A server's error, or what is no answer at all.
    pub(super) fn of(value: &Value) -> Down {
        store::Down::of(value).into()
    }
}

impl From<store::Down> for Down {
    fn from(down: store::Down) -> Down {
        match down {
            store::Down::Shut => Down::Shut,
            store::Down::Late(limit) => Down::Late(limit),
            store::Down::Lost(words) => Down::Lost(words),
            store::Down::Answer(words) => Down::Answer(words),
            store::Down::Strange => Down::Strange,
        }
    }
}
