//! [io] What is to be written, between those that take of limits and the thread that writes. A reservation for which
//! there is no room is not taken in; a settlement always is, for there are no more of them than calls that run.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::limit::Limit;

/// Reservations that may wait. Each is some hundred bytes, and the thread that writes takes all that wait at once, so
/// there are this many only where the disk has stood still for long.
const ROOM: usize = 16_384;

/// `to` instead of `from`.
#[derive(Clone, Debug)]
pub struct Change {
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    pub bucket: u64,
    pub from: u64,
    pub to: u64,
}

/// The changes of one grant, all or none of them.
pub struct Item {
    pub changes: Vec<Change>,
    /// Who waits until they are written, and is told whether they are.
    pub done: Option<oneshot::Sender<bool>>,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    is_closed: bool,
}

// === impl Queue ===

impl Queue {
    /// None where there is no room, or nobody writes any more.
    pub fn ask(&self, changes: Vec<Change>) -> Option<oneshot::Receiver<bool>> {
        let (done, answer) = oneshot::channel();
        let mut state = self.state();
        if state.is_closed || state.items.len() >= ROOM {
            return None;
        }
        state.items.push(Item { changes, done: Some(done) });
        drop(state);
        self.wake.notify_one();
        Some(answer)
    }

    /// Has it written, some time.
    pub fn tell(&self, changes: Vec<Change>) {
        let mut state = self.state();
        if !state.is_closed {
            state.items.push(Item { changes, done: None });
            drop(state);
            self.wake.notify_one();
        }
    }

    /// Waits until something is there, at most so long. False when nothing will come any more.
    pub fn take(&self, items: &mut Vec<Item>, patience: Option<Duration>) -> bool {
        let mut state = self.state();
        while state.items.is_empty() && !state.is_closed {
            let Some(patience) = patience else {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (woken, waited) = self.wake.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                break;
            }
        }
        std::mem::swap(items, &mut state.items);
        !(items.is_empty() && state.is_closed)
    }

    /// What is there is still written, and nothing else.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.wake.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
