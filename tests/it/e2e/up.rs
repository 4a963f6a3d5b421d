//! `weir up` itself: what it prints, what its admin endpoint shows, and that it leaves nothing behind.

use std::net::TcpStream;
use std::time::Duration;

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{Call, Protocol};
use crate::support::envoy_stats::{Admin, Exceptions};
use crate::support::http1::Connection;
use crate::support::proc;
use crate::support::process::Stream;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A stream that has begun and has this many words.
async fn streaming(egress: &Egress, words: &str) -> Connection {
    let body = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Slowly."}]}"#;
    let call = Call::chat(body).with(&[("x-mock-tokens", words), ("x-mock-spacing", "50")]);
    let mut connection = Connection::open(&egress.address, "POST").await.expect("a connection");
    connection.send(&call.http1()).await.expect("sent");
    connection.read_until(|response| response.events().len() >= 3).await;
    connection
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_a_call_and_leaves_nothing_behind() {
    let mut egress = Egress::up(BodyMode::FullDuplex, ONE_BACKEND).await;
    let call = Call::chat(r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#);
    let response = call.send(Protocol::Http1, &egress.address).await;
    let id = response.header("x-weir-request-id").expect("an id").to_owned();
    assert_eq!(egress.ledger_of(1).await[0]["id"], *id);
    let admin = Admin::new(&egress.admin);
    for (path, holds) in [
        ("/healthz".to_owned(), ""),
        ("/readyz".to_owned(), ""),
        ("/metrics".to_owned(), "gen_ai_client_token_usage"),
        (format!("/exchanges/{id}"), "\"decisions\""),
    ] {
        let page = admin.get(&path).await.expect("a page");
        assert!(page.contains(holds), "{path}: {page}");
    }
    egress.assert_clean(&Exceptions::default()).await;
    assert_eq!(egress.weir.stop(Duration::from_secs(30)).code(), Some(0), "{}", egress.weir.written());
    assert!(!proc::runs(egress.envoy), "Envoy runs on");
    assert!(!egress.run_directory.exists(), "{} is left", egress.run_directory.display());
    let printed = egress.weir.stdout();
    assert!(printed.starts_with("ready base_url=http://127.0.0.1:") && printed.lines().count() == 1, "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_runs_may_finish_and_no_other_is_taken() {
    let mut egress = Egress::up(BodyMode::FullDuplex, ONE_BACKEND).await;
    let live = streaming(&egress, "40").await;
    egress.weir.signal("TERM");
    let told = egress.weir.line(Stream::Stderr, |line| line.starts_with("Calls that still run: 1."), LONG);
    assert!(told.is_some(), "{}", egress.weir.written());
    assert!(TcpStream::connect(&egress.address).is_err(), "a connection is taken");
    let whole = live.finish().await;
    assert!(whole.complete && whole.text().ends_with("data: [DONE]\n\n"), "{whole:?}");
    assert_eq!(egress.weir.wait(LONG).expect("it ends").code(), Some(0), "{}", egress.weir.written());
    assert!(!proc::runs(egress.envoy) && !egress.run_directory.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_what_runs_at_once() {
    let mut egress = Egress::up(BodyMode::FullDuplex, ONE_BACKEND).await;
    let live = streaming(&egress, "100000").await;
    egress.weir.signal("INT");
    egress.weir.line(Stream::Stderr, |line| line.starts_with("Calls that still run: 1."), LONG).expect("a word");
    egress.weir.signal("INT");
    assert_eq!(egress.weir.wait(LONG).expect("it ends").code(), Some(130), "{}", egress.weir.written());
    assert!(!live.finish().await.complete, "a stream that is cut is not shown as a whole one");
    assert!(!proc::runs(egress.envoy) && !egress.run_directory.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_run_left_behind_goes_with_the_next_one() {
    let mut killed = Egress::up(BodyMode::FullDuplex, ONE_BACKEND).await;
    killed.weir.signal("KILL");
    killed.weir.wait(LONG).expect("it is gone");
    let alive = Egress::up(BodyMode::FullDuplex, ONE_BACKEND).await;
    assert!(!killed.run_directory.exists(), "{} is left", killed.run_directory.display());
    assert!(alive.run_directory.exists());
    let _next = Egress::up(BodyMode::FullDuplex, ONE_BACKEND).await;
    assert!(alive.run_directory.exists(), "it is in use");
}
