//! Which rule or which backend takes a call, the namespaces one after the other.
//!
//! | | what is looked for |
//! |---|---|
//! | 1 | a rule of the caller's own namespace |
//! | 2 | `BACKEND/MODEL` with a backend of its own |
//! | 3 | the one backend of its own that serves the bare model |
//! | 4 | a rule of root |
//! | 5 | `BACKEND/MODEL` with a backend of root |
//! | 6 | the one backend of root that serves the bare model, unless several of the caller's own do |
//! | 7 | the only backend that the caller can reach, unless the catalogue knows that it serves no such model |
//!
//! A name whose first piece is that of a backend is no bare model, though a catalogue may list it.

use std::sync::Arc;

use super::{Asked, Rule, Table, Targets};
use crate::llm::{Code, Refusal};

/// What takes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way<'t, 'a> {
    Rule(&'t Rule),
    /// A backend by index, and the model that leaves where it is another than the caller's.
    Backend(usize, Option<&'a str>),
}

// === impl Targets ===

impl Targets {
    /// What takes a call.
    ///
    /// # Errors
    /// 404 `no_backend` and 404 `model_not_found`.
    pub(super) fn way<'t, 'a>(&'t self, asked: &Asked<'a>) -> Result<Way<'t, 'a>, Refusal> {
        let own = self.own.get(asked.namespace);
        let split = asked.model.split_once('/').filter(|(_, model)| !model.is_empty());
        let named = |table: &Table| split.and_then(|(name, model)| Some((table.named(name)?, model)));
        let of_root = named(&self.root);
        if let Some(own) = own {
            if let Some(rule) = own.rules.find(asked) {
                return Ok(Way::Rule(rule));
            }
            if let Some((index, model)) = named(own) {
                return Ok(Way::Backend(index, Some(model)));
            }
            if let Some(index) = self.sole(own, asked.model).filter(|_| of_root.is_none()) {
                return Ok(Way::Backend(index, None));
            }
        }
        if let Some(rule) = self.root.rules.find(asked) {
            return Ok(Way::Rule(rule));
        }
        if let Some((index, model)) = of_root {
            return Ok(Way::Backend(index, Some(model)));
        }
        // Which of its own a namespace means it has to say itself: root's key is not the answer.
        let is_own = own.is_some_and(|own| self.serving(own, asked.model).next().is_some());
        let sole = self.sole(&self.root, asked.model).filter(|_| !is_own);
        let only = || self.only(asked.namespace).filter(|&index| self.may_serve(index, asked.model));
        match sole.or_else(only) {
            Some(index) => Ok(Way::Backend(index, None)),
            None => Err(self.not_found(asked)),
        }
    }

    /// The backends of a table with a credential that serve a model of the catalogue.
    pub(super) fn serving<'a>(&'a self, table: &'a Table, model: &str) -> impl Iterator<Item = usize> + 'a {
        self.models.get(model).into_iter().flat_map(|lists| table.serving(lists))
    }

    /// The only one of them.
    fn sole(&self, table: &Table, model: &str) -> Option<usize> {
        let mut serving = self.serving(table, model);
        serving.next().filter(|_| serving.next().is_none())
    }

    /// The only backend that a caller of this namespace can reach.
    pub(super) fn only(&self, namespace: &str) -> Option<usize> {
        let own = self.own.get(namespace).map_or(&[][..], |own| &own.backends);
        match (own, &*self.root.backends) {
            ([index], []) | ([], [index]) => Some(*index),
            _ => None,
        }
    }

    /// False for a model that the catalogue knows to be served elsewhere alone. A backend without a key may
    /// serve what it lists: the refusal then says which key is missing, and not that nobody knows the model.
    fn may_serve(&self, index: usize, model: &str) -> bool {
        let list = self.serves.get(index).and_then(|serves| serves.list.as_ref());
        let lists = self.models.get(model);
        lists.is_none_or(|lists| list.is_none_or(|list| lists.contains(list)))
    }

    fn not_found(&self, asked: &Asked<'_>) -> Refusal {
        let tables = || self.own.get(asked.namespace).into_iter().chain([&self.root]);
        if tables().all(|table| table.backends.is_empty()) {
            return Refusal::new(
                Code::NoBackend,
                "No backend is configured. Add an LLMBackend, or put a provider's key in the environment of `weir up`.",
            );
        }
        let shown: String = asked.model.chars().take(64).collect();
        let several = tables().map(|table| self.serving(table, asked.model).collect::<Vec<_>>());
        let message = match several.into_iter().find(|several| !several.is_empty()) {
            Some(mut backends) => {
                backends.sort_unstable();
                let names: Vec<&str> = backends.iter().map(|&index| self.backends[index].short_name()).collect();
                format!(
                    "The model {shown:?} is served by more than one backend ({}); say BACKEND/{shown} or add a route.",
                    names.join(", ")
                )
            }
            None => format!("The model {shown:?} is served by no backend here; say BACKEND/MODEL or add a route."),
        };
        Refusal::new(Code::ModelNotFound, message).param("model")
    }

    /// How a caller of this namespace names a backend; none where its own has one of that name.
    pub(super) fn spelled(&self, index: usize, model: &str, namespace: &str) -> Option<Arc<str>> {
        let backend = &self.backends[index];
        let shadowing = self.own.get(namespace).and_then(|own| own.named(backend.short_name()));
        shadowing.is_none_or(|own| own == index).then(|| [backend.short_name(), "/", model].concat().into())
    }
}
