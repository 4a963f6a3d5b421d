//! Text that is carried and written, not worked on: most of it is known beforehand, or shared with the
//! configuration, and then costs no allocation.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text, whoever owns it.
#[derive(Clone)]
pub enum Words {
    Fixed(&'static str),
    Shared(Arc<str>),
    Own(String),
}

// === impl Words ===

impl Default for Words {
    fn default() -> Self {
        Words::Fixed("")
    }
}

impl Deref for Words {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Words::Fixed(text) => text,
            Words::Shared(text) => text,
            Words::Own(text) => text,
        }
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Words {}

impl PartialEq<str> for Words {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Words {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<&'static str> for Words {
    fn from(text: &'static str) -> Self {
        Words::Fixed(text)
    }
}

impl From<Arc<str>> for Words {
    fn from(text: Arc<str>) -> Self {
        Words::Shared(text)
    }
}

impl From<&Arc<str>> for Words {
    fn from(text: &Arc<str>) -> Self {
        Words::Shared(text.clone())
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Words::Own(text)
    }
}
