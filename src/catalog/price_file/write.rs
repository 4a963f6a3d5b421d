//! Writes a price file: one model a line, in the order given, each number in its shortest form. What is
//! written is read as the same rows, and written again it is the same text.

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use super::super::price::{Factor, Limits, Mode, OffPeak, RateRow, Search, Tier, Ttl, Unit, Window};
use super::{FORMAT, PriceFile, Row};
use crate::base::money::Multiplier;

#[derive(Serialize)]
struct WrittenRow<'a> {
    provider: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    aliases: &'a [Box<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    rates: Vec<WrittenRate<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    off_peak: Option<WrittenOffPeak<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    multipliers: &'a [Factor],
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<&'a Search>,
    #[serde(skip_serializing_if = "is_unlimited")]
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    extra: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct WrittenRate<'a> {
    unit: Unit,
    rate: String,
    #[serde(skip_serializing_if = "is_zero")]
    above: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<Ttl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    above_seconds: Option<u32>,
}

#[derive(Serialize)]
struct WrittenOffPeak<'a> {
    rates: Vec<WrittenRate<'a>>,
    windows: &'a [Window],
    #[serde(skip_serializing_if = "Option::is_none")]
    weekday_timezone: Option<&'static str>,
}

/// The text of a price file. `source` says where its facts are from.
pub fn write(file: &PriceFile, source: &Value) -> String {
    let mut text = String::new();
    let version = Value::from(file.version.as_str());
    // Writing to a string cannot fail.
    let _ = write!(text, "{{\n\"format\":\"{FORMAT}\",\n\"version\":{version},\n\"source\":{source},\n\"models\":[");
    for (index, row) in file.rows.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&line(row));
    }
    text.push_str("\n]\n}\n");
    text
}

/// One row as one line.
pub fn line(row: &Row) -> String {
    let price = &row.price;
    let written = WrittenRow {
        provider: &row.provider,
        model: &row.model,
        aliases: &row.aliases,
        mode: price.mode,
        rates: rates(&price.rates),
        off_peak: price.off_peak.as_ref().map(off_peak),
        multipliers: &price.multipliers,
        search: price.search.as_ref(),
        limits: price.limits,
        deprecated: price.deprecated.as_deref(),
        source: price.source.as_deref(),
        extra: &price.extra,
    };
    // There is nothing in it that JSON cannot say.
    serde_json::to_string(&written).unwrap_or_default()
}

fn rates(rows: &[RateRow]) -> Vec<WrittenRate<'_>> {
    let rate = |row: &RateRow| row.rate.shortest();
    let written = |row| WrittenRate::of(row, rate(row));
    rows.iter().map(written).collect()
}

fn off_peak(off_peak: &OffPeak) -> WrittenOffPeak<'_> {
    WrittenOffPeak {
        rates: rates(&off_peak.rates),
        windows: &off_peak.windows,
        weekday_timezone: off_peak.weekday_timezone.map(|zone| zone.name()),
    }
}

// === impl WrittenRate ===

impl<'a> WrittenRate<'a> {
    fn of(row: &'a RateRow, rate: String) -> WrittenRate<'a> {
        let &RateRow { unit, rate: _, above, ttl, tier, ref variant, ref quality, above_seconds } = row;
        let (variant, quality) = (variant.as_deref(), quality.as_deref());
        WrittenRate { unit, rate, above, ttl, tier, variant, quality, above_seconds }
    }
}

// === impl Window ===

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let hours: Vec<String> =
            self.hours_utc.iter().map(|&(from, to)| format!("{}-{}", time(from), time(to))).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("hours_utc", &hours)?;
        if !self.weekdays.is_empty() {
            map.serialize_entry("weekdays", &self.weekdays)?;
        }
        map.end()
    }
}

// === impl Multiplier ===

impl Serialize for Multiplier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_unlimited(limits: &Limits) -> bool {
    *limits == Limits::default()
}
