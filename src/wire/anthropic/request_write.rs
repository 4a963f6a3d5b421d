//! Writes a request (`POST /v1/messages`, version 2023-06-01, which takes the same from every client; in a
//! body for Vertex or Bedrock that version is named inside).

use std::collections::HashSet;

use super::model::Model;
use super::thinking::Plan;
use super::turn_write::Turns;
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::chat::{OutputFormat, Tool, ToolChoice};
use crate::llm::part::CacheMark;
use crate::llm::{Chat, Code, Content, Dropped, Refusal};
use crate::wire::codec::{Envelope, Outgoing};
use crate::wire::schema;

/// `anthropic_version` in a body for Google Vertex AI.
pub(super) const VERTEX: &str = "vertex-2023-10-16";

/// `anthropic_version` in a body for Bedrock's `InvokeModel`.
pub(super) const BEDROCK: &str = "bedrock-2023-05-31";

/// Blocks that may be marked in one request ("Prompt caching").
const MOST_MARKS: usize = 4;

/// The longest `metadata.user_id` in characters.
const MOST_USER: usize = 256;

/// The marks of one request; the last ones are written where there are too many.
pub(super) struct Marks {
    skipped: usize,
}

/// Writes a whole body.
///
/// # Errors
/// 400 for a chat that ends with the assistant's words, to a model that does not go on with them.
pub(super) fn write(
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<(), Refusal> {
    let model = Model::named(to.model);
    let turns = Turns::of(chat, model, to.envelope, dropped);
    if turns.ends_with_assistant() && !model.goes_on() {
        let message = "This model does not go on with an assistant's last message: end with a user's.";
        return Err(Refusal::new(Code::UnsupportedValue, message).param("messages"));
    }
    let default = model.max_output().unwrap_or(to.default_max_output);
    let max_tokens = chat.max_output.unwrap_or(default).max(1);
    let plan = Plan::of(chat, &turns, model, max_tokens, dropped);
    let tools = told(chat);
    let mut marks = Marks::of(&tools, &turns);
    if marks.skipped > 0 {
        dropped.field("cache_control");
    }
    write_object(out, |o| {
        match to.envelope {
            Envelope::Vertex => o.text("anthropic_version", VERTEX),
            Envelope::Invoke => o.text("anthropic_version", BEDROCK),
            Envelope::Plain | Envelope::Deployment => o.text("model", to.model),
        }
        o.number("max_tokens", max_tokens);
        if chat.stream && to.envelope != Envelope::Invoke {
            o.flag("stream", true);
        }
        write_tools(o, chat, &tools, model, &mut marks, dropped);
        turns.write(o, &mut marks);
        plan.write(o);
        write_output_config(o, chat, model, plan, dropped);
        write_sampling(o, chat, model, plan, dropped);
        write_rest(o, chat, to, dropped);
    });
    name_unsayable(chat, dropped);
    Ok(())
}

// === impl Marks ===

impl Marks {
    fn of(tools: &[&Tool<'_>], turns: &Turns<'_>) -> Self {
        let in_tools = tools.iter().filter(|tool| tool.cache.is_some()).count();
        Marks { skipped: (turns.marks() + in_tools).saturating_sub(MOST_MARKS) }
    }

    /// Writes the mark of a block.
    pub(super) fn write(&mut self, o: &mut ObjectWriter<'_>, mark: Option<CacheMark>) {
        let Some(mark) = mark else { return };
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        o.object("cache_control", |o| {
            o.text("type", "ephemeral");
            if mark == CacheMark::Hour {
                o.text("ttl", "1h");
            }
        });
    }
}

fn write_tools(
    o: &mut ObjectWriter<'_>,
    chat: &Chat<'_>,
    tools: &[&Tool<'_>],
    model: Model,
    marks: &mut Marks,
    dropped: &mut Dropped,
) {
    if tools.is_empty() {
        if chat.tool_choice.as_ref().is_some_and(|choice| !matches!(choice, ToolChoice::Auto | ToolChoice::None)) {
            dropped.field("tool_choice");
        }
        return write_history_tools(o, chat);
    }
    o.array("tools", |a| {
        for tool in tools {
            a.object(|o| {
                o.text("name", &tool.name);
                o.text_if("description", tool.description.as_deref());
                let parameters = schema::of_object(tool.parameters.as_deref());
                if tool.strict == Some(true) && model.keeps_to_schemas() {
                    o.raw("input_schema", &schema::closed(&parameters, "tools[].function.parameters.", dropped));
                    o.flag("strict", true);
                } else {
                    o.raw("input_schema", &parameters);
                    if tool.strict == Some(true) {
                        dropped.field("tools[].function.strict");
                    }
                }
                marks.write(o, tool.cache);
            });
        }
    });
    write_tool_choice(o, chat, model, dropped);
}

/// Where only some of the tools may be called, the others are not told.
fn told<'c, 'a>(chat: &'c Chat<'a>) -> Vec<&'c Tool<'a>> {
    let Some(ToolChoice::Among { names, .. }) = &chat.tool_choice else { return chat.tools.iter().collect() };
    let names: HashSet<&str> = names.iter().map(|name| &**name).collect();
    chat.tools.iter().filter(|tool| names.contains(&*tool.name)).collect()
}

/// Calls in what was said, and no tools: the API wants to know what was called.
fn write_history_tools(o: &mut ObjectWriter<'_>, chat: &Chat<'_>) {
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for part in chat.turns.iter().flat_map(|turn| &turn.parts) {
        if let Content::ToolCall(call) = &part.content
            && seen.insert(&*call.name)
        {
            names.push(&*call.name);
        }
    }
    if names.is_empty() {
        return;
    }
    o.array("tools", |a| {
        for name in names {
            a.object(|o| {
                o.text("name", name);
                o.raw("input_schema", &schema::of_object(None));
            });
        }
    });
    o.object("tool_choice", |o| o.text("type", "none"));
}

fn write_tool_choice(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, dropped: &mut Dropped) {
    let (kind, name) = match &chat.tool_choice {
        None if chat.parallel_tools.is_none() => return,
        None | Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => ("auto", None),
        Some(ToolChoice::None) => return o.object("tool_choice", |o| o.text("type", "none")),
        Some(choice) if !model.can_be_forced() || names_a_stranger(chat, choice) => {
            dropped.field("tool_choice");
            ("auto", None)
        }
        Some(ToolChoice::Required | ToolChoice::Among { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(&**name)),
    };
    o.object("tool_choice", |o| {
        o.text("type", kind);
        o.text_if("name", name);
        o.flag_if("disable_parallel_tool_use", chat.parallel_tools.map(|parallel| !parallel));
    });
}

/// A tool that is not there cannot be called.
fn names_a_stranger(chat: &Chat<'_>, choice: &ToolChoice<'_>) -> bool {
    matches!(choice, ToolChoice::Named(name) if !chat.tools.iter().any(|tool| tool.name == *name))
}

fn write_output_config(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, plan: Plan, dropped: &mut Dropped) {
    let schema = match &chat.output {
        None | Some(OutputFormat::Text) => None,
        Some(OutputFormat::Schema { schema, description, .. }) if model.keeps_to_schemas() => {
            if description.is_some() {
                dropped.field("response_format.json_schema.description");
            }
            Some(schema::closed(schema, "response_format.json_schema.schema.", dropped))
        }
        // There is no "some object": a schema that says only that much lets nothing in.
        Some(OutputFormat::Json | OutputFormat::Schema { .. }) => {
            dropped.field("response_format");
            None
        }
    };
    if plan.effort.is_none() && schema.is_none() {
        return;
    }
    o.object("output_config", |o| {
        o.text_if("effort", plan.effort);
        if let Some(schema) = &schema {
            o.object("format", |o| {
                o.text("type", "json_schema");
                o.raw("schema", schema);
            });
        }
    });
}

/// Thinking excludes `top_k`, temperatures other than 1, and a `top_p` below 0.95.
fn write_sampling(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, model: Model, plan: Plan, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    let is_free = model.is_sampled() && !plan.is_on();
    let mut write = |name: &'static str, text: Option<&str>, is_taken: bool| match text {
        Some(text) if is_taken => o.raw(name, text),
        Some(text) if !(is_number(text, 1.0) && name != "top_k") => dropped.field(name),
        _ => {}
    };
    let is_hot = sampling.temperature.is_some_and(|text| text.parse::<f64>().is_ok_and(|number| number > 1.0));
    let has_both = sampling.temperature.is_some() && model.has_one_sampler();
    let is_wide = sampling.top_p.is_some_and(|text| text.parse::<f64>().is_ok_and(|number| number >= 0.95));
    write("temperature", sampling.temperature, is_free && !is_hot);
    write("top_p", sampling.top_p, model.is_sampled() && !has_both && (is_free || is_wide));
    write("top_k", sampling.top_k, is_free);
    if is_hot && is_free {
        // The hottest that there is; that it is another one was named.
        o.number("temperature", 1);
    }
}

fn write_rest(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, to: &Outgoing<'_>, dropped: &mut Dropped) {
    let is_visible = |word: &&str| !word.trim().is_empty();
    let stop: Vec<&str> = chat.stop.iter().map(|word| &**word).filter(is_visible).collect();
    if stop.len() < chat.stop.len() {
        dropped.field("stop");
    }
    if !stop.is_empty() {
        o.array("stop_sequences", |a| stop.iter().for_each(|word| a.text(word)));
    }
    match chat.user.as_deref() {
        Some(user) if user.chars().count() <= MOST_USER => o.object("metadata", |o| o.text("user_id", user)),
        Some(_) => dropped.field("user"),
        None => {}
    }
    // OpenAI's `priority` is what `auto` takes where it was bought. Neither cloud has the field.
    match chat.service_tier.as_deref() {
        None => {}
        Some("auto" | "priority") if to.envelope == Envelope::Plain => o.text("service_tier", "auto"),
        Some("default" | "standard" | "standard_only") if to.envelope == Envelope::Plain => {
            o.text("service_tier", "standard_only");
        }
        Some("auto" | "default") => {}
        Some(_) => dropped.field("service_tier"),
    }
}

/// What this API has no word for, in OpenAI's words.
fn name_unsayable(chat: &Chat<'_>, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    let is_said = |text: Option<&str>| text.is_some_and(|text| !is_number(text, 0.0));
    for (name, is_lost) in [
        ("min_p", is_said(sampling.min_p)),
        ("seed", sampling.seed.is_some()),
        ("presence_penalty", is_said(sampling.presence_penalty)),
        ("frequency_penalty", is_said(sampling.frequency_penalty)),
        ("logit_bias", sampling.logit_bias.is_some_and(|bias| bias.len() > 2)),
        ("logprobs", chat.logprobs == Some(true)),
        ("top_logprobs", chat.top_logprobs.is_some_and(|count| count > 0)),
        ("n", chat.choices.is_some_and(|count| count > 1)),
        ("metadata", !chat.metadata.is_empty()),
        ("prompt_cache_key", chat.cache_key.is_some()),
        ("store", chat.store == Some(true)),
        ("verbosity", chat.verbosity.as_deref().is_some_and(|word| word != "medium")),
        ("audio", chat.audio.is_some()),
        ("modalities", chat.images),
    ] {
        if is_lost {
            dropped.field(name);
        }
    }
}

fn is_number(text: &str, number: f64) -> bool {
    text.parse::<f64>().is_ok_and(|found| (found - number).abs() < f64::EPSILON)
}
