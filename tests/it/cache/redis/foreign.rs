//! Values that are none: another's, spoilt, moved, of another key or kind. They are nothing, and they go.

use redis::Value;
use weir::cache::Entry;
use weir::cache::redis::{AtRest, Options};
use weir::store;

use super::*;

/// Of a key that holds this, nothing is found, and it is removed.
async fn is_nothing(server: &Server, redis: &Redis, what: &str) {
    let before = redis.tallies();
    assert_eq!(redis.get(&shop(), &key(1)).await, None, "{what}");
    assert!(redis.drain(PATIENCE).await);
    let after = redis.tallies();
    assert_eq!((after.bad - before.bad, after.misses - before.misses, count(server)), (1, 1, 0), "{what}");
}

#[tokio::test]
async fn what_is_no_value_is_nothing_and_goes() {
    let server = Server::new();
    let redis = replica(&server).await;
    keep(&redis, &shop(), &key(1), &entry(CANARY)).await;
    let name = only(&server);
    let value: Vec<u8> = server.say(&["GET", &name]);
    let mut spoilt = value.clone();
    *spoilt.last_mut().expect("it is not empty") ^= 1;
    let mut version = value.clone();
    version[0] = 9;
    let values: [&[u8]; 7] =
        [b"another's", &[0], &spoilt, &version, &value[..value.len() - 1], &[1; 40], &vec![b'x'; 6 << 20]];
    for bytes in values {
        say_bytes(&server, &["SET", &name], bytes);
        is_nothing(&server, &redis, &format!("{:?}", &bytes[..bytes.len().min(9)])).await;
    }
    for words in [&["LPUSH", &name, "a"][..], &["HSET", &name, "a", "b"], &["SADD", &name, "a"]] {
        server.say::<Value>(words);
        is_nothing(&server, &redis, words[0]).await;
    }
    say_bytes(&server, &["SET", &name], &value);
    assert_eq!(redis.get(&shop(), &key(1)).await.map(|entry| entry.bytes), Some(CANARY.into()));
    assert_eq!(redis.state(), State::Ok, "none of it speaks against the store");
}

/// Whoever can write to the store cannot give one caller what is another's.
#[tokio::test]
async fn a_value_that_was_moved_is_nothing() {
    let server = Server::new();
    let redis = replica(&server).await;
    keep(&redis, &shop(), &key(1), &entry("")).await;
    let name = only(&server);
    for (other, number) in [(shop(), 2), (place("shop", 2), 1), (place("other", 1), 1)] {
        keep(&redis, &other, &key(number), &entry(CANARY)).await;
        server.say::<()>(&["DEL", &name]);
        server.say::<()>(&["RENAME", &only(&server), &name]);
        is_nothing(&server, &redis, &format!("{other:?}")).await;
        keep(&redis, &shop(), &key(1), &entry("")).await;
    }
}

/// What another key has sealed, or none, is nothing, until a file with both keys opens it.
#[tokio::test]
async fn only_what_was_sealed_with_a_key_of_the_file_is_found() {
    let server = Server::new();
    let store = store::Options { timeout: PATIENCE, ..store::Options::new(server.url()) };
    let with = |at_rest: AtRest| Options::new(store.clone(), at_rest);
    let redis = ready(with(sealed(1))).await;
    for at_rest in [sealed(2), AtRest::Plain] {
        let other = ready(with(at_rest.clone())).await;
        keep(&other, &shop(), &key(1), &entry("theirs")).await;
        is_nothing(&server, &redis, "theirs").await;
        keep(&redis, &shop(), &key(1), &entry("ours")).await;
        is_nothing(&server, &other, "ours").await;
    }
    // The file changes: first both keys, then the new one alone.
    let both = Keys::read(&Secret::new(&format!("{}\n{}", "02".repeat(32), "01".repeat(32)))).expect("keys");
    keep(&redis, &shop(), &key(1), &entry("ours")).await;
    redis.seal_with(AtRest::Sealed(both));
    assert_eq!(redis.get(&shop(), &key(1)).await.map(|entry| entry.bytes), Some("ours".into()));
    keep(&redis, &shop(), &key(2), &entry("new")).await;
    redis.seal_with(sealed(2));
    assert_eq!(redis.get(&shop(), &key(2)).await.map(|entry| entry.bytes), Some("new".into()));
    assert_eq!(redis.get(&shop(), &key(1)).await, None);
}

/// What is removed is what was read: an answer that another replica has written meanwhile stays.
#[tokio::test]
async fn what_was_written_meanwhile_stays() {
    let server = Server::new();
    let (one, two) = (replica(&server).await, replica(&server).await);
    keep(&one, &shop(), &key(1), &entry("")).await;
    let name = only(&server);
    for round in 0..20 {
        say_bytes(&server, &["SET", &name], b"another's");
        let good = Entry { bytes: format!("answer {round}").into(), ..entry("") };
        // The first finds no value and is about to remove it, while the other writes one.
        assert_eq!(one.get(&shop(), &key(1)).await, None);
        two.put(&shop(), &key(1), good.clone());
        assert!(one.drain(PATIENCE).await && two.drain(PATIENCE).await);
        assert_eq!(one.get(&shop(), &key(1)).await, Some(good), "{round}");
    }
}
