//! The catalogue: which providers there are and what each of their models costs. Data only; it is
//! built into the program, cheap to clone, and asking it is a few hash look-ups without allocation.
//!
//! A price is found by the name a provider serves, or not at all: there is no guess by prefix, since
//! `gpt-4o` is not `gpt-4` and a wrong price is worse than none. What a name may lose on the way to
//! its row is listed at [`Catalog::price`].

pub mod price;
pub mod price_file;
pub mod provider;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub use price::{Cost, Price, Unpriced};
pub use provider::Provider;

use crate::base::money::Multiplier;
use price_file::{PriceFile, PriceFileError};
use provider::ProviderError;

const PROVIDERS: &str = include_str!("providers.toml");
const PRICES: &str = include_str!("prices.json");

/// Providers and prices, immutable. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    version: Arc<str>,
    providers: Vec<Provider>,
    /// provider -> served name -> price. A provider of prices need not be one of `providers`.
    prices: HashMap<Box<str>, HashMap<Box<str>, Price>>,
    /// Served name -> providers that price it, in the order of `providers`, others after them.
    by_model: HashMap<Box<str>, Vec<Box<str>>>,
}

/// What one backend pays, where that is not the catalogue's price.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// A factor on the catalogue's prices, such as a negotiated discount. A price stated in
    /// `models` is what is paid and is not multiplied.
    pub multiplier: Multiplier,
    /// Own prices by served name.
    pub models: HashMap<Box<str>, Price>,
}

/// A price that was found, and where.
#[derive(Clone, Copy, Debug)]
pub struct Quote<'a> {
    pub price: &'a Price,
    pub multiplier: Multiplier,
    pub origin: Origin,
}

/// Where a price comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration of the backend.
    Overlay,
    /// The catalogue.
    Catalogue,
    /// The provider's price for models without one.
    Default,
}

/// What is wrong with the data of a catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("providers: {0}")]
    Provider(#[from] ProviderError),
    #[error("prices: {0}")]
    Price(#[from] PriceFileError),
}

// === impl Catalog ===

impl Catalog {
    /// The catalogue this program was built with. Read once; later calls clone it.
    pub fn builtin() -> Catalog {
        static BUILTIN: OnceLock<Catalog> = OnceLock::new();
        // The data is part of the program and a test reads it, so the empty catalogue, which knows
        // nothing and prices nothing, is never seen.
        BUILTIN.get_or_init(|| Catalog::parse(PROVIDERS, PRICES).unwrap_or_default()).clone()
    }

    /// Reads a provider table (TOML) and a price file (JSON).
    ///
    /// # Errors
    /// Every error of both; at least one.
    pub fn parse(providers: &str, prices: &str) -> Result<Catalog, Vec<CatalogError>> {
        match (provider::parse(providers), price_file::parse(prices)) {
            (Ok(providers), Ok(prices)) => Ok(Catalog { inner: Arc::new(Inner::new(providers, prices)) }),
            (providers, prices) => {
                let providers = providers.err().into_iter().flatten().map(CatalogError::from);
                Err(providers.chain(prices.err().into_iter().flatten().map(CatalogError::from)).collect())
            }
        }
    }

    /// The version of the price table, for records.
    pub fn version(&self) -> &Arc<str> {
        &self.inner.version
    }

    /// All providers, in the order of their table.
    pub fn providers(&self) -> &[Provider] {
        &self.inner.providers
    }

    /// The provider of this id.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.inner.providers.iter().find(|provider| &*provider.id == id)
    }

    /// The models that a provider has prices for, with their aliases, sorted.
    pub fn models_of(&self, provider: &str) -> Vec<&str> {
        let mut models: Vec<&str> =
            self.inner.prices.get(provider).into_iter().flat_map(|rows| rows.keys().map(|name| &**name)).collect();
        models.sort_unstable();
        models
    }

    /// Every name that any provider has a price for, sorted.
    pub fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = self.inner.by_model.keys().map(|name| &**name).collect();
        models.sort_unstable();
        models
    }

    /// The providers that have a price for a bare model name, which may carry a date.
    pub fn knows(&self, model: &str) -> Vec<&str> {
        let found = spellings(model).find_map(|name| self.inner.by_model.get(name));
        found.into_iter().flatten().map(|provider| &**provider).collect()
    }

    /// The catalogue's price of a model as its provider names it. Tried in this order, each exactly:
    ///
    /// 1. the name itself;
    /// 2. a fine-tuned model without its owner, `ft:gpt-4o-2024-08-06:acme::id` as
    ///    `ft:gpt-4o-2024-08-06` (never as the model it was tuned from, whose price is another);
    /// 3. without a date at its end, `-2024-07-18` or `-20240718`;
    /// 4. all of these without the provider's own id in front, `openai/gpt-4o` as `gpt-4o`.
    pub fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        let rows = self.inner.prices.get(provider)?;
        find(provider, model, |name| rows.get(name))
    }

    /// What a backend of `provider` pays for a model: its overlay, else the catalogue, else the
    /// provider's default price. A provider that serves every name has every name's price.
    pub fn quote<'a>(&'a self, provider: &str, overlay: Option<&'a Overlay>, model: &str) -> Option<Quote<'a>> {
        if let Some(price) = overlay.and_then(|overlay| overlay.price(provider, model)) {
            return Some(Quote { price, multiplier: Multiplier::ONE, origin: Origin::Overlay });
        }
        let multiplier = overlay.map_or(Multiplier::ONE, |overlay| overlay.multiplier);
        self.price(provider, model).or_else(|| self.price_anywhere(provider, model)).map(|price| Quote {
            price,
            multiplier,
            origin: Origin::Catalogue,
        })
    }

    /// The price of any model at a provider that has a default price.
    pub fn default_quote(&self, provider: &str) -> Option<Quote<'_>> {
        let price = self.provider(provider)?.default_price.as_ref()?;
        Some(Quote { price, multiplier: Multiplier::ONE, origin: Origin::Default })
    }

    /// For a provider that serves every name: the price of the first provider that has the name.
    fn price_anywhere(&self, provider: &str, model: &str) -> Option<&Price> {
        if !self.provider(provider)?.any_model {
            return None;
        }
        let model = bare(provider, model).unwrap_or(model);
        // `openai/gpt-4o` names its provider; where that has no such model, it may itself be a name.
        let named = model.split_once('/').and_then(|(other, _)| self.price(other, model));
        named.or_else(|| self.knows(model).first().and_then(|other| self.price(other, model)))
    }
}

// === impl Inner ===

impl Inner {
    fn new(providers: Vec<Provider>, file: PriceFile) -> Inner {
        let mut prices: HashMap<Box<str>, HashMap<Box<str>, Price>> = HashMap::new();
        let mut by_model: HashMap<Box<str>, Vec<Box<str>>> = HashMap::new();
        for row in file.rows {
            let of_provider = prices.entry(row.provider.clone()).or_default();
            for name in row.aliases {
                by_model.entry(name.clone()).or_default().push(row.provider.clone());
                of_provider.insert(name, row.price.clone());
            }
            by_model.entry(row.model.clone()).or_default().push(row.provider);
            of_provider.insert(row.model, row.price);
        }
        let place = |id: &str| providers.iter().position(|provider| &*provider.id == id).unwrap_or(usize::MAX);
        for found in by_model.values_mut() {
            found.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
        }
        Inner { version: file.version.into(), providers, prices, by_model }
    }
}

// === impl Overlay ===

impl Overlay {
    /// The backend's own price of a model, looked up as [`Catalog::price`] looks up its own.
    pub fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        find(provider, model, |name| self.models.get(name))
    }
}

/// Looks up the spellings of a name, then those of the name without the provider's id.
fn find<'a, T>(provider: &str, model: &str, get: impl Fn(&str) -> Option<&'a T>) -> Option<&'a T> {
    let bare = bare(provider, model);
    spellings(model).chain(bare.into_iter().flat_map(spellings)).find_map(get)
}

/// The name without the provider's id in front, if it has it.
fn bare<'a>(provider: &str, model: &'a str) -> Option<&'a str> {
    model.strip_prefix(provider)?.strip_prefix('/')
}

/// The names under which a price row may stand, the most exact first.
fn spellings(model: &str) -> impl Iterator<Item = &str> {
    let tuned = without_owner(model);
    let stem = tuned.unwrap_or(model);
    [Some(model), tuned, without_date(stem)].into_iter().flatten()
}

/// `ft:BASE:OWNER:…` as `ft:BASE`.
fn without_owner(model: &str) -> Option<&str> {
    let base = model.strip_prefix("ft:")?.split_once(':')?.0;
    model.get(.."ft:".len() + base.len())
}

/// A name without `-YYYY-MM-DD` or `-YYYYMMDD` at its end. Shorter numbers are versions, not dates.
fn without_date(model: &str) -> Option<&str> {
    let (stem, last) = model.rsplit_once('-')?;
    let stem = match last.len() {
        8 => is_date(last.get(..4)?, last.get(4..6)?, last.get(6..)?).then_some(stem),
        2 => {
            let (stem, month) = stem.rsplit_once('-')?;
            let (stem, year) = stem.rsplit_once('-')?;
            is_date(year, month, last).then_some(stem)
        }
        _ => None,
    };
    stem.filter(|stem| !stem.is_empty())
}

/// True for a day that a model may be dated with; which months have 31 days does not matter.
fn is_date(year: &str, month: &str, day: &str) -> bool {
    let number = |text: &str, length: usize| {
        let digits = text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| digits)
    };
    number(year, 4).is_some_and(|year| (2000..2100).contains(&year))
        && number(month, 2).is_some_and(|month| (1..=12).contains(&month))
        && number(day, 2).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests;
