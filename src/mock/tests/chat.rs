//! The newer orders in OpenAI's chat: several calls, refusals, citations.

use serde_json::{Value, json};

use super::{chat, mock};

fn ask(stream: bool) -> Value {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {}}});
    json!({"stream": stream, "tools": [tool("look"), tool("see")]})
}

#[tokio::test]
async fn several_calls_whole_and_in_pieces() {
    let mock = mock().await;
    let orders = [("x-mock-tokens", "2"), ("x-mock-tools", "3"), ("x-mock-id", "c")];
    let whole = chat(&mock, &orders, ask(false)).await.json();
    let calls = whole["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    let names: Vec<&Value> = calls.iter().map(|call| &call["function"]["name"]).collect();
    assert_eq!(names, ["look", "see", "look"]);
    assert_eq!(whole["usage"]["completion_tokens"], 6);
    let mut built: Vec<Value> = Vec::new();
    for chunk in chat(&mock, &orders, ask(true)).await.chunks() {
        let Some(delta) = chunk["choices"][0]["delta"]["tool_calls"].get(0) else { continue };
        let index = usize::try_from(delta["index"].as_u64().unwrap()).unwrap();
        if delta["id"].is_string() {
            assert_eq!(index, built.len());
            built.push(json!({"id": delta["id"], "type": "function", "function": delta["function"]}));
            continue;
        }
        let more = delta["function"]["arguments"].as_str().unwrap();
        let said = built[index]["function"]["arguments"].as_str().unwrap().to_owned();
        built[index]["function"]["arguments"] = (said + more).into();
    }
    assert_eq!(built, calls);
    assert_eq!(calls[1]["function"]["arguments"], r#"{"q":" time year"}"#);
    assert_eq!(mock.tally().models["m"].completion_tokens, 12);
    let mut one = ask(false);
    one["parallel_tool_calls"] = false.into();
    let one = chat(&mock, &orders, one).await.json();
    assert_eq!(one["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn refusals_and_citations() {
    let mock = mock().await;
    let refusal = [("x-mock-tokens", "2"), ("x-mock-refusal", "1")];
    let message = chat(&mock, &refusal, ask(false)).await.json()["choices"][0]["message"].clone();
    assert_eq!((&message["refusal"], &message["content"]), (&json!(" time year"), &Value::Null));
    let chunks = chat(&mock, &refusal, ask(true)).await.chunks();
    let said: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["refusal"].as_str()).collect();
    assert_eq!(said, " time year");
    let cited = chat(&mock, &[("x-mock-citations", "1")], json!({})).await.json();
    let annotations = cited["choices"][0]["message"]["annotations"].clone();
    assert_eq!(annotations[0]["url_citation"]["url"], "https://example.com/source");
    let chunks = chat(&mock, &[("x-mock-citations", "1")], json!({"stream": true})).await.chunks();
    assert_eq!(chunks.last().unwrap()["choices"][0]["delta"]["annotations"], annotations);
}
