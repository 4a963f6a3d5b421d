//! [io] The thread that waits for the disk, so that nobody else does: what was written reaches the disk within a
//! bounded time, and a file takes another's place only when all of it has.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::file::Directory;

pub struct Syncer {
    directory: Arc<Directory>,
    /// Between two times.
    every: Duration,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Written to since it was synced last.
    written: Vec<Arc<File>>,
    /// To become the journal.
    next: Option<Arc<File>>,
    /// What became of that.
    adopted: Option<io::Result<()>>,
    /// The disk did not take what was written.
    failed: Option<io::Error>,
    closing: bool,
}

/// What is to be done.
enum Work {
    Sync(Vec<Arc<File>>),
    Adopt(Arc<File>),
    End(Vec<Arc<File>>),
}

// === impl Syncer ===

impl Syncer {
    pub fn new(directory: Arc<Directory>, every: Duration) -> Syncer {
        Syncer { directory, every, state: Mutex::default(), wake: Condvar::new() }
    }

    /// Until it is closed.
    pub fn run(&self) {
        let mut last: Option<Instant> = None;
        loop {
            match self.next(last) {
                Work::Sync(files) => {
                    last = Some(Instant::now());
                    self.sync(&files);
                }
                Work::Adopt(file) => {
                    let adopted = self.directory.adopt(&file);
                    self.state().adopted = Some(adopted);
                }
                Work::End(files) => return self.sync(&files),
            }
        }
    }

    /// These were written to.
    pub fn written<'a>(&self, files: impl Iterator<Item = &'a Arc<File>>) {
        let mut state = self.state();
        let was_idle = state.written.is_empty();
        state.written.clear();
        state.written.extend(files.cloned());
        drop(state);
        if was_idle {
            self.wake.notify_one();
        }
    }

    /// Has this file become the journal. One at a time.
    pub fn adopt(&self, file: Arc<File>) {
        self.state().next = Some(file);
        self.wake.notify_one();
    }

    /// What became of it, told once.
    pub fn adopted(&self) -> Option<io::Result<()>> {
        self.state().adopted.take()
    }

    /// Whether the disk did not take something, told once.
    pub fn failed(&self) -> Option<io::Error> {
        self.state().failed.take()
    }

    /// It ends when everything is on the disk.
    pub fn close(&self) {
        self.state().closing = true;
        self.wake.notify_one();
    }

    fn next(&self, last: Option<Instant>) -> Work {
        let mut state = self.state();
        loop {
            if let Some(file) = state.next.take() {
                return Work::Adopt(file);
            }
            if state.closing {
                return Work::End(std::mem::take(&mut state.written));
            }
            let left = last.map_or(Duration::ZERO, |last| self.every.saturating_sub(last.elapsed()));
            state = match (state.written.is_empty(), left.is_zero()) {
                (true, _) => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                (false, true) => return Work::Sync(std::mem::take(&mut state.written)),
                (false, false) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    fn sync(&self, files: &[Arc<File>]) {
        if let Err(error) = files.iter().try_for_each(|file| file.sync_data()) {
            self.state().failed = Some(error);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
