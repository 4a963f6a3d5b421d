//! A configuration that is read once, for a command: compiled, or checked alone.

use std::path::Path;

use super::{AppError, prices};
use crate::catalog::Catalog;
use crate::config::{self, Checked, Compiled, Options, Source};

/// Reads, checks and compiles a configuration as the command line gives it.
///
/// # Errors
/// Every error of the documents.
pub fn load(source: &Source, options: &Options) -> Result<Compiled, AppError> {
    let catalog = Catalog::builtin();
    let secrets = config::file::ProcessSecrets;
    let compiled = config::load(source, options, &catalog, &secrets, catalog.clone()).map_err(AppError::Config)?;
    warn(&compiled);
    Ok(compiled)
}

/// Reads and checks a configuration, and the price file where there is one, that nobody is going to run now.
pub fn check(source: &Source, options: &Options, prices: Option<&Path>) -> Checked {
    let secrets = config::file::ProcessSecrets;
    let (catalog, wrong) = match prices::read(prices) {
        Ok(catalog) => (catalog, Vec::new()),
        Err(errors) => (Catalog::builtin(), errors),
    };
    let mut checked = config::check(source, options, &catalog, &secrets, catalog.clone());
    checked.compiled.iter().for_each(warn);
    if !wrong.is_empty() {
        checked.compiled = None;
        checked.errors.extend(wrong);
    }
    checked
}

fn warn(compiled: &Compiled) {
    for warning in &compiled.warnings {
        tracing::warn!("{warning}");
    }
}
