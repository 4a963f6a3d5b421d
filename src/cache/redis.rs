//! [io] Answers that replicas share, in one Redis or what speaks as one: no modules, a string an answer or the vector of
//! an input, and where questions are compared a hash of vectors. Sealed, unless the operator says otherwise ([`AtRest`]).
//!
//! A look waits no longer than the store's timeout, and not at all while the store is down: then nothing is found. What
//! is found and is no value, or not ours, or does not open, is nothing too, and is removed. Writes wait in a bounded
//! queue off the way of requests, and are dropped where there is no room or no store. So nothing here is an error, but
//! for [`Redis::forget`], whose caller wants to know.
//!
//! It has connections of its own beside those of limits, and breakers of its own: a large answer on its way keeps no
//! decision waiting, and an answer that is late speaks against no counter. Where the store does not evict, a quarter of
//! its memory is left to counters ([`room`]).

mod forget;
mod inputs;
mod names;
mod queue;
mod room;
mod scripts;
mod seal;
mod tally;
mod value;
mod vector;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use redis::{Cmd, Value};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{Entry, Extent, Key, Place};
use crate::store::{self, Command, Down, Link, Purpose, State, Unusable};
use forget::Forgotten;
pub use inputs::{LARGEST, Reader};
use names::Names;
use queue::{Queue, Seen, Write};
use room::Room;
use scripts::Scripts;
pub use seal::{AtRest, BadKeys, Keys};
pub use tally::Tallies;
use tally::{Count, Tally};
pub use vector::{DIMENSIONS, QUESTION, Vector};

/// How long the store has for what no request waits for.
const LATER: Duration = Duration::from_secs(1);
/// How much of what is no value says which one it was: more than its nonce.
const HEAD: usize = 64;
/// The bytes of the vectors of one fingerprint that are read at most.
const VECTORS: usize = 4 << 20;

const PURPOSE: Purpose = Purpose {
    store: "cache store",
    without: "nothing is found in it and nothing kept",
    without_server: "nothing is found on it and nothing kept",
};

/// Told of what was forgotten, here or by another replica: what is held of it in memory is to go. It must not wait for
/// anything, and may be told twice.
pub type OnForget = Arc<dyn Fn(&Extent) + Send + Sync>;

/// What is kept, and how.
#[derive(Clone)]
pub struct Options {
    pub store: store::Options,
    pub at_rest: AtRest,
    /// The bytes of an answer at most.
    pub max_entry: usize,
    /// How many vectors there are of one fingerprint at most; of more, the oldest go.
    pub max_vectors: usize,
    /// How many writes wait at most, and their bytes.
    pub queue: usize,
    pub queue_bytes: usize,
    /// How many vectors of inputs wait beside them at most; their bytes are as many.
    pub queue_inputs: usize,
    pub on_forget: OnForget,
}

/// A store. Clones are the same; the last one that is dropped ends its tasks, and the connections with them.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    _tasks: Arc<[AbortOnDropHandle<()>; 4]>,
}

/// What the tasks need.
struct Shared {
    link: Arc<Link>,
    scripts: Scripts,
    names: Names,
    at_rest: ArcSwap<AtRest>,
    most: usize,
    vectors: usize,
    queue: Queue,
    forgotten: Forgotten,
    room: Room,
    tally: Tally,
}

/// What was found is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    /// It is another's, or another version's, or sealed with another key.
    Foreign,
    /// It was changed, or moved, or is not what is written here.
    Broken,
}

// === impl Options ===

impl Options {
    /// The defaults, for what lies so in this store.
    pub fn new(store: store::Options, at_rest: AtRest) -> Options {
        Options {
            store,
            at_rest,
            max_entry: 4 << 20,
            max_vectors: 256,
            queue: 1_024,
            queue_bytes: 16 << 20,
            // Those of two of the largest calls.
            queue_inputs: 4_096,
            on_forget: Arc::new(|_| {}),
        }
    }
}

// === impl Redis ===

impl Redis {
    /// Begins to connect. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where the options can never work; never for want of a server.
    pub fn connect(options: Options) -> Result<Redis, Unusable> {
        let Options { store, at_rest, max_entry, max_vectors, queue, queue_bytes, queue_inputs, on_forget } = options;
        let scripts = Scripts::new();
        let shared = Arc::new(Shared {
            link: Arc::new(Link::new(&store, PURPOSE, scripts.all())?),
            scripts,
            names: Names::new(&store.prefix),
            at_rest: ArcSwap::from_pointee(at_rest),
            most: max_entry,
            vectors: max_vectors.max(1),
            queue: Queue::new((queue, queue_bytes), (queue_inputs, queue_bytes)),
            forgotten: Forgotten::new(on_forget),
            room: Room::default(),
            tally: Tally::default(),
        });
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&shared.link).keep())),
            AbortOnDropHandle::new(tokio::spawn(queue::work(Arc::clone(&shared)))),
            AbortOnDropHandle::new(tokio::spawn(forget::keep(Arc::clone(&shared)))),
            AbortOnDropHandle::new(tokio::spawn(room::keep(Arc::clone(&shared)))),
        ];
        Ok(Redis { shared, _tasks: Arc::new(tasks) })
    }

    /// See [`Link::authenticate`].
    ///
    /// # Errors
    /// As there.
    pub fn authenticate(&self, options: store::Options) -> Result<(), Unusable> {
        self.shared.link.authenticate(options)
    }

    /// From now on values lie so: what was written before with a key that is none of these is found no more.
    pub fn seal_with(&self, at_rest: AtRest) {
        self.shared.at_rest.store(Arc::new(at_rest));
    }

    /// What is kept there, if it may still be read.
    pub async fn get(&self, place: &Place, key: &Key) -> Option<Entry> {
        let shared = &self.shared;
        let name = shared.names.entry(place, key);
        let mut words = Cmd::new();
        // One byte more than there may be tells what is too large; whatever lies there, no more than that is read.
        let most = shared.most.saturating_add(value::OVERHEAD);
        words.arg("GETRANGE").arg(&name).arg(0).arg(most);
        let value = match self.ask(Command::new(&name, words)).await {
            Ok(Value::BulkString(value)) if value.is_empty() => None,
            Ok(Value::BulkString(value)) => Some(value),
            Ok(Value::Nil) => None,
            Ok(error @ Value::ServerError(_)) if is_of_another_kind(&error) => {
                self.bad(name.clone(), Seen::Answer(Vec::new()));
                None
            }
            Ok(_) | Err(_) => {
                shared.tally.one(Count::Failed);
                return None;
            }
        };
        let found = match value {
            Some(value) => self.open(place, name, value).await,
            None => None,
        };
        shared.tally.one(if found.is_some() { Count::Hits } else { Count::Misses });
        found
    }

    /// Keeps an answer, if there is room and time for it. Nobody waits for it.
    pub fn put(&self, place: &Place, key: &Key, entry: Entry) {
        let name = self.shared.names.entry(place, key);
        let fits = entry.bytes.len() <= self.shared.most;
        self.later(fits, Write::Put { name, place: place.clone(), entry });
    }

    /// The vectors of a fingerprint that may still be used, those first that were stored last. They are of its place
    /// alone.
    pub async fn vectors(&self, place: &Place, fingerprint: &Key) -> Vec<Vector> {
        let shared = &self.shared;
        let name = shared.names.vectors(place, fingerprint);
        let numbers = [shared.vectors, vector::MOST, VECTORS].map(|number| number.to_string());
        let arguments = numbers.each_ref().map(|number| number.as_bytes());
        let rows = match self.ask(scripts::run(&shared.scripts.load, &name, &arguments)).await {
            Ok(Value::Array(rows)) => rows,
            Ok(Value::Int(_)) => {
                self.bad(name.clone(), Seen::Vectors(4 * shared.vectors));
                Vec::new()
            }
            Ok(_) | Err(_) => {
                shared.tally.one(Count::Failed);
                return Vec::new();
            }
        };
        let at_rest = shared.at_rest.load_full();
        let read = move || read_vectors(&at_rest, name, rows);
        // What is opened here is at most what is read there: some milliseconds.
        let (name, vectors, bad, bytes) = spawn_blocking(read).await.unwrap_or_default();
        shared.tally.add(Count::BytesRead, bytes);
        if !bad.is_empty() {
            shared.tally.add(Count::Bad, u64::try_from(bad.len()).unwrap_or(u64::MAX));
            // Whether there is room for it does not matter: it is found again.
            let _ = shared.queue.push(Write::DropFields { name, fields: bad });
        }
        let now = now();
        let may = |vector: &Vector| vector.ends() > now && !shared.forgotten.is(place, vector.stored);
        let vectors: Vec<Vector> = vectors.into_iter().filter(may).collect();
        shared.tally.one(if vectors.is_empty() { Count::Misses } else { Count::Hits });
        vectors
    }

    /// Adds a vector to those of a fingerprint, if there is room and time for it. Nobody waits for it.
    pub fn add(&self, place: &Place, fingerprint: &Key, vector: Vector) {
        let name = self.shared.names.vectors(place, fingerprint);
        let fits = vector.values.len() <= DIMENSIONS && vector.question.len() <= QUESTION;
        self.later(fits, Write::Add { name, place: place.clone(), vector });
    }

    /// Forgets what an extent covers, on all replicas: each hears of it within about a second, and then reads no more of
    /// what was stored until now. How many keys were removed from the store.
    ///
    /// # Errors
    /// When the store was not told, or not all was removed in time. Then do it again: if it was told, what is left is
    /// read by nobody who has heard of it, but may lie there until it ends.
    pub async fn forget(&self, extent: &Extent) -> Result<u64, Down> {
        forget::forget(&self.shared, extent).await
    }

    /// How it stands with the store.
    pub fn state(&self) -> State {
        self.shared.link.state()
    }

    /// What came of it since the start.
    pub fn tallies(&self) -> Tallies {
        self.shared.tally.read()
    }

    /// Writes that wait for the store.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Waits until no write waits any more, and no longer than `limit`. Whether that is so.
    pub async fn drain(&self, limit: Duration) -> bool {
        timeout(limit, self.shared.queue.empty()).await.is_ok()
    }

    async fn ask(&self, command: Command) -> Result<Value, Down> {
        self.shared.link.send(vec![command]).await.into_iter().next().unwrap_or(Err(Down::Strange))
    }

    fn later(&self, fits: bool, write: Write) {
        if !fits || self.state() == State::Down || !self.shared.queue.push(write) {
            self.shared.tally.one(Count::Dropped);
        }
    }

    /// What lies there is to go, if it is still that.
    fn bad(&self, name: String, seen: Seen) {
        self.shared.tally.one(Count::Bad);
        // Whether there is room for it does not matter: it is found again.
        let _ = self.shared.queue.push(Write::Drop { name, seen });
    }

    /// The entry that this value is, if it may still be read.
    async fn open(&self, place: &Place, name: String, value: Vec<u8>) -> Option<Entry> {
        let (at_rest, most) = (self.shared.at_rest.load_full(), self.shared.most);
        let seen = Seen::Answer(value.get(..value.len().min(HEAD)).unwrap_or_default().to_vec());
        self.shared.tally.add(Count::BytesRead, u64::try_from(value.len()).unwrap_or(u64::MAX));
        let (entry, name) = if value.len() > queue::LARGE {
            let open = move || (value::decode(&at_rest, &name, value, most), name);
            spawn_blocking(open).await.ok()?
        } else {
            (value::decode(&at_rest, &name, value, most), name)
        };
        let Ok(entry) = entry else {
            self.bad(name, seen);
            return None;
        };
        if entry.age(now()).is_some() && !self.shared.forgotten.is(place, entry.stored) {
            return Some(entry);
        }
        // It is ours, and over.
        let _ = self.shared.queue.push(Write::Drop { name, seen });
        None
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("state", &self.state()).finish_non_exhaustive()
    }
}

/// Of fields and their values: the vectors, the fields that hold none, and how many bytes were read.
fn read_vectors(at_rest: &AtRest, name: String, rows: Vec<Value>) -> (String, Vec<Vector>, Vec<Vec<u8>>, u64) {
    let (mut vectors, mut bad, mut bytes) = (Vec::new(), Vec::new(), 0);
    let mut rows = rows.into_iter();
    while let (Some(Value::BulkString(field)), Some(Value::BulkString(value))) = (rows.next(), rows.next()) {
        bytes += u64::try_from(field.len() + value.len()).unwrap_or(u64::MAX);
        match Vector::decode(at_rest, &name, &field, value) {
            Ok(vector) => vectors.push(vector),
            Err(_) => bad.push(field),
        }
    }
    (name, vectors, bad, bytes)
}

fn is_of_another_kind(error: &Value) -> bool {
    matches!(error, Value::ServerError(error) if error.code() == "WRONGTYPE")
}

/// In seconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
