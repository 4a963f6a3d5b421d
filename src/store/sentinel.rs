//! [io] Where a master is: what Sentinels say, asked at each connection and while there is one. A master that is
//! replaced takes writes for seconds after that, which are lost when it follows the new one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd};
use tokio::time::{sleep, timeout};

use super::access::Access;
use super::options::Sentinels;

/// The longest that one Sentinel is waited for while there are others.
const ONE: Duration = Duration::from_millis(250);
/// How often one is asked while there is a master.
const EVERY: Duration = Duration::from_millis(500);

/// A master that Sentinels watch.
pub(super) struct Watched {
    sentinels: Sentinels,
    /// The Sentinel that answered last, and is asked first.
    last: AtomicUsize,
    /// The master that was named last.
    named: Mutex<Option<(String, u16)>>,
}

// === impl Watched ===

impl Watched {
    pub(super) fn new(sentinels: Sentinels) -> Watched {
        Watched { sentinels, last: AtomicUsize::new(0), named: Mutex::default() }
    }

    /// The master as the first Sentinel that answers knows it. It may be wrong for a while: then the server refuses
    /// writes, or is not there.
    ///
    /// # Errors
    /// In words, when no Sentinel says where it is.
    pub(super) async fn master(&self, access: &Access) -> Result<Client, String> {
        let Sentinels { addresses, master } = &self.sentinels;
        let mut said = "there is none".to_owned();
        for next in 0..addresses.len() {
            let at = (self.last.load(Ordering::Relaxed) + next) % addresses.len();
            let Some(address) = addresses.get(at) else { continue };
            let client = access.sentinel(address.clone()).map_err(|error| error.to_string())?;
            let answer =
                timeout(ONE, ask(&client, master)).await.unwrap_or_else(|_| Err(format!("no answer in {ONE:?}")));
            match answer {
                Ok((host, port)) => {
                    self.last.store(at, Ordering::Relaxed);
                    *self.named.lock().unwrap_or_else(PoisonError::into_inner) = Some((host.clone(), port));
                    return access.client(access.address(&host, port)).map_err(|error| error.to_string());
                }
                Err(words) => said = format!("{address}: {words}"),
            }
        }
        Err(format!("no Sentinel says where the master {master} is; the last one, {said}"))
    }

    /// Done when a Sentinel names another master than the one that was named last.
    pub(super) async fn replaced(&self, access: &Access) {
        let Sentinels { addresses, master } = &self.sentinels;
        let mut at = self.last.load(Ordering::Relaxed);
        loop {
            sleep(EVERY).await;
            let client = addresses.get(at % addresses.len().max(1)).and_then(|one| access.sentinel(one.clone()).ok());
            let Some(client) = client else { continue };
            if let Ok(Ok(mut connection)) = timeout(ONE, client.get_multiplexed_async_connection()).await {
                while let Ok(Ok(found)) = timeout(ONE, say(&mut connection, master)).await {
                    let named = self.named.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    if named.is_some_and(|named| named != found) {
                        return;
                    }
                    sleep(EVERY).await;
                }
            }
            at += 1;
        }
    }
}

async fn ask(client: &Client, master: &str) -> Result<(String, u16), String> {
    let mut connection = client.get_multiplexed_async_connection().await.map_err(|error| error.to_string())?;
    say(&mut connection, master).await
}

async fn say(connection: &mut MultiplexedConnection, master: &str) -> Result<(String, u16), String> {
    let mut command = Cmd::new();
    command.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let found: Option<(String, u16)> = command.query_async(connection).await.map_err(|error| error.to_string())?;
    found.ok_or_else(|| "it watches no master of this name".to_owned())
}
