//! A store that asks who comes, and one behind TLS.

use weir::base::secret::Secret;
use weir::cache::Extent;
use weir::cache::redis::{Options, Redis};
use weir::store::{self, Tls};

use super::*;
use crate::support::certs::Authority;
use crate::support::redis::{packaged, usual};
use crate::support::redis_proxy::{Proxy, acceptor};

const PASSWORD: &str = "weir-password-of-a-test";

/// The command for the rights that the documentation of the names states, for this prefix, and no others.
pub(super) fn rights(user: &str, prefix: &str) -> Vec<String> {
    let source = include_str!("../../../../src/cache/redis/names.rs");
    let lines =
        source.lines().skip_while(|line| !line.contains("ACL SETUSER")).take_while(|line| !line.contains("```"));
    let words = lines.flat_map(|line| line.trim_start_matches("//!").split_whitespace());
    let word = |word: &str| match word {
        "weir" => user.to_owned(),
        _ => word.replace(">PASSWORD", &format!(">{PASSWORD}")).replace("weir:", &format!("{prefix}:")),
    };
    words.map(word).collect()
}

pub(super) fn user(store: store::Options) -> Options {
    let (username, password) = (Some("weir".into()), Some(Secret::new(PASSWORD)));
    Options::new(store::Options { username, password, ..store }, sealed(1))
}

/// All that is ever done.
pub(super) async fn everything(redis: &Redis) {
    keep(redis, &shop(), &key(1), &entry("kept")).await;
    redis.add(&shop(), &key(2), vector(1, "kept"));
    assert!(redis.drain(PATIENCE).await);
    assert!(redis.get(&shop(), &key(1)).await.is_some());
    assert_eq!(redis.vectors(&shop(), &key(2)).await.len(), 1);
    redis.seal_with(sealed(7));
    assert_eq!((redis.get(&shop(), &key(1)).await, redis.vectors(&shop(), &key(2)).await.len()), (None, 0));
    assert!(redis.drain(PATIENCE).await);
    keep(redis, &shop(), &key(1), &entry("kept")).await;
    assert_eq!(redis.forget(&Extent::Place(shop())).await, Ok(1));
    let tallies = redis.tallies();
    assert_eq!((tallies.failed, tallies.dropped, tallies.bad, redis.state()), (0, 0, 2, State::Ok));
}

#[tokio::test]
async fn the_rights_that_are_named_are_enough() {
    for binary in [usual(), packaged()] {
        let server = Server::start(binary, &[]);
        server.say::<()>(&rights("weir", "weir:shop").iter().map(String::as_str).collect::<Vec<_>>());
        let store =
            store::Options { timeout: PATIENCE, prefix: "weir:shop".into(), ..store::Options::new(server.url()) };
        everything(&ready(user(store.clone())).await).await;
        let log: Vec<redis::Value> = server.say(&["ACL", "LOG"]);
        assert!(log.is_empty(), "{log:?}");
        // Another prefix is not this user's.
        let other = Redis::connect(user(store::Options { prefix: "weir:other".into(), ..store })).expect("usable");
        until("it is down", || other.state() == State::Down).await;
    }
}

#[tokio::test]
async fn tls_is_spoken() {
    let server = Server::new();
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Authority::new(directory.path(), "ours"), Authority::new(directory.path(), "theirs"));
    let proxy = Proxy::new(server.socket(), Some(acceptor(&ours.server("store"), None))).await;
    let trusting = |authority: &Authority| {
        let authorities = Some(std::fs::read(&authority.certificate).expect("a file of our own"));
        let tls = Tls { authorities, client: None };
        let store =
            store::Options { tls, timeout: PATIENCE, ..store::Options::new(format!("rediss://{}", proxy.address)) };
        Options::new(store, sealed(1))
    };
    everything(&ready(trusting(&ours)).await).await;
    let redis = Redis::connect(trusting(&theirs)).expect("usable options");
    until("it is down", || redis.state() == State::Down).await;
    assert_eq!(redis.get(&shop(), &key(1)).await, None);
    // Whom it trusts is another from the next connection on.
    redis.authenticate(trusting(&ours).store).expect("usable options");
    until("it is ok", || redis.state() == State::Ok).await;
}
