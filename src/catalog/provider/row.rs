//! The rows of `providers.toml`: what they may say, and all that is wrong with one.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderName, HeaderValue, Uri};
use serde::Deserialize;

use super::{Also, AuthScheme, Cloud, KeyNeed, Place, Provider, StreamUsage, fill, words};
use crate::base::money::{MoneyError, Rate};
use crate::catalog::price::{Price, Unit};
use crate::llm::{Dialect, Operation, Quirk};

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
    #[error("`places` and the words in braces of its URLs are not the same: {0:?}")]
    Place(String),
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
    docs: Option<Box<str>>,
    dialect: String,
    base_url: Option<String>,
    #[serde(default)]
    places: BTreeMap<Box<str>, Vec<Box<str>>>,
    #[serde(default)]
    regions: Vec<Box<str>>,
    #[serde(default)]
    region_urls: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    also: Vec<RawAlso>,
    auth: RawAuth,
    #[serde(default)]
    key: KeyNeed,
    cloud: Option<Cloud>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
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
struct RawAlso {
    dialect: String,
    base_url: Box<str>,
    /// Absent: as the row says.
    auth: Option<RawAuth>,
    #[serde(default)]
    quirks: Vec<Quirk>,
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
pub(super) const DIALECTS: [Dialect; 9] = [
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
    let dialect = read_dialect(&raw.dialect, errors);
    let mut operations = vec![];
    for word in &raw.operations {
        match OPERATIONS.into_iter().find(|operation| operation.as_str() == word) {
            Some(operation) => operations.push(operation),
            None => errors.push(RowError::Operation(word.clone())),
        }
    }
    check_urls(&raw, errors);
    check_env(&raw, errors);
    let headers = raw.headers.iter().filter_map(|(name, value)| read_header(name, value, errors)).collect();
    let auth = read_auth(&raw.auth, errors);
    let also = raw.also.into_iter().filter_map(|also| read_also(also, auth.as_ref(), errors)).collect();
    let default_price = raw.default_price.and_then(|price| {
        let price = read_price(&raw.id, &price);
        price.map_err(|error| errors.push(error.into())).ok()
    });
    Some(Provider {
        id: raw.id,
        name: raw.name,
        docs: raw.docs,
        dialect: dialect?,
        base_url: raw.base_url.map(Into::into),
        places: raw.places.into_iter().map(|(name, env)| Place { name, env }).collect(),
        regions: raw.regions,
        region_urls: raw.region_urls.into_iter().collect(),
        also,
        auth: auth?,
        key: raw.key,
        cloud: raw.cloud,
        headers,
        env: raw.env,
        stream_usage: raw.stream_usage,
        quirks: raw.quirks,
        operations,
        any_model: raw.any_model,
        default_price,
    })
}

fn read_dialect(word: &str, errors: &mut Vec<RowError>) -> Option<Dialect> {
    let dialect = DIALECTS.into_iter().find(|dialect| dialect.as_str() == word);
    if dialect.is_none() {
        errors.push(RowError::Dialect(word.to_owned()));
    }
    dialect
}

/// Every URL is one, and its words in braces are the places that the row names.
fn check_urls(raw: &RawProvider, errors: &mut Vec<RowError>) {
    let others = raw.region_urls.values().chain(raw.also.iter().map(|also| &also.base_url)).map(|url| &**url);
    let urls: Vec<&str> = raw.base_url.as_deref().into_iter().chain(others).collect();
    for url in urls.iter().filter(|url| !is_base_url(url)) {
        errors.push(RowError::BaseUrl((*url).to_owned()));
    }
    let used: HashSet<&str> = urls.iter().flat_map(|url| words(url)).collect();
    let named: HashSet<&str> = raw.places.keys().map(|name| &**name).collect();
    errors.extend(used.symmetric_difference(&named).map(|word| RowError::Place((*word).to_owned())));
}

fn check_env(raw: &RawProvider, errors: &mut Vec<RowError>) {
    let upper = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    for name in raw.env.iter().chain(raw.places.values().flatten()) {
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(upper) {
            errors.push(RowError::Env(name.to_string()));
        }
    }
}

pub(super) fn is_base_url(text: &str) -> bool {
    let Some(example) = fill(text, &|_| Some("x".to_owned())) else { return false };
    let Ok(uri) = example.parse::<Uri>() else { return false };
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

fn read_also(raw: RawAlso, auth: Option<&AuthScheme>, errors: &mut Vec<RowError>) -> Option<Also> {
    let dialect = read_dialect(&raw.dialect, errors);
    let auth = match &raw.auth {
        Some(own) => read_auth(own, errors),
        None => auth.cloned(),
    };
    Some(Also { dialect: dialect?, base_url: raw.base_url, auth: auth?, quirks: raw.quirks })
}

fn read_price(id: &str, raw: &RawPrice) -> Result<Price, MoneyError> {
    let rates = [(Unit::Input, Rate::per_million(&raw.input)?), (Unit::Output, Rate::per_million(&raw.output)?)];
    Ok(Price::flat(&format!("{id}/default"), rates))
}
