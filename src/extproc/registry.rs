//! Which exchange an attempt belongs to. The proxy tells an attempt on a stream of its own, so whoever runs the
//! exchange is found here by its id, asked, and answers. Beside it lies what the exchange writes an attempt from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::originals::Original;
use super::pool::{Held, Pool};
use crate::exchange::Exchange;
use crate::exchange::event::{Again, Attempt, Failed};

/// Attempts of one exchange that wait to be heard: the proxy makes one after the other, and each may have been given
/// up before it was heard. A rule orders no more than eleven.
const WAITING: usize = 11;

/// The exchanges that may be tried again. There are at most as many as exchanges in flight.
#[derive(Debug, Default)]
pub(super) struct Registry {
    calls: Mutex<HashMap<Arc<str>, Line>>,
}

/// The way to whoever runs an exchange.
#[derive(Debug)]
struct Line {
    /// Boxed, for a channel has room for many at once, and nearly every one stays empty.
    sender: mpsc::Sender<Box<Call>>,
    /// How many attempts there were.
    asked: u32,
}

/// What an attempt says of itself.
#[derive(Debug)]
pub(super) struct Asks {
    /// Whom it would send the request to.
    pub backend: String,
    /// The request as it stands is written for that backend.
    pub fits: bool,
    pub before: Option<Failed>,
}

/// What an attempt is answered, and what is held for it.
#[derive(Debug)]
pub(super) struct Answered {
    pub again: Again,
    /// The body in it, until that was sent.
    pub held: Held,
}

/// Who answers an attempt.
#[derive(Debug)]
pub(super) enum Asking {
    /// The exchange. It is gone, or has no use for attempts any more, where nothing comes.
    Exchange(oneshot::Receiver<Answered>),
    /// Nobody has to: it is the first, and for whom the request was written.
    Stands,
    /// This process does not have the exchange.
    Nobody,
}

#[derive(Debug)]
struct Call {
    /// The first is 1.
    number: u32,
    asks: Asks,
    answer: oneshot::Sender<Answered>,
}

/// The attempts of one exchange, as whoever runs it hears them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// None while nothing has left, or nothing more is tried.
    registered: Option<Registered>,
    /// Who asks about the one that is being decided.
    asking: Option<oneshot::Sender<Answered>>,
    original: Option<Original>,
}

/// An exchange's own end. It is not found any more when this is dropped.
#[derive(Debug)]
struct Registered {
    registry: Arc<Registry>,
    id: Arc<str>,
    calls: mpsc::Receiver<Box<Call>>,
}

// === impl Registry ===

impl Registry {
    /// The exchange `id` hears its attempts from here on.
    fn register(self: &Arc<Self>, id: &Arc<str>) -> Registered {
        let (sender, calls) = mpsc::channel(WAITING);
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Line { sender, asked: 0 });
        Registered { registry: self.clone(), id: id.clone(), calls }
    }

    /// Asks the exchange `id`. Nearly every attempt is the first and goes where the call was sent: it wakes nobody.
    pub fn ask(&self, id: &str, asks: Asks) -> Asking {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = calls.get_mut(id) else { return Asking::Nobody };
        line.asked = line.asked.saturating_add(1);
        if line.asked == 1 && asks.fits {
            return Asking::Stands;
        }
        let (answer, receiver) = oneshot::channel();
        match line.sender.try_send(Box::new(Call { number: line.asked, asks, answer })) {
            Ok(()) => Asking::Exchange(receiver),
            Err(_) => Asking::Nobody,
        }
    }
}

// === impl Attempts ===

impl Attempts {
    /// The next attempt. It is answered before the next one is looked for.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Attempt> {
        let Some(registered) = &mut self.registered else { return Poll::Pending };
        let Poll::Ready(Some(call)) = registered.calls.poll_recv(cx) else {
            return Poll::Pending;
        };
        let Call { number, asks, answer } = *call;
        self.asking = Some(answer);
        let original = self.original.as_ref().and_then(Original::to_write_again);
        Poll::Ready(Attempt { number, backend: asks.backend, before: asks.before, original })
    }

    /// What the exchange says of the attempt that was delivered last.
    pub fn answer(&mut self, again: Again, pool: &Arc<Pool>) {
        if let Some(asking) = self.asking.take() {
            let bytes = if let Again::Anew { body, .. } = &again { body.len() } else { 0 };
            let held = Held::new(pool, bytes);
            // An attempt that was given up meanwhile has no use for it.
            let _ = asking.send(Answered { again, held });
        }
    }

    /// Attempts are written from this.
    pub fn keep(&mut self, original: Original) {
        self.original = Some(original);
    }

    /// The exchange has heard something: it is found as long as there may be another attempt. Who asked at the wrong
    /// time hears that nobody answers.
    pub fn follow(&mut self, exchange: &Exchange, registry: &Arc<Registry>) {
        self.asking = None;
        match exchange.awaits_attempts() {
            true if self.registered.is_none() => self.registered = Some(registry.register(exchange.id())),
            true => {}
            false => (self.registered, self.original) = (None, None),
        }
    }
}

// === impl Registered ===

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
