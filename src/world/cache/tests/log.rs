//! One log, and who reads it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;

use super::*;
use crate::llm::{Fault, FaultKind};
use crate::world::cache::log::{Log, Lost, STEP};

/// Room for so many bytes, and how many are held.
struct Few(usize, AtomicUsize);

impl Budget for Few {
    fn take(&self, bytes: usize) -> bool {
        let fits = self.1.load(Ordering::Relaxed).saturating_add(bytes) <= self.0;
        if fits {
            self.1.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn hold(&self, bytes: usize) {
        self.1.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.1.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn any_step() -> impl Strategy<Value = Delta> {
    let text = || "[a-z\u{e4}\u{20ac}\u{1f600}]{0,12}";
    prop_oneof![
        6 => (0..2_u32, text()).prop_map(|(choice, text)| Delta::Text { choice, text }),
        2 => (0..2_u32, text()).prop_map(|(choice, text)| Delta::Reasoning { choice, text }),
        1 => (0..2_u32, text()).prop_map(|(choice, text)| Delta::Refusal { choice, text }),
        1 => text().prop_map(|text| call(Some(text))),
        3 => text().prop_map(|arguments| Delta::ToolCall {
            choice: 0, index: 0, id: None, name: None, arguments, signature: None
        }),
        1 => Just(Delta::Ping),
        1 => Just(Delta::finish(Finish::Stop)),
    ]
}

fn call(name: Option<String>) -> Delta {
    Delta::ToolCall { choice: 0, index: 0, id: name.clone(), name, arguments: String::new(), signature: None }
}

/// Reads all that there is; false when its place is lost.
fn read(log: &Log, at: &mut u64, into: &mut Vec<Delta>) -> bool {
    loop {
        match log.read(at, Ticket(1), Waker::noop()) {
            Ok(Some(delta)) => into.push(delta),
            Ok(None) => return true,
            Err(Lost) => return false,
        }
    }
}

/// What these steps come to.
fn sum(steps: &[Delta]) -> Vec<Delta> {
    let mut fold = Fold::default();
    steps.iter().for_each(|delta| fold.push(delta));
    fold.so_far()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever reads, and when: it has read the answer, or has lost its place; and it has not where there was room for
    /// what it had not read. What is counted is what is held.
    #[test]
    fn who_has_a_place_misses_nothing(
        steps in prop::collection::vec((any_step(), any::<bool>()), 0..60),
        room in 0..400_u64,
        most in prop_oneof![Just(usize::MAX), 0..4_000_usize],
    ) {
        let few = Arc::new(Few(most, AtomicUsize::new(0)));
        let log = Log::new(room, Some(few.clone()));
        let said: Vec<Delta> = steps.iter().map(|(delta, _)| delta.clone()).collect();
        let (mut keen, mut slow) = ((0, Vec::new(), true), (0, Vec::new(), true));
        for (delta, reads) in &steps {
            log.push(delta);
            prop_assert_eq!(few.1.load(Ordering::Relaxed), log.held());
            // The newest step is held in any case.
            prop_assert!(log.held() <= most.max(STEP + delta.weight()));
            keen.2 = keen.2 && read(&log, &mut keen.0, &mut keen.1);
            slow.2 = slow.2 && (!reads || read(&log, &mut slow.0, &mut slow.1));
        }
        let (mut late, is_whole) = ((0, Vec::new()), log.is_whole());
        prop_assert_eq!(read(&log, &mut late.0, &mut late.1), is_whole);
        slow.2 = slow.2 && read(&log, &mut slow.0, &mut slow.1);
        for (has_place, read) in [(keen.2, &keen.1), (slow.2, &slow.1), (is_whole, &late.1)] {
            prop_assert!(!has_place || sum(read) == sum(&said), "{:?}", read);
        }
        let text: usize = said.iter().map(Delta::weight).sum();
        let largest = said.iter().map(Delta::weight).max().unwrap_or_default();
        prop_assert!(most < usize::MAX || text as u64 > room || (is_whole && slow.2));
        prop_assert!(largest as u64 > room || keen.2, "who keeps up loses nothing");
        drop(log);
        prop_assert_eq!(few.1.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn a_long_text_is_read_piece_by_piece() {
    let log = Log::new(u64::MAX, None);
    let text = "a\u{20ac}".repeat(100_000);
    log.push(&call(Some("f".into())));
    log.push(&Delta::text(&*text));
    let (mut at, mut got) = (0, Vec::new());
    assert!(read(&log, &mut at, &mut got));
    assert!(sum(&got) == sum(&[call(Some("f".into())), Delta::text(text)]), "all of it, and no letter is cut");
    assert!(got.iter().all(|step| step.text_len() <= 32 << 10), "each is told a piece at a time");
}

/// How often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_is_woken_once_and_who_lags_is_not() {
    let log = Log::new(1_000, None);
    let (waits, lags) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    let (mut at, waker) = (0, waits.clone().into());
    // Asked for other reasons meanwhile, it still waits once.
    (0..3).for_each(|_| assert_eq!(log.read(&mut at, Ticket(1), &waker), Ok(None)));
    assert_eq!(log.read(&mut 0, Ticket(2), &lags.clone().into()), Ok(None));
    log.leave(Ticket(2));
    (0..3).for_each(|_| log.push(&Delta::text("x")));
    assert_eq!([&waits, &lags].map(|one| one.0.load(Ordering::Relaxed)), [1, 0]);
    assert_eq!(log.read(&mut at, Ticket(1), &waker), Ok(Some(Delta::text("xxx"))));
    // Nor does anybody wait for a log that says nothing more.
    assert_eq!(log.read(&mut at, Ticket(1), &waker), Ok(None));
    log.push(&Delta::text("x".repeat(2_000)));
    assert_eq!(waits.0.load(Ordering::Relaxed), 2);
    assert_eq!(log.read(&mut at, Ticket(1), &waker), Err(Lost));
}

/// A long thought is kept alive by nothing else.
#[test]
fn who_has_read_all_is_told_each_ping() {
    let log = Log::new(1_000, None);
    let mut at = 0;
    for _ in 0..3 {
        log.push(&Delta::Ping);
        assert_eq!(log.read(&mut at, Ticket(1), Waker::noop()), Ok(Some(Delta::Ping)));
        assert_eq!(log.read(&mut at, Ticket(1), Waker::noop()), Ok(None));
    }
}

/// Who keeps up is told all, however little room others leave; who lags loses its place.
#[test]
fn the_newest_step_is_held_where_there_is_no_room() {
    let few = Arc::new(Few(0, AtomicUsize::default()));
    let log = Log::new(1_000, Some(few.clone()));
    let (mut at, mut got) = (0, Vec::new());
    for text in ["a", "b", "c"] {
        log.push(&Delta::text(text));
        assert!(read(&log, &mut at, &mut got));
        assert_eq!(few.1.load(Ordering::Relaxed), log.held());
    }
    assert_eq!(sum(&got), sum(&[Delta::text("abc")]));
    assert!(!read(&log, &mut 0, &mut got));
    drop(log);
    assert_eq!(few.1.load(Ordering::Relaxed), 0);
}

#[test]
fn an_answer_with_an_error_in_it_is_said_to_nobody_who_comes_later() {
    let log = Log::new(1_000, None);
    log.push(&Delta::text("x"));
    assert!(log.is_whole());
    log.push(&Delta::Error(Fault {
        kind: FaultKind::Overloaded,
        status: None,
        message: "busy".into(),
        code: None,
        param: None,
        retry_after: None,
    }));
    assert!(!log.is_whole());
}
