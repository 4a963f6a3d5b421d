//! [io] Fetches what a source gives: the token endpoints of the clouds and the files that they want to see.
//! Nothing of what is fetched or sent stands in an error.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod google;
pub mod http;
#[cfg(feature = "gcp")]
pub(super) mod jwt;
#[cfg(feature = "oauth")]
mod oauth;
#[cfg(any(feature = "azure", feature = "gcp", feature = "oauth"))]
mod token;

#[cfg(any(feature = "azure", feature = "gcp"))]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::http::{Http, HttpError};
use super::lease::Grant;
use super::source::Source;

/// What a source gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    pub grant: Grant,
    /// In seconds since the Unix epoch, by the giver's clock or by this machine's; none where it does not end.
    pub until: Option<u64>,
}

/// Why a source gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("this Weir was built without the feature {0:?}")]
    NotBuilt(&'static str),
    #[error("it took longer than {0:?}")]
    Slow(Duration),
    #[error("{place}: {error}")]
    Http { place: String, error: HttpError },
    #[error("{place} answered {status}{said}")]
    Refused { place: String, status: u16, said: String },
    #[error("{place} answered without a usable token: {what}")]
    NoToken { place: String, what: &'static str },
    #[error("file {path} {what}")]
    File { path: String, what: String },
    #[error("the credential file {0}")]
    Malformed(&'static str),
    #[error("{0}")]
    Nowhere(&'static str),
    #[error("{0}")]
    Aws(String),
}

/// What fetching needs of the outside.
#[derive(Clone)]
pub struct Outside {
    pub http: Http,
    /// The environment: it says where a platform's own endpoints are, as the clouds' SDKs read it.
    pub env: Env,
}

/// What gives the value of an environment variable.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The largest file with a token that is read, in bytes.
#[cfg(any(feature = "azure", feature = "gcp"))]
const MAX_FILE: u64 = 64 << 10;

// === impl Outside ===

impl Outside {
    /// The process's own.
    pub fn process() -> Self {
        Outside { http: Http::default(), env: Arc::new(|name| std::env::var(name).ok()) }
    }

    /// The value of a variable that is set and not empty.
    #[cfg(any(feature = "aws", feature = "azure", feature = "gcp"))]
    fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }
}

/// Fetches from a source.
///
/// # Errors
/// Whatever went wrong, in words for an operator. A file is read anew each time: a platform rotates it.
#[cfg_attr(
    not(any(feature = "aws", feature = "azure", feature = "gcp", feature = "oauth")),
    expect(unused_variables, reason = "nothing is built that fetches")
)]
pub async fn fetch(source: &Source, outside: &Outside) -> Result<Issued, FetchError> {
    match source {
        #[cfg(feature = "aws")]
        Source::Aws(source) => aws::fetch(source, outside).await,
        #[cfg(not(feature = "aws"))]
        Source::Aws(_) => Err(FetchError::NotBuilt("aws")),
        #[cfg(feature = "gcp")]
        Source::Google(source) => google::fetch(source, outside).await,
        #[cfg(not(feature = "gcp"))]
        Source::Google(_) => Err(FetchError::NotBuilt("gcp")),
        #[cfg(feature = "azure")]
        Source::Azure(source) => azure::fetch(source, outside).await,
        #[cfg(not(feature = "azure"))]
        Source::Azure(_) => Err(FetchError::NotBuilt("azure")),
        #[cfg(feature = "oauth")]
        Source::OAuth(source) => oauth::fetch(source, outside).await,
        #[cfg(not(feature = "oauth"))]
        Source::OAuth(_) => Err(FetchError::NotBuilt("oauth")),
    }
}

/// A file of text, without white space around it.
#[cfg(any(feature = "azure", feature = "gcp"))]
async fn file(path: &Path) -> Result<String, FetchError> {
    use tokio::io::AsyncReadExt as _;
    let failed = |what: String| FetchError::File { path: path.display().to_string(), what };
    let mut text = String::new();
    let opened = tokio::fs::File::open(path).await.map_err(|error| failed(format!("cannot be read: {error}")))?;
    let read = opened.take(MAX_FILE + 1).read_to_string(&mut text).await;
    let length = read.map_err(|error| failed(format!("cannot be read: {error}")))?;
    match text.trim() {
        _ if length as u64 > MAX_FILE => Err(failed("is larger than 64 KiB".to_owned())),
        "" => Err(failed("is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}
