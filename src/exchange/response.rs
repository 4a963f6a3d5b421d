//! The response's side: what comes back is metered while it passes, edited where Weir itself caused
//! a difference, and held only where a header has to wait for it.

use bytes::Bytes;

use super::Exchange;
use super::carried::Carried;
use super::choose::may_have_run;
use super::event::{Action, Edits, Length, Meta, ResponseHead};
use super::expected::{Crossed, Expected};
use super::explain::EXPLAIN_HEADER;
use super::local_reply::{LOCAL_REPLY_HEADER, code_of, is_local_reply};
use super::phase::Phase;
use super::record::Outcome;
use super::request;
use super::rope::Rope;
use crate::llm::{Fold, Usage};
use crate::wire::decode::{Decoder, Limits};
use crate::wire::opaque::Meter;
use crate::wire::scan::Seen;
use crate::wire::{self, StreamReader, StreamWriter};

/// How much of a local reply of the proxy's is read.
const LOCAL_REPLY: usize = 4 << 10;

/// Where the response's side stands.
#[derive(Default)]
pub(super) struct State {
    pub expected: Option<Expected>,
    pub meter: Option<Meter>,
    pub(super) body: Body,
    status: u16,
    ended: bool,
    /// The proxy marked it as its own.
    is_marked: bool,
    /// The proxy answered because the connection broke on which the request was sent.
    pub broke: bool,
    /// A document of which a leader's answer is made.
    pub document: Vec<u8>,
    /// What a leader has published, for the entry to keep.
    pub fold: Option<Fold>,
    /// What a leader got is not fit to be handed on.
    pub spoilt: bool,
    /// The end of what a leader got was read: what follows it is no part of it.
    pub read_end: bool,
    /// See `watch::join`.
    pub cut_at_return: bool,
    /// Reads the events of a chat, where somebody wants to know what they say.
    pub reader: Option<Box<dyn StreamReader>>,
    /// Writes them anew.
    pub writer: Option<Box<dyn StreamWriter>>,
    /// What the events say of the usage; the meter knows better where it can read them.
    pub usage: Option<Usage>,
    /// What the provider states where the meter does not look: in a header, or in words of its own.
    pub stated: Option<Usage>,
    /// How far an answer is that is written anew.
    pub crossed: Crossed,
    /// What its provider said of asking again.
    pub carried: Carried,
    /// The content coding of an answer that is written anew.
    coding: Option<String>,
    /// The provider's headers about its rates: name, the name they are moved to, value.
    pub moved_rates: Vec<(String, String, String)>,
    /// Text from here on came and was not sent: the stream was ended before it.
    pub unsent_from: Option<u64>,
}

/// What happens to the body.
#[derive(Default)]
pub(super) enum Body {
    #[default]
    None,
    /// It goes on as it comes.
    Flow,
    /// It goes on event by event, so that it can be edited, or ended between two.
    Events,
    /// Its head waits for it.
    Whole(Rope),
    /// It is written anew, event by event.
    Crossing,
    /// It is written anew when all of it is there.
    CrossingWhole(Rope),
    /// A provider's error, to be said in another format. `kind` is AWS's header.
    Fault { text: Vec<u8>, kind: Option<String> },
    /// The proxy's own words, to be said in the client's dialect.
    LocalReply(Vec<u8>),
    /// Nothing more is expected.
    Over,
}

// === impl State ===

impl State {
    /// The body as its provider wrote it, of at most `most` bytes; nothing where it has more, or where its coding
    /// cannot be read.
    pub fn decoded(&self, body: &Bytes, most: usize) -> Option<Bytes> {
        let Some(coding) = &self.coding else { return Some(body.clone()) };
        let mut decoder = Decoder::new(coding, Limits { max_bytes: most as u64, ..Limits::default() }).ok()?;
        let mut plain = Vec::new();
        decoder.push(body, &mut plain).ok()?;
        Some(Bytes::from(plain))
    }

    /// Nothing more is published, and nothing kept.
    pub fn stop_leading(&mut self) {
        if let Some(expected) = &mut self.expected {
            expected.lead = None;
        }
        self.fold = None;
        self.document = Vec::new();
    }

    /// Bytes held.
    pub fn buffered(&self) -> usize {
        let held = match &self.body {
            Body::Whole(held) | Body::CrossingWhole(held) => held.len(),
            Body::LocalReply(text) | Body::Fault { text, .. } => text.len(),
            _ => 0,
        };
        held + self.document.len()
            + self.meter.as_ref().map_or(0, |meter| meter.carried() + meter.kept())
            + self.fold.as_ref().map_or(0, Fold::len)
            + self.reader.as_ref().map_or(0, |reader| reader.held())
            + self.writer.as_ref().map_or(0, |writer| writer.held())
    }

    pub fn seen(&self) -> Option<&Seen> {
        self.meter.as_ref().map(Meter::seen)
    }

    pub fn is_stream(&self) -> bool {
        self.meter.as_ref().is_some_and(Meter::is_events)
    }

    /// The status of the answer, if one began.
    pub fn upstream_status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// Decoded bytes of text, if the answer could be read to where it got.
    pub fn text_bytes(&self) -> Option<u64> {
        let Some(meter) = &self.meter else { return Some(0) };
        let readable = meter.blind().is_none() && meter.is_readable();
        readable.then(|| self.unsent_from.unwrap_or(meter.seen().text_bytes))
    }

    /// The text that was kept; nothing is kept any more.
    pub fn take_text(&mut self) -> Option<Vec<u8>> {
        self.meter.as_mut().and_then(Meter::take_text)
    }

    /// True when a copy of what passes is kept: text to be counted, or a leader's answer.
    pub fn keeps_copy(&self) -> bool {
        self.fold.is_some() || !self.document.is_empty() || self.meter.as_ref().is_some_and(Meter::keeps_text)
    }

    /// Gives the copies up. The estimate stands, and a leader's answer is remembered by nobody; where it
    /// is a document, it is published to nobody either.
    pub fn drop_copy(&mut self) {
        self.take_text();
        self.fold = None;
        self.document = Vec::new();
    }

    /// Part of the answer could not be read, so that what was read of it is not all.
    pub fn is_blind(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| meter.blind().is_some())
    }

    /// True when the answer's own end was seen, or when nothing tells its end but the connection's.
    pub fn was_complete(&self) -> bool {
        let Some(meter) = &self.meter else { return self.ended };
        if self.crossed.on && self.status < 400 {
            return self.crossed.complete;
        }
        match &self.expected {
            Some(expected) if expected.is_media && self.ended => true,
            Some(_) => meter.is_complete() || (self.ended && meter.blind().is_some()),
            None => self.ended,
        }
    }

    /// Forgets what was held.
    pub fn release(&mut self) {
        self.body = Body::Over;
        self.reader = None;
        self.writer = None;
        self.fold = None;
        self.document = Vec::new();
    }
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn on_response(&mut self, head: ResponseHead, end: bool, out: &mut Vec<Action>) {
        // A filter before this one can answer so early that not even the request's head came here.
        if self.phase == Phase::Fresh {
            self.story.started = self.now.mono;
            self.story.started_unix = self.now.unix_nanos;
        }
        let early = self.phase.is_unanswered();
        if !early && !matches!(self.phase, Phase::Fresh | Phase::Passing | Phase::Sent) {
            return;
        }
        self.phase = if end { Phase::HeldBare } else { Phase::Held };
        if early {
            // The proxy answered by itself; the request is never answered any more.
            self.request = request::State::Released(None);
        }
        self.story.left = true;
        self.story.status = head.status;
        self.story.timings.wait = self.story.sent_at.map(|sent| self.now.mono.since(sent));
        self.response.status = head.status;
        self.response.ended = end;
        self.end_last_attempt(&head, end, out);
        self.move_rates(&head);
        self.response.is_marked = head.headers.get(LOCAL_REPLY_HEADER).is_some();
        self.response.broke = may_have_run(&head);
        let (kind, coding) = (head.headers.get("content-type"), head.headers.get("content-encoding"));
        let mut meter = Meter::new(kind, coding, self.profile.bodies.max_event);
        if head.status < 400 && self.response.expected.is_some() && self.counts_output() {
            meter.keep_text(self.profile.bodies.max_capture);
        }
        if self.response.expected.as_ref().is_some_and(|expected| expected.is_media) {
            meter.let_flow();
        }
        self.response.meter = Some(meter);
        let held = wire::detect(&self.story.method, &self.story.path).held;
        let replied = held && head.status >= 400 && (early || is_local_reply(&head));
        // A stream in another framing, and an error, are not the client's; a document is.
        let reframes = self.response.expected.as_ref().is_some_and(Expected::reframes);
        let crosses = self.writes_anew(head.status) || (reframes && (head.status >= 400 || self.response.is_stream()));
        if crosses {
            self.response.coding = coding.filter(|coding| coding.trim() != "identity").map(str::to_owned);
        }
        match end {
            true if replied && early && code_of(head.status).status() == head.status => self.say_bare(out),
            true if crosses && !replied => self.cross_bare(&head, out),
            true => self.head_alone(out),
            false if crosses && !replied => self.begin_crossing(&head, out),
            false if replied => self.begin_local_reply(out),
            false if self.holds_whole(&head) => self.response.body = Body::Whole(Rope::default()),
            false => self.open_flow(out),
        }
        self.see_whether_it_can_be_ended(out);
    }

    /// True when a header that the profile lists has to wait for the body.
    fn holds_whole(&self, head: &ResponseHead) -> bool {
        let room = self.profile.bodies.max_response_hold as u64;
        let fits = head.headers.content_length().is_none_or(|length| length <= room);
        let waits = self.profile.response_headers.wait_for_usage() && self.response.expected.is_some();
        waits && fits && !self.response.is_stream() && self.setup.mode.holds_responses()
    }

    /// The response is its head.
    fn head_alone(&mut self, out: &mut Vec<Action>) {
        let outcome = self.outcome();
        let bill = self.bill();
        let mut edits = self.head_edits();
        edits.meta.extend(self.closing_meta(&bill, outcome));
        self.response.release();
        self.push(Action::Head(edits), out);
        self.tell_bill(outcome, &bill, out);
    }

    /// Answers the head and lets the body go on.
    fn open_flow(&mut self, out: &mut Vec<Action>) {
        let events = self.response.expected.is_some()
            && self.response.meter.as_ref().is_some_and(|meter| meter.is_events() && meter.is_plain());
        self.response.body = if events { Body::Events } else { Body::Flow };
        let mut edits = self.head_edits();
        // Events may be taken out, and the stream may be ended between two: no length may be announced.
        edits.length = if events { Length::Unknown } else { Length::Kept };
        self.push(Action::Head(edits), out);
    }

    pub(super) fn head_edits(&self) -> Edits {
        let mut edits = Edits::default();
        if self.response.is_marked {
            edits.remove.push(LOCAL_REPLY_HEADER.into());
        }
        let wanted = &self.profile.response_headers;
        if wanted.request_id {
            edits.set("x-weir-request-id", &self.story.id);
        }
        if let Some(reason) = self.reason() {
            edits.set(EXPLAIN_HEADER, reason);
        }
        let Some(target) = self.story.backend() else { return edits };
        if wanted.backend {
            edits.set("x-weir-backend", &target.backend.name);
        }
        if wanted.model && !target.model.is_empty() {
            edits.set("x-weir-model", &target.model);
        }
        self.cache_edits(&mut edits);
        self.tell_standing_in(&mut edits);
        edits
    }

    pub(super) fn on_chunk(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Held | Phase::Streaming) {
            return;
        }
        self.story.response_bytes += bytes.len() as u64;
        self.response.ended |= end;
        if self.story.timings.first_byte.is_none() && !bytes.is_empty() {
            self.story.timings.first_byte = Some(self.story.age(self.now.mono));
        }
        match self.is_rationed() {
            true => self.ration(bytes, end, out),
            false => self.pass_chunk(bytes, end, out),
        }
    }

    /// Does with a piece what is to be done with this body.
    pub(super) fn pass_chunk(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        match &mut self.response.body {
            Body::LocalReply(text) => {
                let room = LOCAL_REPLY.saturating_sub(text.len()).min(bytes.len());
                text.extend_from_slice(&bytes[..room]);
                if end {
                    self.say_local_reply(out);
                }
            }
            Body::Whole(held) => {
                held.push(bytes.clone());
                let over = held.len() > self.profile.bodies.max_response_hold;
                self.watch(&bytes, end, out);
                match (end, over) {
                    (true, _) => self.send_whole(out),
                    (false, true) => self.give_up_whole(out),
                    _ => {}
                }
            }
            Body::Flow => {
                self.watch(&bytes, end, out);
                self.emit(bytes, end, out);
            }
            Body::Events => {
                let bytes = self.watch_events(bytes, end, out);
                self.emit(bytes, end, out);
            }
            Body::Crossing | Body::CrossingWhole(_) | Body::Fault { .. } => self.on_crossing_chunk(bytes, end, out),
            Body::None | Body::Over => {}
        }
    }

    /// Sends a piece of the body; the last one with what there is to tell.
    pub(super) fn emit(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        if !end {
            if !bytes.is_empty() {
                self.push(Action::Emit { bytes, end, meta: Meta::new() }, out);
            }
            return;
        }
        let outcome = self.outcome();
        self.emit_last(bytes, outcome, out);
    }

    pub(super) fn emit_last(&mut self, bytes: Bytes, outcome: Outcome, out: &mut Vec<Action>) {
        let bill = self.bill();
        let meta = self.closing_meta(&bill, outcome);
        self.push(Action::Emit { bytes, end: true, meta }, out);
        self.remember(outcome == Outcome::Completed, bill.cost, out);
        self.response.release();
        self.allowance.release();
        self.tell_bill(outcome, &bill, out);
    }

    /// The whole body is there: its head goes first, with what it waited for.
    fn send_whole(&mut self, out: &mut Vec<Action>) {
        let Body::Whole(held) = std::mem::take(&mut self.response.body) else { return };
        let bill = self.bill();
        let mut edits = self.head_edits();
        self.bill_headers(&mut edits, &bill);
        self.push(Action::Head(edits), out);
        // An empty body has an end as well.
        let mut pieces = held.into_pieces();
        let last = pieces.pop().unwrap_or_default();
        for bytes in pieces {
            self.emit(bytes, false, out);
        }
        self.emit(last, true, out);
    }

    /// The body is larger than what is held for a header: it goes on without that header.
    pub(super) fn give_up_whole(&mut self, out: &mut Vec<Action>) {
        let held = match std::mem::take(&mut self.response.body) {
            Body::Whole(held) => held,
            other => return self.response.body = other,
        };
        self.open_flow(out);
        for bytes in held.into_pieces() {
            self.emit(bytes, false, out);
        }
    }
}
