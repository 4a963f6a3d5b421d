//! The tree is what the general decoder of `envoy-types` reads, or nothing.

use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use proptest::prelude::*;
use prost::Message;

use super::*;

const NAMESPACE: &str = "envoy.filters.http.jwt_authn";

fn expected(metadata: &Metadata) -> Claims {
    let found = metadata.filter_metadata.get(NAMESPACE);
    found.map_or(Claims::None, |found| Claims::Said(sorted(of_struct(found))))
}

fn of_struct(message: &Struct) -> Claim {
    Claim::Map(message.fields.iter().map(|(name, value)| (name.as_str().into(), of_value(value))).collect())
}

fn of_value(value: &Value) -> Claim {
    match &value.kind {
        Some(Kind::StringValue(text)) => Claim::Text(text.as_str().into()),
        Some(Kind::StructValue(message)) => of_struct(message),
        Some(Kind::ListValue(list)) => Claim::List(list.values.iter().map(of_value).collect()),
        Some(Kind::NullValue(_) | Kind::NumberValue(_) | Kind::BoolValue(_)) | None => Claim::Other,
    }
}

/// The general decoder keeps maps in no order, and of a repeated key the last entry.
fn sorted(claim: Claim) -> Claim {
    match claim {
        Claim::Map(members) => {
            let members: HashMap<Box<str>, Claim> = members.into_iter().collect();
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Claim::Map(members)
        }
        Claim::List(items) => Claim::List(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn found(bytes: &[u8]) -> Claims {
    match read(bytes, NAMESPACE) {
        Claims::Said(claim) => Claims::Said(sorted(claim)),
        other => other,
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(None),
        Just(Some(Kind::NullValue(0))),
        (-1e9..1e9).prop_map(|number| Some(Kind::NumberValue(number))),
        any::<bool>().prop_map(|flag| Some(Kind::BoolValue(flag))),
        ".{0,8}".prop_map(|text| Some(Kind::StringValue(text))),
    ];
    leaf.prop_map(|kind| Value { kind }).prop_recursive(4, 32, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4)
            .prop_map(|values| Value { kind: Some(Kind::ListValue(ListValue { values })) });
        let map = fields(inner).prop_map(|fields| Value { kind: Some(Kind::StructValue(Struct { fields })) });
        prop_oneof![list, map]
    })
}

fn fields(value: impl Strategy<Value = Value>) -> impl Strategy<Value = HashMap<String, Value>> {
    prop::collection::hash_map(".{0,4}", value, 0..4)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let name = prop::sample::select(vec![NAMESPACE, "other", ""]).prop_map(str::to_owned);
    let kept = fields(value()).prop_map(|fields| Struct { fields });
    prop::collection::hash_map(name, kept, 0..3)
        .prop_map(|filter_metadata| Metadata { filter_metadata, ..Metadata::default() })
}

proptest! {
    #[test]
    fn claims_are_read_as_by_way_of_the_general_structs(metadata in metadata()) {
        prop_assert_eq!(found(&metadata.encode_to_vec()), expected(&metadata));
    }

    #[test]
    fn pieces_behind_one_another_are_one(pieces in prop::collection::vec(metadata(), 2..4)) {
        let bytes: Vec<u8> = pieces.iter().flat_map(Message::encode_to_vec).collect();
        prop_assert_eq!(found(&bytes), expected(&Metadata::decode(&bytes[..]).unwrap()));
    }

    #[test]
    fn what_the_general_decoder_reads_in_damaged_bytes_is_read_alike(
        metadata in metadata(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let mut bytes = metadata.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = Metadata::decode(&bytes[..]) {
            prop_assert_eq!(found(&bytes), expected(&read));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = read(&bytes, "");
    }
}

fn nested(depth: usize) -> Metadata {
    let mut value = Value { kind: Some(Kind::StringValue("x".to_owned())) };
    for _ in 1..depth {
        value = Value { kind: Some(Kind::ListValue(ListValue { values: vec![value] })) };
    }
    with(value)
}

fn with(value: Value) -> Metadata {
    let message = Struct { fields: [("a".to_owned(), value)].into() };
    Metadata { filter_metadata: [(NAMESPACE.to_owned(), message)].into(), ..Metadata::default() }
}

#[test]
fn what_is_too_deep_or_too_large_is_said_to_be() {
    let is_read = |metadata: &Metadata| match read(&metadata.encode_to_vec(), NAMESPACE) {
        Claims::Said(_) => true,
        Claims::Unreadable => false,
        Claims::None => panic!(),
    };
    assert!(is_read(&nested(MAX_DEPTH)) && !is_read(&nested(MAX_DEPTH + 1)) && !is_read(&nested(60)));
    let list = |count| with(Value { kind: Some(Kind::ListValue(ListValue { values: vec![Value::default(); count] })) });
    assert!(is_read(&list(MAX_VALUES - 1)) && !is_read(&list(MAX_VALUES)));
    let text = |size| with(Value { kind: Some(Kind::StringValue("x".repeat(size))) });
    assert!(is_read(&text(MAX_BYTES / 2)) && !is_read(&text(MAX_BYTES)));
    assert_eq!(read(b"\x0a\x05", NAMESPACE), Claims::Unreadable);
    assert_eq!(read(b"", NAMESPACE), Claims::None);
}
