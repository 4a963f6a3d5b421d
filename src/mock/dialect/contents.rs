//! The reader of Gemini's requests: what is legal, and what is asked.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::super::embed::{DIMENSIONS, text_vector};
use super::super::openai::Refuse;
use super::schema::{Fault, Schema, Step, What, snake};
use super::turn::{Ask, Forced};
use super::{Host, Place};

/// Whose Gemini.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Studio,
    Vertex,
}

static STUDIO: LazyLock<Schema> = LazyLock::new(|| schema(include_str!("gemini_studio.types")));
static VERTEX: LazyLock<Schema> = LazyLock::new(|| schema(include_str!("gemini_vertex.types")));

/// Exactly one of these is what a part holds.
const DATA: &[&str] =
    &["text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"];

fn schema(own: &str) -> Schema {
    Schema::parse(&format!("{}{own}", include_str!("gemini.types")), true).expect("a test reads the same schema")
}

// === impl Api ===

impl Api {
    pub(super) fn of(host: Host) -> Api {
        if host == Host::Vertex { Api::Vertex } else { Api::Studio }
    }

    fn check(self, name: &str, value: &Value) -> Result<(), Refuse> {
        let schema = if self == Api::Vertex { &*VERTEX } else { &*STUDIO };
        schema.check(name, value).map_err(|fault| refuse(&fault))
    }
}

/// Reads a `GenerateContentRequest`.
///
/// # Errors
/// What Google would say to it.
pub(super) fn ask(api: Api, place: &Place, body: &Value) -> Result<Ask, Refuse> {
    api.check("Request", body)?;
    let contents = list(body, "contents");
    turns(contents)?;
    let config = get(body, "generationConfig");
    let json = get(config, "responseMimeType").as_str().is_some_and(|kind| kind != "text/plain");
    let schemas = ["responseSchema", "responseJsonSchema"].map(|name| !get(config, name).is_null());
    if schemas.contains(&true) && !json {
        return Err(bad("Unable to submit request because responseSchema needs a JSON responseMimeType."));
    }
    if schemas == [true, true] {
        return Err(bad("Only one of response_schema and response_json_schema may be set."));
    }
    let tools = declared(api, body)?;
    properties(api, get(config, "responseSchema"))?;
    let calling = get(get(body, "toolConfig"), "functionCallingConfig");
    let allowed: Vec<&str> = list(calling, "allowedFunctionNames").iter().filter_map(Value::as_str).collect();
    let forced = match get(calling, "mode").as_str() {
        Some("ANY" | "NONE" | "VALIDATED") if tools.is_empty() => {
            return Err(bad("Function calling config is set without function_declarations."));
        }
        Some("ANY") => allowed.first().map_or(Forced::Any, |name| Forced::Named((*name).to_owned())),
        Some("NONE") => Forced::Never,
        _ if !allowed.is_empty() => return Err(bad("Allowed function names should be set only for ANY mode.")),
        _ => Forced::No,
    };
    if let Some(stray) = allowed.iter().find(|name| !tools.iter().any(|tool| tool == *name)) {
        return Err(bad(format!("Allowed function name {stray} is not in function_declarations.")));
    }
    let last = contents.last().filter(|last| get(last, "role") != "model");
    let answers = |last: &&Value| list(last, "parts").iter().any(|part| !get(part, "functionResponse").is_null());
    Ok(Ask {
        model: place.model.clone().unwrap_or_else(|| "mock".into()),
        stream: place.stream == Some(true),
        text: contents.iter().map(text).sum::<u64>() + text(get(body, "systemInstruction")),
        limit: get(config, "maxOutputTokens").as_u64(),
        choices: get(config, "candidateCount").as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        tools,
        forced,
        one_call: false,
        user_last: last.is_some_and(|last| !answers(&last)),
    })
}

/// The names of the functions.
fn declared(api: Api, body: &Value) -> Result<Vec<String>, Refuse> {
    let declared = list(body, "tools").iter().flat_map(|tool| list(tool, "functionDeclarations"));
    let mut tools = Vec::new();
    for declared in declared {
        let name = get(declared, "name").as_str().unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ':');
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') || !name.chars().all(legal) {
            return Err(bad("Invalid function name. Must start with a letter or an underscore."));
        }
        if tools.iter().any(|known| known == name) {
            return Err(bad(format!("Duplicate function declaration found: {name}")));
        }
        for name in ["parameters", "response"] {
            properties(api, get(declared, name))?;
        }
        if !get(declared, "parameters").is_null() && !get(declared, "parametersJsonSchema").is_null() {
            return Err(bad("Only one of parameters and parameters_json_schema may be set."));
        }
        tools.push(name.to_owned());
    }
    Ok(tools)
}

/// The tokens of a `CountTokensRequest`.
///
/// # Errors
/// What Google would say to it.
pub(super) fn count(api: Api, body: &Value) -> Result<u64, Refuse> {
    api.check("Count", body)?;
    let inner = get(body, "generateContentRequest");
    let request = if inner.is_null() { body } else { inner };
    let contents = list(request, "contents");
    if contents.is_empty() {
        return Err(bad("* CountTokensRequest.contents: contents is not specified"));
    }
    parts_of(contents)?;
    let text = contents.iter().map(text).sum::<u64>() + text(get(request, "systemInstruction"));
    Ok(Ask { text, ..Ask::default() }.prompt())
}

/// The answer to a request for embeddings, and its tokens.
///
/// # Errors
/// What Google would say to it.
pub(super) fn embed(api: Api, method: &str, body: &Value) -> Result<(Value, u64), Refuse> {
    let name = match method {
        "predict" => "Predict",
        "batchEmbedContents" => "EmbedMany",
        _ => "Embed",
    };
    api.check(name, body)?;
    let size = |of: &Value| {
        let nested = [of, get(of, "embedContentConfig"), get(body, "parameters")];
        let size = nested.iter().find_map(|at| get(at, "outputDimensionality").as_u64());
        size.and_then(|size| u32::try_from(size).ok()).unwrap_or(DIMENSIONS)
    };
    let tokens = |bytes: usize| bytes.div_ceil(4).max(1) as u64;
    let read = |one: &Value| {
        let parts = list(get(one, "content"), "parts").iter().filter_map(|part| get(part, "text").as_str());
        let text: String = get(one, "content").as_str().map_or_else(|| parts.collect(), str::to_owned);
        (text_vector(&text, size(one)), text.len())
    };
    let all = match name {
        "Predict" => list(body, "instances"),
        "EmbedMany" => list(body, "requests"),
        _ => std::slice::from_ref(body),
    };
    let read: Vec<_> = all.iter().map(read).collect();
    let sum = read.iter().map(|(_, bytes)| tokens(*bytes)).sum();
    let usage = json!({"promptTokenCount": sum, "totalTokenCount": sum});
    let values = |(vector, _): &(Vec<f32>, usize)| json!({"values": vector});
    let answer = match name {
        "Predict" => {
            let row = |(vector, bytes): &(Vec<f32>, usize)| {
                let statistics = json!({"token_count": tokens(*bytes), "truncated": false});
                json!({"embeddings": {"values": vector, "statistics": statistics}})
            };
            let characters: usize = read.iter().map(|(_, bytes)| bytes).sum();
            json!({"predictions": read.iter().map(row).collect::<Vec<_>>(),
                   "metadata": {"billableCharacterCount": characters}})
        }
        "EmbedMany" => json!({"embeddings": read.iter().map(values).collect::<Vec<_>>(), "usageMetadata": usage}),
        _ => json!({"embedding": read.first().map(values), "usageMetadata": usage}),
    };
    Ok((answer, sum))
}

/// Calls and their answers, in the order that Google wants ("Function calling"): an answer to each call
/// right after it. The messages are the API's own (google-gemini/gemini-cli, issues 11814 and 26486;
/// langchain-ai/langchain, issue 27799).
fn turns(contents: &[Value]) -> Result<(), Refuse> {
    parts_of(contents)?;
    let count =
        |content: &Value, name: &str| list(content, "parts").iter().filter(|part| !get(part, name).is_null()).count();
    let mut open = 0;
    for (number, content) in contents.iter().enumerate() {
        let (calls, answers) = (count(content, "functionCall"), count(content, "functionResponse"));
        if answers != open {
            return Err(bad(
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn.",
            ));
        }
        let model = get(content, "role") == "model";
        if calls > 0 && (!model || number == 0) {
            return Err(bad(
                "Please ensure that function call turn comes immediately after a user turn or after a function \
                 response turn.",
            ));
        }
        if answers > 0 && model {
            return Err(bad("Please ensure that function response turn comes immediately after a function call turn."));
        }
        open = calls;
    }
    if open > 0 {
        return Err(bad("Please ensure that function response turn comes immediately after a function call turn."));
    }
    Ok(())
}

/// Each part holds one thing.
fn parts_of(contents: &[Value]) -> Result<(), Refuse> {
    for (at, content) in contents.iter().enumerate() {
        for (number, part) in list(content, "parts").iter().enumerate() {
            let place = format!("contents[{at}].parts[{number}]");
            let held: Vec<&str> = DATA.iter().filter(|name| !get(part, name).is_null()).copied().collect();
            match *held.as_slice() {
                [_] => {}
                [] => {
                    return Err(bad(format!(
                        "{place}.data: required oneof field 'data' must have one initialized field"
                    )));
                }
                [_, second, ..] => {
                    let second = snake(second);
                    let message = format!(
                        "Invalid value at '{place}' (oneof), oneof field 'data' is already set. Cannot set '{second}'"
                    );
                    return Err(bad(message));
                }
            }
        }
    }
    Ok(())
}

/// The schemas that stand in a schema's `properties`, all the way down.
fn properties(api: Api, schema: &Value) -> Result<(), Refuse> {
    let empty = Map::new();
    for (_, property) in get(schema, "properties").as_object().unwrap_or(&empty) {
        api.check("Schema", property)?;
        properties(api, property)?;
    }
    properties_of(api, get(schema, "items"))?;
    list(schema, "anyOf").iter().try_for_each(|one| properties(api, one))
}

fn properties_of(api: Api, schema: &Value) -> Result<(), Refuse> {
    if schema.is_null() { Ok(()) } else { properties(api, schema) }
}

/// A field under either of its names.
fn get<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).or_else(|| value.get(snake(name))).unwrap_or(&Value::Null)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    get(value, name).as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Bytes of the text in a content's parts, and in what functions answered.
fn text(content: &Value) -> u64 {
    let part = |part: &Value| {
        let said = get(part, "text").as_str().map_or(0, str::len);
        let answered = get(get(part, "functionResponse"), "response");
        said + if answered.is_null() { 0 } else { answered.to_string().len() }
    };
    list(content, "parts").iter().map(part).sum::<usize>() as u64
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Refuse {
    Refuse::bad(message, None)
}

/// A fault as Google says it: places in the proto's own names, without the field that is unknown.
fn refuse(fault: &Fault) -> Refuse {
    let mut fault = fault.clone();
    let last = match fault.path.last() {
        Some(Step::Field(name)) if fault.what == What::Unknown => Some(name.clone()),
        _ => None,
    };
    if last.is_some() {
        fault.path.pop();
    }
    for step in &mut fault.path {
        if let Step::Field(name) = step {
            *name = snake(name);
        }
    }
    let place = fault.indexed();
    let message = match (&fault.what, last) {
        (_, Some(name)) if place.is_empty() => {
            format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field.")
        }
        (_, Some(name)) => {
            format!("Invalid JSON payload received. Unknown name \"{name}\" at '{place}': Cannot find field.")
        }
        (What::Word(words), _) if place.ends_with(".role") => {
            format!("Please use a valid role: {}.", words.join(", "))
        }
        (What::Missing, _) => format!("* GenerateContentRequest.{place}: {place} is not specified"),
        (What::Least(_) | What::Most(_), _) => format!("* GenerateContentRequest.{place}: value is out of range"),
        (What::Kind(_) | What::Word(_) | What::Unknown, _) => format!("Invalid value at '{place}'"),
    };
    Refuse { param: Some(place.into()), ..Refuse::bad(message, None) }
}
