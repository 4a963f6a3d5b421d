//! What tokens cost at one backend, whenever they are known: before a call as an estimate, after it as
//! a bill.

use super::Policy;
use crate::base::money::NanoUsd;
use crate::catalog::price::Terms;
use crate::catalog::{Quote, region};
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

/// A price, and the region of the backend for which it was looked for.
#[derive(Clone, Copy)]
pub struct Found<'p> {
    pub quote: Quote<'p>,
    region: Option<&'p str>,
}

// === impl Tariff ===

impl Tariff<'_> {
    /// The cost of `usage` and the name of its price; none where it is not known.
    pub fn price(&self, policy: &Policy, usage: &Usage) -> (Option<NanoUsd>, Option<PriceRow>) {
        let Some(found) = self.find(policy) else { return (None, None) };
        let cost = self.cost(&found, usage);
        (cost, cost.map(|_| meter::row(&policy.catalog, found.quote, found.region)))
    }

    /// The price that holds, whatever is used and on whatever terms; none where none is known.
    pub fn find<'p>(&self, policy: &'p Policy) -> Option<Found<'p>> {
        let overlay = policy.overlays.get(self.index).and_then(Option::as_deref);
        let authority = policy.targets.backends.get(self.index).map(|backend| &*backend.authority);
        let region = authority.and_then(region::of);
        let models = Models { requested: self.requested, served: self.served, region };
        let quote = meter::quote(&policy.catalog, overlay, self.provider, models)?;
        Some(Found { quote, region })
    }

    /// What `usage` costs at a price that was found; none where that has no rate for it.
    pub fn cost(&self, found: &Found<'_>, usage: &Usage) -> Option<NanoUsd> {
        let price = |tier| {
            let &Tariff { size, quality, at, geo, speed, .. } = self;
            let terms = Terms { tier, size, quality, at, region: found.region, geo, speed, search_size: None };
            found.quote.cost(usage, terms).ok().map(|cost| cost.total)
        };
        match self.told {
            Some(tier) => price(Some(tier)),
            // What was asked for and is not confirmed counts only where it is dearer: a provider that
            // knows no tiers bills its one price.
            None => price(None).max(self.asked.and_then(|tier| price(Some(tier)))),
        }
    }
}
