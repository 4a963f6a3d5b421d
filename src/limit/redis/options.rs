//! [io] Where the store is and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, ConnectionAddr, IntoConnectionInfo, TlsCertificates};

use super::OnState;
use crate::base::secret::Secret;

/// Where the store is and how it is spoken to.
#[derive(Clone)]
pub struct Options {
    /// `redis://HOST:PORT/DATABASE`, `rediss://` for TLS, or `unix:///PATH`; without a password.
    pub url: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub tls: Tls,
    /// The beginning of every key.
    pub prefix: String,
    /// The longest that a request waits for the store.
    pub timeout: Duration,
    /// How long the calls of a replica stay held that is not heard of. It is heard of three times as often.
    pub hold: Duration,
    /// How many settlements wait at most while the store is away.
    pub queue: usize,
    pub on_state: OnState,
}

/// What TLS needs besides the system's own authorities.
#[derive(Clone, Default)]
pub struct Tls {
    /// Authorities in PEM, instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// A certificate and its key in PEM, for a server that asks who comes.
    pub client: Option<(Vec<u8>, Secret)>,
}

// === impl Options ===

impl Options {
    /// The defaults, for the store at `url`.
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            url: url.into(),
            username: None,
            password: None,
            tls: Tls::default(),
            prefix: "weir".to_owned(),
            timeout: Duration::from_millis(20),
            hold: Duration::from_secs(15),
            queue: 16_384,
            on_state: Arc::new(|_| {}),
        }
    }

    pub(super) fn client(&self) -> redis::RedisResult<Client> {
        let address = self.url.as_str().into_connection_info()?;
        let mut settings = address.redis_settings().clone().set_skip_set_lib_name();
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        let address = address.set_redis_settings(settings);
        if !matches!(address.addr(), ConnectionAddr::TcpTls { .. }) {
            return Client::open(address);
        }
        let client_tls = self.tls.client.as_ref().map(|(certificate, key)| redis::ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.expose().as_bytes().to_vec(),
        });
        Client::build_with_tls(address, TlsCertificates { client_tls, root_cert: self.tls.authorities.clone() })
    }
}
