//! What is kept is found, for as long as it may be, and says nothing to who looks at the store.

use std::path::Path;
use std::time::Duration;

use weir::cache::Entry;
use weir::cache::redis::{Options, Redis};
use weir::store;

use super::*;
use crate::support::redis::{packaged, usual};

#[tokio::test]
async fn what_one_replica_keeps_another_finds() {
    for binary in [usual(), packaged()] {
        let server = Server::start(binary, &[]);
        let (one, two) = (replica(&server).await, replica(&server).await);
        assert_eq!(two.get(&shop(), &key(1)).await, None);
        for text in ["", "short", &CANARY.repeat(10_000)] {
            let kept = entry(text);
            keep(&one, &shop(), &key(1), &kept).await;
            assert_eq!(two.get(&shop(), &key(1)).await, Some(kept), "{}", text.len());
        }
        for (elsewhere, other) in [(place("shop", 2), key(1)), (place("sho", 1), key(1)), (shop(), key(2))] {
            assert_eq!(two.get(&elsewhere, &other).await, None, "{elsewhere:?}");
        }
        let (wrote, read) = (one.tallies(), two.tallies());
        assert_eq!((wrote.written, wrote.dropped, wrote.bad), (3, 0, 0));
        assert_eq!((read.hits, read.misses, read.failed, read.bad), (3, 4, 0, 0));
        assert_eq!(read.bytes_read, wrote.bytes_written);
        // Text that repeats itself is kept in a hundredth of its size.
        assert!(wrote.bytes_written < 10_000, "{}", wrote.bytes_written);
    }
}

/// The store ends it, on its own clock; what it does not end is not read either, and removed.
#[tokio::test]
async fn an_answer_ends() {
    let server = Server::new();
    let redis = replica(&server).await;
    let short = Entry { ttl: Duration::from_secs(1), ..entry("short") };
    keep(&redis, &shop(), &key(1), &entry("long")).await;
    let left: i64 = server.say(&["PTTL", &only(&server)]);
    assert!((HOUR.as_millis() as i64 - 60_000..=HOUR.as_millis() as i64).contains(&left), "{left}");
    keep(&redis, &shop(), &key(2), &short).await;
    until("the store has ended it", || count(&server) == 1).await;
    assert_eq!(redis.get(&shop(), &key(2)).await, None);
    server.say::<()>(&["UNLINK", &only(&server)]);
    keep(&redis, &shop(), &key(3), &Entry { stored: now(), ..short.clone() }).await;
    let name = only(&server);
    server.say::<()>(&["PERSIST", &name]);
    until("its time is over", || now() > short.stored + 5).await;
    assert_eq!(redis.get(&shop(), &key(3)).await, None);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((count(&server), redis.tallies().bad), (0, 0));
    keep(&redis, &shop(), &key(4), &Entry { stored: now() - 3_601, ..entry("over") }).await;
    assert_eq!((count(&server), redis.tallies().dropped), (0, 1));
}

/// Nothing of it is in any value, any name or the dump of all of it on the disk.
#[tokio::test]
async fn who_looks_at_the_store_sees_nothing() {
    let server = Server::new();
    let redis = replica(&server).await;
    // What is short is not compressed, so that only the seal hides it.
    keep(&redis, &place("shop", 0x5a), &key(0x5b), &entry(CANARY)).await;
    redis.add(&shop(), &key(9), vector(8, CANARY));
    assert!(redis.drain(PATIENCE).await);
    let seen = everything(&server);
    assert!(seen.len() > CANARY.len() + 384 * 4, "there is something to look at");
    let sights =
        [CANARY.as_bytes(), &CANARY.as_bytes()[..12], &[0x5a; 8], &[0x5b; 8], &0.25_f32.to_le_bytes().repeat(3)];
    for sight in sights {
        assert!(!seen.windows(sight.len()).any(|part| part == sight), "{sight:?}");
    }
    // One that does not seal shows that this would have been found.
    let store = store::Options { timeout: PATIENCE, ..store::Options::new(server.url()) };
    let plain = ready(Options::new(store, AtRest::Plain)).await;
    keep(&plain, &shop(), &key(2), &entry(CANARY)).await;
    let seen = everything(&server);
    assert!(seen.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
    assert_eq!(plain.get(&shop(), &key(2)).await.map(|entry| entry.bytes), Some(CANARY.into()));
}

/// The dump that the server writes, without compression, and every name.
fn everything(server: &Server) -> Vec<u8> {
    server.say::<()>(&["CONFIG", "SET", "rdbcompression", "no"]);
    server.say::<()>(&["SAVE"]);
    let directory: Vec<String> = server.say(&["CONFIG", "GET", "dir"]);
    std::fs::read(Path::new(&directory[1]).join("dump.rdb")).expect("a dump")
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let server = Server::new();
    let redis = ready(Options { max_entry: 1_000, ..patient(server.url()) }).await;
    let sized = |bytes: usize| Entry { bytes: vec![7; bytes].into(), ..entry("") };
    redis.put(&shop(), &key(1), sized(1_001));
    keep(&redis, &shop(), &key(2), &sized(1_000)).await;
    assert_eq!((redis.get(&shop(), &key(1)).await, count(&server)), (None, 1));
    assert_eq!(redis.get(&shop(), &key(2)).await, Some(sized(1_000)));
    let tallies = redis.tallies();
    assert_eq!((tallies.written, tallies.dropped), (1, 1));
    // One who may keep more has kept more.
    let large = replica(&server).await;
    let noise: Vec<u8> = (0..4_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    keep(&large, &shop(), &key(3), &Entry { bytes: noise.into(), ..entry("") }).await;
    keep(&large, &shop(), &key(4), &sized(100_000)).await;
    for number in [3, 4] {
        assert_eq!(redis.get(&shop(), &key(number)).await, None, "{number}");
    }
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((redis.tallies().bad, count(&server)), (2, 1));
}

/// Written at once from many tasks, and read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_kept_and_found() {
    let server = Server::new();
    let redis = replica(&server).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let redis: Redis = redis.clone();
        tasks.spawn(async move { redis.put(&shop(), &key(number), entry(&format!("answer {number}"))) });
    }
    tasks.join_all().await;
    assert!(redis.drain(PATIENCE).await);
    for number in 0..200 {
        let found = redis.get(&shop(), &key(number)).await.expect("it is kept");
        assert_eq!(found.bytes, format!("answer {number}"));
    }
    assert_eq!((redis.tallies().written, redis.tallies().dropped), (200, 0));
}
