//! Waiting for the answer that another exchange is getting to the same question.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Feed, Meta, Note};
use super::phase::{BodyMode, Phase};
use super::record::Outcome;
use super::request::State;
use super::steps::Deciding;
use super::story::Bill;
use crate::base::now::Instant;
use crate::cache::Ticket;
use crate::llm::{Code, Delta, Dropped, Fold, Refusal, Usage};
use crate::wire::{self, StreamWriter};

/// A follower.
pub(super) struct Following {
    deciding: Box<Deciding>,
    until: Instant,
    writer: Option<Box<dyn StreamWriter>>,
    fold: Fold,
    /// The head of a streamed answer was sent: the follower cannot take over any more.
    opened: bool,
    /// What the answer says of its usage.
    usage: Option<Usage>,
}

// === impl Following ===

impl Following {
    /// What it is told goes to its client at once.
    fn is_live(&self, mode: BodyMode) -> bool {
        self.deciding.fields.call.stream && mode == BodyMode::FullDuplex
    }

    /// Bytes held.
    pub fn buffered(&self) -> usize {
        self.deciding.body.len() + self.fold.len() + self.writer.as_ref().map_or(0, |writer| writer.held())
    }
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn start_following(&mut self, deciding: Box<Deciding>, out: &mut Vec<Action>) {
        let until = self.now.mono.plus(self.setup.policy.max_wait);
        let call = &deciding.fields.call;
        let writer = wire::codec_of(call.dialect, call.operation).stream_writer(self.writing(&deciding, true));
        let following = Following { deciding, until, writer, fold: Fold::default(), opened: false, usage: None };
        self.request = State::Following(Box::new(following));
        self.push(Action::Wake(until), out);
    }

    /// True while the steps of the answer that this exchange follows are held, until they are all there. Then
    /// `Feed::Alone` lets go of them.
    pub fn is_holding_steps(&self) -> bool {
        matches!(&self.request, State::Following(following) if !following.is_live(self.setup.mode))
    }

    pub(super) fn on_feed(&mut self, feed: Feed, out: &mut Vec<Action>) {
        if feed == Feed::Followed {
            return self.begin_to_publish(out);
        }
        if !matches!(self.request, State::Following(_)) {
            // Who leads now has been answered, or has gone its own way.
            if let Feed::Lost(ticket) = feed {
                self.note(Note::Forsake(ticket), out);
            }
            return;
        }
        let State::Following(mut following) = std::mem::replace(&mut self.request, State::None) else { return };
        match feed {
            Feed::Delta(delta) => {
                let over = self.feed_delta(&mut following, &delta, out);
                let room = self.profile.bodies.max_response_hold;
                if !over && following.fold.len() > room {
                    let message = "The answer to the same question is too large to be held.";
                    return self.refuse_now(
                        Refusal::new(Code::UpstreamInvalidResponse, message),
                        Outcome::Refused,
                        out,
                    );
                }
                if !over {
                    self.request = State::Following(following);
                }
            }
            Feed::Lost(ticket) if !following.opened => self.ask_itself(following, Some(ticket), out),
            Feed::Alone if !following.opened => self.ask_itself(following, None, out),
            Feed::Anew if !following.opened => {
                following.fold = Fold::default();
                self.request = State::Following(following);
            }
            Feed::Lost(_) | Feed::Alone | Feed::Anew => {
                if let Feed::Lost(ticket) = feed {
                    self.note(Note::Forsake(ticket), out);
                }
                self.request = State::Following(following);
                let refusal = Refusal::new(Code::StreamTruncated, "The answer ended before it was complete.");
                self.end_with_error(&refusal, Outcome::Truncated, out);
            }
            Feed::Followed | Feed::Cut => self.request = State::Following(following),
        }
    }

    /// Asks the provider itself: as who leads now, or for itself alone.
    fn ask_itself(&mut self, following: Box<Following>, lead: Option<Ticket>, out: &mut Vec<Action>) {
        let reason = if lead.is_some() { "leader_lost" } else { "alone" };
        self.story.decide("recall", "lead", reason, "");
        let mut deciding = following.deciding;
        (deciding.lead, self.lead, self.followed) = (lead, lead, false);
        deciding.cursor += 1;
        self.request = State::Deciding(deciding);
        self.advance(out);
    }

    /// Returns true when the answer is over.
    fn feed_delta(&mut self, following: &mut Following, delta: &Delta, out: &mut Vec<Action>) -> bool {
        let begun;
        let delta = match delta {
            // See `tell_hit`.
            Delta::Start { model, usage, .. } if self.hides_others() => {
                begun = Delta::Start { id: String::new(), model: model.clone(), created: 0, usage: *usage };
                &begun
            }
            other => other,
        };
        match delta {
            Delta::Start { usage: Some(usage), .. } | Delta::Usage(usage) => following.usage = Some(*usage),
            _ => {}
        }
        // What moves is not waited for.
        following.until = self.now.mono.plus(self.setup.policy.max_wait);
        let live = following.is_live(self.setup.mode);
        if !live {
            following.fold.push(delta);
        }
        if live {
            if !std::mem::replace(&mut following.opened, true) {
                self.story.left = true;
                self.story.status = 200;
                self.tell_followed(None);
                let local = self.local_head(true);
                self.push(Action::Open(local), out);
            }
            let (mut bytes, mut dropped) = (Vec::new(), Dropped::default());
            if let Some(writer) = &mut following.writer {
                writer.write(delta, &mut bytes, &mut dropped);
            }
            let end = *delta == Delta::End;
            if end {
                self.tell_followed(following.usage);
            }
            return self.emit_fed(Bytes::from(bytes), end, out);
        }
        if *delta != Delta::End {
            return false;
        }
        match std::mem::take(&mut following.fold).complete() {
            Some(reply) => {
                self.tell_followed(reply.usage);
                self.replay(&reply, &following.deciding, out);
            }
            None => {
                let message = "The answer to the same question cannot be said again; ask once more.";
                self.refuse_now(Refusal::new(Code::UpstreamInvalidResponse, message), Outcome::Refused, out);
            }
        }
        true
    }

    fn emit_fed(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) -> bool {
        self.story.response_bytes += bytes.len() as u64;
        if end {
            let bill = Bill::free();
            let meta = self.closing_meta(&bill, Outcome::Replayed);
            self.push(Action::Emit { bytes, end, meta }, out);
            self.tell_bill(Outcome::Replayed, &bill, out);
        } else if !bytes.is_empty() {
            self.push(Action::Emit { bytes, end, meta: Meta::new() }, out);
        }
        end
    }

    pub(super) fn on_follow_tick(&mut self, out: &mut Vec<Action>) {
        let State::Following(following) = &self.request else { return };
        let until = following.until;
        if self.now.mono < until {
            self.push(Action::Wake(until), out);
            return;
        }
        let refusal = Refusal::new(Code::UpstreamTimeout, "The answer to the same question did not come in time.");
        match self.phase {
            Phase::Complete => self.refuse_now(refusal, Outcome::Refused, out),
            _ => self.end_with_error(&refusal, Outcome::Truncated, out),
        }
    }
}
