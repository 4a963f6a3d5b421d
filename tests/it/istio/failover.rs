//! One call at several backends, in both forms: a provider that fails is bridged within the call, by clusters and
//! routes that Istio would generate and a patch completes.

use std::sync::Arc;

use serde_json::{Value, json};
use weir::render::attempt::CLUSTER;

use super::rig::{HOST, Mesh, Place, documents, render, rendering};
use crate::doctor::rig::doctor;
use crate::e2e::pair::Call;
use crate::support::certs::Subject;
use crate::support::envoy_stats::Exceptions;
use crate::support::istio::{Proxy, of_kind, resources};
use crate::support::response::Response;
use crate::support::tls::Client;

/// Two accounts of one provider, of which one is broken and one limited; another provider, a mirror, and one that is
/// not there. What they do their headers say.
pub const BACKENDS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: broken}
spec:
  provider: openai
  credentials: [{type: APIKey, apiKey: {env: OPENAI_API_KEY}}]
  headers: {set: [{name: x-mock-status, value: '503'}, {name: x-of-the-first, value: secret}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: limited}
spec:
  provider: openai
  credentials: [{type: APIKey, apiKey: {env: BILLING_API_KEY}}]
  headers: {set: [{name: x-mock-status, value: '429'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: anthropic}
spec: {provider: anthropic, credentials: [{type: APIKey, apiKey: {env: ANTHROPIC_API_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: down}
spec: {endpoint: 'https://down.example/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mirror}
spec:
  endpoint: https://llm.own.example:8443/v1
  dialect: OpenAI
  tls: {ca: {file: '{dir}/own.ca.pem'}}
  credentials: [{type: APIKey, apiKey: {env: OWN_API_KEY}}]
  headers: {set: [{name: x-mock-echo, value: '1'}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
";

/// A rule that takes the model `name` to these backends in turn.
fn rule(name: &str, backends: &[&str], attempts: u32) -> String {
    let one = |(at, backend): (usize, &&str)| {
        let model = if *backend == "anthropic" { "claude-sonnet-4-5" } else { "gpt-4o" };
        format!("{{name: {backend}, model: {model}, priority: {at}}}")
    };
    let backends: Vec<String> = backends.iter().enumerate().map(one).collect();
    format!(
        "  - name: {name}\n    matches: [{{model: {{value: {name}}}}}]\n    backends: [{}]\n    \
         retry: {{attempts: {attempts}, on: [ServerError, RateLimited, ConnectFailure], cooldown: 1s}}\n    \
         failover: PerAttempt\n",
        backends.join(", ")
    )
}

/// The documents of the tests below.
pub fn all() -> String {
    let rules = [
        rule("bridged", &["broken", "anthropic"], 1),
        rule("mirrored", &["broken", "limited", "mirror"], 2),
        rule("reached", &["down", "anthropic"], 1),
        rule("lost", &["limited", "broken"], 3),
        "  - name: alone\n    matches: [{model: {value: alone}}]\n    backends: [{name: mirror, model: gpt-4o}]\n"
            .into(),
    ];
    BACKENDS.to_owned() + &rules.concat()
}

fn ask(model: &str, stream: bool) -> Call {
    let body =
        json!({"model": model, "stream": stream, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]});
    Call::chat(body.to_string())
}

/// Backend and status of each attempt.
async fn tried(mesh: &Mesh, answer: &Response) -> Vec<(String, u64)> {
    let record = mesh.record_of(answer).await;
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default();
    let list = record["attempts"].as_array().cloned().unwrap_or_default();
    list.iter().map(|one| (one["backend"].as_str().unwrap_or_default().to_owned(), number(&one["status"]))).collect()
}

fn these(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect()
}

/// An answer in the dialect of the client, which is not that of who answered.
fn is_openais(answer: &Response, stream: bool) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    match stream {
        false => assert_eq!(answer.json()["object"], "chat.completion", "{text}"),
        true => assert!(text.contains("chat.completion.chunk") && text.trim_end().ends_with("[DONE]"), "{text}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_provider_answers_in_the_clients_dialect() {
    let mesh = Mesh::sidecar("1.31", &all()).await;
    for stream in [false, true] {
        let answer = mesh.call(HOST, ask("bridged", stream)).await;
        is_openais(&answer, stream);
        assert_eq!(tried(&mesh, &answer).await, these(&[("broken", 503), ("anthropic", 200)]));
    }
    assert_eq!(mesh.counts(), [2, 2, 0]);
    // A body that is longer than what Envoy keeps by itself.
    let long = json!({"model": "bridged", "max_tokens": 5, "messages": [{"role": "user", "content": "weir ".repeat(1 << 20)}]});
    is_openais(&mesh.call(HOST, Call::chat(long.to_string())).await, false);
    assert_eq!(mesh.counts(), [3, 3, 0]);
    mesh.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_bridged_and_the_doctor_finds_nothing() {
    let mesh = Arc::new(Mesh::sidecar("1.31", &all()).await);
    let dump = mesh.admin.get("/config_dump").await.expect("a dump");
    let said = doctor(&["-", "--format", "text"], Some(&dump));
    assert!(said.out.contains("routes go to them in turn") && !said.out.contains("attempt-"), "{said:?}");

    let text = "weir ".repeat(200 << 10);
    let body =
        json!({"model": "bridged", "max_tokens": 5, "messages": [{"role": "user", "content": text}]}).to_string();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (mesh, body) = (mesh.clone(), body.clone());
        calls.spawn(async move { mesh.call(HOST, Call::chat(body)).await });
    }
    for answer in calls.join_all().await {
        is_openais(&answer, false);
    }
    assert_eq!(mesh.counts()[1], 64);
    mesh.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_go_along_the_order_and_nothing_of_one_reaches_the_next() {
    let mesh = Mesh::sidecar("1.31", &all()).await;
    let client = [("x-of-the-first", "the client's own"), ("authorization", "Bearer of-the-client")];
    let answer = mesh.call(HOST, ask("mirrored", false).with(&client)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text();
    for leaked in
        ["x-weir-", "sk-canary-openai", "sk-canary-billing", "of-the-client", "x-mock-status", "secret", "x-envoy"]
    {
        assert!(!text.contains(leaked), "{leaked}: {text}");
    }
    assert!(text.contains("the client's own") && text.contains("sk-canary-own"), "{text}");
    assert_eq!(text.matches("content-length").count(), 1, "{text}");
    let three = [("broken", 503), ("limited", 429), ("mirror", 200)];
    assert_eq!(tried(&mesh, &answer).await, these(&three));
    assert_eq!(mesh.counts(), [2, 0, 1]);
    // Where all fail it begins again with the first, and the last answer is the client's.
    let answer = mesh.call(HOST, ask("lost", false)).await;
    assert!(answer.status >= 429 && answer.json()["error"]["message"].is_string(), "{answer:?}");
    let tried = tried(&mesh, &answer).await;
    assert_eq!(tried.len(), 4, "{tried:?}");
    assert!(tried[0] != tried[1] && tried[..2] == tried[2..], "{tried:?}");
    mesh.assert_clean(&Exceptions::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_reached_is_bridged_and_one_place_is_asked_about_once() {
    let mesh = Mesh::sidecar("1.31", &all()).await;
    let asked =
        || async { mesh.admin.stats().await.expect("stats").get(&format!("cluster.{CLUSTER}.upstream_rq_total")) };
    let answer = mesh.call(HOST, ask("alone", false)).await;
    assert_eq!((answer.status, asked().await), (200, Some(0)), "{answer:?}");
    for stream in [false, true] {
        let answer = mesh.call(HOST, ask("reached", stream)).await;
        is_openais(&answer, stream);
        assert_eq!(mesh.record_of(&answer).await["backend"], "anthropic");
    }
    assert!(asked().await.is_some_and(|count| count >= 2));
    mesh.assert_clean(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_bridges_a_provider_for_its_callers() {
    const WEB: &str = "spiffe://cluster.local/ns/search/sa/web";
    let place = Place::new();
    let file = documents(place.directory.path(), "Gateway", &all());
    let text = render(&["--istio-version", "1.31", file.to_str().expect("text")]);
    let downstream = super::gateway::downstream(&place);
    let mesh = Mesh::start(place, &file, &text, Proxy::Gateway, ("weir.dev/gateway", "egress"), Some(downstream)).await;
    let own = mesh.authority.sign(Subject { name: "web", names: &format!("URI:{WEB}"), usage: "", days: 2 });
    let web = Client::new(&mesh.authority.certificate, Some(&own));
    for stream in [false, true] {
        let call = ask("bridged", stream).with(&[("host", HOST), ("x-weir-backend", "anthropic")]);
        let answer = web.exchange(&mesh.address, &call.http1()).await.expect("an answer");
        is_openais(&answer, stream);
        assert_eq!(tried(&mesh, &answer).await, these(&[("broken", 503), ("anthropic", 200)]));
        assert_eq!(mesh.record_of(&answer).await["principal"]["name"], WEB);
    }
    assert_eq!(mesh.counts(), [2, 2, 0]);
    mesh.assert_clean(&Exceptions::default()).await;
}

/// What a version cannot do is told; there the rule has chosen its backend before the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_says_why_and_tries_the_same_backend_again() {
    let place = Place::new();
    let file = documents(place.directory.path(), "Sidecar", &all());
    let output = rendering(&["--istio-version", "1.30", file.to_str().expect("text")]).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let why = "the proxy of Istio 1.30 cannot choose another backend for an attempt; it needs 1.31";
    assert!(out.contains(&format!("# {why}.\n")) && err.contains(why), "{out}{err}");
    assert_eq!(of_kind(&resources(&out), "EnvoyFilter").len(), 1);
    assert!(!out.contains("x-weir-failover") && !out.contains("subset"));

    let mesh = Mesh::sidecar("1.30", &all()).await;
    let answer = mesh.call(HOST, ask("bridged", false)).await;
    assert_eq!((answer.status, mesh.counts()), (503, [2, 0, 0]), "{answer:?}");
    mesh.assert_clean(&Exceptions::default()).await;
}

#[test]
fn a_service_of_the_cluster_keeps_its_clusters_and_the_rule_chooses_before_the_call() {
    let place = Place::new();
    let service = BACKENDS.replace("https://down.example/v1", "http://vllm.ml.svc.cluster.local/v1");
    let text = service + &rule("reached", &["down", "anthropic"], 1);
    let file = documents(place.directory.path(), "Sidecar", &text);
    let out = render(&["--istio-version", "1.31", file.to_str().expect("text")]);
    assert!(out.contains("# backend down is a Service of the cluster, whose clusters are its owner's.\n"), "{out}");
    assert_eq!(of_kind(&resources(&out), "EnvoyFilter").len(), 1);
}
