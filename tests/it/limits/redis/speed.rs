//! How fast: `cargo test --release --test it limits::redis::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use weir::limit::Unit;
use weir::limit::take::Take;
use weir::limit::window::{Calendar, Unit as Span, Window};

use super::many::scripts_a_second;
use super::{MINUTE, all, granted, id, limit, replica, take};
use crate::support::redis::Server;

const CALLS: u32 = 20_000;

/// Three limits of a call, of which one is the caller's own.
fn takes(caller: u32) -> Vec<Take> {
    let year = Window::Calendar(Calendar { unit: Span::Year, zone: TimeZone::UTC });
    [("rpm", Unit::Requests, MINUTE), ("usd", Unit::Usd, year), ("calls", Unit::Concurrency, Window::Held)]
        .map(|(id, unit, window)| {
            let limit = limit(id, unit, u64::from(u32::MAX), window);
            let take = take(&limit, 1);
            Take { key: format!("{id}|{}", caller % 100).into(), ..take }
        })
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, and it takes both cores"]
async fn what_a_call_costs() {
    let server = Server::new();
    let redis = replica(&server).await;
    for caller in 0..100 {
        let grant = granted(&redis, &takes(caller)).await;
        redis.settle(&[all(&grant, 1)]).await.expect("the store answers");
    }
    let asked = server.calls("evalsha");
    let mut times: Vec<Duration> = Vec::new();
    for caller in 0..2_000 {
        let begun = Instant::now();
        let grant = granted(&redis, &takes(caller)).await;
        times.push(begun.elapsed());
        redis.settle(&[all(&grant, 1)]).await.expect("the store answers");
    }
    times.sort_unstable();
    let scripts = server.calls("evalsha") - asked;
    println!("one after the other: reserve p50 {:?} p99 {:?}", times[1_000], times[1_980]);
    println!("scripts a call, reserve and settle: {}", scripts as f64 / 2_000.0);
    for takers in [8, 64, 256] {
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for taker in 0..takers {
            let redis = redis.clone();
            tasks.spawn(async move {
                for call in 0..CALLS / takers {
                    let grant = redis.reserve(id(), &takes(taker + call)).await.expect("in time").expect("it fits");
                    redis.settle(&[all(&grant, 1)]).await.expect("in time");
                }
            });
        }
        tasks.join_all().await;
        let seconds = begun.elapsed().as_secs_f64();
        println!("{takers} at once: {:.0} calls a second, reserved and settled", f64::from(CALLS) / seconds);
    }
    let used: String = server.say(&["INFO", "cpu"]);
    println!("{}", used.lines().filter(|line| line.starts_with("used_cpu_")).collect::<Vec<_>>().join(" "));
}

#[tokio::test]
#[ignore = "a measurement, and it takes minutes"]
async fn what_a_fleet_asks() {
    for replicas in [100, 1_000, 3_000] {
        for lease in [0, 10] {
            let (scripts, hits) = scripts_a_second(replicas, lease).await;
            let calls = replicas / 10 * 20 + replicas * 9 / 10 * 2;
            println!(
                "{replicas} replicas, {calls} calls/s, lease {lease} %: {scripts} scripts/s, {hits:.3} ask nobody"
            );
        }
    }
}
