//! A store whose memory comes to its end.

use weir::cache::Extent;

use super::*;

/// What no server compresses, nor Weir.
fn noise(seed: u8) -> Entry {
    let mut bytes = vec![0; 48 << 10];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    Entry { bytes: bytes.into(), stored: now(), ttl: HOUR }
}

fn bounded(policy: &str) -> Server {
    Server::start(crate::support::redis::usual(), &["--maxmemory", "4mb", "--maxmemory-policy", policy])
}

/// Who else needs the store, and must not evict, can still write to it.
#[tokio::test]
async fn a_quarter_is_left_to_others_where_nothing_leaves_by_itself() {
    let server = bounded("noeviction");
    let redis = replica(&server).await;
    let (mut number, end) = (0, Instant::now() + PATIENCE);
    while redis.tallies().dropped == 0 {
        number += 1;
        keep(&redis, &shop(), &key(number), &noise(number)).await;
        assert!(number < 250 && Instant::now() < end, "{number} are kept: {:?}", redis.tallies());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(number > 20, "only {number} fit");
    server.say::<()>(&["SET", "counter", &"1".repeat(64 << 10)]);
    // What was kept is still there, and what is no value still goes.
    assert!(redis.get(&shop(), &key(1)).await.is_some());
    let before = count(&server);
    server.say::<()>(&["SET", &only_of(&server), "nothing"]);
    for number in 1..number {
        redis.get(&shop(), &key(number)).await;
    }
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((redis.tallies().bad, count(&server)), (1, before - 1));
    // With room again more is kept.
    redis.forget(&Extent::All).await.expect("it is there");
    let end = Instant::now() + PATIENCE;
    loop {
        keep(&redis, &shop(), &key(0), &entry("again")).await;
        if redis.get(&shop(), &key(0)).await.is_some() {
            break;
        }
        assert!(Instant::now() < end, "{:?}", redis.tallies());
        sleep(Duration::from_millis(100)).await;
    }
}

/// Some key of an answer.
fn only_of(server: &Server) -> String {
    server.say::<Vec<String>>(&["KEYS", "weir:cache:*"]).swap_remove(0)
}

#[tokio::test]
async fn where_the_server_evicts_nothing_is_held_back() {
    let server = bounded("allkeys-lru");
    let redis = replica(&server).await;
    for number in 0..200 {
        keep(&redis, &shop(), &key(number), &noise(number)).await;
    }
    let tallies = redis.tallies();
    assert_eq!((tallies.dropped, tallies.written), (0, 200));
    assert!(count(&server) < 100);
}

/// A user that may not ask is served as before, and asks once.
#[tokio::test]
async fn who_may_not_ask_keeps_on() {
    let server = bounded("noeviction");
    let mut rights = secured::rights("weir", "weir");
    rights.retain(|right| right != "+info");
    server.say::<()>(&rights.iter().map(String::as_str).collect::<Vec<_>>());
    let redis = ready(secured::user(patient(server.url()).store)).await;
    let denied = || -> usize { server.say::<Vec<redis::Value>>(&["ACL", "LOG"]).len() };
    keep(&redis, &shop(), &key(1), &noise(1)).await;
    until("it was asked", || denied() == 1).await;
    for number in 2..20 {
        keep(&redis, &shop(), &key(number), &noise(number)).await;
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((redis.tallies().written, redis.tallies().dropped), (19, 0));
    // The same denial is one line of the log, with its count.
    let log = format!("{:?}", server.say::<redis::Value>(&["ACL", "LOG"]));
    assert!(log.contains("count") && !log.contains("int(2)"), "{log}");
}
