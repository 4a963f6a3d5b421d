//! The keys that Weir issues to consumers. Configuration holds the SHA-256 of a key and never the key:
//! a key has 256 random bits, so that its plain digest tells nothing of it.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Prefix of the keys that Weir itself issues. A credential that carries it and is not known is
/// refused in every role; any other client credential is not an identity.
pub const KEY_PREFIX: &str = "sk-weir-";

/// The shortest key that is looked up, in bytes: its prefix and 32 characters. What is shorter can be
/// guessed from its digest.
pub const MIN_KEY: usize = KEY_PREFIX.len() + 32;
/// The longest one.
pub const MAX_KEY: usize = 256;

/// The random bytes of a new key.
pub const RANDOM: usize = 32;

/// The SHA-256 of a whole key, prefix included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// One key of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// For records; never a part of the key.
    pub name: Arc<str>,
    pub digest: Digest,
    /// From this second since the Unix epoch on it is not valid.
    pub not_after: Option<u64>,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Active,
    Blocked,
}

/// Why a key names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Too short or too long to have been issued.
    Length,
    Unknown,
    Expired {
        name: Arc<str>,
        owner: u32,
    },
    Blocked {
        name: Arc<str>,
        owner: u32,
    },
}

/// All keys, by their digests.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// By the first eight bytes of the digest; the rest is compared in constant time.
    by_digest: HashMap<u64, Vec<(Key, u32)>>,
}

// === impl Digest ===

impl Digest {
    /// Of a key.
    pub fn of(key: &str) -> Self {
        Digest(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut digest = [0; 32];
        for (out, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
            *out = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Digest(digest))
    }

    /// As 64 hexadecimal digits in lower case.
    pub fn hex(&self) -> String {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
    }

    fn bucket(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

// === impl Keys ===

impl Keys {
    /// Adds a key of `owner`. No digest may be added twice.
    pub fn add(&mut self, key: Key, owner: u32) {
        self.by_digest.entry(key.digest.bucket()).or_default().push((key, owner));
    }

    /// Whose key this is. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// When it is nobody's, or is not valid any more.
    pub fn owner(&self, key: &str, now: u64) -> Result<u32, Unusable> {
        if !(MIN_KEY..=MAX_KEY).contains(&key.len()) {
            return Err(Unusable::Length);
        }
        let digest = Digest::of(key);
        let candidates = self.by_digest.get(&digest.bucket()).map(Vec::as_slice).unwrap_or_default();
        let same = |known: &Key| bool::from(known.digest.0.ct_eq(&digest.0));
        let (known, owner) = candidates.iter().find(|(known, _)| same(known)).ok_or(Unusable::Unknown)?;
        let (name, owner) = (known.name.clone(), *owner);
        match (known.state, known.not_after) {
            (State::Blocked, _) => Err(Unusable::Blocked { name, owner }),
            (State::Active, Some(end)) if now >= end => Err(Unusable::Expired { name, owner }),
            (State::Active, _) => Ok(owner),
        }
    }
}

/// A new key made of these random bytes.
pub fn new_key(random: &[u8; RANDOM]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut key = KEY_PREFIX.to_owned();
    let (mut bits, mut count) = (0_u16, 0);
    for &byte in random.iter().chain([&0]) {
        (bits, count) = (bits << 8 | u16::from(byte), count + 8);
        while count >= 5 {
            count -= 5;
            key.push(char::from(ALPHABET[usize::from(bits >> count & 31)]));
            bits &= (1 << count) - 1;
        }
    }
    key
}
