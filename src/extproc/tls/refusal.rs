//! Why a connection is refused: a word for the metric, a sentence for the log, and a bound on how often it
//! is said, so that a scanner fills no disk and hides nothing.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

use super::peer::Presented;
use crate::telemetry::metrics::HandshakeRefusal as Refusal;

/// Each reason is said once in this time; the next line tells how many were not said.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// The longest name in a log line, in characters.
const NAME: usize = 256;

/// What was said when.
#[derive(Debug, Default)]
pub(super) struct Journal {
    slots: Mutex<[Slot; Refusal::ALL.len()]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    said: Option<Instant>,
    unsaid: u64,
}

/// The names of a certificate, as they may stand in a log.
struct Names<'a>(Option<&'a Presented>);

/// Why a handshake failed. An error of the connection itself has no word of TLS in it.
pub(super) fn reason(error: &io::Error) -> Refusal {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return Refusal::Closed;
    };
    match error {
        Error::NoCertificatesPresented => Refusal::NoCertificate,
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => Refusal::NotPinned,
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => Refusal::Expired,
        Error::InvalidCertificate(_) => Refusal::Untrusted,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            Refusal::NotTls
        }
        // The client does not trust us: its log says more than ours can.
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked,
        ) => Refusal::ByClient,
        _ => Refusal::Protocol,
    }
}

/// What an operator needs to know of it.
fn sentence(why: Refusal) -> &'static str {
    match why {
        Refusal::NotTls => "it does not speak TLS",
        Refusal::NoCertificate => {
            "it presents no certificate; the proxy's cluster needs one of spec.listen.tls.clientCA"
        }
        Refusal::Untrusted => "its certificate is not one that spec.listen.tls.clientCA signed for clients",
        Refusal::Expired => "its certificate is not valid at this time",
        Refusal::NotPinned => "its certificate is right, and its URI name is not exactly one of spec.listen.tls.peers",
        Refusal::ByClient => "it does not take our certificate; see spec.listen.tls.certificate and its own CA",
        Refusal::Protocol => "the TLS handshake failed",
        Refusal::Timeout => "its TLS handshake took too long",
        Refusal::Crowded => "too many of this address are in their TLS handshakes",
        Refusal::Closed => "it left during the TLS handshake",
    }
}

// === impl Journal ===

impl Journal {
    /// Says it, if the last time is long enough ago.
    pub fn say(&self, why: Refusal, from: SocketAddr, presented: Option<&Presented>, detail: &dyn fmt::Display) {
        let Some(unsaid) = self.turn(why, Instant::now()) else { return };
        let (sentence, names) = (sentence(why), Names(presented));
        // Port scans and TCP health checks do just that.
        if why == Refusal::Closed {
            return tracing::debug!(%from, unsaid, "ext_proc connection refused: {sentence}");
        }
        tracing::warn!(%from, %names, unsaid, "ext_proc connection refused: {sentence} ({detail})");
    }

    /// How often this reason was not said since it was said last, if it is to be said now.
    fn turn(&self, why: Refusal, now: Instant) -> Option<u64> {
        // A poisoned lock still guards whole slots.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get_mut(why as usize)?;
        if slot.said.is_some_and(|said| now.saturating_duration_since(said) < QUIET) {
            slot.unsaid += 1;
            return None;
        }
        slot.said = Some(now);
        Some(std::mem::take(&mut slot.unsaid))
    }
}

// === impl Names ===

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(names) = self.0.filter(|names| !names.is_empty()) else { return f.write_str("none") };
        for (at, name) in names.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            // Escaped: whoever made the certificate must not write lines into our log.
            write!(f, "{separator}{}", name.chars().take(NAME).flat_map(char::escape_debug).collect::<String>())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_said_once_in_its_time_and_none_hides_another() {
        let (journal, start) = (Journal::default(), Instant::now());
        assert_eq!(journal.turn(Refusal::NotTls, start), Some(0));
        for n in 0..1000 {
            assert_eq!(journal.turn(Refusal::NotTls, start + Duration::from_millis(n)), None);
        }
        assert_eq!(journal.turn(Refusal::NotPinned, start + Duration::from_secs(1)), Some(0));
        assert_eq!(journal.turn(Refusal::NotTls, start + QUIET), Some(1000));
        assert_eq!(journal.turn(Refusal::NotTls, start + QUIET + QUIET), Some(0));
    }

    #[test]
    fn names_in_the_log_are_short_and_on_one_line() {
        let names = vec!["spiffe://a\nERROR forged".to_owned(), "x".repeat(5000)];
        let shown = Names(Some(&names)).to_string();
        assert!(shown.starts_with("spiffe://a\\nERROR forged,xxx") && shown.len() < 300, "{shown}");
        assert_eq!(Names(Some(&Vec::new())).to_string(), "none");
    }
}
