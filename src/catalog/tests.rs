//! The right row or none, never a wrong one.

use super::*;
use crate::base::money::NanoUsd;
use crate::llm::{Units, Usage};
use price::{Terms, Unit};

fn row<'a>(catalog: &'a Catalog, provider: &str, model: &str) -> Option<&'a str> {
    catalog.price(provider, model).map(|price| &*price.name)
}

#[test]
fn the_built_in_data_has_no_error() {
    let errors = Catalog::parse(PROVIDERS, PRICES).err().unwrap_or_default();
    assert!(errors.is_empty(), "{errors:#?}");
    let catalog = Catalog::builtin();
    assert!(Arc::ptr_eq(&catalog.inner, &Catalog::builtin().inner), "read once");
    assert_eq!(&**catalog.version(), "litellm-1.109.1");
    for (provider, least) in [("openai", 80), ("anthropic", 15), ("groq", 4), ("mistral", 20)] {
        assert!(catalog.models_of(provider).len() >= least, "{provider}: {}", catalog.models_of(provider).len());
    }
    for local in ["ollama", "vllm", "mock"] {
        assert!(catalog.models_of(local).is_empty(), "{local} has no prices of its own");
    }
}

#[test]
fn every_row_is_read_and_what_calls_can_use_is_billed() {
    let catalog = Catalog::builtin();
    let providers: std::collections::BTreeSet<&str> =
        catalog.models().into_iter().flat_map(|model| catalog.knows(model)).collect();
    let (mut rows, mut billed) = (0, 0);
    for provider in providers {
        for model in catalog.models_of(provider) {
            let price = catalog.price(provider, model).unwrap_or_else(|| panic!("{provider}/{model} is not read"));
            assert_eq!(&*price.name, format!("{provider}/{model}"));
            rows += 1;
            billed += usize::from(asked(price).is_some_and(|usage| {
                let cost = price.cost(&usage, Terms { size: Some("1024x1024"), ..Terms::default() });
                let cost = cost.unwrap_or_else(|error| panic!("{provider}/{model}: {error}"));
                assert!(cost.total < NanoUsd(10_000_000_000_000), "{provider}/{model}: {} ?", cost.total);
                true
            }));
        }
    }
    assert!(rows >= 4_000, "{rows}");
    // The others are billed by what no call states: seconds of video, sizes of media, provisioned time.
    assert!(billed * 100 >= rows * 88, "{billed} of {rows}");
}

/// What a model can be asked for, by the units that its price has a rate for under any conditions.
fn asked(price: &Price) -> Option<Usage> {
    let always = |row: &&price::RateRow| row.variant.is_none() && row.above_seconds.is_none() && row.above == 0;
    let has = |unit| price.rates.iter().filter(always).any(|row| row.unit == unit && row.tier.is_none());
    let unit = |units| Usage { units, ..Usage::default() };
    [
        (has(Unit::Input), Usage { input: 1_000_000, ..Usage::default() }),
        (has(Unit::Output), Usage { output: 1_000_000, ..Usage::default() }),
        (has(Unit::PerSecondIn), unit(Units { audio_in_ms: 1_000, ..Units::default() })),
        (has(Unit::PerCharacterIn), unit(Units { characters: 1, ..Units::default() })),
        (has(Unit::PerPage), unit(Units { pages: 1, ..Units::default() })),
        (has(Unit::PerQuery), unit(Units { queries: 1, ..Units::default() })),
        (has(Unit::PerImageOut), unit(Units { images_out: 1, ..Units::default() })),
        (has(Unit::PerImageIn), unit(Units { images_in: 1, ..Units::default() })),
    ]
    .into_iter()
    .find_map(|(is_priced, usage)| is_priced.then_some(usage))
}

#[test]
fn a_served_name_finds_its_own_row_first() {
    let catalog = Catalog::builtin();
    let openai = |model| row(&catalog, "openai", model);
    assert_eq!(openai("gpt-4o"), Some("openai/gpt-4o"));
    assert_eq!(openai("gpt-4o-2024-05-13"), Some("openai/gpt-4o-2024-05-13"), "dearer than gpt-4o");
    assert_eq!(openai("gpt-4o-2099-01-31"), Some("openai/gpt-4o"));
    assert_eq!(openai("gpt-4o-mini-20990131"), Some("openai/gpt-4o-mini"));
    assert_eq!(openai("openai/gpt-4o-mini"), Some("openai/gpt-4o-mini"));
    assert_eq!(openai("openai/gpt-4o-2099-01-31"), Some("openai/gpt-4o"));
    let tuned = Some("openai/ft:gpt-4o-2024-08-06");
    assert_eq!(openai("ft:gpt-4o-2024-08-06:acme::AbC123"), tuned);
    assert_eq!(openai("ft:gpt-4o-2024-08-06"), tuned);
    assert_eq!(row(&catalog, "anthropic", "claude-sonnet-4-5-20250929"), Some("anthropic/claude-sonnet-4-5-20250929"));
    assert_eq!(row(&catalog, "anthropic", "claude-sonnet-4-6-20990131"), Some("anthropic/claude-sonnet-4-6"));
    assert_eq!(row(&catalog, "groq", "openai/gpt-oss-20b"), Some("groq/openai/gpt-oss-20b"));
    assert_eq!(row(&catalog, "groq", "groq/openai/gpt-oss-20b"), Some("groq/openai/gpt-oss-20b"));
}

#[test]
fn a_name_is_never_guessed() {
    let catalog = Catalog::builtin();
    for model in [
        "",
        "gpt",
        "gpt-4o-max",
        "gpt-4o-",
        "gpt-4oo",
        "GPT-4o",
        " gpt-4o",
        "gpt-4o-2024-13-01",
        "gpt-4o-2024-00-10",
        "gpt-4o-1999-01-01",
        "gpt-4o-24-05-13",
        "gpt-4o-2024-5-13",
        "gpt-4o-99999999",
        "gpt-4o-0613",
        "gpt-4o-+024-05-13",
        "-2024-05-13",
        "anthropic/gpt-4o",
        "openaigpt-4o",
        "openai/openai/gpt-4o",
        "ft:gpt-5:acme::id",
        "ft:gpt-4o:acme::id",
        "ft::",
        "gpt-4o-２０２４-０５-１３",
        "é-2024-05-13",
    ] {
        assert_eq!(row(&catalog, "openai", model), None, "{model:?}");
    }
    assert_eq!(row(&catalog, "groq", "gpt-4o"), None);
    assert_eq!(row(&catalog, "OpenAI", "gpt-4o"), None);
    assert_eq!(row(&catalog, "", "gpt-4o"), None);
}

#[test]
fn bare_names_know_their_providers() {
    let catalog = Catalog::builtin();
    for model in ["gpt-4o", "gpt-4o-2099-01-31"] {
        let known = catalog.knows(model);
        assert_eq!(known[0], "openai");
        assert!(known.contains(&"azure") && !known.contains(&"anthropic"), "{known:?}");
    }
    assert_eq!(catalog.knows("claude-haiku-4-5")[0], "anthropic");
    assert_eq!(catalog.knows("openai/gpt-oss-120b")[0], "groq");
    assert!(catalog.knows("llama3").is_empty());
}

#[test]
fn providers_of_one_name_come_in_the_order_of_the_table() {
    let rows = ["zeta", "mistral", "openai", "alpha"]
        .map(|provider| format!(r#"{{"provider": "{provider}", "model": "m", "rates": []}}"#))
        .join(",");
    let prices = format!(r#"{{"format": "weir.prices/v1", "version": "1", "source": "", "models": [{rows}]}}"#);
    let catalog = Catalog::parse(PROVIDERS, &prices).unwrap();
    assert_eq!(catalog.knows("m"), ["openai", "mistral", "alpha", "zeta"]);
}

#[test]
fn aliases_are_names_too() {
    let prices = r#"{"format": "weir.prices/v1", "version": "1", "source": "", "models": [
        {"provider": "p", "model": "m-1", "aliases": ["m-latest"], "rates": []}]}"#;
    let catalog = Catalog::parse(PROVIDERS, prices).unwrap();
    assert_eq!(row(&catalog, "p", "m-latest"), Some("p/m-1"));
    assert_eq!(catalog.models_of("p"), ["m-1", "m-latest"]);
    assert_eq!(catalog.knows("m-latest"), ["p"]);
}

#[test]
fn the_mock_has_the_price_of_every_name() {
    let catalog = Catalog::builtin();
    let quote = |model| catalog.quote("mock", None, model).map(|quote| &*quote.price.name);
    assert_eq!(quote("gpt-4o-mini"), Some("openai/gpt-4o-mini"));
    assert_eq!(quote("gpt-4o-mini-2099-01-31"), Some("openai/gpt-4o-mini"));
    assert_eq!(quote("mock/gpt-4o-mini"), Some("openai/gpt-4o-mini"));
    assert_eq!(quote("openai/gpt-4o-mini"), Some("openai/gpt-4o-mini"));
    assert_eq!(quote("openai/gpt-oss-120b"), Some("groq/openai/gpt-oss-120b"));
    assert_eq!(quote("no-such-model"), None);
    assert_eq!(catalog.quote("ollama", None, "gpt-4o").map(|quote| quote.origin), None);
    let default = catalog.default_quote("mock").unwrap();
    let used = Usage { input: 3, output: 4, ..Usage::default() };
    assert_eq!(default.price.cost(&used, None).unwrap().total, NanoUsd(7_000), "1 USD a million tokens");
    assert!(catalog.default_quote("openai").is_none());
}

#[test]
fn an_overlay_comes_first_and_its_factor_is_for_the_catalogue() {
    let catalog = Catalog::builtin();
    let own = Price::flat("b/own", []);
    let overlay = Overlay { multiplier: "0.5".parse().unwrap(), models: HashMap::from([("gpt-4o".into(), own)]) };
    let quote = |model| catalog.quote("openai", Some(&overlay), model).unwrap();
    assert_eq!((quote("gpt-4o").origin, quote("gpt-4o").multiplier), (Origin::Overlay, Multiplier::ONE));
    assert_eq!(quote("gpt-4o-2099-01-31").origin, Origin::Overlay);
    assert_eq!(quote("openai/gpt-4o").origin, Origin::Overlay);
    assert_eq!(quote("gpt-4o-mini").origin, Origin::Catalogue);
    assert_eq!(quote("gpt-4o-mini").multiplier, "0.5".parse().unwrap());
}
