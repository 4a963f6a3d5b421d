//! The Prometheus metrics: every family, its name, its labels and what goes into it. The number of
//! series is bounded whatever clients and providers send.
//!
//! Names under `gen_ai_` are those of the OpenTelemetry GenAI conventions and hold only what a
//! provider stated; an estimate never enters them.

pub mod cache;
mod config;
mod cooling;
mod credentials;
mod handshakes;
mod journal;
mod labels;
mod limits;
mod money;
mod series;
mod store;
mod units;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use self::cache::Cache;
pub use self::config::Loads;
pub use self::cooling::Cooling;
pub use self::credentials::Credentials;
pub use self::handshakes::{HandshakeRefusal, Handshakes};
use self::labels::{Cause, Decided, FailOpen, Phase, Side, Source, Type};
pub use self::limits::{Limits, Seen};
use self::money::UsdCounter;
use self::series::Models;
pub use self::store::Store;
use self::units::Units;
use super::record::clip;
use crate::base::money::NanoUsd;
use crate::exchange::record::{Decision, Outcome, Record};
use crate::limit::journal::Counts;
use crate::llm::{Operation, UsageSource};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The reason of a decision to let pass what could not be checked.
const FAILED_OPEN: &str = "fail_open";
/// Most pairs of policy and cause that are told apart in `weir_fail_open_total`.
const FAIL_OPEN: usize = 512;
/// Longest policy name in a label, in bytes.
const NAME: usize = 128;

/// What the process counts. Share it in an `Arc`; every method may be called from any thread.
#[derive(Debug)]
pub struct Metrics {
    /// Exchanges that have begun and not ended.
    pub in_flight: Gauge,
    /// Bytes of bodies that are held, in all exchanges together.
    pub buffered: Gauge,
    /// Records that the ledger could not take. The ledger counts here.
    pub ledger_dropped: Counter,
    /// Notes that an exchange could not leave. The queue of the notes counts here.
    pub notes_dropped: Counter,
    /// Bodies kept for another attempt that were given up to make room. The pool of exchanges counts here.
    pub originals_given_up: Counter,
    /// How what is spent is written down. The journal counts here.
    pub journal: Counts,
    /// How the configuration and the secrets are loaded.
    pub loads: Loads,
    /// Credentials that are fetched, and those that are not taken.
    pub credentials: Credentials,
    /// What is used of limits, and what became of the calls that asked.
    pub limits: Limits,
    /// Who connects to the ext_proc listener, where that speaks TLS.
    pub handshakes: Handshakes,
    /// What replicas share.
    pub store: Store,
    /// What they tell one another of providers.
    pub cooling: Cooling,
    /// Answers from memory.
    pub cache: Cache,
    registry: Registry,
    models: Models,
    phases: Phases,
    decisions: Family<Decided, Counter>,
    usage: [Counter; 3],
    estimated: [Counter; 2],
    cost: UsdCounter,
    units: Units,
    truncated: [Counter; 3],
    shed: Family<Cause, Counter>,
    unknown_fields: Counter,
    fail_open: Family<FailOpen, Counter>,
    /// Handles on what `fail_open` has, by policy.
    policies: RwLock<HashMap<Arc<str>, Causes>>,
    fail_open_sets: series::Sets,
}

/// The series of one policy, by cause.
type Causes = Vec<(&'static str, Counter)>;

/// The parts of an exchange, in order.
#[derive(Debug)]
struct Phases {
    receive: Histogram,
    decide: Histogram,
    wait: Histogram,
    answer: Histogram,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All families, at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        // The encoder itself appends `_total` to a counter and `_info` to an info.
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        r.register("weir_build", "The version that runs", Info::new(build));
        Metrics {
            in_flight: gauge(r, "weir_exchanges_in_flight", "Exchanges that have begun and not ended"),
            buffered: gauge(r, "weir_buffered_bytes", "Bytes of bodies that are held"),
            models: Models::register(r),
            phases: Phases::register(r),
            decisions: family(r, "weir_decisions", "Decisions of each step of an exchange"),
            usage: sources(r),
            estimated: types(r),
            cost: money::register(r, "weir_cost_usd", "What the metered calls cost, in USD"),
            units: Units::register(r),
            truncated: sides(r),
            shed: family(r, "weir_shed", "Exchanges refused because there was no room"),
            ledger_dropped: counter(r, "weir_ledger_dropped", "Records that were not written to the ledger"),
            notes_dropped: counter(
                r,
                "weir_notes_dropped",
                "Notes of exchanges for which there was no room or no time",
            ),
            originals_given_up: counter(
                r,
                "weir_originals_given_up",
                "Bodies kept for another attempt that made room for others",
            ),
            journal: journal::register(r),
            unknown_fields: counter(r, "weir_unknown_usage_fields", "Usage fields that no reader knows"),
            fail_open: family(r, "weir_fail_open", "Times a policy let pass what it could not check"),
            policies: RwLock::default(),
            fail_open_sets: series::Sets::new(FAIL_OPEN),
            loads: Loads::register(r),
            credentials: Credentials::register(r),
            limits: Limits::register(r),
            handshakes: Handshakes::register(r),
            store: Store::register(r),
            cooling: Cooling::register(r),
            cache: Cache::register(r),
            registry,
        }
    }

    /// Counts one exchange that is over.
    pub fn observe(&self, record: &Record) {
        self.models.observe(record);
        self.phases.observe(record);
        self.credentials.observe(record);
        self.cache.observe(record);
        for decision in &record.decisions {
            self.decision(decision.step, decision.outcome, decision.reason);
            if decision.reason == FAILED_OPEN {
                self.failed_open(decision);
            }
        }
        if counts_as_metered(record) {
            self.usage[record.usage_source as usize].inc();
        }
        if record.usage_source == UsageSource::Estimated && record.outcome != Outcome::Replayed {
            let [input, output] = &self.estimated;
            input.inc_by(record.usage.total_input());
            output.inc_by(record.usage.total_output());
        }
        if record.usage_source != UsageSource::Unknown && record.outcome != Outcome::Replayed {
            self.units.observe(&record.usage.units);
        }
        if let Some(NanoUsd(nanos)) = record.cost {
            self.cost.add(nanos);
        }
        if let Some(side) = truncated_by(record) {
            self.truncated[side as usize].inc();
        }
        if record.unknown_usage_fields > 0 {
            self.unknown_fields.inc_by(record.unknown_usage_fields.into());
        }
    }

    /// Counts one decision. The words are the program's own, so their number is fixed.
    pub fn decision(&self, step: &'static str, outcome: &'static str, reason: &'static str) {
        self.decisions.get_or_create(&Decided { step, outcome, reason }).inc();
    }

    /// Counts an exchange that was refused for want of room.
    pub fn shed(&self, cause: &'static str) {
        self.shed.get_or_create(&Cause { cause }).inc();
    }

    /// A limit is named by its id, any other step by itself.
    fn failed_open(&self, decision: &Decision) {
        match &*decision.detail {
            "" => self.fail_open(decision.step, "unanswered"),
            limit => self.fail_open(limit, "limit_store_unavailable"),
        }
    }

    /// Counts a time that `policy` let pass what it could not check. After 512 pairs of policy and
    /// cause a new policy is counted as "other".
    pub fn fail_open(&self, policy: &str, cause: &'static str) {
        let policy = &*clip(policy, NAME);
        let counter = self.known_policy(policy, cause).unwrap_or_else(|| {
            let policy = if self.fail_open_sets.claim(FAIL_OPEN) { policy } else { labels::OTHER };
            self.known_policy(policy, cause).unwrap_or_else(|| self.new_policy(policy, cause))
        });
        counter.inc();
    }

    fn known_policy(&self, policy: &str, cause: &'static str) -> Option<Counter> {
        // A poisoned lock is still a consistent map: an insert is all that ever happens.
        let policies = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        let (_, counter) = policies.get(policy)?.iter().find(|(known, _)| *known == cause)?;
        Some(counter.clone())
    }

    fn new_policy(&self, policy: &str, cause: &'static str) -> Counter {
        let policy: Arc<str> = policy.into();
        let counter = self.fail_open.get_or_create_owned(&FailOpen { policy: policy.clone(), cause });
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        policies.entry(policy).or_default().push((cause, counter.clone()));
        counter
    }

    /// Counts one record that the ledger did not take.
    pub fn ledger_dropped(&self) {
        self.ledger_dropped.inc();
    }

    /// Everything in the OpenMetrics text format; see [`CONTENT_TYPE`].
    pub fn render(&self) -> String {
        self.credentials.look();
        self.store.look();
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a `String` does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

/// Whether tokens were to be expected, or were found. A refusal, a replay and a provider's error
/// say nothing about how well Weir meters, and neither does a call that is not one of a model.
fn counts_as_metered(record: &Record) -> bool {
    let expected = !matches!(record.outcome, Outcome::Refused | Outcome::Replayed | Outcome::UpstreamError)
        && !matches!(record.operation, Operation::Models | Operation::CountTokens | Operation::Other);
    let here = matches!(record.outcome, Outcome::Replayed | Outcome::Answered);
    expected || (record.usage_source != UsageSource::Unknown && !here)
}

/// Who ended a stream before its own end, where one did.
fn truncated_by(record: &Record) -> Option<Side> {
    match record.outcome {
        _ if !record.stream => None,
        Outcome::Truncated => Some(Side::Upstream),
        Outcome::Abandoned => Some(Side::Either),
        Outcome::Cut | Outcome::Stopped => Some(Side::Weir),
        Outcome::Completed | Outcome::UpstreamError | Outcome::Refused | Outcome::Replayed | Outcome::Answered => None,
    }
}

// === impl Phases ===

impl Phases {
    fn register(registry: &mut Registry) -> Self {
        /// From ten microseconds to ten minutes: deciding is at one end, an answer at the other.
        const BUCKETS: [f64; 16] =
            [1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 5e-3, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 600.0];
        let family = Family::<Phase, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register("weir_phase_duration_seconds", "How long each part of an exchange took", family.clone());
        let of = |phase| family.get_or_create_owned(&Phase { phase });
        Phases { receive: of("receive"), decide: of("decide"), wait: of("wait"), answer: of("answer") }
    }

    fn observe(&self, record: &Record) {
        let timings = &record.timings;
        let parts = [(&self.receive, timings.receive), (&self.decide, timings.decide), (&self.wait, timings.wait)];
        let mut before = Duration::ZERO;
        for (histogram, part) in parts {
            let Some(part) = part else { continue };
            histogram.observe(part.as_secs_f64());
            before = before.saturating_add(part);
        }
        // What is left after the response's head is the answer going through.
        if timings.wait.is_some() {
            self.answer.observe(record.duration.saturating_sub(before).as_secs_f64());
        }
    }
}

// === Registering ===

fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

fn family<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: labels::LabelSet,
{
    let family = Family::<L, Counter>::default();
    registry.register(name, help, family.clone());
    family
}

/// In the order of [`UsageSource`].
fn sources(registry: &mut Registry) -> [Counter; 3] {
    let family = family::<Source>(registry, "weir_usage", "Calls, by where their token numbers come from");
    [UsageSource::Provider, UsageSource::Estimated, UsageSource::Unknown]
        .map(|source| family.get_or_create_owned(&Source { source: source.as_str() }))
}

/// Input, then output.
fn types(registry: &mut Registry) -> [Counter; 2] {
    let family = family::<Type>(registry, "weir_estimated_tokens", "Tokens that no provider stated");
    ["input", "output"].map(|kind| family.get_or_create_owned(&Type { r#type: kind }))
}

/// In the order of [`Side`].
fn sides(registry: &mut Registry) -> [Counter; 3] {
    let family = family::<labels::Ended>(registry, "weir_streams_truncated", "Streams without their own end");
    [Side::Upstream, Side::Either, Side::Weir]
        .map(|side| family.get_or_create_owned(&labels::Ended { side: side.as_str() }))
}

#[cfg(test)]
mod tests;
