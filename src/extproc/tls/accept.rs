//! Takes connections, and gives those on whose client the terms agree. Each handshake is a task of its own with
//! an end in time; so many run side by side and no more, and fewer of one address, so that whoever opens
//! connections and says nothing exhausts nothing and keeps nobody else away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;

use super::peer::Presented;
use super::refusal::{Journal, QUIET, reason};
use super::rotate::Rotation;
use super::terms::Terms;
use crate::telemetry::metrics::{HandshakeRefusal as Refusal, Handshakes};

/// How long a client may take to show who it is.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes side by side. Each proxy has a handful of connections; what comes above waits in the kernel.
const AT_ONCE: usize = 1024;
/// Of one address, side by side: more are closed, so that one host alone cannot take every place.
const OF_ONE: usize = 64;
/// Connections that have come through and were not asked for yet.
const READY: usize = 16;
/// What is waited after the system had no more room for a connection.
const BREATH: Duration = Duration::from_millis(100);

/// A connection whose client is known.
pub type Connection = TlsStream<TcpStream>;

/// The connections of a listener. Dropping it closes the listener and ends the handshakes that run.
pub struct Connections {
    ready: mpsc::Receiver<Connection>,
    _accepting: AbortOnDropHandle<()>,
    _rotating: AbortOnDropHandle<()>,
}

/// What each handshake needs.
#[derive(Clone)]
struct Gate {
    terms: Arc<ArcSwap<Terms>>,
    metrics: Handshakes,
    journal: Arc<Journal>,
    ready: mpsc::Sender<Connection>,
}

/// The handshakes that run, by where they come from.
#[derive(Default)]
struct Crowd {
    tasks: HashMap<Id, IpAddr>,
    sources: HashMap<IpAddr, usize>,
}

// === impl Connections ===

impl Connections {
    /// Takes connections. Needs a tokio runtime.
    pub(super) fn take(
        listener: TcpListener,
        terms: Arc<ArcSwap<Terms>>,
        rotation: Rotation,
        metrics: Handshakes,
    ) -> Connections {
        let (sender, ready) = mpsc::channel(READY);
        let gate = Gate { terms, metrics: metrics.clone(), journal: Arc::default(), ready: sender };
        Connections {
            ready,
            _accepting: AbortOnDropHandle::new(tokio::spawn(accept(listener, gate))),
            _rotating: AbortOnDropHandle::new(tokio::spawn(rotation.run(metrics))),
        }
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(cx).map(|connection| connection.map(Ok))
    }
}

/// Takes connections until it is dropped, and all its handshakes with it.
async fn accept(listener: TcpListener, gate: Gate) {
    let mut handshakes = JoinSet::new();
    let mut crowd = Crowd::default();
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            Some(ended) = handshakes.join_next_with_id() => {
                crowd.leave(match ended {
                    Ok((id, ())) => id,
                    Err(error) => error.id(),
                });
            }
            taken = listener.accept(), if handshakes.len() < AT_ONCE => match taken {
                Ok((_, from)) if crowd.is_full_for(from.ip()) => gate.refuse(Refusal::Crowded, from, None, &format_args!("{OF_ONE} at most")),
                Ok((stream, from)) => crowd.enter(handshakes.spawn(gate.clone().admit(stream, from)).id(), from.ip()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // No more descriptors, or no memory: those that are there will free some.
                    if told.is_none_or(|told| told.elapsed() >= QUIET) {
                        told = Some(Instant::now());
                        tracing::warn!("the ext_proc listener takes no connection at the moment: {error}");
                    }
                    sleep(BREATH).await;
                }
            },
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted)
}

// === impl Crowd ===

impl Crowd {
    fn is_full_for(&self, source: IpAddr) -> bool {
        self.sources.get(&source).is_some_and(|count| *count >= OF_ONE)
    }

    fn enter(&mut self, task: Id, source: IpAddr) {
        self.tasks.insert(task, source);
        *self.sources.entry(source).or_default() += 1;
    }

    fn leave(&mut self, task: Id) {
        let Some(source) = self.tasks.remove(&task) else { return };
        if let Entry::Occupied(mut count) = self.sources.entry(source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

// === impl Gate ===

impl Gate {
    async fn admit(self, stream: TcpStream, from: SocketAddr) {
        let presented = Arc::default();
        let (why, error) = match timeout(HANDSHAKE, self.handshake(stream, &presented)).await {
            Ok(Ok(connection)) => {
                self.metrics.accepted();
                // Nobody asks any more where the listener has been dropped.
                let _ = self.ready.send(connection).await;
                return;
            }
            Ok(Err(error)) => (reason(&error), error),
            Err(late) => (Refusal::Timeout, late.into()),
        };
        self.refuse(why, from, presented.get(), &error);
    }

    fn refuse(&self, why: Refusal, from: SocketAddr, presented: Option<&Presented>, detail: &dyn Display) {
        self.metrics.refused(why);
        self.journal.say(why, from, presented, detail);
    }

    async fn handshake(&self, stream: TcpStream, presented: &Arc<OnceLock<Presented>>) -> io::Result<Connection> {
        // Answers are small and waited for.
        stream.set_nodelay(true)?;
        let config = self.terms.load().for_one(presented.clone()).map_err(io::Error::other)?;
        TlsAcceptor::from(Arc::new(config)).accept(stream).await
    }
}
