//! One configuration beside workloads of two namespaces: each gets its own backends and credentials, and
//! root's, and never the other one's.

use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{BOTH, Call};
use crate::support::envoy_stats::Exceptions;

const DOCUMENTS: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: shared}
spec:
  endpoint: \"http://{mock}/root/v1\"
  dialect: OpenAI
  credentials:
  - {type: APIKey, apiKey: {value: sk-default}}
  - {type: APIKey, apiKey: {value: sk-search}, from: [{namespaces: [search]}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: local, namespace: shop}
spec: {endpoint: \"http://{mock}/shop/v1\", dialect: OpenAI, credentials: [{type: APIKey, apiKey: {value: sk-shop}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat, namespace: shop}
spec: {rules: [{name: fast, matches: [{model: {value: fast}}], backends: [{name: local, model: tuned}]}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - {name: search, matches: [{model: {value: fast}, from: [{namespaces: [search]}]}], backends: [{name: shared, model: found}]}
";

/// Status, and what the mock received: its path and its key.
async fn goes(egress: &Egress, model: &str) -> Vec<(u16, String, String)> {
    let mut all = Vec::new();
    for protocol in BOTH {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
        let answer = Call::chat(body).with(&[("x-mock-echo", "1")]).send(protocol, &egress.address).await;
        let seen = answer.json();
        let headers = seen["headers"].as_array().into_iter().flatten();
        let key = headers.filter(|pair| pair[0] == "authorization").filter_map(|pair| pair[1].as_str()).next();
        let path = seen["path"].as_str().unwrap_or_default().to_owned();
        all.push((answer.status, path, key.unwrap_or_default().to_owned()));
    }
    all
}

async fn each_workload_gets_what_is_its_namespaces(mode: BodyMode) {
    let at = |path: &str, key: &str| (200, format!("/{path}/v1/chat/completions"), format!("Bearer {key}"));
    let none = || (404, String::new(), String::new());
    let shop = ("shop", [at("shop", "sk-shop"), at("shop", "sk-shop"), at("root", "sk-default"), none()]);
    // Root's is the only backend that this one can reach, and so what has no rule goes there.
    let search = (
        "search",
        [at("root", "sk-search"), at("root", "sk-search"), at("root", "sk-search"), at("root", "sk-search")],
    );
    for (namespace, expected) in [shop, search] {
        let egress = Egress::up_with(mode, DOCUMENTS, &[("WEIR_NAMESPACE", namespace)]).await;
        for (model, expected) in ["fast", "local/m", "shared/m", "shop/local/m"].iter().zip(expected) {
            assert_eq!(goes(&egress, model).await, [expected.clone(), expected], "{namespace} {model}");
        }
        let first = &egress.ledger_of(8).await[0];
        let (backend, route) = match namespace {
            "shop" => ("shop/local", "shop/chat/fast"),
            _ => ("shared", "chat/search"),
        };
        assert_eq!((&first["backend"], &first["route"]), (&backend.into(), &route.into()), "{first}");
        egress.assert_clean(&Exceptions::default()).await;
    }
}

first_mode!(each_workload_gets_what_is_its_namespaces);
