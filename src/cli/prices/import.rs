//! `weir prices import`: the community price map as a price file of Weir's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::catalog::price_file::{self, PriceFile};
use crate::catalog::price_map::{self, Converted, Warning};

/// `weir prices import` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The map: `model_prices_and_context_window_backup.json` of LiteLLM, or - for standard input.
    file: PathBuf,
    /// What records name the table by; without it a digest of the map.
    #[arg(long = "version", value_name = "VERSION")]
    version: Option<String>,
    /// Where to write the price file; without it to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What the command has to say.
#[derive(Debug)]
pub struct Imported {
    /// The file, where it was not written to one.
    pub text: Option<String>,
    /// For people.
    pub notes: Vec<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("{} is refused, nothing is written:\n{}", path.display(), lines(.errors))]
    Refused { path: PathBuf, errors: Vec<String> },
}

/// A map is some megabytes; more is something else.
pub const LARGEST: u64 = 256 << 20;

/// The names that a note of many shows.
const SHOWN: usize = 3;

/// Reads the map and writes the price file.
///
/// # Errors
/// With every error of the map. A file that is there then stays as it was.
pub fn import(args: &Args) -> Result<Imported, ImportError> {
    let text = read(&args.file).map_err(|error| ImportError::Read { path: args.file.clone(), error })?;
    let refused = |errors| ImportError::Refused { path: args.file.clone(), errors };
    let version = args.version.clone().unwrap_or_else(|| digest(&text));
    let (written, notes) = convert(&text, version).map_err(refused)?;
    let Some(out) = &args.out else { return Ok(Imported { text: Some(written), notes }) };
    replace(out, &written).map_err(|error| ImportError::Write { path: out.clone(), error })?;
    Ok(Imported { text: None, notes })
}

/// The text of a price file and what is to be said about it.
fn convert(text: &str, version: String) -> Result<(String, Vec<String>), Vec<String>> {
    fn said<E: ToString>(errors: Vec<E>) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }
    let Converted { rows, warnings } = price_map::convert(text).map_err(said)?;
    let source = json!({
        "facts": "the community price map that LiteLLM publishes, by BerriAI and its contributors, converted to this format",
        "licence": "MIT",
        "url": "https://github.com/BerriAI/litellm",
    });
    let file = PriceFile { version, rows };
    let written = price_file::write(&file, &source);
    // What is written must be read again.
    price_file::parse(&written).map_err(said)?;
    let mut notes = notes(&warnings);
    notes.push(format!("{} models, version {}", file.rows.len(), file.version));
    Ok((written, notes))
}

/// The warnings that are about one thing each, and a line for each kind of the others.
fn notes(warnings: &[Warning]) -> Vec<String> {
    let (mut fields, mut notes) = (BTreeMap::<&str, Vec<&str>>::new(), vec![]);
    let (mut unpriced, mut rounded) = (vec![], vec![]);
    for warning in warnings {
        match warning {
            Warning::Unknown { model, field } => fields.entry(field).or_default().push(model),
            Warning::NoPrice { model } => unpriced.push(model.as_str()),
            Warning::Rounded { model, .. } => rounded.push(model.as_str()),
            Warning::Shadowed { .. } => notes.push(format!("warning: {warning}")),
        }
    }
    for (field, models) in fields {
        notes.push(format!("warning: {field} is not known and left out, {}", some(&models)));
    }
    if !unpriced.is_empty() {
        notes.push(format!("without a price and left out, {}", some(&unpriced)));
    }
    if !rounded.is_empty() {
        notes.push(format!("a number rounded to the nearest 1e-18 USD, {}", some(&rounded)));
    }
    notes
}

fn some(models: &[&str]) -> String {
    let more = if models.len() > SHOWN { ", …" } else { "" };
    let shown: Vec<&str> = models.iter().copied().take(SHOWN).collect();
    format!("{}: {}{more}", models.len(), shown.join(", "))
}

/// Reads a file, or standard input; none that is too large to be meant.
pub fn read(path: &Path) -> io::Result<String> {
    let reader: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(fs::File::open(path)?),
    };
    let mut text = String::new();
    reader.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 256 MiB"));
    }
    Ok(text)
}

/// Whoever reads the file sees the old one or the new one, and never a part.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    fs::write(&name, text)?;
    fs::rename(&name, path)
}

/// A version that says which map it was.
fn digest(text: &str) -> String {
    let mut version = "map-".to_owned();
    for byte in Sha256::digest(text.as_bytes()).iter().take(6) {
        // Writing to a string cannot fail.
        let _ = write!(version, "{byte:02x}");
    }
    version
}

fn lines(errors: &[String]) -> String {
    errors.iter().map(|error| format!("  {error}")).collect::<Vec<_>>().join("\n")
}
