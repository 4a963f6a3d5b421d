//! The suite over a Cluster of three masters, and what only a Cluster has: takes in several slots.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use weir::limit::redis::{Options, Redis, State, Terms};
use weir::limit::take::Take;
use weir::limit::window::Window;
use weir::limit::{Limit, Unit};

use super::super::random::{self, Clocks};
use super::behaves::Counted;
use super::secured::{PASSWORD, rights};
use super::{MINUTE, PATIENCE, all, granted, id, left, limit, patient, ready, refused, take, until};
use crate::support::cluster::Cluster;
use crate::support::redis::packaged;
use weir::base::secret::Secret;

/// Another prefix each time: the Cluster is shared.
pub(super) fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("weir{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn options(cluster: &Cluster, prefix: &str) -> Options {
    Options { urls: cluster.urls(), prefix: prefix.to_owned(), ..patient(String::new()) }
}

pub(super) async fn replica(cluster: &Cluster, prefix: &str) -> Redis {
    ready(Redis::connect(options(cluster, prefix)).expect("usable options")).await
}

/// A limit on each of the masters, `name` in its id.
pub(super) fn on_each(cluster: &Cluster, name: &str, amount: u64, window: Window) -> Vec<std::sync::Arc<Limit>> {
    (0..3)
        .map(|owner| {
            let on = |number: &u64| cluster.owner(cluster.slot(&format!("{name}/{number}|search|gpt"))) == owner;
            let number = (0..).find(on).expect("every master has slots");
            limit(&format!("{name}/{number}"), Unit::Requests, amount, window.clone())
        })
        .collect()
}

async fn counted() -> Counted {
    // Not all of them: the rest is found.
    let urls = Cluster::shared().urls()[1..].to_vec();
    Counted::at(urls, &prefix()).await
}

mod on_three {
    use super::counted;

    behaviours!(counted());
}

#[test]
fn any_interleaving_is_as_if_added_up_by_hand() {
    let cluster = Cluster::shared();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() };
    let played = TestRunner::new(config).run(&random::script(Clocks::Together), |script| {
        runtime.block_on(async { random::follow(&Counted::at(cluster.urls(), &prefix()).await, &script).await });
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A managed Cluster has one address.
#[tokio::test]
async fn one_url_is_enough_where_it_is_of_a_cluster() {
    let cluster = Cluster::shared();
    for url in cluster.urls() {
        let options = Options { prefix: prefix(), ..patient(url) };
        let redis = ready(Redis::connect(options).expect("usable options")).await;
        let takes: Vec<Take> = on_each(cluster, "one", 5, MINUTE).iter().map(|limit| take(limit, 2)).collect();
        let grant = granted(&redis, &takes).await;
        redis.settle(&[all(&grant, 4)]).await.expect("the store answers");
        for take in &takes {
            assert_eq!(left(&redis, take).await, 1);
        }
    }
}

/// Each is refused by another master: nothing stays taken, and the one that waits longest is told.
#[tokio::test]
async fn what_one_master_refuses_is_given_back_by_the_others() {
    let cluster = Cluster::shared();
    let redis = replica(cluster, &prefix()).await;
    let limits = on_each(cluster, "all", 10, MINUTE);
    let with = |amounts: [u64; 3]| -> Vec<Take> {
        limits.iter().zip(amounts).map(|(limit, amount)| take(limit, amount)).collect()
    };
    granted(&redis, &with([3, 4, 5])).await;
    for (amounts, tightest) in [([8, 1, 1], 0), ([1, 7, 1], 1), ([1, 1, 11], 2), ([8, 7, 11], 2)] {
        let answer = refused(&redis, &with(amounts)).await;
        assert_eq!((answer.take, answer.wait.is_none()), (tightest, amounts[2] == 11), "{amounts:?}");
        let told: Vec<u64> = answer.standings.iter().map(|standing| standing.left).collect();
        assert_eq!(told, [7, 6, 5], "{amounts:?}");
        assert!(redis.drain(PATIENCE).await);
        for (limit, still) in limits.iter().zip([7, 6, 5]) {
            assert_eq!(left(&redis, &take(limit, 1)).await, still, "{amounts:?}");
        }
    }
    assert_eq!(redis.dropped(), 0);
}

/// Asked again under the same id, every slot gives what it gave.
#[tokio::test]
async fn a_grant_over_slots_is_given_once_and_settled_once() {
    let cluster = Cluster::shared();
    let prefix = prefix();
    let (one, two) = (replica(cluster, &prefix).await, replica(cluster, &prefix).await);
    let mut takes: Vec<Take> = on_each(cluster, "once", 10, MINUTE).iter().map(|limit| take(limit, 2)).collect();
    takes.extend(on_each(cluster, "calls", 10, Window::Held).iter().map(|limit| take(limit, 1)));
    takes.swap(1, 4);
    let id = id();
    let grant = one.reserve(id, &takes).await.expect("the store answers").expect("it fits");
    for replica in [&two, &one] {
        assert_eq!(replica.reserve(id, &takes).await.expect("the store answers"), Ok(grant.clone()));
    }
    for _ in 0..2 {
        two.settle(&[all(&grant, 5)]).await.expect("the store answers");
        for take in &takes {
            let expected = if take.limit.window == Window::Held { 10 } else { 5 };
            assert_eq!(left(&one, take).await, expected);
        }
    }
    one.cancel(id, &takes).await.expect("the store answers");
    assert!(matches!(one.reserve(id, &takes).await, Err(weir::limit::redis::Down::Over)));
}

/// Through two replicas many ask for all limits at once, each with other amounts; some give back in the end. Never is
/// more taken than there is, and what nobody was granted is not left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_takers_over_slots_take_no_more_than_there_is() {
    let cluster = Cluster::shared();
    let prefix = prefix();
    let replicas = [replica(cluster, &prefix).await, replica(cluster, &prefix).await];
    let hour = Window::Rolling(Duration::from_secs(3_600));
    let limits = on_each(cluster, "many", 400, hour);
    let mut takers = tokio::task::JoinSet::new();
    for taker in 0..48_u64 {
        let replica = replicas[usize::from(taker % 2 == 0)].clone();
        let amounts = [1 + taker % 5, 1 + taker % 7, 1 + taker % 3];
        let takes: Vec<Take> = limits.iter().zip(amounts).map(|(limit, amount)| take(limit, amount)).collect();
        takers.spawn(async move {
            let mut sums = [0; 3];
            for round in 0..12 {
                let Ok(grant) = replica.reserve(id(), &takes).await.expect("the store answers") else { continue };
                let kept = u64::from(round % 2 == 0);
                replica.settle(&[all(&grant, kept)]).await.expect("the store answers");
                sums.iter_mut().for_each(|sum| *sum += kept);
            }
            sums
        });
    }
    let sums = takers.join_all().await;
    for replica in &replicas {
        assert!(replica.drain(PATIENCE).await);
        assert_eq!((replica.dropped(), replica.state()), (0, State::Ok));
    }
    for (at, limit) in limits.iter().enumerate() {
        let spent: u64 = sums.iter().map(|sum| sum[at]).sum();
        assert!(spent <= 400, "{spent}");
        assert_eq!(left(&replicas[0], &take(limit, 1)).await, 400 - spent, "nothing is left over of denials");
    }
}

/// As many as fit are granted in the end, though some were denied early.
#[tokio::test]
async fn denials_leave_all_of_it_to_the_next() {
    let cluster = Cluster::shared();
    let redis = replica(cluster, &prefix()).await;
    let limits = on_each(cluster, "next", 10, MINUTE);
    let small = take(&limits[0], 10);
    for _ in 0..20 {
        refused(&redis, &[take(&limits[1], 10), take(&limits[0], 11)]).await;
    }
    assert!(redis.drain(PATIENCE).await);
    granted(&redis, &[take(&limits[1], 10), small]).await;
}

/// One master forgets its scripts, or all of them do.
#[tokio::test]
async fn scripts_are_told_again_to_who_forgot_them() {
    let cluster = Cluster::start(packaged(), 3, false);
    let redis = replica(&cluster, "weir").await;
    let limits = on_each(&cluster, "script", 10, MINUTE);
    let takes: Vec<Take> = limits.iter().map(|limit| take(limit, 1)).collect();
    for nodes in [&cluster.nodes[1..2], &cluster.nodes[..]] {
        for node in nodes {
            node.say::<()>(&["SCRIPT", "FLUSH"]);
        }
        let grant = granted(&redis, &takes).await;
        for node in nodes {
            node.say::<()>(&["SCRIPT", "FLUSH"]);
        }
        redis.settle(&[all(&grant, 0)]).await.expect("the store answers");
        assert_eq!(left(&redis, &takes[1]).await, 10);
    }
    assert_eq!((redis.state(), redis.dropped()), (State::Ok, 0));
}

#[tokio::test]
async fn the_rights_that_are_named_are_enough_for_a_cluster() {
    let cluster = Cluster::shared();
    let prefix = prefix();
    for node in &cluster.nodes {
        let rights = rights(&prefix, &prefix);
        node.say::<()>(&rights.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let (username, password) = (Some(prefix.clone()), Some(Secret::new(PASSWORD)));
    let hold = Duration::from_millis(60);
    let options = Options { username, password, ..options(cluster, &prefix) };
    let terms = Terms { hold, ..Terms::default() };
    let redis = ready(Redis::connect_with(options.clone(), terms).expect("usable options")).await;
    let mut takes: Vec<Take> = on_each(cluster, "acl", 10, MINUTE).iter().map(|limit| take(limit, 2)).collect();
    takes.extend(on_each(cluster, "acl", 10, Window::Held).iter().map(|limit| take(limit, 1)));
    let grant = granted(&redis, &takes).await;
    tokio::time::sleep(4 * hold).await;
    redis.settle(&[all(&grant, 1)]).await.expect("the store answers");
    redis.cancel(id(), &takes).await.expect("the store answers");
    assert_eq!((left(&redis, &takes[1]).await, redis.state(), redis.dropped()), (9, State::Ok, 0));
    let other = Redis::connect(Options { prefix: "another".into(), ..options }).expect("usable options");
    until("it is down", || other.state() == State::Down).await;
}
