//! What metadata says of an attempt.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
use prost::Message;

use super::*;

fn metadata(namespaces: &[(&str, &[(&str, &str)])]) -> Vec<u8> {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = |fields: &[(&str, &str)]| Struct {
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect(),
    };
    let filter_metadata = namespaces.iter().map(|(name, list)| ((*name).to_owned(), fields(list))).collect();
    Metadata { filter_metadata, ..Metadata::default() }.encode_to_vec()
}

#[test]
fn the_first_attempt_knows_its_exchange_and_no_attempt_before() {
    let told = Told::read(&metadata(&[("weir", &[("request_id", "a1"), ("backend", "one"), ("model", "m")])]));
    assert_eq!(told, Told { exchange: "a1".into(), written_for: "one".into(), before: None });
}

#[test]
fn how_the_attempt_before_ended_is_what_the_proxy_wrote() {
    let before = |ended: &[(&str, &str)]| Told::read(&metadata(&[(ENDED, ended)])).before;
    let failed = |status, millis: Option<u64>| {
        Some(Failed { backend: "one".into(), status, after: millis.map(Duration::from_millis) })
    };
    for (ended, expected) in [
        (&[("backend", "one"), ("status", "503"), ("retry-after", ""), ("retry-after-ms", "")][..], failed(503, None)),
        (&[("backend", "one"), ("status", "429"), ("retry-after", "7")], failed(429, Some(7000))),
        (&[("backend", "one"), ("status", "429"), ("retry-after", "0.5")], failed(429, Some(1000))),
        (&[("backend", "one"), ("status", "429"), ("retry-after-ms", "6500.5")], failed(429, Some(6501))),
        (&[("backend", "one"), ("status", "429"), ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], failed(429, None)),
        (&[("backend", ""), ("status", "")], None),
        (&[("status", "many")], None),
        (&[], None),
    ] {
        assert_eq!(before(ended), expected, "{ended:?}");
    }
}

#[test]
fn what_is_no_metadata_says_nothing() {
    for bytes in [&b""[..], b"\xff\xff", &[0x0a; 40]] {
        assert_eq!(Told::read(bytes), Told::default());
    }
}
