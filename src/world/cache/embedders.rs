//! Embedders that run in this process. Each is loaded once, when it is first asked; one that cannot be loaded says so in
//! the log once, and is asked again after a while.

#[cfg(feature = "local-embedder")]
mod loaded {
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use tokio::sync::Semaphore;

    use crate::cache::semantic::local::Embedder;

    /// How long one that could not be loaded is left alone.
    const PAUSE: Duration = Duration::from_secs(60);

    /// Questions that are embedded or wait for it, at most: one takes tens of milliseconds.
    const MOST: usize = 32;

    type Slot = Arc<Mutex<Result<Arc<Embedder>, Option<Instant>>>>;

    pub struct Embedders {
        by_path: Mutex<HashMap<Arc<str>, Slot>>,
        places: Arc<Semaphore>,
    }

    impl Default for Embedders {
        fn default() -> Self {
            Embedders { by_path: Mutex::default(), places: Arc::new(Semaphore::new(MOST)) }
        }
    }

    impl Embedders {
        /// The vector of a text; none where there is none, or too many wait.
        pub async fn embed(&self, path: &Arc<str>, text: &str) -> Option<Vec<f32>> {
            let place = self.places.clone().try_acquire_owned().ok()?;
            let slot = {
                let mut all = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(path.clone()).or_insert_with(|| Arc::new(Mutex::new(Err(None)))).clone()
            };
            let (path, text) = (path.clone(), text.to_owned());
            let work = move || {
                let _place = place;
                embedder(&slot, &path)?.embed(&text).ok()
            };
            tokio::task::spawn_blocking(work).await.ok().flatten()
        }
    }

    fn embedder(slot: &Slot, path: &str) -> Option<Arc<Embedder>> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Ok(embedder) => return Some(embedder.clone()),
            Err(Some(failed)) if failed.elapsed() < PAUSE => return None,
            Err(_) => {}
        }
        match Embedder::load(Path::new(path)) {
            Ok(embedder) => {
                let embedder = Arc::new(embedder);
                *slot = Ok(embedder.clone());
                Some(embedder)
            }
            Err(error) => {
                tracing::warn!("no question is embedded, and none is found alike: {error}");
                *slot = Err(Some(Instant::now()));
                None
            }
        }
    }
}

#[cfg(not(feature = "local-embedder"))]
mod loaded {
    use std::sync::Arc;

    /// This build has none; a configuration that wants one is refused.
    #[derive(Default)]
    pub struct Embedders {}

    impl Embedders {
        #[expect(clippy::unused_async, reason = "the one that is built in waits")]
        pub async fn embed(&self, _: &Arc<str>, _: &str) -> Option<Vec<f32>> {
            None
        }
    }
}

pub(super) use loaded::Embedders;
