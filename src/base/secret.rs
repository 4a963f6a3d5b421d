//! A value that must not be seen: no `Debug` of its content, no `Display`, no `Serialize`.

use std::fmt;
use std::sync::Arc;

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
