//! The one function that turns usage into money.

use super::{Cost, Factor, FactorOn, Mode, Price, RateRow, SearchBilling, Tier, Ttl, Unit, Unpriced};
use crate::base::money::{Multiplier, Sum};
use crate::llm::{Units, Usage};

/// What a price depends on beside what was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms<'a> {
    /// The service tier that served the call, as the provider spells it.
    pub tier: Option<&'a str>,
    /// The size of the images, such as `1024x1024`.
    pub size: Option<&'a str>,
    /// The quality of the images, such as `hd`.
    pub quality: Option<&'a str>,
    /// When the call was made, in seconds since the Unix epoch. Without it no off-peak rate holds.
    pub at: Option<u64>,
    /// The region of the host that was called, as [`super::super::region`] knows it.
    pub region: Option<&'a str>,
    /// Where the answer was made, as the provider says: Anthropic's `inference_geo`.
    pub geo: Option<&'a str>,
    /// How fast it was made, as the provider says: Anthropic's `speed`.
    pub speed: Option<&'a str>,
    /// The size of a search's context; a provider that is told none takes `medium`.
    pub search_size: Option<&'a str>,
}

/// A service tier, and nothing of images.
impl<'a> From<Option<&'a str>> for Terms<'a> {
    fn from(tier: Option<&'a str>) -> Self {
        Terms { tier, ..Terms::default() }
    }
}

// === impl Price ===

impl Price {
    /// What `usage` costs at this price, on these terms; a tier alone is terms as well.
    ///
    /// * A threshold is of the total input and decides for the whole request.
    /// * A tier that the price does not know, or has no rate for, is billed at the base rate.
    ///   The highest threshold that is exceeded comes before the tier: what a provider charges for
    ///   a long prompt it charges in every tier that has no long-prompt rate of its own.
    /// * A class without a rate is billed as the class it is a part of: cached sound and images as
    ///   cache, or as sound and images where there is none for a cache; cache, audio, image and video
    ///   input as input; reasoning, audio, image and video output as output. A cache entry of one hour
    ///   is billed as any other where one hour has no rate. In a tier that prices output and not
    ///   reasoning, reasoning is output.
    /// * Nothing is billed twice. Where tokens are stated and the price knows tokens, images that
    ///   were made, sound and characters are those tokens in other words; images that were sent are,
    ///   where image tokens are stated. Where the price knows no tokens, they are the provider's own
    ///   statistics and the units are billed alone.
    /// * In an off-peak window its rates stand for those under the same conditions.
    /// * A factor of the price, such as that of a region, is on tokens alone and not on units.
    /// * A rate of a request is billed once for a call that used anything. Searches that are free up
    ///   to some number a day or month are billed: who counts them is the provider.
    /// * Of rates for a size or a quality the one that agrees in most holds; one that names none holds
    ///   for all that have none of their own.
    ///
    /// # Errors
    /// [`Unpriced::NoRate`] if there is anything to be billed that has no rate and no fallback.
    pub fn cost<'a>(&self, usage: &Usage, terms: impl Into<Terms<'a>>) -> Result<Cost, Unpriced> {
        self.cost_times(usage, terms, Multiplier::ONE)
    }

    /// Like [`Price::cost`], times a factor; still rounded once.
    pub fn cost_times<'a>(
        &self,
        usage: &Usage,
        terms: impl Into<Terms<'a>>,
        factor: Multiplier,
    ) -> Result<Cost, Unpriced> {
        let terms = terms.into();
        let total = usage.total_input();
        let off_peak = self.off_peak.as_ref().filter(|off_peak| terms.at.is_some_and(|at| off_peak.holds_at(at)));
        let select = Select {
            rates: &self.rates,
            off_peak: off_peak.map_or(&[], |off_peak| &off_peak.rates),
            tier: terms.tier.and_then(Tier::of),
            total,
            terms,
        };
        let (mut input, mut output) = (Sum::default(), Sum::default());
        let units = match total > 0 || usage.total_output() > 0 {
            true if usage.units.is_none() || self.knows_tokens() => {
                select.tokens(usage, &mut input, &mut output)?;
                for factor in self.multipliers.iter().filter(|factor| factor.holds(&terms)) {
                    (input, output) = (input.times(factor.by), output.times(factor.by));
                }
                beside_tokens(usage)
            }
            _ => usage.units,
        };
        if !units.is_none() {
            select.units(&units, self, &mut input, &mut output)?;
        }
        if *usage != Usage::default()
            && let Some(row) = select.unit(Unit::PerRequest, 0)
        {
            input.add(1, row.rate);
        }
        let total = input.plus(output).nanos_times(factor);
        let input = input.nanos_times(factor);
        Ok(Cost { input, output: total.saturating_sub(input), total })
    }

    /// Whether there is something that a call of this model can be billed by.
    pub fn is_usable(&self) -> bool {
        let billed = |row: &RateRow| row.unit.is_token() || UNITS.contains(&row.unit);
        self.rates.iter().any(billed)
    }

    /// Whether this unit has a rate of its own at any time; else its tokens are billed as text on their side.
    pub fn has_rate(&self, unit: Unit) -> bool {
        let off_peak = self.off_peak.iter().flat_map(|off_peak| &off_peak.rates);
        self.rates.iter().chain(off_peak).any(|row| row.unit == unit)
    }

    /// Whether there is a rate for any kind of tokens.
    pub fn knows_tokens(&self) -> bool {
        self.rates.iter().any(|row| row.unit.is_token())
    }
}

/// The units of [`Units`] that a rate can be for.
const UNITS: &[Unit] = &[
    Unit::PerImageIn,
    Unit::PerImageOut,
    Unit::PerPixelIn,
    Unit::PerPixelOut,
    Unit::PerAudioSecondIn,
    Unit::PerSecondIn,
    Unit::PerCharacterIn,
    Unit::PerQuery,
    Unit::PerSearch,
    Unit::PerRequest,
    Unit::PerPage,
];

/// The units that the tokens of a call do not say already.
fn beside_tokens(usage: &Usage) -> Units {
    let images_in = if usage.image_in > 0 { 0 } else { usage.units.images_in };
    Units { images_in, images_out: 0, audio_in_ms: 0, characters: 0, ..usage.units }
}

// === impl Unit ===

impl Unit {
    /// A part of what [`Usage`] counts in tokens.
    pub fn is_token(self) -> bool {
        use Unit::{
            AudioCacheRead, AudioCacheWrite, AudioIn, AudioOut, CacheRead, CacheReadExplicit, CacheWrite, Citation,
            ImageCacheRead, ImageIn, ImageOut, Input, Output, Reasoning, VideoIn, VideoOut,
        };
        matches!(self, Input | Output | Reasoning | CacheRead | CacheReadExplicit | CacheWrite | AudioIn | AudioOut)
            || matches!(self, AudioCacheRead | AudioCacheWrite | ImageIn | ImageOut | ImageCacheRead)
            || matches!(self, VideoIn | VideoOut | Citation)
    }
}

// === impl Factor ===

impl Factor {
    fn holds(&self, terms: &Terms<'_>) -> bool {
        let said = match self.on {
            FactorOn::InferenceGeo => terms.geo,
            FactorOn::Speed => terms.speed,
            FactorOn::RegionalEndpoint | FactorOn::RegionalProcessing => terms.region,
        };
        said.is_some_and(|said| self.value.as_deref().is_none_or(|value| value == said))
    }
}

/// The choice of rates for one request.
struct Select<'a> {
    rates: &'a [RateRow],
    /// Those that stand for others now.
    off_peak: &'a [RateRow],
    tier: Option<Tier>,
    /// Total input of the request, in tokens.
    total: u64,
    terms: Terms<'a>,
}

// === impl Select ===

impl Select<'_> {
    fn tokens(&self, usage: &Usage, input: &mut Sum, output: &mut Sum) -> Result<(), Unpriced> {
        let audio = usage.cache_read_audio.min(usage.cache_read);
        let image = usage.cache_read_image.min(usage.cache_read - audio);
        for (tokens, units) in [
            (usage.input, &[(Unit::Input, None)][..]),
            (usage.cache_read - audio - image, &[(Unit::CacheRead, None), (Unit::Input, None)]),
            (
                audio,
                &[(Unit::AudioCacheRead, None), (Unit::CacheRead, None), (Unit::AudioIn, None), (Unit::Input, None)],
            ),
            (
                image,
                &[(Unit::ImageCacheRead, None), (Unit::CacheRead, None), (Unit::ImageIn, None), (Unit::Input, None)],
            ),
            (usage.cache_write_5m, &[(Unit::CacheWrite, None), (Unit::Input, None)]),
            (
                usage.cache_write_1h,
                &[(Unit::CacheWrite, Some(Ttl::OneHour)), (Unit::CacheWrite, None), (Unit::Input, None)],
            ),
            (usage.audio_in, &[(Unit::AudioIn, None), (Unit::Input, None)]),
            (usage.image_in, &[(Unit::ImageIn, None), (Unit::Input, None)]),
            (usage.video_in, &[(Unit::VideoIn, None), (Unit::Input, None)]),
        ] {
            self.add(input, tokens, units)?;
        }
        let reasoning = usage.reasoning.min(usage.output);
        if reasoning > 0 {
            self.add(output, reasoning, self.reasoning())?;
        }
        for (tokens, units) in [
            (usage.output - reasoning, &[(Unit::Output, None)][..]),
            (usage.audio_out, &[(Unit::AudioOut, None), (Unit::Output, None)]),
            (usage.image_out, &[(Unit::ImageOut, None), (Unit::Output, None)]),
            (usage.video_out, &[(Unit::VideoOut, None), (Unit::Output, None)]),
        ] {
            self.add(output, tokens, units)?;
        }
        Ok(())
    }

    fn units(&self, units: &Units, price: &Price, input: &mut Sum, output: &mut Sum) -> Result<(), Unpriced> {
        // The community price map states what a made image costs as a price of its input.
        let (made, pixels): (&[Unit], &[Unit]) = match price.mode {
            Some(Mode::ImageGeneration | Mode::ImageEdit) => {
                (&[Unit::PerImageOut, Unit::PerImageIn], &[Unit::PerPixelOut, Unit::PerPixelIn])
            }
            _ => (&[Unit::PerImageOut], &[Unit::PerPixelOut]),
        };
        match (self.first(made, 0), self.terms.size.and_then(area), self.first(pixels, 0)) {
            (Err(_), Some(area), Ok(row)) => output.add(units.images_out.saturating_mul(area), row.rate),
            _ => self.count(output, units.images_out, made)?,
        }
        self.count(input, units.images_in, &[Unit::PerImageIn])?;
        self.count(input, units.characters, &[Unit::PerCharacterIn])?;
        self.count(input, units.queries, &[Unit::PerQuery])?;
        self.count(input, units.pages, &[Unit::PerPage])?;
        let billing = price.search.as_ref().and_then(|search| search.billing);
        let searches = if billing == Some(SearchBilling::PerRequest) { units.searches.min(1) } else { units.searches };
        self.count(input, searches, &[Unit::PerSearch])?;
        if units.audio_in_ms > 0 {
            let row = self.first(&[Unit::PerAudioSecondIn, Unit::PerSecondIn], units.audio_in_ms)?;
            input.add_thousandths(units.audio_in_ms, row.rate);
        }
        Ok(())
    }

    /// Adds `count` at the first of `units` that has a rate. None of it needs no rate.
    fn count(&self, sum: &mut Sum, count: u64, units: &[Unit]) -> Result<(), Unpriced> {
        if count > 0 {
            sum.add(count, self.first(units, 0)?.rate);
        }
        Ok(())
    }

    /// The rate of the first of `units` that has one, for media that play for `ms`.
    fn first(&self, units: &[Unit], ms: u64) -> Result<&RateRow, Unpriced> {
        let found = units.iter().find_map(|unit| self.unit(*unit, ms));
        found.ok_or(Unpriced::NoRate(units.first().copied().unwrap_or(Unit::PerRequest)))
    }

    fn unit(&self, unit: Unit, ms: u64) -> Option<&RateRow> {
        let agrees = |said: &Option<Box<str>>, is: Option<&str>| said.is_none() || said.as_deref() == is;
        let variant = match unit {
            Unit::PerSearch => self.terms.search_size.or(Some("medium")),
            _ => self.terms.size,
        };
        self.rows()
            // `above` counts results here, which nobody states.
            .filter(|row| row.unit == unit && row.ttl.is_none() && row.above == 0)
            .filter(|row| row.tier.is_none() || row.tier == self.tier)
            .filter(|row| agrees(&row.variant, variant) && agrees(&row.quality, self.terms.quality))
            .filter(|row| row.above_seconds.is_none_or(|seconds| ms > u64::from(seconds) * 1000))
            .max_by_key(|row| {
                let named = u8::from(row.variant.is_some()) + u8::from(row.quality.is_some());
                (row.above_seconds, named, row.variant.is_some(), row.tier.is_some())
            })
    }

    /// All rates, with those that stand for others behind them: of equals the last is chosen.
    fn rows(&self) -> impl Iterator<Item = &RateRow> {
        self.rates.iter().chain(self.off_peak)
    }

    /// Adds `tokens` at the first of `units` that has a rate. No tokens need no rate.
    fn add(&self, sum: &mut Sum, tokens: u64, units: &[(Unit, Option<Ttl>)]) -> Result<(), Unpriced> {
        if tokens == 0 {
            return Ok(());
        }
        match units.iter().find_map(|(unit, ttl)| self.row(*unit, *ttl)) {
            Some(row) => {
                sum.add(tokens, row.rate);
                Ok(())
            }
            None => Err(Unpriced::NoRate(units.last().map_or(Unit::Input, |(unit, _)| *unit))),
        }
    }

    /// What reasoning is billed as. A tier that prices output and not reasoning means both: the
    /// base rate for reasoning may be less than half of what the tier charges for any output.
    fn reasoning(&self) -> &'static [(Unit, Option<Ttl>)] {
        let in_tier = |unit| self.row(unit, None).is_some_and(|row| row.tier.is_some());
        if in_tier(Unit::Output) && !in_tier(Unit::Reasoning) {
            &[(Unit::Output, None)]
        } else {
            &[(Unit::Reasoning, None), (Unit::Output, None)]
        }
    }

    fn row(&self, unit: Unit, ttl: Option<Ttl>) -> Option<&RateRow> {
        self.rows()
            .filter(|row| row.unit == unit && row.ttl == ttl)
            .filter(|row| row.tier.is_none() || row.tier == self.tier)
            .filter(|row| row.above == 0 || self.total > row.above)
            .filter(|row| row.variant.is_none() && row.quality.is_none() && row.above_seconds.is_none())
            .max_by_key(|row| (row.above, row.tier.is_some()))
    }
}

/// How many pixels an image of a size such as `1024x1536` has.
fn area(size: &str) -> Option<u64> {
    let (width, height) = size.split_once('x')?;
    width.parse::<u64>().ok()?.checked_mul(height.parse().ok()?)
}
