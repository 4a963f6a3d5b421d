//! [io] A small HTTP client for Envoy's admin endpoint, Weir's own, doctor and the tour. Plain HTTP/1.1,
//! no redirects.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error as PoolError};
use hyper_util::rt::TokioExecutor;

/// The longest answer that is read whole.
const MOST: usize = 16 << 20;

/// A client with a pool of connections.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// An answer that was read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    #[error("no answer")]
    Connection(#[from] PoolError),
    #[error("the answer ended early or is too long")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer in {0:?}")]
    Timeout(Duration),
}

// === impl Client ===

impl Client {
    pub(crate) fn new() -> Client {
        Client { pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    /// Sends a request and reads the answer whole, both within `timeout`.
    pub(super) async fn call(&self, request: Request<Full<Bytes>>, timeout: Duration) -> Result<Answer, HttpError> {
        self.whole(request, timeout, MOST).await
    }

    /// The same with a bound of its own.
    pub(crate) async fn get_at_most(&self, url: &str, timeout: Duration, most: usize) -> Result<Answer, HttpError> {
        self.whole(Request::get(url).body(Full::default())?, timeout, most).await
    }

    async fn whole(&self, request: Request<Full<Bytes>>, timeout: Duration, most: usize) -> Result<Answer, HttpError> {
        let whole = async {
            let (head, body) = self.open(request).await?.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(HttpError::Body)?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::time::timeout(timeout, whole).await.map_err(|_| HttpError::Timeout(timeout))?
    }

    /// Sends a request and returns as soon as the answer's head is there.
    pub(super) async fn open(&self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, HttpError> {
        Ok(self.pool.request(request).await?)
    }

    pub(super) async fn get(&self, url: &str, timeout: Duration) -> Result<Answer, HttpError> {
        self.call(Request::get(url).body(Full::default())?, timeout).await
    }

    pub(super) async fn post(&self, url: &str, timeout: Duration) -> Result<Answer, HttpError> {
        self.call(Request::post(url).body(Full::default())?, timeout).await
    }
}
