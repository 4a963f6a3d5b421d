//! Two processes of Weir behind a real Envoy each, one Redis and one provider: what the first is told spares the
//! provider the calls of the second, which go to another provider in its own API.

use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::net::TcpListener;
use weir::mock::Mock;

use crate::faults::rig::{Parts, Rig, ask, wait};
use crate::support::cluster::Node;
use crate::support::envoy_stats::Exceptions;
use crate::support::redis::usual;
use crate::support::response::Response;

/// OpenAI's API first, then Anthropic's.
const DOCUMENTS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: first}
spec: {endpoint: 'http://{provider}/first/v1', dialect: OpenAI, credentials: [{type: APIKey, apiKey: {env: RIG_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: second}
spec: {endpoint: 'http://{provider}/second/v1', dialect: Anthropic, credentials: [{type: APIKey, apiKey: {env: RIG_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - name: chain
    matches: [{model: {value: alpha}}]
    backends: [{name: first, model: gpt-4o-mini}, {name: second, model: claude-sonnet-4-5, priority: 1}]
    failover: PerRequest
";

const FIRST: &str = "/first/v1/chat/completions";
const SECOND: &str = "/second/v1/messages";

struct Fleet {
    provider: Mock,
    server: Node,
}

// === impl Fleet ===

impl Fleet {
    async fn new() -> Fleet {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Fleet { provider: Mock::start(listener).await, server: Node::start(usual(), &[]) }
    }

    async fn process(&self) -> Rig {
        let stores = format!("  stores: {{redis: {{urls: ['{}'], timeout: 30s, prefix: test}}}}", self.server.url());
        let documents = DOCUMENTS.replace("{provider}", &self.provider.addr().to_string());
        let rig = Rig::start(Parts { process: stores.leak(), documents, log: "info", ..Parts::default() }).await;
        let state = [("state", "ok")];
        wait("store", || async { rig.samples().await.sum("weir_limit_store_state", &state) == 1.0 }).await;
        rig
    }

    /// How often each of them was called.
    fn calls(&self) -> [u64; 2] {
        let paths = self.provider.tally().paths;
        [FIRST, SECOND].map(|path| paths.get(path).copied().unwrap_or(0))
    }
}

async fn call(rig: &Rig, stream: bool, headers: &[(&str, &str)]) -> Response {
    rig.elsewhere.fetch_add(1, Ordering::Relaxed);
    rig.chat(headers, &ask("alpha", stream)).await
}

/// What a rig's admin socket says of a backend.
async fn cooling(rig: &Rig, backend: &str) -> Vec<Value> {
    let page = rig.admin("/cooldowns").await.json();
    let rows = page["cooldowns"].as_array().expect("a list").clone();
    rows.into_iter().filter(|row| row["backend"] == backend).collect()
}

#[tokio::test]
async fn the_second_process_never_calls_the_provider_that_limits_the_first() {
    let fleet = Fleet::new().await;
    let (one, two) = (fleet.process().await, fleet.process().await);
    assert_eq!(call(&two, false, &[]).await.status, 200);
    assert_eq!(fleet.calls(), [1, 0]);
    let limited = [("x-mock-status", "429"), ("x-mock-retry-after", "600")];
    assert_eq!(call(&one, false, &limited).await.status, 429);
    assert_eq!(fleet.calls(), [2, 0]);
    wait("news", || async { !cooling(&two, "first").await.is_empty() }).await;
    let rows = cooling(&two, "first").await;
    assert_eq!((rows.len(), &rows[0]["model"], &rows[0]["credential"]), (1, &"gpt-4o-mini".into(), &0.into()));
    assert!(rows[0]["seconds"].as_u64().is_some_and(|seconds| seconds > 0 && seconds <= 600), "{rows:?}");
    for rig in [&two, &one] {
        let whole = call(rig, false, &[]).await;
        assert_eq!((whole.status, &whole.json()["object"]), (200, &"chat.completion".into()), "{whole:?}");
        let record = rig.record_of(&whole).await;
        let decisions = record["decisions"].to_string();
        assert!(decisions.contains("passed_over") && decisions.contains("cooled"), "{decisions}");
        let streamed = call(rig, true, &[]).await;
        let text = streamed.text();
        assert_eq!(streamed.status, 200, "{streamed:?}");
        assert!(text.contains("chat.completion.chunk") && text.trim_end().ends_with("data: [DONE]"), "{text}");
    }
    assert_eq!(fleet.calls(), [2, 4], "the limited one is left alone by both");
    let of = |result| [("result", result)];
    assert_eq!(one.samples().await.sum("weir_shared_cooldowns_total", &of("told")), 1.0);
    assert_eq!(two.samples().await.sum("weir_shared_cooldowns_total", &of("learnt")), 1.0);
    assert_eq!(two.samples().await.sum("weir_shared_cooldown_failures_total", &[]), 0.0);
    one.end(&Exceptions::default()).await;
    two.end(&Exceptions::default()).await;
    fleet.provider.shutdown().await;
}
