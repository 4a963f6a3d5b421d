//! Takes connections, and gives those on whose client the terms agree. Each handshake is a task of its own with
//! an end in time; so many run side by side and no more, and fewer of one address, so that whoever opens
//! connections and says nothing exhausts nothing and keeps nobody else away.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
/// Of one source, side by side: more are closed, so that a few hosts cannot take every place. A proxy opens
/// one connection a worker thread, and a handshake takes milliseconds.
const OF_ONE: usize = 32;
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
    tasks: HashMap<Id, Source>,
    sources: HashMap<Source, usize>,
}

/// Who has the power over an address: of IPv6 a host is given 64 bits to choose from, so the network is what
/// counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    Host(Ipv4Addr),
    /// The first 64 bits.
    Network(u64),
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
                Ok((_, from)) if crowd.is_full_for(Source::of(from.ip())) => gate.refuse(Refusal::Crowded, from, None, &format_args!("{OF_ONE} at most")),
                Ok((stream, from)) => crowd.enter(handshakes.spawn(gate.clone().admit(stream, from)).id(), Source::of(from.ip())),
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
    fn is_full_for(&self, source: Source) -> bool {
        self.sources.get(&source).is_some_and(|count| *count >= OF_ONE)
    }

    fn enter(&mut self, task: Id, source: Source) {
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

// === impl Source ===

impl Source {
    /// An IPv4 address that a socket for both says as one of IPv6 is what it was.
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(host) => Source::Host(host),
            IpAddr::V6(address) => Source::Network((address.to_bits() >> 64) as u64),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn a_source_is_a_host_of_ipv4_and_a_network_of_ipv6() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            // No address of IPv6 takes the places of one of IPv4.
            ("::ffff:0:0", "0.0.0.0", true),
            ("::1", "0.0.0.1", false),
        ] {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }

    #[tokio::test]
    async fn one_network_has_a_share_and_leaves_the_others_theirs() {
        let (mut crowd, mut tasks) = (Crowd::default(), JoinSet::new());
        let ids: Vec<Id> = (0..OF_ONE).map(|_| tasks.spawn(async {}).id()).collect();
        for (host, id) in ids.iter().enumerate() {
            let from = source(&format!("2001:db8::{host:x}"));
            assert!(!crowd.is_full_for(from), "{host}");
            crowd.enter(*id, from);
        }
        assert!(crowd.is_full_for(source("2001:db8::ffff")));
        assert!(!crowd.is_full_for(source("2001:db8:1::1")) && !crowd.is_full_for(source("192.0.2.1")));
        crowd.leave(ids[0]);
        assert!(!crowd.is_full_for(source("2001:db8::ffff")));
        ids.iter().for_each(|id| crowd.leave(*id));
        assert!(crowd.sources.is_empty() && crowd.tasks.is_empty(), "nothing is kept of who has left");
    }
}
