//! [io] Which server has which slot.

use std::sync::Arc;

use redis::Value;
use tokio_util::task::AbortOnDropHandle;

use super::server::Server;
use super::slot::SLOTS;

/// The servers of a store at one moment.
pub(super) struct Map {
    /// The place of each slot's server among them, and [`NONE`] for a slot that no server has; empty where one
    /// server has all.
    slots: Vec<u16>,
    servers: Vec<Arc<Member>>,
}

/// A server that is asked, with the task that keeps its connection.
pub(super) struct Member {
    pub server: Arc<Server>,
    _task: AbortOnDropHandle<()>,
}

/// What a Cluster says of itself: slots from the first to the last, and their master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub first: u16,
    pub last: u16,
    /// None for the one that was asked.
    pub host: Option<String>,
    pub port: u16,
}

const NONE: u16 = u16::MAX;

// === impl Member ===

impl Member {
    /// It begins to connect.
    pub(super) fn new(server: Server) -> Arc<Member> {
        let server = Arc::new(server);
        let task = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&server).keep()));
        Arc::new(Member { server, _task: task })
    }

    fn is(&self, name: &str) -> bool {
        self.server.name.as_deref() == Some(name)
    }
}

// === impl Map ===

impl Map {
    /// Of a server that has all slots.
    pub(super) fn alone(server: Arc<Member>) -> Map {
        Map { slots: Vec::new(), servers: vec![server] }
    }

    /// Of a Cluster, each range with the name of its server. `member` gives those that are not in `old`.
    pub(super) fn of(
        ranges: &[(Range, String)],
        old: Option<&Map>,
        mut member: impl FnMut(&str) -> Arc<Member>,
    ) -> Map {
        let mut map = Map { slots: vec![NONE; usize::from(SLOTS)], servers: Vec::new() };
        for (range, name) in ranges {
            let at = map.place(name, |name| old.and_then(|old| old.named(name)).unwrap_or_else(|| member(name)));
            let slots = map.slots.get_mut(usize::from(range.first)..=usize::from(range.last));
            slots.into_iter().for_each(|slots| slots.fill(at));
        }
        map
    }

    /// The same, except for a slot that another server has.
    pub(super) fn with(&self, slot: Option<u16>, name: &str, member: impl FnOnce(&str) -> Arc<Member>) -> Map {
        let mut map = Map { slots: self.slots.clone(), servers: self.servers.clone() };
        let at = map.place(name, member);
        if let Some(owner) = slot.and_then(|slot| map.slots.get_mut(usize::from(slot))) {
            *owner = at;
        }
        map
    }

    fn place(&mut self, name: &str, member: impl FnOnce(&str) -> Arc<Member>) -> u16 {
        let found = self.servers.iter().position(|member| member.is(name));
        let at = found.unwrap_or_else(|| {
            self.servers.push(member(name));
            self.servers.len() - 1
        });
        u16::try_from(at).unwrap_or(NONE)
    }

    pub(super) fn is_alone(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether every slot has a server.
    pub(super) fn is_whole(&self) -> bool {
        !self.slots.contains(&NONE)
    }

    /// The server of a slot; none where no server has it.
    pub(super) fn server(&self, slot: u16) -> Option<&Arc<Member>> {
        let at = if self.is_alone() { 0 } else { *self.slots.get(usize::from(slot))? };
        self.servers.get(usize::from(at))
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Member>> {
        self.servers.iter().find(|member| member.is(name)).cloned()
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.iter().map(|member| &member.server)
    }

    /// Whether it has this slot.
    pub(super) fn has(&self, server: &Server, slot: u16) -> bool {
        self.server(slot).is_some_and(|member| member.server.number == server.number)
    }
}

/// Reads the answer to `CLUSTER SLOTS`: of each range the first slot, the last, and the servers, the master first;
/// of a server its host, its port and more. A host that is null or empty is that of the server that was asked, and
/// `?` is unknown (<https://redis.io/docs/latest/commands/cluster-slots/>).
pub(super) fn read(value: &Value) -> Option<Vec<Range>> {
    let Value::Array(rows) = value else { return None };
    let row = |row: &Value| {
        let Value::Array(row) = row else { return None };
        let (first, last) = (slot(row.first()?)?, slot(row.get(1)?)?);
        let Value::Array(master) = row.get(2)? else { return None };
        let port = master.get(1).and_then(|port| redis::from_redis_value_ref::<u16>(port).ok())?;
        let host = redis::from_redis_value_ref::<Option<String>>(master.first()?).ok()?;
        (host.as_deref() != Some("?")).then(|| Range { first, last, host: host.filter(|host| !host.is_empty()), port })
    };
    Some(rows.iter().filter_map(row).collect())
}

fn slot(value: &Value) -> Option<u16> {
    redis::from_redis_value_ref::<u16>(value).ok().filter(|slot| *slot < SLOTS)
}
