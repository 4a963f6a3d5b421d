//! Vectors of single inputs: each is kept for itself, so that a call for several is answered from memory as far as
//! they are known, and its provider is asked for the others alone, once by all who ask for them at the same time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::{Digest, Partition, Rule, Ticket};
use crate::base::json::Span;
use crate::wire::embed::items::Vector;

/// The vector of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub vector: Vector,
    /// Which model made it, as its provider says; empty where it does not.
    pub model: Arc<str>,
    /// Its share of the tokens that its provider has stated for a whole call; none where nothing was stated.
    pub tokens: Option<u64>,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub rule: Arc<Rule>,
    pub partition: Partition,
    /// Of each input once.
    pub digests: Arc<[Digest]>,
    /// What is there may be the answer.
    pub reads: bool,
    /// What is not there may be kept, when it has been asked for.
    pub keeps: bool,
    /// No older answer will do.
    pub max_age: Option<Duration>,
    /// Of more bytes than these no use is made.
    pub room: usize,
    /// What would be found is looked for, and nobody waits for that.
    pub is_shadow: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order in which it was asked for.
    pub each: Vec<Option<Known>>,
    /// Others may wait for what is missing, until they are told what became of it.
    pub lead: Option<Ticket>,
    /// Others were waited for.
    pub followed: bool,
}

/// A vector that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub item: Item,
    pub age: Duration,
}

/// Vectors of a complete answer, to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remember {
    pub rule: Arc<Rule>,
    pub partition: Partition,
    /// The largest that can be kept, in bytes.
    pub room: u64,
    pub items: Vec<(Digest, Item)>,
    /// Who waits for them.
    pub lead: Option<Ticket>,
}

/// What is encoded in front of a vector's text.
#[derive(Deserialize, Serialize)]
struct Head<'a> {
    model: &'a str,
    tokens: Option<u64>,
    /// Where in the text the number of its input stands.
    index: Option<(u32, u32)>,
}

/// The layout of what is encoded. An answer's own is another one (see `entry`): neither is read as the other.
const LAYOUT: u8 = 0xe1;

// === impl Ask ===

impl Ask {
    /// Whether it waits for others who ask for the same, and they for it. Who keeps nothing has nothing to give.
    pub fn coalesces(&self) -> bool {
        self.rule.coalesces && self.reads && self.keeps && !self.is_shadow
    }
}

// === impl Found ===

impl From<Vec<Option<Known>>> for Found {
    fn from(each: Vec<Option<Known>>) -> Self {
        Found { each, ..Found::default() }
    }
}

// === impl Item ===

impl Item {
    /// It, encoded as an [`Entry`] keeps it.
    pub fn encode(&self) -> Option<Bytes> {
        let (text, index) = self.vector.parts();
        let index = match index {
            Some(Span { start, end }) => Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?)),
            None => None,
        };
        let head = Head { model: &self.model, tokens: self.tokens, index };
        let mut out = postcard::to_extend(&head, vec![LAYOUT]).ok()?;
        out.extend_from_slice(text);
        // What is kept for long takes no more room than it needs.
        Some(Bytes::from(out.into_boxed_slice()))
    }

    /// The vector in an entry, of which it shares the memory. None of bytes that this version did not write.
    pub fn decode(entry: &Entry) -> Option<Item> {
        let (layout, rest) = entry.bytes.split_first()?;
        if *layout != LAYOUT {
            return None;
        }
        let (head, text) = postcard::take_from_bytes::<Head<'_>>(rest).ok()?;
        let index = match head.index {
            Some((start, end)) => Some(Span { start: usize::try_from(start).ok()?, end: usize::try_from(end).ok()? }),
            None => None,
        };
        let vector = Vector::kept(entry.bytes.slice_ref(text), index).filter(|vector| !vector.is_empty())?;
        Some(Item { vector, model: head.model.into(), tokens: head.tokens })
    }
}

/// What each of several inputs had of the tokens of their call: by their bytes, and in sum no more and no less.
pub fn shares(tokens: u64, bytes: &[usize]) -> Vec<u64> {
    let all: u128 = bytes.iter().map(|bytes| *bytes as u128).sum::<u128>().max(1);
    let (mut before, mut given) = (0_u128, 0_u64);
    let mut shares = Vec::with_capacity(bytes.len());
    for bytes in bytes {
        before += *bytes as u128;
        // Of what all inputs up to this one have: what is rounded off is given to a later one.
        let upto = u64::try_from(u128::from(tokens) * before / all).unwrap_or(u64::MAX);
        shares.push(upto.saturating_sub(given));
        given = upto;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::embed::items::Vectors;

    fn item(element: &str) -> Item {
        let body = Bytes::from(format!(r#"{{"data":[{element}],"model":"m"}}"#));
        let vectors = Vectors::read(&body, 1).unwrap();
        Item { vector: vectors.each[0].clone(), model: "m".into(), tokens: Some(300) }
    }

    fn entry(bytes: Bytes) -> Entry {
        Entry { bytes, stored: 0, ttl: Duration::from_secs(1) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for element in [r#"{"index":0,"embedding":[1.50, 2e-7]}"#, r#"{"embedding":"AAAA","x":null}"#] {
            let item = Item { tokens: None, ..item(element) };
            assert_eq!(Item::decode(&entry(item.encode().unwrap())), Some(item));
        }
    }

    /// Who changes what is encoded changes this; then [`LAYOUT`] has to change as well.
    #[test]
    fn the_layout_is_what_it_was() {
        let bytes = item(r#"{"index":0,"embedding":[1]}"#).encode().unwrap();
        assert_eq!(&bytes[..], b"\xe1\x01m\x01\xac\x02\x01\x09\x0a{\"index\":0,\"embedding\":[1]}");
    }

    #[test]
    fn bytes_of_anything_else_are_no_vector() {
        let bytes = item(r#"{"embedding":[1],"index":0}"#).encode().unwrap();
        for end in 0..bytes.len() - 2 {
            assert_eq!(Item::decode(&entry(bytes.slice(..end))), None, "{end}");
        }
        let answer = crate::cache::entry::encode(&crate::llm::Reply::default(), None, None).unwrap();
        assert_eq!(Item::decode(&entry(answer)), None);
        assert_eq!(entry(bytes).decode(), None, "an answer is not read of a vector");
    }

    proptest! {
        #[test]
        fn shares_are_the_whole(tokens in any::<u64>(), bytes in prop::collection::vec(0_usize..1 << 40, 1..40)) {
            let shares = shares(tokens, &bytes);
            let sum: u128 = shares.iter().map(|share| u128::from(*share)).sum();
            let expected = if bytes.iter().all(|bytes| *bytes == 0) { 0 } else { u128::from(tokens) };
            prop_assert_eq!(sum, expected);
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Item::decode(&entry([&[LAYOUT], &bytes[..]].concat().into()));
        }
    }
}
