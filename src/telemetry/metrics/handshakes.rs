//! The families about the TLS listener: who was let in, who was not and why, and its certificates.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Reason;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeRefusal {
    /// It does not speak TLS.
    NotTls,
    /// The client shows no certificate.
    NoCertificate,
    /// No CA of ours signed the certificate for this purpose.
    Untrusted,
    /// The certificate is not valid now.
    Expired,
    /// The certificate is right, and its identity is not one of those that are served.
    NotPinned,
    /// The client does not take the listener's own certificate.
    ByClient,
    /// Any other failure of TLS.
    Protocol,
    Timeout,
    /// There were too many of its address already.
    Crowded,
    /// The client left before it had shown who it is.
    Closed,
}

/// Counts handshakes. Cloning gives another handle on the same counters.
#[derive(Clone, Debug, Default)]
pub struct Handshakes(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    accepted: Counter,
    /// In the order of [`HandshakeRefusal::ALL`].
    refused: [Counter; HandshakeRefusal::ALL.len()],
    renewed: Counter,
    kept: Gauge,
}

// === impl HandshakeRefusal ===

impl HandshakeRefusal {
    /// In the order in which they are declared.
    pub const ALL: [HandshakeRefusal; 10] = [
        HandshakeRefusal::NotTls,
        HandshakeRefusal::NoCertificate,
        HandshakeRefusal::Untrusted,
        HandshakeRefusal::Expired,
        HandshakeRefusal::NotPinned,
        HandshakeRefusal::ByClient,
        HandshakeRefusal::Protocol,
        HandshakeRefusal::Timeout,
        HandshakeRefusal::Crowded,
        HandshakeRefusal::Closed,
    ];

    /// The word in the label.
    pub fn as_str(self) -> &'static str {
        match self {
            HandshakeRefusal::NotTls => "not_tls",
            HandshakeRefusal::NoCertificate => "no_certificate",
            HandshakeRefusal::Untrusted => "untrusted",
            HandshakeRefusal::Expired => "expired",
            HandshakeRefusal::NotPinned => "not_pinned",
            HandshakeRefusal::ByClient => "by_client",
            HandshakeRefusal::Protocol => "protocol",
            HandshakeRefusal::Timeout => "timeout",
            HandshakeRefusal::Crowded => "crowded",
            HandshakeRefusal::Closed => "closed",
        }
    }
}

// === impl Handshakes ===

impl Handshakes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let refused = super::family::<Reason>(
            registry,
            "weir_tls_refused",
            "Connections that the ext_proc listener refused in their TLS handshake, by reason",
        );
        Handshakes(Arc::new(Counters {
            accepted: super::counter(registry, "weir_tls_accepted", "Connections that came through the TLS handshake"),
            refused: HandshakeRefusal::ALL.map(|why| refused.get_or_create_owned(&Reason { reason: why.as_str() })),
            renewed: super::counter(
                registry,
                "weir_tls_reloads",
                "Times that new certificates of the ext_proc listener were put in force",
            ),
            kept: super::gauge(
                registry,
                "weir_tls_kept",
                "1 while the listener's files are unusable, so that the certificates before stay in force",
            ),
        }))
    }

    /// A client has come through.
    pub fn accepted(&self) {
        self.0.accepted.inc();
    }

    /// A client has not.
    pub fn refused(&self, why: HandshakeRefusal) {
        if let Some(counter) = self.0.refused.get(why as usize) {
            counter.inc();
        }
    }

    /// New certificates are in force.
    pub fn renewed(&self) {
        self.0.renewed.inc();
        self.kept(false);
    }

    /// Whether certificates are in force that their files do not hold any more.
    pub fn kept(&self, kept: bool) {
        self.0.kept.set(kept.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_counted_by_its_own_word() {
        let mut registry = Registry::default();
        let handshakes = Handshakes::register(&mut registry);
        for (at, why) in HandshakeRefusal::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
            (0..=at).for_each(|_| handshakes.refused(why));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (at, why) in HandshakeRefusal::ALL.into_iter().enumerate() {
            let line = format!("weir_tls_refused_total{{reason=\"{}\"}} {}\n", why.as_str(), at + 1);
            assert!(text.contains(&line), "{line}{text}");
        }
    }
}
