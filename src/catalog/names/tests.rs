//! The right row or none: which names lead where, and which lead nowhere.

use proptest::prelude::*;

use crate::catalog::Catalog;

fn row<'a>(catalog: &'a Catalog, provider: &str, region: Option<&str>, model: &str) -> Option<&'a str> {
    catalog.price_in(provider, region, model).map(|price| &*price.name)
}

/// `(provider, region, served name, row)`.
const FOUND: &[(&str, Option<&str>, &str, &str)] = &[
    ("openai", None, "gpt-4o", "openai/gpt-4o"),
    ("openai", None, "gpt-4o-2024-08-06", "openai/gpt-4o-2024-08-06"),
    ("openai", None, "gpt-4o-2031-08-06", "openai/gpt-4o"),
    ("openai", None, "gpt-4o-mini-20310806", "openai/gpt-4o-mini"),
    ("openai", None, "openai/gpt-4o-mini", "openai/gpt-4o-mini"),
    ("openai", None, "ft:gpt-4o-mini-2024-07-18:acme::AbC", "openai/ft:gpt-4o-mini-2024-07-18"),
    ("openai", None, "ft:gpt-4o-mini-2024-07-18:acme:suffix:AbC", "openai/ft:gpt-4o-mini-2024-07-18"),
    ("openai", Some("eu"), "gpt-4o", "openai/gpt-4o"),
    ("anthropic", None, "claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5-20250929"),
    ("anthropic", None, "claude-sonnet-4-5@20310929", "anthropic/claude-sonnet-4-5"),
    ("anthropic", None, "anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
    ("vertex_ai", None, "claude-haiku-4-5@20251001", "vertex_ai/claude-haiku-4-5@20251001"),
    ("vertex_ai", None, "publishers/anthropic/models/claude-haiku-4-5@20251001", "vertex_ai/claude-haiku-4-5@20251001"),
    ("vertex_ai", None, "publishers/anthropic/models/claude-haiku-4-5@default", "vertex_ai/claude-haiku-4-5"),
    ("vertex_ai", None, "publishers/google/models/gemini-2.5-flash", "vertex_ai/gemini-2.5-flash"),
    (
        "vertex_ai",
        Some("europe-west4"),
        "projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash",
        "vertex_ai/gemini-2.5-flash",
    ),
    (
        "vertex_ai",
        None,
        "publishers/meta/models/llama-4-scout-17b-16e-instruct-maas",
        "vertex_ai/meta/llama-4-scout-17b-16e-instruct-maas",
    ),
    ("gemini", None, "models/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("gemini", None, "gemini/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("gemini", None, "gemini/models/gemini-2.5-flash", "gemini/gemini-2.5-flash"),
    ("bedrock", None, "anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("bedrock", None, "us.amazon.nova-lite-v1:0", "bedrock/us.amazon.nova-lite-v1:0"),
    ("bedrock", None, "eu.amazon.nova-lite-v1:0", "bedrock/eu.amazon.nova-lite-v1:0"),
    ("bedrock", None, "apac.amazon.nova-lite-v1:0", "bedrock/apac.amazon.nova-lite-v1:0"),
    ("bedrock", None, "bedrock/us.amazon.nova-lite-v1:0", "bedrock/us.amazon.nova-lite-v1:0"),
    (
        "bedrock",
        None,
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
        "bedrock/eu.amazon.nova-lite-v1:0",
    ),
    (
        "bedrock",
        None,
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0",
        "bedrock/amazon.nova-lite-v1:0",
    ),
    ("bedrock", None, "meta.llama3-8b-instruct-v1:0", "bedrock/meta.llama3-8b-instruct-v1:0"),
    ("bedrock", Some("sa-east-1"), "meta.llama3-8b-instruct-v1:0", "bedrock/sa-east-1/meta.llama3-8b-instruct-v1:0"),
    ("bedrock", Some("mars-1"), "meta.llama3-8b-instruct-v1:0", "bedrock/meta.llama3-8b-instruct-v1:0"),
    ("bedrock", None, "sa-east-1/meta.llama3-8b-instruct-v1:0", "bedrock/sa-east-1/meta.llama3-8b-instruct-v1:0"),
    ("azure", None, "gpt-4o-2024-08-06", "azure/gpt-4o-2024-08-06"),
    ("azure", None, "azure/gpt-4o", "azure/gpt-4o"),
    ("azure", None, "eu/gpt-4o-2024-08-06", "azure/eu/gpt-4o-2024-08-06"),
    ("azure", None, "azure/us/gpt-4o-2024-08-06", "azure/us/gpt-4o-2024-08-06"),
    (
        "fireworks_ai",
        None,
        "accounts/fireworks/models/deepseek-r1",
        "fireworks_ai/accounts/fireworks/models/deepseek-r1",
    ),
    ("groq", None, "openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"),
];

/// `(provider, region, served name)` without a price.
const UNKNOWN: &[(&str, Option<&str>, &str)] = &[
    ("openai", None, "ft:gpt-4o:acme::id"),
    ("openai", None, "ft:gpt-4o-mini:acme::id"),
    ("openai", None, "gpt-4o-mini-mini"),
    ("openai", None, "gpt-4o@mini"),
    ("openai", None, "gpt-4o-20311301"),
    ("openai", None, "gpt-4o@2031080"),
    ("openai", None, "models/gpt-4o/x"),
    ("openai", None, "my/models/gpt-4o"),
    ("openai", None, "deployments/gpt-4o"),
    ("openai", None, "azure/gpt-4o"),
    ("openai", None, "us.gpt-4o"),
    ("anthropic", None, "claude-sonnet-4-5-v1:0"),
    ("anthropic", None, "anthropic.claude-haiku-4-5-20251001-v1:0"),
    ("anthropic", None, "claude-sonnet"),
    ("bedrock", None, "mars.amazon.nova-lite-v1:0"),
    ("bedrock", None, "ca.amazon.nova-lite-v1:0"),
    ("bedrock", None, "global.amazon.nova-lite-v1:0"),
    ("bedrock", None, "amazon.nova-lite-v1"),
    ("bedrock", None, "amazon.nova-lite-v1:1"),
    ("bedrock", None, "claude-haiku-4-5"),
    ("bedrock", None, "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"),
    ("bedrock", None, "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/amazon.nova-lite-v1:0"),
    ("bedrock", None, "arn:aws:s3:us-east-1:1:foundation-model/amazon.nova-lite-v1:0"),
    ("bedrock", Some("sa-east-1"), "no-such-model"),
    ("vertex_ai", None, "publishers/anthropic/models/gpt-4o"),
    ("vertex_ai", None, "publishers//models/"),
    ("vertex_ai", None, "projects/p/locations/europe-west4/models/gemini-2.5-flash"),
    ("vertex_ai", None, "projects/p/models/gemini-2.5-flash"),
    ("vertex_ai", None, "projects/p/locations/europe-west4/endpoints/gemini-2.5-flash"),
    ("vertex_ai", None, "projects/p/locations/l/publishers/google/models/gemini-2.5-flash/versions/1"),
    ("vertex_ai", None, "gemini-2.5-flash@001"),
    ("vertex_ai", None, "Gemini-2.5-Flash"),
    ("bedrock", None, "arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-lite-v1:0/abc"),
    ("bedrock", None, "arn:aws:bedrock:us-east-1:1:imported-model/amazon.nova-lite-v1:0"),
    ("bedrock", None, "arn:aws:bedrock:us-east-1:1:custom-model-deployment/amazon.nova-lite-v1:0"),
    ("bedrock", None, "us.eu.amazon.nova-lite-v1:0"),
    ("bedrock", None, "us-gov.amazon.nova-lite-v1:0"),
    ("openai", None, "gpt-4o-latest"),
    ("openai", None, "GPT-4o-mini"),
    ("openrouter", None, "openrouter/deepseek/deepseek-r1:free"),
    ("openrouter", None, "deepseek/deepseek-r1:free"),
    ("gemini", None, "models/"),
    ("gemini", None, "tunedModels/gemini-2.5-flash"),
    ("azure", None, "my-deployment"),
    ("azure", None, "eu/eu/gpt-4o"),
    ("fireworks_ai", None, "accounts/acme/models/deepseek-r1"),
    ("openrouter", None, "openrouter/openai/gpt-4o"),
];

#[test]
fn a_name_leads_to_its_row() {
    let catalog = Catalog::builtin();
    for (provider, region, model, wanted) in FOUND {
        assert_eq!(row(&catalog, provider, *region, model), Some(*wanted), "{provider} {region:?} {model}");
    }
}

#[test]
fn a_name_without_a_row_leads_nowhere() {
    let catalog = Catalog::builtin();
    for (provider, region, model) in UNKNOWN {
        assert_eq!(row(&catalog, provider, *region, model), None, "{provider} {region:?} {model}");
    }
}

#[test]
fn every_row_is_found_by_its_own_name_and_by_no_others() {
    let catalog = Catalog::builtin();
    let providers: std::collections::BTreeSet<&str> =
        catalog.models().into_iter().flat_map(|model| catalog.knows(model)).collect();
    let mut count = 0;
    for provider in providers {
        for model in catalog.models_of(provider) {
            let wanted = format!("{provider}/{model}");
            count += 1;
            assert_eq!(row(&catalog, provider, None, model), Some(&*wanted));
            // Where that is the name of another row, that one is meant: Perplexity has `perplexity/sonar`.
            let exact = row(&catalog, provider, None, &format!("{provider}/{wanted}"));
            let other = exact.is_some_and(|exact| exact == format!("{provider}/{wanted}"));
            assert!(other || row(&catalog, provider, None, &wanted) == Some(&*wanted), "{wanted} with its provider");
            // Whatever is put behind makes another model, which has its own row or none.
            for more in ["-mini", "-pro", "0", ":1", "-20310", "@x", "/x", "-2031-1-1", ".1", "x"] {
                if model.starts_with("ft:") && more == ":1" {
                    continue;
                }
                let other = format!("{model}{more}");
                let found = row(&catalog, provider, None, &other);
                // Perplexity's `perplexity/sonar` with `-pro` behind is `sonar-pro` with its provider in front.
                let own = |found: &str| found == other || found.strip_prefix(provider) == Some(&*format!("/{other}"));
                assert!(found.is_none_or(own), "{other} is {found:?}");
            }
        }
    }
    assert!(count >= 4_000, "{count}");
}

proptest! {
    /// A row that is found is named by the end of what was asked for, but for a date, an owner or an `@`.
    #[test]
    fn nothing_is_guessed(
        provider in prop::sample::select(vec!["openai", "bedrock", "vertex_ai", "azure", "gemini", "anthropic"]),
        before in "(|us\\.|models/|publishers/a/models/|openai/|[a-z]{1,3}[./-])",
        index in any::<prop::sample::Index>(),
        after in "(|-mini|-[0-9]{8}|-20[0-9]{2}-[01][0-9]-[0-3][0-9]|@[0-9]{8}|:[a-z]+::[a-z]+|[a-z0-9.:@/-]{1,4})",
    ) {
        let catalog = Catalog::builtin();
        let models = catalog.models_of(provider);
        let asked = format!("{before}{}{after}", models[index.index(models.len())]);
        if let Some(found) = row(&catalog, provider, None, &asked) {
            let name = found.strip_prefix(provider).unwrap().strip_prefix('/').unwrap();
            let place = asked.find(name.rsplit_once('/').map_or(name, |(_, last)| last)).expect("a part of the name");
            let rest = &asked[place + name.rsplit_once('/').map_or(name, |(_, last)| last).len()..];
            let dated = rest.starts_with(['-', '@']) && rest.bytes().filter(u8::is_ascii_digit).count() == 8;
            let owned = name.starts_with("ft:") && rest.starts_with(':');
            prop_assert!(rest.is_empty() || dated || owned || matches!(rest, "@default" | "@latest"), "{asked}: {found}");
        }
    }
}
