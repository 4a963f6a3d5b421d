//! The modes in which Envoy holds what it has sent until it is answered: `BUFFERED` and `STREAMED`. It
//! waits after every part, so each part gets exactly one answer, and none may come unasked.
//!
//! A `BUFFERED` body is sent when it is whole, and only after the head was answered: the head is let go at
//! once with an empty answer, stays held all the same, and is changed by the answer to the body (Envoy 1.40).
//! A `STREAMED` body is answered chunk by chunk, and its head before it. What an exchange says between two
//! chunks waits for the next one.
//!
//! A response can have trailers and no body: then no body is sent, and its end is theirs (Envoy 1.40,
//! `ext_proc.cc`, `onTrailers`). Where something else shall go on in the place of nothing, an immediate response
//! is the only answer that has a body. Behind a head that was answered before, Envoy gives it to a client that
//! has seen nothing yet (seen where all came at once), and cuts any other one, which then does not take an empty
//! answer for a whole one.

use bytes::Bytes;

use super::outbox::Outbox;
use super::outgoing::{Outgoing, Way, What};
use crate::base::words::Words;
use crate::exchange::event::{Edits, Length, Local, Meta, Value};

/// What one direction waits for.
#[derive(Debug)]
pub(super) struct Turn {
    way: Way,
    /// The body comes whole, and its head waits for it.
    buffered: bool,
    /// The head is not answered.
    head: bool,
    /// The head is all there is.
    bare: bool,
    /// Its status, and what was said of its type, where it is a response's.
    status: u16,
    kind: Option<Words>,
    /// A body, or a chunk of one, that is not answered.
    body: Option<Bytes>,
    /// The whole body has come.
    whole: bool,
    /// Trailers that are not answered.
    trailers: bool,
    /// They came after a body that was answered as a whole.
    late: bool,
    /// The body ends by trailers.
    by_trailers: bool,
    /// Changes to a head that was let go and is still held.
    edits: Option<Edits>,
    /// What shall go on in the place of the body, or of the next chunk.
    pieces: Vec<Bytes>,
    /// Some of the body has gone on.
    sent: bool,
    /// What goes with the next answer.
    meta: Meta,
    /// Nothing is answered any more.
    closed: bool,
}

// === impl Turn ===

impl Turn {
    pub fn new(way: Way, buffered: bool) -> Self {
        Turn {
            way,
            buffered,
            head: false,
            bare: false,
            status: 0,
            kind: None,
            body: None,
            whole: false,
            trailers: false,
            late: false,
            by_trailers: false,
            edits: None,
            pieces: Vec::new(),
            sent: false,
            meta: Meta::new(),
            closed: false,
        }
    }

    /// From here on the body comes chunk by chunk.
    pub fn stream(&mut self) {
        self.buffered = false;
    }

    /// The head has come; `status` is a response's.
    pub fn head(&mut self, bare: bool, status: u16) {
        (self.head, self.bare, self.status) = (true, bare, status);
    }

    /// A body, or a chunk, has come. Returns true when nothing of it follows: a buffered body is whole
    /// even where trailers follow, which Envoy keeps until it is answered.
    pub fn body(&mut self, bytes: &Bytes, end: bool) -> bool {
        self.body = Some(bytes.clone());
        self.whole = end || self.buffered;
        self.by_trailers = self.buffered && !end;
        self.whole
    }

    /// Trailers have come. Returns true when it is they that end the body.
    pub fn trailers(&mut self) -> bool {
        self.trailers = true;
        self.by_trailers = true;
        self.late = std::mem::replace(&mut self.whole, true);
        !self.late
    }

    /// The client was answered in another way: whatever still comes gets no answer.
    pub fn close(&mut self) {
        *self = Turn { closed: true, ..Turn::new(self.way, self.buffered) };
    }

    /// The head is answered by other words.
    pub fn take_head(&mut self) {
        self.head = false;
    }

    /// What is said of the length of a body of `bytes`. With trailers nothing is: HTTP/1.1 would have to
    /// drop them.
    pub fn length(&self, bytes: usize) -> Length {
        if self.by_trailers { Length::Unknown } else { Length::Exactly(bytes as u64) }
    }

    /// The head goes on, changed. Where it was let go the changes wait for the body.
    pub fn answer_head(&mut self, edits: Edits, meta: Meta) -> Option<Outgoing> {
        if !std::mem::take(&mut self.head) {
            self.edits = Some(edits);
            self.meta.extend(meta);
            return None;
        }
        let what = match self.way {
            Way::Request => What::RequestHead(edits),
            _ => {
                self.status = edits.status.unwrap_or(self.status);
                self.kind = edits.set.iter().find_map(|(name, value)| match value {
                    Value::Text(text) if *name == *"content-type" => Some(text.clone()),
                    _ => None,
                });
                What::ResponseHead(edits)
            }
        };
        Some(Outgoing { what, meta })
    }

    /// Sends bytes on in the place of what came.
    pub fn emit(&mut self, bytes: Bytes, meta: Meta) {
        if !bytes.is_empty() {
            self.pieces.push(bytes);
        }
        self.meta.extend(meta);
    }

    /// Lets a head go whose body decides, where Envoy would wait for ever.
    pub fn settle_head(&mut self, out: &mut Outbox) {
        if self.head && !self.bare && !self.closed {
            self.head = false;
            out.push(Outgoing::new(What::Continue(self.way)));
        }
    }

    /// Answers the body or chunk that came with what has been said since the last one, then the trailers.
    pub fn settle_body(&mut self, out: &mut Outbox) {
        if self.closed {
            return;
        }
        if let Some(came) = self.body.take() {
            let bytes = self.changed(&came);
            let mut edits = self.edits.take();
            if let (Some(edits), Some(bytes)) = (&mut edits, &bytes) {
                edits.length = self.length(bytes.len());
            }
            self.sent |= !bytes.as_ref().unwrap_or(&came).is_empty();
            let meta = std::mem::take(&mut self.meta);
            out.push(Outgoing { what: What::Held(self.way, edits, bytes), meta });
        }
        if std::mem::take(&mut self.trailers) {
            if self.way == Way::Response && !self.sent && !self.pieces.is_empty() {
                return out.push(self.instead());
            }
            // Bytes that are left have nowhere to go: an event that its stream never finished.
            self.pieces.clear();
            let what = if self.way == Way::Request { What::RequestTrailers } else { What::ResponseTrailers };
            out.push(Outgoing { what, meta: std::mem::take(&mut self.meta) });
        }
    }

    /// Answers trailers of which the exchange learns nothing.
    pub fn settle_late(&mut self, out: &mut Outbox) {
        if std::mem::take(&mut self.late) {
            self.settle_body(out);
        }
    }

    /// The answer that takes the place of one without a body. It ends the exchange with the proxy.
    fn instead(&mut self) -> Outgoing {
        let edits = self.edits.take().unwrap_or_default();
        let set = edits.set.into_iter().filter_map(|(name, value)| match value {
            Value::Text(text) => Some((name, text)),
            Value::Secret { .. } | Value::Original(_) => None,
        });
        let headers = self.kind.take().map(|kind| ("content-type".into(), kind)).into_iter().chain(set);
        let (status, body) = (edits.status.unwrap_or(self.status), Bytes::from(self.pieces.concat()));
        let local = Local { status, headers: headers.collect(), body, meta: Meta::new() };
        let meta = std::mem::take(&mut self.meta);
        self.close();
        Outgoing { what: What::Immediate(local), meta }
    }

    /// What takes the place of what came; none where it is the very same.
    fn changed(&mut self, came: &Bytes) -> Option<Bytes> {
        let pieces = std::mem::take(&mut self.pieces);
        let bytes = match <[Bytes; 1]>::try_from(pieces) {
            Ok([only]) => only,
            Err(pieces) => Bytes::from(pieces.concat()),
        };
        // The chunk is still held here, so the same place is the same bytes.
        let same = bytes.len() == came.len() && (came.is_empty() || bytes.as_ptr() == came.as_ptr());
        (!same).then_some(bytes)
    }
}
