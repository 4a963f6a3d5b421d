//! The JSON line is canonical, complete and bounded.

use proptest::prelude::*;
use prost::Message;
use serde_json::Value;

use super::*;
use crate::exchange::record::Decision;
use crate::telemetry::sample;

#[test]
fn the_line_is_canonical_proto_json() {
    let line = line(&sample());
    assert!(!line.contains('\n'));
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["startTime"], "2026-09-21T15:06:40.000000001Z");
    assert_eq!(value["duration"], "1.500s");
    assert_eq!(value["dialect"], "DIALECT_OPENAI");
    assert_eq!(value["outcome"], "OUTCOME_COMPLETED");
    assert_eq!(value["usageSource"], "USAGE_SOURCE_PROVIDER");
    assert_eq!(value["status"], 200);
    assert_eq!(value["usage"]["input"], "12");
    assert_eq!(value["usage"]["cacheWrite5m"], "3");
    assert_eq!(value["costNanoUsd"], "12500");
    assert_eq!(value["costUsd"], "0.0000125");
    assert_eq!(value["models"]["served"], "gpt-4o-2024-08-06");
    assert_eq!(value["timings"]["firstByte"], "0.250s");
    assert_eq!(value["timings"].get("firstToken"), None);
    assert_eq!(value["decisions"][0]["step"], "target");
}

#[test]
fn the_line_and_the_bytes_give_the_record_back() {
    let record = v1::UsageRecord::from(&sample());
    let read: v1::UsageRecord = serde_json::from_str(&json(&record)).unwrap();
    assert_eq!(read, record);
    assert_eq!(v1::UsageRecord::decode(&*record.encode_to_vec()).unwrap(), record);
}

#[test]
fn a_field_of_a_later_version_is_skipped() {
    let read: v1::UsageRecord = serde_json::from_str(r#"{"id":"a","later":{"x":[1]},"status":200}"#).unwrap();
    assert_eq!((read.id.as_str(), read.status), ("a", 200));
}

#[test]
fn unknown_usage_is_absent_and_known_zero_is_not() {
    let mut record = sample();
    record.usage = Usage::default();
    assert_eq!(v1::UsageRecord::from(&record).usage, Some(v1::Usage::default()));
    record.usage_source = UsageSource::Unknown;
    record.cost = None;
    let value: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(value.get("usage"), None);
    assert_eq!(value.get("costNanoUsd"), None);
    assert_eq!(value.get("costUsd"), None);
    record.cost = Some(NanoUsd(0));
    let value: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(value["costNanoUsd"], "0");
    assert_eq!(value["costUsd"], "0");
}

#[test]
fn money_is_exact() {
    let rows = [
        (1, "0.000000001"),
        (1_000_000_000, "1"),
        (-1_500_000_000, "-1.5"),
        (i64::MAX, "9223372036.854775807"),
        (i64::MIN, "-9223372036.854775808"),
    ];
    for (nanos, text) in rows {
        assert_eq!(usd(NanoUsd(nanos)), text);
    }
}

#[test]
fn a_record_of_huge_texts_is_small() {
    let mut record = sample();
    let huge = "é".repeat(1 << 14);
    record.principal = huge.clone().into();
    record.path = huge.clone().into();
    record.method = huge.clone().into();
    record.requested_model = huge.clone().into();
    record.sent_model = huge.clone().into();
    record.served_model = huge.clone().into();
    record.service_tier = Some(huge.as_str().into());
    let decision = Decision { step: "target", outcome: "allow", reason: "match", detail: huge.into() };
    record.decisions = vec![decision; 1000];
    let message = v1::UsageRecord::from(&record);
    assert_eq!(message.decisions.len(), DECISIONS);
    assert!(message.decisions[0].detail.ends_with('…'));
    assert!(json(&message).len() < 40_000);
}

proptest! {
    #[test]
    fn a_clip_fits_and_begins_the_same(text in "\\PC{0,40}", max in 3_usize..50) {
        let clipped = clip(&text, max);
        prop_assert!(clipped.len() <= max);
        prop_assert!(clipped == text || text.starts_with(clipped.strip_suffix('…').unwrap()));
    }

    #[test]
    fn any_text_survives_the_line(model in "\\PC{0,60}", path in any::<String>()) {
        let mut record = sample();
        record.requested_model = model.into();
        record.path = path.into();
        let message = v1::UsageRecord::from(&record);
        let line = json(&message);
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<v1::UsageRecord>(&line).unwrap(), message);
    }
}
