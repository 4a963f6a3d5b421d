//! A wire to the store that can be slow, lose what comes back, or break.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::task::AbortOnDropHandle;

use super::certs::{Authority, Pair};
use super::tls::certificates;

/// What becomes of the store's replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replies {
    Pass,
    /// They come after this time.
    Slow(Duration),
    /// They never come, and nothing more on that connection.
    Lost,
    /// The connection breaks instead of the next, and replies pass again.
    Broken,
}

/// It listens on a port of its own until it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    wire: Arc<Wire>,
    _listening: AbortOnDropHandle<()>,
}

struct Wire {
    socket: PathBuf,
    replies: Mutex<Replies>,
    came: AtomicU64,
    resets: AtomicBool,
    cuts: watch::Sender<u64>,
}

// === impl Proxy ===

impl Proxy {
    /// To the server on this socket; with `tls`, over TLS.
    pub async fn new(socket: PathBuf, tls: Option<TlsAcceptor>) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let wire = Arc::new(Wire {
            socket,
            replies: Mutex::new(Replies::Pass),
            came: AtomicU64::new(0),
            resets: AtomicBool::new(false),
            cuts: watch::Sender::new(0),
        });
        let listening = AbortOnDropHandle::new(tokio::spawn(listen(listener, Arc::clone(&wire), tls)));
        Proxy { address, wire, _listening: listening }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, replies: Replies) {
        *self.wire.replies.lock().expect("no panic") = replies;
    }

    /// Breaks every connection that there is.
    pub fn cut(&self) {
        self.wire.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Connections that are made from now on end with a reset.
    pub fn reset(&self) {
        self.wire.resets.store(true, Ordering::SeqCst);
    }

    /// How many replies have come from the store, whatever became of them.
    pub fn came(&self) -> u64 {
        self.wire.came.load(Ordering::SeqCst)
    }
}

async fn listen(listener: TcpListener, wire: Arc<Wire>, tls: Option<TlsAcceptor>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        client.set_nodelay(true).expect("a socket");
        if wire.resets.load(Ordering::SeqCst) {
            client.set_zero_linger().expect("a socket");
        }
        let (wire, tls) = (Arc::clone(&wire), tls.clone());
        connections.spawn(async move {
            match tls {
                None => carry(client, &wire).await,
                Some(tls) => carry(tls.accept(client).await?, &wire).await,
            }
        });
    }
}

/// Until either side ends.
async fn carry(client: impl AsyncRead + AsyncWrite + Unpin, wire: &Wire) -> io::Result<()> {
    let (mut from_server, mut to_server) = UnixStream::connect(&wire.socket).await?.into_split();
    let (mut from_client, mut to_client) = split(client);
    let mut cuts = wire.cuts.subscribe();
    let back = async {
        let mut lost = false;
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = from_server.read(&mut bytes).await?;
            if count == 0 {
                return io::Result::Ok(());
            }
            wire.came.fetch_add(1, Ordering::SeqCst);
            let replies = *wire.replies.lock().expect("no panic");
            lost |= replies == Replies::Lost;
            match replies {
                Replies::Lost => {}
                _ if lost => {}
                Replies::Pass => to_client.write_all(&bytes[..count]).await?,
                Replies::Slow(time) => {
                    sleep(time).await;
                    to_client.write_all(&bytes[..count]).await?;
                }
                Replies::Broken => {
                    *wire.replies.lock().expect("no panic") = Replies::Pass;
                    return Ok(());
                }
            }
            to_client.flush().await?;
        }
    };
    tokio::select! {
        ended = back => ended,
        _ = cuts.changed() => Ok(()),
        ended = tokio::io::copy(&mut from_client, &mut to_server) => ended.map(drop),
    }
}

/// Of a server with this pair, which asks who comes where it has an authority for that.
pub fn acceptor(pair: &Pair, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config = config.expect("versions");
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(&authority.certificate));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.expect("an authority"))
        }
    };
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    TlsAcceptor::from(Arc::new(config.with_single_cert(certificates(&pair.certificate), key).expect("a pair")))
}
