//! One limit of a policy, read, and whether its fields go together.

use std::collections::HashSet;
use std::time::Duration;

use super::super::super::form;
use super::super::super::read::{Object, Reader};
use super::super::super::shape::{Fields, Keyed, Most, Only, Rule, Shape, list, may, need};
use super::super::super::text;
use super::super::super::value;
use super::super::scope::{CALLERS, any_text, callers};
use super::super::{located, or, unique};
use super::{Amount, Limit, OnExhausted, Period, Reserve, Weights, WhenExceeded};
use crate::limit::key::{Fact, Key, WhenKeyMissing};
use crate::limit::window::{self, Calendar};
use crate::limit::{MOST, Unit};
use crate::policy::OnError;

#[derive(Clone, Copy)]
enum Action {
    Deny,
    Downgrade,
    Throttle,
    Observe,
}

pub(super) const LIMIT: Fields = Fields {
    rows: &[
        need("name", Shape::Text(&text::LABEL), "What records and refusals call it."),
        need("unit", Shape::Word(&UNITS), "What is counted."),
        need("amount", Shape::Amount, "How much of it: a whole number like 600 or 100k; for USD a decimal in quotes."),
        may("period", Shape::Object(&PERIOD), "In which time."),
        may(
            "per",
            Shape::List { item: &Shape::WordOr(&FACTS, &TAG), least: 1, most: Most::Stored(16), keyed: Keyed::Set },
            "One counter for each combination of these; absent: one counter for all.",
        ),
        may(
            "whenKeyMissing",
            Shape::Word(&MISSING),
            "What happens to a call that has no value for a key; Shared if absent.",
        ),
        may("weights", Shape::Object(&WEIGHTS), "What a token of each class counts; absent: one each."),
        may(
            "warnAt",
            list(&Shape::Whole { least: 1, most: 100 }, 16),
            "Shares in percent at which a warning is given, rising.",
        ),
        may("onError", Shape::Word(&ON_ERROR), "What a counter that cannot be reached means."),
        may("whenExceeded", Shape::Object(&EXCEEDED), "What happens to a call above it; Deny if absent."),
        may(
            "onExhausted",
            Shape::Word(&EXHAUSTED),
            "What happens to a stream during which it runs out; Finish if absent.",
        ),
        may("count", Shape::Word(&COUNTS), "How tokens are counted before the call; Estimate if absent."),
        may(
            "output",
            Shape::Whole { least: 1, most: u64::MAX },
            "Tokens out that are assumed of a call that states no bound.",
        ),
        may("reserve", Shape::Object(&RESERVE), "A part that only these callers may use."),
    ],
    rules: &[
        Rule::Only { key: "unit", fields: ONLY },
        Rule::Needed { field: "period", key: "unit", words: USED_UP },
        Rule::Beside("whenKeyMissing", "per"),
        Rule::Money { field: "amount", key: "unit", word: "USD" },
        Rule::Other {
            says: "Global stands alone: it is one counter for all",
            cel: "",
            json: r#"{"if": {"properties": {"per": {"contains": {"const": "Global"}}}, "required": ["per"]}, "then": {"properties": {"per": {"maxItems": 1}}}}"#,
        },
    ],
};
const PERIOD: Fields = Fields {
    rows: &[
        may("rolling", Shape::Text(&text::ROLLING), "Any stretch of time of this length, from 1s to 744h."),
        may("calendar", Shape::Word(&CALENDARS), "From the beginning of one to the next."),
        may("timeZone", Shape::Text(&text::TIME_ZONE), "Where a calendar's unit begins; UTC if absent."),
    ],
    rules: &[Rule::OneOf(&["rolling", "calendar"]), Rule::Beside("timeZone", "calendar")],
};
const WEIGHTS: Fields = Fields {
    rows: &[
        may("input", Shape::Text(&text::MULTIPLIER), "A token of input."),
        may("cacheRead", Shape::Text(&text::MULTIPLIER), "A token of input that was read from a cache."),
        may("cacheWrite", Shape::Text(&text::MULTIPLIER), "A token of input that was written to a cache."),
        may("output", Shape::Text(&text::MULTIPLIER), "A token of output."),
        may("reasoning", Shape::Text(&text::MULTIPLIER), "A token of reasoning."),
    ],
    rules: &[Rule::Says],
};
const EXCEEDED: Fields = Fields {
    rows: &[
        need(
            "action",
            Shape::Word(&ACTIONS),
            "Deny refuses, Downgrade goes elsewhere, Throttle waits, Observe only says so.",
        ),
        may("to", Shape::Object(&TO), "Where a Downgrade goes."),
        may("maxDelay", Shape::Text(&text::DURATION), "The longest that a Throttle waits."),
    ],
    rules: &[
        Rule::Only {
            key: "action",
            fields: &[
                Only { field: "to", words: &["Downgrade"], why: "only a Downgrade goes somewhere else" },
                Only { field: "maxDelay", words: &["Throttle"], why: "only a Throttle waits" },
            ],
        },
        Rule::Needed { field: "to", key: "action", words: &["Downgrade"] },
        Rule::Needed { field: "maxDelay", key: "action", words: &["Throttle"] },
    ],
};
const TO: Fields = Fields::of(&[
    need("backend", Shape::Text(&text::ANY), "An LLMBackend."),
    need("model", Shape::Text(&text::ANY), "The model that leaves."),
]);
const RESERVE: Fields = Fields::of(&[
    need("for", list(&Shape::Object(&CALLERS), 32), "Who may use it: any entry."),
    need("share", Shape::Text(&text::RESERVED_SHARE), "From 1% to 99% of the amount."),
]);
const TAG: Fields = Fields::of(&[need("tag", Shape::Text(&text::ANY), "A tag that the caller sends.")]);
const UNITS: &[(&str, Option<Unit>)] = &[
    ("Requests", Some(Unit::Requests)),
    ("Tokens", Some(Unit::Tokens)),
    ("USD", Some(Unit::Usd)),
    ("Concurrency", Some(Unit::Concurrency)),
];
const CALENDARS: &[(&str, Option<window::Unit>)] = &[
    ("Hour", Some(window::Unit::Hour)),
    ("Day", Some(window::Unit::Day)),
    ("Week", Some(window::Unit::Week)),
    ("Month", Some(window::Unit::Month)),
    ("Year", Some(window::Unit::Year)),
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
const ONLY: &[Only] = &[
    Only { field: "period", words: USED_UP, why: "what is counted while it lasts has no period" },
    Only { field: "warnAt", words: USED_UP, why: "what is counted while it lasts is not used up" },
    Only { field: "weights", words: &["Tokens"], why: "only tokens are weighted" },
    Only { field: "onExhausted", words: STREAMED, why: "only tokens and money can run out while an answer streams" },
    Only { field: "count", words: STREAMED, why: "only tokens and money are estimated" },
    Only { field: "output", words: STREAMED, why: "only tokens and money are estimated" },
];
const USED_UP: &[&str] = &["Requests", "Tokens", "USD"];
const STREAMED: &[&str] = &["Tokens", "USD"];
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
    let most = MOST / unit.scale();
    match unit {
        Unit::Usd => {
            let amount = reader.decimal(form::usd)?;
            if u64::try_from(amount.nanos()).is_ok_and(|nanos| nanos > MOST) {
                reader.error(format_args!("at most {most} USD can be counted exactly"));
            }
            Some(Amount::Usd(amount))
        }
        Unit::Requests | Unit::Tokens | Unit::Concurrency => reader.whole(value::quantity, 1, most).map(Amount::Count),
    }
}

fn check_unit(object: &Object<'_>, unit: Option<Unit>) {
    let Some(unit) = unit else { return };
    let word = UNITS.iter().find(|(_, of)| *of == Some(unit)).map_or("", |(word, _)| word);
    for Only { field, words, why } in ONLY {
        if !words.contains(&word)
            && let Some(field) = object.get(field)
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
        let found = jiff::tz::TimeZoneDatabase::bundled().get(&name).ok();
        if found.is_none() {
            zone.error(format_args!("{name:?} is no time zone of the IANA database; one is Europe/Berlin"));
        }
        found
    });
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    match (rolling, calendar) {
        (Some(length), None) => Some(Period::Rolling(length?)),
        (None, Some(unit)) => Some(Period::Calendar(Calendar { unit: unit?, zone })),
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
            None => Key::Tag(item.object(&TAG)?.need("tag")?.text()?.into()),
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
