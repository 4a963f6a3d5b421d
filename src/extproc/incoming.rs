//! One message of Envoy, decoded into what an exchange can use of it and nothing else: no header has
//! an allocation of its own, and what nobody reads (metadata, trailers, other attributes) is passed over
//! without a look into it.
//!
//! Field numbers are those of `envoy/service/ext_proc/v3/external_processor.proto`,
//! `envoy/config/core/v3/base.proto` and `google/protobuf/struct.proto`; the functions below name the
//! message that each reads. As protocol buffers demand, the last value of a field holds, a message that
//! comes twice is merged, and another member of a `oneof` replaces the one before.

use bytes::{Buf, Bytes};
use prost::encoding::{WireType, check_wire_type};

use super::fields::{Fields, Malformed, each_value, key};
use crate::exchange::event::{RequestHead, ResponseHead};
use crate::identity::Facts;

/// The filter's name, under which it sends its attributes.
const FILTER: &str = "envoy.filters.http.ext_proc";

/// From this size on a body shares the buffer that it arrived in, which is at most a few times as
/// large; below, it is copied, for it must not keep a buffer alive that others came in, too.
const SHARED: usize = 16 << 10;

/// What is read of a `ProcessingRequest`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incoming {
    /// None in a message that carries nothing an exchange could use.
    pub part: Option<Part>,
    /// The `Metadata` that came with the message, still encoded; empty where there is none.
    pub metadata: Bytes,
    /// Said in the first message of a stream.
    pub modes: Option<Modes>,
}

/// The part of an HTTP exchange that a message carries. The flag is true when nothing of that body
/// follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    RequestHead(RequestHead, bool),
    RequestBody(Bytes, bool),
    RequestTrailers,
    ResponseHead(ResponseHead, bool),
    ResponseBody(Bytes, bool),
    ResponseTrailers,
}

/// How bodies are sent (`ProtocolConfiguration`): numbers of `ProcessingMode.BodySendMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    pub request: i32,
    pub response: i32,
}

/// What was found in a message so far.
#[derive(Debug, Default)]
struct Found<'a> {
    /// Which member of the `oneof request` it is, by its field number; 0 for none yet.
    member: u32,
    head: RequestHead,
    status: u16,
    body: &'a [u8],
    end: bool,
    end_without_message: bool,
    facts: Facts,
    metadata: Vec<u8>,
    modes: Option<Modes>,
}

// === impl Incoming ===

impl Incoming {
    /// Decodes one message, which is all of `buffer`.
    ///
    /// # Errors
    /// When it is no protocol buffer, or a field that is read has another type. Then some of `buffer`
    /// may be left.
    pub fn decode(buffer: &mut impl Buf) -> Result<Self, Malformed> {
        let length = buffer.remaining();
        if length >= SHARED || buffer.chunk().len() < length {
            let whole = buffer.copy_to_bytes(length);
            return Ok(Found::read(&whole)?.into_message(|body| match body.len() >= SHARED {
                true => whole.slice_ref(body),
                false => Bytes::copy_from_slice(body),
            }));
        }
        let message = Found::read(buffer.chunk())?.into_message(Bytes::copy_from_slice);
        buffer.advance(length);
        Ok(message)
    }
}

// === impl Found ===

impl<'a> Found<'a> {
    /// `ProcessingRequest`
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut found = Found::default();
        let mut fields = Fields::of(message);
        while let Some((field, kind)) = fields.next()? {
            match field {
                2..=7 => {
                    let member = fields.bytes(kind)?;
                    if found.member != field {
                        let Found { facts, metadata, modes, .. } = found;
                        found = Found { member: field, facts, metadata, modes, ..Found::default() };
                    }
                    match field {
                        2 | 3 => found.read_head(member)?,
                        4 | 5 => found.read_body(member)?,
                        _ => {}
                    }
                }
                // A message that comes in pieces is what they are behind one another.
                8 => found.metadata.extend_from_slice(fields.bytes(kind)?),
                9 => read_attributes(fields.bytes(kind)?, &mut found.facts)?,
                11 => read_modes(fields.bytes(kind)?, found.modes.get_or_insert_default())?,
                _ => fields.skip(field, kind)?,
            }
        }
        Ok(found)
    }

    fn into_message(self, take: impl FnOnce(&'a [u8]) -> Bytes) -> Incoming {
        let end = self.end || self.end_without_message;
        let part = match self.member {
            2 => Some(Part::RequestHead(RequestHead { facts: self.facts, ..self.head }, self.end)),
            3 => {
                let head = ResponseHead { status: self.status, headers: self.head.headers };
                Some(Part::ResponseHead(head, self.end))
            }
            4 => Some(Part::RequestBody(take(self.body), end)),
            5 => Some(Part::ResponseBody(take(self.body), end)),
            6 => Some(Part::RequestTrailers),
            7 => Some(Part::ResponseTrailers),
            _ => None,
        };
        Incoming { part, metadata: self.metadata.into(), modes: self.modes }
    }

    /// `HttpHeaders`
    fn read_head(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        let mut fields = Fields::of(message);
        while let Some((field, kind)) = fields.next()? {
            match field {
                1 => self.read_map(fields.bytes(kind)?)?,
                3 => self.end = fields.flag(kind)?,
                _ => fields.skip(field, kind)?,
            }
        }
        Ok(())
    }

    /// `HeaderMap`
    fn read_map(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        self.head.headers.reserve(message.len());
        let mut fields = Fields::of(message);
        while let Some((field, kind)) = fields.next()? {
            match field {
                1 => self.read_header(fields.bytes(kind)?)?,
                _ => fields.skip(field, kind)?,
            }
        }
        Ok(())
    }

    /// `HeaderValue`. Envoy fills `raw_value` and leaves `value` empty.
    fn read_header(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        let (mut name, mut value, mut raw_value): (_, _, &[u8]) = ("", "", &[]);
        let mut fields = Fields::of(message);
        while let Some((field, kind)) = fields.next()? {
            match field {
                1 => name = fields.text(kind)?,
                2 => value = fields.text(kind)?,
                3 => raw_value = fields.bytes(kind)?,
                _ => fields.skip(field, kind)?,
            }
        }
        let value = if raw_value.is_empty() { value.as_bytes() } else { raw_value };
        if !name.starts_with(':') {
            self.head.headers.push(name, value);
            return Ok(());
        }
        let text = String::from_utf8_lossy(value);
        match (self.member, name) {
            (2, ":method") => self.head.method = text.into_owned(),
            (2, ":path") => self.head.path = text.into_owned(),
            (2, ":authority") => self.head.authority = text.into_owned(),
            (3, ":status") => self.status = text.parse().unwrap_or(0),
            _ => {}
        }
        Ok(())
    }

    /// `HttpBody`
    fn read_body(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        let mut fields = Fields::of(message);
        while let Some((field, kind)) = fields.next()? {
            match field {
                1 => self.body = fields.bytes(kind)?,
                2 => self.end = fields.flag(kind)?,
                3 => self.end_without_message = fields.flag(kind)?,
                _ => fields.skip(field, kind)?,
            }
        }
        Ok(())
    }
}

/// `ProtocolConfiguration`
#[expect(clippy::cast_possible_truncation, reason = "an enumeration is the low 32 bits of what is on the wire")]
fn read_modes(message: &[u8], modes: &mut Modes) -> Result<(), Malformed> {
    let mut fields = Fields::of(message);
    while let Some((field, kind)) = fields.next()? {
        match field {
            1 => modes.request = fields.number(kind)? as i32,
            2 => modes.response = fields.number(kind)? as i32,
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(())
}

/// An entry of `map<string, google.protobuf.Struct> attributes`.
fn read_attributes(entry: &[u8], facts: &mut Facts) -> Result<(), Malformed> {
    if key(entry)? != FILTER {
        return Ok(());
    }
    // A later entry of a map replaces the one before.
    *facts = Facts::default();
    each_value(entry, |attributes| {
        // `Struct`, which is a map itself.
        let mut fields = Fields::of(attributes);
        while let Some((field, kind)) = fields.next()? {
            match field {
                1 => read_attribute(fields.bytes(kind)?, facts)?,
                _ => fields.skip(field, kind)?,
            }
        }
        Ok(())
    })
}

/// An entry of `Struct.fields`.
fn read_attribute(entry: &[u8], facts: &mut Facts) -> Result<(), Malformed> {
    let fact = match key(entry)? {
        "connection.uri_san_peer_certificate" => &mut facts.peer_uri,
        "source.address" => &mut facts.source,
        _ => return Ok(()),
    };
    let mut text = "";
    each_value(entry, |value| read_text(value, &mut text))?;
    *fact = Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(())
}

/// `Value`, of which only texts matter. What else there is replaces a text.
fn read_text<'a>(message: &'a [u8], text: &mut &'a str) -> Result<(), Malformed> {
    let mut fields = Fields::of(message);
    while let Some((field, kind)) = fields.next()? {
        if (1..=6).contains(&field) {
            *text = "";
        }
        match field {
            1 | 4 => _ = fields.number(kind)?,
            2 => {
                check_wire_type(WireType::SixtyFourBit, kind)?;
                fields.skip(field, kind)?;
            }
            3 => *text = fields.text(kind)?,
            5 | 6 => _ = fields.bytes(kind)?,
            _ => fields.skip(field, kind)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
