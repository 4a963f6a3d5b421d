//! One limit of a policy, read, and whether its fields go together.

use std::collections::HashSet;
use std::time::Duration;

use super::super::super::form;
use super::super::super::read::{Fields, Object, Reader};
use super::super::super::value;
use super::super::scope::{any_text, callers};
use super::super::{located, or, unique};
use super::{Amount, Calendar, Fact, Key, Limit, OnExhausted, Period, Reserve, Weights, WhenExceeded, WhenKeyMissing};
use crate::limit::Unit;
use crate::policy::OnError;

#[derive(Clone, Copy)]
enum Action {
    Deny,
    Downgrade,
    Throttle,
    Observe,
}

const LIMIT: Fields = Fields {
    known: &[
        "name",
        "unit",
        "amount",
        "period",
        "per",
        "whenKeyMissing",
        "weights",
        "warnAt",
        "onError",
        "whenExceeded",
        "onExhausted",
        "count",
        "output",
        "reserve",
    ],
    later: &[],
};
const PERIOD: Fields = Fields { known: &["rolling", "calendar", "timeZone"], later: &[] };
const WEIGHTS: Fields = Fields { known: &["input", "cacheRead", "cacheWrite", "output", "reasoning"], later: &[] };
const EXCEEDED: Fields = Fields { known: &["action", "to", "maxDelay"], later: &[] };
const TO: Fields = Fields { known: &["backend", "model"], later: &[] };
const RESERVE: Fields = Fields { known: &["for", "share"], later: &[] };
const TAG: Fields = Fields { known: &["tag"], later: &[] };
const UNITS: &[(&str, Option<Unit>)] = &[
    ("Requests", Some(Unit::Requests)),
    ("Tokens", Some(Unit::Tokens)),
    ("USD", Some(Unit::Usd)),
    ("Concurrency", Some(Unit::Concurrency)),
];
const CALENDARS: &[(&str, Option<Calendar>)] = &[
    ("Hour", Some(Calendar::Hour)),
    ("Day", Some(Calendar::Day)),
    ("Week", Some(Calendar::Week)),
    ("Month", Some(Calendar::Month)),
    ("Year", Some(Calendar::Year)),
];
const FACTS: &[(&str, Option<Fact>)] = &[
    ("Global", Some(Fact::Global)),
    ("Consumer", Some(Fact::Consumer)),
    ("Team", Some(Fact::Team)),
    ("Namespace", Some(Fact::Namespace)),
    ("ServiceAccount", Some(Fact::ServiceAccount)),
    ("Workload", Some(Fact::Workload)),
    ("Model", Some(Fact::Model)),
    ("Backend", Some(Fact::Backend)),
    ("Route", Some(Fact::Route)),
    ("EndUser", Some(Fact::EndUser)),
    ("Session", Some(Fact::Session)),
];
const MISSING: &[(&str, Option<WhenKeyMissing>)] = &[
    ("Shared", Some(WhenKeyMissing::Shared)),
    ("Skip", Some(WhenKeyMissing::Skip)),
    ("Deny", Some(WhenKeyMissing::Deny)),
];
const ACTIONS: &[(&str, Option<Action>)] = &[
    ("Deny", Some(Action::Deny)),
    ("Downgrade", Some(Action::Downgrade)),
    ("Throttle", Some(Action::Throttle)),
    ("Observe", Some(Action::Observe)),
];
pub(in super::super) const ON_ERROR: &[(&str, Option<OnError>)] =
    &[("Allow", Some(OnError::Allow)), ("Deny", Some(OnError::Deny))];
const EXHAUSTED: &[(&str, Option<OnExhausted>)] =
    &[("Finish", Some(OnExhausted::Finish)), ("Cut", Some(OnExhausted::Cut))];
const COUNTS: &[(&str, Option<bool>)] = &[("Estimate", Some(false)), ("Exact", Some(true))];

/// Fields that mean something for some units only.
const ONLY: &[(&str, &[Unit], &str)] = &[
    ("period", &[Unit::Requests, Unit::Tokens, Unit::Usd], "what is counted while it lasts has no period"),
    ("warnAt", &[Unit::Requests, Unit::Tokens, Unit::Usd], "what is counted while it lasts is not used up"),
    ("weights", &[Unit::Tokens], "only tokens are weighted"),
    ("onExhausted", &[Unit::Tokens, Unit::Usd], "only tokens and money can run out while an answer streams"),
    ("count", &[Unit::Tokens, Unit::Usd], "only tokens and money are estimated"),
    ("output", &[Unit::Tokens, Unit::Usd], "only tokens and money are estimated"),
];
/// The shortest and the longest rolling period: below it is no window, above it belongs to a calendar.
const ROLLING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(31 * 24 * 3600));

/// Reads one limit; `seen` are the names of those before it.
pub(super) fn read(reader: &Reader<'_>, seen: &mut HashSet<String>) -> Option<Limit> {
    let object = reader.object(&LIMIT)?;
    let name = object.need("name").and_then(|name| {
        unique(&name, seen, "name");
        name.parsed(value::label)
    });
    let unit = object.need("unit").and_then(|unit| unit.word(UNITS));
    let amount = object.need("amount").zip(unit).and_then(|(field, unit)| amount(&field, unit));
    check_unit(&object, unit);
    // What could not be read stands here as something else: with an error, nothing is made of it.
    let limit = Limit {
        name: name.unwrap_or_default(),
        unit: unit.unwrap_or(Unit::Requests),
        amount: amount.unwrap_or(Amount::Count(1)),
        period: object.get("period").and_then(|period| read_period(&period)),
        per: object.get("per").and_then(|per| read_keys(&per)).unwrap_or_default(),
        when_key_missing: or(&object, "whenKeyMissing", WhenKeyMissing::default(), |word| word.word(MISSING)),
        weights: object.get("weights").and_then(|weights| read_weights(&weights)),
        warn_at: object.get("warnAt").and_then(|shares| read_shares(&shares)).unwrap_or_default(),
        on_error: or(&object, "onError", OnError::default(), |word| word.word(ON_ERROR)),
        when_exceeded: or(&object, "whenExceeded", WhenExceeded::default(), |exceeded| read_exceeded(&exceeded)),
        on_exhausted: or(&object, "onExhausted", OnExhausted::default(), |word| word.word(EXHAUSTED)),
        exact: or(&object, "count", false, |word| word.word(COUNTS)),
        output: object.get("output").and_then(|output| output.whole(value::quantity, 1, u64::MAX)),
        reserve: object.get("reserve").and_then(|reserve| read_reserve(&reserve)),
    };
    if limit.per.is_empty()
        && let Some(field) = object.get("whenKeyMissing")
    {
        field.error("without `per` there is no key that could be missing");
    }
    Some(limit)
}

/// The amount of a limit, in its unit.
pub(super) fn amount(reader: &Reader<'_>, unit: Unit) -> Option<Amount> {
    match unit {
        Unit::Usd => reader.decimal(form::usd).map(Amount::Usd),
        Unit::Requests | Unit::Tokens | Unit::Concurrency => {
            reader.whole(value::quantity, 1, u64::MAX).map(Amount::Count)
        }
    }
}

fn check_unit(object: &Object<'_>, unit: Option<Unit>) {
    let Some(unit) = unit else { return };
    for (name, units, why) in ONLY {
        if !units.contains(&unit)
            && let Some(field) = object.get(name)
        {
            field.error(why);
        }
    }
    if unit != Unit::Concurrency {
        object.need("period");
    }
}

fn read_period(reader: &Reader<'_>) -> Option<Period> {
    let object = reader.object(&PERIOD)?;
    let rolling = object.get("rolling").map(|field| {
        let length = field.parsed(value::duration)?;
        if length < ROLLING.0 || length > ROLLING.1 {
            field.error("a rolling period is from 1s to 744h; for a longer one say `calendar`");
        }
        Some(length)
    });
    let calendar = object.get("calendar").map(|unit| unit.word(CALENDARS));
    let zone = object.get("timeZone").and_then(|zone| {
        if calendar.is_none() {
            zone.error("only a calendar period has a time zone");
        }
        let name = zone.parsed(form::time_zone)?;
        zone.not_yet_of("time zones; of this one only the form of its name was checked");
        Some(name)
    });
    match (rolling, calendar) {
        (Some(length), None) => Some(Period::Rolling(length?)),
        (None, Some(unit)) => Some(Period::Calendar { unit: unit?, zone }),
        _ => {
            reader.error("needs exactly one of rolling, calendar");
            None
        }
    }
}

fn read_keys(reader: &Reader<'_>) -> Option<Vec<Key>> {
    let mut seen = HashSet::new();
    let keys = reader.list(|item| {
        let key = match item.peek() {
            Some(_) => Key::Fact(item.word(FACTS)?),
            None => Key::Tag(item.object(&TAG)?.need("tag")?.text()?.to_owned()),
        };
        if !seen.insert(key.clone()) {
            item.error("duplicate key");
        }
        Some(key)
    })?;
    if keys.len() > 1 && keys.contains(&Key::Fact(Fact::Global)) {
        reader.error("Global stands alone: it is one counter for all");
    }
    Some(keys)
}

fn read_weights(reader: &Reader<'_>) -> Option<Weights> {
    let object = reader.object(&WEIGHTS)?;
    if object.is_empty() {
        reader.error("needs the weight of at least one class of tokens");
    }
    let weight = |name| object.get(name).and_then(|field| field.decimal(value::multiplier));
    Some(Weights {
        input: weight("input"),
        cache_read: weight("cacheRead"),
        cache_write: weight("cacheWrite"),
        output: weight("output"),
        reasoning: weight("reasoning"),
    })
}

fn read_shares(reader: &Reader<'_>) -> Option<Vec<u8>> {
    let mut last = 0;
    reader.list(|item| {
        let share = item.whole(value::quantity, 1, 100)?;
        if share <= last {
            item.error("the shares rise from one to the next");
        }
        last = share;
        u8::try_from(share).ok()
    })
}

fn read_exceeded(reader: &Reader<'_>) -> Option<WhenExceeded> {
    let object = reader.object(&EXCEEDED)?;
    let action = object.need("action").and_then(|word| word.word(ACTIONS));
    let to = object.get("to").map(|to| {
        let object = to.object(&TO)?;
        let backend = object.need("backend").and_then(|name| located(&name));
        let model = object.need("model").and_then(|model| model.parsed(any_text));
        Some((backend?, model?))
    });
    let delay = object.get("maxDelay").map(|delay| delay.parsed(value::duration));
    let action = action?;
    if let (Some(field), false) = (object.get("to"), matches!(action, Action::Downgrade)) {
        field.error("only a Downgrade goes somewhere else");
    }
    if let (Some(field), false) = (object.get("maxDelay"), matches!(action, Action::Throttle)) {
        field.error("only a Throttle waits");
    }
    match action {
        Action::Deny => Some(WhenExceeded::Deny),
        Action::Observe => Some(WhenExceeded::Observe),
        Action::Downgrade => {
            object.need("to")?;
            to.flatten().map(|(backend, model)| WhenExceeded::Downgrade(backend, model))
        }
        Action::Throttle => {
            object.need("maxDelay")?;
            delay.flatten().map(WhenExceeded::Throttle)
        }
    }
}

fn read_reserve(reader: &Reader<'_>) -> Option<Reserve> {
    let object = reader.object(&RESERVE)?;
    let callers = object.need("for").and_then(|list| callers(&list));
    let share = object.need("share").and_then(|field| {
        let share = field.parsed(form::percent)?;
        if !(1..=99).contains(&share.0) {
            field.error("a reserve is from 1% to 99%: 0% reserves nothing, and 100% leaves nothing to anybody else");
        }
        Some(share)
    });
    Some(Reserve { callers: callers?, share: share? })
}
