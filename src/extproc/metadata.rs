//! The dynamic metadata of an answer on the wire: one `Struct` under the namespace `weir`. Sizes are those of
//! what is written, field by field.

use bytes::BufMut;

use super::put::{self, delimited};
use crate::exchange::event::{Meta, MetaValue};

/// The top key of the metadata is the namespace.
pub(super) const NAMESPACE: &str = "weir";

fn fields_len(meta: &Meta) -> usize {
    meta.iter().map(|(name, value)| delimited(entry_len(name, value_len(value)))).sum()
}

pub(super) fn size(meta: &Meta) -> usize {
    delimited(entry_len(NAMESPACE, delimited(fields_len(meta))))
}

/// `{"weir": {…}}`
pub(super) fn encode(meta: &Meta, out: &mut impl BufMut) {
    let fields = fields_len(meta);
    let outer = entry_len(NAMESPACE, delimited(fields));
    put::key(8, delimited(outer), out);
    put::key(1, outer, out);
    put::bytes(1, NAMESPACE.as_bytes(), out);
    put::key(2, delimited(fields), out);
    put::key(5, fields, out);
    for (name, value) in meta {
        let length = value_len(value);
        put::key(1, entry_len(name, length), out);
        put::bytes(1, name.as_bytes(), out);
        put::key(2, length, out);
        match value {
            MetaValue::Text(value) => put::bytes(3, value.as_bytes(), out),
            #[expect(clippy::cast_precision_loss, reason = "dynamic metadata has no integers; exact up to 2^53")]
            MetaValue::Number(number) => put::double(2, *number as f64, out),
        }
    }
}

/// A `Value` with one of its fields.
fn value_len(value: &MetaValue) -> usize {
    match value {
        MetaValue::Text(text) => delimited(text.len()),
        MetaValue::Number(_) => put::DOUBLE,
    }
}

/// An entry of a map: its key as field 1, its value as field 2.
fn entry_len(name: &str, value: usize) -> usize {
    delimited(name.len()) + delimited(value)
}
