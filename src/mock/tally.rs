//! What the mock really produced, as ground truth for meters: counted when a frame is handed to
//! hyper, so that an answer that ends early counts what went out and nothing more. No lock is held
//! across requests; the maps and the ring are bounded.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

/// A snapshot of the counters since the start or the last reset. Requests to `/_mock/…` are not in it,
/// nor are connections whose first request was one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub requests: u64,
    /// Connections that were opened, used or not.
    pub connections: u64,
    pub upgrades: u64,
    /// Requests by path, without the query.
    pub paths: BTreeMap<String, u64>,
    /// By the model that was asked for.
    pub models: BTreeMap<String, ModelTally>,
    /// The last 256 requests whose answer was begun, oldest first.
    pub recent: Vec<RequestTally>,
}

/// The counters of one model. `requests` less the three outcomes is what is still open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTally {
    pub requests: u64,
    /// Answers whose last byte was handed to hyper.
    pub complete: u64,
    /// Answers that ended early: the client went, or the program said so.
    pub aborted: u64,
    /// Answers with a status of 400 or more. They count no tokens.
    pub errors: u64,
    pub prompt_tokens: u64,
    /// Completion tokens handed to hyper, also those of aborted answers.
    pub completion_tokens: u64,
}

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTally {
    /// The request's `x-mock-id`.
    pub id: Option<String>,
    /// The request's `x-request-id`.
    pub request_id: Option<String>,
    pub path: String,
    pub model: Option<String>,
    pub stream: bool,
    pub status: u16,
    pub prompt_tokens: u64,
    /// Completion tokens handed to hyper so far.
    pub produced: u64,
    /// The whole answer was handed to hyper.
    pub complete: bool,
    /// The answer ended before that. Neither is set while it is under way.
    pub aborted: bool,
}

/// The live counters.
#[derive(Default)]
pub(super) struct Book {
    pub(super) accepted: AtomicU64,
    /// Connections whose first request was one to the mock itself.
    pub(super) own: AtomicU64,
    pub(super) upgrades: AtomicU64,
    requests: AtomicU64,
    paths: Names<AtomicU64>,
    models: Names<ModelCount>,
    ring: Ring,
}

/// One answer under way. Dropping it before [`Ticket::complete`] counts as aborted.
pub(super) struct Ticket(Arc<Entry>);

/// What is known of a request when its answer begins.
pub(super) struct Opening<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) path: &'a str,
    pub(super) model: Option<&'a str>,
    pub(super) stream: bool,
    pub(super) status: u16,
    pub(super) prompt_tokens: u64,
}

#[derive(Default)]
struct ModelCount {
    requests: AtomicU64,
    complete: AtomicU64,
    aborted: AtomicU64,
    errors: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

struct Entry {
    id: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    path: Arc<Named<AtomicU64>>,
    model: Option<Arc<Named<ModelCount>>>,
    stream: bool,
    status: u16,
    prompt_tokens: u64,
    produced: AtomicU64,
    end: AtomicU8,
}

/// The values of `Entry::end`.
const OPEN: u8 = 0;
const COMPLETE: u8 = 1;
const ABORTED: u8 = 2;

/// How many requests are remembered.
const RECENT: usize = 256;
/// How many names a map holds before further ones count as [`OTHER`].
const MOST_NAMES: usize = 4096;
const OTHER: &str = "(other)";

struct Named<T> {
    name: Box<str>,
    count: T,
}

/// Counters by name: a read lock for a name that is known, bounded.
struct Names<T>(RwLock<HashMap<Box<str>, Arc<Named<T>>>>);

struct Ring {
    next: AtomicU64,
    slots: Vec<Slot>,
}

/// A request and its number, which orders the slots.
type Slot = Mutex<Option<(u64, Arc<Entry>)>>;

// === impl Book ===

impl Book {
    /// Counts a request to `path`.
    pub(super) fn request(&self, path: &str) {
        self.requests.fetch_add(1, Relaxed);
        self.paths.get(path).count.fetch_add(1, Relaxed);
    }

    /// Opens the account of one answer.
    pub(super) fn open(&self, opening: &Opening) -> Ticket {
        let model = opening.model.map(|name| self.models.get(name));
        if let Some(model) = &model {
            model.count.requests.fetch_add(1, Relaxed);
            model.count.prompt_tokens.fetch_add(opening.prompt_tokens, Relaxed);
        }
        let entry = Arc::new(Entry {
            id: opening.headers.get("x-mock-id").cloned(),
            request_id: opening.headers.get("x-request-id").cloned(),
            path: self.paths.get(opening.path),
            model,
            stream: opening.stream,
            status: opening.status,
            prompt_tokens: opening.prompt_tokens,
            produced: AtomicU64::new(0),
            end: AtomicU8::new(OPEN),
        });
        self.ring.push(Arc::clone(&entry));
        Ticket(entry)
    }

    /// The counters as they stand; of the recent requests only those with this id (of either kind).
    pub(super) fn snapshot(&self, id: Option<&str>) -> Tally {
        let recent = self.ring.entries().into_iter().map(|entry| entry.snapshot());
        let wanted =
            |request: &RequestTally| id.is_none() || request.id.as_deref() == id || request.request_id.as_deref() == id;
        Tally {
            requests: self.requests.load(Relaxed),
            connections: self.accepted.load(Relaxed).saturating_sub(self.own.load(Relaxed)),
            upgrades: self.upgrades.load(Relaxed),
            paths: self.paths.map(|count| count.load(Relaxed)).into_iter().filter(|(_, count)| *count > 0).collect(),
            models: self.models.map(ModelCount::snapshot),
            recent: recent.filter(wanted).collect(),
        }
    }

    /// Forgets everything. Answers under way go on counting in the old accounts, which nobody sees.
    pub(super) fn reset(&self) {
        for count in [&self.accepted, &self.own, &self.upgrades, &self.requests] {
            count.store(0, Relaxed);
        }
        self.paths.clear();
        self.models.clear();
        self.ring.clear();
    }
}

// === impl Ticket ===

impl Ticket {
    /// Counts completion tokens that were handed to hyper.
    pub(super) fn produced(&self, tokens: u64) {
        self.0.produced.fetch_add(tokens, Relaxed);
        if let Some(model) = &self.0.model {
            model.count.completion_tokens.fetch_add(tokens, Relaxed);
        }
    }

    /// The whole answer was handed to hyper.
    pub(super) fn complete(&self) {
        self.end(COMPLETE);
    }

    fn end(&self, how: u8) {
        if self.0.end.compare_exchange(OPEN, how, Relaxed, Relaxed).is_err() {
            return;
        }
        let Some(model) = &self.0.model else { return };
        let count = match how {
            ABORTED => &model.count.aborted,
            _ if self.0.status >= 400 => &model.count.errors,
            _ => &model.count.complete,
        };
        count.fetch_add(1, Relaxed);
    }
}

/// Hyper drops a body when its client is gone: nothing else tells.
impl Drop for Ticket {
    fn drop(&mut self) {
        self.end(ABORTED);
    }
}

// === impl ModelCount ===

impl ModelCount {
    fn snapshot(&self) -> ModelTally {
        ModelTally {
            requests: self.requests.load(Relaxed),
            complete: self.complete.load(Relaxed),
            aborted: self.aborted.load(Relaxed),
            errors: self.errors.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            completion_tokens: self.completion_tokens.load(Relaxed),
        }
    }
}

// === impl Entry ===

impl Entry {
    fn snapshot(&self) -> RequestTally {
        let text = |value: &Option<HeaderValue>| value.as_ref().and_then(|v| v.to_str().ok()).map(str::to_owned);
        let end = self.end.load(Relaxed);
        RequestTally {
            id: text(&self.id),
            request_id: text(&self.request_id),
            path: self.path.name.to_string(),
            model: self.model.as_ref().map(|model| model.name.to_string()),
            stream: self.stream,
            status: self.status,
            prompt_tokens: self.prompt_tokens,
            produced: self.produced.load(Relaxed),
            complete: end == COMPLETE,
            aborted: end == ABORTED,
        }
    }
}

// === impl Names ===

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names(RwLock::default())
    }
}

impl<T: Default> Names<T> {
    fn get(&self, name: &str) -> Arc<Named<T>> {
        if let Some(named) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(named);
        }
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = if map.len() < MOST_NAMES || map.contains_key(name) { name } else { OTHER };
        let new = || Arc::new(Named { name: name.into(), count: T::default() });
        Arc::clone(map.entry(name.into()).or_insert_with(new))
    }

    fn map<U>(&self, read: impl Fn(&T) -> U) -> BTreeMap<String, U> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.iter().map(|(name, named)| (name.to_string(), read(&named.count))).collect()
    }

    fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

// === impl Ring ===

impl Default for Ring {
    fn default() -> Self {
        Ring { next: AtomicU64::new(0), slots: (0..RECENT).map(|_| Mutex::default()).collect() }
    }
}

impl Ring {
    fn push(&self, entry: Arc<Entry>) {
        let number = self.next.fetch_add(1, Relaxed);
        let slot = usize::try_from(number % RECENT as u64).ok().and_then(|at| self.slots.get(at));
        if let Some(slot) = slot {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, entry));
        }
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        let held = |slot: &Slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut entries: Vec<(u64, Arc<Entry>)> = self.slots.iter().filter_map(held).collect();
        entries.sort_by_key(|(number, _)| *number);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    fn clear(&self) {
        for slot in &self.slots {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}
