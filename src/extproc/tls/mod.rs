//! The TCP listener with mutual TLS, and a pinned peer: who may connect is decided here, before a byte of
//! gRPC is read. Whoever gets through can read provider keys out of the answers.
//!
//! A client must present a certificate that one of the CAs signed for client use, that is valid now, and
//! whose only URI name is one of the pinned SPIFFE ids, byte for byte. A certificate with two URI names is
//! nobody's: SPIFFE forbids it (X.509-SVID, section 2), and the second name might be the one that counts
//! elsewhere. Common names and DNS names count for nothing. No session is ever resumed, so that each
//! connection is judged by the certificates in force.
//!
//! ```text
//! terms    files -> what is presented and who is believed     checked as a whole, or refused
//! peer     the certificate of one client -> yes or no
//! accept   connections, handshakes side by side and bounded
//! rotate   files change -> new terms for new handshakes; broken ones keep the last good
//! refusal  why not: counted, and said in the log at a bounded rate
//! ```

mod accept;
mod peer;
mod refusal;
mod rotate;
mod terms;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;

pub use accept::{Connection, Connections};
pub use terms::TermsError;

use crate::config::ListenTls;
use crate::telemetry::metrics::Handshakes;
use rotate::Rotation;
use terms::Terms;

/// A listener that has read its files and takes no connection yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    terms: Arc<ArcSwap<Terms>>,
    rotation: Rotation,
    metrics: Handshakes,
}

// === impl Listener ===

impl Listener {
    /// Reads the files that `tls` names and puts their terms on a bound listener. Blocks while it reads.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn new(listener: TcpListener, tls: &ListenTls) -> Result<Listener, TermsError> {
        let (terms, rotation) = Rotation::begin(tls)?;
        Ok(Listener { listener, terms, rotation, metrics: Handshakes::default() })
    }

    /// Counts in these metrics from now on.
    #[must_use]
    pub fn counted(self, metrics: Handshakes) -> Listener {
        Listener { metrics, ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes connections until the stream is dropped. Those that have come through stay then.
    pub fn connections(self) -> Connections {
        Connections::take(self.listener, self.terms, self.rotation, self.metrics)
    }
}
