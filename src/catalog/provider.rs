//! What Weir knows of a provider: where it is, how a call is authorised, what is odd about it.
//!
//! A provider that speaks a known dialect is one row of `providers.toml` and no code; an oddity is
//! one [`Quirk`] that the reader or writer of the dialect acts on.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;

use super::price::{Price, Unit};
use crate::base::money::{MoneyError, Rate};
use crate::llm::{Dialect, Operation, Quirk};

/// One provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name used in configuration, price rows and records.
    pub id: Box<str>,
    /// The name shown to people.
    pub name: Box<str>,
    pub dialect: Dialect,
    /// Scheme, authority and path prefix, without a slash at its end; none where only the user knows.
    pub base_url: Option<Box<str>>,
    pub auth: AuthScheme,
    pub key: KeyNeed,
    /// Headers every call must carry, the credential apart.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Environment variables that may hold the key; the first that is set counts.
    pub env: Vec<Box<str>>,
    pub stream_usage: StreamUsage,
    pub quirks: Vec<Quirk>,
    pub operations: Vec<Operation>,
    /// It serves every model name, and a name that is priced anywhere has that price here.
    pub any_model: bool,
    /// The price of a model that has no row.
    pub default_price: Option<Price>,
}

/// How the key is put on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// The key alone, in a header of this name.
    Header(HeaderName),
    None,
}

/// Whether a call needs a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyNeed {
    #[default]
    Required,
    Optional,
    None,
}

/// What makes a provider state usage in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// `stream_options: {"include_usage": true}` in the request.
    IncludeUsage,
    /// Nothing; it is always there.
    Always,
    /// Nothing; it is never there.
    Never,
}

/// What is wrong with the provider table.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("not a provider table: {0}")]
    Toml(#[from] toml::de::Error),
    #[error("provider {id:?}: {error}")]
    Row { id: Box<str>, error: RowError },
}

/// What is wrong with one row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("an id is lower-case letters, digits, '-' and '_'")]
    Id,
    #[error("there is a provider of this id already")]
    Duplicate,
    #[error("dialect {0:?} is not known")]
    Dialect(String),
    #[error("operation {0:?} is not known")]
    Operation(String),
    #[error("{0:?} is no http or https URL with a host and without query or trailing slash")]
    BaseUrl(String),
    #[error("auth {0:?} needs `header`, and only scheme \"header\" does")]
    Auth(Scheme),
    #[error("{0:?} is no header name or value")]
    Header(String),
    #[error("{0:?} is no name of an environment variable")]
    Env(String),
    #[error("default_price: {0}")]
    Price(#[from] MoneyError),
}

/// The word for an [`AuthScheme`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    Bearer,
    Header,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    provider: Vec<RawProvider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProvider {
    id: Box<str>,
    name: Box<str>,
    dialect: String,
    base_url: Option<String>,
    auth: RawAuth,
    #[serde(default)]
    key: KeyNeed,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    env: Vec<Box<str>>,
    stream_usage: StreamUsage,
    #[serde(default)]
    quirks: Vec<Quirk>,
    operations: Vec<String>,
    #[serde(default)]
    any_model: bool,
    default_price: Option<RawPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuth {
    scheme: Scheme,
    header: Option<String>,
}

/// USD per million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    input: String,
    output: String,
}

/// The dialects and operations a row may name; their words are those of `llm`.
const DIALECTS: [Dialect; 9] = [
    Dialect::OpenAi,
    Dialect::Responses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Vertex,
    Dialect::Bedrock,
    Dialect::Azure,
    Dialect::Cohere,
    Dialect::Ollama,
];
const OPERATIONS: [Operation; 10] = [
    Operation::Chat,
    Operation::Completion,
    Operation::Responses,
    Operation::Embeddings,
    Operation::Moderation,
    Operation::Rerank,
    Operation::Image,
    Operation::Audio,
    Operation::CountTokens,
    Operation::Models,
];

// === impl Provider ===

impl Provider {
    /// True if it differs from its dialect in this way.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

/// Reads a provider table.
///
/// # Errors
/// Every error of the table, in its order; at least one.
pub fn parse(text: &str) -> Result<Vec<Provider>, Vec<ProviderError>> {
    let table: RawTable = toml::from_str(text).map_err(|error| vec![error.into()])?;
    let mut ids = HashSet::new();
    let mut errors = vec![];
    let mut providers = Vec::with_capacity(table.provider.len());
    for raw in table.provider {
        let id = raw.id.clone();
        let mut wrong = vec![];
        if !ids.insert(id.clone()) {
            wrong.push(RowError::Duplicate);
        }
        providers.extend(read(raw, &mut wrong));
        errors.extend(wrong.into_iter().map(|error| ProviderError::Row { id: id.clone(), error }));
    }
    if errors.is_empty() { Ok(providers) } else { Err(errors) }
}

/// Checks one row. What comes back is complete only if no error was added.
fn read(raw: RawProvider, errors: &mut Vec<RowError>) -> Option<Provider> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if raw.id.is_empty() || !raw.id.bytes().all(plain) {
        errors.push(RowError::Id);
    }
    let dialect = DIALECTS.into_iter().find(|dialect| dialect.as_str() == raw.dialect);
    if dialect.is_none() {
        errors.push(RowError::Dialect(raw.dialect));
    }
    let mut operations = vec![];
    for word in raw.operations {
        match OPERATIONS.into_iter().find(|operation| operation.as_str() == word) {
            Some(operation) => operations.push(operation),
            None => errors.push(RowError::Operation(word)),
        }
    }
    if let Some(url) = raw.base_url.as_ref().filter(|url| !is_base_url(url)) {
        errors.push(RowError::BaseUrl(url.clone()));
    }
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    for name in &raw.env {
        if name.is_empty() || !name.bytes().all(upper) {
            errors.push(RowError::Env(name.to_string()));
        }
    }
    let headers = raw.headers.iter().filter_map(|(name, value)| read_header(name, value, errors)).collect();
    let auth = read_auth(&raw.auth, errors);
    let default_price = raw.default_price.and_then(|price| {
        let price = read_price(&raw.id, &price);
        price.map_err(|error| errors.push(error.into())).ok()
    });
    Some(Provider {
        id: raw.id,
        name: raw.name,
        dialect: dialect?,
        base_url: raw.base_url.map(Into::into),
        auth: auth?,
        key: raw.key,
        headers,
        env: raw.env,
        stream_usage: raw.stream_usage,
        quirks: raw.quirks,
        operations,
        any_model: raw.any_model,
        default_price,
    })
}

fn is_base_url(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.query().is_none()
        && !text.ends_with('/')
}

fn read_header(name: &str, value: &str, errors: &mut Vec<RowError>) -> Option<(HeaderName, HeaderValue)> {
    match (name.parse(), value.parse()) {
        (Ok(name), Ok(value)) => Some((name, value)),
        _ => {
            errors.push(RowError::Header(name.to_owned()));
            None
        }
    }
}

fn read_auth(raw: &RawAuth, errors: &mut Vec<RowError>) -> Option<AuthScheme> {
    match (raw.scheme, &raw.header) {
        (Scheme::Bearer, None) => Some(AuthScheme::Bearer),
        (Scheme::None, None) => Some(AuthScheme::None),
        (Scheme::Header, Some(header)) => {
            let name = header.parse().map_err(|_| errors.push(RowError::Header(header.clone())));
            name.ok().map(AuthScheme::Header)
        }
        (scheme, _) => {
            errors.push(RowError::Auth(scheme));
            None
        }
    }
}

fn read_price(id: &str, raw: &RawPrice) -> Result<Price, MoneyError> {
    let rates = [(Unit::Input, Rate::per_million(&raw.input)?), (Unit::Output, Rate::per_million(&raw.output)?)];
    Ok(Price::flat(&format!("{id}/default"), rates))
}

#[cfg(test)]
mod tests;
