//! Event streams as bytes (WHATWG HTML, "Server-sent events"): a push parser that keeps the raw
//! bytes of every event, so that an event can be forwarded untouched, edited or dropped, and a
//! writer. It decodes no text and checks no UTF-8.
//!
//! An event is everything up to and including its blank line; comment blocks and blank lines alone
//! are events as well, so that the raw bytes of all events in a row are the stream. Events that
//! begin and end in one chunk are slices of it. Only what a chunk leaves unfinished is copied.
//!
//! A carriage return at the end of a chunk ends its line at once, for the line feed behind it may
//! never come. If it does come, it belongs to the same line end: where that line end closed an
//! event that has been delivered, the line feed follows as an empty event of one byte. That is the
//! only case in which the grouping of raw bytes depends on how the stream was split.

mod flow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};

pub use flow::{Flow, Piece};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// An event, with the bytes it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// All bytes, the terminating blank line included.
    pub raw: Bytes,
    /// The `data` lines, joined by line feeds; a slice of `raw` when there is one.
    pub data: Bytes,
    /// The last `event` line's value.
    pub name: Option<Bytes>,
}

/// An event grew beyond the parser's bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream exceeds {limit} bytes")]
pub struct Oversized {
    pub limit: usize,
}

/// Cuts a stream into events. It holds at most one unfinished event.
#[derive(Debug)]
pub struct Parser {
    max_event: usize,
    /// The event that is not finished yet. All of it has been looked at.
    carry: BytesMut,
    /// Where in that event the current line begins.
    line: usize,
    /// The last byte seen was a carriage return.
    cr: bool,
    /// No line of the stream has ended yet: a byte order mark may stand here.
    first_line: bool,
    /// Whether the event under construction is the first one.
    first_event: bool,
    over: bool,
}

/// Appends one event. A line end in `data` begins another `data` line; in `name` it is left out, so
/// that no value can forge a field.
pub fn write(out: &mut Vec<u8>, name: Option<&str>, data: &[u8]) {
    out.reserve(data.len() + 8);
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend(name.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        out.push(b'\n');
    }
    let mut rest = Some(data);
    while let Some(text) = rest {
        let (line, behind) = split_line(text);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = behind;
    }
    out.push(b'\n');
}

/// The first line without its line end, and what is behind that line end, if there is one.
fn split_line(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(at) = memchr2(b'\n', b'\r', text) else {
        return (text, None);
    };
    let crlf = text[at] == b'\r' && text.get(at + 1) == Some(&b'\n');
    (&text[..at], Some(&text[at + 1 + usize::from(crlf)..]))
}

// === impl Event ===

impl Event {
    /// Reads the fields of a block; `start` is where its first line begins.
    fn read(raw: Bytes, start: usize) -> Self {
        let mut data: Option<Bytes> = None;
        let mut joined: Option<BytesMut> = None;
        let mut name = None;
        let mut rest = raw.get(start..);
        while let Some(text) = rest {
            let (line, behind) = split_line(text);
            rest = behind;
            let colon = memchr(b':', line).unwrap_or(line.len());
            let value = line.get(colon + 1..).unwrap_or_default();
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match (&line[..colon], &data) {
                (b"data", None) => data = Some(raw.slice_ref(value)),
                (b"data", Some(first)) => {
                    let joined = joined.get_or_insert_with(|| BytesMut::from(&first[..]));
                    joined.extend_from_slice(b"\n");
                    joined.extend_from_slice(value);
                }
                (b"event", _) => name = Some(raw.slice_ref(value)),
                // Comments, fields that nobody needs here, blank lines.
                _ => {}
            }
        }
        let data = joined.map(BytesMut::freeze).or(data).unwrap_or_default();
        Event { raw, data, name }
    }

    /// Whether the event carries no data: a comment, a bare field, blank lines. An event stream's
    /// reader is not shown such an event.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
}

// === impl Parser ===

impl Parser {
    /// A parser at the beginning of a stream, for events of up to `max_event` bytes.
    pub fn new(max_event: usize) -> Self {
        Parser {
            max_event,
            carry: BytesMut::new(),
            line: 0,
            cr: false,
            first_line: true,
            first_event: true,
            over: false,
        }
    }

    /// Takes the next bytes of the stream and appends the events that they complete.
    ///
    /// On [`Oversized`] parsing is over for good: `out` has the events before the large one, and
    /// [`Parser::take_rest`] gives all bytes from that one on, the rest of `chunk` included. Bytes
    /// pushed after that are kept for `take_rest` only, without a bound.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Event>) -> Result<(), Oversized> {
        if self.over {
            self.carry.extend_from_slice(&chunk);
            return Err(self.oversized());
        }
        // Where the event begins in the chunk (if it is not in `carry`), and where to look next.
        let (mut from, mut at) = (0, 0);
        if self.cr && chunk.first() == Some(&b'\n') {
            at = 1;
            if self.carry.is_empty() {
                out.push(Event { raw: chunk.slice(..1), data: Bytes::new(), name: None });
                from = 1;
            } else {
                self.line += 1;
            }
        }
        while let Some(found) = memchr2(b'\n', b'\r', &chunk[at..]) {
            let end = at + found;
            let crlf = chunk[end] == b'\r' && chunk.get(end + 1) == Some(&b'\n');
            at = end + 1 + usize::from(crlf);
            let blank = self.is_blank(&chunk[from..end]);
            self.first_line = false;
            if !blank {
                self.line = self.carry.len() + at - from;
                continue;
            }
            // The line feed of a CRLF does not count: it may come in another chunk.
            if self.carry.len() + end + 1 - from > self.max_event {
                break;
            }
            out.push(self.complete(&chunk, from, at));
            from = at;
        }
        if let Some(&last) = chunk.last() {
            self.cr = last == b'\r';
        }
        self.carry.extend_from_slice(&chunk[from..]);
        self.over = self.carry.len() > self.max_event;
        if self.over { Err(self.oversized()) } else { Ok(()) }
    }

    /// Ends the stream. A last event without its blank line is delivered as far as it came.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.over && !self.carry.is_empty() {
            out.push(self.complete(&Bytes::new(), 0, 0));
        }
    }

    /// Takes the bytes of the event that is not finished.
    pub fn take_rest(&mut self) -> Bytes {
        self.line = 0;
        self.carry.split().freeze()
    }

    /// How many bytes of an unfinished event are held.
    pub fn carried(&self) -> usize {
        self.carry.len()
    }

    fn oversized(&self) -> Oversized {
        Oversized { limit: self.max_event }
    }

    /// Whether the current line, which ends with `tail`, has nothing on it.
    fn is_blank(&self, tail: &[u8]) -> bool {
        let length = self.carry.len() + tail.len() - self.line;
        length == 0 || (self.first_line && length == BOM.len() && self.carry.iter().chain(tail).eq(BOM))
    }

    /// The event made of `carry` and `chunk[from..to]`.
    fn complete(&mut self, chunk: &Bytes, from: usize, to: usize) -> Event {
        let raw = if self.carry.is_empty() {
            chunk.slice(from..to)
        } else {
            self.carry.extend_from_slice(&chunk[from..to]);
            self.carry.split().freeze()
        };
        self.line = 0;
        let start = if self.first_event && raw.starts_with(BOM) { BOM.len() } else { 0 };
        self.first_event = false;
        Event::read(raw, start)
    }
}

#[cfg(test)]
mod tests;
