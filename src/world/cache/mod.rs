//! The cache of this process: entries in memory and, where there is one, in the store that replicas share; answers on
//! their way, and who follows them; answers to like questions.
//!
//! A cache that cannot be asked has nothing: nothing here fails, and nobody waits longer for the store than its own timeout,
//! nor for a vector than [`own`](crate::world::own) does. Who looks leads meanwhile: the others wait for one look.

mod due;
mod embedders;
mod flights;
mod items;
mod leads;
mod likeness;
mod log;
mod seat;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use due::Due;
use embedders::Embedders;
pub use flights::Flights;
use flights::{Joined, Wanted};
use leads::{How, Leads};
use likeness::Likeness;
pub use log::Budget;
pub use seat::Seated;
pub use tally::Tally;

use crate::base::money::NanoUsd;
use crate::cache::entry::{self, Entry};
use crate::cache::memory::{Memory, Stand};
use crate::cache::redis::{AtRest, Redis};
use crate::cache::{Ask, Extent, Hit, Key, Place, Reason, Recall, Remember, Secret, Ticket, gate};
use crate::exchange::event::Note;
use crate::identity::Principal;
use crate::llm::Reply;
use crate::world::own::{Own, Running};

/// What it is, in seconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Bytes of entries that a process keeps, unless its configuration says otherwise.
pub const BYTES: u64 = 64 << 20;

/// Shared by all exchanges.
pub struct Cache {
    secret: ArcSwap<Secret>,
    memory: Memory,
    /// What replicas share; none where each keeps for itself.
    store: OnceLock<Redis>,
    flights: Flights,
    /// Vectors on their way.
    leads: Leads,
    likeness: Likeness,
    /// Of which fingerprints the store was asked.
    loaded: Due,
    local: Embedders,
    tally: Tally,
    /// Calls of its own: who wants a vector of a provider's asks for it like anybody.
    running: Running,
    own: OnceLock<Own>,
    clock: Clock,
}

/// Where a call is looked for.
#[derive(Clone, Debug)]
struct Looked {
    place: Place,
    key: Key,
}

/// Who looks while others wait: when it is dropped before it has found or led, the flight goes on to the next.
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

    /// One that keeps at most so many bytes of entries.
    pub fn new(secret: Secret, bytes: u64, clock: Clock) -> Self {
        Cache {
            secret: ArcSwap::from_pointee(secret),
            memory: Memory::new(bytes),
            store: OnceLock::new(),
            flights: Flights::default(),
            leads: Leads::default(),
            likeness: Likeness::default(),
            loaded: Due::default(),
            local: Embedders::default(),
            tally: Tally::default(),
            running: Running::default(),
            own: OnceLock::new(),
            clock,
        }
    }

    /// Keeps entries in this store as well. Of several the first stays.
    pub fn share(&self, store: Redis) {
        let _ = self.store.set(store);
    }

    /// From now on what is kept in the store lies so, under the names that its replicas then have; what was kept under
    /// others is forgotten. Without a store that is nothing to this cache.
    pub fn seal_with(&self, at_rest: AtRest, prefix: &str) {
        if let Some(store) = self.store.get() {
            let secret = at_rest.secret(prefix);
            // The keys first: who looks under a new name with an old one takes what it finds for spoilt.
            store.seal_with(at_rest);
            if *self.secret() != secret {
                self.secret.store(Arc::new(secret));
                self.forget(&Extent::All);
            }
        }
    }

    /// Makes its own calls through the proxy that listens there, as `HOST:PORT`. Of several the first stays.
    pub fn call_through(&self, listen: &str) {
        let _ = self.own.set(Own::through(listen, self.running.clone()));
    }

    /// Counts what followers wait for in this budget. Of several the first stays.
    pub fn count_in(&self, budget: Arc<dyn Budget>) {
        self.flights.count_in(budget);
    }

    /// Looks for an answer, where nobody has to be waited for; none where somebody has.
    pub fn recall_now(&self, ask: &Ask, caller: &Arc<Principal>) -> Option<Recall> {
        let looked = self.look(ask);
        if let Some(hit) = self.in_memory(ask, &looked) {
            return Some(Recall::Hit(Box::new(hit)));
        }
        let waits = ask.reads && !ask.is_shadow && (self.store.get().is_some() || Cache::waits_for_vector(ask));
        if waits {
            return None;
        }
        let recall = self.lead(ask, &looked, caller);
        Some(recall)
    }

    /// Looks for an answer. A future that is dropped before it is done leaves nobody waiting.
    pub async fn recall(&self, ask: &Ask, caller: &Arc<Principal>) -> Recall {
        let looked = self.look(ask);
        if let Some(hit) = self.in_memory(ask, &looked) {
            return Recall::Hit(Box::new(hit));
        }
        let ticket = match self.lead(ask, &looked, caller) {
            Recall::Lead(ticket) => Some(ticket),
            Recall::Miss => None,
            other => return other,
        };
        let mut looking = Looking { cache: self, ticket };
        let (found, placed) = match self.in_store(ask, &looked).await {
            Some(hit) => (Some(hit), None),
            None => self.recall_alike(ask, &looked, caller).await,
        };
        let ticket = looking.ticket.take();
        match (found, ticket) {
            (Some(hit), ticket) => {
                ticket.map(|ticket| self.flights.land(ticket, &hit.reply));
                Recall::Hit(Box::new(hit))
            }
            (None, Some(ticket)) => {
                if Cache::waits_for_vector(ask) {
                    self.flights.know(ticket, placed);
                }
                Recall::Lead(ticket)
            }
            (None, None) => Recall::Miss,
        }
    }

    /// Whether a vector has to be made, or fetched, before it is known what is alike.
    fn waits_for_vector(ask: &Ask) -> bool {
        Cache::serves_alike(ask).is_some()
    }

    fn look(&self, ask: &Ask) -> Looked {
        let (place, key) = self.secret().place(&ask.rule.namespace, &ask.partition, ask.digest);
        Looked { place, key }
    }

    fn in_memory(&self, ask: &Ask, looked: &Looked) -> Option<Hit> {
        if !ask.reads || ask.rule.exact.is_none() {
            return None;
        }
        let now = (self.clock)();
        let entry = self.memory.get(&looked.place, &looked.key, now)?;
        let hit = self.hit(ask, &entry, now);
        if hit.is_none() && entry.decode().is_none() {
            self.memory.remove(&looked.key, &entry);
        }
        hit
    }

    async fn in_store(&self, ask: &Ask, looked: &Looked) -> Option<Hit> {
        let store = self.store.get().filter(|_| ask.reads && ask.rule.exact.is_some())?;
        let entry = store.get(&looked.place, &looked.key).await?;
        let now = (self.clock)();
        let hit = self.hit(ask, &entry, now)?;
        self.keep_until(looked, entry, now);
        Some(hit)
    }

    /// The entry under a key, from wherever it is.
    async fn fetch(&self, place: &Place, key: &Key, now: u64) -> Option<Entry> {
        if let Some(entry) = self.memory.get(place, key, now) {
            return Some(entry);
        }
        let entry = self.store.get()?.get(place, key).await?;
        entry.age(now)?;
        self.keep_until(&Looked { place: place.clone(), key: *key }, entry.clone(), now);
        Some(entry)
    }

    /// Keeps in memory what was found elsewhere, for as long as it may still be read.
    fn keep_until(&self, looked: &Looked, entry: Entry, now: u64) {
        let Some(age) = entry.age(now) else { return };
        let left = entry.ttl.saturating_sub(age);
        self.memory.put_for(&looked.place, looked.key, entry, left);
    }

    /// The answer in an entry, if it is new enough for the caller and for the rule as it is today.
    fn hit(&self, ask: &Ask, entry: &Entry, now: u64) -> Option<Hit> {
        let is_new = |age: &Duration| {
            ask.max_age.is_none_or(|most| *age <= most) && ask.rule.ttl().is_some_and(|ttl| *age < ttl)
        };
        let age = entry.age(now).filter(is_new)?;
        let (reply, cost) = entry.decode()?;
        Some(Hit { reply, age, is_similar: false, cost })
    }

    fn lead(&self, ask: &Ask, looked: &Looked, caller: &Arc<Principal>) -> Recall {
        let follows = ask.rule.coalesces && ask.reads && !ask.is_shadow;
        let keeps = ask.keeps && ask.rule.ttl().is_some();
        if !follows && !keeps {
            let wanted = ask.rule.ttl().is_some();
            self.tally.not_kept(if wanted { Reason::NoStore } else { Reason::NotKept });
            return Recall::Miss;
        }
        let wanted = Wanted {
            rule: ask.rule.clone(),
            place: looked.place.clone(),
            key: looked.key,
            keeps,
            room: ask.room,
            similar: ask.similar.clone(),
            caller: caller.clone(),
            placed: None,
        };
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
    pub fn hear(self: &Arc<Self>, note: Note) -> Option<Note> {
        match note {
            Note::Publish(ticket, delta) => self.flights.publish(ticket, &delta),
            // A ticket is of a flight or of a lead.
            Note::Forsake(ticket) => {
                self.flights.forsake(ticket);
                self.leads.end(ticket, How::Forsaken, std::iter::empty());
            }
            Note::Part(ticket, reason) => {
                self.flights.part(ticket);
                self.leads.end(ticket, How::Parted, std::iter::empty());
                self.tally.not_kept(reason);
            }
            Note::Unkept(reason) => self.tally.not_kept(reason),
            Note::Remember(kept) => self.remember(kept),
            Note::RememberItems(kept) => self.remember_items(*kept),
            other => return Some(other),
        }
        None
    }

    fn remember(self: &Arc<Self>, kept: Remember) {
        let Remember { ticket, reply, cost } = kept;
        let Some(mut wanted) = self.flights.land(ticket, &reply) else { return };
        match self.keep(&wanted, &reply, cost) {
            Ok(bytes) => {
                self.tally.kept(bytes);
                let placed = wanted.placed.take();
                self.learn(wanted, *reply, placed);
            }
            Err(reason) => self.tally.not_kept(reason),
        }
    }

    /// Keeps an answer, and says how large it is.
    fn keep(&self, wanted: &Wanted, reply: &Reply, cost: Option<NanoUsd>) -> Result<usize, Reason> {
        let Some(ttl) = wanted.rule.ttl() else { return Err(Reason::NotKept) };
        if !wanted.keeps {
            return Err(Reason::NoStore);
        }
        let question = wanted.similar.as_ref().map(|similar| &*similar.question.text);
        let bytes = entry::encode(reply, cost, question).ok_or(Reason::Lossy)?;
        if let Some(reason) = gate::refusal(&wanted.rule, reply, bytes.len(), wanted.room) {
            return Err(reason);
        }
        let size = bytes.len();
        let entry = Entry { bytes, stored: (self.clock)(), ttl };
        if let Some(store) = self.store.get() {
            store.put(&wanted.place, &wanted.key, entry.clone());
        }
        self.memory.put(&wanted.place, wanted.key, entry);
        Ok(size)
    }

    /// Forgets what is kept here, and says how many entries that were. In a store it is forgotten by itself.
    pub fn forget(&self, extent: &Extent) -> usize {
        self.likeness.forget(extent);
        self.memory.forget(extent)
    }

    /// How full the memory is.
    pub fn stand(&self) -> Stand {
        self.memory.stand()
    }

    /// In whose name its own calls run.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The store that replicas share.
    pub fn store(&self) -> Option<&Redis> {
        self.store.get()
    }

    pub fn flights(&self) -> &Flights {
        &self.flights
    }

    /// Answers and vectors on their way, and how many wait for them.
    pub fn on_their_way(&self) -> (usize, usize) {
        let ((flights, followers, _), (leads, waiting)) = (self.flights.stand(), self.leads.stand());
        (flights + leads, followers + waiting)
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What keys and places are made with now.
    pub fn secret(&self) -> Arc<Secret> {
        self.secret.load_full()
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

/// What it is by the system's clock.
pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Without what is in it.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

// === impl Looking ===

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.cache.flights.forsake(ticket);
        }
    }
}
