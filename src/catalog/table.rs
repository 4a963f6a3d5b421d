//! The prices of a file, found by name and read when they are asked for. Thousands of rows would be some
//! megabytes in every sidecar, which asks for a few: what is kept of a row is where it stands, and its names.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::price::Price;
use super::price_file::{self, Named, PriceFileError};
use super::provider::Provider;
use super::region;

/// An index of a price file.
#[derive(Debug, Default)]
pub(super) struct Table {
    version: Arc<str>,
    text: Cow<'static, str>,
    rows: Vec<Line>,
    /// Sorted. A provider of prices need not be one of the catalogue's.
    providers: Vec<Box<str>>,
    /// The names of all models, one behind the other.
    letters: Box<str>,
    /// Sorted by provider, then by name.
    names: Vec<Entry>,
    /// Where the names of each provider begin among them, and behind the last where they end.
    starts: Vec<u32>,
    /// The same by name, then by the provider's place in the catalogue, those that are not in it last.
    by_model: Vec<u32>,
}

/// One name of a row.
#[derive(Clone, Copy, Debug)]
struct Entry {
    provider: u32,
    /// In the letters.
    start: u32,
    end: u32,
    row: u32,
}

/// A row, as the bytes of the text that it is, and as a price once somebody asked.
#[derive(Debug)]
pub(super) struct Line {
    start: u32,
    end: u32,
    /// The model has rows of regions beside this one, which is of no region.
    varies: bool,
    /// Boxed, since of thousands of lines only a few ever have one.
    price: OnceLock<Option<Box<Price>>>,
}

/// The rows of one provider.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    table: &'a Table,
    names: &'a [Entry],
}

// === impl Table ===

impl Table {
    /// Finds the rows of a file. Their prices are not looked at: what comes from outside of this program
    /// has to be checked before, by [`price_file::parse`].
    ///
    /// # Errors
    /// When it is no price file, a row has no name, or the file has 4 GiB.
    pub(super) fn index(text: Cow<'static, str>, providers: &[Provider]) -> Result<Table, Vec<PriceFileError>> {
        // Whatever is counted below is a part of the text.
        if u32::try_from(text.len()).is_err() {
            return Err(vec![PriceFileError::TooLarge]);
        }
        let (version, found) = price_file::index(&text)?;
        let mut ids: Vec<&str> = found.iter().map(|row| &*row.provider).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut table = Table { version: version.into(), ..Table::default() };
        table.providers = ids.iter().map(|id| Box::from(*id)).collect();
        table.rows.reserve_exact(found.len());
        table.names.reserve_exact(found.iter().map(|row| 1 + row.aliases.len()).sum());
        let mut letters = String::new();
        for Named { provider, model, aliases, at: Range { start, end } } in &found {
            let provider = small(ids.binary_search(&&**provider).unwrap_or(0));
            for name in std::iter::once(model).chain(aliases) {
                let start = small(letters.len());
                letters.push_str(name);
                table.names.push(Entry { provider, start, end: small(letters.len()), row: small(table.rows.len()) });
            }
            let (start, end) = (small(*start), small(*end));
            table.rows.push(Line { start, end, varies: false, price: OnceLock::new() });
        }
        drop(found);
        table.letters = letters.into();
        let mut names = std::mem::take(&mut table.names);
        names.sort_by(|a, b| a.provider.cmp(&b.provider).then_with(|| table.name(a).cmp(table.name(b))));
        let start = |provider: u32| small(names.partition_point(|entry| entry.provider < provider));
        table.starts = (0..=small(table.providers.len())).map(start).collect();
        table.names = names;
        table.by_model = table.sorted_by_model(providers);
        table.note_regions();
        table.text = text;
        Ok(table)
    }

    fn sorted_by_model(&self, providers: &[Provider]) -> Vec<u32> {
        let place = |id: &str| providers.iter().position(|provider| &*provider.id == id).unwrap_or(usize::MAX);
        let places: Vec<usize> = self.providers.iter().map(|id| place(id)).collect();
        let key = |index: &u32| {
            let entry = self.names.get(*index as usize)?;
            // Providers outside of the catalogue stand in the order of their ids, as their numbers do.
            Some((self.name(entry), places.get(entry.provider as usize)?, entry.provider))
        };
        let mut sorted: Vec<u32> = (0..small(self.names.len())).collect();
        sorted.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        sorted
    }

    /// Marks the rows of models that have others for some regions.
    fn note_regions(&mut self) {
        let elsewhere = |entry: &Entry| {
            let name = self.name(entry);
            let (_, model) = name.split_once('/').filter(|_| region::is_in(name))?;
            self.of(entry.provider).find(model).map(|entry| entry.row)
        };
        let rows: Vec<u32> = self.names.iter().filter_map(elsewhere).collect();
        for row in rows {
            if let Some(line) = self.rows.get_mut(row as usize) {
                line.varies = true;
            }
        }
    }

    pub(super) fn version(&self) -> &Arc<str> {
        &self.version
    }

    pub(super) fn rows(&self, provider: &str) -> Option<Rows<'_>> {
        let provider = self.providers.binary_search_by(|known| (**known).cmp(provider)).ok()?;
        Some(self.of(small(provider)))
    }

    fn of(&self, provider: u32) -> Rows<'_> {
        let place = provider as usize;
        let names = match self.starts.get(place..place.saturating_add(2)) {
            Some(&[start, end]) => self.names.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        };
        Rows { table: self, names }
    }

    /// The names of a provider's models, sorted.
    pub(super) fn models_of(&self, provider: &str) -> Vec<&str> {
        self.rows(provider).into_iter().flat_map(|rows| rows.names).map(|entry| self.name(entry)).collect()
    }

    /// All names, sorted.
    pub(super) fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = self.by_model().map(|entry| self.name(entry)).collect();
        models.dedup();
        models
    }

    /// The providers that price a model, in the order of the catalogue's, others after them.
    pub(super) fn providers_of(&self, model: &str) -> Option<Vec<&str>> {
        let compare =
            |index: &u32| self.names.get(*index as usize).map_or(Ordering::Less, |entry| self.name(entry).cmp(model));
        let start = self.by_model.partition_point(|index| compare(index) == Ordering::Less);
        let of_model = self.by_model.get(start..)?.iter().take_while(|index| compare(index) == Ordering::Equal);
        let entries = of_model.filter_map(|index| self.names.get(*index as usize));
        let found: Vec<&str> =
            entries.filter_map(|entry| self.providers.get(entry.provider as usize)).map(|id| &**id).collect();
        (!found.is_empty()).then_some(found)
    }

    fn by_model(&self) -> impl Iterator<Item = &Entry> {
        self.by_model.iter().filter_map(|index| self.names.get(*index as usize))
    }

    fn name(&self, entry: &Entry) -> &str {
        self.letters.get(entry.start as usize..entry.end as usize).unwrap_or_default()
    }
}

/// What is no more than the length of a text that was found to be small enough.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

// === impl Rows ===

impl<'a> Rows<'a> {
    /// The row of exactly this name.
    pub(super) fn get(self, name: &str) -> Option<&'a Line> {
        self.table.rows.get(self.find(name)?.row as usize)
    }

    /// What a row says, read the first time.
    pub(super) fn price(self, line: &'a Line) -> Option<&'a Price> {
        let text = self.table.text.get(line.start as usize..line.end as usize)?;
        line.price.get_or_init(|| price_file::row(text).map(|row| Box::new(row.price))).as_deref()
    }

    fn find(self, name: &str) -> Option<&'a Entry> {
        let place = self.names.binary_search_by(|entry| self.table.name(entry).cmp(name)).ok()?;
        self.names.get(place)
    }
}

// === impl Line ===

impl Line {
    /// Whether the model has other prices in some regions, and this is for the rest of them.
    pub(super) fn varies(&self) -> bool {
        self.varies
    }
}
