//! A store that asks who comes, and one behind TLS.

use weir::base::secret::Secret;
use weir::limit::Unit;
use weir::limit::redis::{Options, Redis, State, Terms, Tls};
use weir::limit::window::Window;

use super::{MINUTE, all, granted, id, left, limit, patient, ready, take, until};
use crate::support::certs::{Authority, Pair};
use crate::support::redis::{Server, packaged, usual};
use crate::support::redis_proxy::{Proxy, acceptor};

pub(super) const PASSWORD: &str = "weir-password-of-a-test";

/// The command for the rights that the documentation of the keys names, for this user and prefix, and no others.
pub(super) fn rights(user: &str, prefix: &str) -> Vec<String> {
    let source = include_str!("../../../../src/limit/redis/keys.rs");
    let lines =
        source.lines().skip_while(|line| !line.contains("ACL SETUSER")).take_while(|line| !line.contains("```"));
    let words = lines.flat_map(|line| line.trim_start_matches("//!").split_whitespace());
    let word = |word: &str| match word {
        "weir" => user.to_owned(),
        _ => word.replace(">PASSWORD", &format!(">{PASSWORD}")).replace("weir:", &format!("{prefix}:")),
    };
    words.map(word).collect()
}

fn allow(server: &Server, prefix: &str) {
    server.say::<()>(&rights("weir", prefix).iter().map(String::as_str).collect::<Vec<_>>());
}

fn user(server: &Server, password: &str) -> Options {
    let (username, password) = (Some("weir".into()), Some(Secret::new(password)));
    Options { username, password, ..patient(server.url()) }
}

#[tokio::test]
async fn the_rights_that_are_named_are_enough() {
    for binary in [usual(), packaged()] {
        let server = Server::start(binary, &[]);
        allow(&server, "weir:shop");
        let options = Options { prefix: "weir:shop".into(), ..user(&server, PASSWORD) };
        let terms = Terms { hold: std::time::Duration::from_millis(60), ..Terms::default() };
        let redis = ready(Redis::connect_with(options, terms).expect("usable options")).await;
        let takes = [
            take(&limit("rpm", Unit::Requests, 5, MINUTE), 1),
            take(&limit("calls", Unit::Concurrency, 5, Window::Held), 1),
        ];
        let beats = server.calls("hsetnx");
        let grant = granted(&redis, &takes).await;
        while server.calls("hsetnx") < beats + 2 {
            tokio::task::yield_now().await;
        }
        redis.settle(&[all(&grant, 2)]).await.expect("the store answers");
        redis.cancel(id(), &takes).await.expect("the store answers");
        assert_eq!((left(&redis, &takes[0]).await, left(&redis, &takes[1]).await), (3, 5));
        assert_eq!((redis.state(), redis.dropped()), (State::Ok, 0));
        // Another namespace is not this user's.
        let options = Options { prefix: "weir:other".into(), ..user(&server, PASSWORD) };
        let other = Redis::connect(options).expect("usable options");
        until("it is down", || other.state() == State::Down).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_an_outage_and_is_never_shown() {
    let server = Server::new();
    allow(&server, "weir");
    let options = user(&server, "weir-wrong-password");
    let redis = Redis::connect(options).expect("usable options");
    until("it is down", || redis.state() == State::Down).await;
    assert!(!format!("{redis:?}").contains("password"));
    let error = Redis::connect(Options::new("redis://:secret-in-url@/:not a port")).expect_err("no address");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn tls_trusts_its_authorities_and_no_others() {
    let server = Server::new();
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Authority::new(directory.path(), "ours"), Authority::new(directory.path(), "theirs"));
    let pair = ours.server("store");
    let acceptor = acceptor(&pair, None);
    let proxy = Proxy::new(server.socket(), Some(acceptor)).await;
    for (authority, state) in [(&ours, State::Ok), (&theirs, State::Down)] {
        let authorities = Some(std::fs::read(&authority.certificate).expect("a file of our own"));
        let tls = Tls { authorities, client: None };
        let options = Options { tls, ..patient(format!("rediss://{}", proxy.address)) };
        let redis = Redis::connect(options).expect("usable options");
        until("it has tried", || redis.state() == state).await;
        if state == State::Ok {
            granted(&redis, &[take(&limit("rpm", Unit::Requests, 5, MINUTE), 1)]).await;
        }
    }
}

/// A server that asks who comes takes the certificate of its authority, and no other, and nobody without one. What a
/// replica shows is another from the next connection on.
#[tokio::test]
async fn a_client_certificate_is_shown() {
    let server = Server::new();
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Authority::new(directory.path(), "ours"), Authority::new(directory.path(), "theirs"));
    let proxy = Proxy::new(server.socket(), Some(acceptor(&ours.server("store"), Some(&ours)))).await;
    let read = |path: &std::path::Path| std::fs::read(path).expect("a file of our own");
    let shown = |pair: Option<Pair>| {
        let text = |pair: &Pair| String::from_utf8(read(&pair.key)).expect("PEM");
        let client = pair.map(|pair| (read(&pair.certificate), Secret::new(&text(&pair))));
        let tls = Tls { authorities: Some(read(&ours.certificate)), client };
        Options { tls, ..patient(format!("rediss://{}", proxy.address)) }
    };
    for (pair, state) in
        [(None, State::Down), (Some(theirs.server("b")), State::Down), (Some(ours.server("a")), State::Ok)]
    {
        let redis = Redis::connect(shown(pair)).expect("usable options");
        until("it has tried", || redis.state() == state).await;
        if state == State::Down {
            redis.authenticate(shown(Some(ours.server("later")))).expect("usable options");
            until("it is ok", || redis.state() == State::Ok).await;
        }
    }
}
