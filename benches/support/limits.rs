//! What limits cost: a call that meets three, their takes alone, and the memory that a key takes.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use stats_alloc::Region;
use weir::exchange::event::{Action, Answer, Ask, Event, Failure, Note};
use weir::exchange::{Exchange, Setup};
use weir::limit::memory::Memory;
use weir::limit::take::{Grant, Posture, Settlement, Take};
use weir::limit::window::{Calendar, Time, Unit as CalendarUnit, Window};
use weir::limit::{Limit, MOST, Unit};
use weir::policy::Policy;
use weir::world::Limits;

use super::{ALLOCATOR, Cost, NOW, cases, measure, setup};

const KEYS: usize = 100_000;
const BEGIN: u64 = 1_774_692_000;

/// Three limits that nobody reaches, of which each call asks all.
pub const POLICY: &str = concat!("\n---\n", include_str!("limits.yaml"));

/// The first case as it meets limits that are counted in this process.
pub fn call(policy: &Arc<Policy>) -> Cost {
    let limits = Limits::default();
    let [(_, events), ..] = cases();
    measure(
        || (setup(policy), events.clone(), Vec::with_capacity(16)),
        |(setup, events, out): &mut (Setup, Vec<Event>, Vec<Action>)| {
            let mut exchange = Exchange::new(setup.clone());
            for event in events.drain(..) {
                let from = out.len();
                exchange.on(event, NOW, out);
                answer_limits(&limits, &mut exchange, out, from);
            }
            exchange
        },
    )
}

/// Answers what was asked of the limits from this action on, and settles what is to be settled.
fn answer_limits(limits: &Limits, exchange: &mut Exchange, out: &mut Vec<Action>, from: usize) {
    let mut at = from;
    while let Some(action) = out.get_mut(at) {
        match action {
            Action::Ask(slot, Ask::Reserve(ask)) => {
                let slot = *slot;
                let answer = limits.reserve_now(ask).map_or(Answer::Failed(Failure::Unavailable), Answer::Reserve);
                exchange.on(Event::Answer(slot, answer), NOW, out);
            }
            Action::Note(Note::Settle(settle)) => limits.settle_now(settle),
            _ => {}
        }
        at += 1;
    }
}

/// What the limits of one call cost, by the names of the rows.
pub fn steps() -> Vec<(&'static str, Cost)> {
    let store = Memory::new(3 * KEYS);
    let limits = limits();
    for caller in 0..KEYS {
        let _ = store.reserve(0, &takes(&limits, caller, 1), at(0));
    }
    let caller = Cell::new(0);
    let next = |amount| {
        // Another caller with each call, so that none is in the processor's caches.
        caller.set((caller.get() + 7_919) % KEYS);
        takes(&limits, caller.get(), amount)
    };
    let reserved = measure(|| next(1), |takes| store.reserve(1, takes, at(5)));
    let settled = measure(
        || {
            let grant = store.reserve(1, &next(5), at(6)).ok();
            grant.map(|grant: Grant| Settlement { amounts: vec![3; grant.taken.len()], grant })
        },
        |settlement| settlement.as_ref().map(|settlement| store.settle(settlement, at(7))),
    );
    let refused = measure(|| next(MOST), |takes| store.reserve(1, takes, at(8)));
    vec![
        ("three limits of 100,000 callers, reserved", reserved),
        ("the same, settled", settled),
        ("the same, refused", refused),
    ]
}

/// MiB of 100,000 keys, each used in so many parts of its window, by the names of the rows.
pub fn sizes() -> Vec<(String, f64)> {
    [1, 8, 61].map(|parts| (format!("{KEYS} keys used in {parts} parts of their windows"), size(parts))).into()
}

fn size(parts: u64) -> f64 {
    let limits = limits();
    let region = Region::new(ALLOCATOR);
    // One limit alone gets half of the bound. A shard has its share of it, and some a little more than that of the keys.
    let store = Memory::new(2 * (KEYS + KEYS / 10));
    for part in 0..parts {
        for caller in 0..KEYS {
            let _ = store.reserve(0, &takes(&limits, caller, 1)[..1], at(part));
        }
    }
    let change = region.change();
    assert_eq!(store.totals(at(parts - 1)).first().map(|total| total.keys), Some(KEYS), "every key is there");
    (change.bytes_allocated - change.bytes_deallocated) as f64 / f64::from(1 << 20)
}

fn at(secs: u64) -> Time {
    Time { steady: (BEGIN + secs) * 1_000_000_000, unix: BEGIN + secs }
}

pub fn limits() -> [Arc<Limit>; 3] {
    let minute = || Window::Rolling(Duration::from_secs(60));
    let month = Window::Calendar(Calendar { unit: CalendarUnit::Month, zone: TimeZone::UTC });
    [
        Limit::new("search/fair-use/tpm", Unit::Tokens, MOST, minute()),
        Limit::new("search/fair-use/rpm", Unit::Requests, MOST, minute()),
        Limit::new("search/fair-use/monthly", Unit::Usd, MOST, month),
    ]
    .map(Arc::new)
}

/// A caller's, on keys as long as they are.
pub fn takes(limits: &[Arc<Limit>], caller: usize, amount: u64) -> Vec<Take> {
    let take = |limit: &Arc<Limit>| Take {
        limit: limit.clone(),
        key: format!("{}|frontend-{caller:06}|gpt-4o-mini-2024-07-18", limit.id).into(),
        ceiling: limit.amount,
        amount,
        posture: Posture::Enforce,
    };
    limits.iter().map(take).collect()
}
