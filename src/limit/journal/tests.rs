//! Files that are whole, torn and damaged; a journal that is killed at any moment, against a model.

mod ahead;
mod crash;
mod disk;
mod full;

use std::path::Path;

use super::book::Spent;
use super::clock::resume;
use super::file::Contents;
use super::format::{self, Charge, Entry, FRAME, HEADER, LONGEST, Name, NotOurs, Stamp, crc32c};
use super::*;
use crate::limit::Unit;
use crate::limit::window::{Time, Unit as CalendarUnit};

const HOUR: Duration = Duration::from_secs(3_600);

fn settings(path: &Path) -> Settings {
    Settings { path: path.to_owned(), sync: Duration::from_millis(5), is_implied: false }
}

fn hourly() -> Arc<Limit> {
    Arc::new(Limit::new("fair/hourly", Unit::Tokens, 1_000, Window::Rolling(HOUR)))
}

fn daily() -> Arc<Limit> {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone");
    let day = Window::Calendar(Calendar { unit: CalendarUnit::Day, zone });
    Arc::new(Limit::new("fair/daily", Unit::Usd, 1_000, day))
}

fn name(limit: &Limit, key: &str) -> Name {
    Name::of(limit, &key.into()).expect("it is kept")
}

fn charge(counter: u64, bucket: u64, from: u64, to: u64) -> Charge {
    Charge { counter, bucket, end: u64::MAX, from, to }
}

/// Two counters, and what is charged to them in five entries.
fn entries() -> Vec<Entry> {
    let stamp = Stamp { steady: 1, unix: 2_000_000_000, uptime: 3, boot: [4; 16] };
    vec![
        Entry::Clock(stamp),
        Entry::Counter(1, name(&hourly(), "fair/hourly|a")),
        Entry::Charges(vec![charge(1, 10, 0, 100)]),
        Entry::Counter(2, name(&daily(), "fair/daily|a")),
        Entry::Charges(vec![charge(1, 11, 0, 7), charge(2, 5, 0, 50)]),
        Entry::Charges(vec![charge(1, 10, 100, 40)]),
        Entry::Charges(vec![charge(2, 5, 50, 60), charge(1, 11, 7, 0)]),
    ]
}

fn file(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = format::header().to_vec();
    entries.iter().for_each(|entry| entry.write(&mut bytes));
    bytes
}

fn read(bytes: &[u8]) -> Contents {
    let mut contents = Contents::new(100);
    contents.read(bytes).unwrap_or_else(|_| panic!("it is a journal"));
    contents
}

/// What a book says, in order.
fn told(contents: &Contents) -> Vec<(String, Vec<(u64, u64)>)> {
    let charges = |spent: &[Spent]| spent.iter().map(|spent| (spent.bucket, spent.amount)).collect();
    let rows = contents.book.rows().filter(|row| !row.spent.is_empty());
    let mut told: Vec<_> = rows.map(|row| (row.name.key.to_string(), charges(&row.spent))).collect();
    told.sort();
    told
}

#[test]
fn the_bytes_are_those_of_version_1() {
    assert_eq!(crc32c(&[b"1234", b"56789"]), 0xe306_9283, "the check value of CRC-32C");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let header = format::header();
    assert_eq!(hex(&header), "776569722e6c696d01000000".to_owned() + &hex(&crc32c(&[&header[..12]]).to_le_bytes()));
    let mut bytes = Vec::new();
    Entry::Counter(7, name(&hourly(), "fair/hourly|a")).write(&mut bytes);
    let payload = "02 0700000000000000 02 01 005847f80d000000 e803000000000000 0b00 666169722f686f75726c79 \
                   666169722f686f75726c797c61";
    assert_eq!(hex(&bytes[..4]), "35000000");
    assert_eq!(hex(&bytes[FRAME..]), payload.replace(' ', ""));
    bytes.clear();
    Entry::Charges(vec![Charge { counter: 7, bucket: 1, end: 2, from: 3, to: 4 }]).write(&mut bytes);
    assert_eq!(
        hex(&bytes[FRAME..]),
        "03".to_owned() + &[7, 1, 2, 3, 4].map(|n| format!("0{n}00000000000000")).concat()
    );
    for entry in entries() {
        bytes.clear();
        entry.write(&mut bytes);
        assert_eq!(Entry::read(&bytes[FRAME..]), Some(entry));
    }
}

#[test]
fn a_file_that_is_torn_anywhere_is_read_to_its_last_whole_entry() {
    let entries = entries();
    let whole = file(&entries);
    let ends: Vec<usize> = (0..=entries.len()).map(|count| file(&entries[..count]).len()).collect();
    for length in HEADER..=whole.len() {
        let got = read(&whole[..length]);
        let count = ends.iter().filter(|end| **end <= length).count() - 1;
        assert_eq!(got.entries, count as u64, "torn at {length}");
        assert_eq!(got.cut, (length - ends[count]) as u64, "torn at {length}");
        assert_eq!(told(&got), told(&read(&file(&entries[..count]))), "torn at {length}");
    }
    let all = told(&read(&whole));
    assert_eq!(all, [("fair/daily|a".to_owned(), vec![(5, 60)]), ("fair/hourly|a".to_owned(), vec![(10, 40)])]);
}

#[test]
fn a_bit_that_is_flipped_ends_the_file_before_it() {
    let entries = entries();
    let whole = file(&entries);
    let ends: Vec<usize> = (0..=entries.len()).map(|count| file(&entries[..count]).len()).collect();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut got = Contents::new(100);
        let read_ = got.read(&bytes[..]);
        if bit / 8 < HEADER {
            assert!(read_.is_err(), "bit {bit}");
            continue;
        }
        let count = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
        assert_eq!((got.entries, got.cut), (count as u64, (whole.len() - ends[count]) as u64), "bit {bit}");
        assert_eq!(told(&got), told(&read(&file(&entries[..count]))), "bit {bit}");
    }
}

#[test]
fn a_length_that_cannot_be_ends_the_file() {
    let before = file(&entries());
    for length in [0, 1, LONGEST as u32, LONGEST as u32 + 1, u32::MAX] {
        for sum in [0, u32::MAX, crc32c(&[&length.to_le_bytes()])] {
            let bytes = [&before[..], &length.to_le_bytes(), &sum.to_le_bytes(), b"rest"].concat();
            let got = read(&bytes);
            assert_eq!((got.entries, got.cut), (entries().len() as u64, 12), "{length}");
        }
    }
    // What is whole and means nothing ends it too: a version that has more words has another number.
    for payload in [&b"\x09"[..], b"\x03\x01", b"\x02", b"\x01"] {
        let length = (payload.len() as u32).to_le_bytes();
        let sum = crc32c(&[&length, payload]).to_le_bytes();
        assert_eq!(read(&[&before[..], &length, &sum, payload].concat()).cut, 8 + payload.len() as u64);
    }
    let blank = [&before[..], &[0; 4096]].concat();
    assert_eq!(read(&blank).cut, 4096, "blocks that a file system has given and nobody has written");
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let mut newer = format::header();
    newer[8] = 2;
    let sum = crc32c(&[&newer[..12]]).to_le_bytes();
    newer[12..].copy_from_slice(&sum);
    assert_eq!(format::check(&newer), Err(NotOurs::Version(2)));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("limits.journal");
    let open =
        || Journal::open(&settings(directory.path()), 10, Counts::default()).err().map(|error| error.to_string());
    for (bytes, says) in [(&newer[..], "version 2, and this Weir reads version 1"), (b"{\"usage\": 1}\n", "no journal")]
    {
        std::fs::write(&path, bytes).expect("written");
        let error = open().expect("not opened");
        assert!(error.contains(says) && error.contains("limits.journal"), "{error}");
        assert_eq!(std::fs::read(&path).expect("there"), bytes, "nothing was made of it");
    }
    std::fs::write(&path, b"").expect("written");
    assert_eq!(open(), None, "nothing at all is a journal without entries");
}

#[test]
fn a_clock_goes_on_where_the_last_one_stood() {
    const S: u64 = 1_000_000_000;
    let boot = [7; 16];
    let last = Stamp { steady: 100 * S, unix: 100 * S, uptime: 10 * S, boot };
    let here = |unix: u64, uptime: u64, boot| Stamp { steady: 0, unix: unix * S, uptime: uptime * S, boot };
    assert_eq!(resume(None, &here(50, 1, boot)), 50 * S, "the first begins with the Unix time");
    for unix in [0, 99, 105, 1_000_000] {
        let now = resume(Some(&last), &here(unix, 15, boot));
        assert_eq!(now, 105 * S, "five seconds have passed, whatever the clock was set to");
    }
    let other = [8; 16];
    assert_eq!(resume(Some(&last), &here(400, 3, other)), 400 * S, "the machine was started anew: as the clock says");
    assert_eq!(resume(Some(&last), &here(40, 3, other)), 100 * S, "but never back");
    assert_eq!(resume(Some(&last), &here(400, 9, boot)), 400 * S, "an uptime that went back is nobody's");
    let unknown = Stamp { boot: [0; 16], ..last };
    assert_eq!(resume(Some(&unknown), &here(400, 15, [0; 16])), 400 * S, "nobody knows which start that was");
    let clock = Clock::start(Some(&Stamp { steady: 5_000_000_000 * S, ..Stamp::default() }));
    assert!(clock.now().steady >= 5_000_000_000 * S);
}

#[test]
fn a_book_counts_as_counters_do() {
    let mut book = Book::new(2);
    let now = Time { steady: 0, unix: 0 };
    let (row, is_new) = book.open(&name(&hourly(), "a"), now).expect("room");
    assert!(is_new);
    row.charge(100, 161, 0, 5);
    row.charge(160, 221, 0, 6);
    row.charge(99, 160, 0, 7);
    assert_eq!(row.spent.iter().map(|spent| spent.bucket).collect::<Vec<_>>(), [100, 160], "99 has left the window");
    row.charge(161, 222, 0, 1);
    assert_eq!(row.spent.iter().map(|spent| spent.bucket).collect::<Vec<_>>(), [160, 161]);
    let (row, _) = book.open(&name(&daily(), "b"), now).expect("room");
    row.charge(5, 10, 0, 5);
    row.charge(10, 20, 0, 6);
    row.charge(5, 10, 5, 9);
    assert_eq!(row.spent, [Spent { bucket: 10, end: 20, amount: 6 }], "a day that is over stays so");
    assert!(book.open(&name(&daily(), "c"), now).is_none(), "it is full");
    // A clock that is a day ahead may be wrong.
    book.prune(Time { steady: 222, unix: 20 + 86_399 });
    assert_eq!(book.rows().map(|row| &*row.name.key).collect::<Vec<_>>(), ["b"]);
    assert!(book.open(&name(&daily(), "c"), Time { steady: 222, unix: 20 + 86_400 }).is_some());
    book.prune(Time { steady: 222, unix: 20 + 86_400 });
    assert!(book.is_empty());
}
