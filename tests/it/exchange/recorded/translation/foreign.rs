//! Cases in the form in which another implementation's data-plane tests were extracted: `cases`, each with
//! `client_request`, `expected_upstream_request`, `upstream_response`, `expected_client_response` and `backend.schema`.

use std::fmt::Write;

use serde_json::{Value, json};

use super::case::{self, Body, Case, Message};

/// What running them came to.
pub struct Told {
    /// A line a case: its number, agreement, and the reason of a difference.
    pub table: String,
    /// Differences without a reason, and reasons without a difference.
    pub wrong: Vec<String>,
}

/// Cases that differ, and why that is right.
const ARGUED: &[(&str, &str)] = &[
    ("dp-002", "a text that is no JSON is the proxy's own error, which Weir words with its own type and code"),
    (
        "dp-005",
        "a bound of 0 is refused by the provider, so Weir states one that is none; the error's code is OpenAI's, or none",
    ),
    (
        "dp-008",
        "their header to strip is not Weir's; Bedrock wants a turn of a user's, so instructions alone are one; they keep \
         the first of three texts, Weir all of them",
    ),
    ("dp-014", "all three texts are kept, and Bedrock wants a tool declared that was called"),
    ("dp-017", "Gemini wants a turn, so instructions alone are one; an answer has an id and a time, as OpenAI's have"),
    ("dp-023", "`x-model` is a header of their test's server, and the case has it in no answer"),
    ("dp-026", "a client that did not ask for usage is not shown it"),
    ("dp-029", "the same in other chunks: the role comes first, alone, as OpenAI has it"),
    ("dp-032", "the type is OpenAI's word, and the code is Google's"),
    ("dp-053", "a colon in a path is percent-encoded; the model is named, as Anthropic has it"),
    ("dp-056", "Claude on Bedrock is asked in Anthropic's own words (InvokeModel), so that nothing is lost"),
    ("dp-062", "an answer has an id, although the provider gave none"),
    ("dp-068", "a client that said it wants no usage is not shown it"),
    ("dp-071", "a client that did not ask for usage is not shown it"),
];

/// Runs all of them.
pub fn told(text: &str) -> Told {
    let file: Value = serde_json::from_str(text).expect("the cases are JSON");
    let mut told = Told { table: String::new(), wrong: Vec::new() };
    let mut agree = 0;
    let cases = file["cases"].as_array().expect("cases");
    for foreign in cases {
        let (id, name) = (word(&foreign["id"]), word(&foreign["name"]));
        let wrong = case::run(&read(foreign));
        let why = ARGUED.iter().find(|(argued, _)| *argued == id).map(|(_, why)| *why);
        match (wrong.is_empty(), why) {
            (true, None) => agree += 1,
            (false, Some(_)) => {}
            (true, Some(_)) => told.wrong.push(format!("{id} agrees: it needs no reason")),
            (false, None) => told.wrong.extend(wrong.iter().map(|what| format!("{id} {name}: {what}"))),
        }
        let shown = if wrong.is_empty() { "agrees" } else { why.unwrap_or("DIFFERS") };
        writeln!(told.table, "{id} {name}: {shown}").expect("text");
    }
    writeln!(told.table, "{agree} of {} agree", cases.len()).expect("text");
    told
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn read(foreign: &Value) -> Case {
    let (request, sent) = (&foreign["client_request"], &foreign["expected_upstream_request"]);
    let (answer, reply) = (&foreign["upstream_response"], &foreign["expected_client_response"]);
    let json = |body: &Value| body.as_str().map(|text| Body::Json(serde_json::from_str(text).expect("JSON")));
    let answered = body(word(&answer["body"]), word(&answer["framing"]));
    let streams = matches!(answered, Body::Events(_));
    let told = match word(&reply["body"]) {
        text if streams => events(text),
        text => Body::Json(masked(serde_json::from_str(text).expect("JSON"))),
    };
    // Where their gateway has a prefix for another vendor's paths, Weir has the vendor's own.
    let path = word(&request["path"]).trim_start_matches("/anthropic");
    Case {
        backend: backend(&foreign["backend"]["schema"]),
        model: foreign["backend"]["modelNameOverride"].as_str().map(str::to_owned),
        client: Message {
            path: Some(path.to_owned()),
            headers: headers(request),
            body: json(&request["body"]),
            status: None,
        },
        upstream: Some(Message {
            path: sent["path"].as_str().map(str::to_owned),
            headers: [headers(sent), absent(sent)].concat(),
            body: json(&sent["body"]).map(Body::pruned),
            status: None,
        }),
        answer: Some(Message { status: status(answer), headers: headers(answer), body: Some(answered), path: None }),
        reply: Message { status: status(reply), headers: headers(reply), body: Some(told.pruned()), path: None },
        dropped: None,
        loose: true,
    }
}

fn status(message: &Value) -> Option<u16> {
    message["status"].as_u64().and_then(|status| u16::try_from(status).ok())
}

fn headers(message: &Value) -> Vec<(String, Option<String>)> {
    let list = message["headers"].as_object().into_iter().flatten();
    list.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().map(str::to_owned))).collect()
}

fn absent(message: &Value) -> Vec<(String, Option<String>)> {
    let list = message["absent_headers"].as_array().into_iter().flatten();
    list.map(|name| (word(name).to_ascii_lowercase(), None)).collect()
}

/// The backend of a schema, as Weir is told of one.
fn backend(schema: &Value) -> String {
    let google = "endpoint: 'http://up.example/v1/projects/gcp-project-name/locations/gcp-region', dialect: Vertex, \
                  credentials: [{type: APIKey, apiKey: {value: fake-gcp-auth-token}}]";
    let none = "credentials: [{type: None}]";
    match word(&schema["name"]) {
        "OpenAI" => format!("endpoint: 'http://up.example/v1', dialect: OpenAI, {none}"),
        "GCPVertexAI" | "GCPAnthropic" => google.to_owned(),
        "AWSBedrock" | "AWSAnthropic" => format!("endpoint: 'http://up.example', dialect: Bedrock, {none}"),
        "AzureOpenAI" => {
            let version = word(&schema["version"]);
            format!("endpoint: 'http://up.example/openai', dialect: Azure, azure: {{apiVersion: '{version}'}}, {none}")
        }
        "Anthropic" => "endpoint: 'http://up.example/v1', dialect: Anthropic, \
             credentials: [{type: APIKey, apiKey: {value: anthropic-api-key}}]"
            .to_owned(),
        other => panic!("what is the schema {other}?"),
    }
}

fn body(text: &str, framing: &str) -> Body {
    match framing {
        "sse" if text.contains("data: ") => events(text),
        "sse" => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Body::Events(lines.map(|line| (None, said(line))).collect())
        }
        "json" => serde_json::from_str(text).map_or_else(|_| Body::Text(text.to_owned()), Body::Json),
        other => panic!("what is the framing {other}?"),
    }
}

/// Blocks that a blank line ends, the last one perhaps not.
fn events(text: &str) -> Body {
    let block = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        (field("event: "), masked(said(&field("data: ").expect("data"))))
    };
    Body::Events(text.trim().split("\n\n").map(block).collect())
}

fn said(line: &str) -> Value {
    if line == "[DONE]" { line.into() } else { serde_json::from_str(line).expect("JSON") }
}

/// With what is made up on the way left open.
fn masked(mut value: Value) -> Value {
    if let Some(created) = value.get_mut("created") {
        *created = json!("<any>");
    }
    value
}
