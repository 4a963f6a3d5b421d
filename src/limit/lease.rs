//! [io] Slices of shared counters, so that most calls ask nobody. A replica that calls often takes a slice of a
//! counter, charged in the store like a call, and grants its calls out of it; what it has not used it gives back.
//!
//! * A slice is charged in one part of the window and ends with it at the latest, counted on this replica's clock
//!   from before it was asked for; so what is granted out of it leaves the window when it would otherwise, and all
//!   that is charged together is never more than without slices.
//! * All replicas together hold at most the limit's `lease` unused, and nobody gets a slice where less than that is
//!   left. So slices cost refusals only where the share that is not held is used up: above `amount - lease`, less
//!   one call.
//! * The store is asked by each call for what has no slices (`Concurrency`, amounts under 100 units, windows under
//!   15 s, `lease: 0%`), by a replica that calls seldom, and for a call that no slice bears.

mod agenda;
mod book;
mod held;
mod need;
mod terms;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::redis::{Back, Down, Redis, State, Wanted};
use super::take::{Grant, Posture, Refused, Settlement, Standing, Take, Taken};
use super::{Decision, Limit, MOST};
use book::{Answer, Book, Job};

/// How often it is looked for what time brings, while anything is held.
const TICK: Duration = Duration::from_millis(50);
/// So many calls of a counter within the time of two slices make one worth its round trips: a slice is asked for and
/// given back, where each call would be reserved and settled.
#[doc(hidden)]
pub const OFTEN: u32 = 8;
/// The longest that a turn by hand takes.
const TURN: Duration = Duration::from_secs(30);
/// Slices of one round trip.
const AT_ONCE: usize = 64;

/// A store with slices of it. Clones are the same; the last one that is dropped ends its task.
#[derive(Clone)]
pub struct Leases {
    shared: Arc<Shared>,
    _task: Option<Arc<AbortOnDropHandle<()>>>,
}

struct Shared {
    redis: Redis,
    book: Mutex<Book>,
    began: Instant,
    /// A slice is wanted.
    wanted: Notify,
}

/// What was taken of slices while the store is asked for the rest. It is given back unless it is kept.
struct Own<'a> {
    shared: &'a Shared,
    /// By take.
    taken: Vec<Option<Taken>>,
}

/// Whether a replica may hold slices of this limit.
pub fn has_slices(limit: &Limit) -> bool {
    terms::cell(limit).is_some()
}

// === impl Leases ===

impl Leases {
    /// Needs a tokio runtime.
    pub fn new(redis: Redis) -> Leases {
        let leases = Leases::by_hand(redis, OFTEN);
        let task = tokio::spawn(Arc::clone(&leases.shared).keep());
        Leases { _task: Some(Arc::new(AbortOnDropHandle::new(task))), ..leases }
    }

    /// One that asks for slices, gives them back and tells what calls came to only when it is told to
    /// [`Leases::turn`], and that so many calls make ask for one.
    #[doc(hidden)]
    pub fn by_hand(redis: Redis, often: u32) -> Leases {
        let shared = Shared { redis, book: Mutex::new(Book::new(often)), began: Instant::now(), wanted: Notify::new() };
        Leases { shared: Arc::new(shared), _task: None }
    }

    /// The store.
    pub fn redis(&self) -> &Redis {
        &self.shared.redis
    }

    /// Takes all or nothing. What the store does not say is `Unchecked`. A future that is dropped before it is done
    /// has taken nothing.
    ///
    /// It waits no longer than the store's timeout for all that it says to the store together: at the edge of a limit
    /// that is to give slices back, to ask, to give more back and to ask again.
    ///
    /// # Errors
    /// When it does not fit.
    pub async fn reserve(&self, id: u128, takes: &[Take]) -> Decision {
        let own = self.shared.take(id, takes);
        let others = || takes.iter().zip(&own.taken).filter(|(_, own)| own.is_none()).map(|(take, _)| take);
        let rest: Vec<Take> = others().cloned().collect();
        if rest.is_empty() {
            return Ok(Grant { id, taken: own.keep(Vec::new()) });
        }
        match self.shared.ask(id, &rest).await {
            Ok(there) => Ok(Grant { id, taken: own.keep(there) }),
            Err(refused) => Err(own.widen(refused)),
        }
    }

    /// How each limit stands, in order. Nothing is taken.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn peek(&self, takes: &[Take]) -> Result<Vec<Standing>, Down> {
        // How far the use is above a ceiling is not said.
        let highest: Vec<Take> = takes.iter().map(|take| Take { ceiling: MOST, ..take.clone() }).collect();
        let mut standings = self.shared.redis.peek(&highest).await?;
        let (now, book) = (self.shared.now(), self.shared.book());
        for (take, standing) in takes.iter().zip(&mut standings).filter(|(_, standing)| standing.is_known()) {
            let used = (MOST - standing.left).saturating_sub(book.left(&take.key, now));
            (standing.ceiling, standing.left) = (take.ceiling, take.ceiling.saturating_sub(used));
        }
        Ok(standings)
    }

    /// Charges what a grant came to: all rows that were taken under its id, in their order. Nobody waits for it.
    pub fn settle_later(&self, settlement: Settlement) {
        let Settlement { grant, amounts } = settlement;
        let rows = grant.taken.into_iter().zip(amounts);
        let (own, there): (Vec<_>, Vec<_>) = rows.partition(|(taken, _)| taken.slice.is_some());
        if !own.is_empty() {
            let now = self.shared.now();
            let mut book = self.shared.book();
            for (taken, amount) in own {
                book.settle(&taken, amount, now);
            }
        }
        // Each under the id under which the store was asked.
        let mut there = there;
        while let Some(id) = there.first().map(|(taken, _)| taken.grant) {
            let (rows, rest): (Vec<_>, Vec<_>) = there.into_iter().partition(|(taken, _)| taken.grant == id);
            let (taken, amounts) = rows.into_iter().unzip();
            self.shared.redis.settle_later(Settlement { grant: Grant { id, taken }, amounts });
            there = rest;
        }
    }

    /// Gives all slices back, and waits until the store has heard of all that is settled, no longer than `limit`.
    /// Whether it has.
    pub async fn drain(&self, limit: Duration) -> bool {
        let redis = &self.shared.redis;
        let jobs = self.shared.book().close(&mut || redis.id());
        let drained = async {
            self.shared.carry_out(jobs).await;
            redis.drain(limit).await
        };
        timeout(limit, drained).await.unwrap_or(false)
    }

    /// Does what is due now.
    #[doc(hidden)]
    pub async fn tick(&self) {
        self.shared.turn(false).await;
    }

    /// Does what is due now, and waits until the store has heard of all.
    #[doc(hidden)]
    pub async fn turn(&self) {
        self.shared.turn(true).await;
        if self.shared.redis.state() == State::Ok {
            self.shared.redis.drain(TURN).await;
        }
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").field("redis", &self.shared.redis).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// Does what is due until it is dropped.
    async fn keep(self: Arc<Self>) {
        loop {
            if self.book().is_idle() {
                self.wanted.notified().await;
            } else {
                // Whichever is first.
                let _ = timeout(TICK, self.wanted.notified()).await;
            }
            self.turn(false).await;
        }
    }

    async fn turn(&self, all: bool) {
        let jobs = {
            let now = self.now();
            self.book().due(now, all, &mut || self.redis.id())
        };
        self.carry_out(jobs).await;
    }

    /// What is given back makes room for what is asked, so it goes first.
    async fn carry_out(&self, jobs: Vec<Job>) {
        let (mut wanted, mut back) = (Vec::new(), Vec::new());
        for job in jobs {
            match job {
                Job::Lease(lease) => wanted.push(lease),
                Job::GiveUp(lease) => self.redis.give_up(&lease),
                Job::Back(slice) => back.push(slice),
                Job::Change(change) => self.redis.change(change),
            }
        }
        if !back.is_empty() {
            // What is late is done all the same.
            let _ = self.redis.give_back_by(back, self.redis.deadline()).await;
        }
        for wanted in wanted.chunks(AT_ONCE) {
            self.lease(wanted).await;
        }
    }

    async fn lease(&self, wanted: &[Wanted]) {
        let answers = self.redis.lease(wanted).await;
        let now = self.now();
        let mut book = self.book();
        for (wanted, answer) in wanted.iter().zip(answers) {
            let answer = match answer {
                Ok(slice) => Answer::Heard(slice),
                Err(Down::Shut) => Answer::Unsent,
                Err(_) => Answer::Unheard,
            };
            match book.answered(wanted, answer, now) {
                Some(Job::GiveUp(lease)) => self.redis.give_up(&lease),
                Some(Job::Back(back)) => self.redis.give_back(back),
                Some(Job::Lease(_) | Job::Change(_)) | None => {}
            }
        }
    }

    fn take(&self, id: u128, takes: &[Take]) -> Own<'_> {
        let now = self.now();
        let mut book = self.book();
        let mut is_short = false;
        let mut taken = Vec::with_capacity(takes.len());
        for take in takes {
            taken.push(book.take(id, take, now));
            is_short |= book.is_short(&take.key, now);
        }
        drop(book);
        if is_short {
            self.wanted.notify_one();
        }
        Own { shared: self, taken }
    }

    /// Asks the store. Where it refuses what this replica holds something of, that is given back, and it is asked
    /// once more; if there is no time for that, it is refused. What is taken whether it fits or not would not be asked
    /// again, so there it is given back before. All of it has one deadline.
    async fn ask(&self, id: u128, takes: &[Take]) -> Result<Vec<Taken>, Refused> {
        let deadline = self.redis.deadline();
        self.end(takes.iter().filter(|take| take.posture != Posture::Enforce), deadline).await;
        let mut answer = self.redis.reserve_by(id, takes, deadline).await;
        if matches!(answer, Ok(Err(_))) && self.end(takes.iter(), deadline).await {
            // Under another id: a part of a Cluster may have granted the first, which is taken back.
            let again = self.redis.reserve_by(self.redis.id(), takes, deadline).await;
            answer = again.or(answer);
        }
        match answer {
            Ok(Ok(mut grant)) => {
                self.book().heard(grant.taken.iter().map(|taken| (&*taken.key, &taken.standing)));
                self.add_own(takes, grant.taken.iter_mut().map(|taken| &mut taken.standing));
                Ok(grant.taken)
            }
            Ok(Err(refused)) => Err(refused),
            Err(_) => Ok(takes.iter().map(|take| Taken::unchecked(id, take)).collect()),
        }
    }

    /// Gives back what is held of these, and says whether that was anything. At least half of the time is left then to
    /// ask: what is not back yet is as if it were another's.
    async fn end(&self, takes: impl Iterator<Item = &Take>, deadline: Instant) -> bool {
        let back: Vec<Back> = {
            let (now, mut book) = (self.now(), self.book());
            takes.flat_map(|take| book.end(&take.key, now)).collect()
        };
        if back.is_empty() {
            return false;
        }
        let now = Instant::now();
        // Whether it is late or done, the store is asked.
        let _ = self.redis.give_back_by(back, now + deadline.saturating_duration_since(now) / 2).await;
        true
    }

    /// What this replica holds is left to its calls.
    fn add_own<'a>(&self, takes: &[Take], standings: impl Iterator<Item = &'a mut Standing>) {
        let now = self.now();
        let book = self.book();
        for (take, standing) in takes.iter().zip(standings) {
            standing.left = standing.left.saturating_add(book.left(&take.key, now)).min(take.ceiling);
        }
    }

    fn now(&self) -> Duration {
        self.redis.clock().unwrap_or_else(|| self.began.elapsed())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Own ===

impl Own<'_> {
    /// All rows in the order of the takes; `there` are those of which nothing was taken here.
    fn keep(mut self, there: Vec<Taken>) -> Vec<Taken> {
        let mut there = there.into_iter();
        std::mem::take(&mut self.taken).into_iter().filter_map(|own| own.or_else(|| there.next())).collect()
    }

    /// A refusal of the other takes as one of all.
    fn widen(self, refused: Refused) -> Refused {
        let mut standings = refused.standings.into_iter();
        let mut others = self.taken.iter().enumerate().filter(|(_, own)| own.is_none());
        Refused {
            take: others.nth(refused.take).map(|(place, _)| place).unwrap_or_default(),
            wait: refused.wait,
            standings: self
                .taken
                .iter()
                .map(|own| match own {
                    // It is given back.
                    Some(own) => Standing { left: own.standing.left.saturating_add(own.amount), ..own.standing },
                    None => standings.next().unwrap_or(Standing::UNKNOWN),
                })
                .collect(),
        }
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let now = self.shared.now();
        for taken in self.taken.drain(..).flatten() {
            self.shared.book().settle(&taken, 0, now);
        }
    }
}
