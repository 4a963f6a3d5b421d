//! Who is refused reads it in the words of its own API.

use serde_json::json;
use weir::render::envoy::BodyMode;

use super::{limit, rig, told};
use crate::support::envoy_stats::Exceptions;

async fn a_refusal_is_said_in_the_clients_api(mode: BodyMode) {
    let rate = limit("name: rate, unit: Requests, amount: 1, period: {rolling: 1h}, per: [Workload]");
    let quota = limit("name: quota, unit: Tokens, amount: 1, period: {calendar: Month}, per: [Workload]");
    for (documents, code, is_final) in [(rate, "rate_limit_exceeded", false), (quota, "insufficient_quota", true)] {
        let rig = rig(mode, &documents).await;
        let chat = json!({"model": "alpha", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        let contents = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
        let converse = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
        if !is_final {
            assert_eq!(rig.chat(&[], &chat).await.status, 200);
        }
        let rows = [
            ("/v1/chat/completions", &chat, "/error/code", code),
            ("/v1/messages", &chat, "/error/type", "rate_limit_error"),
            ("/v1beta/models/alpha:generateContent", &contents, "/error/status", "RESOURCE_EXHAUSTED"),
            ("/v1beta/models/alpha:streamGenerateContent?alt=sse", &contents, "/error/status", "RESOURCE_EXHAUSTED"),
            ("/model/alpha/converse", &converse, "/message", ""),
            ("/model/alpha/converse-stream", &converse, "/message", ""),
        ];
        for (path, body, pointer, word) in rows {
            let answer = rig.post(path, &[], body.to_string().as_bytes()).await;
            assert_eq!((answer.status, answer.complete), (429, true), "{path}: {answer:?}");
            let said = answer.json().pointer(pointer).and_then(|said| said.as_str().map(str::to_owned));
            assert!(said.as_ref().is_some_and(|said| !said.is_empty()), "{path}: {answer:?}");
            assert!(word.is_empty() || said.as_deref() == Some(word), "{path}: {answer:?}");
            assert!(answer.text().contains(if is_final { "quota" } else { "rate" }), "its name: {answer:?}");
            if path.starts_with("/model") {
                assert_eq!(answer.header("x-amzn-errortype"), Some("ThrottlingException"), "{answer:?}");
            }
            match is_final {
                true => {
                    assert_eq!(answer.header("x-should-retry"), Some("false"), "{path}: {answer:?}");
                    assert_eq!(answer.header("retry-after"), None, "{path}: {answer:?}");
                }
                false => assert!(told(&answer, "retry-after") > 3500, "{path}: {answer:?}"),
            }
        }
        rig.end(&Exceptions::default()).await;
    }
}

every_mode!(a_refusal_is_said_in_the_clients_api);
