//! The tasks with a scripted source and a clock that the test moves on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::base::secret::Secret;
use crate::credential::source::Google;
use crate::credential::{Credential, Fetched, Grant};

type Answer = Result<Issued, FetchError>;

/// What a source answers, in turn; each answer waits until the test gives it.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<oneshot::Receiver<Answer>>>>,
    asked: Arc<AtomicUsize>,
}

// === impl Script ===

impl Script {
    /// One more answer.
    fn will(&self) -> oneshot::Sender<Answer> {
        let (give, take) = oneshot::channel();
        self.answers.lock().unwrap().push_back(take);
        give
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn keeper(&self) -> Keeper {
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

fn token(text: &str, life: Option<u64>) -> Answer {
    let until = life.map(|life| lease::now() + life);
    Ok(Issued { grant: Grant::Token(Secret::new(text)), until })
}

fn credentials() -> Credentials {
    let lease = Arc::new(Lease::new(Source::Google(Google::Ambient)));
    let fetched = Credential::Fetched(Fetched { lease, place: None });
    // Two backends with the same source.
    vec![fetched.clone(), Credential::Anonymous, fetched].into()
}

fn lease_of(credentials: &mut Credentials) -> Arc<Lease> {
    credentials.fetched().next().unwrap().lease.clone()
}

fn shown(grant: Option<Grant>) -> Option<String> {
    match grant? {
        Grant::Token(token) => Some(token.expose().to_owned()),
        Grant::Aws(_) => None,
    }
}

#[tokio::test]
async fn everybody_waits_for_one_fetch() {
    let script = Script::default();
    let give = script.will();
    let keeper = script.keeper();
    let mut credentials = credentials();
    keeper.adopt(&mut credentials);
    let leases: Vec<Arc<Lease>> = credentials.fetched().map(|fetched| fetched.lease.clone()).collect();
    assert!(Arc::ptr_eq(&leases[0], &leases[1]));
    let waiting: Vec<_> = (0..50)
        .map(|at| {
            tokio::spawn({
                let lease = leases[at % 2].clone();
                async move { lease.wait().await }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    give.send(token("first", Some(3600))).unwrap();
    for one in waiting {
        assert_eq!(shown(one.await.unwrap()).as_deref(), Some("first"));
    }
    assert_eq!(shown(leases[0].wait().await).as_deref(), Some("first"), "it is there");
    assert_eq!(script.asked(), 1);
}

#[tokio::test]
async fn a_reload_keeps_what_was_fetched_and_forgets_what_nobody_names() {
    let script = Script::default();
    script.will().send(token("first", Some(3600))).unwrap();
    let keeper = script.keeper();
    let (mut before, mut after) = (credentials(), credentials());
    keeper.adopt(&mut before);
    let lease = lease_of(&mut before);
    assert_eq!(shown(lease.wait().await).as_deref(), Some("first"));
    keeper.adopt(&mut after);
    assert!(Arc::ptr_eq(&lease, &lease_of(&mut after)));
    assert_eq!(script.asked(), 1);
    // An exchange that began before still holds it; then nobody does, and its task ends.
    let gone = Arc::downgrade(&lease);
    drop((before, after, lease));
    while gone.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    keeper.adopt(&mut credentials());
    assert_eq!(keeper.leases.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_failure_refuses_who_waits_and_leaves_what_is_good() {
    let script = Script::default();
    script.will().send(Err(FetchError::Nowhere("nothing there"))).unwrap();
    let keeper = script.keeper();
    let mut credentials = credentials();
    keeper.adopt(&mut credentials);
    let lease = lease_of(&mut credentials);
    assert_eq!(lease.wait().await, None);
    // Whoever comes in the pause is refused at once.
    assert_eq!(lease.wait().await, None);
    assert_eq!(script.asked(), 1);
    let until = lease::now() + 100;
    lease.put(Held { grant: Grant::Token(Secret::new("good")), since: 0, until: Some(until) });
    lease.fail();
    assert_eq!(shown(lease.wait().await).as_deref(), Some("good"));
    assert_eq!((lease.current(until - 1).is_some(), lease.current(until)), (true, None));
}

/// What a task does with each outcome, without waiting for its clock.
#[tokio::test]
async fn the_next_fetch_follows_from_the_outcome() {
    let keeper = Script::default().keeper();
    let lease = Arc::new(Lease::new(Source::Google(Google::Ambient)));
    let mut task = keeper.task(&lease);
    task.ended(&lease, token("a", Some(3600)));
    let due = task.refresh.due() - lease::now();
    assert!((3200..=3300).contains(&due), "{due}");
    // A clock that is wrong by hours: what was given now is good now.
    task.ended(&lease, Ok(Issued { grant: Grant::Token(Secret::new("b")), until: Some(lease::now() - 7200) }));
    assert_eq!(shown(lease.current(lease::now())).as_deref(), Some("b"));
    task.ended(&lease, Err(FetchError::Slow(LIMIT)));
    assert!(task.refresh.due() - lease::now() <= 1);
    assert_eq!(shown(lease.current(lease::now())).as_deref(), Some("b"), "the last good one stays");
    let metrics = keeper.metrics.render();
    assert!(metrics.contains("weir_credential_refresh_failures_total{credential=\"GCP/ambient\"} 1"), "{metrics}");
}

#[tokio::test]
async fn the_metrics_show_age_and_end() {
    let script = Script::default();
    script.will().send(token("secret-token", Some(3600))).unwrap();
    let keeper = script.keeper();
    let mut credentials = credentials();
    keeper.adopt(&mut credentials);
    assert!(lease_of(&mut credentials).wait().await.is_some());
    let metrics = keeper.metrics.render();
    let of = |family: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{family}{{credential=\"GCP/ambient\"}} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<i64>().ok())
    };
    assert!(of("weir_credential_age_seconds").is_some_and(|age| (0..60).contains(&age)), "{metrics}");
    assert!(of("weir_credential_expires_seconds").is_some_and(|left| (3500..=3600).contains(&left)), "{metrics}");
    assert!(!metrics.contains("secret-token"));
}
