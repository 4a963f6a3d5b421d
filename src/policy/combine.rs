//! What the documents of all namespaces come to together. Limits, access and guards accumulate: all that
//! speak for a call count, and so nothing that a namespace adds takes away from what root says. Caches
//! replace: of all that speak for a call one counts, the most particular one.
//!
//! | points at | in a namespace | in root |
//! |---|---|---|
//! | a rule | 1 | 2 |
//! | a route | 3 | 4 |
//! | a backend | 5 | 6 |
//! | nothing | 7 | 8 |
//!
//! The lowest number wins; of two with the same number the one that was written first, and the other is
//! in conflict with it. A document in Shadow changes nothing, so it takes nothing away from one that is
//! enforced. Parameters replace as well, and need no table: they belong to a rule, one rule takes a call,
//! and the rules of the caller's namespace are asked before root's.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Mode;
use super::select::{Level, Place, Scope};
use super::spaces::Spaces;
use crate::identity::Principal;

pub use super::spaces::Scoped;

/// A document of which only the reach is compiled yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub scope: Scope,
    /// Its limits or rules; none for a cache.
    pub names: Vec<Arc<str>>,
}

/// The limit, cache and guard documents, each list in the order of the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    pub limits: Spaces<Named>,
    pub caches: Spaces<Named>,
    pub guards: Spaces<Named>,
}

/// All documents of a kind that accumulates which speak for one caller, wherever its calls go: a caller is
/// looked at once, and each of the places that its call could go to costs the least.
#[derive(Clone, Debug)]
pub struct Speaking<'a, T>(Vec<&'a T>);

/// What became of a document of a kind that replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It does not speak for the call; [`Scope::admits`] has the words.
    Unmet,
    /// It counts, or in Shadow it would.
    Applies,
    /// This one is more particular about the call.
    Replaced(&'a Scope),
    /// This one is as particular, and was written before it.
    Conflicted(&'a Scope),
}

/// What decides between two documents; the greatest wins.
type Weight = (Level, bool, Reverse<usize>);

/// All documents of a kind that accumulates which speak for a caller, in their order.
pub fn accumulate<'a, T: Scoped>(documents: &'a Spaces<T>, principal: &Principal) -> Speaking<'a, T> {
    Speaking(documents.of(&principal.namespace).filter(|document| document.scope().has_caller(principal)).collect())
}

/// The one document of a kind that replaces which is enforced for a call.
pub fn replace<'a, T: Scoped>(documents: &'a Spaces<T>, principal: &Principal, place: Place<'_>) -> Option<&'a T> {
    best(documents.of(&principal.namespace), principal, place, |scope| scope.mode == Mode::Enforce)
        .map(|(document, _)| document)
}

/// The one that would be enforced, where none is, if those in Shadow were.
pub fn shadow<'a, T: Scoped>(documents: &'a Spaces<T>, principal: &Principal, place: Place<'_>) -> Option<&'a T> {
    best(documents.of(&principal.namespace), principal, place, |_| true).map(|(document, _)| document)
}

/// Each of these documents of a kind that replaces, in their order, and what became of it.
pub fn standings<'a, T: Scoped + 'a>(
    documents: impl Iterator<Item = &'a T> + Clone,
    principal: &'a Principal,
    place: Place<'a>,
) -> impl Iterator<Item = (&'a T, Standing<'a>)> {
    let enforced = best(documents.clone(), principal, place, |scope| scope.mode == Mode::Enforce);
    let any = best(documents.clone(), principal, place, |_| true);
    documents.enumerate().map(move |(at, document)| {
        let scope = document.scope();
        let standing = match (scope.speaks_for(principal, place), scope.mode) {
            (false, _) => Standing::Unmet,
            (true, Mode::Enforce) => stand(scope, at, place, enforced),
            (true, Mode::Shadow) => stand(scope, at, place, any),
        };
        (document, standing)
    })
}

/// A document that speaks for a call beside the winner among those that it is compared with.
fn stand<'a, T: Scoped>(scope: &Scope, at: usize, place: Place<'_>, winner: Option<(&'a T, Weight)>) -> Standing<'a> {
    match (winner, weight(scope, at, place)) {
        (Some((winner, (level, own, order))), Some(weight)) if weight != (level, own, order) => {
            match (weight.0, weight.1) == (level, own) {
                true => Standing::Conflicted(winner.scope()),
                false => Standing::Replaced(winner.scope()),
            }
        }
        _ => Standing::Applies,
    }
}

fn best<'a, T: Scoped + 'a>(
    documents: impl Iterator<Item = &'a T>,
    principal: &Principal,
    place: Place<'_>,
    counts: impl Fn(&Scope) -> bool,
) -> Option<(&'a T, Weight)> {
    let speaking = documents.enumerate().filter(|(_, document)| {
        let scope = document.scope();
        counts(scope) && scope.speaks_for(principal, place)
    });
    let weighed = speaking.filter_map(|(at, document)| Some((document, weight(document.scope(), at, place)?)));
    weighed.max_by_key(|(_, weight)| *weight)
}

fn weight(scope: &Scope, at: usize, place: Place<'_>) -> Option<Weight> {
    Some((scope.level(place)?, scope.namespace.is_some(), Reverse(at)))
}

// === impl Speaking ===

impl<'a, T: Scoped> Speaking<'a, T> {
    /// Those that speak for a call that goes there.
    pub fn at(&self, place: Place<'a>) -> impl Iterator<Item = &'a T> {
        self.0.iter().copied().filter(move |document| document.scope().has_place(place))
    }

    /// True when nothing speaks for the caller.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

// === impl Named ===

impl Scoped for Named {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[cfg(test)]
mod tests;
