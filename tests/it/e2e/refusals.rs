//! What Weir refuses, it refuses in the caller's dialect and before anything leaves.

use serde_json::Value;

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

/// Two backends, of which one has no key.
pub const TWO_BACKENDS: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: one}
spec: {endpoint: \"http://{mock}/v1\", dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: two}
spec: {endpoint: \"http://{mock}/v1\", dialect: OpenAI, credentials: [{type: APIKey, apiKey: {env: NO_SUCH_KEY}}]}
";

/// Two backends where nobody listens: port 9 of the loopback is nobody's.
const NOBODY: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: one}
spec: {endpoint: \"http://127.0.0.1:9/v1\", dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec: {endpoint: \"http://127.0.0.1:9\", dialect: Anthropic, credentials: [{type: None}]}
";

/// OpenAI's `type` of an error with this status.
fn kind(status: u16) -> &'static str {
    match status {
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}

/// Panics unless the answer is this error in OpenAI's shape, and no more.
fn assert_refused(what: &str, response: &Response, status: u16, code: &str) {
    assert_eq!((response.status, response.complete), (status, true), "{what}: {response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"), "{what}: {response:?}");
    let error = &response.json()["error"];
    assert_eq!((error["code"].as_str(), error["type"].as_str()), (Some(code), Some(kind(status))), "{what}: {error}");
    assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{what}: {error}");
    let mut names: Vec<_> = error.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["code", "message", "param", "type"], "{what}");
    assert!(response.header("x-weir-request-id").is_some(), "{what}: {response:?}");
}

fn chat(body: impl Into<Vec<u8>>) -> Call {
    Call::chat(body)
}

async fn a_body_that_cannot_be_read_is_refused(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let deep = format!(r#"{{"model":"m","messages":[],"x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let rows: Vec<(&str, Call, &str)> = vec![
        ("cut JSON", chat(r#"{"model":"m","messages":["#), "invalid_json"),
        ("no JSON", chat("model=m&messages=hi"), "invalid_json"),
        ("two values", chat(r#"{"model":"m","messages":[]}{"model":"n"}"#), "invalid_json"),
        ("no object", chat(r#"["model"]"#), "invalid_json"),
        ("bytes that are no text", chat(b"{\"model\":\"\xff\",\"messages\":[]}".to_vec()), "invalid_json"),
        ("empty", chat(""), "invalid_json"),
        ("deep", chat(deep), "invalid_json"),
        ("model twice", chat(r#"{"model":"a","messages":[],"model":"b"}"#), "duplicate_field"),
        ("model twice, escaped", chat(r#"{"model":"a","messages":[],"mod\u0065l":"b"}"#), "duplicate_field"),
        ("stream twice", chat(r#"{"model":"a","stream":false,"messages":[],"stream":true}"#), "duplicate_field"),
        ("model is a number", chat(r#"{"model":1,"messages":[]}"#), "unsupported_value"),
        ("compressed", chat(b"\x1f\x8b\x08".to_vec()).with(&[("content-encoding", "gzip")]), "unsupported_value"),
    ];
    for protocol in BOTH {
        for (what, call, code) in &rows {
            assert_refused(what, &call.send(protocol, &egress.address).await, 400, code);
        }
        let missing = chat(r#"{"messages":[]}"#).send(protocol, &egress.address).await;
        assert_eq!((missing.status, missing.json()["error"]["param"].as_str()), (400, Some("model")), "{missing:?}");
    }
    assert_eq!(egress.mock.tally().requests, 0, "something has left");
    let records = egress.ledger_of(2 * rows.len() + 2).await;
    assert!(records.iter().all(|record| record["outcome"] == "OUTCOME_REFUSED"), "{records:?}");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_call_that_nobody_serves_is_refused(mode: BodyMode) {
    let egress = Egress::up(mode, TWO_BACKENDS).await;
    for protocol in BOTH {
        let model = |model: &str| chat(format!(r#"{{"model":"{model}","messages":[]}}"#));
        let unknown = model("no-such-model").send(protocol, &egress.address).await;
        assert_refused("an unknown model", &unknown, 404, "model_not_found");
        assert_eq!(unknown.json()["error"]["param"], "model");
        let foreign = model("three/gpt-4o").send(protocol, &egress.address).await;
        assert_refused("an unknown backend", &foreign, 404, "model_not_found");
        let keyless = model("two/gpt-4o").send(protocol, &egress.address).await;
        assert_refused("a key that is not there", &keyless, 503, "credential_unavailable");
        for call in [Call::bare("GET", "/v1/files"), Call { path: "/v1/files", ..Call::chat("x") }] {
            assert_refused("a path without a model", &call.send(protocol, &egress.address).await, 404, "no_backend");
        }
        let upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x")];
        if protocol == super::pair::Protocol::Http1 {
            let upgrade = Call::bare("GET", "/v1/realtime").with(&upgrade);
            assert_refused("an upgrade", &upgrade.send(protocol, &egress.address).await, 404, "no_backend");
        }
    }
    assert_eq!(egress.mock.tally().requests, 0, "something has left");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_refusal_speaks_the_callers_dialect(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    for protocol in BOTH {
        // The last one would have to be said in another format, and stands for nothing there.
        let odd = r#"{"model":"a","max_tokens":1,"messages":"hi"}"#;
        for body in ["{", r#"{"model":"a","model":"b","messages":[]}"#, odd] {
            let response = Call::post("/v1/messages", body).send(protocol, &egress.address).await;
            assert_eq!(response.status, 400, "{response:?}");
            let json: Value = response.json();
            assert_eq!(
                (&json["type"], &json["error"]["type"]),
                (&"error".into(), &"invalid_request_error".into()),
                "{json}"
            );
            assert!(json["error"]["message"].is_string() && json["error"].get("code").is_none(), "{json}");
        }
    }
    assert_eq!(egress.mock.tally().requests, 0, "something has left");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn a_provider_that_is_not_there_is_an_error_in_the_callers_dialect(mode: BodyMode) {
    let egress = Egress::up(mode, NOBODY).await;
    for protocol in BOTH {
        let response = chat(r#"{"model":"one/m","messages":[]}"#).send(protocol, &egress.address).await;
        assert_refused("nobody listens", &response, 503, "upstream_unavailable");
        let response = chat(r#"{"model":"one/m","stream":true,"messages":[]}"#).send(protocol, &egress.address).await;
        assert_refused("nobody listens to a stream", &response, 503, "upstream_unavailable");
        let call = Call::post("/v1/messages", r#"{"model":"claude/m","max_tokens":1,"messages":[]}"#);
        let response = call.send(protocol, &egress.address).await;
        let json = response.json();
        assert_eq!((response.status, &json["type"]), (503, &"error".into()), "{response:?}");
        assert!(json["error"]["message"].is_string() && json["error"].get("code").is_none(), "{json}");
    }
    // The proxy marks its own replies for Weir alone.
    let call = chat(r#"{"model":"one/m","messages":[]}"#).send(BOTH[0], &egress.address).await;
    assert!(call.headers.iter().all(|(name, _)| !name.contains("local-reply")), "{call:?}");
    let complaints = Exceptions { may_miss_requests: true, ..Exceptions::default() };
    egress.assert_clean(&complaints).await;
}

every_mode!(a_body_that_cannot_be_read_is_refused, a_provider_that_is_not_there_is_an_error_in_the_callers_dialect);

every_mode!(a_call_that_nobody_serves_is_refused, a_refusal_speaks_the_callers_dialect);
