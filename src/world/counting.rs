//! Prompts that are counted beside the I/O threads: a large one takes milliseconds.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::llm::Operation;
use crate::tokens::bpe;
use crate::wire::prompt::{self, MAX_COUNTED};

/// How many wait for their turn. Ordinary prompts take a millisecond, so the last of them waits for a tenth of a
/// second; one that finds no room is not counted.
pub(super) const QUEUE: usize = 64;

/// Places for those that are being counted, and for those that wait. A clone shares them.
#[derive(Clone)]
pub(super) struct Counts {
    pub places: Arc<Semaphore>,
    pub queue: Arc<Semaphore>,
}

// === impl Counts ===

impl Counts {
    /// Room for so many at a time.
    pub fn new(cores: usize) -> Counts {
        Counts { places: Arc::new(Semaphore::new(cores)), queue: Arc::new(Semaphore::new(QUEUE)) }
    }

    /// The tokens of a request body's prompt; none where it is too large, or too many wait.
    pub async fn prompt(self, operation: Operation, model: String, body: Bytes) -> Option<u64> {
        if body.len() > MAX_COUNTED {
            return None;
        }
        self.aside(move || prompt::tokens(operation, &body, |text| bpe::count(&model, text))).await?
    }

    /// Counts when it has a place; none where too many wait. It keeps its place to its end, also when nobody waits
    /// for the answer any more.
    pub async fn aside<T: Send + 'static>(self, count: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                let _waits = self.queue.try_acquire().ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_finds_no_place_waits_and_one_that_finds_no_room_is_not_counted() {
        let counts = Counts::new(1);
        let place = counts.places.clone().acquire_owned().await.unwrap();
        let mut waiting = Vec::new();
        for at in 0..QUEUE {
            waiting.push(tokio::spawn(counts.clone().aside(move || at)));
        }
        while counts.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(counts.clone().aside(|| 0).await, None, "no room");
        drop(place);
        for (at, one) in waiting.into_iter().enumerate() {
            assert_eq!(one.await.unwrap(), Some(at));
        }
        assert_eq!(counts.queue.available_permits(), QUEUE);
        assert_eq!(counts.aside(|| 1).await, Some(1));
    }

    #[tokio::test]
    async fn one_that_is_given_up_gives_its_room_back() {
        let counts = Counts::new(1);
        let place = counts.places.clone().acquire_owned().await.unwrap();
        let waiting = tokio::spawn(counts.clone().aside(|| ()));
        while counts.queue.available_permits() == QUEUE {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(counts.queue.available_permits(), QUEUE);
        drop(place);
        assert_eq!(counts.aside(|| 1).await, Some(1));
    }
}
