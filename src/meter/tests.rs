//! Each rule of the table at `settle`, and the order in which a price is looked for.

use std::collections::HashMap;

use super::*;
use crate::base::money::{NanoUsd, Rate};
use crate::catalog::price::{Cost, Price, Unit, Unpriced};

const KEY: Key<'static> = Key { backend: "openai", model: "m" };
const SEEN: Through =
    Through { request_bytes: 400, text_bytes: Some(100), complete: true, status: Some(200), counted: Units::NONE };
const STATED: Usage = usage(70, 30);

const fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input,
        output,
        cache_read: 0,
        cache_write_5m: 0,
        cache_write_1h: 0,
        reasoning: 0,
        audio_in: 0,
        audio_out: 0,
        image_in: 0,
        image_out: 0,
        video_in: 0,
        video_out: 0,
        cache_read_audio: 0,
        cache_read_image: 0,
        units: Units::NONE,
    }
}

fn settled(stated: Option<Usage>, seen: Through) -> (Usage, UsageSource) {
    let measure = settle(stated, seen, &Learned::new(), KEY);
    (measure.usage, measure.source)
}

#[test]
fn the_providers_usage_wins() {
    assert_eq!(settled(Some(STATED), SEEN), (STATED, UsageSource::Provider));
    let failed = Through { status: Some(500), ..SEEN };
    assert_eq!(settled(Some(STATED), failed), (STATED, UsageSource::Provider), "even with an error status");
    let unread = Through { text_bytes: None, ..SEEN };
    assert_eq!(settled(Some(STATED), unread), (STATED, UsageSource::Provider));
}

#[test]
fn a_missing_usage_is_estimated_from_bytes() {
    assert_eq!(settled(None, SEEN), (usage(100, 25), UsageSource::Estimated));
    let early = Through { complete: false, ..SEEN };
    assert_eq!(settled(None, early), (usage(100, 25), UsageSource::Estimated));
}

#[test]
fn an_early_end_keeps_the_stated_input_and_estimates_the_output() {
    let early = Through { complete: false, ..SEEN };
    let start = Usage { cache_read: 1_000, ..usage(70, 1) };
    assert_eq!(settled(Some(start), early), (Usage { output: 25, ..start }, UsageSource::Estimated));
    let ahead = usage(70, 90);
    assert_eq!(settled(Some(ahead), early), (ahead, UsageSource::Estimated), "the provider is ahead of the bytes");
    let output_only = usage(0, 90);
    assert_eq!(settled(Some(output_only), early), (usage(100, 90), UsageSource::Estimated));
    let unread = Through { text_bytes: None, ..early };
    assert_eq!(settled(Some(start), unread), (start, UsageSource::Estimated));
}

#[test]
fn an_error_bills_nothing_and_a_timeout_is_unknown() {
    for status in [400, 401, 404, 429, 500, 502, 503, 529] {
        let seen = Through { status: Some(status), ..SEEN };
        assert_eq!(settled(None, seen), (Usage::default(), UsageSource::Provider), "{status}");
    }
    for status in [408, 504] {
        let seen = Through { status: Some(status), ..SEEN };
        assert_eq!(settled(None, seen), (Usage::default(), UsageSource::Unknown), "{status}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown_and_not_zero() {
    assert_eq!(settled(None, Through { text_bytes: None, ..SEEN }).1, UsageSource::Unknown);
    let nothing = Through { request_bytes: 0, text_bytes: Some(0), ..SEEN };
    assert_eq!(settled(None, nothing).1, UsageSource::Unknown);
}

#[test]
fn one_complete_call_teaches_and_others_do_not() {
    let learned = Learned::new();
    let call = usage(80, 20);
    learn(&call, Through { complete: false, ..SEEN }, &learned, KEY);
    learn(&call, Through { status: Some(429), ..SEEN }, &learned, KEY);
    learn(&call, Through { status: None, ..SEEN }, &learned, KEY);
    assert!(learned.is_empty(), "nothing was complete and successful");

    learn(&call, SEEN, &learned, KEY);
    let early = Through { request_bytes: 50, text_bytes: Some(35), complete: false, ..SEEN };
    assert_eq!(settle(None, early, &learned, KEY).usage, usage(10, 7), "5 bytes a token, both ways");
    let other = Key { backend: "groq", ..KEY };
    assert_eq!(settle(None, early, &learned, other).usage, usage(13, 9), "a quarter of the bytes, to the nearest");
}

#[test]
fn units_that_were_counted_are_an_estimate_and_never_a_refusals() {
    let counted = Units { characters: 8, ..Units::NONE };
    let spoke = Through { text_bytes: None, counted, ..SEEN };
    let units = Usage { units: counted, ..Usage::default() };
    assert_eq!(settled(None, spoke), (units, UsageSource::Estimated));
    assert_eq!(settled(None, Through { status: None, complete: false, ..spoke }), (units, UsageSource::Estimated));
    assert_eq!(settled(Some(STATED), spoke), (STATED, UsageSource::Provider), "the provider's word wins");
    assert_eq!(settled(None, Through { status: Some(400), ..spoke }), (Usage::default(), UsageSource::Provider));
    assert_eq!(settled(None, Through { status: Some(504), ..spoke }), (Usage::default(), UsageSource::Unknown));
}

#[test]
fn units_alone_teach_nothing_about_tokens() {
    let learned = Learned::new();
    learn(&Usage { units: Units { audio_in_ms: 9_000, ..Units::NONE }, ..Usage::default() }, SEEN, &learned, KEY);
    assert_eq!((learned.estimate_input(KEY, 100), learned.knows_input(KEY)), (25, false));
}

#[test]
fn nobody_knows_what_a_call_used_that_was_given_up_before_its_answer_began() {
    let gone = Through { status: None, text_bytes: Some(0), complete: false, ..SEEN };
    assert_eq!(settled(None, gone), (Usage::default(), UsageSource::Unknown));
}

#[test]
fn a_model_that_has_reasoned_is_remembered() {
    let learned = Learned::new();
    learn(&usage(80, 20), SEEN, &learned, KEY);
    assert!(!learned.reasons(KEY));
    learn(&Usage { reasoning: 1, ..usage(80, 20) }, SEEN, &learned, KEY);
    assert!(learned.reasons(KEY) && !learned.reasons(Key { backend: "groq", ..KEY }));
}

#[test]
fn reasoning_teaches_nothing_about_output() {
    let learned = Learned::new();
    learn(&Usage { reasoning: 10, ..usage(80, 20) }, SEEN, &learned, KEY);
    assert_eq!(learned.estimate_output(KEY, 100), 25);
    assert_eq!(learned.estimate_input(KEY, 100), 20);
}

fn rate(per_million: &str) -> Rate {
    Rate::per_million(per_million).unwrap()
}

fn models<'a>(requested: &'a str, served: Option<&'a str>) -> Models<'a> {
    Models { requested, served, region: None }
}

/// A cost and the row that made it.
#[derive(Debug, PartialEq)]
struct Priced {
    cost: Cost,
    row: PriceRow,
}

fn price(
    catalog: &Catalog,
    overlay: Option<&Overlay>,
    provider: &str,
    models: Models<'_>,
    usage: &Usage,
    tier: Option<&str>,
) -> Result<Priced, Unpriced> {
    let quote = quote(catalog, overlay, provider, models).ok_or(Unpriced::NoRow)?;
    Ok(Priced { cost: quote.cost(usage, tier)?, row: row(catalog, quote, models.region) })
}

#[test]
fn the_served_model_is_billed_and_else_the_one_asked_for() {
    let catalog = Catalog::builtin();
    let used = usage(1_000_000, 0);
    let row = |requested, served| {
        price(&catalog, None, "openai", models(requested, served), &used, None)
            .map(|priced| (priced.row.name.to_string(), priced.cost))
    };
    let (name, cost) = row("gpt-4o", Some("gpt-4o-mini-2024-07-18")).unwrap();
    assert_eq!((name.as_str(), cost.total), ("openai/gpt-4o-mini-2024-07-18", NanoUsd(150_000_000)));
    assert_eq!(row("gpt-4o", Some("something-else")).unwrap().0, "openai/gpt-4o");
    assert_eq!(row("gpt-4o", None).unwrap().0, "openai/gpt-4o");
    assert_eq!(row("nothing-known", None), Err(Unpriced::NoRow));
    let priced = price(&catalog, None, "openai", models("gpt-4o", None), &used, None).unwrap();
    assert_eq!(priced.row.version, **catalog.version());
}

#[test]
fn the_backends_own_prices_come_first_and_are_not_multiplied() {
    let catalog = Catalog::builtin();
    let own = Price::flat("openai/own", [(Unit::Input, rate("3")), (Unit::Output, rate("4"))]);
    let models_by_name = HashMap::from([("deployed".into(), own)]);
    let overlay = Overlay { multiplier: "0.85".parse().unwrap(), models: models_by_name };
    let used = usage(1_000_000, 0);
    let cost = |requested, served| {
        let models = models(requested, served);
        price(&catalog, Some(&overlay), "openai", models, &used, None)
            .map(|priced| (priced.row.version.to_string(), priced.cost.total))
    };
    assert_eq!(cost("deployed", None), Ok(("config".to_owned(), NanoUsd(3_000_000_000))));
    assert_eq!(
        cost("deployed", Some("gpt-4o")),
        Ok(("config".to_owned(), NanoUsd(3_000_000_000))),
        "before the catalogue"
    );
    assert_eq!(cost("gpt-4o-mini", None), Ok((catalog.version().to_string(), NanoUsd(127_500_000))));
}

/// A deployment may have the name of a model that it does not serve.
#[test]
fn a_deployment_of_azure_is_billed_as_what_it_serves_or_not_at_all() {
    let catalog = Catalog::builtin();
    let used = usage(1_000_000, 0);
    let row = |overlay, requested, served| {
        price(&catalog, overlay, "azure", models(requested, served), &used, None)
            .map(|priced| priced.row.name.to_string())
    };
    assert_eq!(row(None, "gpt-4o", Some("gpt-4o-mini-2024-07-18")).unwrap(), "azure/gpt-4o-mini-2024-07-18");
    assert_eq!(row(None, "gpt-4o", Some("a-model-of-tomorrow")), Err(Unpriced::NoRow));
    assert_eq!(row(None, "gpt-4o", None).unwrap(), "azure/gpt-4o", "images name no model");
    let own = Price::flat("azure/own", [(Unit::Input, rate("3"))]);
    let overlay = Overlay { models: HashMap::from([("gpt-4o".into(), own)]), ..Overlay::default() };
    assert_eq!(row(Some(&overlay), "gpt-4o", Some("a-model-of-tomorrow")).unwrap(), "azure/own");
    let other = Overlay { multiplier: "0.5".parse().unwrap(), ..Overlay::default() };
    assert_eq!(row(Some(&other), "gpt-4o", Some("a-model-of-tomorrow")), Err(Unpriced::NoRow));
}

#[test]
fn a_region_without_a_price_is_named_where_others_have_one() {
    let catalog = Catalog::builtin();
    let used = usage(1_000_000, 0);
    let row = |region, model| {
        let models = Models { requested: model, served: None, region };
        let row = price(&catalog, None, "bedrock", models, &used, None).unwrap().row;
        (row.name.to_string(), row.version.to_string())
    };
    let version = catalog.version().to_string();
    let base = "bedrock/meta.llama3-8b-instruct-v1:0".to_owned();
    let llama = "meta.llama3-8b-instruct-v1:0";
    let here = "bedrock/sa-east-1/meta.llama3-8b-instruct-v1:0".to_owned();
    assert_eq!(row(Some("sa-east-1"), llama), (here, version.clone()));
    assert_eq!(row(Some("mars-1"), llama), (base.clone(), format!("{version}, none for mars-1")));
    assert_eq!(row(None, llama), (base, version.clone()));
    // One price for all regions.
    let nova = "us.amazon.nova-lite-v1:0";
    assert_eq!(row(Some("mars-1"), nova), (format!("bedrock/{nova}"), version));
}

#[test]
fn the_mock_bills_every_name() {
    let catalog = Catalog::builtin();
    let used = usage(1_000_000, 1_000_000);
    let priced = |model| price(&catalog, None, "mock", models(model, None), &used, None).unwrap();
    assert_eq!(priced("gpt-4o-mini").cost.total, NanoUsd(750_000_000));
    assert_eq!(priced("no-such-model").cost.total, NanoUsd(2_000_000_000));
    assert_eq!(priced("no-such-model").row.version, "default");
    let served = price(&catalog, None, "mock", models("gpt-4o-mini", Some("mock-1")), &used, None).unwrap();
    assert_eq!(&*served.row.name, "openai/gpt-4o-mini", "the name asked for has a price, the one served has none");
}

#[test]
fn a_backend_without_a_price_is_unpriced() {
    let catalog = Catalog::builtin();
    let used = usage(1, 1);
    for provider in ["ollama", "vllm", "no-such-provider"] {
        assert_eq!(price(&catalog, None, provider, models("gpt-4o", None), &used, None), Err(Unpriced::NoRow));
    }
}
