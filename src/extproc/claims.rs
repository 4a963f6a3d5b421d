//! What the proxy's JWT filter says of a token: one namespace of a request's `Metadata`, decoded into a
//! small tree of bounded depth and size. Nothing else of the metadata is looked into.
//!
//! Field numbers are those of `envoy/config/core/v3/base.proto` (`Metadata.filter_metadata` is 1) and
//! `google/protobuf/struct.proto`.

use super::fields::{Fields, Malformed, each_value, key};
use crate::identity::{Claim, Claims};

/// The largest metadata that is looked into: a token comes in a header, and Envoy's limit for all of
/// them together is 60 KiB.
const MAX_BYTES: usize = 256 << 10;
/// Values in a tree, at most.
const MAX_VALUES: usize = 4096;
/// Values in one another, at most.
const MAX_DEPTH: usize = 16;

/// Why there is no tree.
enum Why {
    Malformed,
    TooLarge,
}

/// Reads the claims in `namespace` of an encoded `Metadata`. What is too large or malformed is
/// [`Claims::Unreadable`]: that it says nothing would be a lie.
pub fn read(metadata: &[u8], namespace: &str) -> Claims {
    if metadata.len() > MAX_BYTES {
        return Claims::Unreadable;
    }
    match find(metadata, namespace) {
        Ok(Some(claim)) => Claims::Said(claim),
        Ok(None) => Claims::None,
        Err(Why::Malformed | Why::TooLarge) => Claims::Unreadable,
    }
}

/// `Metadata`
fn find(metadata: &[u8], namespace: &str) -> Result<Option<Claim>, Why> {
    let mut found = None;
    let mut fields = Fields::of(metadata);
    while let Some((field, kind)) = fields.next()? {
        match field {
            1 => {
                let entry = fields.bytes(kind)?;
                if key(entry)? == namespace {
                    let mut left = MAX_VALUES;
                    // The last entry of a key holds; pieces of one value are merged.
                    let mut members = Vec::new();
                    each_value(entry, |value| read_struct(value, &mut members, 0, &mut left))?;
                    found = Some(Claim::Map(members));
                }
            }
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(found)
}

type Members = Vec<(Box<str>, Claim)>;

/// `Struct`
fn read_struct(message: &[u8], members: &mut Members, depth: usize, left: &mut usize) -> Result<(), Why> {
    let mut fields = Fields::of(message);
    while let Some((field, kind)) = fields.next()? {
        match field {
            1 => {
                let entry = fields.bytes(kind)?;
                let name = key(entry)?;
                *left = left.checked_sub(1).ok_or(Why::TooLarge)?;
                let mut claim = Claim::Other;
                each_value(entry, |value| read_value(value, &mut claim, depth + 1, left))?;
                members.push((name.into(), claim));
            }
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(())
}

/// `Value`: another member replaces the one before, a message of the same kind is merged.
fn read_value(message: &[u8], claim: &mut Claim, depth: usize, left: &mut usize) -> Result<(), Why> {
    if depth > MAX_DEPTH {
        return Err(Why::TooLarge);
    }
    let mut fields = Fields::of(message);
    while let Some((field, kind)) = fields.next()? {
        match field {
            1 | 4 => {
                fields.number(kind)?;
                *claim = Claim::Other;
            }
            2 => *claim = Claim::number(fields.double(kind)?),
            3 => *claim = Claim::Text(fields.text(kind)?.into()),
            5 => {
                let mut members = match std::mem::replace(claim, Claim::Other) {
                    Claim::Map(members) => members,
                    _ => Vec::new(),
                };
                read_struct(fields.bytes(kind)?, &mut members, depth, left)?;
                *claim = Claim::Map(members);
            }
            6 => {
                let mut items = match std::mem::replace(claim, Claim::Other) {
                    Claim::List(items) => items,
                    _ => Vec::new(),
                };
                read_list(fields.bytes(kind)?, &mut items, depth, left)?;
                *claim = Claim::List(items);
            }
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(())
}

/// `ListValue`
fn read_list(message: &[u8], items: &mut Vec<Claim>, depth: usize, left: &mut usize) -> Result<(), Why> {
    let mut fields = Fields::of(message);
    while let Some((field, kind)) = fields.next()? {
        match field {
            1 => {
                *left = left.checked_sub(1).ok_or(Why::TooLarge)?;
                let mut claim = Claim::Other;
                read_value(fields.bytes(kind)?, &mut claim, depth + 1, left)?;
                items.push(claim);
            }
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(())
}

// === impl Why ===

impl From<Malformed> for Why {
    fn from(_: Malformed) -> Self {
        Why::Malformed
    }
}

#[cfg(test)]
mod tests;
