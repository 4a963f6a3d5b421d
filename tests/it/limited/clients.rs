//! The official SDKs of OpenAI and Anthropic under a limit: what they raise, and whether they ask again.

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::{limit, rig};
use crate::faults::rig::Rig;
use crate::support::envoy_stats::Exceptions;
use crate::support::python;

const CALLS: [&str; 4] = ["openai", "openai_stream", "anthropic", "anthropic_stream"];

async fn found(rig: &Rig) -> Value {
    let base = format!("http://{}", rig.address);
    let run = move || python::run_script(include_str!("clients.py"), &[&base], &[]);
    let output = tokio::task::spawn_blocking(run).await.expect("the script runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

async fn a_budget_is_an_error_and_nobody_asks_again(mode: BodyMode) {
    let rig = rig(mode, &limit("name: monthly, unit: USD, amount: '0.000000001', period: {calendar: Month}")).await;
    let found = found(&rig).await;
    for name in CALLS {
        let error = &found[name];
        assert_eq!((&error["class"], &error["status"]), (&json!("RateLimitError"), &json!(429)), "{name}: {error}");
        assert_eq!((&error["retry"], &error["after"]), (&json!("false"), &Value::Null), "{name}: {error}");
        assert_eq!(error["type"], "rate_limit_error", "{name}");
    }
    rig.records_when(CALLS.len()).await;
    rig.end(&Exceptions::default()).await;
}

/// One a second: who is refused is told when to come back, and does so by itself.
async fn a_rate_is_waited_for_by_the_sdk_itself(mode: BodyMode) {
    let rig = rig(mode, &limit("name: rate, unit: Requests, amount: 1, period: {rolling: 2s}")).await;
    let found = found(&rig).await;
    for name in CALLS {
        assert_eq!(found[name], json!({"class": null}), "{name}");
    }
    let records = rig.records();
    let passed = records.iter().filter(|record| record["status"] == 200).count();
    assert_eq!(passed, CALLS.len());
    assert!(records.len() > passed, "nobody was refused: {records:?}");
    rig.end(&Exceptions::default()).await;
}

every_mode!(a_budget_is_an_error_and_nobody_asks_again, a_rate_is_waited_for_by_the_sdk_itself);
