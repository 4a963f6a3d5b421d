//! Reads the community price map, the JSON file `model_prices_and_context_window_backup.json` that LiteLLM
//! publishes, as rows of Weir's own price file. Pure: text in, rows and warnings out.
//!
//! A member whose name is known is converted, or known to be no matter of price; one that is not known is
//! a warning with its name, never silence. A map with an error is refused whole, with every error in it.
//! Numbers are read from their text and never pass through a float. What has more than 18 decimal places
//! is the noise of somebody's float: it is rounded to the nearest atto-USD, and that is said.
//!
//! A model without a rate, or with none but zeros, is left out: nobody has written its price, and a price
//! of zero would be a statement. Moderation, which is free, is not.

mod entries;
mod field;
mod model;
mod name;
mod table;

use std::collections::BTreeMap;
use std::fmt;

use super::price::{Mode, Price, RateRow, Unit};
use super::price_file::Row;
use crate::base::money::{MoneyError, Rate};
use entries::Entries;
use name::{Name, Providers};

/// The rows of a map, by provider and model, and what was not understood or changed on the way.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    pub rows: Vec<Row>,
    pub warnings: Vec<Warning>,
}

/// What is wrong with a price map.
#[derive(Debug, thiserror::Error)]
pub enum PriceMapError {
    #[error("not a price map: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{model}: {error}")]
    Model { model: String, error: ModelError },
}

/// What is wrong with one model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{0}")]
    Shape(serde_json::Error),
    #[error("there is another member of this name")]
    Duplicate,
    #[error("`litellm_provider` is missing")]
    NoProvider,
    #[error("{field}: {value}: {error}")]
    Money { field: String, value: String, error: MoneyError },
    #[error("{field}: {value} is not {wanted}")]
    Value { field: String, value: String, wanted: &'static str },
    #[error("{field}: there is another rate under the same conditions")]
    SameConditions { field: String },
}

/// What a reader of the result should know. It is no error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// A field, or a value of one, that is not known; it is left out.
    Unknown { model: String, field: String },
    /// No rate, or none but zeros; the model is left out.
    NoPrice { model: String },
    /// A number that was rounded to the nearest atto-USD.
    Rounded { model: String, field: String, value: String },
    /// Another member is the same model with other rates; that one, which names its provider, is kept.
    Shadowed { model: String, by: String },
}

/// What becomes one row.
#[derive(Default)]
struct Merged {
    /// The member that the price is from, and whether it named its provider.
    base: Option<(String, bool, Price)>,
    /// Rates of members for one size and quality.
    sizes: Vec<RateRow>,
}

/// Reads a price map.
///
/// # Errors
/// Every error of the map, in its order; at least one.
pub fn convert(text: &str) -> Result<Converted, Vec<PriceMapError>> {
    let members: Entries = serde_json::from_str(text).map_err(|error| vec![error.into()])?;
    let providers = Providers::builtin();
    let (mut errors, mut warnings) = (vec![], vec![]);
    let mut merged: BTreeMap<(String, String), Merged> = BTreeMap::new();
    for (key, raw) in members.iter() {
        // The first says what fields there can be; the other guesses at providers.
        if matches!(key, "sample_spec" | "fallback_generalizations") {
            continue;
        }
        let mut report = model::Report { model: key, errors: vec![], warnings: &mut warnings };
        let read = match serde_json::from_str::<Entries>(raw.get()) {
            Ok(fields) => model::read(&fields, providers, &mut report),
            Err(error) => {
                report.errors.push(ModelError::Shape(error));
                None
            }
        };
        let found = std::mem::take(&mut report.errors);
        errors.extend(found.into_iter().map(|error| PriceMapError::Model { model: key.to_owned(), error }));
        let Some((provider, price)) = read else { continue };
        let name = providers.name(&provider, key);
        let row = merged.entry((providers.id(&provider).to_owned(), name.model.to_owned())).or_default();
        row.add(key, &name, price, &mut warnings);
    }
    for twice in members.twice() {
        errors.push(PriceMapError::Model { model: twice.to_owned(), error: ModelError::Duplicate });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut rows = Vec::with_capacity(merged.len());
    for ((provider, model), merged) in merged {
        rows.extend(merged.row(provider, model, &mut warnings));
    }
    warnings.sort_unstable();
    Ok(Converted { rows, warnings })
}

/// Weir's id of a provider as the map names it; any other name is itself.
pub fn provider_id(name: &str) -> &str {
    Providers::builtin().id(name)
}

// === impl Merged ===

impl Merged {
    fn add(&mut self, key: &str, name: &Name<'_>, price: Price, warnings: &mut Vec<Warning>) {
        if let Some(size) = &name.size {
            self.sizes.extend(price.rates.into_iter().filter_map(|rate| for_size(rate, size, name.quality)));
            return;
        }
        let (shadowed, kept) = match self.base.take() {
            None => (None, (key.to_owned(), name.prefixed, price)),
            Some(other) if name.prefixed && !other.1 => (Some(other), (key.to_owned(), true, price)),
            Some(other) => (Some((key.to_owned(), name.prefixed, price)), other),
        };
        if let Some((model, _, price)) = shadowed
            && price.rates != kept.2.rates
        {
            warnings.push(Warning::Shadowed { model, by: kept.0.clone() });
        }
        self.base = Some(kept);
    }

    fn row(self, provider: String, model: String, warnings: &mut Vec<Warning>) -> Option<Row> {
        let (key, mut price) = match self.base {
            Some((key, _, price)) => (key, price),
            None => (model.clone(), Price { mode: Some(Mode::ImageGeneration), ..Price::default() }),
        };
        for rate in self.sizes {
            if !price.rates.iter().any(|other| other.same_conditions(&rate)) {
                price.rates.push(rate);
            }
        }
        price.rates.sort_by(|a, b| a.order().cmp(&b.order()));
        let off_peak = price.off_peak.iter().flat_map(|off_peak| &off_peak.rates);
        if price.mode != Some(Mode::Moderation)
            && price.rates.iter().chain(off_peak).all(|rate| rate.rate == Rate::ZERO)
        {
            warnings.push(Warning::NoPrice { model: key });
            return None;
        }
        price.name = format!("{provider}/{model}").into();
        Some(Row { provider: provider.into(), model: model.into(), aliases: vec![], price })
    }
}

/// The rate of a member for one size. What it calls the input of an image model is what is made.
fn for_size(rate: RateRow, size: &str, quality: Option<&str>) -> Option<RateRow> {
    let unit = match rate.unit {
        Unit::PerImageIn => Unit::PerImageOut,
        Unit::PerPixelIn => Unit::PerPixelOut,
        other => other,
    };
    // A zero beside the price is what the map has to say in fields that do not matter.
    let row = RateRow { unit, variant: Some(size.into()), quality: quality.map(Into::into), ..rate };
    (row.rate != Rate::ZERO).then_some(row)
}

// === impl Warning ===

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Unknown { model, field } => write!(f, "{model}: {field} is not known and left out"),
            Warning::NoPrice { model } => write!(f, "{model}: has no price and is left out"),
            Warning::Rounded { model, field, value } => {
                write!(f, "{model}: {field}: {value} is rounded to the nearest 1e-18 USD")
            }
            Warning::Shadowed { model, by } => write!(f, "{model}: has other rates than {by}, which is kept"),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod used;
