//! [io] The scripts, and the digests under which a server knows them.

use redis::Script;

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

    /// For a server to be told.
    pub(super) fn all(&self) -> Vec<Script> {
        self.0.to_vec()
    }
}
