//! What is still to be sent to Envoy, in order. A body is kept as it is and becomes messages one by
//! one, as they are sent, so that a large request is not held twice and what is held is counted.

use std::collections::VecDeque;

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, StreamedBodyResponse, StreamedImmediateResponse, body_mutation,
    processing_response::Response, streamed_immediate_response as streamed,
};

use super::outgoing::Outgoing;
use super::write::message;
use crate::exchange::event::Meta;

/// Envoy recommends body messages of at most this size.
pub const CHUNK: usize = 64 << 10;

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Response,
    /// A local answer that is streamed.
    Local,
}

/// The messages of one stream that Envoy has no room for yet.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Part>,
    held: usize,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most parts are messages, and a box would be an allocation for each")]
enum Part {
    Message(Outgoing),
    Body(Body),
}

/// A part of a body. The last message made of it says whether the body ends, and carries `meta`.
#[derive(Debug)]
struct Body {
    way: Way,
    rest: Bytes,
    end: bool,
    meta: Meta,
}

// === impl Outbox ===

impl Outbox {
    /// The next message, if there is one.
    pub fn pop(&mut self) -> Option<Outgoing> {
        if let Some(Part::Body(body)) = self.queue.front_mut()
            && body.rest.len() > CHUNK
        {
            self.held -= CHUNK;
            return Some(chunk(body.way, body.rest.split_to(CHUNK), false, Meta::new()));
        }
        Some(match self.queue.pop_front()? {
            Part::Message(message) => message,
            Part::Body(Body { way, rest, end, meta }) => {
                self.held -= rest.len();
                chunk(way, rest, end, meta)
            }
        })
    }

    /// Bytes of bodies in it.
    pub fn held(&self) -> usize {
        self.held
    }

    pub(super) fn push(&mut self, message: Outgoing) {
        self.queue.push_back(Part::Message(message));
    }

    pub(super) fn push_body(&mut self, way: Way, bytes: Bytes, end: bool, meta: Meta) {
        self.held += bytes.len();
        self.queue.push_back(Part::Body(Body { way, rest: bytes, end, meta }));
    }
}

fn chunk(way: Way, piece: Bytes, end_of_stream: bool, meta: Meta) -> Outgoing {
    // Bytes that nobody shares are not copied here.
    let body = StreamedBodyResponse { body: Vec::from(piece), end_of_stream, ..StreamedBodyResponse::default() };
    let response = match way {
        Way::Request => Response::RequestBody(streamed_body(body)),
        Way::Response => Response::ResponseBody(streamed_body(body)),
        Way::Local => Response::StreamedImmediateResponse(StreamedImmediateResponse {
            response: Some(streamed::Response::BodyResponse(body)),
        }),
    };
    message(response, meta)
}

fn streamed_body(body: StreamedBodyResponse) -> BodyResponse {
    let mutation = BodyMutation { mutation: Some(body_mutation::Mutation::StreamedResponse(body)) };
    BodyResponse { response: Some(CommonResponse { body_mutation: Some(mutation), ..CommonResponse::default() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_is_cut_as_it_is_sent_and_counted_until_it_is_gone() {
        let mut outbox = Outbox::default();
        outbox.push_body(Way::Request, Bytes::from(vec![7; 2 * CHUNK + 1]), true, Meta::new());
        let mut left = Vec::new();
        while outbox.pop().is_some() {
            left.push(outbox.held());
        }
        assert_eq!(left, [CHUNK + 1, 1, 0]);
    }
}
