//! A chat's request, written.

use std::collections::HashSet;

use super::content::{Names, write_turn};
use crate::base::json::{ArrayWriter, ObjectWriter, write_object};
use crate::llm::chat::{Effort, OutputFormat, Reasoning, Tell, Tool, ToolChoice};
use crate::llm::{Chat, Code, Dropped, Refusal};
use crate::wire::codec::Outgoing;

/// "Number of alternative tokens … per position (0-20)" (Python SDK 0.6, `ChatRequest`).
const MOST_TOP_LOGPROBS: u64 = 20;

/// What the models are called that take words for `think`; the others answer 400 to one.
const WORDED: &str = "gpt-oss";

pub(super) fn write(
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<(), Refusal> {
    let mut is_silent = true;
    write_object(out, |o| {
        o.text("model", to.model);
        o.array("messages", |a| {
            let names = Names::read(chat);
            for turn in &chat.turns {
                write_turn(a, turn, &names, dropped);
            }
            is_silent = a.is_empty();
        });
        // A stream is what Ollama does unless it is told not to.
        o.flag("stream", chat.stream);
        write_tools(o, chat, dropped);
        write_format(o, chat, dropped);
        if let Some(reasoning) = &chat.reasoning {
            write_think(o, reasoning, to.model, dropped);
        }
        write_options(o, chat, dropped);
        o.flag_if("logprobs", chat.logprobs);
        o.number_if("top_logprobs", chat.top_logprobs.map(|most| most.min(MOST_TOP_LOGPROBS)));
    });
    note_rest(chat, dropped);
    match is_silent {
        // Ollama takes a request without messages for the wish to load a model.
        true => Err(Refusal::new(
            Code::UnsupportedValue,
            "Nothing of the messages can be said to the provider: Ollama takes text, and images in base64.",
        )
        .param("messages")),
        false => Ok(()),
    }
}

fn write_tools(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    let among: HashSet<&str> = match &chat.tool_choice {
        Some(ToolChoice::Among { names, .. }) => names.iter().map(|name| &**name).collect(),
        _ => HashSet::new(),
    };
    let is_offered = |tool: &&Tool<'_>| match &chat.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::Required) => true,
        Some(ToolChoice::None) => false,
        Some(ToolChoice::Named(name)) => tool.name == *name,
        Some(ToolChoice::Among { .. }) => among.contains(&*tool.name),
    };
    if let Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. }) =
        chat.tool_choice
    {
        dropped.field("tool_choice");
    }
    if chat.tools.iter().any(|tool| is_offered(&tool)) {
        let offered = || chat.tools.iter().filter(is_offered);
        o.array("tools", |a| offered().for_each(|tool| write_tool(a, tool, dropped)));
    }
}

fn write_tool(a: &mut ArrayWriter<'_>, tool: &Tool<'_>, dropped: &mut Dropped) {
    if tool.cache.is_some() {
        dropped.field("cache_control");
    }
    if tool.strict == Some(true) {
        dropped.field("tools[].function.strict");
    }
    a.object(|o| {
        o.text("type", "function");
        o.object("function", |o| {
            o.text("name", &tool.name);
            o.text_if("description", tool.description.as_deref());
            // Templates look into it.
            let parameters = tool.parameters.as_deref().filter(|schema| is_object(schema));
            o.raw("parameters", parameters.unwrap_or(r#"{"type":"object","properties":{}}"#));
        });
    });
}

/// A schema may also be `true`, which this API does not take.
fn is_object(schema: &str) -> bool {
    schema.trim_start().starts_with('{')
}

fn write_format(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    match &chat.output {
        None | Some(OutputFormat::Text) => {}
        Some(OutputFormat::Json) => o.text("format", "json"),
        Some(OutputFormat::Schema { description, schema, .. }) => {
            if description.is_some() {
                dropped.field("response_format.json_schema.description");
            }
            match is_object(schema) {
                true => o.raw("format", schema),
                false => o.text("format", "json"),
            }
        }
    }
}

fn write_think(o: &mut ObjectWriter<'_>, reasoning: &Reasoning, model: &str, dropped: &mut Dropped) {
    if reasoning.is_off() {
        return o.flag("think", false);
    }
    if reasoning.budget.is_some() {
        dropped.field("thinking.budget_tokens");
    }
    match reasoning.effort() {
        Some(effort) if model.contains(WORDED) => {
            o.text("think", effort.clamp(Effort::Low, Effort::High).as_str());
            if matches!(effort, Effort::Minimal | Effort::XHigh | Effort::Max) {
                dropped.field("reasoning_effort");
            }
        }
        Some(_) => {
            o.flag("think", true);
            if reasoning.effort.is_some() {
                dropped.field("reasoning_effort");
            }
        }
        None if reasoning.enabled == Some(true) || reasoning.dynamic => o.flag("think", true),
        None => {}
    }
    // All of it is told, always.
    if matches!(reasoning.tell, Some(Tell::Nothing | Tell::Concise | Tell::Detailed)) {
        dropped.field("reasoning.summary");
    }
}

fn write_options(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    let mut options = Vec::new();
    write_object(&mut options, |o| {
        o.raw_if("temperature", sampling.temperature);
        o.raw_if("top_p", sampling.top_p);
        o.raw_if("min_p", sampling.min_p);
        o.raw_if("presence_penalty", sampling.presence_penalty);
        o.raw_if("frequency_penalty", sampling.frequency_penalty);
        for (name, number) in [("top_k", sampling.top_k), ("seed", sampling.seed)] {
            let Some(number) = number else { continue };
            match whole(number) {
                Some(number) => o.raw(name, number),
                None => dropped.field(name),
            }
        }
        o.number_if("num_predict", chat.max_output);
        if !chat.stop.is_empty() {
            o.array("stop", |a| chat.stop.iter().for_each(|stop| a.text(stop)));
        }
    });
    if options.len() > 2 {
        o.raw("options", std::str::from_utf8(&options).unwrap_or("{}"));
    }
}

/// A whole number of 64 bits, also one with a fraction of zero.
fn whole(number: &str) -> Option<&str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_whole = whole.parse::<i64>().is_ok() && fraction.bytes().all(|digit| digit == b'0');
    is_whole.then_some(whole)
}

/// What this API has no word for.
fn note_rest(chat: &Chat<'_>, dropped: &mut Dropped) {
    let tier = chat.service_tier.as_deref();
    for (name, is_said) in [
        ("n", chat.choices.is_some_and(|choices| choices > 1)),
        ("parallel_tool_calls", chat.parallel_tools == Some(false) && !chat.tools.is_empty()),
        ("top_logprobs", chat.top_logprobs.is_some_and(|most| most > MOST_TOP_LOGPROBS)),
        ("logit_bias", chat.sampling.logit_bias.is_some()),
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
