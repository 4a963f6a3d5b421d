//! The steps of a request, in their order. Each asks its capability, which decides; what a question
//! without an answer means is decided here and nowhere else.

use std::time::Duration;

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Answer, Ask, Note, RequestHead, Slot};
use super::items::Answered;
use super::limits::Limits;
use super::request::State;
use crate::base::words::Words;
use crate::cache::{Hit, Ticket};
use crate::credential::{self, Grant, Signing};
use crate::guard;
use crate::llm::{Code, Refusal};
use crate::policy::{Decided, Mode, OnError, decide};
use crate::target::Target;
use crate::wire::{Fields, Named};

/// One step of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Target,
    Access,
    Admit,
    Guard,
    Recall,
    Reserve,
    Count,
    Sign,
}

/// All steps, in order. Who calls was settled by the head alone, before the body was held. A cache
/// hit counts as a request (Admit) and spends neither tokens nor money (Reserve comes after Recall). What is
/// counted here (Count) never leaves, so it is not signed.
pub const REQUEST: &[Step] =
    &[Step::Target, Step::Access, Step::Admit, Step::Guard, Step::Recall, Step::Reserve, Step::Count, Step::Sign];

/// A complete request on its way through the steps.
pub(super) struct Deciding {
    pub head: RequestHead,
    pub body: Bytes,
    pub fields: Fields,
    /// Where it names its model, and says whether it wants a stream.
    pub named: Named,
    pub cursor: usize,
    pub target: Option<Target>,
    pub signing: Signing,
    /// The tokens of what is counted here, where nobody counts.
    pub estimate: u64,
    /// The flight that this exchange leads.
    pub lead: Option<Ticket>,
    pub limits: Limits,
    /// The step that sent it back to Target. It is sent back once.
    pub retargeted: Option<usize>,
}

/// Which step's question is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting(pub Step);

/// What a step came to.
pub(super) enum Flow {
    Go,
    /// A question is open.
    Park,
    /// The step runs again when time has passed.
    Wait,
    /// The step runs again.
    Redo,
    Refuse(Refusal),
    Replay(Box<Hit>),
    Follow,
    /// All vectors of a call for embeddings are known.
    Vectors(Box<Answered>),
    /// Answer with this number of tokens.
    Counted(u64),
    /// Start again from the first step, with the target that was set.
    Again,
}

// === impl Deciding ===

impl Deciding {
    pub fn new(head: RequestHead, body: Bytes, fields: Fields, named: Named) -> Self {
        Deciding {
            head,
            body,
            fields,
            named,
            cursor: 0,
            target: None,
            signing: Signing::Nothing,
            estimate: 0,
            lead: None,
            limits: Limits::default(),
            retargeted: None,
        }
    }

    /// What was judged stays so under another target: the text is the same.
    fn has_passed(&self, step: Step) -> bool {
        step == Step::Guard && self.retargeted.is_some_and(|sent_back| self.cursor < sent_back)
    }
}

// === impl Step ===

impl Step {
    /// The word used in records and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Target => "target",
            Step::Access => "access",
            Step::Admit => "admit",
            Step::Guard => "guard",
            Step::Recall => "recall",
            Step::Reserve => "reserve",
            Step::Count => "count",
            Step::Sign => "sign",
        }
    }
}

// === impl Exchange ===

impl Exchange {
    /// Runs steps until one has to wait, refuses, or all are done.
    pub(super) fn advance(&mut self, out: &mut Vec<Action>) {
        // The steps borrow the request and the exchange both, so the request is lifted out of it.
        let State::Deciding(mut deciding) = std::mem::replace(&mut self.request, State::None) else { return };
        loop {
            let Some(&step) = REQUEST.get(deciding.cursor) else { return self.forward(deciding, out) };
            let flow = self.run(step, &mut deciding, out);
            match self.follow_flow(step, flow, deciding, out) {
                Some(next) => deciding = next,
                None => return,
            }
        }
    }

    /// Goes on with the answer to the open question.
    pub(super) fn resume(&mut self, waiting: Waiting, answer: Answer, out: &mut Vec<Action>) {
        let State::Deciding(mut deciding) = std::mem::replace(&mut self.request, State::None) else { return };
        let Waiting(step) = waiting;
        let flow = self.apply(step, answer, &mut deciding, out);
        if let Some(next) = self.follow_flow(step, flow, deciding, out) {
            self.request = State::Deciding(next);
            self.advance(out);
        }
    }

    fn follow_flow(
        &mut self,
        step: Step,
        flow: Flow,
        mut deciding: Box<Deciding>,
        out: &mut Vec<Action>,
    ) -> Option<Box<Deciding>> {
        match flow {
            Flow::Go => deciding.cursor += 1,
            Flow::Again => deciding.cursor = 0,
            Flow::Redo => {}
            Flow::Wait => {
                self.request = State::Deciding(deciding);
                return None;
            }
            Flow::Park => {
                self.gate = Some(Waiting(step));
                self.request = State::Deciding(deciding);
                return None;
            }
            Flow::Refuse(refusal) => {
                let detail = match (&refusal.detail, &self.over) {
                    (Some(detail), _) => detail.clone().into_owned().into(),
                    (None, Some(limit)) => Words::Shared(limit.clone()),
                    (None, None) => Words::default(),
                };
                self.story.decide(step.as_str(), "refused", refusal.code.as_str(), detail);
                if matches!(step, Step::Admit | Step::Reserve) {
                    self.undo_all(out);
                }
                self.refuse(refusal, out);
                return None;
            }
            Flow::Replay(mut hit) => {
                let how = if hit.is_similar { "similar" } else { "exact" };
                self.story.decide(step.as_str(), "hit", how, "");
                self.tell_hit(&mut hit);
                self.replay(&hit.reply, &deciding, out);
                return None;
            }
            Flow::Vectors(answered) => {
                self.answer_items(*answered, out);
                return None;
            }
            Flow::Counted(tokens) => {
                self.answer_count(tokens, out);
                return None;
            }
            Flow::Follow => {
                self.story.decide(step.as_str(), "follow", "in_flight", "");
                self.start_following(deciding, out);
                return None;
            }
        }
        Some(deciding)
    }

    fn run(&mut self, step: Step, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        if deciding.has_passed(step) {
            return Flow::Go;
        }
        let policy = self.policy();
        let ask = match step {
            Step::Target => return self.choose_target(deciding),
            Step::Access => {
                let target = deciding.target.clone();
                return match target
                    .map_or(Ok(()), |target| self.check_access(&target, &deciding.fields.call.model, out))
                {
                    Ok(()) => Flow::Go,
                    Err(refusal) => Flow::Refuse(refusal),
                };
            }
            Step::Admit | Step::Reserve => return self.ask_limits(step, deciding, out),
            Step::Guard => guard::ask(&policy.guards.rules, &deciding.body).map(Ask::Judge),
            Step::Recall => self.recall_ask(deciding),
            Step::Count => return self.count_here(deciding, out),
            Step::Sign => return self.choose_signing(deciding, out),
        };
        match ask {
            Some(ask) => {
                self.ask(Slot::Gate, ask, out);
                Flow::Park
            }
            None => Flow::Go,
        }
    }

    fn apply(&mut self, step: Step, answer: Answer, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        let policy = self.policy();
        match (step, answer) {
            (Step::Count, answer) => self.counted(answer, deciding, out),
            (Step::Admit | Step::Reserve, Answer::Peeked) => self.limits_peeked(deciding),
            (_, Answer::Peeked) => Flow::Go,
            (Step::Admit | Step::Reserve, Answer::Reserve(decision)) => {
                self.apply_limits(step, decision, deciding, out)
            }
            // Where nobody can count, what is known of the model is what is asked for.
            (Step::Admit | Step::Reserve, Answer::Count(tokens)) => {
                deciding.limits.count(Some(tokens));
                Flow::Redo
            }
            (Step::Admit | Step::Reserve, answer) => {
                self.give_back(answer, out);
                self.limits_unanswered(step, deciding, out)
            }
            (Step::Guard, Answer::Judge(verdict)) => match decide(policy.guards.mode, guard::apply(verdict)) {
                Decided::Go(()) => Flow::Go,
                Decided::Refuse(refusal) => Flow::Refuse(refusal),
                Decided::Would(refusal) => self.would(step, &refusal, out),
            },
            (Step::Recall, Answer::RecallItems(found)) => self.items_found(found, deciding, out),
            (Step::Recall, Answer::Recall(recall)) => self.recalled(recall, deciding, out),
            (Step::Sign, Answer::Token(grant)) => self.seal(grant, deciding),
            (Step::Sign, Answer::Failed(_)) => Flow::Refuse(self.no_token(deciding)),
            // A failure, or an answer to another question, which is no answer.
            (step, answer) => {
                self.give_back(answer, out);
                self.unanswered(step, out)
            }
        }
    }

    /// The one place that says what a question without an answer means.
    fn unanswered(&mut self, step: Step, out: &mut Vec<Action>) -> Flow {
        let policy = &self.setup.policy;
        let (mode, on_error, code) = match step {
            Step::Guard => (policy.guards.mode, policy.guards.on_error, Code::UpstreamUnavailable),
            // A cache that cannot be asked is a cache that has nothing.
            Step::Recall | Step::Target | Step::Access | Step::Count | Step::Admit | Step::Reserve => {
                (Mode::Enforce, OnError::Allow, Code::Overloaded)
            }
            Step::Sign => (Mode::Enforce, OnError::Deny, Code::CredentialUnavailable),
        };
        if on_error == OnError::Allow {
            self.story.decide(step.as_str(), "allowed", "fail_open", "");
            return Flow::Go;
        }
        let message = format!("The {} step got no answer in time; ask again.", step.as_str());
        match decide(mode, Err::<(), _>(Refusal::new(code, message).retry_after(Duration::from_secs(1)))) {
            Decided::Go(()) => Flow::Go,
            Decided::Refuse(refusal) => Flow::Refuse(refusal),
            Decided::Would(refusal) => self.would(step, &refusal, out),
        }
    }

    fn would(&mut self, step: Step, refusal: &Refusal, out: &mut Vec<Action>) -> Flow {
        let reason = refusal.code.as_str();
        self.story.decide(step.as_str(), "would_refuse", reason, "");
        self.note(Note::Shadow { step: step.as_str(), reason }, out);
        Flow::Go
    }

    fn choose_signing(&mut self, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        let Some(target) = &deciding.target else { return Flow::Go };
        let held = match self.own_credential(target.index, &target.backend) {
            Ok(held) => held,
            Err(refusal) => return Flow::Refuse(refusal),
        };
        match credential::sign(held.credential, self.leaving(&target.backend)) {
            Ok(Signing::Ask(lease)) => {
                self.ask(Slot::Gate, Ask::Token(lease), out);
                Flow::Park
            }
            Ok(signing) => {
                deciding.signing = signing;
                Flow::Go
            }
            Err(refusal) => Flow::Refuse(refusal),
        }
    }

    fn seal(&mut self, grant: Grant, deciding: &mut Deciding) -> Flow {
        let Some(target) = &deciding.target else { return Flow::Go };
        let held = self.own_credential(target.index, &target.backend);
        match held.and_then(|held| credential::granted(held.credential, grant, self.leaving(&target.backend))) {
            Ok(signing) => {
                deciding.signing = signing;
                Flow::Go
            }
            Err(refusal) => Flow::Refuse(refusal),
        }
    }
}
