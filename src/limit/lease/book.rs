//! What this replica holds of which counters, and what it has to tell the store: a pure function of what is asked
//! when. Times are on any clock that does not step back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::agenda::Agenda;
use super::held::Held;
use super::terms::Terms;
use crate::limit::redis::{Back, Change, Slice, Wanted};
use crate::limit::take::{Standing, Take, Taken};

/// Counters of which slices are held, at most; of more every call asks the store.
const MOST: usize = 65_536;
/// What calls came to is told the store no more often than this.
const TELL: Duration = Duration::from_millis(200);
/// Parts of one message.
const AT_ONCE: usize = 64;

/// All counters of this replica, by their keys.
#[derive(Debug)]
pub struct Book {
    often: u32,
    held: HashMap<Arc<str>, Held>,
    /// When time changes something of each of them, at the latest.
    agenda: Agenda,
    /// What calls came to beyond what they had taken of slices that are gone, or less.
    debts: HashMap<Arc<str>, Debt>,
    /// Of counters whose limit has another unit or window since.
    outdated: Vec<Debt>,
    ended: Vec<Back>,
    told: Duration,
    slices: u64,
}

/// Of one counter, by the part of the window.
#[derive(Debug)]
struct Debt {
    row: Taken,
    parts: BTreeMap<u64, i64>,
}

/// What has to be done.
#[derive(Debug)]
pub enum Job {
    Lease(Wanted),
    /// Nobody knows whether it was granted, and it is too late to ask.
    GiveUp(Wanted),
    Back(Back),
    Change(Change),
}

/// What is known of what was asked.
#[derive(Debug)]
pub enum Answer {
    Heard(Slice),
    /// It may have been granted.
    Unheard,
    /// It was not granted, for nothing was asked.
    Unsent,
}

// === impl Book ===

impl Book {
    /// Slices are asked for by so many calls within two cells.
    pub fn new(often: u32) -> Book {
        Book {
            often,
            held: HashMap::new(),
            agenda: Agenda::default(),
            debts: HashMap::new(),
            outdated: Vec::new(),
            ended: Vec::new(),
            told: Duration::ZERO,
            slices: 0,
        }
    }

    /// Takes of what is held; none where the store has to be asked. `grant` is the call's.
    pub fn take(&mut self, grant: u128, take: &Take, now: Duration) -> Option<Taken> {
        let terms = Terms::of(take)?;
        let is_full = self.held.len() >= MOST;
        match self.held.get_mut(&take.key) {
            Some(held) if held.is_of(&take.limit) => {
                let taken = held.take(grant, take, &terms, now);
                self.agenda.no_later_than(&take.key, held.wakes(now));
                return taken;
            }
            // Another unit or window has other parts.
            Some(held) => self.ended.extend(held.end()),
            None if is_full => return None,
            None => {}
        }
        let mut held = Held::new(self.often, &terms, take, now);
        let taken = held.take(grant, take, &terms, now);
        self.agenda.no_later_than(&take.key, held.wakes(now));
        self.held.insert(take.key.clone(), held);
        taken
    }

    /// Whether a slice of the counter is to be asked for now.
    pub fn is_short(&self, key: &str, now: Duration) -> bool {
        self.held.get(key).is_some_and(|held| held.plan(now).is_some())
    }

    /// What a take that was made here came to.
    pub fn settle(&mut self, taken: &Taken, amount: u64, now: Duration) {
        let held = self.held.get_mut(&taken.key);
        // What its slice cannot bear is charged in the store.
        let left = match held.and_then(|held| held.settle(taken, amount, now)) {
            Some(beyond) => signed(beyond),
            None => signed(amount).saturating_sub(signed(taken.amount)),
        };
        if left == 0 {
            return;
        }
        let new = || Debt { row: taken.clone(), parts: BTreeMap::new() };
        let debt = self.debts.entry(taken.key.clone()).or_insert_with(new);
        if debt.row.limit.window != taken.limit.window || debt.row.limit.unit != taken.limit.unit {
            self.outdated.push(std::mem::replace(debt, new()));
        }
        let part = debt.parts.entry(taken.bucket).or_default();
        *part = part.saturating_add(left);
    }

    /// Ends the slices of a counter. None where nothing is left of them.
    pub fn end(&mut self, key: &Arc<str>, now: Duration) -> Vec<Back> {
        let Some(held) = self.held.get_mut(key).filter(|held| held.left(now) > 0) else { return Vec::new() };
        let ended = held.end();
        self.agenda.no_later_than(key, held.wakes(now));
        ended
    }

    /// How much of a counter is held and not used.
    pub fn left(&self, key: &str, now: Duration) -> u64 {
        self.held.get(key).map_or(0, |held| held.left(now))
    }

    /// The store said how counters stand.
    pub fn heard<'a>(&mut self, rows: impl Iterator<Item = (&'a str, &'a Standing)>) {
        for (key, standing) in rows {
            if let Some(held) = self.held.get_mut(key) {
                held.heard(standing);
            }
        }
    }

    /// Whether there is anything that time changes.
    pub fn is_idle(&self) -> bool {
        self.held.is_empty() && self.debts.is_empty() && self.outdated.is_empty() && self.ended.is_empty()
    }

    /// What has to be done now: all of it, or what does not wait for more. `id` makes ids of grants. Counters of which
    /// nothing is due are not looked at.
    pub fn due(&mut self, now: Duration, all: bool, id: &mut dyn FnMut() -> u128) -> Vec<Job> {
        let mut jobs: Vec<Job> = self.ended.drain(..).map(Job::Back).collect();
        for key in self.agenda.due(now) {
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.due(now, id, &mut jobs);
            if held.is_over(now) {
                self.held.remove(&key);
            } else {
                self.agenda.no_later_than(&key, held.wakes(now));
            }
        }
        if all || now.saturating_sub(self.told) >= TELL {
            self.told = now;
            self.tell(id, &mut jobs);
        }
        jobs
    }

    /// Ends everything.
    pub fn close(&mut self, id: &mut dyn FnMut() -> u128) -> Vec<Job> {
        let mut jobs: Vec<Job> = self.ended.drain(..).map(Job::Back).collect();
        self.agenda.clear();
        for (_, mut held) in self.held.drain() {
            jobs.extend(held.end().into_iter().map(Job::Back));
            jobs.extend(held.asked().map(Job::GiveUp));
        }
        self.tell(id, &mut jobs);
        jobs
    }

    fn tell(&mut self, id: &mut dyn FnMut() -> u128, jobs: &mut Vec<Job>) {
        let debts = self.debts.drain().map(|(_, debt)| debt);
        for Debt { row, parts } in debts.chain(self.outdated.drain(..)) {
            let parts: Vec<_> = parts.into_iter().filter(|(_, amount)| *amount != 0).collect();
            for parts in parts.chunks(AT_ONCE) {
                jobs.push(Job::Change(Change { id: id(), row: row.clone(), parts: parts.to_vec() }));
            }
        }
    }

    /// What the store said to a [`Job::Lease`]. What is of no use any more has to be given back.
    pub fn answered(&mut self, wanted: &Wanted, answer: Answer, now: Duration) -> Option<Job> {
        self.slices += 1;
        let held = self.held.get_mut(&wanted.take.key).filter(|held| held.has_asked(wanted));
        match (held, answer) {
            (Some(held), answer) => {
                let back = held.answered(wanted, answer, self.slices, now);
                self.agenda.no_later_than(&wanted.take.key, held.wakes(now));
                back.map(Job::Back)
            }
            (None, Answer::Heard(Slice::Granted { row, ends, .. })) => Some(Job::Back(Back { row, used: 0, ends })),
            (None, Answer::Heard(Slice::Nothing) | Answer::Unsent) => None,
            (None, Answer::Unheard) => Some(Job::GiveUp(wanted.clone())),
        }
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
