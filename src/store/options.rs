//! [io] Where the store is and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use redis::{ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, RedisResult};

use super::access::Access;
use super::{OnState, Purpose, Unusable};
use crate::base::secret::Secret;

/// Where the store is and how it is spoken to.
#[derive(Clone)]
pub struct Options {
    /// Without a password; one of these:
    ///
    /// * one `redis://HOST:PORT/DATABASE`, `rediss://` for TLS, or `unix:///PATH`: a server. Where it says that it
    ///   is of a Cluster, that Cluster: a managed one has one address.
    /// * several of these: servers of one Cluster, of which any may be away.
    /// * one or several `redis+sentinel://HOST:PORT/MASTER/DATABASE`, `rediss+sentinel://` for TLS: the Sentinels
    ///   that say where this master is now.
    pub urls: Vec<String>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    /// The Sentinels' own.
    pub sentinel_username: Option<String>,
    pub sentinel_password: Option<Secret>,
    pub tls: Tls,
    /// The beginning of every key.
    pub prefix: String,
    /// The longest that a request waits for the store.
    pub timeout: Duration,
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

/// What the URLs name.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A server, or any of a Cluster. What it is it says itself.
    One(ConnectionAddr),
    /// Servers of one Cluster.
    Cluster(Vec<ConnectionAddr>),
    Sentinels(Sentinels),
}

/// Who says where a master is.
#[derive(Clone, Debug)]
pub(super) struct Sentinels {
    pub addresses: Vec<ConnectionAddr>,
    /// The name under which they watch it.
    pub master: String,
}

const SENTINEL: &str = "+sentinel://";
const SENTINEL_PORT: u16 = 26_379;

// === impl Options ===

impl Options {
    /// The defaults, for the store at `url`.
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            urls: vec![url.into()],
            username: None,
            password: None,
            sentinel_username: None,
            sentinel_password: None,
            tls: Tls::default(),
            prefix: "weir".to_owned(),
            timeout: Duration::from_millis(20),
            on_state: Arc::new(|_| {}),
        }
    }

    /// Where it is, and what is said at each connection.
    ///
    /// # Errors
    /// Where that can never work.
    pub(super) fn read(&self, purpose: Purpose) -> Result<(Place, Access), Unusable> {
        self.place().map_err(|error| Unusable::Address(purpose.store, error))
    }

    fn place(&self) -> RedisResult<(Place, Access)> {
        let (addresses, rest): (Vec<_>, Vec<_>) =
            self.urls.iter().map(|url| read(url)).collect::<RedisResult<Vec<_>>>()?.into_iter().unzip();
        let (Some(first), Some(rest)) = (addresses.first(), same(&rest)) else {
            return Err(wrong("the URLs of a store are of one kind, with one database and one master"));
        };
        let access = Access {
            username: self.username.clone(),
            password: self.password.clone(),
            sentinel_username: self.sentinel_username.clone(),
            sentinel_password: self.sentinel_password.clone(),
            tls: self.tls.clone(),
            is_tls: matches!(first, ConnectionAddr::TcpTls { .. }),
            database: rest.database,
        };
        // What can never work is said at once.
        access.client(first.clone())?;
        let place = match rest.master.clone() {
            Some(master) => Place::Sentinels(Sentinels { addresses, master }),
            None if addresses.len() == 1 => Place::One(first.clone()),
            None if rest.database != 0 => return Err(wrong("a Cluster has no database but 0")),
            None => Place::Cluster(addresses),
        };
        Ok((place, access))
    }
}

/// What a URL says besides the address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rest {
    scheme: String,
    master: Option<String>,
    database: i64,
}

fn read(url: &str) -> RedisResult<(ConnectionAddr, Rest)> {
    let Some((scheme, rest)) = url.split_once(SENTINEL) else {
        let address = url.into_connection_info()?;
        let scheme = url.split(':').next().unwrap_or_default().to_owned();
        let database = address.redis_settings().db();
        return Ok((address.addr().clone(), Rest { scheme, master: None, database }));
    };
    let mut parts = rest.split('/');
    let (host, master, database) = (parts.next(), parts.next(), parts.next().filter(|database| !database.is_empty()));
    let master = master.filter(|master| !master.is_empty());
    let database = database.map_or(Some(0), |database| database.parse().ok());
    let (Some(host), Some(master), Some(database), None) = (host, master, database, parts.next()) else {
        return Err(wrong("a Sentinel's URL is redis+sentinel://HOST:PORT/MASTER/DATABASE"));
    };
    let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
    let host = if has_port { host.to_owned() } else { format!("{host}:{SENTINEL_PORT}") };
    let address = format!("{scheme}://{host}").into_connection_info()?;
    Ok((
        address.addr().clone(),
        Rest { scheme: format!("{scheme}{SENTINEL}"), master: Some(master.to_owned()), database },
    ))
}

/// The one that all of them are.
fn same(all: &[Rest]) -> Option<&Rest> {
    let first = all.first()?;
    all.iter().all(|one| one == first).then_some(first)
}

fn wrong(words: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(urls: &[&str]) -> Result<(String, i64), String> {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        let (place, access) = Options { urls, ..Options::new("") }.place().map_err(|error| error.to_string())?;
        let words = match place {
            Place::One(address) => format!("one {address}"),
            Place::Cluster(all) => {
                format!("cluster {}", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            Place::Sentinels(Sentinels { addresses, master }) => {
                format!("{master} of {}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
        };
        Ok((words, access.database))
    }

    #[test]
    fn urls_say_what_a_store_is() {
        for (urls, said, database) in [
            (&["redis://a:7000/3"][..], "one a:7000", 3),
            (&["redis://a"], "one a:6379", 0),
            (&["unix:///run/redis"], "one /run/redis", 0),
            (&["redis://a:7000", "redis://b:7001/0"], "cluster a:7000 b:7001", 0),
            (&["redis+sentinel://a/mymaster"], "mymaster of a:26379", 0),
            (&["rediss+sentinel://[::1]:5/m/2", "rediss+sentinel://b/m/2"], "m of ::1:5 b:26379", 2),
        ] {
            assert_eq!(place(urls), Ok((said.to_owned(), database)), "{urls:?}");
        }
        for urls in [
            &[][..],
            &["redis://a:7000", "rediss://b:7000"],
            &["redis://a:7000/1", "redis://b:7000/1"],
            &["redis+sentinel://a/m", "redis+sentinel://b/n"],
            &["redis+sentinel://a/m/1", "redis://b"],
            &["redis+sentinel://a"],
            &["redis+sentinel://a/m/x"],
            &["redis+sentinel://a/m/0/1"],
        ] {
            assert!(place(urls).is_err(), "{urls:?}");
        }
    }
}
