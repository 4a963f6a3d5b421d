//! Reservations that nobody waits for, and those that cannot be written down.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::limit::journal::{Counts, Settings};
use crate::limit::take::{Posture, Take};
use crate::limit::window::Window;
use crate::limit::{Ask, Limit, Settle, Spent, Unit};

fn open(directory: &tempfile::TempDir) -> Limits {
    let settings = Settings { path: directory.path().to_owned(), sync: Duration::from_millis(100), is_implied: false };
    let (journal, found) = Journal::open(&settings, 10, Counts::default()).expect("opened");
    Limits::kept(journal, found)
}

fn ask() -> Ask {
    let hourly = Window::Rolling(Duration::from_secs(3_600));
    let take = |name: &str, unit, window| Take {
        limit: Arc::new(Limit::new(name, unit, 10, window)),
        key: name.into(),
        ceiling: 10,
        amount: 1,
        posture: Posture::Enforce,
    };
    Ask { takes: vec![take("calls", Unit::Requests, hourly), take("parallel", Unit::Concurrency, Window::Held)] }
}

/// Of each limit of which something is used.
fn used(limits: &Limits) -> Vec<(String, u64)> {
    let mut rows: Vec<_> = limits.list(None, 10).iter().map(|row| (row.limit.name.to_string(), row.used)).collect();
    rows.sort();
    rows
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

#[test]
fn a_reservation_that_nobody_waits_for_is_given_back_here_and_in_the_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = open(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let (mut dropped, ask) = (0, ask());
    // The other thread may be as fast as to have written before this one looks.
    while dropped == 0 {
        let mut reserved = pin!(limits.reserve(&ask));
        match reserved.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => dropped += 1,
            Poll::Ready(decision) => {
                let grant = decision.expect("it fits");
                limits.settle(Settle { grant, guessed: Vec::new(), spent: Spent::Undone, uncounted: None });
            }
        }
    }
    assert_eq!(used(&limits), []);
    limits.close();
    drop(limits);
    assert_eq!(used(&open(&directory)), []);
}

#[test]
fn what_cannot_be_written_is_unchecked_and_counts_while_the_process_lives() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = open(&directory);
    let kept = block_on(limits.reserve(&ask())).expect("it fits");
    assert_eq!(kept.taken.iter().map(|taken| taken.fit).collect::<Vec<_>>(), [Fit::Fits, Fit::Fits]);
    limits.close();
    let lost = block_on(limits.reserve(&ask())).expect("it fits");
    assert_eq!(lost.taken.iter().map(|taken| taken.fit).collect::<Vec<_>>(), [Fit::Unchecked, Fit::Fits]);
    assert_eq!(used(&limits), [("calls".to_owned(), 2), ("parallel".to_owned(), 2)]);
    // A limit with onError: Deny refuses the call: as if it had never been made.
    limits.settle(Settle { grant: lost, guessed: Vec::new(), spent: Spent::Undone, uncounted: None });
    assert_eq!(used(&limits), [("calls".to_owned(), 1), ("parallel".to_owned(), 1)]);
    drop(limits);
    assert_eq!(used(&open(&directory)), [("calls".to_owned(), 1)], "calls at a time end with their process");
}

#[test]
fn what_is_reset_stays_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = open(&directory);
    let grants = [(); 2].map(|()| block_on(limits.reserve(&ask())).expect("it fits"));
    assert_eq!((limits.reset("calls", None), limits.reset("parallel", None)), (1, 0));
    let [one, _open] = grants;
    limits.settle(Settle { grant: one, guessed: Vec::new(), spent: Spent::Nothing, uncounted: None });
    let now = used(&limits);
    limits.close();
    drop(limits);
    let held = ("parallel".to_owned(), 1);
    assert_eq!(now, [used(&open(&directory)), vec![held]].concat());
}
