//! Limits that end a stream when they run out under it (`onExhausted: Cut`): output is taken of them a step
//! ahead of what the stream brings. A piece that brings more than was taken waits until more is; where no more is
//! to be had the stream ends before it, in the client's words for an answer that reached its length.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Exchange;
use super::bounds::{STEP, may_be_cut};
use super::event::{Action, Ask, Slot};
use super::limits::Held;
use super::response::Body;
use crate::limit;
use crate::limit::take::{Fit, Grant, Posture, Take};
use crate::llm::{Delta, Dropped};
use crate::policy::limits::Rule;
use crate::tokens::learned::Key;

/// A chunk is looked at in pieces of this size, so that a stream ends near to where its limit does.
const PIECE: usize = 1 << 10;

/// What comes while a piece waits is kept up to here; beyond it the stream ends.
const WAITING: usize = 1 << 20;

/// How much the running answer may still bring.
#[derive(Default)]
pub(super) struct Allowance {
    /// Tokens out that were taken of every limit that cuts; none where nothing can run out.
    taken: Option<u64>,
    /// Tokens out that the call states it has at most: with them taken, nothing can run out any more.
    bound: Option<u64>,
    /// How many tokens are asked for next, at most.
    step: u64,
    /// What more is taken of, in the order of the rules.
    takes: Vec<(Take, Arc<Rule>)>,
    /// More was asked for, and the answer is not there yet.
    asks: bool,
    /// There is no more.
    over: bool,
    /// The limit of which there is no more, by its id.
    out_of: Option<Arc<str>>,
    /// Text that was sent on before the piece that is just looked at.
    sent: u64,
    /// A piece that was read and waits for more to be taken: what goes on of it, and whether it is the last.
    held: Option<(Bytes, bool)>,
    /// What came behind it.
    waiting: VecDeque<(Bytes, bool)>,
    /// What the piece says, for the writer that ends a stream which was not written here.
    said: Vec<Delta>,
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
    pub fn read(&mut self, deltas: &[Delta]) {
        self.said.extend_from_slice(deltas);
    }

    /// The next piece; none while one waits.
    fn next(&mut self) -> Option<(Bytes, bool)> {
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

    /// How many more tokens are taken next.
    fn step(&self) -> u64 {
        let left = self.bound.map(|bound| bound.saturating_sub(self.taken.unwrap_or(0)));
        left.map_or(self.step, |left| left.min(self.step))
    }

    /// So much is not to be had; less may be.
    fn step_down(&mut self) {
        self.step = self.step() / 2;
        self.over = self.step == 0;
    }
}

// === impl Exchange ===

impl Exchange {
    /// Remembers, when a request leaves, what a stream may bring.
    pub(super) fn begin_allowance(&mut self, output: Option<u64>) {
        self.allowance = Allowance::default();
        if !self.story.call.as_ref().is_some_and(may_be_cut) {
            return;
        }
        let (mut takes, mut step) = (Vec::new(), STEP);
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
        // Where all that it may bring is taken already, nothing can run out.
        if !takes.is_empty() && output.is_none_or(|output| output > step) {
            self.allowance = Allowance { taken: Some(step), bound: output, step, takes, ..Allowance::default() };
        }
    }

    /// The answer is a stream that may have to be ended, and can be.
    pub(super) fn is_rationed(&self) -> bool {
        self.allowance.is_short() && matches!(self.response.body, Body::Events | Body::Crossing) && self.can_cut()
    }

    /// Takes a chunk of such a stream.
    pub(super) fn ration(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        self.allowance.waiting.push_back((bytes, end));
        self.go_on(out);
        if self.allowance.held.is_some() && self.allowance.buffered() > WAITING {
            self.cut(out);
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
        let taken = self.allowance.taken.unwrap_or(u64::MAX);
        // What cannot be measured any more is let finish.
        let (used, text) = self.output_so_far().unwrap_or((0, self.allowance.sent));
        let brings = text > self.allowance.sent;
        // What is complete was made and is billed, whoever gets it.
        if brings && used > taken && !self.response.was_complete() {
            match self.allowance.over {
                true => self.cut(out),
                false => self.ask_for_more(out),
            }
            return false;
        }
        self.allowance.sent = text;
        if brings && used.saturating_add(self.allowance.step / 2) > taken && !self.allowance.over {
            self.ask_for_more(out);
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
    fn follow_said(&mut self) {
        let mut written = Vec::new();
        for delta in self.allowance.said.drain(..) {
            if let Some(writer) = &mut self.response.writer {
                writer.write(&delta, &mut written, &mut Dropped::default());
                written.clear();
            }
        }
    }

    /// Ends the stream before the piece that waits.
    fn cut(&mut self, out: &mut Vec<Action>) {
        self.response.unsent_from = Some(self.allowance.sent);
        (self.allowance.held, self.allowance.waiting) = (None, VecDeque::new());
        self.over = self.allowance.out_of.clone();
        self.on_cut(out);
    }

    /// Tokens of what came so far, and bytes of its text.
    fn output_so_far(&self) -> Option<(u64, u64)> {
        let (text, target) = (self.response.text_bytes()?, self.story.target.as_ref()?);
        let key = Key { backend: &target.backend.name, model: &target.model };
        Some((self.setup.learned.estimate_output(key, text), text))
    }

    fn ask_for_more(&mut self, out: &mut Vec<Action>) {
        let Some(target) = self.story.target.clone().filter(|_| !self.side_open) else { return };
        let mut takes = Vec::with_capacity(self.allowance.takes.len());
        for (take, rule) in &self.allowance.takes {
            let amount = self.amount_of_output(rule, self.allowance.step(), &target).unwrap_or(0);
            takes.push(Take { amount, ..take.clone() });
        }
        (self.allowance.asks, self.side_open) = (true, true);
        self.ask(Slot::Side, Ask::Reserve(limit::Ask { takes }), out);
    }

    /// What the store says of more. What it does not say is no: the limits that cut are those that must hold.
    pub(super) fn more(&mut self, decision: Option<limit::Decision>, out: &mut Vec<Action>) {
        self.allowance.asks = false;
        let checked = |grant: &Grant| grant.taken.iter().all(|taken| taken.fit == Fit::Fits);
        match decision {
            Some(Ok(grant)) if checked(&grant) && self.is_answering() => {
                let taken = self.allowance.taken.unwrap_or(0).saturating_add(self.allowance.step());
                // Once all is taken that the call states, it can bring no more.
                let all = self.allowance.bound.is_some_and(|bound| taken >= bound);
                self.allowance.taken = Some(if all { u64::MAX } else { taken });
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
                self.allowance.step_down();
            }
            None => self.allowance.over = true,
        }
    }

    /// Goes on with a piece that waits, now that a question is answered.
    pub(super) fn try_held(&mut self, out: &mut Vec<Action>) {
        if self.allowance.held.is_some() && self.is_answering() {
            self.go_on(out);
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

    /// A piece of the answer waits until more is taken: what came is answered when it goes on.
    pub fn is_waiting_for_more(&self) -> bool {
        self.allowance.held.is_some()
    }

    /// The answer to a question about more is awaited. What it grants has to be given back.
    pub fn asks_for_more(&self) -> bool {
        self.allowance.asks
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
