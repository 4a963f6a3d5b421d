//! [io] The scripts, and the digests under which a server knows them.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};

/// Which script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Reserve,
    Settle,
    Heartbeat,
    Tell,
    Listen,
}

/// All of them.
pub(super) struct Scripts([Script; 5]);

// === impl Scripts ===

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts([
            Script::new(concat!(include_str!("window.lua"), include_str!("reserve.lua"))),
            Script::new(concat!(include_str!("window.lua"), include_str!("settle.lua"))),
            Script::new(include_str!("heartbeat.lua")),
            Script::new(include_str!("tell.lua")),
            Script::new(include_str!("listen.lua")),
        ])
    }

    pub(super) fn digest(&self, verb: Verb) -> &str {
        let Scripts([reserve, settle, heartbeat, tell, listen]) = self;
        match verb {
            Verb::Reserve => reserve.get_hash(),
            Verb::Settle => settle.get_hash(),
            Verb::Heartbeat => heartbeat.get_hash(),
            Verb::Tell => tell.get_hash(),
            Verb::Listen => listen.get_hash(),
        }
    }

    /// Tells them to a server. Each server of a Cluster has its own.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        for script in &self.0 {
            script.load_async(connection).await?;
        }
        Ok(())
    }
}
