//! A caller as the documents of one namespace see it.

use crate::identity::{Own, Principal};

/// What root knows of a caller, and what its own namespace says of it beside. A namespace says that to
/// itself alone: if root's documents saw it, a namespace could name the team whose budget, key or
/// exception its callers get.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    principal: &'a Principal,
    /// None for root's documents.
    own: Option<&'a Own>,
}

// === impl View ===

impl<'a> View<'a> {
    /// As documents of this namespace see the caller, or as root's do where there is none. None where
    /// those documents do not speak for it: they do for workloads of their own namespace alone.
    pub fn of(namespace: Option<&str>, principal: &'a Principal) -> Option<Self> {
        match namespace {
            None => Some(View { principal, own: None }),
            Some("") => None,
            Some(namespace) => {
                (*namespace == *principal.namespace).then_some(View { principal, own: principal.own.as_deref() })
            }
        }
    }

    /// What root's documents know of it.
    pub fn principal(&self) -> &'a Principal {
        self.principal
    }

    /// The team. What root says of it stands above what a namespace says.
    pub fn team(&self) -> Option<&'a str> {
        let own = || self.own.and_then(|own| own.team.as_deref());
        self.principal.team.as_deref().or_else(own)
    }

    /// Every consumer that the caller is: root's `NAME`, and the `NAMESPACE/NAME` of its own namespace.
    pub fn consumers(&self) -> impl Iterator<Item = &'a str> {
        let own = self.own.map(|own| &*own.consumer);
        self.principal.consumer.as_deref().into_iter().chain(own)
    }

    /// The value of a tag: a consumer of root comes before one of the namespace, and both before what
    /// the caller says itself.
    pub fn tag(&self, name: &str) -> Option<&'a str> {
        let own = self.own.into_iter().flat_map(|own| &own.tags);
        let mut all = own.chain(&self.principal.tags);
        all.find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}
