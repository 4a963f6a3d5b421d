//! [io] The scripts, and the digests under which a server knows them. Their contracts are in their heads.

use redis::{Cmd, Script};

use crate::store::Command;

/// All of them.
pub(super) struct Scripts {
    pub add: Script,
    pub drop: Script,
    pub forget: Script,
    pub load: Script,
    pub recall: Script,
}

// === impl Scripts ===

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            add: Script::new(include_str!("add.lua")),
            drop: Script::new(include_str!("drop.lua")),
            forget: Script::new(include_str!("forget.lua")),
            load: Script::new(include_str!("load.lua")),
            recall: Script::new(include_str!("recall.lua")),
        }
    }

    /// For a server to be told.
    pub(super) fn all(&self) -> Vec<Script> {
        let Scripts { add, drop, forget, load, recall } = self;
        [add, drop, forget, load, recall].map(Clone::clone).to_vec()
    }
}

/// A script on this key, with these arguments.
pub(super) fn run(script: &Script, key: &str, arguments: &[&[u8]]) -> Command {
    let mut words = Cmd::new();
    words.arg("EVALSHA").arg(script.get_hash()).arg(1).arg(key);
    for argument in arguments {
        words.arg(*argument);
    }
    Command::new(key, words)
}
