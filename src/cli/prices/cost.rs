//! `weir prices cost --jsonl`: what calls cost, a line each from standard input to standard output. It is
//! the bill of the gateway itself, so that an invoice can be checked with it.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::catalog::price::{Cost, Terms, Unpriced};
use crate::catalog::{Catalog, price_map};
use crate::llm::{Units, Usage};

/// `weir prices cost` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object a line: `{"model", "provider", "usage": {"p", "c", "read", "write", "w1h", "ain",
    /// "aout", "reason"}, "service_tier"}`. Each comes back with `cost_nanousd`, `prompt_nanousd` and
    /// `completion_nanousd`, or with `error`.
    #[arg(long, required = true)]
    jsonl: bool,
    /// A price file, instead of the built-in one.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
}

/// A line is a few numbers; what is longer is read to its end and answered with an error.
const LONGEST: usize = 1 << 20;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    /// Without it the only provider that prices the model.
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    usage: Counted,
    #[serde(borrow)]
    service_tier: Option<Cow<'a, str>>,
    /// Seconds since the Unix epoch, for off-peak prices.
    at: Option<u64>,
    #[serde(borrow)]
    region: Option<Cow<'a, str>>,
    #[serde(borrow)]
    inference_geo: Option<Cow<'a, str>>,
    #[serde(borrow)]
    speed: Option<Cow<'a, str>>,
    // What an earlier run has said.
    cost_nanousd: Option<Value>,
    error: Option<Value>,
}

/// Tokens as invoices state them: the whole, and parts of it.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    /// All of the prompt.
    #[serde(default)]
    p: u64,
    /// All of the completion.
    #[serde(default)]
    c: u64,
    /// Of `p`, read from a cache.
    #[serde(default)]
    read: u64,
    /// Of `p`, written to a cache.
    #[serde(default)]
    write: u64,
    /// Of `write`, for an hour.
    #[serde(default)]
    w1h: u64,
    /// Of `p`, audio.
    #[serde(default)]
    ain: u64,
    /// Of `c`, audio.
    #[serde(default)]
    aout: u64,
    /// Of `c`, reasoning.
    #[serde(default)]
    reason: u64,
    /// Searches of the web, beside the tokens.
    #[serde(default)]
    searches: u64,
}

/// Why a line has no cost.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("not a call: {0}")]
    Json(#[from] serde_json::Error),
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    #[error("usage.{part} is more than usage.{whole}, which it is a part of")]
    Part { part: &'static str, whole: &'static str },
    #[error("several providers have a price for this model: say which ({0})")]
    Ambiguous(String),
    #[error("{0}")]
    Unpriced(#[from] Unpriced),
}

/// How many lines there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub lines: u64,
    pub errors: u64,
}

/// Answers every line; empty ones are passed over.
///
/// # Errors
/// When the input cannot be read or the output not be written. A bad line is no error.
pub fn run(catalog: &Catalog, mut input: impl BufRead, mut output: impl Write) -> io::Result<Counts> {
    let (mut counts, mut line) = (Counts::default(), Vec::new());
    while let Some(fits) = next(&mut input, &mut line)? {
        let text = line.trim_ascii();
        if fits && text.is_empty() {
            continue;
        }
        counts.lines += 1;
        let answered = if fits { answer(catalog, text, &mut output)? } else { Err(LineError::TooLong) };
        if let Err(error) = answered {
            counts.errors += 1;
            refuse(text, counts.lines, &error, &mut output)?;
        }
    }
    output.flush()?;
    Ok(counts)
}

/// Reads a line: whether it fits, or none at the end of the input.
fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let mut read = 0;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok((read > 0).then_some(read <= LONGEST));
        }
        let (part, ends) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (bytes.len(), false),
        };
        read += part;
        if read <= LONGEST {
            line.extend(bytes.iter().take(part));
        }
        input.consume(part);
        if ends {
            return Ok(Some(read <= LONGEST));
        }
    }
}

/// Writes the line with its cost behind it, as it came in all else.
fn answer(catalog: &Catalog, text: &[u8], output: &mut impl Write) -> io::Result<Result<(), LineError>> {
    let read = serde_json::from_slice::<Line>(text).map_err(LineError::from);
    let (line, cost) = match read.and_then(|line| cost(catalog, &line).map(|cost| (line, cost))) {
        Ok(answered) => answered,
        Err(error) => return Ok(Err(error)),
    };
    let (total, prompt, completion) = (cost.total.nanos(), cost.input.nanos(), cost.output.nanos());
    // It is an object, since it was read as one.
    match text.strip_suffix(b"}").filter(|_| line.cost_nanousd.is_none() && line.error.is_none()) {
        Some(open) => {
            output.write_all(open)?;
            writeln!(
                output,
                ",\"cost_nanousd\":{total},\"prompt_nanousd\":{prompt},\"completion_nanousd\":{completion}}}"
            )?;
        }
        None => {
            let mut object: Map<String, Value> = serde_json::from_slice(text).unwrap_or_default();
            object.remove("error");
            object.insert("cost_nanousd".to_owned(), total.into());
            object.insert("prompt_nanousd".to_owned(), prompt.into());
            object.insert("completion_nanousd".to_owned(), completion.into());
            writeln!(output, "{}", Value::Object(object))?;
        }
    }
    Ok(Ok(()))
}

/// Writes the line with what is wrong with it, or only that where it is no object.
fn refuse(text: &[u8], number: u64, error: &LineError, output: &mut impl Write) -> io::Result<()> {
    let object = serde_json::from_slice::<Map<String, Value>>(text);
    let mut object = object.unwrap_or_else(|_| Map::from_iter([("line".to_owned(), json!(number))]));
    for stale in ["cost_nanousd", "prompt_nanousd", "completion_nanousd"] {
        object.remove(stale);
    }
    object.insert("error".to_owned(), error.to_string().into());
    writeln!(output, "{}", Value::Object(object))
}

fn cost(catalog: &Catalog, line: &Line<'_>) -> Result<Cost, LineError> {
    let usage = line.usage.disjoint()?;
    let region = line.region.as_deref();
    let terms = Terms {
        tier: line.service_tier.as_deref(),
        at: line.at,
        region,
        geo: line.inference_geo.as_deref(),
        speed: line.speed.as_deref(),
        ..Terms::default()
    };
    let provider = match line.provider.as_deref() {
        Some(provider) => price_map::provider_id(provider),
        None => match catalog.knows(&line.model).as_slice() {
            [] => return Err(Unpriced::NoRow.into()),
            [only] => only,
            several => return Err(LineError::Ambiguous(several.join(", "))),
        },
    };
    let price = catalog.price_in(provider, region, &line.model);
    // The map names a model with the provider that it has there.
    let named = || {
        let (first, rest) = line.model.split_once('/').filter(|(first, _)| Some(*first) == line.provider.as_deref())?;
        (first != provider).then(|| catalog.price_in(provider, region, rest)).flatten()
    };
    Ok(price.or_else(named).ok_or(Unpriced::NoRow)?.cost(&usage, terms)?)
}

// === impl Counted ===

impl Counted {
    /// The same in classes that have nothing in common.
    fn disjoint(self) -> Result<Usage, LineError> {
        let rest = |whole: u64, parts: &[u64], part, name| {
            let parts = parts.iter().try_fold(0u64, |sum, part| sum.checked_add(*part));
            parts.and_then(|parts| whole.checked_sub(parts)).ok_or(LineError::Part { part, whole: name })
        };
        Ok(Usage {
            input: rest(self.p, &[self.read, self.write, self.ain], "read + write + ain", "p")?,
            cache_read: self.read,
            cache_write_5m: rest(self.write, &[self.w1h], "w1h", "write")?,
            cache_write_1h: self.w1h,
            output: rest(self.c, &[self.aout], "aout", "c")?,
            reasoning: if self.reason > self.c { rest(self.c, &[self.reason], "reason", "c")? } else { self.reason },
            audio_in: self.ain,
            audio_out: self.aout,
            units: Units { searches: self.searches, ..Units::default() },
            ..Usage::default()
        })
    }
}

#[cfg(test)]
mod tests;
