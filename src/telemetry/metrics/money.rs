//! A counter of money: whole nano-USD inside, USD where it is read. No float is ever added up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Nano-USD so far. Clones share it. 2^64 of them are 18 thousand million USD.
#[derive(Clone, Debug, Default)]
pub struct UsdCounter(Arc<AtomicU64>);

/// A new counter under `name`, to which the encoder appends `_total`.
pub fn register(registry: &mut Registry, name: &str, help: &str) -> UsdCounter {
    let counter = UsdCounter::default();
    registry.register(name, help, counter.clone());
    counter
}

// === impl UsdCounter ===

impl UsdCounter {
    /// Adds an amount. A counter cannot fall, so a negative amount adds nothing.
    pub fn add(&self, nanos: i64) {
        self.0.fetch_add(u64::try_from(nanos).unwrap_or(0), Ordering::Relaxed);
    }
}

impl EncodeMetric for UsdCounter {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        // Exact up to 2^53 nano-USD (9 million USD); beyond, right to 16 digits.
        let usd = self.0.load(Ordering::Relaxed) as f64 / 1e9;
        encoder.encode_counter::<NoLabelSet, f64, f64>(&usd, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}
