//! Who answers an attempt, and what is counted of the answer.

use std::task::Waker;

use bytes::Bytes;

use super::*;
use crate::exchange::event::Edits;
use crate::extproc::PoolLimits;
use crate::telemetry::Metrics;

fn pool() -> Arc<Pool> {
    Pool::new(PoolLimits { max_exchanges: 8, max_buffered: 1000 }, Arc::new(Metrics::new()))
}

/// The end of an exchange `a1` whose call was sent to `one`, with its original.
fn attempts(pool: &Arc<Pool>, original: &'static [u8]) -> Attempts {
    let registered = Some(pool.attempts().register(&Arc::from("a1")));
    Attempts { registered, original: Some(pool.keep(Bytes::from_static(original))), ..Attempts::default() }
}

fn ask(pool: &Arc<Pool>, id: &str, backend: &str) -> Asking {
    pool.attempts().ask(id, Asks { backend: backend.into(), fits: backend == "one", before: None })
}

fn next(attempts: &mut Attempts) -> Option<Attempt> {
    match attempts.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(attempt) => Some(attempt),
        Poll::Pending => None,
    }
}

#[test]
fn only_the_first_that_stands_written_is_answered_without_the_exchange() {
    let pool = pool();
    let mut own = attempts(&pool, b"original");
    assert!(matches!(ask(&pool, "a2", "one"), Asking::Nobody));
    assert!(matches!(ask(&pool, "a1", "one"), Asking::Stands));
    assert_eq!(next(&mut own), None);
    for (number, backend) in [(2, "two"), (3, "one")] {
        assert!(matches!(ask(&pool, "a1", backend), Asking::Exchange(_)));
        let original = Some(Bytes::from_static(b"original"));
        assert_eq!(next(&mut own), Some(Attempt { number, backend: backend.into(), before: None, original }));
    }
    drop(own);
    assert!(matches!(ask(&pool, "a1", "one"), Asking::Nobody));

    // The proxy could not connect to the first.
    let mut own = attempts(&pool, b"original");
    assert!(matches!(ask(&pool, "a1", "two"), Asking::Exchange(_)));
    assert_eq!(next(&mut own).map(|attempt| attempt.number), Some(1));
    assert!(matches!(ask(&pool, "a1", "one"), Asking::Exchange(_)), "what stands there is not for it any more");
}

#[test]
fn a_body_written_anew_is_held_until_it_was_sent_or_nobody_wants_it() {
    let pool = pool();
    let mut own = attempts(&pool, b"original");
    let anew = || Again::Anew { head: Edits::default(), body: Bytes::from(vec![b'x'; 100]) };
    for was_sent in [true, false] {
        let Asking::Exchange(mut answer) = ask(&pool, "a1", "two") else { panic!("it is there") };
        assert!(next(&mut own).is_some());
        own.answer(anew(), &pool);
        assert_eq!(pool.buffered(), 108);
        if was_sent {
            let Answered { again, held } = answer.try_recv().expect("it was answered");
            assert_eq!((again, pool.buffered()), (anew(), 108));
            drop(held);
        } else {
            drop(answer);
        }
        assert_eq!(pool.buffered(), 8);
    }
    let Asking::Exchange(answer) = ask(&pool, "a1", "two") else { panic!("it is there") };
    drop(answer);
    assert!(next(&mut own).is_some());
    own.answer(anew(), &pool);
    assert_eq!(pool.buffered(), 8, "nobody hears it");
    drop(own);
    assert_eq!(pool.buffered(), 0);
}

#[test]
fn an_original_that_there_is_no_room_to_write_again_is_not_given() {
    let pool = pool();
    let mut own = attempts(&pool, b"original");
    let _others = Held::new(&pool, 990);
    assert!(matches!(ask(&pool, "a1", "two"), Asking::Exchange(_)));
    let attempt = next(&mut own).expect("it is told");
    assert_eq!(attempt.original.map(|body| body.len()), Some(8), "its own room is enough");
    assert_eq!(pool.buffered(), 990, "and was given up for it");
    assert!(matches!(ask(&pool, "a1", "two"), Asking::Exchange(_)));
    assert_eq!(next(&mut own).expect("it is told").original, None);
}
