//! Which exchange an attempt belongs to. The proxy tells an attempt on a stream of its own, so whoever runs the
//! exchange is found here by its id, asked, and answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use crate::exchange::Exchange;
use crate::exchange::event::{Again, Attempt, Failed};

/// Attempts of one exchange that wait to be heard: the proxy makes one after the other, and each may have been given
/// up before it was heard. A rule orders no more than eleven.
const WAITING: usize = 11;

/// The exchanges that may be tried again. There are at most as many as exchanges in flight.
#[derive(Debug, Default)]
pub(super) struct Registry {
    calls: Mutex<HashMap<Arc<str>, mpsc::Sender<Call>>>,
}

/// What an attempt asks.
#[derive(Debug)]
struct Call {
    backend: String,
    before: Option<Failed>,
    answer: oneshot::Sender<Again>,
}

/// The attempts of one exchange, as whoever runs it hears them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    /// None while nothing has left, or nothing more is tried.
    registered: Option<Registered>,
    /// How many were told.
    told: u32,
    /// Who asks about the one that is being decided.
    asking: Option<oneshot::Sender<Again>>,
}

/// An exchange's own end. It is not found any more when this is dropped.
#[derive(Debug)]
struct Registered {
    registry: Arc<Registry>,
    id: Arc<str>,
    calls: mpsc::Receiver<Call>,
}

// === impl Registry ===

impl Registry {
    /// The exchange `id` hears its attempts from here on.
    fn register(self: &Arc<Self>, id: &Arc<str>) -> Registered {
        let (sender, calls) = mpsc::channel(WAITING);
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        Registered { registry: self.clone(), id: id.clone(), calls }
    }

    /// Asks the exchange `id`; none when this process does not have it.
    pub fn ask(&self, id: &str, backend: String, before: Option<Failed>) -> Option<oneshot::Receiver<Again>> {
        let sender = self.calls.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()?;
        let (answer, receiver) = oneshot::channel();
        sender.try_send(Call { backend, before, answer }).ok()?;
        Some(receiver)
    }
}

// === impl Attempts ===

impl Attempts {
    /// The next attempt. It is answered before the next one is looked for.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Attempt> {
        let Some(registered) = &mut self.registered else { return Poll::Pending };
        let Poll::Ready(Some(Call { backend, before, answer })) = registered.calls.poll_recv(cx) else {
            return Poll::Pending;
        };
        self.told = self.told.saturating_add(1);
        self.asking = Some(answer);
        Poll::Ready(Attempt { number: self.told, backend, before })
    }

    /// What the exchange says of the attempt that was delivered last.
    pub fn answer(&mut self, again: Again) {
        if let Some(asking) = self.asking.take() {
            // An attempt that was given up meanwhile has no use for it.
            let _ = asking.send(again);
        }
    }

    /// The exchange has heard something: it is found as long as there may be another attempt. Who asked at the wrong
    /// time hears that nobody answers.
    pub fn follow(&mut self, exchange: &Exchange, registry: &Arc<Registry>) {
        self.asking = None;
        match exchange.awaits_attempts() {
            true if self.registered.is_none() => self.registered = Some(registry.register(exchange.id())),
            true => {}
            false => self.registered = None,
        }
    }
}

// === impl Registered ===

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
