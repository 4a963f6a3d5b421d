//! [io] The thread that writes: all that waits in one go, into the page cache, and then tells those who wait. It
//! never waits for the disk to have it. When the file has grown long a shorter one is begun, piece by piece between
//! what waits, and both are written until the shorter one has taken the other's place; a file that takes no more is
//! left in the same way.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Counts;
use super::book::{Book, Place, Row};
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

/// Bytes of a piece of the file that is to take the other's place: a millisecond's work.
const PIECE: usize = 256 << 10;

pub struct Writer {
    queue: Arc<Queue>,
    syncer: Arc<Syncer>,
    directory: Arc<Directory>,
    clock: Clock,
    counts: Counts,
    book: Book,
    file: Log,
    /// What is to take its place.
    next: Option<Next>,
    /// What is written is not kept: the file has failed, and no other has taken its place yet.
    is_failing: bool,
    /// When another file was begun last, or the attempt failed.
    begun: Instant,
    stamped: Option<Instant>,
    /// Why no other file can take its place has been said, and none has since.
    has_warned: bool,
    /// For the file, and for the next.
    buffer: Vec<u8>,
    copy: Vec<u8>,
}

/// A file on its way.
struct Next {
    log: Log,
    /// Counters that are not in it yet. When it has all, it is on its way to the disk.
    rest: Vec<Place>,
    is_whole: bool,
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
        Writer {
            queue,
            syncer,
            directory,
            clock,
            counts,
            book,
            file,
            next: None,
            is_failing: false,
            begun: Instant::now(),
            stamped: None,
            has_warned: false,
            buffer: Vec::new(),
            copy: Vec::new(),
        }
    }

    /// Writes until the queue is closed and empty. What it leaves is told: an empty book needs no file.
    pub fn run(mut self) -> Book {
        let mut items: Vec<Item> = Vec::new();
        while let Some(was_stalled) = self.queue.take(&mut items, self.patience()) {
            if was_stalled && !self.is_failing {
                tracing::info!("the journal of limits is written again after it stood still");
                self.counts.failing.set(0);
            }
            self.turn();
            self.buffer.clear();
            self.copy.clear();
            if !items.is_empty() && self.stamped.is_none_or(|last| last.elapsed() >= STAMP) {
                self.stamped = Some(Instant::now());
                Entry::Clock(self.clock.stamp()).write(&mut self.buffer);
                self.copy.extend_from_slice(&self.buffer);
            }
            let found_room: Vec<bool> = items.iter().map(|item| self.put(&item.changes)).collect();
            self.go_on();
            let is_written = self.write();
            for (item, found_room) in items.drain(..).zip(found_room) {
                let is_kept = is_written && found_room;
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

    /// How long to wait for what is to be written, where there is something else to do.
    fn patience(&self) -> Option<Duration> {
        match &self.next {
            Some(next) if !next.is_whole => Some(Duration::ZERO),
            next => (self.is_failing || next.is_some()).then_some(RETRY),
        }
    }

    /// Counts the changes of one grant, and has them in one entry. False where a counter found no room: what is changed
    /// there is not kept.
    fn put(&mut self, changes: &[Change]) -> bool {
        let now = self.clock.now();
        let (mut has_all, copy) = (true, self.next.is_some().then(|| self.book.copies()));
        for group in changes.chunks(GROUP) {
            let (mut charges, mut copies) = (Vec::with_capacity(group.len()), Vec::new());
            for change in group {
                let opened = Name::of(&change.limit, &change.key).and_then(|name| self.book.open(&name, now));
                let Some((row, is_new)) = opened else {
                    has_all = false;
                    continue;
                };
                let begin = charges.len();
                change_row(row, change, &mut charges);
                let name = is_new.then(|| Entry::Counter(row.number, row.name.clone()));
                let is_copied = copy.is_some_and(|copy| row.is_in(copy));
                for buffer in [Some(&mut self.buffer), is_copied.then_some(&mut self.copy)].into_iter().flatten() {
                    name.iter().for_each(|name| name.write(buffer));
                }
                if is_copied {
                    copies.extend_from_slice(charges.get(begin..).unwrap_or_default());
                }
            }
            for (charges, buffer) in [(charges, &mut self.buffer), (copies, &mut self.copy)] {
                if !charges.is_empty() {
                    Entry::Charges(charges).write(buffer);
                }
            }
        }
        has_all
    }

    /// The next piece of the file that is to take the other's place.
    fn go_on(&mut self) {
        if let Some(next) = self.next.as_mut().filter(|next| !next.is_whole) {
            let bytes = self.copy.len().saturating_add(PIECE);
            self.book.copy(&mut next.rest, bytes, &mut self.copy);
        }
    }

    /// Writes what there is to the file, and to the one that is to take its place. Whether a process that is killed
    /// from now on leaves it to the next.
    fn write(&mut self) -> bool {
        if !self.buffer.is_empty()
            && !self.is_failing
            && let Err(error) = self.file.write(&self.buffer)
        {
            self.fail(&error);
        }
        self.write_next();
        let current = (!self.is_failing).then_some(&self.file);
        let written = current.into_iter().chain(self.next.as_ref().map(|next| &next.log));
        if !(self.buffer.is_empty() && self.copy.is_empty()) {
            self.syncer.written(written.map(|log| &log.file));
        }
        self.counts.size.set(i64::try_from(self.file.length).unwrap_or(i64::MAX));
        !self.is_failing
    }

    fn write_next(&mut self) {
        let Some(mut next) = self.next.take() else { return };
        match next.log.write(&self.copy) {
            // It may take the place of a file that is whole: neither is to be relied on until a third does.
            Err(error) if next.is_whole => {
                self.fail(&error);
                self.next = Some(next);
            }
            Err(error) => self.warn(&error),
            Ok(()) => {
                if !next.is_whole && next.rest.is_empty() {
                    next.is_whole = true;
                    next.log.first = next.log.length;
                    self.syncer.adopt(next.log.file.clone());
                }
                self.next = Some(next);
            }
        }
    }

    /// Looks what became of the file that was to take the other's place, and begins one where that is needed.
    fn turn(&mut self) {
        if let Some(error) = self.syncer.failed() {
            self.fail(&error);
        }
        match (self.syncer.adopted(), self.next.take()) {
            (Some(Ok(())), Some(next)) if !next.log.is_torn() => {
                self.file = next.log;
                self.has_warned = false;
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
        match begin(&self.directory, &mut self.book, &self.clock) {
            Ok((log, rest)) => self.next = Some(Next { log, rest, is_whole: false }),
            Err(error) => self.warn(&error),
        }
    }

    /// Logs that no other file can take its place, and not again before one does.
    fn warn(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let path = self.directory.file();
            tracing::warn!(%error, "cannot replace {}; it is tried again each second", path.display());
        }
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

/// Charges a counter, and says what was charged.
pub fn change_row(row: &mut Row, change: &Change, charges: &mut Vec<Charge>) {
    let Change { mut bucket, mut from, mut to, .. } = *change;
    let window = &change.limit.window;
    let end = |row: &Row, bucket: u64| {
        row.end(bucket).unwrap_or_else(|| match window.end(bucket) {
            End::Steady(end) | End::Unix(end) => end,
            End::Release => 0,
        })
    };
    let newest = row.newest().map(|newest| newest.bucket);
    match newest {
        // The counter has moved back to now: see [`Counter::advance`](crate::limit::counter::Counter::advance).
        Some(newest) if change.is_taken && window.is_far_ahead(newest, bucket) => {
            charges.extend(row.recede(bucket, end(row, bucket)));
        }
        // It was taken before that: as the counter does, what it came to beyond is charged.
        Some(newest) if !change.is_taken && window.is_far_ahead(bucket, newest) => {
            (bucket, from, to) = (newest, 0, to.saturating_sub(from));
        }
        _ => {}
    }
    let end = end(row, bucket);
    row.charge(bucket, end, from, to);
    charges.push(Charge { counter: row.number, bucket, end, from, to });
}

/// A file that has nothing yet but the time, and is not the journal; and all that counts now, which is to be in it.
fn begin(directory: &Directory, book: &mut Book, clock: &Clock) -> io::Result<(Log, Vec<Place>)> {
    book.prune(clock.now());
    let mut entries = Vec::new();
    Entry::Clock(clock.stamp()).write(&mut entries);
    let length = (HEADER + entries.len()) as u64;
    let log = Log { file: Arc::new(directory.create(&entries)?), length, first: length };
    Ok((log, book.begin()))
}

/// A file with all that counts now, that is not the journal yet.
pub fn fresh(directory: &Directory, book: &mut Book, clock: &Clock) -> io::Result<Log> {
    let (mut log, mut rest) = begin(directory, book, clock)?;
    let mut piece = Vec::new();
    while !rest.is_empty() {
        piece.clear();
        book.copy(&mut rest, PIECE, &mut piece);
        log.write(&piece)?;
    }
    log.first = log.length;
    Ok(log)
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
