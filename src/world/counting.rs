//! Prompts that are counted beside the I/O threads: a large one takes milliseconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::llm::Operation;
use crate::tokens::bpe;
use crate::wire::prompt::{self, MAX_COUNTED};

/// How many wait for their turn. Ordinary prompts take a millisecond, so the last of them waits for a tenth of a
/// second; one that finds no room is not counted.
pub(super) const QUEUE: usize = 128;

/// Places for those that are being counted, and for those that wait. A clone shares them.
#[derive(Clone)]
pub(super) struct Counts {
    pub places: Arc<Semaphore>,
    pub queue: Arc<Queue>,
}

/// Who waits. Of one caller no more wait than there is room left for others: a single one has half of the queue,
/// and whoever comes next finds room beside it. Nor does any keep the others waiting long: beside its first one, no
/// more of a caller's bytes wait than the largest body has.
#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    all: usize,
    /// Those of each caller; none of 0.
    of: HashMap<Arc<str>, Own>,
}

/// How many of one caller wait, and their bytes.
#[derive(Clone, Copy, Default)]
struct Own {
    many: usize,
    bytes: usize,
}

/// A place among those that wait, given back when it is dropped.
struct Turn<'q> {
    queue: &'q Queue,
    caller: &'q Arc<str>,
    bytes: usize,
}

// === impl Counts ===

impl Counts {
    /// Room for so many at a time.
    pub fn new(cores: usize) -> Counts {
        Counts { places: Arc::new(Semaphore::new(cores)), queue: Arc::default() }
    }

    /// The tokens of a request body's prompt; none where it is too large, or too many wait.
    pub async fn prompt(self, caller: &Arc<str>, operation: Operation, model: String, body: Bytes) -> Option<u64> {
        if body.len() > MAX_COUNTED {
            return None;
        }
        let bytes = body.len();
        self.aside(caller, bytes, move || prompt::tokens(operation, &body, |text| bpe::count(&model, text))).await?
    }

    /// Counts so many bytes when it has a place; none where too many wait. It keeps its place to its end, also when
    /// nobody waits for the answer any more.
    pub async fn aside<T: Send + 'static>(
        self,
        caller: &Arc<str>,
        bytes: usize,
        count: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let _waits = self.queue.join(caller, bytes)?;
                self.places.clone().acquire_owned().await.ok()?
            }
        };
        let work = move || {
            let _place = place;
            count()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

// === impl Queue ===

impl Queue {
    fn join<'q>(&'q self, caller: &'q Arc<str>, bytes: usize) -> Option<Turn<'q>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = waiting.of.get(caller).copied().unwrap_or_default();
        let sum = own.bytes.saturating_add(bytes);
        if own.many >= QUEUE - waiting.all || (own.many > 0 && sum > MAX_COUNTED) {
            return None;
        }
        waiting.all += 1;
        waiting.of.insert(caller.clone(), Own { many: own.many + 1, bytes: sum });
        Some(Turn { queue: self, caller, bytes })
    }

    /// As if so many waited.
    #[cfg(test)]
    pub fn fill(&self, all: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all = all;
    }

    /// How many wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

// === impl Turn ===

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.all -= 1;
        if let Some(own) = waiting.of.get_mut(self.caller) {
            own.many -= 1;
            own.bytes -= self.bytes;
            if own.many == 0 {
                waiting.of.remove(self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Arc<str> {
        name.into()
    }

    async fn until(counts: &Counts, waiting: usize) {
        while counts.queue.len() != waiting {
            tokio::task::yield_now().await;
        }
    }

    fn wait(counts: &Counts, name: &str, at: usize) -> tokio::task::JoinHandle<Option<usize>> {
        let (counts, caller) = (counts.clone(), caller(name));
        tokio::spawn(async move { counts.aside(&caller, 1, move || at).await })
    }

    #[tokio::test]
    async fn nobody_fills_the_queue_for_others() {
        let counts = Counts::new(1);
        let place = counts.places.clone().acquire_owned().await.unwrap();
        let mut waiting = Vec::new();
        for at in 0..QUEUE / 2 {
            waiting.push(wait(&counts, "busy", at));
            until(&counts, at + 1).await;
        }
        assert_eq!(counts.clone().aside(&caller("busy"), 1, || 0).await, None, "no more room for this caller");
        // The next has half of what is left, and so on.
        for at in QUEUE / 2..QUEUE / 2 + QUEUE / 4 {
            waiting.push(wait(&counts, "other", at));
            until(&counts, at + 1).await;
        }
        assert_eq!(counts.clone().aside(&caller("other"), 1, || 0).await, None);
        drop(place);
        for (at, one) in waiting.into_iter().enumerate() {
            assert_eq!(one.await.unwrap(), Some(at));
        }
        assert!(counts.queue.0.lock().unwrap().of.is_empty());
        assert_eq!(counts.aside(&caller("busy"), 1, || 1).await, Some(1));
    }

    #[tokio::test]
    async fn nobody_keeps_the_others_waiting_with_large_ones() {
        let counts = Counts::new(1);
        let (one, other) = (caller("one"), caller("other"));
        let first = counts.queue.join(&one, MAX_COUNTED).unwrap();
        assert!(counts.queue.join(&one, 1).is_none());
        let second = counts.queue.join(&other, MAX_COUNTED / 2).unwrap();
        let third = counts.queue.join(&other, MAX_COUNTED / 2).unwrap();
        assert!(counts.queue.join(&other, 1).is_none());
        drop((first, third));
        assert!(counts.queue.join(&one, 1).is_some() && counts.queue.join(&other, 1).is_some());
        drop(second);
        assert!(counts.queue.0.lock().unwrap().of.is_empty());
    }

    #[tokio::test]
    async fn one_that_is_given_up_gives_its_room_back() {
        let counts = Counts::new(1);
        let place = counts.places.clone().acquire_owned().await.unwrap();
        let waiting = wait(&counts, "a", 0);
        until(&counts, 1).await;
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(counts.queue.len(), 0);
        drop(place);
        assert_eq!(counts.aside(&caller("a"), 1, || 1).await, Some(1));
    }
}
