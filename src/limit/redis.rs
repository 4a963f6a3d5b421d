//! [io] Counters that replicas share, in one Redis or what speaks as one. All limits of a call are taken in one
//! round trip by one script, all or nothing, on the store's clock. What is asked twice is taken once: a grant
//! leaves a mark under its id.
//!
//! In a Cluster one script does what is in one slot: a call's takes are divided by slot and asked at the same time,
//! and a part that is granted in vain is taken back ([`parts`]). Where a server is away, its limits alone follow their
//! `onError`. The way there is [`store`]'s.
//!
//! Nothing here waits longer than [`Options::timeout`] for the store, and nothing fails for want of it at the
//! start. What must reach it and may be late, settlements and cancels, waits in a bounded queue while it is away.
//! The store must not evict keys (`maxmemory-policy noeviction`, its default). A replica that becomes the master may
//! not have what its master did last: the spend of about its lag is lost, and charged again where it is settled. One
//! that Sentinels make the master beside one that lives is found within half a second, and what went to the other
//! until then is lost likewise.

mod ask;
mod beat;
mod down;
mod groups;
mod keys;
mod lease;
mod line;
pub mod notices;
mod parts;
mod queue;
mod scripts;
mod terms;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::Limit;
use super::take::{Grant, Refused, Settlement, Standing, Take};
use crate::store::{self, Command, Link};
pub use crate::store::{OnState, Options, State, Tls, Unusable};
use ask::{Answer, At, Undo, Voice};
use beat::Held;
pub use down::Down;
use keys::Names;
pub use lease::{Back, Change, Slice, Wanted};
use parts::{Joined, Part};
use queue::{Queue, Work};
use scripts::{Scripts, Verb};
pub use terms::{Clock, Terms};

const PURPOSE: store::Purpose = store::Purpose {
    store: "limit store",
    without: "limits follow their onError",
    without_server: "its limits follow their onError",
};

/// A store. Clones are the same; the last one that is dropped ends its tasks, and the connection with them.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    _tasks: Arc<[AbortOnDropHandle<()>; 3]>,
}

/// What the tasks need.
struct Shared {
    link: Arc<Link>,
    scripts: Scripts,
    voice: Voice,
    queue: Queue,
    held: Held,
    clock: Clock,
    /// The store's clock less ours, in seconds, where that matters.
    offset: AtomicI64,
    ids: AtomicU64,
}

/// Cancels a reserve that nobody knows the answer of.
struct Unheard<'a> {
    shared: &'a Shared,
    id: u128,
    takes: &'a [Take],
}

// === impl Redis ===

impl Redis {
    /// Begins to connect. Needs a tokio runtime.
    ///
    /// # Errors
    /// Where the options can never work; never for want of a server.
    pub fn connect(options: Options) -> Result<Redis, Unusable> {
        Redis::connect_with(options, Terms::default())
    }

    /// [`Redis::connect`] on other terms.
    ///
    /// # Errors
    /// As there.
    pub fn connect_with(options: Options, terms: Terms) -> Result<Redis, Unusable> {
        let Terms { hold, queue, clock } = terms;
        let (names, scripts) = (Names::new(&options.prefix), Scripts::new());
        let link = Arc::new(Link::new(&options, PURPOSE, scripts.all())?);
        let number = getrandom::u64().map_err(Unusable::Random)?;
        let replica = format!("{number:016x}");
        let shared = Arc::new(Shared {
            link,
            scripts,
            voice: Voice { names, number, replica, hold },
            queue: Queue::new(queue),
            held: Held::default(),
            clock,
            offset: AtomicI64::new(0),
            ids: AtomicU64::new(0),
        });
        let tasks = [
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&shared.link).keep())),
            AbortOnDropHandle::new(tokio::spawn(queue::work(Arc::clone(&shared)))),
            AbortOnDropHandle::new(tokio::spawn(beat::beat(Arc::clone(&shared)))),
        ];
        Ok(Redis { shared, _tasks: Arc::new(tasks) })
    }

    /// See [`Link::authenticate`].
    ///
    /// # Errors
    /// As there.
    pub fn authenticate(&self, options: Options) -> Result<(), Unusable> {
        self.shared.link.authenticate(options)
    }

    /// Takes all or nothing. Asked again with the same id and takes, it gives the same grant and takes nothing
    /// more. An id is no other grant's, of any replica. Of a Cluster, takes whose server does not answer are
    /// `Unchecked` in the grant, as long as another server answers.
    ///
    /// # Errors
    /// Then nothing is taken, or what may have been taken is given back as soon as the store can be asked. The
    /// same holds when the future is dropped before it is done.
    pub async fn reserve(&self, id: u128, takes: &[Take]) -> Result<Result<Grant, Refused>, Down> {
        self.reserve_by(id, takes, self.deadline()).await
    }

    /// [`Redis::reserve`] until this moment, which is no later than [`Redis::deadline`].
    ///
    /// # Errors
    /// As there.
    pub(in crate::limit) async fn reserve_by(
        &self,
        id: u128,
        takes: &[Take],
        deadline: Instant,
    ) -> Result<Result<Grant, Refused>, Down> {
        if takes.is_empty() {
            return Ok(Ok(Grant { id, taken: Vec::new() }));
        }
        let unheard = Unheard { shared: &self.shared, id, takes };
        let parts = self.ask(Some(id), takes, deadline).await;
        unheard.heard();
        let Joined { answer, undone } = Joined::of(id, takes.len(), parts);
        for takes in undone {
            // Nobody waits for it.
            let _ = self.shared.later(Work::Cancel(Undo::of(id, &takes)));
        }
        if let Ok(Ok(grant)) = &answer {
            self.shared.held.begin(&self.shared, grant);
        }
        answer
    }

    /// How each limit stands, in order. Nothing is taken.
    ///
    /// # Errors
    /// When the store does not say. Of a Cluster, what a server does not say is [`Standing::UNKNOWN`], as long as
    /// another says something.
    pub async fn peek(&self, takes: &[Take]) -> Result<Vec<Standing>, Down> {
        if takes.is_empty() {
            return Ok(Vec::new());
        }
        let parts = self.ask(None, takes, self.deadline()).await;
        match parts.iter().find_map(|part| part.said.as_ref().err()) {
            Some(down) if parts.iter().all(|part| part.said.is_err()) => Err(down.clone()),
            _ => Ok(parts::standings(takes.len(), &parts)),
        }
    }

    /// Charges what grants came to. Settling a grant again changes nothing.
    ///
    /// # Errors
    /// When it is not known to be done in time. It is done later, unless it is [`Down::Full`]: then what was
    /// reserved stays charged for those for which there was no room, and heartbeats let go of the calls that they
    /// held. There is nothing to repeat.
    pub async fn settle(&self, settlements: &[Settlement]) -> Result<(), Down> {
        let mut all = Vec::with_capacity(settlements.len());
        for settlement in settlements.iter().filter(|settlement| !settlement.grant.taken.is_empty()) {
            self.shared.held.end(&self.shared, &settlement.grant);
            all.push(self.shared.later(Work::Settle(settlement.clone())));
        }
        self.done(all, self.deadline()).await
    }

    /// [`Redis::settle`] of one grant for which nobody waits: all rows that were taken under its id, in their order.
    pub fn settle_later(&self, settlement: Settlement) {
        self.shared.held.end(&self.shared, &settlement.grant);
        // Whether it is done, or there was no room for it, is counted.
        let _ = self.shared.later(Work::Settle(settlement));
    }

    /// Lets go of the calls that a grant holds, for it is settled only when what it came to is known.
    pub fn release_later(&self, grant: &Grant) {
        if let Some(held) = Undo::held(grant) {
            self.shared.held.end(&self.shared, grant);
            let _ = self.shared.later(Work::Release(held));
        }
    }

    /// Takes back a reserve of which nobody knows whether it was granted; one that comes later under this id is
    /// not granted any more.
    ///
    /// # Errors
    /// As [`Redis::settle`].
    pub async fn cancel(&self, id: u128, takes: &[Take]) -> Result<(), Down> {
        if takes.is_empty() {
            return Ok(());
        }
        self.done(vec![self.shared.later(Work::Cancel(Undo::of(id, takes)))], self.deadline()).await
    }

    /// Until when a request may wait for the store that begins to ask it now.
    pub(in crate::limit) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.link.timeout()
    }

    /// How it stands with the store.
    pub fn state(&self) -> State {
        self.shared.link.state()
    }

    /// Settlements that wait for the store.
    pub fn waiting(&self) -> u64 {
        self.shared.queue.waiting()
    }

    /// Settlements that were given up since the start: what was reserved stayed charged. Those that had only to let go
    /// of calls are not among them, for heartbeats do that.
    pub fn dropped(&self) -> u64 {
        self.shared.queue.dropped()
    }

    /// What a limit is called there, by one key or by all: a pattern in the sense of `SCAN`.
    pub fn pattern(&self, limit: &Limit, key: Option<&str>) -> String {
        self.shared.voice.names.pattern(limit, key)
    }

    /// Waits until no settlement waits any more, and no longer than `limit`. Whether that is so.
    pub async fn drain(&self, limit: Duration) -> bool {
        timeout(limit, self.shared.queue.empty()).await.is_ok()
    }

    /// What is said of each part of the takes, of which there is one unless they are in several slots.
    async fn ask<'a>(&self, id: Option<u128>, takes: &'a [Take], deadline: Instant) -> Vec<Part<'a>> {
        let link = &self.shared.link;
        let counters: Vec<&str> = takes.iter().map(|take| &*take.key).collect();
        let groups = match link.divides(deadline).await {
            Ok(divides) => divides.then(|| groups::groups(&counters)).filter(|groups| groups.len() > 1),
            Err(down) => return vec![Part { said: Err(down.into()), ..Part::whole(takes) }],
        };
        let mut parts = groups.map_or_else(|| vec![Part::whole(takes)], |groups| Part::divide(groups, takes));
        let mut open: Vec<usize> = (0..parts.len()).collect();
        // Once more where it is another time there.
        for _ in 0..2 {
            let command = |part: &Part| {
                self.shared.voice.reserve(self.shared.scripts.digest(Verb::Reserve), id, &part.takes, self.shared.at())
            };
            let commands: Vec<Command> = open.iter().filter_map(|at| parts.get(*at)).map(command).collect();
            let answers = link.send_by(commands, deadline).await;
            let asked = std::mem::take(&mut open);
            for (at, answer) in asked.into_iter().zip(answers) {
                let Some(part) = parts.get_mut(at) else { continue };
                let read =
                    answer.map_err(Down::from).and_then(|value| ask::read(&value, id.unwrap_or_default(), &part.takes));
                part.said = match read {
                    Ok(Answer::Granted(grant)) => Ok(Ok(grant)),
                    Ok(Answer::Refused(refused)) => Ok(Err(refused)),
                    Ok(Answer::Over) => Err(Down::Over),
                    Ok(Answer::Nothing) => Err(Down::Strange),
                    Ok(Answer::OtherTime(unix)) => {
                        self.shared.learn(unix);
                        open.push(at);
                        Err(Down::Strange)
                    }
                    Err(down) => Err(down),
                };
            }
            if open.is_empty() {
                break;
            }
        }
        parts
    }

    async fn done(&self, jobs: Vec<Option<oneshot::Receiver<()>>>, deadline: Instant) -> Result<(), Down> {
        let full = jobs.iter().any(Option::is_none);
        if self.state() == State::Down && !jobs.is_empty() {
            return Err(if full { Down::Full } else { Down::Shut });
        }
        let told = timeout_at(deadline, async {
            for job in jobs.into_iter().flatten() {
                job.await.map_err(|_| Down::Strange)?;
            }
            Ok(())
        });
        let told = told.await.unwrap_or_else(|_| Err(Down::Late(self.shared.link.timeout())));
        if full { Err(Down::Full) } else { told }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("state", &self.state()).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// [`Queue::push`]. What finds no room is given up.
    fn later(&self, work: Work) -> Option<oneshot::Receiver<()>> {
        let why = "there is no more room for settlements until the store is back";
        self.queue.push(work, |work| self.give_up(work, why))
    }

    /// It is not done. The calls that it ends are let go by heartbeats; if it is more than that, it is counted.
    fn give_up(&self, work: &Work, why: &str) {
        let calls = work.calls();
        let is_told = calls.as_ref().is_none_or(|calls| self.held.give_up(self, calls));
        let is_more = calls.is_none_or(|calls| calls.counters.len() < work.counters().len());
        if is_more || !is_told {
            self.queue.drop_one(why);
        }
    }

    fn at(&self) -> At {
        let store = self.clock.store.as_ref().map(|store| store.load(Ordering::Relaxed));
        At { store: store.unwrap_or(0), unix: self.unix().saturating_add_signed(self.offset.load(Ordering::Relaxed)) }
    }

    /// Our own clock, in seconds.
    fn unix(&self) -> u64 {
        let unix = match &self.clock.store {
            Some(store) => store.load(Ordering::Relaxed) / 1_000_000,
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        };
        unix.saturating_add_signed(self.clock.skew)
    }

    /// Learns what time it is there.
    fn learn(&self, unix: u64) {
        let there = i64::try_from(unix).unwrap_or(i64::MAX);
        let here = i64::try_from(self.unix()).unwrap_or(i64::MAX);
        self.offset.store(there.saturating_sub(here), Ordering::Relaxed);
    }
}

// === impl Unheard ===

impl Unheard<'_> {
    fn heard(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        // Who waits for it is nobody.
        let _ = self.shared.later(Work::Cancel(Undo::of(self.id, self.takes)));
    }
}
