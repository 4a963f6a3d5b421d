//! The `gen_ai_` families, one bounded set of series.
//!
//! The rule that bounds them: models are named by clients, so their names are not trusted. A
//! combination of operation, provider, models and error gets series of its own while there are
//! fewer than [`TRUSTED`] of them; if the call neither succeeded nor had a price, so that anybody
//! may have made the name up, only while there are fewer than [`UNTRUSTED`]. After that both models
//! are "other", and only the operation and the provider are told apart: those are the program's
//! and the catalogue's words, and if a catalogue is reloaded without end they end in "other" too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::{Call, Ending, ErrorType, OTHER, Tokens};
use crate::exchange::record::{Outcome, Record};
use crate::llm::UsageSource;
use crate::telemetry::record::clip;

/// Most combinations for calls that succeeded or have a price.
pub const TRUSTED: usize = 512;
/// Most combinations, of those 512, that other calls can use up.
pub const UNTRUSTED: usize = 128;
/// Combinations with "other" for both models, beyond those 512.
pub const OVERFLOW: usize = 128;
/// Longest model name in a label, in bytes.
const NAME: usize = 128;

type Seconds = fn() -> Histogram;

/// The three families and a handle on the series of each combination.
#[derive(Debug)]
pub struct Models {
    tokens: Family<Tokens, Histogram, Seconds>,
    duration: Family<Ending, Histogram, Seconds>,
    first_chunk: Family<Call, Histogram, Seconds>,
    /// By the hash of their labels: a record lends its names, and a key that owns them would have to
    /// be made for every look-up.
    series: RwLock<HashMap<u64, Vec<Arc<Series>>>>,
    hasher: RandomState,
    sets: Sets,
    overflow: Sets,
}

/// The series of one combination, so that a record needs one look-up. Each is made when it is
/// first needed: an empty histogram is noise.
#[derive(Debug)]
struct Series {
    labels: Ending,
    duration: Histogram,
    first_chunk: OnceLock<Histogram>,
    input: OnceLock<Histogram>,
    output: OnceLock<Histogram>,
}

/// The labels of one combination as a record lends them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lent<'a> {
    operation: &'static str,
    provider: &'a str,
    requested: Cow<'a, str>,
    served: Cow<'a, str>,
    error: ErrorType,
}

/// How many label sets there are of the most there may be.
#[derive(Debug)]
pub struct Sets {
    used: AtomicUsize,
    max: usize,
}

// === impl Sets ===

impl Sets {
    pub fn new(max: usize) -> Self {
        Sets { used: AtomicUsize::new(0), max }
    }

    /// Takes one place if fewer than `limit` are taken.
    pub fn claim(&self, limit: usize) -> bool {
        let limit = limit.min(self.max);
        let more = |used| (used < limit).then_some(used + 1);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

// === impl Models ===

impl Models {
    /// Registers the three families.
    pub fn register(registry: &mut Registry) -> Self {
        let models = Models {
            tokens: Family::new_with_constructor(token_buckets),
            duration: Family::new_with_constructor(second_buckets),
            first_chunk: Family::new_with_constructor(second_buckets),
            series: RwLock::default(),
            hasher: RandomState::new(),
            sets: Sets::new(TRUSTED),
            overflow: Sets::new(OVERFLOW),
        };
        registry.register(
            "gen_ai_client_token_usage",
            "Tokens of a call, as the provider stated them",
            models.tokens.clone(),
        );
        registry.register(
            "gen_ai_client_operation_duration_seconds",
            "From the head of the request to the end of the exchange",
            models.duration.clone(),
        );
        registry.register(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "From the head of the request to the first byte of a streamed answer",
            models.first_chunk.clone(),
        );
        models
    }

    /// Counts one exchange. An answer of Weir's own is not a provider's operation.
    pub fn observe(&self, record: &Record) {
        if matches!(record.outcome, Outcome::Replayed | Outcome::Answered) {
            return;
        }
        let series = self.series(record);
        series.duration.observe(record.duration.as_secs_f64());
        if let Some(first) = record.timings.first_byte.filter(|_| record.stream) {
            let make = || self.first_chunk.get_or_create_owned(&series.labels.call);
            series.first_chunk.get_or_init(make).observe(first.as_secs_f64());
        }
        if record.usage_source == UsageSource::Provider {
            self.tokens(&series.input, &series, "input", record.usage.total_input());
            self.tokens(&series.output, &series, "output", record.usage.total_output());
        }
    }

    /// Counts tokens of one type; none are no observation (an embedding has no output).
    fn tokens(&self, handle: &OnceLock<Histogram>, series: &Series, kind: &'static str, tokens: u64) {
        if tokens == 0 {
            return;
        }
        let make = || {
            let call = series.labels.call.clone();
            self.tokens.get_or_create_owned(&Tokens { call, gen_ai_token_type: kind })
        };
        // Exact below 2^53.
        handle.get_or_init(make).observe(tokens as f64);
    }

    /// The series of a record, or those of "other" when there is no place for more.
    fn series(&self, record: &Record) -> Arc<Series> {
        let lent = Lent::of(record);
        if let Some(series) = self.known(&lent) {
            return series;
        }
        let trusted = record.outcome == Outcome::Completed || record.price.is_some();
        if self.sets.claim(if trusted { TRUSTED } else { UNTRUSTED }) {
            return self.make(&lent);
        }
        let lent = Lent::other(lent.operation, lent.provider);
        if let Some(series) = self.known(&lent) {
            return series;
        }
        if self.overflow.claim(OVERFLOW) {
            return self.make(&lent);
        }
        self.make(&Lent::other(lent.operation, OTHER))
    }

    fn known(&self, lent: &Lent<'_>) -> Option<Arc<Series>> {
        // A poisoned lock is still a consistent map: an insert is all that ever happens.
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        find(all.get(&self.hasher.hash_one(lent))?, lent)
    }

    fn make(&self, lent: &Lent<'_>) -> Arc<Series> {
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let alike = all.entry(self.hasher.hash_one(lent)).or_default();
        if let Some(series) = find(alike, lent) {
            return series;
        }
        let labels = lent.to_labels();
        let series = Arc::new(Series {
            duration: self.duration.get_or_create_owned(&labels),
            labels,
            first_chunk: OnceLock::new(),
            input: OnceLock::new(),
            output: OnceLock::new(),
        });
        alike.push(series.clone());
        series
    }
}

fn find(alike: &[Arc<Series>], lent: &Lent<'_>) -> Option<Arc<Series>> {
    alike.iter().find(|series| lent.are(&series.labels)).cloned()
}

// === impl Lent ===

impl<'a> Lent<'a> {
    fn of(record: &'a Record) -> Self {
        Lent {
            operation: record.operation.as_str(),
            provider: record.provider.as_deref().unwrap_or_default(),
            requested: clip(requested(record), NAME),
            served: clip(&record.served_model, NAME),
            error: error(record),
        }
    }

    fn other(operation: &'static str, provider: &'a str) -> Self {
        let other = Cow::Borrowed(OTHER);
        Lent { operation, provider, requested: other.clone(), served: other, error: ErrorType::Word(OTHER) }
    }

    /// Whether these are those labels.
    fn are(&self, labels: &Ending) -> bool {
        let call = &labels.call;
        self.operation == call.gen_ai_operation_name
            && self.provider == &*call.gen_ai_provider_name
            && self.requested == *call.gen_ai_request_model
            && self.served == *call.gen_ai_response_model
            && self.error == labels.error_type
    }

    fn to_labels(&self) -> Ending {
        let call = Call {
            gen_ai_operation_name: self.operation,
            gen_ai_provider_name: self.provider.into(),
            gen_ai_request_model: (&*self.requested).into(),
            gen_ai_response_model: (&*self.served).into(),
        };
        Ending { call, error_type: self.error }
    }
}

/// The model as the provider was asked for it; before an alias was resolved, as the client did.
fn requested(record: &Record) -> &str {
    if record.sent_model.is_empty() { &record.requested_model } else { &record.sent_model }
}

/// `error.type`: the refusal's word, the provider's status, or how the exchange ended.
fn error(record: &Record) -> ErrorType {
    match (record.outcome, record.refusal) {
        (_, Some(word)) => ErrorType::Word(word),
        (Outcome::Completed | Outcome::Replayed | Outcome::Answered, None) => ErrorType::Word(""),
        (Outcome::UpstreamError, None) => ErrorType::Status(record.status),
        (outcome, None) => ErrorType::Word(outcome.as_str()),
    }
}

/// The convention's own: 1, 4, 16, up to 4^13.
fn token_buckets() -> Histogram {
    Histogram::new((0..14).map(|power| 4_f64.powi(power)))
}

/// The convention's own (0.01 to 81.92), and on to the ten minutes that a stream may take.
fn second_buckets() -> Histogram {
    const CONVENTION: [f64; 14] =
        [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
    Histogram::new(CONVENTION.into_iter().chain([163.84, 327.68, 600.0]))
}
