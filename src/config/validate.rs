//! Checks the documents against each other and against the catalogue: names used twice, references
//! to nothing, providers that nobody knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::discovery::{self, discovered};
use super::provider::{PROJECT, ProviderFacts, Providers, REGION};
use super::read::{did_you_mean, short};
use super::secret::{SecretSource, Secrets};
use super::spec::{At, Bootstrap, CredentialSpec, Discovery, Document, Kind, LlmAccessPolicy, LlmBackend, LlmConsumer};
use super::spec::{LlmProfile, LlmRoute, Spec};
use super::value::{self, Endpoint};
use super::{ConfigError, Options, clouds, limits, refs};
use crate::target::id;

/// Everything that applies: what the documents say, and what discovery adds to it.
pub(super) struct Set<'a> {
    pub documents: &'a [Document],
    pub root_namespace: &'a str,
    pub bootstrap: Bootstrap,
    pub profile: LlmProfile,
    /// Those of other namespaces.
    pub profiles: Vec<(&'a Document, &'a LlmProfile)>,
    /// Those of documents first; their order is the order of indices everywhere.
    pub backends: Vec<Entry>,
    pub routes: Vec<(&'a Document, &'a LlmRoute)>,
    pub consumers: Vec<(&'a Document, &'a LlmConsumer)>,
    pub access: Vec<(&'a Document, &'a LlmAccessPolicy)>,
    /// Namespaces and names of the routes outside root.
    own_routes: HashSet<(Option<&'a str>, &'a str)>,
    /// `backends` by their ids.
    ids: HashMap<Arc<str>, usize>,
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
            profiles: Vec::new(),
            backends: Vec::new(),
            routes: Vec::new(),
            consumers: Vec::new(),
            access: Vec::new(),
            own_routes: HashSet::new(),
            ids: HashMap::new(),
            discovery: options.discovery_default,
            providers,
        };
        for document in documents {
            match &document.spec {
                Some(Spec::Bootstrap(bootstrap)) => set.bootstrap = (**bootstrap).clone(),
                Some(Spec::Profile(profile)) => match document.meta.speaks_for(set.root_namespace) {
                    None => set.profile = profile.clone(),
                    Some(_) => set.profiles.push((document, profile)),
                },
                Some(Spec::Backend(backend)) => {
                    let at = Some(document.at.clone());
                    let labels = document.meta.labels.clone();
                    let namespace = document.meta.speaks_for(set.root_namespace).map(Into::into);
                    let backend = (**backend).clone();
                    set.backends.push(Entry { at, namespace, backend, labels, discovered: false });
                }
                Some(Spec::Route(route)) => {
                    set.routes.push((document, route));
                    set.own_routes.insert((set.namespace(document), &document.meta.name));
                }
                Some(Spec::Consumer(consumer)) => set.consumers.push((document, consumer)),
                Some(Spec::Access(access)) => set.access.push((document, access)),
                Some(Spec::Limit(_) | Spec::Cache(_) | Spec::Guard(_)) | None => {}
            }
        }
        set.discovery = set.profile.discovery.unwrap_or(options.discovery_default);
        let declared = set.declared();
        if set.discovery == Discovery::Enabled {
            for backend in discovered(&|name| secrets.env(name), providers) {
                set.add(backend, true, &declared);
            }
        }
        if let Some(address) = options.mock {
            set.add(discovery::mock(address), false, &declared);
        }
        for (index, entry) in set.backends.iter().enumerate() {
            set.ids.entry(entry.id()).or_insert(index);
        }
        set
    }

    /// Reports all that is wrong between documents.
    pub fn check(&self, errors: &mut Vec<ConfigError>) {
        self.check_names(errors);
        for entry in &self.backends {
            if let Some(at) = &entry.at {
                check_backend(&entry.backend, at, self.providers, errors);
                check_keys(entry, at, errors);
            }
        }
        super::callers::check(self, errors);
        super::profile::check(self, errors);
        refs::check(self, errors);
        limits::check(self, errors);
    }

    /// The index of the backend that a document of this namespace calls by this name: one of its own
    /// namespace, else one of root. References were checked before.
    pub fn index(&self, namespace: Option<&str>, name: &str) -> Option<usize> {
        let own = namespace.and_then(|_| self.ids.get(&id(namespace, name)));
        own.or_else(|| self.ids.get(name)).copied()
    }

    /// The id of the backend that a document of this namespace calls by this name.
    pub fn backend_id(&self, namespace: Option<&str>, name: &str) -> Arc<str> {
        self.index(namespace, name).and_then(|index| self.backends.get(index)).map_or_else(|| name.into(), Entry::id)
    }

    /// The id of the route that a document of this namespace calls by this name.
    pub fn route_id(&self, namespace: Option<&str>, name: &str) -> Arc<str> {
        let own = namespace.is_some() && self.own_routes.contains(&(namespace, name));
        id(namespace.filter(|_| own), name)
    }

    /// The namespace of a document, none for root.
    pub fn namespace(&self, document: &'a Document) -> Option<&'a str> {
        document.meta.speaks_for(self.root_namespace)
    }

    /// True where the variables that name providers' keys make backends.
    pub fn discovers(&self) -> bool {
        self.discovery == Discovery::Enabled
    }

    pub fn providers(&self) -> &'a dyn Providers {
        self.providers
    }

    /// Adds a backend to root unless a document there defines one of its name, rightly or wrongly, or the catalogue
    /// does not say where it is.
    fn add(&mut self, backend: LlmBackend, discovered: bool, declared: &HashSet<&str>) {
        let is_known = facts(&backend, self.providers).is_some_and(|facts| endpoint(&backend, &facts).is_some());
        if is_known && !declared.contains(backend.name.as_str()) {
            self.backends.push(Entry { at: None, namespace: None, backend, labels: BTreeMap::new(), discovered });
        }
    }

    /// The names of all backends that documents of root define, those with errors included.
    fn declared(&self) -> HashSet<&'a str> {
        let of_root = |document: &&Document| document.meta.speaks_for(self.root_namespace).is_none();
        let backends = self.documents.iter().filter(|document| document.kind == Kind::LlmBackend);
        backends.filter(of_root).map(|document| document.meta.name.as_str()).collect()
    }

    fn check_names(&self, errors: &mut Vec<ConfigError>) {
        let mut seen: HashMap<(Kind, &str, &str), &At> = HashMap::new();
        let mut single: HashMap<(Kind, &str), &At> = HashMap::new();
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
                let place = (*kind, meta.namespace.as_str());
                match single.get(&place) {
                    Some(first) => errors.push(at.error("kind", format!("a second {word}: the first is {first}"))),
                    None => drop(single.insert(place, at)),
                }
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    /// The name that it has everywhere but in its document.
    pub fn id(&self) -> Arc<str> {
        id(self.namespace.as_deref(), &self.backend.name)
    }
}

/// What the catalogue says of a backend, or what its dialect does.
pub(super) fn facts(backend: &LlmBackend, providers: &dyn Providers) -> Option<ProviderFacts> {
    let facts = match &backend.provider {
        Some(provider) => providers.provider(&provider.value)?,
        None => ProviderFacts::of_dialect(backend.dialect?),
    };
    match backend.dialect {
        Some(dialect) if dialect != facts.dialect => Some(facts.speaking(dialect)),
        _ => Some(facts),
    }
}

/// Where a backend is: where the document says, else where the catalogue does: a region, or a project
/// and location of Google Cloud, stand in its URL.
pub(super) fn endpoint(backend: &LlmBackend, facts: &ProviderFacts) -> Option<Endpoint> {
    let region = || {
        let stated = backend.region.as_ref().map(|region| region.value.clone());
        stated.or_else(|| clouds::place(backend).map(|place| place.location.clone()))
    };
    let of = |word: &str| match word {
        REGION => region(),
        PROJECT => clouds::place(backend).map(|place| place.project.clone()),
        _ => None,
    };
    backend.endpoint.clone().or_else(|| value::endpoint(&facts.url(&of)?).ok())
}

/// Whoever writes a document of a namespace must not name the key of somebody else.
fn check_keys(entry: &Entry, at: &At, errors: &mut Vec<ConfigError>) {
    let Some(namespace) = &entry.namespace else { return };
    for row in &entry.backend.credentials {
        let keys = match &row.credential {
            CredentialSpec::ApiKey(key) => vec![key],
            CredentialSpec::Cloud(cloud) if cloud.is_of_the_process() => {
                let message = "what the process itself is speaks for all, and so is for the root namespace; say the \
                               key of an identity of your own by secretRef";
                errors.push(at.error(&cloud.path, message));
                continue;
            }
            CredentialSpec::Cloud(cloud) => cloud.keys(),
            CredentialSpec::Caller | CredentialSpec::Anonymous => continue,
        };
        for key in keys.into_iter().filter(|key| key.sources.iter().any(SecretSource::is_of_the_process)) {
            let message = format!(
                "`file` and `env` are for the root namespace, for they reach the keys of all; say secretRef, which is \
                 looked for in {namespace}/ below --secrets-dir, or value"
            );
            errors.push(at.error(&key.path, message));
        }
    }
}

/// The provider that may have been meant: by its letters, or because one of the names begins with the other.
fn close_to<'a>(said: &str, ids: &'a [Arc<str>]) -> Option<&'a str> {
    const ENOUGH: usize = 4;
    let begins = |id: &&str| {
        let (short, long) = if id.len() < said.len() { (*id, said) } else { (said, *id) };
        short.len() >= ENOUGH && long.starts_with(short)
    };
    let ids = || ids.iter().map(|id| &**id);
    did_you_mean(said, ids()).or_else(|| ids().find(begins))
}

fn check_backend(backend: &LlmBackend, at: &At, providers: &dyn Providers, errors: &mut Vec<ConfigError>) {
    let facts = facts(backend, providers);
    if let (Some(provider), None) = (&backend.provider, &facts) {
        let ids = providers.ids();
        let hint = match close_to(&provider.value, &ids) {
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
    check_place(backend, &facts, at, errors);
}

/// It is known where the backend is, and a region is one of the provider's.
fn check_place(backend: &LlmBackend, facts: &ProviderFacts, at: &At, errors: &mut Vec<ConfigError>) {
    let known = facts.known_regions().collect::<Vec<_>>().join(", ");
    let region = backend.region.as_ref().filter(|_| backend.endpoint.is_none());
    if let Some(region) = region.filter(|region| !facts.has_region(&region.value)) {
        let message = match known.as_str() {
            "" => "this provider has one URL for all regions: leave it out".to_owned(),
            known => format!("this provider has no region {:?}; there are: {known}", short(&region.value)),
        };
        return errors.push(at.error(&region.path, message));
    }
    let (Some(provider), None) = (&backend.provider, endpoint(backend, facts)) else { return };
    let message = match (&facts.base_url, backend.dialect) {
        (None, Some(dialect)) => {
            format!(
                "the catalogue does not know where provider {:?} speaks {dialect}: give an `endpoint`",
                provider.value
            )
        }
        (None, None) => format!("the catalogue has no URL for provider {:?}: give an `endpoint`", provider.value),
        (Some(url), _) if facts.places.iter().any(|place| &*place.name == PROJECT) => {
            let id = &provider.value;
            format!(
                "provider {id:?} is at {url}: give a credential of type GCP with `project` and `location`, or an `endpoint`"
            )
        }
        (Some(url), _) if facts.places.iter().any(|place| &*place.name != REGION) => {
            format!("provider {:?} is at {url}: give that as `endpoint`, with your own words in it", provider.value)
        }
        (Some(url), _) => {
            format!("provider {:?} is at {url}: say its `region` ({known}), or an `endpoint`", provider.value)
        }
    };
    errors.push(at.error("spec", message));
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "document {} of {}", self.document, self.file)
    }
}
