//! Answers on their way, and who waits for them: of identical calls one asks the provider, and the others are told
//! what it is told.
//!
//! Nothing is published of an answer that nobody follows. With the first who follows the leader is told so
//! ([`Feed::Followed`](crate::exchange::event::Feed::Followed)), says what it has heard by then, and goes on live; who comes later hears the beginning from
//! here. A leader that ends without an answer is followed by one of those who wait.
//!
//! A step is written once, into the [`Log`] of its flight, and each who follows reads it there: what it costs its leader
//! is a look into the table of flights, under its lock, one copy of the step, and one wake-up for each who has read all
//! of it by then (a reference counted, a task put into a queue). With one follower that is less than a microsecond;
//! with 4,096 it is as many wake-ups and no copy, behind every lock (when a leader is lost: behind that of the table). Who lags costs nothing: it is not woken, and reads
//! at once what has become of the text since.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::likeness::Placed;
use super::log::{Budget, Log};
use super::seat::{Seat, Seated};
use crate::cache::{Key, Place, Rule, Similar, Ticket};
use crate::identity::Principal;
use crate::llm::{Delta, Reply};

/// What is known of a call whose answer is on its way.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub rule: Arc<Rule>,
    pub place: Place,
    pub key: Key,
    pub keeps: bool,
    /// See [`crate::cache::Ask::room`].
    pub room: u64,
    pub similar: Option<Box<Similar>>,
    pub caller: Arc<Principal>,
    /// Where its question belongs, where that is known already.
    pub placed: Option<Placed>,
}

/// All flights of a process. A clone is the same.
#[derive(Clone, Default)]
pub struct Flights {
    inner: Arc<Mutex<Inner>>,
    /// What is said is counted there.
    budget: Arc<OnceLock<Arc<dyn Budget>>>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    /// Those that may be followed.
    open: HashMap<Key, Ticket>,
    flights: HashMap<Ticket, Flight>,
    /// Seats that nobody has taken yet.
    seats: HashMap<Ticket, Arc<Seat>>,
    followed: u64,
}

struct Flight {
    wanted: Wanted,
    leader: Arc<Seat>,
    /// Those who wait, each with what it would lead for; who has waited longest is the first.
    followers: VecDeque<(Arc<Seat>, Wanted)>,
    /// Followers beyond which those who have left are looked for.
    crowd: usize,
    log: Arc<Log>,
    /// Its leader was told that it is followed.
    is_followed: bool,
    /// The end was said: there is nothing to begin anew.
    ended: bool,
}

/// What a call has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Lead(Ticket),
    Follow(Ticket),
}

/// Who follow one flight, at most. Each may be woken by every step, so that a leader's step costs so much.
const MOST: usize = 4096;

/// Followers of whom those who have left are not looked for.
const FEW: usize = 32;

// === impl Flights ===

impl Flights {
    /// Counts there what is said. Of several the first stays.
    pub(super) fn count_in(&self, budget: Arc<dyn Budget>) {
        let _ = self.budget.set(budget);
    }

    /// Leads, or follows who leads already if `follows`. A flight that does not coalesce is followed by nobody.
    pub(super) fn join(&self, wanted: Wanted, follows: bool) -> Joined {
        let mut inner = self.lock();
        let ticket = inner.next();
        let inner = &mut *inner;
        let running = inner.open.get(&wanted.key).filter(|_| follows && wanted.rule.coalesces);
        if let Some(flight) = running.and_then(|running| inner.flights.get_mut(running))
            && flight.admit(ticket, &wanted, &mut inner.seats)
        {
            inner.followed += 1;
            return Joined::Follow(ticket);
        }
        let leader = Seat::new(ticket, None);
        if follows && wanted.rule.coalesces {
            // A flight that takes nobody any more makes room for one that does.
            inner.open.insert(wanted.key, ticket);
            inner.seats.insert(ticket, leader.clone());
        }
        let log = self.log(&wanted);
        inner.flights.insert(ticket, Flight::new(wanted, leader, VecDeque::new(), log));
        Joined::Lead(ticket)
    }

    /// Where who has this ticket is told; none where nobody is.
    pub(super) fn seat(&self, ticket: Ticket) -> Option<Seated> {
        let seat = self.lock().seats.remove(&ticket)?;
        Some(Seated::new(seat, self.clone()))
    }

    /// Where the question of a flight belongs. Where nobody could say, nobody is asked again: who embeds it bills, and
    /// was just away or slow.
    pub(super) fn know(&self, ticket: Ticket, placed: Option<Placed>) {
        if let Some(flight) = self.lock().flights.get_mut(&ticket) {
            flight.wanted.similar.take_if(|_| placed.is_none());
            flight.wanted.placed = placed;
        }
    }

    /// Tells followers one step.
    pub(super) fn publish(&self, ticket: Ticket, delta: &Delta) {
        let log = {
            let mut inner = self.lock();
            let Some(flight) = inner.flights.get_mut(&ticket) else { return };
            flight.ended |= *delta == Delta::End;
            flight.log.clone()
        };
        // Others lead meanwhile.
        log.push(delta);
    }

    /// The answer is complete: the flight is over. Who came too late for its steps is told all of them.
    pub(super) fn land(&self, ticket: Ticket, reply: &Reply) -> Option<Wanted> {
        let flight = self.remove(ticket)?;
        if !flight.log.has_begun() && !flight.followers.is_empty() {
            reply.steps().iter().for_each(|delta| flight.log.push(delta));
        }
        Some(flight.wanted)
    }

    /// The leader ends without an answer: who has waited longest leads, and the others begin anew.
    pub(super) fn forsake(&self, ticket: Ticket) {
        // Who was to follow and never came. It may be the heir by now: then the next one is.
        let empty = self.lock().seats.remove(&ticket).map(|seat| Seated::new(seat, self.clone()));
        drop(empty);
        let mut inner = self.lock();
        let Some(mut flight) = inner.remove(ticket).filter(|flight| !flight.ended) else { return };
        while let Some((heir, wanted)) = flight.followers.pop_front() {
            let next = inner.next();
            if !heir.take_over(next, !flight.followers.is_empty()) {
                continue;
            }
            let log = self.log(&wanted);
            flight.followers.retain(|(seat, _)| seat.begin_anew(&log));
            inner.open.entry(wanted.key).or_insert(next);
            inner.flights.insert(next, Flight::new(wanted, heir, flight.followers, log));
            return;
        }
    }

    /// What the leader gets is not what the others have asked for: each goes on alone.
    pub(super) fn part(&self, ticket: Ticket) {
        if let Some(flight) = self.remove(ticket) {
            flight.followers.iter().for_each(|(seat, _)| seat.go_alone());
        }
    }

    /// Flights, those who wait, and how many have followed at all.
    pub fn stand(&self) -> (usize, usize, u64) {
        let inner = self.lock();
        let waits = |flight: &Flight| flight.followers.iter().filter(|(seat, _)| !seat.is_left()).count();
        let waiting = inner.flights.values().map(waits).sum();
        (inner.flights.len(), waiting, inner.followed)
    }

    /// Seats that nobody has taken yet.
    #[cfg(test)]
    pub fn parked(&self) -> usize {
        self.lock().seats.len()
    }

    /// Bytes that all logs hold, those of flights that are over and still read by somebody who sits there too.
    #[cfg(test)]
    pub fn held<'s>(&self, seated: impl Iterator<Item = &'s Seated>) -> usize {
        let inner = self.lock();
        let read = inner.seats.values().filter_map(|seat| seat.log()).chain(seated.filter_map(Seated::log));
        let logs: HashMap<*const Log, Arc<Log>> = inner
            .flights
            .values()
            .map(|flight| flight.log.clone())
            .chain(read)
            .map(|log| (&raw const *log, log))
            .collect();
        logs.values().map(|log| log.held()).sum()
    }

    /// An empty one, for a flight that is led for this.
    fn log(&self, wanted: &Wanted) -> Arc<Log> {
        Log::new(wanted.room, self.budget.get().cloned())
    }

    fn remove(&self, ticket: Ticket) -> Option<Flight> {
        self.lock().remove(ticket)
    }

    /// A panic elsewhere leaves the tables as they are: each is changed in one step.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn next(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Flight> {
        let flight = self.flights.remove(&ticket)?;
        self.seats.remove(&ticket);
        if self.open.get(&flight.wanted.key) == Some(&ticket) {
            self.open.remove(&flight.wanted.key);
        }
        Some(flight)
    }
}

// === impl Flight ===

impl Flight {
    fn new(wanted: Wanted, leader: Arc<Seat>, followers: VecDeque<(Arc<Seat>, Wanted)>, log: Arc<Log>) -> Self {
        let is_followed = !followers.is_empty();
        Flight { wanted, leader, followers, crowd: FEW, log, is_followed, ended: false }
    }

    /// A seat for one more, unless it is too late for that.
    fn admit(&mut self, ticket: Ticket, wanted: &Wanted, seats: &mut HashMap<Ticket, Arc<Seat>>) -> bool {
        if self.followers.len() >= self.crowd {
            self.followers.retain(|(seat, _)| !seat.is_left());
            // Looked for at every doubling, and at the bound: each who comes pays for a few.
            self.crowd = (2 * self.followers.len()).clamp(FEW, MOST);
        }
        if self.followers.len() >= MOST || !self.log.is_whole() || self.wanted.place != wanted.place {
            return false;
        }
        let seat = Seat::new(ticket, Some(self.log.clone()));
        if !std::mem::replace(&mut self.is_followed, true) {
            self.leader.is_followed();
        }
        seats.insert(ticket, seat.clone());
        self.followers.push_back((seat, wanted.clone()));
        true
    }
}
