//! [io] What is said at each connection: who comes, and whom TLS trusts.

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use redis::{RedisConnectionInfo, RedisResult, TlsCertificates};

use super::options::Tls;
use crate::base::secret::Secret;

/// What connections that are made from now on say.
#[derive(Clone)]
pub(super) struct Access {
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub sentinel_username: Option<String>,
    pub sentinel_password: Option<Secret>,
    pub tls: Tls,
    /// Whether servers that are only heard of are spoken to over TLS.
    pub is_tls: bool,
    pub database: i64,
}

// === impl Access ===

impl Access {
    /// Of a server that holds the data.
    pub(super) fn client(&self, address: ConnectionAddr) -> RedisResult<Client> {
        let settings = RedisConnectionInfo::default().set_db(self.database);
        self.open(address, settings, self.username.as_deref(), self.password.as_ref())
    }

    /// Of a Sentinel.
    pub(super) fn sentinel(&self, address: ConnectionAddr) -> RedisResult<Client> {
        let settings = RedisConnectionInfo::default();
        self.open(address, settings, self.sentinel_username.as_deref(), self.sentinel_password.as_ref())
    }

    /// The address of a server that another one names.
    pub(super) fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        match self.is_tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        }
    }

    fn open(
        &self,
        address: ConnectionAddr,
        settings: RedisConnectionInfo,
        username: Option<&str>,
        password: Option<&Secret>,
    ) -> RedisResult<Client> {
        let mut settings = settings.set_skip_set_lib_name();
        if let Some(username) = username {
            settings = settings.set_username(username);
        }
        if let Some(password) = password {
            settings = settings.set_password(password.expose());
        }
        let is_tls = matches!(address, ConnectionAddr::TcpTls { .. });
        let info: ConnectionInfo = address.into_connection_info()?.set_redis_settings(settings);
        if !is_tls {
            return Client::open(info);
        }
        let client_tls = self.tls.client.as_ref().map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.expose().as_bytes().to_vec(),
        });
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: self.tls.authorities.clone() })
    }
}
