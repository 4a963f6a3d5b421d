//! Calls beside chats that go to a provider of another API: vectors, rankings and counts, each asked of the
//! mock, which refuses what its provider would.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use weir::exchange::event::{Event, ResponseHead};
use weir::exchange::record::Outcome;
use weir::llm::{Dialect, UsageSource};
use weir::mock::Mock;
use weir::policy::Policy;
use weir::target::{Azure, Backend, Serves, Targets};
use weir::wire::Speaks;

use super::support::*;
use crate::support::http1::{Request, exchange};

const EMBEDDINGS: &str = "/v1/embeddings";

/// The only backend there is.
fn place(dialect: Dialect, prefix: &str) -> Backend {
    let provider = match dialect {
        Dialect::OpenAi => "openai",
        _ => "somebody",
    };
    let speaks = Speaks { responses: true, ..Speaks::default() };
    Backend { dialect, prefix: prefix.to_owned(), provider: provider.into(), speaks, ..backend("one", false) }
}

fn to(backend: Backend) -> Policy {
    Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() }
}

/// What the mock says to what left.
async fn asked(world: &World, mock: &Mock) -> (ResponseHead, Vec<u8>) {
    let path = world.upstream_header(":path").expect("a path").to_owned();
    let left =
        ["content-type", "anthropic-version"].iter().filter_map(|name| Some((*name, world.upstream_header(name)?)));
    let headers: Vec<(&str, &str)> = left.collect();
    let request = Request { method: "POST", path: &path, headers: &headers }.with_length(&world.envoy.upstream.body);
    let answer = exchange(&mock.addr().to_string(), "POST", &request).await.expect("an answer");
    let headers: Vec<(&str, &str)> = answer.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    (response(answer.status, &headers), answer.body)
}

async fn mock() -> Mock {
    Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await
}

/// A whole call, and what its client gets.
async fn through(policy: Policy, path: &str, body: &Value) -> (World, Value) {
    let mock = mock().await;
    let mut world = World::new(policy);
    // As its SDK, whoever asks.
    let mut head = post(path);
    if path == "/v1/messages/count_tokens" {
        head.headers.push("anthropic-version", b"2023-06-01");
    }
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body.to_string()), true));
    assert!(world.envoy.upstream.began, "it was refused: {}", world.client());
    let (head, answer) = asked(&world, &mock).await;
    world.reply(head, answer).end();
    mock.shutdown().await;
    let said = serde_json::from_str(&world.client()).expect("JSON");
    (world, said)
}

/// Who embeds: a dialect, the prefix of its paths, a model, and the path that is asked.
const EMBEDDERS: &[(Dialect, &str, &str, &str)] = &[
    (Dialect::OpenAi, "/v1", "text-embedding-3-small", "/v1/embeddings"),
    (Dialect::Azure, "/openai/v1", "text-embedding-3-small", "/openai/v1/embeddings"),
    (Dialect::Gemini, "/v1beta", "gemini-embedding-001", "/v1beta/models/gemini-embedding-001:batchEmbedContents"),
    (
        Dialect::Vertex,
        "/v1/projects/p/locations/l",
        "text-embedding-005",
        "/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict",
    ),
    (Dialect::Bedrock, "", "amazon.titan-embed-text-v2:0", "/model/amazon.titan-embed-text-v2%3A0/invoke"),
    (Dialect::Bedrock, "", "cohere.embed-english-v3", "/model/cohere.embed-english-v3/invoke"),
    (Dialect::Bedrock, "", "cohere.embed-v4:0", "/model/cohere.embed-v4%3A0/invoke"),
    (Dialect::Cohere, "/v2", "embed-v4.0", "/v2/embed"),
    (Dialect::Ollama, "", "nomic-embed-text", "/api/embed"),
];

fn floats(embedding: &Value) -> Vec<f32> {
    embedding.as_array().expect("numbers").iter().map(|number| number.as_f64().expect("a number") as f32).collect()
}

fn decoded(embedding: &Value) -> Vec<f32> {
    let bytes = weir::base::base64::decode(embedding.as_str().expect("base64").as_bytes()).expect("base64");
    bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().expect("four"))).collect()
}

/// A server takes these as steps up or nowhere, and reads another path than the one that was signed.
#[test]
fn no_model_is_a_step_of_a_path() {
    for dialect in [Dialect::Bedrock, Dialect::Azure, Dialect::Gemini, Dialect::Vertex] {
        for model in [".", ".."] {
            let mut world = World::new(to(place(dialect, "/p")));
            let body = json!({"model": format!("one/{model}"), "messages": [{"role": "user", "content": "hi"}]});
            world.send(Event::Request(post("/v1/chat/completions"), false));
            world.send(Event::RequestBody(bytes(body.to_string()), true)).end();
            let left = world.upstream_header(":path").map(str::to_owned);
            let is_no_step =
                left.as_ref().is_some_and(|path| path.split(['/', '?']).all(|step| !matches!(step, "." | "..")));
            assert!(
                is_no_step || world.refused() == (404, "model_not_found".to_owned()),
                "{dialect:?} {model}: {left:?}"
            );
        }
    }
}

#[tokio::test]
async fn vectors_come_from_every_provider() {
    for &(dialect, prefix, model, path) in EMBEDDERS {
        let is_titan = model.contains("titan");
        let input = if is_titan { json!("eight bytes") } else { json!(["eight bytes", "more"]) };
        let body = json!({"model": model, "input": input});
        let (world, said) = through(to(place(dialect, prefix)), EMBEDDINGS, &body).await;
        assert_eq!(world.upstream_header(":path"), Some(path), "{model}");
        assert_eq!((world.envoy.client.status, &said["object"]), (200, &json!("list")), "{model}: {said}");
        let data = said["data"].as_array().expect("a list");
        assert_eq!(data.len(), if is_titan { 1 } else { 2 }, "{model}");
        for (index, one) in data.iter().enumerate() {
            assert_eq!((&one["object"], &one["index"]), (&json!("embedding"), &json!(index)), "{model}");
            let length: f32 = floats(&one["embedding"]).iter().map(|x| x * x).sum();
            assert!((length - 1.0).abs() < 1e-3, "{model}: {length}");
        }
        // A quarter of the bytes of each text, rounded up.
        let tokens = if is_titan { 3 } else { 4 };
        assert_eq!(said["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}), "{model}");
        let record = world.record();
        assert_eq!((record.usage_source, record.usage), (UsageSource::Provider, usage(tokens, 0)), "{model}");
        assert_eq!((record.outcome, &*record.sent_model), (Outcome::Completed, model));

        let body = json!({"model": model, "input": "eight bytes", "encoding_format": "base64"});
        let (_, said) = through(to(place(dialect, prefix)), EMBEDDINGS, &body).await;
        assert_eq!(decoded(&said["data"][0]["embedding"]), floats(&data[0]["embedding"]), "{model}");
    }
}

#[tokio::test]
async fn what_is_said_beside_the_input_reaches_those_that_know_it() {
    for (dialect, prefix, model) in [
        (Dialect::Gemini, "/v1beta", "gemini-embedding-001"),
        (Dialect::Vertex, "/v1/projects/p/locations/l", "text-embedding-005"),
        (Dialect::Cohere, "/v2", "embed-v4.0"),
        (Dialect::Bedrock, "", "cohere.embed-v4:0"),
        (Dialect::Bedrock, "", "amazon.titan-embed-text-v2:0"),
        (Dialect::Ollama, "", "nomic-embed-text"),
    ] {
        let input = json!([{"content": "a", "task_type": "RETRIEVAL_DOCUMENT", "title": "T"}]);
        let body = json!({"model": model, "input": input, "dimensions": 512, "auto_truncate": true, "user": "u"});
        let (world, said) = through(to(place(dialect, prefix)), EMBEDDINGS, &body).await;
        assert_eq!(floats(&said["data"][0]["embedding"]).len(), 512, "{model}: {said}");
        let dropped = world.record().decisions.iter().find(|decision| decision.outcome == "dropped");
        assert!(dropped.is_some_and(|dropped| dropped.detail.contains("user")), "{model}");
    }
}

#[test]
fn an_azure_deployment_stands_in_the_path() {
    let azure = Azure { version: "2024-10-21".into(), deployments: vec![("ada".into(), "mine".into())] };
    let speaks = Speaks { responses: true, deployments: true, ..Speaks::default() };
    let backend = Backend { azure: Some(azure.into()), speaks, ..place(Dialect::Azure, "/openai") };
    let mut world = World::new(to(backend));
    world.call(EMBEDDINGS, r#"{"model":"ada","input":[1,2]}"#);
    assert_eq!(world.upstream_header(":path"), Some("/openai/deployments/mine/embeddings?api-version=2024-10-21"));
    assert_eq!(world.upstream(), r#"{"model":"ada","input":[1,2]}"#);
}

#[test]
fn what_a_provider_cannot_be_asked_is_refused_before_it_is() {
    for (dialect, model, path, body) in [
        (Dialect::Bedrock, "amazon.titan-embed-text-v2:0", EMBEDDINGS, json!({"input": ["a", "b"]})),
        (Dialect::Gemini, "g", EMBEDDINGS, json!({"input": [[1, 2]]})),
        (Dialect::Bedrock, "amazon.nova", EMBEDDINGS, json!({"input": "a"})),
        (Dialect::Anthropic, "claude", EMBEDDINGS, json!({"input": "a"})),
        (Dialect::Anthropic, "claude", "/v2/rerank", json!({"query": "q", "documents": ["a"]})),
    ] {
        let mut body = body;
        body["model"] = model.into();
        let mut world = World::new(to(Backend { speaks: Speaks::default(), ..place(dialect, "") }));
        world.call(path, body.to_string()).end();
        assert!(!world.envoy.upstream.began && world.envoy.client.status == 400, "{model} {path}: {}", world.client());
    }
}

#[test]
fn an_answer_that_is_none_is_a_bad_gateway_and_an_error_is_told_in_the_clients_words() {
    let call = || {
        let mut world = World::new(to(place(Dialect::Vertex, "/v1")));
        world.call(EMBEDDINGS, r#"{"model":"text-embedding-005","input":["a","b"],"stream":true}"#);
        world
    };
    let one = r#"{"predictions":[{"embeddings":{"values":[1]}}]}"#;
    for answer in ["{}", "no JSON", "", one] {
        let mut world = call();
        world.reply(json(), answer).end();
        assert_eq!(world.refused(), (502, "upstream_invalid_response".to_owned()), "{answer:?}");
    }
    let mut world = call();
    let fault = r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}"#;
    world.reply(response(429, &[("content-type", "application/json")]), fault).end();
    let said: Value = serde_json::from_str(&world.client()).expect("JSON");
    assert_eq!((world.envoy.client.status, &said["error"]["message"]), (429, &json!("Quota exceeded.")));
    assert_eq!(said["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn a_ranking_is_asked_in_either_shape() {
    let body =
        json!({"model": "rerank-v3.5", "query": "red apple", "documents": ["blue sky", "red apple"], "top_n": 1});
    for path in ["/v1/rerank", "/rerank", "/v2/rerank"] {
        let (world, said) = through(to(place(Dialect::Cohere, "/v2")), path, &body).await;
        assert_eq!(world.upstream_header(":path"), Some("/v2/rerank"), "{path}");
        let results = said["results"].as_array().expect("a list");
        assert_eq!((results.len(), &results[0]["index"]), (1, &json!(1)), "{path}: {said}");
        assert_eq!(said["meta"]["billed_units"]["search_units"], 1, "{path}: {said}");
        let record = world.record();
        assert_eq!((record.usage.units.queries, record.outcome), (1, Outcome::Completed), "{path}");
    }
    // Some who have the older shape, to a client that has the newer.
    let mut world = World::new(to(place(Dialect::OpenAi, "/v1")));
    world.call("/v2/rerank", body.to_string());
    assert_eq!(world.upstream_header(":path"), Some("/v1/rerank"));
    world.reply(json(), r#"{"results":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":9}}"#).end();
    let said: Value = serde_json::from_str(&world.client()).expect("JSON");
    assert_eq!(said["meta"]["api_version"]["version"], "2", "{said}");
    assert_eq!(world.record().usage, usage(9, 0));
}

/// Who has tokens counted: the path for a model, a body, and where the answer states their number.
fn counting(model: &str) -> [(String, Value, &'static str); 6] {
    const TEXT: &str = "sixteen bytes..";
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": TEXT}]}]});
    let whole = json!({"generateContentRequest": {"model": "models/old", "contents": contents["contents"]}});
    let gemini = format!("/v1beta/models/{model}:countTokens");
    let said = json!([{"role": "user", "content": TEXT}]);
    let converse = json!({"input": {"converse": {"messages": [{"role": "user", "content": [{"text": TEXT}]}]}}});
    [
        ("/v1/messages/count_tokens".to_owned(), json!({"model": model, "messages": said}), "/input_tokens"),
        (gemini.clone(), contents, "/totalTokens"),
        (gemini, whole, "/totalTokens"),
        (format!("/model/{model}/count-tokens"), converse, "/inputTokens"),
        ("/v1/responses/input_tokens".to_owned(), json!({"model": model, "input": TEXT}), "/input_tokens"),
        ("/v1/responses/input_tokens".to_owned(), json!({"model": model, "input": said}), "/input_tokens"),
    ]
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_in_either_ones_words() {
    let vertex = "/v1/projects/p/locations/l";
    for (dialect, prefix, model, left) in [
        (Dialect::Anthropic, "/v1", "claude-sonnet-4-5", "/v1/messages/count_tokens".to_owned()),
        (Dialect::Gemini, "/v1beta", "gemini-x", "/v1beta/models/gemini-x:countTokens".to_owned()),
        (Dialect::Vertex, vertex, "gemini-x", format!("{vertex}/publishers/google/models/gemini-x:countTokens")),
        (
            Dialect::Vertex,
            vertex,
            "claude-sonnet-4-5",
            format!("{vertex}/publishers/anthropic/models/count-tokens:rawPredict"),
        ),
        (Dialect::Bedrock, "", "amazon.nova-lite-v1", "/model/amazon.nova-lite-v1/count-tokens".to_owned()),
        (Dialect::OpenAi, "/v1", "gpt-x", "/v1/responses/input_tokens".to_owned()),
    ] {
        for (path, body, pointer) in counting(model) {
            let (world, said) = through(to(place(dialect, prefix)), &path, &body).await;
            assert_eq!(world.upstream_header(":path"), Some(&*left), "{path} of {dialect}");
            assert_eq!(said.pointer(pointer), Some(&json!(4)), "{path} of {dialect}: {said}");
            let record = world.record();
            assert_eq!((record.cost, record.outcome), (None, Outcome::Completed), "a count costs nothing");
        }
    }
}

#[test]
fn a_list_of_models_has_the_shape_of_who_asks() {
    for (path, list, pointer) in [
        ("/v1beta/models", &[][..], "/models/0/name"),
        ("/v1beta/models/gpt-4o-mini", &[], "/name"),
        ("/v1/models", &[("x-goog-api-key", "dummy")], "/models/0/name"),
        ("/api/tags", &[], "/models/0/model"),
        ("/foundation-models", &[], "/modelSummaries/0/modelId"),
        ("/v1/models", &[], "/data/0/id"),
    ] {
        let mut world = World::new(policy());
        world.send(Event::Request(request("GET", path, list), true)).end();
        let said: Value = serde_json::from_str(&world.client()).expect("JSON");
        let name = said.pointer(pointer).and_then(Value::as_str).expect("a name");
        assert_eq!(name.trim_start_matches("models/"), "gpt-4o-mini", "{path}: {said}");
    }
    let mut world = World::new(policy());
    world.send(Event::Request(request("GET", "/v1beta/models/nothing", &[]), true)).end();
    let said: Value = serde_json::from_str(&world.client()).expect("JSON");
    assert_eq!((world.envoy.client.status, &said["error"]["status"]), (404, &json!("NOT_FOUND")));
}
