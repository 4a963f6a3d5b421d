//! What has to be done when, and that nothing else is looked at.

use super::*;
use crate::limit::take::Posture;
use crate::limit::window::Window;
use crate::limit::{Counting, Limit, Unit};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(50);
/// How long a slice lasts.
const CELL: Duration = Duration::from_secs(5);

fn take(key: &str) -> Take {
    let window = Window::Rolling(60 * CELL);
    let counting = Counting::Fleet { lease: 10 };
    let limit = Limit { counting, ..Limit::new("fair/limit", Unit::Requests, 10_000, window) };
    Take { limit: Arc::new(limit), key: key.into(), ceiling: 10_000, amount: 1, posture: Posture::Enforce }
}

fn due(book: &mut Book, now: Duration) -> Vec<Job> {
    let mut id = 0;
    let mut ids = || {
        id += 1;
        now.as_nanos() << 8 | id
    };
    book.due(now, false, &mut ids)
}

/// The one slice that is asked for.
fn asked(jobs: Vec<Job>) -> Wanted {
    match <[Job; 1]>::try_from(jobs) {
        Ok([Job::Lease(wanted)]) => wanted,
        other => panic!("{other:?}"),
    }
}

fn granted(wanted: &Wanted, lasts: Duration, ends: u64) -> Answer {
    let row = Taken { amount: 100, ..Taken::unchecked(wanted.id, &wanted.take) };
    Answer::Heard(Slice::Granted { row, lasts, ends })
}

#[test]
fn counters_of_which_nothing_is_due_are_not_looked_at() {
    let mut book = Book::new(8);
    for number in 0..20_000 {
        assert!(book.take(1, &take(&number.to_string()), Duration::ZERO).is_none());
    }
    let busy = take("busy");
    let (mut looks, mut now) = (0, Duration::ZERO);
    let mut leases = 0;
    while now < 9 * SECOND {
        now += TICK;
        book.take(1, &busy, now);
        looks += book.agenda.clone().due(now).len();
        for job in due(&mut book, now) {
            let Job::Lease(wanted) = job else { panic!("{job:?}") };
            assert_eq!(wanted.take.key, busy.key);
            leases += 1;
            assert!(book.answered(&wanted, Answer::Heard(Slice::Nothing), now).is_none());
        }
    }
    assert!(leases > 0 && looks <= 10, "{looks} for {leases}");
    assert_eq!(book.held.len(), 20_001);
    // What nobody calls for is forgotten after two cells.
    assert!(due(&mut book, 10 * SECOND + TICK).is_empty());
    assert_eq!(book.held.len(), 1);
    assert!(due(&mut book, now + 10 * SECOND + TICK).is_empty());
    assert!(book.is_idle());
}

#[test]
fn what_time_brings_comes_in_time() {
    let (mut book, busy) = (Book::new(1), take("busy"));
    let mut now = SECOND;
    assert!(book.take(1, &busy, now).is_none());
    let wanted = asked(due(&mut book, now));
    assert!(due(&mut book, now + TICK).is_empty(), "the answer is on its way");
    // Nobody heard of it: the same is asked again.
    assert!(book.answered(&wanted, Answer::Unheard, now + TICK).is_none());
    let again = asked(due(&mut book, now + 2 * TICK));
    assert_eq!(again.id, wanted.id);
    assert!(book.answered(&wanted, granted(&wanted, CELL, 7), now + 3 * TICK).is_none());
    // It lasts from when it was asked for first; the next is asked for in its last quarter.
    let ends = now + CELL;
    now += 3 * TICK;
    let mut next = None;
    while next.is_none() {
        assert!(book.take(1, &busy, now).is_some(), "{now:?}");
        now += TICK;
        next = due(&mut book, now).pop();
    }
    assert!(now > ends - CELL / 4 - TICK && now <= ends - CELL / 4 + TICK, "{now:?}");
    let wanted = asked(next.into_iter().collect());
    assert_eq!(wanted.after, 7);
    assert!(book.answered(&wanted, granted(&wanted, ends + CELL - now, 12), now).is_none());
    // The first is given back when it ends, and the second when nobody has called for two seconds.
    let called = now + SECOND;
    assert!(book.take(1, &busy, called).is_some());
    assert!(due(&mut book, ends - TICK).is_empty());
    let [Job::Back(first)] = &due(&mut book, ends)[..] else { panic!("it has ended") };
    assert_eq!((first.ends, first.row.amount), (7, 100));
    assert!(due(&mut book, called + 2 * SECOND - TICK).is_empty());
    let [Job::Back(second)] = &due(&mut book, called + 2 * SECOND)[..] else { panic!("it is idle") };
    assert_eq!((second.ends, second.used), (12, 0));
    assert!(!book.is_idle());
    assert!(due(&mut book, called + 10 * SECOND + TICK).is_empty());
    assert!(book.is_idle());
}

/// A slice that a call ended is asked for anew, and what was refused is asked for again after a cell.
#[test]
fn what_calls_and_answers_bring_comes_at_the_next_tick() {
    let (mut book, busy) = (Book::new(1), take("busy"));
    let mut now = SECOND;
    book.take(1, &busy, now);
    let wanted = asked(due(&mut book, now));
    assert!(book.answered(&wanted, granted(&wanted, CELL, 7), now).is_none());
    assert_eq!(book.end(&busy.key, now).len(), 1);
    now += TICK;
    let wanted = asked(due(&mut book, now));
    assert!(book.answered(&wanted, Answer::Heard(Slice::Nothing), now).is_none());
    let refused = now;
    let mut jobs = Vec::new();
    while jobs.is_empty() {
        now += TICK;
        book.take(1, &busy, now);
        jobs = due(&mut book, now);
    }
    asked(jobs);
    assert_eq!(now, refused + CELL);
}
