//! What is to be forgotten is, by all replicas, and nothing else.

use std::sync::{Arc, Mutex};

use weir::cache::Extent;
use weir::cache::redis::{Options, Redis};
use weir::store::{self, Down};

use super::*;

type Told = Arc<Mutex<Vec<Extent>>>;

/// A replica, and what it was told.
async fn listening(server: &Server, prefix: &str) -> (Redis, Told) {
    let told = Told::default();
    let list = Arc::clone(&told);
    let on_forget = Arc::new(move |extent: &Extent| list.lock().expect("no panic").push(extent.clone()));
    let store = store::Options { timeout: PATIENCE, prefix: prefix.into(), ..store::Options::new(server.url()) };
    (ready(Options { on_forget, ..Options::new(store, sealed(1)) }).await, told)
}

fn has(told: &Told, extent: &Extent) -> bool {
    told.lock().expect("no panic").contains(extent)
}

fn places() -> [weir::cache::Place; 4] {
    [place("shop", 1), place("shop", 2), place("shopping", 1), place("", 1)]
}

/// Which of the places still have an answer and vectors.
async fn left(redis: &Redis) -> [bool; 4] {
    let mut left = [false; 4];
    for (left, place) in left.iter_mut().zip(places()) {
        *left = redis.get(&place, &key(1)).await.is_some();
        assert_eq!(!redis.vectors(&place, &key(2)).await.is_empty(), *left, "{place:?}");
    }
    left
}

#[tokio::test]
async fn an_extent_is_forgotten_and_all_replicas_hear_of_it() {
    let rows = [
        (Extent::Place(place("shop", 1)), [false, true, true, true], 2),
        (Extent::Namespace("shop".into()), [false, false, true, true], 4),
        (Extent::Namespace("".into()), [true, true, true, false], 2),
        (Extent::Namespace("shop*".into()), [true; 4], 0),
        (Extent::All, [false; 4], 8),
    ];
    let server = Server::new();
    for (number, (extent, expected, count)) in rows.into_iter().enumerate() {
        // Another prefix each time: whose answers these are is nobody's else.
        let prefix = format!("weir{number}");
        let (one, told) = listening(&server, &prefix).await;
        let (other, other_told) = listening(&server, &prefix).await;
        let (stranger, _) = listening(&server, &format!("{prefix}x")).await;
        for redis in [&one, &stranger] {
            for place in places() {
                redis.put(&place, &key(1), entry("kept"));
                redis.add(&place, &key(2), vector(1, "kept"));
            }
            assert!(redis.drain(PATIENCE).await);
            assert_eq!(left(redis).await, [true; 4]);
        }
        assert_eq!(one.forget(&extent).await, Ok(count), "{extent}");
        assert!(has(&told, &extent), "{extent}");
        until("the other one hears of it", || has(&other_told, &extent)).await;
        assert_eq!((left(&one).await, left(&other).await, left(&stranger).await), (expected, expected, [true; 4]));
        assert_eq!(other_told.lock().expect("no panic").len(), 1, "{extent}");
    }
}

/// What was stored before and comes later is not read, by whoever has heard of it, nor written.
#[tokio::test]
async fn what_comes_late_is_forgotten_too() {
    let server = Server::new();
    let (one, _) = listening(&server, "weir").await;
    let (two, told) = listening(&server, "weir").await;
    let extent = Extent::Place(shop());
    let old = entry("old");
    assert_eq!(one.forget(&extent).await, Ok(0));
    // This one may not have heard of it yet.
    two.put(&shop(), &key(1), old.clone());
    assert!(two.drain(PATIENCE).await);
    assert_eq!(one.get(&shop(), &key(1)).await, None);
    until("it has heard of it", || has(&told, &extent)).await;
    two.put(&shop(), &key(2), old.clone());
    two.add(&shop(), &key(3), Vector { stored: old.stored, ..vector(1, "old") });
    assert!(two.drain(PATIENCE).await && one.drain(PATIENCE).await);
    assert_eq!((count(&server), two.tallies().bad, one.tallies().bad), (0, 0, 0));
    // What is stored after it is kept.
    until("it is later", || now() > old.stored + 2).await;
    keep(&two, &shop(), &key(1), &entry("new")).await;
    assert_eq!(one.get(&shop(), &key(1)).await.map(|entry| entry.bytes), Some("new".into()));
}

/// There are more of them than one step finds.
#[tokio::test]
async fn many_are_forgotten() {
    let server = Server::new();
    let redis = replica(&server).await;
    let script = "for at = 1, 5000 do redis.call('SET', 'weir:cache:shop:' .. at, 1) end \
                  for at = 1, 5000 do redis.call('SET', 'other:' .. at, 1) end";
    server.say::<()>(&["EVAL", script, "0"]);
    say_bytes(&server, &["SETRANGE", "weir:cache:shop:1", "0"], b"x");
    assert_eq!(redis.forget(&Extent::Namespace("shop".into())).await, Ok(5_000));
    assert_eq!((count(&server), server.say::<Vec<String>>(&["KEYS", "other:*"]).len()), (0, 5_000));
}

/// More than is remembered were forgotten, or the store has lost its memory: then everything is.
#[tokio::test]
async fn who_has_missed_something_forgets_everything() {
    let server = Server::new();
    let (one, _) = listening(&server, "weir").await;
    let (two, told) = listening(&server, "weir").await;
    one.forget(&Extent::Namespace("first".into())).await.expect("the store answers");
    until("it hears", || has(&told, &Extent::Namespace("first".into()))).await;
    assert!(!has(&told, &Extent::All));
    let name = "weir:{cache}:forgotten";
    server.say::<()>(&["HSET", name, "floor", "1999999999999999", "v", "1999999999999999"]);
    until("it has missed something", || has(&told, &Extent::All)).await;
    told.lock().expect("no panic").clear();
    server.say::<()>(&["FLUSHALL"]);
    until("the store has lost it", || has(&told, &Extent::All)).await;
    // What is not ours goes, and the next is heard of.
    told.lock().expect("no panic").clear();
    server.say::<()>(&["SET", name, "text"]);
    one.forget(&Extent::Namespace("second".into())).await.expect("the store answers");
    until("it hears again", || has(&told, &Extent::Namespace("second".into()))).await;
    assert_eq!(two.state(), State::Ok);
}

/// What is remembered is bounded, and each is told all the same.
#[tokio::test]
async fn of_many_extents_the_last_are_remembered() {
    let server = Server::new();
    let (one, told) = listening(&server, "weir").await;
    for number in 0..300 {
        one.forget(&Extent::Namespace(format!("n{number}").into())).await.expect("the store answers");
    }
    assert_eq!(told.lock().expect("no panic").len(), 300);
    let fields: Vec<String> = server.say(&["HKEYS", "weir:{cache}:forgotten"]);
    assert_eq!(fields.len(), 256 + 2);
    assert!(fields.contains(&"e:n299".to_owned()) && !fields.contains(&"e:n0".to_owned()));
}

#[tokio::test]
async fn it_says_that_the_store_is_away() {
    let mut server = Server::new();
    let redis = replica(&server).await;
    server.kill();
    until("it is down", || redis.state() == State::Down).await;
    assert_eq!(redis.forget(&Extent::All).await, Err(Down::Shut));
}
