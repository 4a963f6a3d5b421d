//! [io] Two providers: one that answers 503 when it has read all of a request, and one that answers 200 if the body
//! came whole.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub struct Providers {
    pub bad: SocketAddr,
    pub good: SocketAddr,
    refused: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

pub async fn start(bytes: usize) -> io::Result<Providers> {
    let (refused, answered) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let bad = serve(503, bytes, refused.clone()).await?;
    let good = serve(200, bytes, answered.clone()).await?;
    Ok(Providers { bad, good, refused, answered })
}

async fn serve(status: u16, bytes: usize, count: Arc<AtomicU64>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            let service = service_fn(move |request| answer(request, status, bytes, count.clone()));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

async fn answer(
    request: Request<Incoming>,
    status: u16,
    bytes: usize,
    count: Arc<AtomicU64>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let told = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    let status = if length == bytes && told == Some(bytes) { status } else { 400 };
    if status != 400 {
        count.fetch_add(1, Ordering::Relaxed);
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

// === impl Providers ===

impl Providers {
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}
