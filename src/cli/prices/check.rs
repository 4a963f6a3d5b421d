//! `weir prices check`: what a newer price file changes, before it is put to use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::import::read;
use super::show::{amount, conditions};
use crate::catalog::price::{Price, RateRow};
use crate::catalog::price_file::{self, PriceFile};
use crate::cli::table::snake;

/// `weir prices check` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A price file.
    old: PathBuf,
    /// Another, that is to stand for it.
    new: PathBuf,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", path.display(), errors.join("\n  "))]
pub struct CheckError {
    path: PathBuf,
    errors: Vec<String>,
}

/// What has changed.
#[derive(Debug)]
pub struct Checked {
    pub text: String,
    pub is_same: bool,
}

/// Compares two price files.
///
/// # Errors
/// Every error of a file that is none.
pub fn check(args: &Args) -> Result<Checked, CheckError> {
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    Ok(compare(&old, &new))
}

fn load(path: &Path) -> Result<PriceFile, CheckError> {
    let failed = |errors| CheckError { path: path.to_owned(), errors };
    let text = read(path).map_err(|error| failed(vec![error.to_string()]))?;
    price_file::parse(&text).map_err(|errors| failed(errors.iter().map(ToString::to_string).collect()))
}

fn compare(old: &PriceFile, new: &PriceFile) -> Checked {
    let (before, after) = (by_name(old), by_name(new));
    let (mut lines, mut counts) = (vec![], [0; 3]);
    for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        match (before.get(name), after.get(name)) {
            (None, _) => {
                counts[0] += 1;
                lines.push(format!("+ {name}"));
            }
            (_, None) => {
                counts[1] += 1;
                lines.push(format!("- {name}"));
            }
            (Some(old), Some(new)) if old != new => {
                counts[2] += 1;
                lines.push(format!("~ {name}"));
                lines.extend(changes(old, new).into_iter().map(|change| format!("    {change}")));
            }
            _ => {}
        }
    }
    let [added, removed, changed] = counts;
    let same = after.len() - added - changed;
    lines.push(format!(
        "{} to {}: {added} added, {removed} removed, {changed} changed, {same} the same",
        old.version, new.version
    ));
    Checked { text: lines.join("\n") + "\n", is_same: counts == [0; 3] }
}

/// The prices by the names that they are found under.
fn by_name(file: &PriceFile) -> BTreeMap<String, &Price> {
    let names = |row: &price_file::Row| {
        let own = std::iter::once(&row.model).chain(&row.aliases);
        own.map(|model| format!("{}/{model}", row.provider)).collect::<Vec<_>>()
    };
    file.rows.iter().flat_map(|row| names(row).into_iter().map(|name| (name, &row.price))).collect()
}

fn changes(old: &Price, new: &Price) -> Vec<String> {
    let mut changes = rates("", &old.rates, &new.rates);
    let off_peak = |price: &Price| price.off_peak.as_ref().map_or(vec![], |off_peak| off_peak.rates.clone());
    changes.extend(rates("off-peak ", &off_peak(old), &off_peak(new)));
    let windows = |price: &Price| price.off_peak.as_ref().map(|of| (of.windows.clone(), of.weekday_timezone));
    for (what, is_other) in [
        ("mode", old.mode != new.mode),
        ("off-peak windows", windows(old) != windows(new)),
        ("multipliers", old.multipliers != new.multipliers),
        ("search terms", old.search != new.search),
        ("context sizes", old.limits != new.limits),
        ("deprecation", old.deprecated != new.deprecated),
        ("source", old.source != new.source),
        ("other facts", old.extra != new.extra),
    ] {
        changes.extend(is_other.then(|| format!("{what} changed")));
    }
    changes
}

fn rates(kind: &str, old: &[RateRow], new: &[RateRow]) -> Vec<String> {
    let mut changes = vec![];
    for row in old {
        match new.iter().find(|other| other.same_conditions(row)) {
            None => changes.push(format!("{kind}{}: {} removed", named(row), shown(row))),
            Some(other) if other.rate != row.rate => {
                let by = by(row, other).unwrap_or_default();
                changes.push(format!("{kind}{}: {} -> {}{by}", named(row), shown(row), shown(other)));
            }
            Some(_) => {}
        }
    }
    for row in new.iter().filter(|row| !old.iter().any(|other| other.same_conditions(row))) {
        changes.push(format!("{kind}{}: {} added", named(row), shown(row)));
    }
    changes
}

/// By how much, in whole tenths of a percent; none from nothing.
fn by(old: &RateRow, new: &RateRow) -> Option<String> {
    let (old, new) = (old.rate.attos(), new.rate.attos());
    let tenths = new.abs_diff(old).saturating_mul(1000).checked_div(old)?;
    let sign = if new < old { '-' } else { '+' };
    Some(format!(" ({sign}{}.{} %)", tenths / 10, tenths % 10))
}

fn named(row: &RateRow) -> String {
    let conditions = conditions(row);
    let unit = snake(&format!("{:?}", row.unit));
    if conditions.is_empty() { unit } else { format!("{unit} ({})", conditions.join(", ")) }
}

fn shown(row: &RateRow) -> String {
    let (amount, per) = amount(row);
    format!("{amount} USD {per}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: &str, models: &str) -> PriceFile {
        let text =
            format!(r#"{{"format": "weir.prices/v1", "version": "{version}", "source": "", "models": [{models}]}}"#);
        price_file::parse(&text).unwrap()
    }

    #[test]
    fn what_changed_is_said_and_by_how_much() {
        let old = file(
            "1",
            r#"{"provider": "p", "model": "a", "rates": [{"unit": "input", "rate": "2e-06"}, {"unit": "output", "rate": "3e-06"},
                {"unit": "input", "rate": "1e-06", "tier": "flex"}], "limits": {"max_input": 1}},
               {"provider": "p", "model": "b", "rates": [{"unit": "input", "rate": "1e-06"}]},
               {"provider": "p", "model": "c", "aliases": ["c-latest"], "rates": []}"#,
        );
        let new = file(
            "2",
            r#"{"provider": "p", "model": "a", "rates": [{"unit": "input", "rate": "1.5e-06"}, {"unit": "output", "rate": "3.1e-06"},
                {"unit": "input", "rate": "4e-06", "above": 200000}], "limits": {"max_input": 2}},
               {"provider": "p", "model": "c", "rates": []}, {"provider": "q", "model": "b", "rates": []}"#,
        );
        let checked = compare(&old, &new);
        assert!(!checked.is_same);
        assert_eq!(
            checked.text.lines().collect::<Vec<_>>(),
            [
                "~ p/a",
                "    input: 2 USD per million -> 1.5 USD per million (-25.0 %)",
                "    output: 3 USD per million -> 3.1 USD per million (+3.3 %)",
                "    input (tier flex): 1 USD per million removed",
                "    input (above 200000 input tokens): 4 USD per million added",
                "    context sizes changed",
                "- p/b",
                "- p/c-latest",
                "+ q/b",
                "1 to 2: 1 added, 2 removed, 1 changed, 1 the same",
            ]
        );
        let same = compare(&old, &old);
        assert!(same.is_same);
        assert_eq!(same.text, "1 to 1: 0 added, 0 removed, 0 changed, 4 the same\n");
    }
}
