//! A store that asks who comes, and one behind TLS.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use weir::base::secret::Secret;
use weir::limit::Unit;
use weir::limit::redis::{Options, Redis, State, Tls};
use weir::limit::window::Window;

use super::proxy::Proxy;
use super::{MINUTE, all, granted, id, left, limit, patient, ready, take, until};
use crate::support::certs::Authority;
use crate::support::redis::{Server, packaged, usual};
use crate::support::tls::certificates;

const PASSWORD: &str = "weir-password-of-a-test";

/// The rights that the documentation of the keys names, for this prefix, and no others.
fn allow(server: &Server, prefix: &str) {
    let source = include_str!("../../../../src/limit/redis/keys.rs");
    let lines = source.lines().skip_while(|line| !line.contains("ACL SETUSER")).take(2);
    let words: Vec<String> = lines
        .flat_map(|line| line.trim_start_matches("//!").split_whitespace())
        .map(|word| word.replace(">PASSWORD", &format!(">{PASSWORD}")).replace("weir:", &format!("{prefix}:")))
        .collect();
    server.say::<()>(&words.iter().map(String::as_str).collect::<Vec<_>>());
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
        let options = Options { hold: std::time::Duration::from_millis(60), ..options };
        let redis = ready(Redis::connect(options).expect("usable options")).await;
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
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(certificates(&pair.certificate), PrivateKeyDer::from_pem_file(&pair.key).expect("a key"));
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair")));
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
