//! A call for embeddings, as the cache sees it: its different inputs, what is known of them, and how an answer to some
//! of them becomes the answer to all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::json::tree::Value;
use crate::cache::items::{self, Item, Known};
use crate::cache::{Digest, Partition, Reason, Rule};
use crate::exchange::record::Saved;
use crate::llm::Usage;
use crate::wire::Fields;
use crate::wire::embed::items::{Inputs, Vectors, write};

/// How many numbers a vector is thought to have that was never seen, and how many bytes one takes: those of the
/// longest that are common, as they are written and in base64.
const DIMENSIONS: usize = 4096;
const WRITTEN: usize = 22;
const ENCODED: usize = 6;

/// What one element of an answer has beside its vector.
const AROUND: usize = 64;

/// A call for embeddings, as the cache sees it.
pub struct Plan {
    pub rule: Arc<Rule>,
    pub partition: Partition,
    /// Of each input once.
    pub digests: Arc<[Digest]>,
    /// Where each of those stands first, and the bytes of it.
    pub first: Vec<(usize, usize)>,
    /// Which of those each input is.
    pub which: Vec<usize>,
    /// What is known of them.
    pub known: Vec<Option<Item>>,
    /// Those that are asked for, where not all inputs are.
    pub asked: Option<Vec<usize>>,
    /// The call as its client wrote it, where it was split.
    pub original: Option<(Bytes, Fields)>,
    /// The bytes of a vector that was never seen, at most.
    pub guess: usize,
    pub keeps: bool,
    pub is_shadow: bool,
    /// What its provider made, when all of it is there; or why none of it is kept.
    pub fresh: Result<Vec<(Digest, Item)>, Reason>,
    /// A copy is made of what passes.
    pub copies: bool,
}

/// An answer of what is known.
pub struct Answered {
    pub body: Bytes,
    pub saved: Usage,
    pub model: Arc<str>,
    /// Of the oldest.
    pub age: Duration,
    /// Some of it is what another call has just got.
    pub followed: bool,
}

// === impl Plan ===

impl Plan {
    /// For these inputs, each with its digest.
    pub fn new(rule: &Arc<Rule>, partition: Partition, each: Vec<Digest>, inputs: &Inputs<'_>) -> Self {
        let (mut seen, mut digests, mut first) = (HashMap::with_capacity(each.len()), Vec::new(), Vec::new());
        let mut which = Vec::with_capacity(each.len());
        for (place, (digest, span)) in each.into_iter().zip(&inputs.each).enumerate() {
            which.push(*seen.entry(digest).or_insert_with(|| {
                digests.push(digest);
                first.push((place, span.end - span.start));
                digests.len() - 1
            }));
        }
        Plan {
            rule: rule.clone(),
            partition,
            known: vec![None; digests.len()],
            digests: digests.into(),
            first,
            which,
            asked: None,
            original: None,
            guess: 0,
            keeps: false,
            is_shadow: false,
            fresh: Err(Reason::Incomplete),
            copies: false,
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        let known: usize = self.known.iter().flatten().map(|item| item.vector.len()).sum();
        known + self.original.as_ref().map_or(0, |(body, _)| body.len())
    }

    /// Takes what was found. What an earlier model made under the same name does not stand beside what the newest one
    /// has made.
    pub fn take(&mut self, found: Vec<Option<Known>>) -> Duration {
        let newest = found.iter().flatten().min_by_key(|known| known.age).map(|known| known.item.model.clone());
        let good = found.into_iter().map(|known| known.filter(|known| Some(&known.item.model) == newest.as_ref()));
        let mut oldest = Duration::ZERO;
        let items = good.map(|known| {
            let known = known?;
            oldest = oldest.max(known.age);
            Some(known.item)
        });
        self.known = items.chain(std::iter::repeat_with(|| None)).take(self.digests.len()).collect();
        oldest
    }

    /// Of those that are different, the ones that nobody knows.
    pub fn missing(&self) -> Vec<usize> {
        let unknown = self.known.iter().enumerate().filter(|(_, item)| item.is_none());
        unknown.map(|(which, _)| which).collect()
    }

    /// How large the whole answer will be, at most.
    pub fn size(&self) -> usize {
        let largest = self.known.iter().flatten().map(|item| item.vector.len()).max();
        let guess = largest.map_or(self.guess, |largest| largest + largest / 4);
        let size =
            |which: &usize| self.known.get(*which).and_then(Option::as_ref).map_or(guess, |item| item.vector.len());
        self.which.iter().map(|which| size(which) + AROUND).fold(0, usize::saturating_add)
    }

    /// The whole answer, if all of it is known.
    pub fn answer(&self, age: Duration) -> Option<Answered> {
        let all: Vec<&Item> = self.which.iter().map(|which| self.known.get(*which)?.as_ref()).collect::<Option<_>>()?;
        let tokens = all.iter().filter_map(|item| item.tokens).fold(0, u64::saturating_add);
        let model = all.first()?.model.clone();
        let mut body = Vec::with_capacity(self.size() + AROUND);
        write(all.into_iter().map(|item| &item.vector), &model, tokens, &mut body);
        let saved = Usage { input: tokens, ..Usage::default() };
        Some(Answered { body: body.into(), saved, model, age, followed: false })
    }

    /// How many vectors are asked for.
    pub fn wanted(&self) -> usize {
        self.asked.as_ref().map_or(self.which.len(), Vec::len)
    }

    /// Takes what its provider answered, in its client's words. What it answers to some inputs alone becomes the
    /// answer to all, with what was not spent; none where it is that already.
    pub fn meet(&mut self, document: &Bytes) -> Result<Option<(Vec<u8>, Saved)>, &'static str> {
        let vectors = Vectors::read(document, self.wanted()).map_err(|error| error.0)?;
        let model: Arc<str> = vectors.model.as_str().into();
        let bytes = |which: usize| self.first.get(which).map_or(0, |(_, bytes)| *bytes);
        let whole = || self.which.iter().copied();
        let answered: Vec<usize> = self.asked.clone().unwrap_or_else(|| whole().collect());
        let sizes: Vec<usize> = answered.iter().map(|which| bytes(*which)).collect();
        let shares = vectors.tokens.map(|tokens| items::shares(tokens, &sizes));
        let mut made: Vec<Option<Item>> = vec![None; self.digests.len()];
        for (place, (which, vector)) in answered.iter().zip(&vectors.each).enumerate() {
            let tokens = shares.as_ref().and_then(|shares| shares.get(place).copied());
            let item = Item { vector: vector.clone(), model: model.clone(), tokens };
            if let Some(slot) = made.get_mut(*which).filter(|slot| slot.is_none()) {
                *slot = Some(item);
            }
        }
        let digests = self.digests.iter().copied();
        // What is known is of another model than what was made now: its vectors are not compared with these.
        let is_other = |which: usize| {
            let (made, known) = (made.get(which), self.known.get(which).and_then(Option::as_ref));
            made.is_some_and(Option::is_none) && known.is_some_and(|known| known.model != model)
        };
        if self.asked.is_some() && whole().any(is_other) {
            self.fresh = Ok(digests.zip(made).filter_map(|(digest, item)| Some((digest, item?))).collect());
            return Err("another model made what is known of it");
        }
        let all = |which: usize| made.get(which)?.as_ref().or(self.known.get(which)?.as_ref());
        let merged = match self.asked.is_some() {
            true => {
                let each: Vec<&Item> = whole().map(all).collect::<Option<_>>().ok_or("a vector of it is missing")?;
                let tokens = |item: &&Item| item.tokens.unwrap_or(0);
                let would = each.iter().map(tokens).fold(0, u64::saturating_add);
                let input = would.saturating_sub(vectors.tokens.unwrap_or(0));
                let saved = Saved { usage: Usage { input, ..Usage::default() }, cost: None };
                Some((vectors.with(each.into_iter().map(|item| &item.vector)), saved))
            }
            false => None,
        };
        self.fresh = Ok(digests.zip(made).filter_map(|(digest, item)| Some((digest, item?))).collect());
        Ok(merged)
    }
}

/// The bytes of a vector that was never seen, at most; `rest` is what is said of all inputs.
pub(super) fn guess(rest: Value<'_, '_>) -> usize {
    let stated = rest.get("dimensions").and_then(Value::whole).and_then(|number| usize::try_from(number).ok());
    let is_encoded = rest.get("encoding_format").and_then(Value::text).as_deref() == Some("base64");
    let each = if is_encoded { ENCODED } else { WRITTEN };
    stated.unwrap_or(DIMENSIONS).saturating_mul(each)
}
