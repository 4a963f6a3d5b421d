//! [io] What is spent in this process, written down so that the next one knows it. A charge is in the page cache
//! before the call that it is for is let go, so that a process that is killed loses none; and on the disk a tenth of
//! a second later, or what the configuration says, so that a machine that loses power loses no more than that.
//!
//! What is written are charges, not grants: `to` instead of `from` in a bucket of a counter. So a reservation whose
//! process ended stands as it was reserved, once, and nobody has to look for it. Calendars and rolling windows are
//! kept. Calls at a time are not: they end with their process.
//!
//! # The file
//!
//! `limits.journal` in the directory of the configuration, which is locked: one process at a time. All numbers are
//! little-endian. A header, and entries to the end:
//!
//! ```text
//! header   "weir.lim"  version u32 = 1  CRC-32C u32 of these twelve bytes
//! entry    length u32 of the payload    CRC-32C u32 of length and payload    payload, at most 1 MiB
//!
//! payload  1  steady u64  unix u64  uptime u64  boot [16]               the clocks, in nanoseconds
//!          2  counter u64  unit u8  window u8  length u64  ceiling u64  whose counter a number means
//!             id's length u16  id  key
//!          3  (counter u64  bucket u64  end u64  from u64  to u64)*     charges, all or none of an entry
//!
//! unit     1 requests  2 thousandths of tokens  3 nano-USD
//! window   1 rolling, length: of its part in nanoseconds; 2 calendar, length: 1 hour 2 day 3 week 4 month 5 year
//! ```
//!
//! A reader stops at the first entry that is not whole; that and what is behind it is cut off, counted and kept under
//! another name. A file of another version is not touched, and the process does not start. The file is replaced by one
//! that holds only what still counts when it is opened, and when it has grown to four times of that and to 4 MiB: the
//! new one is written beside it, brought to the disk, and renamed.
//!
//! # A disk that fails
//!
//! What cannot be written is counted, and its takes are `Unchecked`: `onError` says what becomes of the call. It is
//! counted in memory all the same. Once a second a new file is tried, with all that counts by then in it, so that
//! nothing is missing when it works again. A disk that takes nothing and says nothing is waited for once, for a second;
//! until it takes something again every take is `Unchecked` at once, and what is to be written waits, as much as there
//! is room for. A counter that finds no room is not kept either.
//!
//! # Clocks
//!
//! Rolling windows go by a clock that goes on where the last process's stood: see [`clock::resume`]. Calendars go by
//! the Unix time, and never back by less than two units: what was spent in a unit stays spent in it, also if that begins
//! in the future now. What is further ahead was charged by a clock that was wrong. With the next reservation it moves to
//! the unit of that; charges say so.

mod book;
pub mod clock;
mod file;
mod format;
mod queue;
mod syncer;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use self::book::{Book, Row};
use self::clock::Clock;
use self::file::Directory;
use self::format::{Kind, Span};
use self::queue::{Asked, Change, Queue};
use self::syncer::Syncer;
use self::writer::{Writer, fresh};
use super::take::{Grant, Settlement, Taken};
use super::window::{Calendar, PARTS, Window};
use super::{Counting, Limit};

/// The longest that a call waits until its charges are written. It takes some ten microseconds; a disk that lets
/// nobody write for so long has failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where and how spend is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A directory.
    pub path: PathBuf,
    /// How long something that is written may take to reach the disk, beside the time that the disk takes.
    pub sync: Duration,
    /// Nobody asked for it: a process goes on without it where it cannot be used, and at the end the directory is
    /// removed where nothing in it counts any more.
    pub is_implied: bool,
}

/// What is told of a journal, as it goes.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Reservations and settlements that a process that is killed now would lose, or would have lost.
    pub unkept: Counter,
    /// Bytes behind the last whole entry, when the journal was opened.
    pub cut: Counter,
    /// Times a shorter file has taken the place of a longer one.
    pub compactions: Counter,
    /// Bytes of the file.
    pub size: Gauge,
    /// 1 while it cannot be written.
    pub failing: Gauge,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("{}: another process keeps its limits there; give each its own directory (spec.journal.path)", .0.display())]
    Taken(PathBuf),
    #[error("{}: this is no journal of limits; move it away, or name another directory (spec.journal.path)", .0.display())]
    Foreign(PathBuf),
    #[error(
        "{}: the journal has version {version}, and this Weir reads version {ours}; run the one that wrote it, or move \
         the file away and begin with nothing spent",
        path.display(),
        ours = format::VERSION
    )]
    Version { path: PathBuf, version: u32 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The writing end. Share it in an `Arc`.
pub struct Journal {
    queue: Arc<Queue>,
    syncer: Arc<Syncer>,
    counts: Counts,
    ends: Mutex<Option<Ends>>,
}

struct Ends {
    writer: JoinHandle<Book>,
    syncer: JoinHandle<()>,
    directory: Arc<Directory>,
    is_implied: bool,
}

/// What the processes before this one have spent.
pub struct Found {
    /// By which all windows are to be counted from now on.
    pub clock: Clock,
    pub counters: Vec<Spend>,
}

/// What is used of one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spend {
    /// As far as the journal knows it: its id, unit, amount and window. A calendar's zone it does not know.
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    /// The buckets that hold something and how much, the oldest first.
    pub charges: Vec<(u64, u64)>,
    /// When the newest of them ends to count, on the clock of its window.
    pub end: u64,
}

/// The charges of a grant, on their way into the file.
pub struct Writing {
    answer: Asked,
    queue: Arc<Queue>,
    counts: Counts,
}

/// What is left when the thread that writes ends.
struct Last {
    queue: Arc<Queue>,
    counts: Counts,
}

// === impl Journal ===

impl Journal {
    /// Opens the journal for at most so many counters, and gives what it says.
    ///
    /// # Errors
    /// When another process has it, it is not one of this version, or the disk does not let it be read or written.
    pub fn open(settings: &Settings, most: usize, counts: Counts) -> Result<(Journal, Found), JournalError> {
        let directory = Arc::new(Directory::open(&settings.path)?);
        let contents = directory.read(most)?;
        let failed = |source| JournalError::Io { path: directory.file(), source };
        if contents.cut > 0 {
            counts.cut.inc_by(contents.cut);
            tell_cut(&directory, contents.cut);
        }
        let clock = Clock::start(contents.stamp.as_ref());
        let mut book = contents.book;
        let log = fresh(&directory, &mut book, &clock).map_err(failed)?;
        directory.adopt(&log.file).map_err(failed)?;
        let counters: Vec<Spend> = book.rows().filter_map(Spend::of).collect();
        let (entries, lost, count) = (contents.entries, contents.lost, counters.len());
        tracing::info!(entries, lost, counters = count, "limits are kept in {}", directory.file().display());

        let (queue, syncer) = (Arc::new(Queue::default()), Arc::new(Syncer::new(directory.clone(), settings.sync)));
        let shared = (queue.clone(), syncer.clone(), directory.clone());
        let writer = Writer::new(shared, clock, counts.clone(), book, log);
        let last = Last { queue: queue.clone(), counts: counts.clone() };
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let syncs = syncer.clone();
        let ends = Ends {
            syncer: spawn("journal-sync").spawn(move || syncs.run()).map_err(failed)?,
            writer: spawn("journal").spawn(move || last.watch(writer)).map_err(failed)?,
            is_implied: settings.is_implied,
            directory,
        };
        Ok((Journal { queue, syncer, counts, ends: Mutex::new(Some(ends)) }, Found { clock, counters }))
    }

    /// Has a grant written. None where it takes nothing that is kept.
    pub fn reserve(&self, grant: &Grant) -> Option<Writing> {
        let changes = changes(grant.taken.iter().map(|taken| (taken, 0, taken.amount)), true);
        (!changes.is_empty()).then(|| self.ask(changes))
    }

    /// Has written what a grant came to. It is by the time that a later [`Journal::flush`] returns.
    pub fn settle(&self, settlement: &Settlement) {
        let amounts = settlement.grant.taken.iter().zip(&settlement.amounts);
        let changes = changes(amounts.map(|(taken, amount)| (taken, taken.amount, *amount)), false);
        if !changes.is_empty() && !self.queue.tell(changes) {
            self.counts.unkept.inc();
        }
    }

    /// Waits until everything that was told so far is written, or has failed to be. Not for a thread that runs tasks.
    pub fn flush(&self) {
        if let Asked::Waits(answer) = self.ask(Vec::new()).answer {
            // An error means that the thread is gone, and with it whatever it had to write.
            let _ = answer.blocking_recv();
        }
    }

    /// Ends the journal, with everything that was told on the disk. Not for a thread that runs tasks.
    pub fn close(&self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Ends { writer, syncer, directory, is_implied }) = ends else { return };
        self.queue.close();
        let book = writer.join();
        self.syncer.close();
        let _ = syncer.join();
        if let Some(error) = self.syncer.failed() {
            tracing::warn!(%error, "the journal of limits may not have reached the disk");
        }
        if is_implied
            && book.is_ok_and(|book| book.is_empty())
            && let Err(error) = directory.remove()
        {
            tracing::debug!(%error, "an empty journal of limits is left behind");
        }
    }

    fn ask(&self, changes: Vec<Change>) -> Writing {
        Writing { answer: self.queue.ask(changes), queue: self.queue.clone(), counts: self.counts.clone() }
    }
}

/// A journal that nobody closed still writes what it was told.
impl Drop for Journal {
    fn drop(&mut self) {
        self.queue.close();
        self.syncer.close();
    }
}

/// What is behind the last whole entry cannot be read. That it cannot be kept either is no reason not to start.
fn tell_cut(directory: &Directory, cut: u64) {
    let path = directory.file();
    let kept = match directory.keep_damaged() {
        Ok(kept) => format!("{} has them", kept.display()),
        Err(error) => format!("and they could not be kept: {error}"),
    };
    tracing::warn!(
        "{}: {cut} bytes behind the last whole entry are cut off, and what was written in them is lost; {kept}",
        path.display()
    );
}

/// Whether a limit's counters are kept.
pub fn keeps(limit: &Limit) -> bool {
    limit.counting == Counting::Process && Kind::of(limit).is_some()
}

fn changes<'a>(rows: impl Iterator<Item = (&'a Taken, u64, u64)>, is_taken: bool) -> Vec<Change> {
    let changed = rows.filter(|(taken, from, to)| from != to && keeps(&taken.limit));
    let change = |(taken, from, to): (&Taken, u64, u64)| Change {
        limit: taken.limit.clone(),
        key: taken.key.clone(),
        bucket: taken.bucket,
        from,
        to,
        is_taken,
    };
    changed.map(change).collect()
}

// === impl Writing ===

impl Writing {
    /// Waits until it is written. False where a process that is killed now loses it.
    pub async fn is_kept(self) -> bool {
        let answer = match self.answer {
            Asked::Waits(answer) => answer,
            // The thread that writes it says what becomes of it.
            Asked::Later => return false,
            Asked::Lost => {
                self.counts.unkept.inc();
                return false;
            }
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(told) => told == Ok(true),
            Err(_) => {
                if self.queue.stall() {
                    self.counts.failing.set(1);
                    tracing::error!(
                        "the journal of limits has not been written for {PATIENCE:?}: calls under limits with onError: \
                         Deny are refused until it is; look at its disk"
                    );
                }
                false
            }
        }
    }
}

// === impl Last ===

impl Last {
    /// Writes, and says so where that ends before it should.
    fn watch(self, writer: Writer) -> Book {
        writer.run()
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        self.queue.close();
        if std::thread::panicking() {
            self.counts.failing.set(1);
            tracing::error!("the journal of limits is not written any more: start this process anew");
        }
    }
}

// === impl Spend ===

impl Spend {
    fn of(row: &Row) -> Option<Spend> {
        let window = match row.name.kind.span {
            Span::Rolling(part) => Window::Rolling(Duration::from_nanos(part.saturating_mul(PARTS))),
            // Until the limit is asked, which tells its zone, nothing is made of this one: the unit's end is known.
            Span::Calendar(unit) => Window::Calendar(Calendar { unit, zone: jiff::tz::TimeZone::UTC }),
        };
        let name = row.name.id.rsplit('/').next().unwrap_or_default();
        let limit = Limit::new(name, row.name.kind.unit, row.name.ceiling, window);
        let limit = Arc::new(Limit { id: row.name.id.clone(), ..limit });
        let charges = row.spent.iter().map(|spent| (spent.bucket, spent.amount)).collect();
        Some(Spend { limit, key: row.name.key.clone(), charges, end: row.spent.last()?.end })
    }
}

#[cfg(test)]
mod tests;
