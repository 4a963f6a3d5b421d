//! Which consumer a caller is: the LLMConsumer documents of one namespace, compiled so that ten thousand
//! of them cost no more than a few look-ups. Where several match, the first document counts.

use std::collections::HashMap;
use std::sync::Arc;

use super::claims::Claim;
use super::index::Index;
use super::key::{Key, Keys, Unusable};
use crate::base::glob::Glob;

/// A caller with a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// `NAME`, or `NAMESPACE/NAME` outside root.
    pub name: Arc<str>,
    pub team: Option<Arc<str>>,
    pub tags: Vec<(Arc<str>, Arc<str>)>,
}

/// One way to recognise a consumer; any of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    Keys(Vec<Key>),
    /// Of the workload.
    Namespaces(Vec<Glob>),
    /// SPIFFE ids.
    Principals(Vec<Glob>),
    /// Name and value of a claim.
    Jwt(Vec<(Arc<str>, Arc<str>)>),
}

/// All consumers of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    consumers: Vec<Consumer>,
    keys: Keys,
    namespaces: Index,
    principals: Index,
    /// By claim.
    jwt: Vec<(Arc<str>, Owners)>,
}

/// By the value of a claim.
type Owners = HashMap<Arc<str>, u32>;

// === impl Directory ===

impl Directory {
    /// Adds a consumer behind the others.
    pub fn add(&mut self, consumer: Consumer, matches: impl IntoIterator<Item = Match>) {
        let Ok(owner) = u32::try_from(self.consumers.len()) else { return };
        self.consumers.push(consumer);
        for how in matches {
            match how {
                Match::Keys(keys) => keys.into_iter().for_each(|key| self.keys.add(key, owner)),
                Match::Namespaces(globs) => globs.iter().for_each(|glob| self.namespaces.add(glob, owner)),
                Match::Principals(globs) => globs.iter().for_each(|glob| self.principals.add(glob, owner)),
                Match::Jwt(claims) => claims.into_iter().for_each(|(claim, value)| self.add_claim(claim, value, owner)),
            }
        }
    }

    /// Gives the consumer of this name one more key. False if there is none.
    pub fn add_key(&mut self, name: &str, key: Key) -> bool {
        let owner = self.consumers.iter().position(|consumer| *consumer.name == *name);
        let Some(owner) = owner.and_then(|owner| u32::try_from(owner).ok()) else { return false };
        self.keys.add(key, owner);
        true
    }

    fn add_claim(&mut self, claim: Arc<str>, value: Arc<str>, owner: u32) {
        let at = self.jwt.iter().position(|(known, _)| *known == claim).unwrap_or_else(|| {
            self.jwt.push((claim, Owners::new()));
            self.jwt.len() - 1
        });
        // The first document that claims a value keeps it.
        self.jwt[at].1.entry(value).or_insert(owner);
    }

    pub fn is_empty(&self) -> bool {
        self.consumers.is_empty()
    }

    /// Whose key this is. `now` is in seconds since the Unix epoch.
    ///
    /// # Errors
    /// When it is nobody's, or is not valid any more.
    pub fn by_key(&self, key: &str, now: u64) -> Result<&Consumer, Unusable> {
        let owner = self.keys.owner(key, now)?;
        self.get(owner).ok_or(Unusable::Unknown)
    }

    /// The consumer of a workload of this namespace.
    pub fn by_namespace(&self, namespace: &str) -> Option<&Consumer> {
        // Nobody's namespace matches no pattern, not even `*`.
        self.get(self.namespaces.first(namespace).filter(|_| !namespace.is_empty())?)
    }

    /// The consumer of a peer with this SPIFFE id, in this namespace.
    pub fn by_peer(&self, spiffe: &str, namespace: &str) -> Option<&Consumer> {
        let named = self.principals.first(spiffe);
        let there = self.namespaces.first(namespace).filter(|_| !namespace.is_empty());
        self.get(named.into_iter().chain(there).min()?)
    }

    /// The consumer of a token.
    pub fn by_claims(&self, claims: &Claim) -> Option<&Consumer> {
        let owners = self
            .jwt
            .iter()
            .filter_map(|(claim, values)| claims.named(claim)?.texts().filter_map(|text| values.get(text)).min());
        self.get(*owners.min()?)
    }

    /// The consumer of this name. Looks at each: not for the way of a call.
    pub fn named(&self, name: &str) -> Option<&Consumer> {
        self.consumers.iter().find(|consumer| *consumer.name == *name)
    }

    /// The name of the consumer of a key that is not valid any more.
    pub fn name(&self, owner: u32) -> &str {
        self.get(owner).map_or("", |consumer| &consumer.name)
    }

    fn get(&self, owner: u32) -> Option<&Consumer> {
        self.consumers.get(usize::try_from(owner).ok()?)
    }
}
