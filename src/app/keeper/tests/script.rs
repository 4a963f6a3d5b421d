//! A source whose answers the test writes, a clock that it moves, and who calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::super::*;
use crate::base::secret::Secret;
use crate::credential::clock::Pause;
use crate::credential::lease;
use crate::credential::source::{Google, OAuth};
use crate::credential::{Credential, Fetched, Grant};

pub(super) type Answer = Result<Issued, FetchError>;

/// What a source answers, in turn; each answer waits until the test gives it.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) answers: Arc<Mutex<VecDeque<oneshot::Receiver<Answer>>>>,
    asked: Arc<AtomicUsize>,
}

/// A clock that stands until the test moves it.
pub(super) struct Manual {
    elapsed: watch::Sender<Duration>,
    /// The wall's, at the origin of the other.
    pub(super) wall: AtomicU64,
}

/// When the wall's clock begins.
pub(super) const EPOCH: u64 = 1_800_000_000;

// === impl Manual ===

impl Manual {
    pub(super) fn new() -> Arc<Manual> {
        Arc::new(Manual { elapsed: watch::Sender::default(), wall: AtomicU64::new(EPOCH) })
    }

    /// A second at a time, and everybody does what is due in it.
    pub(super) async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.elapsed.send_modify(|elapsed| *elapsed += Duration::from_secs(1));
            settle().await;
        }
    }
}

impl Clock for Manual {
    fn elapsed(&self) -> Duration {
        *self.elapsed.borrow()
    }

    fn unix(&self) -> u64 {
        self.wall.load(Ordering::Relaxed) + self.elapsed().as_secs()
    }

    fn sleep(&self, time: Duration) -> Pause {
        let (mut elapsed, end) = (self.elapsed.subscribe(), self.elapsed() + time);
        Box::pin(async move { drop(elapsed.wait_for(|elapsed| *elapsed >= end).await) })
    }
}

/// Lets every task of this thread do what it can: nothing here waits for the outside.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

// === impl Script ===

impl Script {
    /// One more answer.
    pub(super) fn will(&self) -> oneshot::Sender<Answer> {
        let (give, take) = oneshot::channel();
        self.answers.lock().unwrap().push_back(take);
        give
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn keeper(&self) -> Keeper {
        let script = self.clone();
        let fetch: Fetch = Arc::new(move |_| {
            script.asked.fetch_add(1, Ordering::Relaxed);
            let answer = script.answers.lock().unwrap().pop_front();
            Box::pin(async move {
                match answer {
                    Some(answer) => answer.await.unwrap_or(Err(FetchError::Nowhere("the test is over"))),
                    None => std::future::pending().await,
                }
            })
        });
        Keeper::new(fetch, Arc::new(Metrics::new()))
    }
}

pub(super) fn token(text: &str, life: Option<u64>) -> Answer {
    let until = life.map(|life| lease::now() + life);
    Ok(Issued { grant: Grant::Token(Secret::new(text)), until })
}

pub(super) fn credentials() -> Credentials {
    let lease = Arc::new(Lease::new(Source::Google(Google::Ambient)));
    let fetched = Credential::Fetched(Fetched { lease, place: None });
    // Two backends with the same source.
    vec![fetched.clone(), Credential::Anonymous, fetched].into()
}

pub(super) fn lease_of(credentials: &mut Credentials) -> Arc<Lease> {
    credentials.fetched().next().unwrap().lease.clone()
}

pub(super) fn timed(source: Source, clock: &Arc<Manual>) -> Credentials {
    let lease = Arc::new(Lease::timed(source, clock.clone()));
    vec![Credential::Fetched(Fetched { lease, place: None })].into()
}

pub(super) fn oauth(secret: &str) -> Source {
    let (token_url, client) = ("https://id.example/token".to_owned(), "c".to_owned());
    Source::OAuth(OAuth { token_url, client, secret: Secret::new(secret), scopes: Vec::new(), audience: None })
}

/// A token for an hour from now.
pub(super) fn hour(text: &str, clock: &Manual) -> Answer {
    Ok(Issued { grant: Grant::Token(Secret::new(text)), until: Some(clock.unix() + 3600) })
}

pub(super) fn fault() -> Answer {
    Err(FetchError::Nowhere("nothing there"))
}

/// What a call has that comes now; none where it is refused, and pending where it waits.
pub(super) fn call(lease: &Arc<Lease>) -> tokio::task::JoinHandle<Option<String>> {
    let lease = lease.clone();
    tokio::spawn(async move { shown(lease.wait().await) })
}

/// As [`call`], with as much time as it takes.
pub(super) async fn called(lease: &Arc<Lease>, clock: &Manual) -> Option<String> {
    let waits = call(lease);
    settle().await;
    while !waits.is_finished() {
        clock.pass(1).await;
    }
    waits.await.unwrap()
}

pub(super) fn shown(grant: Option<Grant>) -> Option<String> {
    match grant? {
        Grant::Token(token) => Some(token.expose().to_owned()),
        Grant::Aws(_) => None,
    }
}
