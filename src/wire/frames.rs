//! AWS event streams as bytes (`application/vnd.amazon.eventstream`; Smithy 2.0, "Amazon Event Stream"): a
//! push parser that keeps the raw bytes of every frame, and a writer. Both checksums of every frame are
//! checked before anything in it is believed.
//!
//! ```text
//! total length | headers' length | CRC of these 8 bytes | headers | payload | CRC of all before it
//!       4      |        4        |          4           |         |         |         4
//! ```
//!
//! A frame becomes an [`Event`] with its payload as the data. Its name is the `:event-type`, or the
//! `:exception-type` of an exception (which ends with `Exception`), or the `:error-code` of an error that is
//! not modelled, whose data is then `{"error":code,"message":text}`.
//!
//! Bedrock's `InvokeModelWithResponseStream` puts each event of a model as base64 into `{"bytes":…}` of a
//! `chunk`. Such an event's data is that inner document, and its name is the document's own `type`.

mod header;

use bytes::{Bytes, BytesMut};
use flate2::Crc;

use super::sse::Event;
use crate::base::base64;
use crate::base::json::{self, Kind, write_object};

pub use header::{Header, Headers, Value};

/// The content type of a body of frames.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// The two lengths and their checksum.
const PRELUDE: usize = 12;

/// A checksum.
const CRC: usize = 4;

/// What a frame without headers and payload takes.
const LEAST: usize = PRELUDE + CRC;

/// Bytes that are no stream of frames. Where the next frame begins cannot be known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    #[error("a frame of the stream exceeds {limit} bytes")]
    Oversized { limit: usize },
    #[error("a frame of the stream states lengths that contradict each other")]
    Length,
    #[error("a frame of the stream does not have the checksum that it states")]
    Checksum,
    #[error("the headers of a frame of the stream cannot be read")]
    Headers,
}

/// Cuts a stream into frames. It holds at most one unfinished frame.
#[derive(Debug)]
pub struct Parser {
    max_frame: usize,
    /// The frame that is not finished yet.
    carry: BytesMut,
    damaged: Option<Damaged>,
}

/// Appends an event with a JSON document as its payload.
pub fn write(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let named = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    write_frame(out, &named.map(|(name, text)| Header { name, value: Value::Text(text) }), data);
}

/// Appends an exception, which ends the stream for every SDK.
pub fn write_exception(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let named = [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    write_frame(out, &named.map(|(name, text)| Header { name, value: Value::Text(text) }), data);
}

/// Appends one frame. A header that no frame can hold, with a name of more than 255 bytes or a value of more
/// than 65535, is cut.
pub fn write_frame(out: &mut Vec<u8>, headers: &[Header<'_>], payload: &[u8]) {
    let start = out.len();
    out.resize(start + PRELUDE, 0);
    for header in headers {
        header.write(out);
    }
    let headers_length = out.len() - start - PRELUDE;
    out.extend_from_slice(payload);
    let total = out.len() - start + CRC;
    // A frame of 4 GiB does not come about: bodies are bounded far below it.
    for (at, length) in [(start, total), (start + 4, headers_length)] {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    let crc = checksum(&out[start..start + 8]);
    out[start + 8..start + PRELUDE].copy_from_slice(&crc.to_be_bytes());
    let crc = checksum(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// True for an event that says that the provider failed.
pub fn is_failure(name: &[u8]) -> bool {
    name.ends_with(b"Exception")
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

// === impl Parser ===

impl Parser {
    /// A parser at the beginning of a stream, for frames of up to `max_frame` bytes.
    pub fn new(max_frame: usize) -> Self {
        Parser { max_frame, carry: BytesMut::new(), damaged: None }
    }

    /// Takes the next bytes of the stream and appends the events that they complete.
    ///
    /// # Errors
    /// On [`Damaged`] parsing is over for good: `out` has the events before the bad frame, and
    /// [`Parser::take_rest`] gives all bytes from that one on, the rest of `chunk` included. Bytes pushed
    /// after that are kept for `take_rest` only, without a bound.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Event>) -> Result<(), Damaged> {
        if let Some(damaged) = self.damaged {
            self.carry.extend_from_slice(&chunk);
            return Err(damaged);
        }
        while !chunk.is_empty() || !self.carry.is_empty() {
            let result = self.step(&mut chunk);
            match result {
                Ok(Some(event)) => out.push(event),
                Ok(None) => break,
                Err(damaged) => {
                    self.carry.extend_from_slice(&chunk);
                    self.damaged = Some(damaged);
                    return Err(damaged);
                }
            }
        }
        Ok(())
    }

    /// Ends the stream. What is there of a frame that did not come whole is an event without a name and
    /// without data, so that its bytes go on.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.damaged.is_none() && !self.carry.is_empty() {
            out.push(Event { raw: self.take_rest(), data: Bytes::new(), name: None });
        }
    }

    /// True when the stream may end here: between two frames.
    pub fn is_whole(&self) -> bool {
        self.carry.is_empty()
    }

    /// How many bytes of an unfinished frame are held.
    pub fn carried(&self) -> usize {
        self.carry.len()
    }

    /// Takes the bytes of the frame that is not finished.
    pub fn take_rest(&mut self) -> Bytes {
        self.carry.split().freeze()
    }

    /// The next frame, from what is carried and the chunk, which is used up where none is complete.
    fn step(&mut self, chunk: &mut Bytes) -> Result<Option<Event>, Damaged> {
        if self.carry.is_empty() {
            if let Some(total) = self.total(chunk)?
                && chunk.len() >= total
            {
                // What cannot be read stays where it is.
                let event = read(chunk.slice(..total))?;
                *chunk = chunk.slice(total..);
                return Ok(Some(event));
            }
        } else {
            self.carry_up_to(PRELUDE, chunk);
            if let Some(total) = self.total(&self.carry)? {
                self.carry_up_to(total, chunk);
                if self.carry.len() == total {
                    return self.complete().map(Some);
                }
            }
        }
        self.carry.extend_from_slice(chunk);
        chunk.clear();
        Ok(None)
    }

    fn complete(&mut self) -> Result<Event, Damaged> {
        let raw = self.carry.split().freeze();
        read(raw.clone()).inspect_err(|_| self.carry.extend_from_slice(&raw))
    }

    /// Moves bytes from the chunk until so many are carried.
    fn carry_up_to(&mut self, wanted: usize, chunk: &mut Bytes) {
        let missing = wanted.saturating_sub(self.carry.len()).min(chunk.len());
        self.carry.extend_from_slice(&chunk.split_to(missing));
    }

    /// The length of the frame that begins here, once it is stated.
    fn total(&self, bytes: &[u8]) -> Result<Option<usize>, Damaged> {
        let (Some(total), Some(headers), Some(crc)) = (number(bytes, 0), number(bytes, 4), number(bytes, 8)) else {
            return Ok(None);
        };
        if checksum(&bytes[..8]) as usize != crc {
            return Err(Damaged::Checksum);
        }
        if total < LEAST || headers > total - LEAST {
            return Err(Damaged::Length);
        }
        if total > self.max_frame {
            return Err(Damaged::Oversized { limit: self.max_frame });
        }
        Ok(Some(total))
    }
}

/// What one whole frame says. Its prelude has been checked.
fn read(raw: Bytes) -> Result<Event, Damaged> {
    let end = raw.len() - CRC;
    if number(&raw, end) != Some(checksum(&raw[..end]) as usize) {
        return Err(Damaged::Checksum);
    }
    let headers_end = PRELUDE + number(&raw, 4).unwrap_or_default();
    let (mut name, mut kind, mut code, mut message) = (None, "event", None, None);
    for header in Headers::of(&raw[PRELUDE..headers_end]) {
        match header? {
            Header { name: ":message-type", value: Value::Text(text) } => kind = text,
            Header { name: ":event-type" | ":exception-type", value: Value::Text(text) } => name = Some(text),
            Header { name: ":error-code", value: Value::Text(text) } => code = Some(text),
            Header { name: ":error-message", value: Value::Text(text) } => message = Some(text),
            _ => {}
        }
    }
    let owned = |text: Option<&str>| text.map(|text| raw.slice_ref(text.as_bytes()));
    if kind == "error" {
        let mut data = Vec::new();
        write_object(&mut data, |o| {
            o.text("error", code.unwrap_or("InternalFailure"));
            o.text("message", message.unwrap_or_default());
        });
        return Ok(Event { data: data.into(), name: owned(code), raw });
    }
    let data = raw.slice(headers_end..end);
    if let (Some("chunk"), Some((data, name))) = (name, unwrap(&data)) {
        return Ok(Event { raw, data, name });
    }
    Ok(Event { data, name: owned(name), raw })
}

/// The document inside of a `chunk`, and its `type`.
fn unwrap(payload: &[u8]) -> Option<(Bytes, Option<Bytes>)> {
    let members = json::object(payload).ok()?;
    let bytes = members.iter().find(|member| member.key == "bytes" && member.kind == Kind::String)?;
    let text = json::string(bytes.value.slice(payload))?;
    let data = Bytes::from(base64::decode(text.as_bytes())?);
    let name = json::object(&data).ok()?.iter().find(|member| member.key == "type").map(|member| member.value);
    // A type is a plain word: without an escape, it stands there as it is.
    let name =
        name.and_then(|span| data.get(span.start + 1..span.end.checked_sub(1)?)).map(|name| data.slice_ref(name));
    Some((data, name))
}

#[cfg(test)]
mod tests;
