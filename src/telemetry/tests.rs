//! The way of a record to its sinks, and the record that the tests of this folder and of the admin
//! server start from.

use std::sync::Arc;
use std::time::Duration;

use super::{Ledger, Metrics, Sinks, v1};
use crate::base::money::NanoUsd;
use crate::exchange::event::Note;
use crate::exchange::record::{Attempt, Decision, Outcome, Record, Timings};
use crate::identity::Principal;
use crate::limit::charge::Charge;
use crate::limit::window::Window;
use crate::limit::{Limit, Unit};
use crate::llm::PriceRow;
use crate::llm::{Dialect, Operation, Usage, UsageSource};

fn attempt() -> Attempt {
    Attempt {
        backend: "azure".into(),
        model: "gpt-4o".into(),
        credential: Some("env AZURE_KEY".into()),
        status: 429,
        duration: Duration::from_millis(120),
        wasted: 7,
        skipped: None,
    }
}

/// A complete chat call, as the provider stated it.
pub(crate) fn sample() -> Record {
    Record {
        id: Arc::from("req-1"),
        started: 1_790_003_200_000_000_001,
        duration: Duration::from_millis(1500),
        caller: Arc::new(Principal {
            name: "checkout".into(),
            namespace: "shop".into(),
            consumer: Some("ci".into()),
            team: Some("build".into()),
            end_user: Some("ada".into()),
            session: Some("s1".into()),
            tags: vec![("feature".into(), "search".into())],
            ..Principal::default()
        }),
        dialect: Dialect::OpenAi,
        operation: Operation::Chat,
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        route: Some(Arc::from("chat")),
        backend: Some(Arc::from("openai")),
        provider: Some(Arc::from("openai")),
        requested_model: "fast".into(),
        sent_model: "gpt-4o".into(),
        served_model: "gpt-4o-2024-08-06".into(),
        service_tier: Some("default".into()),
        stream: true,
        status: 200,
        outcome: Outcome::Completed,
        refusal: None,
        usage: Usage { input: 12, cache_read: 4, cache_write_5m: 3, output: 7, reasoning: 2, ..Usage::default() },
        usage_source: UsageSource::Provider,
        cost: Some(NanoUsd(12_500)),
        price: Some(PriceRow { name: "openai/gpt-4o".into(), version: "v1".into() }),
        uncounted: None,
        request_bytes: 321,
        response_bytes: 4321,
        body_bytes: 300,
        choices: 1,
        text_bytes: Some(28),
        timings: Timings {
            receive: Some(Duration::from_micros(100)),
            decide: Some(Duration::from_micros(20)),
            wait: Some(Duration::from_millis(200)),
            first_byte: Some(Duration::from_millis(250)),
            first_token: None,
        },
        signed: true,
        credential: Some("APIKey/env/OPENAI_API_KEY".into()),
        hides_model: false,
        decisions: vec![Decision { step: "target", outcome: "allow", reason: "match", detail: "openai/gpt-4o".into() }],
        attempts: vec![attempt()],
        limits: charges(),
        met: Vec::new(),
        generation: 0,
        cached: None,
        unknown_usage_fields: 2,
    }
}

fn charges() -> Vec<Charge> {
    vec![charge("fair-use/tpm", Unit::Tokens, 40_000, 26_500), charge("fair-use/usd", Unit::Usd, 99_000, 12_500)]
}

/// What a limit took of a call, and what stayed.
pub(crate) fn charge(id: &str, unit: Unit, reserved: u64, charged: u64) -> Charge {
    let limit = Arc::new(Limit::new(id, unit, 1 << 40, Window::Rolling(Duration::from_secs(60))));
    let key = format!("{id}|ci").into();
    Charge { limit, key, reserved, likely: reserved, charged: Some(charged), is_shadow: false }
}

#[tokio::test]
async fn a_record_goes_to_every_sink() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.jsonl");
    let metrics = Arc::new(Metrics::new());
    let ledger = Ledger::open(&path, metrics.ledger_dropped.clone()).unwrap();
    let sinks = Sinks { metrics, ledger: Some(ledger), recent: Arc::default() };
    let shadow = Note::Shadow { step: "admit", reason: "rate_limit_exceeded" };
    sinks.work_off([Note::Record(Box::new(sample())), shadow].into_iter());
    sinks.close().await;
    let expected = v1::UsageRecord::from(&sample());
    let text = std::fs::read_to_string(&path).unwrap();
    let read: Vec<v1::UsageRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, std::slice::from_ref(&expected));
    assert_eq!(sinks.recent.get("req-1").unwrap(), sample());
    let text = sinks.metrics.render();
    assert!(text.contains("weir_usage_total{source=\"provider\"} 1\n"));
    assert!(text.contains("weir_decisions_total{step=\"target\",outcome=\"allow\",reason=\"match\"} 1\n"));
    assert!(!text.contains("step=\"admit\""));
    assert!(text.contains("weir_ledger_dropped_total 0\n"));
}
