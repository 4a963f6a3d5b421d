//! Vectors of one fingerprint: bounded, in order, and ended each in its time.

use std::collections::BTreeSet;

use weir::cache::redis::{DIMENSIONS, Options, QUESTION, Redis, Vector};

use super::*;

async fn add(redis: &Redis, vectors: impl IntoIterator<Item = Vector>) {
    for vector in vectors {
        redis.add(&shop(), &key(0), vector);
    }
    assert!(redis.drain(PATIENCE).await);
}

async fn numbers(redis: &Redis) -> Vec<u8> {
    redis.vectors(&shop(), &key(0)).await.iter().map(|vector| vector.key.0[0]).collect()
}

#[tokio::test]
async fn what_one_replica_adds_another_loads() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    assert_eq!(two.vectors(&shop(), &key(0)).await, []);
    let added: Vec<Vector> = (1..=20).map(|number| vector(number, &format!("question {number}"))).collect();
    add(&one, added.clone()).await;
    let mut found = two.vectors(&shop(), &key(0)).await;
    found.sort_by_key(|vector| vector.key);
    assert_eq!(found, added);
    for (elsewhere, fingerprint) in [(place("shop", 2), key(0)), (place("other", 1), key(0)), (shop(), key(1))] {
        assert_eq!(two.vectors(&elsewhere, &fingerprint).await, []);
    }
    assert_eq!(two.get(&shop(), &key(0)).await, None, "no answer has their name");
    assert_eq!((one.tallies().written, two.tallies().hits, two.tallies().bad), (20, 1, 0));
    // The same answer again is there once.
    add(&one, [Vector { stored: now() + 1, ..vector(1, "again") }]).await;
    assert_eq!(two.vectors(&shop(), &key(0)).await.len(), 20);
}

#[tokio::test]
async fn of_more_than_there_may_be_the_oldest_go() {
    let server = Server::new();
    let redis = ready(Options { max_vectors: 4, ..patient(server.url()) }).await;
    let at = |number: u8, stored: u64| Vector { stored, ..vector(number, "q") };
    let start = now() - 100;
    add(&redis, [at(5, start + 5), at(1, start + 1), at(4, start + 4), at(2, start + 2), at(3, start + 3)]).await;
    assert_eq!(numbers(&redis).await, [5, 4, 3, 2]);
    add(&redis, [at(6, start + 6)]).await;
    assert_eq!(numbers(&redis).await, [6, 5, 4, 3]);
    assert_eq!(server.say::<u64>(&["HLEN", &only(&server)]), 4);
    let large = Vector { values: vec![0.5; DIMENSIONS + 1].into(), ..vector(7, "q") };
    add(&redis, [large, vector(8, &"q".repeat(QUESTION + 1))]).await;
    assert_eq!((numbers(&redis).await, redis.tallies().dropped), (vec![6, 5, 4, 3], 2));
    let full = Vector { values: vec![0.5; DIMENSIONS].into(), ..vector(9, &"q".repeat(QUESTION)) };
    add(&redis, [full.clone()]).await;
    assert_eq!(redis.vectors(&shop(), &key(0)).await[0], full);
}

/// The hash lives as long as the last of them, and what has ended goes with the next that comes.
#[tokio::test]
async fn each_ends_in_its_time() {
    let server = Server::new();
    let redis = replica(&server).await;
    let over = Vector { stored: now() - 100, ttl: Duration::from_secs(103), ..vector(1, "q") };
    let ends = over.stored + 103;
    add(&redis, [over, vector(2, "q")]).await;
    let name = only(&server);
    let long = HOUR.as_millis() as i64;
    assert!((long - 60_000..=long).contains(&server.say::<i64>(&["PTTL", &name])));
    until("the first is over", || now() > ends).await;
    assert_eq!(numbers(&redis).await, [2]);
    add(&redis, [Vector { ttl: Duration::from_secs(60), ..vector(3, "q") }]).await;
    assert_eq!(server.say::<u64>(&["HLEN", &name]), 2);
    assert!(server.say::<i64>(&["PTTL", &name]) > 60_000, "the others live on");
    server.say::<()>(&["UNLINK", &name]);
    add(&redis, [Vector { ttl: Duration::from_secs(1), ..vector(4, "q") }]).await;
    until("the store has ended it", || count(&server) == 0).await;
}

/// Whatever somebody has written there, it is no vector, and goes.
#[tokio::test]
async fn what_is_no_vector_is_nothing_and_goes() {
    let server = Server::new();
    let redis = ready(Options { max_vectors: 8, ..patient(server.url()) }).await;
    add(&redis, [vector(1, "one"), vector(2, "two")]).await;
    let name = only(&server);
    let fields: Vec<Vec<u8>> = server.say(&["HKEYS", &name]);
    let value = |field: &[u8]| {
        let client = redis::Client::open(server.url()).expect("an address");
        let mut connection = client.get_connection().expect("it is ready");
        redis::cmd("HGET").arg(&name).arg(field).query::<Vec<u8>>(&mut connection).expect("it is there")
    };
    let hset = |field: &[u8], value: &[u8]| {
        let client = redis::Client::open(server.url()).expect("an address");
        let mut connection = client.get_connection().expect("it is ready");
        redis::cmd("HSET").arg(&name).arg(field).arg(value).query::<()>(&mut connection).expect("it does it");
    };
    // One in the place of the other; one that is to live longer; one too long; one that is none.
    let (one, two) = (value(&fields[0]), value(&fields[1]));
    hset(&fields[0], &two);
    let longer = [&fields[1][..12], b"999999999999", &[7; 32]].concat();
    hset(&longer, &one);
    hset(&[&fields[1][..24], &[8; 32]].concat(), &vec![0; 1 << 20]);
    hset(b"field", b"value");
    let left = redis.vectors(&shop(), &key(0)).await;
    assert!(redis.drain(PATIENCE).await);
    let left: BTreeSet<Vec<u8>> = left.iter().map(|vector| vector.key.0.to_vec()).collect();
    assert_eq!(left, BTreeSet::from([fields[1][24..].to_vec()]));
    assert_eq!(server.say::<Vec<Vec<u8>>>(&["HKEYS", &name]), [fields[1].clone()]);
    assert_eq!(redis.tallies().bad, 4);
    // What is no hash, or one of somebody else.
    server.say::<()>(&["SET", &name, "text"]);
    assert_eq!(redis.vectors(&shop(), &key(0)).await, []);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!(count(&server), 0);
    server.say::<()>(&["SET", &name, "text"]);
    add(&redis, [vector(3, "three")]).await;
    assert_eq!(numbers(&redis).await, [3]);
    for number in 0..64 {
        hset(format!("{number}").as_bytes(), b"x");
    }
    assert_eq!(redis.vectors(&shop(), &key(0)).await, []);
    assert!(redis.drain(PATIENCE).await);
    assert_eq!((count(&server), redis.state()), (0, State::Ok));
}
