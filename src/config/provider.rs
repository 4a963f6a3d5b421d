//! What the configuration asks of the catalogue: the one place where the two meet.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::provider::{Also, AuthScheme, KeyNeed, Place, StreamUsage, fill};
use crate::catalog::{Catalog, region};
use crate::llm::{Dialect, Operation, Quirk};

/// The catalogue, as far as configuration needs it.
pub trait Providers {
    /// Every provider, in the catalogue's order.
    fn ids(&self) -> Vec<Arc<str>>;

    fn provider(&self, id: &str) -> Option<ProviderFacts>;

    /// The models that the catalogue lists for a provider.
    fn models_of(&self, provider: &str) -> Vec<Arc<str>>;

    /// Every model name that the catalogue knows, each once.
    fn all_models(&self) -> Vec<Arc<str>>;
}

/// One row of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFacts {
    pub dialect: Dialect,
    /// None where only the user knows it. A `{word}` in it is one of `places`.
    pub base_url: Option<String>,
    pub places: Vec<Place>,
    /// The regions that are known by name.
    pub regions: Vec<Box<str>>,
    /// Regions and their own URLs.
    pub region_urls: Vec<(Box<str>, Box<str>)>,
    /// The other dialects that the provider speaks.
    pub also: Vec<Also>,
    /// Environment variables that may hold the key; the first that is set counts.
    pub env: Vec<String>,
    /// Calls without a key are refused there.
    pub needs_key: bool,
    /// The header that carries the key, in lower case.
    pub auth_header: Arc<str>,
    /// What stands before the key.
    pub auth_prefix: &'static str,
    pub asks_stream_usage: bool,
    /// It has the Responses API.
    pub has_responses: bool,
    /// How it differs from its dialect.
    pub quirks: Vec<Quirk>,
    /// Headers that every call carries.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Any model name may be asked of it.
    pub serves_every_model: bool,
}

/// The provider that is part of Weir itself.
pub const MOCK: &str = "mock";

/// The place in a URL that a backend's `region` fills.
pub(super) const REGION: &str = "region";

/// The place in a URL that the `project` of a credential of Google Cloud fills.
pub(super) const PROJECT: &str = "project";

// === impl ProviderFacts ===

impl ProviderFacts {
    /// What is assumed of an endpoint without a row: that it does what its dialect says, under any
    /// model name.
    pub fn of_dialect(dialect: Dialect) -> Self {
        let (auth_header, auth_prefix) = match dialect {
            Dialect::Anthropic => ("x-api-key", ""),
            Dialect::Gemini => ("x-goog-api-key", ""),
            Dialect::Azure => ("api-key", ""),
            Dialect::OpenAi
            | Dialect::Responses
            | Dialect::Vertex
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama => ("authorization", "Bearer "),
        };
        ProviderFacts {
            dialect,
            base_url: None,
            places: Vec::new(),
            regions: Vec::new(),
            region_urls: Vec::new(),
            also: Vec::new(),
            env: Vec::new(),
            needs_key: false,
            auth_header: auth_header.into(),
            auth_prefix,
            asks_stream_usage: matches!(dialect, Dialect::OpenAi | Dialect::Azure),
            has_responses: true,
            // Whoever speaks Azure's dialect is Azure.
            quirks: if dialect == Dialect::Azure { vec![Quirk::ReasonsInResponses] } else { Vec::new() },
            headers: Vec::new(),
            serves_every_model: true,
        }
    }

    /// The same provider, spoken to in another dialect, and what holds there.
    pub(super) fn speaking(self, dialect: Dialect) -> Self {
        let is_openai = |dialect| matches!(dialect, Dialect::OpenAi | Dialect::Responses);
        if is_openai(dialect) && is_openai(self.dialect) {
            return ProviderFacts { dialect, ..self };
        }
        let plain = ProviderFacts::of_dialect(dialect);
        let there = self.also.iter().find(|also| also.dialect == dialect);
        let (auth_header, auth_prefix) = match there {
            Some(also) => header_of(&also.auth),
            None => (self.auth_header, self.auth_prefix),
        };
        ProviderFacts {
            base_url: there.map(|also| also.base_url.to_string()),
            places: self.places,
            env: self.env,
            needs_key: self.needs_key,
            auth_header,
            auth_prefix,
            quirks: there.map_or(plain.quirks, |also| also.quirks.clone()),
            // Of what it does there beside chats nothing is known.
            has_responses: plain.has_responses && there.is_none(),
            serves_every_model: self.serves_every_model,
            ..plain
        }
    }

    /// Where it is, if `of` says every word that its URL leaves open; `of("region")` may choose another URL.
    pub(super) fn url(&self, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let region = of(REGION);
        let own = self.region_urls.iter().find(|(name, _)| region.as_deref() == Some(&**name));
        fill(own.map_or(self.base_url.as_deref(), |(_, url)| Some(url))?, of)
    }

    /// The names of regions that it is known to have.
    pub(super) fn known_regions(&self) -> impl Iterator<Item = &str> {
        self.regions.iter().chain(self.region_urls.iter().map(|(name, _)| name)).map(|name| &**name)
    }

    /// True if its URL has a place for any region, or one of its own for this.
    pub(super) fn has_region(&self, region: &str) -> bool {
        let any = self.places.iter().any(|place| &*place.name == REGION);
        any || self.region_urls.iter().any(|(name, _)| **name == *region)
    }
}

/// The header that carries a key, and what stands before it.
fn header_of(auth: &AuthScheme) -> (Arc<str>, &'static str) {
    match auth {
        AuthScheme::Header(name) => (name.as_str().into(), ""),
        // A key that a document gives all the same leaves as a bearer token.
        AuthScheme::Bearer | AuthScheme::None => ("authorization".into(), "Bearer "),
    }
}

// === impl Catalog ===

/// What a call may say of all that has a price.
fn callable<'c>(catalog: &'c Catalog, provider: &str) -> impl Iterator<Item = &'c str> {
    catalog.models_of(provider).into_iter().filter(|name| !region::is_in(name))
}

impl Providers for Catalog {
    fn ids(&self) -> Vec<Arc<str>> {
        self.providers().iter().map(|provider| Arc::from(&*provider.id)).collect()
    }

    fn provider(&self, id: &str) -> Option<ProviderFacts> {
        let row = Catalog::provider(self, id)?;
        let (auth_header, auth_prefix) = header_of(&row.auth);
        let headers = row.headers.iter();
        Some(ProviderFacts {
            dialect: row.dialect,
            base_url: row.base_url.as_deref().map(str::to_owned),
            places: row.places.clone(),
            regions: row.regions.clone(),
            region_urls: row.region_urls.clone(),
            also: row.also.clone(),
            env: row.env.iter().map(ToString::to_string).collect(),
            needs_key: row.key == KeyNeed::Required,
            auth_header,
            auth_prefix,
            asks_stream_usage: row.stream_usage == StreamUsage::IncludeUsage && !row.has(Quirk::RefusesStreamOptions),
            has_responses: row.operations.contains(&Operation::Responses),
            quirks: row.quirks.clone(),
            headers: headers
                .filter_map(|(name, value)| Some((name.as_str().into(), value.to_str().ok()?.into())))
                .collect(),
            // A server of one's own has the models that one put there.
            serves_every_model: row.any_model || row.key != KeyNeed::Required,
        })
    }

    fn models_of(&self, provider: &str) -> Vec<Arc<str>> {
        callable(self, provider).map(Into::into).collect()
    }

    fn all_models(&self) -> Vec<Arc<str>> {
        let models = self.providers().iter().flat_map(|provider| callable(self, &provider.id));
        models.collect::<BTreeSet<&str>>().into_iter().map(Into::into).collect()
    }
}
