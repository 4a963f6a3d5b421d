//! Checks the documents against each other and against the catalogue: names used twice, references
//! to nothing, providers that nobody knows.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::discovery::{self, discovered};
use super::provider::{ProviderFacts, Providers};
use super::read::{did_you_mean, short};
use super::secret::Secrets;
use super::spec::{At, Bootstrap, Discovery, Document, Kind, LlmAccessPolicy, LlmBackend, LlmConsumer};
use super::spec::{LlmProfile, LlmRoute, Located, Spec};
use super::value::{self, Endpoint};
use super::{ConfigError, Options, refs};

/// Everything that applies: what the documents say, and what discovery adds to it.
pub(super) struct Set<'a> {
    pub documents: &'a [Document],
    pub root_namespace: &'a str,
    pub bootstrap: Bootstrap,
    pub profile: LlmProfile,
    /// Those of documents first; their order is the order of indices everywhere.
    pub backends: Vec<Entry>,
    pub routes: Vec<(&'a Document, &'a LlmRoute)>,
    pub consumers: Vec<(&'a Document, &'a LlmConsumer)>,
    pub access: Vec<(&'a Document, &'a LlmAccessPolicy)>,
    discovery: Discovery,
    providers: &'a dyn Providers,
}

/// One backend and the document that defines it, if one does.
pub(super) struct Entry {
    pub at: Option<At>,
    /// None for the root namespace.
    pub namespace: Option<Arc<str>>,
    pub backend: LlmBackend,
    /// Of its document.
    pub labels: BTreeMap<String, String>,
    /// Found by its key in the environment.
    pub discovered: bool,
}

// === impl Set ===

impl<'a> Set<'a> {
    pub fn gather(
        documents: &'a [Document],
        options: &'a Options,
        providers: &'a dyn Providers,
        secrets: &dyn Secrets,
    ) -> Self {
        let mut set = Set {
            documents,
            root_namespace: &options.root_namespace,
            bootstrap: Bootstrap::default(),
            profile: LlmProfile::default(),
            backends: Vec::new(),
            routes: Vec::new(),
            consumers: Vec::new(),
            access: Vec::new(),
            discovery: options.discovery_default,
            providers,
        };
        for document in documents {
            match &document.spec {
                Some(Spec::Bootstrap(bootstrap)) => set.bootstrap = (**bootstrap).clone(),
                Some(Spec::Profile(profile)) => set.profile = profile.clone(),
                Some(Spec::Backend(backend)) => {
                    let at = Some(document.at.clone());
                    let labels = document.meta.labels.clone();
                    let namespace = document.meta.speaks_for(set.root_namespace).map(Into::into);
                    let backend = (**backend).clone();
                    set.backends.push(Entry { at, namespace, backend, labels, discovered: false });
                }
                Some(Spec::Route(route)) => set.routes.push((document, route)),
                Some(Spec::Consumer(consumer)) => set.consumers.push((document, consumer)),
                Some(Spec::Access(access)) => set.access.push((document, access)),
                Some(Spec::Limit(_) | Spec::Cache(_) | Spec::Guard(_)) | None => {}
            }
        }
        set.discovery = set.profile.discovery.unwrap_or(options.discovery_default);
        if set.discovery == Discovery::Enabled {
            for backend in discovered(&|name| secrets.env(name), providers) {
                set.add(backend, true);
            }
        }
        if let Some(address) = options.mock {
            set.add(discovery::mock(address), false);
        }
        set
    }

    /// Reports all that is wrong between documents.
    pub fn check(&self, errors: &mut Vec<ConfigError>) {
        let added = self.backends.iter().map(|entry| entry.backend.name.as_str());
        let names: BTreeSet<&str> = self.declared().chain(added).collect();
        self.check_names(errors);
        for entry in &self.backends {
            if let Some(at) = &entry.at {
                check_backend(&entry.backend, at, self.providers, errors);
            }
        }
        for (document, route) in &self.routes {
            let of_rules = route.rules.iter().flat_map(|rule| &rule.backends).map(|backend| &backend.backend);
            let of_paths = route.passthrough.iter().map(|passthrough| &passthrough.backend);
            errors.extend(of_rules.chain(of_paths).filter_map(|name| self.dangling(&names, &document.at, name)));
        }
        super::callers::check(self, errors);
        refs::check(self, &names, errors);
    }

    /// The index of the backend with this name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.backends.iter().position(|entry| entry.backend.name == name)
    }

    /// Adds a backend unless a document defines one of its name, rightly or wrongly, or the catalogue
    /// does not say where it is.
    fn add(&mut self, backend: LlmBackend, discovered: bool) {
        let is_known = facts(&backend, self.providers).is_some_and(|facts| endpoint(&backend, &facts).is_some());
        if is_known && !self.declared().any(|name| name == backend.name) {
            self.backends.push(Entry { at: None, namespace: None, backend, labels: BTreeMap::new(), discovered });
        }
    }

    /// The names of all backends of documents, those with errors included.
    fn declared(&self) -> impl Iterator<Item = &'a str> {
        let backends = self.documents.iter().filter(|document| document.kind == Kind::LlmBackend);
        backends.map(|document| document.meta.name.as_str())
    }

    fn check_names(&self, errors: &mut Vec<ConfigError>) {
        let mut seen: HashMap<(Kind, &str, &str), &At> = HashMap::new();
        let mut single: HashMap<Kind, &At> = HashMap::new();
        for document in self.documents {
            let Document { at, kind, meta, .. } = document;
            let word = kind.as_str();
            if let Some(first) = seen.get(&(*kind, meta.namespace.as_str(), meta.name.as_str())) {
                let message = format!("duplicate {word} {:?}: the other is {first}", meta.name);
                errors.push(at.error("metadata.name", message));
                continue;
            }
            seen.insert((*kind, &meta.namespace, &meta.name), at);
            if matches!(kind, Kind::WeirBootstrap | Kind::LlmProfile) {
                match single.get(kind) {
                    Some(first) => errors.push(at.error("kind", format!("a second {word}: the first is {first}"))),
                    None => drop(single.insert(*kind, at)),
                }
            }
        }
    }

    /// An error when there is no backend of this name.
    pub(super) fn dangling(&self, names: &BTreeSet<&str>, at: &At, name: &Located<String>) -> Option<ConfigError> {
        if names.contains(name.value.as_str()) {
            return None;
        }
        let shown = short(&name.value);
        let variables = discovery::would_appear(self.providers, &name.value);
        let hint = match (variables, did_you_mean(&name.value, names.iter().copied())) {
            (Some(variables), _) if self.discovery == Discovery::Enabled => {
                format!("; define it, or set {variables} for discovery")
            }
            (_, Some(close)) => format!("; did you mean {close:?}?"),
            _ => String::new(),
        };
        Some(at.error(&name.path, format!("there is no LLMBackend {shown:?}{hint}")))
    }
}

/// What the catalogue says of a backend, or what its dialect does.
pub(super) fn facts(backend: &LlmBackend, providers: &dyn Providers) -> Option<ProviderFacts> {
    let mut facts = match &backend.provider {
        Some(provider) => providers.provider(&provider.value)?,
        None => ProviderFacts::of_dialect(backend.dialect?),
    };
    facts.dialect = backend.dialect.unwrap_or(facts.dialect);
    Some(facts)
}

/// Where a backend is: where the document says, else where the catalogue does.
pub(super) fn endpoint(backend: &LlmBackend, facts: &ProviderFacts) -> Option<Endpoint> {
    backend.endpoint.clone().or_else(|| value::endpoint(facts.base_url.as_deref()?).ok())
}

fn check_backend(backend: &LlmBackend, at: &At, providers: &dyn Providers, errors: &mut Vec<ConfigError>) {
    let facts = facts(backend, providers);
    if let (Some(provider), None) = (&backend.provider, &facts) {
        let ids = providers.ids();
        let hint = match did_you_mean(&provider.value, ids.iter().map(|id| &**id)) {
            Some(close) => format!("did you mean {close:?}?"),
            None => "leave it out and give `endpoint` and `dialect`".to_owned(),
        };
        errors.push(at.error(&provider.path, format!("unknown provider {:?}; {hint}", short(&provider.value))));
    }
    let Some(facts) = facts else { return };
    let named = backend.headers.set.iter().map(|(name, _)| name).chain(&backend.headers.remove);
    for name in named.filter(|name| *name.value == *facts.auth_header) {
        let message = "this header cannot be set or removed: it carries the backend's key; use `credentials`";
        errors.push(at.error(&name.path, message));
    }
    let endpoint = endpoint(backend, &facts);
    if let (Some(provider), None) = (&backend.provider, &endpoint) {
        let message = format!("the catalogue has no URL for provider {:?}: give an `endpoint`", provider.value);
        errors.push(at.error("spec", message));
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "document {} of {}", self.document, self.file)
    }
}
