//! The answers: what an exchange cannot know by itself, and where its notes go. A host is given a
//! world and never looks behind it, so that a test can script one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::exchange::event::{Answer, Ask, Failure, Note};
use crate::policy::Policy;
use crate::tokens::bpe;
use crate::tokens::learned::Learned;

/// What a host needs of the outside.
pub trait World: Send + Sync + 'static {
    /// Answers one question. A question that cannot be answered is `Failed`; the host bounds the time.
    fn answer(&self, ask: Ask) -> impl Future<Output = Answer> + Send + 'static;

    /// Room for the notes of one more exchange, or none.
    fn admit(&self) -> Option<Permit>;

    /// The configuration in force now.
    fn policy(&self) -> Arc<Policy>;

    /// What models have taught so far.
    fn learned(&self) -> Arc<Learned>;

    /// Takes a note that may be lost: what a leader publishes, what a rule in Shadow would have done.
    fn hint(&self, note: Note);

    /// A feed for exchanges that follow one another or are watched; none where there is no registry.
    fn feeds(&self) -> Option<mpsc::Receiver<crate::exchange::event::Feed>> {
        None
    }
}

/// The right to leave the notes of one exchange. Its places in the queue were reserved when it was
/// given, so that no note is lost for want of room.
#[derive(Debug)]
pub struct Permit {
    queue: mpsc::UnboundedSender<Item>,
    room: Arc<Room>,
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
pub struct Closer(mpsc::WeakUnboundedSender<Item>);

/// A note; none where the notes end.
type Item = Option<Note>;

/// What bounds the queue: nobody sends without a place, and receiving gives it back. One count for
/// the places of an exchange is a third of what reserving each in a bounded queue costs.
#[derive(Debug)]
struct Room {
    free: AtomicUsize,
    /// Notes that found no place, or came when no more were taken.
    dropped: Counter,
}

/// Notes that an exchange may leave and that must not be lost: a settlement for each of two stages and
/// for a grant that comes too late, a flight forsaken when it is sent elsewhere and what becomes of the
/// next one, and the record. Others share what room there is.
const SLOTS: usize = 6;

/// Room for notes of exchanges that are over and not worked off yet; without it the next exchange
/// would find no place although the number of those in flight allows it.
const SLACK: usize = 1024;

/// The world of one process: answers by computing, notes to a queue.
#[derive(Debug)]
pub struct Local {
    policy: Arc<Policy>,
    learned: Arc<Learned>,
    queue: mpsc::UnboundedSender<Item>,
    room: Arc<Room>,
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
        let room = Arc::new(Room { free: AtomicUsize::new(free), dropped });
        let notes = Notes { queue: receiver, items: Vec::new(), room: room.clone() };
        (Local { policy, learned, queue, room }, notes)
    }

    /// What ends the notes of this world.
    pub fn closer(&self) -> Closer {
        Closer(self.queue.downgrade())
    }
}

impl World for Local {
    fn answer(&self, ask: Ask) -> impl Future<Output = Answer> + Send + 'static {
        answer(ask)
    }

    fn admit(&self) -> Option<Permit> {
        let room = self.room.clone();
        room.take(SLOTS).then(|| Permit { queue: self.queue.clone(), room, left: SLOTS })
    }

    fn hint(&self, note: Note) {
        if !self.room.take(1) {
            self.room.dropped.inc();
        } else if self.queue.send(Some(note)).is_err() {
            self.room.give(1);
            self.room.dropped.inc();
        }
    }

    fn policy(&self) -> Arc<Policy> {
        self.policy.clone()
    }

    fn learned(&self) -> Arc<Learned> {
        self.learned.clone()
    }
}

async fn answer(ask: Ask) -> Answer {
    match ask {
        // Counting takes milliseconds for a large prompt, so it leaves the I/O threads.
        Ask::Count { model, body } => {
            let count = move || bpe::count(&model, &String::from_utf8_lossy(&body));
            tokio::task::spawn_blocking(count).await.map_or(Answer::Failed(Failure::Unavailable), Answer::Count)
        }
        // No capability that asks these is configurable yet.
        Ask::Judge(_) | Ask::Recall(_) | Ask::Embed(_) | Ask::Reserve(_) | Ask::Token(_) => {
            Answer::Failed(Failure::Unavailable)
        }
    }
}

// === impl Permit ===

impl Permit {
    /// Leaves a note. It is lost, and counted, when the reserved places are used up or no more notes
    /// are taken.
    pub fn note(&mut self, note: Note) {
        if self.left > 0 && self.queue.send(Some(note)).is_ok() {
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
    /// their places. Of those that come later some may be; the others are dropped and counted.
    pub fn close(&self) {
        if let Some(queue) = self.0.upgrade() {
            // It fails when nobody receives any more.
            let _ = queue.send(None);
        }
    }
}

// === impl Notes ===

impl Notes {
    /// Waits for notes and appends them, `limit` at most. 0 when no more will come. Not for a thread
    /// that runs tasks.
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
        let less = |free: usize| free.checked_sub(places);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give(&self, places: usize) {
        self.free.fetch_add(places, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::target::Targets;

    fn world(exchanges: usize) -> (Local, Notes) {
        let policy = Policy::new(Targets::default(), Vec::new(), Catalog::builtin());
        Local::with_places(Arc::new(policy), Arc::new(Learned::new()), exchanges * SLOTS, Counter::default())
    }

    fn note() -> Note {
        Note::Shadow { step: "admit", reason: "test" }
    }

    #[test]
    fn an_exchange_has_its_places_until_its_notes_are_received() {
        let (world, mut notes) = world(2);
        let (mut one, other) = (world.admit().unwrap(), world.admit().unwrap());
        assert!(world.admit().is_none());
        for _ in 0..SLOTS + 1 {
            one.note(note());
        }
        drop(one);
        assert!(world.admit().is_none(), "its notes still wait");
        assert_eq!(notes.receive(&mut Vec::new(), 100), SLOTS);
        let again = world.admit().unwrap();
        drop((again, other));
        assert_eq!(world.room.free.load(Ordering::Relaxed), 2 * SLOTS);
        assert_eq!(world.room.dropped.get(), 1);
    }

    #[test]
    fn a_hint_takes_no_place_that_is_reserved() {
        let (world, mut notes) = world(1);
        let mut permit = world.admit().unwrap();
        world.hint(note());
        permit.note(note());
        drop(permit);
        world.hint(note());
        assert_eq!(world.room.dropped.get(), 1);
        drop(world);
        let mut got = Vec::new();
        assert_eq!(notes.receive(&mut got, 100), 2);
        assert!(notes.is_closed());
        assert_eq!(notes.receive(&mut got, 100), 0);
    }

    #[test]
    fn notes_end_when_they_are_closed_although_an_exchange_goes_on() {
        let (world, mut notes) = world(2);
        let mut permit = world.admit().unwrap();
        for _ in 0..3 {
            permit.note(note());
        }
        world.closer().close();
        permit.note(note());
        let mut got = Vec::new();
        // However they come, those that were left before are among them.
        assert_eq!(notes.receive(&mut got, 2), 2);
        assert!(!notes.is_closed());
        assert_eq!(notes.receive(&mut got, 2), 1);
        assert!(notes.is_closed());
        assert_eq!(notes.receive(&mut got, 2), 1, "it came in between");
        assert_eq!(notes.receive(&mut got, 2), 0);
        permit.note(note());
        world.hint(note());
        assert_eq!(world.room.dropped.get(), 2);
        drop(permit);
        assert_eq!(world.room.free.load(Ordering::Relaxed), 2 * SLOTS);
        // Closing twice, or a world that is gone, is harmless.
        let closer = world.closer();
        closer.close();
        drop((world, notes));
        closer.close();
    }
}
