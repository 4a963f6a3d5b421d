//! Answers to like questions, by vectors of a provider's: Weir asks for them itself, through the same Envoy, in the
//! name of the caller, and nobody else can pretend to be it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{Call, Protocol};
use crate::faults::rig::{Samples, aborts, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Connection, Request};
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
    let body = json!({"model": "mock/m", "messages": [{"role": "user", "content": text}]}).to_string();
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

/// Who embeds takes calls and says nothing, and then is gone: the live answer is served, and who leaves meanwhile leaves
/// nothing behind and asks nobody.
async fn a_vector_that_does_not_come_costs_no_answer(mode: BodyMode) {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (place, taken) = (silent.local_addr().expect("it listens"), Arc::new(AtomicUsize::new(0)));
    let counted = taken.clone();
    let takes = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = silent.accept().await {
            let counted = counted.clone();
            held.push(AbortOnDropHandle::new(tokio::spawn(async move {
                // Of a call the beginning is enough; what comes of the rest nobody knows.
                if stream.read_u8().await.is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                    std::future::pending().await
                }
            })));
        }
    });
    let other = "---\napiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: silent}\nspec: {endpoint: \
                 'http://{place}/v1', dialect: OpenAI, credentials: [{type: None}]}\n";
    let documents = CACHED.replace("backend: mock, model: e}}", "backend: silent, model: e}}");
    let egress = Egress::up(mode, &(documents + &other.replace("{place}", &place.to_string()))).await;
    let chats = || egress.mock.tally().models.get("m").map_or(0, |model| model.requests);
    assert_eq!(said(&ask(&egress, "What is a weir?", &[]).await), Some("miss"));
    assert_eq!((chats(), taken.load(Ordering::Relaxed)), (1, 1));

    let body = json!({"model": "mock/m", "messages": [{"role": "user", "content": "What is a lock?"}]}).to_string();
    let mut leaves = Connection::open(&egress.address, "POST").await.expect("Envoy takes the connection");
    leaves.send(&Call::post("/v1/chat/completions", body).http1()).await.expect("Envoy reads");
    wait("second question for a vector", || async { taken.load(Ordering::Relaxed) == 2 }).await;
    leaves.abort();
    wait("end of all", || async { in_flight(&egress).await == 0.0 }).await;
    assert_eq!(chats(), 1, "nobody waited for its answer any more");

    takes.abort();
    _ = takes.await;
    assert_eq!(said(&ask(&egress, "What is a dam?", &[]).await), Some("miss"));
    assert_eq!(chats(), 2);
    assert_eq!(taken.load(Ordering::Relaxed), 2, "nobody was asked twice for one question");
    egress.assert_clean(&aborts()).await;
}

async fn in_flight(egress: &Egress) -> f64 {
    let request = Request { method: "GET", path: "/metrics", headers: &[("host", "localhost")] }.head();
    let answer = http1::exchange(&egress.admin, "GET", &request).await.expect("the admin port answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    Samples::parse(&answer.text()).sum("weir_exchanges_in_flight", &[])
}

every_mode!(a_like_question_is_answered_by_vectors_of_a_provider);
first_mode!(a_vector_that_does_not_come_costs_no_answer);
