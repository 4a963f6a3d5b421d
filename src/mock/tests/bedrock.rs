//! The mock as Bedrock Runtime: Converse, whole and streamed, its breaks and errors, and what it refuses.

use http::StatusCode;
use serde_json::{Value, json};

use super::eventstream::{Message, read};
use super::{Got, Mock, Pairs, WORDS, mock, post};

const CONVERSE: &str = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse";
const STREAM: &str = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream";
const MODEL: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

fn request(more: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": "eight by"}]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let spec = |name: &str| json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
    json!({"toolConfig": {"tools": [spec("look"), spec("find")]}})
}

async fn stream(mock: &Mock, headers: Pairs<'_>, more: Value) -> Vec<Message> {
    let got = post(mock, STREAM, headers, request(more)).await;
    assert_eq!(
        (got.status, &got.headers["content-type"]),
        (StatusCode::OK, &"application/vnd.amazon.eventstream".parse().unwrap())
    );
    read(&got.bytes())
}

fn kinds(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(Message::kind).collect()
}

/// All the text of the deltas at this place.
fn joined(messages: &[Message], pointer: &str) -> String {
    messages.iter().filter_map(|message| message.payload.pointer(pointer)?.as_str()).collect()
}

fn assert_refused(got: &Got, words: &str) {
    assert_eq!(got.status, StatusCode::BAD_REQUEST, "{words}: {}", got.text());
    assert!(got.headers["x-amzn-errortype"].to_str().unwrap().starts_with("ValidationException"));
    assert!(got.json()["message"].as_str().unwrap().contains(words), "{words}: {}", got.text());
}

#[tokio::test]
async fn a_whole_answer_has_the_members_of_the_service_model() {
    let mock = mock().await;
    let got = post(&mock, CONVERSE, &[("x-mock-tokens", "2"), ("x-mock-cached", "1")], request(json!({}))).await;
    let expected = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": " time year"}]}},
        "stopReason": "end_turn", "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 4, "cacheReadInputTokens": 1, "cacheWriteInputTokens": 0},
    });
    assert_eq!((got.status, got.json()), (StatusCode::OK, expected));
    assert!(got.headers.contains_key("x-amzn-requestid"));
    let cut = post(&mock, CONVERSE, &[], request(json!({"inferenceConfig": {"maxTokens": 3}}))).await.json();
    assert_eq!((&cut["stopReason"], &cut["usage"]["outputTokens"]), (&json!("max_tokens"), &json!(3)));
    let model = &mock.tally().models[MODEL];
    assert_eq!((model.requests, model.complete, model.prompt_tokens, model.completion_tokens), (2, 2, 4, 5));
}

#[tokio::test]
async fn a_thought_is_signed_and_a_redacted_one_follows() {
    let mock = mock().await;
    let whole = post(&mock, CONVERSE, &[("x-mock-reasoning", "2")], request(json!({}))).await.json();
    let content = whole["output"]["message"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 3);
    let thought = &content[0]["reasoningContent"]["reasoningText"];
    assert_eq!(thought["text"], " time year");
    let streamed = stream(&mock, &[("x-mock-reasoning", "2")], json!({})).await;
    assert_eq!(joined(&streamed, "/delta/reasoningContent/text"), " time year");
    assert_eq!(joined(&streamed, "/delta/reasoningContent/signature"), thought["signature"].as_str().unwrap());
    let redacted = content[1]["reasoningContent"]["redactedContent"].as_str().unwrap();
    assert_eq!(joined(&streamed, "/delta/reasoningContent/redactedContent"), redacted);
    let stops = streamed.iter().filter(|message| message.kind() == "contentBlockStop");
    assert_eq!(stops.map(|message| &message.payload["contentBlockIndex"]).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(mock.tally().models[MODEL].completion_tokens, 2 * (2 + 32));
}

#[tokio::test]
async fn a_stream_is_sound_frames_in_the_order_of_the_service() {
    let mock = mock().await;
    let messages = stream(&mock, &[("x-mock-tokens", "2")], json!({})).await;
    assert!(messages.iter().all(|message| message.sound && message.header(":message-type") == "event"));
    assert!(messages.iter().all(|message| message.header(":content-type") == "application/json"));
    let order =
        ["messageStart", "contentBlockDelta", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"];
    assert_eq!(kinds(&messages), order);
    assert_eq!(joined(&messages, "/delta/text"), WORDS[..2].concat());
    assert_eq!(messages[5].payload["usage"]["totalTokens"], 4);
    let none = stream(&mock, &[("x-mock-usage", "absent"), ("x-mock-no-done", "1")], json!({})).await;
    assert_eq!(none.last().unwrap().kind(), "messageStop");
    let none = stream(&mock, &[("x-mock-usage", "absent")], json!({})).await;
    assert!(none.last().unwrap().payload.get("usage").is_none());
}

#[tokio::test]
async fn tools_are_called_whole_and_in_pieces() {
    let mock = mock().await;
    let headers = [("x-mock-tokens", "2"), ("x-mock-tools", "3"), ("x-mock-id", "t")];
    let whole = post(&mock, CONVERSE, &headers, request(tools())).await.json();
    assert_eq!(whole["stopReason"], "tool_use");
    let calls: Vec<&Value> =
        whole["output"]["message"]["content"].as_array().unwrap().iter().map(|b| &b["toolUse"]).collect();
    assert_eq!(calls[1], &json!({"toolUseId": "tooluse_t_1", "name": "find", "input": {"q": " time year"}}));
    let streamed = stream(&mock, &headers, tools()).await;
    let starts: Vec<&Value> = streamed.iter().filter_map(|message| message.payload.pointer("/start/toolUse")).collect();
    assert_eq!(
        starts.iter().map(|start| start["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["look", "find", "look"]
    );
    assert_eq!(joined(&streamed, "/delta/toolUse/input"), "{\"q\":\" time year\"}".repeat(3));
    let mut chosen = tools();
    chosen["toolConfig"]["toolChoice"] = json!({"tool": {"name": "find"}});
    let got = post(&mock, CONVERSE, &[], request(chosen)).await.json();
    assert_eq!(got["output"]["message"]["content"][0]["toolUse"]["name"], "find");
}

#[tokio::test]
async fn citations_and_refusals_have_their_places() {
    let mock = mock().await;
    let cited = post(&mock, CONVERSE, &[("x-mock-citations", "1")], request(json!({}))).await.json();
    let block = &cited["output"]["message"]["content"][0]["citationsContent"];
    assert_eq!(block["citations"][0]["location"]["web"]["domain"], "example.com");
    let streamed = stream(&mock, &[("x-mock-citations", "1")], json!({})).await;
    assert!(streamed.iter().any(|message| message.payload["delta"]["citation"] == block["citations"][0]));
    let refused = post(&mock, CONVERSE, &[("x-mock-refusal", "1")], request(json!({}))).await.json();
    assert_eq!(refused["stopReason"], "content_filtered");
}

#[tokio::test]
async fn a_stream_breaks_as_ordered() {
    let mock = mock().await;
    let failed = stream(&mock, &[("x-mock-error-event", "2")], json!({})).await;
    assert_eq!(kinds(&failed), ["messageStart", "contentBlockDelta", "modelStreamErrorException"]);
    assert_eq!((failed[2].header(":message-type"), failed[2].sound), ("exception", true));
    assert!(failed[2].payload["message"].is_string());
    let first = stream(&mock, &[("x-mock-error-event", "0")], json!({})).await;
    assert_eq!(kinds(&first), ["modelStreamErrorException"]);
    let spoilt = stream(&mock, &[("x-mock-malformed", "frame"), ("x-mock-tokens", "4")], json!({})).await;
    assert_eq!(spoilt.iter().filter(|message| !message.sound).count(), 1);
    let cut = post(&mock, STREAM, &[("x-mock-abort", "300")], request(json!({}))).await;
    assert_eq!((cut.whole, cut.bytes().len()), (false, 300));
    let model = &mock.tally().models[MODEL];
    assert_eq!((model.requests, model.complete), (4, 1));
}

#[tokio::test]
async fn an_error_names_its_type_in_a_header() {
    let mock = mock().await;
    for (status, kind) in
        [("403", "AccessDeniedException"), ("429", "ThrottlingException"), ("503", "ServiceUnavailableException")]
    {
        let got =
            post(&mock, STREAM, &[("x-mock-status", status), ("x-mock-retry-after", "3")], request(json!({}))).await;
        assert_eq!((got.status.as_str(), &got.headers["retry-after"]), (status, &"3".parse().unwrap()));
        assert_eq!(got.headers["x-amzn-errortype"].to_str().unwrap().split(':').next(), Some(kind));
        assert_eq!(got.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["message"]);
    }
    assert_eq!(mock.tally().models[MODEL].errors, 3);
}

#[tokio::test]
async fn a_key_is_a_bearer_token_and_a_signature_is_not_read() {
    let mock = mock().await;
    mock.require_keys(&["good"]);
    let signed =
        "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=0";
    for (value, status) in [("Bearer good", 200), ("Bearer bad", 401), (signed, 200)] {
        let got = post(&mock, CONVERSE, &[("authorization", value)], request(json!({}))).await;
        assert_eq!(got.status.as_u16(), status, "{value}");
    }
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let mock = mock().await;
    let path = "/model/anthropic.claude/count-tokens";
    let got = post(&mock, path, &[], json!({"input": {"converse": request(json!({}))}})).await.json();
    assert_eq!(got, json!({"inputTokens": 2}));
    let body = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "eight by"}]});
    let body = super::super::codec::base64(body.to_string().as_bytes());
    let got = post(&mock, path, &[], json!({"input": {"invokeModel": {"body": body}}})).await.json();
    assert_eq!(got, json!({"inputTokens": 2}));
    assert_refused(&post(&mock, path, &[], request(json!({}))).await, "extraneous key [messages]");
}

fn turn(role: &str, content: Value) -> Value {
    json!({"role": role, "content": content})
}

fn said(role: &str) -> Value {
    turn(role, json!([{"text": "x"}]))
}

fn call(id: &str) -> Value {
    turn("assistant", json!([{"toolUse": {"toolUseId": id, "name": "look", "input": {}}}]))
}

fn result(id: &str) -> Value {
    turn("user", json!([{"toolResult": {"toolUseId": id, "content": [{"text": "y"}]}}]))
}

fn document(name: &str) -> Value {
    json!({"document": {"name": name, "format": "pdf", "source": {"bytes": "aGk="}}})
}

fn image(format: &str, bytes: &str) -> Value {
    json!({"image": {"format": format, "source": {"bytes": bytes}}})
}

/// Each row is one thing that Bedrock refuses: members put over a good request, and words of the message.
async fn assert_all_refused(rows: Vec<(Value, &str)>) {
    let mock = mock().await;
    for (more, words) in rows {
        assert_refused(&post(&mock, CONVERSE, &[], request(more)).await, words);
    }
}

#[tokio::test]
async fn turns_that_bedrock_refuses_are_refused() {
    let with = |messages: Value| json!({"messages": messages, "toolConfig": tools()["toolConfig"]});
    assert_all_refused(vec![
        (json!({"messages": []}), "less than 1"),
        (json!({"messages": [said("assistant")]}), "must start with a user message"),
        (json!({"messages": [said("user"), said("user")]}), "must alternate"),
        (json!({"messages": [said("system")]}), "not one of [user, assistant]"),
        (json!({"messages": [turn("user", json!("x"))]}), "expected type: array"),
        (json!({"messages": [turn("user", json!([]))]}), "less than 1"),
        (with(json!([said("user"), call("a"), said("user")])), "at messages.2.content for the following Ids: a"),
        (with(json!([said("user"), call("a"), result("b")])), "Expected toolResult"),
        (with(json!([said("user"), said("assistant"), result("a")])), "exceeds the number of toolUse blocks"),
        (with(json!([said("user"), call("a")])), "Expected toolResult"),
        (with(json!([said("user"), call("a b"), result("a b")])), "regular expression pattern"),
        (json!({"messages": [said("user"), call("a"), result("a")]}), "toolConfig field must be defined"),
    ])
    .await;
}

#[tokio::test]
async fn blocks_that_bedrock_refuses_are_refused() {
    let user = |block: Value| json!({"messages": [turn("user", json!([{"text": "x"}, block]))]});
    let drawn = turn("assistant", json!([image("png", "aGk=")]));
    let many = |block: Value, count: usize| {
        let mut blocks = vec![block; count];
        blocks.push(json!({"text": "x"}));
        json!({"messages": [turn("user", json!(blocks))]})
    };
    assert_all_refused(vec![
        (user(json!({"text": "  "})), "is blank"),
        (user(json!({"text": "x", "cachePoint": {"type": "default"}})), "extraneous key"),
        (user(json!({"type": "text", "text": "x"})), "extraneous key [type]"),
        (user(json!({"cachePoint": {"type": "ephemeral"}})), "default"),
        (user(call("a")["content"][0].clone()), "not allowed in a message of the role user"),
        (json!({"messages": [said("user"), drawn]}), "not allowed in a message of the role assistant"),
        (user(image("png", "no base64")), "not base64"),
        (user(image("bmp", "aGk=")), "not one of [png"),
        (user(document("a.pdf")), "document file name"),
        (user(document("two  spaces")), "document file name"),
        (user(document(&"a".repeat(201))), "document file name"),
        (json!({"messages": [turn("user", json!([document("fine (1) [a]-b")]))]}), "must have a text"),
        (many(document("a"), 6), "more than 5 documents"),
        (many(image("png", "aGk="), 21), "more than 20 images"),
    ])
    .await;
}

#[tokio::test]
async fn members_that_bedrock_refuses_are_refused() {
    let tool = |spec: Value| json!({"toolConfig": {"tools": [{"toolSpec": spec}]}});
    let known = tools()["toolConfig"]["tools"].clone();
    let choice = |choice: Value| json!({"toolConfig": {"tools": known, "toolChoice": choice}});
    let schema = json!({"json": {"type": "object"}});
    let format = |schema: &str| json!({"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}});
    assert_all_refused(vec![
        (json!({"toolConfig": {"tools": []}}), "less than 1"),
        (tool(json!({"name": "a.b", "inputSchema": schema})), "regular expression pattern"),
        (tool(json!({"name": "a".repeat(65), "inputSchema": schema})), "regular expression pattern"),
        (tool(json!({"name": "a", "inputSchema": {"json": {}}})), "one of the following: object"),
        (tool(json!({"name": "a", "description": "", "inputSchema": schema})), "less than 1"),
        (json!({"toolConfig": {"tools": [known[0], known[0]]}}), "must be unique"),
        (choice(json!({"tool": {"name": "other"}})), "not among"),
        (choice(json!({"auto": {}, "any": {}})), "extraneous key"),
        (choice(json!({"none": {}})), "extraneous key"),
        (json!({"inferenceConfig": {"maxTokens": 0}}), "less than 1"),
        (json!({"inferenceConfig": {"temperature": 1.5}}), "greater than 1"),
        (json!({"inferenceConfig": {"topK": 5}}), "extraneous key [topK]"),
        (json!({"inferenceConfig": {"stopSequences": vec!["x"; 2501]}}), "more than 2500"),
        (json!({"system": "x"}), "expected type: array"),
        (json!({"system": null}), "expected type: array"),
        (json!({"model": "x"}), "extraneous key [model]"),
        (json!({"stream": true}), "extraneous key [stream]"),
        (json!({"requestMetadata": {"a": "é"}}), "requestMetadata"),
        (json!({"additionalModelResponseFieldPaths": ["x"]}), "JSON pointers"),
        (json!({"guardrailConfig": {"guardrailIdentifier": "a"}}), "needs both"),
        (json!({"guardrailConfig": {"streamProcessingMode": "sync"}}), "extraneous key [streamProcessingMode]"),
        (json!({"outputConfig": {"textFormat": format("{")}}), "not a JSON schema"),
    ])
    .await;
    let mock = mock().await;
    assert_refused(&post(&mock, "/model/a%20b/converse", &[], request(json!({}))).await, "identifier is invalid");
}

#[tokio::test]
async fn all_that_a_conversation_may_hold_is_taken() {
    let mock = mock().await;
    let image = json!({"image": {"format": "png", "source": {"bytes": "aGk="}}});
    let document = json!({"document": {"name": "Report 1 (a)", "format": "pdf", "source": {"bytes": "aGk="}, "citations": {"enabled": true}}});
    let results = json!([
        {"toolResult": {"toolUseId": "a:1", "status": "error", "content": [{"text": "y"}, {"json": {"bytes": "not base64"}}, image]}},
        {"toolResult": {"toolUseId": "b.2", "content": []}}, {"cachePoint": {"type": "default", "ttl": "1h"}}]);
    let thought = json!([
        {"reasoningContent": {"reasoningText": {"text": "x", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "aGk="}},
        {"toolUse": {"toolUseId": "b.2", "name": "find", "input": {"a": null}}},
        {"toolUse": {"toolUseId": "a:1", "name": "look", "input": {}}}]);
    let mut body = request(tools());
    body["messages"] = json!([{"role": "user", "content": [{"text": "x"}, image, document]}, {"role": "assistant", "content": thought}, {"role": "user", "content": results}]);
    body["system"] = json!([{"text": "be brief"}, {"cachePoint": {"type": "default"}}]);
    body["inferenceConfig"] = json!({"maxTokens": 9, "temperature": 1, "topP": 0.5, "stopSequences": ["x"]});
    body["additionalModelRequestFields"] =
        json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "top_k": null});
    body["additionalModelResponseFieldPaths"] = json!(["/stop_sequence"]);
    body["toolConfig"]["toolChoice"] = json!({"any": {}});
    let got = post(&mock, CONVERSE, &[], body).await;
    // The last turn holds results: the model speaks and calls nothing.
    assert_eq!((got.status, &got.json()["stopReason"]), (StatusCode::OK, &json!("max_tokens")), "{}", got.text());
}
