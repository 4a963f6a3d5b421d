//! The members of a model whose values are no single number.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::price::{Factor, FactorOn, FreeSearches, OffPeak, Price, RateRow, Search, Unit, Window, Zone};
use super::super::price_file::read_hours;
use super::entries::Entries;
use super::field::{Field, Table, field};
use super::model::{Rates, Report, digits, number, text, whole, word};
use crate::base::money::Rate;

/// Facts beside multipliers in `provider_specific_entry`. They change no price of what is counted.
const SPECIFIC: &[&str] = &[
    "bedrock_invocation_schema",
    "dashscope_video_reference_input",
    "minimax_free_input_images",
    "volcengine_video_frames",
];

/// A search context's sizes, in the map's words and in requests'.
const SIZES: &[(&str, &str)] = &[
    ("search_context_size_low", "low"),
    ("search_context_size_medium", "medium"),
    ("search_context_size_high", "high"),
];

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    hours_utc: OneOrMore,
    #[serde(default)]
    weekdays: Vec<u8>,
}

#[derive(Deserialize)]
struct RawFree {
    count: u64,
    period: super::super::price::Period,
    shared_group: Option<Box<str>>,
}

/// Reads a table into the price; the rates of ranges into `tiers`.
pub(super) fn read(
    table: Table,
    name: &str,
    raw: &RawValue,
    price: &mut Price,
    tiers: &mut Vec<RateRow>,
    report: &mut Report<'_>,
) {
    match table {
        Table::Tiers => ranges(name, raw, tiers, report),
        Table::OffPeak => price.off_peak = off_peak(name, raw, report),
        Table::SearchContext => search_context(name, raw, &mut price.rates, report),
        Table::Guardrail => {
            for (kind, raw) in object(name, raw, report).iter().flat_map(Entries::iter) {
                let rate = number(name, raw, report);
                price.rates.extend(rate.map(|rate| variant(Unit::PerGuardrailUnit, rate, kind)));
            }
        }
        Table::ProviderSpecific => specific(name, raw, price, report),
        Table::SearchBilling => {
            search(price).billing = word(name, raw, report);
        }
        Table::FreeSearches => match serde_json::from_str::<RawFree>(raw.get()) {
            Ok(RawFree { count, period, shared_group: group }) => {
                search(price).free = Some(FreeSearches { count, period, group });
            }
            Err(_) => report.wanted(name, raw, "a count and a period, day or month"),
        },
        Table::RegionalProcessing(region) => {
            price.multipliers.extend(factor(name, FactorOn::RegionalProcessing, Some(region), raw, report));
        }
        Table::RegionalEndpoint => {
            price.multipliers.extend(factor(name, FactorOn::RegionalEndpoint, None, raw, report));
        }
    }
}

/// `[{"range": [from, to], RATES}]` and `[{"max_results_range": [from, to], RATES}]`.
fn ranges(name: &str, raw: &RawValue, tiers: &mut Vec<RateRow>, report: &mut Report<'_>) {
    let Ok(list) = serde_json::from_str::<Vec<Entries>>(raw.get()) else {
        return report.wanted(name, raw, "a list of objects");
    };
    for fields in list {
        let (mut rates, mut above) = (Rates::default(), None);
        for (name, raw) in fields.iter() {
            match (name, field(name)) {
                ("range" | "max_results_range", _) => {
                    above = start(name, raw, report).map(|from| from.saturating_sub(u64::from(name != "range")));
                }
                (_, Field::Rate(conditions)) => rates.read(name, &conditions, raw, report),
                _ => report.unknown(format!("tiered_pricing.{name}")),
            }
        }
        match above {
            Some(above) => tiers.extend(rates.rows().map(|row| RateRow { above, ..row })),
            None => report.wanted(name, raw, "a list with a range each"),
        }
    }
}

/// The first of the two numbers of a range.
fn start(name: &str, raw: &RawValue, report: &mut Report<'_>) -> Option<u64> {
    match serde_json::from_str::<[&RawValue; 2]>(raw.get()) {
        Ok([from, _]) => whole(name, from, report),
        Err(_) => {
            report.wanted(name, raw, "a range of two numbers");
            None
        }
    }
}

fn off_peak(name: &str, raw: &RawValue, report: &mut Report<'_>) -> Option<OffPeak> {
    let fields = object(name, raw, report)?;
    let (mut rates, mut off_peak) = (Rates::default(), OffPeak::default());
    for (name, raw) in fields.iter() {
        match (name, field(name)) {
            ("windows", _) => off_peak.windows = windows(raw, report)?,
            ("weekday_timezone", _) => {
                off_peak.weekday_timezone = text(name, raw, report)?.parse::<Zone>().ok();
                if off_peak.weekday_timezone.is_none() {
                    report.wanted("off_peak_pricing.weekday_timezone", raw, "a time zone that is known");
                }
            }
            (_, Field::Rate(conditions)) => rates.read(name, &conditions, raw, report),
            _ => report.unknown(format!("off_peak_pricing.{name}")),
        }
    }
    off_peak.rates = rates.rows().collect();
    off_peak.rates.sort_by(|a, b| a.order().cmp(&b.order()));
    Some(off_peak)
}

fn windows(raw: &RawValue, report: &mut Report<'_>) -> Option<Vec<Window>> {
    let read = |window: RawWindow| {
        let hours = match &window.hours_utc {
            OneOrMore::One(hours) => std::slice::from_ref(hours),
            OneOrMore::More(hours) => hours,
        };
        let hours_utc = hours.iter().map(|hours| read_hours(hours)).collect::<Option<Vec<_>>>()?;
        let known = window.weekdays.iter().all(|day| (1..=7).contains(day));
        known.then_some(Window { hours_utc, weekdays: window.weekdays })
    };
    let windows = serde_json::from_str::<Vec<RawWindow>>(raw.get()).ok();
    let windows = windows.and_then(|windows| windows.into_iter().map(read).collect());
    if windows.is_none() {
        report.wanted("off_peak_pricing.windows", raw, "hours_utc \"HH:MM-HH:MM\" and weekdays 1 to 7");
    }
    windows
}

/// One rate where the size does not matter, else one for each size.
fn search_context(name: &str, raw: &RawValue, rates: &mut Vec<RateRow>, report: &mut Report<'_>) {
    let mut found = vec![];
    for (field, raw) in object(name, raw, report).iter().flat_map(Entries::iter) {
        match SIZES.iter().find(|(known, _)| *known == field) {
            Some((_, size)) => {
                found.extend(number(field, raw, report).map(|rate| variant(Unit::PerSearch, rate, size)))
            }
            None => report.unknown(format!("{name}.{field}")),
        }
    }
    if let [first, others @ ..] = found.as_slice()
        && found.len() == SIZES.len()
        && others.iter().all(|other| other.rate == first.rate)
    {
        found = vec![RateRow::new(Unit::PerSearch, first.rate)];
    }
    rates.extend(found);
}

/// Multipliers and facts: `fast` is a speed, two letters are a geography.
fn specific(name: &str, raw: &RawValue, price: &mut Price, report: &mut Report<'_>) {
    for (key, raw) in object(name, raw, report).iter().flat_map(Entries::iter) {
        let on = match key {
            "fast" => FactorOn::Speed,
            geo if geo.len() == 2 => FactorOn::InferenceGeo,
            fact => {
                if !SPECIFIC.contains(&fact) {
                    report.unknown(format!("{name}.{fact}"));
                } else if let Ok(value) = serde_json::from_str(raw.get()) {
                    price.extra.insert(fact.to_owned(), value);
                }
                continue;
            }
        };
        price.multipliers.extend(factor(name, on, Some(key), raw, report));
    }
}

fn factor(name: &str, on: FactorOn, value: Option<&str>, raw: &RawValue, report: &mut Report<'_>) -> Option<Factor> {
    match digits(raw).parse() {
        Ok(by) => Some(Factor { on, value: value.map(Into::into), by }),
        Err(_) => {
            report.wanted(name, raw, "a factor");
            None
        }
    }
}

fn variant(unit: Unit, rate: Rate, variant: &str) -> RateRow {
    RateRow { variant: Some(variant.into()), ..RateRow::new(unit, rate) }
}

fn search(price: &mut Price) -> &mut Search {
    price.search.get_or_insert_with(Search::default)
}

fn object<'a>(name: &str, raw: &'a RawValue, report: &mut Report<'_>) -> Option<Entries<'a>> {
    let read = serde_json::from_str(raw.get()).ok();
    if read.is_none() {
        report.wanted(name, raw, "an object");
    }
    read
}
