//! Slices of shared counters: one replica with slices decides what one without does, many together never more than
//! the limit, and what all calls came to is what the store has in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use weir::limit::lease::Leases;
use weir::limit::redis::{Clock, Options, Redis, Terms};
use weir::limit::take::{Grant, Refused, Settlement, Standing, Take};
use weir::limit::window::{Time, Window};
use weir::limit::{Counting, Limit};

use super::super::Store;
use super::super::random::{self, Clocks, Step};
use super::{Alone, patient, ready};
use crate::support::redis::Server;

/// Amounts of the suite are too small to be leased; these are so many times as large.
const LARGE: u64 = 10_000_000_000;

/// One replica whose clock, like the store's, is the test's.
pub(super) struct Leased {
    leases: Leases,
    clock: Arc<AtomicU64>,
}

fn is_held(limit: &Limit) -> bool {
    limit.window == Window::Held
}

/// The same take of a limit that is leased.
fn large(take: &Take) -> Take {
    let times = if is_held(&take.limit) { 1 } else { LARGE };
    let limit =
        Limit { amount: take.limit.amount * times, counting: Counting::Fleet { lease: 10 }, ..(*take.limit).clone() };
    Take { limit: Arc::new(limit), ceiling: take.ceiling * times, amount: take.amount * times, ..take.clone() }
}

fn small(limit: &Limit, standing: Standing) -> Standing {
    let times = if is_held(limit) { 1 } else { LARGE };
    assert_eq!(standing.left % times, 0, "what is held is the replica's own");
    Standing { ceiling: standing.ceiling / times, left: standing.left / times, ..standing }
}

// === impl Leased ===

impl Leased {
    async fn new(server: &Server, prefix: &str) -> Leased {
        Leased::at(vec![server.url()], prefix).await
    }

    pub(super) async fn at(urls: Vec<String>, prefix: &str) -> Leased {
        let clock = Arc::new(AtomicU64::new(1));
        let hold = Duration::from_secs(1_000_000_000);
        let options = Options { prefix: prefix.into(), urls, ..patient(String::new()) };
        let timed = Clock { store: Some(Arc::clone(&clock)), skew: 0 };
        let terms = Terms { hold, clock: timed, ..Terms::default() };
        let redis = ready(Redis::connect_with(options, terms).expect("usable options")).await;
        Leased { leases: Leases::by_hand(redis, 1), clock }
    }

    async fn set(&self, now: Time) {
        let together = now.steady / 1_000_000_000 == now.unix;
        let time = if together { now.steady / 1_000 } else { now.unix * 1_000_000 };
        // What has ended is given back before anybody asks.
        self.clock.store(time, Ordering::Relaxed);
        self.leases.turn().await;
    }
}

impl Store for Leased {
    async fn reserve(&self, id: u128, takes: &[Take], now: Time) -> Result<Grant, Refused> {
        self.set(now).await;
        let all: Vec<Take> = takes.iter().map(large).collect();
        let answer = self.leases.reserve(id, &all).await;
        self.leases.turn().await;
        match answer {
            Ok(mut grant) => {
                for (taken, take) in grant.taken.iter_mut().zip(takes) {
                    let times = if is_held(&take.limit) { 1 } else { LARGE };
                    taken.amount /= times;
                    taken.standing = small(&take.limit, taken.standing);
                }
                Ok(grant)
            }
            Err(mut refused) => {
                for (standing, take) in refused.standings.iter_mut().zip(takes) {
                    *standing = small(&take.limit, *standing);
                }
                Err(refused)
            }
        }
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Vec<u8> {
        self.set(now).await;
        let Settlement { mut grant, mut amounts } = settlement.clone();
        for (taken, amount) in grant.taken.iter_mut().zip(&mut amounts) {
            let times = if is_held(&taken.limit) { 1 } else { LARGE };
            taken.amount *= times;
            *amount *= times;
        }
        self.leases.settle_later(Settlement { grant, amounts });
        self.leases.turn().await;
        Vec::new()
    }

    async fn peek(&self, takes: &[Take], now: Time) -> Vec<Standing> {
        self.set(now).await;
        let all: Vec<Take> = takes.iter().map(large).collect();
        let standings = self.leases.peek(&all).await.expect("the store answers");
        standings.into_iter().zip(takes).map(|(standing, take)| small(&take.limit, standing)).collect()
    }
}

async fn alone() -> Alone<Leased> {
    let server = Server::new();
    Alone(Leased::new(&server, "weir").await, server)
}

behaviours!(alone());

#[test]
fn any_interleaving_is_as_if_added_up_by_hand() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let case = AtomicU64::new(0);
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let played = TestRunner::new(config).run(&random::script(Clocks::Together), |mut script| {
        // A replica goes on with what it holds when calls come to more than they took, and the model does not.
        for step in &mut script {
            if let Step::Settle { quarters, .. } = step {
                quarters.iter_mut().for_each(|quarters| *quarters = (*quarters).min(4));
            }
        }
        let prefix = format!("weir{}", case.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async { random::follow(&Leased::new(&server, &prefix).await, &script).await });
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}
