//! [io] An append-only file of usage records, one JSON line each. Writing to it never blocks: a
//! line for which there is no room, or that the disk does not take, is dropped and counted.
//!
//! One thread owns the file. It writes what is queued in one go and flushes when the queue is empty,
//! and at the latest after 100 ms.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

/// Batches of lines that may wait. A line is about 1.5 KiB and a batch at most
/// [`super::BATCH`] of them, so this is about 6 MiB at worst.
const QUEUE: usize = 16;
/// Longest time that a written line stays in memory while others follow it.
const FLUSH: Duration = Duration::from_millis(100);
/// Bytes of buffered lines at which they are written out.
const BUFFER: usize = 64 * 1024;
/// Bytes of lines that are kept while the disk takes nothing.
const KEPT: usize = 256 * 1024;

/// The writing end. Dropping it ends the thread once it has written what was queued; use
/// [`Ledger::close`] to wait for that.
#[derive(Debug)]
pub struct Ledger {
    queue: SyncSender<Item>,
    dropped: Counter,
}

#[derive(Debug)]
enum Item {
    /// One line or several, with newlines between them.
    Lines(Vec<u8>),
    /// Write everything, answer, and end.
    Close(oneshot::Sender<()>),
}

/// A file whose `flush` reaches the disk.
struct Disk(File);

/// Collects lines and writes them to `out`. When a write fails it keeps what it has, up to a bound,
/// and goes on exactly where the write stopped, so that no line is torn.
struct Appender<W> {
    out: W,
    buffer: Vec<u8>,
    /// The last write failed.
    failing: bool,
    /// When the last write was tried.
    flushed: Instant,
    dropped: Counter,
}

// === impl Ledger ===

impl Ledger {
    /// Opens `path` for appending, creating it with mode 0600. An existing file keeps its mode.
    /// `dropped` counts the lines that are not written.
    pub fn open(path: &Path, dropped: Counter) -> io::Result<Ledger> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        // A pipe or a device has no end to look at, and opening one for reading may hang.
        if file.metadata()?.is_file() && ends_torn(path) {
            // A crash cut the last line short. The next one begins on its own line.
            file.write_all(b"\n")?;
        }
        Self::spawn(Disk(file), dropped, QUEUE)
    }

    fn spawn(out: impl Write + Send + 'static, dropped: Counter, queue: usize) -> io::Result<Ledger> {
        let (sender, receiver) = mpsc::sync_channel(queue);
        let appender = Appender::new(out, dropped.clone());
        thread::Builder::new().name("ledger".to_owned()).spawn(move || appender.run(receiver))?;
        Ok(Ledger { queue: sender, dropped })
    }

    /// Queues lines, with newlines between them and none at the end. False, and each counted, when
    /// there is no room for them. Waking the thread costs more than writing a line, so whoever has
    /// several gives them at once.
    pub fn try_write(&self, lines: Vec<u8>) -> bool {
        let result = self.queue.try_send(Item::Lines(lines));
        if let Err(TrySendError::Full(Item::Lines(lines)) | TrySendError::Disconnected(Item::Lines(lines))) = &result {
            self.dropped.inc_by(count(lines));
        }
        result.is_ok()
    }

    /// Returns when everything queued so far is on the disk, or has been given up. Lines that are
    /// written afterwards are dropped and counted.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        let queue = self.queue.clone();
        // The queue may be full, so this may have to wait for the disk.
        let sent = tokio::task::spawn_blocking(move || queue.send(Item::Close(done)));
        if matches!(sent.await, Ok(Ok(()))) {
            // An error means that the thread is gone, and with it whatever it had to do.
            let _ = closed.await;
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1
}

/// Whether the file's content does not end with a newline. A file that cannot be read is taken to
/// be whole.
fn ends_torn(path: &Path) -> bool {
    let last = || -> io::Result<[u8; 1]> {
        let mut file = File::open(path)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(last)
    };
    last().is_ok_and(|last| last != [b'\n'])
}

// === impl Appender ===

impl<W: Write> Appender<W> {
    fn new(out: W, dropped: Counter) -> Self {
        Appender { out, buffer: Vec::with_capacity(BUFFER), failing: false, flushed: Instant::now(), dropped }
    }

    /// Writes until the other end is dropped or says `Close`.
    fn run(mut self, queue: Receiver<Item>) {
        let mut closers = Vec::new();
        while closers.is_empty()
            && let Some(item) = self.next(&queue)
        {
            self.take(item, &mut closers);
        }
        while let Ok(item) = queue.try_recv() {
            self.take(item, &mut closers);
        }
        // From here on a line is refused where it is written, and so counted.
        drop(queue);
        self.finish();
        for closer in closers {
            // Who asked may have gone.
            let _ = closer.send(());
        }
    }

    fn take(&mut self, item: Item, closers: &mut Vec<oneshot::Sender<()>>) {
        match item {
            Item::Lines(lines) => self.append(&lines),
            Item::Close(closer) => closers.push(closer),
        }
    }

    /// The next item. While there is none, what is buffered is written.
    fn next(&mut self, queue: &Receiver<Item>) -> Option<Item> {
        loop {
            if self.buffer.is_empty() {
                return queue.recv().ok();
            }
            if self.failing {
                match queue.recv_timeout(FLUSH) {
                    Ok(item) => return Some(item),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            } else {
                match queue.try_recv() {
                    Ok(item) => return Some(item),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return None,
                }
            }
            self.flush();
        }
    }

    /// Adds lines; writes if it is time to.
    fn append(&mut self, lines: &[u8]) {
        let due = self.flushed.elapsed() >= FLUSH;
        if self.failing && due {
            self.flush();
        }
        if self.has_room_for(lines) {
            self.add(lines);
        } else {
            for line in lines.split(|&byte| byte == b'\n') {
                match self.has_room_for(line) {
                    true => self.add(line),
                    false => drop(self.dropped.inc()),
                }
            }
        }
        if !self.failing && (due || self.buffer.len() >= BUFFER) {
            self.flush();
        }
    }

    /// An empty buffer takes anything, so that no line is too long for good.
    fn has_room_for(&self, text: &[u8]) -> bool {
        self.buffer.is_empty() || self.buffer.len() + text.len() < KEPT
    }

    fn add(&mut self, text: &[u8]) {
        self.buffer.extend_from_slice(text);
        self.buffer.push(b'\n');
    }

    /// Writes as much of the buffer as the disk takes.
    fn flush(&mut self) {
        let mut written = 0;
        let result = loop {
            match self.buffer.get(written..) {
                None | Some([]) => break Ok(()),
                Some(rest) => match self.out.write(rest) {
                    Ok(0) => break Err(ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => break Err(error),
                },
            }
        };
        self.buffer.drain(..written.min(self.buffer.len()));
        self.flushed = Instant::now();
        self.turn(result);
    }

    /// Logs when writing begins to fail and when it works again, and not in between.
    fn turn(&mut self, result: io::Result<()>) {
        match result {
            Err(error) if !self.failing => {
                tracing::error!(%error, "the ledger cannot be written; records will be dropped");
                self.failing = true;
            }
            Ok(()) if self.failing => {
                tracing::info!("the ledger is written again");
                self.failing = false;
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// The last write. What it leaves behind is lost, and counted.
    fn finish(&mut self) {
        self.flush();
        let lost = self.buffer.iter().filter(|&&byte| byte == b'\n').count();
        self.dropped.inc_by(u64::try_from(lost).unwrap_or(u64::MAX));
        if let Err(error) = self.out.flush() {
            tracing::warn!(%error, "the ledger may not have reached the disk");
        }
    }
}

// === impl Disk ===

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.sync_data() {
            // A pipe or a terminal has nothing to sync.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests;
