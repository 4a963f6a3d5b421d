//! What documents refer to: backends, routes, rules, consumers, and what they say together with other
//! documents. A reference is looked up in the namespace of its document, then in root, and there the
//! target has to admit it. Each reference is looked up, none is searched for; of what does not exist the first few
//! are compared with all names that do, for a hint.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use super::read::{did_you_mean, short};
use super::spec::cache::Embedder;
use super::spec::limit::WhenExceeded;
use super::spec::{
    AllowedNamespaces, At, Callers, CredentialSpec, Document, FailurePolicy, Kind, LlmBackend, LlmCachePolicy,
    LlmLimitPolicy, LlmRoute, Located, Scope, Spec, TargetKind, TargetRef,
};
use super::validate::Set;
use super::{ConfigError, discovery};
use crate::cache::semantic::HAS_LOCAL;
use crate::identity::Role;

/// Dangling references that get a hint. Each costs a look at every name, and where a whole file of documents is
/// missing it is the first few that tell.
const HINTS: usize = 20;

/// The names that there are, by namespace; none is root.
struct Names<'a> {
    backends: HashMap<Key<'a>, Admits>,
    /// The routes with the names of their rules; none for a route that could not be read.
    routes: HashMap<Key<'a>, Option<BTreeSet<&'a str>>>,
    consumers: HashMap<Key<'a>, ()>,
    /// How many more hints are looked for.
    hints: Cell<usize>,
}

type Key<'a> = (Option<&'a str>, &'a str);

/// Whether documents of other namespaces may refer to a backend.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admits {
    All,
    Nobody,
    /// No document defines it, so none says.
    Unsaid,
}

/// Looks up what one document refers to.
struct Look<'a> {
    set: &'a Set<'a>,
    names: &'a Names<'a>,
    at: &'a At,
    namespace: Option<&'a str>,
}

/// Reports references to nothing or to what does not admit them, and what is wrong between two documents.
pub(super) fn check(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    let names = Names {
        backends: backends(set),
        routes: routes(set),
        consumers: of_kind(set, Kind::LlmConsumer).map(|document| (key(set, document), ())).collect(),
        hints: Cell::new(HINTS),
    };
    check_failure_policy(set, errors);
    for document in set.documents {
        let look = Look { set, names: &names, at: &document.at, namespace: set.namespace(document) };
        match &document.spec {
            Some(Spec::Backend(backend)) => look.backend(backend, errors),
            Some(Spec::Route(route)) => look.route(route, errors),
            Some(Spec::Access(policy)) => look.scope(&policy.scope, errors),
            Some(Spec::Limit(policy)) => look.limit(policy, errors),
            Some(Spec::Cache(policy)) => look.cache(policy, errors),
            Some(Spec::Guard(policy)) => look.scope(&policy.scope, errors),
            Some(Spec::Bootstrap(_) | Spec::Profile(_) | Spec::Consumer(_)) | None => {}
        }
    }
}

fn of_kind<'a>(set: &Set<'a>, kind: Kind) -> impl Iterator<Item = &'a Document> {
    set.documents.iter().filter(move |document| document.kind == kind)
}

fn key<'a>(set: &Set<'a>, document: &'a Document) -> Key<'a> {
    (set.namespace(document), &document.meta.name)
}

fn backends<'a>(set: &'a Set<'a>) -> HashMap<Key<'a>, Admits> {
    let admits = |document: &Document| match &document.spec {
        Some(Spec::Backend(backend)) if backend.allowed == AllowedNamespaces::Same => Admits::Nobody,
        // A selector is noted as not supported yet, and of what could not be read nothing is known.
        _ => Admits::All,
    };
    let said = of_kind(set, Kind::LlmBackend).map(|document| (key(set, document), admits(document)));
    let added = set.backends.iter().filter(|entry| entry.at.is_none());
    let unsaid = added.map(|entry| ((None, entry.backend.name.as_str()), Admits::Unsaid));
    unsaid.chain(said).collect()
}

fn routes<'a>(set: &Set<'a>) -> HashMap<Key<'a>, Option<BTreeSet<&'a str>>> {
    let rules = |spec: &'a Option<Spec>| match spec {
        Some(Spec::Route(route)) => Some(route.rules.iter().map(|rule| rule.name.as_str()).collect()),
        _ => None,
    };
    of_kind(set, Kind::LlmRoute).map(|document| (key(set, document), rules(&document.spec))).collect()
}

// === impl Look ===

impl Look<'_> {
    fn backend(&self, backend: &LlmBackend, errors: &mut Vec<ConfigError>) {
        for callers in backend.credentials.iter().filter_map(|row| row.from.as_ref()) {
            self.callers(callers, errors);
        }
    }

    fn route(&self, route: &LlmRoute, errors: &mut Vec<ConfigError>) {
        for rule in &route.rules {
            for callers in rule.matches.iter().filter_map(|one| one.from.as_ref()) {
                self.callers(callers, errors);
            }
            errors.extend(rule.backends.iter().filter_map(|choice| self.to_backend(&choice.backend)));
        }
        errors.extend(route.passthrough.iter().filter_map(|passthrough| self.to_backend(&passthrough.backend)));
    }

    fn limit(&self, policy: &LlmLimitPolicy, errors: &mut Vec<ConfigError>) {
        self.scope(&policy.scope, errors);
        for limit in &policy.limits {
            if let Some(reserve) = &limit.reserve {
                self.callers(&reserve.callers, errors);
            }
            if let WhenExceeded::Downgrade(backend, _) = &limit.when_exceeded {
                errors.extend(self.to_backend(backend));
            }
        }
    }

    fn cache(&self, policy: &LlmCachePolicy, errors: &mut Vec<ConfigError>) {
        self.scope(&policy.scope, errors);
        if let Some(callers) = &policy.bypass {
            self.callers(callers, errors);
        }
        let Some(semantic) = &policy.semantic else { return };
        match &semantic.embedder.value {
            Embedder::Backend { backend, .. } => errors.extend(self.to_backend(backend)),
            Embedder::Local(_) if self.set.bootstrap.role == Role::Sidecar => {
                let message = "weights are for role Gateway: in a sidecar each pod would hold them; say `builtin: \
                               Lexical` or a backend";
                errors.push(self.at.error(&format!("{}.local", semantic.embedder.path), message));
            }
            Embedder::Local(_) if !HAS_LOCAL => {
                let message = "this build of Weir runs no weights: build it with the feature local-embedder, or say \
                               `builtin: Lexical` or a backend";
                errors.push(self.at.error(&format!("{}.local", semantic.embedder.path), message));
            }
            Embedder::Local(_) | Embedder::Lexical => {}
        }
    }

    fn scope(&self, scope: &Scope, errors: &mut Vec<ConfigError>) {
        self.callers(&scope.from, errors);
        for target in &scope.targets {
            let path = format!("{}.name", target.path);
            let TargetRef { kind, name, section } = &target.value;
            match kind {
                TargetKind::Backend => {
                    let name = Located { value: name.clone(), path };
                    errors.extend(self.to_backend(&name));
                }
                TargetKind::Route => match (self.find(&self.names.routes, name), section) {
                    (None, _) => {
                        let hint = self.hint(name, || self.names_of(&self.names.routes));
                        errors.push(self.at.error(&path, format!("there is no LLMRoute {:?}{hint}", short(name))));
                    }
                    (Some((_, Some(rules))), Some(section)) if !rules.contains(section.as_str()) => {
                        let hint = self.hint(section, || rules.iter().copied());
                        let message = format!("LLMRoute {name:?} has no rule {:?}{hint}", short(section));
                        errors.push(self.at.error(&format!("{}.sectionName", target.path), message));
                    }
                    _ => {}
                },
            }
        }
    }

    fn callers(&self, callers: &Callers, errors: &mut Vec<ConfigError>) {
        for Located { value: name, path } in &callers.consumers {
            if self.find(&self.names.consumers, name).is_none() {
                let hint = self.hint(name, || self.names_of(&self.names.consumers));
                errors.push(self.at.error(path, format!("there is no LLMConsumer {:?}{hint}", short(name))));
            }
        }
    }

    /// An error when there is no backend of this name for this document.
    fn to_backend(&self, name: &Located<String>) -> Option<ConfigError> {
        let shown = short(&name.value);
        let message = match self.find(&self.names.backends, &name.value) {
            Some((_, Admits::All)) => return None,
            Some((namespace, _)) if namespace == self.namespace => return None,
            Some((_, admits)) => {
                let (root, own) = (self.set.root_namespace, self.namespace.unwrap_or_default());
                let what = match admits {
                    Admits::Unsaid => "define it there with",
                    _ => "set its",
                };
                format!(
                    "LLMBackend {shown:?} of namespace {root:?} does not admit references from {own:?}: {what} \
                     allowedNamespaces {}{{from: All}}",
                    if *admits == Admits::Unsaid { "" } else { "to " }
                )
            }
            None => {
                let variables = discovery::would_appear(self.set.providers(), &name.value);
                match (variables, self.close(&name.value, || self.names_of(&self.names.backends))) {
                    (Some(variables), _) if self.set.discovers() => {
                        format!("there is no LLMBackend {shown:?}; define it, or set {variables} for discovery")
                    }
                    (_, Some(close)) => format!("there is no LLMBackend {shown:?}; did you mean {close:?}?"),
                    _ => format!("there is no LLMBackend {shown:?}"),
                }
            }
        };
        Some(self.at.error(&name.path, message))
    }

    /// The name that may have been meant, while hints are given.
    fn close<'c, I: Iterator<Item = &'c str>>(&self, name: &str, candidates: impl Fn() -> I) -> Option<&'c str> {
        let left = self.names.hints.get().checked_sub(1)?;
        self.names.hints.set(left);
        did_you_mean(name, candidates())
    }

    fn hint<'c, I: Iterator<Item = &'c str>>(&self, name: &str, candidates: impl Fn() -> I) -> String {
        self.close(name, candidates).map_or_else(String::new, |close| format!("; did you mean {close:?}?"))
    }

    /// What a name means in this document, and in which namespace that is.
    fn find<'n, T>(&'n self, names: &'n HashMap<Key<'n>, T>, name: &'n str) -> Option<(Option<&'n str>, &'n T)> {
        let own = names.get(&(self.namespace, name)).map(|found| (self.namespace, found));
        own.or_else(|| Some((None, names.get(&(None, name))?)))
    }

    /// The names that this document can mean, in order.
    fn names_of<'n, T>(&self, names: &HashMap<Key<'n>, T>) -> impl Iterator<Item = &'n str> + use<'n, T> {
        let can_mean = |(namespace, _): &&Key<'n>| namespace.is_none() || *namespace == self.namespace;
        let names: BTreeSet<&str> = names.keys().filter(can_mean).map(|(_, name)| *name).collect();
        names.into_iter()
    }
}

/// Whoever lets calls pass without Weir cannot have it put keys on them.
fn check_failure_policy(set: &Set<'_>, errors: &mut Vec<ConfigError>) {
    let is_roots = |document: &&Document| {
        let is_profile = matches!(document.spec, Some(Spec::Profile(_)));
        is_profile && document.meta.speaks_for(set.root_namespace).is_none()
    };
    let Some(document) = set.documents.iter().find(is_roots) else { return };
    let Some(policy) = &set.profile.failure_policy else { return };
    let injects =
        |credential: &CredentialSpec| !matches!(credential, CredentialSpec::Caller | CredentialSpec::Anonymous);
    let keyed = set.backends.iter().find(|entry| entry.backend.credentials.iter().any(|row| injects(&row.credential)));
    if let (FailurePolicy::Ignore, Some(entry)) = (policy.value, keyed) {
        let message = format!(
            "Ignore lets calls pass without Weir, and those to {:?} need the key that Weir puts on them; say Fail, or \
             give every backend a credential of type Caller or None",
            entry.id()
        );
        errors.push(document.at.error(&policy.path, message));
    }
}
