//! The admin server: HTTP/1.1, one request a connection. It reads no request body and sends no CORS header.
//! All but two of its paths are GET and change nothing.
//!
//! | path              | where         | answer                                                     |
//! |-------------------|---------------|------------------------------------------------------------|
//! | `/healthz`        | everywhere    | 200 as long as the process answers                         |
//! | `/readyz`         | everywhere    | 200 when requests would succeed, else 503                  |
//! | `/metrics`        | everywhere    | OpenMetrics text                                           |
//! | `/exchanges/{id}` | [`Scope::Full`] | the `weir.v1.UsageRecord` of an exchange, and `explain`: why  |
//! | `/config`         | [`Scope::Full`] | the configuration, redacted                                |
//! | `/limits`         | [`Scope::Full`] | how full limits are, the fullest key first                 |
//! | `/cooldowns`      | [`Scope::Full`] | the backends, keys and models that are left alone, and for how long |
//! | `/cache`          | [`Scope::Full`] | how full the cache is                                      |
//! | `DELETE /cache`   | [`Scope::Full`] | kept answers are forgotten                                 |
//! | `POST /limits/reset` | [`Scope::Full`] | what is used of a limit is forgotten                    |
//!
//! Full is for a Unix socket with mode 0600, or for loopback TCP, where a request must name the
//! host by address or as `localhost`: a web page whose name resolves to 127.0.0.1 is refused.
//! Public is for a port that a mesh scrapes.
//!
//! What changes something is served only where the process was started so ([`Admin::mutations`]), and not to
//! a web page: a page may send a POST to any address without asking, but not with the header
//! [`limits::CONFIRM`], for which a browser asks this server first, and it gives no leave. Each change is one line
//! in the log, which says who made it as far as the socket knows.

mod cache;
mod cooling;
mod limits;
mod routes;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use self::routes::Form;
use crate::base::socket;
use crate::cache::Partition;
use crate::exchange::record::Record;
use crate::target::health::Cooling;
use crate::telemetry::metrics::cache::Seen;
use crate::telemetry::{Metrics, Recent};
use crate::world::Limits;

/// Most connections at once. One more takes the place of the oldest that has not asked for anything
/// yet, or else of the oldest: who only holds a place must not keep a probe from being answered.
const CONNECTIONS: usize = 64;
/// Time for the head of a request to arrive.
const HEAD: Duration = Duration::from_secs(5);
/// Time for a whole connection, so that who reads slowly does not keep a place.
const LIFETIME: Duration = Duration::from_secs(30);
/// Size of the connection's buffer, and so of a request's head.
const BUFFER: usize = 16 * 1024;
const HEADERS: usize = 64;
/// Pause after a failed accept: out of file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(250);

/// What the server can tell. A clone shares it.
#[derive(Clone)]
pub struct Admin {
    pub metrics: Arc<Metrics>,
    pub recent: Arc<Recent>,
    /// Whether requests would succeed.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Why an exchange came out as it did, as JSON without any secret.
    pub explain: Arc<dyn Fn(&Record) -> Value + Send + Sync>,
    /// The configuration as text, without any secret.
    pub config: Arc<dyn Fn() -> String + Send + Sync>,
    pub limits: Arc<Limits>,
    pub in_store: Arc<InStore>,
    pub cooling: Arc<Listing>,
    pub cache: Caching,
    /// Whether anything may be changed.
    pub mutations: bool,
}

/// What a limit by its id is called in the store that replicas share, by one key or by all; none where it is not
/// counted there.
pub type InStore = dyn Fn(&str, Option<&str>) -> Option<String> + Send + Sync;

/// What cools down, and for how long.
pub type Listing = dyn Fn() -> Vec<(Duration, Cooling)> + Send + Sync;

/// Forgets the answers of one partition or all.
pub type Forget = dyn Fn(Option<&Partition>) -> Result<usize, String> + Send + Sync;

/// The cache: how it stands, and how answers are forgotten, those of one partition or all. A clone shares it.
#[derive(Clone)]
pub struct Caching {
    pub show: Arc<dyn Fn() -> Seen + Send + Sync>,
    /// Says how many there were here, or why not all are forgotten.
    pub forget: Arc<Forget>,
}

/// Who is connected, as far as the socket knows.
#[derive(Clone, Copy, Debug)]
enum Peer {
    /// A process of this user, at the other end of a Unix socket.
    User(u32),
    Address(SocketAddr),
    Unknown,
}

/// Which paths are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Full,
    /// `/healthz`, `/readyz` and `/metrics`.
    Public,
}

/// The connections of one listener.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    /// The oldest first; some may have ended.
    order: VecDeque<Place>,
}

struct Place {
    task: AbortHandle,
    /// The head of a request has come.
    asked: Arc<AtomicBool>,
}

/// A listening socket of either kind.
trait Listener {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

/// Makes a Unix socket at `path` that only this user may connect to (mode 0600), and listens. A
/// socket file on which nobody answers is replaced; one on which somebody does is
/// `AddrInUse`, anything else at that path is `AlreadyExists`.
pub async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    socket::bind(path, 0o600).await
}

/// Serves everything on a Unix socket from [`bind_unix`]. Drop the future to stop; that ends open
/// connections too.
pub async fn serve(listener: UnixListener, admin: Admin) -> io::Result<()> {
    accept(&listener, &admin, Form { scope: Scope::Full, local_host: false }).await
}

/// Serves `scope` on a TCP socket. [`Scope::Full`] needs a loopback address and is
/// `PermissionDenied` on any other. Drop the future to stop; that ends open connections too.
pub async fn serve_tcp(listener: TcpListener, admin: Admin, scope: Scope) -> io::Result<()> {
    let full = scope == Scope::Full;
    if full && !listener.local_addr()?.ip().is_loopback() {
        let message = "the full admin server listens on loopback only";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    accept(&listener, &admin, Form { scope, local_host: full }).await
}

async fn accept(listener: &impl Listener, admin: &Admin, form: Form) -> io::Result<()> {
    let mut open = Open::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                open.make_room().await;
                open.spawn(|asked| connection(stream, admin.clone(), form, peer, asked));
            }
            Err(error) => {
                tracing::warn!(%error, "the admin server cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    admin: Admin,
    form: Form,
    peer: Peer,
    asked: Arc<AtomicBool>,
) {
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        // Nobody reads the request's body.
        let (admin, request) = (admin.clone(), request.map(drop));
        async move {
            // A probe asks for the threads that serve; a large page must not keep them from it.
            match routes::is_probe(&request) {
                true => Ok(routes::answer(&admin, form, peer, &request)),
                false => tokio::task::spawn_blocking(move || routes::answer(&admin, form, peer, &request)).await,
            }
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
    server.max_buf_size(BUFFER).max_headers(HEADERS);
    // How a connection of a scraper ends is of no interest: it went away, was slow, or spoke no HTTP.
    let _ = timeout(LIFETIME, server.serve_connection(TokioIo::new(stream), service)).await;
}

// === impl Open ===

impl Open {
    /// Ends a connection if there are as many as there may be, and waits until it is gone.
    async fn make_room(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.order.retain(|place| !place.task.is_finished());
        if self.tasks.len() < CONNECTIONS {
            return;
        }
        let idle = self.order.iter().position(|place| !place.asked.load(Ordering::Relaxed));
        if let Some(place) = self.order.remove(idle.unwrap_or(0)) {
            place.task.abort();
        }
        self.tasks.join_next().await;
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, serve: impl FnOnce(Arc<AtomicBool>) -> F) {
        let asked = Arc::new(AtomicBool::new(false));
        let task = self.tasks.spawn(serve(asked.clone()));
        self.order.push_back(Place { task, asked });
    }
}

// === impl Listener ===

impl Listener for TcpListener {
    type Stream = tokio::net::TcpStream;

    async fn accept(&self) -> io::Result<(Self::Stream, Peer)> {
        TcpListener::accept(self).await.map(|(stream, address)| (stream, Peer::Address(address)))
    }
}

impl Listener for UnixListener {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> io::Result<(Self::Stream, Peer)> {
        let (stream, _) = UnixListener::accept(self).await?;
        let peer = stream.peer_cred().map_or(Peer::Unknown, |peer| Peer::User(peer.uid()));
        Ok((stream, peer))
    }
}

// === impl Peer ===

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::User(id) => write!(f, "uid {id}"),
            Peer::Address(address) => write!(f, "{address}"),
            Peer::Unknown => f.write_str("unknown"),
        }
    }
}

// === impl Admin ===

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
