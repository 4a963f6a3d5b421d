//! Rerank, in the two shapes there are: version 2 of Cohere's API, and the older one that it had and that
//! Jina, vLLM and others have under `/rerank`. Clients may speak either, whichever of them the provider has.

mod cohere;
mod plain;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::codec::{Unreadable, Writing};
use crate::base::json::tree::Value;
use crate::base::json::{ObjectWriter, Tree};
use crate::llm::rerank::Ranked;
use crate::llm::{Code, Dialect, Dropped, Format, Ranking, Refusal, Rerank, Units, Usage};

/// One spelling of rerank.
pub trait Shape: Sync {
    /// In which format errors are.
    fn faults(&self) -> Format;

    /// Reads a request.
    ///
    /// # Errors
    /// 400 for what is no request of this API.
    fn read_request<'a>(&self, body: &Tree<'a>, dropped: &mut Dropped) -> Result<Rerank<'a>, Refusal>;

    /// Appends a request body. `model` is the name that leaves.
    fn write_request(&self, rerank: &Rerank<'_>, model: &str, out: &mut Vec<u8>, dropped: &mut Dropped);

    /// Reads a complete answer of status 200.
    ///
    /// # Errors
    /// When it is none of this API.
    fn read_reply(&self, body: &Tree<'_>) -> Result<Ranking, Unreadable> {
        read_ranking(body.root())
    }

    /// Appends an answer.
    fn write_reply(&self, ranking: &Ranking, to: &Writing, out: &mut Vec<u8>);
}

/// The path behind a backend's own prefix, in either shape.
pub const PATH: &str = "/rerank";

/// The shape of what a client or a provider of this dialect says; none where there is no rerank.
pub fn shape(dialect: Dialect) -> Option<&'static dyn Shape> {
    match dialect {
        Dialect::Cohere => Some(&cohere::Cohere),
        Dialect::OpenAi => Some(&plain::Plain),
        _ => None,
    }
}

/// What either shape asks for; `plain` has a field more.
fn read_request<'a>(body: &Tree<'a>, plain: bool, dropped: &mut Dropped) -> Result<Rerank<'a>, Refusal> {
    let mut rerank = Rerank::default();
    let mut query = None;
    for (key, value) in body.root().members() {
        match &*key {
            "model" => {}
            "query" => query = value.text(),
            "documents" => rerank.documents = documents(value, dropped)?,
            _ if value.is_null() => {}
            "top_n" => rerank.top_n = Some(whole(value, "top_n")?),
            "max_tokens_per_doc" => rerank.max_tokens_per_document = Some(whole(value, "max_tokens_per_doc")?),
            "priority" => rerank.priority = Some(whole(value, "priority")?),
            // Not to get the documents back is what happens anyway.
            "return_documents" if plain && value.flag() == Some(false) => {}
            other => dropped.field(other.to_owned()),
        }
    }
    rerank.query = query.ok_or_else(|| bad("query", "a text"))?;
    match rerank.documents.is_empty() {
        true => Err(bad("documents", "a list with at least one")),
        false => Ok(rerank),
    }
}

fn bad(param: &'static str, wanted: &str) -> Refusal {
    Refusal::new(Code::UnsupportedValue, format!("The field {param:?} must be {wanted}.")).param(param)
}

fn whole(value: Value<'_, '_>, param: &'static str) -> Result<u64, Refusal> {
    value.whole().ok_or_else(|| bad(param, "a whole number that is not negative"))
}

/// Texts, or objects with a `text`.
fn documents<'a>(value: Value<'_, 'a>, dropped: &mut Dropped) -> Result<Vec<Cow<'a, str>>, Refusal> {
    let wanted = || bad("documents", "a list of texts, or of objects with a \"text\"");
    let one = |document: Value<'_, 'a>| {
        document.members().filter(|(key, value)| key != "text" && !value.is_empty()).for_each(|(key, _)| {
            dropped.inside("documents[].", &key);
        });
        document.text().or_else(|| document.get("text")?.text()).ok_or_else(wanted)
    };
    value.elements().map(one).collect()
}

/// What every answer has: an id, places, and what it cost.
fn read_ranking(root: Value<'_, '_>) -> Result<Ranking, Unreadable> {
    const NONE: Unreadable = Unreadable("it has no \"results\" with an index and a score each");
    let id = root.get("id").and_then(Value::text).unwrap_or_default().into_owned();
    let one = |result: Value<'_, '_>| {
        let index = result.get("index")?.whole()?;
        let score = result.get("relevance_score")?.number()?.to_owned();
        Some(Ranked { index, score })
    };
    let results = root.get("results").ok_or(NONE)?;
    let results = results.elements().map(|result| one(result).ok_or(NONE)).collect::<Result<_, _>>()?;
    let billed = root.get("meta").and_then(|meta| meta.get("billed_units"));
    let queries = billed.and_then(|billed| billed.get("search_units")?.whole());
    let tokens = root.get("usage").and_then(|usage| usage.get("total_tokens")?.whole());
    let usage = (queries.is_some() || tokens.is_some()).then(|| Usage {
        input: tokens.unwrap_or(0),
        units: Units { queries: queries.unwrap_or(0), ..Units::default() },
        ..Usage::default()
    });
    Ok(Ranking { id, results, usage })
}

fn write_results(o: &mut ObjectWriter<'_>, ranking: &Ranking) {
    o.array("results", |a| {
        for Ranked { index, score } in &ranking.results {
            a.object(|o| {
                o.number("index", *index);
                o.raw("relevance_score", score);
            });
        }
    });
}

/// Cohere's `meta`.
fn write_meta(o: &mut ObjectWriter<'_>, version: &str, usage: Option<&Usage>) {
    o.object("meta", |o| {
        o.object("api_version", |o| o.text("version", version));
        if let Some(usage) = usage.filter(|usage| usage.units.queries > 0) {
            o.object("billed_units", |o| o.number("search_units", usage.units.queries));
        }
    });
}
