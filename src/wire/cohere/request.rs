//! A chat's request, written.

use std::collections::HashSet;

use super::message::write_turn;
use super::sampling;
use crate::base::json::{ArrayWriter, ObjectWriter, Tree, write_object};
use crate::llm::chat::{OutputFormat, Reasoning, Tell, Tool, ToolChoice};
use crate::llm::ids::CallIds;
use crate::llm::{Chat, Code, Dropped, Refusal};
use crate::wire::codec::Outgoing;

/// "A list of up to 5 strings" (API reference "Chat", `stop_sequences`).
const MAX_STOP: usize = 5;

/// The functions that may be called, and the word for whether one must be.
struct Offer<'c, 'a> {
    tools: Vec<&'c Tool<'a>>,
    choice: Option<&'static str>,
}

pub(super) fn write(
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<(), Refusal> {
    let offer = offer(chat, dropped)?;
    let mut is_silent = true;
    write_object(out, |o| {
        o.text("model", to.model);
        o.array("messages", |a| {
            let mut ids = CallIds::default();
            for turn in &chat.turns {
                write_turn(a, turn, &mut ids, dropped);
            }
            is_silent = a.is_empty();
        });
        if chat.stream {
            o.flag("stream", true);
        }
        write_tools(o, &offer, dropped);
        write_output(o, chat, &offer, dropped);
        o.number_if("max_tokens", chat.max_output);
        if !chat.stop.is_empty() {
            o.array("stop_sequences", |a| chat.stop.iter().take(MAX_STOP).for_each(|stop| a.text(stop)));
        }
        sampling::write(o, &chat.sampling, dropped);
        o.flag_if("logprobs", chat.logprobs);
        if let Some(reasoning) = &chat.reasoning {
            write_thinking(o, reasoning, dropped);
        }
    });
    note_rest(chat, dropped);
    match is_silent {
        true => Err(Refusal::new(
            Code::UnsupportedValue,
            "Nothing of the messages can be said to the provider: Cohere takes text, and images of a user.",
        )
        .param("messages")),
        false => Ok(()),
    }
}

/// Cohere knows whether a function must be called, and not which one: the others are not offered then.
fn offer<'c, 'a>(chat: &'c Chat<'a>, dropped: &mut Dropped) -> Result<Offer<'c, 'a>, Refusal> {
    let only = |wanted: &dyn Fn(&str) -> bool| chat.tools.iter().filter(|tool| wanted(&tool.name)).collect();
    let (tools, choice): (Vec<_>, _) = match &chat.tool_choice {
        None | Some(ToolChoice::Auto) => (chat.tools.iter().collect(), None),
        // Functions and JSON cannot stand together; those that may not be called go.
        Some(ToolChoice::None) if is_json(chat) => (Vec::new(), None),
        Some(ToolChoice::None) => (chat.tools.iter().collect(), Some("NONE")),
        Some(ToolChoice::Required) => (chat.tools.iter().collect(), Some("REQUIRED")),
        Some(ToolChoice::Named(name)) => (only(&|tool| tool == name), Some("REQUIRED")),
        Some(ToolChoice::Among { names, required }) => {
            let names: HashSet<&str> = names.iter().map(AsRef::as_ref).collect();
            (only(&|tool| names.contains(tool)), required.then_some("REQUIRED"))
        }
    };
    if !tools.is_empty() || choice != Some("REQUIRED") {
        return Ok(Offer { choice: choice.filter(|_| !tools.is_empty()), tools });
    }
    if !chat.tools.is_empty() {
        let message = "The function that must be called is not among the tools: name one that is.";
        return Err(Refusal::new(Code::UnsupportedValue, message).param("tool_choice"));
    }
    dropped.field("tool_choice");
    Ok(Offer { tools, choice: None })
}

fn is_json(chat: &Chat<'_>) -> bool {
    matches!(chat.output, Some(OutputFormat::Json | OutputFormat::Schema { .. }))
}

fn write_tools(o: &mut ObjectWriter<'_>, offer: &Offer<'_, '_>, dropped: &mut Dropped) {
    if offer.tools.is_empty() {
        return;
    }
    o.array("tools", |a| offer.tools.iter().for_each(|tool| write_tool(a, tool, dropped)));
    // One flag for all of them; those without a required parameter are refused then (Cohere docs,
    // "Structured Outputs", "Structured Outputs (Tools)").
    if offer.tools.iter().all(|tool| tool.strict == Some(true) && has_required(tool)) {
        o.flag("strict_tools", true);
    } else if offer.tools.iter().any(|tool| tool.strict == Some(true)) {
        dropped.field("tools[].function.strict");
    }
    o.text_if("tool_choice", offer.choice);
}

fn has_required(tool: &Tool<'_>) -> bool {
    let schema = tool.parameters.as_deref().and_then(|schema| Tree::read(schema.as_bytes()).ok());
    schema.is_some_and(|tree| tree.root().get("required").is_some_and(|required| !required.is_empty()))
}

fn write_tool(a: &mut ArrayWriter<'_>, tool: &Tool<'_>, dropped: &mut Dropped) {
    if tool.cache.is_some() {
        dropped.field("cache_control");
    }
    a.object(|o| {
        o.text("type", "function");
        o.object("function", |o| {
            o.text("name", &tool.name);
            o.text_if("description", tool.description.as_deref());
            let parameters = tool.parameters.as_deref().filter(|schema| is_object(schema));
            o.raw("parameters", parameters.unwrap_or(r#"{"type":"object","properties":{}}"#));
        });
    });
}

/// A schema may also be `true`, which this API does not take.
fn is_object(schema: &str) -> bool {
    schema.trim_start().starts_with('{')
}

fn write_output(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, offer: &Offer<'_, '_>, dropped: &mut Dropped) {
    if is_json(chat) && !offer.tools.is_empty() {
        return dropped.field("response_format");
    }
    match &chat.output {
        None | Some(OutputFormat::Text) => {}
        Some(OutputFormat::Json) => o.object("response_format", |o| o.text("type", "json_object")),
        Some(OutputFormat::Schema { description, schema, .. }) => {
            if description.is_some() {
                dropped.field("response_format.json_schema.description");
            }
            o.object("response_format", |o| {
                o.text("type", "json_object");
                o.raw_if("json_schema", Some(&**schema).filter(|schema| is_object(schema)));
            });
        }
    }
}

fn write_thinking(o: &mut ObjectWriter<'_>, reasoning: &Reasoning, dropped: &mut Dropped) {
    if reasoning.is_off() {
        return o.object("thinking", |o| o.text("type", "disabled"));
    }
    let budget = reasoning.budget();
    if reasoning.enabled == Some(true) || reasoning.dynamic || budget.is_some() {
        o.object("thinking", |o| {
            o.text("type", "enabled");
            o.number_if("token_budget", budget);
        });
    }
    // All of it is told, always.
    if matches!(reasoning.tell, Some(Tell::Nothing | Tell::Concise | Tell::Detailed)) {
        dropped.field("reasoning.summary");
    }
}

/// What this API has no word for.
fn note_rest(chat: &Chat<'_>, dropped: &mut Dropped) {
    let tier = chat.service_tier.as_deref();
    for (name, is_said) in [
        ("stop", chat.stop.len() > MAX_STOP),
        ("n", chat.choices.is_some_and(|choices| choices > 1)),
        ("parallel_tool_calls", chat.parallel_tools == Some(false) && !chat.tools.is_empty()),
        ("top_logprobs", chat.top_logprobs.is_some_and(|most| most > 0)),
        ("metadata", !chat.metadata.is_empty()),
        ("user", chat.user.is_some()),
        ("service_tier", tier.is_some_and(|tier| !matches!(tier, "auto" | "default"))),
        ("prompt_cache_key", chat.cache_key.is_some()),
        ("store", chat.store == Some(true)),
        ("verbosity", chat.verbosity.is_some()),
        ("audio", chat.audio.is_some()),
        ("modalities", chat.images),
    ] {
        if is_said {
            dropped.field(name);
        }
    }
}
