//! A Cluster: each answer is where its own slot is. And a master that Sentinels replace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use weir::cache::Extent;
use weir::cache::redis::{Options, Redis};
use weir::store::{self, Down};

use super::secured::{everything, rights, user};
use super::*;
use crate::support::cluster::{Cluster, Node};
use crate::support::redis::usual;

const SHORT: Duration = Duration::from_millis(100);

/// Another prefix each time: the Cluster is shared.
fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("cache{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn store(cluster: &Cluster, prefix: String) -> store::Options {
    store::Options { urls: cluster.urls(), prefix, timeout: PATIENCE, ..store::Options::new("") }
}

fn keys(cluster: &Cluster, prefix: &str) -> Vec<usize> {
    let on = |node: &Node| node.say::<Vec<String>>(&["KEYS", &format!("{prefix}:cache:*")]).len();
    cluster.nodes.iter().map(on).collect()
}

async fn fill(redis: &Redis, count: u8) {
    for number in 0..count {
        redis.put(&shop(), &key(number), entry(&format!("answer {number}")));
    }
    assert!(redis.drain(PATIENCE).await);
}

#[tokio::test]
async fn answers_are_on_all_masters_and_are_forgotten_on_all() {
    let cluster = Cluster::shared();
    let prefix = prefix();
    let redis = ready(Options::new(store(cluster, prefix.clone()), sealed(1))).await;
    fill(&redis, 60).await;
    redis.put(&place("shopping", 1), &key(1), entry("another"));
    let counts = keys(cluster, &prefix);
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
    for number in 0..60 {
        let found = redis.get(&shop(), &key(number)).await.expect("it is kept");
        assert_eq!(found.bytes, format!("answer {number}"));
    }
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(redis.forget(&Extent::Namespace("shop".into())).await, Ok(60));
    assert_eq!(keys(cluster, &prefix).iter().sum::<usize>(), 1);
    let tallies = redis.tallies();
    assert_eq!((tallies.written, tallies.hits, tallies.failed, tallies.dropped), (61, 60, 0, 0));
}

#[tokio::test]
async fn the_rights_that_are_named_are_enough_for_a_cluster() {
    let cluster = Cluster::shared();
    let prefix = prefix();
    for node in &cluster.nodes {
        node.say::<()>(&rights(&prefix, &prefix).iter().map(String::as_str).collect::<Vec<_>>());
    }
    let options = user(store(cluster, prefix.clone()));
    let store = store::Options { username: Some(prefix), ..options.store.clone() };
    everything(&ready(Options { store, ..options }).await).await;
}

/// A slot goes to another master while answers are read and written.
#[tokio::test]
async fn an_answer_follows_its_slot() {
    let cluster = Cluster::start(usual(), 3, false);
    let redis = ready(Options::new(store(&cluster, "weir".into()), sealed(1))).await;
    fill(&redis, 1).await;
    let names: Vec<String> =
        cluster.nodes.iter().flat_map(|node| node.say::<Vec<String>>(&["KEYS", "weir:cache:*"])).collect();
    let slot: u16 = cluster.nodes[0].say(&["CLUSTER", "KEYSLOT", &names[0]]);
    let from = cluster.owner(slot);
    let to = (from + 1) % 3;
    cluster.begin_move(slot, from, to);
    assert!(redis.get(&shop(), &key(0)).await.is_some());
    cluster.move_keys(slot, from, to);
    assert!(redis.get(&shop(), &key(0)).await.is_some());
    cluster.end_move(slot, from, to);
    keep(&redis, &shop(), &key(0), &entry("moved")).await;
    assert_eq!(redis.get(&shop(), &key(0)).await.map(|entry| entry.bytes), Some("moved".into()));
    assert_eq!(redis.forget(&Extent::All).await, Ok(1));
    assert_eq!((redis.tallies().failed, redis.tallies().dropped), (0, 0));
}

/// One master stopped: what is on the others is found, and forgetting says that not all is done.
#[tokio::test]
async fn a_master_that_is_away_takes_only_its_own_answers() {
    let cluster = Cluster::start(usual(), 3, false);
    let options = Options::new(store::Options { timeout: SHORT, ..store(&cluster, "weir".into()) }, sealed(1));
    let redis = ready(options).await;
    let end = Instant::now() + PATIENCE;
    while keys(&cluster, "weir").iter().sum::<usize>() < 60 {
        fill(&redis, 60).await;
        assert!(Instant::now() < end);
    }
    let counts = keys(&cluster, "weir");
    // Not the one that is told what is forgotten.
    let away = (cluster.owner(cluster.slot("cache")) + 1) % 3;
    let others = counts.iter().sum::<usize>() - counts[away];
    cluster.nodes[away].signal("STOP");
    let end = Instant::now() + PATIENCE;
    loop {
        let mut found = 0;
        for number in 0..60 {
            found += usize::from(redis.get(&shop(), &key(number)).await.is_some());
        }
        assert!(found <= others && Instant::now() < end, "{found}");
        if found == others && redis.state() == State::Degraded {
            break;
        }
    }
    assert!(redis.forget(&Extent::All).await.is_err());
    cluster.nodes[away].signal("CONT");
    until("it is ok", || redis.state() == State::Ok).await;
    // What was said holds, though not all was removed.
    assert!(keys(&cluster, "weir")[away] > 0);
    let heard = Arc::new(AtomicBool::new(false));
    let on_forget = {
        let heard = Arc::clone(&heard);
        Arc::new(move |_: &Extent| heard.store(true, Ordering::Relaxed))
    };
    let other = ready(Options { on_forget, ..Options::new(store(&cluster, "weir".into()), sealed(1)) }).await;
    until("it hears what was forgotten before it began", || heard.load(Ordering::Relaxed)).await;
    for number in 0..60 {
        assert_eq!(redis.get(&shop(), &key(number)).await, None);
        assert_eq!(other.get(&shop(), &key(number)).await, None);
    }
    assert_eq!((other.tallies().misses, other.tallies().failed), (60, 0));
}

/// The master that takes the place of a killed one is asked.
#[tokio::test]
async fn a_failover_is_followed() {
    let master = Node::start(usual(), &["--repl-diskless-sync-delay", "0"]);
    let replica = Node::start(usual(), &["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let up = || replica.say::<String>(&["INFO", "replication"]).contains("master_link_status:up");
    until("it follows", up).await;
    let sentinel = Node::sentinel(master.port, 1, 500, "");
    let knows = || sentinel.say::<Vec<String>>(&["SENTINEL", "MASTER", "mymaster"]).join(",").contains("num-slaves,1");
    until("it knows both", knows).await;
    let urls = vec![format!("redis+sentinel://127.0.0.1:{}/mymaster", sentinel.port)];
    let store = store::Options { urls, timeout: SHORT, ..store::Options::new("") };
    let redis = ready(Options::new(store, sealed(1))).await;
    let end = Instant::now() + PATIENCE;
    while redis.get(&shop(), &key(1)).await.is_none() {
        keep(&redis, &shop(), &key(1), &entry("kept")).await;
        assert!(Instant::now() < end);
    }
    until("the other one has it", || !replica.say::<Vec<String>>(&["KEYS", "weir:cache:*"]).is_empty()).await;
    master.kill();
    let end = Instant::now() + PATIENCE;
    while redis.state() != State::Down {
        assert!(Instant::now() < end && redis.get(&shop(), &key(1)).await.is_none());
    }
    assert_eq!(redis.forget(&Extent::All).await, Err(Down::Shut));
    until("the other one is asked", || redis.state() == State::Ok).await;
    finds(&redis, 1, "kept").await;
}
