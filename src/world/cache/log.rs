//! What was said of one answer since it is followed: written once by who leads, read by each follower from where it is.
//!
//! A log holds the text of its answer once, whoever waits for it. It holds the last `room` bytes; what is older goes,
//! and so does what there is no room for in the process ([`Budget`]). Who has not read what goes has lost its place.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::cache::Ticket;
use crate::llm::Delta;

/// The bound over the bytes that a process holds of bodies and answers: `overload.maxBuffered`.
pub trait Budget: Send + Sync {
    /// Counts so many bytes more as held, if there is room for them.
    fn take(&self, bytes: usize) -> bool;

    /// Counts so many bytes more as held, whether there is room or not.
    fn hold(&self, bytes: usize);

    /// So many of those that were taken are held no more.
    fn give(&self, bytes: usize);
}

/// What is said, in order.
pub(super) struct Log {
    said: Mutex<Said>,
    /// None where nothing bounds the process.
    budget: Option<Arc<dyn Budget>>,
    /// Bytes of text that it holds at most.
    room: usize,
}

#[derive(Default)]
struct Said {
    steps: VecDeque<Step>,
    /// Where the first of them begins.
    first: u64,
    /// Where the last of them ends.
    end: u64,
    /// Bytes of text in them.
    text: usize,
    /// A step with so many bytes of text takes no more of it.
    piece: usize,
    /// Nothing more is heard of it, and who reads here has lost its place.
    is_broken: bool,
    /// Cannot be said again to who comes later.
    is_closed: bool,
    /// Who has read all of it, and waits for more.
    waiting: HashMap<Ticket, Waker>,
}

/// One step; of text that follows text one is made. On the scale on which readers stand it is one longer than its text:
/// who has read of a tool call has read its name.
struct Step {
    begins: u64,
    delta: Delta,
}

/// What would have been read was let go, for too much would have waited.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost;

/// Steps that a log holds; of text that follows text one is made, so that these are calls of tools and media.
const MOST: usize = 4096;

/// Bytes of text that are told at once, and after which a step is followed by another one: what is let go for want of
/// room is let go by steps.
const PIECE: usize = 32 << 10;

/// Bytes that a step takes beside its text.
pub(super) const STEP: usize = size_of::<Step>();

// === impl Log ===

impl Log {
    /// An empty one that holds so many bytes of text at most.
    pub fn new(room: u64, budget: Option<Arc<dyn Budget>>) -> Arc<Self> {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let said = Said { piece: (room / 16).clamp(1, PIECE), ..Said::default() };
        Arc::new(Log { said: Mutex::new(said), budget, room })
    }

    /// Says one step more. Who waits for it is woken.
    pub fn push(&self, delta: &Delta) {
        let woken = {
            let mut said = self.lock();
            if said.is_broken {
                return;
            }
            self.make_room(&mut said, delta);
            if !said.is_broken {
                said.push(delta);
            }
            std::mem::take(&mut said.waiting)
        };
        // Behind the lock: who is woken reads here.
        woken.into_values().for_each(Waker::wake);
    }

    /// What comes behind `at`, which is moved on; none for nothing yet. Who has to wait is woken by `waker` when there is
    /// more.
    ///
    /// # Errors
    /// When what comes next is not there any more.
    pub fn read(&self, at: &mut u64, reader: Ticket, waker: &Waker) -> Result<Option<Delta>, Lost> {
        let mut said = self.lock();
        if said.is_broken || *at < said.first {
            return Err(Lost);
        }
        match said.after(*at) {
            Some((delta, next)) => {
                *at = next;
                Ok(Some(delta))
            }
            None => {
                said.waiting.entry(reader).and_modify(|kept| kept.clone_from(waker)).or_insert_with(|| waker.clone());
                Ok(None)
            }
        }
    }

    /// This reader waits no more.
    pub fn leave(&self, reader: Ticket) {
        let waker = self.lock().waiting.remove(&reader);
        drop(waker);
    }

    /// Something was said.
    pub fn has_begun(&self) -> bool {
        let said = self.lock();
        said.end > 0 || said.is_broken
    }

    /// Whether all that was said can be said to one more.
    pub fn is_whole(&self) -> bool {
        let said = self.lock();
        said.first == 0 && !said.is_closed && !said.is_broken
    }

    /// Bytes held, as the budget counts them.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.lock().steps.iter().map(|step| STEP + step.delta.weight()).sum()
    }

    /// Takes the bytes of this step from the budget; what is oldest here goes until they fit. One step is always held:
    /// who has read all before it loses nothing by others who hold much. Where it is too large for any log, this one
    /// breaks.
    fn make_room(&self, said: &mut Said, delta: &Delta) {
        let more = delta.weight();
        loop {
            let fits = said.text.saturating_add(more) <= self.room && said.steps.len() < MOST;
            let bytes = more + if said.is_more(delta) { 0 } else { STEP };
            if fits && self.budget.as_ref().is_none_or(|budget| budget.take(bytes)) {
                return;
            }
            match said.let_go() {
                Some(freed) => self.give(freed),
                None if fits => return self.budget.iter().for_each(|budget| budget.hold(bytes)),
                None => return said.is_broken = true,
            }
        }
    }

    fn give(&self, bytes: usize) {
        if let Some(budget) = self.budget.as_ref().filter(|_| bytes > 0) {
            budget.give(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let said = self.said.get_mut().unwrap_or_else(PoisonError::into_inner);
        let held = said.text + STEP * said.steps.len();
        self.give(held);
    }
}

// === impl Said ===

impl Said {
    /// Adds a step that there is room for.
    fn push(&mut self, delta: &Delta) {
        self.is_closed |= matches!(delta, Delta::Error(_));
        self.text += delta.weight();
        if self.is_more(delta) {
            let last = self.steps.back_mut().and_then(|step| text_mut(&mut step.delta));
            last.into_iter().for_each(|text| text.push_str(text_of(delta)));
        } else {
            self.steps.push_back(Step { begins: self.end, delta: delta.clone() });
        }
        self.end = self.steps.back().map_or(self.end, Step::ends);
    }

    /// Whether this step is more of the last one.
    fn is_more(&self, delta: &Delta) -> bool {
        self.steps.back().is_some_and(|step| step.delta.text_len() < self.piece && is_more(&step.delta, delta))
    }

    /// Lets the oldest step go, and says how many bytes that were.
    fn let_go(&mut self) -> Option<usize> {
        let step = self.steps.pop_front()?;
        let weight = step.delta.weight();
        self.text -= weight;
        self.first = step.ends();
        Some(STEP + weight)
    }

    /// What comes at this place, and the place behind it.
    fn after(&self, at: u64) -> Option<(Delta, u64)> {
        let step = self.steps.get(self.steps.partition_point(|step| step.ends() <= at))?;
        Some(step.from(at))
    }
}

// === impl Step ===

impl Step {
    fn ends(&self) -> u64 {
        self.begins + 1 + self.delta.text_len() as u64
    }

    /// What of it is behind this place in it, a piece at most, and the place behind that.
    fn from(&self, at: u64) -> (Delta, u64) {
        let text = text_of(&self.delta);
        let read = at.saturating_sub(self.begins);
        let from = usize::try_from(read.saturating_sub(1)).unwrap_or(usize::MAX);
        let to = text.floor_char_boundary(from.saturating_add(PIECE));
        // Every place is behind a whole letter: what is pushed is one text or another, and what is read ends so.
        let piece = || text.get(from..to).unwrap_or_default().to_owned();
        let delta = match &self.delta {
            Delta::Text { choice, .. } => Delta::Text { choice: *choice, text: piece() },
            Delta::Reasoning { choice, .. } => Delta::Reasoning { choice: *choice, text: piece() },
            Delta::Refusal { choice, .. } => Delta::Refusal { choice: *choice, text: piece() },
            Delta::ToolCall { choice, index, id, name, signature, .. } => {
                let begins = read == 0;
                Delta::ToolCall {
                    choice: *choice,
                    index: *index,
                    id: id.clone().filter(|_| begins),
                    name: name.clone().filter(|_| begins),
                    arguments: piece(),
                    signature: signature.clone().filter(|_| begins),
                }
            }
            whole => whole.clone(),
        };
        (delta, self.begins + 1 + to as u64)
    }
}

/// Whether this goes on with what the last step says: text behind text of the same kind, arguments behind those of the
/// same call.
fn is_more(last: &Delta, delta: &Delta) -> bool {
    match (last, delta) {
        (Delta::Text { choice, .. }, Delta::Text { choice: to, .. })
        | (Delta::Reasoning { choice, .. }, Delta::Reasoning { choice: to, .. })
        | (Delta::Refusal { choice, .. }, Delta::Refusal { choice: to, .. }) => choice == to,
        (
            Delta::ToolCall { choice, index, .. },
            Delta::ToolCall { choice: to, index: of, id: None, name: None, signature: None, .. },
        ) => (choice, index) == (to, of),
        _ => false,
    }
}

fn text_of(delta: &Delta) -> &str {
    match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => text,
        Delta::ToolCall { arguments, .. } => arguments,
        _ => "",
    }
}

fn text_mut(delta: &mut Delta) -> Option<&mut String> {
    match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } | Delta::Refusal { text, .. } => Some(text),
        Delta::ToolCall { arguments, .. } => Some(arguments),
        _ => None,
    }
}
