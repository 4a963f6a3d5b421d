//! Answers to like questions, by vectors of a provider's: Weir asks for them itself, through the same Envoy, in the
//! name of the caller, and nobody else can pretend to be it.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{Call, Protocol};
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
  pricing: {models: [{model: m, input: \"1\", output: \"1\"}, {model: e, input: \"1\", output: \"0\"}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {name: app}
spec: {match: [{namespaces: [\"*\"]}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMCachePolicy
metadata: {name: faq}
spec:
  semantic: {threshold: \"0.95\", ttl: 1h, embedder: {backend: mock, model: e}}
";

async fn ask(egress: &Egress, text: &str, more: &[(&str, &str)]) -> Response {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]}).to_string();
    let answer = Call::post("/v1/chat/completions", body).with(more).send(Protocol::Http1, &egress.address).await;
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    answer
}

fn said(answer: &Response) -> Option<&str> {
    answer.header("x-weir-cache")
}

async fn a_like_question_is_answered_by_vectors_of_a_provider(mode: BodyMode) {
    let egress = Egress::up(mode, CACHED).await;
    let chats = || egress.mock.tally().models.get("m").map_or(0, |model| model.requests);
    assert_eq!(said(&ask(&egress, "What is a weir?", &[]).await), Some("miss"));
    // The same words, and so the same vector by the mock, which adds up the vectors of words.
    let alike = ask(&egress, "What  is a weir?", &[]).await;
    assert_eq!((said(&alike), chats()), (Some("semantic"), 1), "{alike:?}");
    assert!(alike.header("age").is_some() && !alike.text().contains("similarity"), "{alike:?}");
    // As near, and another question.
    assert_eq!(said(&ask(&egress, "Is a what weir?", &[]).await), Some("miss"));
    // Further than the caller, or the rule, wants it.
    assert_eq!(said(&ask(&egress, "What is a lock?", &[]).await), Some("miss"));
    assert_eq!(chats(), 3);

    let records = egress.ledger_of(8).await;
    let of =
        |operation: &str| -> Vec<&Value> { records.iter().filter(|record| record["operation"] == operation).collect() };
    let (calls, own) = (of("chat"), of("embeddings"));
    assert_eq!((calls.len(), own.len()), (4, 4), "{records:#?}");
    for record in &own {
        assert_eq!(record["principal"], calls[0]["principal"], "it is billed to who asks");
        assert_eq!((&record["outcome"], &record["backend"]), (&json!("OUTCOME_COMPLETED"), &json!("mock")));
    }
    for forged in ["sk-weir-own-", "sk-weir-own-00", &format!("sk-weir-own-{}", "0".repeat(64))] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}).to_string();
        let call = Call::post("/v1/chat/completions", body).with(&[("x-api-key", forged)]);
        assert_eq!(call.send(Protocol::Http1, &egress.address).await.status, 401, "{forged}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(a_like_question_is_answered_by_vectors_of_a_provider);
