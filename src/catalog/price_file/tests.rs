//! The built-in file, and what a file may not say.

use super::*;
use crate::base::money::Rate;
use crate::catalog::price::{FactorOn, Period, SearchBilling, Tier, Ttl, Unit, Zone};

fn file(models: &str) -> String {
    format!(r#"{{"format": "weir.prices/v1", "version": "1", "source": {{"facts": "a test"}}, "models": [{models}]}}"#)
}

fn errors(models: &str) -> Vec<String> {
    parse(&file(models)).map(|file| file.rows.len()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_row_carries_everything_a_price_map_knows() {
    let parsed = parse(&file(
        r#"{"provider": "p", "model": "m", "mode": "chat", "aliases": ["m-latest"],
            "rates": [
              {"unit": "input", "rate": "1.5e-07"},
              {"unit": "input", "rate": "3e-07", "above": 200000, "tier": "priority"},
              {"unit": "cache_write", "rate": "6e-07", "ttl": "12h", "above": 272000, "tier": "flex"},
              {"unit": "per_image_out", "rate": "0.04", "variant": "1024x1024", "quality": "high"},
              {"unit": "per_video_second_in", "rate": "0.002", "above_seconds": 15},
              {"unit": "per_search", "rate": "0.01", "variant": "low"}],
            "off_peak": {"rates": [{"unit": "input", "rate": "1e-08"}], "weekday_timezone": "Asia/Shanghai",
              "windows": [{"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [1, 5]}, {"hours_utc": ["16:30-00:30"]}]},
            "multipliers": [{"on": "regional_processing", "value": "eu", "by": "1.1"}, {"on": "regional_endpoint", "by": "1.1"}],
            "search": {"billing": "per_query", "free": {"count": 1500, "period": "day", "group": "g"}},
            "limits": {"max_input": 128000, "max_output": 16384}, "deprecated": "2026-12-11", "source": "https://example.com",
            "extra": {"anything": [1, {"nested": true}]}}"#,
    ))
    .unwrap();
    let [row] = parsed.rows.as_slice() else { panic!("one row") };
    let price = &row.price;
    assert_eq!((&*row.provider, &*row.model, &*row.aliases[0], &*price.name), ("p", "m", "m-latest", "p/m"));
    assert_eq!(price.rates[0], RateRow::new(Unit::Input, Rate::per_million("0.15").unwrap()));
    assert_eq!((price.rates[1].above, price.rates[1].tier), (200_000, Some(Tier::Priority)));
    assert_eq!(price.rates[2].ttl, Some(Ttl::TwelveHours));
    assert_eq!(price.rates[3].variant.as_deref(), Some("1024x1024"));
    assert_eq!(price.rates[3].quality.as_deref(), Some("high"));
    assert_eq!(price.rates[4].above_seconds, Some(15));
    let off_peak = price.off_peak.as_ref().unwrap();
    assert_eq!(off_peak.windows[0].hours_utc, [(0, 60), (600, 0)]);
    assert_eq!(off_peak.windows[0].weekdays, [1, 5]);
    assert_eq!(off_peak.windows[1].hours_utc, [(990, 30)]);
    assert_eq!(off_peak.weekday_timezone.map(Zone::name), Some("Asia/Shanghai"));
    assert_eq!(price.multipliers[0].on, FactorOn::RegionalProcessing);
    assert_eq!(price.multipliers[1].by, "1.1".parse().unwrap());
    let search = price.search.as_ref().unwrap();
    assert_eq!(search.billing, Some(SearchBilling::PerQuery));
    assert_eq!(search.free.as_ref().map(|free| (free.count, free.period)), Some((1_500, Period::Day)));
    assert_eq!(price.limits, Limits { max_input: Some(128_000), max_output: Some(16_384) });
    assert!(price.extra.contains_key("anything"));
}

#[test]
fn every_error_is_reported_with_its_place() {
    let found = errors(
        r#"{"provider": "p", "model": "a", "rates": [
              {"unit": "inputs", "rate": "x"}, {"unit": "output", "rate": "-1", "tier": "gold", "ttl": "5h"},
              {"unit": "input", "rate": "1"}, {"unit": "input", "rate": "2"}]},
           {"provider": "p", "model": "b", "rate": []},
           {"provider": "p", "model": "c", "aliases": ["a"]},
           {"provider": "", "model": "d"},
           {"provider": "q", "model": "a", "off_peak": {"rates": [{"unit": "input", "rate": "1e-19"}],
              "windows": [{"hours_utc": ["25:00-01:00"]}, {"hours_utc": ["01:00-02:00"], "weekdays": [8]}]}}"#,
    );
    let wanted = [
        r#"models[0] p/a: rates[0]: "inputs" is not known"#,
        r#"models[0] p/a: rates[0]: "x": not a decimal number"#,
        r#"models[0] p/a: rates[1]: "5h" is not known"#,
        r#"models[0] p/a: rates[1]: "gold" is not known"#,
        r#"models[0] p/a: rates[1]: "-1": a price or factor cannot be negative"#,
        "models[0] p/a: rates[3]: there is another rate under the same conditions",
        "models[1] : unknown field `rate`",
        r#"models[2] p/c: "a" has a price row already"#,
        "models[3] /d: provider and model may not be empty",
        r#"models[4] q/a: off_peak.rates[0]: "1e-19": more decimal places than can be kept exactly"#,
        "models[4] q/a: off_peak.windows[0]: hours are",
        "models[4] q/a: off_peak.windows[1]: hours are",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.starts_with(wanted), "{found} is not {wanted}");
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    assert!(parse("").is_err());
    assert!(parse("[]").is_err());
    assert!(parse(&file("").replace("weir.prices/v1", "weir.prices/v2")).is_err());
    assert!(parse(&file("{}, 1")).is_err_and(|errors| errors.len() == 2));
    assert!(parse(&file("")).is_ok(), "a table may be empty");
}

#[test]
fn a_number_is_no_rate() {
    let found = errors(r#"{"provider": "p", "model": "m", "rates": [{"unit": "input", "rate": 1.5e-07}]}"#);
    assert!(found.len() == 1 && found[0].contains("expected a string"), "{found:?}");
}
