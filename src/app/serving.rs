//! The listeners of the external processor, what is served on them, and how that ends: calls are refused first, attempts
//! after the last call.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::base::socket;
use crate::config::{Address, Bootstrap, Listen, SocketAccess};
use crate::extproc::server::{self, Listener};
use crate::extproc::signing::{self, Signing};
use crate::extproc::{Pool, Siblings, tls};
use crate::world::World;

/// How long the exchanges that were told to stop may take to say so to their clients.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often a drain looks whether exchanges are left that no stream belongs to any more.
const LOOK: Duration = Duration::from_millis(10);

/// Where the proxy reaches this process. Nothing is served there yet.
pub struct Listeners {
    pub calls: Listener,
    /// None where calls come by TCP: then none of them is tried at several backends.
    pub attempts: Option<Attempts>,
}

/// Where it asks what an attempt sends.
pub struct Attempts {
    listener: UnixListener,
    siblings: Siblings,
}

/// The servers that run.
pub(super) struct Serving {
    calls: Server,
    attempts: Option<(Server, Arc<Siblings>)>,
    drain: CancellationToken,
    /// There is no call any more.
    over: CancellationToken,
}

/// None once it has given its result.
type Server = Option<JoinHandle<Result<(), tonic::transport::Error>>>;

/// Opens the ext_proc listener of the configuration, and says whether keys are signed through it. The last is its name.
///
/// # Errors
/// When an address is taken or cannot be used.
pub async fn listen(bootstrap: &Bootstrap, insist: bool) -> Result<(Listeners, Signing, String), AppError> {
    match &bootstrap.listen.ext_proc {
        Listen::Unix(path) => {
            let failed = |source| unusable(path.clone(), source);
            let mode = bootstrap.listen.socket_mode;
            private_parent(path).map_err(failed)?;
            let listener = socket::bind(path, mode).await.map_err(failed)?;
            let (own, siblings) = Siblings::open(path, mode).await.map_err(|(path, source)| unusable(path, source))?;
            let attempts = Some(Attempts { listener: own, siblings });
            let mount = bootstrap.listen.socket_access == SocketAccess::Mount;
            let listeners = Listeners { calls: Listener::Unix(listener), attempts };
            Ok((listeners, signing::signing(path, mount), format!("unix:{}", path.display())))
        }
        Listen::Tcp(address) => {
            let (listener, what) = bind_tcp(address).await?;
            let signing = match insist {
                true => Signing::Insisted,
                false => Signing::Off(
                    "signing is off: anybody could connect to a plain TCP listener; use a Unix socket, or listen.tls",
                ),
            };
            Ok((Listeners { calls: Listener::Tcp(listener), attempts: None }, signing, what))
        }
        Listen::Tls(address, tls) => {
            let (listener, what) = bind_tcp(address).await?;
            let calls = Listener::Tls(Box::new(tls::Listener::new(listener, tls)?));
            Ok((Listeners { calls, attempts: None }, Signing::PinnedPeer, what))
        }
    }
}

fn unusable(path: PathBuf, source: io::Error) -> AppError {
    AppError::Listen { what: format!("unix:{}", path.display()), source }
}

/// A TCP listener, and what to call it.
async fn bind_tcp(address: &Address) -> Result<(TcpListener, String), AppError> {
    let failed = |source| AppError::Listen { what: address.to_string(), source };
    let listener = TcpListener::bind((address.host.as_str(), address.port)).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("tcp:{bound}")))
}

/// A directory for sockets is made private when it is Weir that makes it.
pub(super) fn private_parent(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match path.parent() {
        Some(parent) if !parent.exists() => std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent),
        _ => Ok(()),
    }
}

// === impl Attempts ===

impl Attempts {
    /// What names this process in the ids of its exchanges.
    pub(super) fn process(&self) -> u64 {
        self.siblings.process()
    }
}

// === impl Serving ===

impl Serving {
    /// Serves on these listeners. From here on the proxy's new connections for attempts come to this process.
    ///
    /// # Errors
    /// When the name of the socket for attempts cannot be taken over.
    pub fn start<W: World>(listeners: Listeners, world: Arc<W>, pool: &Arc<Pool>) -> Result<Serving, AppError> {
        let (drain, over) = (CancellationToken::new(), CancellationToken::new());
        let attempts = match listeners.attempts {
            None => None,
            Some(Attempts { listener, siblings }) => {
                siblings.take_over().map_err(|(path, source)| unusable(path, source))?;
                let siblings = Arc::new(siblings);
                let end = over.clone().cancelled_owned();
                let serving = server::serve_attempts(listener, siblings.clone(), pool.clone(), end);
                Some((Some(tokio::spawn(serving)), siblings))
            }
        };
        let calls = server::serve(listeners.calls, world, pool.clone(), drain.clone().cancelled_owned());
        Ok(Serving { calls: Some(tokio::spawn(calls)), attempts, drain, over })
    }

    /// Waits for one of the servers to end by itself.
    pub async fn failed(&mut self) -> AppError {
        let attempts = self.attempts.as_mut().map(|(server, _)| server);
        tokio::select! {
            error = ended(Some(&mut self.calls)) => error,
            error = ended(attempts) => error,
        }
    }

    /// Refuses new calls, waits for those that run and for the exchanges of streams that are gone, and ends what still
    /// runs when its time is over: at once where there is no server of calls any more. Attempts are heard until then.
    ///
    /// # Errors
    /// What the server of calls failed with, if it did.
    pub async fn finish(self, time: Duration, pool: &Pool) -> Result<(), AppError> {
        self.drain.cancel();
        let result = finish(self.calls, time, pool).await;
        let Some((serving, siblings)) = self.attempts else { return result };
        siblings.leave();
        self.over.cancel();
        if let Some(serving) = serving
            && tokio::time::timeout(LAST_WORDS, serving).await.is_err()
        {
            tracing::warn!(
                "the proxy keeps connections for attempts open that nobody needs; they end with the process"
            );
        }
        result
    }
}

async fn ended(server: Option<&mut Server>) -> AppError {
    let Some(server) = server else { return std::future::pending().await };
    let Some(serving) = server else { return std::future::pending().await };
    let ended = serving.await;
    // It has given its result, and must not be asked again.
    *server = None;
    match ended {
        Ok(Err(error)) => error.into(),
        _ => AppError::Ended,
    }
}

/// Waits for a server that drains and for the exchanges of streams that are gone, and ends what still runs when its time
/// is over. Where there is no server any more, it is over at once.
pub(super) async fn finish(serving: Server, time: Duration, pool: &Pool) -> Result<(), AppError> {
    let time = if serving.is_some() { time } else { Duration::ZERO };
    let ended = async {
        let served = match serving {
            Some(serving) => serving.await,
            None => Ok(Ok(())),
        };
        while pool.in_flight() > 0 {
            tokio::time::sleep(LOOK).await;
        }
        served
    };
    let mut ended = std::pin::pin!(ended);
    let mut result = tokio::time::timeout(time, &mut ended).await;
    if result.is_err() {
        tracing::warn!(exchanges = pool.in_flight(), "the drain timeout is over; ending what still runs");
        pool.end();
        result = tokio::time::timeout(LAST_WORDS, &mut ended).await;
    }
    match result {
        Ok(Ok(Err(error))) => Err(error.into()),
        Ok(_) => Ok(()),
        Err(_) => {
            // Each connection is a task of its own that nobody here can end; the process does.
            tracing::warn!(exchanges = pool.in_flight(), "some exchanges did not end; they end with the process");
            Ok(())
        }
    }
}
