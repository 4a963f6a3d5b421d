//! Limits that end a stream when they run out under it (`onExhausted: Cut`): output is taken of them a step
//! ahead of what the stream brings. What it brings beyond that waits until more is taken, and where no more is
//! to be had the stream ends before it, in the client's words for an answer that reached its length.

use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::bounds::STEP;
use super::event::{Action, Ask, Slot};
use super::limits::Held;
use super::response::Body;
use super::rope::Rope;
use crate::limit;
use crate::limit::take::{Fit, Grant, Posture, Take};
use crate::policy::limits::Rule;
use crate::tokens::learned::Key;

/// How much the running answer may still bring.
#[derive(Default)]
pub(super) struct Allowance {
    /// Tokens out that were taken of every limit that cuts; none where no such limit was met.
    taken: Option<u64>,
    /// How many are taken at a time.
    step: u64,
    /// What more is taken of, in the order of the rules.
    takes: Vec<(Take, Arc<Rule>)>,
    /// So many more were asked for, and the answer is not there yet.
    asked: Option<u64>,
    /// There is no more.
    over: bool,
    /// The limit of which there is no more, by its id.
    out_of: Option<Arc<str>>,
    /// What came and may not be sent yet, and whether it is the last of the body.
    waiting: Rope,
    ends: bool,
    /// Bytes of text that were sent on.
    sent: u64,
}

// === impl Allowance ===

impl Allowance {
    /// Bytes that wait.
    pub fn buffered(&self) -> usize {
        self.waiting.len()
    }

    /// The text that a client was sent, where some of what came waits.
    pub fn sent(&self) -> Option<u64> {
        (self.taken.is_some() && (self.waiting.len() > 0 || self.ends)).then_some(self.sent)
    }
}

// === impl Exchange ===

impl Exchange {
    /// Remembers, when a request leaves, what a stream may bring; `output` is what the call states.
    pub(super) fn begin_allowance(&mut self, output: Option<u64>) {
        self.allowance = Allowance::default();
        let mut step = STEP;
        let mut takes = Vec::new();
        for held in &self.grants {
            for (taken, rule) in held.grant.taken.iter().zip(&held.rules).filter(|(_, rule)| rule.cuts) {
                if !rule.is_enforced() || taken.fit != Fit::Fits {
                    continue;
                }
                let (limit, key, ceiling) = (taken.limit.clone(), taken.key.clone(), taken.standing.ceiling);
                step = step.min(rule.step(ceiling));
                takes.push((Take { limit, key, ceiling, amount: 0, posture: Posture::Enforce }, rule.clone()));
            }
        }
        if !takes.is_empty() {
            let taken = Some(output.unwrap_or(step).min(step));
            self.allowance = Allowance { taken, step, takes, ..Allowance::default() };
        }
    }

    /// Sends a piece of a stream on as far as the limits that cut it allow: now, when more was taken, or never.
    pub(super) fn emit_allowed(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        let Some((used, text)) = self.allowance.taken.and_then(|_| self.output_so_far()) else {
            return self.emit(bytes, end, out);
        };
        self.allowance.waiting.push(bytes);
        self.allowance.ends |= end;
        self.allow(used, text, out);
    }

    fn allow(&mut self, used: u64, text: u64, out: &mut Vec<Action>) {
        let Some(taken) = self.allowance.taken else { return };
        let streams = matches!(self.response.body, Body::Events | Body::Crossing);
        // What is complete was made and is billed, whoever gets it.
        if used <= taken || !streams || self.response.was_complete() {
            self.allowance.sent = text;
            self.let_through(out);
            self.take_ahead(used, out);
        } else if self.allowance.over {
            self.cut_short(out);
        } else {
            self.take_ahead(used, out);
        }
    }

    /// Something else is to be sent behind it.
    pub(super) fn let_waiting_through(&mut self, out: &mut Vec<Action>) {
        if self.allowance.waiting.len() > 0 {
            self.let_through(out);
        }
    }

    /// It will never be sent, and is not billed as if it had been.
    pub(super) fn give_waiting_up(&mut self) {
        self.response.unsent_from = self.response.unsent_from.or(self.allowance.sent());
        self.allowance = Allowance::default();
    }

    fn let_through(&mut self, out: &mut Vec<Action>) {
        let end = std::mem::take(&mut self.allowance.ends);
        let mut pieces = std::mem::take(&mut self.allowance.waiting).into_pieces();
        let last = pieces.pop().unwrap_or_default();
        for bytes in pieces {
            self.emit(bytes, false, out);
        }
        self.emit(last, end, out);
    }

    fn cut_short(&mut self, out: &mut Vec<Action>) {
        self.response.unsent_from = Some(self.allowance.sent);
        let (waiting, ends) = (std::mem::take(&mut self.allowance.waiting), std::mem::take(&mut self.allowance.ends));
        self.over = self.allowance.out_of.clone();
        self.on_cut(out);
        if self.is_answering() {
            // It cannot be ended here: it goes on.
            self.over = None;
            self.response.unsent_from = None;
            (self.allowance.waiting, self.allowance.ends, self.allowance.taken) = (waiting, ends, None);
            self.let_through(out);
        }
    }

    /// Asks for more while there is some left, or for what is missing.
    fn take_ahead(&mut self, used: u64, out: &mut Vec<Action>) {
        let Allowance { taken: Some(taken), step, asked: None, over: false, .. } = self.allowance else { return };
        let wanted = used.saturating_add(step / 2);
        if wanted <= taken || self.side_open || !self.is_answering() {
            return;
        }
        let Some(target) = self.story.target.clone() else { return };
        let more = (wanted - taken).max(step);
        let mut takes = Vec::with_capacity(self.allowance.takes.len());
        for (take, rule) in &self.allowance.takes {
            let amount = self.amount_of_output(rule, more, &target).unwrap_or(0);
            takes.push(Take { amount, ..take.clone() });
        }
        (self.allowance.asked, self.side_open) = (Some(more), true);
        self.ask(Slot::Side, Ask::Reserve(limit::Ask { takes }), out);
    }

    /// Tokens of what came so far, and bytes of its text.
    fn output_so_far(&self) -> Option<(u64, u64)> {
        let target = self.story.target.as_ref()?;
        let text = self.response.seen()?.text_bytes;
        let key = Key { backend: &target.backend.name, model: &target.model };
        Some((self.setup.learned.estimate_output(key, text), text))
    }

    /// What the store says of more. What it does not say is no: the limits that cut are those that must hold.
    pub(super) fn more(&mut self, decision: Option<limit::Decision>, out: &mut Vec<Action>) {
        let asked = self.allowance.asked.take().unwrap_or(0);
        let checked = |grant: &Grant| grant.taken.iter().all(|taken| taken.fit == Fit::Fits);
        match decision {
            Some(Ok(grant)) if checked(&grant) && self.is_answering() => {
                self.allowance.taken = self.allowance.taken.map(|taken| taken.saturating_add(asked));
                self.add(grant);
            }
            Some(Ok(grant)) => {
                let unchecked = grant.taken.iter().find(|taken| taken.fit != Fit::Fits);
                self.allowance.out_of = unchecked.map(|taken| taken.limit.id.clone());
                self.allowance.over = true;
                self.undo(grant, out);
            }
            Some(Err(refused)) => {
                let take = self.allowance.takes.get(refused.take);
                self.allowance.out_of = take.map(|(take, _)| take.limit.id.clone());
                self.allowance.over = true;
            }
            None => self.allowance.over = true,
        }
        let waits = self.allowance.waiting.len() > 0 || self.allowance.ends;
        if let (true, true, Some((used, text))) = (waits, self.is_answering(), self.output_so_far()) {
            self.allow(used, text, out);
        }
    }

    /// What was taken more is settled with what was taken first: what the call comes to is charged once.
    fn add(&mut self, grant: Grant) {
        let rules: Vec<_> = self.allowance.takes.iter().map(|(_, rule)| rule.clone()).collect();
        let slack = std::iter::repeat_n(0, rules.len());
        match self.grants.iter_mut().find(|held| held.rules.iter().any(|rule| rule.cuts)) {
            Some(held) => {
                held.grant.taken.extend(grant.taken);
                held.slack.extend(slack);
                held.rules.extend(rules);
            }
            None => self.grants.push(Held { grant, slack: slack.collect(), rules }),
        }
    }

    /// The answer to a question about more is awaited.
    pub(super) fn asks_for_more(&self) -> bool {
        self.allowance.asked.is_some()
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
