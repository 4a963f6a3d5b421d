//! A limit of tokens under many callers at once.

use serde_json::json;
use weir::render::envoy::BodyMode;

use super::{CALLERS, at_once, code, exceeded, limit, rig, tokens, told, used};
use crate::faults::rig::{aborts, ask};
use crate::support::envoy_stats::Exceptions;

/// The step Reserve asks for what is stated and not for more: all that is left can be used.
async fn who_states_a_bound_never_passes_the_limit(mode: BodyMode) {
    let rig = rig(mode, &limit("name: tpm, unit: Tokens, amount: 500, period: {rolling: 1h}")).await;
    let mut body = ask("alpha", false);
    body["max_tokens"] = json!(20);
    let (rig, answers) = at_once(rig, &[], &body).await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| code(answer) == exceeded()).count();
    assert_eq!(passed + refused, CALLERS, "{answers:?}");
    rig.idle().await;
    let mut all = CALLERS;
    // What the burst has left is there for one after another.
    loop {
        let answer = rig.chat(&[], &body).await;
        all += 1;
        match answer.status {
            200 => assert!(used(&rig.records()) <= 500),
            _ => break assert_eq!(code(&answer), exceeded()),
        }
    }
    let records = rig.records_when(all).await;
    let sum = used(&records);
    // Another one would need 5 tokens by the mock's count, or a few more by another, and 20.
    assert!((470..=500).contains(&sum), "{sum}");
    assert_eq!(rig.mock().tally().requests as usize, records.iter().filter(|record| record["status"] == 200).count());
    rig.end(&Exceptions::default()).await;
}

/// DESIGN §4: charged <= amount + E, where E is by how much each came to more than what was taken for it.
async fn who_states_none_passes_it_by_its_own_error_at_most(mode: BodyMode) {
    let documents = limit("name: tpm, unit: Tokens, amount: 500, period: {rolling: 1h}, output: 8");
    let rig = rig(mode, &documents).await;
    let (rig, answers) = at_once(rig, &[], &ask("alpha", false)).await;
    let passed = answers.iter().filter(|answer| answer.status == 200).count();
    let records = rig.records_when(CALLERS).await;
    let error: u64 = records.iter().map(|record| tokens(record)[1].saturating_sub(8)).sum();
    let sum = used(&records);
    assert!(passed >= 5, "{passed}");
    assert!(sum <= 500 + error, "{sum} {error}");
    rig.idle().await;
    // More than all is used, and so nothing passes.
    for _ in 0..40 {
        if rig.chat(&[], &ask("alpha", false)).await.status == 429 {
            break;
        }
    }
    assert_eq!(code(&rig.chat(&[], &ask("alpha", false)).await), exceeded());
    rig.end(&Exceptions::default()).await;
}

async fn what_a_call_did_not_use_is_given_back_however_it_ends(mode: BodyMode) {
    let documents =
        limit("name: tpm, unit: Tokens, amount: 1000, period: {rolling: 1h}, per: [Workload], count: Exact");
    let rig = rig(mode, &documents).await;
    let mut body = ask("alpha", false);
    body["max_tokens"] = json!(100);
    // What a probe leaves: 5 tokens in, 1 out.
    let left = async || {
        let mut probe = body.clone();
        probe["max_tokens"] = json!(1);
        rig.idle().await;
        told(&rig.chat(&[], &probe).await, "x-ratelimit-remaining-tokens")
    };
    let first = left().await;
    // A provider's error is no tokens.
    for status in ["500", "429", "400"] {
        assert_eq!(rig.chat(&[("x-mock-status", status)], &body).await.status.to_string(), status);
    }
    assert_eq!(left().await, first - 6);
    // An answer is what it was, and not what it could have been.
    assert_eq!(rig.chat(&[("x-mock-tokens", "10")], &body).await.status, 200);
    assert_eq!(left().await, first - 6 - 15 - 6);
    // A client that goes away is charged for what came.
    let mut long = ask("alpha", true);
    long["max_tokens"] = json!(90);
    let mut stream = rig.open(&[("x-mock-tokens", "90"), ("x-mock-spacing", "200")], &long).await;
    stream.read_body(600).await;
    stream.abort();
    let records = rig.records_when(8).await;
    let gone = records.iter().find(|record| record["outcome"] == "OUTCOME_ABANDONED").expect("it was left");
    let [input, output] = tokens(gone);
    assert!(output < 90 && output > 0, "{gone}");
    assert_eq!(left().await, first - 6 - 15 - 6 - (input + output) - 6);
    rig.end(&aborts()).await;
}

every_mode!(who_states_a_bound_never_passes_the_limit, who_states_none_passes_it_by_its_own_error_at_most);
modes_that_stream!(what_a_call_did_not_use_is_given_back_however_it_ends);
