//! The catalogue: which providers there are and what each of their models costs. Data only; it is
//! built into the program, cheap to clone, and asking it is a few hash look-ups.
//!
//! A price is found by the name a provider serves, or not at all: there is no guess by prefix, since
//! `gpt-4o` is not `gpt-4` and a wrong price is worse than none. What a name may lose on the way to
//! its row is listed in [`names`].

pub mod names;
pub mod price;
pub mod price_file;
pub mod price_map;
pub mod provider;
pub mod region;
mod table;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub use price::{Cost, Price, Unpriced};
pub use provider::Provider;

use crate::base::money::Multiplier;
use crate::llm::Usage;
use price::Terms;
use price_file::PriceFileError;
use provider::ProviderError;
use table::Table;

const PROVIDERS: &str = include_str!("providers.toml");
const PRICES: &str = include_str!("prices.json");

/// Providers and prices, immutable. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    providers: Arc<[Provider]>,
    prices: Table,
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
    /// The model has prices of its own in some regions and none in the one that was asked about.
    pub is_elsewhere: bool,
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
        BUILTIN
            .get_or_init(|| {
                let providers = provider::parse(PROVIDERS).unwrap_or_default();
                let prices = Table::index(Cow::Borrowed(PRICES), &providers).unwrap_or_default();
                Catalog { inner: Arc::new(Inner { providers: providers.into(), prices }) }
            })
            .clone()
    }

    /// Reads a provider table (TOML) and a price file (JSON).
    ///
    /// # Errors
    /// Every error of both; at least one.
    pub fn parse(providers: &str, prices: &str) -> Result<Catalog, Vec<CatalogError>> {
        let providers = match provider::parse(providers) {
            Ok(providers) => providers,
            Err(errors) => {
                let prices = price_file::parse(prices).err().into_iter().flatten().map(CatalogError::from);
                return Err(errors.into_iter().map(CatalogError::from).chain(prices).collect());
            }
        };
        let catalog = Catalog { inner: Arc::new(Inner { providers: providers.into(), prices: Table::default() }) };
        catalog.with_prices(prices.to_owned()).map_err(|errors| errors.into_iter().map(CatalogError::from).collect())
    }

    /// The same providers, and the prices of another file alone.
    ///
    /// # Errors
    /// Every error of the file; at least one.
    pub fn with_prices(&self, text: String) -> Result<Catalog, Vec<PriceFileError>> {
        price_file::parse(&text)?;
        let providers = self.inner.providers.clone();
        let prices = Table::index(Cow::Owned(text), &providers)?;
        Ok(Catalog { inner: Arc::new(Inner { providers, prices }) })
    }

    /// Whether it is this very catalogue, not one with the same content.
    pub fn is_same(&self, other: &Catalog) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The version of the price table, for records.
    pub fn version(&self) -> &Arc<str> {
        self.inner.prices.version()
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
        self.inner.prices.models_of(provider)
    }

    /// Every name that any provider has a price for, sorted.
    pub fn models(&self) -> Vec<&str> {
        self.inner.prices.models()
    }

    /// The providers that have a price for a bare model name, which may carry a date.
    pub fn knows(&self, model: &str) -> Vec<&str> {
        names::spellings(model).find_map(|name| self.inner.prices.providers_of(name)).unwrap_or_default()
    }

    /// The catalogue's price of a model as its provider names it, looked up as [`names`] says.
    pub fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        self.price_in(provider, None, model)
    }

    /// The price in a region of the provider's, where that is another than the model's own.
    pub fn price_in(&self, provider: &str, region: Option<&str>, model: &str) -> Option<&Price> {
        self.row_in(provider, region, model).map(|(price, _)| price)
    }

    /// The same, and whether it stands in for a price of the region: where the model has some of others.
    fn row_in(&self, provider: &str, region: Option<&str>, model: &str) -> Option<(&Price, bool)> {
        let rows = self.inner.prices.rows(provider)?;
        let line = names::find(provider, region, model, |name| rows.get(name))?;
        Some((rows.price(line)?, region.is_some() && line.varies()))
    }

    /// What a backend of `provider` pays for a model: its overlay, else the catalogue, else the
    /// provider's default price. A provider that serves every name has every name's price.
    pub fn quote<'a>(&'a self, provider: &str, overlay: Option<&'a Overlay>, model: &str) -> Option<Quote<'a>> {
        self.quote_in(provider, None, overlay, model)
    }

    /// What it pays in a region of the provider's.
    pub fn quote_in<'a>(
        &'a self,
        provider: &str,
        region: Option<&str>,
        overlay: Option<&'a Overlay>,
        model: &str,
    ) -> Option<Quote<'a>> {
        if let Some(price) = overlay.and_then(|overlay| overlay.price(provider, model)) {
            let origin = Origin::Overlay;
            return Some(Quote { price, multiplier: Multiplier::ONE, origin, is_elsewhere: false });
        }
        let multiplier = overlay.map_or(Multiplier::ONE, |overlay| overlay.multiplier);
        let found = self.row_in(provider, region, model);
        let (price, is_elsewhere) = found.or_else(|| Some((self.price_anywhere(provider, model)?, false)))?;
        Some(Quote { price, multiplier, origin: Origin::Catalogue, is_elsewhere })
    }

    /// The price of any model at a provider that has a default price.
    pub fn default_quote(&self, provider: &str) -> Option<Quote<'_>> {
        let price = self.provider(provider)?.default_price.as_ref()?;
        Some(Quote { price, multiplier: Multiplier::ONE, origin: Origin::Default, is_elsewhere: false })
    }

    /// For a provider that serves every name: the price of the first provider that has the name.
    fn price_anywhere(&self, provider: &str, model: &str) -> Option<&Price> {
        if !self.provider(provider)?.any_model {
            return None;
        }
        let model = names::bare(provider, model).unwrap_or(model);
        // `openai/gpt-4o` names its provider; where that has no such model, it may itself be a name.
        let named = model.split_once('/').and_then(|(other, _)| self.price(other, model));
        named.or_else(|| self.knows(model).first().and_then(|other| self.price(other, model)))
    }
}

// === impl Quote ===

impl Quote<'_> {
    /// What `usage` costs at this price; see [`Price::cost`].
    ///
    /// # Errors
    /// [`Unpriced::NoRate`] if there is anything to be billed that has no rate and no fallback.
    pub fn cost<'t>(&self, usage: &Usage, terms: impl Into<Terms<'t>>) -> Result<Cost, Unpriced> {
        self.price.cost_times(usage, terms, self.multiplier)
    }
}

// === impl Overlay ===

impl Overlay {
    /// The backend's own price of a model, looked up as [`Catalog::price`] looks up its own.
    pub fn price(&self, provider: &str, model: &str) -> Option<&Price> {
        names::find(provider, None, model, |name| self.models.get(name))
    }
}

#[cfg(test)]
mod tests;
