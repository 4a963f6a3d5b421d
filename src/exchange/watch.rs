//! Looking at an answer while it passes: metering, publishing to followers, and taking out what is
//! there only because Weir asked for it.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Note};
use super::expected::Expected;
use super::response::{Body, State};
use crate::base::json::{Span, Tree};
use crate::cache::Ticket;
use crate::llm::{Delta, Dropped, Fold};
use crate::wire::opaque::Meter;
use crate::wire::{self, Codec, Trim, sse};

// === impl Exchange ===

impl Exchange {
    /// Meters a piece that goes on as it is.
    pub(super) fn watch(&mut self, bytes: &Bytes, end: bool, out: &mut Vec<Action>) {
        let Some(meter) = &mut self.response.meter else { return };
        meter.push(bytes);
        self.publish_events(out);
        self.capture(bytes, end, out);
        self.copy_items(bytes);
        self.see_first_token();
        if end && let Some(meter) = &mut self.response.meter {
            // What was read is not read again.
            meter.release();
            meter.finish();
            self.see_first_token();
            self.publish_events(out);
            self.publish_end(out);
        }
        // The bytes leave with the chunk; holding a slice of them would cost a copy.
        if let Some(meter) = &mut self.response.meter {
            meter.release();
        }
    }

    /// Meters a piece of an event stream, and returns what goes on: whole events only.
    pub(super) fn watch_events(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) -> Bytes {
        let trims = self.response.expected.as_ref().is_some_and(|expected| expected.trims);
        let Some(meter) = &mut self.response.meter else { return bytes };
        let fresh = meter.carried() == 0;
        meter.push(&bytes);
        let whole = fresh && meter.carried() == 0 && meter.is_plain();
        self.publish_events(out);
        self.see_first_token();
        let codec = trims.then(|| wire::codec_of(self.story.dialect, self.story.operation));
        let mut pieces = match (whole, codec) {
            (true, None) => bytes,
            _ => self.join_events(codec),
        };
        if let Some(meter) = &mut self.response.meter {
            meter.release();
        }
        if self.lost_sight() {
            self.response.body = Body::Flow;
            pieces = self.with_rest(pieces);
        }
        match end {
            true => self.last_events(pieces, codec, out),
            false => pieces,
        }
    }

    /// The stream has ended: an event without its blank line goes on as well.
    fn last_events(&mut self, mut pieces: Bytes, codec: Option<&dyn Codec>, out: &mut Vec<Action>) -> Bytes {
        let Some(meter) = &mut self.response.meter else { return pieces };
        meter.finish();
        let last = self.join_events(codec);
        if !last.is_empty() {
            pieces = Bytes::from([pieces, last].concat());
        }
        self.publish_events(out);
        self.publish_end(out);
        self.see_first_token();
        pieces
    }

    fn join_events(&mut self, codec: Option<&dyn Codec>) -> Bytes {
        let State { meter, cut_at_return, .. } = &mut self.response;
        meter.as_ref().map_or_else(Bytes::new, |meter| join(meter.events(), codec, cut_at_return))
    }

    /// True when the meter lost sight of the stream: an event beyond all measure, or a damaged frame.
    pub(super) fn lost_sight(&self) -> bool {
        self.response.meter.as_ref().is_some_and(|meter| meter.blind().is_some())
    }

    fn with_rest(&mut self, pieces: Bytes) -> Bytes {
        let Some(meter) = &mut self.response.meter else { return pieces };
        Bytes::from([pieces, meter.take_rest()].concat())
    }

    pub(super) fn see_first_token(&mut self) {
        if self.story.timings.first_token.is_none() && self.response.seen().is_some_and(|seen| seen.text_bytes > 0) {
            self.story.timings.first_token = Some(self.story.age(self.now.mono));
        }
    }

    /// A leader tells its followers what each event said.
    fn publish_events(&mut self, out: &mut Vec<Action>) {
        let is_events = self.response.meter.as_ref().is_some_and(Meter::is_events);
        let follows = self.allowance.is_short() && self.response.expected.as_ref().is_some_and(|one| one.follows);
        if (self.leading().is_some() || follows) && is_events {
            let (deltas, is_readable) = self.read_steps();
            if follows {
                self.allowance.read(&deltas, is_readable);
            }
            self.publish_steps(&deltas, is_readable, out);
        }
    }

    /// What the end of the body says, where it is the answer's own.
    fn publish_end(&mut self, out: &mut Vec<Action>) {
        let is_events = self.response.meter.as_ref().is_some_and(Meter::is_events);
        let Some(reader) = self.response.reader.as_mut().filter(|_| is_events) else { return };
        let mut deltas = Vec::new();
        reader.end(&mut deltas);
        self.settle_usage(&mut deltas);
        self.publish_steps(&deltas, true, out);
    }

    /// As [`Exchange::publish_events`], with what was read already.
    pub(super) fn publish_steps(&mut self, deltas: &[Delta], is_readable: bool, out: &mut Vec<Action>) {
        let Some(ticket) = self.leading() else { return };
        let has_error = self.response.seen().is_some_and(|seen| seen.has_error);
        // An answer with an error in it, or with a part that nobody can read, is none to hand on.
        self.response.spoilt |= has_error || !is_readable || !self.story.dropped.is_empty();
        self.publish(ticket, deltas.to_vec(), out);
    }

    /// Keeps these steps, and tells them to who follows; of a spoilt answer all but its end, so that nobody takes it for
    /// whole.
    fn publish(&mut self, ticket: Ticket, deltas: Vec<Delta>, out: &mut Vec<Action>) {
        let room = self.profile.bodies.max_capture;
        for delta in deltas {
            if self.response.read_end {
                return;
            }
            self.response.read_end = delta == Delta::End;
            if let Some(fold) = &mut self.response.fold {
                fold.push(&delta);
                self.response.spoilt |= fold.is_lossy();
            }
            if self.response.fold.as_ref().is_some_and(|fold| fold.len() > room) {
                self.response.fold = None;
            }
            if self.followed && !(delta == Delta::End && self.response.spoilt) {
                self.note(Note::Publish(ticket, delta), out);
            }
        }
    }

    /// A leader whose answer is a document publishes it when it is whole.
    fn capture(&mut self, bytes: &Bytes, end: bool, out: &mut Vec<Action>) {
        let Some(ticket) = self.leading() else { return };
        if self.response.is_stream() || self.response.fold.is_none() {
            return;
        }
        let room = self.profile.bodies.max_capture;
        let document = &mut self.response.document;
        if document.len() + bytes.len() > room {
            *document = Vec::new();
            self.response.fold = None;
            return;
        }
        document.extend_from_slice(bytes);
        if !end {
            return;
        }
        let document = std::mem::take(document);
        let format = self.response.expected.as_ref().and_then(Expected::chat).map(|(_, outbound)| outbound.format);
        let mut dropped = Dropped::default();
        let read = format.zip(Tree::read(&document).ok());
        let reply = read.and_then(|(format, tree)| wire::codec(format).read_reply(&tree, &mut dropped).ok());
        // What the words here cannot say would be lost when the answer is said again.
        match reply.filter(|_| dropped.is_empty()) {
            Some(reply) if self.followed => self.publish(ticket, reply.steps(), out),
            Some(reply) => self.response.fold = Some(Fold::whole(reply)),
            None => self.response.spoilt = true,
        }
    }

    pub(super) fn leading(&self) -> Option<Ticket> {
        let expected = self.response.expected.as_ref()?;
        expected.lead.filter(|_| expected.chat().is_some())
    }
}

/// The events in a row, without what only Weir asked for. `cut` is true when the last one was taken
/// out, or written anew, up to a carriage return: a line feed that comes next is the rest of it.
fn join(events: &[sse::Event], codec: Option<&dyn Codec>, cut: &mut bool) -> Bytes {
    let mut pieces: Vec<Bytes> = Vec::with_capacity(2 * events.len());
    for event in events {
        if std::mem::take(cut) && &event.raw[..] == b"\n" {
            continue;
        }
        match codec.map_or(Trim::Keep, |codec| codec.trim(&event.data)) {
            Trim::Keep => pieces.push(event.raw.clone()),
            Trim::Drop => *cut = event.raw.ends_with(b"\r"),
            Trim::Cut(span) => match place(event) {
                Some(at) => {
                    pieces.push(event.raw.slice(..at + span.start));
                    pieces.push(event.raw.slice(at + span.end..));
                }
                None => {
                    pieces.push(write_without(event, span));
                    *cut = event.raw.ends_with(b"\r");
                }
            },
        }
    }
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([only]) => only,
        Err(pieces) => Bytes::from(pieces.concat()),
    }
}

/// Where in its raw bytes an event's data stands. Data of several lines is no slice of them.
fn place(event: &sse::Event) -> Option<usize> {
    let at = (event.data.as_ptr() as usize).checked_sub(event.raw.as_ptr() as usize)?;
    (at + event.data.len() <= event.raw.len()).then_some(at)
}

/// The event written anew without a part of its data.
fn write_without(event: &sse::Event, span: Span) -> Bytes {
    let name = event.name.as_ref().and_then(|name| std::str::from_utf8(name).ok());
    let data = [&event.data[..span.start], &event.data[span.end..]].concat();
    let mut written = Vec::new();
    sse::write(&mut written, name, &data);
    Bytes::from(written)
}
