//! Under what an entry is kept: a keyed hash of everything that its answer depends on, in the place of those who
//! may read it. Neither tells anybody who or what it was made from.

use std::fmt;
use std::sync::Arc;

use super::{Digest, Partition};

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

/// What keys and tags are made with. Replicas that share a store have the same; it never leaves a process.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

// === impl Secret ===

impl Secret {
    /// From 256 random bits.
    pub fn random(bits: [u8; 32]) -> Self {
        Secret(bits)
    }

    /// From a key that several replicas have, of whatever form.
    pub fn shared(key: &[u8]) -> Self {
        Secret(blake3::derive_key("weir 2026-11 secret of cache keys", key))
    }

    /// Where the entries of a partition are, and under what.
    pub fn place(&self, namespace: &Arc<str>, partition: &Partition, digest: Digest) -> (Place, Key) {
        let (tag, secret) = self.within(namespace, partition);
        let key = Key(*blake3::keyed_hash(&secret, &digest.0).as_bytes());
        (Place { namespace: namespace.clone(), tag }, key)
    }

    /// As [`Secret::place`], of several entries in one place.
    pub fn places(&self, namespace: &Arc<str>, partition: &Partition, digests: &[Digest]) -> (Place, Vec<Key>) {
        let (tag, secret) = self.within(namespace, partition);
        let key = |digest: &Digest| Key(*blake3::keyed_hash(&secret, &digest.0).as_bytes());
        (Place { namespace: namespace.clone(), tag }, digests.iter().map(key).collect())
    }

    /// Under what vectors of a place are: `digest` is of all but the question, and `embedder` names what makes them.
    pub fn fingerprint(&self, place: &Place, digest: Digest, embedder: &str) -> Key {
        let mut hasher = blake3::Hasher::new_keyed(&self.of(&place.namespace));
        hasher.update(b"question").update(&place.tag.0).update(&digest.0).update(embedder.as_bytes());
        Key(*hasher.finalize().as_bytes())
    }

    /// Where the entries of a partition are in a namespace.
    pub fn tag(&self, namespace: &Arc<str>, partition: &Partition) -> Tag {
        self.place(namespace, partition, Digest([0; 32])).0.tag
    }

    /// The tag of a partition, and the secret of its keys.
    fn within(&self, namespace: &str, partition: &Partition) -> (Tag, [u8; 32]) {
        let own = self.of(namespace);
        let (kind, name) = partition.parts();
        let mut hasher = blake3::Hasher::new_keyed(&own);
        hasher.update(kind.as_bytes()).update(&[0]).update(name.as_bytes());
        let partition = hasher.finalize();
        let mut tag = [0; 16];
        tag.copy_from_slice(&partition.as_bytes()[..16]);
        (Tag(tag), *partition.as_bytes())
    }

    /// The secret of one namespace.
    fn of(&self, namespace: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, namespace.as_bytes()).as_bytes()
    }
}

/// It shows nothing.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

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
