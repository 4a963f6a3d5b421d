//! The steps Admit and Reserve: which limits a call meets, what is taken of each, and what becomes of a call
//! that does not fit. What a caller is told of its limits is in `standing`, and what happens when one runs out
//! under a running stream in `allowance`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Exchange;
use super::bounds::Amount;
use super::event::{Action, Ask, Note, Slot};
use super::ration::Ration;
use super::steps::{Deciding, Flow, Step};
use super::story::NANOS;
use crate::base::now::Instant;
use crate::limit::key::Key as CounterKey;
use crate::limit::take::{Fit, Grant, Refused};
use crate::limit::tally::Outcome;
use crate::limit::window::Window;
use crate::limit::{self, Stage, Unit};
use crate::llm::{Code, Refusal};
use crate::policy::limits::{Exceeded, Met, Missing, Rule, Visit, meet};
use crate::policy::select::Place;
use crate::policy::{Mode, OnError};
use crate::target::{Pass, Target};
use crate::wire::parts::{self, Parts};

/// After how long a call that waits for a place among those in flight asks again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// After how long a caller that was refused such a place is told to ask again: nobody knows when one is free.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What was granted, and by which rules: each row of the one belongs to that of the other.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub grant: Grant,
    pub rules: Vec<Arc<Rule>>,
    /// By how much each take is larger than what the call probably comes to.
    pub slack: Vec<u64>,
    /// How much of each take is a guess.
    pub guessed: Vec<u64>,
}

/// A limit that is asked, and for how much.
pub(super) type Asked = (Met, Amount);

/// A call on its way through its limits.
#[derive(Default)]
pub(super) struct Limits {
    /// What the open question is about.
    asked: Vec<Asked>,
    /// Tokens and money were asked together with requests.
    reserved: bool,
    /// The tokens of the prompt, where they were counted.
    pub counted: Option<u64>,
    /// They cannot be counted, or were, or are just now.
    pub is_counted: bool,
    /// They need not be: the estimate says enough.
    pub is_estimated: bool,
    /// The open question is how many tokens the prompt has.
    pub is_counting: bool,
    /// What of the prompt is no text, once that was read.
    pub parts: Option<Parts>,
    /// How output is taken of limits that end streams, where one is met.
    pub ration: Option<Ration>,
    /// The limit that has sent the call elsewhere, by its id, and the counter that had no room.
    pub sent_on: Option<(Arc<str>, Arc<str>)>,
    /// When it asks again.
    pub waits: Option<Instant>,
    /// Since when it waits.
    since: Option<Instant>,
}

// === impl Exchange ===

impl Exchange {
    /// Asks the limits of this step.
    pub(super) fn ask_limits(&mut self, step: Step, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        // Most calls meet none, and pay nothing for those that there could be.
        if self.setup.policy.limits.is_empty() || (step == Step::Reserve && deciding.limits.reserved) {
            return Flow::Go;
        }
        let Some(target) = deciding.target.clone() else { return Flow::Go };
        let policy = self.policy();
        let speaking = policy.limits_of(&self.story.caller);
        if speaking.is_empty() {
            return Flow::Go;
        }
        let stage = if step == Step::Admit { Stage::Admit } else { Stage::Reserve };
        // One question is enough where nothing can come in between.
        let both = stage == Stage::Admit && policy.guards.rules.is_empty() && policy.caches.is_empty();
        let visit = Visit { place: Place::of(&target), model: &target.model, unix: self.now.unix_nanos / NANOS };
        let met = meet(&speaking, &self.story.caller, visit, |unit| both || unit.stage() == stage);
        let met = match met {
            Ok(meeting) => {
                self.tell_lacking(step, &meeting.lacking, out);
                meeting.met
            }
            Err(missing) => return self.refuse_over(&missing.rule.limit, lacks(&missing)),
        };
        deciding.limits.reserved = both;
        if met.is_empty() {
            return Flow::Go;
        }
        // What is taken too much for a prompt is missed when a stream of it asks for more.
        let ration = self.find_ration(&met, &target, deciding);
        let is_exact = |rule: &Rule| rule.exact || (rule.cuts && ration != Ration::Whole);
        if met.iter().any(|met| is_exact(&met.rule) && met.rule.limit.unit.stage() == Stage::Reserve)
            && self.count_first(&target, deciding, out)
        {
            return Flow::Park;
        }
        self.take_of(met, &target, deciding, out)
    }

    fn take_of(&mut self, met: Vec<Met>, target: &Target, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        let is_sized = met.iter().any(|met| met.rule.limit.unit.stage() == Stage::Reserve);
        if is_sized && deciding.limits.parts.is_none() {
            self.see_changes(target, deciding);
            deciding.limits.parts = Some(parts::read(&target.model, &deciding.body));
        }
        let bounds = self.bounds(target, deciding);
        if deciding.limits.counted.is_some() {
            // Where its provider states nothing, the call is billed as it was counted.
            self.story.counted_input = Some(bounds.counted());
        }
        let mut asked = Vec::with_capacity(met.len());
        for mut met in met {
            let as_met = deciding.limits.as_met(&met);
            let rule = std::mem::replace(&mut met.rule, as_met);
            let is_stepwise = met.rule.cuts && deciding.limits.ration == Some(Ration::Steps);
            let bounds = if is_stepwise { bounds.stepwise(met.rule.step(met.ceiling)) } else { bounds };
            let Some(amount) = self.amounts(&met, bounds, target) else {
                // Without a price the budget would not even say what was spent.
                match self.without_price(&rule, target) {
                    Some(refusal) => return self.refuse_over(&met.rule.limit, refusal),
                    None => continue,
                }
            };
            asked.push((met, amount));
        }
        if asked.is_empty() {
            return Flow::Go;
        }
        let takes = asked.iter().map(|(met, amount)| met.take(amount.most)).collect();
        deciding.limits.asked = asked;
        self.ask(Slot::Gate, Ask::Reserve(limit::Ask { takes }), out);
        Flow::Park
    }

    /// Goes on with what the store says.
    pub(super) fn apply_limits(
        &mut self,
        step: Step,
        decision: limit::Decision,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> Flow {
        let asked = std::mem::take(&mut deciding.limits.asked);
        match decision {
            // Room has come meanwhile, and an estimate admits nothing.
            Ok(grant) if deciding.limits.is_estimated && self.count_target(deciding, out) => {
                self.undo(grant, out);
                deciding.limits.reserved = false;
                Flow::Park
            }
            Ok(grant) => self.granted(step, asked, grant, out),
            Err(refused) => self.does_not_fit(step, &asked, refused, deciding, out),
        }
    }

    /// There is no answer: what that means is each limit's word.
    pub(super) fn limits_unanswered(&mut self, step: Step, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        if deciding.limits.is_counting {
            deciding.limits.count(None);
            return Flow::Redo;
        }
        let asked = std::mem::take(&mut deciding.limits.asked);
        for (met, ..) in &asked {
            let rule = &met.rule;
            self.meets(&rule.limit, Outcome::Unchecked);
            match (rule.on_error, rule.mode) {
                (OnError::Deny, Mode::Enforce) if rule.is_enforced() => {
                    return self.refuse_over(&rule.limit, store_unavailable(&rule.limit.name));
                }
                (OnError::Deny, Mode::Shadow) => {
                    self.story.decide(step.as_str(), "would_refuse", "limit_store_unavailable", &rule.limit.id);
                    self.note(Note::Shadow { step: step.as_str(), reason: "limit_store_unavailable" }, out);
                }
                _ => self.story.decide(step.as_str(), "allowed", "fail_open", &rule.limit.id),
            }
        }
        Flow::Go
    }

    fn granted(&mut self, step: Step, asked: Vec<Asked>, grant: Grant, out: &mut Vec<Action>) -> Flow {
        let (mut rules, mut slack, mut guessed) = (Vec::new(), Vec::new(), Vec::new());
        for (met, amount) in asked {
            rules.push(met.rule);
            slack.push(amount.most.saturating_sub(amount.likely));
            guessed.push(amount.guessed);
        }
        let mut closed = None;
        for (taken, rule) in grant.taken.iter().zip(&rules) {
            match (taken.fit, rule.mode) {
                (Fit::Fits, _) => {}
                (Fit::Over, Mode::Enforce) => {
                    self.story.decide(step.as_str(), "observed", "exceeded", &taken.limit.id);
                }
                (Fit::Over, Mode::Shadow) => {
                    self.story.decide(step.as_str(), "would_refuse", "exceeded", &taken.limit.id);
                    self.note(Note::Shadow { step: step.as_str(), reason: "exceeded" }, out);
                }
                (Fit::Unchecked, _) if rule.on_error == OnError::Deny && rule.is_enforced() => {
                    closed.get_or_insert_with(|| taken.limit.clone());
                }
                (Fit::Unchecked, _) => {
                    self.story.decide(step.as_str(), "allowed", "fail_open", &taken.limit.id);
                }
            }
        }
        match closed {
            None => {
                self.grants.push(Held { grant, rules, slack, guessed });
                Flow::Go
            }
            Some(limit) => {
                self.undo(grant, out);
                self.refuse_over(&limit, store_unavailable(&limit.name))
            }
        }
    }

    fn does_not_fit(
        &mut self,
        step: Step,
        asked: &[Asked],
        refused: Refused,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> Flow {
        let Some((met, ..)) = asked.get(refused.take) else { return Flow::Go };
        let rule = met.rule.clone();
        let target = deciding.target.clone();
        if let Some(target) = &target
            && let Some(flow) = self.look_closer(met, &refused, target, deciding, out)
        {
            deciding.limits.reserved = false;
            return flow;
        }
        if let Some(flow) = self.downgrade(step, met, deciding, out) {
            return flow;
        }
        match &rule.exceeded {
            Exceeded::Throttle(longest) => match self.throttle(&rule, *longest, &refused, deciding, out) {
                true => Flow::Wait,
                false => self.out_of(&rule, asked, &refused),
            },
            // Another time it may be counted, and fit.
            _ if rule.limit.unit.stage() == Stage::Reserve && Self::was_too_busy(deciding) => {
                self.refuse_over(&rule.limit, uncounted(&rule.limit.name))
            }
            _ => self.out_of(&rule, asked, &refused),
        }
    }

    /// Lets the call ask again when it fits, if that is soon enough.
    fn throttle(
        &mut self,
        rule: &Rule,
        longest: Duration,
        refused: &Refused,
        deciding: &mut Deciding,
        out: &mut Vec<Action>,
    ) -> bool {
        let now = self.now.mono;
        let since = *deciding.limits.since.get_or_insert(now);
        let wait = refused.wait.or((rule.limit.unit == Unit::Concurrency).then_some(ASK_AGAIN));
        let left = longest.min(self.setup.policy.max_wait).saturating_sub(now.since(since));
        let Some(wait) = wait.filter(|wait| *wait <= left && !left.is_zero()) else { return false };
        let until = now.plus(wait.max(Duration::from_millis(1)));
        deciding.limits.waits = Some(until);
        // What could not be counted is counted when it asks again.
        deciding.limits.is_counted = deciding.limits.counted.is_some();
        deciding.limits.reserved = false;
        self.push(Action::Wake(until), out);
        true
    }

    fn out_of(&mut self, rule: &Arc<Rule>, asked: &[Asked], refused: &Refused) -> Flow {
        let rules = asked.iter().map(|(met, ..)| met.rule.clone());
        self.refused_by = rules.zip(refused.standings.iter().copied()).collect();
        self.refuse_over(&rule.limit, exceeded(rule, refused.wait))
    }

    /// Whether a call that was let go for one target keeps to its limits at another one: each meets the same counters,
    /// and where money is counted the price is known.
    pub(super) fn meets_the_same(&self, first: &Target, next: &Target) -> bool {
        let policy = &self.setup.policy;
        let speaking = policy.limits_of(&self.story.caller);
        if policy.limits.is_empty() || speaking.is_empty() {
            return true;
        }
        let met = |target: &Target| {
            let visit = Visit { place: Place::of(target), model: &target.model, unix: self.now.unix_nanos / NANOS };
            meet(&speaking, &self.story.caller, visit, |_| true).ok().map(|meeting| meeting.met)
        };
        let (Some(here), Some(there)) = (met(first), met(next)) else { return false };
        let counters = |met: &[Met]| -> BTreeSet<_> {
            met.iter().map(|met| (met.rule.limit.id.clone(), met.key.clone())).collect()
        };
        let is_money = |met: &Met| met.rule.limit.unit == Unit::Usd && met.rule.is_enforced();
        counters(&here) == counters(&there) && (!there.iter().any(is_money) || self.most_cost(next, 1, 0, 1).is_some())
    }

    /// Whether a limit of money speaks for a request that passes unread.
    pub(super) fn is_under_budget(&self, pass: &Pass) -> bool {
        let place = Place::new(pass.route.as_ref(), &pass.backend.name);
        let speaking = self.setup.policy.limits_of(&self.story.caller);
        let is_money = |rule: &Arc<Rule>| rule.limit.unit == Unit::Usd && rule.is_enforced();
        speaking.at(place).any(|policy| policy.rules.iter().any(is_money))
    }

    /// Undoes all that was granted: the call starts anew elsewhere.
    pub(super) fn undo_all(&mut self, out: &mut Vec<Action>) {
        for held in std::mem::take(&mut self.grants) {
            self.undo(held.grant, out);
        }
    }
}

// === impl Limits ===

impl Limits {
    /// The prompt was counted, or could not be.
    pub fn count(&mut self, tokens: Option<u64>) {
        self.counted = tokens;
        self.is_counting = false;
    }

    /// What is asked, for who does not wait for the answer.
    pub fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// The call starts anew elsewhere.
    pub fn start_anew(&mut self) {
        self.reserved = false;
        (self.counted, self.is_counted, self.is_estimated, self.parts) = (None, false, false, None);
        self.ration = None;
    }
}

fn lacks(missing: &Missing) -> Refusal {
    let key = match &missing.key {
        CounterKey::Fact(fact) => fact.as_str(),
        CounterKey::Tag(name) => name,
    };
    let name = &missing.rule.limit.name;
    Refusal::new(Code::UnsupportedValue, format!("The limit {name:?} is counted by {key}, and this call has none."))
}

fn store_unavailable(name: &str) -> Refusal {
    let message = format!("The limit {name:?} cannot be checked now; ask again.");
    Refusal::new(Code::LimitStoreUnavailable, message).retry_after(Duration::from_secs(1))
}

fn uncounted(name: &str) -> Refusal {
    let message = format!("The prompt cannot be counted for the limit {name:?} just now; ask again.");
    Refusal::new(Code::RateLimitExceeded, message).retry_after(RETRY_AFTER)
}

/// The refusal of a call that does not fit. A rate comes back by itself, and says when; a budget does not.
fn exceeded(rule: &Rule, wait: Option<Duration>) -> Refusal {
    let limit = &rule.limit;
    let name = &limit.name;
    let refusal = |code, message| Refusal::new(code, message);
    match (limit.unit, &limit.window, wait) {
        (Unit::Concurrency, ..) => {
            let message = format!("As many calls are in flight as the limit {name:?} allows; ask again.");
            refusal(Code::RateLimitExceeded, message).retry_after(RETRY_AFTER)
        }
        (Unit::Usd, ..) => {
            refusal(Code::ProjectSpendLimitExceeded, format!("The budget {name:?} does not allow this call."))
        }
        (_, Window::Calendar(_), _) => {
            refusal(Code::InsufficientQuota, format!("The quota {name:?} does not allow this call."))
        }
        (_, _, None) => {
            let message = format!("This call alone is more than the limit {name:?} allows; make it smaller.");
            refusal(Code::InsufficientQuota, message)
        }
        (_, _, Some(wait)) => {
            let seconds = wait.as_millis().div_ceil(1000);
            let message = format!("The limit {name:?} is exceeded; ask again in {seconds} s.");
            refusal(Code::RateLimitExceeded, message).retry_after(wait)
        }
    }
}
