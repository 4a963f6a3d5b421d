//! OpenAI's Responses: events as the reference shows them, and what OpenAI refuses. Azure's paths.

use http::StatusCode;
use serde_json::{Value, json};

use super::dialects::{ROWS, Row, events};
use super::{Pairs, mock, post};

const ROW: &Row = &ROWS[2];

fn tools() -> Value {
    json!([{"type": "function", "name": "look", "parameters": {}}, {"type": "function", "name": "see"}])
}

#[tokio::test]
async fn a_whole_answer_has_the_shape() {
    let mock = mock().await;
    let orders = [("x-mock-tokens", "2"), ("x-mock-reasoning", "1"), ("x-mock-cached", "1"), ("x-mock-id", "one")];
    let more = json!({"instructions": "be", "metadata": {"a": "b"}, "include": ["reasoning.encrypted_content"]});
    let got = ROW.ask(&mock, false, &orders, more).await;
    assert_eq!(got.headers["x-request-id"], "req_one");
    let got = got.json();
    assert_eq!(
        (&got["id"], &got["status"], &got["instructions"]),
        (&json!("resp_one"), &json!("completed"), &json!("be"))
    );
    let text = json!({"type": "output_text", "text": " time year", "annotations": [], "logprobs": []});
    let expected = json!([
        {"id": "rs_one_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": " time"}],
         "encrypted_content": "Z0FBQUFB"},
        {"id": "msg_one_1", "type": "message", "status": "completed", "role": "assistant", "content": [text]}]);
    assert_eq!(got["output"], expected);
    let usage = json!({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
                       "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 6});
    assert_eq!(got["usage"], usage);
    let cut = ROW.ask(&mock, false, &[], json!({"max_output_tokens": 16})).await.json();
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    let queued = ROW.ask(&mock, false, &[], json!({"background": true})).await.json();
    assert_eq!((&queued["status"], &queued["output"], &queued["usage"]), (&json!("queued"), &json!([]), &Value::Null));
}

#[tokio::test]
async fn a_stream_has_the_order_and_ends_as_the_whole() {
    let mock = mock().await;
    let orders: Pairs =
        &[("x-mock-tokens", "2"), ("x-mock-reasoning", "1"), ("x-mock-citations", "1"), ("x-mock-id", "s")];
    let stream = events(&ROW.ask(&mock, true, orders, json!({})).await.text());
    let kinds: Vec<&str> = stream.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds, expected);
    assert!(stream.iter().enumerate().all(|(number, event)| event["sequence_number"] == number));
    let whole = ROW.ask(&mock, false, orders, json!({})).await.json();
    assert_eq!(stream.last().unwrap()["response"], {
        let mut whole = whole;
        whole["id"] = "resp_s".into();
        whole
    });
    let failed = events(&ROW.ask(&mock, true, &[("x-mock-error-event", "5")], json!({})).await.text());
    assert_eq!(failed.last().unwrap()["sequence_number"], 5);
}

#[tokio::test]
async fn calls_and_refusals() {
    let mock = mock().await;
    let orders: Pairs = &[("x-mock-tokens", "2"), ("x-mock-tools", "2"), ("x-mock-id", "c")];
    let stream = events(&ROW.ask(&mock, true, orders, json!({"tools": tools()})).await.text());
    let deltas = stream.iter().filter(|event| event["type"] == "response.function_call_arguments.delta");
    let second: String = deltas.filter(|e| e["output_index"] == 1).map(|e| e["delta"].as_str().unwrap()).collect();
    assert_eq!(second, r#"{"q":" time year"}"#);
    let output = stream.last().unwrap()["response"]["output"].as_array().unwrap().clone();
    assert_eq!((&output[1]["name"], &output[1]["call_id"]), (&json!("see"), &json!("call_c_1")));
    let one = ROW.ask(&mock, false, orders, json!({"tools": tools(), "parallel_tool_calls": false})).await.json();
    assert_eq!(one["output"].as_array().unwrap().len(), 1);
    let mut input = vec![json!({"role": "user", "content": [{"type": "input_text", "text": "x"}]})];
    input.extend(output.clone());
    input.extend(
        output.iter().map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "ok"})),
    );
    let next = ROW.ask(&mock, false, orders, json!({"input": input, "tools": tools()})).await;
    assert!(next.json().pointer(ROW.text).is_some(), "{}", next.text());
    let refused = ROW.ask(&mock, false, &[("x-mock-refusal", "1")], json!({})).await.json();
    assert_eq!(refused["output"][0]["content"][0]["type"], "refusal");
}

#[tokio::test]
async fn illegal_requests_are_refused() {
    let mock = mock().await;
    let strict = json!([{"type": "function", "name": "f", "strict": true, "parameters":
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}]);
    let input = |item: Value| json!({"input": [item]});
    let rows = [
        (json!({"foo": 1}), "unknown_parameter", "foo"),
        (json!({"messages": []}), "unknown_parameter", "messages"),
        (json!({"input": null}), "missing_required_parameter", "input"),
        (json!({"max_output_tokens": 15}), "integer_below_min_value", "max_output_tokens"),
        (json!({"temperature": "1"}), "invalid_type", "temperature"),
        (json!({"service_tier": "gold"}), "invalid_value", "service_tier"),
        (json!({"stream_options": {}}), "invalid_value", "stream_options"),
        (json!({"tool_choice": "required"}), "invalid_value", "tool_choice"),
        (json!({"tools": strict}), "invalid_function_parameters", "tools[0].parameters"),
        (json!({"tools": [{"type": "function", "function": {"name": "f"}}]}), "unknown_parameter", "tools[0].function"),
        (
            input(json!({"role": "user", "content": [{"type": "text", "text": "x"}]})),
            "invalid_value",
            "input[0].content[0].type",
        ),
        (
            input(json!({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]})),
            "invalid_value",
            "input[0].content[0].type",
        ),
        (
            input(json!({"type": "function_call", "call_id": "c", "name": "f"})),
            "missing_required_parameter",
            "input[0].arguments",
        ),
        (
            json!({"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "call_1"}]}),
            "invalid_value",
            "input[0].id",
        ),
    ];
    for (more, code, param) in rows {
        let got = ROW.ask(&mock, false, &[], more.clone()).await;
        let error = got.json()["error"].clone();
        assert_eq!(
            (got.status, &error["code"], &error["param"]),
            (StatusCode::BAD_REQUEST, &json!(code), &json!(param)),
            "{more}: {error}"
        );
    }
    let orders = [
        (json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}), "No tool output found"),
        (json!({"type": "function_call_output", "call_id": "c", "output": "x"}), "No tool call found"),
        (
            json!({"type": "reasoning", "id": "rs_1", "summary": []}),
            "Item 'rs_1' of type 'reasoning' was provided without",
        ),
    ];
    for (item, message) in orders {
        let error = ROW.ask(&mock, false, &[], input(item.clone())).await.json();
        assert!(error["error"]["message"].as_str().unwrap().starts_with(message), "{item}: {error}");
    }
}

#[tokio::test]
async fn azure_wants_its_version() {
    let mock = mock().await;
    let body = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1});
    let path = "/openai/deployments/dep/chat/completions";
    let lost = post(&mock, path, &[], body.clone()).await;
    assert_eq!((lost.status, &lost.json()["error"]["code"]), (StatusCode::NOT_FOUND, &json!("404")));
    let found = post(&mock, &format!("{path}?api-version=2024-10-21"), &[], body).await;
    assert_eq!(found.json()["model"], "dep");
    let newer = post(&mock, "/openai/v1/responses", &[], (ROW.body)()).await;
    assert_eq!(newer.json()["object"], "response");
    let older = post(&mock, "/openai/responses", &[], (ROW.body)()).await;
    assert_eq!(older.status, StatusCode::NOT_FOUND);
    let counted = post(&mock, "/v1/responses/input_tokens", &[], (ROW.body)()).await;
    assert_eq!(counted.json()["input_tokens"], 2);
}
