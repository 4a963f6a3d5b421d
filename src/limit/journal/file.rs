//! [io] The files of a journal: one that is read to its last whole entry, one that takes its place, and the lock on
//! the directory that they are in.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::book::Book;
use super::format::{self, Entry, FRAME, HEADER, LONGEST, Name, NotOurs, Stamp};

/// The file, the one that is to take its place, and what is left of one that could not be read to its end.
const NAME: &str = "limits.journal";
const NEW: &str = "limits.journal.new";
const DAMAGED: &str = "limits.journal.damaged";

/// A directory that is this process's alone as long as this is open.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// None where locks do not work.
    _lock: Option<File>,
}

/// What was read.
pub struct Contents {
    pub book: Book,
    pub entries: u64,
    /// Bytes behind the last whole entry.
    pub cut: u64,
    /// Charges whose counter is not known, or finds no room.
    pub lost: u64,
    pub stamp: Option<Stamp>,
}

// === impl Directory ===

impl Directory {
    /// Makes it where it is not there, and locks it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be used.
    pub fn open(path: &Path) -> Result<Directory, JournalError> {
        let failed = |source| JournalError::Io { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let directory = File::open(path).map_err(failed)?;
        let lock = match directory.try_lock() {
            Ok(()) => Some(directory),
            Err(TryLockError::WouldBlock) => return Err(JournalError::Taken(path.to_owned())),
            Err(TryLockError::Error(error)) => {
                tracing::warn!(
                    "{} cannot be locked: no other process may keep its limits there: {error}",
                    path.display()
                );
                None
            }
        };
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    pub fn file(&self) -> PathBuf {
        self.path.join(NAME)
    }

    /// Reads what is there, for at most so many counters.
    ///
    /// # Errors
    /// When it cannot be read, or is not a journal of this version: nothing is made of it then, and nothing lost.
    pub fn read(&self, most: usize) -> Result<Contents, JournalError> {
        let path = self.file();
        let mut found = Contents::new(most);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            Err(source) => return Err(JournalError::Io { path, source }),
        };
        let read = found.read(BufReader::with_capacity(1 << 16, file));
        read.map_err(|error| match error {
            ReadError::NotOurs(NotOurs::Foreign) => JournalError::Foreign(path),
            ReadError::NotOurs(NotOurs::Version(version)) => JournalError::Version { path, version },
            ReadError::Io(source) => JournalError::Io { path, source },
        })?;
        Ok(found)
    }

    /// A file with these entries, that is not the journal yet.
    pub fn create(&self, entries: &[u8]) -> io::Result<File> {
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).to_owned();
        let mut file = options.open(self.path.join(NEW))?;
        file.write_all(&format::header())?;
        file.write_all(entries)?;
        Ok(file)
    }

    /// Makes it the journal, once all of it is on the disk.
    pub fn adopt(&self, file: &File) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(self.path.join(NEW), self.file())?;
        File::open(&self.path)?.sync_all()
    }

    /// Keeps the file that is there under another name, for whoever wants to know what had become of it; as a copy where
    /// the volume has no links.
    pub fn keep_damaged(&self) -> io::Result<PathBuf> {
        let damaged = self.path.join(DAMAGED);
        match fs::remove_file(&damaged) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        keep(&self.file(), &damaged, |from, to| fs::hard_link(from, to))?;
        Ok(damaged)
    }

    /// Removes what is there, and the directory if that was all.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(self.file())?;
        // One that was begun when the process ended.
        let _ = fs::remove_file(self.path.join(NEW));
        match fs::remove_dir(&self.path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            removed => removed,
        }
    }
}

/// By a link, or else by a copy.
pub fn keep(from: &Path, to: &Path, link: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

pub enum ReadError {
    NotOurs(NotOurs),
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

// === impl Contents ===

impl Contents {
    /// Nothing, with room for so many counters.
    pub fn new(most: usize) -> Contents {
        Contents { book: Book::new(most), entries: 0, cut: 0, lost: 0, stamp: None }
    }

    /// Reads until the end, or to the first entry that is not whole.
    ///
    /// # Errors
    /// When it is not a journal, or the disk does not give it.
    pub fn read(&mut self, mut from: impl Read) -> Result<(), ReadError> {
        let mut header = [0; HEADER];
        match fill(&mut from, &mut header)? {
            // A file in the place of one, made by somebody who had none.
            0 => return Ok(()),
            HEADER => format::check(&header).map_err(ReadError::NotOurs)?,
            _ => return Err(ReadError::NotOurs(NotOurs::Foreign)),
        }
        let mut names: HashMap<u64, Name> = HashMap::new();
        let (mut frame, mut payload) = ([0; FRAME], Vec::new());
        loop {
            let got = fill(&mut from, &mut frame)?;
            if got < FRAME {
                self.cut = got as u64;
                return Ok(());
            }
            let (length, sum) = format::frame(&frame);
            let size = usize::try_from(length).unwrap_or(usize::MAX);
            if size > LONGEST {
                self.cut = FRAME as u64 + rest(&mut from)?;
                return Ok(());
            }
            payload.resize(size, 0);
            let got = fill(&mut from, &mut payload)?;
            let whole = got == size && format::is_whole(length, sum, &payload);
            let Some(entry) = whole.then(|| Entry::read(&payload)).flatten() else {
                self.cut = (FRAME + got) as u64 + rest(&mut from)?;
                return Ok(());
            };
            self.entries += 1;
            self.take(entry, &mut names);
        }
    }

    fn take(&mut self, entry: Entry, names: &mut HashMap<u64, Name>) {
        match entry {
            Entry::Clock(stamp) => self.stamp = Some(stamp),
            Entry::Counter(number, name) => drop(names.insert(number, name)),
            Entry::Charges(charges) => {
                let then = self.stamp.unwrap_or_default().time();
                for charge in charges {
                    let name = names.get(&charge.counter);
                    match name.and_then(|name| self.book.open(name, then)) {
                        Some((row, _)) => row.charge(charge.bucket, charge.end, charge.from, charge.to),
                        None => self.lost += 1,
                    }
                }
            }
        }
    }
}

/// As much as there is.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn rest(from: &mut impl Read) -> io::Result<u64> {
    io::copy(from, &mut io::sink())
}
