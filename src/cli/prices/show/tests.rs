//! The row that is shown is the one a call is billed by, in the words of price lists.

use super::*;

fn asked(model: &str, provider: Option<&str>, json: bool) -> Result<String, PricesError> {
    let args = Show { model: model.to_owned(), provider: provider.map(str::to_owned), json, prices: None };
    prices(&args, &Catalog::builtin())
}

fn rows(model: &str, provider: Option<&str>) -> Vec<Value> {
    serde_json::from_str(&asked(model, provider, true).unwrap()).unwrap()
}

#[test]
fn dated_and_prefixed_names_show_the_row_that_bills_them() {
    for name in ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4o-mini-2031-01-02", "openai/gpt-4o-mini-20310102"] {
        let row = rows(name, Some("openai")).remove(0);
        let price = Catalog::builtin();
        let price = price.price("openai", name).unwrap();
        assert_eq!(row["row"], *price.name, "{name}");
        let input = row["rates"].as_array().unwrap().iter().find(|rate| rate["unit"] == "input").unwrap();
        assert_eq!((&input["usd"], &input["per"]), (&json!("0.15"), &json!("per million")), "{name}");
        let text = asked(name, None, false).unwrap();
        assert!(text.starts_with(&format!("openai: {}\n", price.name)), "{text}");
        assert!(text.contains("0.15 USD"), "{text}");
    }
}

#[test]
fn every_priced_name_is_shown_in_both_forms() {
    let catalog = Catalog::builtin();
    for name in catalog.models() {
        assert!(!rows(name, None).is_empty(), "{name}");
        assert!(!asked(name, None, false).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn thresholds_and_tiers_are_named() {
    let rate = |above, tier| RateRow { above, tier, ..RateRow::new(Unit::Input, "2.5e-09".parse().unwrap()) };
    let rows = table("", &[rate(200_000, None), rate(0, crate::catalog::price::Tier::of("flex"))]);
    assert_eq!(rows[0], ["input", "0.0025 USD", "per million", "above 200000 input tokens"]);
    assert_eq!(rows[1], ["input", "0.0025 USD", "per million", "tier flex"]);
    let each = RateRow::new(Unit::PerImageOut, "0.04".parse().unwrap());
    assert_eq!(table("", &[each])[0], ["per_image_out", "0.04 USD", "each", ""]);
}

#[test]
fn without_a_price_near_names_are_proposed() {
    let error = asked("gpt-4o-mimi", Some("openai"), false).unwrap_err().to_string();
    assert!(error.starts_with("no price: gpt-4o-mimi; near: gpt-4o-mini"), "{error}");
    assert_eq!(asked("zzzzzzzzzzzz", None, false).unwrap_err().to_string(), "no price: zzzzzzzzzzzz");
    assert_eq!(asked(&"x".repeat(10_000), None, true).unwrap_err().to_string().len(), 10_000 + "no price: ".len());
    let error = asked("gpt-4o", Some("opanai"), false).unwrap_err().to_string();
    assert_eq!(error, "there is no provider \"opanai\"; `weir providers` lists them");
}

#[test]
fn a_distance_counts_edits() {
    for (a, b, edits) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a", "a", 0)] {
        assert_eq!(distance(a, b), edits, "{a} {b}");
    }
}
