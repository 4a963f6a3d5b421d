//! How values are sealed: with AES-256-GCM, under a key of their own name, so that what was moved to another name does
//! not open, and whoever reads the store's memory, disk or wire reads nothing.
//!
//! | bytes | of a sealed value                        | of a plain one                                     |
//! |-------|------------------------------------------|----------------------------------------------------|
//! | 1     | 1                                        | 2                                                  |
//! | 4     | which key                                | a hash of the name and the content, in 16 bytes    |
//! | 12    | the nonce                                |                                                    |
//! | rest  | the content, sealed, and a tag of 16     | the content                                        |
//!
//! The key of a name is derived from the operator's and the name, so that as many values as one likes can have
//! nonces by chance: only those of one name meet. A process that seals takes nothing that is not sealed.

use std::fmt;
use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::Bad;
use crate::base::base64;
use crate::base::secret::Secret;
use crate::cache::Secret as NameSecret;

/// The most that sealing adds.
pub(super) const OVERHEAD: usize = 1 + ID + NONCE + TAG;
const ID: usize = 4;
pub(super) const NONCE: usize = 12;
const TAG: usize = 16;
const SEALED: u8 = 1;
const PLAIN: u8 = 2;
const HASH: usize = 16;

/// The keys of a file at most: the one that seals, and those before it.
const MOST: usize = 4;

/// How values lie in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtRest {
    Sealed(Keys),
    /// Whoever can read the store reads the answers, and whoever can write to it gives them.
    Plain,
}

/// The operator's keys: the first seals, all of them open.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(Arc<[One]>);

/// One of them.
#[derive(PartialEq, Eq)]
struct One {
    id: [u8; ID],
    master: [u8; 32],
}

/// Why a text holds no keys. It repeats nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeys {
    #[error(
        "line {0} is no key: write 32 random bytes as 64 hexadecimal digits or in base64, as `openssl rand -hex 32` \
         does; the first line is the key that encrypts, the others are those before it"
    )]
    Line(usize),
    #[error("it holds more than {MOST} keys: keep the one that encrypts, and those before it whose answers still live")]
    TooMany,
    #[error("it holds no key: write 32 random bytes, as `openssl rand -hex 32` does")]
    None,
}

// === impl Keys ===

impl Keys {
    /// One key a line, 32 bytes each; empty lines are none.
    ///
    /// # Errors
    /// Where that is not so.
    pub fn read(text: &Secret) -> Result<Keys, BadKeys> {
        let mut keys = Vec::new();
        for (line, text) in text.expose().lines().enumerate() {
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            if keys.len() == MOST {
                return Err(BadKeys::TooMany);
            }
            keys.push(One::new(&key(text).ok_or(BadKeys::Line(line + 1))?));
        }
        if keys.is_empty() { Err(BadKeys::None) } else { Ok(Keys(keys.into())) }
    }

    fn first(&self) -> Option<&One> {
        self.0.first()
    }

    fn named(&self, id: &[u8]) -> Option<&One> {
        self.0.iter().find(|one| one.id == *id)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// Hexadecimal digits, or base64: a key of one length is 64 of those and 43 or 44 of these. It is read once, from
/// where the operator put it, so that nobody measures how long that takes.
fn key(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return base64::decode(text.as_bytes())?.try_into().ok();
    }
    let mut key = [0; 32];
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

// === impl One ===

impl One {
    fn new(key: &[u8; 32]) -> One {
        let named = blake3::derive_key("weir cache at rest, the name of a key, 1", key);
        let mut id = [0; ID];
        id.copy_from_slice(&named[..ID]);
        One { id, master: blake3::derive_key("weir cache at rest, the key of names, 1", key) }
    }

    /// The key of this name; none where the library does not take it, which it does.
    fn of(&self, name: &[u8]) -> Option<LessSafeKey> {
        let key = blake3::keyed_hash(&self.master, name);
        UnboundKey::new(&AES_256_GCM, key.as_bytes()).ok().map(LessSafeKey::new)
    }
}

// === impl AtRest ===

impl AtRest {
    /// What the names of what lies so are made with: replicas that can open it have the same. Where it lies open, whoever
    /// reads the store learns nothing by the names.
    pub fn secret(&self, prefix: &str) -> NameSecret {
        match self {
            // The oldest that is still listed: a new key in front of it changes no name.
            AtRest::Sealed(keys) => NameSecret::shared(keys.0.last().map_or(&[], |one| &one.master[..])),
            AtRest::Plain => NameSecret::shared(prefix.as_bytes()),
        }
    }

    /// The value of this content under this name. The nonce is by chance, another one for each value. None where the
    /// content is larger than the algorithm takes: 64 GiB.
    pub(super) fn seal(&self, name: &[u8], content: &[u8], nonce: [u8; NONCE]) -> Option<Vec<u8>> {
        let mut value = Vec::with_capacity(content.len() + OVERHEAD);
        match self {
            AtRest::Plain => {
                value.push(PLAIN);
                value.extend_from_slice(&hash(name, content));
                value.extend_from_slice(content);
            }
            AtRest::Sealed(keys) => {
                let one = keys.first()?;
                value.push(SEALED);
                value.extend_from_slice(&one.id);
                value.extend_from_slice(&nonce);
                let head = value.len();
                value.extend_from_slice(content);
                let (nonce, sealed) = (Nonce::assume_unique_for_key(nonce), value.get_mut(head..)?);
                let tag = one.of(name)?.seal_in_place_separate_tag(nonce, Aad::from(name), sealed).ok()?;
                value.extend_from_slice(tag.as_ref());
            }
        }
        Some(value)
    }

    /// The content of this value under this name.
    ///
    /// # Errors
    /// [`Bad::Foreign`] where it is of another version, form or key, [`Bad::Broken`] where it does not open: it is not
    /// what was sealed, or not under this name.
    pub(super) fn open(&self, name: &[u8], mut value: Vec<u8>) -> Result<Vec<u8>, Bad> {
        match (self, value.first()) {
            (AtRest::Plain, Some(&PLAIN)) => {
                let content = value.get(1 + HASH..).ok_or(Bad::Broken)?;
                if value.get(1..=HASH) != Some(&hash(name, content)[..]) {
                    return Err(Bad::Broken);
                }
                value.drain(..=HASH);
                Ok(value)
            }
            (AtRest::Sealed(keys), Some(&SEALED)) => {
                let head = 1 + ID + NONCE;
                let (id, nonce) = (value.get(1..=ID), value.get(1 + ID..head).and_then(|nonce| nonce.try_into().ok()));
                let (Some(id), Some(nonce)) = (id, nonce) else { return Err(Bad::Broken) };
                let key = keys.named(id).ok_or(Bad::Foreign)?.of(name).ok_or(Bad::Broken)?;
                let nonce = Nonce::assume_unique_for_key(nonce);
                let length =
                    key.open_within(nonce, Aad::from(name), &mut value, head..).map_err(|_| Bad::Broken)?.len();
                value.truncate(length);
                Ok(value)
            }
            _ => Err(Bad::Foreign),
        }
    }
}

/// Tells what was spoilt or moved by accident. Whoever means harm makes another.
fn hash(name: &[u8], content: &[u8]) -> [u8; HASH] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_le_bytes()).update(name).update(content);
    let mut short = [0; HASH];
    hasher.finalize_xof().fill(&mut short);
    short
}

#[cfg(test)]
mod tests;
