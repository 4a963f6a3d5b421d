//! What one namespace says of where calls go: its rules, and its backends by name, by host and by the
//! models that they serve. A table is asked by the calls it is for and by no others; which those are is
//! for [`Targets`](super::Targets) to know.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Backend, Passthrough, Rules};

/// Everything of one namespace. What is said twice is said first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub rules: Rules,
    pub passthrough: Vec<Passthrough>,
    /// Indices of its backends, in order.
    pub(super) backends: Vec<usize>,
    /// By the names of their documents.
    names: HashMap<Arc<str>, usize>,
    /// By `:authority`, in lower case.
    hosts: HashMap<Arc<str>, usize>,
    /// Backends with a credential that serve the models of a list.
    lists: HashMap<Arc<str>, Vec<usize>>,
    /// Backends with a credential that serve every name.
    every: Vec<usize>,
}

/// Which models a backend serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serves {
    /// The list of the catalogue that it serves; none for every name.
    pub list: Option<Arc<str>>,
    /// No bare name leads there unless nothing else is there: it wants a credential and has none, or the
    /// catalogue lists none of its models.
    pub by_name_alone: bool,
}

// === impl Table ===

impl Table {
    pub(super) fn add(&mut self, index: usize, backend: &Backend, serves: &Serves) {
        self.backends.push(index);
        self.names.entry(backend.short_name().into()).or_insert(index);
        self.hosts.entry(lower(&backend.authority).into()).or_insert(index);
        match &serves.list {
            _ if serves.by_name_alone => {}
            None => self.every.push(index),
            Some(list) => self.lists.entry(list.clone()).or_default().push(index),
        }
    }

    /// The backend whose document has this name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The backend whose own host this is.
    pub(super) fn at(&self, authority: &str) -> Option<usize> {
        self.hosts.get(&*lower(authority)).copied()
    }

    /// The passthrough that names a path, without its query.
    pub(super) fn passes(&self, path: &str) -> Option<&Passthrough> {
        self.passthrough.iter().find(|rule| rule.paths.iter().any(|glob| glob.matches(path)))
    }

    /// The backends with a credential that serve a model which stands in these lists.
    pub(super) fn serving<'a>(&'a self, lists: &'a [Arc<str>]) -> impl Iterator<Item = usize> + 'a {
        let listed = lists.iter().filter_map(|list| self.lists.get(list)).flatten();
        self.every.iter().chain(listed).copied()
    }
}

fn lower(host: &str) -> Cow<'_, str> {
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => host.to_ascii_lowercase().into(),
        false => host.into(),
    }
}
