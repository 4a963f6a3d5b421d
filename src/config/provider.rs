//! What the configuration asks of the catalogue: the one place where the two meet.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::catalog::provider::{AuthScheme, KeyNeed, StreamUsage};
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
    /// None where only the user knows it.
    pub base_url: Option<String>,
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
}

// === impl Catalog ===

impl Providers for Catalog {
    fn ids(&self) -> Vec<Arc<str>> {
        self.providers().iter().map(|provider| Arc::from(&*provider.id)).collect()
    }

    fn provider(&self, id: &str) -> Option<ProviderFacts> {
        let row = Catalog::provider(self, id)?;
        let (auth_header, auth_prefix) = match &row.auth {
            AuthScheme::Bearer => ("authorization".into(), "Bearer "),
            AuthScheme::Header(name) => (name.as_str().into(), ""),
            // A key that a document gives all the same leaves as a bearer token.
            AuthScheme::None => ("authorization".into(), "Bearer "),
        };
        let headers = row.headers.iter();
        Some(ProviderFacts {
            dialect: row.dialect,
            base_url: row.base_url.as_deref().map(str::to_owned),
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
            // A server of one's own has the models that one put there, and the catalogue lists none.
            serves_every_model: row.any_model || Catalog::models_of(self, id).is_empty(),
        })
    }

    fn models_of(&self, provider: &str) -> Vec<Arc<str>> {
        Catalog::models_of(self, provider).into_iter().map(Into::into).collect()
    }

    fn all_models(&self) -> Vec<Arc<str>> {
        let models = self.providers().iter().flat_map(|provider| Catalog::models_of(self, &provider.id));
        models.collect::<BTreeSet<&str>>().into_iter().map(Into::into).collect()
    }
}
