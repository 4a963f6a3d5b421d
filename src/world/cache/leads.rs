//! Inputs whose vectors are on their way, and who waits for them: of calls that miss the same at the same time one asks
//! the provider.
//!
//! Who misses inputs that nobody else has asked for leads for those. Who misses only what others lead for waits for the
//! end of all of them, and then looks again. Nobody who leads waits, so that nobody waits for himself. A leader that
//! leaves is followed by the first who looks again; where what it got is for nobody else, each who waits goes alone.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::cache::items::Known;
use crate::cache::{Key, Ticket};

/// All leads of a process.
#[derive(Default)]
pub(super) struct Leads(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    last: u64,
    /// Who leads for an input.
    open: HashMap<Key, Ticket>,
    leads: HashMap<Ticket, Lead>,
}

struct Lead {
    keys: Vec<Key>,
    /// What was found of them since.
    known: HashMap<Key, Known>,
    end: watch::Sender<Option<End>>,
}

/// What a lead came to.
#[derive(Clone)]
pub(super) struct End {
    pub how: How,
    pub known: Arc<HashMap<Key, Known>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Its vectors are there.
    Landed,
    /// It has got no answer: somebody else may.
    Forsaken,
    /// What it has got is for nobody else, and what another one gets is likely to be no better.
    Parted,
}

/// What a call has become.
pub(super) enum Joined {
    Lead(Ticket),
    Follow(Vec<Ending>),
    /// There are too many leads, or nothing to lead for.
    Alone,
}

/// The end of a lead, for who waits for it.
pub(super) struct Ending(watch::Receiver<Option<End>>);

/// Inputs that are led for at most: some ten megabytes.
const MOST: usize = 1 << 17;

/// Tells these tickets from those of [`Flights`](super::Flights).
const OF_INPUTS: u64 = 1 << 63;

// === impl Leads ===

impl Leads {
    /// Leads for those of these inputs that nobody leads for, or follows where there are none.
    pub fn join(&self, keys: Vec<Key>) -> Joined {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let tickets: HashSet<Ticket> = keys.iter().filter_map(|key| inner.open.get(key).copied()).collect();
        let keys: Vec<Key> = keys.into_iter().filter(|key| !inner.open.contains_key(key)).collect();
        if keys.is_empty() {
            let ending = |ticket| Some(Ending(inner.leads.get(ticket)?.end.subscribe()));
            let endings: Vec<Ending> = tickets.iter().filter_map(ending).collect();
            return if endings.is_empty() { Joined::Alone } else { Joined::Follow(endings) };
        }
        if inner.open.len() + keys.len() > MOST {
            return Joined::Alone;
        }
        inner.last += 1;
        let ticket = Ticket(OF_INPUTS | inner.last);
        inner.open.extend(keys.iter().map(|key| (*key, ticket)));
        inner.leads.insert(ticket, Lead { keys, known: HashMap::new(), end: watch::Sender::new(None) });
        Joined::Lead(ticket)
    }

    /// Some of what is led for was found meanwhile: nobody need wait for it any more.
    pub fn know(&self, ticket: Ticket, known: impl Iterator<Item = (Key, Known)>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(lead) = inner.leads.get_mut(&ticket) else { return };
        for (key, known) in known {
            if inner.open.get(&key) == Some(&ticket) {
                inner.open.remove(&key);
            }
            lead.known.insert(key, known);
        }
    }

    /// The lead is over. Who waits is told so, and what was found; of a lead that is over already nothing happens.
    pub fn end(&self, ticket: Ticket, how: How, fresh: impl Iterator<Item = (Key, Known)>) {
        let Some(Lead { mut known, end, .. }) = self.lock().remove(ticket) else { return };
        if end.receiver_count() > 0 {
            known.extend(fresh);
            end.send_replace(Some(End { how, known: Arc::new(known) }));
        }
    }

    /// Leads, and those who wait.
    pub fn stand(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.leads.len(), inner.leads.values().map(|lead| lead.end.receiver_count()).sum())
    }

    /// Inputs that are led for.
    #[cfg(test)]
    pub fn open(&self) -> usize {
        self.lock().open.len()
    }

    /// A panic elsewhere leaves the tables as they are: each is changed in one step.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn remove(&mut self, ticket: Ticket) -> Option<Lead> {
        let lead = self.leads.remove(&ticket)?;
        for key in &lead.keys {
            if self.open.get(key) == Some(&ticket) {
                self.open.remove(key);
            }
        }
        Some(lead)
    }
}

// === impl Ending ===

impl Ending {
    /// Waits for it. A lead of which nothing more is heard was forsaken.
    pub async fn wait(mut self) -> End {
        let end = self.0.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        end.unwrap_or_else(|| End { how: How::Forsaken, known: Arc::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        Key(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn lead(joined: Joined) -> Option<Ticket> {
        match joined {
            Joined::Lead(ticket) => Some(ticket),
            Joined::Follow(_) | Joined::Alone => None,
        }
    }

    #[test]
    fn there_is_an_end_of_what_is_led_for() {
        let leads = Leads::default();
        let most = u32::try_from(MOST).unwrap();
        let first = lead(leads.join((1..most).map(key).collect())).unwrap();
        let second = lead(leads.join(vec![key(0)])).unwrap();
        assert!(matches!(leads.join(vec![key(most)]), Joined::Alone));
        assert!(matches!(leads.join(vec![key(0), key(7)]), Joined::Follow(endings) if endings.len() == 2));
        assert!(matches!(leads.join(Vec::new()), Joined::Alone));
        leads.end(first, How::Forsaken, std::iter::empty());
        assert_eq!((leads.stand(), leads.open()), ((1, 0), 1));
        let third = lead(leads.join(vec![key(most), key(0)])).unwrap();
        // A lead that is over ends nobody else's.
        leads.end(first, How::Landed, std::iter::empty());
        assert_eq!((leads.stand(), leads.open()), ((2, 0), 2));
        [second, third].into_iter().for_each(|ticket| leads.end(ticket, How::Parted, std::iter::empty()));
        assert_eq!((leads.stand(), leads.open()), ((0, 0), 0));
    }
}
