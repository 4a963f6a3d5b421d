//! Under what an entry is kept: a keyed hash of everything that its answer depends on, in the place of those who
//! may read it. Neither tells anybody who or what it was made from.

use std::fmt;
use std::sync::Arc;

/// A 256-bit keyed BLAKE3 hash of all that an answer depends on; see [`super::canon`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

/// Where entries are that the same callers may read: nothing is found from another place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Of the document whose rule keeps them.
    pub namespace: Arc<str>,
    pub tag: Tag,
}

/// A 128-bit keyed BLAKE3 hash of a [`Partition`](super::Partition): it names nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub [u8; 16]);

// === impl Key ===

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

// === impl Tag ===

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
