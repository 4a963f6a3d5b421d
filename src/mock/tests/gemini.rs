//! Gemini on AI Studio and Vertex AI: frames as the references show them, and what Google refuses.

use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::dialects::{ROWS, Row, events};
use super::{Got, Mock, Pairs, mock, send};

const ROW: &Row = &ROWS[1];
const VERTEX: &str = "/v1/projects/p/locations/us-central1/publishers/google/models/m";

fn declared() -> Value {
    json!([{"functionDeclarations": [{"name": "look", "parameters": {"type": "OBJECT"}}, {"name": "see"}]}])
}

async fn post(mock: &Mock, path: &str, body: &Value) -> Got {
    send(mock, Version::HTTP_11, Method::POST, path, &[], body.to_string()).await
}

#[tokio::test]
async fn a_whole_answer_has_googles_shape() {
    let mock = mock().await;
    let orders = [("x-mock-tokens", "2"), ("x-mock-reasoning", "1"), ("x-mock-cached", "1"), ("x-mock-id", "one")];
    let got = ROW.ask(&mock, false, &orders, json!({})).await;
    assert_eq!(got.headers["content-type"], "application/json; charset=UTF-8");
    let details = |tokens: u64| json!([{"modality": "TEXT", "tokenCount": tokens}]);
    let parts = json!([{"text": " time", "thought": true},
                       {"text": " time year", "thoughtSignature": "bW9jay10aG91Z2h0"}]);
    let expected = json!({
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 2, "totalTokenCount": 5,
                          "promptTokensDetails": details(2), "thoughtsTokenCount": 1, "cachedContentTokenCount": 1,
                          "cacheTokensDetails": details(1)},
        "modelVersion": "m", "responseId": "one"});
    assert_eq!(got.json(), expected);
    let config = json!({"generation_config": {"max_output_tokens": 2, "candidateCount": 2, "topK": null}});
    let two = ROW.ask(&mock, false, &[], config).await.json();
    assert_eq!(
        (&two["candidates"][1]["index"], &two["candidates"][0]["finishReason"]),
        (&json!(1), &json!("MAX_TOKENS"))
    );
}

#[tokio::test]
async fn a_stream_is_events_or_one_array() {
    let mock = mock().await;
    let orders = [("x-mock-tokens", "3"), ("x-mock-id", "s"), ("x-mock-reasoning", "1")];
    let sse = events(&ROW.ask(&mock, true, &orders, json!({})).await.text());
    let body = (ROW.body)();
    let path = "/v1beta/models/m:streamGenerateContent";
    let array = send(&mock, Version::HTTP_11, Method::POST, path, &orders, body.to_string()).await;
    assert_eq!(array.headers["content-type"], "application/json; charset=UTF-8");
    assert_eq!(array.json(), Value::from(sse.clone()));
    assert_eq!(array.frames.len(), sse.len());
    let totals: Vec<u64> = sse.iter().map(|e| e["usageMetadata"]["totalTokenCount"].as_u64().unwrap()).collect();
    assert_eq!(totals, [3, 4, 5, 6, 6]);
    let unended = [&orders[..], &[("x-mock-no-done", "1")]].concat();
    let cut = send(&mock, Version::HTTP_11, Method::POST, path, &unended, body.to_string()).await;
    assert!(cut.whole && serde_json::from_slice::<Value>(&cut.bytes()).is_err());
    let status = [("x-mock-status", "503")];
    let failed = send(&mock, Version::HTTP_11, Method::POST, path, &status, body.to_string()).await;
    assert_eq!(failed.json()[0]["error"]["status"], "UNAVAILABLE");
}

#[tokio::test]
async fn calls_come_whole() {
    let mock = mock().await;
    let orders: Pairs = &[("x-mock-tokens", "2"), ("x-mock-tools", "3"), ("x-mock-reasoning", "1"), ("x-mock-id", "c")];
    let tools = json!({"tools": declared()});
    let whole = ROW.ask(&mock, false, orders, tools.clone()).await.json();
    let parts = whole["candidates"][0]["content"]["parts"].as_array().unwrap().clone();
    let names: Vec<&Value> = parts.iter().skip(1).map(|part| &part["functionCall"]["name"]).collect();
    assert_eq!(names, ["look", "see", "look"]);
    assert_eq!(parts[1]["functionCall"]["args"], json!({"q": " time year"}));
    assert!(parts[1]["thoughtSignature"].is_string() && parts[2]["thoughtSignature"].is_null());
    let streamed = events(&ROW.ask(&mock, true, orders, tools.clone()).await.text());
    let streamed: Vec<Value> = streamed.iter().map(|e| e["candidates"][0]["content"]["parts"][0].clone()).collect();
    assert_eq!(streamed[..4], parts[..]);
    assert_eq!(mock.tally().models["m"].completion_tokens, 14);
    let forced = json!({"mode": "ANY", "allowedFunctionNames": ["see"]});
    let more = json!({"tools": declared(), "toolConfig": {"functionCallingConfig": forced}});
    let named = ROW.ask(&mock, false, &[], more).await.json();
    assert_eq!(named["candidates"][0]["content"]["parts"][0]["functionCall"]["name"], "see");
    let answers = ["look", "see", "look"].map(|name| json!({"functionResponse": {"name": name, "response": {}}}));
    let turns = json!([{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": parts},
                       {"role": "user", "parts": answers}]);
    let next = ROW.ask(&mock, false, orders, json!({"contents": turns, "tools": declared()})).await;
    assert!(next.json().pointer(ROW.text).is_some(), "{}", next.text());
}

#[tokio::test]
async fn grounding_and_a_stop_for_safety() {
    let mock = mock().await;
    let cited = ROW.ask(&mock, false, &[("x-mock-citations", "1")], json!({})).await.json();
    let chunk = &cited["candidates"][0]["groundingMetadata"]["groundingChunks"][0];
    assert_eq!(chunk["web"]["uri"], "https://example.com/source");
    let refused = ROW.ask(&mock, false, &[("x-mock-refusal", "1")], json!({})).await.json();
    assert_eq!(refused["candidates"][0]["finishReason"], "SAFETY");
    for (status, name) in [("400", "INVALID_ARGUMENT"), ("429", "RESOURCE_EXHAUSTED"), ("500", "INTERNAL")] {
        let got = ROW.ask(&mock, true, &[("x-mock-status", status), ("x-mock-retry-after", "7")], json!({})).await;
        let error = &got.json()["error"];
        assert_eq!((got.status.as_str(), &error["status"]), (status, &json!(name)));
        assert_eq!((&error["code"], &error["details"][0]["retryDelay"]), (&status.parse().unwrap(), &json!("7s")));
    }
}

#[tokio::test]
async fn illegal_requests_are_refused() {
    let mock = mock().await;
    let parts = |part: Value| json!({"contents": [{"role": "user", "parts": [part]}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]});
    let ask = json!({"role": "user", "parts": [{"text": "x"}]});
    let with_schema =
        |schema: Value| json!({"tools": [{"functionDeclarations": [{"name": "a", "parameters": schema}]}]});
    let rows = [
        (json!({"foo": 1}), "Invalid JSON payload received. Unknown name \"foo\": Cannot find field."),
        (json!({"labels": {}}), "Invalid JSON payload received. Unknown name \"labels\""),
        (
            json!({"generationConfig": {"max_tokens": 1}}),
            "Invalid JSON payload received. Unknown name \"max_tokens\" at 'generation_config'",
        ),
        (json!({"contents": []}), "* GenerateContentRequest.contents: "),
        (
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "Please use a valid role: user, model.",
        ),
        (parts(json!({})), "contents[0].parts[0].data: required oneof field 'data'"),
        (
            parts(json!({"text": "x", "inlineData": {"mimeType": "a/b", "data": ""}})),
            "* GenerateContentRequest.contents[0].parts[0].inline_data.data",
        ),
        (parts(json!({"text": "x", "fileData": {"fileUri": "u"}})), "Invalid value at 'contents[0].parts[0]' (oneof)"),
        (
            parts(json!({"functionResponse": {"name": "a", "response": {}}})),
            "Please ensure that the number of function response parts",
        ),
        (json!({"contents": [ask, call]}), "Please ensure that function response turn comes"),
        (json!({"contents": [call, ask]}), "Please ensure that function call turn comes"),
        (
            with_schema(json!({"type": "object", "$schema": "x"})),
            "Invalid JSON payload received. Unknown name \"$schema\"",
        ),
        (
            with_schema(json!({"properties": {"a": {"additionalProperties": false}}})),
            "Invalid JSON payload received. Unknown name \"additionalProperties\"",
        ),
        (json!({"tools": [{"functionDeclarations": [{"name": "1a"}]}]}), "Invalid function name."),
        (json!({"generationConfig": {"responseSchema": {"type": "STRING"}}}), "Unable to submit request because"),
        (json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}), "Function calling config is set without"),
    ];
    for (more, message) in rows {
        let got = ROW.ask(&mock, false, &[], more.clone()).await;
        let error = got.json();
        let said = error["error"]["message"].as_str().unwrap();
        assert!(got.status == StatusCode::BAD_REQUEST && said.starts_with(message), "{more}: {said}");
    }
}

#[tokio::test]
async fn vertex_has_its_own_fields() {
    let mock = mock().await;
    let mut body = (ROW.body)();
    body["labels"] = json!({"a": "b"});
    let got = post(&mock, &format!("{VERTEX}:generateContent"), &body).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.text());
    let stream = post(&mock, &format!("{VERTEX}:streamGenerateContent?alt=sse"), &body).await;
    assert_eq!(events(&stream.text()).len(), 33);
    let counted = post(&mock, &format!("{VERTEX}:countTokens"), &(ROW.body)()).await.json();
    assert_eq!((&counted["totalTokens"], counted["totalBillableCharacters"].is_u64()), (&json!(2), true));
    let body = json!({"instances": [{"content": "12345", "task_type": "CLUSTERING"}, {"content": "1"}],
                      "parameters": {"outputDimensionality": 3}});
    let predicted = post(&mock, &format!("{VERTEX}:predict"), &body).await.json();
    let first = &predicted["predictions"][0]["embeddings"];
    assert_eq!((first["values"].as_array().unwrap().len(), &first["statistics"]["token_count"]), (3, &json!(2)));
    assert_eq!(mock.tally().recent.last().unwrap().prompt_tokens, 3);
}

#[tokio::test]
async fn counts_embeddings_and_models() {
    let mock = mock().await;
    let counted = post(&mock, "/v1beta/models/m:countTokens", &(ROW.body)()).await.json();
    assert_eq!(counted["totalTokens"], 2);
    let inner = json!({"generateContentRequest": {"model": "models/m", "contents": (ROW.body)()["contents"]}});
    assert_eq!(post(&mock, "/v1beta/models/m:countTokens", &inner).await.json()["totalTokens"], 2);
    let content = json!({"parts": [{"text": "red house"}]});
    let one = json!({"content": content, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 4});
    let one = post(&mock, "/v1beta/models/e:embedContent", &one).await.json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 4);
    let many = json!({"requests": [{"model": "models/e", "content": content, "outputDimensionality": 4}]});
    let many = post(&mock, "/v1beta/models/e:batchEmbedContents", &many).await.json();
    assert_eq!(many["embeddings"][0]["values"], one["embedding"]["values"]);
    for headers in [&[][..], &[("x-goog-api-key", "k")]] {
        let path = if headers.is_empty() { "/v1beta/models" } else { "/v1/models" };
        let models = send(&mock, Version::HTTP_11, Method::GET, path, headers, "").await.json();
        assert_eq!(models["models"][0]["name"], "models/gemini-2.5-pro");
    }
    let other = post(&mock, "/v1beta/models/m:other", &json!({})).await.json();
    assert_eq!(other["object"], "mock");
}
