//! The tour against a server that plays Weir, its admin endpoint and a provider.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;

use http::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::*;

/// What the played Weir recorded, as proto-JSON.
fn record(call: usize, broken: Option<&str>) -> Value {
    let mut record = json!({
        "usage": {"input": "12", "output": "5"}, "usageSource": "USAGE_SOURCE_PROVIDER", "costUsd": "0.0000125",
        "outcome": "OUTCOME_COMPLETED", "models": {"requested": "fast", "sent": "gpt-4o-mini"}, "duration": "0.2s",
        "decisions": [{"step": "target", "outcome": "chosen", "reason": "only", "detail": "mock"}],
    });
    if call == 4 {
        record["usageSource"] = json!("USAGE_SOURCE_ESTIMATED");
        record["outcome"] = json!("OUTCOME_ABANDONED");
    }
    if call == 5 {
        record = json!({"outcome": "OUTCOME_REFUSED"});
    }
    if let (4, Some(field)) = (call, broken) {
        record[field] = Value::Null;
    }
    record
}

async fn play(request: Request<Incoming>, calls: &Mutex<usize>, broken: Option<&str>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if let Some(call) = path.strip_prefix("/exchanges/") {
        return Response::new(Full::from(record(call.parse().unwrap(), broken).to_string()));
    }
    let bytes = request.into_body().collect().await.unwrap().to_bytes();
    let call = {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        *calls
    };
    let builder = Response::builder().header("x-weir-request-id", call.to_string());
    let Ok(body) = serde_json::from_slice::<Value>(&bytes) else {
        let error =
            json!({"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": "invalid_json"}});
        return builder.status(400).body(Full::from(error.to_string())).unwrap();
    };
    let answer = match body["stream"] == true {
        true => "data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: {\"a\":3}\n\ndata: [DONE]\n\n".to_owned(),
        false => json!({"model": "gpt-4o-mini", "choices": [{"message": {"content": "To hold."}}]}).to_string(),
    };
    builder.body(Full::from(answer)).unwrap()
}

async fn server(broken: Option<&'static str>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let calls: &'static Mutex<usize> = Box::leak(Box::default());
        while let Ok((stream, _)) = listener.accept().await {
            let serve =
                service_fn(move |request| async move { Ok::<_, Infallible>(play(request, calls, broken).await) });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
        }
    });
    address
}

async fn run(broken: Option<&'static str>) -> (Result<(), DemoError>, String) {
    let address = server(broken).await;
    let mut out = Vec::new();
    let result = tour(&format!("http://{address}/v1"), &format!("http://{address}"), &mut out).await;
    (result, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn the_tour_tells_what_happened() {
    let (result, told) = run(None).await;
    result.unwrap();
    for part in ["To hold.", "fast -> gpt-4o-mini", "[DONE]", "0.0000125 USD", "(estimated)", "invalid_json", "mock"] {
        assert!(told.contains(part), "{part} is missing in:\n{told}");
    }
}

#[tokio::test]
async fn the_tour_fails_where_a_call_does_not_show_what_it_should() {
    for field in ["costUsd", "usageSource", "outcome", "usage"] {
        let (result, _) = run(Some(field)).await;
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("step 4, an abort: ") && error.contains(field), "{error}");
    }
}

#[test]
fn facts_are_words_whatever_their_json_type() {
    let record = json!({"usage": {"input": "12"}, "status": 200, "outcome": "OUTCOME_UPSTREAM_ERROR", "price": null});
    assert_eq!(fact(&record, "usage.input").as_deref(), Some("12"));
    assert_eq!(fact(&record, "status").as_deref(), Some("200"));
    assert_eq!(fact(&record, "outcome").as_deref(), Some("upstream_error"));
    assert_eq!(fact(&record, "price"), None);
    assert_eq!(fact(&record, "usage.output.deep"), None);
}

#[test]
fn events_are_found_however_they_are_split() {
    let whole = b"data: one\n\n: ping\n\ndata: two\n\ndata: [DONE]\n\n";
    for cut in 0..whole.len() {
        let mut seen = Seen::default();
        let mut events = seen.feed(&whole[..cut]);
        events.extend(seen.feed(&whole[cut..]));
        assert_eq!(events, ["one", "two", "[DONE]"], "cut at {cut}");
        assert!(seen.done && seen.events == 3);
    }
}
