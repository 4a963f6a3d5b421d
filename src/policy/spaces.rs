//! The documents of one kind of all namespaces, by the namespace whose calls they are about: what a call
//! costs does not grow with what the namespaces of others say.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::select::Scope;

/// A document that speaks for some calls.
pub trait Scoped {
    fn scope(&self) -> &Scope;
}

/// Documents in their order, and by namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spaces<T> {
    all: Vec<T>,
    /// Places in `all`, in order: of those of root.
    root: Vec<usize>,
    /// Of those of each other namespace.
    own: HashMap<Arc<str>, Vec<usize>>,
}

/// The documents that can speak for the calls of one namespace, in their order.
#[derive(Clone, Debug)]
pub struct OfNamespace<'a, T> {
    all: &'a [T],
    root: &'a [usize],
    own: &'a [usize],
}

// === impl Spaces ===

impl<T> Spaces<T> {
    /// Those of root and those of this namespace, in the order of all.
    pub fn of(&self, namespace: &str) -> OfNamespace<'_, T> {
        // Who is of no namespace is of none that a document could be about.
        let own = self.own.get(namespace).filter(|_| !namespace.is_empty());
        OfNamespace { all: &self.all, root: &self.root, own: own.map_or(&[], Vec::as_slice) }
    }
}

impl<T> Default for Spaces<T> {
    fn default() -> Self {
        Spaces { all: Vec::new(), root: Vec::new(), own: HashMap::new() }
    }
}

impl<T: Scoped> From<Vec<T>> for Spaces<T> {
    fn from(all: Vec<T>) -> Self {
        let (mut root, mut own) = (Vec::new(), HashMap::<_, Vec<usize>>::new());
        for (at, document) in all.iter().enumerate() {
            match &document.scope().namespace {
                None => root.push(at),
                Some(namespace) => own.entry(namespace.clone()).or_default().push(at),
            }
        }
        Spaces { all, root, own }
    }
}

impl<T: Scoped> FromIterator<T> for Spaces<T> {
    fn from_iter<I: IntoIterator<Item = T>>(documents: I) -> Self {
        documents.into_iter().collect::<Vec<T>>().into()
    }
}

/// All of them, whatever they are about.
impl<T> Deref for Spaces<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all
    }
}

// === impl OfNamespace ===

impl<'a, T> Iterator for OfNamespace<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        let (next, rest) = match (self.root.split_first(), self.own.split_first()) {
            (Some((root, rest)), own) if own.is_none_or(|(own, _)| root < own) => (root, (rest, self.own)),
            (_, Some((own, rest))) => (own, (self.root, rest)),
            (_, None) => return None,
        };
        (self.root, self.own) = rest;
        self.all.get(*next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::combine::Named;
    use super::*;

    fn document(at: usize, namespace: Option<&str>) -> Named {
        let scope = Scope { id: at.to_string().into(), namespace: namespace.map(Into::into), ..Scope::default() };
        Named { scope, names: Vec::new() }
    }

    proptest! {
        #[test]
        fn a_namespace_is_given_roots_and_its_own_in_their_order(
            namespaces in prop::collection::vec(prop::option::of(prop::sample::select(vec!["a", "b", ""])), 0..12),
            caller in prop::sample::select(vec!["a", "b", "c", ""]),
        ) {
            let all: Vec<Named> = namespaces.iter().enumerate().map(|(at, space)| document(at, *space)).collect();
            let spaces = Spaces::from(all.clone());
            prop_assert_eq!(&*spaces, &*all);
            let given: Vec<&Named> = spaces.of(caller).collect();
            let is_its = |one: &&Named| one.scope.namespace.as_deref().is_none_or(|own| own == caller && !own.is_empty());
            prop_assert_eq!(given, all.iter().filter(is_its).collect::<Vec<_>>());
        }
    }
}
