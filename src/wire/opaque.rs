//! Meters an answer of any format while it passes: finds the model, the usage and how it ended, and
//! touches nothing.

use bytes::Bytes;

use super::decode::{Decoder, Limits};
use super::frames::{self, Damaged};
use super::lines;
use super::scan::{Scan, Seen};
use super::sse;

/// Watches one response body. Memory is bounded by one event, one decoding step, what the decoder of its coding
/// holds and the room that [`Meter::keep_text`] gives; but for the step, [`Meter::carried`] and [`Meter::kept`]
/// say how much it is.
#[derive(Debug)]
pub struct Meter {
    form: Form,
    /// None where the body is plain, and once nothing more is decoded.
    decoder: Option<Decoder>,
    /// What is pushed is not what is looked at.
    coded: bool,
    scan: Scan,
    blind: Option<Blind>,
    terminal: bool,
    events: Vec<sse::Event>,
}

/// What the body is, by its content type.
#[derive(Debug)]
enum Form {
    Events(sse::Parser),
    /// Events that are not kept: images and sound.
    Flow(sse::Flow),
    /// AWS event-stream frames.
    Frames(frames::Parser),
    /// A document a line.
    Lines(lines::Parser),
    Document,
    Opaque,
}

/// Why nothing more can be seen. What was seen before still holds, but is not all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blind {
    /// A content coding that is not decoded here.
    Encoding,
    /// Compressed data or frames that are damaged, or data that grows beyond all measure.
    Undecodable,
    /// An event larger than the profile allows.
    Oversized,
}

/// Room for this many events is kept between chunks.
const MANY_EVENTS: usize = 256;

/// Events that end an answer, by the name on their `event:` line (Anthropic, OpenAI Responses, Cohere v2).
const TERMINAL: &[&[u8]] =
    &[b"message_stop", b"response.completed", b"response.incomplete", b"response.failed", b"message-end"];

/// The last event of a Bedrock `ConverseStream`: it has the usage and comes behind `messageStop`.
const METADATA: &[u8] = b"metadata";

// === impl Meter ===

impl Meter {
    /// A meter for a body with these header values.
    pub fn new(content_type: Option<&str>, content_encoding: Option<&str>, max_event: usize) -> Self {
        let kind = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let form = match kind.to_ascii_lowercase().as_str() {
            "text/event-stream" => Form::Events(sse::Parser::new(max_event)),
            frames::CONTENT_TYPE => Form::Frames(frames::Parser::new(max_event)),
            lines::CONTENT_TYPE => Form::Lines(lines::Parser::new(max_event)),
            "application/json" => Form::Document,
            other if other.ends_with("+json") => Form::Document,
            _ => Form::Opaque,
        };
        let (decoder, blind) = match content_encoding.map(str::trim) {
            None | Some("" | "identity") => (None, None),
            Some(encoding) => match Decoder::new(encoding, Limits::default()) {
                Ok(decoder) => (Some(decoder), None),
                Err(_) => (None, Some(Blind::Encoding)),
            },
        };
        let coded = decoder.is_some();
        Meter { form, decoder, coded, scan: Scan::new(), blind, terminal: false, events: Vec::new() }
    }

    /// Keeps no event: those of a stream of images or sound are large. Call it before anything is pushed.
    pub fn let_flow(&mut self) {
        if matches!(self.form, Form::Events(_)) {
            self.form = Form::Flow(sse::Flow::default());
        }
    }

    /// Keeps the answer's text as well, its first `room` bytes, for whoever counts its tokens.
    pub fn keep_text(&mut self, room: usize) {
        self.scan.keep_text(room);
    }

    /// The text that was kept; nothing is kept any more.
    pub fn take_text(&mut self) -> Option<Vec<u8>> {
        self.scan.take_text()
    }

    /// True when more of the text would be kept.
    pub fn keeps_text(&self) -> bool {
        self.scan.keeps_text()
    }

    /// True for a stream of events, frames or lines.
    pub fn is_events(&self) -> bool {
        matches!(self.form, Form::Events(_) | Form::Flow(_) | Form::Frames(_) | Form::Lines(_))
    }

    /// True when what is pushed is what was sent, so that events can be edited.
    pub fn is_plain(&self) -> bool {
        !self.coded && self.blind.is_none() && !matches!(self.form, Form::Flow(_))
    }

    /// Looks at the next piece. In a stream, the events it completed are then in [`Meter::events`].
    pub fn push(&mut self, chunk: &Bytes) {
        self.release();
        if self.blind.is_some() || matches!(self.form, Form::Opaque) {
            return;
        }
        let Some(decoder) = &mut self.decoder else {
            if !self.coded {
                self.look(chunk.clone());
            }
            return;
        };
        let mut plain = Vec::new();
        let result = decoder.push(chunk, &mut plain);
        self.look(Bytes::from(plain));
        if result.is_err() {
            self.blind = Some(Blind::Undecodable);
            self.scan.take_text();
        }
        if self.blind.is_some() {
            self.decoder = None;
        }
    }

    /// The body has ended in good order.
    pub fn finish(&mut self) {
        self.release();
        self.decoder = None;
        let mut is_whole = self.blind.is_none();
        match &mut self.form {
            Form::Events(parser) => parser.finish(&mut self.events),
            Form::Lines(parser) => parser.finish(&mut self.events),
            Form::Frames(parser) => {
                is_whole &= parser.is_whole();
                parser.finish(&mut self.events);
            }
            Form::Flow(_) | Form::Document | Form::Opaque => return,
        }
        self.look_at_events();
        // Some have no other end than the body's.
        self.terminal |= is_whole && self.seen().is_finished;
    }

    /// The events that the last call completed, in order.
    pub fn events(&self) -> &[sse::Event] {
        &self.events
    }

    /// Forgets them, so that their bytes are held here no longer.
    pub fn release(&mut self) {
        // A chunk of nothing but line ends is tens of thousands of events; their room is not kept.
        match self.events.capacity() > MANY_EVENTS {
            true => self.events = Vec::new(),
            false => self.events.clear(),
        }
    }

    /// Bytes of memory that text is kept in, and that the decoder holds.
    pub fn kept(&self) -> usize {
        self.scan.kept() + self.decoder.as_ref().map_or(0, Decoder::held)
    }

    /// Bytes of an event that is not complete yet.
    pub fn carried(&self) -> usize {
        match &self.form {
            Form::Events(parser) => parser.carried(),
            Form::Frames(parser) => parser.carried(),
            Form::Lines(parser) => parser.carried(),
            Form::Flow(_) | Form::Document | Form::Opaque => 0,
        }
    }

    /// What is left of an event that will not be parsed any more.
    pub fn take_rest(&mut self) -> Bytes {
        match &mut self.form {
            Form::Events(parser) => parser.take_rest(),
            Form::Frames(parser) => parser.take_rest(),
            Form::Lines(parser) => parser.take_rest(),
            Form::Flow(_) | Form::Document | Form::Opaque => Bytes::new(),
        }
    }

    /// True when the body's form is one in which text can be told from framing.
    pub fn is_readable(&self) -> bool {
        !matches!(self.form, Form::Opaque)
    }

    /// What was seen so far.
    pub fn seen(&self) -> &Seen {
        self.scan.seen()
    }

    /// Why it sees nothing more.
    pub fn blind(&self) -> Option<Blind> {
        self.blind
    }

    /// True when the answer's own end was seen: a terminal event, or the closing brace.
    pub fn is_complete(&self) -> bool {
        match self.form {
            Form::Events(_) | Form::Flow(_) | Form::Frames(_) | Form::Lines(_) => self.terminal,
            Form::Document => self.seen().complete,
            Form::Opaque => true,
        }
    }

    fn look(&mut self, plain: Bytes) {
        let blind = match &mut self.form {
            Form::Events(parser) => parser.push(plain, &mut self.events).err().map(|_| Blind::Oversized),
            Form::Lines(parser) => parser.push(plain, &mut self.events).err().map(|_| Blind::Oversized),
            Form::Frames(parser) => parser.push(plain, &mut self.events).err().map(|damaged| match damaged {
                Damaged::Oversized { .. } => Blind::Oversized,
                _ => Blind::Undecodable,
            }),
            Form::Flow(flow) => {
                return flow.push(&plain, |piece| match piece {
                    sse::Piece::Data(data) => self.scan.push(data),
                    sse::Piece::End => self.scan.reset(),
                });
            }
            Form::Document => return self.scan.push(&plain),
            Form::Opaque => return,
        };
        if blind.is_some() {
            self.blind = blind;
            // What was read is not all: nobody will count it.
            self.scan.take_text();
        }
        self.look_at_events();
    }

    fn look_at_events(&mut self) {
        let in_frames = matches!(self.form, Form::Frames(_));
        for event in &self.events {
            if event.data == super::openai::DONE {
                self.terminal = true;
                continue;
            }
            let name = event.name.as_deref().unwrap_or_default();
            self.terminal |= TERMINAL.contains(&name) || (in_frames && name == METADATA);
            if in_frames && frames::is_failure(name) {
                self.scan.note_error();
            }
            self.scan.reset();
            self.scan.push(&event.data);
        }
        self.terminal |= self.seen().is_last;
    }
}

#[cfg(test)]
mod tests;
