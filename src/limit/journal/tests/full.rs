//! What finds no room, and a thread that writes nothing.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::super::queue::{Asked, Queue};
use super::*;
use crate::limit::memory::Memory;
use crate::limit::take::{Posture, Take};

fn item(amount: u64) -> Vec<Change> {
    let (limit, key) = (daily(), "k".into());
    vec![Change { limit, key, bucket: 5, from: 0, to: amount, is_taken: true }]
}

/// A journal for which nobody writes.
fn idle() -> Journal {
    let directory = tempfile::tempdir().expect("a directory");
    let at = Arc::new(Directory::open(directory.path()).expect("opened"));
    let (queue, syncer) = (Arc::new(Queue::default()), Arc::new(Syncer::new(at, HOUR)));
    Journal { queue, syncer, counts: Counts::default(), ends: Mutex::new(None) }
}

fn grant() -> Grant {
    let take = Take { limit: daily(), key: "k".into(), ceiling: 1_000, amount: 7, posture: Posture::Enforce };
    Memory::new(10).reserve(1, &[take], Time { steady: 0, unix: 2_000_000_000 }).expect("it fits")
}

#[test]
fn a_counter_that_finds_no_room_is_not_kept_and_that_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let counts = Counts::default();
    let (journal, found) = Journal::open(&settings(directory.path()), 4, counts.clone()).expect("opened");
    let (memory, runtime) = (Memory::new(100), tokio::runtime::Builder::new_current_thread().enable_time().build());
    let runtime = runtime.expect("a runtime");
    let kept = |keys: &[&str]| {
        let take = |key: &&str| Take {
            limit: daily(),
            key: (*key).into(),
            ceiling: 1_000,
            amount: 7,
            posture: Posture::Enforce,
        };
        let takes: Vec<Take> = keys.iter().map(take).collect();
        let grant = memory.reserve(1, &takes, found.clock.now()).expect("it fits");
        runtime.block_on(journal.reserve(&grant).expect("it is kept").is_kept())
    };
    // A quarter more than those that count at a time.
    assert!(["a", "b", "c", "d", "e"].into_iter().all(|key| kept(&[key])));
    assert!(!kept(&["f"]) && !kept(&["a", "f"]) && kept(&["a"]));
    assert_eq!((counts.unkept.get(), counts.failing.get()), (2, 0));
    journal.close();
    drop(journal);
    let (_next, found) = Journal::open(&settings(directory.path()), 4, counts).expect("opened");
    let mut spent: Vec<_> = found.counters.iter().map(|spend| (&*spend.key, spend.charges[0].1)).collect();
    spent.sort_unstable();
    assert_eq!(spent, [("a", 21), ("b", 7), ("c", 7), ("d", 7), ("e", 7)]);
}

#[test]
fn days_that_are_over_make_room_for_one_that_is_not() {
    let mut book = Book::new(4);
    let noon = |day: u64| Time { steady: 0, unix: day * 86_400 + 43_200 };
    for (day, keys) in [(1, 0..5), (2, 5..10), (3, 10..15)] {
        for key in keys {
            let (row, is_new) = book.open(&name(&daily(), &format!("k{key}")), noon(day)).expect("room");
            assert!(is_new);
            row.charge(day * 86_400, (day + 1) * 86_400, 0, 1);
        }
        assert!(book.open(&name(&daily(), "more"), noon(day)).is_none(), "all of these count");
    }
    // They are kept for a while where nobody needs their room: a clock may be wrong.
    book.prune(noon(4));
    assert_eq!(book.rows().count(), 5);
}

#[test]
fn what_is_given_back_makes_room_soon() {
    let (mut book, now) = (Book::new(1), Time { steady: 9_000, unix: 0 });
    book.open(&name(&hourly(), "a"), now).expect("room").0.charge(1, u64::MAX, 0, 5);
    assert!(book.open(&name(&hourly(), "b"), now).is_none());
    book.open(&name(&hourly(), "a"), now).expect("known").0.charge(1, u64::MAX, 5, 0);
    assert!(book.open(&name(&hourly(), "b"), Time { steady: 1_000_009_000, unix: 0 }).is_some());
}

#[test]
fn what_waits_is_bounded() {
    let queue = Queue::default();
    let taken = (0..100_000).filter(|_| queue.tell(item(1))).count();
    assert_eq!(taken, 65_536);
    assert!(matches!(queue.ask(item(1)), Asked::Lost));
    let mut items = Vec::new();
    assert_eq!((queue.take(&mut items, None), items.len()), (Some(false), 65_536));
    assert!(matches!(queue.ask(item(1)), Asked::Waits(_)));
}

#[test]
fn nobody_waits_after_one_who_waited_in_vain() {
    let (journal, grant) = (idle(), grant());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _inside = runtime.enter();
    let ask = || journal.reserve(&grant).expect("it is kept").is_kept();
    let at_once = || pin!(ask()).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(at_once(), Poll::Pending, "it may be written any moment");
    assert!(!runtime.block_on(ask()));
    assert_eq!(journal.counts.failing.get(), 1);
    assert_eq!([at_once(), at_once()], [Poll::Ready(false); 2]);
    // All four are written when somebody does, and then it is worth waiting again.
    let mut items = Vec::new();
    assert_eq!((journal.queue.take(&mut items, None), items.len()), (Some(true), 4));
    assert_eq!(at_once(), Poll::Pending);
}

#[test]
fn a_thread_that_is_gone_is_said_and_nobody_waits_for_it() {
    let (journal, grant) = (idle(), grant());
    let last = Last { queue: journal.queue.clone(), counts: journal.counts.clone() };
    let gone = std::thread::spawn(move || {
        let _last = last;
        panic!("for this test");
    });
    gone.join().expect_err("it panicked");
    assert_eq!(journal.counts.failing.get(), 1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("one without time");
    assert!(!runtime.block_on(journal.reserve(&grant).expect("it is kept").is_kept()));
    journal.settle(&Settlement { grant, amounts: vec![3] });
    assert_eq!(journal.counts.unkept.get(), 2);
}
