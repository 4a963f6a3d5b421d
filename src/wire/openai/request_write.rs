//! A chat completion's request, written.

use super::model::{Api, Model};
use super::schema;
use super::turn_write::Turns;
use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, ObjectWriter, Tree, write_object};
use crate::llm::chat::{OutputFormat, Tell, Tool, ToolChoice};
use crate::llm::{Chat, Dropped, Quirk};
use crate::wire::codec::{Envelope, Outgoing};
use crate::wire::custom;
use crate::wire::fit::fit;
use crate::wire::rewrite::quirk;

/// OpenAI takes at most so many (API reference "Chat", `stop`).
const MAX_STOP: usize = 4;

pub(super) fn write(chat: &Chat<'_>, to: &Outgoing<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let model = Model::named(to.model);
    let api = if to.envelope == Envelope::Deployment { Api::Deployment } else { Api::Chat };
    let effort = model.effort(chat, api, dropped);
    write_object(out, |o| {
        o.text("model", to.model);
        o.array("messages", |a| {
            let mut turns = Turns::of(custom::names(chat), to.quirks, dropped);
            chat.turns.iter().for_each(|turn| turns.write(a, turn));
        });
        if chat.stream {
            o.flag("stream", true);
            if to.ask_usage && !to.quirks.contains(&Quirk::RefusesStreamOptions) {
                o.object("stream_options", |o| o.flag("include_usage", true));
            }
        }
        write_tools(o, chat, model, dropped);
        write_output(o, chat, dropped);
        write_bounds(o, chat, to, model, dropped);
        o.text_if("reasoning_effort", effort);
        note_summary(chat, to, dropped);
        write_sampling(o, chat, to, model, effort, dropped);
        write_rest(o, chat, model, dropped);
    });
}

/// OpenAI tells no thoughts here; only its Responses sum them up (API reference, `reasoning.summary`). Those who
/// want thoughts back tell them unasked.
fn note_summary(chat: &Chat<'_>, to: &Outgoing<'_>, dropped: &mut Dropped) {
    let told = chat.reasoning.as_ref().filter(|reasoning| !reasoning.is_off()).and_then(|reasoning| reasoning.tell);
    let tells = [Quirk::TakesReasoning, Quirk::WantsReasoningContent].iter().any(|quirk| to.quirks.contains(quirk));
    if !tells && matches!(told, Some(Tell::Auto | Tell::Concise | Tell::Detailed)) {
        dropped.field("reasoning.summary");
    }
}

fn write_tools(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, dropped: &mut Dropped) {
    if chat.tools.is_empty() {
        return;
    }
    o.array("tools", |a| chat.tools.iter().for_each(|tool| write_tool(a, tool, dropped)));
    let custom = custom::names(chat);
    match &chat.tool_choice {
        Some(ToolChoice::Auto) => o.text("tool_choice", "auto"),
        Some(ToolChoice::None) => o.text("tool_choice", "none"),
        Some(ToolChoice::Required) => o.text("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => o.object("tool_choice", |o| write_named(o, name, custom.has(name))),
        Some(ToolChoice::Among { names, required }) => o.object("tool_choice", |o| {
            o.text("type", "allowed_tools");
            o.object("allowed_tools", |o| {
                o.text("mode", if *required { "required" } else { "auto" });
                o.array("tools", |a| {
                    names.iter().for_each(|name| a.object(|o| write_named(o, name, custom.has(name))))
                });
            });
        }),
        None => {}
    }
    match chat.parallel_tools {
        Some(false) if !model.counts_calls() => dropped.field("parallel_tool_calls"),
        Some(_) if !model.counts_calls() => {}
        parallel => o.flag_if("parallel_tool_calls", parallel),
    }
}

fn write_named(o: &mut ObjectWriter<'_>, name: &str, is_custom: bool) {
    let kind = if is_custom { "custom" } else { "function" };
    o.text("type", kind);
    o.object(kind, |o| o.text("name", name));
}

fn write_tool(a: &mut ArrayWriter<'_>, tool: &Tool<'_>, dropped: &mut Dropped) {
    if tool.cache.is_some() {
        dropped.field("cache_control");
    }
    if let Some(format) = tool.custom.as_deref() {
        return a.object(|o| write_custom(o, tool, format));
    }
    a.object(|o| {
        o.text("type", "function");
        o.object("function", |o| {
            o.text("name", &tool.name);
            o.text_if("description", tool.description.as_deref());
            let schema = tool.parameters.as_deref().map(schema::of_function);
            o.raw_if("parameters", schema.as_deref());
            o.flag_if("strict", schema::strict(tool.strict, schema.as_deref(), dropped));
        });
    });
}

fn write_custom(o: &mut ObjectWriter<'_>, tool: &Tool<'_>, format: &str) {
    o.text("type", "custom");
    o.object("custom", |o| {
        o.text("name", &tool.name);
        o.text_if("description", tool.description.as_deref());
        let tree = Tree::read(format.as_bytes()).ok();
        let Some(root) = tree.as_ref().map(Tree::root).filter(|root| !root.is_empty()) else { return };
        match root.get("definition") {
            None => o.raw("format", format),
            Some(definition) => o.object("format", |o| {
                o.text("type", "grammar");
                o.object("grammar", |o| {
                    o.raw("definition", definition.raw());
                    o.raw_if("syntax", root.get("syntax").map(Value::raw));
                });
            }),
        }
    });
}

fn write_output(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    let Some(output) = &chat.output else { return };
    o.object("response_format", |o| match output {
        OutputFormat::Text => o.text("type", "text"),
        OutputFormat::Json => o.text("type", "json_object"),
        OutputFormat::Schema { name, description, schema: said, strict } => {
            o.text("type", "json_schema");
            o.object("json_schema", |o| {
                o.text("name", name.as_deref().unwrap_or("answer"));
                o.text_if("description", description.as_deref());
                o.raw("schema", said);
                o.flag_if("strict", schema::strict(*strict, Some(said), dropped));
            });
        }
    });
}

fn write_bounds(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, to: &Outgoing<'_>, model: Model, dropped: &mut Dropped) {
    o.number_if(quirk::only_bound(to.quirks).unwrap_or("max_completion_tokens"), chat.max_output);
    if !model.stops() && !chat.stop.is_empty() {
        dropped.field("stop");
    } else if !chat.stop.is_empty() {
        o.array("stop", |a| chat.stop.iter().take(MAX_STOP).for_each(|stop| a.text(stop)));
        if chat.stop.len() > MAX_STOP {
            dropped.field("stop");
        }
    }
    o.number_if("n", chat.choices.filter(|choices| *choices > 1));
}

fn write_sampling(
    o: &mut ObjectWriter<'_>,
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    model: Model,
    effort: Option<&str>,
    dropped: &mut Dropped,
) {
    let sampling = &chat.sampling;
    let (is_sampled, is_steered) = (model.is_sampled(effort), model.is_steered());
    let temperature = sampling.temperature.map(|degrees| quirk::cooled(degrees, to.quirks).unwrap_or(degrees));
    // A model that refuses a field takes its default all the same; `usual` is that.
    for (name, value, is_taken, usual) in [
        ("temperature", temperature, is_sampled, 1.0),
        ("top_p", sampling.top_p, is_sampled, 1.0),
        ("seed", sampling.seed, true, 0.0),
        ("presence_penalty", sampling.presence_penalty, is_steered, 0.0),
        ("frequency_penalty", sampling.frequency_penalty, is_steered, 0.0),
        ("top_k", sampling.top_k, false, -1.0),
        ("min_p", sampling.min_p, false, 0.0),
    ] {
        match value {
            Some(value) if is_taken => o.raw(name, value),
            Some(value) if value.parse() != Ok(usual) => dropped.field(name),
            _ => {}
        }
    }
    match sampling.logit_bias {
        Some(_) if !is_steered => dropped.field("logit_bias"),
        bias => o.raw_if("logit_bias", bias),
    }
    if is_sampled {
        o.flag_if("logprobs", chat.logprobs);
        o.number_if("top_logprobs", chat.top_logprobs);
    } else if chat.logprobs == Some(true) {
        dropped.field("logprobs");
    }
}

fn write_rest(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, dropped: &mut Dropped) {
    if !chat.metadata.is_empty() {
        o.object("metadata", |o| chat.metadata.iter().for_each(|(key, value)| o.text(key, value)));
    }
    // Both only tell one from another, which they still do when they are cut.
    o.text_if("user", chat.user.as_deref().map(fit).as_deref());
    match chat.service_tier.as_deref() {
        Some(tier @ ("auto" | "default" | "flex" | "priority" | "scale")) => o.text("service_tier", tier),
        // Anthropic's word for what OpenAI calls so.
        Some("standard_only") => o.text("service_tier", "default"),
        Some(_) => dropped.field("service_tier"),
        None => {}
    }
    o.text_if("prompt_cache_key", chat.cache_key.as_deref().map(fit).as_deref());
    o.flag_if("store", chat.store);
    match chat.verbosity.as_deref() {
        Some(word) if !model.says(word) => dropped.field("verbosity"),
        word => o.text_if("verbosity", word),
    }
    if let Some(audio) = &chat.audio {
        o.array("modalities", |a| ["text", "audio"].iter().for_each(|word| a.text(word)));
        o.object("audio", |o| {
            o.text("voice", audio.voice.as_deref().unwrap_or("alloy"));
            o.text("format", audio.format.as_deref().unwrap_or("wav"));
        });
    } else if chat.images {
        o.array("modalities", |a| ["text", "image"].iter().for_each(|word| a.text(word)));
    }
}
