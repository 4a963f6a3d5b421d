//! What a rule of an LLMRoute says of failing backends and of callers that are kept: retry, failover,
//! affinity.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::read::{Object, Reader, Words};
use super::super::shape::{Fields, Rule, Shape, may, need, set};
use super::super::text;
use super::super::value;
use super::unique;
use crate::target::health::MAX_COOLDOWN;
use crate::target::{Failover, MAX_CHAINS, Retry, RetryOn, StickyBy, orders};

pub(super) const RETRY: Fields = Fields {
    rows: &[
        may("attempts", Shape::Whole { least: 1, most: MAX_ATTEMPTS }, "The most attempts after the first."),
        may("on", set(&Shape::Word(&ON), 8), "Which failures are tried again."),
        may("perTryTimeout", Shape::Text(&text::SOME_DURATION), "How long one attempt may take; absent: no limit."),
        may("cooldown", Shape::Text(&text::COOLDOWN), "How long a failing backend is left alone, at most 1h."),
    ],
    rules: &[Rule::Says, Rule::Beside("attempts", "on"), Rule::Beside("on", "attempts")],
};
pub(super) const AFFINITY: Fields =
    Fields::of(&[need("by", set(&Shape::Word(&BY), 8), "Calls with the same of these go to the same backend.")]);

const ON: &Words<RetryOn> = &[
    ("RateLimited", Some(RetryOn::RateLimited)),
    ("ServerError", Some(RetryOn::ServerError)),
    ("ConnectFailure", Some(RetryOn::ConnectFailure)),
    ("ContextTooLong", Some(RetryOn::ContextTooLong)),
];
pub(super) const FAILOVER: &Words<Failover> =
    &[("PerRequest", Some(Failover::PerRequest)), ("PerAttempt", Some(Failover::PerAttempt))];
const BY: &Words<StickyBy> = &[
    ("Session", Some(StickyBy::Session)),
    ("Consumer", Some(StickyBy::Consumer)),
    ("Namespace", Some(StickyBy::Namespace)),
    ("Team", None),
    ("ServiceAccount", None),
    ("Workload", None),
    ("EndUser", None),
];

/// The most attempts after the first: each is a call that the provider may bill.
const MAX_ATTEMPTS: u64 = 10;

/// Reads `retry`.
pub(super) fn read_retry(reader: &Reader<'_>) -> Option<Arc<Retry>> {
    let object = reader.object(&RETRY)?;
    if object.is_empty() {
        object.at().error("says nothing: give `attempts` and `on`, `perTryTimeout` or `cooldown`, or remove it");
    }
    let attempts = object.get("attempts").map(|field| field.whole(value::quantity, 1, MAX_ATTEMPTS));
    let mut seen = HashSet::new();
    let on = object.get("on").map(|on| {
        on.list(|word| {
            unique(&word, &mut seen, "word");
            word.word(ON)
        })
    });
    match (&attempts, &on) {
        (Some(_), None) => object.at().error("`attempts` needs `on`: which failures are tried again"),
        (None, Some(_)) => object.at().error("`on` needs `attempts`: how often it is tried again"),
        _ => {}
    }
    let per_try_timeout = time(&object, "perTryTimeout", |time| {
        let wrong = "must be longer than no time; leave it out for no limit";
        if time.is_zero() { Some(wrong) } else { None }
    });
    let cooldown = time(&object, "cooldown", |time| {
        let wrong = "is above 1h: a backend is looked at again once an hour at least";
        if time > MAX_COOLDOWN { Some(wrong) } else { None }
    });
    Some(Arc::new(Retry {
        attempts: attempts.flatten().and_then(|attempts| attempts.try_into().ok()).unwrap_or_default(),
        on: on.flatten().unwrap_or_default(),
        per_try_timeout,
        cooldown,
    }))
}

fn time(object: &Object<'_>, name: &str, wrong: fn(Duration) -> Option<&'static str>) -> Option<Duration> {
    let field = object.get(name)?;
    let time = field.parsed(value::duration)?;
    if let Some(message) = wrong(time) {
        field.error(message);
    }
    Some(time)
}

/// Reads `affinity`.
pub(super) fn read_affinity(reader: &Reader<'_>) -> Option<Vec<StickyBy>> {
    let object = reader.object(&AFFINITY)?;
    let mut seen = HashSet::new();
    object.need("by")?.list(|word| {
        unique(&word, &mut seen, "word");
        word.word(BY)
    })
}

/// Reads `failover` of a rule with so many backends. Another attempt is one that `retry` orders, and the proxy has
/// a route for each order in which a call may visit the backends.
pub(super) fn read_failover(reader: &Reader<'_>, retry: Option<&Retry>, backends: usize) -> Option<Failover> {
    let failover = reader.word(FAILOVER)?;
    if failover == Failover::PerRequest {
        return Some(failover);
    }
    let Some(attempts) = retry.map(|retry| retry.attempts).filter(|attempts| *attempts > 0) else {
        reader.error("PerAttempt needs `retry` with `attempts` and `on`: how often, and after what, another is tried");
        return None;
    };
    let orders = orders(backends, attempts);
    if orders > MAX_CHAINS {
        reader.error(format!(
            "{backends} backends can be visited in {orders} orders, and the proxy would need a route for each; at most \
             {MAX_CHAINS}: lower `retry.attempts`, or name fewer backends"
        ));
    }
    Some(failover)
}
