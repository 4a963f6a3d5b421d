//! Documents one a line as a stream (`application/x-ndjson`; Ollama): a push parser that keeps the raw bytes
//! of every line, so that a line can be forwarded untouched, edited or dropped. It decodes nothing.
//!
//! A line is everything up to and including its line feed; a line with nothing on it is an event without
//! data, so that the raw bytes of all events in a row are the stream.

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::sse::{Event, Oversized};

/// The content type of documents one a line.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// Cuts a stream into lines. It holds at most one unfinished line.
#[derive(Debug)]
pub struct Parser {
    max_line: usize,
    /// The line that is not finished yet. There is no line feed in it.
    carry: BytesMut,
    over: bool,
}

// === impl Parser ===

impl Parser {
    /// A parser at the beginning of a stream, for lines of up to `max_line` bytes.
    pub fn new(max_line: usize) -> Self {
        Parser { max_line, carry: BytesMut::new(), over: false }
    }

    /// Takes the next bytes of the stream and appends the lines that they complete.
    ///
    /// # Errors
    /// On [`Oversized`] parsing is over for good: `out` has the lines before the long one, and
    /// [`Parser::take_rest`] gives all bytes from that one on, the rest of `chunk` included. Bytes pushed
    /// after that are kept for `take_rest` only, without a bound.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Event>) -> Result<(), Oversized> {
        while !self.over {
            let found = memchr(b'\n', &chunk);
            let length = self.carry.len() + found.map_or(chunk.len(), |at| at + 1);
            if length > self.max_line {
                self.over = true;
                break;
            }
            let Some(at) = found else { break };
            let rest = chunk.split_off(at + 1);
            let raw = match self.carry.is_empty() {
                true => chunk,
                false => {
                    self.carry.extend_from_slice(&chunk);
                    self.carry.split().freeze()
                }
            };
            out.push(event(raw));
            chunk = rest;
        }
        self.carry.extend_from_slice(&chunk);
        if self.over { Err(Oversized { limit: self.max_line }) } else { Ok(()) }
    }

    /// Ends the stream. A last line without its line feed is delivered as far as it came.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.over && !self.carry.is_empty() {
            out.push(event(self.carry.split().freeze()));
        }
    }

    /// How many bytes of an unfinished line are held.
    pub fn carried(&self) -> usize {
        self.carry.len()
    }

    /// Takes the bytes of the line that is not finished.
    pub fn take_rest(&mut self) -> Bytes {
        self.carry.split().freeze()
    }
}

fn event(raw: Bytes) -> Event {
    let data = raw.slice_ref(raw.trim_ascii());
    Event { raw, data, name: None }
}

#[cfg(test)]
mod tests;
