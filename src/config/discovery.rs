//! Backends that nobody wrote down: the providers whose keys are in the environment, and the
//! built-in one.

use std::net::SocketAddr;
use std::path::Path;

use super::provider::{MOCK, ProviderFacts, Providers};
use super::secret::{SecretError, SecretSource, Secrets, load};
use super::spec::{ApiKey, CredentialRow, CredentialSpec, LlmBackend, Located};
use super::value::{self, Endpoint};

/// The paths without a model that discovery sends to one provider, signed.
pub const PASSTHROUGH: &[&str] = &["/v1/files*", "/v1/batches*", "/v1/realtime*"];

/// The name that stands for a route in what discovery adds.
pub const ROUTE: &str = "discovery";

/// One backend for each provider whose key is set and whose host is known, of the catalogue or with what the
/// environment says of a region or an account, named after it. A server that needs no key is left out: a key
/// for it says nothing about where it runs.
pub fn discovered(env: &dyn Fn(&str) -> Option<String>, providers: &dyn Providers) -> Vec<LlmBackend> {
    let rows = providers.ids().into_iter().filter_map(|id| Some((providers.provider(&id)?, id)));
    let with_key = rows.filter_map(|(facts, id)| {
        appears(&facts).then_some(())?;
        let sources: Vec<SecretSource> = facts.env.iter().cloned().map(SecretSource::Env).collect();
        // An empty variable, or one with a line break in it, is no key.
        load(&sources, &Env(env), None).ok()?;
        let key = ApiKey { sources, path: String::new() };
        let endpoint = match facts.places.is_empty() {
            true => None,
            false => Some(value::endpoint(&facts.url(&|word| said(&facts, word, env))?).ok()?),
        };
        Some(LlmBackend {
            provider: Some(Located { value: id.to_string(), path: String::new() }),
            endpoint,
            credentials: vec![CredentialRow { from: None, credential: CredentialSpec::ApiKey(key) }],
            ..LlmBackend::named(&backend_name(&id))
        })
    });
    with_key.collect()
}

/// What the backend of a provider is called: its id, as the name of a document would spell it.
fn backend_name(id: &str) -> String {
    id.replace('_', "-")
}

/// What the environment says of a word in a provider's URL.
fn said(facts: &ProviderFacts, word: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let place = facts.places.iter().find(|place| &*place.name == word)?;
    place.env.iter().find_map(|name| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()))
}

/// The backend of the built-in provider that listens at `address`.
pub(super) fn mock(address: SocketAddr) -> LlmBackend {
    let endpoint =
        Endpoint { https: false, host: address.ip().to_string(), port: address.port(), prefix: "/v1".to_owned() };
    LlmBackend {
        provider: Some(Located { value: MOCK.to_owned(), path: String::new() }),
        endpoint: Some(endpoint),
        ..LlmBackend::named(MOCK)
    }
}

/// The environment variables that would make a backend of this name appear.
pub(super) fn would_appear(providers: &dyn Providers, name: &str) -> Option<String> {
    let facts = providers.ids().iter().find(|id| backend_name(id) == name).and_then(|id| providers.provider(id))?;
    appears(&facts).then(|| {
        let places = facts.places.iter().map(|place| place.env.join(" or "));
        std::iter::once(facts.env.join(" or ")).chain(places).collect::<Vec<_>>().join(", and ")
    })
}

/// What the environment says can be enough to call it.
fn appears(facts: &ProviderFacts) -> bool {
    let is_sayable = facts.places.iter().all(|place| !place.env.is_empty());
    facts.needs_key && facts.base_url.is_some() && is_sayable && !facts.env.is_empty()
}

struct Env<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Secrets for Env<'_> {
    fn env(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn file(&self, _: &Path) -> Result<String, SecretError> {
        Err(SecretError::NotFound)
    }
}
