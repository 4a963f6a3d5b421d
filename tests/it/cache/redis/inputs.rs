//! Vectors of inputs, looked for many at a time: what is there is found in its place among them, no more is read than is
//! wanted, and what is none goes without harm to the others.

use std::time::Duration;

use redis::Value;
use weir::cache::redis::{LARGEST, Options, Redis, Tallies};
use weir::cache::{Entry, Extent, Key};
use weir::store;

use super::*;
use crate::support::cluster::Cluster;
use crate::support::redis_proxy::{Proxy, Replies};

const ROOM: usize = 64 << 20;

fn keys(count: u32) -> Vec<Key> {
    (0..count).map(|number| Key(*blake3::hash(&number.to_le_bytes()).as_bytes())).collect()
}

/// What does not become smaller, another one for each number.
fn noise(number: u32, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut noise);
    noise
}

fn kept(number: u32, bytes: usize) -> Entry {
    Entry { bytes: noise(number, bytes).into(), ..entry("") }
}

/// Keeps these, each under its own key, and waits until that is done.
async fn keep_each(redis: &Redis, entries: impl IntoIterator<Item = (u32, Entry)>) {
    let keys = keys(4_096);
    for (number, entry) in entries {
        redis.put_input(&shop(), &keys[number as usize], entry);
    }
    assert!(redis.drain(PATIENCE).await);
}

/// What is there, as it was kept.
async fn all_of(redis: &Redis, keys: &[Key], room: usize) -> Vec<Option<Entry>> {
    let found = redis.get_each(&shop(), keys, room, |entry| Some(entry.bytes.len())).await;
    assert_eq!(found.len(), keys.len());
    let checked = found.into_iter().map(|found| {
        let (entry, length) = found?;
        assert_eq!(entry.bytes.len(), length);
        Some(entry)
    });
    checked.collect()
}

#[tokio::test]
async fn what_one_replica_keeps_of_a_call_another_finds() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    assert_eq!(all_of(&two, &keys(2_048), ROOM).await, vec![None; 2_048]);
    // All but each third, some of them larger than what is read at first.
    let sized = |number: u32| if number.is_multiple_of(512) { 200_000 } else { 4_000 };
    let entries: Vec<(u32, Entry)> =
        (0..2_048).filter(|number| number % 3 != 0).map(|number| (number, kept(number, sized(number)))).collect();
    keep_each(&one, entries.clone()).await;
    let found = all_of(&two, &keys(2_048), ROOM).await;
    let mut expected = vec![None; 2_048];
    entries.iter().for_each(|(number, entry)| expected[*number as usize] = Some(entry.clone()));
    assert!(found == expected, "{} of {}", found.iter().flatten().count(), entries.len());
    assert_eq!(two.get_each(&place("shop", 2), &keys(9), ROOM, |_| Some(())).await, vec![None; 9], "another's place");
    let (wrote, read) = (one.tallies(), two.tallies());
    assert_eq!((wrote.written, wrote.dropped), (entries.len() as u64, 0));
    assert_eq!((read.hits, read.misses, read.failed, read.bad), (1, 2, 0, 0), "a look each");
    assert_eq!(read.bytes_read, wrote.bytes_written);
}

#[tokio::test]
async fn no_more_is_read_than_there_is_room_for() {
    let server = Server::new();
    let redis = replica(&server).await;
    keep_each(&redis, (0..1_000).map(|number| (number, kept(number, 10_000)))).await;
    let found = all_of(&redis, &keys(1_000), 100_000).await.iter().flatten().count();
    assert_eq!(found, 10);
    let turn = 4 << 20;
    assert!(redis.tallies().bytes_read < turn, "{:?}", redis.tallies());
    // What is compressed may become a thousand times as large.
    let large = |number| (number, Entry { bytes: vec![7; 200_000].into(), ..entry("") });
    keep_each(&redis, (0..1_000).map(large)).await;
    let found = all_of(&redis, &keys(1_000), 1 << 20).await;
    assert_eq!(found.iter().flatten().count(), 6);
    assert!(all_of(&redis, &keys(9), 0).await.iter().all(Option::is_none));
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let server = Server::new();
    let redis = replica(&server).await;
    keep_each(&redis, [(1, kept(1, LARGEST)), (2, kept(2, LARGEST + 1))]).await;
    assert_eq!((redis.tallies().written, redis.tallies().dropped), (1, 1));
    let found = all_of(&redis, &keys(3), ROOM).await;
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
}

/// Spoilt, moved, of another kind or no vector: each is nothing and goes, and the others are found.
#[tokio::test]
async fn what_is_no_value_is_nothing_and_goes() {
    let server = Server::new();
    let redis = replica(&server).await;
    let entries: Vec<(u32, Entry)> = (0..12).map(|number| (number, kept(number, 1_000))).collect();
    let (mut names, mut values): (Vec<String>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for (number, entry) in &entries {
        keep_each(&redis, [(*number, entry.clone())]).await;
        let all: Vec<String> = server.say(&["KEYS", "weir:cache:*"]);
        names.extend(all.into_iter().find(|name| !names.contains(name)));
        values.push(server.say(&["GET", &names[*number as usize]]));
    }
    let mut spoilt = values[0].clone();
    *spoilt.last_mut().expect("it is not empty") ^= 1;
    for (number, bytes) in [(0, &spoilt), (2, &values[1]), (3, &vec![b'x'; 1 << 20]), (4, &b"another's".to_vec())] {
        say_bytes(&server, &["SET", &names[number]], bytes);
    }
    server.say::<Value>(&["UNLINK", &names[5]]);
    server.say::<Value>(&["HSET", &names[5], "a", "b"]);
    let is_vector: fn(&Entry) -> Option<()> = |entry| (entry.bytes != noise(6, 1_000)).then_some(());
    let found = redis.get_each(&shop(), &keys(13), ROOM, is_vector).await;
    let there: Vec<usize> = found.iter().enumerate().filter(|(_, found)| found.is_some()).map(|(at, _)| at).collect();
    assert_eq!(there, [1, 7, 8, 9, 10, 11]);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((redis.tallies().bad, count(&server)), (6, 6));
    assert_eq!(redis.state(), State::Ok, "none of it speaks against the store");
}

#[tokio::test]
async fn what_is_over_or_forgotten_is_not_found() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    keep_each(&one, [(1, kept(1, 100)), (2, Entry { ttl: Duration::from_secs(1), ..kept(2, 100) })]).await;
    // The store does not end it.
    for name in server.say::<Vec<String>>(&["KEYS", "weir:cache:*"]) {
        server.say::<()>(&["PERSIST", &name]);
    }
    let begun = now();
    until("its time is over", || now() > begun + 2).await;
    let found = all_of(&one, &keys(3), ROOM).await;
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    assert!(one.drain(PATIENCE).await);
    assert_eq!((count(&server), one.tallies().bad), (1, 0));
    assert_eq!(two.forget(&Extent::Place(shop())).await, Ok(1));
    // What was stored before that and is written only now is read by nobody who has heard of it.
    assert_eq!(all_of(&two, &keys(3), ROOM).await, [None, None, None]);
    two.put_input(&shop(), &keys(2)[1], Entry { stored: begun, ..kept(1, 100) });
    assert!(two.drain(PATIENCE).await);
    assert_eq!((count(&server), two.tallies().dropped), (0, 1));
}

/// A store that stops in the middle of a look keeps nobody waiting, and is found again.
#[tokio::test]
async fn a_bad_store_is_a_miss() {
    let short = Duration::from_millis(50);
    let mut server = Server::new();
    let proxy = Proxy::new(server.socket(), None).await;
    let hasty = store::Options { timeout: short, ..store::Options::new(proxy.url()) };
    let redis = ready(Options::new(hasty, sealed(1))).await;
    let look = async || {
        let (keys, shop) = (keys(1_000), shop());
        let look = redis.get_each(&shop, &keys, ROOM, |entry| Some(entry.bytes.len()));
        let found = tokio::time::timeout(PATIENCE, look).await.expect("a look ends in its time");
        found.iter().flatten().filter(|(entry, length)| entry.bytes.len() == *length).count()
    };
    let is_back = async || {
        until("it is ok", || redis.state() == State::Ok).await;
        let end = Instant::now() + PATIENCE;
        while look().await == 0 {
            // A late write is dropped.
            keep_each(&redis, (0..1_000).map(|number| (number, kept(number, 1_000)))).await;
            assert!(Instant::now() < end, "{redis:?} {:?}", redis.tallies());
        }
    };
    is_back().await;
    for trouble in [Replies::Slow(short * 4), Replies::Lost, Replies::Broken] {
        let Tallies { failed, .. } = redis.tallies();
        let end = Instant::now() + PATIENCE;
        while redis.tallies().failed == failed {
            // It may have met something else than a look.
            proxy.set(trouble);
            look().await;
            assert!(Instant::now() < end, "{trouble:?}");
            // What breaks off is asked for once more, and may well be answered.
            if trouble == Replies::Broken {
                break;
            }
        }
        proxy.set(Replies::Pass);
        proxy.cut();
        is_back().await;
    }
    server.kill();
    until("it is down", || redis.state() == State::Down).await;
    let before = redis.tallies();
    assert_eq!(look().await, 0);
    redis.put_input(&shop(), &keys(1)[0], kept(0, 10));
    let after = redis.tallies();
    assert_eq!((after.failed - before.failed, after.dropped - before.dropped), (1, 1));
    server.resume();
    is_back().await;
}

/// Each is wherever its own slot is, and a master that is away takes its own with it alone.
#[tokio::test]
async fn they_are_on_all_masters_of_a_cluster() {
    let cluster = Cluster::shared();
    let store =
        store::Options { urls: cluster.urls(), prefix: "inputs".into(), timeout: PATIENCE, ..store::Options::new("") };
    let redis = ready(Options::new(store, sealed(1))).await;
    keep_each(&redis, (0..300).map(|number| (number, kept(number, 1_000)))).await;
    let counts: Vec<usize> =
        cluster.nodes.iter().map(|node| node.say::<Vec<String>>(&["KEYS", "inputs:cache:*"]).len()).collect();
    assert!(counts.iter().filter(|count| **count > 50).count() >= 3, "{counts:?}");
    let found = all_of(&redis, &keys(301), ROOM).await;
    for (number, found) in (0..300).zip(&found) {
        assert_eq!(found.as_ref().map(|entry| &entry.bytes[..]), Some(&noise(number, 1_000)[..]), "{number}");
    }
    assert_eq!((found[300].is_none(), redis.tallies().hits, redis.tallies().failed), (true, 1, 0));
}
