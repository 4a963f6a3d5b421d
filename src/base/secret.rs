//! A value that must not be seen: no `Debug` of its content, no `Display`, no `Serialize`.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// A credential or a key. Cloning shares the bytes; only [`Secret::expose`] shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

// === impl Secret ===

impl Secret {
    /// Takes `value` out of sight. White space around it, such as the newline at the end of a
    /// mounted file, is not part of a secret and is dropped.
    pub fn new(value: &str) -> Self {
        Secret(Arc::from(value.trim()))
    }

    /// The bytes themselves. Call it where the secret leaves for its destination and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Sixteen bits that tell two secrets for the same `purpose` apart, mostly. Too few to say anything of the secret.
    pub fn tag(&self, purpose: &str) -> u16 {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(&*self.0).finalize();
        digest.iter().take(2).fold(0, |tag, byte| tag << 8 | u16::from(*byte))
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Says that there is a secret and not what it is, so that structs that hold one may derive `Debug`.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
