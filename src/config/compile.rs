//! Checked documents to the runtime's own types. Cannot fail: a key that cannot be had becomes a
//! credential that says so, and a warning.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::clouds::Making;
use super::provider::{ProviderFacts, Providers};
use super::reach::Reach;
use super::secret::{self, SecretError, Secrets};
use super::spec::{AzureEndpoint, CredentialRow, CredentialSpec, HeaderEdits, Kind, LlmBackend, Tls};
use super::store::Lack;
use super::validate::{Entry, Set, endpoint, facts};
use super::value::Endpoint;
use super::{Compiled, ConfigError, KeysAre, Options, Store};
use super::{caches, callers, doubts, limits, models, profile, routes};
use crate::access::Labels;
use crate::catalog::price::{Price, Unit};
use crate::catalog::{Catalog, Overlay};
use crate::credential::{Credential, Signature};
use crate::identity::{Role, Workload};
use crate::llm::Quirk;
use crate::policy::Policy;
use crate::policy::credentials::{Credentials, Row};
use crate::target::{Azure, Backend, Serves, Targets, Upstream, chains, fingerprint};
use crate::wire::Speaks;

/// Compiles a set without errors.
pub(super) fn compile(
    set: &Set<'_>,
    options: &Options,
    providers: &dyn Providers,
    secrets: &dyn Secrets,
    catalog: Catalog,
) -> Compiled {
    let reach = Reach::new(set);
    let mut warnings = Vec::new();
    let (mut backends, mut upstreams) = (Vec::new(), Vec::new());
    let mut credentials = Credentials::default();
    for entry in &set.backends {
        // Checked: both are there.
        let Some(facts) = facts(&entry.backend, providers) else { continue };
        let Some(endpoint) = endpoint(&entry.backend, &facts) else { continue };
        let place = Place { entry, facts: &facts, endpoint: &endpoint, options, secrets };
        let rows = credential_rows(&place, &reach, &mut warnings);
        if rows.iter().any(|row| leaves_with_a_key(&row.credential)) && is_in_the_clear(&endpoint) {
            let message = "the endpoint is http: keys leave in plain text unless the mesh encrypts the connection";
            entry.warn("spec.endpoint", message.to_owned(), &mut warnings);
        }
        upstreams.push(upstream(entry, &endpoint, secrets, &mut warnings));
        let lacks_key = rows.iter().all(|row| matches!(row.credential, Credential::Missing(_)));
        let serves = serves(entry, &facts, lacks_key, providers);
        backends.push((backend(entry, &facts, &endpoint), serves));
        credentials.push(rows);
    }
    let models = models::listed(backends.iter().map(|(_, serves)| serves), providers);
    let mut targets = Targets::new(backends, models);
    let callers = routes::compile(set, &reach, &mut targets);

    warn_of_overload(set, &mut warnings);
    let store = store(set, options, secrets, &mut warnings);
    warn(set, options, &mut warnings);
    let mut policy = Policy::new(targets, Vec::new(), catalog);
    (policy.credentials, policy.callers) = (credentials, callers);
    (policy.role, policy.count_exactly) = (set.bootstrap.role, set.bootstrap.role == Role::Gateway);
    policy.identity = callers::identity(set, &workload(set, options), &reach);
    policy.access = callers::access(set, &reach);
    policy.limits = limits::compile(set, &reach);
    policy.caches = caches::compile(set, &reach);
    policy.documents = reach.documents(set.documents);
    policy.labels = set.backends.iter().map(Entry::labels).collect();
    policy.profile = profile::root(set);
    policy.profiles = profile::of_namespaces(set, &policy.profile);
    policy.max_wait = set.bootstrap.overload.max_wait;
    policy.upstreams = upstreams;
    policy.chains = chains(policy.targets.rules(), &policy.targets.backends);
    policy.orders = fingerprint(&policy.chains).into();
    policy.overlays = set.backends.iter().map(|entry| overlay(entry).map(Arc::new)).collect();
    Compiled {
        policy,
        bootstrap: set.bootstrap.clone(),
        store,
        discovered: names(set.backends.iter().filter(|entry| entry.discovered)),
        warnings,
    }
}

/// What is valid and may not be meant.
fn warn(set: &Set<'_>, options: &Options, warnings: &mut Vec<ConfigError>) {
    doubts::warn(set, warnings);
    caches::warn(set, warnings);
    if !options.keeps_spend {
        limits::warn_of_forgotten(set, warnings);
    }
}

/// By which bare names a backend is reached.
fn serves(entry: &Entry, facts: &ProviderFacts, lacks_key: bool, providers: &dyn Providers) -> Serves {
    let listed = entry.backend.provider.as_ref().filter(|_| !facts.serves_every_model);
    match listed.map(|provider| provider.value.as_str()) {
        Some(id) if providers.models_of(id).is_empty() => Serves { list: None, by_name_alone: true },
        list => Serves { list: list.map(Into::into), by_name_alone: lacks_key },
    }
}

/// Bounds under which a legal request cannot be served. The defaults are none of these, so what is
/// warned of stands in the document of the process.
fn warn_of_overload(set: &Set<'_>, warnings: &mut Vec<ConfigError>) {
    let Some(document) = set.documents.iter().find(|document| document.kind == Kind::WeirBootstrap) else { return };
    let (overload, max_request) = (&set.bootstrap.overload, profile::root(set).bodies.max_request);
    if overload.max_buffered < max_request {
        let message = format!(
            "is {} bytes and bodies.maxRequest is {max_request}: the largest legal request can never be held and is \
             always answered with 503; raise this, or lower spec.bodies.maxRequest of the LLMProfile",
            overload.max_buffered
        );
        warnings.push(document.at.error("spec.overload.maxBuffered", message));
    }
    if overload.max_wait.is_zero() {
        let message = "is no time at all: whatever has to ask a store, a cache or another exchange fails at once; \
                       state how long a request may wait, such as 240s";
        warnings.push(document.at.error("spec.overload.maxWait", message));
    }
}

fn store(set: &Set<'_>, options: &Options, secrets: &dyn Secrets, warnings: &mut Vec<ConfigError>) -> Option<Store> {
    let (store, lacks) = Store::load(set.bootstrap.redis.as_ref()?, options, secrets);
    let document = set.documents.iter().find(|document| document.kind == Kind::WeirBootstrap);
    if let Some(document) = document {
        warnings.extend(lacks.into_iter().map(|Lack { field, why }| {
            let path = format!("spec.stores.redis.{field}");
            document.at.error(&path, why)
        }));
    }
    Some(store)
}

/// Http to another machine than this one.
fn is_in_the_clear(endpoint: &Endpoint) -> bool {
    let is_here = match endpoint.host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => endpoint.host == "localhost",
    };
    !endpoint.https && !is_here
}

fn backend(entry: &Entry, facts: &ProviderFacts, endpoint: &Endpoint) -> Backend {
    let spec = &entry.backend;
    Backend {
        name: entry.id(),
        namespace: entry.namespace.clone(),
        provider: spec.provider.as_ref().map_or("", |provider| &provider.value).into(),
        dialect: facts.dialect,
        authority: endpoint.authority().into(),
        prefix: endpoint.prefix.clone(),
        asks_stream_usage: facts.asks_stream_usage,
        speaks: Speaks {
            responses: facts.has_responses,
            deployments: spec.azure.as_ref().is_some_and(|azure| azure.version.is_some()),
            reasons_in_responses: facts.has_responses && facts.quirks.contains(&Quirk::ReasonsInResponses),
        },
        azure: spec.azure.as_ref().map(|azure| Arc::new(azure_of(azure))),
        quirks: facts.quirks.clone(),
        headers: headers(spec, facts),
        removed_headers: spec.headers.remove.iter().map(|name| name.value.as_str().into()).collect(),
    }
}

fn azure_of(azure: &AzureEndpoint) -> Azure {
    let deployments = azure.deployments.iter();
    Azure {
        version: azure.version.as_deref().unwrap_or_default().into(),
        deployments: deployments.map(|(model, name)| (model.as_str().into(), name.as_str().into())).collect(),
    }
}

/// What every request leaves with. The configuration wins over the catalogue.
fn headers(spec: &LlmBackend, facts: &ProviderFacts) -> Vec<(Arc<str>, Arc<str>)> {
    let HeaderEdits { set, remove } = &spec.headers;
    let is_named = |name: &str| set.iter().map(|(name, _)| name).chain(remove).any(|named| named.value == name);
    let kept = facts.headers.iter().filter(|(name, _)| !is_named(name)).cloned();
    kept.chain(set.iter().map(|(name, value)| (name.value.as_str().into(), value.as_str().into()))).collect()
}

fn upstream(entry: &Entry, endpoint: &Endpoint, secrets: &dyn Secrets, warnings: &mut Vec<ConfigError>) -> Upstream {
    let none = Tls::default();
    let tls = entry.backend.tls.as_ref().map_or(&none, |tls| &tls.value);
    if let (Some(tls), false) = (&entry.backend.tls, endpoint.https) {
        entry.warn(&tls.path, "the endpoint is http: this is not used".to_owned(), warnings);
    }
    if let Some(ca) = &tls.ca
        && let Err(error @ (SecretError::NotFound | SecretError::Unreadable)) = secrets.file(&ca.value)
    {
        entry.warn(&ca.path, format!("file {} {error}", ca.value.display()), warnings);
    }
    Upstream {
        name: entry.id(),
        https: endpoint.https,
        host: endpoint.host.clone(),
        port: endpoint.port,
        ca: tls.ca.as_ref().map(|ca| ca.value.to_string_lossy().into()),
        server_name: tls.server_name.as_deref().map(Into::into),
    }
}

/// For which backend credentials are compiled, and from what.
struct Place<'a> {
    entry: &'a Entry,
    facts: &'a ProviderFacts,
    endpoint: &'a Endpoint,
    options: &'a Options,
    secrets: &'a dyn Secrets,
}

/// The credentials, with their keys read.
fn credential_rows(place: &Place<'_>, reach: &Reach<'_>, warnings: &mut Vec<ConfigError>) -> Vec<Row> {
    let entry = place.entry;
    if entry.backend.credentials.is_empty() {
        if place.facts.needs_key {
            let message = "this provider needs a key and no credential is given: its calls leave without one";
            entry.warn("spec", message.to_owned(), warnings);
        }
        return vec![Row { callers: None, credential: Credential::Anonymous }];
    }
    let row = |row: &CredentialRow| Row {
        callers: row.from.as_ref().map(|callers| reach.callers(entry.namespace.as_deref(), callers)),
        credential: credential(&row.credential, place, warnings),
    };
    entry.backend.credentials.iter().map(row).collect()
}

fn credential(spec: &CredentialSpec, place: &Place<'_>, warnings: &mut Vec<ConfigError>) -> Credential {
    let Place { entry, facts, endpoint, options, secrets } = *place;
    let dir = options.secrets_dir.as_deref().map(|dir| match &entry.namespace {
        Some(namespace) => Cow::Owned(dir.join(&**namespace)),
        None => Cow::Borrowed(dir),
    });
    let key = match spec {
        CredentialSpec::ApiKey(key) => key,
        CredentialSpec::Caller => return Credential::Caller,
        CredentialSpec::Anonymous => return Credential::Anonymous,
        CredentialSpec::Cloud(key) => {
            let (backend, namespace) = (&entry.backend, entry.namespace.as_deref());
            let making = Making { backend, endpoint, namespace, options, secrets, dir: dir.as_deref() };
            let (credential, lacks) = making.credential(key);
            lacks.into_iter().for_each(|lack| entry.warn(&lack.path, lack.message, warnings));
            return credential;
        }
    };
    let loaded = secret::load(&key.sources, secrets, dir.as_deref());
    let loaded = match options.keys {
        KeysAre::Read => loaded,
        KeysAre::Described => Ok((secret::described(&key.sources, loaded.err()), secret::name(&key.sources))),
    };
    match loaded {
        Ok((secret, name)) => {
            let (header, prefix) = (facts.auth_header.clone(), facts.auth_prefix);
            Credential::Key(Signature { name, header, prefix, secret })
        }
        Err(missing) => {
            entry.warn(&key.path, missing.to_string(), warnings);
            Credential::Missing(missing.to_string().into())
        }
    }
}

fn leaves_with_a_key(credential: &Credential) -> bool {
    matches!(credential, Credential::Key(_) | Credential::Aws(_) | Credential::Fetched(_) | Credential::Caller)
}

/// The prices of a backend that its document states.
fn overlay(entry: &Entry) -> Option<Overlay> {
    let (id, pricing) = (entry.id(), entry.backend.pricing.as_ref()?);
    let models = pricing.models.iter().map(|row| {
        let rates = [
            (Unit::Input, Some(row.input)),
            (Unit::CacheRead, row.cache_read),
            (Unit::CacheWrite, row.cache_write),
            (Unit::Output, row.output),
            (Unit::Reasoning, row.reasoning),
        ];
        let stated = rates.into_iter().filter_map(|(unit, rate)| Some((unit, rate?)));
        (row.model.as_str().into(), Price::flat(&format!("{id}/{}", row.model), stated))
    });
    Some(Overlay { multiplier: pricing.multiplier.unwrap_or_default(), models: models.collect() })
}

fn workload(set: &Set<'_>, options: &Options) -> Workload {
    let names = options.workload.or(&set.bootstrap.workload);
    let or = |name: Option<String>, default: &str| name.map_or_else(|| default.into(), Into::into);
    Workload {
        namespace: or(names.namespace, "default"),
        service_account: or(names.service_account, "default"),
        name: or(names.name, "app"),
    }
}

fn names<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Arc<str>> {
    entries.map(Entry::id).collect()
}

// === impl Entry ===

impl Entry {
    fn labels(&self) -> Labels {
        self.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
    }

    /// What no document says, no document can be warned of.
    fn warn(&self, path: &str, message: String, warnings: &mut Vec<ConfigError>) {
        if let Some(at) = &self.at {
            warnings.push(at.error(path, message));
        }
    }
}
