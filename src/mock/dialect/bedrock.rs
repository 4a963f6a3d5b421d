//! Bedrock Runtime: Converse, ConverseStream and CountTokens. InvokeModel is [`super::invoke`].
//!
//! Paths, members and exceptions are those of the service model of 2023-09-30 (`bedrock.types` names the
//! file); how an error names itself is the REST-JSON protocol
//! (<https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>): its
//! type in `x-amzn-errortype`, its text in the body's `message`.

use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderName, Method, StatusCode};
use serde_json::{Value, json};

use super::super::openai::{Answer, Caller, Refuse};
use super::converse::Converse;
use super::rules::{self, list, member};
use super::schema::{Fault, Schema, What};
use super::turn::{Ask, Forced};
use super::{Host, Key, Place, Tongue, decoded};
use crate::llm::Operation;

pub(super) static CONVERSE: Tongue = Tongue {
    find,
    answer,
    error,
    headers,
    unreadable: UNREADABLE,
    json: "application/json",
    sse: "application/vnd.amazon.eventstream",
    keys: KEYS,
};

/// An API key of Bedrock's is a bearer token.
pub(super) const KEYS: &[Key] = &[Key::Bearer, Key::Signature];
pub(super) const UNREADABLE: &str = "Malformed input request, please reformat your input and try again.";

/// Types of errors by status, and what they say where the mock has nothing to say itself.
const ERRORS: &[(u16, &str, &str)] = &[
    (400, "ValidationException", ""),
    (401, "UnrecognizedClientException", "The security token included in the request is invalid."),
    (403, "AccessDeniedException", "You don't have access to the model with the specified model ID."),
    (404, "ResourceNotFoundException", "Could not resolve the foundation model from the provided model identifier."),
    (408, "ModelTimeoutException", "The request took too long to process."),
    (413, "ValidationException", "Input is too long for requested model."),
    (424, "ModelErrorException", "The request failed due to an error while processing the model."),
    (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    (
        500,
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
    (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
];

/// The last piece of a path, and what it is for.
const ACTIONS: &[(&str, Operation, Option<bool>)] = &[
    ("converse", Operation::Chat, Some(false)),
    ("converse-stream", Operation::Chat, Some(true)),
    ("count-tokens", Operation::CountTokens, Some(false)),
];

static TYPES: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("bedrock.types"), false).expect("a test reads the same types"));

fn find(head: &Parts) -> Option<Place> {
    let (model, action) = split(head)?;
    let (_, operation, stream) = ACTIONS.iter().find(|(name, ..)| *name == action)?;
    let (operation, stream) = (*operation, *stream);
    Some(Place { tongue: &CONVERSE, operation, model: Some(model), stream, host: Host::Bedrock })
}

/// The model and the action of `/model/{modelId}/{action}`. The id is one piece of the path: the slashes of
/// an ARN are percent-encoded.
pub(super) fn split(head: &Parts) -> Option<(String, &str)> {
    let (_, rest) = head.uri.path().rsplit_once("/model/").filter(|_| head.method == Method::POST)?;
    let (model, action) = rest.split_once('/')?;
    Some((decoded(model)?, action))
}

fn answer(caller: &Caller, place: &Place, body: Option<&Value>) -> Result<Answer, Refuse> {
    let model = identified(place)?;
    let streams = place.stream == Some(true);
    let Some(body) = body else {
        let ask = Ask { model: model.to_owned(), stream: streams, ..Ask::default() };
        return caller.say(place, &ask, Box::new(Converse::default()));
    };
    if place.operation == Operation::CountTokens {
        return count(caller, place, model, body);
    }
    check(if streams { "ConverseStreamRequest" } else { "ConverseRequest" }, body)?;
    rules::check(body).map_err(|sentence| Refuse::bad(sentence, None))?;
    let ask = Ask { stream: streams, ..ask(model, body) };
    caller.say(place, &ask, Box::new(Converse::default()))
}

/// The model of the path, which has to look like an id or an ARN.
pub(super) fn identified(place: &Place) -> Result<&str, Refuse> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/".contains(c);
    let model = place.model.as_deref().filter(|model| (1..=2048).contains(&model.len()) && model.chars().all(plain));
    model.ok_or_else(|| Refuse::bad("The provided model identifier is invalid.", None))
}

/// Holds a body against one of `bedrock.types`.
pub(super) fn check(name: &str, body: &Value) -> Result<(), Refuse> {
    TYPES.check(name, body).map_err(|fault| Refuse::bad(worded(&fault), None))
}

/// A fault as Bedrock words it.
fn worded(fault: &Fault) -> String {
    let path = fault.dotted().replace('.', "/");
    let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let at = |path: &str| if path.is_empty() { "#".to_owned() } else { format!("#/{path}") };
    let what = match &fault.what {
        What::Unknown => format!("{}: extraneous key [{name}] is not permitted", at(above)),
        What::Missing => format!("{}: required key [{name}] not found", at(above)),
        What::Kind(kinds) => format!("{}: expected type: {}", at(&path), kinds.join(", ")),
        What::Word(words) => format!("{}: value is not one of [{}]", at(&path), words.join(", ")),
        What::Least(least) => format!("{}: less than {least}", at(&path)),
        What::Most(most) => format!("{}: greater than {most}", at(&path)),
    };
    format!("Malformed input request: {what}, please reformat your input and try again.")
}

/// What a Converse request asks; it has been checked.
fn ask(model: &str, body: &Value) -> Ask {
    let tools = list(&body["toolConfig"]["tools"]).iter().filter_map(|tool| tool["toolSpec"]["name"].as_str());
    let forced = match member(&body["toolConfig"]["toolChoice"]) {
        ("any", _) => Forced::Any,
        ("tool", tool) => Forced::Named(tool["name"].as_str().unwrap_or_default().to_owned()),
        _ => Forced::No,
    };
    let last = list(&body["messages"]).last().unwrap_or(&Value::Null);
    let results = list(&last["content"]).iter().any(|block| block.get("toolResult").is_some());
    let choice = "/additionalModelRequestFields/tool_choice/disable_parallel_tool_use";
    Ask {
        model: model.to_owned(),
        text: weight(&body["system"]) + weight(&body["messages"]),
        limit: body["inferenceConfig"]["maxTokens"].as_u64(),
        tools: tools.map(str::to_owned).collect(),
        forced,
        one_call: body.pointer(choice) == Some(&Value::Bool(true)),
        user_last: last["role"] == "user" && !results,
        ..Ask::default()
    }
}

/// Bytes of all `text` in it.
pub(super) fn weight(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) if name == "text" => text.len() as u64,
                Value::Array(_) | Value::Object(_) if name != "input" && name != "json" => weight(value),
                _ => 0,
            })
            .sum(),
        _ => 0,
    }
}

fn count(caller: &Caller, place: &Place, model: &str, body: &Value) -> Result<Answer, Refuse> {
    check("CountTokensRequest", body)?;
    let tokens = match member(&body["input"]) {
        ("converse", input) => {
            rules::check(input).map_err(|sentence| Refuse::bad(sentence, None))?;
            ask(model, input).prompt()
        }
        (_, input) => super::invoke::count(place, model, input["body"].as_str().unwrap_or_default())?,
    };
    Ok(caller.state(place, Some(model), tokens, &json!({"inputTokens": tokens})))
}

fn row(status: StatusCode) -> (&'static str, &'static str) {
    let find = |wanted: u16| ERRORS.iter().find(|(known, ..)| *known == wanted);
    let row = find(status.as_u16()).or_else(|| find(if status.is_server_error() { 500 } else { 400 }));
    row.map_or(("", ""), |(_, kind, message)| (kind, message))
}

pub(super) fn error(_: &Caller, _: &Place, refuse: &Refuse) -> Value {
    let (_, usual) = row(refuse.status);
    json!({"message": if usual.is_empty() { &refuse.message } else { usual }})
}

pub(super) fn headers(caller: &Caller, status: StatusCode) -> Vec<(HeaderName, String)> {
    let mut headers = vec![(HeaderName::from_static("x-amzn-requestid"), caller.label())];
    if status.as_u16() >= 400 {
        let kind = format!("{}:http://internal.amazon.com/coral/com.amazon.bedrock/", row(status).0);
        headers.push((HeaderName::from_static("x-amzn-errortype"), kind));
    }
    headers
}
