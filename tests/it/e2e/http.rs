//! HTTP beyond the plain call: trailers, requests without a body, `Expect`, upgrades, CONNECT, early
//! answers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call, Protocol, assert_same, same};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Connection, Request};
use crate::support::http2::{self, Client};
use crate::support::response::Response;

const CHAT: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

async fn trailers_of_a_request_arrive(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let (held, passed) = ("/v1/chat/completions", "/v1/files");
    for path in [held, passed] {
        let headers = [JSON, ("x-mock-echo", "1"), ("trailer", "x-sum")];
        let request = Request { method: "POST", path, headers: &headers };
        let bytes = request.chunked(&[&CHAT.as_bytes()[..20], &CHAT.as_bytes()[20..]], &[("x-sum", "17")]);
        let response = http1::exchange(&egress.address, "POST", &bytes).await.expect("an answer");
        assert_trailed(path, &response);
        let mut client = Client::connect(&egress.address).await.expect("a connection");
        let (frames, body) = http2::stream();
        let call = Call { path, ..Call::chat("").with(&[("x-mock-echo", "1")]) };
        frames.send(CHAT.as_bytes());
        frames.trailers(&[("x-sum", "17")]);
        let response = client.exchange(call.http2(&egress.address, body)).await.expect("an answer");
        assert_trailed(path, &response);
    }
    // A refusal waits for the trailers too.
    let request = Request { method: "POST", path: held, headers: &[JSON] };
    let bytes = request.chunked(&[&CHAT.as_bytes()[..20]], &[("x-sum", "17")]);
    let response = http1::exchange(&egress.address, "POST", &bytes).await.expect("an answer");
    assert_eq!((response.status, response.json()["error"]["code"].as_str()), (400, Some("invalid_json")));
    egress.assert_clean(&Exceptions::default()).await;
}

fn assert_trailed(path: &str, response: &Response) {
    assert_eq!(response.status, 200, "{path}: {response:?}");
    let echo = response.json();
    assert_eq!(echo["trailers"], serde_json::json!([["x-sum", "17"]]), "{path}: {echo}");
    assert_eq!(echo["body"], CHAT, "{path}: {echo}");
}

async fn trailers_of_a_response_arrive(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    for body in [CHAT, STREAM] {
        let call = Call::chat(body).with(&[("x-mock-trailers", "1"), ("te", "trailers")]);
        let response = same(&egress, Protocol::Http2, "trailed", &call).await;
        assert_eq!(response.trailers, [("x-mock-trailer".to_owned(), "end".to_owned())], "{response:?}");
        let call = call.with(&[("connection", "te, close")]);
        let response = same(&egress, Protocol::Http1, "trailed", &call).await;
        assert_eq!(response.trailers, [("x-mock-trailer".to_owned(), "end".to_owned())], "{response:?}");
    }
    let passed = Call { path: "/v1/files", ..Call::chat("x").with(&[("x-mock-trailers", "1"), ("te", "trailers")]) };
    assert_eq!(same(&egress, Protocol::Http2, "passed", &passed).await.trailers.len(), 1);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn requests_without_a_body(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    for protocol in BOTH {
        for (method, path, status) in [
            ("HEAD", "/v1/models", 200),
            ("HEAD", "/v1/chat/completions", 200),
            ("OPTIONS", "/v1/chat/completions", 200),
            ("GET", "/v1/files/f/content", 200),
            ("DELETE", "/v1/files/f", 200),
            ("POST", "/v1/files", 200),
        ] {
            let response = same(&egress, protocol, "bare", &Call::bare(method, path)).await;
            assert_eq!(response.status, status, "{method} {path}: {response:?}");
        }
        let reset = Call::bare("GET", "/v1/files").with(&[("x-mock-status", "204")]);
        assert_eq!(same(&egress, protocol, "none", &reset).await.status, 204);
        // A call without a call in it never leaves.
        let empty = Call::post("/v1/chat/completions", "").send(protocol, &egress.address).await;
        assert_eq!((empty.status, empty.json()["error"]["code"].as_str()), (400, Some("invalid_json")), "{empty:?}");
    }
    assert_eq!(egress.mock.tally().requests, 14);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_client_that_expects_a_continue_gets_one(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let direct = Call::chat(CHAT).with(&[("x-mock-id", "expect")]).send(Protocol::Http1, &egress.direct()).await;
    for path in ["/v1/chat/completions", "/v1/files"] {
        let length = CHAT.len().to_string();
        let headers = [JSON, ("expect", "100-continue"), ("content-length", &length), ("x-mock-id", "expect")];
        let head = Request { method: "POST", path, headers: &headers }.head();
        let mut connection = Connection::open(&egress.address, "POST").await.expect("a connection");
        connection.send(&head).await.expect("sent");
        assert_eq!(connection.read_interim().await.interim, [100], "{path}");
        connection.send(CHAT.as_bytes()).await.expect("sent");
        let response = connection.finish().await;
        assert_eq!((response.status, response.complete), (200, true), "{path}: {response:?}");
        assert!(path == "/v1/files" || response.body == direct.body, "{response:?}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_websocket_carries_bytes_both_ways(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("authorization", "Bearer sk-of-the-caller"),
    ];
    let request = Request { method: "GET", path: "/v1/realtime?model=gpt-4o-realtime", headers: &headers }.head();
    let mut stream = TcpStream::connect(&egress.address).await.expect("a connection");
    stream.write_all(&request).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read_u8(&mut stream).await);
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    for round in 0..20_u8 {
        let message = vec![round; 1 + usize::from(round) * 977];
        stream.write_all(&message).await.expect("sent");
        let mut back = vec![0; message.len()];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut back)).await;
        read.expect("an echo in time").expect("an echo");
        assert_eq!(back, message);
    }
    stream.shutdown().await.expect("closes");
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    read.expect("an end in time").expect("a clean end");
    assert_eq!((rest.len(), egress.mock.tally().upgrades), (0, 1));
    egress.assert_clean(&Exceptions::default()).await;
}

async fn read_u8(stream: &mut TcpStream) -> u8 {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut byte)).await;
    read.expect("a byte in time").expect("a byte");
    byte[0]
}

async fn a_connect_goes_nowhere(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let address = egress.mock.addr().to_string();
    let request = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let mut stream = TcpStream::connect(&egress.address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    let length = read.expect("an answer in time").expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("no_backend"), "{answer}");
    assert_eq!(egress.mock.tally().requests, 0);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn an_early_answer_reaches_a_client_that_still_sends(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    for status in ["200", "413"] {
        let early = [("x-mock-early", "1"), ("x-mock-status", status), ("content-type", "application/octet-stream")];
        let call = Call { headers: Vec::new(), ..Call::post("/v1/files", "") }.with(&early);
        let mut client = Client::connect(&egress.address).await.expect("a connection");
        let (frames, body) = http2::stream();
        frames.send(&[b'x'; 1000]);
        let mut exchange = client.send(call.http2(&egress.address, body)).await.expect("an early head");
        assert_eq!(exchange.so_far().status.to_string(), status);
        exchange.read_until(|response| response.body.len() > 20).await;
        frames.send(&[b'x'; 1000]);
        drop(frames);
        let response = exchange.finish().await;
        assert!(response.complete || response.body.len() > 20, "{response:?}");
    }
    // A call is held whole before it leaves, so that the provider cannot be early.
    let call = Call::chat(CHAT).with(&[("x-mock-early", "1"), ("x-mock-model", "early")]);
    let (direct, through) = super::pair::both(&egress, Protocol::Http1, "early", &call).await;
    assert_same("early", &direct, &through);
    egress.assert_clean(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
}

every_mode!(
    trailers_of_a_request_arrive,
    trailers_of_a_response_arrive,
    requests_without_a_body,
    a_websocket_carries_bytes_both_ways
);

every_mode!(
    a_client_that_expects_a_continue_gets_one,
    a_connect_goes_nowhere,
    an_early_answer_reaches_a_client_that_still_sends
);
