//! The model of Envoy in the modes in which it waits for the answer to each part that it has sent: a part gets
//! one answer, and none comes unasked.

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, ProcessingResponse, body_mutation::Mutation, processing_response::Response,
};
use weir::exchange::event::Event;
use weir::exchange::phase::{self, BodyMode, Phase};

use super::envoy::{End, Envoy, apply};

/// What one direction waits for.
#[derive(Debug, Default)]
pub struct Turn {
    buffered: bool,
    pub head: bool,
    /// A head that was answered and is held until its body is.
    let_go: bool,
    body: Option<(Bytes, bool)>,
    trailers: bool,
    /// What has come of a body that is sent when it is whole.
    gathered: Vec<u8>,
    /// Nothing has come of it when its trailers do: they alone are sent.
    bodiless: bool,
}

/// Both directions.
#[derive(Debug)]
pub struct Turns {
    pub request: Turn,
    pub response: Turn,
    over: bool,
}

// === impl Turns ===

impl Turns {
    pub fn new(mode: BodyMode) -> Turns {
        let turn = |buffered| Turn { buffered, ..Turn::default() };
        Turns { request: turn(true), response: turn(mode == BodyMode::Buffered), over: false }
    }

    /// A response has begun: the request's side is over.
    pub fn respond(&mut self) {
        self.request = Turn::default();
        self.response.head = true;
    }
}

// === impl Turn ===

impl Turn {
    /// The parts in which a body, of which this has come, is sent.
    fn parts(&mut self, bytes: Bytes, end: bool, by_trailers: bool) -> Vec<(Bytes, bool)> {
        if self.buffered {
            self.gathered.extend_from_slice(&bytes);
            if end && by_trailers && self.gathered.is_empty() {
                self.bodiless = true;
            }
            return if end { vec![(std::mem::take(&mut self.gathered).into(), true)] } else { Vec::new() };
        }
        match end && by_trailers && !bytes.is_empty() {
            true => vec![(bytes, false), (Bytes::new(), true)],
            false => vec![(bytes, end)],
        }
    }

    /// The bytes that go on where this is the answer to a body, and whether it ends.
    fn answered(&mut self, answer: &BodyResponse) -> (Vec<u8>, bool) {
        let (bytes, end) = self.body.take().expect("a body that waits for an answer");
        let common = answer.response.as_ref().expect("a body is answered with a response");
        match common.body_mutation.as_ref().and_then(|body| body.mutation.as_ref()) {
            None => (bytes.to_vec(), end),
            Some(Mutation::Body(other)) => (other.clone(), end),
            other => panic!("{other:?} in an answer to a body that is held"),
        }
    }
}

// === impl Envoy ===

impl Envoy {
    /// The events that Weir sees of one that happens.
    pub fn parts(&mut self, event: Event) -> Vec<Event> {
        let (request_trailers, response_trailers) = (self.request_trailers, self.response_trailers);
        let sends = self.phase == Phase::Arriving || self.writer.is_passing();
        let Some(turns) = &mut self.turns else { return vec![event] };
        match event {
            Event::RequestBody(bytes, end) if sends => {
                let parts = turns.request.parts(bytes, end, request_trailers);
                parts.into_iter().map(|(bytes, end)| Event::RequestBody(bytes, end)).collect()
            }
            Event::Chunk(bytes, end) if matches!(self.phase, Phase::Held | Phase::Streaming) => {
                let parts = turns.response.parts(bytes, end, response_trailers);
                parts.into_iter().map(|(bytes, end)| Event::Chunk(bytes, end)).collect()
            }
            event => vec![event],
        }
    }

    /// A part of a request's body is sent to Weir.
    pub fn request_turn(&mut self, bytes: &Bytes, end: bool) {
        if self.phase != Phase::Arriving && !self.writer.is_passing() {
            return;
        }
        let turn = &mut self.turns.as_mut().expect("a mode with turns").request;
        let by_trailers = end && self.request_trailers;
        if by_trailers && (!turn.buffered || turn.bodiless) {
            turn.trailers = true;
            assert!(self.writer.request_trailers(), "the trailers end the body");
        } else {
            turn.body = Some((bytes.clone(), end && !by_trailers));
            assert_eq!(self.writer.request_body(bytes, end && !by_trailers), end);
        }
        if end {
            self.request_ended = Some(if by_trailers { End::Trailers } else { End::Flag });
            if self.phase == Phase::Arriving {
                self.phase = Phase::Complete;
            }
        }
        if self.writer.is_passing() && self.upstream.ended.is_none() {
            let mut out = weir::extproc::Outbox::default();
            self.writer.echo(bytes.clone(), end, &mut out);
            self.take_all(out);
        }
    }

    /// A part of a response's body is sent to Weir.
    pub fn response_turn(&mut self, bytes: &Bytes, end: bool) {
        let turns = self.turns.as_mut().expect("a mode with turns");
        if turns.over {
            return;
        }
        let by_trailers = end && self.response_trailers;
        if by_trailers && (!turns.response.buffered || turns.response.bodiless) {
            turns.response.trailers = true;
            assert!(self.writer.response_trailers(), "the trailers end the body");
        } else {
            turns.response.body = Some((bytes.clone(), end && !by_trailers));
            assert_eq!(self.writer.response_body(bytes, end && !by_trailers), end);
        }
        if end {
            self.response_ended = Some(if by_trailers { End::Trailers } else { End::Flag });
        }
    }

    /// Takes one answer as Envoy would.
    pub fn take_in_turn(&mut self, message: ProcessingResponse) {
        let overrides = message.mode_override.is_some();
        let turns = self.turns.as_mut().expect("a mode with turns");
        assert!(!turns.over, "an answer after the last one: {message:?}");
        match message.response.expect("a message says something") {
            Response::RequestHeaders(answer) => {
                let common = answer.response.expect("a head is answered with a response");
                self.request_head_turn(common, overrides);
            }
            Response::RequestBody(answer) => self.request_body_turn(&answer),
            Response::RequestTrailers(_) => {
                assert!(std::mem::take(&mut turns.request.trailers), "nobody asked about request trailers");
                self.upstream.ended = Some(End::Trailers);
            }
            Response::ResponseHeaders(answer) => {
                assert!(std::mem::take(&mut turns.response.head), "nobody asked about a response head");
                turns.response.let_go = turns.response.buffered && !self.response_bare;
                let held = turns.response.let_go;
                self.client.status = self.response_status;
                self.client.headers = self.response.clone();
                let common = answer.response.expect("a head is answered with a response");
                apply(&mut self.client.headers, common.header_mutation.unwrap_or_default());
                self.client.bare = self.response_bare;
                self.client.began = !held;
                self.client.ended = self.response_bare.then_some(End::Flag);
            }
            Response::ResponseBody(answer) => self.response_body_turn(&answer),
            Response::ResponseTrailers(_) => {
                assert!(std::mem::take(&mut turns.response.trailers), "nobody asked about response trailers");
                self.client.ended = Some(End::Trailers);
            }
            Response::ImmediateResponse(answer) => {
                turns.over = true;
                // Behind a head that has gone on it resets the client's stream.
                if std::mem::take(&mut self.client.began) {
                    assert!(self.client.body.is_empty() && turns.response.trailers, "{answer:?}");
                    self.client.cut = true;
                }
                self.client.headers.clear();
                self.immediate(answer);
            }
            Response::StreamedImmediateResponse(_) => panic!("there is no such answer in {:?}", self.mode),
        }
    }

    fn request_head_turn(&mut self, common: CommonResponse, overrides: bool) {
        let turns = self.turns.as_mut().expect("a mode with turns");
        assert!(std::mem::take(&mut turns.request.head), "nobody asked about a request head");
        if overrides {
            (turns.request.buffered, turns.response.buffered) = (false, false);
        }
        if common == CommonResponse::default() {
            assert!(!self.request_bare && !overrides, "the request would leave as it is");
            turns.request.let_go = true;
            return;
        }
        self.begin_request(common);
        self.upstream.ended = self.request_bare.then_some(End::Flag);
    }

    fn begin_request(&mut self, common: CommonResponse) {
        assert!(common.clear_route_cache, "the route is chosen anew");
        self.upstream.headers = self.request.clone();
        apply(&mut self.upstream.headers, common.header_mutation.unwrap_or_default());
        self.upstream.began = true;
        self.upstream.bare = self.request_bare;
    }

    fn request_body_turn(&mut self, answer: &BodyResponse) {
        let turns = self.turns.as_mut().expect("a mode with turns");
        let (bytes, end) = turns.request.answered(answer);
        let buffered = turns.request.buffered;
        if std::mem::take(&mut turns.request.let_go) {
            self.begin_request(answer.response.clone().unwrap_or_default());
        }
        assert!(self.upstream.began, "a body without a head");
        self.upstream.body.extend_from_slice(&bytes);
        self.upstream.ended = end.then_some(End::Flag);
        if buffered && !end {
            // Trailers that follow a buffered body are sent when it was answered.
            self.turns.iter_mut().for_each(|turns| turns.request.trailers = true);
            assert!(!self.writer.request_trailers(), "the body was whole");
        }
    }

    fn response_body_turn(&mut self, answer: &BodyResponse) {
        let turns = self.turns.as_mut().expect("a mode with turns");
        let (bytes, end) = turns.response.answered(answer);
        let buffered = turns.response.buffered;
        let changes = answer.response.clone().and_then(|common| common.header_mutation);
        if std::mem::take(&mut turns.response.let_go) {
            apply(&mut self.client.headers, changes.unwrap_or_default());
            self.client.began = true;
        } else {
            assert_eq!(changes, None, "the head has gone on");
        }
        self.client.body.extend_from_slice(&bytes);
        self.client.ended = end.then_some(End::Flag);
        if buffered && !end {
            self.turns.iter_mut().for_each(|turns| turns.response.trailers = true);
            assert!(!self.writer.response_trailers(), "the body was whole");
            self.settle();
        }
    }

    /// What must hold between two events.
    pub fn check_turns(&self) {
        assert!(phase::may_wait(self.mode, self.phase), "it stands still in {:?}", self.phase);
        let Some(turns) = self.turns.as_ref().filter(|turns| !turns.over) else { return };
        assert!(!turns.request.head || self.request_bare, "the request's body never comes");
        assert!(!turns.response.head || self.response_bare, "the response's body never comes");
        assert!(turns.response.body.is_none() && !turns.response.trailers, "a part of the response has no answer");
        assert!(self.acted.starts_with(&self.client.body), "the adapter wrote other bytes than it was given");
        let whole = turns.response.buffered || !self.response_trailers;
        if self.client.ended.is_some() && whole {
            assert_eq!(self.acted, self.client.body, "something was left behind");
        }
    }
}
