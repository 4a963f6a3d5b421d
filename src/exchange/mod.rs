//! One HTTP exchange as a state machine: events in, actions out. It reads no clock, does no I/O,
//! never blocks and never panics, whatever bytes come in whatever order.
//!
//! # Invariants
//!
//! 1. [`Exchange::on`] is a function of what it was given before and of what it is given now.
//! 2. At most one question of each [`Slot`] is open.
//! 3. After `Respond`, or after an `Emit` that ends, only notes follow.
//! 4. An exchange that sent anything on, or answered, leaves exactly one record, also when it is
//!    abandoned.
//! 5. Every reservation that was granted is settled exactly once.
//! 6. What is not an LLM call passes unchanged; in the same dialect, so does every byte that no
//!    rule edits.
//! 7. A question without an answer is `Failed`; what that means is decided in one place.
//! 8. However a body is cut into chunks, the same bytes go out and the same notes.
//! 9. Every action is legal in its phase: [`Exchange::on`] moves along the phase table only.
//!
//! `tests/it/exchange` holds a property for each.

mod access;
mod allowance;
mod around;
pub mod attempts;
mod bounds;
mod carried;
mod choose;
mod context;
mod costs;
mod count;
mod counted;
mod crossing;
mod crossing_end;
mod downgrade;
pub mod event;
mod expected;
pub mod explain;
mod follow;
mod forward;
mod items;
mod keys;
mod limits;
mod local_reply;
mod models;
mod orders;
mod outcomes;
pub mod phase;
mod pieces;
mod ration;
mod recall;
pub mod record;
mod replay;
mod request;
mod reserved;
mod response;
mod rope;
mod sign;
mod standing;
mod steps;
mod stop;
mod story;
mod tariff;
mod translate;
mod watch;

use std::sync::Arc;

use event::{Action, Answer, Ask, Event, Feed, Note, Slot};
use phase::{BodyMode, Kind, Phase};
use record::Outcome;
use story::Bill;

pub use choose::retry_after;
pub use forward::BACKEND_HEADER;
pub use keys::without_values;
pub use local_reply::{LOCAL_REPLY_HEADER, refused};

use crate::base::now::{Instant, Now};
use crate::cache::items::Found;
use crate::cache::{Recall, Ticket};
use crate::limit::charge::Charge;
use crate::limit::take::{Grant, Standing};
use crate::limit::{Settle, Spent};
use crate::llm::UsageSource;
use crate::policy::limits::Rule;
use crate::policy::{Policy, Profile};
use crate::target::Health;
use crate::tokens::Uncounted;
use crate::tokens::learned::Learned;

/// What an exchange is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The value of `x-weir-request-id`.
    pub id: Arc<str>,
    pub policy: Arc<Policy>,
    /// What models have taught about tokens and bytes. It is read, never written, here.
    pub learned: Arc<Learned>,
    /// Which backends failed just now. Read, never written, here.
    pub health: Arc<Health>,
    pub mode: BodyMode,
    /// A uniformly random number.
    pub draw: u64,
}

/// One HTTP exchange. It has no `Debug`: what it holds are prompts, answers and credentials.
pub struct Exchange {
    setup: Setup,
    /// What holds for the caller's namespace; root's until the caller is known.
    profile: Profile,
    phase: Phase,
    now: Now,
    story: story::Story,
    request: request::State,
    response: response::State,
    /// Which step waits for the answer to the open gate; the answer may come when nothing waits.
    gate: Option<steps::Waiting>,
    side_open: bool,
    grants: Vec<limits::Held>,
    /// How the limits stand that refused the call, and those asked beside them.
    refused_by: Vec<(Arc<Rule>, Standing)>,
    /// The limit that refused the call, or cut its answer, by its id.
    over: Option<Arc<str>>,
    /// What limits were charged, for the record.
    charges: Vec<Charge>,
    /// What limits made of the call that do not simply hold it.
    met: Vec<outcomes::Met>,
    allowance: allowance::Allowance,
    attempts: attempts::Attempts,
    /// The flight that is led and whose end was not published yet.
    lead: Option<Ticket>,
    /// Somebody follows it.
    followed: bool,
    /// What is known of a call for embeddings.
    items: Option<Box<items::Plan>>,
    /// What was said before the request came; it holds as soon as there is one.
    early_stop: Option<event::Stop>,
    /// The caller asks why, and may.
    question: bool,
    gone: bool,
    /// Actions that the phase table forbade. Always 0; the properties look at it.
    faults: u32,
}

// === impl Exchange ===

impl Exchange {
    /// An exchange to which nothing has happened yet.
    pub fn new(setup: Setup) -> Self {
        Exchange {
            story: story::Story::new(setup.id.clone(), setup.policy.identity.nobody.clone()),
            profile: setup.policy.profile,
            setup,
            phase: Phase::Fresh,
            now: Now { mono: Instant(0), unix_nanos: 0 },
            request: request::State::None,
            response: response::State::default(),
            gate: None,
            side_open: false,
            grants: Vec::new(),
            refused_by: Vec::new(),
            over: None,
            charges: Vec::new(),
            met: Vec::new(),
            allowance: allowance::Allowance::default(),
            attempts: attempts::Attempts::default(),
            lead: None,
            followed: false,
            items: None,
            early_stop: None,
            question: false,
            gone: false,
            faults: 0,
        }
    }

    /// The proxy sends bodies in this mode. Returns false, and changes nothing, once the exchange has begun.
    pub fn speak(&mut self, mode: BodyMode) -> bool {
        let fresh = self.phase == Phase::Fresh;
        if fresh {
            self.setup.mode = mode;
        }
        fresh
    }

    /// Takes one event and appends what is to be done, in order.
    pub fn on(&mut self, event: Event, now: Now, out: &mut Vec<Action>) {
        if self.gone {
            return;
        }
        self.now = now;
        match event {
            Event::Request(head, end) => self.on_request(head, end, out),
            Event::RequestBody(bytes, end) => self.on_request_body(bytes, end, out),
            Event::Response(head, end) => self.on_response(head, end, out),
            Event::Chunk(bytes, end) => self.on_chunk(bytes, end, out),
            Event::Answer(slot, answer) => self.on_answer(slot, answer, out),
            Event::Feed(Feed::Cut) => self.on_cut(out),
            Event::Feed(feed) => self.on_feed(feed, out),
            Event::Attempt(attempt) => self.on_attempt(attempt, out),
            Event::Tick => self.on_tick(out),
            Event::Stop(stop) => self.on_stop(stop, out),
            Event::Gone => self.on_gone(out),
        }
    }

    /// The value of `x-weir-request-id`.
    pub fn id(&self) -> &Arc<str> {
        &self.setup.id
    }

    /// Bytes of the request and of the response that are held in memory now; without the original that the host keeps.
    pub fn buffered(&self) -> usize {
        let known = self.items.as_ref().map_or(0, |plan| plan.held());
        self.request.buffered() + self.response.buffered() + self.allowance.buffered() + known
    }

    /// The bytes of the request's body while it waits for what decides where it goes, and is edited and signed then.
    pub fn deciding(&self) -> usize {
        match &self.request {
            state @ request::State::Deciding(_) => state.buffered(),
            _ => 0,
        }
    }

    /// True while more of the request would be held rather than sent on.
    pub fn is_holding(&self) -> bool {
        matches!(self.request, request::State::Holding(_))
    }

    /// True while more of the response would be held in memory: for a header that waits for it, or as a
    /// copy of what is sent on. `Stop::Shed` gives up the header and the copy, never the answer.
    pub fn is_holding_response(&self) -> bool {
        self.waits_for_whole() || (self.is_answering() && self.response.keeps_copy())
    }

    /// True while a response is held that can be written for its client only when it is whole: `Stop::Shed` gives up
    /// the answer.
    pub fn needs_whole_response(&self) -> bool {
        matches!(self.response.body, response::Body::CrossingWhole(_))
    }

    fn waits_for_whole(&self) -> bool {
        self.phase == Phase::Held
            && matches!(self.response.body, response::Body::Whole(_) | response::Body::CrossingWhole(_))
    }

    fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Streaming)
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How often an action was suppressed because the phase forbade it: always 0.
    pub fn faults(&self) -> u32 {
        self.faults
    }

    /// The only way an action leaves: along the phase table.
    fn push(&mut self, action: Action, out: &mut Vec<Action>) -> bool {
        match phase::next(self.setup.mode, self.phase, Kind::of(&action)) {
            Some(next) => {
                self.phase = next;
                out.push(action);
                true
            }
            None => {
                self.faults += 1;
                false
            }
        }
    }

    fn note(&mut self, note: Note, out: &mut Vec<Action>) {
        self.push(Action::Note(note), out);
    }

    fn ask(&mut self, slot: Slot, ask: Ask, out: &mut Vec<Action>) {
        self.push(Action::Ask(slot, ask), out);
    }

    fn policy(&self) -> Arc<Policy> {
        self.setup.policy.clone()
    }

    fn on_answer(&mut self, slot: Slot, answer: Answer, out: &mut Vec<Action>) {
        match slot {
            Slot::Side => {
                let asked = std::mem::take(&mut self.side_open);
                match answer {
                    Answer::Reserve(decision) if asked && self.asks_for_more() => self.more(Some(decision), out),
                    _ if asked && self.asks_for_more() => self.more(None, out),
                    Answer::Count(tokens) if asked => self.story.counted_input = Some(tokens),
                    answer => self.give_back(answer, out),
                }
                self.try_held(out);
            }
            Slot::Gate => match self.gate.take() {
                Some(waiting) if self.phase == Phase::Complete => self.resume(waiting, answer, out),
                // Nothing waits any more.
                _ => self.give_back(answer, out),
            },
        }
    }

    /// What was granted to a question that nobody asks any more must be given back, and so must the
    /// lead of a flight: others wait for it.
    pub(super) fn give_back(&mut self, answer: Answer, out: &mut Vec<Action>) {
        match answer {
            Answer::Reserve(Ok(grant)) => self.undo(grant, out),
            Answer::Recall(Recall::Lead(ticket) | Recall::Follow(ticket)) => self.note(Note::Forsake(ticket), out),
            Answer::RecallItems(Found { lead: Some(ticket), .. }) => self.note(Note::Forsake(ticket), out),
            _ => {}
        }
    }

    fn on_gone(&mut self, out: &mut Vec<Action>) {
        self.gone = true;
        if !self.story.is_told && self.story.left {
            // The answer can still have been complete: the terminal event was seen, and only the
            // end of the connection was not.
            let outcome = match self.response.was_complete() {
                true => self.outcome(),
                false => Outcome::Abandoned,
            };
            self.tell(outcome, out);
        }
        self.settle_all(&Bill::nothing(), None, out);
        self.forsake(out);
        self.request = request::State::None;
        self.response.release();
        self.phase = Phase::Done;
    }

    /// Gives back what a grant took, as if it had never been asked for.
    fn undo(&mut self, grant: Grant, out: &mut Vec<Action>) {
        self.note(Note::Settle(Settle { grant, guessed: Vec::new(), spent: Spent::Undone, uncounted: None }), out);
    }

    /// Settles everything that was granted with what it came to, or will have come to once it is counted.
    fn settle_all(&mut self, bill: &Bill, uncounted: Option<&Uncounted>, out: &mut Vec<Action>) {
        let spent = match (self.story.sent_at, bill.measure.source) {
            (None, _) => Spent::Nothing,
            (Some(_), UsageSource::Unknown) if !self.makes_tokens() => Spent::Nothing,
            (Some(_), UsageSource::Unknown) => Spent::Unknown,
            (Some(_), _) => Spent::Used { usage: bill.measure.usage, cost: bill.cost },
        };
        let hides = self.may_have_thought(bill);
        for held in std::mem::take(&mut self.grants) {
            // What was not seen of it was thought out of all that was taken: that stays, where it is more.
            let spent = if hides && held.covers(bill) { Spent::Unknown } else { spent };
            let limits::Held { grant, slack, guessed, .. } = held;
            Charge::of(&grant, &slack, &guessed, spent, &mut self.charges);
            let uncounted = uncounted.cloned();
            self.note(Note::Settle(Settle { grant, guessed, spent, uncounted }), out);
        }
    }
}
