//! [io] What has to reach the store and may reach it late: settlements, and cancels of grants that nobody knows
//! to have been made. It waits here while the store is away, in order and bounded. What belongs to servers of a
//! Cluster that are away lets pass what belongs to others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::ask::{CLOSED, Undo};
use super::lease::{Back, Change};
use super::line::{Line, Place};
use super::scripts::Verb;
use super::{Shared, groups};
use crate::limit::take::{Grant, Settlement, Taken};
use crate::store::answers::{goes_away, words};
use crate::store::{Command, Down, Link, State};

/// Jobs of one round trip.
const AT_ONCE: usize = 128;
/// After a failure, before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a job that may have been done is repeated: for less long than the store remembers it.
const REPEATED: Duration = CLOSED.saturating_sub(Duration::from_secs(20));

/// Jobs that wait.
pub(super) struct Queue {
    jobs: Mutex<Line<Job>>,
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
    told: Arc<Told>,
}

/// Who waits for a job, and for how many parts of it.
struct Told {
    waits: Mutex<(usize, Option<oneshot::Sender<()>>)>,
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
            jobs: Mutex::new(Line::new()),
            most,
            more: Notify::new(),
            done: Notify::new(),
            dropped: AtomicU64::new(0),
            running: AtomicU64::new(0),
        }
    }

    /// Takes a job, unless there is no more room: then it is `full`. What it gives is told when the job is done.
    pub(super) fn push(&self, work: Work, full: impl FnOnce(&Work)) -> Option<oneshot::Receiver<()>> {
        let (told, done) = oneshot::channel();
        let mut jobs = self.lock();
        if jobs.len() >= self.most {
            drop(jobs);
            full(&work);
            return None;
        }
        let told = Arc::new(Told { waits: Mutex::new((1, Some(told))) });
        // In a Cluster it is divided before it is sent, so that it has no other slots then.
        jobs.push(work.slot(), Job { work, sent: None, told });
        drop(jobs);
        self.more.notify_one();
        Some(done)
    }

    /// Jobs that were given up: what was reserved stays charged, and what went on unchecked is not charged.
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

    /// Counts a job that is given up, and says so.
    pub(super) fn drop_one(&self, why: &str) {
        // The first and then each thousandth: an outage drops many.
        if self.dropped.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            tracing::warn!(
                "a settlement is dropped, what was reserved stays charged and what went on unchecked does not: {why}"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next jobs, for one round trip: those that may be sent now.
    async fn next(&self, link: &Link, states: &mut watch::Receiver<State>) -> Vec<(Place, Job)> {
        let mut is_new = false;
        loop {
            let more = self.more.notified();
            is_new |= states.borrow_and_update().has_changed();
            let (ready, later) = self.ready(link, std::mem::take(&mut is_new));
            if !ready.is_empty() {
                return ready;
            }
            let later = async {
                match later {
                    Some(later) => sleep_until(later).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = more => {}
                () = later => {}
                _ = states.changed() => is_new = true,
            }
        }
    }

    /// And when the next may be that only has to wait. Some server's state may be new.
    fn ready(&self, link: &Link, is_new: bool) -> (Vec<(Place, Job)>, Option<Instant>) {
        let mut jobs = self.lock();
        if is_new {
            jobs.unblock();
        }
        let (ready, later) = jobs.ready(Instant::now(), AT_ONCE, |slot| link.is_asked(slot));
        self.running.store(u64::try_from(ready.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        (ready, later)
    }

    /// What was not done waits again, where it was.
    fn back(&self, left: Vec<(Place, Job)>) {
        let after = Instant::now() + PAUSE;
        let mut jobs = self.lock();
        for (place, job) in left {
            jobs.back(place, job, after);
        }
        self.running.store(0, Ordering::Relaxed);
        drop(jobs);
        self.done.notify_waiters();
    }
}

/// Does the jobs until it is dropped.
pub(super) async fn work(shared: Arc<Shared>) {
    let mut states = shared.link.watch();
    loop {
        let jobs = shared.queue.next(&shared.link, &mut states).await;
        let left = round(&shared, jobs).await;
        shared.queue.back(left);
    }
}

/// One round trip; what is left has to be tried again.
async fn round(shared: &Shared, jobs: Vec<(Place, Job)>) -> Vec<(Place, Job)> {
    let now = Instant::now();
    let mut jobs = jobs;
    jobs.retain(|(_, job)| {
        let old = job.sent.is_some_and(|sent| now.duration_since(sent) > REPEATED);
        if old {
            shared.give_up(&job.work, "it may have been done, and the store may not remember it");
        }
        !old
    });
    if shared.link.is_divided() {
        jobs = jobs.into_iter().flat_map(|(place, job)| job.divide(place)).collect();
    }
    let answers = shared.link.send_later(jobs.iter().map(|(_, job)| job.command(shared)).collect()).await;
    let mut left = Vec::new();
    for ((place, mut job), answer) in jobs.into_iter().zip(answers) {
        match answer {
            Ok(value @ Value::ServerError(_)) if !goes_away(&value) => shared.give_up(&job.work, &words(&value)),
            Ok(Value::ServerError(_)) | Err(Down::Shut) => left.push((place, job)),
            Ok(_) => job.told.done(),
            Err(_) => {
                job.sent.get_or_insert(now);
                left.push((place, job));
            }
        }
    }
    left
}

// === impl Job ===

impl Job {
    fn command(&self, shared: &Shared) -> Command {
        let digest = shared.scripts.digest(Verb::Settle);
        match &self.work {
            Work::Settle(settlement) => shared.voice.settle(digest, settlement, shared.at()),
            Work::Cancel(undo) => shared.voice.cancel(digest, undo, shared.at()),
            Work::Release(held) => shared.voice.release(digest, held, shared.at()),
            Work::Return(back) => shared.voice.give_back(digest, back, shared.at()),
            Work::Change(change) => shared.voice.change(digest, change, shared.at()),
        }
    }

    /// A job for each slot.
    fn divide(self, place: Place) -> Vec<(Place, Job)> {
        let groups = groups::groups(&self.work.counters());
        if groups.len() < 2 {
            return vec![(place, self)];
        }
        self.told.await_all(groups.len());
        let part = |places: &Vec<usize>| {
            let work = self.work.part(places);
            (place.of_part(work.slot()), Job { work, sent: self.sent, told: Arc::clone(&self.told) })
        };
        groups.iter().map(part).collect()
    }
}

// === impl Work ===

impl Work {
    /// What it ends that holds calls; none where nothing does.
    pub(super) fn calls(&self) -> Option<Undo> {
        match self {
            Work::Settle(settlement) => Undo::held(&settlement.grant),
            Work::Cancel(undo) | Work::Release(undo) => undo.calls(),
            Work::Return(_) | Work::Change(_) => None,
        }
    }

    pub(super) fn counters(&self) -> Vec<&str> {
        match self {
            Work::Settle(settlement) => settlement.grant.taken.iter().map(|taken| &*taken.key).collect(),
            Work::Cancel(undo) | Work::Release(undo) => undo.counters.iter().map(|(_, key)| &**key).collect(),
            Work::Return(Back { row, .. }) | Work::Change(Change { row, .. }) => vec![&row.key],
        }
    }

    fn slot(&self) -> u16 {
        self.counters().first().map_or(0, |first| groups::slot(first))
    }

    /// What of it concerns these counters.
    fn part(&self, places: &[usize]) -> Work {
        let undo = |undo: &Undo| Undo { id: undo.id, counters: pick(&undo.counters, places) };
        match self {
            Work::Settle(Settlement { grant, amounts }) => {
                let taken = pick(&grant.taken, places);
                // An amount that is not stated leaves what was taken.
                let stated = |(place, taken): (&usize, &Taken)| amounts.get(*place).copied().unwrap_or(taken.amount);
                let amounts = places.iter().zip(&taken).map(stated).collect();
                Work::Settle(Settlement { grant: Grant { id: grant.id, taken }, amounts })
            }
            Work::Cancel(of) => Work::Cancel(undo(of)),
            Work::Release(of) => Work::Release(undo(of)),
            // These have one counter, and so no parts.
            Work::Return(back) => Work::Return(back.clone()),
            Work::Change(change) => Work::Change(change.clone()),
        }
    }
}

fn pick<T: Clone>(all: &[T], places: &[usize]) -> Vec<T> {
    places.iter().filter_map(|place| all.get(*place).cloned()).collect()
}

// === impl Told ===

impl Told {
    /// It has so many parts now, of which none is done.
    fn await_all(&self, parts: usize) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).0 = parts;
    }

    /// A part is done.
    fn done(&self) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.0 = waits.0.saturating_sub(1);
        if waits.0 == 0
            && let Some(told) = waits.1.take()
        {
            // Whoever waited may be gone.
            let _ = told.send(());
        }
    }
}
