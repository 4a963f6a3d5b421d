//! Fields of protocol buffers, appended to a buffer that has room for them. Their numbers are at most
//! 15, so that a key has one byte.

use std::ops::Deref;

use bytes::BufMut;
use prost::encoding::{WireType, encode_varint, encoded_len_varint};

/// Size of a [`double`].
pub(super) const DOUBLE: usize = 1 + size_of::<f64>();

/// The decimal digits of a number, without an allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    digits: [u8; 20],
    begin: usize,
}

/// Size of a field that holds `length` bytes.
pub(super) fn delimited(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// Size of a [`number`].
pub(super) fn number_len(number: u64) -> usize {
    1 + encoded_len_varint(number)
}

/// What stands before `length` bytes: of a text, or of a message.
pub(super) fn key(field: u8, length: usize, out: &mut impl BufMut) {
    let key = tag(field, WireType::LengthDelimited);
    match u8::try_from(length) {
        // Nearly all; at once, for a buffer checks its room each time.
        Ok(length) if length < 0x80 => out.put_slice(&[key, length]),
        _ => {
            out.put_u8(key);
            encode_varint(length as u64, out);
        }
    }
}

/// A text, or bytes.
pub(super) fn bytes(field: u8, bytes: &[u8], out: &mut impl BufMut) {
    key(field, bytes.len(), out);
    out.put_slice(bytes);
}

/// An integer, an enumeration or a flag.
pub(super) fn number(field: u8, number: u64, out: &mut impl BufMut) {
    out.put_u8(tag(field, WireType::Varint));
    encode_varint(number, out);
}

pub(super) fn double(field: u8, number: f64, out: &mut impl BufMut) {
    out.put_u8(tag(field, WireType::SixtyFourBit));
    out.put_f64_le(number);
}

fn tag(field: u8, kind: WireType) -> u8 {
    debug_assert!((1..16).contains(&field));
    field << 3 | kind as u8
}

// === impl Decimal ===

impl Decimal {
    pub fn of(mut number: u64) -> Self {
        let mut decimal = Decimal { digits: [b'0'; 20], begin: 20 };
        for (at, digit) in decimal.digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            decimal.begin = at;
            if number == 0 {
                break;
            }
        }
        decimal
    }
}

impl Deref for Decimal {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.digits.get(self.begin..).unwrap_or_default()
    }
}
