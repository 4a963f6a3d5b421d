//! The fields of one encoded message, borrowed from where it lies. Nothing is copied or allocated, and
//! nothing recurses but the skipping of groups, which `prost` bounds.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field};

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a message of the proxy is no protocol buffer; is it an Envoy that connects here? {0}")]
    Wire(#[from] DecodeError),
    #[error("a message of the proxy is no protocol buffer: a field is longer than what it is in")]
    TooLong,
    #[error("a message of the proxy is no protocol buffer: a text is not UTF-8")]
    NotText,
}

/// What is left of a message. After [`Fields::next`] the field's value has to be taken, or skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// The key of an entry of a map, which may stand behind its value.
pub(super) fn key(entry: &[u8]) -> Result<&str, Malformed> {
    let mut key = "";
    let mut fields = Fields::of(entry);
    while let Some((field, kind)) = fields.next()? {
        match field {
            1 => key = fields.text(kind)?,
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(key)
}

/// The value of an entry of a map: a message, which may come in several pieces.
pub(super) fn each_value<'a, E: From<Malformed>>(
    entry: &'a [u8],
    mut each: impl FnMut(&'a [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut fields = Fields::of(entry);
    while let Some((field, kind)) = fields.next()? {
        match field {
            2 => each(fields.bytes(kind)?)?,
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(())
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// The number of the next field, and how it is encoded. None at the end of the message.
    pub fn next(&mut self) -> Result<Option<(u32, WireType)>, Malformed> {
        match self.rest {
            [] => Ok(None),
            _ => Ok(Some(decode_key(&mut self.rest)?)),
        }
    }

    /// Takes `bytes`, or a message.
    pub fn bytes(&mut self, kind: WireType) -> Result<&'a [u8], Malformed> {
        check_wire_type(WireType::LengthDelimited, kind)?;
        let length = decode_varint(&mut self.rest)?;
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let (bytes, rest) = split.ok_or(Malformed::TooLong)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Takes a `string`.
    pub fn text(&mut self, kind: WireType) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(kind)?).map_err(|_| Malformed::NotText)
    }

    /// Takes an integer or an enumeration.
    pub fn number(&mut self, kind: WireType) -> Result<u64, Malformed> {
        check_wire_type(WireType::Varint, kind)?;
        Ok(decode_varint(&mut self.rest)?)
    }

    /// Takes a `double`.
    pub fn double(&mut self, kind: WireType) -> Result<f64, Malformed> {
        check_wire_type(WireType::SixtyFourBit, kind)?;
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::TooLong)?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    /// Takes a `bool`.
    pub fn flag(&mut self, kind: WireType) -> Result<bool, Malformed> {
        Ok(self.number(kind)? != 0)
    }

    /// Passes over a field that nobody reads. What is in it is not looked at.
    pub fn skip(&mut self, field: u32, kind: WireType) -> Result<(), Malformed> {
        Ok(skip_field(kind, field, &mut self.rest, DecodeContext::default())?)
    }
}
