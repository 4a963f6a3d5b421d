//! Ends that are not the answer's own: a limit ran out, the process stops, there is no room.

use std::time::Duration;

use bytes::Bytes;

use super::event::{Action, Stop};
use super::phase::Phase;
use super::record::Outcome;
use super::response::Body;
use super::{Exchange, request};
use crate::base::words::Words;
use crate::llm::{Code, Finish, Format, Refusal};
use crate::wire;

// === impl Exchange ===

impl Exchange {
    pub(super) fn on_stop(&mut self, stop: Stop, out: &mut Vec<Action>) {
        match stop {
            // Kept, so that a request that would pass at once is refused as well.
            Stop::Shed | Stop::Deadline if self.phase == Phase::Fresh => self.early_stop = Some(stop),
            Stop::Shed if self.shed_crossing(overloaded(), out) => {}
            Stop::Shed if self.is_holding_response() => {
                self.response.drop_copy();
                self.drop_items_copy();
                self.give_up_whole(out);
            }
            Stop::Shed => self.refuse(overloaded(), out),
            Stop::Deadline => self.stop_now(out),
            Stop::Leave => self.leave(),
        }
    }

    /// Nothing can be said to the proxy any more, but an open question may still grant something.
    fn leave(&mut self) {
        self.request = request::State::Released(None);
        self.phase = Phase::Done;
    }

    /// Ends what still runs, as well as its phase allows.
    fn stop_now(&mut self, out: &mut Vec<Action>) {
        let refusal = Refusal::new(Code::ShuttingDown, "This proxy is shutting down; ask again.");
        match self.phase {
            Phase::Arriving | Phase::Complete | Phase::Held | Phase::HeldBare => {
                self.refuse_now(refusal, Outcome::Stopped, out);
            }
            Phase::Streaming | Phase::Local if self.can_end_early() => {
                self.end_with_error(&refusal, Outcome::Stopped, out);
            }
            // An end in the middle of a document would pass for its own. It goes on as long as the
            // process does; then the proxy cuts the client.
            Phase::Streaming | Phase::Local => self.tell(Outcome::Stopped, out),
            // Nothing may be said any more, and the process may end before the proxy says that it has
            // left: what was sent on is billed, so its record must not wait.
            Phase::Passing | Phase::Sent => self.tell(Outcome::Stopped, out),
            Phase::Fresh | Phase::Done => {}
        }
    }

    /// A limit ran out: a stream is ended in good order; anything else is let finish.
    pub(super) fn on_cut(&mut self, out: &mut Vec<Action>) {
        if !self.can_cut() {
            return;
        }
        if self.phase == Phase::Held {
            self.open_crossing(None, out);
        }
        let mut bytes = Vec::new();
        if !self.write_end(Finish::Length, &mut bytes) {
            return;
        }
        let limit = self.over.clone().map_or_else(Words::default, Words::Shared);
        self.story.decide("limit", "cut", "exhausted", limit);
        self.emit_last(Bytes::from(bytes), Outcome::Cut, out);
    }

    /// True where a stream can be ended in good order.
    pub(super) fn can_cut(&self) -> bool {
        let Some(expected) = &self.response.expected else { return false };
        let is_written = self.response.writer.is_some();
        match &self.response.body {
            // A stream that passes was not written here: but for a format without open blocks somebody has to know
            // what was sent of it.
            Body::Events if self.phase == Phase::Streaming => match expected.chat() {
                Some((Format::Chat, _)) => !expected.follows || self.response.reader.is_some(),
                _ => is_written,
            },
            Body::Crossing if matches!(self.phase, Phase::Held | Phase::Streaming) => {
                is_written && !self.response.crossed.over()
            }
            _ => false,
        }
    }

    /// True where a body that has begun can be ended so that the client sees that it is not whole.
    pub(super) fn can_end_early(&self) -> bool {
        self.phase == Phase::Local || matches!(self.response.body, Body::Events | Body::Crossing)
    }

    /// Ends a body that has begun with the dialect's error event.
    pub(super) fn end_with_error(&mut self, refusal: &Refusal, outcome: Outcome, out: &mut Vec<Action>) {
        let mut bytes = Vec::new();
        if !self.write_failure(refusal, &mut bytes) {
            let codec = wire::codec_of(self.story.dialect, self.story.operation);
            codec.stream_refusal(refusal, &mut bytes);
        }
        self.story.refusal = Some(refusal.code.as_str());
        self.request = request::State::Released(None);
        self.emit_last(Bytes::from(bytes), outcome, out);
    }
}

/// The refusal of an exchange for which there is no room.
fn overloaded() -> Refusal {
    let refusal = Refusal::new(Code::Overloaded, "Weir is at its limit of work; ask again.");
    refusal.retry_after(Duration::from_secs(1))
}
