//! The gRPC server: one service, its health, explicit windows and bounds, and an end in good order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::Stream;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Status, Streaming};

use super::attempt::Attempt;
use super::drive::Drive;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::service::Process;
use super::siblings::{PASSED_ON, Siblings};
use super::tls;
use crate::render::attempt::FAILOVER;
use crate::telemetry::Metrics;
use crate::world::World;

/// HTTP/2 windows. The defaults of 64 KiB cost a round trip for every 64 KiB of a prompt.
pub const STREAM_WINDOW: u32 = 1 << 20;
pub const CONNECTION_WINDOW: u32 = 16 << 20;

/// Above what any pool admits: what is too much is shed with words, not reset.
const MAX_STREAMS: u32 = 100_000;

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
    Tls(Box<tls::Listener>),
}

/// A stream of one of the two filters, as its initial metadata says.
#[expect(clippy::large_enum_variant, reason = "nearly all are exchanges, and a box would cost each an allocation")]
enum Side<W: World> {
    /// `x-weir-role: route`, or nothing: an exchange.
    Route(Drive<W>),
    /// `x-weir-role: attempt`.
    Attempt(Attempt),
}

/// A stream where only attempts are heard.
#[expect(clippy::large_enum_variant, reason = "nearly all are attempts, and a box would cost each an allocation")]
enum Heard {
    Attempt(Attempt),
    /// What it is instead would outlive the end of the process. It is told so once.
    Another(bool),
}

/// What a filter says of itself: its role, and in whose cluster it stands.
pub(super) const ROLE: &str = "x-weir-role";
pub(super) const BACKEND: &str = "x-weir-backend";
/// The role of the filter in a provider's cluster.
pub(super) const ATTEMPT: &str = "attempt";

// === impl Side ===

impl<W: World> Side<W> {
    fn new(said: &MetadataMap, inbound: Streaming<Incoming>, world: Arc<W>, pool: Arc<Pool>) -> Self {
        let text = |name| said.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match text(ROLE) {
            // Of a configuration from before attempts had a listener of their own.
            ATTEMPT => Side::Attempt(Attempt::new(inbound, pool, text(BACKEND).to_owned(), None)),
            _ => Side::Route(Drive::new(inbound, world, pool, text(FAILOVER))),
        }
    }
}

impl<W: World> Stream for Side<W> {
    type Item = Result<Outgoing, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Side::Route(drive) => Pin::new(drive).poll_next(cx),
            Side::Attempt(attempt) => Pin::new(attempt).poll_next(cx),
        }
    }
}

// === impl Heard ===

impl Heard {
    fn new(said: &MetadataMap, inbound: Streaming<Incoming>, pool: Arc<Pool>, siblings: &Arc<Siblings>) -> Self {
        let text = |name| said.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text(ROLE) != ATTEMPT {
            return Heard::Another(true);
        }
        // Two processes must not pass one question to and fro.
        let others = said.get(PASSED_ON).is_none().then(|| siblings.clone());
        Heard::Attempt(Attempt::new(inbound, pool, text(BACKEND).to_owned(), others))
    }
}

impl Stream for Heard {
    type Item = Result<Outgoing, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Heard::Attempt(attempt) => Pin::new(attempt).poll_next(cx),
            Heard::Another(is_first) => Poll::Ready(std::mem::take(is_first).then(|| {
                Err(Status::failed_precondition("only attempts (x-weir-role: attempt) are heard at this socket"))
            })),
        }
    }
}

// === impl Listener ===

impl Listener {
    /// Counts who connects in these metrics.
    #[must_use]
    pub fn counted(self, metrics: &Metrics) -> Listener {
        match self {
            Listener::Tls(listener) => Listener::Tls(Box::new(listener.counted(metrics.handshakes.clone()))),
            other => other,
        }
    }
}

/// Serves until `drain` is done, then lets what runs finish. Returns when the last stream has ended.
///
/// # Errors
/// When the listener fails.
pub async fn serve<W: World>(
    listener: Listener,
    world: Arc<W>,
    pool: Arc<Pool>,
    drain: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let service = Process::new(move |said, inbound| Side::new(&said, inbound, world.clone(), pool.clone()));
    serve_process(listener, service, drain).await
}

/// Serves attempts, of this pool's exchanges and of those that other processes hold, until `end` is done; then lets
/// what is asked be answered. Returns when the last connection is closed.
///
/// # Errors
/// When the listener fails.
pub async fn serve_attempts(
    listener: UnixListener,
    siblings: Arc<Siblings>,
    pool: Arc<Pool>,
    end: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error> {
    let service = Process::new(move |said, inbound| Heard::new(&said, inbound, pool.clone(), &siblings));
    serve_process(Listener::Unix(listener), service, end).await
}

/// The same for any service: what the no-op processor of the benches differs in is its answers alone.
///
/// # Errors
/// When the listener fails.
pub async fn serve_process<F, S>(
    listener: Listener,
    service: Process<F>,
    drain: impl Future<Output = ()> + Send,
) -> Result<(), tonic::transport::Error>
where
    F: Fn(MetadataMap, Streaming<Incoming>) -> S + Send + Sync + 'static,
    S: Stream<Item = Result<Outgoing, Status>> + Send + 'static,
{
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<Process<F>>().await;
    let router: Router = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        // The only peer is the proxy next to us. When many clients leave at once it resets as many
        // streams, and the default of 20 would end the connection, and with it every other exchange.
        .http2_max_pending_accept_reset_streams(Some(MAX_STREAMS as usize))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .tcp_nodelay(true)
        .add_service(health_service)
        .add_service(service);
    let drain = async move {
        drain.await;
        health.set_not_serving::<Process<F>>().await;
    };
    match listener {
        Listener::Unix(listener) => router.serve_with_incoming_shutdown(UnixListenerStream::new(listener), drain).await,
        Listener::Tcp(listener) => router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), drain).await,
        Listener::Tls(listener) => router.serve_with_incoming_shutdown(listener.connections(), drain).await,
    }
}
