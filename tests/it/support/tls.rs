//! A client over TLS, with a certificate or without.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::certs::Pair;
use super::http1_parse::Parser;
use super::response::Response;

/// As for every client of these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a client presents itself.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// The local address that it connects from.
    from: SocketAddr,
}

/// All certificates of a file.
pub fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path).expect("a file of certificates");
    read.map(|certificate| certificate.expect("a certificate")).collect()
}

// === impl Client ===

impl Client {
    /// Trusts the authorities in `ca`, and presents `own` if there is one.
    pub fn new(ca: &Path, own: Option<&Pair>) -> Client {
        Client::with(ca, own, &[], &[&version::TLS13, &version::TLS12])
    }

    /// The same with these protocols inside and these versions of TLS.
    pub fn with(
        ca: &Path,
        own: Option<&Pair>,
        alpn: &[&[u8]],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Client {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca) {
            roots.add(certificate).expect("an authority");
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
                builder.with_client_auth_cert(certificates(&pair.certificate), key).expect("a pair")
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Client { config: Arc::new(config), from: ([127, 0, 0, 1], 0).into() }
    }

    /// The same from another loopback address.
    pub fn from(self, last: u8) -> Client {
        Client { from: ([127, 0, 0, last], 0).into(), ..self }
    }

    pub async fn connect(&self, address: &str) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(self.from)?;
        let stream = socket.connect(address.parse().map_err(io::Error::other)?).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        timeout(PATIENCE, TlsConnector::from(self.config.clone()).connect(name, stream)).await?
    }

    /// Sends the bytes of one request over HTTP/1.1 and reads the answer.
    pub async fn exchange(&self, address: &str, bytes: &[u8]) -> io::Result<Response> {
        let mut stream = self.connect(address).await?;
        stream.write_all(bytes).await?;
        let mut parser = Parser::new(false);
        let mut buffer = vec![0; 16 << 10];
        while !parser.over() {
            match timeout(PATIENCE, stream.read(&mut buffer)).await? {
                Ok(0) => {
                    parser.close(None);
                    break;
                }
                Ok(read) => parser.push(Duration::ZERO, &buffer[..read]),
                Err(error) => {
                    parser.close(Some(error.to_string()));
                    break;
                }
            }
        }
        Ok(parser.response)
    }
}
