//! A Cluster of which a part is away or moves: what it has follows its limits' `onError`, the rest goes on, and the
//! sums are right in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir::limit::Limit;
use weir::limit::redis::{Down, Options, Redis, State, Terms};
use weir::limit::take::{Fit, Grant, Take};
use weir::limit::window::Window;

use super::cluster::{on_each, options, replica};
use super::{PATIENCE, all, granted, id, left, ready, take, until};
use crate::support::cluster::Cluster;
use crate::support::redis::usual;

const SHORT: Duration = Duration::from_millis(50);
const AMOUNT: u64 = 1_000_000;

fn limits(cluster: &Cluster) -> Vec<Arc<Limit>> {
    on_each(cluster, "shard", AMOUNT, Window::Rolling(Duration::from_secs(3_600)))
}

async fn hasty(cluster: &Cluster) -> Redis {
    ready(Redis::connect(Options { timeout: SHORT, ..options(cluster, "weir") }).expect("usable options")).await
}

fn rows(grant: &Grant) -> Vec<(Fit, u64)> {
    grant.taken.iter().map(|taken| (taken.fit, taken.amount)).collect()
}

/// Takes of the other masters are granted as ever while one is killed or stopped.
#[tokio::test]
async fn a_master_that_is_away_takes_no_other_with_it() {
    for signal in ["KILL", "STOP"] {
        let cluster = Cluster::start(usual(), 3, false);
        for node in &cluster.nodes {
            node.say::<()>(&["CONFIG", "SET", "appendonly", "yes"]);
            node.say::<()>(&["CONFIG", "SET", "appendfsync", "always"]);
        }
        let redis = hasty(&cluster).await;
        let limits = limits(&cluster);
        let takes: Vec<Take> = limits.iter().map(|limit| take(limit, 10)).collect();
        let before = granted(&redis, &takes).await;
        match signal {
            "KILL" => cluster.nodes[0].kill(),
            _ => cluster.nodes[0].signal("STOP"),
        }
        let mut unchecked = Vec::new();
        let mut shut = false;
        while !shut || unchecked.len() < 20 {
            let grant = granted(&redis, &takes).await;
            assert_eq!(rows(&grant), [(Fit::Unchecked, 0), (Fit::Fits, 10), (Fit::Fits, 10)], "{signal}");
            unchecked.push(grant);
            let alone = redis.reserve(id(), &takes[..1]).await.expect_err("nobody answers");
            shut |= alone == Down::Shut;
            granted(&redis, &takes[1..]).await;
            assert_ne!(redis.state(), State::Down, "{signal}");
        }
        let others = granted(&redis, &takes[1..]).await;
        redis.settle(&[all(&others, 1)]).await.expect("what waits for one keeps nobody else waiting");
        let known = redis.peek(&takes).await.expect("two answer");
        assert_eq!(known.iter().map(|standing| standing.is_known()).collect::<Vec<_>>(), [false, true, true]);
        redis.settle_later(all(&before, 4));
        for grant in &unchecked {
            redis.settle_later(all(grant, 3));
        }
        match signal {
            "KILL" => cluster.nodes[0].resume(),
            _ => cluster.nodes[0].signal("CONT"),
        }
        until("it is ok", || redis.state() == State::Ok).await;
        assert!(redis.drain(PATIENCE).await);
        assert_eq!(redis.dropped(), 0, "{signal}");
        let count = u64::try_from(unchecked.len()).expect("few");
        assert_eq!(AMOUNT - left(&redis, &takes[0]).await, 4 + 3 * count, "{signal}");
        // What was granted alone stays as reserved, for it was not settled.
        assert_eq!(AMOUNT - left(&redis, &takes[1]).await, 4 + 3 * count + 10 * count + 1, "{signal}");
    }
}

/// It moves key by key while it is charged; then all commands go to its new master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_loses_no_charge() {
    let cluster = Cluster::start(usual(), 3, false);
    let limits = limits(&cluster);
    let redis = replica(&cluster, "weir").await;
    let takes: Vec<Take> = limits.iter().map(|limit| take(limit, 5)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (redis, takes, stop) = (redis.clone(), takes.clone(), Arc::clone(&stop));
        takers.spawn(async move {
            let mut count = 0;
            while !stop.load(Ordering::SeqCst) {
                let grant = granted(&redis, &takes).await;
                assert!(grant.taken.iter().all(|taken| taken.fit == Fit::Fits));
                redis.settle_later(all(&grant, 2));
                count += 1;
            }
            count
        });
    }
    let slot = cluster.slot(&takes[0].key);
    for (from, to) in [(0, 1), (1, 2)] {
        tokio::task::block_in_place(|| cluster.begin_move(slot, from, to));
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::task::block_in_place(|| cluster.end_move(slot, from, to));
        let calls = || cluster.nodes[to].say::<String>(&["INFO", "commandstats"]).contains("cmdstat_evalsha:");
        until("the new master is asked", calls).await;
    }
    stop.store(true, Ordering::SeqCst);
    let count: u64 = takers.join_all().await.iter().sum();
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((redis.dropped(), redis.state()), (0, State::Ok));
    for take in &takes {
        assert_eq!(AMOUNT - left(&redis, take).await, 2 * count);
    }
}

/// A command with one key is done where its slot is going, once the key is there.
#[tokio::test]
async fn a_heartbeat_follows_a_slot_on_its_way() {
    let cluster = Cluster::start(usual(), 3, false);
    let hold = Duration::from_millis(300);
    let terms = Terms { hold, ..Terms::default() };
    let redis = Redis::connect_with(options(&cluster, "weir"), terms).expect("usable options");
    let redis = ready(redis).await;
    let calls = on_each(&cluster, "calls", 5, Window::Held);
    let takes = [take(&calls[0], 1)];
    let grant = granted(&redis, &takes).await;
    let slot = cluster.slot(&takes[0].key);
    cluster.begin_move(slot, 0, 1);
    cluster.move_keys(slot, 0, 1);
    let asked = || cluster.nodes[1].say::<String>(&["INFO", "commandstats"]).contains("cmdstat_asking:");
    until("it is asked there", asked).await;
    // For longer than calls are held that are not heard of.
    tokio::time::sleep(3 * hold).await;
    cluster.end_move(slot, 0, 1);
    until("it is ok", || redis.state() == State::Ok).await;
    assert_eq!(left(&redis, &takes[0]).await, 4);
    redis.settle(&[all(&grant, 1)]).await.expect("the store answers");
    assert_eq!(left(&redis, &takes[0]).await, 5);
}

/// While nobody has a slot it is not asked, and what is settled waits for whoever has it next; other slots are as ever.
#[tokio::test]
async fn what_belongs_to_a_slot_without_a_server_waits() {
    let cluster = Cluster::start(usual(), 3, false);
    let redis = hasty(&cluster).await;
    let limits = limits(&cluster);
    let takes: Vec<Take> = limits.iter().map(|limit| take(limit, 10)).collect();
    let grant = granted(&redis, &takes[..1]).await;
    let slot = cluster.slot(&takes[0].key).to_string();
    // Its owner first, that the others do not hear of it again.
    let give_up = || cluster.nodes.iter().filter(|node| node.try_say::<()>(&["CLUSTER", "DELSLOTS", &slot]).is_ok());
    until("nobody has it", || give_up().count() == 0).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = redis.reserve(id(), &takes[..1]).await.expect_err("nobody has it");
        // No server is down.
        if answer == Down::Shut && redis.state() == State::Ok {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "in vain: {answer:?}");
        tokio::time::sleep(SHORT).await;
    }
    // Cancels of what was answered with an error.
    let waiting = redis.waiting();
    redis.settle_later(all(&grant, 4));
    for _ in 0..5 {
        granted(&redis, &takes[1..]).await;
    }
    assert_eq!((redis.waiting(), redis.dropped(), redis.state()), (waiting + 1, 0, State::Ok));
    cluster.nodes[0].say::<()>(&["CLUSTER", "ADDSLOTS", &slot]);
    assert!(redis.drain(PATIENCE).await, "its new owner is found");
    assert_eq!((AMOUNT - left(&redis, &takes[0]).await, redis.dropped()), (4, 0));
}

/// A replica takes over, with all that it was told.
#[tokio::test]
async fn a_replica_that_takes_over_is_found() {
    let cluster = Cluster::start(usual(), 3, true);
    let redis = hasty(&cluster).await;
    let limits = limits(&cluster);
    let takes: Vec<Take> = limits.iter().map(|limit| take(limit, 10)).collect();
    let grant = granted(&redis, &takes).await;
    let waits: u32 = cluster.nodes[0].say(&["WAIT", "1", "10000"]);
    assert_eq!(waits, 1, "it was told");
    cluster.nodes[0].kill();
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = redis.reserve(id(), &takes[..1]).await;
        if let Ok(answer) = answer {
            answer.expect("there is room");
            break;
        }
        assert!(tokio::time::Instant::now() < end, "in vain: {answer:?}");
        tokio::time::sleep(SHORT).await;
    }
    until("it is ok", || redis.state() == State::Ok).await;
    redis.settle(&[all(&grant, 4)]).await.expect("the store answers");
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(AMOUNT - left(&redis, &takes[0]).await, 4 + 10);
    assert_eq!(AMOUNT - left(&redis, &takes[1]).await, 4);
}
