//! Checked documents to the runtime's own types. Cannot fail: a key that cannot be had becomes a
//! credential that says so, and a warning.

use std::net::IpAddr;
use std::sync::Arc;

use super::models::{self, Serves};
use super::provider::{ProviderFacts, Providers};
use super::secret::{self, SecretError, Secrets};
use super::spec::{At, CredentialSpec, HeaderEdits, Kind, LlmBackend, LlmRoute, RouteRule, Tls};
use super::validate::{Entry, Set, endpoint, facts};
use super::value::Endpoint;
use super::{Compiled, ConfigError, Options};
use super::{callers, discovery};
use crate::access::Labels;
use crate::catalog::price::{Price, Unit};
use crate::catalog::{Catalog, Overlay};
use crate::credential::{Credential, Signature};
use crate::identity::{Role, Workload};
use crate::llm::Dialect;
use crate::policy::Policy;
use crate::target::{Backend, Choice, Glob, Passthrough, Rule, RuleName, Targets, Upstream, id};

/// Compiles a set without errors.
pub(super) fn compile(
    set: &Set<'_>,
    options: &Options,
    providers: &dyn Providers,
    secrets: &dyn Secrets,
    catalog: Catalog,
) -> Compiled {
    let mut warnings = Vec::new();
    let mut targets = Targets::default();
    let mut credentials = Vec::new();
    let mut upstreams = Vec::new();
    let mut serves = Vec::new();
    for entry in &set.backends {
        // Checked: both are there.
        let Some(facts) = facts(&entry.backend, providers) else { continue };
        let Some(endpoint) = endpoint(&entry.backend, &facts) else { continue };
        let credential = credential(entry, &facts, options, secrets, &mut warnings);
        if matches!(credential, Credential::Key(_) | Credential::Caller) && is_in_the_clear(&endpoint) {
            let message = "the endpoint is http: keys leave in plain text unless the mesh encrypts the connection";
            entry.warn("spec.endpoint", message.to_owned(), &mut warnings);
        }
        upstreams.push(upstream(entry, &endpoint, secrets, &mut warnings));
        targets.backends.push(Arc::new(backend(entry, &facts, &endpoint)));
        let listed = entry.backend.provider.as_ref().filter(|_| !facts.serves_every_model);
        serves.push(Serves {
            provider: listed.map(|provider| provider.value.as_str().into()),
            usable: !matches!(credential, Credential::Missing(_)),
        });
        credentials.push(credential);
    }
    let mut rules = Vec::new();
    for (document, route) in &set.routes {
        warn_of_dialects(&document.at, route, set, &targets.backends, &mut warnings);
        let namespace = document.meta.speaks_for(set.root_namespace);
        rules.extend(route.rules.iter().map(|rule| compile_rule(namespace, route, rule, set)));
        targets.passthrough.extend(compile_passthrough(namespace, route, set));
    }
    targets.rules = rules.into();
    targets.passthrough.extend(implied_passthrough(set, &targets.backends));
    let sorted = models::sort(&serves, providers);
    (targets.bare, targets.ambiguous) = (sorted.bare, sorted.ambiguous);

    warn_of_overload(set, &mut warnings);
    let mut policy = Policy::new(targets, credentials, catalog);
    (policy.role, policy.count_exactly) = (set.bootstrap.role, set.bootstrap.role == Role::Gateway);
    policy.identity = callers::identity(set, &workload(set, options));
    policy.access = callers::access(set);
    policy.labels = set.backends.iter().map(Entry::labels).collect();
    policy.bodies = set.profile.bodies;
    policy.unpriced = set.profile.unpriced;
    policy.response_headers = set.profile.response_headers;
    policy.max_wait = set.bootstrap.overload.max_wait;
    policy.upstreams = upstreams;
    policy.overlays = set.backends.iter().map(|entry| overlay(&entry.backend).map(Arc::new)).collect();
    Compiled {
        policy,
        bootstrap: set.bootstrap.clone(),
        discovered: names(set.backends.iter().filter(|entry| entry.discovered)),
        warnings,
    }
}

/// Bounds under which a legal request cannot be served. The defaults are none of these, so what is
/// warned of stands in the document of the process.
fn warn_of_overload(set: &Set<'_>, warnings: &mut Vec<ConfigError>) {
    let Some(document) = set.documents.iter().find(|document| document.kind == Kind::WeirBootstrap) else { return };
    let (overload, max_request) = (&set.bootstrap.overload, set.profile.bodies.max_request);
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
        quirks: facts.quirks.clone(),
        headers: headers(spec, facts),
        removed_headers: spec.headers.remove.iter().map(|name| name.value.as_str().into()).collect(),
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

/// The credential, with the key fetched.
fn credential(
    entry: &Entry,
    facts: &ProviderFacts,
    options: &Options,
    secrets: &dyn Secrets,
    warnings: &mut Vec<ConfigError>,
) -> Credential {
    let key = match &entry.backend.credential {
        Some(CredentialSpec::ApiKey(key)) => key,
        Some(CredentialSpec::Caller) => return Credential::Caller,
        Some(CredentialSpec::Anonymous) => return Credential::Anonymous,
        // A note stands for it: nothing runs with it.
        Some(CredentialSpec::Cloud(_)) => return Credential::Missing("it is fetched, which is not built yet".into()),
        None => {
            if facts.needs_key {
                let message = "this provider needs a key and no credential is given: its calls leave without one";
                entry.warn("spec", message.to_owned(), warnings);
            }
            return Credential::Anonymous;
        }
    };
    match secret::load(&key.sources, secrets, options.secrets_dir.as_deref()) {
        Ok(secret) => {
            Credential::Key(Signature { header: facts.auth_header.clone(), prefix: facts.auth_prefix, secret })
        }
        Err(missing) => {
            entry.warn(&key.path, missing.to_string(), warnings);
            Credential::Missing(missing.to_string().into())
        }
    }
}

/// A call goes only to backends of its own dialect while another one is left.
fn warn_of_dialects(
    at: &At,
    route: &LlmRoute,
    set: &Set<'_>,
    backends: &[Arc<Backend>],
    warnings: &mut Vec<ConfigError>,
) {
    for rule in &route.rules {
        let used = rule.backends.iter().filter(|choice| choice.weight > 0);
        let mut known = used.filter_map(|choice| Some((choice, backends.get(set.index(&choice.backend.value)?)?)));
        let Some((_, first)) = known.next() else { continue };
        for (choice, backend) in known.filter(|(_, backend)| backend.dialect != first.dialect) {
            let message = format!(
                "{:?} speaks {} and {:?} speaks {}: translation is not built yet, so a call goes to backends of its \
                 own dialect only",
                backend.name, backend.dialect, first.name, first.dialect
            );
            warnings.push(at.error(&choice.backend.path, message));
        }
    }
}

fn compile_passthrough(namespace: Option<&str>, route: &LlmRoute, set: &Set<'_>) -> Option<Passthrough> {
    let passthrough = route.passthrough.as_ref()?;
    Some(Passthrough {
        route: RuleName::passthrough(namespace, &route.name),
        backend: set.index(&passthrough.backend.value)?,
        paths: passthrough.paths.iter().map(|path| Glob::new(path)).collect(),
    })
}

fn compile_rule(namespace: Option<&str>, route: &LlmRoute, rule: &RouteRule, set: &Set<'_>) -> Rule {
    let choices = rule.backends.iter().filter_map(|choice| {
        Some(Choice {
            backend: set.index(&choice.backend.value)?,
            model: choice.model.as_deref().map(Into::into),
            priority: choice.priority,
            weight: choice.weight,
        })
    });
    Rule {
        name: RuleName::new(namespace, &route.name, &rule.name),
        matches: rule.matches.clone(),
        choices: choices.collect(),
        affinity: rule.affinity.clone(),
        retry: rule.retry.clone(),
        changes: rule.changes.clone().map(Arc::new),
    }
}

/// Discovery sends OpenAI's paths without a model to `openai`, else to the only provider it found.
/// What a document says comes before it.
fn implied_passthrough(set: &Set<'_>, backends: &[Arc<Backend>]) -> Option<Passthrough> {
    let found = || set.backends.iter().enumerate().filter(|(_, entry)| entry.discovered);
    let openai = found().find(|(_, entry)| entry.backend.name == "openai");
    let (backend, _) = openai.or_else(|| found().next().filter(|_| found().count() == 1))?;
    backends.get(backend).filter(|backend| backend.dialect == Dialect::OpenAi)?;
    let paths = discovery::PASSTHROUGH.iter().map(|path| Glob::new(path)).collect();
    Some(Passthrough { route: RuleName::passthrough(None, discovery::ROUTE), backend, paths })
}

/// The prices of a backend that its document states.
fn overlay(spec: &LlmBackend) -> Option<Overlay> {
    let pricing = spec.pricing.as_ref()?;
    let models = pricing.models.iter().map(|row| {
        let rates = [
            (Unit::Input, Some(row.input)),
            (Unit::CacheRead, row.cache_read),
            (Unit::CacheWrite, row.cache_write),
            (Unit::Output, row.output),
            (Unit::Reasoning, row.reasoning),
        ];
        let stated = rates.into_iter().filter_map(|(unit, rate)| Some((unit, rate?)));
        (row.model.as_str().into(), Price::flat(&format!("{}/{}", spec.name, row.model), stated))
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
    /// The name that it has everywhere but in its document.
    fn id(&self) -> Arc<str> {
        id(self.namespace.as_deref(), &self.backend.name)
    }

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
