//! [io] The thread that writes: all that waits in one go, into the page cache, and then tells those who wait. It
//! never waits for the disk to have it. When the file has grown long a shorter one is begun, and both are written
//! until the shorter one has taken the other's place; a file that takes no more is left in the same way.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Counts;
use super::book::Book;
use super::clock::Clock;
use super::file::Directory;
use super::format::{Charge, Entry, GROUP, HEADER, Name};
use super::queue::{Change, Item, Queue};
use super::syncer::Syncer;
use crate::limit::window::End;

/// A file is replaced when it is so long, and so many times as long as it was when it was begun.
const LONG: u64 = 4 << 20;
const TIMES: u64 = 4;

/// How often it is tried to begin another file, after one that takes nothing.
const RETRY: Duration = Duration::from_secs(1);

/// How often the clocks are written down, while anything else is.
const STAMP: Duration = Duration::from_secs(1);

pub struct Writer {
    queue: Arc<Queue>,
    syncer: Arc<Syncer>,
    directory: Arc<Directory>,
    clock: Clock,
    counts: Counts,
    book: Book,
    file: Log,
    /// What is to take its place.
    next: Option<Log>,
    /// What is written is not kept: the file has failed, and no other has taken its place yet.
    is_failing: bool,
    /// When another file was begun last, or the attempt failed.
    begun: Instant,
    stamped: Option<Instant>,
    buffer: Vec<u8>,
}

/// A file that is written to.
pub struct Log {
    pub file: Arc<File>,
    /// How long it is, and was when it was begun.
    pub length: u64,
    pub first: u64,
}

// === impl Writer ===

impl Writer {
    pub fn new(
        (queue, syncer, directory): (Arc<Queue>, Arc<Syncer>, Arc<Directory>),
        clock: Clock,
        counts: Counts,
        book: Book,
        file: Log,
    ) -> Writer {
        counts.size.set(i64::try_from(file.length).unwrap_or(i64::MAX));
        let begun = Instant::now();
        let (next, is_failing, stamped, buffer) = (None, false, None, Vec::new());
        Writer { queue, syncer, directory, clock, counts, book, file, next, is_failing, begun, stamped, buffer }
    }

    /// Writes until the queue is closed and empty. What it leaves is told: an empty book needs no file.
    pub fn run(mut self) -> Book {
        let mut items: Vec<Item> = Vec::new();
        while self.queue.take(&mut items, (self.is_failing || self.next.is_some()).then_some(RETRY)) {
            self.turn();
            self.buffer.clear();
            if !items.is_empty() && self.stamped.is_none_or(|last| last.elapsed() >= STAMP) {
                self.stamped = Some(Instant::now());
                Entry::Clock(self.clock.stamp()).write(&mut self.buffer);
            }
            for item in &items {
                self.put(&item.changes);
            }
            let is_kept = self.write();
            for item in items.drain(..) {
                if !is_kept && !item.changes.is_empty() {
                    self.counts.unkept.inc();
                }
                if let Some(done) = item.done {
                    // Who asked may have gone.
                    let _ = done.send(is_kept);
                }
            }
        }
        self.book.prune(self.clock.now());
        self.book
    }

    /// Counts the changes of one grant, and has them in one entry. Those of counters without room are not kept.
    fn put(&mut self, changes: &[Change]) {
        let now = self.clock.now();
        for group in changes.chunks(GROUP) {
            let mut charges = Vec::with_capacity(group.len());
            for change in group {
                let opened = Name::of(&change.limit, &change.key).and_then(|name| self.book.open(&name, now));
                let Some((row, is_new)) = opened else {
                    self.counts.unkept.inc();
                    continue;
                };
                if is_new {
                    Entry::Counter(row.number, row.name.clone()).write(&mut self.buffer);
                }
                let Change { bucket, from, to, .. } = *change;
                let end = row.end(bucket).unwrap_or_else(|| match change.limit.window.end(bucket) {
                    End::Steady(end) | End::Unix(end) => end,
                    End::Release => 0,
                });
                row.charge(bucket, end, from, to);
                charges.push(Charge { counter: row.number, bucket, end, from, to });
            }
            if !charges.is_empty() {
                Entry::Charges(charges).write(&mut self.buffer);
            }
        }
    }

    /// Writes the buffer to the file, and to the one that is to take its place. Whether a process that is killed from
    /// now on leaves it to the next.
    fn write(&mut self) -> bool {
        if self.buffer.is_empty() {
            return !self.is_failing;
        }
        let old = if self.is_failing { Ok(()) } else { self.file.write(&self.buffer) };
        let new = self.next.as_mut().map_or(Ok(()), |next| next.write(&self.buffer));
        // A file that is not whole may take the place of one that is: neither is to be relied on until a third does.
        if let Err(error) = old.and(new) {
            self.fail(&error);
        }
        let current = (!self.is_failing).then_some(&self.file);
        self.syncer.written(current.into_iter().chain(&self.next).map(|log| &log.file));
        self.counts.size.set(i64::try_from(self.file.length).unwrap_or(i64::MAX));
        !self.is_failing
    }

    /// Looks what became of the file that was to take the other's place, and begins one where that is needed.
    fn turn(&mut self) {
        if let Some(error) = self.syncer.failed() {
            self.fail(&error);
        }
        match (self.syncer.adopted(), self.next.take()) {
            (Some(Ok(())), Some(next)) if !next.is_torn() => {
                self.file = next;
                self.counts.compactions.inc();
                if std::mem::replace(&mut self.is_failing, false) {
                    tracing::info!("the journal of limits is written again");
                    self.counts.failing.set(0);
                }
            }
            (Some(Ok(())), _) => {}
            (Some(Err(error)), _) => self.warn(&error),
            (None, next) => self.next = next,
        }
        let is_long = self.file.length >= LONG.max(self.file.first.saturating_mul(TIMES));
        let is_due = self.begun.elapsed() >= RETRY;
        if self.next.is_none() && is_due && (self.is_failing || is_long) {
            self.begin();
        }
    }

    /// Begins a file with all that counts now.
    fn begin(&mut self) {
        self.begun = Instant::now();
        match fresh(&self.directory, &mut self.book, &self.clock) {
            Ok(log) => {
                self.syncer.adopt(log.file.clone());
                self.next = Some(log);
            }
            Err(error) => self.warn(&error),
        }
    }

    fn warn(&self, error: &io::Error) {
        let path = self.directory.file();
        tracing::warn!(%error, "cannot replace {}; it is tried again in a second", path.display());
    }

    /// Logs when writing begins to fail, and not again before it works.
    fn fail(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let path = self.directory.file();
            tracing::error!(%error, "cannot write {}: what is spent from now on is lost with this process; \
                 calls under limits with onError: Deny are refused until it can be written", path.display());
            self.counts.failing.set(1);
        }
    }
}

/// A file with all that counts now, that is not the journal yet.
pub fn fresh(directory: &Directory, book: &mut Book, clock: &Clock) -> io::Result<Log> {
    book.prune(clock.now());
    let mut entries = Vec::new();
    Entry::Clock(clock.stamp()).write(&mut entries);
    book.write(&mut entries);
    let length = (HEADER + entries.len()) as u64;
    Ok(Log { file: Arc::new(directory.create(&entries)?), length, first: length })
}

// === impl Log ===

impl Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = (&*self.file).write_all(bytes);
        self.length = if written.is_ok() { self.length + bytes.len() as u64 } else { u64::MAX };
        written
    }

    /// A write has failed, perhaps in the middle.
    fn is_torn(&self) -> bool {
        self.length == u64::MAX
    }
}
