//! What a listener presents and whom it believes, made of three PEM files: all of it right, or nothing.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use super::peer::{Pinned, Presented};
use crate::config::ListenTls;

/// The largest file: a bundle of CAs has some hundred kilobytes.
const MAX_FILE: u64 = 4 << 20;

/// The one protocol that is spoken inside.
const ALPN: &[u8] = b"h2";

/// Why the files of a listener are of no use. Nothing of a key is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    #[error("spec.listen.tls.{field}: {path} cannot be read: {why}", path = .path.display())]
    Unreadable { field: &'static str, path: PathBuf, why: String },
    #[error("spec.listen.tls.{field}: {path} holds no {what} in PEM{hint}", path = .path.display())]
    Nothing { field: &'static str, path: PathBuf, what: &'static str, hint: &'static str },
    #[error("spec.listen.tls.{field}: {path} is no PEM file: {why}", path = .path.display())]
    NotPem { field: &'static str, path: PathBuf, why: String },
    #[error("spec.listen.tls.clientCA: certificate {number} of {path} is none that a CA can have: {why}", path = .path.display())]
    Ca { path: PathBuf, number: usize, why: String },
    #[error("spec.listen.tls: the key in {key} and the certificate in {certificate} do not make a pair: {why}", key = .key.display(), certificate = .certificate.display())]
    NoPair { certificate: PathBuf, key: PathBuf, why: String },
    #[error("spec.listen.tls.clientCA: no client can be checked with {path}: {why}", path = .path.display())]
    Verifier { path: PathBuf, why: String },
}

/// The three files as they were read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Vec<u8>,
}

/// What new handshakes go by.
#[derive(Debug)]
pub(super) struct Terms {
    provider: Arc<CryptoProvider>,
    own: Arc<dyn ResolvesServerCert>,
    /// Checks chain, dates and purpose; whom it lets through may still be a stranger.
    signed: Arc<dyn ClientCertVerifier>,
    peers: Arc<[String]>,
}

// === impl Pems ===

impl Pems {
    /// Reads the files. Warns of a key that others can read.
    pub fn read(tls: &ListenTls) -> Result<Pems, TermsError> {
        Ok(Pems {
            certificate: read("certificate", &tls.certificate)?,
            key: read("key", &tls.key)?,
            client_ca: read("clientCA", &tls.client_ca)?,
        })
    }
}

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, TermsError> {
    let failed = |why: String| TermsError::Unreadable { field, path: path.to_owned(), why };
    let whole = |path: &Path| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = whole(path).map_err(|error| failed(error.to_string()))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE) {
        Ok(bytes)
    } else {
        Err(failed("it is larger than 4 MiB".to_owned()))
    }
}

/// Whether users beside the owner and the group can read the file.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

// === impl Terms ===

impl Terms {
    pub fn new(tls: &ListenTls, pems: &Pems) -> Result<Terms, TermsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates("certificate", &tls.certificate, &pems.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pems.key).map_err(|error| {
            let hint = "; one with a passphrase cannot be used";
            not_pem("key", &tls.key, "private key", hint, &error)
        })?;
        let own = CertifiedKey::from_der(chain, key, &provider).map_err(|error| TermsError::NoPair {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            why: error.to_string(),
        })?;
        let mut roots = RootCertStore::empty();
        let cas = certificates("clientCA", &tls.client_ca, &pems.client_ca)?;
        for (at, ca) in cas.into_iter().enumerate() {
            let failed = |error: rustls::Error| TermsError::Ca {
                path: tls.client_ca.clone(),
                number: at + 1,
                why: error.to_string(),
            };
            roots.add(ca).map_err(failed)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let signed = verifier.build().map_err(|error: VerifierBuilderError| TermsError::Verifier {
            path: tls.client_ca.clone(),
            why: error.to_string(),
        })?;
        let peers = tls.peers.clone().into();
        Ok(Terms { provider, own: Arc::new(SingleCertAndKey::from(own)), signed, peers })
    }

    /// What one handshake is made with; `presented` is told what the client shows.
    pub fn for_one(&self, presented: Arc<OnceLock<Presented>>) -> Result<ServerConfig, rustls::Error> {
        let verifier = Pinned { signed: self.signed.clone(), peers: self.peers.clone(), presented };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.own.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would be one whose certificate nobody looks at.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

fn certificates(field: &'static str, path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TermsError> {
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
    let all = all.map_err(|error| not_pem(field, path, "certificate", "", &error))?;
    if all.is_empty() {
        return Err(not_pem(field, path, "certificate", "", &pem::Error::NoItemsFound));
    }
    Ok(all)
}

/// Errors of the reader may repeat lines of the file, so for a key only their kind is said.
fn not_pem(field: &'static str, path: &Path, what: &'static str, hint: &'static str, error: &pem::Error) -> TermsError {
    let path = path.to_owned();
    let why = match error {
        pem::Error::NoItemsFound => return TermsError::Nothing { field, path, what, hint },
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins in a way that none does",
        pem::Error::Base64Decode(_) => "its Base64 is damaged",
        pem::Error::SectionTooLarge => "a section is too large",
        _ => "it cannot be read",
    };
    TermsError::NotPem { field, path, why: why.to_owned() }
}
