//! Lines arrive whole and in order; what does not arrive is counted.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use super::*;

/// A disk that stops at every write until it is let go on.
struct Gate {
    entered: mpsc::Sender<()>,
    go: Receiver<()>,
    out: Shared,
}

/// A disk with so many bytes free.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>, Arc<Mutex<Option<usize>>>);

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.entered.send(()).unwrap();
        self.go.recv().unwrap();
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut free = self.1.lock().unwrap();
        let count = free.map_or(bytes.len(), |free| free.min(bytes.len()));
        *free = free.map(|free| free - count);
        self.0.lock().unwrap().extend_from_slice(&bytes[..count]);
        if count == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn free(&self, bytes: Option<usize>) {
        *self.1.lock().unwrap() = bytes;
    }
}

#[tokio::test]
async fn a_full_queue_drops_and_counts_and_does_not_block() {
    let (entered, inside) = mpsc::channel();
    let (release, go) = mpsc::channel();
    let out = Shared::default();
    let dropped = Counter::default();
    let ledger = Ledger::spawn(Gate { entered, go, out: out.clone() }, dropped.clone(), 2).unwrap();
    assert!(ledger.try_write("one".into()));
    inside.recv().unwrap();
    // The thread is inside a write, so two lines wait and there is no room for more.
    assert!(ledger.try_write("two".into()));
    assert!(ledger.try_write("three".into()));
    assert!(!ledger.try_write("four".into()));
    assert!(!ledger.try_write("five\nsix".into()));
    assert_eq!(dropped.get(), 3);
    for _ in 0..3 {
        release.send(()).unwrap();
    }
    ledger.close().await;
    assert_eq!(out.text(), "one\ntwo\nthree\n");
    assert!(!ledger.try_write("late".into()));
    assert_eq!(dropped.get(), 4);
}

#[tokio::test]
async fn the_file_is_private_and_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.jsonl");
    for line in ["first", "second"] {
        let ledger = Ledger::open(&path, Counter::default()).unwrap();
        assert!(ledger.try_write(line.into()));
        ledger.close().await;
        // Closing twice is harmless.
        ledger.close().await;
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\nsecond\n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_line_torn_by_a_crash_does_not_spoil_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.jsonl");
    std::fs::write(&path, "whole\n{\"id\":\"to").unwrap();
    let ledger = Ledger::open(&path, Counter::default()).unwrap();
    assert!(ledger.try_write("next".into()));
    ledger.close().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n{\"id\":\"to\nnext\n");
}

#[test]
fn a_directory_is_no_ledger() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Ledger::open(dir.path(), Counter::default()).is_err());
}

#[test]
fn a_full_disk_tears_no_line() {
    let (out, dropped) = (Shared::default(), Counter::default());
    let mut appender = Appender::new(out.clone(), dropped.clone());
    out.free(Some(5));
    appender.append(b"first");
    appender.append(b"second");
    appender.flush();
    assert!(appender.failing);
    assert_eq!(out.text(), "first");
    out.free(None);
    appender.append(b"third");
    appender.finish();
    assert!(!appender.failing);
    assert_eq!(out.text(), "first\nsecond\nthird\n");
    assert_eq!(dropped.get(), 0);
}

#[test]
fn a_disk_that_stays_full_costs_bounded_memory_and_every_line_is_counted() {
    let (out, dropped) = (Shared::default(), Counter::default());
    let mut appender = Appender::new(out.clone(), dropped.clone());
    out.free(Some(0));
    let line = "x".repeat(1000);
    for _ in 0..1000 {
        appender.append(line.as_bytes());
        assert!(appender.buffer.len() <= KEPT);
    }
    appender.finish();
    assert_eq!(dropped.get(), 1000);
    assert_eq!(out.text(), "");
}

#[test]
fn of_lines_for_which_there_is_no_room_as_many_are_kept_as_fit() {
    let (out, dropped) = (Shared::default(), Counter::default());
    let mut appender = Appender::new(out.clone(), dropped.clone());
    out.free(Some(0));
    let lines = vec!["x".repeat(1000); 100].join("\n");
    for _ in 0..10 {
        appender.append(lines.as_bytes());
        assert!(appender.buffer.len() <= KEPT);
    }
    assert_eq!(dropped.get() as usize + appender.buffer.len() / 1001, 1000);
    out.free(None);
    appender.finish();
    assert_eq!(out.text().lines().count() as u64, 1000 - dropped.get());
    assert!(out.text().lines().all(|line| line.len() == 1000));
}

#[test]
fn dropping_the_ledger_writes_what_was_queued() {
    let (sender, queue) = mpsc::sync_channel(8);
    let out = Shared::default();
    for line in ["a", "b", "c"] {
        sender.send(Item::Lines(line.into())).unwrap();
    }
    drop(sender);
    Appender::new(out.clone(), Counter::default()).run(queue);
    assert_eq!(out.text(), "a\nb\nc\n");
}
