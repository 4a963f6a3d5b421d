//! The suite over Redis: that of the search path, and that of the Python package.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use weir::limit::redis::{Clock, Options, Redis, Terms};
use weir::limit::take::{Grant, Refused, Settlement, Standing, Take};
use weir::limit::window::Time;

use super::super::Store;
use super::super::random::{self, Clocks};
use super::{Alone, PATIENCE, patient, ready};
use crate::support::redis::{Server, packaged, usual};

/// A store whose clock is the test's.
pub(super) struct Counted {
    redis: Redis,
    clock: Arc<AtomicU64>,
}

// === impl Counted ===

impl Counted {
    async fn new(server: &Server, prefix: &str) -> Counted {
        Counted::at(vec![server.url()], prefix).await
    }

    pub(super) async fn at(urls: Vec<String>, prefix: &str) -> Counted {
        let clock = Arc::new(AtomicU64::new(1));
        // Time passes by hours here, and the replica lives.
        let hold = Duration::from_secs(1_000_000_000);
        let options = Options { prefix: prefix.into(), urls, ..patient(String::new()) };
        let timed = Clock { store: Some(Arc::clone(&clock)), skew: 0 };
        let terms = Terms { hold, clock: timed, ..Terms::default() };
        Counted { redis: ready(Redis::connect_with(options, terms).expect("usable options")).await, clock }
    }

    /// It has one clock. Where the two of a test differ, only units of a calendar are asked for.
    fn set(&self, now: Time) {
        let together = now.steady / 1_000_000_000 == now.unix;
        self.clock.store(if together { now.steady / 1_000 } else { now.unix * 1_000_000 }, Ordering::Relaxed);
    }
}

impl Store for Counted {
    async fn reserve(&self, id: u128, takes: &[Take], now: Time) -> Result<Grant, Refused> {
        self.set(now);
        let answer = self.redis.reserve(id, takes).await.expect("the store answers");
        // What was taken in vain in one slot is given back after the answer of the other.
        assert!(self.redis.drain(PATIENCE).await);
        answer
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Vec<u8> {
        self.set(now);
        self.redis.settle(std::slice::from_ref(settlement)).await.expect("the store answers");
        Vec::new()
    }

    async fn peek(&self, takes: &[Take], now: Time) -> Vec<Standing> {
        self.set(now);
        self.redis.peek(takes).await.expect("the store answers")
    }
}

async fn alone(binary: PathBuf) -> Alone<Counted> {
    let server = Server::start(binary, &[]);
    Alone(Counted::new(&server, "weir").await, server)
}

mod on_path {
    use super::{alone, usual};

    behaviours!(alone(usual()));
}

mod of_package {
    use super::{alone, packaged};

    behaviours!(alone(packaged()));
}

#[test]
fn any_interleaving_is_as_if_added_up_by_hand() {
    let server = Server::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let case = AtomicU64::new(0);
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let played = TestRunner::new(config).run(&random::script(Clocks::Together), |script| {
        let prefix = format!("weir{}", case.fetch_add(1, Ordering::Relaxed));
        runtime.block_on(async { random::follow(&Counted::new(&server, &prefix).await, &script).await });
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}
