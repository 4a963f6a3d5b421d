//! A stream that may have to be ended, piece by piece. One that brings more than was taken waits until more is;
//! where no more is to be had the stream ends before it, in the client's words for an answer that reached its length.

use bytes::Bytes;

use super::Exchange;
use super::event::Action;
use super::response::Body;
use crate::llm::Dropped;
use crate::tokens::learned::Key;

/// What comes while a piece waits is kept up to here; beyond it the stream ends.
const WAITING: usize = 1 << 20;

// === impl Exchange ===

impl Exchange {
    /// What comes may have to wait.
    pub(super) fn is_rationed(&self) -> bool {
        self.allowance.is_short() || self.allowance.held.is_some()
    }

    /// The answer can be ended, and it can be told how much of it came.
    pub(super) fn can_be_rationed(&self) -> bool {
        self.can_cut() && self.output_so_far().is_some()
    }

    /// Takes a chunk of such a stream.
    pub(super) fn ration(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        self.allowance.waiting.push_back((bytes, end));
        self.go_on(out);
        if self.allowance.held.is_some() && self.allowance.buffered() > WAITING {
            self.allowance.over = true;
            self.go_on(out);
        }
    }

    /// Lets pieces through until one has to wait, or none is left.
    fn go_on(&mut self, out: &mut Vec<Action>) {
        if self.allowance.held.is_some() && !self.let_through(out) {
            return;
        }
        while let Some((bytes, end)) = self.allowance.next() {
            match &self.response.body {
                Body::Events => {
                    let pieces = self.watch_events(bytes, end, out);
                    self.allowance.held = Some((pieces, end));
                }
                Body::Crossing if !self.response.crossed.over() => {
                    if let Some(meter) = &mut self.response.meter {
                        meter.push(&bytes);
                    }
                    self.allowance.held = Some((Bytes::new(), end));
                }
                _ => {
                    self.pass_chunk(bytes, end, out);
                    continue;
                }
            }
            if !self.let_through(out) {
                return;
            }
        }
    }

    /// Sends the piece on that was just read. False where it has to wait, or the stream ends before it.
    fn let_through(&mut self, out: &mut Vec<Action>) -> bool {
        // What is complete was made and is billed, whoever gets it.
        let is_complete = self.response.was_complete();
        if self.allowance.is_short() && !is_complete && !self.can_be_rationed() {
            self.take_rest(out);
        }
        let taken = self.allowance.taken.unwrap_or(u64::MAX);
        let (used, text) = self.output_so_far().unwrap_or((0, self.allowance.sent));
        let brings = text > self.allowance.sent;
        if brings && used > taken && !is_complete {
            match self.allowance.over {
                true => self.cut(out),
                false => self.ask_for_more(used - taken, out),
            }
            return false;
        }
        self.allowance.sent = text;
        if brings && used.saturating_add(self.allowance.step / 2) > taken && !self.allowance.over {
            self.ask_for_more(0, out);
        }
        let Some((pieces, end)) = self.allowance.held.take() else { return true };
        match self.response.body {
            Body::Crossing => self.cross_pushed(end, out),
            _ => {
                self.follow_said();
                self.emit(pieces, end, out);
            }
        }
        true
    }

    /// The writer that may have to end the stream learns what was sent.
    pub(super) fn follow_said(&mut self) {
        let mut written = Vec::new();
        for delta in self.allowance.said.drain(..) {
            self.response.crossed.choices.see(&delta);
            if let Some(writer) = &mut self.response.writer {
                writer.write(&delta, &mut written, &mut Dropped::default());
                written.clear();
            }
        }
        // Behind what cannot be read nobody knows any more what is open.
        if self.allowance.is_unreadable {
            self.response.writer = None;
        }
    }

    /// Ends the stream before the piece that waits.
    fn cut(&mut self, out: &mut Vec<Action>) {
        self.response.unsent_from = Some(self.allowance.sent);
        self.allowance.release();
        self.over = self.allowance.out_of.clone();
        self.on_cut(out);
    }

    /// Tokens of what came so far, as its text is estimated or its provider states them on the way, and bytes of the
    /// text.
    pub(super) fn output_so_far(&self) -> Option<(u64, u64)> {
        let (text, target) = (self.response.text_bytes()?, self.story.target.as_ref()?);
        let key = Key { backend: &target.backend.name, model: &target.model };
        let stated = self.response.seen().and_then(|seen| seen.usage).map_or(0, |usage| usage.total_output());
        Some((self.setup.learned.estimate_output(key, text).max(stated), text))
    }

    /// Goes on, now that a question is answered: takes what is owed, and lets a piece through that waits.
    pub(super) fn try_held(&mut self, out: &mut Vec<Action>) {
        if self.allowance.owes {
            self.take_rest(out);
        }
        if self.allowance.held.is_some() && self.is_answering() {
            self.go_on(out);
        }
    }

    /// A piece of the answer waits until more is taken: what came is answered when it goes on.
    pub fn is_waiting_for_more(&self) -> bool {
        self.allowance.held.is_some() && self.is_answering()
    }
}
