//! Where the proxy reaches the external processor: a Unix socket, plain TCP, or TCP with mutual TLS.

use std::path::PathBuf;

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Shape, need, set};
use super::super::text;
use super::super::value::{self, Address, ValueError};
use super::scope::texts;

/// The listener of the external processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    Unix(PathBuf),
    /// In plain text; such a listener does not sign.
    Tcp(Address),
    /// With a client certificate of which the CA and the identity are given; such a listener signs.
    Tls(Address, ListenTls),
}

/// What a TLS listener presents, and whom it serves. The files are read when the listener is opened, and
/// again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// PEM: the listener's own certificate, and those that lead to its CA.
    pub certificate: PathBuf,
    /// PEM: the private key of that certificate.
    pub key: PathBuf,
    /// PEM: the CAs of clients.
    pub client_ca: PathBuf,
    /// The SPIFFE ids that are served, each in full; at least one. Whoever has any other certificate of the
    /// CA is refused.
    pub peers: Vec<String>,
}

pub(super) const TLS: Fields = Fields::of(&[
    need("certificate", Shape::Object(&FILE), "The certificate of this listener."),
    need("key", Shape::Object(&FILE), "Its key."),
    need("clientCA", Shape::Object(&FILE), "Whose certificates peers may have."),
    need("peers", set(&Shape::Text(&text::SPIFFE), 64), "The SPIFFE ids of the proxies that may call."),
]);
pub(super) const FILE: Fields = Fields::of(&[need("file", Shape::Text(&text::FILE_PATH), "A PEM file.")]);

/// Reads `extProc` and `tls` of a `listen`; `default` is what holds where there is no `extProc`.
pub(super) fn read(listen: &Object<'_>, default: Listen) -> Listen {
    let tls = listen.get("tls");
    let stated = listen.get("extProc").and_then(|address| address.parsed(listener));
    let is_wrong = stated.is_none() && listen.get("extProc").is_some();
    let listen = stated.unwrap_or(default);
    let Some(field) = tls else { return listen };
    let tls = ListenTls::read(&field);
    match (listen, tls) {
        (Listen::Tcp(address), Some(tls)) => Listen::Tls(address, tls),
        (listen @ Listen::Unix(_), _) if !is_wrong => {
            field.error("only a TCP listener has TLS: say `extProc: \"tcp:HOST:PORT\"`, or leave this out");
            listen
        }
        (listen, _) => listen,
    }
}

// === impl ListenTls ===

impl ListenTls {
    fn read(reader: &Reader<'_>) -> Option<ListenTls> {
        let tls = reader.object(&TLS)?;
        let file = |name| {
            let file = tls.need(name)?.object(&FILE)?.need("file")?;
            file.parsed(form::file_path).map(PathBuf::from)
        };
        let (certificate, key, client_ca) = (file("certificate"), file("key"), file("clientCA"));
        // Without a pinned peer any certificate of the CA could read keys.
        let peers = tls.need("peers").and_then(|peers| texts(&peers, peer));
        Some(ListenTls { certificate: certificate?, key: key?, client_ca: client_ca?, peers: peers? })
    }
}

/// One SPIFFE id: a pattern would pin nobody.
fn peer(text: &str) -> Result<String, ValueError> {
    form::spiffe_id(text).and_then(|id| if id.contains('*') { Err(ValueError::PeerPattern) } else { Ok(id) })
}

pub(in super::super) fn listener(text: &str) -> Result<Listen, ValueError> {
    match text.strip_prefix("tcp:") {
        Some(address) => value::address(address).map(Listen::Tcp),
        None => value::socket(text).map(|path| Listen::Unix(path.into())),
    }
    .map_err(|_| ValueError::Listener)
}
