//! What is still to be sent to Envoy, in order. A body is kept as it is and becomes messages one by
//! one, as they are sent, so that a large request is not held twice and what is held is counted.

use std::collections::VecDeque;

use bytes::Bytes;

use super::outgoing::{Outgoing, Way, What};
use crate::exchange::event::Meta;

/// Envoy recommends body messages of at most this size.
pub const CHUNK: usize = 64 << 10;

/// The messages of one stream that Envoy has no room for yet. A streamed body in it may be of any size; the last
/// message made of it says whether it ends, and carries its metadata.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Outgoing>,
    held: usize,
}

// === impl Outbox ===

impl Outbox {
    /// The next message, if there is one.
    pub fn pop(&mut self) -> Option<Outgoing> {
        match &mut self.queue.front_mut()?.what {
            What::Body(way, rest, _) if rest.len() > CHUNK => {
                self.held -= CHUNK;
                return Some(Outgoing::new(What::Body(*way, rest.split_to(CHUNK), false)));
            }
            what => self.held -= held(what),
        }
        self.queue.pop_front()
    }

    /// Bytes of bodies in it.
    pub fn held(&self) -> usize {
        self.held
    }

    pub(super) fn push(&mut self, message: Outgoing) {
        self.held += held(&message.what);
        self.queue.push_back(message);
    }

    pub(super) fn push_body(&mut self, way: Way, bytes: Bytes, end: bool, meta: Meta) {
        self.push(Outgoing { what: What::Body(way, bytes, end), meta });
    }
}

/// Bytes of a body in a message.
fn held(what: &What) -> usize {
    match what {
        What::Body(_, bytes, _) | What::Held(_, _, Some(bytes)) => bytes.len(),
        _ => 0,
    }
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
