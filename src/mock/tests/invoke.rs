//! The mock as Bedrock's InvokeModel: Anthropic's messages, whole and streamed, and embeddings.

use http::StatusCode;
use serde_json::{Value, json};

use super::eventstream::read;
use super::{mock, post};
use crate::mock::codec::unbase64;

const CLAUDE: &str = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0";

fn message(more: Value) -> Value {
    let mut body = json!({
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "eight by"}],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn an_anthropic_answer_comes_as_it_is_with_its_counts_in_headers() {
    let mock = mock().await;
    let headers = [("x-mock-tokens", "2"), ("x-mock-cached", "1")];
    let got = post(&mock, &format!("{CLAUDE}/invoke"), &headers, message(json!({}))).await;
    assert_eq!((got.status, &got.json()["content"][0]["text"]), (StatusCode::OK, &json!(" time year")));
    assert_eq!(got.headers["x-amzn-bedrock-input-token-count"], "1");
    assert_eq!(got.headers["x-amzn-bedrock-output-token-count"], "2");
    let tally = mock.tally();
    let model = &tally.models["us.anthropic.claude-sonnet-4-5-20250929-v1:0"];
    assert_eq!((model.complete, model.prompt_tokens, model.completion_tokens), (1, 2, 2));
    for (more, words) in [
        (json!({"model": "claude"}), "model"),
        (json!({"stream": true}), "stream"),
        (json!({"anthropic_version": "2023-06-01"}), "anthropic_version"),
    ] {
        let got = post(&mock, &format!("{CLAUDE}/invoke"), &[], message(more)).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
        assert!(got.json()["message"].as_str().unwrap().contains(words), "{}", got.text());
    }
}

#[tokio::test]
async fn an_anthropic_stream_is_chunks_of_base64() {
    let mock = mock().await;
    let path = format!("{CLAUDE}/invoke-with-response-stream");
    let got = post(&mock, &path, &[("x-mock-tokens", "2")], message(json!({}))).await;
    assert_eq!(got.headers["content-type"], "application/vnd.amazon.eventstream");
    assert_eq!(got.headers["x-amzn-bedrock-content-type"], "application/json");
    let frames = read(&got.bytes());
    assert!(frames.iter().all(|frame| frame.sound && frame.kind() == "chunk"));
    let event = |payload: &Value| -> Value {
        serde_json::from_slice(&unbase64(payload["bytes"].as_str().unwrap()).unwrap()).unwrap()
    };
    let events: Vec<Value> = frames.iter().map(|frame| event(&frame.payload)).collect();
    assert_eq!(
        (&events[0]["type"], &events.last().unwrap()["type"]),
        (&json!("message_start"), &json!("message_stop"))
    );
    let said: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(said, " time year");
    let metrics = &events.last().unwrap()["amazon-bedrock-invocationMetrics"];
    assert_eq!((&metrics["inputTokenCount"], &metrics["outputTokenCount"]), (&json!(2), &json!(2)));
    let failed = post(&mock, &path, &[("x-mock-error-event", "1")], message(json!({}))).await;
    let failed = read(&failed.bytes());
    assert_eq!((failed.len(), failed[1].kind()), (2, "modelStreamErrorException"));
}

#[tokio::test]
async fn titan_embeds_one_text() {
    let mock = mock().await;
    let v2 = "/model/amazon.titan-embed-text-v2%3A0/invoke";
    let got = post(
        &mock,
        v2,
        &[],
        json!({"inputText": "eight by", "dimensions": 256, "embeddingTypes": ["float", "binary"]}),
    )
    .await;
    let json = got.json();
    assert_eq!((json["embedding"].as_array().unwrap().len(), &json["inputTextTokenCount"]), (256, &json!(2)));
    assert_eq!(json["embeddingsByType"]["float"], json["embedding"]);
    assert_eq!(json["embeddingsByType"]["binary"].as_array().unwrap().len(), 256);
    assert_eq!(got.headers["x-amzn-bedrock-input-token-count"], "2");
    let v1 = "/model/amazon.titan-embed-text-v1/invoke";
    let json = post(&mock, v1, &[], json!({"inputText": "eight by"})).await.json();
    assert_eq!((json["embedding"].as_array().unwrap().len(), json.get("embeddingsByType")), (1536, None));
    for (path, body) in [
        (v2, json!({"inputText": "x", "dimensions": 300})),
        (v2, json!({"inputText": ["x"]})),
        (v2, json!({"input": "x"})),
        (v1, json!({"inputText": "x", "dimensions": 256})),
        ("/model/meta.llama/invoke", json!({"prompt": "x"})),
        ("/model/amazon.titan-embed-text-v2%3A0/invoke-with-response-stream", json!({"inputText": "x"})),
    ] {
        assert_eq!(post(&mock, path, &[], body).await.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn cohere_on_bedrock_embeds_many() {
    let mock = mock().await;
    let path = "/model/cohere.embed-english-v3/invoke";
    let ask = |more: Value| {
        let mut body = json!({"texts": ["eight by", "x"], "input_type": "search_document"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let floats = post(&mock, path, &[], ask(json!({}))).await.json();
    assert_eq!(
        (&floats["response_type"], floats["embeddings"][1].as_array().unwrap().len()),
        (&json!("embeddings_floats"), 1024)
    );
    let typed = post(&mock, path, &[], ask(json!({"embedding_types": ["int8", "ubinary"]}))).await;
    let json = typed.json();
    assert_eq!(
        (&json["response_type"], json["embeddings"]["int8"][0].as_array().unwrap().len()),
        (&json!("embeddings_by_type"), 1024)
    );
    assert_eq!(json["embeddings"]["ubinary"][0].as_array().unwrap().len(), 128);
    assert_eq!(typed.headers["x-amzn-bedrock-input-token-count"], "3");
    let v4 = "/model/cohere.embed-v4%3A0/invoke";
    let json = post(&mock, v4, &[], ask(json!({"output_dimension": 512, "truncate": "RIGHT"}))).await.json();
    assert_eq!(json["embeddings"][0].as_array().unwrap().len(), 512);
    for (path, more) in [
        (path, json!({"input_type": "query"})),
        (path, json!({"output_dimension": 512})),
        (path, json!({"truncate": "RIGHT"})),
        (path, json!({"images": ["data:image/png;base64,aGk="]})),
        (path, json!({"texts": vec!["x"; 97]})),
        (path, json!({"texts": ["x".repeat(2049)]})),
        (path, json!({"model": "x"})),
        (v4, json!({"output_dimension": 300})),
    ] {
        assert_eq!(post(&mock, path, &[], ask(more.clone())).await.status, StatusCode::BAD_REQUEST, "{more}");
    }
}
