//! Where one who leads or follows a flight is told of it: a queue that holds no more than the answer, read at the
//! pace of whoever sits there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::flights::Flights;
use crate::cache::Ticket;
use crate::exchange::event::Feed;
use crate::llm::Delta;

/// A place in a flight, as the flight sees it.
#[derive(Default)]
pub(super) struct Seat(Mutex<State>);

#[derive(Default)]
struct State {
    queue: VecDeque<Feed>,
    /// Bytes of text in it.
    bytes: usize,
    waker: Option<Waker>,
    /// Nobody sits here any more.
    is_left: bool,
}

/// A place in a flight, as who sits there sees it. When it is dropped, a flight that was to be led from here goes on
/// to the next.
pub struct Seated {
    seat: Arc<Seat>,
    flights: Flights,
}

/// Steps that wait in one seat; of text that follows text one is made, so that these are calls of tools and media.
const MOST: usize = 4096;

// === impl Seat ===

impl Seat {
    /// One step of the answer. False when nobody sits here, or too much waits: then who sits here goes on alone.
    pub fn tell(&self, delta: &Delta, room: usize) -> bool {
        let mut state = self.lock();
        if state.is_left {
            return false;
        }
        let bytes = delta.weight();
        if state.bytes + bytes > room || state.queue.len() >= MOST {
            state.void();
            state.push(Feed::Alone);
            return false;
        }
        state.bytes += bytes;
        if !state.append(delta) {
            state.push(Feed::Delta(delta.clone()));
        }
        true
    }

    /// Something that is no step of an answer.
    pub fn say(&self, feed: Feed) {
        self.lock().push(feed);
    }

    /// Leads the flight of this ticket from now on. False when nobody sits here.
    pub fn take_over(&self, ticket: Ticket, is_followed: bool) -> bool {
        let mut state = self.lock();
        if state.is_left {
            return false;
        }
        state.void();
        state.push(Feed::Lost(ticket));
        if is_followed {
            state.push(Feed::Followed);
        }
        true
    }

    /// What was said is void; somebody else leads now. False when nobody sits here.
    pub fn begin_anew(&self) -> bool {
        let mut state = self.lock();
        state.void();
        state.push(Feed::Anew);
        !state.is_left
    }

    /// There is no flight any more.
    pub fn go_alone(&self) {
        let mut state = self.lock();
        state.void();
        state.push(Feed::Alone);
    }

    /// Nobody will ever sit here.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.is_left = true;
        state.queue.clear();
    }

    pub fn is_left(&self) -> bool {
        self.lock().is_left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn push(&mut self, feed: Feed) {
        if !self.is_left {
            self.queue.push_back(feed);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Text behind text of the same kind is one text: what waits is never more than the answer.
    fn append(&mut self, delta: &Delta) -> bool {
        let Some(Feed::Delta(last)) = self.queue.back_mut() else { return false };
        match (last, delta) {
            (Delta::Text { choice, text }, Delta::Text { choice: to, text: more })
            | (Delta::Reasoning { choice, text }, Delta::Reasoning { choice: to, text: more })
            | (Delta::Refusal { choice, text }, Delta::Refusal { choice: to, text: more })
                if choice == to =>
            {
                text.push_str(more);
                true
            }
            _ => false,
        }
    }

    fn void(&mut self) {
        self.queue.retain(|feed| !matches!(feed, Feed::Delta(_) | Feed::Anew));
        self.bytes = 0;
    }
}

// === impl Seated ===

impl Seated {
    pub(super) fn new(seat: Arc<Seat>, flights: Flights) -> Self {
        Seated { seat, flights }
    }

    /// What is told next.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Feed> {
        let mut state = self.seat.lock();
        match state.queue.pop_front() {
            Some(feed) => {
                if let Feed::Delta(delta) = &feed {
                    state.bytes = state.bytes.saturating_sub(delta.weight());
                }
                Poll::Ready(feed)
            }
            None => {
                match &mut state.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => state.waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let left: Vec<Feed> = {
            let mut state = self.seat.lock();
            state.is_left = true;
            state.queue.drain(..).collect()
        };
        for feed in left {
            if let Feed::Lost(ticket) = feed {
                self.flights.forsake(ticket);
            }
        }
    }
}
