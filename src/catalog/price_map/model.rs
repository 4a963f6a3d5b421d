//! One member of the map as a price.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde_json::value::RawValue;

use super::super::price::{Price, RateRow};
use super::entries::Entries;
use super::field::{Conditions, Fact, Field, field};
use super::name::Providers;
use super::table;
use super::{ModelError, Warning};
use crate::base::money::Rate;

/// Where the errors and warnings of one member go.
pub(super) struct Report<'a> {
    pub(super) model: &'a str,
    pub(super) errors: Vec<ModelError>,
    pub(super) warnings: &'a mut Vec<Warning>,
}

/// The rates of a member, as they are found.
#[derive(Default)]
pub(super) struct Rates(Vec<(RateRow, bool)>);

/// Reads a member: the map's provider, and the price without a name. None after an error.
pub(super) fn read(fields: &Entries<'_>, providers: &Providers, report: &mut Report<'_>) -> Option<(String, Price)> {
    let before = report.errors.len();
    let (mut price, mut rates, mut provider) = (Price::default(), Rates::default(), None);
    let mut tiers = vec![];
    for twice in fields.twice() {
        report.errors.push(ModelError::SameConditions { field: twice.to_owned() });
    }
    for (name, raw) in fields.iter().filter(|(_, raw)| raw.get() != "null") {
        match field(name) {
            Field::Rate(conditions) => rates.read(name, &conditions, raw, report),
            Field::Table(table) => table::read(table, name, raw, &mut price, &mut tiers, report),
            Field::Fact(Fact::Provider) => provider = text(name, raw, report),
            Field::Fact(Fact::Mode) => price.mode = word(name, raw, report),
            Field::Fact(Fact::MaxInput) => price.limits.max_input = whole(name, raw, report),
            Field::Fact(Fact::MaxOutput) => price.limits.max_output = whole(name, raw, report),
            Field::Fact(Fact::Deprecated) => price.deprecated = text(name, raw, report).map(String::into_boxed_str),
            Field::Fact(Fact::Source) => price.source = text(name, raw, report).map(String::into_boxed_str),
            Field::Aside => {}
            Field::Unknown => report.unknown(name.to_owned()),
        }
    }
    if provider.is_none() && !fields.iter().any(|(name, _)| name == "litellm_provider") {
        report.errors.push(ModelError::NoProvider);
    }
    price.rates.splice(0..0, rates.rows());
    // A range replaces what the member says for any length.
    for row in tiers {
        price.rates.retain(|other: &RateRow| !other.same_conditions(&row));
        price.rates.push(row);
    }
    let provider = provider.filter(|_| report.errors.len() == before)?;
    if providers.is_inclusive(providers.id(&provider)) {
        price.rates.iter_mut().for_each(|row| row.above = row.above.saturating_sub(1));
    }
    Some((provider, price))
}

// === impl Rates ===

impl Rates {
    /// Reads the value of a rate.
    pub(super) fn read(&mut self, name: &str, at: &Conditions<'_>, raw: &RawValue, report: &mut Report<'_>) {
        let Some(rate) = number(name, raw, report) else { return };
        let row = RateRow {
            unit: at.unit,
            rate,
            above: at.above,
            ttl: at.ttl,
            tier: at.tier,
            variant: at.variant.map(Into::into),
            quality: None,
            above_seconds: at.above_seconds,
        };
        match self.0.iter_mut().find(|(other, _)| other.same_conditions(&row)) {
            None => self.0.push((row, at.legacy)),
            Some(other) if other.1 && !at.legacy => *other = (row, false),
            Some(other) if !other.1 && at.legacy => {}
            Some(_) => report.errors.push(ModelError::SameConditions { field: name.to_owned() }),
        }
    }

    pub(super) fn rows(self) -> impl Iterator<Item = RateRow> {
        self.0.into_iter().map(|(row, _)| row)
    }
}

// === impl Report ===

impl Report<'_> {
    pub(super) fn unknown(&mut self, field: String) {
        self.warnings.push(Warning::Unknown { model: self.model.to_owned(), field });
    }

    pub(super) fn wanted(&mut self, field: &str, raw: &RawValue, wanted: &'static str) {
        let value = raw.get().chars().take(64).collect();
        self.errors.push(ModelError::Value { field: field.to_owned(), value, wanted });
    }
}

/// A number of USD, as a number or, as overrides have it, as a string.
pub(super) fn number(name: &str, raw: &RawValue, report: &mut Report<'_>) -> Option<Rate> {
    let digits = digits(raw);
    match Rate::nearest(&digits) {
        Ok((rate, exact)) => {
            if !exact {
                let (model, field) = (report.model.to_owned(), name.to_owned());
                report.warnings.push(Warning::Rounded { model, field, value: digits.into_owned() });
            }
            Some(rate)
        }
        Err(error) => {
            let value = raw.get().chars().take(64).collect();
            report.errors.push(ModelError::Money { field: name.to_owned(), value, error });
            None
        }
    }
}

/// The text of a number, or of a string.
pub(super) fn digits(raw: &RawValue) -> Cow<'_, str> {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => text.into(),
        Err(_) => raw.get().into(),
    }
}

/// A text.
pub(super) fn text(name: &str, raw: &RawValue, report: &mut Report<'_>) -> Option<String> {
    let text = serde_json::from_str(raw.get()).ok();
    if text.is_none() {
        report.wanted(name, raw, "a string");
    }
    text
}

/// A word of a closed set; one that is not known is a warning.
pub(super) fn word<T: DeserializeOwned>(name: &str, raw: &RawValue, report: &mut Report<'_>) -> Option<T> {
    let text = text(name, raw, report)?;
    let read: Result<T, serde::de::value::Error> = T::deserialize(text.as_str().into_deserializer());
    if read.is_err() {
        report.unknown(format!("{name} {text:?}"));
    }
    read.ok()
}

/// A whole number, also as `256000.0`.
pub(super) fn whole(name: &str, raw: &RawValue, report: &mut Report<'_>) -> Option<u64> {
    let text = digits(raw);
    let number = text.strip_suffix(".0").unwrap_or(&text).parse().ok();
    if number.is_none() {
        report.wanted(name, raw, "a whole number");
    }
    number
}
