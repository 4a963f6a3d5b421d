//! `weir providers`: the catalogue's providers, one row each, and what works with each. Pure text; no
//! provider is asked.

use serde_json::{Value, json};

use super::table::{aligned, snake};
use crate::catalog::Catalog;
use crate::catalog::provider::{Also, AuthScheme, Cloud, KeyNeed, Place, Provider};
use crate::llm::{Operation, Quirk};

/// `weir providers` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those with this word in their id, name, dialects, URLs or variables, in any case.
    #[arg(long, value_name = "WORD")]
    search: Option<String>,
    /// As JSON: one array of objects, with all that is known.
    #[arg(long)]
    json: bool,
}

/// What can be asked of a provider, and the head of its column.
const OPERATIONS: [(Operation, &str); 10] = [
    (Operation::Chat, "CHAT"),
    (Operation::Responses, "RESP"),
    (Operation::Completion, "TEXT"),
    (Operation::Embeddings, "EMBED"),
    (Operation::Rerank, "RERANK"),
    (Operation::Image, "IMAGE"),
    (Operation::Audio, "AUDIO"),
    (Operation::Moderation, "MODER"),
    (Operation::CountTokens, "COUNT"),
    (Operation::Models, "MODELS"),
];

/// The text that the command prints.
pub fn providers(args: &Args, catalog: &Catalog) -> String {
    let found = catalog.providers().iter().filter(|provider| matches(provider, args.search.as_deref()));
    if args.json {
        let rows: Vec<Value> = found.map(|provider| object(provider, catalog)).collect();
        return format!("{:#}\n", Value::Array(rows));
    }
    let operations = OPERATIONS.iter().map(|(_, head)| *head);
    let head = ["ID", "DIALECT"].into_iter().chain(operations).chain(["STREAM", "PRICED", "KEY", "NAME"]);
    let head = head.map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(found.map(|provider| row(provider, catalog))).collect();
    aligned(&rows)
}

fn matches(provider: &Provider, word: Option<&str>) -> bool {
    let Some(word) = word.map(str::to_lowercase) else { return true };
    let dialects = dialects(provider);
    let also = provider.also.iter().map(|also| &*also.base_url);
    let regions = provider.region_urls.iter().map(|(_, url)| &**url);
    let own = [&*provider.id, &*provider.name, &dialects, provider.base_url.as_deref().unwrap_or_default()];
    let env = provider.env.iter().map(|name| &**name);
    own.into_iter().chain(also).chain(regions).chain(env).any(|text| text.to_lowercase().contains(&word))
}

fn row(provider: &Provider, catalog: &Catalog) -> Vec<String> {
    let priced = match catalog.models_of(&provider.id).len() {
        // It has the prices of whoever serves the model.
        _ if provider.any_model => "any".to_owned(),
        0 => "-".to_owned(),
        count => count.to_string(),
    };
    let mark = |does: bool| if does { "yes" } else { "-" }.to_owned();
    let mut row = vec![provider.id.to_string(), dialects(provider)];
    row.extend(OPERATIONS.iter().map(|(operation, _)| mark(provider.operations.contains(operation))));
    row.extend([stream(provider).to_owned(), priced, key(provider), provider.name.to_string()]);
    row
}

/// Where the tokens of a stream come from: its provider says them, or Weir estimates.
fn stream(provider: &Provider) -> &'static str {
    let streams = [Operation::Chat, Operation::Completion, Operation::Responses];
    match streams.iter().any(|operation| provider.operations.contains(operation)) {
        false => "-",
        true if provider.stream_usage.is_stated() => "exact",
        true => "estimate",
    }
}

/// The dialects that it speaks, its own first.
fn dialects(provider: &Provider) -> String {
    let also = provider.also.iter().map(|also| also.dialect);
    let words: Vec<&str> = std::iter::once(provider.dialect).chain(also).map(|dialect| dialect.as_str()).collect();
    words.join("+")
}

/// What has to be in the environment, or which credential a document has to give.
fn key(provider: &Provider) -> String {
    let cloud = provider.cloud.map(|cloud| match cloud {
        Cloud::Aws => "AWS",
        Cloud::Gcp => "GCP",
        Cloud::Azure => "Azure",
    });
    let keys: Vec<&str> = provider.env.first().map(|name| &**name).into_iter().chain(cloud).collect();
    let places = provider.places.iter().filter_map(|place| place.env.first());
    let places: String = places.map(|name| format!("+{name}")).collect();
    match (provider.key, keys.is_empty()) {
        (KeyNeed::None, _) => "-".to_owned(),
        (KeyNeed::Optional, true) => "(optional)".to_owned(),
        (KeyNeed::Optional, false) => format!("{} (optional)", keys.join("|")),
        (KeyNeed::Required, _) => keys.join("|") + &places,
    }
}

fn object(provider: &Provider, catalog: &Catalog) -> Value {
    let operations: Vec<&str> = provider.operations.iter().map(|operation| operation.as_str()).collect();
    let places = provider.places.iter().map(|Place { name, env }| (name.to_string(), json!(env)));
    let urls = provider.region_urls.iter().map(|(name, url)| (name.to_string(), json!(url)));
    let also = provider.also.iter().map(|Also { dialect, base_url, auth, quirks }| {
        let quirks = quirk_words(quirks);
        json!({"dialect": dialect.as_str(), "baseUrl": base_url, "auth": auth_word(auth), "quirks": quirks})
    });
    let headers = provider.headers.iter().map(|(name, value)| {
        let value = value.to_str().unwrap_or_default();
        (name.to_string(), json!(value))
    });
    json!({
        "id": provider.id,
        "name": provider.name,
        "docs": provider.docs,
        "dialect": provider.dialect.as_str(),
        "baseUrl": provider.base_url,
        "places": Value::Object(places.collect()),
        "regions": provider.regions,
        "regionUrls": Value::Object(urls.collect()),
        "also": also.collect::<Vec<_>>(),
        "auth": auth_word(&provider.auth),
        "key": snake(&format!("{:?}", provider.key)),
        "cloud": provider.cloud.map(|cloud| snake(&format!("{cloud:?}"))),
        "headers": Value::Object(headers.collect()),
        "env": provider.env,
        "operations": operations,
        "streamUsage": snake(&format!("{:?}", provider.stream_usage)),
        "quirks": quirk_words(&provider.quirks),
        "pricedModels": catalog.models_of(&provider.id).len(),
        "anyModel": provider.any_model,
    })
}

fn quirk_words(quirks: &[Quirk]) -> Vec<String> {
    quirks.iter().map(|quirk| snake(&format!("{quirk:?}"))).collect()
}

fn auth_word(scheme: &AuthScheme) -> String {
    match scheme {
        AuthScheme::Bearer => "bearer".to_owned(),
        AuthScheme::Header(name) => name.to_string(),
        AuthScheme::None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(search: Option<&str>, json: bool) -> String {
        providers(&Args { search: search.map(str::to_owned), json }, &Catalog::builtin())
    }

    fn line(id: &str) -> Vec<String> {
        let text = shown(None, false);
        let line = text.lines().find(|line| line.split(' ').next() == Some(id)).unwrap();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn every_provider_has_one_row_and_every_column_a_word() {
        let catalog = Catalog::builtin();
        let text = shown(None, false);
        assert_eq!(text.lines().count(), catalog.providers().len() + 1);
        assert!(text.lines().count() > 120, "{text}");
        let columns = line("ID").len();
        for provider in catalog.providers() {
            assert_eq!(line(&provider.id).len(), columns, "{:?}", line(&provider.id));
        }
        assert_eq!(
            line("ID").join(" "),
            "ID DIALECT CHAT RESP TEXT EMBED RERANK IMAGE AUDIO MODER COUNT MODELS STREAM PRICED KEY NAME"
        );
        let count = catalog.models_of("groq").len().to_string();
        let groq = ["groq", "OpenAI", "yes", "yes", "yes", "-", "-", "-", "yes", "-", "-", "yes", "exact", &count];
        assert_eq!(line("groq")[..14], groq);
        assert_eq!(line("groq")[14..], ["GROQ_API_KEY", "Groq"]);
    }

    #[test]
    fn what_a_key_needs_beside_it_is_said() {
        let key = |id: &str| line(id)[14].clone();
        assert_eq!(key("bedrock"), "AWS_BEARER_TOKEN_BEDROCK|AWS+AWS_REGION");
        assert_eq!(key("vertex_ai"), "GCP+GOOGLE_CLOUD_PROJECT+GOOGLE_CLOUD_LOCATION");
        assert_eq!((key("mock"), key("sglang")), ("-".into(), "(optional)".into()));
        assert_eq!(key("lm_studio"), "LM_STUDIO_API_KEY (optional)");
        assert_eq!(line("gemini")[1], "Gemini+OpenAI");
        assert_eq!((&*line("voyage")[12], &*line("lemonfox")[12]), ("-", "estimate"));
    }

    #[test]
    fn a_search_is_in_any_case_and_may_find_nothing() {
        assert!(shown(Some("MISTRAL"), false).lines().any(|line| line.starts_with("mistral ")));
        assert!(!shown(Some("mistral"), false).lines().any(|line| line.starts_with("groq ")));
        for word in ["api.minimaxi.com", "anthropic/v1", "minimax_api_key"] {
            assert!(shown(Some(word), false).contains("\nminimax "), "{word}");
        }
        assert_eq!(shown(Some("no such provider"), false).lines().count(), 1);
        assert_eq!(shown(Some("no such provider"), true), "[]\n");
    }

    #[test]
    fn an_object_says_all_that_is_known() {
        let rows: Vec<Value> = serde_json::from_str(&shown(None, true)).unwrap();
        let of = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap();
        assert_eq!(of("anthropic")["auth"], "x-api-key");
        assert_eq!(of("anthropic")["headers"], json!({"anthropic-version": "2023-06-01"}));
        assert_eq!(of("bedrock")["places"], json!({"region": ["AWS_REGION", "AWS_DEFAULT_REGION"]}));
        assert_eq!(of("bedrock")["cloud"], "aws");
        assert_eq!(of("moonshot")["regionUrls"], json!({"cn": "https://api.moonshot.cn/v1"}));
        let url = "https://api.deepseek.com/anthropic/v1";
        let also = json!([{"dialect": "Anthropic", "baseUrl": url, "auth": "bearer", "quirks": []}]);
        assert_eq!(of("deepseek")["also"], also);
        assert_eq!(of("groq")["streamUsage"], "include_usage");
        assert_eq!(of("groq")["quirks"], json!(["usage_in_x_groq"]));
    }
}
