//! Where one who leads or follows a flight is told of it, and reads what is said in it at its own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::flights::Flights;
use super::log::{Log, Lost};
use crate::cache::Ticket;
use crate::exchange::event::Feed;

/// A place in a flight, as the flight sees it.
pub(super) struct Seat {
    ticket: Ticket,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is no step of an answer. It comes before the steps, for each word that makes steps void comes alone.
    told: VecDeque<Feed>,
    /// Where it reads, and how far it has come; none for who leads, or is alone.
    reads: Option<(Arc<Log>, u64)>,
    waker: Option<Waker>,
    /// Nobody sits here any more, or nothing more is said to who does.
    is_left: bool,
}

/// A place in a flight, as who sits there sees it. When it is dropped, a flight that was to be led from here goes on
/// to the next.
pub struct Seated {
    seat: Arc<Seat>,
    flights: Flights,
}

// === impl Seat ===

impl Seat {
    /// For who leads the flight of this ticket, or, where there is something to read, follows by it.
    pub fn new(ticket: Ticket, reads: Option<Arc<Log>>) -> Arc<Self> {
        let state = State { reads: reads.map(|log| (log, 0)), ..State::default() };
        Arc::new(Seat { ticket, state: Mutex::new(state) })
    }

    /// The first who follows has come.
    pub fn is_followed(&self) {
        self.lock().tell(Feed::Followed);
    }

    /// Leads the flight of this ticket from now on. False when nobody sits here.
    pub fn take_over(&self, ticket: Ticket, is_followed: bool) -> bool {
        let mut state = self.lock();
        if state.is_left {
            return false;
        }
        state.void(self.ticket, None);
        state.tell(Feed::Lost(ticket));
        if is_followed {
            state.tell(Feed::Followed);
        }
        true
    }

    /// What was said is void; somebody else leads now, and what it says is in this log. False when nobody sits here.
    pub fn begin_anew(&self, log: &Arc<Log>) -> bool {
        let mut state = self.lock();
        if state.is_left {
            return false;
        }
        state.void(self.ticket, Some(log.clone()));
        state.tell(Feed::Anew);
        true
    }

    /// There is no flight any more.
    pub fn go_alone(&self) {
        let mut state = self.lock();
        if !state.is_left {
            state.void(self.ticket, None);
            state.tell(Feed::Alone);
        }
    }

    /// Where it reads.
    #[cfg(test)]
    pub fn log(&self) -> Option<Arc<Log>> {
        self.lock().reads.as_ref().map(|(log, _)| log.clone())
    }

    pub fn is_left(&self) -> bool {
        self.lock().is_left
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn tell(&mut self, feed: Feed) {
        self.told.push_back(feed);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// What was not read yet is void.
    fn void(&mut self, ticket: Ticket, next: Option<Arc<Log>>) {
        self.told.retain(|feed| *feed != Feed::Anew);
        if let Some((log, _)) = std::mem::replace(&mut self.reads, next.map(|log| (log, 0))) {
            log.leave(ticket);
        }
    }
}

// === impl Seated ===

impl Seated {
    pub(super) fn new(seat: Arc<Seat>, flights: Flights) -> Self {
        Seated { seat, flights }
    }

    /// Where it reads.
    #[cfg(test)]
    pub(super) fn log(&self) -> Option<Arc<Log>> {
        self.seat.log()
    }

    /// What is told next.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Feed> {
        let mut state = self.seat.lock();
        if let Some(feed) = state.told.pop_front() {
            return Poll::Ready(feed);
        }
        let read = state.reads.as_mut().map(|(log, at)| log.read(at, self.seat.ticket, cx.waker()));
        match read {
            Some(Ok(Some(delta))) => Poll::Ready(Feed::Delta(delta)),
            Some(Err(Lost)) => {
                (state.reads, state.is_left) = (None, true);
                Poll::Ready(Feed::Alone)
            }
            Some(Ok(None)) | None => {
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
        let left = {
            let mut state = self.seat.lock();
            state.is_left = true;
            state.void(self.seat.ticket, None);
            std::mem::take(&mut state.told)
        };
        for feed in left {
            if let Feed::Lost(ticket) = feed {
                self.flights.forsake(ticket);
            }
        }
    }
}
