//! [io] What is written off the way of requests: answers, vectors, and the removal of what was found and is none. It
//! waits here in its order, bounded in number and in bytes; what finds no room, or no store, is dropped, for it can be
//! asked for again.
//!
//! The vectors of inputs have a lane of their own, behind the other: one call has two thousand of them, and they
//! neither take the room of answers nor go before them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::scripts::run;
use super::tally::Count;
use super::vector::{self, Vector};
use super::{LATER, Shared, now, value};
use crate::cache::{Entry, Place};
use crate::store::{Command, State};

/// Writes of one round trip, and the bytes after which no more are added to it: a reader may be waiting behind them.
const AT_ONCE: (usize, usize) = (64, 256 << 10);
/// What is larger is compressed where it keeps nobody waiting.
pub(super) const LARGE: usize = 64 << 10;

/// Writes that wait.
pub(super) struct Queue {
    jobs: Mutex<Jobs>,
    /// How many wait at most in each lane, and their bytes.
    most: [(usize, usize); LANES],
    more: Notify,
    done: Notify,
}

/// Where a write waits. The first goes before the others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lane {
    Answers,
    Inputs,
}

const LANES: usize = 2;

#[derive(Default)]
struct Jobs {
    /// By [`Lane`].
    lanes: [Waiting; LANES],
    /// Taken out and not done.
    running: usize,
}

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Write>,
    bytes: usize,
}

/// One of them, with the name of its key.
pub(super) enum Write {
    Put { name: String, place: Place, entry: Entry },
    Add { name: String, place: Place, vector: Vector },
    Drop { name: String, seen: Seen },
    DropFields { name: String, fields: Vec<Vec<u8>> },
}

/// What is no value, as it was seen.
pub(super) enum Seen {
    /// In the place of an answer; how it began, nothing where it is no string.
    Answer(Vec<u8>),
    /// In the place of vectors, of which there are no more than so many.
    Vectors(usize),
}

/// A write as it is sent.
struct Sent {
    command: Command,
    /// Of an answer or a vector.
    bytes: Option<usize>,
}

// === impl Queue ===

impl Queue {
    /// With so much room in each lane: how many, and their bytes.
    pub(super) fn new(answers: (usize, usize), inputs: (usize, usize)) -> Queue {
        Queue { jobs: Mutex::default(), most: [answers, inputs], more: Notify::new(), done: Notify::new() }
    }

    /// Whether there is room for it among the answers.
    pub(super) fn push(&self, write: Write) -> bool {
        self.push_to(Lane::Answers, write)
    }

    /// Whether there is room for it.
    pub(super) fn push_to(&self, lane: Lane, write: Write) -> bool {
        let mut jobs = self.lock();
        let (Some(waiting), Some(most)) = (jobs.lanes.get_mut(lane as usize), self.most.get(lane as usize)) else {
            return false;
        };
        let bytes = waiting.bytes.saturating_add(write.bytes());
        if waiting.writes.len() >= most.0 || bytes > most.1 {
            return false;
        }
        waiting.bytes = bytes;
        waiting.writes.push_back(write);
        drop(jobs);
        self.more.notify_one();
        true
    }

    /// Writes that are not done.
    pub(super) fn waiting(&self) -> usize {
        let jobs = self.lock();
        jobs.lanes.iter().map(|lane| lane.writes.len()).sum::<usize>() + jobs.running
    }

    /// Done when none waits.
    pub(super) async fn empty(&self) {
        loop {
            let done = self.done.notified();
            if self.waiting() == 0 {
                return;
            }
            done.await;
        }
    }

    /// Those of the next round trip.
    async fn next(&self) -> Vec<Write> {
        loop {
            let more = self.more.notified();
            let writes = self.take();
            if !writes.is_empty() {
                return writes;
            }
            more.await;
        }
    }

    fn take(&self) -> Vec<Write> {
        let (mut writes, mut bytes) = (Vec::new(), 0);
        let mut jobs = self.lock();
        for lane in &mut jobs.lanes {
            while writes.len() < AT_ONCE.0
                && bytes < AT_ONCE.1
                && let Some(write) = lane.writes.pop_front()
            {
                let size = write.bytes();
                lane.bytes = lane.bytes.saturating_sub(size);
                bytes += size;
                writes.push(write);
            }
        }
        jobs.running = writes.len();
        writes
    }

    fn finish(&self) {
        self.lock().running = 0;
        self.done.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes until it is dropped.
pub(super) async fn work(shared: Arc<Shared>) {
    loop {
        let writes = shared.queue.next().await;
        round(&shared, writes).await;
        shared.queue.finish();
    }
}

/// One round trip. What fails is not tried again.
async fn round(shared: &Arc<Shared>, mut writes: Vec<Write>) {
    let is_down = shared.link.state() == State::Down;
    if is_down || shared.room.is_scarce() {
        shared.tally.add(Count::Dropped, count(writes.iter().filter(|write| write.is_kept()).count()));
        // What is to go makes room.
        writes.retain(|write| !is_down && !write.is_kept());
    }
    if writes.is_empty() {
        return;
    }
    shared.room.used();
    let is_large = writes.iter().map(Write::bytes).sum::<usize>() > LARGE;
    let kept = count(writes.iter().filter(|write| write.is_kept()).count());
    let sent: Vec<Sent> = if is_large {
        let shared = Arc::clone(shared);
        spawn_blocking(move || prepare(&shared, &writes)).await.unwrap_or_default()
    } else {
        prepare(shared, &writes)
    };
    let (commands, bytes): (Vec<Command>, Vec<Option<usize>>) =
        sent.into_iter().map(|sent| (sent.command, sent.bytes)).unzip();
    let deadline = Instant::now() + shared.link.timeout().max(LATER);
    let answers = shared.link.send_by(commands, deadline).await;
    let mut written = 0;
    for (bytes, answer) in bytes.into_iter().zip(answers) {
        if let (Some(bytes), Ok(Value::Okay | Value::Int(_))) = (bytes, answer) {
            written += 1;
            shared.tally.add(Count::BytesWritten, count(bytes));
        }
    }
    shared.tally.add(Count::Written, written);
    shared.tally.add(Count::Dropped, kept.saturating_sub(written));
}

fn prepare(shared: &Shared, writes: &[Write]) -> Vec<Sent> {
    writes.iter().filter_map(|write| write.prepare(shared)).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

// === impl Write ===

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Write::Put { name, entry, .. } => name.len() + entry.bytes.len() + value::OVERHEAD,
            Write::Add { name, vector, .. } => name.len() + 4 * vector.values.len() + vector.question.len() + 128,
            Write::Drop { name, seen: Seen::Answer(head) } => name.len() + head.len(),
            Write::Drop { name, .. } => name.len(),
            Write::DropFields { name, fields } => name.len() + fields.iter().map(Vec::len).sum::<usize>(),
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Write::Put { .. } | Write::Add { .. })
    }

    /// None where there is nothing to be written: it is too large, has ended, or was forgotten while it waited.
    fn prepare(&self, shared: &Shared) -> Option<Sent> {
        match self {
            Write::Put { name, place, entry } => {
                let left = entry.ttl.checked_sub(entry.age(now())?)?;
                if shared.forgotten.is(place, entry.stored) {
                    return None;
                }
                let nonce = nonce()?;
                let value = value::encode(&shared.at_rest.load(), name, entry, shared.most, nonce)?;
                let (bytes, mut words) = (value.len(), Cmd::new());
                words.arg("SET").arg(name).arg(value).arg("PX").arg(millis(left));
                Some(Sent { command: Command::new(name, words), bytes: Some(bytes) })
            }
            Write::Add { name, place, vector } => {
                let left = Duration::from_secs(vector.ends().checked_sub(now()).filter(|left| *left > 0)?);
                if shared.forgotten.is(place, vector.stored) {
                    return None;
                }
                let field = vector.field()?;
                let value = vector.encode(&shared.at_rest.load(), name, &field, nonce()?)?;
                let (most, ttl) = (shared.vectors.to_string(), millis(left).to_string());
                let arguments: [&[u8]; 4] = [&field, &value, most.as_bytes(), ttl.as_bytes()];
                let bytes = Some(value.len() + vector::FIELD);
                Some(Sent { command: run(&shared.scripts.add, name, &arguments), bytes })
            }
            Write::Drop { name, seen } => {
                let most;
                let arguments: [&[u8]; 2] = match seen {
                    Seen::Answer(head) => [b"string", head],
                    Seen::Vectors(fields) => {
                        most = fields.to_string();
                        [b"hash", most.as_bytes()]
                    }
                };
                Some(Sent { command: run(&shared.scripts.drop, name, &arguments), bytes: None })
            }
            Write::DropFields { name, fields } => {
                let mut words = Cmd::new();
                words.arg("HDEL").arg(name).arg(fields);
                Some(Sent { command: Command::new(name, words), bytes: None })
            }
        }
    }
}

/// None where the system has no random numbers.
fn nonce() -> Option<[u8; super::seal::NONCE]> {
    let mut nonce = [0; super::seal::NONCE];
    getrandom::fill(&mut nonce).ok()?;
    Some(nonce)
}

/// The longest that Redis takes is some hundred million years.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Tag;

    fn put(bytes: usize) -> Write {
        let entry = Entry { bytes: vec![0; bytes].into(), stored: 1, ttl: Duration::from_secs(1) };
        Write::Put { name: String::new(), place: Place { namespace: "".into(), tag: Tag([0; 16]) }, entry }
    }

    fn sizes(writes: &[Write]) -> Vec<usize> {
        writes.iter().map(|write| write.bytes() - value::OVERHEAD).collect()
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let queue = Queue::new((3, 1_000), (0, 0));
        assert!(!queue.push(put(1_001)));
        assert!([100, 200, 300].map(|bytes| queue.push(put(bytes))).iter().all(|room| *room));
        assert!(!queue.push(put(1)), "three are enough");
        assert_eq!(sizes(&queue.take()), [100, 200, 300]);
        assert_eq!(queue.waiting(), 3, "they are not done");
        queue.finish();
        assert!(queue.push(put(800)) && !queue.push(put(200)));
        assert_eq!(queue.waiting(), 1);
        assert_eq!(queue.lock().lanes[0].bytes, 800 + value::OVERHEAD);
    }

    #[test]
    fn one_round_trip_carries_so_much() {
        let queue = Queue::new((1_000, usize::MAX), (0, 0));
        for _ in 0..100 {
            queue.push(put(1));
        }
        for _ in 0..3 {
            queue.push(put(AT_ONCE.1));
        }
        let taken =
            [queue.take().len(), queue.take().len(), queue.take().len(), queue.take().len(), queue.take().len()];
        assert_eq!(taken, [64, 37, 1, 1, 0]);
        assert_eq!(queue.lock().lanes[0].bytes, 0);
    }

    #[test]
    fn vectors_of_inputs_neither_take_the_room_of_answers_nor_go_before_them() {
        let queue = Queue::new((2, 1_000), (70, 4_000));
        for _ in 0..70 {
            assert!(queue.push_to(Lane::Inputs, put(1)));
        }
        assert!(!queue.push_to(Lane::Inputs, put(1)));
        assert!(queue.push(put(100)) && queue.push(put(200)) && !queue.push(put(1)));
        assert_eq!(queue.waiting(), 72);
        let first = queue.take();
        assert_eq!((sizes(&first[..3]), first.len()), (vec![100, 200, 1], 64));
        assert_eq!(queue.take().len(), 8, "what answers leave of a round trip is theirs");
        assert_eq!(queue.lock().lanes.each_ref().map(|lane| lane.bytes), [0, 0]);
    }
}
