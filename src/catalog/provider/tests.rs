//! The built-in table, and what a row may not say.

use std::collections::HashSet;

use super::row::is_base_url;
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
fn there_are_as_many_as_we_say() {
    let catalog = Catalog::builtin();
    assert!(catalog.providers().len() >= 155, "{}", catalog.providers().len());
    for dialect in row::DIALECTS.into_iter().filter(|dialect| *dialect != Dialect::Responses) {
        assert!(catalog.providers().iter().any(|provider| provider.dialect == dialect), "{dialect}");
    }
}

#[test]
fn every_built_in_row_makes_sense() {
    for provider in Catalog::builtin().providers() {
        let id = &provider.id;
        assert!(!provider.operations.is_empty() && !provider.name.is_empty(), "{id}");
        assert!(provider.docs.as_ref().is_none_or(|docs| docs.starts_with("https://")), "{id}");
        // Whoever is somewhere wants a key, but for the server of this machine.
        let is_here = provider.base_url.as_deref().is_some_and(|url| url.starts_with("http://localhost:"));
        assert_eq!(provider.key == KeyNeed::Required, provider.base_url.is_some() && !is_here, "{id}");
        assert!(provider.auth == AuthScheme::None || provider.key != KeyNeed::None, "{id}");
        assert!(provider.key != KeyNeed::Required || !provider.env.is_empty() || provider.cloud.is_some(), "{id}");
        let urls =
            provider.region_urls.iter().map(|(_, url)| url).chain(provider.also.iter().map(|also| &also.base_url));
        assert!(urls.chain(&provider.base_url).all(|url| is_here || url.starts_with("https://")), "{id}");
        // Names of regions are for a place in the URL, and each is there once.
        let region = provider.places.iter().any(|place| &*place.name == "region");
        assert!(region || provider.regions.is_empty(), "{id}");
        let regions = provider.regions.iter().chain(provider.region_urls.iter().map(|(name, _)| name));
        let count = regions.clone().count();
        assert_eq!(regions.collect::<HashSet<_>>().len(), count, "{id}");
        assert!(provider.also.iter().all(|also| also.dialect != provider.dialect), "{id}");
        let operations: HashSet<&str> = provider.operations.iter().map(|operation| operation.as_str()).collect();
        assert_eq!(operations.len(), provider.operations.len(), "{id} says one twice");
    }
}

#[test]
fn no_two_rows_are_the_same_provider() {
    let catalog = Catalog::builtin();
    let (mut urls, mut names, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    for provider in catalog.providers() {
        let also = provider.also.iter().map(|also| (also.dialect, also.base_url.clone()));
        let own = provider.base_url.clone().map(|url| (provider.dialect, url));
        for (dialect, url) in own.into_iter().chain(also) {
            assert!(urls.insert((dialect, url.clone())), "{} is at {url}, as another is", provider.id);
        }
        assert!(names.insert(&provider.name), "{:?} is the name of another as well", provider.name);
        // One key in the environment makes one backend.
        for name in provider.env.iter().filter(|_| provider.key == KeyNeed::Required) {
            assert!(keys.insert(name), "{name} is of another as well");
        }
    }
    let says = |name: &str, words: &[&str]| name.split('_').any(|piece| words.contains(&piece));
    assert!(keys.iter().all(|name| says(name, &["KEY", "TOKEN", "PAT"])), "{keys:?}");
    // No variable holds a base URL, see the head of the table.
    let places = catalog.providers().iter().flat_map(|provider| &provider.places).flat_map(|place| &place.env);
    assert!(keys.into_iter().chain(places).all(|name| !says(name, &["BASE", "URL", "HOST", "ENDPOINT"])));
}

#[test]
fn a_url_takes_words_and_no_hosts() {
    let of = |said: &'static str| move |word: &str| (word == "region").then(|| said.to_owned());
    let url = "https://{region}-x.example/p/{region}/q";
    assert_eq!(fill(url, &of("eu-1")), Some("https://eu-1-x.example/p/eu-1/q".to_owned()));
    assert_eq!(fill("https://h", &of("eu-1")), Some("https://h".to_owned()));
    for said in ["", ".", "..", "a/b", "evil.example/", "a:1", "a@b", "a%2f", "a b", "a#", "é"] {
        assert_eq!(fill(url, &of(said)), None, "{said}");
    }
    assert_eq!(fill("https://{account}.example", &of("eu-1")), None);
    assert_eq!(fill("https://{region.example", &of("eu-1")), None);
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
    for url in ["http://localhost:11434/v1", "https://h", "https://h/a/b", "https://{region}.h/{account}"] {
        assert!(is_base_url(url), "{url}");
    }
    for url in ["", "h", "/v1", "ftp://h/v1", "https://", "https://h/v1/", "https://h/v1?x=1", "https://{a"] {
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
        ("example.com", "{region}.example.com"),
        ("id = \"p\"", "id = \"p\"\nplaces = { region = [] }"),
        ("example.com/v1\"", "{region}.example.com\"\nplaces = { region = [\"aws region\"] }"),
        ("id = \"p\"", "id = \"p\"\nregion_urls = { eu = \"h\" }"),
        ("id = \"p\"", "id = \"p\"\nalso = [{ dialect = \"Klingon\", base_url = \"https://h\" }]"),
        ("id = \"p\"", "id = \"p\"\nalso = [{ dialect = \"Cohere\", base_url = \"https://h/\" }]"),
        ("id = \"p\"", "id = \"p\"\ncloud = \"ibm\""),
    ] {
        assert_eq!(errors(&GOOD.replace(good, bad)).len(), 1, "{bad}");
    }
}
