//! Many callers, in any order: nobody is given what is somebody else's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

/// What happens to one of a few callers, who all ask one of a few questions.
#[derive(Clone, Debug)]
enum Op {
    Ask {
        who: u8,
        what: u8,
        reads: bool,
        keeps: bool,
    },
    Say {
        of: usize,
    },
    End {
        of: usize,
        completes: bool,
    },
    Leave {
        of: usize,
    },
    Part {
        of: usize,
    },
    /// It does not read what it is told, or does again.
    Lag {
        of: usize,
    },
    Later,
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (0..3_u8, 0..3_u8, any::<bool>(), any::<bool>())
            .prop_map(|(who, what, reads, keeps)| Op::Ask { who, what, reads: reads || keeps, keeps }),
        4 => (0..8_usize).prop_map(|of| Op::Say { of }),
        3 => (0..8_usize, any::<bool>()).prop_map(|(of, completes)| Op::End { of, completes }),
        2 => (0..8_usize).prop_map(|of| Op::Leave { of }),
        1 => (0..8_usize).prop_map(|of| Op::Part { of }),
        2 => (0..8_usize).prop_map(|of| Op::Lag { of }),
        1 => Just(Op::Later),
    ]
}

/// A caller that waits for an answer, or gets one.
struct Asking {
    who: u8,
    what: u8,
    leads: Option<Ticket>,
    followed: bool,
    said: Fold,
    /// Bytes of the answer that its provider has said, where it leads.
    spoken: usize,
    lags: bool,
    seat: Option<Seated>,
}

/// The answer to a question, for one caller, by the one who leads.
fn text(who: u8, what: u8) -> String {
    format!("to {who}: {what}, and more of it")
}

/// Bytes that a provider says at a time.
const PIECE: usize = 7;

/// Room for so many bytes.
struct Few {
    held: AtomicUsize,
    most: usize,
}

impl Budget for Few {
    fn take(&self, bytes: usize) -> bool {
        let held = self.held.load(Ordering::Relaxed) + bytes;
        let fits = held <= self.most;
        if fits {
            self.held.store(held, Ordering::Relaxed);
        }
        fits
    }

    fn hold(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        let held = self.held.load(Ordering::Relaxed).checked_sub(bytes);
        self.held.store(held.expect("no more is given back than was taken"), Ordering::Relaxed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens to whom, in whatever order, however little room there is and however slowly somebody reads: an
    /// answer that somebody gets, kept or live, is the one to this question by this caller; what is counted is what is
    /// held; and when all have gone nothing is left.
    #[test]
    fn no_answer_of_one_caller_is_given_to_another(
        ops in prop::collection::vec(any_op(), 1..80),
        most in prop_oneof![Just(usize::MAX), 0..3_000_usize],
    ) {
        let (cache, now) = cache();
        let room = Arc::new(Few { held: AtomicUsize::new(0), most });
        cache.count_in(room.clone());
        let mut asking: Vec<Asking> = Vec::new();
        for op in ops {
            match op {
                Op::Ask { who, what, reads, keeps } => asking.extend(begin(&cache, (who, what), reads, keeps)?),
                Op::Later => _ = now.fetch_add(40, Ordering::Relaxed),
                op => happen(&cache, op, &mut asking),
            }
            prop_assert_eq!(room.held.load(Ordering::Relaxed), cache.flights().held(asking.iter().filter_map(seat_of)));
            listen(&cache, &mut asking)?;
        }
        asking.iter_mut().for_each(|one| one.lags = false);
        listen(&cache, &mut asking)?;
        for one in asking.drain(..) {
            if let Some(ticket) = one.leads {
                cache.hear(Note::Forsake(ticket));
            }
        }
        let (flights, waiting, _) = cache.flights().stand();
        prop_assert_eq!((flights, waiting), (0, 0));
        prop_assert_eq!(cache.flights().parked(), 0);
        prop_assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }
}

fn seat_of(one: &Asking) -> Option<&Seated> {
    one.seat.as_ref()
}

/// Somebody asks; who is answered at once waits for nothing.
fn begin(cache: &Arc<Cache>, (who, what): (u8, u8), reads: bool, keeps: bool) -> Result<Option<Asking>, TestCaseError> {
    let asked = Ask { reads, keeps, ..ask(consumer(&who.to_string()), what) };
    let mut one =
        Asking { who, what, leads: None, followed: false, said: Fold::default(), spoken: 0, lags: false, seat: None };
    match recall(cache, &asked) {
        Some(Recall::Hit(hit)) => {
            prop_assert!(reads);
            prop_assert_eq!(hit.reply.text(), text(who, what));
            return Ok(None);
        }
        Some(Recall::Lead(ticket)) => (one.leads, one.seat) = (Some(ticket), cache.seat(ticket)),
        Some(Recall::Follow(ticket)) => one.seat = cache.seat(ticket),
        _ => return Ok(None),
    }
    Ok(Some(one))
}

/// Something happens to one of those who wait.
fn happen(cache: &Arc<Cache>, op: Op, asking: &mut Vec<Asking>) {
    match op {
        Op::Say { of } => {
            let Some(one) = asking.get_mut(of) else { return };
            let Some(ticket) = one.leads else { return };
            let whole = text(one.who, one.what);
            let to = (one.spoken + PIECE).min(whole.len());
            let delta = Delta::text(&whole[std::mem::replace(&mut one.spoken, to)..to]);
            one.said.push(&delta);
            if one.followed {
                cache.hear(Note::Publish(ticket, delta));
            }
        }
        Op::End { of, completes } => {
            let Some(ticket) = asking.get(of).and_then(|one| one.leads) else { return };
            let one = asking.remove(of);
            if !completes {
                cache.hear(Note::Forsake(ticket));
                return;
            }
            let whole = reply(&text(one.who, one.what));
            if one.followed {
                let rest = Delta::text(&text(one.who, one.what)[one.spoken..]);
                let tail = whole.steps().into_iter().skip_while(|step| step.text_len() == 0).skip(1);
                [rest].into_iter().chain(tail).for_each(|step| _ = cache.hear(Note::Publish(ticket, step)));
            }
            remember(cache, ticket, whole);
        }
        Op::Lag { of } => {
            if let Some(one) = asking.get_mut(of) {
                one.lags = !one.lags;
            }
        }
        Op::Leave { of } if of < asking.len() => {
            if let Some(ticket) = asking.remove(of).leads {
                cache.hear(Note::Forsake(ticket));
            }
        }
        Op::Part { of } => {
            let Some(ticket) = asking.get(of).and_then(|one| one.leads) else { return };
            asking.remove(of);
            cache.hear(Note::Part(ticket, Reason::OtherBackend));
        }
        _ => {}
    }
}

/// Each reads what it is told.
fn listen(cache: &Arc<Cache>, asking: &mut Vec<Asking>) -> Result<(), TestCaseError> {
    let mut done = HashMap::new();
    for (at, one) in asking.iter_mut().enumerate() {
        let Some(seat) = one.seat.as_mut().filter(|_| !one.lags) else { continue };
        for feed in heard(seat) {
            match feed {
                Feed::Delta(delta) => one.said.push(&delta),
                Feed::Lost(ticket) => {
                    (one.leads, one.said, one.followed) = (Some(ticket), Fold::default(), false);
                    one.spoken = 0;
                }
                Feed::Anew => one.said = Fold::default(),
                Feed::Alone => _ = done.insert(at, ()),
                Feed::Followed => {
                    one.followed = true;
                    if let Some(ticket) = one.leads.filter(|_| !one.said.is_fresh()) {
                        one.said.so_far().into_iter().for_each(|step| _ = cache.hear(Note::Publish(ticket, step)));
                    }
                }
                Feed::Cut => {}
            }
        }
        if one.leads.is_none()
            && let Some(reply) = one.said.clone().complete()
        {
            prop_assert_eq!(reply.text(), text(one.who, one.what));
            done.insert(at, ());
        }
    }
    let mut at = 0;
    asking.retain(|_| {
        at += 1;
        !done.contains_key(&(at - 1))
    });
    Ok(())
}
