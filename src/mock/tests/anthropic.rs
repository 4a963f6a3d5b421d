//! Anthropic's Messages: frames as its reference shows them, and what it refuses.

use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::dialects::{ROWS, Row, events};
use super::{Pairs, mock, send};

const ROW: &Row = &ROWS[0];

fn tools() -> Value {
    json!([{"name": "look", "input_schema": {"type": "object"}}, {"name": "see", "input_schema": {"type": "object"}}])
}

#[tokio::test]
async fn a_whole_answer_has_anthropics_shape() {
    let mock = mock().await;
    let orders = [("x-mock-tokens", "2"), ("x-mock-reasoning", "1"), ("x-mock-cached", "1"), ("x-mock-id", "one")];
    let got = ROW.ask(&mock, false, &orders, json!({})).await;
    assert_eq!(got.headers["request-id"], "req_one");
    let expected = json!({
        "id": "msg_one", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "thinking", "thinking": " time", "signature": "bW9jay1zaWduYXR1cmU="},
                    {"type": "text", "text": " time year"}],
        "stop_reason": "end_turn", "stop_sequence": null, "stop_details": null,
        "usage": {"input_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1,
                  "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                  "output_tokens": 3, "service_tier": "standard"}});
    assert_eq!(got.json(), expected);
    let long = ROW.ask(&mock, false, &[], json!({"max_tokens": 2})).await.json();
    assert_eq!(long["stop_reason"], "max_tokens");
}

#[tokio::test]
async fn a_stream_has_anthropics_order() {
    let mock = mock().await;
    let orders = [("x-mock-tokens", "2"), ("x-mock-reasoning", "1"), ("x-mock-tools", "2")];
    let stream = events(&ROW.ask(&mock, true, &orders, json!({"tools": tools()})).await.text());
    let kinds: Vec<String> = stream
        .iter()
        .map(|event| match event["type"].as_str().unwrap() {
            "content_block_start" => format!("start {}", event["content_block"]["type"].as_str().unwrap()),
            "content_block_delta" => event["delta"]["type"].as_str().unwrap().to_owned(),
            other => other.to_owned(),
        })
        .collect();
    let call = ["start tool_use"].into_iter().chain(["input_json_delta"; 5]).chain(["content_block_stop"]);
    let expected: Vec<&str> = ["message_start", "ping", "start thinking", "thinking_delta", "signature_delta"]
        .into_iter()
        .chain(["content_block_stop"])
        .chain(call.clone())
        .chain(call)
        .chain(["message_delta", "message_stop"])
        .collect();
    assert_eq!(kinds, expected);
    let second = stream.iter().filter(|event| event["index"] == 2);
    let json: String = second.filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(json, r#"{"q":" time year"}"#);
    assert_eq!(stream[0]["message"]["usage"]["input_tokens"], 2);
    let delta = stream.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!((&delta["usage"]["output_tokens"], &delta["delta"]["stop_reason"]), (&json!(5), &json!("tool_use")));
    let cited = events(&ROW.ask(&mock, true, &[("x-mock-citations", "1")], json!({})).await.text());
    assert!(cited.iter().any(|event| event["delta"]["citation"]["url"] == "https://example.com/source"));
    let refused = ROW.ask(&mock, false, &[("x-mock-refusal", "1")], json!({})).await.json();
    assert_eq!((&refused["stop_reason"], &refused["stop_details"]["type"]), (&json!("refusal"), &json!("refusal")));
}

#[tokio::test]
async fn errors_have_anthropics_shape() {
    let mock = mock().await;
    for (status, kind) in [
        ("400", "invalid_request_error"),
        ("401", "authentication_error"),
        ("404", "not_found_error"),
        ("429", "rate_limit_error"),
        ("500", "api_error"),
        ("529", "overloaded_error"),
        ("418", "invalid_request_error"),
        ("502", "api_error"),
    ] {
        let orders: Pairs = &[("x-mock-status", status), ("x-mock-retry-after", "7"), ("x-mock-id", "e")];
        let got = ROW.ask(&mock, true, orders, json!({})).await;
        assert_eq!((got.status.as_str(), &got.headers["retry-after"]), (status, &"7".parse().unwrap()));
        let error = got.json();
        assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!(kind)));
        assert_eq!(error["request_id"], "req_e");
    }
    assert_eq!(mock.tally().models["m"].errors, 8);
}

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: Value) -> Value {
    json!({"role": "assistant", "content": content})
}

#[tokio::test]
async fn illegal_requests_are_refused() {
    let mock = mock().await;
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "ok"});
    let cached = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    let rows = [
        (json!({"max_tokens": null}), "max_tokens: Input should be a valid integer"),
        (json!({"max_tokens": 0}), "max_tokens: Input should be greater than or equal to 1"),
        (json!({"n": 1}), "n: Extra inputs are not permitted"),
        (json!({"temperature": 1.5}), "temperature: Input should be less than or equal to 1"),
        (json!({"messages": []}), "messages: Input should be greater than or equal to 1"),
        (json!({"messages": [{"role": "tool", "content": "x"}]}), "messages.0.role: Input should be 'user' or"),
        (json!({"messages": [{"role": "user", "content": "x", "name": "y"}]}), "messages.0.name: Extra inputs"),
        (json!({"messages": [user(json!([{"type": "text"}]))]}), "messages.0.content.0.text: Field required"),
        (json!({"messages": [user(json!([{"type": "nope"}]))]}), "messages.0.content.0.type: Input should be 'text'"),
        (json!({"messages": [user(json!(""))]}), "messages.0: all messages must have non-empty content"),
        (json!({"messages": [assistant(json!("x"))]}), "messages: first message must use the \"user\" role"),
        (
            json!({"messages": [user(json!("x")), assistant(json!([call("a")]))]}),
            "messages.1: `tool_use` ids were found",
        ),
        (json!({"messages": [user(json!([result("a")]))]}), "messages.0: unexpected `tool_use_id`"),
        (
            json!({"messages": [user(json!("x")), assistant(json!([call("a"), call("b")])), user(json!([result("a")]))]}),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b.",
        ),
        (json!({"tool_choice": {"type": "any"}}), "tool_choice: tool_choice may only be specified"),
        (json!({"tools": tools(), "tool_choice": {"type": "tool", "name": "no"}}), "Tool 'no' not found"),
        (json!({"tools": [{"name": "a"}]}), "tools.0.input_schema: Field required"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), "`max_tokens` must be greater"),
        (json!({"messages": [user(json!(vec![cached; 5]))]}), "A maximum of 4 blocks with cache_control"),
    ];
    for (more, message) in rows {
        let got = ROW.ask(&mock, false, &[], more.clone()).await;
        let error = got.json();
        let said = error["error"]["message"].as_str().unwrap();
        assert!(got.status == StatusCode::BAD_REQUEST && said.starts_with(message), "{more}: {said}");
    }
    let body = (ROW.body)().to_string();
    let bare = send(&mock, Version::HTTP_11, Method::POST, "/v1/messages", &[], body).await;
    assert_eq!(bare.json()["error"]["message"], "anthropic-version: header is required");
}

#[tokio::test]
async fn a_long_conversation_is_legal() {
    let mock = mock().await;
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}});
    let conversation = json!([
        user(json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, image])),
        assistant(json!([{"type": "thinking", "thinking": "t", "signature": "s"},
                         {"type": "tool_use", "id": "a", "name": "look", "input": {"q": 1}}])),
        user(json!([{"type": "tool_result", "tool_use_id": "a", "is_error": true, "content": [image]},
                    {"type": "text", "text": "and"}])),
        user(json!("more")),
    ]);
    let more = json!({
        "max_tokens": 2000, "messages": conversation, "system": [{"type": "text", "text": "s"}], "tools": tools(),
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"},
        "stop_sequences": ["x"], "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    let orders: Pairs = &[("x-mock-tools", "3"), ("x-mock-tokens", "1")];
    let got = ROW.ask(&mock, false, orders, more).await;
    let calls = got.json()["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use").count();
    assert_eq!((got.status, calls), (StatusCode::OK, 1), "{}", got.text());
}

#[tokio::test]
async fn counts_models_and_vertex() {
    let mock = mock().await;
    let version = ("anthropic-version", "2023-06-01");
    let body = json!({"model": "m", "messages": [user(json!("12345678"))], "system": "1234"}).to_string();
    let post = async |path: &str, headers: Pairs<'_>, body: &str| {
        send(&mock, Version::HTTP_11, Method::POST, path, headers, body.to_owned()).await
    };
    let counted = post("/v1/messages/count_tokens", &[version], &body).await;
    assert_eq!(counted.json(), json!({"input_tokens": 3}));
    let models = send(&mock, Version::HTTP_11, Method::GET, "/v1/models", &[version], "").await.json();
    assert_eq!((&models["data"][0]["type"], &models["has_more"]), (&json!("model"), &json!(false)));

    let base = "/v1/projects/p/locations/us-east5/publishers/anthropic/models";
    let vertex = json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [user(json!("x"))]});
    let whole = post(&format!("{base}/claude%40a:rawPredict"), &[], &vertex.to_string()).await;
    assert_eq!(whole.json()["model"], "claude@a", "{}", whole.text());
    let stream = post(&format!("{base}/c:streamRawPredict"), &[], &vertex.to_string()).await;
    assert_eq!(events(&stream.text())[0]["message"]["model"], "c");
    for (body, message) in [
        ((ROW.body)(), "model: Extra inputs are not permitted"),
        (json!({"max_tokens": 9, "messages": [user(json!("x"))]}), "anthropic_version: Field required"),
    ] {
        let refused = post(&format!("{base}/c:rawPredict"), &[], &body.to_string()).await;
        assert_eq!(refused.json()["error"]["message"], message);
    }
    let counted = post(&format!("{base}/count-tokens:rawPredict"), &[], &body).await;
    assert_eq!(counted.json(), json!({"input_tokens": 3}));
}
