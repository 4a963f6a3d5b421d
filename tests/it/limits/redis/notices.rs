//! Notices: what replicas tell one another for a while, on one server and in a Cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir::limit::redis::notices::{LEAST, LIMIT, MOST};
use weir::limit::redis::{Down, Options, Redis};

use super::cluster;
use super::secured::{PASSWORD, rights};
use super::{patient, ready, replica, timed};
use crate::support::cluster::Cluster;
use crate::support::redis::Server;
use weir::base::secret::Secret;

const KEY: &str = "weir:{cooldowns}";
const NOW: u64 = 1_790_000_000_000_000;

fn notice(name: &str, time: Duration) -> (String, Duration) {
    (name.to_owned(), time)
}

fn seconds(name: &str, seconds: u64) -> (String, Duration) {
    notice(name, Duration::from_secs(seconds))
}

async fn heard(redis: &Redis, since: u64) -> Vec<(String, Duration)> {
    let mut notices = redis.listen(since).await.expect("the store answers").notices;
    notices.sort();
    notices
}

async fn version(redis: &Redis) -> u64 {
    redis.version().await.expect("the store answers").expect("there are notices")
}

#[tokio::test]
async fn what_one_tells_all_hear_until_it_ends_by_the_stores_clock() {
    let (server, clock) = (Server::new(), Arc::new(AtomicU64::new(NOW)));
    // Each has a clock that is wrong, in its own way.
    let (one, two) = (timed(&server, &clock, 3_000).await, timed(&server, &clock, -9).await);
    assert_eq!(two.version().await, Ok(None));
    one.tell(&[seconds("a", 5), seconds("b", 60)]).await.expect("the store answers");
    let first = version(&two).await;
    assert_eq!(heard(&two, 0).await, [seconds("a", 5), seconds("b", 60)]);
    assert_eq!(heard(&two, first).await, []);
    clock.fetch_add(5_000_000, Ordering::SeqCst);
    assert_eq!(heard(&two, 0).await, [seconds("b", 55)]);
    // Never shorter, and not longer by next to nothing: that is no news.
    one.tell(&[seconds("b", 9)]).await.expect("the store answers");
    one.tell(&[notice("b", Duration::from_secs(55) + LEAST / 2)]).await.expect("the store answers");
    one.tell(&[notice("c", LEAST / 2)]).await.expect("the store answers");
    assert_eq!((version(&two).await, heard(&two, 0).await), (first, vec![seconds("b", 55)]));
    two.tell(&[seconds("b", 70)]).await.expect("the store answers");
    let second = version(&one).await;
    assert!(second > first);
    assert_eq!(heard(&one, first).await, [seconds("b", 70)]);
    // No longer than anything may, whatever is said; and nothing stays behind for ever.
    one.tell(&[notice("endless", Duration::MAX)]).await.expect("the store answers");
    assert_eq!(heard(&two, second).await, [notice("endless", LIMIT)]);
    let left: i64 = server.say(&["PTTL", KEY]);
    assert!(left > 0 && u128::try_from(left).is_ok_and(|left| left <= LIMIT.as_millis()), "{left}");
}

#[tokio::test]
async fn of_too_many_those_that_end_last_are_kept() {
    let server = Server::new();
    let redis = replica(&server).await;
    let most = u64::try_from(MOST).expect("small");
    let flood = |from: u64, time: u64| (from..from + most).map(|n| seconds(&n.to_string(), time)).collect::<Vec<_>>();
    redis.tell(&flood(0, 100)).await.expect("the store answers");
    redis.tell(&[seconds("longer", 200)]).await.expect("the store answers");
    redis.tell(&flood(1_000, 50)).await.expect("the store answers");
    let kept = heard(&redis, 0).await;
    assert_eq!(kept.len(), MOST);
    assert!(kept.iter().any(|(name, _)| name == "longer"));
    assert!(kept.iter().all(|(name, _)| name == "longer" || name.parse::<u64>().is_ok_and(|n| n < most)));
    redis.tell(&flood(5_000, 300)).await.expect("the store answers");
    assert!(heard(&redis, 0).await.iter().all(|(name, _)| name.parse::<u64>().is_ok_and(|n| n >= 5_000)));
}

#[tokio::test]
async fn what_others_wrote_there_is_neither_believed_nor_kept() {
    let server = Server::new();
    let redis = replica(&server).await;
    redis.tell(&[seconds("good", 60)]).await.expect("the store answers");
    let before = version(&redis).await;
    let endless = format!("{} {}", u64::MAX, before + 1);
    for (name, value) in [("x", "y"), ("endless", &*endless), ("half", "1790000000000"), ("", "1 1"), ("nul\0", "-1 9")]
    {
        server.say::<()>(&["HSET", KEY, name, value]);
    }
    let names = |heard: Vec<(String, Duration)>| heard.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(heard(&redis, 0).await), ["good"]);
    // A version from the far future does not stop news.
    for forged in ["99999999999999999999", "9007199254740991", "-1", "soon", ""] {
        server.say::<()>(&["HSET", KEY, "v", forged]);
        let seen = redis.version().await;
        let other = format!("after {forged}");
        redis.tell(&[seconds(&other, 60)]).await.expect("the store answers");
        let after = version(&redis).await;
        assert!(after > before && seen != Ok(Some(after)), "{forged}: {seen:?}, then {after}");
        assert_eq!(names(heard(&redis, after - 1).await), std::slice::from_ref(&other));
        server.say::<()>(&["HDEL", KEY, &other]);
    }
    let kept: Vec<String> = server.say(&["HKEYS", KEY]);
    assert_eq!(kept.iter().filter(|name| !["v", "good"].contains(&name.as_str())).count(), 0, "{kept:?}");
    // What is no hash at all: nothing is shared, nothing else is hurt.
    server.say::<()>(&["SET", KEY, "mine"]);
    assert!(matches!(redis.version().await, Err(Down::Answer(_))));
    assert!(matches!(redis.listen(0).await, Err(Down::Answer(_))));
    assert!(matches!(redis.tell(&[seconds("a", 9)]).await, Err(Down::Answer(_))));
    assert_eq!(redis.state(), weir::limit::redis::State::Ok);
}

#[tokio::test]
async fn the_rights_that_limits_need_are_enough() {
    let server = Server::new();
    server.say::<()>(&rights("weir", "weir").iter().map(String::as_str).collect::<Vec<_>>());
    let (username, password) = (Some("weir".into()), Some(Secret::new(PASSWORD)));
    let options = Options { username, password, ..patient(server.url()) };
    let redis = ready(Redis::connect(options).expect("usable options")).await;
    redis.tell(&[seconds("a", 60)]).await.expect("the store answers");
    assert_eq!(heard(&redis, 0).await.len(), 1);
    assert!(version(&redis).await > 0);
}

#[tokio::test]
async fn a_cluster_has_them_on_one_server() {
    let (cluster, prefix) = (Cluster::shared(), cluster::prefix());
    let (one, two) = (cluster::replica(cluster, &prefix).await, cluster::replica(cluster, &prefix).await);
    assert_eq!(two.version().await, Ok(None));
    one.tell(&[seconds("a", 60)]).await.expect("the store answers");
    let names: Vec<String> = heard(&two, 0).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(version(&two).await, version(&one).await);
}
