//! [io] All servers, for what concerns each of them and not a key.

use std::sync::Arc;

use redis::{Pipeline, Value};
use tokio::time::Instant;

use super::Down;
use super::link::Link;
use super::server::Server;

/// A server that has some of the keys, as of when it was looked for.
pub struct Node(Arc<Server>);

impl Link {
    /// Those that have all keys together.
    ///
    /// # Errors
    /// When that is not known in time, or there are keys that no server has.
    pub async fn nodes(&self, deadline: Instant) -> Result<Vec<Node>, Down> {
        let map = self.map(deadline).await?;
        if !map.is_whole() {
            return Err(Down::Shut);
        }
        Ok(map.servers().map(|server| Node(Arc::clone(server))).collect())
    }
}

// === impl Node ===

impl Node {
    /// What it says to each command. They may be sent twice.
    ///
    /// # Errors
    /// When it does not say in time.
    pub async fn send(&self, commands: &Pipeline, deadline: Instant) -> Result<Vec<Value>, Down> {
        self.0.send(commands, deadline).await
    }
}
