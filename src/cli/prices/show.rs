//! `weir prices --model`: the price row that a model's name resolves to, as a call is billed by. Pure text. It
//! says which row, since a dated or prefixed name may be billed by another's.

use serde_json::{Value, json};

use super::super::table::{aligned, snake};
use crate::catalog::price::{RateRow, Unit};
use crate::catalog::{Catalog, Origin, Quote};

/// `weir prices --model` on the command line.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// A model as a provider names it, dated or not, with the provider's id in front or not.
    #[arg(long)]
    model: String,
    /// Only at this provider; without it at each that has a price.
    #[arg(long, value_name = "ID")]
    provider: Option<String>,
    /// As JSON: one array of objects.
    #[arg(long)]
    json: bool,
    /// A price file, instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<std::path::PathBuf>,
}

/// There is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    #[error("there is no provider {0:?}; `weir providers` lists them")]
    NoProvider(String),
    #[error("no price: {model}{near}", near = proposal(.near))]
    NoPrice { model: String, near: Vec<String> },
}

/// How many names are proposed for one that has no price.
const PROPOSED: usize = 5;

/// Longer names than any model has are not compared: the time grows with the square.
const COMPARED: usize = 200;

/// The text that the command prints.
///
/// # Errors
/// When there is no such provider, or no price, with the names nearest to it.
pub fn prices(args: &Show, catalog: &Catalog) -> Result<String, PricesError> {
    let quotes = quotes(args, catalog)?;
    if quotes.is_empty() {
        return Err(PricesError::NoPrice { model: args.model.clone(), near: similar(args, catalog) });
    }
    if args.json {
        let rows: Vec<Value> = quotes.iter().map(|(provider, quote)| object(provider, quote)).collect();
        return Ok(format!("{:#}\n", Value::Array(rows)));
    }
    let texts: Vec<String> = quotes.iter().map(|(provider, quote)| text(provider, quote)).collect();
    Ok(texts.join("\n"))
}

fn quotes<'a>(args: &'a Show, catalog: &'a Catalog) -> Result<Vec<(&'a str, Quote<'a>)>, PricesError> {
    let model = args.model.as_str();
    let mut providers = match args.provider.as_deref() {
        Some(id) if catalog.provider(id).is_none() && catalog.models_of(id).is_empty() => {
            return Err(PricesError::NoProvider(id.to_owned()));
        }
        Some(id) => vec![id],
        None => catalog.knows(model),
    };
    if let (None, Some((prefix, _))) = (&args.provider, model.split_once('/')) {
        // Others may sell it under its maker's name; whoever says a provider's id means that one first.
        if catalog.price(prefix, model).is_some() {
            providers.retain(|known| *known != prefix);
            providers.insert(0, prefix);
        }
    }
    let quote = |id: &'a str| catalog.quote(id, None, model).or_else(|| catalog.default_quote(id));
    Ok(providers.into_iter().filter_map(|id| Some((id, quote(id)?))).collect())
}

fn text(provider: &str, quote: &Quote) -> String {
    let price = quote.price;
    let mut text = format!("{provider}: {}{}\n", price.name, origin(quote.origin));
    let mut facts = vec![];
    facts.extend(price.mode.map(|mode| vec!["  mode".to_owned(), snake(&format!("{mode:?}"))]));
    facts.extend(price.limits.max_input.map(|most| vec!["  max input".to_owned(), format!("{most} tokens")]));
    facts.extend(price.limits.max_output.map(|most| vec!["  max output".to_owned(), format!("{most} tokens")]));
    facts.extend(price.deprecated.as_ref().map(|day| vec!["  deprecated".to_owned(), day.to_string()]));
    facts.extend(price.source.as_ref().map(|source| vec!["  source".to_owned(), source.to_string()]));
    text += &aligned(&facts);
    text += &aligned(&table("  ", &price.rates));
    if let Some(off_peak) = &price.off_peak {
        text += "  off-peak:\n";
        text += &aligned(&table("    ", &off_peak.rates));
    }
    text
}

fn table(indent: &str, rates: &[RateRow]) -> Vec<Vec<String>> {
    let row = |rate: &RateRow| {
        let (amount, per) = amount(rate);
        let unit = snake(&format!("{:?}", rate.unit));
        vec![format!("{indent}{unit}"), format!("{amount} USD"), per.to_owned(), conditions(rate).join(", ")]
    };
    rates.iter().map(row).collect()
}

fn object(provider: &str, quote: &Quote) -> Value {
    let price = quote.price;
    json!({
        "provider": provider,
        "row": &*price.name,
        "origin": snake(&format!("{:?}", quote.origin)),
        "mode": price.mode.map(|mode| snake(&format!("{mode:?}"))),
        "maxInput": price.limits.max_input,
        "maxOutput": price.limits.max_output,
        "deprecated": price.deprecated,
        "source": price.source,
        "rates": rates(&price.rates),
        "offPeak": price.off_peak.as_ref().map(|off_peak| rates(&off_peak.rates)),
    })
}

/// Amounts are strings: a JSON number would be a float to whoever reads it.
fn rates(rows: &[RateRow]) -> Vec<Value> {
    let row = |rate: &RateRow| {
        let (amount, per) = amount(rate);
        json!({
            "unit": snake(&format!("{:?}", rate.unit)),
            "usd": amount,
            "per": per,
            "above": (rate.above > 0).then_some(rate.above),
            "tier": rate.tier.map(|tier| snake(&format!("{tier:?}"))),
            "conditions": conditions(rate),
        })
    };
    rows.iter().map(row).collect()
}

/// What a rate is and for how many: tokens by the million, anything else by one.
pub fn amount(rate: &RateRow) -> (String, &'static str) {
    if !rate.unit.is_token() && !matches!(rate.unit, Unit::DbuIn | Unit::DbuOut) {
        return (rate.rate.to_string(), "each");
    }
    // Atto-USD a token are 10^-12 USD a million.
    let one = 10u128.pow(12);
    let (whole, rest) = (rate.rate.attos() / one, rate.rate.attos() % one);
    let amount = format!("{whole}.{rest:012}");
    (amount.trim_end_matches('0').trim_end_matches('.').to_owned(), "per million")
}

pub fn conditions(rate: &RateRow) -> Vec<String> {
    let what = if rate.unit == Unit::PerQuery { "results" } else { "input tokens" };
    let above = (rate.above > 0).then(|| format!("above {} {what}", rate.above));
    let ttl = rate.ttl.map(|ttl| format!("kept for {}", snake(&format!("{ttl:?}")).replace('_', " ")));
    let tier = rate.tier.map(|tier| format!("tier {}", snake(&format!("{tier:?}"))));
    let variant = rate.variant.as_ref().map(|variant| format!("variant {variant}"));
    let quality = rate.quality.as_ref().map(|quality| format!("quality {quality}"));
    let seconds = rate.above_seconds.map(|seconds| format!("above {seconds} s"));
    [above, ttl, tier, variant, quality, seconds].into_iter().flatten().collect()
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Overlay => " (configured)",
        Origin::Catalogue => "",
        Origin::Default => " (the provider's price for any model)",
    }
}

fn proposal(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; near: {}", names.join(", ")) }
}

/// The names with a price that are nearest to the one asked for; those that are not near are left out.
fn similar(args: &Show, catalog: &Catalog) -> Vec<String> {
    let model = args.model.to_lowercase();
    if model.len() > COMPARED {
        return vec![];
    }
    let names: Vec<&str> = match args.provider.as_deref() {
        Some(provider) => catalog.models_of(provider),
        None => catalog.models(),
    };
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (distance(&model, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 2.max(model.len() / 3) || name.to_lowercase().starts_with(&model))
        .collect();
    found.sort_unstable();
    found.into_iter().take(PROPOSED).map(|(_, name)| name.to_owned()).collect()
}

/// How many bytes must be put in, taken out or replaced to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.bytes().enumerate() {
        let mut left = row + 1;
        let mut line = vec![left];
        for (pair, y) in above.windows(2).zip(b.bytes()) {
            left = (pair[0] + usize::from(x != y)).min(pair[1] + 1).min(left + 1);
            line.push(left);
        }
        above = line;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
