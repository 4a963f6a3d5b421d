//! What an exchange remembers of itself, and how it becomes one record.

use std::sync::Arc;
use std::time::Duration;

use super::Exchange;
use super::event::{Action, Edits, Meta, Note};
use super::record::{Cached, Decision, Outcome, Record, Timings};
use crate::base::money::NanoUsd;
use crate::base::now::Instant;
use crate::base::words::Words;
use crate::identity::Principal;
use crate::llm::{Call, Dialect, Dropped, Media, Operation, PriceRow, Units, Usage, UsageSource};
use crate::meter::{self, Measure, Through};
use crate::policy::Tariff;
use crate::target::Target;
use crate::tokens::Uncounted;
use crate::tokens::learned::Key;

/// The facts of one exchange, gathered as they come.
pub(super) struct Story {
    pub id: Arc<str>,
    pub started: Instant,
    pub started_unix: u64,
    pub caller: Arc<Principal>,
    pub method: Words,
    pub path: Words,
    pub dialect: Dialect,
    pub operation: Operation,
    pub call: Option<Call>,
    pub target: Option<Target>,
    /// Where a request without a model went.
    pub passed_to: Option<Target>,
    pub credential: Option<Arc<str>>,
    pub status: u16,
    pub refusal: Option<&'static str>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub counted_input: Option<u64>,
    pub complete_at: Option<Instant>,
    pub sent_at: Option<Instant>,
    pub timings: Timings,
    pub decisions: Vec<Decision>,
    /// How it and the cache have met.
    pub cached: Option<Box<Cached>>,
    /// What of the answer could not be said in its client's API.
    pub dropped: Dropped,
    /// It passes unread, and may ask for a model all the same.
    pub hides_model: bool,
    /// Something was sent on, or answered: a record is due.
    pub left: bool,
    /// The record was written.
    pub is_told: bool,
}

/// Nanoseconds in a second.
pub(super) const NANOS: u64 = 1_000_000_000;

/// What an answer came to.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    pub measure: Measure,
    pub cost: Option<NanoUsd>,
    pub price: Option<PriceRow>,
}

// === impl Story ===

impl Story {
    pub fn new(id: Arc<str>, caller: Arc<Principal>) -> Self {
        Story {
            id,
            started: Instant(0),
            started_unix: 0,
            caller,
            method: Words::default(),
            path: Words::default(),
            dialect: Dialect::OpenAi,
            operation: Operation::Other,
            call: None,
            target: None,
            passed_to: None,
            credential: None,
            status: 0,
            refusal: None,
            request_bytes: 0,
            response_bytes: 0,
            counted_input: None,
            complete_at: None,
            sent_at: None,
            timings: Timings::default(),
            decisions: Vec::new(),
            cached: None,
            dropped: Dropped::default(),
            hides_model: false,
            left: false,
            is_told: false,
        }
    }

    /// Writes down what a step decided.
    pub fn decide(
        &mut self,
        step: &'static str,
        outcome: &'static str,
        reason: &'static str,
        detail: impl Into<Words>,
    ) {
        self.decisions.push(Decision { step, outcome, reason, detail: detail.into() });
    }

    /// The backend that was chosen, by whichever way.
    pub fn backend(&self) -> Option<&Target> {
        self.target.as_ref().or(self.passed_to.as_ref())
    }

    /// The steps came to their end, one way or the other.
    pub fn decided(&mut self, now: Instant) {
        if self.timings.decide.is_none() {
            self.timings.decide = self.complete_at.map(|complete| now.since(complete));
        }
    }

    pub fn age(&self, now: Instant) -> Duration {
        now.since(self.started)
    }
}

// === impl Exchange ===

impl Exchange {
    /// What the answer came to, as far as it has been seen.
    pub(super) fn bill(&self) -> Bill {
        let story = &self.story;
        let seen = self.response.seen();
        // What never left cost nothing, whatever the client was answered.
        let Some(target) = story.backend().filter(|_| story.sent_at.is_some()) else { return Bill::nothing() };
        let requested = story.call.as_ref().map_or("", |call| &*call.model);
        let sent = if target.model.is_empty() { requested } else { &target.model };
        let complete = self.response.was_complete();
        let media = story.call.as_ref().and_then(|call| call.media.as_deref());
        let through = Through {
            request_bytes: story.call.as_ref().map_or(0, |call| call.body_bytes),
            text_bytes: self.response.text_bytes().filter(|_| !story.operation.is_media()),
            complete,
            status: self.response.upstream_status().filter(|_| !self.response.broke),
            // What ended in an error was not made, or nobody knows how much of it.
            counted: media.filter(|_| seen.is_none_or(|seen| !seen.has_error)).map(counted).unwrap_or_default(),
        };
        let speaks = media.is_some_and(|media| media.characters > 0);
        let stated = seen.and_then(|seen| meter::stated(story.operation, speaks, seen, complete));
        let stated = stated.or(self.response.stated);
        if !self.is_billable(stated.is_some()) {
            return Bill::nothing();
        }
        let key = Key { backend: &target.backend.name, model: sent };
        let mut measure = meter::settle(stated, through, &self.setup.learned, key);
        if let (UsageSource::Estimated, Some(counted), None) = (measure.source, story.counted_input, stated) {
            measure.usage.input = counted;
        }
        let served = seen.and_then(|seen| seen.model.as_deref());
        if measure.source == UsageSource::Unknown {
            return Bill { measure, cost: None, price: None };
        }
        // What the provider says that it bills is the bill.
        if let Some(cost) = seen.and_then(|seen| seen.aside.billed()) {
            return Bill { measure, cost: Some(cost), price: Some(PriceRow::stated()) };
        }
        let tariff = Tariff {
            index: target.index,
            provider: &target.backend.provider,
            requested: sent,
            served,
            told: seen.and_then(|seen| seen.service_tier.as_deref()),
            asked: story.call.as_ref().and_then(|call| call.service_tier.as_deref()),
            size: seen.and_then(|seen| seen.aside.size.as_deref()).or(media.and_then(|media| media.size.as_deref())),
            quality: seen
                .and_then(|seen| seen.aside.quality.as_deref())
                .or(media.and_then(|media| media.quality.as_deref())),
            at: Some(story.started_unix / NANOS),
            geo: seen.and_then(|seen| seen.aside.geo.as_deref()),
            speed: seen.and_then(|seen| seen.aside.speed.as_deref()),
        };
        let (cost, price) = tariff.price(&self.setup.policy, &measure.usage);
        Bill { measure, cost, price }
    }

    /// Whether this exchange made tokens that anybody could be billed for, as far as can be said.
    fn is_billable(&self, stated: bool) -> bool {
        let story = &self.story;
        // Where the answer cannot be read to its end, what was read of it is not all.
        let readable = !self.response.is_blind();
        // The answer of a background call comes by another request.
        let here = story.call.as_ref().is_some_and(|call| !call.background);
        self.makes_tokens() && readable && (stated || here)
    }

    /// Whether anybody could be billed for what was asked.
    pub(super) fn makes_tokens(&self) -> bool {
        let story = &self.story;
        // What is read again was billed when it was made; a cancellation makes nothing.
        let makes = &*story.method == "POST" && !story.path.ends_with("/cancel");
        makes && !matches!(story.operation, Operation::CountTokens | Operation::Models)
    }

    /// How the answer ended, now that it has.
    pub(super) fn outcome(&self) -> Outcome {
        let failed = self.response.upstream_status().is_some_and(|status| status >= 400)
            || self.response.crossed.failed
            || self.response.seen().is_some_and(|seen| seen.has_error);
        match (failed, self.response.was_complete()) {
            (true, _) => Outcome::UpstreamError,
            (false, true) => Outcome::Completed,
            (false, false) => Outcome::Truncated,
        }
    }

    /// What the rest of the proxy is told at the end.
    pub(super) fn closing_meta(&self, bill: &Bill, outcome: Outcome) -> Meta {
        let mut meta = Meta::with_capacity(10);
        meta.push(("outcome", outcome.as_str().into()));
        meta.push(("usage_source", bill.measure.source.as_str().into()));
        if bill.measure.source != UsageSource::Unknown {
            let usage = &bill.measure.usage;
            meta.push(("input_tokens", usage.total_input().into()));
            meta.push(("cached_tokens", usage.cache_read.into()));
            meta.push(("output_tokens", usage.total_output().into()));
            meta.push(("reasoning_tokens", usage.reasoning.into()));
            for (name, count) in usage.units.named() {
                if count > 0 {
                    meta.push((name, count.into()));
                }
            }
        }
        if let Some(cost) = bill.cost {
            meta.push(("cost_nano_usd", u64::try_from(cost.nanos()).unwrap_or(0).into()));
            meta.push(("cost_usd", cost.to_string().into()));
        }
        if let Some(model) = self.response.seen().and_then(|seen| seen.model.clone()) {
            meta.push(("served_model", model.into()));
        }
        if let Some(limit) = &self.over {
            meta.push(("limit", limit.into()));
        }
        if let Some(cached) = &self.story.cached {
            meta.push(("cache", cached.status.as_str().into()));
        }
        if !self.story.dropped.is_empty() {
            meta.push(("answer_dropped", self.story.dropped.to_string().into()));
        }
        if let Some(first) = self.story.timings.first_token {
            meta.push(("ttft_ms", u64::try_from(first.as_millis()).unwrap_or(u64::MAX).into()));
        }
        meta
    }

    /// What a header says of the bill, where the profile wants it.
    pub(super) fn bill_headers(&self, edits: &mut Edits, bill: &Bill) {
        let wanted = &self.profile.response_headers;
        if let Some(cost) = bill.cost.filter(|_| wanted.cost) {
            edits.set("x-weir-cost-usd", cost.to_string());
        }
        if wanted.tokens && bill.measure.source != crate::llm::UsageSource::Unknown {
            let usage = &bill.measure.usage;
            let text = format!(
                "input={}, cached={}, output={}, reasoning={}",
                usage.total_input(),
                usage.cache_read,
                usage.total_output(),
                usage.reasoning
            );
            edits.set("x-weir-tokens", text);
        }
    }

    /// Writes the one record, and gives back what was reserved.
    pub(super) fn tell(&mut self, outcome: Outcome, out: &mut Vec<Action>) {
        let bill = self.bill();
        self.tell_bill(outcome, &bill, out);
    }

    /// As [`Exchange::tell`], with a bill that was made already.
    pub(super) fn tell_bill(&mut self, outcome: Outcome, bill: &Bill, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.story.is_told, true) {
            return;
        }
        if !self.story.dropped.is_empty() {
            let names = self.story.dropped.to_string();
            self.story.decide("translate", "dropped", "answer_not_sayable", names);
        }
        self.observe_after(None, out);
        let uncounted = self.uncounted(bill).filter(|_| !self.may_have_thought(bill));
        self.met = self.outcomes(outcome);
        self.settle_all(bill, uncounted.as_ref(), out);
        self.forsake(out);
        let record = self.record(outcome, bill, uncounted);
        self.note(Note::Record(Box::new(record)), out);
    }

    fn record(&mut self, outcome: Outcome, bill: &Bill, uncounted: Option<Uncounted>) -> Record {
        let seen = self.response.seen();
        let story = &self.story;
        let target = story.backend();
        let call = story.call.as_ref();
        let requested = call.map(|call| Words::from(&call.model)).unwrap_or_default();
        let sent = target.map(|target| Words::from(&target.model)).unwrap_or_default();
        Record {
            id: story.id.clone(),
            started: story.started_unix,
            duration: story.age(self.now.mono),
            caller: story.caller.clone(),
            dialect: story.dialect,
            operation: story.operation,
            method: story.method.clone(),
            path: story.path.clone(),
            route: target.and_then(|target| Some(target.rule.as_ref()?.text().clone())),
            backend: target.map(|target| target.backend.name.clone()),
            provider: target.map(|target| target.backend.provider.clone()),
            requested_model: requested,
            sent_model: sent,
            served_model: seen.and_then(|seen| seen.model.clone()).map(Words::from).unwrap_or_default(),
            service_tier: seen.and_then(|seen| seen.service_tier.clone()),
            stream: call.is_some_and(|call| call.stream) || self.response.is_stream(),
            status: story.status,
            outcome,
            refusal: story.refusal,
            usage: bill.measure.usage,
            usage_source: bill.measure.source,
            cost: bill.cost,
            price: bill.price.clone(),
            uncounted,
            request_bytes: story.request_bytes,
            response_bytes: story.response_bytes,
            body_bytes: call.map_or(0, |call| call.body_bytes),
            choices: call.map_or(0, |call| call.choices),
            text_bytes: self.response.text_bytes(),
            timings: story.timings,
            signed: story.credential.is_some(),
            credential: story.credential.clone(),
            unknown_usage_fields: seen.map_or(0, |seen| seen.unknown_usage_fields),
            hides_model: story.hides_model,
            decisions: std::mem::take(&mut self.story.decisions),
            cached: self.story.cached.take(),
            attempts: self.attempts.take_told(),
            limits: std::mem::take(&mut self.charges),
            met: std::mem::take(&mut self.met),
            generation: self.setup.policy.generation,
        }
    }
}

/// What the request says that its answer may not.
fn counted(media: &Media) -> Units {
    Units { characters: media.characters, audio_in_ms: media.audio_ms, ..Units::default() }
}

// === impl Bill ===

impl Bill {
    /// For what never reached a provider.
    pub fn nothing() -> Self {
        Bill { measure: Measure { usage: Usage::default(), source: UsageSource::Unknown }, cost: None, price: None }
    }

    /// For what was estimated here, and costs nothing.
    pub fn free() -> Self {
        let measure = Measure { usage: Usage::default(), source: UsageSource::Estimated };
        Bill { measure, cost: Some(NanoUsd(0)), price: None }
    }
}
