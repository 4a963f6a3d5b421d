//! For which calls a document speaks, and whom and what it means by the names that it says: a name is
//! looked for in the document's own namespace and then in root.

use std::collections::HashSet;
use std::sync::Arc;

use super::spec::{self, Document, Spec, TargetKind};
use super::validate::Set;
use crate::base::glob::Glob;
use crate::policy::combine::{Documents, Named};
use crate::policy::select::{Callers, Scope, TargetRef};
use crate::target::id;

/// What the documents of a set mean by what they say.
pub(super) struct Reach<'a> {
    set: &'a Set<'a>,
    /// Those outside root, by namespace and name.
    consumers: HashSet<(&'a str, &'a str)>,
}

// === impl Reach ===

impl<'a> Reach<'a> {
    pub fn new(set: &'a Set<'a>) -> Self {
        let named = |document: &'a Document| Some((set.namespace(document)?, document.meta.name.as_str()));
        Reach { set, consumers: set.consumers.iter().filter_map(|(document, _)| named(document)).collect() }
    }

    /// The namespace whose workloads' calls a document is about; none for all.
    pub fn namespace(&self, document: &'a Document) -> Option<&'a str> {
        self.set.namespace(document)
    }

    /// The id of the consumer that a document of this namespace calls by this name.
    pub fn consumer_id(&self, namespace: Option<&str>, name: &str) -> Arc<str> {
        id(namespace.filter(|namespace| self.consumers.contains(&(*namespace, name))), name)
    }

    /// Callers, as a document of this namespace means them.
    pub fn callers(&self, namespace: Option<&str>, said: &spec::Callers) -> Callers {
        let mut from = said.from.clone();
        if namespace.is_some() {
            for glob in from.0.iter_mut().flat_map(|entry| &mut entry.consumers).filter(|glob| glob.is_exact()) {
                *glob = Glob::exact(&self.consumer_id(namespace, glob.as_str()));
            }
        }
        Callers { namespace: namespace.map(Into::into), from }
    }

    /// For which calls a policy speaks: those of its own namespace, unless it is in root.
    pub fn scope(&self, document: &'a Document, spec: &spec::Scope) -> Scope {
        let namespace = self.namespace(document);
        let (kind, name) = (document.kind.as_str(), &document.meta.name);
        let id = format!("{kind}/{}", id(namespace, name));
        let target = |target: &spec::TargetRef| match target.kind {
            TargetKind::Backend => TargetRef::Backend(self.set.backend_id(namespace, &target.name)),
            TargetKind::Route => TargetRef::Route {
                name: self.set.route_id(namespace, &target.name),
                rule: target.section.as_deref().map(Into::into),
            },
        };
        let Callers { namespace, from } = self.callers(namespace, &spec.from);
        Scope {
            id: id.into(),
            namespace,
            mode: spec.mode,
            targets: spec.targets.iter().map(|found| target(&found.value)).collect(),
            from,
        }
    }

    /// The documents of which only the reach is compiled yet.
    pub fn documents(&self, documents: &'a [Document]) -> Documents {
        let (mut limits, mut caches, mut guards) = (Vec::new(), Vec::new(), Vec::new());
        for document in documents {
            let (list, scope, names) = match &document.spec {
                Some(Spec::Limit(policy)) => {
                    let names = policy.limits.iter().map(|limit| limit.name.as_str().into()).collect();
                    (&mut limits, &policy.scope, names)
                }
                Some(Spec::Cache(policy)) => (&mut caches, &policy.scope, Vec::new()),
                Some(Spec::Guard(policy)) => {
                    let names = policy.rules.iter().map(|rule| rule.name.as_str().into()).collect();
                    (&mut guards, &policy.scope, names)
                }
                _ => continue,
            };
            list.push(Named { scope: self.scope(document, scope), names });
        }
        Documents { limits: limits.into(), caches: caches.into(), guards: guards.into() }
    }
}
