//! The cache of this process: entries in memory and, where there is one, in the store that replicas share; answers on
//! their way, and who follows them.
//!
//! A cache that cannot be asked has nothing: nothing here fails, and nobody waits longer for it than the store's own
//! timeout.

mod flights;
mod seat;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use flights::{Joined, Wanted};

pub use flights::Flights;
pub use seat::Seated;
pub use tally::Tally;

use crate::cache::entry::{self, Entry};
use crate::cache::memory::{Memory, Stand};
use crate::cache::{Ask, Hit, Key, Place, Reason, Recall, Remember, Secret, Tag, Ticket, gate};
use crate::exchange::event::Note;
use crate::world::own::{Own, Running};

/// What it is, in seconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Bytes of entries that a process keeps, unless its configuration says otherwise.
pub const BYTES: u64 = 64 << 20;

/// Shared by all exchanges.
pub struct Cache {
    secret: Secret,
    memory: Memory,
    flights: Flights,
    tally: Tally,
    /// Calls of its own: who wants a vector of a provider's asks for it like anybody.
    running: Running,
    own: OnceLock<Own>,
    clock: Clock,
}

/// What a recall holds while it looks for an entry: when it is dropped before, the flight goes on to the next.
struct Looking<'c> {
    cache: &'c Cache,
    ticket: Option<Ticket>,
}

// === impl Cache ===

impl Cache {
    /// One of a process that shares nothing: its secret is its own, and [`BYTES`] its room.
    pub fn of_process() -> Self {
        Cache::new(random(), BYTES, Arc::new(wall))
    }

    pub fn new(secret: Secret, bytes: u64, clock: Clock) -> Self {
        let (flights, tally) = (Flights::default(), Tally::default());
        let (running, own) = (Running::default(), OnceLock::new());
        Cache { secret, memory: Memory::new(bytes), flights, tally, running, own, clock }
    }

    /// Looks for an answer, where nobody has to be waited for; none where somebody has.
    pub fn recall_now(&self, ask: &Ask) -> Option<Recall> {
        let (place, key) = self.secret.place(&ask.rule.namespace, &ask.partition, ask.digest);
        if let Some(hit) = self.in_memory(ask, &place, &key) {
            return Some(Recall::Hit(Box::new(hit)));
        }
        Some(self.lead(ask, place, key))
    }

    /// Looks for an answer.
    pub async fn recall(&self, ask: &Ask) -> Recall {
        self.recall_now(ask).unwrap_or(Recall::Miss)
    }

    fn in_memory(&self, ask: &Ask, place: &Place, key: &Key) -> Option<Hit> {
        if !ask.reads {
            return None;
        }
        let now = (self.clock)();
        let entry = self.memory.get(place, key, now)?;
        let hit = self.hit(ask, &entry, now);
        if hit.is_none() && entry.decode().is_none() {
            self.memory.remove(key, &entry);
        }
        hit
    }

    /// The answer in an entry, if it is new enough.
    fn hit(&self, ask: &Ask, entry: &Entry, now: u64) -> Option<Hit> {
        let age = entry.age(now).filter(|age| ask.max_age.is_none_or(|most| *age <= most))?;
        let (reply, cost) = entry.decode()?;
        Some(Hit { reply, age, is_similar: false, cost })
    }

    fn lead(&self, ask: &Ask, place: Place, key: Key) -> Recall {
        let follows = ask.rule.coalesces && ask.reads && !ask.is_shadow;
        let keeps = ask.keeps && ask.rule.ttl().is_some();
        if !follows && !keeps {
            return Recall::Miss;
        }
        let wanted = Wanted { rule: ask.rule.clone(), place, key, keeps, room: ask.room, similar: ask.similar.clone() };
        match self.flights.join(wanted, follows) {
            Joined::Lead(ticket) => Recall::Lead(ticket),
            Joined::Follow(ticket) => Recall::Follow(ticket),
        }
    }

    /// Where who has this ticket is told what becomes of its flight.
    pub fn seat(&self, ticket: Ticket) -> Option<Seated> {
        self.flights.seat(ticket)
    }

    /// Takes what an exchange says of a flight; gives back what is about something else.
    pub fn hear(&self, note: Note) -> Option<Note> {
        match note {
            Note::Publish(ticket, delta) => self.flights.publish(ticket, &delta),
            Note::Forsake(ticket) => self.flights.forsake(ticket),
            Note::Part(ticket) => {
                self.flights.part(ticket);
                self.tally.not_kept(Reason::OtherBackend);
            }
            Note::Unkept(reason) => self.tally.not_kept(reason),
            Note::Remember(kept) => self.remember(kept),
            other => return Some(other),
        }
        None
    }

    fn remember(&self, kept: Remember) {
        let Remember { ticket, reply, cost } = kept;
        let Some(wanted) = self.flights.land(ticket, &reply) else { return };
        match self.keep(&wanted, &reply, cost) {
            Ok(bytes) => self.tally.kept(bytes),
            Err(reason) => self.tally.not_kept(reason),
        }
    }

    /// Keeps an answer, and says how large it is.
    fn keep(
        &self,
        wanted: &Wanted,
        reply: &crate::llm::Reply,
        cost: Option<crate::base::money::NanoUsd>,
    ) -> Result<usize, Reason> {
        let Some(ttl) = wanted.rule.ttl() else { return Err(Reason::NotKept) };
        if !wanted.keeps {
            return Err(Reason::NoStore);
        }
        let bytes = entry::encode(reply, cost).ok_or(Reason::Lossy)?;
        if let Some(reason) = gate::refusal(&wanted.rule, reply, bytes.len(), wanted.room) {
            return Err(reason);
        }
        let size = bytes.len();
        self.memory.put(&wanted.place, wanted.key, Entry { bytes, stored: (self.clock)(), ttl });
        Ok(size)
    }

    /// Forgets what is kept in a namespace, for one partition of it or for all, or everything, and says how many
    /// entries that were here.
    pub fn forget(&self, namespace: Option<&str>, tag: Option<Tag>) -> usize {
        self.memory.forget(namespace, tag)
    }

    /// How full the memory is.
    pub fn stand(&self) -> Stand {
        self.memory.stand()
    }

    /// Makes its own calls through the proxy that listens there, as `HOST:PORT`. Of several the first stays.
    pub fn call_through(&self, listen: &str) {
        let _ = self.own.set(Own::through(listen, self.running.clone()));
    }

    /// In whose name its own calls run.
    pub fn running(&self) -> &Running {
        &self.running
    }

    pub fn flights(&self) -> &Flights {
        &self.flights
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// Without what is in it.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

/// A secret that no other process has.
pub fn random() -> Secret {
    let mut bits = [0; 32];
    // Without a source of chance in the system what can be guessed are keys of entries that are kept in memory.
    if getrandom::fill(&mut bits).is_err() {
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        bits[..8].copy_from_slice(&seed.to_le_bytes());
    }
    Secret::random(bits)
}

fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

// === impl Looking ===

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.cache.flights.forsake(ticket);
        }
    }
}
