//! A whole request written.

use std::borrow::Cow;
use std::collections::HashSet;

use super::content::{Blocks, Marks, mark_of};
use super::extra::Plan;
use super::family::Family;
use super::names;
use super::turns::{FILLER, Talk};
use crate::base::json::{self, ArrayWriter, ObjectWriter, write_object};
use crate::llm::chat::{OutputFormat, Tool, ToolChoice};
use crate::llm::{CallIds, Chat, Code, Content, Dropped, Refusal};
use crate::wire::codec::Outgoing;
use crate::wire::schema;

/// Pairs that `requestMetadata` holds, and bytes of a key or a value.
const MOST_METADATA: (usize, usize) = (16, 256);

/// Writes a `ConverseRequest`.
///
/// # Errors
/// 400 for a tool whose name the API cannot have, and where nothing is left to say.
pub(super) fn write(
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    out: &mut Vec<u8>,
    dropped: &mut Dropped,
) -> Result<(), Refusal> {
    let family = Family::of(to.model);
    let tools = Tools::of(chat);
    name_unsayable(chat, dropped);
    let talk = Talk::of(chat, family, dropped);
    if family.claude() >= 406 && talk.turns.last().is_some_and(|turn| !turn.is_user) {
        let message = "This model does not go on with an assistant's last message: end with a user's.";
        return Err(Refusal::new(Code::UnsupportedValue, message).param("messages"));
    }
    if talk.turns.is_empty() {
        let message = "Nothing of what the messages say can be said to Bedrock.";
        return Err(Refusal::new(Code::UnsupportedValue, message).param("messages"));
    }
    let plan = Plan::of(chat, family, to.default_max_output, dropped);
    write_object(out, |o| {
        let mut marks = Marks::of(count_marks(&talk, &tools), family, dropped);
        let (ids, documents) = (CallIds::default(), names::Documents::default());
        let mut blocks = Blocks { family, ids, documents, marks, dropped: &mut *dropped };
        write_talk(&talk, &mut blocks, o);
        marks = blocks.marks;
        write_inference(chat, &plan, o);
        tools.write(&talk, &plan, family, &mut marks, o, dropped);
        plan.write(o);
        write_metadata(chat, o, dropped);
        if let Some(tier) = tier_of(chat, dropped) {
            o.object("serviceTier", |o| o.text("type", tier));
        }
        write_output(chat, &plan, family, o, dropped);
    });
    Ok(())
}

fn count_marks(talk: &Talk<'_, '_>, tools: &Tools<'_, '_>) -> usize {
    let parts = talk.system.iter().chain(talk.turns.iter().flat_map(|turn| &turn.parts));
    parts.filter(|part| mark_of(part).is_some()).count()
        + tools.tools.iter().filter(|tool| tool.cache.is_some()).count()
}

/// Names what is asked for and has no word here, whatever the model.
fn name_unsayable(chat: &Chat<'_>, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    let rows = [
        ("min_p", sampling.min_p.is_some()),
        ("seed", sampling.seed.is_some()),
        ("presence_penalty", sampling.presence_penalty.is_some()),
        ("frequency_penalty", sampling.frequency_penalty.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
        ("logprobs", chat.logprobs == Some(true)),
        ("top_logprobs", chat.top_logprobs.is_some()),
        ("n", chat.choices.is_some_and(|count| count > 1)),
        ("user", chat.user.is_some()),
        ("prompt_cache_key", chat.cache_key.is_some()),
        ("store", chat.store == Some(true)),
        ("verbosity", chat.verbosity.is_some()),
        ("audio", chat.audio.is_some()),
        ("modalities", chat.images),
    ];
    for (name, _) in rows.into_iter().filter(|(_, is_asked)| *is_asked) {
        dropped.field(name);
    }
}

fn write_talk(talk: &Talk<'_, '_>, blocks: &mut Blocks<'_>, o: &mut ObjectWriter<'_>) {
    if !talk.system.is_empty() {
        o.array("system", |a| {
            for part in &talk.system {
                blocks.write(part, false, a);
            }
        });
    }
    o.array("messages", |a| {
        for (at, turn) in talk.turns.iter().enumerate() {
            let is_last = at + 1 == talk.turns.len();
            a.object(|o| {
                o.text("role", if turn.is_user { "user" } else { "assistant" });
                o.array("content", |a| {
                    for (at, part) in turn.parts.iter().enumerate() {
                        // What the model shall go on with must not end with a space.
                        let trims = is_last && !turn.is_user && at + 1 == turn.parts.len();
                        blocks.write(part, trims, a);
                    }
                    if turn.lacks_text() {
                        a.object(|o| o.text("text", FILLER));
                    }
                });
            });
        }
    });
}

fn write_inference(chat: &Chat<'_>, plan: &Plan<'_>, o: &mut ObjectWriter<'_>) {
    let stops: Vec<_> = chat.stop.iter().filter(|stop| !stop.is_empty()).collect();
    if plan.max_output.is_none() && plan.temperature.is_none() && plan.top_p.is_none() && stops.is_empty() {
        return;
    }
    o.object("inferenceConfig", |o| {
        o.number_if("maxTokens", plan.max_output);
        o.raw_if("temperature", plan.temperature);
        o.raw_if("topP", plan.top_p);
        if !stops.is_empty() {
            o.array("stopSequences", |a| stops.iter().for_each(|stop| a.text(stop)));
        }
    });
}

fn write_metadata(chat: &Chat<'_>, o: &mut ObjectWriter<'_>, dropped: &mut Dropped) {
    let (most, longest) = MOST_METADATA;
    let is_legal = |text: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || " :_@$#=/+,-.".contains(c);
        text.len() <= longest && text.chars().all(known)
    };
    let legal = chat.metadata.iter().filter(|(key, value)| !key.is_empty() && is_legal(key) && is_legal(value));
    let legal: Vec<_> = legal.take(most).collect();
    if legal.len() < chat.metadata.len() {
        dropped.field("metadata");
    }
    if !legal.is_empty() {
        o.object("requestMetadata", |o| legal.iter().for_each(|(key, value)| o.text(key, value)));
    }
}

/// The tier, in whichever API's word it was asked for.
fn tier_of(chat: &Chat<'_>, dropped: &mut Dropped) -> Option<&'static str> {
    match chat.service_tier.as_deref()? {
        // Which of them is left to the provider.
        "auto" => None,
        "default" | "standard" | "standard_only" => Some("default"),
        "priority" => Some("priority"),
        "flex" => Some("flex"),
        "reserved" => Some("reserved"),
        _ => {
            dropped.field("service_tier");
            None
        }
    }
}

fn write_output(chat: &Chat<'_>, plan: &Plan<'_>, family: Family, o: &mut ObjectWriter<'_>, dropped: &mut Dropped) {
    let format = match &chat.output {
        Some(OutputFormat::Schema { name, description, schema, .. }) if family.is_structured() => {
            Some((name, description, schema::closed(schema, "response_format.json_schema.schema.", dropped)))
        }
        Some(OutputFormat::Schema { .. } | OutputFormat::Json) => {
            dropped.field("response_format");
            None
        }
        Some(OutputFormat::Text) | None => None,
    };
    if format.is_none() && plan.effort.is_none() {
        return;
    }
    o.object("outputConfig", |o| {
        if let Some((name, description, schema)) = format {
            o.object("textFormat", |o| {
                o.text("type", "json_schema");
                o.object("structure", |o| {
                    o.object("jsonSchema", |o| {
                        o.text("schema", &schema);
                        o.text_if("name", name.as_deref());
                        o.text_if("description", description.as_deref());
                    });
                });
            });
        }
        o.text_if("effort", plan.effort);
    });
}

/// The tools, and which of them must be called.
struct Tools<'c, 'a> {
    tools: Vec<&'c Tool<'a>>,
    /// Those that are called in the talk, for where none are given.
    called: Vec<&'c str>,
    choice: Option<&'c ToolChoice<'a>>,
}

// === impl Tools ===

impl<'c, 'a> Tools<'c, 'a> {
    fn of(chat: &'c Chat<'a>) -> Self {
        let among: Option<HashSet<&str>> = match &chat.tool_choice {
            Some(ToolChoice::Among { names, .. }) => Some(names.iter().map(|name| &**name).collect()),
            _ => None,
        };
        let wanted = |tool: &&Tool<'_>| among.as_ref().is_none_or(|names| names.contains(&*tool.name));
        let mut seen = HashSet::new();
        let mut called = Vec::new();
        for part in chat.turns.iter().flat_map(|turn| &turn.parts) {
            if let Content::ToolCall(call) = &part.content
                && seen.insert(&*call.name)
            {
                called.push(&*call.name);
            }
        }
        Tools { tools: chat.tools.iter().filter(wanted).collect(), called, choice: chat.tool_choice.as_ref() }
    }

    /// Calls and results are refused where no tools are given. So tools stay where none may be called, and
    /// where the client gives none, those that were called are told by their names.
    fn write(
        &self,
        talk: &Talk<'_, '_>,
        plan: &Plan<'_>,
        family: Family,
        marks: &mut Marks,
        o: &mut ObjectWriter<'_>,
        dropped: &mut Dropped,
    ) {
        let forbidden = self.choice == Some(&ToolChoice::None);
        if !talk.has_tools && (forbidden || self.tools.is_empty()) {
            return;
        }
        if forbidden {
            dropped.field("tool_choice");
        }
        o.object("toolConfig", |o| {
            o.array("tools", |a| {
                for tool in &self.tools {
                    write_tool(&tool.name, tool, family, a, dropped);
                    marks.write(tool.cache, a);
                }
                if a.is_empty() {
                    let called = if self.called.is_empty() { &["tool"][..] } else { &self.called };
                    called.iter().for_each(|name| write_tool(name, &Tool::default(), family, a, dropped));
                }
            });
            if self.tools.is_empty() || plan.chooses() {
                return;
            }
            let mut chosen = None;
            let choice = match self.choice {
                None | Some(ToolChoice::None) => return,
                // Few models have a word for what all of them do.
                Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => {
                    if !family.is_rich_in_tools() {
                        return;
                    }
                    "auto"
                }
                Some(_) if !family.can_be_forced() => return dropped.field("tool_choice"),
                Some(ToolChoice::Required | ToolChoice::Among { .. }) => "any",
                Some(ToolChoice::Named(name)) => {
                    chosen = Some(&**name);
                    "tool"
                }
            };
            o.object("toolChoice", |o| o.object(choice, |o| o.text_if("name", chosen)));
        });
    }
}

fn write_tool(name: &str, tool: &Tool<'_>, family: Family, a: &mut ArrayWriter<'_>, dropped: &mut Dropped) {
    a.object(|o| {
        o.object("toolSpec", |o| {
            o.text("name", name);
            o.text_if("description", tool.description.as_deref().filter(|text| !text.trim().is_empty()));
            let mut schema = schema_of(tool.parameters.as_deref().unwrap_or_default());
            let is_strict = tool.strict == Some(true) && family.is_structured();
            if is_strict {
                let closed = schema::closed(&schema, "tools[].function.parameters.", dropped).into_owned();
                schema = Cow::Owned(closed);
            }
            o.object("inputSchema", |o| o.raw("json", &schema));
            if is_strict {
                o.flag("strict", true);
            } else if tool.strict == Some(true) {
                dropped.field("tools[].function.strict");
            }
        });
    });
}

/// A schema that says of itself that it is an object's, as the API wants it.
fn schema_of(schema: &str) -> Cow<'_, str> {
    const NOTHING: &str = r#"{"type":"object","properties":{}}"#;
    let schema = schema.trim();
    let Ok(members) = json::object(schema.as_bytes()) else { return Cow::Borrowed(NOTHING) };
    if members.is_empty() {
        return Cow::Borrowed(NOTHING);
    }
    match members.iter().any(|member| member.key == "type") {
        true => Cow::Borrowed(schema),
        false => Cow::Owned(["{\"type\":\"object\",", schema.get(1..).unwrap_or_default()].concat()),
    }
}
