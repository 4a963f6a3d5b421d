//! [io] Where evidence is from: files, standard input, Envoy's admin endpoint and Weir's. Each is read whole, and
//! none without a bound.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::doctor::Weir;
use crate::up::http::{Client, HttpError};

/// Where a text is.
#[derive(Debug)]
pub enum Input {
    Stdin,
    File(PathBuf),
    Url(String),
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is larger than {} MiB", MOST >> 20)]
    TooLarge,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("it answers {0}")]
    Status(StatusCode),
}

/// The largest dump that is read; those of large meshes have some ten megabytes.
const MOST: usize = 256 << 20;
/// An Envoy with that much to tell needs a while.
const ENVOY: Duration = Duration::from_secs(60);
const WEIR: Duration = Duration::from_secs(5);
const PAGE: usize = 16 << 20;

// === impl Input ===

impl Input {
    /// A file, or standard input for `-`.
    pub fn file(name: &str) -> Input {
        if name == "-" { Input::Stdin } else { Input::File(name.into()) }
    }

    /// All of it.
    ///
    /// # Errors
    /// When it is not there, or too much.
    pub async fn read(&self) -> Result<Vec<u8>, ReadError> {
        match self {
            Input::Stdin => whole(io::stdin().lock(), 0),
            Input::File(path) => {
                let file = File::open(path)?;
                let length = file.metadata()?.len();
                whole(file, length)
            }
            Input::Url(url) => {
                let answer = Client::new().get_at_most(url, ENVOY, MOST).await?;
                match answer.status {
                    StatusCode::OK => Ok(answer.body.into()),
                    status => Err(ReadError::Status(status)),
                }
            }
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("stdin"),
            Input::File(path) => path.display().fmt(f),
            Input::Url(url) => f.write_str(url),
        }
    }
}

/// `length` is what it probably has.
fn whole(from: impl Read, length: u64) -> Result<Vec<u8>, ReadError> {
    let length = usize::try_from(length).unwrap_or(MOST).min(MOST);
    let mut bytes = Vec::with_capacity(length + 1);
    from.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MOST { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

/// What Weir says of itself. None when nobody named a place, and there is no socket at the usual one.
pub async fn weir(named: Option<&str>, configured: Option<&Path>) -> Option<Weir> {
    let place = match (named, configured) {
        (Some(named), _) => named.trim_start_matches("unix:").to_owned(),
        // A configuration may be that of a Weir elsewhere.
        (None, Some(path)) if path.exists() => path.display().to_string(),
        _ => return None,
    };
    match ask(&place).await {
        Ok(weir) => Some(weir),
        Err(why) => Some(Weir { absent: Some(why), ..Weir::default() }),
    }
}

async fn ask(place: &str) -> Result<Weir, String> {
    let (ready, _) = page(place, "/readyz").await?;
    let (_, config) = page(place, "/config").await?;
    let (_, metrics) = page(place, "/metrics").await?;
    let config: Value = serde_json::from_slice(&config).unwrap_or_default();
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    Ok(Weir {
        absent: None,
        is_ready: ready == StatusCode::OK,
        signs: config["signing"].as_bool(),
        refused: config["status"]["errors"].as_array().map_or(0, Vec::len),
        failed_open: sum(&metrics, "weir_fail_open_total"),
        shed: sum(&metrics, "weir_shed_total"),
    })
}

/// The sum of a family of counters.
fn sum(metrics: &str, family: &str) -> u64 {
    let rows = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        let value = rest.strip_prefix([' ', '{'])?.rsplit(' ').next()?;
        value.parse::<u64>().ok()
    });
    rows.fold(0, u64::saturating_add)
}

async fn page(place: &str, path: &str) -> Result<(StatusCode, Bytes), String> {
    if place.starts_with("http://") {
        let url = format!("{}{path}", place.trim_end_matches('/'));
        let answer = Client::new().get_at_most(&url, WEIR, PAGE).await.map_err(|error| super::super::chain(&error))?;
        return Ok((answer.status, answer.body));
    }
    let whole = timeout(WEIR, over_socket(place, path)).await;
    whole.map_err(|_| format!("no answer on {place} in {WEIR:?}"))?.map_err(|error| format!("{place}: {error}"))
}

async fn over_socket(place: &str, path: &str) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = UnixStream::connect(place).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer: the server closes each connection.
    let driver = tokio::spawn(connection);
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), PAGE).collect().await?.to_bytes();
    driver.abort();
    Ok((status, body))
}
