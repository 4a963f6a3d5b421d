//! What holds in every dialect: the orders of a program, the keys, the tally.

use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::{Got, Mock, Pairs, WORDS, decode, mock, send, tally_when};
use crate::mock::encode::Coding;

/// One dialect's way to ask for words, whole or streamed, and what it says.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) whole: &'static str,
    pub(super) stream: &'static str,
    pub(super) headers: Pairs<'static>,
    pub(super) body: fn() -> Value,
    /// Where the text of a whole answer is.
    pub(super) text: &'static str,
    /// Where the text of a streamed event is.
    pub(super) delta: &'static str,
    /// The last event of a stream that ends as it should.
    last: fn(&Value) -> bool,
    /// An event that says that the stream failed.
    failed: fn(&Value) -> bool,
    /// The header with the key.
    key: &'static str,
}

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

fn messages() -> Value {
    json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "eight by"}]})
}

fn contents() -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": "eight by"}]}]})
}

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "anthropic",
        whole: "/v1/messages",
        stream: "/v1/messages",
        headers: &[VERSION],
        body: messages,
        text: "/content/0/text",
        delta: "/delta/text",
        last: |event| event["type"] == "message_stop",
        failed: |event| event["type"] == "error" && event["error"]["type"] == "overloaded_error",
        key: "x-api-key",
    },
    Row {
        name: "gemini",
        whole: "/v1beta/models/m:generateContent",
        stream: "/v1beta/models/m:streamGenerateContent?alt=sse",
        headers: &[],
        body: contents,
        text: "/candidates/0/content/parts/0/text",
        delta: "/candidates/0/content/parts/0/text",
        last: |event| event["candidates"][0]["finishReason"] == "STOP",
        failed: |event| event["error"]["status"] == "UNAVAILABLE",
        key: "x-goog-api-key",
    },
    Row {
        name: "responses",
        whole: "/v1/responses",
        stream: "/v1/responses",
        headers: &[],
        body: || json!({"model": "m", "input": "eight by"}),
        text: "/output/0/content/0/text",
        delta: "/delta",
        last: |event| event["type"] == "response.completed",
        failed: |event| event["type"] == "error" && event["code"] == "server_error",
        key: "authorization",
    },
];

impl Row {
    /// Asks with these orders; `more` is laid over the body.
    pub(super) async fn ask(&self, mock: &Mock, stream: bool, orders: Pairs<'_>, more: Value) -> Got {
        let mut body = (self.body)();
        let object = body.as_object_mut().unwrap();
        if stream && self.whole == self.stream {
            object.insert("stream".into(), true.into());
        }
        object.extend(more.as_object().unwrap().clone());
        let headers = [self.headers, orders].concat();
        let path = if stream { self.stream } else { self.whole };
        send(mock, Version::HTTP_11, Method::POST, path, &headers, body.to_string()).await
    }
}

/// The events of a stream; a name is the `type` of its event.
pub(super) fn events(text: &str) -> Vec<Value> {
    let event = |frame: &str| {
        let (name, data) = match frame.strip_prefix("event: ") {
            Some(rest) => rest.split_once('\n').map(|(name, data)| (Some(name), data)).unwrap(),
            None => (None, frame),
        };
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert!(name.is_none_or(|name| data["type"] == name), "{frame}");
        data
    };
    text.split_terminator("\n\n").map(event).collect()
}

pub(super) fn said(row: &Row, events: &[Value]) -> String {
    let text = events.iter().filter(|event| event["type"] != "response.function_call_arguments.delta");
    text.filter_map(|event| event.pointer(row.delta)?.as_str()).collect()
}

#[tokio::test]
async fn whole_and_streamed_say_the_same_and_are_counted() {
    for row in ROWS {
        let mock = mock().await;
        let whole = row.ask(&mock, false, &[("x-mock-tokens", "5")], json!({})).await;
        assert_eq!(whole.status, StatusCode::OK, "{}: {}", row.name, whole.text());
        let words = WORDS[..5].concat();
        assert_eq!(whole.json().pointer(row.text).unwrap(), &json!(words), "{}", row.name);
        let stream = row.ask(&mock, true, &[("x-mock-tokens", "5")], json!({})).await;
        let events = events(&stream.text());
        assert_eq!(said(row, &events), words, "{}", row.name);
        assert!((row.last)(events.last().unwrap()), "{}", row.name);
        // One frame an event.
        assert_eq!(stream.frames.len(), events.len(), "{}", row.name);
        let model = mock.tally().models["m"].clone();
        let counts = (model.requests, model.complete, model.prompt_tokens, model.completion_tokens);
        assert_eq!(counts, (2, 2, 4, 10), "{}", row.name);
        assert_eq!(mock.tally().recent.iter().map(|r| r.stream).collect::<Vec<_>>(), [false, true]);
    }
}

#[tokio::test]
async fn every_fault_can_be_ordered() {
    for row in ROWS {
        let (mock, name) = (mock().await, row.name);
        let plain = events(&row.ask(&mock, true, &[], json!({})).await.text());
        let ended = row.ask(&mock, true, &[("x-mock-no-done", "1")], json!({})).await;
        assert!(ended.whole && !events(&ended.text()).iter().any(row.last), "{name}");

        let failed = events(&row.ask(&mock, true, &[("x-mock-error-event", "3")], json!({})).await.text());
        assert!((row.failed)(failed.last().unwrap()) && failed.len() == 4, "{name}: {failed:?}");
        let first = events(&row.ask(&mock, true, &[("x-mock-error-event", "0")], json!({})).await.text());
        assert!((row.failed)(&first[0]) && first.len() == 1, "{name}");

        let broken = row.ask(&mock, true, &[("x-mock-malformed", "frame")], json!({})).await.text();
        let data = broken.split_terminator("\n\n").filter_map(|frame| frame.split_once("data: "));
        let bad = data.filter(|(_, data)| serde_json::from_str::<Value>(data).is_err()).count();
        assert_eq!((bad, broken.split_terminator("\n\n").count()), (1, plain.len() + 1), "{name}");
        let cut = row.ask(&mock, false, &[("x-mock-malformed", "json")], json!({})).await;
        assert!(cut.whole && serde_json::from_slice::<Value>(&cut.bytes()).is_err(), "{name}");

        let aborted = row.ask(&mock, true, &[("x-mock-abort", "2000"), ("x-mock-id", "cut")], json!({})).await;
        assert!(!aborted.whole && aborted.bytes().len() == 2000, "{name}");
        let tally = tally_when(&mock, |tally| tally.recent.iter().any(|request| request.aborted)).await;
        let request = tally.recent.iter().find(|request| request.id.as_deref() == Some("cut")).unwrap();
        assert!(request.aborted && request.produced < 32, "{name}: {request:?}");
    }
}

#[tokio::test]
async fn events_are_spelled_and_coded_as_ordered() {
    for row in ROWS {
        let (mock, id) = (mock().await, ("x-mock-id", "same"));
        let plain = row.ask(&mock, true, &[id], json!({})).await.text();
        let crlf = row.ask(&mock, true, &[id, ("x-mock-sse", "crlf")], json!({})).await.text();
        assert_eq!(crlf, plain.replace('\n', "\r\n"), "{}", row.name);
        let short = row.ask(&mock, true, &[id, ("x-mock-final-newline", "0")], json!({})).await.text();
        assert_eq!(short, plain.trim_end(), "{}", row.name);
        let chunked = row.ask(&mock, true, &[id, ("x-mock-chunks", "2")], json!({})).await.text();
        let deltas = events(&chunked).iter().filter(|e| said(row, &[(*e).clone()]).len() > 1).count();
        assert_eq!((deltas, said(row, &events(&chunked)).len()), (2, 160), "{}", row.name);
        let packed = row.ask(&mock, true, &[id, ("x-mock-encoding", "gzip!")], json!({})).await;
        assert_eq!(decode(Coding::Gzip, &packed.bytes()), plain.as_bytes(), "{}", row.name);
        let named = row.ask(&mock, false, &[("x-mock-model", "other")], json!({})).await.text();
        assert!(named.contains(r#""other""#) && !named.contains(r#""m""#), "{}", row.name);
        let echo = row.ask(&mock, false, &[("x-mock-echo", "1")], json!({})).await.json();
        assert_eq!(echo["object"], "mock.echo", "{}", row.name);
    }
}

#[tokio::test]
async fn keys_are_taken_where_the_dialect_has_them() {
    for row in ROWS {
        let mock = mock().await;
        mock.require_keys(&["good"]);
        let bearer = if row.key == "authorization" { "Bearer good" } else { "good" };
        let refused = row.ask(&mock, false, &[(row.key, "bad")], json!({})).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", row.name);
        assert!(refused.json()["error"]["message"].is_string(), "{}", row.name);
        let taken = row.ask(&mock, false, &[(row.key, bearer)], json!({})).await;
        assert_eq!(taken.status, StatusCode::OK, "{}", row.name);
    }
    let mock = mock().await;
    mock.require_keys(&["good"]);
    let path = "/v1beta/models/m:generateContent?key=good";
    let got = send(&mock, Version::HTTP_11, Method::POST, path, &[], contents().to_string()).await;
    assert_eq!(got.status, StatusCode::OK);
}

#[tokio::test]
async fn an_early_answer_and_no_json() {
    for row in ROWS {
        let (mock, name) = (mock().await, row.name);
        let early = row.ask(&mock, false, &[("x-mock-early", "1")], json!({})).await;
        assert_eq!(early.json().pointer(row.text).unwrap().as_str().unwrap().len(), 160, "{name}");
        for body in ["", "{", "[]", "{\"a\":1}"] {
            let got = send(&mock, Version::HTTP_11, Method::POST, row.whole, row.headers, body).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST, "{name}: {body}");
            assert!(got.json()["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{name}: {body}");
        }
    }
}
