//! What tokens cost at one backend, whenever they are known: before a call as an estimate, after it as
//! a bill.

use super::Policy;
use crate::base::money::NanoUsd;
use crate::catalog::price::Terms;
use crate::catalog::region;
use crate::llm::{PriceRow, Usage};
use crate::meter::{self, Models};

/// Everything but the tokens that a price depends on.
#[derive(Clone, Copy)]
pub struct Tariff<'a> {
    /// Of the backend.
    pub index: usize,
    pub provider: &'a str,
    pub requested: &'a str,
    pub served: Option<&'a str>,
    /// The service tier that the answer names.
    pub told: Option<&'a str>,
    /// The service tier that was asked for.
    pub asked: Option<&'a str>,
    /// Of images, as the answer states them, else as they were asked for.
    pub size: Option<&'a str>,
    pub quality: Option<&'a str>,
    /// When the call was made, in seconds since the Unix epoch.
    pub at: Option<u64>,
    /// Where the answer was made and how fast, as it states it.
    pub geo: Option<&'a str>,
    pub speed: Option<&'a str>,
}

// === impl Tariff ===

impl Tariff<'_> {
    /// The cost of `usage` and the name of its price; none where it is not known.
    pub fn price(&self, policy: &Policy, usage: &Usage) -> (Option<NanoUsd>, Option<PriceRow>) {
        let overlay = policy.overlays.get(self.index).and_then(Option::as_deref);
        let authority = policy.targets.backends.get(self.index).map(|backend| &*backend.authority);
        let region = authority.and_then(region::of);
        let models = Models { requested: self.requested, served: self.served, region };
        let price = |tier| {
            let &Tariff { size, quality, at, geo, speed, .. } = self;
            let terms = Terms { tier, size, quality, at, region, geo, speed, search_size: None };
            meter::price(&policy.catalog, overlay, self.provider, models, usage, terms).ok()
        };
        let priced = match self.told {
            Some(tier) => price(Some(tier)),
            // What was asked for and is not confirmed counts only where it is dearer: a provider that
            // knows no tiers bills its one price.
            None => {
                let dearer = self.asked.and_then(|tier| price(Some(tier)));
                [price(None), dearer].into_iter().flatten().max_by_key(|priced| priced.cost.total)
            }
        };
        priced.map_or((None, None), |priced| (Some(priced.cost.total), Some(priced.row)))
    }
}
