//! What Weir knows of a provider: where it is, how a call is authorised, what is odd about it.
//!
//! A provider that speaks a known dialect is one row of `providers.toml` and no code; an oddity is
//! one [`Quirk`] that the reader or writer of the dialect acts on.

mod row;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::price::Price;
use crate::llm::{Dialect, Operation, Quirk};

pub use row::{ProviderError, RowError, Scheme, parse};

/// One provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name used in configuration, price rows and records.
    pub id: Box<str>,
    /// The name shown to people.
    pub name: Box<str>,
    /// Where its API is described.
    pub docs: Option<Box<str>>,
    pub dialect: Dialect,
    /// Scheme, authority and path prefix, without a slash at its end; none where only the user knows. A `{word}`
    /// in it stands for one of `places`.
    pub base_url: Option<Box<str>>,
    /// What must be known of an account before `base_url` is a URL.
    pub places: Vec<Place>,
    /// The regions that are known. There may be newer ones.
    pub regions: Vec<Box<str>>,
    /// Regions whose URL is not `base_url` with their name in it.
    pub region_urls: Vec<(Box<str>, Box<str>)>,
    /// The other dialects that it speaks.
    pub also: Vec<Also>,
    pub auth: AuthScheme,
    pub key: KeyNeed,
    /// Whose credential may be fetched in the place of a key.
    pub cloud: Option<Cloud>,
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

/// A word of a URL that is the user's own: a region, an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it stands in the URL, without the braces.
    pub name: Box<str>,
    /// Environment variables that may say it; the first that is set counts.
    pub env: Vec<Box<str>>,
}

/// Another dialect that a provider speaks, with the same key and at the same price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    pub dialect: Dialect,
    /// As [`Provider::base_url`].
    pub base_url: Box<str>,
    pub auth: AuthScheme,
    /// How it differs from that dialect there.
    pub quirks: Vec<Quirk>,
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

/// Who gives out short-lived credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cloud {
    /// Requests are signed (SigV4).
    Aws,
    /// An access token of Google's.
    Gcp,
    /// An access token of Entra ID.
    Azure,
}

/// What makes a provider state usage in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// `stream_options: {"include_usage": true}` in the request.
    IncludeUsage,
    /// Nothing; it is always there.
    Always,
    /// Nothing; it is never there, or nobody knows.
    Never,
}

// === impl Provider ===

impl Provider {
    /// True if it differs from its dialect in this way.
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

// === impl StreamUsage ===

impl StreamUsage {
    /// True if a stream says what it used.
    pub fn is_stated(self) -> bool {
        self != StreamUsage::Never
    }
}

/// `url` with every `{word}` in it replaced by what `of` says of the word. None where that is nothing, or nothing
/// that can be a piece of a host or a path: a word must not bring a host of its own.
pub fn fill(url: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        let (word, after) = after.split_once('}')?;
        let said = of(word).filter(|said| said.bytes().all(plain) && !matches!(said.as_str(), "" | "." | ".."))?;
        out.push_str(before);
        out.push_str(&said);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// The words in braces, in order.
fn words(url: &str) -> impl Iterator<Item = &str> {
    url.split('{').skip(1).filter_map(|piece| Some(piece.split_once('}')?.0))
}

#[cfg(test)]
mod tests;
