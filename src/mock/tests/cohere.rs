//! The mock as Cohere, version 2: chat, whole and streamed, embeddings, rerank, and what it refuses.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Mock, Pairs, WORDS, mock, post};

fn request(more: Value) -> Value {
    let mut body = json!({"model": "command-a-03-2025", "messages": [{"role": "user", "content": "eight by"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    json!({"tools": [tool("look"), tool("find")]})
}

/// The events of a stream: each names its type twice.
async fn stream(mock: &Mock, headers: Pairs<'_>, more: Value) -> Vec<Value> {
    let mut body = request(more);
    body["stream"] = true.into();
    let got = post(mock, "/v2/chat", headers, body).await;
    assert_eq!((got.status, got.headers["content-type"].to_str().unwrap()), (StatusCode::OK, "text/event-stream"));
    let text = got.text();
    let text = text.trim_end_matches("data: [DONE]\n\n");
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap_or(Value::Null);
        assert!(data.is_null() || data["type"] == name);
        data
    };
    text.split_terminator("\n\n").map(event).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn joined(events: &[Value], pointer: &str) -> String {
    events.iter().filter_map(|event| event.pointer(pointer)?.as_str()).collect()
}

#[tokio::test]
async fn a_whole_answer_is_a_message_and_its_usage() {
    let mock = mock().await;
    let headers = [("x-mock-id", "one"), ("x-mock-tokens", "2"), ("x-mock-cached", "1")];
    let got = post(&mock, "/v2/chat", &headers, request(json!({}))).await;
    let counts = json!({"input_tokens": 2, "output_tokens": 2});
    let expected = json!({
        "id": "one", "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": " time year"}]},
        "usage": {"billed_units": counts, "tokens": counts, "cached_tokens": 1},
    });
    assert_eq!((got.status, got.json()), (StatusCode::OK, expected));
    let thought = post(&mock, "/v2/chat", &[("x-mock-reasoning", "1")], request(json!({"max_tokens": 3}))).await.json();
    assert_eq!(thought["message"]["content"][0], json!({"type": "thinking", "thinking": " time"}));
    assert_eq!(
        (&thought["finish_reason"], &thought["usage"]["tokens"]["output_tokens"]),
        (&json!("MAX_TOKENS"), &json!(4))
    );
    let model = &mock.tally().models["command-a-03-2025"];
    assert_eq!((model.complete, model.prompt_tokens, model.completion_tokens), (2, 4, 6));
}

#[tokio::test]
async fn a_stream_goes_from_message_start_to_message_end() {
    let mock = mock().await;
    let events = stream(&mock, &[("x-mock-tokens", "2"), ("x-mock-reasoning", "1")], json!({})).await;
    let order = [
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "content-start",
        "content-delta",
        "content-delta",
        "content-end",
        "message-end",
    ];
    assert_eq!(kinds(&events), order);
    assert_eq!(joined(&events, "/delta/message/content/thinking"), " time");
    assert_eq!(joined(&events, "/delta/message/content/text"), WORDS[..2].concat());
    assert_eq!((&events[1]["index"], &events[7]["index"]), (&json!(0), &json!(1)));
    assert_eq!(events[8]["delta"]["usage"]["tokens"]["output_tokens"], 3);
    let open = stream(&mock, &[("x-mock-no-done", "1")], json!({})).await;
    assert_eq!(*kinds(&open).last().unwrap(), "content-end");
    let cited = stream(&mock, &[("x-mock-citations", "1"), ("x-mock-tokens", "1")], json!({})).await;
    let start = cited.iter().find(|event| event["type"] == "citation-start").unwrap();
    assert_eq!(start["delta"]["message"]["citations"]["text"], " time");
}

#[tokio::test]
async fn tools_are_planned_and_called() {
    let mock = mock().await;
    let headers = [("x-mock-tokens", "2"), ("x-mock-tools", "2"), ("x-mock-reasoning", "1"), ("x-mock-id", "t")];
    let whole = post(&mock, "/v2/chat", &headers, request(tools())).await.json();
    assert_eq!((&whole["finish_reason"], &whole["message"]["tool_plan"]), (&json!("TOOL_CALL"), &json!(" time")));
    let call = json!({"id": "call_t_1", "type": "function", "function": {"name": "find", "arguments": "{\"q\":\" time year\"}"}});
    assert_eq!(whole["message"]["tool_calls"][1], call);
    let raw = request(json!({"stream": true}));
    assert!(post(&mock, "/v2/chat", &[], raw).await.text().ends_with("}}}\n\ndata: [DONE]\n\n"));
    let events = stream(&mock, &headers, tools()).await;
    assert_eq!(joined(&events, "/delta/message/tool_plan"), " time");
    let start = events.iter().rfind(|event| event["type"] == "tool-call-start").unwrap();
    assert_eq!((&start["index"], &start["delta"]["message"]["tool_calls"]["id"]), (&json!(1), &json!("call_t_1")));
    assert_eq!(joined(&events, "/delta/message/tool_calls/function/arguments"), "{\"q\":\" time year\"}".repeat(2));
    let mut forced = tools();
    forced["tool_choice"] = "REQUIRED".into();
    assert_eq!(post(&mock, "/v2/chat", &[], request(forced)).await.json()["finish_reason"], "TOOL_CALL");
}

#[tokio::test]
async fn errors_are_a_message_and_end_a_stream() {
    let mock = mock().await;
    let got =
        post(&mock, "/v2/chat", &[("x-mock-status", "429"), ("x-mock-retry-after", "2")], request(json!({}))).await;
    assert_eq!((got.status.as_u16(), &got.headers["retry-after"]), (429, &"2".parse().unwrap()));
    assert!(got.json()["message"].as_str().unwrap().contains("rate limit") || got.text().contains("per minute"));
    let failed = stream(&mock, &[("x-mock-error-event", "2")], json!({})).await;
    assert_eq!(kinds(&failed), ["message-start", "content-start", "message-end"]);
    assert_eq!(failed[2]["delta"]["finish_reason"], "ERROR");
    assert!(failed[2]["delta"]["error"].is_string());
    let first = stream(&mock, &[("x-mock-error-event", "0")], json!({})).await;
    assert_eq!((first.len(), &first[0]["delta"]["finish_reason"]), (1, &json!("ERROR")));
    let broken = stream(&mock, &[("x-mock-malformed", "frame")], json!({})).await;
    assert_eq!(broken.iter().filter(|event| event.is_null()).count(), 1);
    let model = &mock.tally().models["command-a-03-2025"];
    assert_eq!((model.requests, model.errors, model.complete), (4, 1, 1));
}

/// Each row is one thing that Cohere refuses: members put over a good request, and words of the message.
#[tokio::test]
async fn what_cohere_refuses_is_refused() {
    let mock = mock().await;
    let user = json!({"role": "user", "content": "x"});
    let call = json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "y"});
    let rows = [
        (json!({"model": ""}), "model must be at least 1"),
        (json!({"messages": []}), "messages must be at least 1"),
        (json!({"messages": [{"role": "developer", "content": "x"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}), "messages[0].content[0].type"),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}),
            "messages[0]",
        ),
        (json!({"messages": [user, call, user]}), "has no result"),
        (json!({"messages": [user, call, result("b")]}), "no tool call before it"),
        (json!({"messages": [user, {"role": "assistant"}]}), "needs content or tool_calls"),
        (
            json!({"messages": [user, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "x"}}]}]}),
            "JSON object in a string",
        ),
        (
            json!({"messages": [user, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}]}]}),
            "arguments must be of type string",
        ),
        (json!({"top_p": 0.5}), "unknown field: parameter 'top_p'"),
        (json!({"n": 1}), "parameter 'n'"),
        (json!({"max_tokens": null}), "max_tokens must be of type integer"),
        (json!({"p": 1.0}), "p must be at most 0.99"),
        (json!({"k": 501}), "k must be at most 500"),
        (json!({"frequency_penalty": -0.5}), "frequency_penalty must be at least 0"),
        (json!({"stop_sequences": ["1", "2", "3", "4", "5", "6"]}), "more than 5"),
        (json!({"tool_choice": "REQUIRED"}), "tool_choice needs tools"),
        (json!({"tools": tools()["tools"], "tool_choice": "auto"}), "tool_choice must be one of"),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            "tools[0].function.parameters is required",
        ),
        (
            json!({"tools": tools()["tools"], "response_format": {"type": "json_object"}}),
            "response_format cannot stand",
        ),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.type"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 5}}), "parameter 'thinking.budget_tokens'"),
    ];
    for (more, words) in rows {
        let got = post(&mock, "/v2/chat", &[], request(more)).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{words}: {}", got.text());
        assert!(got.json()["message"].as_str().unwrap().contains(words), "{words}: {}", got.text());
    }
    let results = json!({"messages": [{"role": "system", "content": "x"}, user, call, result("a")], "thinking": {"type": "enabled", "token_budget": 9}});
    assert_eq!(post(&mock, "/v2/chat", &[], request(results)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn embeddings_come_in_every_format() {
    let mock = mock().await;
    let ask = json!({
        "model": "embed-v4.0", "input_type": "search_query", "texts": ["eight by"], "output_dimension": 256,
        "embedding_types": ["float", "int8", "uint8", "binary", "ubinary", "base64"],
    });
    let got = post(&mock, "/v2/embed", &[], ask.clone()).await.json();
    let list = |kind: &str| {
        got["embeddings"][kind][0].as_array().map(|list| list.iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>())
    };
    let (float, signed, bits) = (list("float").unwrap(), list("int8").unwrap(), list("ubinary").unwrap());
    assert_eq!((float.len(), signed.len(), bits.len()), (256, 256, 32));
    assert!(float.iter().zip(&signed).all(|(x, byte)| (x * 127.0 - byte).abs() <= 0.5001));
    assert!(signed.iter().zip(list("uint8").unwrap()).all(|(a, b)| b - a == 128.0));
    assert!(bits.iter().zip(list("binary").unwrap()).all(|(a, b)| a - b == 128.0));
    assert_eq!(bits[0] as u8 & 0x80 != 0, float[0] > 0.0);
    let bytes = crate::mock::codec::unbase64(got["embeddings"]["base64"][0].as_str().unwrap()).unwrap();
    assert_eq!((bytes.len(), f64::from(f32::from_le_bytes(bytes[..4].try_into().unwrap()))), (1024, float[0]));
    assert_eq!((&got["meta"]["billed_units"], &got["texts"]), (&json!({"input_tokens": 2}), &json!(["eight by"])));
    assert_eq!(mock.tally().models["embed-v4.0"].prompt_tokens, 2);
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let mixed =
        json!({"model": "e", "input_type": "image", "inputs": [{"content": [{"type": "text", "text": "a"}, image]}]});
    let mixed = post(&mock, "/v2/embed", &[], mixed).await.json();
    assert_eq!(
        (mixed["embeddings"]["float"].as_array().unwrap().len(), &mixed["meta"]["billed_units"]["images"]),
        (1, &json!(1))
    );
    for (field, value) in [
        ("input_type", Value::Null),
        ("images", json!(["x"])),
        ("output_dimension", json!(300)),
        ("input", json!("x")),
        ("truncate", json!("LEFT")),
    ] {
        let mut bad = ask.clone();
        bad[field] = value;
        assert_eq!(post(&mock, "/v2/embed", &[], bad).await.status, StatusCode::BAD_REQUEST, "{field}");
    }
}

#[tokio::test]
async fn rerank_puts_the_nearest_first() {
    let mock = mock().await;
    let documents = ["quantum field theory", "the red house", "the red house by the sea"];
    let ask = json!({"model": "rerank-v3.5", "query": "the red house by the sea", "documents": documents, "top_n": 2});
    let got = post(&mock, "/v2/rerank", &[], ask.clone()).await.json();
    let order: Vec<u64> = got["results"].as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect();
    assert_eq!(order, [2, 1]);
    assert!(
        got["results"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| (0.0..=1.0).contains(&row["relevance_score"].as_f64().unwrap()))
    );
    assert_eq!(got["meta"]["billed_units"], json!({"search_units": 1}));
    for (field, value) in [
        ("documents", json!([])),
        ("documents", json!([{"text": "x"}])),
        ("top_n", json!(0)),
        ("return_documents", json!(true)),
    ] {
        let mut bad = ask.clone();
        bad[field] = value;
        assert_eq!(post(&mock, "/v2/rerank", &[], bad).await.status, StatusCode::BAD_REQUEST, "{field}");
    }
}
