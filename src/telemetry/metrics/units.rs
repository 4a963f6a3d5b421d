//! What calls were counted in beside tokens: images, seconds, characters, queries, pages, searches.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::Unit;
use crate::llm;

/// A counter for each unit, in the order of [`llm::Units::named`]. Milliseconds have a family of their
/// own, in seconds.
#[derive(Debug)]
pub struct Units {
    counts: [Counter; 7],
    /// Exact to the microsecond for as long as a process lives.
    audio: Counter<f64, AtomicU64>,
}

// === impl Units ===

impl Units {
    pub fn register(registry: &mut Registry) -> Self {
        let family = Family::<Unit, Counter>::default();
        registry.register("weir_units", "Units other than tokens that calls are billed by", family.clone());
        let audio = Counter::default();
        registry.register("weir_audio_in_seconds", "Sound that was sent to models", audio.clone());
        let counts = llm::Units::default().named().map(|(unit, _)| match is_time(unit) {
            true => Counter::default(),
            false => family.get_or_create_owned(&Unit { unit }),
        });
        Units { counts, audio }
    }

    pub fn observe(&self, units: &llm::Units) {
        if units.is_none() {
            return;
        }
        for (counter, (unit, count)) in self.counts.iter().zip(units.named()) {
            match is_time(unit) {
                // Exact below 2^53.
                true => _ = self.audio.inc_by(count as f64 / 1000.0),
                false => _ = counter.inc_by(count),
            }
        }
    }
}

fn is_time(unit: &str) -> bool {
    unit.ends_with("_ms")
}
