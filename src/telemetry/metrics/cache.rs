//! The families about answers from memory. What calls came to is counted from their records; how full the memory is
//! is read when somebody asks.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::money::{self, UsdCounter};
use crate::cache::Reason;
use crate::cache::memory::Stand;
use crate::cache::redis::Tallies;
use crate::exchange::record::Record;

/// What calls and the cache came to.
#[derive(Debug)]
pub struct Cache {
    calls: Family<Call, Counter>,
    saved: Family<Tokens, Counter>,
    money: UsdCounter,
    look: Looks,
}

/// How a cache stands.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub memory: Stand,
    /// Answers that were kept, and their bytes.
    pub stored: (u64, u64),
    /// Answers that were not kept.
    pub refused: Vec<(Reason, u64)>,
    /// What became of like questions: the word, for a veto which one, and how often.
    pub alike: Vec<(&'static str, &'static str, u64)>,
    /// What came of the store that replicas share.
    pub store: Option<Tallies>,
    /// Answers on their way, and calls that wait for them.
    pub flights: u64,
    pub followers: u64,
}

/// Where that is looked up. A clone shares it.
#[derive(Clone, Default)]
struct Looks(Arc<OnceLock<Look>>);

type Look = Box<dyn Fn() -> Seen + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    result: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Tokens {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kept {
    result: &'static str,
}

// === impl Cache ===

impl Cache {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let look = Looks::default();
        registry.register_collector(Box::new(look.clone()));
        let help = "Calls that a cache rule is about, by what was found, and for those that were not looked up by why";
        Cache {
            calls: super::family(registry, "weir_cache_calls", help),
            saved: super::family(registry, "weir_cache_saved_tokens", "Tokens of answers that came from memory"),
            money: money::register(
                registry,
                "weir_cache_saved_usd",
                "What the answers that came from memory would have cost, in USD",
            ),
            look,
        }
    }

    /// Says where to look how full it is. It is said once; who says it again is not heard.
    pub fn watch(&self, look: impl Fn() -> Seen + Send + Sync + 'static) {
        let _ = self.look.0.set(Box::new(look));
    }

    pub(super) fn observe(&self, record: &Record) {
        let Some(cached) = &record.cached else { return };
        let reason = cached.reason.map_or("", Reason::as_str);
        self.calls.get_or_create(&Call { result: cached.status.as_str(), reason }).inc();
        let Some(saved) = &cached.saved else { return };
        for (r#type, tokens) in [("input", saved.usage.total_input()), ("output", saved.usage.total_output())] {
            self.saved.get_or_create(&Tokens { r#type }).inc_by(tokens);
        }
        if let Some(cost) = saved.cost {
            self.money.add(cost.nanos());
        }
    }
}

// === impl Looks ===

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looks")
    }
}

impl Collector for Looks {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(seen) = self.0.get().map(|look| look()) else { return Ok(()) };
        let gauges = [
            ("weir_cache_entries", "Answers in memory", seen.memory.entries),
            ("weir_cache_bytes", "Bytes that they take", seen.memory.bytes),
            ("weir_cache_flights", "Answers on their way that could be kept or shared", seen.flights),
            ("weir_cache_followers", "Calls that wait for an answer that another call is getting", seen.followers),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_gauge(&(value as f64))?;
        }
        let counters = [
            ("weir_cache_evicted", "Answers that left memory for want of room", seen.memory.evicted),
            ("weir_cache_stored_bytes", "Bytes of answers that were kept", seen.stored.1),
        ];
        for (name, help, value) in counters {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            family.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        if !seen.alike.is_empty() {
            let help = "Questions that were like another one, by what became of it: vetoed and why, or in Shadow whether \
                        the answer that would have been served says the same, is spelt alike, or differs";
            let mut family = encoder.encode_descriptor("weir_cache_alike", help, None, MetricType::Counter)?;
            for &(result, reason, count) in &seen.alike {
                family.encode_family(&Call { result, reason })?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        if let Some(store) = &seen.store {
            let help = "What came of the store that replicas share kept answers in";
            let mut family = encoder.encode_descriptor("weir_cache_store", help, None, MetricType::Counter)?;
            for (result, count) in store.named() {
                family.encode_family(&Kept { result })?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
            }
        }
        let help = "Answers that could have been kept: those that were (kept), and of the others why not";
        let mut family = encoder.encode_descriptor("weir_cache_answers", help, None, MetricType::Counter)?;
        let refused =
            seen.refused.iter().filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.as_str(), *count));
        for (result, count) in std::iter::once(("kept", seen.stored.0)).chain(refused) {
            family.encode_family(&Kept { result })?.encode_counter::<NoLabelSet, u64, u64>(&count, None)?;
        }
        Ok(())
    }
}
