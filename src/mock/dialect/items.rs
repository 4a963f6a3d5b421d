//! The reader of OpenAI Responses' requests: what is legal, and what is asked.

use std::sync::LazyLock;

use serde_json::Value;

use super::super::openai::Refuse;
use super::schema::{Fault, Schema, What};
use super::turn::{Ask, Forced};
use super::turns::text;

static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::parse(include_str!("responses.types"), false).expect("a test reads the same schema"));

/// How the ids of items begin.
const IDS: &[(&str, &str)] = &[
    ("message", "msg"),
    ("reasoning", "rs"),
    ("function_call", "fc"),
    ("function_call_output", "fc"),
    ("custom_tool_call", "ctc"),
];

/// Reads a request that is legal as `definition` of the schema.
///
/// # Errors
/// What OpenAI would say to it.
pub(super) fn ask(definition: &str, body: &Value) -> Result<Ask, Refuse> {
    SCHEMA.check(definition, body).map_err(|fault| refuse(&fault))?;
    let sources = ["input", "previous_response_id", "prompt", "conversation"];
    if sources.iter().all(|name| body[name].is_null()) {
        let message = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.";
        return Err(bad("missing_required_parameter", "input", message));
    }
    if !body["previous_response_id"].is_null() && !body["conversation"].is_null() {
        let message = "Only one of 'previous_response_id' and 'conversation' may be provided.";
        return Err(bad("mutually_exclusive_parameters", "previous_response_id", message));
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(bad("invalid_value", "stream_options", message));
    }
    let items = body["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    // What the server kept may hold the other half of a call.
    order(items, body["previous_response_id"].is_null() && body["conversation"].is_null())?;
    let tools = tools(body)?;
    schema_is_strict(&body["text"]["format"]["schema"], &body["text"]["format"], "text.format.schema")?;
    let forced = forced(&body["tool_choice"], &tools)?;
    let user = |item: &&Value| item["role"] == "user";
    let said = |item: &Value| {
        let fields = ["content", "output", "arguments", "input"];
        fields.iter().map(|name| text(&item[name])).sum::<u64>()
    };
    let input = body["input"].as_str();
    Ok(Ask {
        model: body["model"].as_str().unwrap_or("mock").to_owned(),
        stream: body["stream"] == true,
        text: text(&body["instructions"])
            + input.map_or(0, |input| input.len() as u64)
            + items.iter().map(said).sum::<u64>(),
        limit: body["max_output_tokens"].as_u64(),
        choices: 1,
        tools,
        forced,
        one_call: body["parallel_tool_calls"] == false,
        user_last: input.is_some() || items.last().filter(user).is_some(),
    })
}

/// The order of items, and their ids: a call and its answer, a thought and what follows from it. That ids are told by
/// how they begin is not in the reference: openai/codex, issue 33176 (`msg`), Wei-Shaw/sub2api, issues 3785 and
/// 3981 (`fc`), jlcodes99/cockpit-tools, issue 2090 (`rs`).
fn order(items: &[Value], complete: bool) -> Result<(), Refuse> {
    let of = |item: &Value| item["type"].as_str().unwrap_or("message").to_owned();
    let answered = |id: &Value, kind: &str, among: &[Value]| {
        among.iter().any(|item| item["type"] == kind && item["call_id"] == *id)
    };
    for (at, item) in items.iter().enumerate() {
        let kind = of(item);
        let (before, after) = items.split_at(at);
        let after = after.get(1..).unwrap_or_default();
        let (id, call) = (&item["id"], &item["call_id"]);
        let begins = IDS.iter().find(|(known, _)| *known == kind).map(|(_, begins)| *begins);
        if let (Some(id), Some(begins)) = (id.as_str(), begins)
            && !id.starts_with(begins)
        {
            let message = format!("Invalid 'input[{at}].id': '{id}'. Expected an ID that begins with '{begins}'.");
            return Err(bad("invalid_value", format!("input[{at}].id"), message));
        }
        let output = format!("{kind}_output");
        if matches!(&*kind, "function_call" | "custom_tool_call") && !answered(call, &output, after) {
            let call = call.as_str().unwrap_or_default();
            return Err(bad("", "input", format!("No tool output found for function call {call}.")));
        }
        if let Some(asked) = kind.strip_suffix("_output").filter(|_| complete)
            && matches!(asked, "function_call" | "custom_tool_call")
            && !answered(call, asked, before)
        {
            let call = call.as_str().unwrap_or_default();
            let message = format!("No tool call found for function call output with call_id {call}.");
            return Err(bad("", "input", message));
        }
        let follows = after.first().is_some_and(|next| of(next) != "message" || next["role"] == "assistant");
        if kind == "reasoning" && !follows {
            let id = id.as_str().unwrap_or_default();
            let message = format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
            return Err(bad("", "input", message));
        }
    }
    Ok(())
}

/// The names of the functions.
fn tools(body: &Value) -> Result<Vec<String>, Refuse> {
    let mut names: Vec<String> = Vec::new();
    for (at, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        if tool["type"] != "function" {
            continue;
        }
        let name = tool["name"].as_str().unwrap_or_default();
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            let message = format!(
                "Invalid 'tools[{at}].name': string does not match pattern. Expected a string that matches the pattern \
                 '^[a-zA-Z0-9_-]+$'."
            );
            return Err(bad("invalid_value", format!("tools[{at}].name"), message));
        }
        schema_is_strict(&tool["parameters"], tool, &format!("tools[{at}].parameters"))?;
        names.push(name.to_owned());
    }
    Ok(names)
}

fn forced(choice: &Value, tools: &[String]) -> Result<Forced, Refuse> {
    let missing =
        || bad("invalid_value", "tool_choice", "Tool choice 'required' must be specified with 'tools' parameter.");
    let named = |choice: &Value| choice["name"].as_str().unwrap_or_default().to_owned();
    match (choice.as_str(), choice["type"].as_str()) {
        (Some("none"), _) => Ok(Forced::Never),
        (Some("required"), _) if tools.is_empty() => Err(missing()),
        (Some("required"), _) => Ok(Forced::Any),
        (_, Some("function")) if !tools.contains(&named(choice)) => {
            let message = format!("Tool choice 'function' not found in 'tools' parameter: {}.", named(choice));
            Err(bad("invalid_value", "tool_choice", message))
        }
        (_, Some("function")) => Ok(Forced::Named(named(choice))),
        (_, Some("allowed_tools")) if choice["mode"] == "required" => {
            Ok(choice["tools"].get(0).map_or(Forced::Any, |first| Forced::Named(named(first))))
        }
        _ => Ok(Forced::No),
    }
}

/// What "Structured outputs" asks of a schema whose holder says `strict`: objects say which fields they
/// have, all of them are required, and there are no others.
fn schema_is_strict(schema: &Value, holder: &Value, param: &str) -> Result<(), Refuse> {
    if holder["strict"] != true {
        return Ok(());
    }
    strict(schema).map_err(|what| {
        let name = holder["name"].as_str().unwrap_or_default();
        bad("invalid_function_parameters", param.to_owned(), format!("Invalid schema for function '{name}': {what}"))
    })
}

fn strict(schema: &Value) -> Result<(), &'static str> {
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            return Err("'additionalProperties' is required to be supplied and to be false.");
        }
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if properties.keys().any(|name| !required.contains(&&**name)) {
            return Err("'required' is required to be supplied and to be an array including every key in properties.");
        }
        properties.values().try_for_each(strict)?;
    }
    schema["items"].as_object().map_or(Ok(()), |_| strict(&schema["items"]))?;
    schema["anyOf"].as_array().into_iter().flatten().try_for_each(strict)
}

fn bad(
    code: &'static str,
    param: impl Into<std::borrow::Cow<'static, str>>,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> Refuse {
    let code = Some(code).filter(|code| !code.is_empty());
    Refuse { code, param: Some(param.into()), ..Refuse::bad(message, None) }
}

/// A fault as OpenAI says it.
fn refuse(fault: &Fault) -> Refuse {
    let place = fault.indexed();
    let quoted = |words: &[String]| words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    let (code, message) = match &fault.what {
        What::Missing => ("missing_required_parameter", format!("Missing required parameter: '{place}'.")),
        What::Unknown => ("unknown_parameter", format!("Unknown parameter: '{place}'.")),
        What::Kind(kinds) => {
            ("invalid_type", format!("Invalid type for '{place}': expected one of {}.", kinds.join(" or ")))
        }
        What::Word(words) => {
            ("invalid_value", format!("Invalid value for '{place}'. Supported values are: {}.", quoted(words)))
        }
        What::Least(least) => (
            "integer_below_min_value",
            format!("Invalid '{place}': integer below minimum value. Expected a value >= {least}."),
        ),
        What::Most(most) => {
            ("integer_above_max_value", format!("Invalid '{place}': above maximum value. Expected a value <= {most}."))
        }
    };
    bad(code, place, message)
}
