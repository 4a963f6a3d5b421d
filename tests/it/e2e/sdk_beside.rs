//! What five official SDKs do beside chats: OpenAI's embeds with every provider that can, Cohere's reranks with both
//! shapes of rerank, four count a prompt's tokens at every target of a chat, and four list the models.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::matrix::targets::{self, TARGETS};
use crate::support::envoy_stats::Exceptions;
use crate::support::python;

const SCRIPT: &str = include_str!("sdk_beside.py");

/// Who embeds: the alias, what stands in the backend's spec, the model.
const EMBEDDERS: &[(&str, &str, &str)] = &[
    ("embed-openai", "endpoint: 'http://{mock}/v1', dialect: OpenAI", "text-embedding-3-small"),
    ("embed-azure", "endpoint: 'http://{mock}/openai/v1', dialect: Azure", "text-embedding-3-small"),
    ("embed-gemini", "endpoint: 'http://{mock}/v1beta', dialect: Gemini", "gemini-embedding-001"),
    ("embed-vertex", "endpoint: 'http://{mock}/v1/projects/p/locations/l', dialect: Vertex", "text-embedding-005"),
    ("embed-titan", "endpoint: 'http://{mock}', dialect: Bedrock", "amazon.titan-embed-text-v2:0"),
    ("embed-bedrock-cohere", "endpoint: 'http://{mock}', dialect: Bedrock", "cohere.embed-v4:0"),
    ("embed-cohere", "endpoint: 'http://{mock}/v2', dialect: Cohere", "embed-v4.0"),
    ("embed-ollama", "endpoint: 'http://{mock}', dialect: Ollama", "nomic-embed-text"),
];

/// Who ranks, likewise: in Cohere's shape, and in the older one.
const RERANKERS: &[(&str, &str, &str)] = &[
    ("rerank-cohere", "endpoint: 'http://{mock}/v2', dialect: Cohere", "rerank-v3.5"),
    ("rerank-plain", "endpoint: 'http://{mock}/v1', dialect: OpenAI", "jina-reranker-v2"),
];

fn documents() -> String {
    let mut text = targets::documents();
    let all = || EMBEDDERS.iter().chain(RERANKERS);
    for (name, _, model) in all() {
        text += &format!("  - {{name: {name}, matches: [{{model: {{value: {name}}}}}], ");
        text += &format!("backends: [{{name: {name}, model: '{model}'}}]}}\n");
    }
    for (name, spec, _) in all() {
        text += &format!("---\napiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: {name}}}\n");
        text += &format!("spec: {{{spec}, credentials: [{{type: None}}]}}\n");
    }
    text
}

/// What is wrong with a line.
fn wrong(line: &Value) -> Option<String> {
    let (said, of) = (&line["said"], line["of"].as_str().unwrap_or_default());
    let what = line["what"].as_str().unwrap_or_default();
    let holds = match what.split(' ').next() {
        Some("embed") => {
            let count = if of == "embed-titan" { 1 } else { 2 };
            let lengths = said["lengths"].as_array().map(Vec::as_slice).unwrap_or_default();
            let unit = said["norms"].as_array().into_iter().flatten().all(|norm| *norm == json!(1.0));
            let vectors = lengths.len() == count && lengths.iter().all(|one| *one == lengths[0] && *one != json!(0));
            let indices: Value = (0..count).collect();
            vectors && unit && said["indices"] == indices && said["tokens"].as_u64().is_some_and(|tokens| tokens > 0)
        }
        Some("rerank") => {
            let scores: Vec<f64> = said["scores"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
            // The mock ranks one document in the older shape.
            let count = if of == "rerank-cohere" { 2 } else { 1 };
            let indices = said["indices"].as_array().map(Vec::len);
            scores.len() == count
                && scores.is_sorted_by(|a, b| a >= b)
                && indices == Some(count)
                && said["id"] == json!(true)
        }
        // Five words: whoever counts, they are some tokens and not hundreds.
        Some("count") => said.as_u64().is_some_and(|tokens| (1..100).contains(&tokens)),
        Some("list") => {
            let names: Vec<&str> = said.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let of_route = TARGETS.iter().map(|target| target.alias());
            of_route.chain(["rerank-cohere".to_owned()]).all(|name| names.contains(&&*name))
        }
        _ => false,
    };
    (!holds).then(|| line.to_string())
}

async fn every_sdk_does_beside_chats_what_its_api_has(mode: BodyMode) {
    let egress = Egress::up(mode, &documents()).await;
    let names = |rows: &[(&'static str, &str, &str)]| rows.iter().map(|row| row.0).collect::<Vec<_>>();
    let chats: Vec<String> = TARGETS.iter().map(|target| target.alias()).collect();
    let (base, embedders, rerankers) = (format!("http://{}", egress.address), names(EMBEDDERS), names(RERANKERS));
    let plan = json!({"base": base, "embedders": embedders, "rerankers": rerankers, "chats": chats}).to_string();
    let run = tokio::task::spawn_blocking(move || python::run_script(SCRIPT, &[&plan], &[]));
    let output = run.await.expect("the script runs");
    assert!(output.status.success(), "{}", output.stderr);
    let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let wrong: Vec<String> = lines.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(lines.len(), 2 * EMBEDDERS.len() + RERANKERS.len() + 4 * TARGETS.len() + 4);
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(every_sdk_does_beside_chats_what_its_api_has);
