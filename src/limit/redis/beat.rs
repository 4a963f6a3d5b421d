//! [io] Which calls this replica holds, and the heartbeat that says so: the store lets go of the calls of a replica
//! that it does not hear of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::Value;
use tokio::select;
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::ask::Undo;
use super::scripts::Verb;
use crate::limit::take::{Grant, Taken};
use crate::limit::window::Window;

/// Heartbeats while nothing is heard of a replica before its calls are let go, less one.
const BEATS: u32 = 3;
/// How often it is said that a call is gone.
const GONE: u8 = 3;
/// Counters of one round trip.
const AT_ONCE: usize = 64;
/// Calls of one counter of which one heartbeat says that they are gone.
const GONE_AT_ONCE: usize = 1024;
/// Calls of which heartbeats have something to say: if there are more, none is taken on that is given up.
const MOST: usize = 65_536;

/// The calls that are held.
#[derive(Default)]
pub(super) struct Held(Mutex<All>);

#[derive(Default)]
struct All {
    /// By the counter's key in the store.
    counters: HashMap<String, Calls>,
    /// How many all of them have in `told`.
    told: usize,
}

#[derive(Default)]
struct Calls {
    /// By grant, with how many calls it counts.
    now: HashMap<u128, u64>,
    /// Those that a heartbeat has named or may have named, and those of which nothing else says that they are over;
    /// and how often the store has heard that they are gone: a call may end while a heartbeat is on its way that
    /// names it, and that may arrive after the next one.
    told: HashMap<u128, u8>,
}

/// One counter's heartbeat.
struct Beat {
    key: String,
    calls: Vec<(u128, u64)>,
    gone: Vec<u128>,
}

// === impl Held ===

impl Held {
    /// A call begins, or is heard of again.
    pub(super) fn begin(&self, shared: &Shared, grant: &Grant) {
        let mut amounts: HashMap<String, u64> = HashMap::new();
        for taken in holds(grant) {
            *amounts.entry(shared.voice.names.counter(&taken.limit, &taken.key)).or_default() += taken.amount;
        }
        let mut held = self.lock();
        for (key, amount) in amounts {
            held.counters.entry(key).or_default().now.insert(grant.id, amount);
        }
    }

    /// It ends. What is unknown has ended.
    pub(super) fn end(&self, shared: &Shared, grant: &Grant) {
        for taken in holds(grant) {
            let key = shared.voice.names.counter(&taken.limit, &taken.key);
            let mut held = self.lock();
            if let Some(calls) = held.counters.get_mut(&key) {
                calls.now.remove(&grant.id);
                if calls.now.is_empty() && calls.told.is_empty() {
                    held.counters.remove(&key);
                }
            }
        }
    }

    /// The store holds these calls or may do so, they are over, and it is told by nothing but heartbeats. Whether it
    /// will be: their number is bounded.
    pub(super) fn give_up(&self, shared: &Shared, calls: &Undo) -> bool {
        let mut held = self.lock();
        let All { counters, told } = &mut *held;
        if *told >= MOST {
            return false;
        }
        for (limit, key) in &calls.counters {
            let counter = counters.entry(shared.voice.names.counter(limit, key)).or_default();
            counter.now.remove(&calls.id);
            *told += usize::from(counter.told.insert(calls.id, 0).is_none());
        }
        true
    }

    /// What to say of each counter. It is remembered as said: it may arrive whatever is heard of it.
    fn beats(&self) -> Vec<Beat> {
        let mut beats = Vec::new();
        let mut held = self.lock();
        let All { counters, told } = &mut *held;
        for (key, calls) in counters {
            let gone = calls.told.keys().filter(|id| !calls.now.contains_key(id)).take(GONE_AT_ONCE).copied().collect();
            let before = calls.told.len();
            calls.told.extend(calls.now.keys().map(|id| (*id, 0)));
            *told += calls.told.len() - before;
            let now = calls.now.iter().map(|(id, amount)| (*id, *amount)).collect();
            beats.push(Beat { key: key.clone(), calls: now, gone });
        }
        beats
    }

    /// The store has heard that these are gone.
    fn heard(&self, beat: &Beat) {
        let mut held = self.lock();
        let All { counters, told } = &mut *held;
        if let Some(calls) = counters.get_mut(&beat.key) {
            for id in &beat.gone {
                let heard = calls.told.get_mut(id);
                if heard.is_some_and(|times| std::mem::replace(times, *times + 1) + 1 >= GONE) {
                    calls.told.remove(id);
                    *told = told.saturating_sub(1);
                }
            }
            if calls.now.is_empty() && calls.told.is_empty() {
                counters.remove(&beat.key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(grant: &Grant) -> impl Iterator<Item = &Taken> {
    grant.taken.iter().filter(|taken| taken.limit.window == Window::Held && taken.amount > 0)
}

/// Beats until it is dropped.
pub(super) async fn beat(shared: Arc<Shared>) {
    let mut ticks = interval(shared.voice.hold / BEATS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut state = shared.link.watch();
    loop {
        // Who could not reach the store says at once that it lives.
        select! {
            _ = ticks.tick() => {}
            Ok(()) = state.changed() => {}
        }
        let beats = shared.held.beats();
        for beats in beats.chunks(AT_ONCE) {
            let digest = shared.scripts.digest(Verb::Heartbeat);
            let command = |beat: &Beat| shared.voice.beat(digest, &beat.key, &beat.calls, &beat.gone, shared.at());
            let answers = shared.link.send_later(beats.iter().map(command).collect()).await;
            // What is not heard is said again.
            for (beat, answer) in beats.iter().zip(answers) {
                if matches!(answer, Ok(Value::Int(_))) {
                    shared.held.heard(beat);
                }
            }
        }
    }
}
