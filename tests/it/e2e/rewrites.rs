//! What a provider receives where a rule changes the calls and a backend the headers.

use serde_json::Value;
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{BOTH, Call};
use crate::support::envoy_stats::Exceptions;

const CONFIGURATION: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mock}
spec:
  endpoint: \"http://{mock}/v1\"
  dialect: OpenAI
  credentials: [{type: None}]
  headers: {set: [{name: OpenAI-Organization, value: org-1}, {name: x-tier, value: gold}], remove: [x-internal]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - name: shaped
    backends: [{name: mock}]
    parameters: {defaults: {temperature: 0.2}, overrides: {store: false}, remove: [logit_bias], maxOutputTokens: 100}
    prompt: {prepend: [{role: system, content: \"Say \\\"weir\\\".\"}], append: [{role: user, content: Now.}]}
";

fn values<'a>(seen: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = seen["headers"].as_array().expect("a list of headers").iter();
    headers.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str()).collect()
}

async fn a_rule_changes_the_call_and_a_backend_the_headers(mode: BodyMode) {
    let egress = Egress::up(mode, CONFIGURATION).await;
    let asked = "{ \"x\":1e999,\"logit_bias\":{}, \"max_tokens\" : 500,\"model\":\"m\",\"messages\":[ {\"role\":\"user\",\"content\":\"hi\"}] }\n";
    let left = "{ \"x\":1e999,\"max_tokens\" : 100,\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Say \\\"weir\\\".\"}, \
                {\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"user\",\"content\":\"Now.\"}],\"temperature\":0.2,\"store\":false }\n";
    let theirs = [("x-mock-echo", "1"), ("openai-organization", "theirs"), ("x-tier", "lead"), ("x-internal", "1")];
    for protocol in BOTH {
        let call = Call::chat(asked).with(&theirs);
        let seen = call.send(protocol, &egress.address).await.json();
        assert_eq!(seen["body"], left);
        assert_eq!(values(&seen, "content-length"), [left.len().to_string()]);
        // What passes has the headers, too, and nothing else of it.
        let passing = Call { path: "/v1/files", ..Call::chat(asked) }.with(&theirs);
        let passed = passing.send(protocol, &egress.address).await.json();
        assert_eq!(passed["body"], asked);
        for seen in [&seen, &passed] {
            assert_eq!((values(seen, "openai-organization"), values(seen, "x-tier")), (vec!["org-1"], vec!["gold"]));
            assert!(values(seen, "x-internal").is_empty(), "{seen}");
        }
        let refused = Call::chat(asked.replace("500", "\"500\"")).send(protocol, &egress.address).await;
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &Value::from("max_tokens")));
    }
    let records = egress.ledger_of(6).await;
    let text = format!("{records:?}");
    assert!(text.contains("parameters_cap_prompt") && !text.contains("Say") && !text.contains("gold"), "{text}");
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(a_rule_changes_the_call_and_a_backend_the_headers);
