//! A `GenerateContentRequest`, written so that AI Studio (v1beta) and Vertex AI (v1) take it.

use std::collections::HashSet;

use super::config_write;
use super::contents_write::Contents;
use super::schema_write::{self, Outermost};
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::chat::{Tool, ToolChoice};
use crate::llm::{Chat, Code, Dropped, Refusal};
use crate::wire::codec::{Envelope, Outgoing};

/// The longest key and value of a label (Google Cloud, "Requirements for labels").
const LABEL: usize = 63;

/// Writes the whole body.
///
/// # Errors
/// 400 where nobody says anything.
pub(super) fn write(
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<(), Refusal> {
    let said = Contents::new(chat, to);
    let is_talk = chat.talk().next().is_some();
    let start = out.len();
    let mut any = false;
    write_object(out, |o| {
        let mut instructions = said.instructions(dropped).peekable();
        if is_talk && instructions.peek().is_some() {
            o.object("systemInstruction", |o| {
                o.array("parts", |a| instructions.for_each(|text| a.object(|o| o.text("text", text))));
            });
        }
        o.array("contents", |a| any = said.write(a, dropped));
        tools(o, chat, dropped);
        config_write::write(o, chat, to, dropped);
        if to.envelope == Envelope::Vertex {
            labels(o, chat, dropped);
        } else if !chat.metadata.is_empty() {
            dropped.field("metadata");
        }
        service_tier(o, chat, to, dropped);
    });
    if !any {
        out.truncate(start);
        let message = "The request says nothing that Gemini can be told: give a message with text or media in it.";
        return Err(Refusal::new(Code::UnsupportedValue, message).param("messages"));
    }
    for (name, is_lost) in [
        ("messages[].role", chat.has_late_instructions()),
        ("user", chat.user.is_some()),
        ("prompt_cache_key", chat.cache_key.is_some()),
        ("store", chat.store == Some(true)),
        ("verbosity", chat.verbosity.is_some()),
        ("parallel_tool_calls", chat.parallel_tools == Some(false)),
    ] {
        if is_lost {
            dropped.field(name);
        }
    }
    Ok(())
}

fn tools(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    if chat.tools.is_empty() {
        // A choice without functions is an error.
        if !matches!(chat.tool_choice, None | Some(ToolChoice::Auto | ToolChoice::None)) {
            dropped.field("tool_choice");
        }
        return;
    }
    // Names may be listed only where one of them must be called; elsewhere only these are declared.
    let among: Option<HashSet<&str>> = match &chat.tool_choice {
        Some(ToolChoice::Among { names, required: false }) => Some(names.iter().map(|name| &**name).collect()),
        _ => None,
    };
    let is_declared = |tool: &&Tool<'_>| among.as_ref().is_none_or(|names| names.contains(&*tool.name));
    if !chat.tools.iter().any(|tool| is_declared(&tool)) {
        return dropped.field("tool_choice");
    }
    o.array("tools", |a| {
        a.object(|o| {
            o.array("functionDeclarations", |a| {
                for tool in chat.tools.iter().filter(is_declared) {
                    a.object(|o| declaration(o, tool, dropped));
                }
            });
        });
    });
    let is_strict = chat.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, names) = match &chat.tool_choice {
        // The one mode in which arguments keep to their schemas and nothing has to be called.
        None | Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) if is_strict => {
            ("VALIDATED", &[][..])
        }
        None => return,
        Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => ("AUTO", &[][..]),
        Some(ToolChoice::None) => ("NONE", &[][..]),
        Some(ToolChoice::Required) => ("ANY", &[][..]),
        Some(ToolChoice::Named(name)) => ("ANY", std::slice::from_ref(name)),
        Some(ToolChoice::Among { names, required: true }) => ("ANY", &names[..]),
    };
    o.object("toolConfig", |o| {
        o.object("functionCallingConfig", |o| {
            o.text("mode", mode);
            if !names.is_empty() {
                o.array("allowedFunctionNames", |a| names.iter().for_each(|name| a.text(name)));
            }
        });
    });
}

fn declaration(o: &mut ObjectWriter<'_>, tool: &Tool<'_>, dropped: &mut Dropped) {
    o.text("name", &tool.name);
    o.text_if("description", tool.description.as_deref());
    if let Some(schema) = &tool.parameters {
        let mut out = Vec::with_capacity(schema.len());
        let outermost = Outermost { is_arguments: true, ..Outermost::default() };
        if !schema_write::write(schema, outermost, &mut out) {
            dropped.field("tools[].function.parameters");
        }
        o.raw("parametersJsonSchema", &String::from_utf8(out).unwrap_or_default());
    }
    if tool.cache.is_some() {
        dropped.field("cache_control");
    }
}

fn labels(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    let legal = |text: &str| {
        text.len() <= LABEL && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-".contains(&c))
    };
    let is_label =
        |key: &str, value: &str| key.starts_with(|c: char| c.is_ascii_lowercase()) && legal(key) && legal(value);
    let mut labels = chat.metadata.iter().filter(|(key, value)| is_label(key, value)).peekable();
    if labels.peek().is_some() {
        o.object("labels", |o| labels.for_each(|(key, value)| o.text(key, value)));
    }
    if chat.metadata.iter().any(|(key, value)| !is_label(key, value)) {
        dropped.field("metadata");
    }
}

/// A field of AI Studio alone: on Vertex AI a header says it.
fn service_tier(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, to: &Outgoing<'_>, dropped: &mut Dropped) {
    let tier = match chat.service_tier.as_deref() {
        None | Some("auto" | "unspecified") => return,
        Some("default" | "standard" | "standard_only") => "standard",
        Some("flex") => "flex",
        Some("priority") => "priority",
        Some(_) => return dropped.field("service_tier"),
    };
    match to.envelope {
        Envelope::Vertex if tier == "standard" => {}
        Envelope::Vertex => dropped.field("service_tier"),
        _ => o.text("serviceTier", tier),
    }
}
