//! A chat completion's request, written.

use super::content::{name_of, note_cache, write_content};
use super::message::{CallPiece, write_call};
use super::schema;
use crate::base::json::{ArrayWriter, ObjectWriter, write_object};
use crate::llm::chat::{OutputFormat, Role, Tell, Tool, ToolChoice, Turn};
use crate::llm::ids::CallIds;
use crate::llm::part::ToolResult;
use crate::llm::{Chat, Content, Dropped, Part, Quirk};
use crate::wire::codec::Outgoing;

/// OpenAI takes at most so many (API reference "Chat", `stop`).
const MAX_STOP: usize = 4;

pub(super) fn write(chat: &Chat<'_>, to: &Outgoing<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
    write_object(out, |o| {
        o.text("model", to.model);
        o.array("messages", |a| {
            let mut ids = CallIds::default();
            for turn in &chat.turns {
                write_turn(a, turn, &mut ids, dropped);
            }
        });
        if chat.stream {
            o.flag("stream", true);
            if to.ask_usage && !to.quirks.contains(&Quirk::RefusesStreamOptions) {
                o.object("stream_options", |o| o.flag("include_usage", true));
            }
        }
        write_tools(o, chat, dropped);
        write_output(o, chat, dropped);
        write_bounds(o, chat, to, dropped);
        write_sampling(o, chat, dropped);
        write_rest(o, chat, dropped);
    });
}

fn write_turn(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, ids: &mut CallIds, dropped: &mut Dropped) {
    let role = match turn.role {
        // OpenAI reads both as what its newer models call the developer, and nobody else knows that word.
        Role::System | Role::Developer => "system",
        Role::Assistant => return write_assistant(a, turn, ids, dropped),
        Role::User => "user",
    };
    let mut said = Vec::new();
    let mut shown = Vec::new();
    // Results answer the turn before, so they come first, whatever was said beside them.
    for part in &turn.parts {
        match &part.content {
            Content::ToolResult(result) => write_result(a, part, result, ids, &mut shown, dropped),
            Content::Reasoning { .. } | Content::Redacted(_) | Content::ToolCall(_) => {
                dropped.field("messages[].content[]");
            }
            _ => said.push(part),
        }
    }
    // A tool's message is text alone: what it shows is said by the user behind it.
    let all: Vec<&Part<'_>> = shown.into_iter().chain(said).collect();
    if all.is_empty() {
        return;
    }
    a.object(|o| {
        o.text("role", role);
        let between = (turn.role != Role::User).then_some("\n\n");
        write_content(o, &all, between, dropped);
        o.text_if("name", turn.name.as_deref());
    });
}

fn write_result<'p>(
    a: &mut ArrayWriter<'_>,
    part: &Part<'_>,
    result: &'p ToolResult<'_>,
    ids: &mut CallIds,
    shown: &mut Vec<&'p Part<'p>>,
    dropped: &mut Dropped,
) {
    note_cache(part, dropped);
    let texts: Vec<&Part<'_>> = result.parts.iter().filter(|part| part.as_text().is_some()).collect();
    shown.extend(result.parts.iter().filter(|part| matches!(part.content, Content::Media(_))));
    let id = ids.result(result);
    a.object(|o| {
        o.text("role", "tool");
        o.text("tool_call_id", &id);
        match (&texts[..], result.is_error) {
            ([], false) => o.text("content", ""),
            ([], true) => o.text("content", "Error"),
            (texts, false) => write_content(o, texts, Some("\n"), dropped),
            // There is no flag for it; the model reads it all the same.
            (texts, true) => {
                let said: String = texts.iter().filter_map(|part| part.as_text()).collect();
                o.text("content", &["Error: ", &said].concat());
            }
        }
    });
}

fn write_assistant(a: &mut ArrayWriter<'_>, turn: &Turn<'_>, ids: &mut CallIds, dropped: &mut Dropped) {
    let mut said = Vec::new();
    let mut calls = Vec::new();
    for part in &turn.parts {
        match &part.content {
            Content::ToolCall(call) => {
                note_cache(part, dropped);
                calls.push(call);
            }
            // OpenAI keeps its models' thoughts to itself, and takes none back here.
            Content::Reasoning { .. } | Content::Redacted(_) => dropped.field("messages[].reasoning"),
            Content::Text { citations, .. } => {
                // An answer has `annotations`; a message that is sent has none (API reference "Chat", 2026).
                if !citations.is_empty() {
                    dropped.field("messages[].annotations");
                }
                said.push(part);
            }
            Content::Refusal(_) => said.push(part),
            Content::Media(media) => dropped.field(name_of(media)),
            Content::ToolResult(_) => dropped.field("messages[].content[].tool_result"),
        }
    }
    if said.is_empty() && calls.is_empty() {
        return;
    }
    a.object(|o| {
        o.text("role", "assistant");
        if said.is_empty() {
            o.null("content");
        } else {
            write_content(o, &said, Some(""), dropped);
        }
        o.text_if("name", turn.name.as_deref());
        if !calls.is_empty() {
            o.array("tool_calls", |a| {
                for call in &calls {
                    let id = ids.call(call);
                    let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
                    let piece = CallPiece { id: Some(&id), name: Some(&call.name), arguments, signature: None };
                    write_call(a, None, &piece);
                }
            });
        }
    });
}

fn write_tools(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    if chat.tools.is_empty() {
        return;
    }
    o.array("tools", |a| chat.tools.iter().for_each(|tool| write_tool(a, tool, dropped)));
    match &chat.tool_choice {
        Some(ToolChoice::Auto) => o.text("tool_choice", "auto"),
        Some(ToolChoice::None) => o.text("tool_choice", "none"),
        Some(ToolChoice::Required) => o.text("tool_choice", "required"),
        Some(ToolChoice::Named(name)) => o.object("tool_choice", |o| write_named(o, name)),
        Some(ToolChoice::Among { names, required }) => o.object("tool_choice", |o| {
            o.text("type", "allowed_tools");
            o.object("allowed_tools", |o| {
                o.text("mode", if *required { "required" } else { "auto" });
                o.array("tools", |a| names.iter().for_each(|name| a.object(|o| write_named(o, name))));
            });
        }),
        None => {}
    }
    o.flag_if("parallel_tool_calls", chat.parallel_tools);
}

fn write_named(o: &mut ObjectWriter<'_>, name: &str) {
    o.text("type", "function");
    o.object("function", |o| o.text("name", name));
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
            let schema = tool.parameters.as_deref().map(schema::of_function);
            o.raw_if("parameters", schema.as_deref());
            o.flag_if("strict", schema::strict(tool.strict, schema.as_deref(), dropped));
        });
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

fn write_bounds(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, to: &Outgoing<'_>, dropped: &mut Dropped) {
    let only_old = to.quirks.contains(&Quirk::OnlyMaxTokens);
    o.number_if(if only_old { "max_tokens" } else { "max_completion_tokens" }, chat.max_output);
    if !chat.stop.is_empty() {
        o.array("stop", |a| chat.stop.iter().take(MAX_STOP).for_each(|stop| a.text(stop)));
        if chat.stop.len() > MAX_STOP {
            dropped.field("stop");
        }
    }
    o.number_if("n", chat.choices.filter(|choices| *choices > 1));
    if let Some(reasoning) = &chat.reasoning {
        match (reasoning.is_off(), reasoning.effort()) {
            (true, _) => o.text("reasoning_effort", "none"),
            (false, Some(effort)) => o.text("reasoning_effort", effort.as_str()),
            (false, None) => {}
        }
        // OpenAI tells no thoughts here; only its Responses sum them up (API reference, `reasoning.summary`).
        if matches!(reasoning.tell, Some(Tell::Auto | Tell::Concise | Tell::Detailed)) && !reasoning.is_off() {
            dropped.field("reasoning.summary");
        }
    }
}

fn write_sampling(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    o.raw_if("temperature", sampling.temperature);
    o.raw_if("top_p", sampling.top_p);
    o.raw_if("seed", sampling.seed);
    o.raw_if("presence_penalty", sampling.presence_penalty);
    o.raw_if("frequency_penalty", sampling.frequency_penalty);
    o.raw_if("logit_bias", sampling.logit_bias);
    o.flag_if("logprobs", chat.logprobs);
    o.number_if("top_logprobs", chat.top_logprobs);
    for (name, value) in [("top_k", sampling.top_k), ("min_p", sampling.min_p)] {
        if value.is_some() {
            dropped.field(name);
        }
    }
}

fn write_rest(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    if !chat.metadata.is_empty() {
        o.object("metadata", |o| chat.metadata.iter().for_each(|(key, value)| o.text(key, value)));
    }
    o.text_if("user", chat.user.as_deref());
    match chat.service_tier.as_deref() {
        Some(tier @ ("auto" | "default" | "flex" | "priority" | "scale")) => o.text("service_tier", tier),
        // Anthropic's word for what OpenAI calls so.
        Some("standard_only") => o.text("service_tier", "default"),
        Some(_) => dropped.field("service_tier"),
        None => {}
    }
    o.text_if("prompt_cache_key", chat.cache_key.as_deref());
    o.flag_if("store", chat.store);
    o.text_if("verbosity", chat.verbosity.as_deref());
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
