//! Clients that send slowly, stop in the middle or lie about a length: nothing stays in flight and
//! nothing stays held when they are gone.

use std::time::Duration;

use weir::render::envoy::BodyMode;

use super::rig::{CHAT, Parts, Rig, aborts, ask};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{Connection, Request};
use crate::support::http2::{self, Client};

/// The head of a chat call that promises so many bytes, and the first of them.
fn begun(promised: usize, sent: usize) -> Vec<u8> {
    let length = promised.to_string();
    let headers = [("content-type", "application/json"), ("content-length", length.as_str())];
    let mut bytes = Request { method: "POST", path: CHAT, headers: &headers }.head();
    bytes.extend(std::iter::repeat_n(b' ', sent));
    bytes
}

async fn requests_that_stop_in_the_middle_leave_nothing_behind(mode: BodyMode) {
    const CLIENTS: usize = 20;
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let mut clients = Vec::new();
    for n in 0..CLIENTS {
        let mut client = Connection::open(&rig.address, "POST").await.expect("Envoy takes the connection");
        client.send(&begun(1 << 20, 1000 * n)).await.expect("Envoy reads");
        // Drop by drop, so that each byte is a message of its own.
        client.send_pieces(&[b" ", b" ", b" "], Duration::from_millis(2)).await.expect("Envoy reads");
        clients.push(client);
    }
    rig.in_flight(CLIENTS).await;
    let held = rig.samples().await.sum("weir_buffered_bytes", &[]);
    // In the other modes it is Envoy that holds what has come.
    assert_eq!(held > 0.0, mode == BodyMode::FullDuplex, "what has come is held, and counted: {held}");
    for (n, client) in clients.into_iter().enumerate() {
        match n % 2 {
            0 => drop(client.abort()),
            _ => drop(client),
        }
    }
    rig.idle().await;
    assert!(rig.records().is_empty(), "nothing was sent on or answered");
    assert_eq!(rig.mock().tally().requests, 0);
    rig.end(&Exceptions::default()).await;
}

async fn a_stream_that_is_reset_while_it_sends_leaves_nothing_behind(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let client = Client::connect(&rig.address).await.expect("Envoy takes the connection");
    let mut bodies = Vec::new();
    let mut sends = Vec::new();
    for _ in 0..8 {
        let (frames, body) = http2::stream();
        frames.send(&[b' '; 5000]);
        let request = http::Request::post(format!("http://test{CHAT}")).header("content-type", "application/json");
        let request = request.body(body).expect("a request");
        let mut client = Client::connect(&rig.address).await.expect("Envoy takes the connection");
        sends.push(tokio::spawn(async move { client.send(request).await.is_err() }));
        bodies.push(frames);
    }
    rig.in_flight(8).await;
    bodies.into_iter().for_each(http2::Frames::abort);
    for send in sends {
        assert!(send.await.expect("no panic"), "no answer to a request that was reset");
    }
    drop(client);
    rig.idle().await;
    assert_eq!(rig.mock().tally().requests, 0);
    rig.end(&Exceptions::default()).await;
}

async fn a_promise_of_too_much_is_refused_and_a_client_that_stays_is_let_go(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let mut client = Connection::open(&rig.address, "POST").await.expect("Envoy takes the connection");
    client.send(&begun(1 << 30, 1000)).await.expect("Envoy reads");
    // It sends nothing more and waits: the refusal comes all the same.
    let answer = client.read_until(|answer| answer.body.ends_with(b"}")).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &"request_too_large".into()), "{answer:?}");
    drop(client);
    rig.idle().await;
    rig.records_when(1).await;
    // Many that are refused while they still arrive.
    for _ in 0..10 {
        let answer = rig.chat(&[("content-encoding", "br")], &ask("alpha", false)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert_eq!(rig.mock().tally().requests, 0);
    rig.end(&aborts()).await;
}

every_mode!(a_stream_that_is_reset_while_it_sends_leaves_nothing_behind);

every_mode!(
    requests_that_stop_in_the_middle_leave_nothing_behind,
    a_promise_of_too_much_is_refused_and_a_client_that_stays_is_let_go
);
