//! Cohere's embeddings and rerank, version 2: <https://docs.cohere.com/reference/embed> and
//! `/reference/rerank`. A document's relevance is half of one more than the cosine of its vector and the
//! query's, so that it is the same in every run and a document that repeats the query comes first.

use serde_json::{Value, json};

use super::super::embed;
use super::super::openai::{Answer, Caller, Refuse};
use super::super::program::UsageMode;
use super::Place;
use super::cohere::check;
use super::invoke::dimensions;
use super::rules::list;
use super::vectors::{Inputs, by_type};
use crate::llm::Operation;

/// The first is what a model has by itself; only models of version 4 on have the others.
const DIMENSIONS: &[u32] = &[1024, 1536, 512, 256];
/// The most documents of one rerank.
const MOST_DOCUMENTS: usize = 10_000;
/// A search unit is a query with up to so many documents.
const UNIT: usize = 100;
/// Of the vectors that relevance is measured by.
const WIDTH: u32 = 64;

/// The answer to a request whose body has not been read.
pub(super) fn early(caller: &Caller, place: &Place, operation: Operation) -> Result<Answer, Refuse> {
    match operation {
        Operation::Rerank => rerank(caller, place, &json!({"model": "mock", "query": "mock", "documents": ["mock"]})),
        _ => embed(caller, place, &json!({"model": "mock", "input_type": "search_document", "texts": ["mock"]})),
    }
}

pub(super) fn embed(caller: &Caller, place: &Place, body: &Value) -> Result<Answer, Refuse> {
    let bad = |sentence: String| Refuse::bad(sentence, None);
    check("EmbedRequest", body)?;
    let model = body["model"].as_str().unwrap_or_default();
    let fixed = ["-v2", "-v3"].iter().any(|version| model.contains(version));
    if fixed && body.get("output_dimension").is_some() {
        return Err(bad("invalid request: output_dimension is only available for embed-v4 and newer models".into()));
    }
    let inputs = Inputs::read(body).map_err(bad)?;
    let vectors = inputs.vectors(dimensions(&body["output_dimension"], DIMENSIONS).map_err(bad)?);
    let floats = vec![Value::from("float")];
    let mut answer = json!({
        "id": caller.label(), "response_type": "embeddings_by_type",
        "embeddings": by_type(&vectors, body["embedding_types"].as_array().unwrap_or(&floats)),
    });
    let mut units = json!({"input_tokens": inputs.tokens});
    match inputs.images {
        0 => answer["texts"] = json!(inputs.texts),
        images => units["images"] = images.into(),
    }
    put_meta(caller, &mut answer, &units);
    Ok(caller.state(place, Some(model), inputs.tokens, &answer))
}

pub(super) fn rerank(caller: &Caller, place: &Place, body: &Value) -> Result<Answer, Refuse> {
    check("RerankRequest", body)?;
    let model = body["model"].as_str().unwrap_or_default();
    let documents = list(&body["documents"]);
    if documents.is_empty() || documents.len() > MOST_DOCUMENTS {
        return Err(Refuse::bad("invalid request: documents must hold 1 to 10000 elements", None));
    }
    let vector = |text: &Value| embed::text_vector(text.as_str().unwrap_or_default(), WIDTH);
    let query = vector(&body["query"]);
    let score = |text: &Value| {
        let cosine: f32 = vector(text).iter().zip(&query).map(|(a, b)| a * b).sum();
        f64::from(cosine.midpoint(1.0).clamp(0.0, 1.0))
    };
    let mut rows: Vec<(usize, f64)> = documents.iter().map(score).enumerate().collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = body["top_n"].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(rows.len());
    let row = |(index, score): &(usize, f64)| json!({"index": index, "relevance_score": score});
    let results: Vec<Value> = rows.iter().take(top).map(row).collect();
    let mut answer = json!({"id": caller.label(), "results": results});
    put_meta(caller, &mut answer, &json!({"search_units": documents.len().div_ceil(UNIT)}));
    Ok(caller.state(place, Some(model), 0, &answer))
}

/// What was billed, where the program lets it be said.
fn put_meta(caller: &Caller, answer: &mut Value, units: &Value) {
    let mut meta = json!({"api_version": {"version": "2"}});
    match caller.program.usage {
        UsageMode::Absent => {}
        UsageMode::Null => meta["billed_units"] = Value::Null,
        UsageMode::AsAsked | UsageMode::Present => meta["billed_units"] = units.clone(),
    }
    answer["meta"] = meta;
}
