//! Bodies by size and by framing: up to the limit, over it, uploads that pass without being held, and
//! many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call, Protocol, assert_same, both};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Connection, Request};
use crate::support::http2::{self, Client};
use crate::support::proc;
use crate::support::response::Response;

const MEBI: usize = 1 << 20;
const LIMIT: usize = 32 * MEBI;
/// What Weir may take while an upload passes, beyond what it takes at rest: its own size is another matter.
const UPLOAD_RSS: u64 = 24 << 20;

/// A chat request of exactly `length` bytes.
fn chat(length: usize) -> Vec<u8> {
    let (head, tail) = (&br#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":""#[..], &br#""}]}"#[..]);
    let text = vec![b'x'; length - head.len() - tail.len()];
    [head, &text, tail].concat()
}

fn assert_too_large(what: &str, response: &Response) {
    assert_eq!(response.status, 413, "{what}: {response:?}");
    let error = &response.json()["error"];
    assert_eq!(
        (error["code"].as_str(), error["type"].as_str()),
        (Some("request_too_large"), Some("invalid_request_error"))
    );
    assert!(error["message"].as_str().is_some_and(|message| message.contains("33554432")), "{what}: {error}");
    assert!(error["param"].is_null(), "{what}: {error}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}");
}

async fn a_body_at_the_limit_passes_and_one_over_it_is_refused(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let whole = chat(LIMIT);
    for protocol in BOTH {
        let (direct, through) = both(&egress, protocol, "limit", &Call::chat(whole.clone())).await;
        assert_same("32 MiB", &direct, &through);
        assert_eq!(through.status, 200);
    }
    let chunked = Call::chat("").with(&[("x-mock-id", "limit")]);
    let headers: Vec<_> = chunked.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let request = Request { method: "POST", path: chunked.path, headers: &headers };
    let pieces = |body: &[u8]| body.chunks(MEBI).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let framed = |body: &[u8]| {
        let pieces = pieces(body);
        request.chunked(&pieces.iter().map(Vec::as_slice).collect::<Vec<_>>(), &[])
    };
    let through = http1::exchange(&egress.address, "POST", &framed(&whole)).await.expect("an answer");
    assert_eq!(through.status, 200, "{through:?}");
    drop(whole);

    let over = chat(33 * MEBI);
    assert_too_large(
        "a chunked body",
        &http1::exchange(&egress.address, "POST", &framed(&over)).await.expect("an answer"),
    );
    for protocol in BOTH {
        let response = Call::chat(over.clone()).send(protocol, &egress.address).await;
        assert_too_large(&format!("a stated length over {protocol:?}"), &response);
    }
    let mut client = Client::connect(&egress.address).await.expect("a connection");
    let (frames, body) = http2::stream();
    frames.send(&over);
    drop(frames);
    let response = client.exchange(Call::chat("").http2(&egress.address, body)).await.expect("an answer");
    assert_too_large("frames without a length", &response);
    assert_eq!(egress.mock.tally().requests, 3, "a refused call reached the provider");
    egress.assert_clean(&Exceptions::default()).await;
}

/// Sends `length` bytes to `/v1/files` with a stated length, in pieces, and reads the answer.
async fn upload(address: &str, length: usize) -> Response {
    let stated = length.to_string();
    let headers = [
        ("content-type", "multipart/form-data; boundary=x"),
        ("content-length", stated.as_str()),
        ("authorization", "Bearer sk-of-the-caller"),
    ];
    let head = Request { method: "POST", path: "/v1/files", headers: &headers }.head();
    let mut connection = Connection::open(address, "POST").await.expect("a connection");
    connection.send(&head).await.expect("sent");
    let piece: Vec<u8> = (0..MEBI).map(|at| (at % 251) as u8).collect();
    for _ in 0..length / piece.len() {
        if connection.send(&piece).await.is_err() {
            // Whoever ended it may have said why.
            break;
        }
    }
    connection.finish().await
}

async fn an_upload_of_200_mebibytes_passes_without_being_held(mode: BodyMode) {
    const LENGTH: usize = 200 * MEBI;
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let rest = proc::rss_bytes(egress.weir.id()).expect("Weir runs");
    let (peak, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watch = tokio::spawn({
        let (peak, over, pid) = (peak.clone(), over.clone(), egress.weir.id());
        async move {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(proc::rss_bytes(pid).expect("Weir runs"), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let response = upload(&egress.address, LENGTH).await;
    over.store(true, Ordering::Relaxed);
    watch.await.expect("the watcher ends");
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.json()["bytes"], LENGTH, "{response:?}");
    let peak = peak.load(Ordering::Relaxed).saturating_sub(rest);
    // Where Envoy holds bodies its buffer is large, and so are the chunks that it makes of an upload.
    let most = if mode == BodyMode::FullDuplex { UPLOAD_RSS } else { UPLOAD_RSS + 3 * LIMIT as u64 };
    assert!(peak > 0 && peak < most, "Weir held {} MiB", peak >> 20);
    let record = &egress.ledger_of(1).await[0];
    assert_eq!(record["bytes"]["request"], LENGTH.to_string(), "{record}");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn fifty_bodies_of_a_mebibyte_at_once(mode: BodyMode) {
    let egress = Arc::new(Egress::up(mode, ONE_BACKEND).await);
    let body = chat(MEBI);
    let direct = Call::chat(body.clone()).with(&[("x-mock-id", "fifty")]).send(Protocol::Http1, &egress.direct()).await;
    let calls = (0..50).map(|at| {
        let (egress, call) = (egress.clone(), Call::chat(body.clone()).with(&[("x-mock-id", "fifty")]));
        tokio::spawn(async move { call.send(BOTH[at % 2], &egress.address).await })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        let through = call.await.expect("no panic");
        assert_eq!((through.status, through.text()), (200, direct.text()), "{through:?}");
    }
    let tally = egress.mock.tally();
    let model = &tally.models["gpt-4o-mini"];
    assert_eq!((model.complete, model.prompt_tokens), (50, 50 * (MEBI as u64 - 66).div_ceil(4)));
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_body_may_come_in_any_pieces(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let call = Call::chat(chat(300)).with(&[("x-mock-id", "pieces")]);
    let direct = call.send(Protocol::Http1, &egress.direct()).await;
    let bytes = call.http1();
    for size in [1, 7, 64] {
        let pieces: Vec<_> = bytes.chunks(size).collect();
        let mut connection = Connection::open(&egress.address, "POST").await.expect("a connection");
        connection.send_pieces(&pieces, Duration::from_micros(200)).await.expect("sent");
        assert_same("in pieces", &direct, &connection.finish().await);
    }
    let mut client = Client::connect(&egress.address).await.expect("a connection");
    let (frames, body) = http2::stream();
    let sending = client.send(call.http2(&egress.address, body));
    for piece in call.body.chunks(10) {
        frames.send(piece);
    }
    drop(frames);
    assert_same("in frames", &direct, &sending.await.expect("a head").finish().await);
    // An empty DATA frame may be the end.
    let (frames, body) = http2::stream();
    frames.send(&call.body);
    frames.send(b"");
    drop(frames);
    assert_same(
        "with an empty frame",
        &direct,
        &client.exchange(call.http2(&egress.address, body)).await.expect("an answer"),
    );
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_large_answer_passes_whole(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let words = (4 * MEBI / 5).to_string();
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"At length."}]}"#;
    let call = Call::chat(body).with(&[("x-mock-tokens", &words)]);
    for protocol in BOTH {
        let (direct, through) = both(&egress, protocol, "large", &call).await;
        assert_same("a large answer", &direct, &through);
        assert!(through.body.len() > 4 * MEBI);
    }
    // A client that does not read holds the provider back, and gets everything once it does.
    let mut slow = TcpStream::connect(&egress.address).await.expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut slow, &call.http1()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut all = Vec::new();
    slow.read_to_end(&mut all).await.expect("read");
    assert!(all.len() > 4 * MEBI && all.starts_with(b"HTTP/1.1 200"));
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(
    a_body_at_the_limit_passes_and_one_over_it_is_refused,
    an_upload_of_200_mebibytes_passes_without_being_held,
    a_large_answer_passes_whole
);

every_mode!(fifty_bodies_of_a_mebibyte_at_once, a_body_may_come_in_any_pieces);
