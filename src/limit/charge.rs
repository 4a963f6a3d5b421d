//! What each limit was charged for one call, for who reads its record.

use std::sync::Arc;

use super::take::{Fit, Grant, Taken};
use super::{Limit, Spent};
use crate::base::money::NanoUsd;
use crate::llm::Usage;

/// One limit's, by one key. Amounts are in the parts of its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub limit: Arc<Limit>,
    pub key: Arc<str>,
    /// What was taken before the call left, and while it ran.
    pub reserved: u64,
    /// What the call was thought to come to, when it left.
    pub likely: u64,
    /// What stays; none where the counters were not asked.
    pub charged: Option<u64>,
    /// It would have been refused, and was not taken: it stays at 0.
    pub is_shadow: bool,
}

// === impl Charge ===

impl Charge {
    /// What a grant came to, a row for each limit and key in the order of the takes. `slack` is by how much each
    /// take is larger than what was likely, and `guessed` how much of it is a guess.
    pub fn of(grant: &Grant, slack: &[u64], guessed: &[u64], spent: Spent, into: &mut Vec<Charge>) {
        for ((taken, slack), guessed) in grant.taken.iter().zip(slack).zip(guessed) {
            let likely = taken.amount.saturating_sub(*slack);
            let known = taken.amount.saturating_sub(*guessed);
            let same = |charge: &&mut Charge| charge.limit.id == taken.limit.id && charge.key == taken.key;
            match into.iter_mut().find(same) {
                // All that was taken is settled as one.
                Some(charge) => {
                    charge.reserved = charge.reserved.saturating_add(taken.amount);
                    let before = charge.charged.unwrap_or(0);
                    charge.charged = Some(spent.of(taken).unwrap_or(before.saturating_add(known)));
                }
                None => into.push(Charge::row(taken, likely, known, spent)),
            }
        }
    }

    fn row(taken: &Taken, likely: u64, known: u64, spent: Spent) -> Charge {
        Charge {
            limit: taken.limit.clone(),
            key: taken.key.clone(),
            reserved: taken.amount,
            likely,
            charged: Some(spent.of(taken).unwrap_or(known)),
            is_shadow: taken.fit == Fit::Over && taken.amount == 0,
        }
    }

    /// The call was counted afterwards.
    pub fn recount(&mut self, usage: &Usage, cost: Option<NanoUsd>) {
        let Some(charged) = self.charged.as_mut().filter(|_| !self.is_shadow) else { return };
        if self.limit.unit.stage() == super::Stage::Reserve {
            *charged = self.limit.charge(usage, cost).unwrap_or(self.reserved);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::take::Standing;
    use crate::limit::window::Window;
    use crate::limit::{Settle, Unit};

    fn taken(unit: Unit, amount: u64, fit: Fit) -> Taken {
        let limit = Limit::new("p/l", unit, 10_000_000, Window::Rolling(Duration::from_secs(60)));
        Taken {
            grant: 1,
            limit: Arc::new(limit),
            key: "p/l|x".into(),
            amount,
            bucket: 0,
            fit,
            standing: Standing::default(),
            passed: None,
            slice: None,
        }
    }

    #[test]
    fn a_shadow_that_would_have_refused_is_charged_nothing_however_it_is_counted() {
        let usage = Usage { input: 10, ..Usage::default() };
        for (amount, fit, charged) in [(0, Fit::Over, 0), (7_000, Fit::Over, 12_000), (7_000, Fit::Fits, 12_000)] {
            let grant = Grant { id: 1, taken: vec![taken(Unit::Tokens, amount, fit)] };
            let mut charges = Vec::new();
            Charge::of(&grant, &[0], &[0], Spent::Used { usage, cost: None }, &mut charges);
            let counted = Usage { input: 12, ..usage };
            charges[0].recount(&counted, None);
            assert_eq!(charges[0].charged, Some(charged), "{fit:?} {amount}");
        }
    }

    proptest! {
        /// The record says what the store is told, also where more was taken of a limit while the call ran.
        #[test]
        fn a_record_says_what_is_settled(
            amounts in prop::collection::vec(0..5_000_u64, 1..5),
            unit in prop::sample::select(vec![Unit::Requests, Unit::Tokens, Unit::Usd, Unit::Concurrency]),
            input in 0..20_u64,
            cost in prop::option::of(0..20_000_i64),
            how in 0..3_u8,
            share in 1..9_u64,
        ) {
            // Nobody counts requests twice for one call.
            let amounts = if unit.stage() == crate::limit::Stage::Admit { vec![1] } else { amounts };
            let taken: Vec<Taken> = amounts.iter().map(|amount| taken(unit, *amount, Fit::Fits)).collect();
            let usage = Usage { input, ..Usage::default() };
            let spent = match how {
                0 => Spent::Nothing,
                1 => Spent::Unknown,
                _ => Spent::Used { usage, cost: cost.map(NanoUsd) },
            };
            let grant = Grant { id: 1, taken };
            let mut charges = Vec::new();
            let guessed: Vec<u64> = amounts.iter().map(|amount| amount / share).collect();
            Charge::of(&grant, &vec![0; amounts.len()], &guessed, spent, &mut charges);
            let settled = Settle { grant, guessed, spent, uncounted: None }.settlement();
            prop_assert_eq!(charges.len(), 1);
            prop_assert_eq!(charges[0].charged, Some(settled.amounts.iter().sum::<u64>()));
            prop_assert_eq!(charges[0].reserved, amounts.iter().sum::<u64>());
        }
    }
}
