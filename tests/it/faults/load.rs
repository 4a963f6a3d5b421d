//! More work than there is room for: what does not fit is shed at once with a word of when to come
//! back, what fits is served, and what was taken is given back.

use std::sync::Arc;

use serde_json::json;

use weir::render::envoy::BodyMode;

use super::rig::{LONG, Parts, Rig, aborts, ask};
use crate::support::envoy_stats::Exceptions;
use crate::support::http2::{self, Client};
use crate::support::proc;
use crate::support::response::Response;

fn is_shed(answer: &Response) -> bool {
    answer.status == 503
        && answer.complete
        && answer.json()["error"]["code"] == "overloaded"
        && answer.header("retry-after") == Some("1")
}

async fn the_fifth_of_four_is_shed(mode: BodyMode) {
    let rig = Rig::start(Parts { process: "  overload: {maxExchanges: 4}", mode, ..Parts::default() }).await;
    let mut live = Vec::new();
    for _ in 0..4 {
        let mut stream = rig.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "20")], &ask("alpha", true)).await;
        assert_eq!(stream.read_body(1).await.status, 200);
        live.push(stream);
    }
    for stream in [false, true] {
        let answer = rig.chat(&[], &ask("alpha", stream)).await;
        assert!(is_shed(&answer), "{answer:?}");
    }
    // What would pass without being read is shed as well: nothing leaves that is not recorded.
    let answer = rig.post("/v1/files", &[], b"{}").await;
    assert!(is_shed(&answer), "{answer:?}");
    let samples = rig.samples().await;
    assert_eq!(samples.sum("weir_shed_total", &[("cause", "exchanges")]), 3.0);
    assert_eq!(rig.mock().tally().requests, 4, "what is shed reaches no provider");
    live.into_iter().for_each(|stream| drop(stream.abort()));
    rig.idle().await;
    // Room that was given back is there at once, every time.
    for _ in 0..50 {
        assert_eq!(rig.chat(&[("x-mock-tokens", "1")], &ask("alpha", false)).await.status, 200);
    }
    rig.end(&aborts()).await;
}

async fn a_body_beyond_what_may_be_held_is_shed(mode: BodyMode) {
    let rig = Rig::start(Parts { process: "  overload: {maxBuffered: 64Ki}", mode, ..Parts::default() }).await;
    let large = json!({"model": "alpha", "messages": [{"role": "user", "content": "x".repeat(300_000)}]});
    for _ in 0..3 {
        let answer = rig.chat(&[], &large).await;
        assert!(is_shed(&answer), "{answer:?}");
    }
    assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200);
    assert_eq!(rig.samples().await.sum("weir_shed_total", &[("cause", "buffered")]), 3.0);
    assert_eq!(rig.mock().tally().requests, 1);
    rig.end(&Exceptions::default()).await;
}

async fn a_thousand_slow_streams_lose_nothing(mode: BodyMode) {
    const CONNECTIONS: usize = 20;
    const STREAMS: usize = 50;
    const TOKENS: usize = 12;
    let rig = Arc::new(Rig::start(Parts { mode, ..Parts::default() }).await);
    assert_eq!(rig.chat(&[("x-mock-tokens", "9")], &ask("alpha", true)).await.status, 200);
    let before = proc::rss_bytes(rig.weir.id()).expect("it runs");
    let connections = (0..CONNECTIONS).map(|_| {
        let address = rig.address.clone();
        tokio::spawn(async move {
            let mut client = Client::connect(&address).await.expect("Envoy takes the connection");
            let mut streams = Vec::new();
            for _ in 0..STREAMS {
                let request = http::Request::post(format!("http://test{}", super::rig::CHAT))
                    .header("content-type", "application/json")
                    .header("x-mock-tokens", TOKENS.to_string())
                    .header("x-mock-ttft", "2500")
                    .header("x-mock-spacing", "250");
                let body = http2::whole(ask("alpha", true).to_string().as_bytes());
                streams.push(client.send(request.body(body).expect("a request")).await.expect("a head"));
            }
            let mut answers = Vec::new();
            for stream in streams {
                answers.push(stream.finish().await);
            }
            answers
        })
    });
    let connections: Vec<_> = connections.collect();
    // A slow machine may not begin all of them before the first ends.
    let (mut most, mut grown) = (0.0, 0);
    while !connections.iter().all(tokio::task::JoinHandle::is_finished) {
        most = rig.samples().await.sum("weir_exchanges_in_flight", &[]).max(most);
        grown = proc::rss_bytes(rig.weir.id()).expect("it runs").saturating_sub(before).max(grown);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(most >= 300.0, "only {most} at a time");
    println!("{most} streams at a time: {} KiB more in Weir", grown >> 10);
    for connection in connections {
        for answer in tokio::time::timeout(LONG, connection).await.expect("in time").expect("no panic") {
            assert!(answer.complete && answer.status == 200, "{answer:?}");
            let events = answer.events();
            let words =
                events.iter().filter(|event| event.contains("\"content\":\"") && !event.contains("\"content\":\"\""));
            assert_eq!((words.count(), events.last().map(String::as_str)), (TOKENS, Some("[DONE]")), "{answer:?}");
        }
    }
    rig.records_when(CONNECTIONS * STREAMS + 1).await;
    let rig = Arc::into_inner(rig).expect("all connections are done");
    rig.end(&Exceptions::default()).await;
}

every_mode!(a_body_beyond_what_may_be_held_is_shed);

modes_that_stream!(the_fifth_of_four_is_shed, a_thousand_slow_streams_lose_nothing);
