//! One answer as it leaves: the message, and the metadata that goes with it. Metadata is written into
//! the message's field 8 directly: as a `google.protobuf.Struct` in memory it would be a map of maps
//! of strings, which costs more than the rest of the answer.

use bytes::BufMut;
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingResponse;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use prost::{EncodeError, Message};

use crate::exchange::event::{Meta, MetaValue};

/// `dynamic_metadata` of a `ProcessingResponse`.
const FIELD: u32 = 8;
/// The top key of the struct is the namespace.
const NAMESPACE: &str = "weir";

/// An answer. The message's own `dynamic_metadata` is not set.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub message: ProcessingResponse,
    pub meta: Meta,
}

// === impl Outgoing ===

impl Outgoing {
    /// Appends the wire form.
    ///
    /// # Errors
    /// When the buffer has no room.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        self.message.encode(out)?;
        if !self.meta.is_empty() {
            encode_meta(&self.meta, out);
        }
        Ok(())
    }
}

/// `{"weir": {…}}`. Every length is that of the layer inside, so they are computed once, from there.
fn encode_meta(meta: &Meta, out: &mut impl BufMut) {
    let fields: usize = meta.iter().map(|(name, value)| delimited(entry_len(name, value_len(value)))).sum();
    let inner = delimited(fields);
    let outer = entry_len(NAMESPACE, inner);
    key(FIELD, WireType::LengthDelimited, delimited(outer), out);
    key(1, WireType::LengthDelimited, outer, out);
    text(1, NAMESPACE, out);
    key(2, WireType::LengthDelimited, inner, out);
    // `Value.struct_value`
    key(5, WireType::LengthDelimited, fields, out);
    for (name, value) in meta {
        let length = value_len(value);
        key(1, WireType::LengthDelimited, entry_len(name, length), out);
        text(1, name, out);
        key(2, WireType::LengthDelimited, length, out);
        match value {
            MetaValue::Text(value) => text(3, value, out),
            #[expect(clippy::cast_precision_loss, reason = "dynamic metadata has no integers; exact up to 2^53")]
            MetaValue::Number(number) => {
                encode_key(2, WireType::SixtyFourBit, out);
                out.put_f64_le(*number as f64);
            }
        }
    }
}

/// A `Value` with one of its fields.
fn value_len(value: &MetaValue) -> usize {
    match value {
        MetaValue::Text(text) => delimited(text.len()),
        MetaValue::Number(_) => 1 + size_of::<f64>(),
    }
}

/// An entry of a map: its key as field 1, its value as field 2.
fn entry_len(name: &str, value: usize) -> usize {
    delimited(name.len()) + delimited(value)
}

/// A field of `length` bytes with its key, which has one byte for all fields here, and its length.
fn delimited(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

fn key(field: u32, kind: WireType, length: usize, out: &mut impl BufMut) {
    encode_key(field, kind, out);
    encode_varint(length as u64, out);
}

fn text(field: u32, text: &str, out: &mut impl BufMut) {
    key(field, WireType::LengthDelimited, text.len(), out);
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};
    use proptest::prelude::*;

    use super::*;

    fn strukt(fields: impl IntoIterator<Item = (String, Kind)>) -> Struct {
        Struct { fields: fields.into_iter().map(|(name, kind)| (name, Value { kind: Some(kind) })).collect() }
    }

    proptest! {
        #[test]
        fn it_is_read_as_the_struct_that_it_stands_for(texts in prop::collection::vec(".{0,300}", 0..4), number: u32) {
            const NAMES: [&str; 4] = ["principal", "model", "outcome", "cost_usd"];
            let mut meta: Meta = NAMES.iter().zip(&texts).map(|(name, text)| (*name, text.clone().into())).collect();
            meta.push(("input_tokens", u64::from(number).into()));
            let mut bytes = Vec::new();
            Outgoing { message: ProcessingResponse::default(), meta }.encode(&mut bytes).unwrap();
            let texts = NAMES.iter().zip(&texts).map(|(name, text)| (name.to_string(), Kind::StringValue(text.clone())));
            let fields = texts.chain([("input_tokens".to_owned(), Kind::NumberValue(number.into()))]);
            let want = strukt([("weir".to_owned(), Kind::StructValue(strukt(fields)))]);
            let read = ProcessingResponse::decode(&bytes[..]).unwrap();
            prop_assert_eq!(read.dynamic_metadata, Some(want));
        }
    }

    #[test]
    fn without_metadata_there_is_no_field() {
        let mut bytes = Vec::new();
        Outgoing { message: ProcessingResponse::default(), meta: Meta::new() }.encode(&mut bytes).unwrap();
        assert!(bytes.is_empty());
    }
}
