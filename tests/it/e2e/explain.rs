//! Why a call went where it went, as its caller and its operator see it.

use serde_json::Value;
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{BOTH, Call};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Request};

const CONFIGURATION: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}, explain: Header}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: mock}
spec: {endpoint: \"http://{mock}/v1\", dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMAccessPolicy
metadata: {name: small}
spec: {models: {deny: [\"*opus*\"]}}
";

async fn its_caller_and_its_operator_are_told_why(mode: BodyMode) {
    let egress = Egress::up(mode, CONFIGURATION).await;
    let chat =
        |model: &str| Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#));
    for protocol in BOTH {
        for (model, status, verdict) in [("gpt-4o", 200, "allows"), ("claude-opus-4", 403, "refuses")] {
            let silent = chat(model).send(protocol, &egress.address).await;
            assert_eq!((silent.status, silent.header("x-weir-explain")), (status, None));
            let answer = chat(model).with(&[("x-weir-explain", "1")]).send(protocol, &egress.address).await;
            assert_eq!(answer.status, status);
            let told: Value = serde_json::from_str(answer.header("x-weir-explain").expect("it is told")).expect("JSON");
            assert_eq!(told["policies"]["LLMAccessPolicy/small"], verdict, "{told}");
            let id = answer.header("x-weir-request-id").expect("an id").to_owned();
            let page = page(&egress, &id).await;
            let policy = &page["explain"]["policies"][0];
            assert_eq!(
                (&policy["id"], &policy["verdict"]),
                (&"LLMAccessPolicy/small".into(), &verdict.into()),
                "{page}"
            );
            assert_eq!(page["explain"]["route"]["backend"], "mock", "{page}");
        }
    }
    egress.assert_clean(&Exceptions::default()).await;
}

/// What the admin server says of an exchange, as soon as it knows it.
async fn page(egress: &Egress, id: &str) -> Value {
    let path = format!("/exchanges/{id}");
    let request = Request { method: "GET", path: &path, headers: &[("host", "localhost")] }.head();
    for _ in 0..500 {
        let answer = http1::exchange(&egress.admin, "GET", &request).await.expect("the port answers");
        if answer.status == 200 {
            return answer.json();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{path} is never there");
}

every_mode!(its_caller_and_its_operator_are_told_why);
