//! The prices of a file, found by name and read when they are asked for. Thousands of rows would be some
//! megabytes in every sidecar, which asks for a few.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::price::Price;
use super::price_file::{self, Named, PriceFileError};
use super::provider::Provider;

/// An index of a price file.
#[derive(Debug, Default)]
pub(super) struct Table {
    version: Arc<str>,
    text: Cow<'static, str>,
    rows: Vec<Line>,
    /// Provider -> served name -> row. A provider of prices need not be one of the catalogue's.
    names: HashMap<Arc<str>, HashMap<Arc<str>, usize>>,
    /// Served name -> providers that price it, in the order of the catalogue's, others after them.
    by_model: HashMap<Arc<str>, Vec<Arc<str>>>,
}

/// A row, as the bytes of the text that it is, and as a price once somebody asked.
#[derive(Debug)]
struct Line {
    at: Range<usize>,
    /// Boxed, since of thousands of lines only a few ever have one.
    price: OnceLock<Option<Box<Price>>>,
}

/// The rows of one provider.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    table: &'a Table,
    names: &'a HashMap<Arc<str>, usize>,
}

// === impl Table ===

impl Table {
    /// Finds the rows of a file. Their prices are not looked at: what comes from outside of this program
    /// has to be checked before, by [`price_file::parse`].
    ///
    /// # Errors
    /// When it is no price file, or a row has no name.
    pub(super) fn index(text: Cow<'static, str>, providers: &[Provider]) -> Result<Table, Vec<PriceFileError>> {
        let (version, found) = price_file::index(&text)?;
        let mut table = Table { version: version.into(), ..Table::default() };
        table.rows.reserve_exact(found.len());
        table.by_model.reserve(found.len());
        for Named { provider, model, aliases, at } in found {
            let provider = match table.names.get_key_value(&*provider) {
                Some((known, _)) => known.clone(),
                None => Arc::from(provider),
            };
            let of_provider = table.names.entry(provider.clone()).or_default();
            for name in std::iter::once(model).chain(aliases) {
                let name: Arc<str> = match table.by_model.get_key_value(&*name) {
                    Some((known, _)) => known.clone(),
                    None => Arc::from(name),
                };
                of_provider.insert(name.clone(), table.rows.len());
                table.by_model.entry(name).or_default().push(provider.clone());
            }
            table.rows.push(Line { at, price: OnceLock::new() });
        }
        let places: HashMap<&str, usize> =
            providers.iter().enumerate().map(|(place, provider)| (&*provider.id, place)).collect();
        let place = |id: &str| places.get(id).copied().unwrap_or(usize::MAX);
        for found in table.by_model.values_mut() {
            found.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
            found.shrink_to_fit();
        }
        table.text = text;
        Ok(table)
    }

    pub(super) fn version(&self) -> &Arc<str> {
        &self.version
    }

    pub(super) fn rows(&self, provider: &str) -> Option<Rows<'_>> {
        Some(Rows { table: self, names: self.names.get(provider)? })
    }

    pub(super) fn models_of(&self, provider: &str) -> Vec<&str> {
        let names = self.names.get(provider).into_iter().flat_map(HashMap::keys);
        sorted(names.map(|name| &**name))
    }

    pub(super) fn models(&self) -> Vec<&str> {
        sorted(self.by_model.keys().map(|name| &**name))
    }

    pub(super) fn providers_of(&self, model: &str) -> Option<&[Arc<str>]> {
        self.by_model.get(model).map(Vec::as_slice)
    }
}

// === impl Rows ===

impl<'a> Rows<'a> {
    /// The price under exactly this name.
    pub(super) fn get(self, name: &str) -> Option<&'a Price> {
        let line = self.table.rows.get(*self.names.get(name)?)?;
        let text = self.table.text.get(line.at.clone())?;
        line.price.get_or_init(|| price_file::row(text).map(|row| Box::new(row.price))).as_deref()
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}
