//! The answers: what an exchange cannot know by itself, and where its notes go. A host is given a
//! world and never looks behind it, so that a test can script one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    queue: mpsc::UnboundedSender<Note>,
    room: Arc<Room>,
    left: usize,
}

/// The receiving end of the notes.
#[derive(Debug)]
pub struct Notes {
    queue: mpsc::UnboundedReceiver<Note>,
    room: Arc<Room>,
}

/// What bounds the queue: nobody sends without a place, and receiving gives it back. One count for
/// the places of an exchange is a third of what reserving each in a bounded queue costs.
#[derive(Debug)]
struct Room {
    free: AtomicUsize,
    lost: AtomicU64,
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
    queue: mpsc::UnboundedSender<Note>,
    room: Arc<Room>,
}

// === impl Local ===

impl Local {
    /// A world with this policy, for at most `exchanges` at a time.
    pub fn new(policy: Arc<Policy>, learned: Arc<Learned>, exchanges: usize) -> (Self, Notes) {
        Local::with_places(policy, learned, exchanges.saturating_mul(SLOTS).saturating_add(SLACK))
    }

    fn with_places(policy: Arc<Policy>, learned: Arc<Learned>, free: usize) -> (Self, Notes) {
        let (queue, receiver) = mpsc::unbounded_channel();
        let room = Arc::new(Room { free: AtomicUsize::new(free), lost: AtomicU64::new(0) });
        (Local { policy, learned, queue, room: room.clone() }, Notes { queue: receiver, room })
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
        // It fails when the receiver is gone, and then nobody counts any more.
        if !self.room.take(1) || self.queue.send(note).is_err() {
            self.room.lost.fetch_add(1, Ordering::Relaxed);
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
    /// Leaves a note. What may be lost is lost when the reserved places are used up, and counted.
    pub fn note(&mut self, note: Note) {
        if self.left == 0 {
            self.room.lost.fetch_add(1, Ordering::Relaxed);
        } else if self.queue.send(note).is_ok() {
            self.left -= 1;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.room.give(self.left);
    }
}

// === impl Notes ===

impl Notes {
    /// Waits for notes and appends them, `limit` at most. 0 when no more will come. Not for a thread
    /// that runs tasks.
    pub fn receive(&mut self, notes: &mut Vec<Note>, limit: usize) -> usize {
        let count = self.queue.blocking_recv_many(notes, limit);
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
        Local::with_places(Arc::new(policy), Arc::new(Learned::new()), exchanges * SLOTS)
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
        assert_eq!(world.room.lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_hint_takes_no_place_that_is_reserved() {
        let (world, mut notes) = world(1);
        let mut permit = world.admit().unwrap();
        world.hint(note());
        permit.note(note());
        drop(permit);
        world.hint(note());
        drop(world);
        let mut got = Vec::new();
        assert_eq!(notes.receive(&mut got, 100), 2);
        assert!(notes.is_closed());
        assert_eq!(notes.receive(&mut got, 100), 0);
    }
}
