//! Many replicas with slices of the same counters: together never more than the limit, early refusals only near its
//! end, and in the end the store has what all calls came to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use weir::limit::lease::{Leases, OFTEN};
use weir::limit::redis::{Clock, Options, Redis, Terms};
use weir::limit::take::{Fit, Grant, Take};
use weir::limit::window::{Calendar, Unit as Span, Window};
use weir::limit::{Counting, Limit, Unit};

use super::{MINUTE, PATIENCE, all, id, patient, ready};
use crate::support::redis::Server;

/// A second of the Unix time in microseconds; this one begins a part, a minute and an hour.
const NOON: u64 = 1_790_000_000 / 3_600 * 3_600 * 1_000_000;
const SECOND: u64 = 1_000_000;

fn leased(id: &str, unit: Unit, amount: u64, window: Window, lease: u8) -> Arc<Limit> {
    let counting = Counting::Fleet { lease };
    Arc::new(Limit { counting, ..(*super::limit(id, unit, amount, window)).clone() })
}

/// A store and replicas whose clock is the test's.
struct Fleet {
    server: Server,
    clock: Arc<AtomicU64>,
}

// === impl Fleet ===

impl Fleet {
    fn new() -> Fleet {
        Fleet { server: Server::new(), clock: Arc::new(AtomicU64::new(NOON)) }
    }

    async fn redis(&self, prefix: &str) -> Redis {
        let hold = Duration::from_secs(1_000_000_000);
        let options = Options { prefix: prefix.into(), ..patient(self.server.url()) };
        let clock = Clock { store: Some(Arc::clone(&self.clock)), skew: 0 };
        let terms = Terms { hold, clock, ..Terms::default() };
        ready(Redis::connect_with(options, terms).expect("usable options")).await
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn pass(&self, micros: u64) {
        self.clock.fetch_add(micros, Ordering::Relaxed);
    }
}

/// What was admitted of one rolling counter, by the part of its window.
#[derive(Default)]
struct Ledger {
    parts: BTreeMap<u64, u64>,
}

// === impl Ledger ===

impl Ledger {
    fn charge(&mut self, part: u64, amount: u64) {
        *self.parts.entry(part).or_default() += amount;
    }

    /// Of a minute whose parts are seconds: what counts when it is this second.
    fn used(&self, second: u64) -> u64 {
        self.parts.range(second.saturating_sub(60)..).map(|(_, amount)| amount).sum()
    }
}

/// 3,000 replicas, one of them busy and the others now and then, each with enough calls at a time for a slice: what
/// they hold refuses nobody before 90 % are used, and nobody gets more than there is.
#[tokio::test]
async fn one_busy_replica_among_thousands() {
    const AMOUNT: u64 = 12_000;
    let fleet = Fleet::new();
    let redis = fleet.redis("weir").await;
    let replicas: Vec<Leases> = (0..3_000).map(|_| Leases::by_hand(redis.clone(), 4)).collect();
    let rpm = leased("fair/rpm", Unit::Requests, AMOUNT, MINUTE, 10);
    let takes = [super::take(&rpm, 1)];
    let mut ledger = Ledger::default();
    // Who has something to do, and until when.
    let mut awake: HashMap<usize, u64> = HashMap::from([(0, u64::MAX)]);
    // Of the busy one, before anybody was refused.
    let (mut refused, mut hits, mut calls) = (0_u64, 0_u64, 0_u64);
    for step in 0..1_800_u64 {
        fleet.pass(SECOND / 20);
        let second = fleet.now() / SECOND;
        // Each of the others calls five times at once, twice a minute, one after the other.
        let other = 1 + usize::try_from(step * 7 % 2_999).expect("small");
        awake.insert(other, fleet.now() + 3 * SECOND);
        for (replica, count) in [(0, 9), (other, 5)] {
            for _ in 0..count {
                match replicas[replica].reserve(id(), &takes).await {
                    Ok(grant) => {
                        let taken = &grant.taken[0];
                        if replica == 0 && refused == 0 {
                            calls += 1;
                            hits += u64::from(taken.slice.is_some());
                        }
                        ledger.charge(taken.bucket, 1);
                        replicas[replica].settle_later(all(&grant, 1));
                    }
                    Err(_) => {
                        refused += 1;
                        let used = ledger.used(second);
                        assert!(used * 10 >= AMOUNT * 9 - 10, "refused at {used} of {AMOUNT}, step {step}");
                    }
                }
                assert!(ledger.used(second) <= AMOUNT, "{} of {AMOUNT}, step {step}", ledger.used(second));
            }
        }
        for replica in awake.keys() {
            replicas[*replica].turn().await;
        }
        awake.retain(|_, until| *until > fleet.now());
    }
    println!("one of 3,000 replicas: {calls} calls, {hits} of them asked nobody");
    assert!(refused > 0, "the limit was reached");
    assert!(hits * 2 > calls, "{hits} of {calls}");
}

/// 100 calls a second on one key over four replicas.
#[tokio::test]
async fn most_calls_ask_nobody() {
    let fleet = Fleet::new();
    for (what, unit, amount, of_call) in
        [("requests", Unit::Requests, 12_000, 1), ("tokens", Unit::Tokens, 12_000_000_000, 500_000)]
    {
        let mut replicas = Vec::new();
        for _ in 0..4 {
            replicas.push(Leases::by_hand(fleet.redis(what).await, 4));
        }
        let takes = [super::take(&leased("fair/limit", unit, amount, MINUTE, 10), of_call)];
        let scripts = fleet.server.calls("evalsha");
        let (mut hits, mut misses) = (0_u32, 0_u32);
        for step in 0..3_000_usize {
            fleet.pass(SECOND / 100);
            let replica = &replicas[step % 4];
            let grant = replica.reserve(id(), &takes).await.expect("it fits");
            *(if grant.taken[0].slice.is_some() { &mut hits } else { &mut misses }) += 1;
            // Calls come to half of what they took.
            replica.settle_later(all(&grant, of_call.div_ceil(2)));
            if step % 5 == 0 {
                for replica in &replicas {
                    replica.turn().await;
                }
            }
        }
        let scripts = fleet.server.calls("evalsha") - scripts;
        println!("{what}: {hits} hits, {misses} misses, {} scripts a second", scripts / 30);
        assert!(hits >= 19 * misses, "{what}: {hits} hits, {misses} misses");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Reserve {
        replica: usize,
        amount: u64,
    },
    Settle {
        which: prop::sample::Index,
        eighths: u64,
    },
    Turn {
        replica: usize,
    },
    Pass {
        millis: u64,
    },
    /// It is gone with what it holds, and another comes.
    Crash {
        replica: usize,
    },
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..3_usize, 1..60_u64).prop_map(|(replica, amount)| Step::Reserve { replica, amount }),
        4 => (any::<prop::sample::Index>(), 0..12_u64).prop_map(|(which, eighths)| Step::Settle { which, eighths }),
        4 => (0..3_usize).prop_map(|replica| Step::Turn { replica }),
        3 => (0..900_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (0..60_000_u64).prop_map(|millis| Step::Pass { millis }),
        1 => (0..3_usize).prop_map(|replica| Step::Crash { replica }),
    ];
    prop::collection::vec(step, 1..150)
}

/// One take that was admitted.
struct Admitted {
    /// Seconds of the rolling clock, or the beginning of the day.
    bucket: u64,
    at: u64,
    reserved: u64,
    amount: u64,
}

/// One run of a script.
struct Run {
    redis: Vec<Redis>,
    replicas: Vec<Leases>,
    takes: [Take; 2],
    admitted: [Vec<Admitted>; 2],
    open: Vec<(usize, Grant, usize)>,
    /// By how much calls came to more than they took that the store has not been told of, by replica, and of those
    /// that are gone.
    untold: [u64; 3],
    lost: u64,
    crashed: bool,
}

// === impl Run ===

impl Run {
    async fn reserve(&mut self, fleet: &Fleet, replica: usize, amount: u64) {
        let takes = self.takes.clone().map(|take| Take { amount, ..take });
        let Ok(grant) = self.replicas[replica].reserve(id(), &takes).await else { return };
        for (taken, admitted) in grant.taken.iter().zip(&mut self.admitted) {
            assert_eq!((taken.fit, taken.amount), (Fit::Fits, amount));
            admitted.push(Admitted { bucket: taken.bucket, at: fleet.now(), reserved: amount, amount });
        }
        let place = self.admitted[0].len() - 1;
        self.open.push((replica, grant, place));
    }

    fn settle(&mut self, which: &prop::sample::Index, eighths: u64) {
        if self.open.is_empty() {
            return;
        }
        let (replica, grant, place) = self.open.swap_remove(which.index(self.open.len()));
        let amount = grant.taken[0].amount * eighths / 8;
        self.untold[replica] += amount.saturating_sub(grant.taken[0].amount);
        self.replicas[replica].settle_later(all(&grant, amount));
        for admitted in &mut self.admitted {
            admitted[place].amount = amount;
        }
    }

    /// In no stretch of a minute more than the limit and what calls came to beyond what they took.
    fn held_its_bound(&self) {
        for first in &self.admitted[0] {
            let stretch = first.at..=first.at + 60 * SECOND;
            let together = self.admitted[0].iter().filter(|one| stretch.contains(&one.at));
            let (charged, beyond) = together.fold((0, 0), |(charged, beyond), one| {
                (charged + one.amount, beyond + one.amount.saturating_sub(one.reserved))
            });
            assert!(charged <= self.takes[0].ceiling + beyond, "{charged} with {beyond} beyond");
        }
    }
}

async fn play(fleet: &Fleet, prefix: &str, script: &[Step]) {
    let mut redis = Vec::new();
    for _ in 0..3 {
        redis.push(fleet.redis(prefix).await);
    }
    let day = Window::Calendar(Calendar { unit: Span::Day, zone: TimeZone::UTC });
    let takes =
        [leased("fair/rpm", Unit::Requests, 1_000, MINUTE, 30), leased("fair/day", Unit::Requests, 4_000, day, 10)];
    let mut run = Run {
        replicas: redis.iter().map(|redis| Leases::by_hand(redis.clone(), 1)).collect(),
        redis,
        takes: takes.each_ref().map(|limit| super::take(limit, 1)),
        admitted: Default::default(),
        open: Vec::new(),
        untold: [0; 3],
        lost: 0,
        crashed: false,
    };
    for step in script {
        match step {
            Step::Reserve { replica, amount } => run.reserve(fleet, *replica, *amount).await,
            Step::Settle { which, eighths } => run.settle(which, *eighths),
            Step::Turn { replica } => {
                run.replicas[*replica].turn().await;
                run.untold[*replica] = 0;
            }
            Step::Pass { millis } => fleet.pass(millis * 1_000),
            Step::Crash { replica } => {
                run.replicas[*replica] = Leases::by_hand(run.redis[*replica].clone(), 1);
                run.open.retain(|(whose, ..)| whose != replica);
                run.lost += std::mem::take(&mut run.untold[*replica]);
                run.crashed = true;
            }
        }
    }
    run.held_its_bound();
    for replica in &run.replicas {
        assert!(replica.drain(PATIENCE).await);
    }
    let standings = run.redis[0].peek(&run.takes).await.expect("the store answers");
    let used = run.admitted[0].iter().filter(|one| one.bucket + 60 >= fleet.now() / SECOND).map(|one| one.amount);
    let day: u64 = run.admitted[1].iter().map(|one| one.amount).sum();
    for (standing, used) in standings.iter().zip([used.sum::<u64>(), day]) {
        let left = standing.ceiling.saturating_sub(used);
        // What a replica held that is gone stays charged, and what it had not told is not.
        let is_right = standing.left == left || (run.crashed && standing.left <= left + run.lost);
        assert!(is_right, "{standing:?}, {used} used, {} lost", run.lost);
    }
}

#[test]
fn replicas_that_come_and_go_share_what_there_is() {
    let fleet = Fleet::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let case = AtomicU64::new(0);
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    let played = TestRunner::new(config).run(&script(), |script| {
        fleet.clock.store(NOON, Ordering::Relaxed);
        let prefix = format!("weir{}", case.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(play(&fleet, &prefix, &script));
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}

/// What the store is asked a second, as [`super::speed`] prints it: each of so many replicas calls twice a second on a
/// counter that all share, a tenth of them ten times as often; a call takes tokens and comes to half of them three
/// seconds later.
pub(super) async fn scripts_a_second(replicas: usize, lease: u8) -> (u64, f64) {
    const SECONDS: u64 = 20;
    let fleet = Fleet::new();
    let redis = fleet.redis("weir").await;
    let replicas: Vec<Leases> = (0..replicas).map(|_| Leases::by_hand(redis.clone(), OFTEN)).collect();
    let takes = [super::take(&leased("fair/tpm", Unit::Tokens, 600_000_000_000, MINUTE, lease), 500_000)];
    let (mut calls, mut hits) = (0_u64, 0_u64);
    let mut open = VecDeque::new();
    let before = fleet.server.calls("evalsha");
    for step in 0..SECONDS * 20 {
        fleet.pass(SECOND / 20);
        for (number, replica) in replicas.iter().enumerate() {
            let is_busy = number % 10 == 0;
            let due = if is_busy { 1 } else { 10 };
            if !(step + number as u64).is_multiple_of(due) {
                continue;
            }
            calls += 1;
            if let Ok(grant) = replica.reserve(id(), &takes).await {
                hits += u64::from(grant.taken[0].slice.is_some());
                open.push_back((step + 60, number, grant));
            }
            // As often as the task would, told as seldom.
            replica.tick().await;
        }
        while let Some((_, number, grant)) = open.pop_front_if(|(due, ..)| *due <= step) {
            replicas[number].settle_later(all(&grant, 250_000));
        }
    }
    for (_, number, grant) in open {
        replicas[number].settle_later(all(&grant, 250_000));
    }
    for replica in &replicas {
        replica.turn().await;
    }
    ((fleet.server.calls("evalsha") - before) / SECONDS, hits as f64 / calls as f64)
}
