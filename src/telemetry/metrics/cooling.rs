//! The families about cool-downs that replicas share.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::labels::Shared;

/// What became of notices. Whoever tells and hears of them counts here.
#[derive(Debug)]
pub struct Cooling {
    pub told: Counter,
    pub learnt: Counter,
    pub lost: Counter,
    pub strange: Counter,
    /// Times the store was told or asked in vain.
    pub failed: Counter,
}

// === impl Cooling ===

impl Cooling {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let help = "Cool-downs of accounts by what became of them: written for other replicas (told), new from one of \
                    them (learnt), without room while the store was away (lost), not understood (strange)";
        let results = super::family::<Shared>(registry, "weir_shared_cooldowns", help);
        let of = |result| results.get_or_create_owned(&Shared { result });
        Cooling {
            told: of("told"),
            learnt: of("learnt"),
            lost: of("lost"),
            strange: of("strange"),
            failed: super::counter(
                registry,
                "weir_shared_cooldown_failures",
                "Times the shared store was told or asked of cool-downs in vain: each replica goes by what it sees",
            ),
        }
    }
}
