//! [io] How full the servers are. Who counts limits in the same store needs it to take writes, so it is told not to
//! evict (`noeviction`); what is kept of answers must then never be what fills it. While the fullest server has used
//! three quarters of its `maxmemory`, nothing is added; what ends by its time makes room again.
//!
//! A server that evicts, or has no bound, is not looked after: there the oldest answers leave by themselves, or the
//! machine is the operator's to watch. It is asked once a second at most, and by those who write alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::time::{MissedTickBehavior, interval};

use super::{LATER, Shared};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Of `maxmemory`, what answers may be the reason for.
const SHARE: (u128, u128) = (3, 4);

/// Whether there is room.
#[derive(Default)]
pub(super) struct Room {
    is_scarce: AtomicBool,
    /// Something was written since the last look.
    is_used: AtomicBool,
    /// It may not be asked.
    is_hidden: AtomicBool,
}

/// What a server says of its memory; of Redis 6.2 and later, in `INFO memory`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Bytes.
    used: u64,
    /// Bytes; 0 for no bound.
    most: u64,
    evicts: bool,
}

// === impl Room ===

impl Room {
    /// Nothing is to be added now.
    pub(super) fn is_scarce(&self) -> bool {
        self.is_scarce.load(Ordering::Relaxed)
    }

    /// Something is written.
    pub(super) fn used(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    fn is_worth_a_look(&self) -> bool {
        let was_used = self.is_used.swap(false, Ordering::Relaxed);
        (was_used || self.is_scarce()) && !self.is_hidden.load(Ordering::Relaxed)
    }

    fn set(&self, is_scarce: bool) {
        if self.is_scarce.swap(is_scarce, Ordering::Relaxed) == is_scarce {
            return;
        }
        match is_scarce {
            true => tracing::warn!(
                "the store of kept answers has used three quarters of its maxmemory and evicts nothing: no more is kept \
                 in it until some has ended; give it more memory, or a shorter ttl to what is kept"
            ),
            false => tracing::info!("the store of kept answers has room again"),
        }
    }

    fn hide(&self) {
        self.is_hidden.store(true, Ordering::Relaxed);
        self.set(false);
        tracing::warn!(
            "the store of kept answers does not say how full it is: kept answers may fill it; give its user the right \
             to INFO (ACL SETUSER … +info) and start Weir anew"
        );
    }
}

/// Looks until it is dropped.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if shared.room.is_worth_a_look() {
            look(&shared).await;
        }
    }
}

/// Where one of them does not answer, all is as it was.
async fn look(shared: &Shared) {
    let deadline = || tokio::time::Instant::now() + shared.link.timeout().max(LATER);
    let Ok(nodes) = shared.link.nodes(deadline()).await else { return };
    let mut is_scarce = false;
    for node in nodes {
        let mut ask = Pipeline::new();
        ask.cmd("INFO").arg("memory");
        match node.send(&ask, deadline()).await.as_deref() {
            Ok([Value::BulkString(text)]) => {
                is_scarce |= Memory::read(&String::from_utf8_lossy(text)).is_scarce();
            }
            Ok([Value::ServerError(error)]) if error.code() == "NOPERM" => return shared.room.hide(),
            Ok(_) | Err(_) => return,
        }
    }
    shared.room.set(is_scarce);
}

// === impl Memory ===

impl Memory {
    fn read(text: &str) -> Memory {
        let value = |name: &str| text.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
        let number = |name| value(name).and_then(|number| number.parse().ok()).unwrap_or_default();
        let evicts = value("maxmemory_policy").is_some_and(|policy| policy != "noeviction");
        Memory { used: number("used_memory"), most: number("maxmemory"), evicts }
    }

    fn is_scarce(&self) -> bool {
        let (of, all) = SHARE;
        !self.evicts && self.most > 0 && u128::from(self.used) * all > u128::from(self.most) * of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_scarce_where_it_is_bounded_and_nothing_leaves() {
        let said = |used: u64, most: u64, policy: &str| {
            let text = format!(
                "# Memory\r\nused_memory_rss:9\r\nused_memory:{used}\r\nmaxmemory:{most}\r\nmaxmemory_human:1\r\n\
                 maxmemory_policy:{policy}\r\n"
            );
            Memory::read(&text)
        };
        assert_eq!(said(7, 8, "noeviction"), Memory { used: 7, most: 8, evicts: false });
        assert!(said(76, 100, "noeviction").is_scarce() && !said(75, 100, "noeviction").is_scarce());
        assert!(!said(76, 0, "noeviction").is_scarce() && !said(100, 100, "allkeys-lru").is_scarce());
        assert!(said(u64::MAX, u64::MAX, "noeviction").is_scarce());
        for odd in ["", "used_memory:many\r\nmaxmemory:-1", "used_memory"] {
            assert!(!Memory::read(odd).is_scarce(), "{odd}");
        }
    }

    #[test]
    fn who_does_not_write_does_not_ask() {
        let room = Room::default();
        assert!(!room.is_worth_a_look());
        room.used();
        assert!(room.is_worth_a_look() && !room.is_worth_a_look());
        room.set(true);
        assert!(room.is_worth_a_look() && room.is_scarce(), "until there is room again");
        room.hide();
        room.used();
        assert!(!room.is_scarce() && !room.is_worth_a_look());
    }
}
