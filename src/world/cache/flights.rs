//! Answers on their way, and who waits for them: of identical calls one asks the provider, and the others are told
//! what it is told.
//!
//! Nothing is published of an answer that nobody follows. With the first who follows the leader is told so
//! ([`Feed::Followed`]), says what it has heard by then, and goes on live; who comes later hears the beginning from
//! here. A leader that ends without an answer is followed by one of those who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::likeness::Placed;
use super::seat::{Seat, Seated};
use crate::cache::{Key, Place, Rule, Similar, Ticket};
use crate::exchange::event::Feed;
use crate::identity::Principal;
use crate::llm::{Delta, Fold, Reply};

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
pub struct Flights(Arc<Mutex<Inner>>);

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
    /// Those who wait, each with what it would lead for.
    followers: Vec<(Arc<Seat>, Wanted)>,
    /// What was said since it is followed; none where it is not, or is too long to be said again.
    said: Option<Fold>,
    /// Something was published.
    began: bool,
    /// The end was: there is nothing to begin anew.
    ended: bool,
}

/// What a call has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Lead(Ticket),
    Follow(Ticket),
}

/// Who follow one flight, at most. Each is told every step, so that a leader's step costs so much.
const MOST: usize = 4096;

// === impl Flights ===

impl Flights {
    /// Leads, or follows who leads already if `follows`. A flight that does not coalesce is followed by nobody.
    pub(super) fn join(&self, wanted: Wanted, follows: bool) -> Joined {
        let mut inner = self.lock();
        inner.last += 1;
        let ticket = Ticket(inner.last);
        let inner = &mut *inner;
        let running = inner.open.get(&wanted.key).filter(|_| follows && wanted.rule.coalesces);
        if let Some(flight) = running.and_then(|running| inner.flights.get_mut(running))
            && flight.admit(ticket, &wanted, &mut inner.seats)
        {
            inner.followed += 1;
            return Joined::Follow(ticket);
        }
        let leader = Arc::new(Seat::default());
        if follows && wanted.rule.coalesces {
            // A flight that takes nobody any more makes room for one that does.
            inner.open.insert(wanted.key, ticket);
            inner.seats.insert(ticket, leader.clone());
        }
        inner
            .flights
            .insert(ticket, Flight { wanted, leader, followers: Vec::new(), said: None, began: false, ended: false });
        Joined::Lead(ticket)
    }

    /// Where who has this ticket is told; none where nobody is.
    pub(super) fn seat(&self, ticket: Ticket) -> Option<Seated> {
        let seat = self.lock().seats.remove(&ticket)?;
        Some(Seated::new(seat, self.clone()))
    }

    /// Where the question of a flight belongs.
    pub(super) fn know(&self, ticket: Ticket, placed: Placed) {
        if let Some(flight) = self.lock().flights.get_mut(&ticket) {
            flight.wanted.placed = Some(placed);
        }
    }

    /// Tells followers one step.
    pub(super) fn publish(&self, ticket: Ticket, delta: &Delta) {
        let mut inner = self.lock();
        let Some(flight) = inner.flights.get_mut(&ticket) else { return };
        flight.ended |= *delta == Delta::End;
        if !flight.began {
            (flight.began, flight.said) = (true, Some(Fold::default()));
        }
        if let Some(said) = &mut flight.said {
            said.push(delta);
            if said.len() as u64 > flight.wanted.room || said.is_lossy() {
                flight.said = None;
            }
        }
        let room = usize::try_from(flight.wanted.room).unwrap_or(usize::MAX);
        flight.followers.retain(|(seat, _)| seat.tell(delta, room));
    }

    /// The answer is complete: the flight is over. Who came too late for its steps is told all of them.
    pub(super) fn land(&self, ticket: Ticket, reply: &Reply) -> Option<Wanted> {
        let flight = self.remove(ticket)?;
        if !flight.began && !flight.followers.is_empty() {
            let room = usize::try_from(flight.wanted.room).unwrap_or(usize::MAX);
            for delta in reply.steps() {
                flight.followers.iter().for_each(|(seat, _)| _ = seat.tell(&delta, room));
            }
        }
        Some(flight.wanted)
    }

    /// The leader ends without an answer: who has waited longest leads, and the others begin anew.
    pub(super) fn forsake(&self, ticket: Ticket) {
        let mut inner = self.lock();
        // Who was to follow and never came.
        if let Some(seat) = inner.seats.remove(&ticket) {
            seat.leave();
        }
        let Some(mut flight) = inner.remove(ticket).filter(|flight| !flight.ended) else { return };
        while !flight.followers.is_empty() {
            let (heir, wanted) = flight.followers.remove(0);
            inner.last += 1;
            let next = Ticket(inner.last);
            if !heir.take_over(next, !flight.followers.is_empty()) {
                continue;
            }
            flight.followers.retain(|(seat, _)| seat.begin_anew());
            let followers = flight.followers;
            inner.open.entry(wanted.key).or_insert(next);
            inner
                .flights
                .insert(next, Flight { wanted, leader: heir, followers, said: None, began: false, ended: false });
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
        let waiting = inner.flights.values().map(|flight| flight.followers.len()).sum();
        (inner.flights.len(), waiting, inner.followed)
    }

    /// Seats that nobody has taken yet.
    #[cfg(test)]
    pub fn parked(&self) -> usize {
        self.lock().seats.len()
    }

    fn remove(&self, ticket: Ticket) -> Option<Flight> {
        self.lock().remove(ticket)
    }

    /// A panic elsewhere leaves the tables as they are: each is changed in one step.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
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
    /// A seat for one more, unless it is too late for that.
    fn admit(&mut self, ticket: Ticket, wanted: &Wanted, seats: &mut HashMap<Ticket, Arc<Seat>>) -> bool {
        self.followers.retain(|(seat, _)| !seat.is_left());
        let missed = self.began && self.said.is_none();
        if missed || self.followers.len() >= MOST || self.wanted.place != wanted.place {
            return false;
        }
        let seat = Arc::new(Seat::default());
        let room = usize::try_from(self.wanted.room).unwrap_or(usize::MAX);
        let said = self.said.as_ref().map(Fold::so_far).unwrap_or_default();
        said.iter().for_each(|delta| _ = seat.tell(delta, room));
        if self.followers.is_empty() && !self.began {
            self.leader.say(Feed::Followed);
        }
        seats.insert(ticket, seat.clone());
        self.followers.push((seat, wanted.clone()));
        true
    }
}
