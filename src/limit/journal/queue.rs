//! [io] What is to be written, between those that take of limits and the thread that writes. There is room for a
//! minute of a busy process; what comes while there is none is lost, and whoever brought it is told. Nobody waits any
//! more once one has waited in vain, until something is written again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::limit::Limit;

/// What may wait: some two hundred bytes each. The thread that writes takes all that waits at once, so there is this
/// much only where the disk has stood still for long.
const ROOM: usize = 65_536;

/// `to` instead of `from`.
#[derive(Clone, Debug)]
pub struct Change {
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    pub bucket: u64,
    pub from: u64,
    pub to: u64,
    /// It is a reservation, so the bucket is the newest that its counter has.
    pub is_taken: bool,
}

/// The changes of one grant, all or none of them.
pub struct Item {
    pub changes: Vec<Change>,
    /// Who waits until they are written, and is told whether they are.
    pub done: Option<oneshot::Sender<bool>>,
}

/// What becomes of what somebody waits for.
pub enum Asked {
    /// It is told.
    Waits(oneshot::Receiver<bool>),
    /// It is written some time; nothing has been for so long that it is no use to wait.
    Later,
    /// There is no room, or nobody writes any more.
    Lost,
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
    /// Somebody has waited in vain, and nothing was taken since.
    is_stalled: bool,
}

// === impl Queue ===

impl Queue {
    /// Has it written, and says so then.
    pub fn ask(&self, changes: Vec<Change>) -> Asked {
        let (done, answer) = oneshot::channel();
        let mut state = self.state();
        let is_stalled = state.is_stalled;
        let done = (!is_stalled).then_some(done);
        match state.push(Item { changes, done }) {
            true => {
                drop(state);
                self.wake.notify_one();
                if is_stalled { Asked::Later } else { Asked::Waits(answer) }
            }
            false => Asked::Lost,
        }
    }

    /// Has it written, some time. False where it is lost.
    pub fn tell(&self, changes: Vec<Change>) -> bool {
        let is_taken = self.state().push(Item { changes, done: None });
        self.wake.notify_one();
        is_taken
    }

    /// Somebody has waited in vain. Whether that is news.
    pub fn stall(&self) -> bool {
        !std::mem::replace(&mut self.state().is_stalled, true)
    }

    /// Waits until something is there, at most so long, and says whether anybody had waited in vain for this. None when
    /// nothing will come any more.
    pub fn take(&self, items: &mut Vec<Item>, patience: Option<Duration>) -> Option<bool> {
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
        let was_stalled = std::mem::replace(&mut state.is_stalled, false);
        (!items.is_empty() || !state.is_closed).then_some(was_stalled)
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

// === impl State ===

impl State {
    /// False where it is not taken in.
    fn push(&mut self, item: Item) -> bool {
        if self.is_closed || self.items.len() >= ROOM {
            return false;
        }
        self.items.push(item);
        true
    }
}
