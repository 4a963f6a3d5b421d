//! The orders in which one call may visit the backends of a rule that fails over by the attempt. The proxy has a
//! route for each order, because Envoy chooses an attempt's cluster by its number alone: nothing of the request has
//! to name the next one, so nothing of it leaves with the attempt before.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Backend, Failover, Rule};

/// The most orders that one rule may have: each is a route of the proxy's.
pub const MAX_CHAINS: usize = 1000;

/// One order of attempts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    /// The value of `x-weir-backend` that chooses it.
    pub header: String,
    /// The backend of each attempt, by name.
    pub backends: Vec<Arc<str>>,
}

/// The value of `x-weir-backend` for a call whose attempts go to these backends in turn, `attempts` of them after
/// the first: the orders that [`chains`] lists. A name holds no comma.
pub fn header<'a>(order: impl Iterator<Item = &'a str> + Clone, attempts: u32) -> String {
    let names: Vec<&str> = order.cycle().take(attempts as usize + 1).collect();
    names.join(",")
}

/// All orders that a call of these rules may take, each once and sorted. An order of one is no chain: such a call
/// takes the backend's own route.
pub fn chains<'r>(rules: impl Iterator<Item = &'r Rule>, backends: &[Arc<Backend>]) -> Vec<Chain> {
    let mut all: Vec<Chain> = rules.flat_map(|rule| of_rule(rule, backends)).collect();
    all.sort();
    all.dedup();
    all
}

/// Tells one set of orders from another, of whatever release: whoever rendered the routes may be another Weir than the
/// one that runs.
pub fn fingerprint(chains: &[Chain]) -> String {
    let mut hash = Sha256::new();
    for chain in chains {
        // No header holds a line's end.
        hash.update(chain.header.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// How many orders so many choices have, with so many attempts after the first.
pub fn orders(choices: usize, attempts: u32) -> usize {
    let longest = choices.min(attempts as usize + 1);
    let arranged = |length: usize| (0..length).fold(1_usize, |many, taken| many.saturating_mul(choices - taken));
    (2..=longest).fold(0, |sum: usize, length| sum.saturating_add(arranged(length)))
}

fn of_rule(rule: &Rule, backends: &[Arc<Backend>]) -> Vec<Chain> {
    if rule.failover == Failover::PerRequest {
        return Vec::new();
    }
    let attempts = rule.attempts();
    let choices: Vec<&Arc<str>> = rule
        .choices
        .iter()
        .filter(|choice| choice.weight > 0)
        .filter_map(|choice| Some(&backends.get(choice.backend)?.name))
        .collect();
    let mut found = Vec::new();
    let mut order = Vec::new();
    arrange(choices.len(), attempts as usize + 1, &mut order, &mut |order| {
        let names = || order.iter().filter_map(|&at| choices.get(at));
        found.push(Chain {
            header: header(names().map(|name| &***name), attempts),
            backends: names().cycle().take(attempts as usize + 1).map(|name| (*name).clone()).collect(),
        });
    });
    found
}

/// Calls `each` with every order of two to `longest` of `many` things.
fn arrange(many: usize, longest: usize, order: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
    if order.len() >= 2 {
        each(order);
    }
    if order.len() >= longest {
        return;
    }
    for next in 0..many {
        if !order.contains(&next) {
            order.push(next);
            arrange(many, longest, order, each);
            order.pop();
        }
    }
}

#[cfg(test)]
mod tests;
