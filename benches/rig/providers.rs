//! [io] Two providers: one that answers 503 when it has read all of a request, and one that answers a chat call. They
//! take the time from the answer of the first to the next attempt at the second.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::support::histogram::Histogram;

/// The header that names the connection a call came on: one call at a time is on it.
pub const LANE: &str = "x-bench-lane";

const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"The weir holds."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}"#;

pub struct Providers {
    pub bad: SocketAddr,
    pub good: SocketAddr,
    times: Arc<Mutex<Times>>,
}

struct Times {
    /// When the call on a connection was refused.
    failed: HashMap<Bytes, Instant>,
    added: Histogram,
}

// === impl Providers ===

impl Providers {
    pub async fn start() -> io::Result<Self> {
        let times = Arc::new(Mutex::new(Times { failed: HashMap::new(), added: Histogram::new() }));
        let bad = serve(StatusCode::SERVICE_UNAVAILABLE, times.clone()).await?;
        let good = serve(StatusCode::OK, times.clone()).await?;
        Ok(Providers { bad, good, times })
    }

    /// The times since this was called last.
    pub fn take_added(&self) -> Histogram {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut times.added, Histogram::new())
    }
}

async fn serve(status: StatusCode, times: Arc<Mutex<Times>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // As every server does whose answers are small.
            let _ = stream.set_nodelay(true);
            let times = times.clone();
            let service = service_fn(move |request| answer(request, status, times.clone()));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

async fn answer(
    request: Request<Incoming>,
    status: StatusCode,
    times: Arc<Mutex<Times>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let lane = request.headers().get(LANE).map(|lane| Bytes::copy_from_slice(lane.as_bytes())).unwrap_or_default();
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let now = Instant::now();
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    let text = match status {
        StatusCode::OK => {
            if let Some(failed) = times.failed.remove(&lane) {
                times.added.record(now.duration_since(failed));
            }
            ANSWER
        }
        _ => {
            times.failed.insert(lane, now);
            r#"{"error":{"message":"overloaded","type":"server_error","code":null}}"#
        }
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}
