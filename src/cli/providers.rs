//! `weir providers`: the catalogue's providers, one row each, and what works with each. Pure text; no
//! provider is asked.

use serde_json::{Value, json};

use super::table::{aligned, snake};
use crate::catalog::Catalog;
use crate::catalog::provider::{AuthScheme, KeyNeed, Provider};

/// `weir providers` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those with this word in their id, name, dialect or URL, in any case.
    #[arg(long, value_name = "WORD")]
    search: Option<String>,
    /// As JSON: one array of objects.
    #[arg(long)]
    json: bool,
}

const HEAD: [&str; 8] = ["ID", "NAME", "DIALECT", "BASE URL", "AUTH", "KEY", "PRICED", "QUIRKS"];

/// The text that the command prints.
pub fn providers(args: &Args, catalog: &Catalog) -> String {
    let found = catalog.providers().iter().filter(|provider| matches(provider, args.search.as_deref()));
    if args.json {
        let rows: Vec<Value> = found.map(|provider| object(provider, catalog)).collect();
        return format!("{:#}\n", Value::Array(rows));
    }
    let head = HEAD.iter().map(|word| (*word).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(found.map(|provider| row(provider, catalog))).collect();
    aligned(&rows)
}

fn matches(provider: &Provider, word: Option<&str>) -> bool {
    let Some(word) = word.map(str::to_lowercase) else { return true };
    let url = provider.base_url.as_deref().unwrap_or_default();
    [&*provider.id, &*provider.name, provider.dialect.as_str(), url]
        .iter()
        .any(|text| text.to_lowercase().contains(&word))
}

fn row(provider: &Provider, catalog: &Catalog) -> Vec<String> {
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let key = match provider.key {
        KeyNeed::None => String::new(),
        KeyNeed::Required => provider.env.join(","),
        KeyNeed::Optional => format!("{} (optional)", provider.env.join(",")).trim().to_owned(),
    };
    let priced = match catalog.models_of(&provider.id).len() {
        // It has the prices of whoever serves the model.
        _ if provider.any_model => "any".to_owned(),
        count => count.to_string(),
    };
    vec![
        provider.id.to_string(),
        provider.name.to_string(),
        provider.dialect.as_str().to_owned(),
        dash(provider.base_url.as_deref().unwrap_or_default().to_owned()),
        dash(auth(&provider.auth)),
        dash(key),
        priced,
        dash(quirks(provider).join(",")),
    ]
}

fn object(provider: &Provider, catalog: &Catalog) -> Value {
    let operations: Vec<&str> = provider.operations.iter().map(|operation| operation.as_str()).collect();
    json!({
        "id": provider.id,
        "name": provider.name,
        "dialect": provider.dialect.as_str(),
        "baseUrl": provider.base_url,
        "auth": auth(&provider.auth),
        "key": snake(&format!("{:?}", provider.key)),
        "env": provider.env,
        "operations": operations,
        "quirks": quirks(provider),
        "pricedModels": catalog.models_of(&provider.id).len(),
        "anyModel": provider.any_model,
    })
}

fn auth(scheme: &AuthScheme) -> String {
    match scheme {
        AuthScheme::Bearer => "bearer".to_owned(),
        AuthScheme::Header(name) => name.to_string(),
        AuthScheme::None => String::new(),
    }
}

fn quirks(provider: &Provider) -> Vec<String> {
    provider.quirks.iter().map(|quirk| snake(&format!("{quirk:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(search: Option<&str>, json: bool) -> String {
        providers(&Args { search: search.map(str::to_owned), json }, &Catalog::builtin())
    }

    #[test]
    fn every_provider_has_one_row_with_all_columns() {
        let catalog = Catalog::builtin();
        let text = shown(None, false);
        assert_eq!(text.lines().count(), catalog.providers().len() + 1);
        let rows: Vec<Value> = serde_json::from_str(&shown(None, true)).unwrap();
        assert_eq!(rows.len(), catalog.providers().len());
        let groq = text.lines().find(|line| line.starts_with("groq ")).unwrap();
        for word in ["Groq", "OpenAI", "https://api.groq.com/openai/v1", "bearer", "GROQ_API_KEY", "usage_in_x_groq"] {
            assert!(groq.split_whitespace().any(|found| found == word), "{word} is not in {groq}");
        }
        assert!(groq.contains(&catalog.models_of("groq").len().to_string()), "{groq}");
        let anthropic = rows.iter().find(|row| row["id"] == "anthropic").unwrap();
        assert_eq!((&anthropic["auth"], &anthropic["env"]), (&json!("x-api-key"), &json!(["ANTHROPIC_API_KEY"])));
    }

    #[test]
    fn a_search_is_in_any_case_and_may_find_nothing() {
        assert!(shown(Some("MISTRAL"), false).lines().any(|line| line.starts_with("mistral ")));
        assert!(!shown(Some("mistral"), false).lines().any(|line| line.starts_with("groq ")));
        assert_eq!(shown(Some("no such provider"), false).lines().count(), 1);
        assert_eq!(shown(Some("no such provider"), true), "[]\n");
    }
}
