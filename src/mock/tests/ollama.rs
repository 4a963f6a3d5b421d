//! The mock as Ollama: chat, whole and by lines, embeddings, the list of models, and what it refuses.

use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::{Mock, Pairs, WORDS, mock, post, send};

fn request(more: Value) -> Value {
    let mut body = json!({"model": "llama3.2", "messages": [{"role": "user", "content": "eight by"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn tools() -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    json!({"tools": [tool("look"), tool("find")]})
}

/// The lines of a stream, which is what Ollama sends where nothing is said.
async fn stream(mock: &Mock, headers: Pairs<'_>, more: Value) -> Vec<Value> {
    let got = post(mock, "/api/chat", headers, request(more)).await;
    assert_eq!((got.status, got.headers["content-type"].to_str().unwrap()), (StatusCode::OK, "application/x-ndjson"));
    got.text().split_terminator('\n').map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect()
}

async fn whole(mock: &Mock, headers: Pairs<'_>, mut more: Value) -> Value {
    more["stream"] = false.into();
    let got = post(mock, "/api/chat", headers, request(more)).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text());
    got.json()
}

fn joined(lines: &[Value], field: &str) -> String {
    lines.iter().filter_map(|line| line["message"][field].as_str()).collect()
}

#[tokio::test]
async fn a_whole_answer_is_done_and_counted() {
    let mock = mock().await;
    let got = whole(&mock, &[("x-mock-tokens", "2"), ("x-mock-reasoning", "1")], json!({})).await;
    let expected = json!({
        "model": "llama3.2", "created_at": "2023-11-14T22:13:20Z",
        "message": {"role": "assistant", "thinking": " time", "content": " time year"}, "done": true, "done_reason": "stop",
        "total_duration": 1, "load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 1,
        "prompt_eval_count": 2, "eval_count": 3,
    });
    assert_eq!(got, expected);
    let cut = whole(&mock, &[("x-mock-usage", "absent")], json!({"options": {"num_predict": 3}})).await;
    assert_eq!((&cut["done_reason"], cut.get("eval_count")), (&json!("length"), None));
    let model = &mock.tally().models["llama3.2"];
    assert_eq!((model.complete, model.prompt_tokens, model.completion_tokens), (2, 4, 6));
}

#[tokio::test]
async fn a_stream_is_a_line_for_each_piece_and_the_default() {
    let mock = mock().await;
    let lines = stream(&mock, &[("x-mock-tokens", "2"), ("x-mock-reasoning", "1")], json!({})).await;
    assert_eq!(
        (lines.len(), joined(&lines, "thinking"), joined(&lines, "content")),
        (4, " time".into(), WORDS[..2].concat())
    );
    assert!(lines[..3].iter().all(|line| line["done"] == false && line.get("eval_count").is_none()));
    assert_eq!((&lines[3]["done"], &lines[3]["eval_count"]), (&json!(true), &json!(3)));
    let open = stream(&mock, &[("x-mock-no-done", "1"), ("x-mock-tokens", "2")], json!({})).await;
    assert_eq!((open.len(), &open[1]["done"]), (2, &json!(false)));
    assert_eq!(mock.tally().models["llama3.2"].completion_tokens, 5);
}

#[tokio::test]
async fn a_call_is_an_object_and_comes_whole() {
    let mock = mock().await;
    let headers = [("x-mock-tokens", "2"), ("x-mock-tools", "2"), ("x-mock-id", "t")];
    let expected = |number: u32, name: &str| json!({"id": format!("call_t_{number}"), "function": {"index": number, "name": name, "arguments": {"q": " time year"}}});
    let got = whole(&mock, &headers, tools()).await;
    assert_eq!(got["message"]["tool_calls"], json!([expected(0, "look"), expected(1, "find")]));
    assert_eq!((&got["message"]["content"], &got["done_reason"]), (&json!(""), &json!("stop")));
    let lines = stream(&mock, &headers, tools()).await;
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1]["message"]["tool_calls"], json!([expected(1, "find")]));
    assert_eq!(mock.tally().models["llama3.2"].completion_tokens, 8);
}

#[tokio::test]
async fn errors_are_one_word_everywhere() {
    let mock = mock().await;
    let got = post(&mock, "/api/chat", &[("x-mock-status", "503")], request(json!({}))).await;
    assert_eq!((got.status.as_u16(), got.json()["error"].is_string()), (503, true));
    let failed = stream(&mock, &[("x-mock-error-event", "1")], json!({})).await;
    assert_eq!((failed.len(), failed[1]["error"].is_string()), (2, true));
    let first = stream(&mock, &[("x-mock-error-event", "0")], json!({})).await;
    assert_eq!((first.len(), first[0]["error"].is_string()), (1, true));
    let broken = stream(&mock, &[("x-mock-malformed", "frame")], json!({})).await;
    assert_eq!(broken.iter().filter(|line| line.is_null()).count(), 1);
    let model = &mock.tally().models["llama3.2"];
    assert_eq!((model.requests, model.errors, model.complete), (4, 1, 1));
}

/// Each row is one thing that Ollama refuses: members put over a good request, and words of the message.
#[tokio::test]
async fn what_ollama_refuses_is_refused() {
    let mock = mock().await;
    let said = |message: Value| json!({"messages": [message]});
    let rows = [
        (json!({"model": ""}), "model is required"),
        (said(json!({"role": "developer", "content": "x"})), "messages.0.role"),
        (said(json!({"role": "user", "content": [{"type": "text", "text": "x"}]})), "messages.0.content of type"),
        (said(json!({"role": "user", "content": "x", "images": ["data:image/png;base64,aGk="]})), "illegal base64"),
        (said(json!({"role": "user", "content": "x", "name": "me"})), "unknown field"),
        (said(json!({"role": "user", "content": "x", "tool_name": "look"})), "a tool's message"),
        (
            said(json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})),
            "arguments of type object",
        ),
        (json!({"temperature": 0.5}), "unknown field \"temperature\""),
        (json!({"options": {"max_tokens": 5}}), "unknown field \"options.max_tokens\""),
        (json!({"options": {"stop": "x"}}), "options.stop of type array"),
        (json!({"options": {"num_predict": 1.5}}), "options.num_predict of type integer"),
        (json!({"format": "yaml"}), "format"),
        (json!({"think": "max"}), "think"),
        (json!({"tool_choice": "auto"}), "unknown field \"tool_choice\""),
    ];
    for (more, words) in rows {
        let got = post(&mock, "/api/chat", &[], request(more)).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{words}: {}", got.text());
        assert!(got.json()["error"].as_str().unwrap().contains(words), "{words}: {}", got.text());
    }
    let fine = json!({
        "messages": [
            {"role": "system", "content": "x"}, {"role": "user", "content": "x", "images": ["aGk="]},
            {"role": "assistant", "content": "", "thinking": "x", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "y", "tool_name": "f"},
        ],
        "options": {"temperature": 0, "stop": ["x"], "seed": 1}, "format": {"type": "object"}, "think": "low", "keep_alive": "5m",
    });
    assert_eq!(whole(&mock, &[], fine).await["done"], true);
    assert_eq!(whole(&mock, &[], json!({"messages": []})).await["done_reason"], "load");
}

#[tokio::test]
async fn texts_are_embedded_and_models_listed() {
    let mock = mock().await;
    let got = post(
        &mock,
        "/api/embed",
        &[],
        json!({"model": "nomic-embed-text", "input": ["eight by", "x"], "dimensions": 64}),
    )
    .await
    .json();
    assert_eq!((got["embeddings"].as_array().unwrap().len(), got["embeddings"][0].as_array().unwrap().len()), (2, 64));
    assert_eq!((&got["prompt_eval_count"], &got["model"]), (&json!(3), &json!("nomic-embed-text")));
    assert_eq!(mock.tally().models["nomic-embed-text"].prompt_tokens, 3);
    let bad = post(&mock, "/api/embed", &[], json!({"model": "m", "input": [1]})).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    let tags = send(&mock, Version::HTTP_11, Method::GET, "/api/tags", &[], "").await.json();
    assert!(tags["models"].as_array().unwrap().iter().any(|model| model["name"] == "mock:latest"));
}
