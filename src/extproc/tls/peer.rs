//! Whether the certificate of one client is the one that is waited for.

use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::EndEntityCert;

/// Names of one certificate that are kept for the log, at most.
const NAMES: usize = 4;

/// The URI names that a client's certificate has: believed or not, so for the log alone.
pub(super) type Presented = Vec<String>;

/// Lets through whom `signed` does and who is one of `peers`.
#[derive(Debug)]
pub(super) struct Pinned {
    pub signed: Arc<dyn ClientCertVerifier>,
    pub peers: Arc<[String]>,
    /// Of the one connection that this is for.
    pub presented: Arc<OnceLock<Presented>>,
}

// === impl Pinned ===

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let kept = certificate.valid_uri_names().take(NAMES).map(str::to_owned).collect();
        // A handshake asks once; if it asked twice the first answer would do.
        let _ = self.presented.set(kept);
        let verified = self.signed.verify_client_cert(end_entity, intermediates, now)?;
        if is_pinned(certificate.valid_uri_names(), &self.peers) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// True if there is exactly one name, and it is a pinned one.
fn is_pinned<'a>(mut names: impl Iterator<Item = &'a str>, peers: &[String]) -> bool {
    match (names.next(), names.next()) {
        (Some(name), None) => peers.iter().any(|peer| peer == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_and_that_in_full() {
        let peers = ["spiffe://mesh/ns/a/sa/b".to_owned(), "spiffe://mesh/ns/c/sa/d".to_owned()];
        let pinned = |names: &[&str]| is_pinned(names.iter().copied(), &peers);
        assert!(pinned(&["spiffe://mesh/ns/a/sa/b"]) && pinned(&["spiffe://mesh/ns/c/sa/d"]));
        for names in [
            &[][..],
            &[""],
            &["spiffe://mesh/ns/a/sa/b/"],
            &["spiffe://mesh/ns/a/sa"],
            &["spiffe://mesh/ns/a/sa/bb"],
            &["SPIFFE://mesh/ns/a/sa/b"],
            &["spiffe://MESH/ns/a/sa/b"],
            &["spiffe://mesh/ns/a/sa/%62"],
            &["spiffe://mesh/ns/*/sa/b"],
            &["spiffe://mesh/ns/a/sa/b", "spiffe://mesh/ns/c/sa/d"],
            &["spiffe://mesh/ns/a/sa/b", "spiffe://mesh/ns/a/sa/b"],
            &["https://other", "spiffe://mesh/ns/a/sa/b"],
        ] {
            assert!(!pinned(names), "{names:?}");
        }
        assert!(!is_pinned(["a"].into_iter(), &[]), "nobody is pinned");
    }
}
