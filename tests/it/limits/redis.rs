//! Counters that replicas share, on a real Redis: exact, whoever asks, and however often.

mod behaves;
mod both;
mod cluster;
mod exact;
mod held;
mod leased;
mod many;
mod notices;
mod outage;
mod outstanding;
mod replies;
mod secured;
mod sentinel;
mod shards;
mod slices;
mod slots;
mod speed;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use weir::limit::redis::{Clock, Options, Redis, State, Terms};
use weir::limit::take::{Grant, Refused, Settlement, Standing, Take};
use weir::limit::window::{Time, Window};
use weir::limit::{Counting, Limit, Unit};

use super::Store;
use crate::support::redis::Server;

/// Longer than anything here takes, also on a machine that does something else.
const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Window = Window::Rolling(Duration::from_secs(60));

/// A store with the server that ends with it.
struct Alone<S>(S, #[expect(dead_code, reason = "it ends when it is dropped")] Server);

fn limit(id: &str, unit: Unit, amount: u64, window: Window) -> Arc<Limit> {
    let counting = Counting::Fleet { lease: 0 };
    Arc::new(Limit { id: id.into(), counting, ..super::limit(id, unit, amount, window) })
}

fn take(limit: &Arc<Limit>, amount: u64) -> Take {
    let key = format!("{}|search|gpt", limit.id).into();
    Take { key, ..super::take(limit, amount) }
}

fn all(grant: &Grant, amount: u64) -> Settlement {
    Settlement { grant: grant.clone(), amounts: vec![amount; grant.taken.len()] }
}

/// Another id each time.
fn id() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 64 | 7
}

/// A timeout that only a server that does nothing reaches.
fn patient(url: String) -> Options {
    Options { timeout: PATIENCE, ..Options::new(url) }
}

/// A replica on the store's own clock.
async fn replica(server: &Server) -> Redis {
    ready(Redis::connect(patient(server.url())).expect("usable options")).await
}

/// One on a clock that the test sets.
async fn timed(server: &Server, clock: &Arc<AtomicU64>, skew: i64) -> Redis {
    let clock = Clock { store: Some(Arc::clone(clock)), skew };
    ready(Redis::connect_with(patient(server.url()), Terms { clock, ..Terms::default() }).expect("usable options"))
        .await
}

async fn ready(redis: Redis) -> Redis {
    until("it is ok", || redis.state() == State::Ok).await;
    redis
}

/// Waits for what comes by itself.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn granted(redis: &Redis, takes: &[Take]) -> Grant {
    redis.reserve(id(), takes).await.expect("the store answers").expect("it fits")
}

async fn refused(redis: &Redis, takes: &[Take]) -> Refused {
    redis.reserve(id(), takes).await.expect("the store answers").expect_err("it does not fit")
}

async fn left(redis: &Redis, take: &Take) -> u64 {
    redis.peek(std::slice::from_ref(take)).await.expect("the store answers")[0].left
}

impl<S: Store> Store for Alone<S> {
    async fn reserve(&self, id: u128, takes: &[Take], now: Time) -> Result<Grant, Refused> {
        self.0.reserve(id, takes, now).await
    }

    async fn settle(&self, settlement: &Settlement, now: Time) -> Vec<u8> {
        self.0.settle(settlement, now).await
    }

    async fn peek(&self, takes: &[Take], now: Time) -> Vec<Standing> {
        self.0.peek(takes, now).await
    }
}
