//! Reads a price file into [`Price`]s; a file with an error is refused whole, with every error in it.
//!
//! The file is one JSON object: `format` (always [`FORMAT`]), `version` (what a record states as
//! the version of its price row), `source` (where the facts are from, free text) and `models`, one
//! object a model. Rates are strings, since a JSON number would have been a float on the way.

mod write;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use serde::de::IntoDeserializer;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

use super::price::{Factor, Limits, Mode, OffPeak, Price, RateRow, Search, Window};
use crate::base::money::MoneyError;

pub use write::{line, write};

/// The only format there is. A change that an older reader would misread gets another name.
pub const FORMAT: &str = "weir.prices/v1";

/// A price file that is whole and without contradiction.
#[derive(Clone, Debug, Default)]
pub struct PriceFile {
    pub version: String,
    pub rows: Vec<Row>,
}

/// One model: under which names it is served by which provider, and what it costs.
#[derive(Clone, Debug)]
pub struct Row {
    pub provider: Box<str>,
    pub model: Box<str>,
    /// Other names of the same model at the same price.
    pub aliases: Vec<Box<str>>,
    pub price: Price,
}

/// What is wrong with a price file.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    #[error("not a price file: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is larger than 4 GiB")]
    TooLarge,
    #[error("the format is {0:?}, not {FORMAT:?}")]
    Format(String),
    #[error("models[{index}] {name}: {error}")]
    Row { index: usize, name: String, error: RowError },
}

/// What is wrong with one row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    #[error("{0}")]
    Shape(serde_json::Error),
    #[error("provider and model may not be empty")]
    Unnamed,
    #[error("{0:?} has a price row already")]
    Duplicate(String),
    #[error("{at}: {value:?} is not known")]
    Word { at: String, value: String },
    #[error("{at}: {value:?}: {error}")]
    Money { at: String, value: String, error: MoneyError },
    #[error("{at}: there is another rate under the same conditions")]
    SameConditions { at: String },
    #[error("off_peak.windows[{0}]: hours are \"HH:MM-HH:MM\", weekdays 1 to 7")]
    Window(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile<'a> {
    format: String,
    version: String,
    /// For the reader of the file; nothing depends on it.
    #[serde(rename = "source")]
    _source: Value,
    #[serde(borrow)]
    models: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    provider: Box<str>,
    model: Box<str>,
    #[serde(default)]
    aliases: Vec<Box<str>>,
    mode: Option<Mode>,
    #[serde(default)]
    rates: Vec<RawRate>,
    off_peak: Option<RawOffPeak>,
    #[serde(default)]
    multipliers: Vec<Factor>,
    search: Option<Search>,
    #[serde(default)]
    limits: Limits,
    deprecated: Option<Box<str>>,
    source: Option<Box<str>>,
    #[serde(default)]
    extra: Map<String, Value>,
}

/// A rate before its words are checked, so that all of them can be reported.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRate {
    unit: String,
    rate: String,
    #[serde(default)]
    above: u64,
    ttl: Option<String>,
    tier: Option<String>,
    variant: Option<Box<str>>,
    quality: Option<Box<str>>,
    above_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOffPeak {
    rates: Vec<RawRate>,
    windows: Vec<RawWindow>,
    weekday_timezone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    hours_utc: Vec<String>,
    #[serde(default)]
    weekdays: Vec<u8>,
}

/// Reads a price file.
///
/// # Errors
/// Every error of the file, in its order; at least one.
pub fn parse(text: &str) -> Result<PriceFile, Vec<PriceFileError>> {
    let file: RawFile = serde_json::from_str(text).map_err(|error| vec![error.into()])?;
    let mut errors = vec![];
    if file.format != FORMAT {
        errors.push(PriceFileError::Format(file.format));
    }
    let mut rows = Vec::with_capacity(file.models.len());
    let mut names: HashMap<Box<str>, HashSet<Box<str>>> = HashMap::new();
    for (index, raw) in file.models.into_iter().enumerate() {
        let mut wrong = vec![];
        let name = read_row(raw, &mut names, &mut rows, &mut wrong);
        errors.extend(wrong.into_iter().map(|error| PriceFileError::Row { index, name: name.clone(), error }));
    }
    if errors.is_empty() { Ok(PriceFile { version: file.version, rows }) } else { Err(errors) }
}

/// A row by its names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    pub provider: Cow<'a, str>,
    pub model: Cow<'a, str>,
    pub aliases: Vec<Cow<'a, str>>,
    /// Where it stands in the text.
    pub at: Range<usize>,
}

/// The version of a price file, and where each of its rows stands. What else a row says is not looked at.
///
/// # Errors
/// When it is no price file, or a row has no name.
pub fn index(text: &str) -> Result<(String, Vec<Named<'_>>), Vec<PriceFileError>> {
    #[derive(Deserialize)]
    struct Names<'a> {
        #[serde(borrow)]
        provider: Cow<'a, str>,
        #[serde(borrow)]
        model: Cow<'a, str>,
        #[serde(borrow, default)]
        aliases: Vec<Cow<'a, str>>,
    }
    let file: RawFile = serde_json::from_str(text).map_err(|error| vec![error.into()])?;
    if file.format != FORMAT {
        return Err(vec![PriceFileError::Format(file.format)]);
    }
    let begin = text.as_ptr().addr();
    let mut rows = Vec::with_capacity(file.models.len());
    for raw in file.models {
        let Names { provider, model, aliases } = serde_json::from_str(raw.get()).map_err(|error| vec![error.into()])?;
        // A raw value is a part of the text that it was read from.
        let start = raw.get().as_ptr().addr() - begin;
        rows.push(Named { provider, model, aliases, at: start..start + raw.get().len() });
    }
    Ok((file.version, rows))
}

/// Reads one row; none if there is an error in it.
pub fn row(text: &str) -> Option<Row> {
    let (mut rows, mut errors) = (vec![], vec![]);
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    read_row(raw, &mut HashMap::new(), &mut rows, &mut errors);
    rows.pop().filter(|_| errors.is_empty())
}

/// Reads one row into `rows`; returns its name for error messages.
fn read_row(
    raw: &RawValue,
    names: &mut HashMap<Box<str>, HashSet<Box<str>>>,
    rows: &mut Vec<Row>,
    errors: &mut Vec<RowError>,
) -> String {
    let raw: RawRow = match serde_json::from_str(raw.get()) {
        Ok(row) => row,
        Err(error) => {
            errors.push(RowError::Shape(error));
            return String::new();
        }
    };
    let name = format!("{}/{}", raw.provider, raw.model);
    if raw.provider.is_empty() || raw.model.is_empty() || raw.aliases.iter().any(|alias| alias.is_empty()) {
        errors.push(RowError::Unnamed);
    }
    let known = names.entry(raw.provider.clone()).or_default();
    for served in std::iter::once(&raw.model).chain(&raw.aliases) {
        if !known.insert(served.clone()) {
            errors.push(RowError::Duplicate(served.to_string()));
        }
    }
    let price = Price {
        name: Arc::from(name.as_str()),
        mode: raw.mode,
        rates: read_rates("rates", &raw.rates, errors),
        off_peak: raw.off_peak.map(|off_peak| read_off_peak(off_peak, errors)),
        multipliers: raw.multipliers,
        search: raw.search,
        limits: raw.limits,
        deprecated: raw.deprecated,
        source: raw.source,
        extra: raw.extra,
    };
    rows.push(Row { provider: raw.provider, model: raw.model, aliases: raw.aliases, price });
    name
}

/// Reads a list of rates; those with an error are left out and reported.
fn read_rates(list: &str, raw: &[RawRate], errors: &mut Vec<RowError>) -> Vec<RateRow> {
    let mut rates: Vec<RateRow> = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let mut at = list.to_owned();
        // Writing to a string cannot fail.
        let _ = write!(at, "[{index}]");
        let before = errors.len();
        let unit = word(&at, Some(&raw.unit), errors);
        let ttl = word(&at, raw.ttl.as_ref(), errors);
        let tier = word(&at, raw.tier.as_ref(), errors);
        let rate = raw.rate.parse();
        if let Err(error) = rate {
            errors.push(RowError::Money { at: at.clone(), value: raw.rate.clone(), error });
        }
        if errors.len() > before {
            continue;
        }
        let (Some(unit), Ok(rate)) = (unit, rate) else { continue };
        let (variant, quality) = (raw.variant.clone(), raw.quality.clone());
        let row =
            RateRow { unit, rate, above: raw.above, ttl, tier, variant, quality, above_seconds: raw.above_seconds };
        if rates.iter().any(|other| other.same_conditions(&row)) {
            errors.push(RowError::SameConditions { at });
        } else {
            rates.push(row);
        }
    }
    rates
}

/// Reads one word of a closed set.
fn word<T: DeserializeOwned>(at: &str, value: Option<&String>, errors: &mut Vec<RowError>) -> Option<T> {
    let value = value?;
    let read: Result<T, serde::de::value::Error> = T::deserialize(value.as_str().into_deserializer());
    if read.is_err() {
        errors.push(RowError::Word { at: at.to_owned(), value: value.clone() });
    }
    read.ok()
}

fn read_off_peak(raw: RawOffPeak, errors: &mut Vec<RowError>) -> OffPeak {
    let rates = read_rates("off_peak.rates", &raw.rates, errors);
    let mut windows = Vec::with_capacity(raw.windows.len());
    for (index, window) in raw.windows.into_iter().enumerate() {
        let hours_utc: Option<Vec<_>> = window.hours_utc.iter().map(|hours| read_hours(hours)).collect();
        match hours_utc {
            Some(hours_utc) if window.weekdays.iter().all(|day| (1..=7).contains(day)) => {
                windows.push(Window { hours_utc, weekdays: window.weekdays });
            }
            _ => errors.push(RowError::Window(index)),
        }
    }
    let weekday_timezone = raw.weekday_timezone.and_then(|name| {
        let zone = name.parse();
        if zone.is_err() {
            errors.push(RowError::Word { at: "off_peak.weekday_timezone".to_owned(), value: name });
        }
        zone.ok()
    });
    OffPeak { rates, windows, weekday_timezone }
}

/// Reads `HH:MM-HH:MM` as minutes of the day.
pub(super) fn read_hours(text: &str) -> Option<(u16, u16)> {
    let minutes = |time: &str| {
        let (hours, minutes) = time.split_once(':')?;
        let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    };
    let (from, to) = text.split_once('-')?;
    Some((minutes(from)?, minutes(to)?))
}

#[cfg(test)]
mod tests;
