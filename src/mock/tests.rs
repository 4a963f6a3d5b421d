//! The mock over real sockets: what a client gets, and what the tally says about it.

mod anthropic;
mod bedrock;
mod chat;
mod cohere;
mod dialects;
mod eventstream;
mod faults;
mod gemini;
mod invoke;
mod ollama;
mod responses;
mod written;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::encode::Coding;
use super::words::{WORD_BYTES, WORDS};
use super::{Mock, Tally};
use crate::wire::decode::{Decoder, Limits};

/// What a client has read.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// The body ended as it should.
    whole: bool,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

// === impl Got ===

impl Got {
    fn bytes(&self) -> Vec<u8> {
        self.frames.concat()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// The chunks of a stream that ends with `[DONE]`.
    fn chunks(&self) -> Vec<Value> {
        let text = self.text();
        let mut events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.pop(), Some("data: [DONE]"));
        events.iter().map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect()
    }
}

async fn mock() -> Mock {
    Mock::start(TcpListener::bind("127.0.0.1:0").await.unwrap()).await
}

async fn send(
    mock: &Mock,
    version: Version,
    method: Method,
    path: &str,
    headers: Pairs<'_>,
    body: impl Into<Bytes>,
) -> Got {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build_http();
    let mut request = Request::builder().method(method).uri(format!("http://{}{path}", mock.addr()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let (head, mut body) = response.into_parts();
    let mut got = Got { status: head.status, headers: head.headers, frames: Vec::new(), trailers: None, whole: true };
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) => got.frames.push(data),
            Ok(Err(frame)) => got.trailers = frame.into_trailers().ok(),
            Err(_) => {
                got.whole = false;
                break;
            }
        }
    }
    got
}

async fn post(mock: &Mock, path: &str, headers: Pairs<'_>, body: Value) -> Got {
    send(mock, Version::HTTP_11, Method::POST, path, headers, body.to_string()).await
}

async fn chat(mock: &Mock, headers: Pairs<'_>, more: Value) -> Got {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "eight by"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(mock, "/v1/chat/completions", headers, body).await
}

/// The tally once `ready` holds; the end of an aborted answer is seen a little after the client goes.
async fn tally_when(mock: &Mock, ready: impl Fn(&Tally) -> bool) -> Tally {
    for _ in 0..1000 {
        let tally = mock.tally();
        if ready(&tally) {
            return tally;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the tally never got there: {:?}", mock.tally());
}

fn content(chunks: &[Value], choice: u64) -> String {
    let choices = chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).filter(|c| c["index"] == choice);
    choices.filter_map(|c| c["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn a_whole_answer_has_openais_shape() {
    let mock = mock().await;
    let got = chat(&mock, &[("x-mock-cached", "1"), ("x-mock-reasoning", "5"), ("x-mock-id", "one")], json!({})).await;
    assert_eq!((got.status, &got.headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
    assert_eq!(got.headers["content-length"].to_str().unwrap(), got.bytes().len().to_string());
    let said = WORDS.concat().repeat(2);
    let expected = json!({
        "id": "chatcmpl-one", "object": "chat.completion", "created": 1_700_000_000, "model": "m",
        "choices": [{"index": 0, "logprobs": null, "finish_reason": "stop",
            "message": {"role": "assistant", "content": said, "refusal": null, "annotations": []}}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 37, "total_tokens": 39,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}},
        "service_tier": "default", "system_fingerprint": "fp_mock"});
    assert_eq!(got.json(), expected);
    let model = &mock.tally().models["m"];
    assert_eq!((model.requests, model.complete, model.prompt_tokens, model.completion_tokens), (1, 1, 2, 37));
    mock.shutdown().await;
}

#[tokio::test]
async fn a_stream_without_usage_never_names_it() {
    let mock = mock().await;
    let got = chat(&mock, &[], json!({"stream": true, "max_tokens": 3})).await;
    assert_eq!(got.headers["content-type"], "text/event-stream; charset=utf-8");
    assert!(!got.text().contains("usage"));
    let chunks = got.chunks();
    assert_eq!(chunks.len(), 5);
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": "", "refusal": null}));
    assert_eq!(content(&chunks, 0), WORDS[..3].concat());
    assert_eq!(chunks[4]["choices"][0], json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": "length"}));
    // One write an event: as many frames as events.
    assert_eq!(got.frames.len(), 6);
}

#[tokio::test]
async fn a_stream_with_usage_names_it_everywhere() {
    let mock = mock().await;
    let ask = json!({"stream": true, "n": 2, "stream_options": {"include_usage": true}});
    let got = chat(&mock, &[("x-mock-tokens", "20"), ("x-mock-chunks", "3"), ("x-mock-reasoning", "2")], ask).await;
    let mut chunks = got.chunks();
    let last = chunks.pop().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &json!(42)));
    assert!(chunks.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(chunks.len(), 2 + 2 * 3 + 2);
    for choice in 0..2 {
        assert_eq!(content(&chunks, choice).len(), 20 * WORD_BYTES);
    }
    assert_ne!(content(&chunks, 0), content(&chunks, 1));
    assert_eq!(mock.tally().models["m"].completion_tokens, 42);
}

#[tokio::test]
async fn the_usage_can_be_left_out_forced_or_null() {
    let mock = mock().await;
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}});
    assert!(!chat(&mock, &[("x-mock-usage", "absent")], asked.clone()).await.text().contains("usage"));
    let null = chat(&mock, &[("x-mock-usage", "null")], asked).await.chunks();
    assert_eq!(null.last().map(|c| (&c["choices"], c.get("usage"))), Some((&json!([]), Some(&Value::Null))));
    let forced = chat(&mock, &[("x-mock-usage", "present")], json!({"stream": true})).await.chunks();
    assert_eq!(forced.last().unwrap()["usage"]["completion_tokens"], 32);
    assert!(chat(&mock, &[("x-mock-usage", "absent")], json!({})).await.json().get("usage").is_none());
    assert!(chat(&mock, &[("x-mock-usage", "null")], json!({})).await.json()["usage"].is_null());
}

#[tokio::test]
async fn every_chunk_can_say_when_it_was_made() {
    let mock = mock().await;
    let asked = json!({"stream": true, "max_tokens": 3, "stream_options": {"include_usage": true}});
    let stamped = chat(&mock, &[("x-mock-stamp", "1")], asked.clone()).await.chunks();
    let times: Vec<u64> = stamped.iter().map(|chunk| chunk["sent_ns"].as_u64().unwrap()).collect();
    assert!(times.len() == 6 && times.is_sorted() && times[0] > 0, "{times:?}");
    assert!(!chat(&mock, &[], asked).await.text().contains("sent_ns"));
}

#[tokio::test]
async fn a_tool_is_called_whole_and_in_pieces() {
    let mock = mock().await;
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {}}}]);
    let ask = json!({"tools": tools, "tool_choice": "required"});
    let whole = chat(&mock, &[("x-mock-tokens", "2")], ask).await.json();
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let call = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "look", "arguments": "{\"q\":\" time year\"}"}));
    let ask = json!({"stream": true, "tools": tools});
    let chunks = chat(&mock, &[("x-mock-tokens", "2"), ("x-mock-tool", "1")], ask.clone()).await.chunks();
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
    assert_eq!(deltas.clone().next().unwrap()["function"]["name"], "look");
    let arguments: String = deltas.filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, "{\"q\":\" time year\"}");
    assert_eq!(content(&chat(&mock, &[], ask).await.chunks(), 0).len(), 32 * WORD_BYTES);
}

#[tokio::test]
async fn an_ordered_abort_counts_only_what_went_out() {
    let mock = mock().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let body = r#"{"model":"m","messages":[],"stream":true}"#;
        let path = "/v1/chat/completions";
        let got =
            send(&mock, version, Method::POST, path, &[("x-mock-abort", "1000"), ("x-mock-id", "cut")], body).await;
        assert!(!got.whole);
        assert_eq!(got.bytes().len(), 1000);
        let text = got.text();
        let said = text.split_inclusive("\n\n").filter(|e| e.ends_with("\n\n") && e.contains("\"content\":\" "));
        let (said, tally) = (said.count() as u64, mock.tally());
        let request = tally.recent.last().unwrap();
        assert!(said > 0);
        assert_eq!((request.produced, request.aborted, request.complete), (said, true, false));
        assert_eq!(request.id.as_deref(), Some("cut"));
    }
    assert_eq!(mock.tally().models["m"].aborted, 2);
    let whole = chat(&mock, &[("x-mock-abort", "0")], json!({})).await;
    assert_eq!((whole.status, whole.whole, whole.frames.len()), (StatusCode::OK, false, 0));
    assert_eq!(tally_when(&mock, |t| t.models["m"].aborted == 3).await.recent[2].produced, 0);
}

#[tokio::test]
async fn a_client_that_goes_is_an_abort() {
    let mock = mock().await;
    let body = r#"{"model":"m","messages":[],"stream":true,"max_tokens":100000}"#;
    let mut socket = TcpStream::connect(mock.addr()).await.unwrap();
    let request = format!(
        "POST /chat/completions HTTP/1.1\r\nhost: x\r\nx-mock-spacing: 5\r\nx-request-id: gone\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("\" good\"") {
        socket.read_buf(&mut read).await.unwrap();
    }
    drop(socket);
    let tally = tally_when(&mock, |tally| tally.models["m"].aborted == 1).await;
    let produced = tally.models["m"].completion_tokens;
    assert!((3..100_000).contains(&produced), "{produced}");
    assert_eq!(tally.recent[0].request_id.as_deref(), Some("gone"));
    assert_eq!(tally.recent[0].produced, produced);
}

fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    let (mut out, limits) = (Vec::new(), Limits { max_ratio: 1000, ..Limits::default() });
    Decoder::new(coding.name(), limits).unwrap().push(bytes, &mut out).unwrap();
    out
}

#[tokio::test]
async fn every_coding_decodes_to_the_same_bytes() {
    let mock = mock().await;
    for (coding, more) in
        Coding::ALL.into_iter().flat_map(|coding| [(coding, json!({})), (coding, json!({"stream": true}))])
    {
        let plain = chat(&mock, &[("x-mock-id", "same")], more.clone()).await;
        let asked = [("x-mock-id", "same"), ("x-mock-encoding", coding.name()), ("accept-encoding", coding.name())];
        let packed = chat(&mock, &asked, more.clone()).await;
        assert_eq!(packed.headers["content-encoding"], coding.name());
        assert_eq!(decode(coding, &packed.bytes()), plain.bytes());
        let refused = chat(&mock, &asked[..2], more).await;
        assert_eq!(refused.bytes(), plain.bytes());
        assert!(!refused.headers.contains_key("content-encoding"));
    }
    // A stream is flushed at every event: the first frame alone decodes to the first event.
    for coding in Coding::ALL {
        let forced = format!("{}!", coding.name());
        let ask = [("x-mock-encoding", forced.as_str()), ("x-mock-spacing", "20")];
        let got = chat(&mock, &ask, json!({"stream": true, "max_tokens": 2})).await;
        let first = decode(coding, &got.frames[0]);
        assert!(first.starts_with(b"data: ") && first.ends_with(b"\n\n"), "{coding:?}");
    }
}

#[tokio::test]
async fn trailers_come_where_they_may() {
    let mock = mock().await;
    let body = r#"{"model":"m","messages":[]}"#;
    for (version, te, expected) in
        [(Version::HTTP_11, true, true), (Version::HTTP_11, false, false), (Version::HTTP_2, true, true)]
    {
        let headers = [("x-mock-trailers", "1"), ("te", "trailers")];
        let headers = if te { &headers[..] } else { &headers[..1] };
        let got = send(&mock, version, Method::POST, "/v1/chat/completions", headers, body).await;
        assert_eq!(got.json()["object"], "chat.completion");
        assert_eq!(got.trailers.is_some_and(|t| t["x-mock-trailer"] == "end"), expected, "{version:?} {te}");
    }
    assert_eq!(mock.tally().models["m"].complete, 3);
}

#[tokio::test]
async fn an_upgraded_connection_gives_its_bytes_back() {
    let mock = mock().await;
    let mut socket = TcpStream::connect(mock.addr()).await.unwrap();
    let request = "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        assert_ne!(socket.read_buf(&mut read).await.unwrap(), 0);
    }
    let head = String::from_utf8(read).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    let sent: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let (mut from, mut to) = socket.split();
    let mut back = Vec::new();
    let write = async {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, end) = tokio::join!(write, from.read_to_end(&mut back));
    end.unwrap();
    assert!(back == sent);
    assert_eq!(mock.tally().upgrades, 1);
}
