//! Writes requests. They keep nothing at the provider: `store` is false unless the client asks for it, and
//! thoughts are asked for with their seal where the model shall think, so that they can come back.
//!
//! Stop sequences, `n`, `seed`, penalties, `logit_bias`, `top_k` and sound do not exist in this API.

use super::input_write;
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::chat::{OutputFormat, Reasoning, Role, Tell, Tool, ToolChoice};
use crate::llm::{Chat, Dropped};
use crate::wire::codec::Outgoing;
use crate::wire::custom;
use crate::wire::fit::fit;
use crate::wire::openai::model::{Api, Model};
use crate::wire::openai::schema;

/// The least bound on output tokens that is taken. OpenAI: "Invalid 'max_output_tokens': integer below minimum
/// value. Expected a value >= 16, but got 1 instead." (earendil-works/pi, issue 6265, 2026-07). A smaller one is
/// raised, and named as dropped: the answer may be longer than was asked for, or than a rule wanted.
const MIN_OUTPUT: u64 = 16;

/// The tiers of this API; other APIs have other words.
const TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"];

/// The name of a schema that has none: this API wants one.
const SCHEMA_NAME: &str = "response";

pub(super) fn write(chat: &Chat<'_>, to: &Outgoing<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let model = Model::named(to.model);
    let effort = model.effort(chat, Api::Responses, dropped);
    write_object(out, |o| {
        o.text("model", to.model);
        let instructions = instructions(chat);
        o.text_if("instructions", instructions);
        let turns = chat.turns.get(usize::from(instructions.is_some())..).unwrap_or_default();
        let custom = custom::names(chat);
        o.array("input", |a| input_write::write(turns, &custom, a, dropped));
        write_tools(o, chat, dropped);
        write_output(o, chat, model, dropped);
        write_reasoning(o, chat, model, effort, dropped);
        write_options(o, chat, model, effort, dropped);
        if chat.stream {
            o.flag("stream", true);
        }
    });
    drop_unsayable(chat, dropped);
}

/// The first turn, where it is one text of the system's and not all there is: an `input` must not be empty.
/// Other instructions stand in the input, which takes them anywhere and in parts.
fn instructions<'c>(chat: &'c Chat<'_>) -> Option<&'c str> {
    let [first, _, ..] = &chat.turns[..] else { return None };
    match (&first.parts[..], first.role) {
        ([part], Role::System) if part.cache.is_none() => part.as_text(),
        _ => None,
    }
}

fn write_tools(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    if chat.tools.is_empty() {
        // Without tools a choice among them is an error.
        if !matches!(chat.tool_choice, None | Some(ToolChoice::Auto | ToolChoice::None)) {
            dropped.field("tool_choice");
        }
        return;
    }
    let custom = custom::names(chat);
    o.array("tools", |a| chat.tools.iter().for_each(|tool| a.object(|o| write_tool(o, tool, dropped))));
    match &chat.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => o.text("tool_choice", "auto"),
        Some(ToolChoice::None) => o.text("tool_choice", "none"),
        Some(ToolChoice::Required) => o.text("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => o.object("tool_choice", |o| write_name(o, name, custom.has(name))),
        Some(ToolChoice::Among { names, required }) => o.object("tool_choice", |o| {
            o.text("type", "allowed_tools");
            o.text("mode", if *required { "required" } else { "auto" });
            o.array("tools", |a| names.iter().for_each(|name| a.object(|o| write_name(o, name, custom.has(name)))));
        }),
    }
    o.flag_if("parallel_tool_calls", chat.parallel_tools);
}

fn write_name(o: &mut ObjectWriter<'_>, name: &str, is_custom: bool) {
    o.text("type", if is_custom { "custom" } else { "function" });
    o.text("name", name);
}

fn write_tool(o: &mut ObjectWriter<'_>, tool: &Tool<'_>, dropped: &mut Dropped) {
    write_name(o, &tool.name, tool.custom.is_some());
    o.text_if("description", tool.description.as_deref());
    if let Some(format) = tool.custom.as_deref() {
        return o.raw_if("format", Some(format).filter(|format| *format != "{}"));
    }
    let schema = tool.parameters.as_deref().map(schema::of_function);
    o.raw("parameters", schema.as_deref().unwrap_or("null"));
    // Where nothing is said this API makes every property required; no other one does.
    o.flag("strict", schema::strict(tool.strict, schema.as_deref(), dropped).unwrap_or(false));
    if tool.cache.is_some() {
        dropped.field("cache_control");
    }
}

fn write_output(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, dropped: &mut Dropped) {
    let is_word = |word: &&str| matches!(*word, "low" | "medium" | "high") && model.says(word);
    let verbosity = chat.verbosity.as_deref().filter(is_word);
    if chat.verbosity.is_some() && verbosity.is_none() {
        dropped.field("verbosity");
    }
    if chat.output.is_none() && verbosity.is_none() {
        return;
    }
    o.object("text", |o| {
        if let Some(format) = &chat.output {
            o.object("format", |o| write_format(o, format));
        }
        o.text_if("verbosity", verbosity);
    });
}

fn write_format(o: &mut ObjectWriter<'_>, format: &OutputFormat<'_>) {
    match format {
        OutputFormat::Text => o.text("type", "text"),
        OutputFormat::Json => o.text("type", "json_object"),
        OutputFormat::Schema { name, description, schema, strict } => {
            o.text("type", "json_schema");
            o.text("name", name.as_deref().unwrap_or(SCHEMA_NAME));
            o.text_if("description", description.as_deref());
            o.raw("schema", schema);
            o.flag_if("strict", *strict);
        }
    }
}

fn write_reasoning(
    o: &mut ObjectWriter<'_>,
    chat: &Chat<'_>,
    model: Model,
    effort: Option<&str>,
    dropped: &mut Dropped,
) {
    let Some(reasoning) = &chat.reasoning else { return };
    let summary = match reasoning.tell.filter(|_| !reasoning.is_off()) {
        None | Some(Tell::Nothing) => None,
        Some(Tell::Auto) => Some("auto"),
        Some(Tell::Concise) => Some("concise"),
        Some(Tell::Detailed) => Some("detailed"),
    };
    if summary.is_some() && !model.may_reason() {
        return dropped.field("reasoning.summary");
    }
    if effort.is_some() || summary.is_some() {
        o.object("reasoning", |o| {
            o.text_if("effort", effort);
            o.text_if("summary", summary);
        });
    }
}

fn write_options(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, effort: Option<&str>, dropped: &mut Dropped) {
    if let Some(most) = chat.max_output {
        if most < MIN_OUTPUT {
            dropped.field("max_tokens below 16");
        }
        o.number("max_output_tokens", most.max(MIN_OUTPUT));
    }
    let is_sampled = model.is_sampled(effort);
    for (name, value) in [("temperature", chat.sampling.temperature), ("top_p", chat.sampling.top_p)] {
        match value {
            Some(value) if is_sampled => o.raw(name, value),
            // The default of both, which every model takes.
            Some(value) if value.parse() != Ok(1.0) => dropped.field(name),
            _ => {}
        }
    }
    let thinks = model.may_reason() && chat.reasoning.as_ref().is_some_and(|reasoning| !Reasoning::is_off(reasoning));
    let tells = chat.logprobs == Some(true) && is_sampled;
    if tells || chat.logprobs != Some(true) {
        o.number_if("top_logprobs", chat.top_logprobs);
    } else {
        dropped.field("logprobs");
    }
    if thinks || tells {
        o.array("include", |a| {
            // Models that do not think refuse the first one.
            if thinks {
                a.text("reasoning.encrypted_content");
            }
            if tells {
                a.text("message.output_text.logprobs");
            }
        });
    }
    if !chat.metadata.is_empty() {
        o.object("metadata", |o| chat.metadata.iter().for_each(|(key, value)| o.text(key, value)));
    }
    // Both only tell one from another, which they still do when they are cut.
    for (key, id) in [("safety_identifier", &chat.user), ("prompt_cache_key", &chat.cache_key)] {
        o.text_if(key, id.as_deref().map(fit).as_deref());
    }
    match chat.service_tier.as_deref() {
        Some(tier) if TIERS.contains(&tier) => o.text("service_tier", tier),
        Some(_) => dropped.field("service_tier"),
        None => {}
    }
    o.flag("store", chat.store.unwrap_or(false));
}

/// Names what has no place in this API.
fn drop_unsayable(chat: &Chat<'_>, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    for (is_said, name) in [
        (!chat.stop.is_empty(), "stop"),
        (chat.choices.is_some_and(|choices| choices > 1), "n"),
        (sampling.seed.is_some(), "seed"),
        (sampling.presence_penalty.is_some(), "presence_penalty"),
        (sampling.frequency_penalty.is_some(), "frequency_penalty"),
        (sampling.logit_bias.is_some(), "logit_bias"),
        (sampling.top_k.is_some(), "top_k"),
        (sampling.min_p.is_some(), "min_p"),
        (chat.audio.is_some(), "audio"),
        (chat.images, "modalities"),
    ] {
        if is_said {
            dropped.field(name);
        }
    }
}
