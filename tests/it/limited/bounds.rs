//! What calls at once are taken for, so that none of them passes on what another has not used yet.

use std::sync::Arc;

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::{CALLERS, at_once, code, exceeded, limit, rig, used};
use crate::faults::rig::{BACKEND, Parts, Rig, aborts, ask, number};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

/// Its server passes over a name that it does not know.
async fn a_bound_under_another_name_gets_past_no_limit(mode: BodyMode) {
    let rig = rig(mode, &limit("name: tpm, unit: Tokens, amount: 500, period: {rolling: 1h}")).await;
    let mut body = ask("alpha", false);
    (body["max_tokens"], body["max_output_tokens"]) = (json!(40), json!(1));
    let (rig, answers) = at_once(rig, &[("x-mock-tokens", "40")], &body).await;
    let refused = answers.iter().filter(|answer| code(answer) == exceeded()).count();
    let sum = used(&rig.records_when(CALLERS).await);
    assert!(refused > 0 && sum <= 500 && sum > 40, "{refused} {sum}");
    rig.end(&Exceptions::default()).await;
}

async fn post_at_once(rig: Rig, path: &'static str, body: &Value) -> (Rig, Vec<Response>) {
    let (rig, body) = (Arc::new(rig), Arc::new(body.to_string()));
    let calls: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (rig, body) = (rig.clone(), body.clone());
            tokio::spawn(async move { rig.post(path, &[], body.as_bytes()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.expect("no panic"));
    }
    (Arc::into_inner(rig).expect("all calls are done"), answers)
}

/// Images, and searches, whose calls say nothing of tokens.
async fn media_at_once_pass_no_budget(mode: BodyMode) {
    let budget = limit("name: daily, unit: USD, amount: '0.6', period: {calendar: Day}");
    let documents = BACKEND.replace("  dialect: OpenAI\n", "  provider: mock\n") + &budget;
    for (path, body) in [
        ("/v1/images/generations", json!({"model": "gpt-image-1", "prompt": "A weir.", "quality": "auto"})),
        ("/v1/rerank", json!({"model": "rerank-v3.5", "query": "weir", "documents": ["a"]})),
    ] {
        let documents = if path == "/v1/rerank" { documents.replace("'0.6'", "'0.005'") } else { documents.clone() };
        let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
        let (rig, answers) = post_at_once(rig, path, &body).await;
        let passed = answers.iter().filter(|answer| answer.status == 200).count();
        let refused = answers.iter().filter(|answer| answer.status == 429).count();
        assert!(passed >= 1 && refused >= 1 && passed + refused == CALLERS, "{path}: {passed} {refused}");
        let records = rig.records_when(CALLERS).await;
        let spent: u64 = records.iter().map(|record| number(&record["costNanoUsd"])).sum();
        let most = if path == "/v1/rerank" { 5_000_000 } else { 600_000_000 };
        assert!(spent > 0 && spent <= most, "{path}: {spent}");
        rig.end(&Exceptions::default()).await;
    }
}

/// A client that gives up before the answer begins: the model may have run, so all that was taken stays.
async fn who_gives_up_before_the_answer_is_charged_what_was_taken(mode: BodyMode) {
    let rig = rig(mode, &limit("name: tpm, unit: Tokens, amount: 1000, period: {rolling: 1h}, count: Exact")).await;
    let mut body = ask("alpha", false);
    body["max_tokens"] = json!(700);
    let call = rig.open(&[("x-mock-delay", "30000")], &body).await;
    crate::faults::rig::wait("the provider's turn", || async { rig.mock().tally().requests == 1 }).await;
    call.abort();
    let records = rig.records_when(1).await;
    assert_eq!(records[0]["outcome"], "OUTCOME_ABANDONED", "{records:?}");
    assert_eq!(code(&rig.chat(&[], &body).await), exceeded());
    body["max_tokens"] = json!(200);
    assert_eq!(rig.chat(&[], &body).await.status, 200);
    rig.end(&aborts()).await;
}

every_mode!(a_bound_under_another_name_gets_past_no_limit, media_at_once_pass_no_budget);
modes_that_stream!(who_gives_up_before_the_answer_is_charged_what_was_taken);
