//! A model of Envoy 1.40, built from the phase table and from what was seen of it: it takes every action
//! and every message that the adapter writes, refuses what Envoy would refuse, and remembers what the
//! upstream and the client receive.

use std::collections::BTreeMap;

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, HeaderMutation, ImmediateResponse, ProcessingResponse, StreamedBodyResponse,
    StreamedImmediateResponse, body_mutation::Mutation, processing_response::Response,
    streamed_immediate_response as streamed,
};
use prost::Message;
use weir::exchange::event::{Action, Event};
use weir::exchange::phase::{self, BodyMode, Kind, Phase};
use weir::extproc::{Outbox, Outgoing, Writer};

use super::envoy_turns::Turns;

/// What one side received.
#[derive(Debug, Default)]
pub struct Received {
    pub began: bool,
    pub status: u16,
    pub headers: BTreeMap<String, Vec<u8>>,
    pub body: Vec<u8>,
    pub ended: Option<End>,
    /// It was its head alone.
    pub bare: bool,
    /// The proxy reset it.
    pub cut: bool,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Flag,
    Trailers,
}

/// The model.
#[derive(Debug)]
pub struct Envoy {
    pub(super) mode: BodyMode,
    pub(super) phase: Phase,
    pub(super) writer: Writer,
    /// What it waits for, in the modes in which it waits.
    pub(super) turns: Option<Turns>,
    /// How each side shall end its body in this test: by trailers instead of the flag.
    pub request_trailers: bool,
    pub response_trailers: bool,
    pub(super) request: BTreeMap<String, Vec<u8>>,
    pub(super) request_bare: bool,
    pub(super) request_ended: Option<End>,
    pub(super) response: BTreeMap<String, Vec<u8>>,
    pub(super) response_status: u16,
    pub(super) response_bare: bool,
    pub(super) response_ended: Option<End>,
    pub upstream: Received,
    pub client: Received,
    /// The client was answered by Weir itself.
    pub local: bool,
    /// Everything the writer wrote, in order.
    pub messages: Vec<ProcessingResponse>,
    pub(super) acted: Vec<u8>,
}

/// An answer as Envoy reads it from the wire.
pub fn as_read(answer: &Outgoing) -> ProcessingResponse {
    let mut bytes = Vec::new();
    answer.encode(&mut bytes).expect("a vector has room");
    ProcessingResponse::decode(&bytes[..]).expect("what is written can be read")
}

// === impl Envoy ===

impl Envoy {
    pub fn new(mode: BodyMode) -> Envoy {
        Envoy {
            mode,
            phase: Phase::Fresh,
            writer: Writer::new(mode),
            turns: (mode != BodyMode::FullDuplex).then(|| Turns::new(mode)),
            request_trailers: false,
            response_trailers: false,
            request: BTreeMap::new(),
            request_bare: false,
            request_ended: None,
            response: BTreeMap::new(),
            response_status: 0,
            response_bare: false,
            response_ended: None,
            upstream: Received::default(),
            client: Received::default(),
            local: false,
            messages: Vec::new(),
            acted: Vec::new(),
        }
    }

    /// What the other sides do. What Envoy would never send in this phase is not taken in.
    pub fn event(&mut self, event: &Event) {
        let map = |headers: &weir::exchange::event::Headers| {
            headers.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
        };
        match event {
            Event::Request(head, end) if self.phase == Phase::Fresh => {
                self.writer.request_head(*end);
                self.request = map(&head.headers);
                self.request.insert(":path".to_owned(), head.path.clone().into_bytes());
                self.request.insert(":authority".to_owned(), head.authority.clone().into_bytes());
                self.request_bare = *end;
                self.request_ended = end.then_some(End::Flag);
                self.phase = if *end { Phase::Complete } else { Phase::Arriving };
                self.turns.iter_mut().for_each(|turns| turns.request.head = true);
            }
            Event::RequestBody(bytes, end) if self.phase != Phase::Fresh && self.request_ended.is_none() => {
                self.request_body(bytes, *end);
            }
            Event::Response(head, end) => {
                use Phase::{Arriving, Complete, Fresh, Passing, Sent};
                if matches!(self.phase, Fresh | Arriving | Complete | Passing | Sent) {
                    self.response = map(&head.headers);
                    self.response_status = head.status;
                    self.response_bare = *end;
                    self.response_ended = end.then_some(End::Flag);
                    self.phase = if *end { Phase::HeldBare } else { Phase::Held };
                    self.writer.response_head(*end, head.status);
                    self.turns.iter_mut().for_each(Turns::respond);
                }
            }
            Event::Chunk(bytes, end)
                if self.turns.is_some() && matches!(self.phase, Phase::Held | Phase::Streaming) =>
            {
                self.response_turn(bytes, *end);
            }
            Event::Chunk(_, true) if matches!(self.phase, Phase::Held | Phase::Streaming) => {
                if self.response_trailers {
                    self.writer.response_trailers();
                }
                self.response_ended = Some(if self.response_trailers { End::Trailers } else { End::Flag });
            }
            _ => {}
        }
    }

    fn request_body(&mut self, bytes: &Bytes, end: bool) {
        if self.turns.is_some() {
            return self.request_turn(bytes, end);
        }
        if end {
            if self.request_trailers {
                self.writer.request_trailers();
            }
            self.request_ended = Some(if self.request_trailers { End::Trailers } else { End::Flag });
            if self.phase == Phase::Arriving {
                self.phase = Phase::Complete;
            }
        }
        if self.writer.is_passing() && self.upstream.ended.is_none() {
            let mut out = Outbox::default();
            self.writer.echo(bytes.clone(), end, &mut out);
            std::iter::from_fn(|| out.pop()).for_each(|message| self.take(as_read(&message)));
        }
    }

    /// Takes an action, as itself and as what the adapter writes for it.
    pub fn act(&mut self, action: Action) {
        let kind = Kind::of(&action);
        let next = phase::next(self.mode, self.phase, kind);
        self.phase = next.unwrap_or_else(|| panic!("{kind:?} is illegal in {:?}", self.phase));
        if kind == Kind::Pass {
            self.mode = self.mode.passing();
        }
        match &action {
            Action::Emit { bytes, .. } => self.acted.extend_from_slice(bytes),
            Action::Respond(local) => self.acted.extend_from_slice(&local.body),
            _ => {}
        }
        let mut out = Outbox::default();
        self.writer.write(action, &mut out);
        self.take_all(out);
        if self.turns.is_none() {
            assert_eq!(self.acted, self.client.body, "the adapter wrote other bytes than it was given");
        }
    }

    /// The exchange has done what there was to do about an event.
    pub fn settle(&mut self) {
        let mut out = Outbox::default();
        self.writer.settle(&mut out);
        self.take_all(out);
        self.check_turns();
    }

    pub(super) fn take_all(&mut self, mut out: Outbox) {
        std::iter::from_fn(|| out.pop()).for_each(|message| self.take(as_read(&message)));
    }

    /// Takes one message as Envoy would.
    pub fn take(&mut self, message: ProcessingResponse) {
        self.messages.push(message.clone());
        if self.turns.is_some() {
            return self.take_in_turn(message);
        }
        match message.response.expect("a message says something") {
            Response::RequestHeaders(answer) => {
                let common = answer.response.expect("a head is answered with a response");
                self.request_head(common);
            }
            Response::RequestBody(answer) => {
                assert!(self.upstream.began && !self.request_bare, "spurious request body");
                let piece = piece(answer);
                push(&mut self.upstream, &piece, self.request_ended);
            }
            Response::RequestTrailers(_) => {
                assert!(self.upstream.began && self.upstream.ended.is_none(), "spurious request trailers");
                assert_eq!(self.request_ended, Some(End::Trailers));
                self.upstream.ended = Some(End::Trailers);
            }
            Response::ResponseHeaders(answer) => {
                let common = answer.response.expect("a head is answered with a response");
                self.response_head(common);
            }
            Response::ResponseBody(answer) => {
                assert!(self.client.began && !self.response_bare && !self.local, "spurious response body");
                let piece = piece(answer);
                // Weir may end before the upstream does; it may not use the flag once trailers came.
                let by = if piece.end_of_stream && self.response_ended.is_none() {
                    Some(End::Flag)
                } else {
                    self.response_ended
                };
                push(&mut self.client, &piece, by);
            }
            Response::ResponseTrailers(_) => {
                assert!(self.client.began && self.client.ended.is_none(), "spurious response trailers");
                assert_eq!(self.response_ended, Some(End::Trailers));
                self.client.ended = Some(End::Trailers);
            }
            Response::ImmediateResponse(answer) => self.immediate(answer),
            Response::StreamedImmediateResponse(answer) => self.streamed(answer),
        }
    }

    fn request_head(&mut self, common: CommonResponse) {
        assert!(!self.upstream.began && !self.client.began, "the request was answered before");
        assert!(common.clear_route_cache, "the route is chosen anew");
        self.upstream.headers = self.request.clone();
        apply(&mut self.upstream.headers, common.header_mutation.unwrap_or_default());
        self.upstream.began = true;
        self.upstream.bare = self.request_bare;
        self.upstream.ended = self.request_bare.then_some(End::Flag);
    }

    fn response_head(&mut self, common: CommonResponse) {
        assert!(self.response_status != 0 && !self.client.began && !self.local, "no response head to answer");
        self.client.status = self.response_status;
        self.client.headers = self.response.clone();
        apply(&mut self.client.headers, common.header_mutation.unwrap_or_default());
        if let Some(edited) = self.client.headers.remove(":status") {
            self.client.status = status(&edited);
        }
        self.client.began = true;
        self.client.bare = self.response_bare;
        self.client.ended = self.response_bare.then_some(End::Flag);
    }

    pub(super) fn immediate(&mut self, answer: ImmediateResponse) {
        assert!(!self.client.began, "an immediate response after a head");
        let unanswered = !self.upstream.began || self.response_status != 0;
        assert!(unanswered, "an immediate response after the request was sent on and before its answer");
        self.local = true;
        apply(&mut self.client.headers, answer.headers.unwrap_or_default());
        self.client.status = u16::try_from(answer.status.expect("a status").code).expect("a legal status");
        self.client.body.extend_from_slice(&answer.body);
        self.client.began = true;
        self.client.ended = Some(End::Flag);
    }

    fn streamed(&mut self, answer: StreamedImmediateResponse) {
        assert_eq!(self.mode, BodyMode::FullDuplex);
        match answer.response.expect("a streamed answer says something") {
            streamed::Response::HeadersResponse(head) => {
                assert!(!self.client.began && !self.upstream.began && self.response_status == 0);
                assert!(self.request_ended.is_some(), "the untouched request would leave for the default route");
                for field in head.headers.expect("headers").headers {
                    check(&field.key, &field.raw_value);
                    match field.key.as_str() {
                        ":status" => self.client.status = status(&field.raw_value),
                        name => drop(self.client.headers.insert(name.to_owned(), field.raw_value)),
                    }
                }
                self.local = true;
                self.client.began = true;
            }
            streamed::Response::BodyResponse(piece) => {
                assert!(self.local && self.client.began, "a body without a head");
                push(&mut self.client, &piece, Some(End::Flag));
            }
            streamed::Response::TrailersResponse(_) => panic!("local answers have no trailers"),
        }
    }

    /// What must hold when all is over.
    pub fn finish(&self) {
        for (side, name) in [(&self.upstream, "upstream"), (&self.client, "client")] {
            let stated = side.headers.get("content-length");
            let (true, false, Some(stated)) = (side.ended.is_some(), side.bare, stated) else { continue };
            let stated: usize = String::from_utf8_lossy(stated).parse().expect("a number");
            assert_eq!(stated, side.body.len(), "the {name}'s content-length");
        }
        if self.upstream.began && self.request_ended.is_some() && !self.client.began {
            assert_eq!(self.upstream.ended, self.request_ended, "the request's end");
        }
    }
}

fn piece(answer: BodyResponse) -> StreamedBodyResponse {
    let mutation = answer.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation);
    match mutation {
        Some(Mutation::StreamedResponse(piece)) => piece,
        other => panic!("a body answer without a streamed response: {other:?}"),
    }
}

fn push(side: &mut Received, piece: &StreamedBodyResponse, by: Option<End>) {
    assert!(side.ended.is_none(), "a body message after the end");
    assert!(piece.body.len() <= 64 << 10, "a piece of {} bytes", piece.body.len());
    side.body.extend_from_slice(&piece.body);
    if piece.end_of_stream {
        assert_eq!(by, Some(End::Flag), "ended by the flag");
        side.ended = Some(End::Flag);
    }
}

pub(super) fn apply(headers: &mut BTreeMap<String, Vec<u8>>, mutation: HeaderMutation) {
    for name in &mutation.remove_headers {
        assert!(!name.starts_with(':') && name != "host", "{name} cannot be removed");
        headers.remove(name);
    }
    for option in mutation.set_headers {
        let field = option.header.expect("a header");
        assert!(field.value.is_empty(), "both values of {} set", field.key);
        check(&field.key, &field.raw_value);
        headers.insert(field.key, field.raw_value);
    }
}

/// Envoy drops, or fails on, what is no header.
fn check(name: &str, value: &[u8]) {
    let plain = name.strip_prefix(':').unwrap_or(name);
    let legal = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    assert!(legal, "header name {name:?}");
    assert!(value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 127)), "header {name}: {value:?}");
}

fn status(value: &[u8]) -> u16 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a status")
}
