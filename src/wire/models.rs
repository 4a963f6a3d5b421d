//! The list of models, which Weir answers from its configuration. It asks no provider and costs nothing.
//!
//! | API | path | shape |
//! |---|---|---|
//! | OpenAI "Models" | `/v1/models` | `{"object":"list","data":[…]}`, without pages |
//! | Anthropic "List Models" | the same, with [`ANTHROPIC_VERSION`] | pages: `data`, `first_id`, `last_id`, `has_more` |
//! | Gemini v1beta, v1 `models.list` | `/v1beta/models`; `/v1/models` with [`GOOGLE_KEY`] | pages: `models`, `nextPageToken` |
//! | Ollama "List Local Models" | `/api/tags` | `{"models":[…]}` |
//! | Bedrock `ListFoundationModels` | `/foundation-models` | `{"modelSummaries":[…]}` |

use serde_json::{Value, json};

use crate::llm::{Code, Dialect, Refusal};

/// A model that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model<'a> {
    pub id: &'a str,
    /// Who serves it.
    pub owner: &'a str,
}

/// How many models Anthropic's API puts on a page where the client does not say.
const PAGE: usize = 20;

/// The most that a client may ask for.
const MAX_PAGE: usize = 1000;

/// When a model was made is not known here; Anthropic's reference allows the epoch for that.
const NO_DATE: &str = "1970-01-01T00:00:00Z";

/// The header that every client of Anthropic's API sends, and no other. `/v1/models` is in both APIs.
pub const ANTHROPIC_VERSION: &str = "anthropic-version";

/// The header in which clients of Gemini's API send their key, and no others.
pub const GOOGLE_KEY: &str = "x-goog-api-key";

/// How many models Gemini's API puts on a page where the client does not say.
const GOOGLE_PAGE: usize = 50;

/// The API that asks for a list, as far as its path tells; none for a path of another kind.
pub(super) fn dialect(path: &str) -> Option<Dialect> {
    let short = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    match path {
        "/api/tags" => Some(Dialect::Ollama),
        "/foundation-models" => Some(Dialect::Bedrock),
        "/v1beta/models" => Some(Dialect::Gemini),
        _ if path.strip_prefix("/v1beta/models/").is_some_and(|id| !id.is_empty()) => Some(Dialect::Gemini),
        _ => (short == "/models" || wanted(path).is_some()).then_some(Dialect::OpenAi),
    }
}

/// The id in a path behind `/models/`, percent signs decoded; none for the list itself.
pub fn wanted(path: &str) -> Option<String> {
    let path = path.split('?').next().unwrap_or(path);
    let short = ["/v1beta", "/v1"].iter().find_map(|version| path.strip_prefix(version));
    let short = short.filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let id = short.strip_prefix("/models/").filter(|id| !id.is_empty())?;
    Some(decode(id))
}

/// The list, or the page of it that the query of `path` asks for. `models` are sorted by their ids.
///
/// # Errors
/// 400 `unsupported_value` for a page that cannot be.
pub fn list(dialect: Dialect, path: &str, models: &[Model<'_>]) -> Result<Vec<u8>, Refusal> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let each = |models: &[Model<'_>]| models.iter().map(|model| one_value(dialect, model)).collect::<Value>();
    let value = match dialect {
        Dialect::Anthropic => page(query, models)?,
        Dialect::Gemini => google_page(query, models)?,
        Dialect::Ollama => json!({"models": each(models)}),
        Dialect::Bedrock => json!({"modelSummaries": each(models)}),
        _ => json!({"object": "list", "data": each(models)}),
    };
    Ok(value.to_string().into_bytes())
}

/// One model.
pub fn one(dialect: Dialect, model: &Model<'_>) -> Vec<u8> {
    one_value(dialect, model).to_string().into_bytes()
}

/// The refusal of a model that is not there.
pub fn unknown(id: &str) -> Refusal {
    let shown: String = id.chars().take(64).collect();
    let message = format!("The model {shown:?} does not exist here, or you may not use it.");
    Refusal::new(Code::ModelNotFound, message).param("model")
}

fn one_value(dialect: Dialect, model: &Model<'_>) -> Value {
    let Model { id, owner } = model;
    match dialect {
        // Anthropic's SDK (2.12, `types/model_info.py`) wants to know the stage of its life.
        Dialect::Anthropic => {
            json!({"type": "model", "id": id, "display_name": id, "created_at": NO_DATE, "lifecycle": "active"})
        }
        Dialect::Gemini => {
            // What a model can do is not known here; clients choose among those that say they generate.
            let methods = if id.contains("embed") { json!([]) } else { json!(["generateContent", "countTokens"]) };
            json!({"name": format!("models/{id}"), "version": "", "displayName": id,
                   "supportedGenerationMethods": methods})
        }
        Dialect::Ollama => {
            json!({"name": id, "model": id, "modified_at": NO_DATE, "size": 0, "digest": "", "details": {}})
        }
        Dialect::Bedrock => json!({"modelArn": format!("arn:aws:bedrock:::foundation-model/{id}"), "modelId": id,
                                   "modelName": id, "providerName": owner}),
        _ => json!({"id": id, "object": "model", "created": 0, "owned_by": owner}),
    }
}

/// The value of a field of a query.
fn said(query: &str, name: &str) -> Option<String> {
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(key, _)| *key == name).map(|(_, value)| decode(value))
}

/// A page of at most `pageSize` behind the model that `pageToken` is. A larger page than there may be is one of
/// [`MAX_PAGE`].
fn google_page(query: &str, models: &[Model<'_>]) -> Result<Value, Refusal> {
    let size = match said(query, "pageSize").or_else(|| said(query, "page_size")) {
        None => GOOGLE_PAGE,
        Some(text) => match text.parse().ok() {
            Some(0) => GOOGLE_PAGE,
            Some(size) => MAX_PAGE.min(size),
            None => {
                let message = "pageSize must be a whole number that is not negative.";
                return Err(Refusal::new(Code::UnsupportedValue, message).param("pageSize"));
            }
        },
    };
    let after = said(query, "pageToken").or_else(|| said(query, "page_token")).filter(|token| !token.is_empty());
    let start = after.map_or(0, |after| models.partition_point(|model| *model.id <= *after));
    let end = start.saturating_add(size).min(models.len());
    let shown = models.get(start..end).unwrap_or_default();
    let mut page = json!({"models": shown.iter().map(|model| one_value(Dialect::Gemini, model)).collect::<Value>()});
    if let Some(last) = shown.last().filter(|_| end < models.len()) {
        page["nextPageToken"] = last.id.into();
    }
    Ok(page)
}

/// A page behind `after_id` or before `before_id`. A cursor whose model is gone still has a place.
fn page(query: &str, models: &[Model<'_>]) -> Result<Value, Refusal> {
    let said = |name: &str| said(query, name);
    let limit = match said("limit") {
        None => PAGE,
        Some(text) => text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit)).ok_or_else(|| {
            Refusal::new(Code::UnsupportedValue, format!("A page has 1 to {MAX_PAGE} models.")).param("limit")
        })?,
    };
    let (rest, more) = match (said("after_id"), said("before_id")) {
        (Some(_), Some(_)) => {
            let message = "Say after_id or before_id, not both.";
            return Err(Refusal::new(Code::UnsupportedValue, message).param("before_id"));
        }
        (_, Some(before)) => {
            let end = models.partition_point(|model| *model.id < *before);
            let start = end.saturating_sub(limit);
            (&models[start..end], start > 0)
        }
        (after, None) => {
            let start = after.map_or(0, |after| models.partition_point(|model| *model.id <= *after));
            let end = start.saturating_add(limit).min(models.len());
            (&models[start..end], end < models.len())
        }
    };
    let data: Value = rest.iter().map(|model| one_value(Dialect::Anthropic, model)).collect();
    let (first, last) = (rest.first().map(|model| model.id), rest.last().map(|model| model.id));
    Ok(json!({"data": data, "first_id": first, "last_id": last, "has_more": more}))
}

/// Percent signs decoded (RFC 3986, 2.1); one that begins no code stands for itself.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODELS: &[Model<'_>] =
        &[Model { id: "a", owner: "x" }, Model { id: "b", owner: "x" }, Model { id: "c", owner: "y" }];

    fn listed(query: &str) -> (String, bool, Value, Value) {
        let path = format!("/v1/models{query}");
        let body = list(Dialect::Anthropic, &path, MODELS).unwrap();
        let page: Value = serde_json::from_slice(&body).unwrap();
        let ids = page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        (ids, page["has_more"].as_bool().unwrap(), page["first_id"].clone(), page["last_id"].clone())
    }

    #[test]
    fn openais_list_has_no_pages() {
        let body = list(Dialect::OpenAi, "/v1/models?limit=1", &MODELS[..2]).unwrap();
        let expected = json!({"object": "list", "data": [
            {"id": "a", "object": "model", "created": 0, "owned_by": "x"},
            {"id": "b", "object": "model", "created": 0, "owned_by": "x"},
        ]});
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn anthropics_list_has_pages_both_ways() {
        let ids = |text: &str, more| {
            let end = |at: Option<char>| at.map_or(Value::Null, |id| json!(id.to_string()));
            (text.to_owned(), more, end(text.chars().next()), end(text.chars().last()))
        };
        for (query, expected) in [
            ("", ids("abc", false)),
            ("?limit=2", ids("ab", true)),
            ("?limit=2&after_id=b", ids("c", false)),
            ("?after_id=aa&limit=1", ids("b", true)),
            ("?before_id=c&limit=1", ids("b", true)),
            ("?before_id=%62", ids("a", false)),
            ("?after_id=c", ids("", false)),
        ] {
            assert_eq!(listed(query), expected, "{query}");
        }
        for query in ["?limit=0", "?limit=1001", "?limit=x", "?after_id=a&before_id=b"] {
            let refused = list(Dialect::Anthropic, &format!("/v1/models{query}"), MODELS).unwrap_err();
            assert_eq!(refused.code, Code::UnsupportedValue, "{query}");
        }
    }

    #[test]
    fn geminis_list_has_pages_forwards() {
        let listed = |query: &str| {
            let body = list(Dialect::Gemini, &format!("/v1beta/models{query}"), MODELS)?;
            let page: Value = serde_json::from_slice(&body).unwrap();
            let name = |model: &Value| model["name"].as_str().unwrap().strip_prefix("models/").unwrap().to_owned();
            let names: String = page["models"].as_array().unwrap().iter().map(name).collect();
            Ok::<_, Refusal>((names, page["nextPageToken"].as_str().map(str::to_owned)))
        };
        for (query, names, next) in [
            ("", "abc", None),
            ("?pageSize=2", "ab", Some("b")),
            ("?pageSize=2&pageToken=b", "c", None),
            ("?page_size=1&page_token=%61", "b", Some("b")),
            ("?pageSize=99999999", "abc", None),
            ("?pageSize=0&pageToken=", "abc", None),
            ("?pageToken=c", "", None),
        ] {
            assert_eq!(listed(query).unwrap(), (names.to_owned(), next.map(str::to_owned)), "{query}");
        }
        assert_eq!(listed("?pageSize=-1").unwrap_err().code, Code::UnsupportedValue);
    }

    #[test]
    fn ollamas_and_bedrocks_lists_are_whole() {
        let of = |dialect, place: &str, name: &str| {
            let body = list(dialect, "/", MODELS).unwrap();
            let value: Value = serde_json::from_slice(&body).unwrap();
            value[place].as_array().unwrap().iter().map(|model| model[name].as_str().unwrap()).collect::<String>()
        };
        assert_eq!(of(Dialect::Ollama, "models", "model"), "abc");
        assert_eq!(of(Dialect::Bedrock, "modelSummaries", "modelId"), "abc");
    }

    #[test]
    fn a_path_tells_the_api() {
        for (path, expected) in [
            ("/v1/models", Some(Dialect::OpenAi)),
            ("/models/a/b", Some(Dialect::OpenAi)),
            ("/v1beta/models", Some(Dialect::Gemini)),
            ("/v1beta/models/a", Some(Dialect::Gemini)),
            ("/api/tags", Some(Dialect::Ollama)),
            ("/foundation-models", Some(Dialect::Bedrock)),
            ("/v1/models/", None),
            ("/v1beta/modelsx", None),
            ("/v1/api/tags", None),
        ] {
            assert_eq!(dialect(path), expected, "{path}");
        }
        assert_eq!(wanted("/v1beta/models/one%2Fg").as_deref(), Some("one/g"));
    }

    #[test]
    fn the_id_is_all_that_is_behind_the_list() {
        for (path, id) in [
            ("/v1/models", None),
            ("/v1/models/", None),
            ("/models/gpt-4o", Some("gpt-4o")),
            ("/v1/models/one/gpt-4o?x=1", Some("one/gpt-4o")),
            ("/v1/models/one%2Fgpt%204o%", Some("one/gpt 4o%")),
            ("/v1/chat", None),
        ] {
            assert_eq!(wanted(path).as_deref(), id, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in ".{0,64}", bytes in "[%0-9a-fé&=?]{0,32}") {
            wanted(&path);
            let _ = list(Dialect::Anthropic, &format!("/v1/models?{bytes}"), MODELS);
            let _ = list(Dialect::Gemini, &format!("/v1/models?pageToken={bytes}"), MODELS);
            wanted(&format!("/models/{bytes}"));
        }
    }
}
