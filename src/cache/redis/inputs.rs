//! [io] The vectors of a call's inputs: very many small values of one place, looked for together.
//!
//! They are read in turns, so that no look of somebody else's waits behind megabytes, and each turn has the shortest
//! part of every value that is nearly always all of it: what was cut off is read once more, whole. A look ends where it
//! has read what a call may hold, and begins no turn in the second half of its time: that it wants much is no fault of
//! the store's, and is not to open its breaker.

use redis::{Cmd, Value};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::queue::{self, Lane, Seen, Write};
use super::tally::Count;
use super::{AtRest, Bad, HEAD, Redis, Shared, is_of_another_kind, now, value};
use crate::cache::{Entry, Key, Place};
use crate::store::{Command, State};

/// The bytes of a vector at most: 8,192 numbers as they are written with all of their digits.
pub const LARGEST: usize = 256 << 10;
/// How much of each value is read at first, and how much of those that have more.
const EACH: [usize; 2] = [32 << 10, LARGEST];
/// The bytes that one turn brings at most.
const AT_ONCE: usize = 4 << 20;

/// What is to be made of an entry, as it was kept; none where it is not that.
pub type Reader<T> = fn(&Entry) -> Option<T>;

/// What was read.
struct Values {
    /// Which of those that were asked for, and its bytes.
    each: Vec<(usize, Vec<u8>)>,
    /// What is no value, with how it begins.
    bad: Vec<(usize, Vec<u8>)>,
    bytes: usize,
    is_answered: bool,
}

/// One value, opened.
struct Opened<T> {
    at: usize,
    head: Vec<u8>,
    entry: Result<(Entry, T), Bad>,
}

// === impl Redis ===

impl Redis {
    /// What is kept under these keys, in their order, each as [`Redis::get`] gives it and as `read` makes of it. Of more
    /// than `room` bytes, or than there is time for, the rest is not found.
    pub async fn get_each<T: Send + 'static>(
        &self,
        place: &Place,
        keys: &[Key],
        room: usize,
        read: Reader<T>,
    ) -> Vec<Option<(Entry, T)>> {
        let shared = &self.shared;
        let names: Vec<String> = keys.iter().map(|key| shared.names.entry(place, key)).collect();
        let mut found: Vec<Option<(Entry, T)>> = names.iter().map(|_| None).collect();
        let Values { each, bad, bytes, is_answered } = shared.read_each(&names, room).await;
        shared.tally.add(Count::BytesRead, u64::try_from(bytes).unwrap_or(u64::MAX));
        for (at, head) in bad {
            self.bad_input(names.get(at), head);
        }
        let at_rest = shared.at_rest.load_full();
        let open = move || (open_each(&at_rest, &names, each, room, read), names);
        let (opened, names) = match bytes > queue::LARGE {
            true => spawn_blocking(open).await.unwrap_or_default(),
            false => open(),
        };
        let now = now();
        for Opened { at, head, entry } in opened {
            match entry {
                Err(_) => self.bad_input(names.get(at), head),
                // What was forgotten while others were read is not found.
                Ok((entry, made)) if entry.age(now).is_some() && !shared.forgotten.is(place, entry.stored) => {
                    if let Some(slot) = found.get_mut(at) {
                        *slot = Some((entry, made));
                    }
                }
                // It is ours, and over.
                Ok(_) => shared.drop_input(names.get(at), head),
            }
        }
        shared.tally.one(match (is_answered, found.iter().any(Option::is_some)) {
            (false, _) => Count::Failed,
            (true, true) => Count::Hits,
            (true, false) => Count::Misses,
        });
        found
    }

    /// Keeps what is to be found by [`Redis::get_each`], if there is room and time for it: it waits in a lane of its own.
    /// Nobody waits for it.
    pub fn put_input(&self, place: &Place, key: &Key, entry: Entry) {
        let shared = &self.shared;
        let write = Write::Put { name: shared.names.entry(place, key), place: place.clone(), entry };
        let fits = matches!(&write, Write::Put { entry, .. } if entry.bytes.len() <= LARGEST.min(shared.most));
        if !fits || self.state() == State::Down || !shared.queue.push_to(Lane::Inputs, write) {
            shared.tally.one(Count::Dropped);
        }
    }

    fn bad_input(&self, name: Option<&String>, head: Vec<u8>) {
        self.shared.tally.one(Count::Bad);
        self.shared.drop_input(name, head);
    }
}

// === impl Shared ===

impl Shared {
    /// What lies there is to go, if it is still that. Whether there is room for it does not matter: it is found again.
    fn drop_input(&self, name: Option<&String>, head: Vec<u8>) {
        if let Some(name) = name {
            let _ = self.queue.push_to(Lane::Inputs, Write::Drop { name: name.clone(), seen: Seen::Answer(head) });
        }
    }

    async fn read_each(&self, names: &[String], room: usize) -> Values {
        let mut values = Values { each: Vec::new(), bad: Vec::new(), bytes: 0, is_answered: true };
        let (begun, time) = (Instant::now(), self.link.timeout());
        let mut open: Vec<usize> = (0..names.len()).collect();
        for (pass, each) in EACH.into_iter().enumerate() {
            let (each, is_last) = (each + value::OVERHEAD, pass + 1 == EACH.len());
            let mut cut = Vec::new();
            for (turn, window) in open.chunks((AT_ONCE / each).max(1)).enumerate() {
                let is_late = (pass, turn) != (0, 0) && begun.elapsed() >= time / 2;
                if values.bytes >= room || is_late {
                    return values;
                }
                let commands = window.iter().filter_map(|at| Some(get(names.get(*at)?, each))).collect();
                let answers = self.link.send_by(commands, begun + time).await;
                let failed = answers.iter().filter(|answer| answer.is_err()).count();
                for (at, answer) in window.iter().zip(answers) {
                    if values.take(*at, answer, (each, is_last)) {
                        cut.push(*at);
                    }
                }
                if failed == window.len() {
                    return values;
                }
            }
            open = cut;
        }
        values
    }
}

/// One byte more than `most` tells what is longer.
fn get(name: &str, most: usize) -> Command {
    let mut words = Cmd::new();
    words.arg("GETRANGE").arg(name).arg(0).arg(most);
    Command::new(name, words)
}

fn head(value: &[u8]) -> Vec<u8> {
    value.get(..value.len().min(HEAD)).unwrap_or_default().to_vec()
}

// === impl Values ===

impl Values {
    /// True where only a part of it was read.
    fn take(&mut self, at: usize, answer: Result<Value, crate::store::Down>, (most, is_last): (usize, bool)) -> bool {
        match answer {
            Ok(Value::BulkString(value)) if value.is_empty() => {}
            Ok(Value::BulkString(value)) if value.len() <= most => {
                self.bytes += value.len();
                self.each.push((at, value));
            }
            Ok(Value::BulkString(_)) if !is_last => return true,
            // Nothing so large is written.
            Ok(Value::BulkString(value)) => self.bad.push((at, head(&value))),
            Ok(Value::Nil) => {}
            Ok(error @ Value::ServerError(_)) if is_of_another_kind(&error) => self.bad.push((at, Vec::new())),
            Ok(_) | Err(_) => self.is_answered = false,
        }
        false
    }
}

/// Opens values, and no more of them than come to so many bytes: what is compressed may become many times as large.
fn open_each<T>(
    at_rest: &AtRest,
    names: &[String],
    values: Vec<(usize, Vec<u8>)>,
    room: usize,
    read: Reader<T>,
) -> Vec<Opened<T>> {
    let (mut opened, mut bytes) = (Vec::with_capacity(values.len()), 0);
    for (at, value) in values {
        if bytes >= room {
            break;
        }
        let Some(name) = names.get(at) else { continue };
        let head = head(&value);
        let entry = value::decode(at_rest, name, value, LARGEST).and_then(|entry| {
            bytes += entry.bytes.len();
            let made = read(&entry).ok_or(Bad::Broken)?;
            Ok((entry, made))
        });
        opened.push(Opened { at, head, entry });
    }
    opened
}
