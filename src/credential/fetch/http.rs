//! [io] One HTTP/1.1 request to a token endpoint: a connection each, a bounded answer, a bounded time. There
//! are a few in an hour.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::task::AbortOnDropHandle;

/// The longest that one request may take, where nothing else is said.
const LIMIT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 256 << 10;

/// Sends requests. A clone shares the certificates.
#[derive(Clone)]
pub struct Http {
    tls: Arc<OnceLock<Option<Arc<ClientConfig>>>>,
    limit: Duration,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("is no http or https URL")]
    Url,
    #[error("cannot be connected to: {0}")]
    Connect(std::io::Error),
    #[error("no certificates of authorities are found on this machine; set SSL_CERT_FILE, or install ca-certificates")]
    NoRoots,
    #[error("TLS fails: {0}")]
    Tls(std::io::Error),
    #[error("the connection failed: {0}")]
    Hyper(#[from] hyper::Error),
    #[error("the answer is larger than {MAX_ANSWER} bytes, or ended early")]
    Answer,
    #[error("no answer within {0:?}")]
    Slow(Duration),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

// === impl Http ===

impl Http {
    /// One whose requests take no longer than this, from their connection to the end of their answer.
    pub fn limited(limit: Duration) -> Self {
        Http { tls: Arc::default(), limit }
    }

    /// Sends a request whose URI is absolute, and waits for the whole answer. Redirects are not followed: a
    /// token endpoint has none, and a secret must not follow one.
    ///
    /// # Errors
    /// There is none, for a reason that says nothing of the request.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Answer, HttpError> {
        let limit = self.limit;
        tokio::time::timeout(limit, self.exchange(request)).await.unwrap_or(Err(HttpError::Slow(limit)))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Answer, HttpError> {
        let (mut parts, body) = request.into_parts();
        let https = match parts.uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(HttpError::Url),
        };
        let authority = parts.uri.authority().ok_or(HttpError::Url)?.clone();
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        if !parts.headers.contains_key(header::HOST) {
            let value = authority.as_str().rsplit('@').next().unwrap_or_default();
            parts.headers.insert(header::HOST, value.parse().map_err(|_| HttpError::Url)?);
        }
        parts.uri = path.parse::<Uri>().map_err(|_| HttpError::Url)?;
        let stream = self.connect(&host, port, https).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| HttpError::Answer)?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
    }

    async fn connect(&self, host: &str, port: u16, https: bool) -> Result<Box<dyn Stream>, HttpError> {
        let tcp = TcpStream::connect((host, port)).await.map_err(HttpError::Connect)?;
        if !https {
            return Ok(Box::new(tcp));
        }
        let tls = self.tls.get_or_init(client_config).clone().ok_or(HttpError::NoRoots)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| HttpError::Url)?;
        let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(HttpError::Tls)?;
        Ok(Box::new(stream))
    }
}

impl Default for Http {
    fn default() -> Self {
        Http::limited(LIMIT)
    }
}

// === impl Answer ===

impl Answer {
    /// An instant by the giver's clock, by the clock of this machine that shows `now`: both in seconds since the Unix
    /// epoch. A giver that does not say what its own shows is believed to have this one's.
    pub fn by_own_clock(&self, instant: u64, now: u64) -> u64 {
        let date = self.headers.get(header::DATE).and_then(|date| http_date(date.to_str().ok()?));
        instant.saturating_add(now).saturating_sub(date.unwrap_or(now))
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), in seconds since the Unix epoch.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, time, zone) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    (zone == "GMT").then(|| crate::base::rfc3339::unix(&format!("{year}-{month:02}-{day}T{time}Z")))?
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

/// Trusts whom the machine trusts, or the file that `SSL_CERT_FILE` names; none where nobody is trusted.
fn client_config() -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return None;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
