//! One call at several backends in turn: what each attempt sends, and what is known of those that failed. The proxy
//! chooses when there is another attempt, and goes along the order that the call left with.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Again, Attempt, Edits, Headers, ResponseHead, Value};
use super::forward::BACKEND_HEADER;
use super::local_reply::refused;
use super::phase::Phase;
use super::record;
use super::request::State;
use super::sign::no_token_needed;
use super::steps::Deciding;
use super::translate::Written;
use crate::base::now::Instant;
use crate::base::words::Words;
use crate::credential::Signing;
use crate::llm::{Code, Refusal};
use crate::policy::Policy;
use crate::target::{RetryOn, Target, header};
use crate::tokens::learned::Key;

/// Why nothing was sent to a backend of which the proxy said no word.
const NOT_CONNECTED: &str = "not_connected";

/// The attempts of one call.
#[derive(Default)]
pub(super) struct Attempts {
    /// The proxy can only try the first place again.
    stays: bool,
    /// Where the call goes, in turn and then from the first again. One place where nothing follows.
    order: Vec<Target>,
    /// How many of them were begun, the first one included.
    begun: usize,
    /// Names of the headers that an attempt has changed. The proxy keeps such a change for the attempts that follow.
    touched: Vec<Words>,
    /// When the one that runs has begun; none where the last one has ended.
    since: Option<Instant>,
    /// How many may follow the first, at whatever place.
    may_be: u32,
    told: Vec<record::Attempt>,
    /// Why the last attempt is answered here.
    refused: Option<Refusal>,
}

// === impl Attempts ===

impl Attempts {
    /// Where the call goes if the first place fails; replaces what was said before.
    pub fn plan(&mut self, next: Vec<Target>) {
        let order = if self.stays { Vec::new() } else { next };
        *self = Attempts { order, stays: self.stays, ..Attempts::default() };
    }

    /// Where the call may go besides the first place.
    pub fn next(&self) -> &[Target] {
        match self.begun {
            0 => &self.order,
            _ => &[],
        }
    }

    /// There may be another attempt.
    pub fn may_follow(&self) -> bool {
        self.order.len() > 1
    }

    /// The proxy was told to try again after certain answers, and where nothing of a call has left: one that it tries
    /// again without an answer has reached nobody. Where it was told to after a server's error it also does when a
    /// connection breaks or a time is over, and no filter of its learns which it was.
    fn only_after_answers_or_before_sending(&self) -> bool {
        let retry = self.order.first().and_then(|first| first.retry.as_ref());
        retry.is_some_and(|retry| !retry.on.contains(&RetryOn::ServerError))
    }

    /// Why an attempt was answered here, once: the proxy gives the client other words for it.
    pub fn take_refused(&mut self) -> Option<Refusal> {
        self.refused.take()
    }

    /// For the record, once.
    pub fn take_told(&mut self) -> Vec<record::Attempt> {
        std::mem::take(&mut self.told)
    }

    /// The place of an attempt at this backend. It may be some places behind the last one: the proxy makes an attempt
    /// without a word where there is nobody to connect to.
    fn find(&self, attempt: &Attempt) -> Option<usize> {
        let from = if attempt.number <= 1 { 0 } else { self.begun };
        let places = from..from + self.order.len();
        let at = |place: usize| self.order.get(place % self.order.len());
        places.into_iter().find(|&place| at(place).is_some_and(|target| *target.backend.name == *attempt.backend))
    }

    fn touch(&mut self, edits: &Edits) {
        for name in edits.set.iter().map(|(name, _)| name).chain(&edits.remove) {
            if !self.touched.contains(name) {
                self.touched.push(name.clone());
            }
        }
    }

    /// Takes back what earlier attempts have changed and this one does not: every value, byte for byte.
    fn restore(&self, edits: &mut Edits, original: &Headers) {
        for name in &self.touched {
            if edits.set.iter().any(|(set, _)| set == name) || edits.remove.contains(name) {
                continue;
            }
            match original.contains(name) {
                false => edits.remove.push(name.clone()),
                true => edits.set.push((name.clone(), Value::Original(original.only(name)))),
            }
        }
    }

    fn begin(&mut self, target: &Target, credential: Option<&Arc<str>>, now: Instant) {
        self.since = Some(now);
        self.tell(target, credential, None);
    }

    /// Nothing is sent to `target`.
    fn skip(&mut self, target: &Target, reason: &'static str) {
        self.tell(target, None, Some(reason));
    }

    fn tell(&mut self, target: &Target, credential: Option<&Arc<str>>, skipped: Option<&'static str>) {
        self.told.push(record::Attempt {
            backend: target.backend.name.clone(),
            model: target.model.clone(),
            credential: credential.cloned(),
            status: 0,
            duration: Duration::ZERO,
            wasted: 0,
            skipped,
        });
    }

    /// The target at a place of the order, which begins anew behind its last.
    fn at(&self, place: usize) -> Option<Target> {
        self.order.get(place.checked_rem(self.order.len())?).cloned()
    }

    /// The attempt at `place` is the next that the proxy says a word of: to those before it, it could not connect.
    fn pass_over(&mut self, place: usize) {
        let passed: Vec<Target> = (self.begun..place).filter_map(|between| self.at(between)).collect();
        passed.iter().for_each(|target| self.skip(target, NOT_CONNECTED));
        self.begun = place + 1;
    }

    fn was_not_connected(&mut self) {
        if let Some(last) = self.last() {
            last.skipped = Some(NOT_CONNECTED);
        }
    }

    /// The last that was begun.
    fn last(&mut self) -> Option<&mut record::Attempt> {
        self.told.iter_mut().rev().find(|told| told.skipped.is_none())
    }

    fn end(&mut self, status: u16, wasted: u64, now: Instant) {
        let since = self.since.take();
        if let Some((last, since)) = self.last().zip(since) {
            (last.status, last.wasted, last.duration) = (status, wasted, now.since(since));
        }
    }

    /// The last attempt was not made: an answer to it is nobody's but the proxy's.
    fn was_not_made(&self) -> bool {
        !self.told.is_empty() && self.since.is_none()
    }
}

// === impl Exchange ===

impl Exchange {
    /// Whether the proxy can try one call at several backends. Where it cannot, a rule that wants it fails over for
    /// the next call.
    pub fn fail_over(&mut self, can: impl FnOnce(&Policy) -> bool) {
        self.attempts.stays = !can(&self.setup.policy);
    }

    /// True while another attempt of the proxy's has to be told here.
    pub fn awaits_attempts(&self) -> bool {
        self.phase == Phase::Sent && !self.story.is_told && matches!(self.request, State::Released(Some(_)))
    }

    /// The call leaves for `target`; what may follow is named to the proxy.
    pub(super) fn begin_attempts(&mut self, kept: &Deciding, target: &Target, head: &mut Edits) {
        let retry = target.retry.as_ref();
        let may_be = retry.map_or(0, |retry| retry.attempts);
        let (mut order, mut left_out) = (Vec::new(), Vec::new());
        for next in std::mem::take(&mut self.attempts.order) {
            if order.len() >= may_be as usize {
                break;
            }
            match self.cannot_be_sent(kept, &next) {
                None => order.push(next),
                Some(reason) => left_out.push((next, reason)),
            }
        }
        (self.attempts.order, self.attempts.may_be) = (order, may_be);
        if !self.attempts.order.is_empty() {
            self.attempts.order.insert(0, target.clone());
            let names = self.attempts.order.iter().map(|target| &*target.backend.name);
            let route = header(names, may_be);
            head.set.retain(|(name, _)| *name != *BACKEND_HEADER);
            self.attempts.touch(head);
            head.set(BACKEND_HEADER, route);
            self.attempts.begun = 1;
        }
        if self.attempts.may_follow() || !left_out.is_empty() {
            self.attempts.begin(target, self.story.credential.as_ref(), self.now.mono);
        }
        left_out.iter().for_each(|(target, reason)| self.attempts.skip(target, reason));
        // The router takes its orders out of the head.
        if let Some(retry) = retry {
            head.order(retry);
        }
    }

    /// An attempt is written from the original: what an earlier one left in the headers is not looked at.
    pub(super) fn on_attempt(&mut self, mut attempt: Attempt, out: &mut Vec<Action>) {
        // Once an answer has begun, or before the request has left, there is nothing to try again.
        if self.phase != Phase::Sent {
            return;
        }
        let State::Released(kept) = &mut self.request else { return };
        let Some(mut kept) = kept.take() else { return };
        let original = attempt.original.take();
        let has_original = original.is_some();
        kept.body = original.unwrap_or_default();
        let again = match self.attempts.find(&attempt) {
            Some(0) if attempt.number <= 1 => Again::Same,
            Some(place) => {
                let next = self.attempts.at(place);
                self.leave_flight(next.as_ref(), &mut kept, out);
                self.end_attempt(&attempt, place, out);
                self.try_items_again((place, next.as_ref()), &mut kept, has_original, out)
            }
            None => {
                let detail = attempt.backend.clone();
                self.story.decide("target", "not_retried", "not_in_order", detail);
                Again::Not(refused(Code::NoBackend, &format!("Backend {:?} is not next.", attempt.backend)))
            }
        };
        kept.body = Bytes::new();
        // The proxy may have made attempts of which nothing was heard: there are no more than these.
        let is_last = attempt.number > self.attempts.may_be;
        self.request = State::Released((!is_last).then_some(kept));
        self.push(Action::Retry(attempt.number, again), out);
    }

    /// The original of a call that leaves, for whoever keeps it; what else an attempt needs stays here.
    pub(super) fn keep(&mut self, mut deciding: Box<Deciding>) -> Bytes {
        let left = std::mem::take(&mut deciding.body);
        self.request = State::Released(Some(deciding));
        self.take_original().unwrap_or(left)
    }

    pub(super) fn try_again(&mut self, place: usize, kept: &Deciding, has_original: bool) -> Again {
        let Some(target) = self.attempts.at(place) else {
            return Again::Same;
        };
        let before = self.story.target.as_ref();
        if !has_original {
            if before.is_some_and(|before| before.index == target.index && before.model == target.model) {
                // As it stands it is written for this one: the last but one was not connected to.
                self.attempts.begin(&target, self.story.credential.as_ref(), self.now.mono);
                return Again::Same;
            }
            return self.not_sent(&target, "given_up", given_up(&target));
        }
        // What may be left of a limit decides how the call is written.
        self.begin_allowance(&target, kept);
        let written = self.sign_attempt(kept, &target).and_then(|signing| {
            let (head, written) = self.write_attempt(kept, &target, &signing)?;
            Ok((signing, head, written))
        });
        let (signing, mut head, written) = match written {
            Ok(written) => written,
            Err(refusal) => return self.not_sent(&target, refusal.code.as_str(), refusal),
        };
        self.story.decide("target", "retried", "attempt", target.backend.name.to_string());
        self.story.credential = signing.name().cloned();
        self.attempts.begin(&target, self.story.credential.as_ref(), self.now.mono);
        let Written { body, dropped, asked, .. } = written;
        self.expect(kept, &target, asked);
        self.tell_dropped(&dropped);
        // The proxy keeps what an earlier attempt has told, unless it is told otherwise.
        for name in ["credential", "dropped"] {
            if !head.meta.iter().any(|(told, _)| *told == name) {
                head.meta.push((name, "".into()));
            }
        }
        if self.story.target.as_ref().is_some_and(|before| before.model != target.model) {
            self.story.counted_input = None;
        }
        self.story.target = Some(target);
        head.set.retain(|(name, _)| *name != *BACKEND_HEADER);
        self.attempts.restore(&mut head, &kept.head.headers);
        self.attempts.touch(&head);
        Again::Anew { head, body }
    }

    /// The attempt is answered here: nothing can be sent to `target`.
    fn not_sent(&mut self, target: &Target, reason: &'static str, refusal: Refusal) -> Again {
        let detail = refusal.detail.as_deref().map_or(String::new(), |detail| format!(": {detail}"));
        self.story.decide("target", "not_retried", reason, format!("{}{detail}", target.backend.name));
        self.attempts.skip(target, reason);
        let mut local = refused(refusal.code, &refusal.message);
        if let Some(after) = refusal.retry_after {
            local.headers.push(("retry-after".into(), after.as_millis().div_ceil(1000).to_string().into()));
        }
        self.attempts.refused = Some(refusal);
        Again::Not(local)
    }

    /// What the attempt that has failed says of its backend, and what it may cost all the same. The next one is at
    /// `place`.
    fn end_attempt(&mut self, next: &Attempt, place: usize, out: &mut Vec<Action>) {
        let asked = self.attempts.last().map(|last| last.backend.clone()).unwrap_or_default();
        // The answer may be that of an attempt before the last one, which the proxy never got to.
        let answered = next.before.as_ref().filter(|failed| *failed.backend == *asked);
        // The first that is heard of is the first that could be sent.
        let was_sent = next.number > 1;
        let never_left = answered.is_none() && (!was_sent || self.attempts.only_after_answers_or_before_sending());
        let wasted = if answered.is_some() || never_left { 0 } else { self.estimated_prompt() };
        self.attempts.end(answered.map_or(0, |failed| failed.status), wasted, self.now.mono);
        if !was_sent {
            self.attempts.was_not_connected();
        }
        self.attempts.pass_over(place);
        self.observe_attempt(answered, never_left, out);
    }

    /// The head of the answer that goes on has come: nothing is tried again, and nothing kept for it.
    pub(super) fn end_last_attempt(&mut self, head: &ResponseHead, end: bool, out: &mut Vec<Action>) {
        if !self.attempts.was_not_made() {
            self.observe(head, end, out);
        }
        self.attempts.end(head.status, 0, self.now.mono);
        if let State::Released(kept) = &mut self.request {
            *kept = None;
        }
    }

    fn estimated_prompt(&self) -> u64 {
        let Some((call, target)) = self.story.call.as_ref().zip(self.story.target.as_ref()) else { return 0 };
        let key = Key { backend: &target.backend.name, model: &target.model };
        self.setup.learned.estimate_input(key, call.body_bytes)
    }

    /// Why no attempt at this target could be made; none where one can: Envoy asks no other one where it cannot.
    fn cannot_be_sent(&self, kept: &Deciding, target: &Target) -> Option<&'static str> {
        let tried = self.sign_attempt(kept, target).and_then(|signing| match target.refuses_loss {
            // What a rule refuses is found out by writing; what is written otherwise is seldom refused.
            true => self.write_attempt(kept, target, &signing).map(|_| ()),
            false => Ok(()),
        });
        tried.err().map(|refusal| refusal.code.as_str())
    }

    /// With whose key another attempt leaves.
    fn sign_attempt(&self, kept: &Deciding, target: &Target) -> Result<Signing, Refusal> {
        let first = kept.target.as_ref();
        if first.is_some_and(|first| *first.backend.name == *target.backend.name) {
            return Ok(kept.signing.clone());
        }
        let held = self.own_credential(target.index, &target.backend)?;
        no_token_needed(held.credential, self.leaving(&target.backend))
    }
}

/// What a client is told whose call failed at one backend and can be written for no other any more.
fn given_up(target: &Target) -> Refusal {
    let message = format!(
        "The call failed at one backend and could not be sent on to {:?}: there is no memory left for it; ask again.",
        target.backend.name
    );
    Refusal::new(Code::Overloaded, message).retry_after(Duration::from_secs(1))
}
