//! The built-in table, and what a row may not say.

use super::*;
use crate::catalog::Catalog;

const GOOD: &str = r#"
[[provider]]
id = "p"
name = "P"
dialect = "OpenAI"
base_url = "https://api.example.com/v1"
auth = { scheme = "bearer" }
stream_usage = "never"
operations = ["chat"]
"#;

fn errors(text: &str) -> Vec<String> {
    parse(text).map(|providers| providers.len()).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn the_built_in_rows_are_those_we_mean() {
    let catalog = Catalog::builtin();
    let ids: Vec<&str> = catalog.providers().iter().map(|provider| &*provider.id).collect();
    let named = ["deepseek", "moonshot", "openrouter", "gemini-openai"];
    assert_eq!(ids, [&["openai", "anthropic", "groq", "mistral", "ollama", "vllm", "mock"][..], &named].concat());
    for provider in catalog.providers() {
        let id = &provider.id;
        assert!(!provider.operations.is_empty() && !provider.name.is_empty(), "{id}");
        if let Some(url) = &provider.base_url {
            assert!(is_base_url(url), "{id}");
        } else {
            assert!(provider.key != KeyNeed::Required, "{id} has a key and no place to use it");
        }
        // A key that is found must not add a backend that makes names ambiguous.
        let is_found = provider.key != KeyNeed::None && !named.contains(&&**id);
        assert_eq!(!provider.env.is_empty(), is_found, "{id}");
        assert!(provider.auth == AuthScheme::None || provider.key != KeyNeed::None, "{id}");
    }
}

#[test]
fn oddities_are_where_they_belong() {
    let catalog = Catalog::builtin();
    let provider = |id| catalog.provider(id).unwrap();
    assert!(provider("groq").has(Quirk::UsageInXGroq) && !provider("openai").has(Quirk::UsageInXGroq));
    assert!(provider("mistral").has(Quirk::RefusesStreamOptions));
    assert_eq!(provider("mistral").stream_usage, StreamUsage::Always);
    assert_eq!(provider("openai").stream_usage, StreamUsage::IncludeUsage);
    let anthropic = provider("anthropic");
    assert_eq!(anthropic.dialect, Dialect::Anthropic);
    assert_eq!(anthropic.auth, AuthScheme::Header(HeaderName::from_static("x-api-key")));
    assert_eq!(anthropic.headers[0].0, "anthropic-version");
    assert_eq!(provider("ollama").key, KeyNeed::Optional);
    assert_eq!(provider("vllm").base_url, None);
    assert!(provider("mock").any_model && provider("mock").default_price.is_some());
    assert!(catalog.provider("OpenAI").is_none());
}

#[test]
fn a_quirk_asks_for_what_the_provider_can_give() {
    for provider in Catalog::builtin().providers() {
        let refuses = provider.has(Quirk::RefusesStreamOptions);
        assert!(!(refuses && provider.stream_usage == StreamUsage::IncludeUsage), "{}", provider.id);
    }
}

#[test]
fn every_error_of_a_row_is_reported() {
    assert_eq!(parse(GOOD).unwrap().len(), 1);
    let bad = r#"
[[provider]]
id = "P!"
name = "P"
dialect = "Klingon"
base_url = "api.example.com/v1"
auth = { scheme = "header" }
headers = { "bad name" = "x" }
env = ["key"]
stream_usage = "never"
operations = ["chat", "sing"]
default_price = { input = "free", output = "1" }
"#;
    let found = errors(&format!("{GOOD}{GOOD}{bad}"));
    let wanted = [
        "there is a provider of this id already",
        "an id is lower-case",
        "dialect \"Klingon\"",
        "operation \"sing\"",
        "\"api.example.com/v1\" is no http",
        "\"key\" is no name of an environment variable",
        "\"bad name\" is no header",
        "auth Header needs `header`",
        "default_price: not a decimal number",
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(found.contains(wanted), "{found} does not say {wanted}");
    }
}

#[test]
fn base_urls_are_plain() {
    for url in ["http://localhost:11434/v1", "https://h", "https://h/a/b"] {
        assert!(is_base_url(url), "{url}");
    }
    for url in ["", "h", "/v1", "ftp://h/v1", "https://", "https://h/v1/", "https://h/v1?x=1"] {
        assert!(!is_base_url(url), "{url}");
    }
}

#[test]
fn words_that_are_not_known_are_refused() {
    for (good, bad) in [
        ("stream_usage = \"never\"", "stream_usage = \"sometimes\""),
        ("id = \"p\"", "id = \"p\"\nquirks = [\"odd\"]"),
        ("id = \"p\"", "id = \"p\"\nunknown = 1"),
        ("id = \"p\"", "id = \"p\"\nbase_env = [\"P_URL\"]"),
        ("\"bearer\"", "\"basic\""),
    ] {
        assert_eq!(errors(&GOOD.replace(good, bad)).len(), 1, "{bad}");
    }
}
