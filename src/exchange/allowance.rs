//! Limits that end a stream when they run out under it (`onExhausted: Cut`): how much of them is taken while the
//! answer comes, and what the store's answer means. What goes on of the answer, and when, is in `pieces`.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::bounds::{Bounds, STEP};
use super::event::{Action, Ask, Slot};
use super::limits::Held;
use super::ration::Ration;
use super::record::Decision;
use super::steps::{Deciding, Step};
use crate::limit;
use crate::limit::take::{Fit, Grant, Posture, Take};
use crate::llm::Delta;
use crate::policy::OnError;
use crate::policy::limits::Rule;
use crate::target::Target;

/// A chunk is looked at in pieces of this size, so that a stream ends near to where its limit does.
const PIECE: usize = 1 << 10;

/// How much the running answer may still bring.
#[derive(Default)]
pub(super) struct Allowance {
    /// Tokens out that were taken of every limit that cuts; none where nothing can run out.
    pub taken: Option<u64>,
    /// What was known of the call when it left.
    bounds: Option<Bounds>,
    /// How many tokens are asked for next, at most.
    pub step: u64,
    /// What more is taken of, in the order of the rules.
    takes: Vec<(Take, Arc<Rule>)>,
    /// More was asked for, and the answer is not there yet.
    asks: Option<More>,
    /// The answer cannot be ended any more, and the rest of it is still to be taken.
    pub owes: bool,
    /// There is no more.
    pub over: bool,
    /// The limit of which there is no more, by its id.
    pub out_of: Option<Arc<str>>,
    /// Text that was sent on before the piece that is just looked at.
    pub sent: u64,
    /// A piece that was read and waits for more to be taken: what goes on of it, and whether it is the last.
    pub held: Option<(Bytes, bool)>,
    /// What came behind it.
    pub waiting: VecDeque<(Bytes, bool)>,
    /// What the piece says, for the writer that ends a stream which was not written here.
    pub said: Vec<Delta>,
    /// It says something that cannot be read.
    pub is_unreadable: bool,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    /// So many tokens, without `need` of which the piece that waits does not go on.
    Tokens { asked: u64, need: u64 },
    /// All that an answer may bring which cannot be ended.
    Rest,
}

// === impl Allowance ===

impl Allowance {
    /// The stream may have to be ended.
    pub fn is_short(&self) -> bool {
        self.taken.is_some()
    }

    /// Bytes that wait.
    pub fn buffered(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|(bytes, _)| bytes.len()).sum();
        waiting + self.held.as_ref().map_or(0, |(bytes, _)| bytes.len())
    }

    /// Remembers what the piece says.
    pub fn read(&mut self, deltas: &[Delta], is_readable: bool) {
        self.said.extend_from_slice(deltas);
        self.is_unreadable |= !is_readable;
    }

    /// The answer is over: nothing of it goes on any more.
    pub fn release(&mut self) {
        (self.held, self.waiting, self.said) = (None, VecDeque::new(), Vec::new());
        self.owes = false;
    }

    /// The next piece; none while one waits.
    pub fn next(&mut self) -> Option<(Bytes, bool)> {
        if self.held.is_some() {
            return None;
        }
        let (mut bytes, end) = self.waiting.pop_front()?;
        if bytes.len() <= PIECE {
            return Some((bytes, end));
        }
        let piece = bytes.split_to(PIECE);
        self.waiting.push_front((bytes, end));
        Some((piece, false))
    }

    /// How many more tokens are taken next, where the piece that waits needs so many.
    fn next_step(&self, need: u64) -> u64 {
        let left = self.bounds.and_then(Bounds::stated).map(|bound| bound.saturating_sub(self.taken.unwrap_or(0)));
        let step = self.step.max(need);
        left.map_or(step, |left| left.min(step))
    }

    /// So much was taken more. Once all is taken that the call states, it can bring no more.
    fn take(&mut self, tokens: u64) {
        let taken = self.taken.map(|taken| taken.saturating_add(tokens));
        let bound = self.bounds.and_then(Bounds::stated);
        self.taken = taken.filter(|taken| bound.is_none_or(|bound| *taken < bound));
    }

    /// So much is not to be had; less may be, as long as the piece that waits can do with it.
    fn step_down(&mut self, asked: u64, need: u64) {
        self.step = (asked / 2).max(need);
        self.over = asked <= need.max(1);
    }
}

// === impl Exchange ===

impl Exchange {
    /// Remembers, when a request leaves, what a stream may bring.
    pub(super) fn begin_allowance(&mut self, target: &Target, deciding: &Deciding) {
        self.allowance = Allowance::default();
        let Some(ration @ (Ration::Ahead | Ration::Steps)) = deciding.limits.ration else { return };
        let bounds = self.bounds(target, deciding);
        let (mut takes, mut step, mut first) = (Vec::new(), STEP, u64::MAX);
        for held in &self.grants {
            for (taken, rule) in held.grant.taken.iter().zip(&held.rules).filter(|(_, rule)| rule.cuts) {
                if !rule.is_enforced() || taken.fit != Fit::Fits {
                    continue;
                }
                let (limit, key, ceiling) = (taken.limit.clone(), taken.key.clone(), taken.standing.ceiling);
                step = step.min(rule.step(ceiling));
                // Where less was taken than is assumed, for the limit has no more, a step of it is surely there.
                let known = self.amount(rule, bounds, bounds.known_input(), target);
                let is_whole = known.is_some_and(|known| known <= taken.amount);
                let whole = bounds.whole(rule);
                first = first.min(if ration == Ration::Ahead && is_whole { whole } else { whole.min(step) });
                takes.push((Take { limit, key, ceiling, amount: 0, posture: Posture::Enforce }, rule.clone()));
            }
        }
        // Where all that it may bring is taken already, nothing can run out.
        if !takes.is_empty() && bounds.stated().is_none_or(|output| output > first) {
            let (taken, bounds) = (Some(first), Some(bounds));
            self.allowance = Allowance { taken, bounds, step, takes, ..Allowance::default() };
        }
    }

    /// The answer's head was looked at.
    pub(super) fn see_whether_it_can_be_ended(&mut self, out: &mut Vec<Action>) {
        if !self.allowance.is_short() || self.can_be_rationed() {
            return;
        }
        match self.response.upstream_status() {
            Some(..400) => self.take_rest(out),
            // An error brings nothing.
            _ => self.allowance.taken = None,
        }
    }

    /// Asks for another step, and for no less than the piece that waits needs.
    pub(super) fn ask_for_more(&mut self, need: u64, out: &mut Vec<Action>) {
        if self.side_open {
            return;
        }
        let asked = self.allowance.next_step(need);
        self.ask_for(More::Tokens { asked, need }, Posture::Enforce, |_| asked, out);
    }

    /// Nothing can end the answer any more, and it is made and billed in any case: what it may still bring is taken
    /// at once, also where it does not fit.
    pub(super) fn take_rest(&mut self, out: &mut Vec<Action>) {
        if !self.is_answering() || (!self.allowance.is_short() && !self.allowance.owes) {
            return;
        }
        // What is asked for already is counted first.
        self.allowance.owes = self.side_open;
        let Some(bounds) = self.allowance.bounds.filter(|_| !self.side_open) else { return };
        let taken = self.allowance.taken.take().unwrap_or(0);
        let used = self.output_so_far().map_or(0, |(used, _)| used);
        let rest = |rule: &Rule| bounds.whole(rule).max(used).saturating_sub(taken);
        if self.allowance.takes.iter().any(|(_, rule)| rest(rule) > 0) {
            self.ask_for(More::Rest, Posture::Observe, rest, out);
        }
    }

    fn ask_for(&mut self, more: More, posture: Posture, tokens: impl Fn(&Rule) -> u64, out: &mut Vec<Action>) {
        let Some(target) = self.story.target.clone() else { return };
        let mut takes = Vec::with_capacity(self.allowance.takes.len());
        for (take, rule) in &self.allowance.takes {
            let amount = self.amount_of_output(rule, tokens(rule), &target).unwrap_or(0);
            takes.push(Take { amount, posture, ..take.clone() });
        }
        (self.allowance.asks, self.side_open) = (Some(more), true);
        self.ask(Slot::Side, Ask::Reserve(limit::Ask { takes }), out);
    }

    /// What the store says of more.
    pub(super) fn more(&mut self, decision: Option<limit::Decision>, out: &mut Vec<Action>) {
        let asked = self.allowance.asks.take();
        match (decision, asked) {
            (Some(Ok(grant)), _) if !self.is_answering() => self.undo(grant, out),
            (Some(Ok(grant)), Some(More::Tokens { asked, .. })) => {
                let fits: Vec<_> = grant.taken.iter().map(|taken| taken.fit == Fit::Fits).collect();
                match self.may_go_on(&fits) {
                    true => {
                        self.allowance.take(asked);
                        self.add(grant);
                    }
                    false => self.undo(grant, out),
                }
            }
            (Some(Ok(grant)), _) => self.add(grant),
            (Some(Err(refused)), Some(More::Tokens { asked, need })) => {
                let take = self.allowance.takes.get(refused.take);
                self.allowance.out_of = take.map(|(take, _)| take.limit.id.clone());
                self.allowance.step_down(asked, need);
            }
            (None, Some(More::Tokens { asked, .. })) => {
                if self.may_go_on(&[]) {
                    self.allowance.take(asked);
                }
            }
            (Some(Err(_)) | None, _) => {}
        }
    }

    /// Whether the stream goes on where the store says of these takes alone that they fit: of the others it did not
    /// say anything, and each limit says what that means.
    fn may_go_on(&mut self, fits: &[bool]) -> bool {
        let is_known = |at: usize| fits.get(at).copied().unwrap_or(false);
        let unknown = self.allowance.takes.iter().enumerate().filter(|(at, _)| !is_known(*at)).map(|(_, take)| take);
        let unknown: Vec<_> = unknown.map(|(take, rule)| (take.limit.id.clone(), rule.on_error)).collect();
        if let Some((id, _)) = unknown.iter().find(|(_, on_error)| *on_error == OnError::Deny) {
            (self.allowance.out_of, self.allowance.over) = (Some(id.clone()), true);
            return false;
        }
        for (id, _) in unknown {
            // Once, and not at each step.
            let is_told = |known: &Decision| known.reason == "fail_open" && *known.detail == *id;
            if !self.story.decisions.iter().any(is_told) {
                self.story.decide(Step::Reserve.as_str(), "allowed", "fail_open", &id);
            }
        }
        true
    }

    /// What was taken more is settled with what was taken first: what the call comes to is charged once.
    fn add(&mut self, grant: Grant) {
        let rules: Vec<_> = self.allowance.takes.iter().map(|(_, rule)| rule.clone()).collect();
        // All of it was seen to be needed.
        let none = std::iter::repeat_n(0, rules.len());
        match self.grants.iter_mut().find(|held| held.rules.iter().any(|rule| rule.cuts)) {
            Some(held) => {
                held.grant.taken.extend(grant.taken);
                held.slack.extend(none.clone());
                held.guessed.extend(none);
                held.rules.extend(rules);
            }
            None => self.grants.push(Held { grant, slack: none.clone().collect(), guessed: none.collect(), rules }),
        }
    }

    /// The answer to a question about more is awaited. What it grants has to be given back.
    pub fn asks_for_more(&self) -> bool {
        self.allowance.asks.is_some()
    }
}

// === impl Rule ===

impl Rule {
    /// How many tokens out are taken of it at a time: few enough that the last of a small limit are not out of
    /// reach.
    pub(super) fn step(&self, ceiling: u64) -> u64 {
        match self.limit.unit {
            limit::Unit::Tokens => STEP.min(ceiling / self.limit.unit.scale() / 16).max(1),
            _ => STEP,
        }
    }
}
