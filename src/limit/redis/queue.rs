//! [io] What has to reach the store and may reach it late: settlements, and cancels of grants that nobody knows
//! to have been made. It waits here while the store is away, in order and bounded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::ask::{CLOSED, Undo};
use super::breaker::State;
use super::lease::{Back, Change};
use super::link::{Verb, is_of_store, words};
use super::{Shared, shut};
use crate::limit::take::Settlement;

/// Jobs of one round trip.
const AT_ONCE: usize = 128;
/// After a failure, before they are sent again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a job that may have been done is repeated: for less long than the store remembers it.
const REPEATED: Duration = CLOSED.saturating_sub(Duration::from_secs(60));

/// Jobs that wait.
pub(super) struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    most: usize,
    more: Notify,
    done: Notify,
    dropped: AtomicU64,
    /// Taken out of `jobs` and not done. It changes while those are locked.
    running: AtomicU64,
}

pub(super) struct Job {
    work: Work,
    /// When it was sent first.
    sent: Option<Instant>,
    /// Who waits for it.
    told: Option<oneshot::Sender<()>>,
}

pub(super) enum Work {
    Settle(Settlement),
    Cancel(Undo),
    /// Of the calls that a grant holds, which is settled later.
    Release(Undo),
    Return(Back),
    Change(Change),
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(most: usize) -> Queue {
        Queue {
            jobs: Mutex::default(),
            most,
            more: Notify::new(),
            done: Notify::new(),
            dropped: AtomicU64::new(0),
            running: AtomicU64::new(0),
        }
    }

    /// Takes a job, unless there is no more room: then it is dropped and counted. What it gives is told when the
    /// job is done.
    pub(super) fn push(&self, work: Work) -> Option<oneshot::Receiver<()>> {
        let (told, done) = oneshot::channel();
        let mut jobs = self.lock();
        if jobs.len() >= self.most {
            drop(jobs);
            self.drop_one("there is no more room for settlements until the store is back");
            return None;
        }
        jobs.push_back(Job { work, sent: None, told: Some(told) });
        drop(jobs);
        self.more.notify_one();
        Some(done)
    }

    /// Jobs that were given up: what they would have given back stays charged.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Jobs that are not done.
    pub(super) fn waiting(&self) -> u64 {
        let jobs = self.lock();
        self.running.load(Ordering::Relaxed) + u64::try_from(jobs.len()).unwrap_or(u64::MAX)
    }

    /// Done when no job waits.
    pub(super) async fn empty(&self) {
        loop {
            let done = self.done.notified();
            if self.waiting() == 0 {
                return;
            }
            done.await;
        }
    }

    fn drop_one(&self, why: &str) {
        // The first and then each thousandth: an outage drops many.
        if self.dropped.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            tracing::warn!("a settlement is dropped, what was reserved stays charged: {why}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next jobs, for one round trip.
    async fn next(&self) -> Vec<Job> {
        loop {
            let more = self.more.notified();
            {
                let mut jobs = self.lock();
                let count = jobs.len().min(AT_ONCE);
                if count > 0 {
                    self.running.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
                    return jobs.drain(..count).collect();
                }
            }
            more.await;
        }
    }

    /// What was not done comes first again.
    fn back(&self, left: Vec<Job>) {
        let mut jobs = self.lock();
        for job in left.into_iter().rev() {
            jobs.push_front(job);
        }
        self.running.store(0, Ordering::Relaxed);
        drop(jobs);
        self.done.notify_waiters();
    }
}

/// Does the jobs until it is dropped.
pub(super) async fn work(shared: Arc<Shared>) {
    let mut state = shared.link.watch();
    loop {
        let jobs = shared.queue.next().await;
        if state.wait_for(|state| *state != State::Down).await.is_err() {
            return;
        }
        let left = round(&shared, jobs).await;
        let failed = !left.is_empty();
        shared.queue.back(left);
        if failed {
            sleep(PAUSE).await;
        }
    }
}

/// One round trip; what is left has to be tried again.
async fn round(shared: &Shared, jobs: Vec<Job>) -> Vec<Job> {
    let now = Instant::now();
    let mut jobs = jobs;
    jobs.retain(|job| {
        let old = job.sent.is_some_and(|sent| now.duration_since(sent) > REPEATED);
        if old {
            shared.queue.drop_one("it may have been done, and the store may not remember it");
        }
        !old
    });
    let mut commands = Pipeline::new();
    for job in &jobs {
        commands.add_command(job.command(shared));
    }
    if jobs.is_empty() {
        return jobs;
    }
    let values = match shared.link.send(&commands).await {
        Ok(values) => values,
        Err(down) => {
            for job in jobs.iter_mut().filter(|_| !shut(&down)) {
                job.sent.get_or_insert(now);
            }
            return jobs;
        }
    };
    let mut left = Vec::new();
    for (mut job, value) in jobs.into_iter().zip(values) {
        match value {
            Value::ServerError(_) if is_of_store(&value) => left.push(job),
            Value::ServerError(_) => shared.queue.drop_one(&words(&value)),
            _ => {
                if let Some(told) = job.told.take() {
                    // Whoever waited may be gone.
                    let _ = told.send(());
                }
            }
        }
    }
    left
}

// === impl Job ===

impl Job {
    fn command(&self, shared: &Shared) -> Cmd {
        let digest = shared.link.digest(Verb::Settle);
        match &self.work {
            Work::Settle(settlement) => shared.voice.settle(digest, settlement, shared.at()),
            Work::Cancel(undo) => shared.voice.cancel(digest, undo, shared.at()),
            Work::Release(held) => shared.voice.release(digest, held, shared.at()),
            Work::Return(back) => shared.voice.give_back(digest, back, shared.at()),
            Work::Change(change) => shared.voice.change(digest, change, shared.at()),
        }
    }
}
