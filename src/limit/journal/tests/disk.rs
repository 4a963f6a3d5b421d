//! Locks, ends, files that grow, and a disk that is full.

use super::super::file::{Directory, keep};
use super::super::writer::Log;
use super::*;
use crate::limit::memory::Memory;
use crate::limit::take::{Posture, Take};

struct Process {
    journal: Journal,
    found: Found,
    counts: Counts,
    memory: Memory,
}

fn open(settings: &Settings) -> Result<Process, JournalError> {
    let counts = Counts::default();
    let (journal, found) = Journal::open(settings, 1_000, counts.clone())?;
    Ok(Process { journal, found, counts, memory: Memory::new(1_000) })
}

impl Process {
    fn grant(&self, limit: &Arc<Limit>, key: &str, amount: u64) -> Grant {
        let (limit, key) = (limit.clone(), key.into());
        let take = Take { limit, key, ceiling: u64::MAX, amount, posture: Posture::Enforce };
        self.memory.reserve(1, &[take], self.found.clock.now()).expect("it fits")
    }

    fn reserve(&self, limit: &Arc<Limit>, key: &str, amount: u64) -> bool {
        let grant = self.grant(limit, key, amount);
        let writing = self.journal.reserve(&grant).expect("it is kept");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(writing.is_kept())
    }

    fn spent(&self) -> Vec<(&str, u64)> {
        let sum = |spend: &Spend| spend.charges.iter().map(|(_, amount)| amount).sum();
        let mut spent: Vec<_> = self.found.counters.iter().map(|spend| (&*spend.key, sum(spend))).collect();
        spent.sort_unstable();
        spent
    }
}

#[test]
fn one_process_at_a_time_has_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(&directory.path().join("made/by/weir"));
    let first = open(&settings).expect("opened");
    let error = open(&settings).err().expect("it is taken").to_string();
    assert!(error.contains("another process") && error.contains("made/by/weir"), "{error}");
    assert!(first.reserve(&daily(), "a", 5));
    first.journal.close();
    first.journal.close();
    assert!(!first.reserve(&daily(), "a", 5), "nobody writes any more");
    assert_eq!(first.counts.unkept.get(), 1);
    drop(first);
    assert_eq!(open(&settings).expect("it is free").spent(), [("a", 5)]);
}

#[test]
fn an_empty_journal_that_was_made_for_a_while_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("up");
    let settings = Settings { is_implied: true, ..settings(&path) };
    let (day, keeps) = (daily(), "a");
    let first = open(&settings).expect("opened");
    assert!(first.reserve(&day, keeps, 5));
    first.journal.close();
    assert!(path.join("limits.journal").exists(), "something is spent");
    drop(first);
    let second = open(&settings).expect("opened");
    let grant = Grant { id: 1, taken: vec![Taken { amount: 5, ..second.grant(&day, keeps, 5).taken.remove(0) }] };
    second.journal.settle(&Settlement { grant, amounts: vec![0] });
    second.journal.close();
    assert!(!path.exists(), "nothing is any more");
}

/// Leaves a journal of two charges in this directory, of which the second is torn: what is there.
fn tear(settings: &Settings, directory: &Path) -> Vec<u8> {
    let first = open(settings).expect("opened");
    assert!(first.reserve(&daily(), "a", 5) && first.reserve(&daily(), "b", 6));
    first.journal.close();
    drop(first);
    let path = directory.join("limits.journal");
    let mut bytes = std::fs::read(&path).expect("there");
    bytes.truncate(bytes.len() - 3);
    std::fs::write(&path, &bytes).expect("written");
    bytes
}

#[test]
fn a_torn_end_is_cut_counted_and_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let torn = tear(&settings, directory.path());
    let second = open(&settings).expect("opened");
    assert_eq!(second.spent(), [("a", 5)]);
    assert_eq!(second.counts.cut.get(), (FRAME + 1 + Charge::BYTES - 3) as u64);
    let damaged = std::fs::read(directory.path().join("limits.journal.damaged")).expect("kept");
    assert_eq!(damaged, torn);
    assert!(second.reserve(&daily(), "b", 7));
    second.journal.close();
    drop(second);
    let third = open(&settings).expect("opened");
    assert_eq!((third.spent(), third.counts.cut.get()), (vec![("a", 5), ("b", 7)], 0));
}

#[test]
fn what_cannot_be_kept_of_a_torn_end_keeps_nobody_from_starting() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    tear(&settings, directory.path());
    // Nothing can take the place of this.
    std::fs::create_dir_all(directory.path().join("limits.journal.damaged/full")).expect("made");
    let second = open(&settings).expect("opened");
    assert_eq!((second.spent(), second.counts.cut.get() > 0), (vec![("a", 5)], true));
}

#[test]
fn a_volume_without_links_keeps_a_copy() {
    let directory = tempfile::tempdir().expect("a directory");
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    std::fs::write(&from, b"torn").expect("written");
    keep(&from, &to, |_, _| Err(io::ErrorKind::PermissionDenied.into())).expect("copied");
    assert_eq!(std::fs::read(to).expect("there"), b"torn");
}

/// More counters than one piece of the shorter file takes, which are charged while it is written.
#[test]
fn what_is_charged_while_a_shorter_file_is_written_is_in_it_once() {
    const KEYS: usize = 6_000;
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (journal, found) = Journal::open(&settings, 2 * KEYS, Counts::default()).expect("opened");
    let (memory, day) = (Memory::new(8 * KEYS), daily());
    let key = |n: usize| format!("{n:05}{}", "k".repeat(200));
    let take = |n: usize| Take {
        limit: day.clone(),
        key: key(n).into(),
        ceiling: 1 << 40,
        amount: 1,
        posture: Posture::Enforce,
    };
    let mut spent = vec![0_u64; KEYS + 2_000];
    let mut rows = Vec::new();
    for (n, spent) in spent.iter_mut().enumerate().take(KEYS) {
        let grant = memory.reserve(1, &[take(n)], found.clock.now()).expect("it fits");
        rows.push(grant.taken[0].clone());
        journal.settle(&Settlement {
            grant: Grant { id: 1, taken: vec![Taken { amount: 0, ..rows[n].clone() }] },
            amounts: vec![1],
        });
        *spent = 1;
    }
    let (mut at, mut new) = (0, KEYS);
    while journal.counts.compactions.get() == 0 {
        for _ in 0..500 {
            at = (at + 7_919) % KEYS;
            let grant = Grant { id: 1, taken: vec![rows[at].clone()] };
            journal.settle(&Settlement { grant, amounts: vec![2] });
            spent[at] += 1;
        }
        // Now and then one that nobody knew when the shorter file was begun.
        if new < spent.len() {
            let grant = memory.reserve(1, &[take(new)], found.clock.now()).expect("it fits");
            drop(journal.reserve(&grant));
            spent[new] = 1;
            new += 1;
        }
        journal.flush();
    }
    journal.close();
    drop(journal);
    let (_, found) = Journal::open(&settings, 2 * KEYS, Counts::default()).expect("opened");
    let mut read: Vec<_> = found.counters.iter().map(|one| (one.key.to_string(), one.charges[0].1)).collect();
    read.sort();
    let expected: Vec<_> = (0..new).map(|n| (key(n), spent[n])).collect();
    assert_eq!(read, expected);
}

#[test]
fn a_long_file_is_replaced_by_a_short_one_and_nothing_is_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let first = open(&settings).expect("opened");
    let day = daily();
    let grant = first.grant(&day, "a", 1);
    let mut charged = 0;
    // No shorter file is begun in the first second, nor has one taken the other's place before it is on the disk.
    while first.counts.compactions.get() == 0 {
        for _ in 0..1_000 {
            first.journal.settle(&Settlement { grant: grant.clone(), amounts: vec![2] });
            charged += 1;
        }
        first.journal.flush();
    }
    assert!(first.reserve(&hourly(), "b", 8), "a counter that the second file did not begin with");
    let length = std::fs::metadata(directory.path().join("limits.journal")).expect("there").len();
    assert!(length < charged * Charge::BYTES as u64, "{length}");
    first.journal.close();
    drop(first);
    // The first of them found nothing to give back.
    assert_eq!(open(&settings).expect("opened").spent(), [("a", 1 + charged), ("b", 8)]);
}

/// A journal whose file takes nothing any more.
#[test]
fn what_a_full_disk_does_not_take_is_said_and_comes_later() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = Arc::new(Directory::open(directory.path()).expect("opened"));
    let (counts, clock) = (Counts::default(), Clock::start(None));
    let mut book = Book::new(10);
    at.adopt(&fresh(&at, &mut book, &clock).expect("made").file).expect("on the disk");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device that is always full");
    let (queue, syncer) = (Arc::new(Queue::default()), Arc::new(Syncer::new(at.clone(), HOUR)));
    let log = Log { file: Arc::new(full), length: 0, first: 0 };
    let writer = Writer::new((queue.clone(), syncer.clone(), at.clone()), clock, counts.clone(), book, log);
    let syncs = syncer.clone();
    let ends = Ends {
        writer: std::thread::spawn(move || writer.run()),
        syncer: std::thread::spawn(move || syncs.run()),
        directory: at,
        is_implied: false,
    };
    let journal = Journal { queue, syncer, counts: counts.clone(), ends: Mutex::new(Some(ends)) };
    let found = Found { clock, counters: Vec::new() };
    let process = Process { journal, found, counts: counts.clone(), memory: Memory::new(10) };
    assert!(!process.reserve(&daily(), "a", 5));
    assert_eq!((counts.failing.get(), counts.unkept.get()), (1, 1));
    while !process.reserve(&daily(), "b", 1) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(counts.failing.get(), 0);
    let b = process.memory.peek(
        &[Take { limit: daily(), key: "b".into(), ceiling: 1_000, amount: 0, posture: Posture::Enforce }],
        clock.now(),
    )[0];
    process.journal.close();
    drop(process);
    let next = open(&settings(directory.path())).expect("opened");
    assert_eq!(next.spent(), [("a", 5), ("b", 1_000 - b.left)], "nothing is missing");
}
