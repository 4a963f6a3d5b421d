//! Requests in a time, for each consumer: how many pass, what the others are told, and that it is true.

use std::time::Duration;

use serde_json::json;
use weir::identity::key::{Digest, RANDOM, new_key};
use weir::render::envoy::BodyMode;

use super::{CALLERS, at_once, code, exceeded, ok, policy, rig, told};
use crate::faults::rig::{CHAT, Rig, ask, wait};
use crate::support::envoy_stats::Exceptions;

/// Two consumers, each with a key.
fn consumers() -> String {
    let one = |name: &str, seed: u8| {
        let digest = Digest::of(&new_key(&[seed; RANDOM])).hex();
        format!(
            "---\napiVersion: weir.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec:\n  match: \
             [{{keys: [{{name: main, sha256: {digest}}}]}}]\n  team: {name}\n"
        )
    };
    one("first", 1) + &one("second", 2)
}

fn bearer(seed: u8) -> String {
    format!("Bearer {}", new_key(&[seed; RANDOM]))
}

async fn limited(mode: BodyMode, limit: &str) -> Rig {
    rig(mode, &(consumers() + &policy(&format!("  limits:\n  - {{{limit}, per: [Consumer]}}")))).await
}

async fn each_consumer_has_its_own_number_and_is_told_how_it_stands(mode: BodyMode) {
    let rig = limited(mode, "name: rph, unit: Requests, amount: 3, period: {rolling: 1h}").await;
    for (seed, path, stream) in [(1, CHAT, false), (2, "/v1/messages", true)] {
        let key = bearer(seed);
        let body = json!({"model": "alpha", "max_tokens": 5, "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        let call = || async { rig.post(path, &[("authorization", &key)], body.to_string().as_bytes()).await };
        for left in [2, 1, 0] {
            let answer = call().await;
            assert!(answer.status == 200 && answer.complete, "{answer:?}");
            assert_eq!(told(&answer, "x-ratelimit-limit-requests"), 3);
            assert_eq!(told(&answer, "x-ratelimit-remaining-requests"), left);
            assert!(
                answer.header("x-ratelimit-reset-requests").is_some_and(|reset| reset.starts_with("1h")),
                "{answer:?}"
            );
        }
        let refused = call().await;
        assert_eq!((refused.status, refused.complete), (429, true), "{refused:?}");
        let error = &refused.json()["error"];
        assert_eq!(error["type"], "rate_limit_error");
        assert!(error["message"].as_str().is_some_and(|message| message.contains("\"rph\"")), "{refused:?}");
        assert_eq!(told(&refused, "x-ratelimit-remaining-requests"), 0);
        let wait = (told(&refused, "retry-after"), told(&refused, "retry-after-ms"));
        assert!(wait.1 > 3_500_000 && wait.0 == wait.1.div_ceil(1000), "{wait:?}");
        assert!(refused.header("x-should-retry").is_none_or(|word| word != "false"), "{refused:?}");
    }
    assert_eq!(rig.mock().tally().requests, 6, "what is refused reaches no provider");
    rig.end(&Exceptions::default()).await;
}

async fn of_many_at_once_exactly_the_number_passes(mode: BodyMode) {
    let rig = rig(mode, &super::limit("name: rph, unit: Requests, amount: 10, period: {rolling: 1h}")).await;
    let (rig, answers) = at_once(rig, &[], &ask("alpha", true)).await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| code(answer) == exceeded()).count();
    assert_eq!((passed, refused), (10, CALLERS - 10));
    assert!(answers.iter().all(|answer| answer.header("x-ratelimit-limit-requests") != Some("10")), "nobody's own");
    rig.end(&Exceptions::default()).await;
}

/// The calls that pass lie seconds apart, so that their places come back one by one.
async fn to_wait_as_long_as_is_told_lets_one_through(mode: BodyMode) {
    let rig = limited(mode, "name: few, unit: Requests, amount: 2, period: {rolling: 9s}").await;
    let key = bearer(1);
    let call = || async { rig.chat(&[("authorization", &key)], &ask("alpha", false)).await };
    assert_eq!(code(&call().await), ok());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(code(&call().await), ok());
    let refused = call().await;
    assert_eq!(code(&refused), exceeded());
    let wait = told(&refused, "retry-after-ms");
    assert!((1..=5150).contains(&wait), "{wait}");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(code(&call().await), ok());
    assert_eq!(code(&call().await), exceeded());
    rig.end(&Exceptions::default()).await;
}

async fn what_the_provider_says_of_its_own_goes_under_another_name(mode: BodyMode) {
    let documents =
        |limit: &str| super::limit(&format!("name: rph, unit: Requests, amount: 5, period: {{rolling: 1h}}{limit}"));
    for (limit, moved) in [(", per: [Workload]", true), (", per: [Model]", false)] {
        let rig = rig(mode, &documents(limit)).await;
        let body = json!({"model": "alpha", "input": "How high?"}).to_string();
        let answer = rig.post("/v1/responses", &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let theirs: Vec<_> = answer.headers.iter().filter(|(name, _)| name.contains("ratelimit")).collect();
        let own = answer.header("x-ratelimit-remaining-requests");
        assert_eq!(own == Some("4"), moved, "{theirs:?}");
        let upstream = if moved { "x-weir-upstream-ratelimit" } else { "x-ratelimit" };
        assert_eq!(answer.header(&format!("{upstream}-limit-requests")), Some("500"), "{theirs:?}");
        assert_eq!(answer.header(&format!("{upstream}-reset-requests")), Some("120ms"), "{theirs:?}");
        rig.end(&Exceptions::default()).await;
    }
}

/// What changes beside a limit leaves its counter and what is being charged alone.
async fn a_reload_under_load_loses_no_count(mode: BodyMode) {
    let rig = rig(mode, &super::limit("name: rph, unit: Requests, amount: 100, period: {rolling: 1h}")).await;
    let config = rig.config();
    let mut passed = 0;
    for round in 0..3 {
        let changed = config.clone()
            + &format!(
                "---\napiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {{name: r{round}}}\nspec:\n  rules:\n  \
                 - {{name: x, matches: [{{model: {{value: route-{round}}}}}], backends: [{{name: main}}]}}\n"
            );
        // The calls of a round are under way while the documents change.
        let calls = (0..CALLERS).map(|_| rig.open(&[("x-mock-tokens", "5"), ("x-mock-spacing", "30")], &STREAM));
        let mut open = Vec::new();
        for call in calls {
            open.push(call.await);
        }
        let loads = || async { rig.samples().await.sum("weir_config_reloads_total", &[("result", "success")]) };
        let before = loads().await;
        rig.configure(&changed);
        wait("load", || async { loads().await > before }).await;
        for stream in open {
            let answer = stream.finish().await;
            assert!(answer.complete, "{answer:?}");
            passed += usize::from(answer.status == 200);
        }
    }
    assert_eq!(passed, 100);
    rig.end(&Exceptions::default()).await;
}

static STREAM: std::sync::LazyLock<serde_json::Value> = std::sync::LazyLock::new(|| ask("alpha", true));

every_mode!(
    each_consumer_has_its_own_number_and_is_told_how_it_stands,
    of_many_at_once_exactly_the_number_passes,
    what_the_provider_says_of_its_own_goes_under_another_name
);
first_mode!(to_wait_as_long_as_is_told_lets_one_through);
modes_that_stream!(a_reload_under_load_loses_no_count);
