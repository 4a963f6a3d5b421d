//! Tokens per byte of each model, learned from complete calls; never a float, bounded in memory.
//!
//! A ratio is two exact sums, tokens and bytes, so that a model whose tokens are all of the same
//! length is estimated exactly after its first call. It forgets by generations: when the current
//! pair of sums is full it becomes the previous one, and the one before that is dropped. (Halving
//! the sums would forget as well, but each halving would round.)

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

use super::outputs::Outputs;

/// How many pairs of backend and model are kept. Above that the one that has gone unobserved for
/// the longest time makes room, so a client that makes up names cannot push out a busy model.
pub const MAX_MODELS: usize = 1024;

/// The longest backend and model name together, in bytes, of which anything is learned.
pub const MAX_NAME: usize = 512;

/// A generation is full at this many bytes: some hundreds of ordinary calls.
const GENERATION: u64 = 1 << 20;

/// The most bytes of one observation. More is no text that a model was asked to read.
const MAX_BYTES: u64 = 1 << 32;

/// A call with fewer tokens than one in this many bytes teaches nothing: most of its bytes were no
/// text (an inline image, say).
const MAX_BYTES_PER_TOKEN: u64 = 64;

/// Until something is learned a token is four bytes.
const UNKNOWN: Pair = Pair { tokens: 1, bytes: 4 };

/// What has been learned about all models. Shared by reference; a look-up takes a read lock for the
/// time of one hash look-up and does not allocate.
#[derive(Debug, Default)]
pub struct Learned {
    hasher: RandomState,
    table: RwLock<Table>,
    outputs: Outputs,
}

/// Whose tokens are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key<'a> {
    pub backend: &'a str,
    pub model: &'a str,
}

#[derive(Debug, Default)]
struct Table {
    /// By the hash of the key; the entry has the names, and a collision learns nothing.
    entries: HashMap<u64, Entry>,
    /// Counts observations, to tell which entry was observed last.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    backend: Box<str>,
    model: Box<str>,
    observed: u64,
    input: Ratio,
    output: Ratio,
    /// An answer had reasoning in it.
    reasons: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ratio {
    current: Pair,
    previous: Pair,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    tokens: u64,
    bytes: u64,
}

// === impl Learned ===

impl Learned {
    /// A table that has learned nothing.
    pub fn new() -> Learned {
        Learned::default()
    }

    /// A complete call's request body of `bytes` bytes was `tokens` tokens, as the provider says.
    pub fn observe_input(&self, key: Key<'_>, tokens: u64, bytes: u64) {
        self.observe(key, tokens, bytes, |entry| &mut entry.input);
    }

    /// A complete call's answer of `bytes` bytes of text was `tokens` tokens, as the provider says.
    pub fn observe_output(&self, key: Key<'_>, tokens: u64, bytes: u64) {
        self.observe(key, tokens, bytes, |entry| &mut entry.output);
    }

    /// A complete call of this caller had so many tokens and each of its answers so many, as the provider says.
    pub fn observe_answer(&self, caller: &str, key: Key<'_>, input: u64, output: u64) {
        self.outputs.observe(caller, key, input, output);
    }

    /// How many tokens this caller's next prompt has at most, going by those before it; none where there was none.
    pub fn expected_input(&self, caller: &str, key: Key<'_>) -> Option<u64> {
        self.outputs.expected_input(caller, key)
    }

    /// How many tokens this caller's next answer has at most, going by those before it; none where there was
    /// none.
    pub fn expected_output(&self, caller: &str, key: Key<'_>) -> Option<u64> {
        self.outputs.expected(caller, key)
    }

    /// The tokens of a request body of `bytes` bytes: to the nearest, and at least one if there is
    /// any byte, since a part of a token is paid as one. Never fewer for more bytes.
    pub fn estimate_input(&self, key: Key<'_>, bytes: u64) -> u64 {
        self.estimate(key, bytes, |entry| &entry.input)
    }

    /// The tokens of `bytes` bytes of answered text; see [`Learned::estimate_input`].
    pub fn estimate_output(&self, key: Key<'_>, bytes: u64) -> u64 {
        self.estimate(key, bytes, |entry| &entry.output)
    }

    /// A complete call of this model was answered with tokens of reasoning, as the provider says.
    pub fn observe_reasoning(&self, key: Key<'_>) {
        if key.backend.len() + key.model.len() > MAX_NAME || self.reasons(key) {
            return;
        }
        let hash = self.hasher.hash_one(key);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.entry(hash, key) {
            entry.reasons = true;
        }
    }

    /// Whether this model is known to reason: its answers may be longer than the text that is seen of them.
    pub fn reasons(&self, key: Key<'_>) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.entries.get(&self.hasher.hash_one(key)).is_some_and(|entry| entry.is(key) && entry.reasons)
    }

    /// Whether a call of this model has taught anything about its input.
    pub fn knows_input(&self, key: Key<'_>) -> bool {
        self.knows(key, |entry| &entry.input)
    }

    /// Whether a call of this model has taught anything about its output.
    pub fn knows_output(&self, key: Key<'_>) -> bool {
        self.knows(key, |entry| &entry.output)
    }

    /// How many models something is known of; at most [`MAX_MODELS`].
    pub fn len(&self) -> usize {
        self.table.read().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// True until the first observation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn observe(&self, key: Key<'_>, tokens: u64, bytes: u64, part: impl Fn(&mut Entry) -> &mut Ratio) {
        // A token of a byte-level tokenizer is at least one byte: more tokens than bytes means that
        // the provider counted what did not pass here (hidden reasoning, a linked image).
        let plausible = tokens > 0 && tokens <= bytes && bytes / MAX_BYTES_PER_TOKEN <= tokens;
        if !plausible || bytes > MAX_BYTES || key.backend.len() + key.model.len() > MAX_NAME {
            return;
        }
        let hash = self.hasher.hash_one(key);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.entry(hash, key) {
            part(entry).observe(Pair { tokens, bytes });
        }
    }

    fn knows(&self, key: Key<'_>, part: impl Fn(&Entry) -> &Ratio) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let known = table.entries.get(&self.hasher.hash_one(key)).filter(|entry| entry.is(key));
        known.is_some_and(|entry| part(entry).current.bytes > 0)
    }

    fn estimate(&self, key: Key<'_>, bytes: u64, part: impl Fn(&Entry) -> &Ratio) -> u64 {
        let hash = self.hasher.hash_one(key);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let known = table.entries.get(&hash).filter(|entry| entry.is(key));
        known.map_or(UNKNOWN, |entry| part(entry).pair()).estimate(bytes)
    }
}

// === impl Table ===

impl Table {
    /// The entry of `key`, made if there is none; none if its hash belongs to another key.
    fn entry(&mut self, hash: u64, key: Key<'_>) -> Option<&mut Entry> {
        self.clock += 1;
        if !self.entries.contains_key(&hash) {
            if self.entries.len() >= MAX_MODELS {
                let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.observed).map(|(hash, _)| *hash);
                oldest.map(|hash| self.entries.remove(&hash));
            }
            self.entries.insert(hash, Entry::new(key));
        }
        let entry = self.entries.get_mut(&hash).filter(|entry| entry.is(key))?;
        entry.observed = self.clock;
        Some(entry)
    }
}

// === impl Entry ===

impl Entry {
    fn new(key: Key<'_>) -> Entry {
        let (input, output) = (Ratio::default(), Ratio::default());
        Entry { backend: key.backend.into(), model: key.model.into(), observed: 0, input, output, reasons: false }
    }

    fn is(&self, key: Key<'_>) -> bool {
        *self.backend == *key.backend && *self.model == *key.model
    }
}

// === impl Ratio ===

impl Ratio {
    fn observe(&mut self, seen: Pair) {
        if self.current.bytes >= GENERATION {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current = self.current.plus(seen);
    }

    fn pair(&self) -> Pair {
        let sum = self.current.plus(self.previous);
        if sum.bytes == 0 { UNKNOWN } else { sum }
    }
}

// === impl Pair ===

impl Pair {
    /// Both are below 2^34 by construction; saturating all the same.
    fn plus(self, other: Pair) -> Pair {
        Pair { tokens: self.tokens.saturating_add(other.tokens), bytes: self.bytes.saturating_add(other.bytes) }
    }

    fn estimate(self, bytes: u64) -> u64 {
        if bytes == 0 {
            return 0;
        }
        let tokens = u128::from(bytes) * u128::from(self.tokens);
        let nearest = (tokens + u128::from(self.bytes / 2)) / u128::from(self.bytes.max(1));
        u64::try_from(nearest).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests;
