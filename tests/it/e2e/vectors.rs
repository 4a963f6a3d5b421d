//! Vectors from memory: what was asked before is answered without the provider, and of a call for old and new inputs
//! the new ones alone leave. Its client sees one answer, the same as if all of it had been asked for.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{BOTH, Call, Protocol};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

const CACHED: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec:
  discovery: {environment: Disabled}
  responseHeaders: [RequestId, Cache, Cost]
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mock}
spec:
  endpoint: \"http://{mock}/v1\"
  dialect: OpenAI
  credentials: [{type: None}]
  pricing: {models: [{model: m, input: \"1\"}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: vectors}
spec: {scope: Shared, exact: {ttl: 1h}}
";

fn body(inputs: &[String], encoding: &str) -> String {
    json!({"model": "m", "input": inputs, "encoding_format": encoding, "dimensions": 8}).to_string()
}

fn vectors(answer: &Response) -> Vec<Value> {
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    answer.json()["data"].as_array().expect("a list").clone()
}

async fn old_inputs_are_not_asked_for_again(mode: BodyMode) {
    let egress = Egress::up(mode, CACHED).await;
    let mut asked = 0;
    for protocol in BOTH {
        for encoding in ["float", "base64"] {
            asked += whole_and_part(&egress, protocol, mode, encoding).await;
        }
    }
    assert_eq!(egress.mock.tally().models["m"].prompt_tokens, asked);
    let records = egress.ledger_of(12).await;
    let result = |record: &&Value| record["cached"]["result"].as_str().map(str::to_owned);
    let results: Vec<Option<String>> = records.iter().map(|record| result(&record)).collect();
    let hits = results.iter().filter(|result| result.as_deref() == Some("hit")).count();
    assert_eq!((records.len(), hits), (12, 4), "{results:?}");
    egress.assert_clean(&Exceptions::default()).await;
}

/// The tokens that the provider was asked for.
async fn whole_and_part(egress: &Egress, protocol: Protocol, mode: BodyMode, encoding: &str) -> u64 {
    // Inputs of 16 bytes, of four tokens each.
    let input = |n: usize| format!("{protocol:?}-{encoding}-0123456789").chars().cycle().skip(n).take(16).collect();
    let inputs: Vec<String> = (0..4).map(input).collect();
    let send = async |body: &str, to: &str| Call::post("/v1/embeddings", body).send(protocol, to).await;
    let all = body(&inputs, encoding);
    let direct = vectors(&send(&all, &egress.direct()).await);

    let first = send(&body(&inputs[..2], encoding), &egress.address).await;
    assert_eq!(vectors(&first), direct[..2]);
    let part = send(&all, &egress.address).await;
    assert_eq!(vectors(&part), direct);
    // Where no head can wait for its body, no call is taken apart.
    let billed = if mode == BodyMode::BufferedStreamed { 16 } else { 8 };
    assert_eq!(part.json()["usage"]["prompt_tokens"], billed, "{part:?}");
    let known = send(&all, &egress.address).await;
    assert_eq!(vectors(&known), direct);
    assert_eq!(known.json()["usage"], json!({"prompt_tokens": 16, "total_tokens": 16}));
    8 + billed
}

every_mode!(old_inputs_are_not_asked_for_again);
