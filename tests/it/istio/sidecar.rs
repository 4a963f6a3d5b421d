//! Weir beside a workload: what an application can do, and what it cannot.

use serde_json::{Value, json};

use super::rig::{BACKENDS, BYSTANDER, HOST, LONG, Mesh, chat};
use crate::e2e::pair::Call;
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

/// The version that the calls are made with; `rendered` has all, and the oldest serves below.
const VERSION: &str = "1.31";

/// Orders to the router that it takes: they come from an address of the mesh.
const ORDERS: &[(&str, &str)] = &[
    ("x-forwarded-for", "10.1.2.3"),
    ("x-mock-status", "503"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-max-retries", "2"),
];

fn code(answer: &Response) -> (u16, Value) {
    (answer.status, answer.json()["error"]["code"].clone())
}

/// What the provider received, for a call that says so.
fn received(answer: &Response) -> (String, Vec<(String, String)>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let echo = answer.json();
    let pairs = echo["headers"].as_array().expect("headers").iter();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&echo["path"]), pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect())
}

async fn each_backend_is_reached_signed(mesh: &Mesh) {
    for (model, host, header, value) in [
        ("openai/gpt-4o-mini", "api.openai.com", "authorization", "Bearer sk-canary-openai"),
        ("billing/gpt-4o-mini", "api.openai.com", "authorization", "Bearer sk-canary-billing"),
        ("anthropic/claude-sonnet-4-5", "api.anthropic.com", "x-api-key", "sk-canary-anthropic"),
        ("own/m", "llm.own.example:8443", "authorization", "Bearer sk-canary-own"),
    ] {
        let call = chat(model).with(&[("x-mock-echo", "1"), ("x-weir-tags", "a=b"), ("x-envoy-peer-metadata", "pod")]);
        // A passthrough answer tells what came: the echo is no chat in the provider's dialect.
        let path = if model.starts_with("anthropic") { "/v1/messages" } else { "/v1/chat/completions" };
        let answer = mesh.call(HOST, Call { path, ..call }).await;
        let (_, headers) = received(&answer);
        let of = |name: &str| headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str());
        assert_eq!((of("host"), of(header)), (Some(host), Some(value)), "{model}");
        let internal = |name: &str| name.starts_with("x-weir-") || name.starts_with("x-envoy-");
        let left: Vec<_> = headers.iter().filter(|(name, _)| internal(name) || name == "x-forwarded-proto").collect();
        assert_eq!(left, Vec::<&(String, String)>::new(), "{model}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_reaches_its_provider_signed_whatever_it_says() {
    let mesh = Mesh::sidecar(VERSION, BACKENDS).await;
    each_backend_is_reached_signed(&mesh).await;
    // In another dialect than the provider's.
    let before = mesh.counts();
    let answer = mesh.chat("anthropic/claude-sonnet-4-5", &[]).await;
    assert_eq!((answer.status, &answer.json()["object"]), (200, &json!("chat.completion")), "{answer:?}");
    // A client names no backend.
    let forged = mesh.chat("openai/gpt-4o-mini", &[("x-weir-backend", "anthropic")]).await;
    assert_eq!(forged.status, 200, "{forged:?}");
    assert_eq!(mesh.counts(), [before[0] + 1, before[1] + 1, before[2]]);
    // The provider's own host is no way around.
    let direct = mesh.call("api.anthropic.com", chat("openai/gpt-4o-mini").with(&[("x-weir-backend", "own")])).await;
    assert_eq!(direct.status, 200, "{direct:?}");
    assert_eq!(mesh.counts()[0], before[0] + 2);
    let unknown = mesh.chat("nobody-has-this", &[]).await;
    assert_eq!(code(&unknown), (404, json!("model_not_found")));
    mesh.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_comes_as_it_is_made_and_is_billed() {
    let mesh = Mesh::sidecar(VERSION, BACKENDS).await;
    let body = r#"{"model":"openai/gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = mesh.call(HOST, Call::chat(body).with(&[("x-mock-tokens", "20")])).await;
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"));
    let records = crate::e2e::ledger::wait_for(&mesh.directory.file("usage.jsonl"), 1).await;
    assert_eq!(
        (&records[0]["backend"], &records[0]["usage"]["output"]),
        (&json!("openai"), &json!("20")),
        "{records:?}"
    );
    mesh.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_calls_of_the_pod_never_reach_weir() {
    let mesh = Mesh::sidecar(VERSION, BACKENDS).await;
    for headers in [&[][..], &[("x-weir-backend", "openai")]] {
        let answer = mesh.call(BYSTANDER, chat("openai/gpt-4o-mini").with(headers)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // What only Weir may say is taken before any route is chosen, at every host.
    let forged = chat("m").with(&[("x-mock-echo", "1"), ("x-weir-backend", "openai"), ("x-weir-tags", "a=b")]);
    let (_, headers) = received(&mesh.call(BYSTANDER, forged).await);
    let left: Vec<_> =
        headers.iter().filter(|(name, _)| name.starts_with("x-weir-")).map(|(name, _)| &name[..]).collect();
    assert_eq!(left, ["x-weir-tags"]);
    // Its orders to the proxy are its own, and so are its errors.
    let upgrade = [("connection", "upgrade"), ("upgrade", "something")];
    let own = mesh.call(BYSTANDER, chat("m").with(&upgrade)).await;
    assert_eq!((own.status, own.body.len()), (403, 0), "{own:?}");
    let answer = mesh.call(BYSTANDER, chat("m").with(ORDERS)).await;
    assert_eq!((answer.status, mesh.bystander.tally().requests), (503, 6), "{answer:?}");
    assert_eq!((mesh.asked().await, mesh.counts()), (0, [0, 0, 0]));
    assert_eq!(code(&mesh.chat("openai/gpt-4o-mini", &upgrade).await), (403, json!("proxy_error")));
    assert_eq!(mesh.chat("openai/gpt-4o-mini", &[]).await.status, 200);
    assert_eq!(mesh.asked().await, 2);
    mesh.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_weir_nobodys_key_is_reached_and_others_are_served() {
    let mut mesh = Mesh::sidecar(VERSION, BACKENDS).await;
    assert_eq!(mesh.chat("openai/gpt-4o-mini", &[]).await.status, 200);
    assert!(mesh.weir.stop(LONG).success(), "{}", mesh.weir.written());
    for host in [HOST, "api.openai.com", "api.anthropic.com"] {
        for headers in [&[][..], &[("x-weir-backend", "openai")], &[("x-weir-backend", "anthropic")]] {
            let answer = mesh.call(host, chat("openai/gpt-4o-mini").with(headers)).await;
            assert_eq!(code(&answer), (503, json!("weir_unavailable")), "{host} {headers:?}");
        }
    }
    assert_eq!(mesh.call(BYSTANDER, chat("m")).await.status, 200);
    assert_eq!(mesh.counts(), [1, 0, 0]);
    mesh.assert_clean(&Exceptions { may_count: vec!["streams_failed"], ..Exceptions::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_those_that_weir_orders_with_bodies_of_any_length() {
    let mesh = Mesh::sidecar(VERSION, BACKENDS).await;
    let long = format!(r#"{{"model":"again","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(3 << 20));
    let answer = mesh.call(HOST, Call::chat(long).with(&[("x-mock-status", "503")])).await;
    assert_eq!((answer.status, mesh.counts()), (503, [0, 0, 2]), "{answer:?}");
    // A client's orders are not taken, and Istio's own two attempts are not made.
    let answer = mesh.chat("own/m", ORDERS).await;
    assert_eq!((answer.status, mesh.counts()), (503, [0, 0, 3]), "{answer:?}");
    mesh.assert_clean(&Exceptions::default()).await;
}

/// Where there is no TLS: a Service of the cluster, and an address.
const PLAIN: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: service}
spec: {endpoint: 'http://cart.shop.svc.cluster.local/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: address, namespace: shop}
spec: {endpoint: 'http://10.9.8.7:8000/v1', dialect: OpenAI, allowedNamespaces: {from: All}, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: address}
spec: {endpoint: 'http://10.9.8.7:8000/v1', dialect: OpenAI, credentials: [{type: None}]}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_the_cluster_and_an_address_are_backends_and_keep_their_other_callers() {
    let mut mesh = Mesh::sidecar(VERSION, &(BACKENDS.trim_end().to_owned() + PLAIN)).await;
    for (model, host) in [("service/m", BYSTANDER), ("address/m", "10.9.8.7:8000")] {
        let (_, headers) = received(&mesh.chat(model, &[("x-mock-echo", "1"), ("x-weir-tags", "a=b")]).await);
        assert_eq!(headers.iter().find(|(name, _)| name == "host").map(|(_, value)| &value[..]), Some(host));
        assert!(!headers.iter().any(|(name, _)| name.starts_with("x-weir-")), "{headers:?}");
    }
    assert_eq!(mesh.asked().await, 2);
    assert!(mesh.weir.stop(LONG).success(), "{}", mesh.weir.written());
    // The Service is anybody's, with Weir or without; the address is known for Weir alone.
    assert_eq!(mesh.call(BYSTANDER, chat("m").with(&[("x-weir-backend", "openai")])).await.status, 200);
    assert_eq!(code(&mesh.call("10.9.8.7:8000", chat("m")).await), (503, json!("weir_unavailable")));
    assert_eq!((mesh.counts(), mesh.bystander.tally().requests), ([0, 0, 0], 3));
    mesh.assert_clean(&Exceptions { may_count: vec!["streams_failed"], ..Exceptions::default() }).await;
}

/// Envoy 1.32 has no FULL_DUPLEX_STREAMED, and 1.34 writes no length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_versions_serve_with_what_they_have() {
    for (version, attempts) in [("1.24", 2), ("1.26", 1)] {
        let mesh = Mesh::sidecar(version, BACKENDS).await;
        each_backend_is_reached_signed(&mesh).await;
        let long = format!(r#"{{"model":"again","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(3 << 20));
        let before = mesh.counts()[2];
        let answer = mesh.call(HOST, Call::chat(long).with(&[("x-mock-status", "503")])).await;
        assert_eq!((answer.status, mesh.counts()[2]), (503, before + attempts), "{version}: {answer:?}");
        mesh.assert_clean(&Exceptions::default()).await;
    }
}
