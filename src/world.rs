//! The answers: what an exchange cannot know by itself, and where its notes go. A host is given a
//! world and never looks behind it, so that a test can script one.

pub mod cache;
pub mod cooling;
mod counting;
mod limits;
pub mod own;
mod policies;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::cache::Ticket;
use crate::exchange::event::{Answer, Ask, Failure, Note};
use crate::identity::Principal;
use crate::policy::Policy;
use crate::target::Health;
use crate::tokens::bpe;
use crate::tokens::learned::Learned;

use cache::{Cache, Seated};
use cooling::Cooling;
use counting::Counts;
pub use limits::{KEYS, Limits};
pub use policies::Policies;

/// What a host needs of the outside.
pub trait World: Send + Sync + 'static {
    /// Answers one question. A question that cannot be answered is `Failed`; the host bounds the time.
    /// What is returned may be dropped at any await (the time is over, or the process ends); what it
    /// granted by then is the world's to release.
    fn answer(&self, ask: Ask) -> impl Future<Output = Answer> + Send + 'static;

    /// The answer, where nothing has to be waited for; none where [`World::answer`] is to be asked.
    fn answer_now(&self, _: &Ask) -> Option<Answer> {
        None
    }

    /// Room for the notes of one more exchange, or none.
    fn admit(&self) -> Option<Permit>;

    /// The configuration in force now.
    fn policy(&self) -> Arc<Policy>;

    /// What models have taught so far.
    fn learned(&self) -> Arc<Learned>;

    /// Which backends failed just now.
    fn health(&self) -> Arc<Health>;

    /// Takes a note that may be lost: what a leader publishes, what a rule in Shadow would have done. What
    /// is observed of a backend is known when this returns.
    fn hint(&self, note: Note);

    /// Where an exchange that leads a flight, or follows one, is told of it; none where nobody tells.
    fn seat(&self, _: Ticket) -> Option<Seated> {
        None
    }

    /// In whose name Weir itself makes a call that shows this value of `authorization`; none for anybody else's.
    fn own_caller(&self, _: &str) -> Option<Arc<Principal>> {
        None
    }

    /// A feed for exchanges that follow one another or are watched; none where there is no registry.
    fn feeds(&self) -> Option<mpsc::Receiver<crate::exchange::event::Feed>> {
        None
    }
}

/// The right to leave the notes of one exchange. Its places in the queue were reserved when it was
/// given, so that no note is lost for want of room.
pub struct Permit {
    queue: mpsc::UnboundedSender<Item>,
    room: Arc<Room>,
    limits: Arc<Limits>,
    cache: Arc<Cache>,
    left: usize,
}

/// The receiving end of the notes.
#[derive(Debug)]
pub struct Notes {
    queue: mpsc::UnboundedReceiver<Item>,
    /// Scratch space, so that receiving costs no allocation.
    items: Vec<Item>,
    room: Arc<Room>,
}

/// The right to say that no more notes are taken.
#[derive(Debug)]
pub struct Closer {
    queue: mpsc::WeakUnboundedSender<Item>,
    room: Arc<Room>,
}

/// A note; none where the notes end.
type Item = Option<Note>;

/// What bounds the queue: nobody sends without a place, and receiving gives it back. One count for
/// the places of an exchange is a third of what reserving each in a bounded queue costs.
#[derive(Debug)]
struct Room {
    free: AtomicUsize,
    /// Notes that found no place, or came when no more were taken.
    dropped: Counter,
    /// Bytes of text that may still come to wait for its count.
    text: AtomicUsize,
    /// The notes end: nothing is counted any more.
    closing: AtomicBool,
}

/// Notes that an exchange may leave and that must not be lost: a settlement for each of two stages and
/// for a grant that comes too late, a flight forsaken when it is sent elsewhere and what becomes of the
/// next one, and the record. Others share what room there is.
const SLOTS: usize = 6;

/// Room for notes of exchanges that are over and not worked off yet; without it the next exchange
/// would find no place although the number of those in flight allows it.
const SLACK: usize = 1024;

/// Text that waits to be counted with the notes, in bytes, at most; of what does not fit, the estimate
/// stands. Prose takes a fiftieth of a second, and the worst text (random letters, or white space) a
/// quarter: nothing that is told waits longer, nor does the end of the process.
const TEXT: usize = 1 << 20;

/// The world of one process: answers by computing, notes to a queue.
pub struct Local {
    policies: Policies,
    learned: Arc<Learned>,
    cooling: Arc<Cooling>,
    queue: mpsc::UnboundedSender<Item>,
    room: Arc<Room>,
    counts: Counts,
    limits: Arc<Limits>,
    cache: Arc<Cache>,
}

// === impl Local ===

impl Local {
    /// A world with this policy, for at most `exchanges` at a time. `dropped` counts the notes that
    /// are lost.
    pub fn new(policy: Arc<Policy>, learned: Arc<Learned>, exchanges: usize, dropped: Counter) -> (Self, Notes) {
        Local::with_places(policy, learned, exchanges.saturating_mul(SLOTS).saturating_add(SLACK), dropped)
    }

    fn with_places(policy: Arc<Policy>, learned: Arc<Learned>, free: usize, dropped: Counter) -> (Self, Notes) {
        let (queue, receiver) = mpsc::unbounded_channel();
        let (free, text) = (AtomicUsize::new(free), AtomicUsize::new(TEXT));
        let room = Arc::new(Room { free, dropped, text, closing: AtomicBool::new(false) });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let counts = Counts::new(cores);
        let notes = Notes { queue: receiver, items: Vec::new(), room: room.clone() };
        let policies = Policies::new(policy);
        let (cooling, limits) = (Arc::default(), Arc::default());
        let cache = Arc::new(Cache::of_process());
        (Local { policies, learned, cooling, queue, room, counts, limits, cache }, notes)
    }

    /// With these limits in place of its own, before anything was asked of it.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Local { limits: Arc::new(limits), ..self }
    }

    /// Where its policy is replaced.
    pub fn policies(&self) -> Policies {
        self.policies.clone()
    }

    /// What is counted of the limits.
    pub fn limits(&self) -> Arc<Limits> {
        self.limits.clone()
    }

    /// What cools down.
    pub fn cooling(&self) -> Arc<Cooling> {
        self.cooling.clone()
    }

    /// With this cache in place of its own, before anything was asked of it.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Local { cache: Arc::new(cache), ..self }
    }

    /// What is kept of answers.
    pub fn cache(&self) -> Arc<Cache> {
        self.cache.clone()
    }

    /// What ends the notes of this world.
    pub fn closer(&self) -> Closer {
        Closer { queue: self.queue.downgrade(), room: self.room.clone() }
    }
}

impl World for Local {
    fn answer(&self, ask: Ask) -> impl Future<Output = Answer> + Send + 'static {
        answer(ask, self.counts.clone(), self.limits.clone(), self.cache.clone())
    }

    fn answer_now(&self, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Reserve(ask) => self.limits.reserve_now(ask).map(Answer::Reserve),
            Ask::Recall(ask, caller) => self.cache.recall_now(ask, caller).map(Answer::Recall),
            Ask::RecallItems(ask) => self.cache.recall_items_now(ask).map(Answer::RecallItems),
            _ => None,
        }
    }

    fn admit(&self) -> Option<Permit> {
        let (room, limits, cache) = (self.room.clone(), self.limits.clone(), self.cache.clone());
        room.take(SLOTS).then(|| Permit { queue: self.queue.clone(), room, limits, cache, left: SLOTS })
    }

    fn hint(&self, note: Note) {
        if let Note::Observe(observation) = &note {
            return self.cooling.observe(observation);
        }
        let Some(note) = self.cache.hear(note) else { return };
        self.room.admit(&note);
        if !self.room.take(1) {
            self.room.dropped.inc();
        } else if self.queue.send(Some(note)).is_err() {
            self.room.give(1);
            self.room.dropped.inc();
        }
    }

    fn seat(&self, ticket: Ticket) -> Option<Seated> {
        self.cache.seat(ticket)
    }

    fn own_caller(&self, authorization: &str) -> Option<Arc<Principal>> {
        self.cache.running().caller(authorization.as_bytes())
    }

    fn policy(&self) -> Arc<Policy> {
        self.policies.get()
    }

    fn learned(&self) -> Arc<Learned> {
        self.learned.clone()
    }

    fn health(&self) -> Arc<Health> {
        self.cooling.health().clone()
    }
}

async fn answer(ask: Ask, counts: Counts, limits: Arc<Limits>, cache: Arc<Cache>) -> Answer {
    match ask {
        Ask::Count { caller, operation, model, body } => {
            counts.prompt(&caller, operation, model, body).await.map_or(UNAVAILABLE, Answer::Count)
        }
        Ask::Wording { caller, model, wording } => {
            let bytes = usize::try_from(wording.bytes()).unwrap_or(usize::MAX);
            let count = move || wording.tokens(|text| bpe::count(&model, text));
            counts.aside(&caller, bytes, count).await.map_or(UNAVAILABLE, Answer::Count)
        }
        Ask::Token(lease) => lease.wait().await.map_or(UNAVAILABLE, Answer::Token),
        Ask::Reserve(ask) => Answer::Reserve(limits.reserve(&ask).await),
        Ask::Recall(ask, caller) => Answer::Recall(cache.recall(&ask, &caller).await),
        Ask::RecallItems(ask) => Answer::RecallItems(cache.recall_items(&ask).await),
        // No capability that asks these is configurable yet.
        Ask::Judge(_) | Ask::Embed(_) => UNAVAILABLE,
    }
}

const UNAVAILABLE: Answer = Answer::Failed(Failure::Unavailable);

// === impl Permit ===

impl Permit {
    /// Leaves a note. It is lost, and counted, when the reserved places are used up or no more notes
    /// are taken; what a settlement gives back is given back before that.
    pub fn note(&mut self, note: Note) {
        let Some(mut note) = self.cache.hear(note) else { return };
        if let Note::Settle(settle) = &mut note {
            self.limits.settle_now(settle);
        }
        if self.left == 0 {
            self.room.dropped.inc();
            return;
        }
        self.room.admit(&note);
        if self.queue.send(Some(note)).is_ok() {
            self.left -= 1;
        } else {
            self.room.dropped.inc();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.room.give(self.left);
    }
}

// === impl Closer ===

impl Closer {
    /// Ends the notes: those that were left before this are still received, also while exchanges keep
    /// their places. Of those that come later some may be; the others are dropped and counted. Text that
    /// still waits is not counted any more, so that the end waits for one text at most.
    pub fn close(&self) {
        self.room.closing.store(true, Ordering::Relaxed);
        if let Some(queue) = self.queue.upgrade() {
            // It fails when nobody receives any more.
            let _ = queue.send(None);
        }
    }
}

// === impl Notes ===

impl Notes {
    /// Waits for notes and appends them, `limit` at most, with the tokens counted that nobody has
    /// stated. 0 when no more will come. Not for a thread that runs tasks.
    pub fn receive(&mut self, notes: &mut Vec<Note>, limit: usize) -> usize {
        let before = notes.len();
        while notes.len() == before && self.queue.blocking_recv_many(&mut self.items, limit) > 0 {
            for item in self.items.drain(..) {
                match item {
                    Some(note) => notes.push(note),
                    // From here on a note is refused where it is left; those that wait still come.
                    None => self.queue.close(),
                }
            }
        }
        let count = notes.len() - before;
        self.room.give(count);
        for note in notes.iter_mut().skip(before) {
            let give = |bytes| self.room.give_text(bytes);
            if self.room.closing.load(Ordering::Relaxed)
                && let Some(uncounted) = note.uncounted()
            {
                uncounted.forget(give);
            }
            note.count(give);
        }
        count
    }

    /// Whether no more than what waits already will come.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

// === impl Room ===

impl Room {
    fn take(&self, places: usize) -> bool {
        take(&self.free, places)
    }

    /// Lets a text wait for its count, or drops it where there is no room for it.
    fn admit(&self, note: &Note) {
        if let Some(uncounted) = note.uncounted() {
            uncounted.admit(|bytes| take(&self.text, bytes));
        }
    }

    fn give_text(&self, bytes: usize) {
        self.text.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, places: usize) {
        self.free.fetch_add(places, Ordering::Relaxed);
    }
}

fn take(room: &AtomicUsize, amount: usize) -> bool {
    room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(amount)).is_ok()
}

#[cfg(test)]
mod tests;
