//! Streams as they happen: an event reaches the client when the provider produced it, not when the
//! answer is over.

use std::time::Duration;

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{Call, assert_same};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::Connection;
use crate::support::http2::{self, Client};
use crate::support::response::Response;

const STREAM: &str = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Slowly."}]}"#;
const SPACING: Duration = Duration::from_millis(50);
const WORDS: u64 = 12;

fn call(label: &str) -> Call {
    let (spacing, words) = (SPACING.as_millis().to_string(), WORDS.to_string());
    Call::chat(STREAM).with(&[("x-mock-spacing", &spacing), ("x-mock-tokens", &words), ("x-mock-id", label)])
}

fn events(response: &Response) -> usize {
    response.events().len()
}

/// How many words the mock had produced for this call by now.
fn produced(egress: &Egress, label: &str) -> u64 {
    let recent = egress.mock.tally().recent;
    let call = recent.iter().find(|call| call.id.as_deref() == Some(label));
    call.unwrap_or_else(|| panic!("the mock knows nothing of {label}")).produced
}

/// The events came over time: the mock waits between two, so that a lump would have no spread.
fn assert_spread(response: &Response) {
    let (first, last) = (response.chunks.first(), response.chunks.last());
    let spread = last.map(|last| last.0).unwrap_or_default() - first.map(|first| first.0).unwrap_or_default();
    assert!(spread >= SPACING * 6, "all came within {spread:?}: {response:?}");
    assert!(response.chunks.len() > 6, "{response:?}");
}

async fn an_event_arrives_while_the_provider_still_speaks(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let direct = call("http1").send(super::pair::Protocol::Http1, &egress.direct()).await;

    let mut connection = Connection::open(&egress.address, "POST").await.expect("a connection");
    connection.send(&call("http1").http1()).await.expect("sent");
    connection.read_until(|response| events(response) >= 3).await;
    assert!(produced(&egress, "http1") < WORDS && !connection.so_far().complete, "{:?}", connection.so_far());
    let response = connection.finish().await;
    assert_same("a paced stream", &direct, &response);
    assert_spread(&response);

    let mut client = Client::connect(&egress.address).await.expect("a connection");
    let call = call("http2");
    let request = call.http2(&egress.address, http2::whole(&call.body));
    let mut exchange = client.send(request).await.expect("a head");
    exchange.read_until(|response| events(response) >= 3).await;
    assert!(produced(&egress, "http2") < WORDS && !exchange.so_far().complete, "{:?}", exchange.so_far());
    let response = exchange.finish().await;
    assert!(response.complete && response.text().ends_with("data: [DONE]\n\n"), "{response:?}");
    assert_spread(&response);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn the_head_does_not_wait_for_the_first_event(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let call = Call::chat(STREAM).with(&[("x-mock-ttft", "400"), ("x-mock-tokens", "2"), ("x-mock-id", "slow")]);
    let mut connection = Connection::open(&egress.address, "POST").await.expect("a connection");
    connection.send(&call.http1()).await.expect("sent");
    let head = connection.read_head().await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(produced(&egress, "slow"), 0);
    let response = connection.finish().await;
    assert_eq!(events(&response), 5, "{response:?}");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn many_streams_side_by_side_keep_their_own_bytes(mode: BodyMode) {
    let egress = std::sync::Arc::new(Egress::up(mode, ONE_BACKEND).await);
    let mut client = Client::connect(&egress.address).await.expect("a connection");
    let mut streams = Vec::new();
    for at in 0..40 {
        let (label, words) = (format!("side-{at}"), (at % 9 + 1).to_string());
        let call =
            Call::chat(STREAM).with(&[("x-mock-spacing", "2"), ("x-mock-tokens", &words), ("x-mock-id", &label)]);
        let request = call.http2(&egress.address, http2::whole(&call.body));
        streams.push((call, client.send(request).await.expect("a head")));
    }
    for (call, stream) in streams {
        let direct = call.send(super::pair::Protocol::Http2, &egress.direct()).await;
        assert_same("one of many", &direct, &stream.finish().await);
    }
    egress.assert_clean(&Exceptions::default()).await;
}

modes_that_stream!(an_event_arrives_while_the_provider_still_speaks, the_head_does_not_wait_for_the_first_event);

every_mode!(many_streams_side_by_side_keep_their_own_bytes);
