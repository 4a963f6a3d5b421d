//! The one key that the configurations of these benches name.

use std::path::Path;

use weir::config::{SecretError, Secrets};

/// An environment with one key in it.
pub struct OneKey;

// === impl OneKey ===

impl Secrets for OneKey {
    fn env(&self, name: &str) -> Option<String> {
        (name == "KEY").then(|| "sk-bench".to_owned())
    }

    fn file(&self, _: &Path) -> Result<String, SecretError> {
        Err(SecretError::NotFound)
    }
}
