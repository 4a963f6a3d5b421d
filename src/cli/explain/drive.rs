//! The exchange with a world that never looks: every question but for a count is answered `Peeked`, every note
//! but the record is dropped.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::request::Request;
use crate::base::now::{Instant, Now};
use crate::cache;
use crate::exchange::event::{Action, Answer, Ask, Edits, Event, Failure, Local, Note, RequestHead, Slot};
use crate::exchange::phase::BodyMode;
use crate::exchange::record::Record;
use crate::exchange::{Exchange, Setup};
use crate::policy::Policy;
use crate::target::Health;
use crate::tokens::{Learned, bpe};
use crate::wire::prompt;

/// What became of the request.
pub struct Asked {
    pub policy: Arc<Policy>,
    pub request: RequestHead,
    pub end: End,
    pub record: Record,
    /// The backend's key would be fetched first.
    pub fetches: bool,
    /// What would be looked for in the cache.
    pub recall: Option<Box<cache::Ask>>,
}

/// What is sent, and to whom.
pub enum End {
    /// To the backend.
    Leaves { edits: Edits, body: Bytes },
    /// To the client.
    Answered(Local),
}

/// Asks what becomes of a request. None if it is neither sent on nor answered, which cannot be.
pub fn ask(policy: Policy, request: Request) -> Option<Asked> {
    let policy = Arc::new(policy);
    let setup = Setup {
        id: "explain".into(),
        policy: policy.clone(),
        learned: Arc::new(Learned::new()),
        health: Arc::new(Health::new()),
        mode: BodyMode::FullDuplex,
        draw: 0,
    };
    let mut driven =
        Driven { exchange: Exchange::new(setup), now: now(), end: None, record: None, fetches: false, recall: None };
    let Request { head, body } = request;
    let whole = body.clone().unwrap_or_default();
    driven.tell(Event::Request(head.clone(), body.is_none()), &whole);
    if let Some(body) = body {
        driven.tell(Event::RequestBody(body, true), &whole);
    }
    driven.tell(Event::Gone, &whole);
    let Driven { end, record, fetches, recall, .. } = driven;
    Some(Asked { policy, request: head, end: end?, record: *record?, fetches, recall })
}

struct Driven {
    exchange: Exchange,
    now: Now,
    end: Option<End>,
    record: Option<Box<Record>>,
    fetches: bool,
    recall: Option<Box<cache::Ask>>,
}

// === impl Driven ===

impl Driven {
    /// Delivers an event, and what is then to be answered. `whole` is the body of the request.
    fn tell(&mut self, event: Event, whole: &Bytes) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.exchange.on(event, self.now, &mut actions);
            for action in actions {
                match action {
                    // A count stays open; the gate is what the request waits for.
                    Action::Ask(Slot::Side, _) | Action::Wake(_) => {}
                    Action::Ask(Slot::Gate, ask) => {
                        self.fetches |= matches!(ask, Ask::Token { .. });
                        if let Ask::Recall(wanted, _) = &ask {
                            self.recall = Some(wanted.clone());
                        }
                        events.push(Event::Answer(Slot::Gate, answer(ask)));
                    }
                    Action::Note(Note::Record(record)) => self.record = Some(record),
                    Action::Pass(edits) => self.end = Some(End::Leaves { edits, body: whole.clone() }),
                    Action::Forward { head, body } => {
                        self.end = Some(End::Leaves { edits: head, body: body.concat().into() });
                    }
                    Action::Respond(local) | Action::Open(local) => self.end = Some(End::Answered(local)),
                    Action::Note(_) | Action::Head(_) | Action::Emit { .. } | Action::Keep(_) | Action::Retry(..) => {}
                }
            }
        }
    }
}

/// What is counted takes no looking.
fn answer(ask: Ask) -> Answer {
    match ask {
        Ask::Count { operation, model, body, .. } => {
            let tokens = prompt::tokens(operation, &body, |text| bpe::count(&model, text));
            tokens.map_or(Answer::Failed(Failure::Unavailable), Answer::Count)
        }
        Ask::Wording { model, wording, .. } => Answer::Count(wording.tokens(|text| bpe::count(&model, text))),
        _ => Answer::Peeked,
    }
}

fn now() -> Now {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now { mono: Instant(0), unix_nanos: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX) }
}
