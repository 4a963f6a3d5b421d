//! The rest of the programs: faults, echo, other endpoints, the tally over HTTP.

use bytes::Bytes;
use http::{Method, Request, StatusCode, Version};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Tally, WORD_BYTES, chat, content, mock, post, send};

#[tokio::test]
async fn a_status_is_an_error_in_openais_shape() {
    let mock = mock().await;
    let orders = [("x-mock-status", "429"), ("x-mock-retry-after", "7")];
    let got = chat(&mock, &orders, json!({"stream": true})).await;
    assert_eq!((got.status.as_u16(), &got.headers["retry-after"]), (429, &"7".parse().unwrap()));
    assert_eq!(got.json()["error"]["code"], "rate_limit_exceeded");
    let model = &mock.tally().models["m"];
    assert_eq!((model.errors, model.complete, model.prompt_tokens), (1, 0, 0));
    assert_eq!(post(&mock, "/v1/files", &orders, json!({})).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn wrong_requests_are_refused() {
    let mock = mock().await;
    let path = "/v1/chat/completions";
    assert_eq!(chat(&mock, &[("x-mock-typo", "1")], json!({})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(chat(&mock, &[], json!({"max_tokens": 0})).await.json()["error"]["param"], "max_tokens");
    assert_eq!(chat(&mock, &[], json!({"n": 128, "max_tokens": 999_999})).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(post(&mock, path, &[], json!({"messages": []})).await.json()["error"]["param"], "model");
    for body in ["", "[", "{\"model\":"] {
        let got = send(&mock, Version::HTTP_11, Method::POST, path, &[], body).await;
        assert_eq!(
            (got.status, got.json()["error"]["type"].as_str()),
            (StatusCode::BAD_REQUEST, Some("invalid_request_error"))
        );
    }
}

#[tokio::test]
async fn streams_break_as_ordered() {
    let mock = mock().await;
    let ask = || json!({"stream": true, "max_tokens": 4});
    let error = chat(&mock, &[("x-mock-error-event", "3")], ask()).await.text();
    let events: Vec<&str> = error.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 4);
    assert!(events[3].starts_with("data: {\"error\":{") && events[3].contains("\"type\":\"server_error\""));
    let request = mock.tally().recent[0].clone();
    assert_eq!((request.produced, request.complete), (2, false));

    let done = chat(&mock, &[("x-mock-no-done", "1")], ask()).await;
    assert!(done.whole && !done.text().contains("[DONE]"));
    let broken = chat(&mock, &[("x-mock-malformed", "frame")], ask()).await.text();
    let events = broken.split_terminator("\n\n").filter(|e| *e != "data: [DONE]");
    let bad = events.filter(|e| serde_json::from_str::<Value>(e.strip_prefix("data: ").unwrap()).is_err());
    assert_eq!(bad.count(), 1);
    let cut = chat(&mock, &[("x-mock-malformed", "json")], json!({})).await;
    assert!(cut.whole && serde_json::from_slice::<Value>(&cut.bytes()).is_err());
    assert_eq!(mock.tally().models["m"].complete, 3);
}

#[tokio::test]
async fn events_can_be_spelled_in_other_ways() {
    let mock = mock().await;
    let id = ("x-mock-id", "same");
    let plain = chat(&mock, &[id], json!({"stream": true})).await.text();
    let other = chat(&mock, &[id, ("x-mock-sse", "crlf")], json!({"stream": true})).await.text();
    assert_eq!(other, plain.replace('\n', "\r\n"));
    let other = chat(&mock, &[id, ("x-mock-sse", "cr")], json!({"stream": true})).await.text();
    assert_eq!(other, plain.replace('\n', "\r"));
    let other = chat(&mock, &[id, ("x-mock-comment", "1")], json!({"stream": true})).await.text();
    assert_eq!(other, plain.replace("data: ", ": ping\n\ndata: "));
    let other = chat(&mock, &[id, ("x-mock-final-newline", "0")], json!({"stream": true})).await.text();
    assert_eq!(other, plain.trim_end());
    let other = chat(&mock, &[id, ("x-mock-model", "m-2026\"")], json!({"stream": true})).await;
    assert!(other.chunks().iter().all(|chunk| chunk["model"] == "m-2026\""));
    assert_eq!(mock.tally().models.len(), 1);
}

#[tokio::test]
async fn the_echo_shows_the_request() {
    let mock = mock().await;
    let headers = [("x-mock-echo", "1"), ("x-a", "1"), ("x-a", "2")];
    let got = send(&mock, Version::HTTP_11, Method::PUT, "/any/path?q=1", &headers, "body").await.json();
    assert_eq!(
        (&got["method"], &got["path"], &got["version"]),
        (&json!("PUT"), &json!("/any/path?q=1"), &json!("HTTP/1.1"))
    );
    assert_eq!((&got["body"], &got["body_length"]), (&json!("body"), &json!(4)));
    let named = got["headers"].as_array().unwrap().iter().filter(|pair| pair[0] == "x-a");
    assert_eq!(named.map(|pair| &pair[1]).collect::<Vec<_>>(), ["1", "2"]);
    let got =
        send(&mock, Version::HTTP_2, Method::POST, "/v1/chat/completions", &headers, &[0xff_u8, 0][..]).await.json();
    assert_eq!(
        (&got["version"], &got["body"], &got["body_base64"]),
        (&json!("HTTP/2.0"), &Value::Null, &json!("/wA="))
    );
}

/// Sends `request` raw and reads until the peer has sent `end`.
async fn raw(mock: &super::Mock, request: &[u8], end: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(mock.addr()).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        assert_ne!(socket.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
    (socket, String::from_utf8(read).unwrap())
}

#[tokio::test]
async fn request_trailers_are_echoed() {
    let mock = mock().await;
    let request = b"POST /x HTTP/1.1\r\nhost: x\r\nx-mock-echo: 1\r\ntrailer: x-t\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: yes\r\n\r\n";
    let (_, text) = raw(&mock, request, "body_length").await;
    assert!(text.contains(r#""trailers":[["x-t","yes"]]"#), "{text}");
    assert!(text.contains(r#""body":"hi""#), "{text}");
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let mock = mock().await;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-mock-early: 1\r\ncontent-length: 6\r\n\r\nabc";
    let (mut socket, text) = raw(&mock, head, "fp_mock").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    // The rest of the body is read, and the connection goes on.
    socket.write_all(b"defGET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("gpt-4o-mini"), "{rest}");
}

#[tokio::test]
async fn other_endpoints_answer() {
    let mock = mock().await;
    let got = post(&mock, "/v1/completions", &[], json!({"model": "t", "prompt": "1234567890", "max_tokens": 2}))
        .await
        .json();
    assert_eq!(got["choices"][0]["text"], " time year");
    assert_eq!(got["usage"], json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}));
    let ask = json!({"model": "t", "prompt": "x", "stream": true, "stream_options": {"include_usage": true}});
    let chunks = post(&mock, "/completions", &[], ask).await.chunks();
    let said: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(said.len(), 32 * WORD_BYTES);
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 33);
    let upload = send(&mock, Version::HTTP_11, Method::POST, "/v1/files?x", &[], vec![b'x'; 3_000_000]).await.json();
    assert_eq!(upload, json!({"object": "mock", "path": "/v1/files", "bytes": 3_000_000}));
    let models = send(&mock, Version::HTTP_2, Method::GET, "/v1/models", &[], "").await;
    assert_eq!(models.json()["data"][1]["id"], "gpt-4o-mini");
    let head = send(&mock, Version::HTTP_11, Method::HEAD, "/v1/models", &[], "").await;
    assert_eq!(head.headers["content-length"].to_str().unwrap(), models.bytes().len().to_string());
    let options = send(&mock, Version::HTTP_11, Method::OPTIONS, "/v1/models", &[], "").await;
    assert!(options.headers.contains_key("allow") && options.frames.is_empty());
}

#[tokio::test]
async fn embeddings_are_unit_vectors_and_near_when_alike() {
    let mock = mock().await;
    let input = json!(["the red house by the sea", "the red house by a sea", "quantum field theory"]);
    let ask = json!({"model": "e", "input": input, "dimensions": 64});
    let got = post(&mock, "/v1/embeddings", &[], ask.clone()).await;
    assert_eq!(got.bytes(), post(&mock, "/v1/embeddings", &[], ask).await.bytes());
    let got = got.json();
    assert_eq!(got["usage"], json!({"prompt_tokens": 17, "total_tokens": 17}));
    let vector = |i: usize| -> Vec<f64> { serde_json::from_value(got["data"][i]["embedding"].clone()).unwrap() };
    let dot = |a: usize, b: usize| vector(a).iter().zip(vector(b)).map(|(a, b)| a * b).sum::<f64>();
    assert!((dot(0, 0) - 1.0).abs() < 1e-5);
    assert!(dot(0, 1) > 0.7 && dot(0, 2) < 0.4, "{} {}", dot(0, 1), dot(0, 2));
    let ask = json!({"model": "e", "input": [1, 2, 3], "encoding_format": "base64"});
    let got = post(&mock, "/v1/embeddings", &[], ask).await.json();
    // 16 floats of 4 bytes are 64 bytes, which are 88 digits.
    assert_eq!(got["data"][0]["embedding"].as_str().unwrap().len(), 88);
    assert_eq!(got["usage"]["prompt_tokens"], 3);
}

#[tokio::test]
async fn the_tally_is_served_and_can_be_reset() {
    let mock = mock().await;
    let _ = chat(&mock, &[("x-mock-id", "a")], json!({})).await;
    let _ = chat(&mock, &[("x-mock-id", "b"), ("x-request-id", "r")], json!({"stream": true})).await;
    let get = async |path: &str| -> Tally {
        serde_json::from_value(send(&mock, Version::HTTP_11, Method::GET, path, &[], "").await.json()).unwrap()
    };
    let tally = get("/_mock/tally").await;
    assert_eq!(tally, mock.tally());
    assert_eq!((tally.requests, tally.connections, tally.paths["/v1/chat/completions"]), (2, 2, 2));
    assert_eq!(tally.recent.iter().map(|r| r.id.as_deref().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    for path in ["/_mock/tally?id=b", "/_mock/tally?id=r"] {
        let found = get(path).await.recent;
        assert_eq!(found.len(), 1);
        assert!(found[0].stream && found[0].complete && found[0].produced == 32);
    }
    assert_eq!(post(&mock, "/_mock/reset", &[], json!({})).await.status, StatusCode::OK);
    assert_eq!((mock.tally().requests, mock.tally().models.len(), mock.tally().recent.len()), (0, 0, 0));
}

#[tokio::test]
async fn waits_are_kept_and_change_nothing_else() {
    let mock = mock().await;
    let plain = chat(&mock, &[("x-mock-id", "w")], json!({"stream": true, "max_tokens": 3})).await;
    let waits = [("x-mock-id", "w"), ("x-mock-delay", "30"), ("x-mock-ttft", "30"), ("x-mock-spacing", "10")];
    let before = std::time::Instant::now();
    let slow = chat(&mock, &waits, json!({"stream": true, "max_tokens": 3})).await;
    // Only the lower bound is certain: 30 + 30 + 5 gaps of 10.
    assert!(before.elapsed().as_millis() >= 110);
    assert_eq!(slow.bytes(), plain.bytes());
    assert_eq!(content(&slow.chunks(), 0), " time year good");
}

#[tokio::test]
async fn an_extended_connect_gives_its_bytes_back() {
    let mock = mock().await;
    let socket = TokioIo::new(TcpStream::connect(mock.addr()).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    // The server's settings allow the method; they are known once an exchange is over.
    let first = Request::get("http://x/v1/models").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(client.send_request(first).await.unwrap().status(), StatusCode::OK);
    let mut request = Request::connect("http://x/v1/realtime").body(Empty::new()).unwrap();
    request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut upgraded = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    upgraded.write_all(b"over h2").await.unwrap();
    let mut back = [0; 7];
    upgraded.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"over h2");
}

#[tokio::test]
async fn shutdown_ends_streams_and_upgrades() {
    let mock = mock().await;
    let ask = r#"{"model":"m","messages":[],"stream":true}"#;
    let stream = format!(
        "POST /chat/completions HTTP/1.1\r\nhost: x\r\nx-mock-spacing: 60000\r\ncontent-length: {}\r\n\r\n{ask}",
        ask.len()
    );
    let upgrade = "GET /x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n";
    let (mut one, _) = raw(&mock, stream.as_bytes(), "assistant").await;
    let (mut two, _) = raw(&mock, upgrade.as_bytes(), "\r\n\r\n").await;
    let addr = mock.addr();
    mock.shutdown().await;
    for socket in [&mut one, &mut two] {
        assert_eq!(socket.read(&mut [0; 64]).await.unwrap_or(0), 0);
    }
    assert!(TcpStream::connect(addr).await.is_err());
}
