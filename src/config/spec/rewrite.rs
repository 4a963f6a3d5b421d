//! `parameters` and `prompt` of an LLMRoute's rule: what is changed in the calls that it matches.

use std::collections::HashSet;

use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Keyed, Most, Rule, Shape, may, need};
use super::super::text;
use super::super::value;
use crate::wire::rewrite::{Action, Changes, Message, Parameter, Prompt, Role};

pub(super) const PARAMETERS: Fields = Fields {
    rows: &[
        may("defaults", JSONS, "Parameters of calls that do not say them."),
        may("overrides", JSONS, "Parameters of every call, whatever it says."),
        may(
            "remove",
            Shape::List { item: &Shape::Text(&text::PARAMETER), least: 0, most: Most::Stored(64), keyed: Keyed::Set },
            "Parameters that do not leave.",
        ),
        may(
            "maxOutputTokens",
            Shape::Whole { least: 1, most: MAX_OUTPUT },
            "The most tokens that an answer may have, in the dialect's own field.",
        ),
    ],
    rules: &[Rule::Says],
};
/// Parameters and their values.
const JSONS: Shape = Shape::Map { key: &text::PARAMETER, value: &Shape::Json, most: Most::Stored(64) };
pub(super) const PROMPT: Fields = Fields {
    rows: &[
        may("prepend", MESSAGES, "Messages before those of the caller."),
        may("append", MESSAGES, "Messages after those of the caller."),
    ],
    rules: &[Rule::Says],
};
const MESSAGES: Shape =
    Shape::List { item: &Shape::Object(&MESSAGE), least: 0, most: Most::Stored(16), keyed: Keyed::No };
const MESSAGE: Fields = Fields::of(&[
    need("role", Shape::Word(&ROLES), "Who says it."),
    need("content", Shape::Text(&text::PROSE), "What is said."),
]);
const ROLES: &[(&str, Option<Role>)] = &[
    ("system", Some(Role::System)),
    ("developer", Some(Role::Developer)),
    ("user", Some(Role::User)),
    ("assistant", Some(Role::Assistant)),
];

/// The largest bound on output; no model writes as much at once.
const MAX_OUTPUT: u64 = 1_000_000_000;

/// Fields of a request that are no parameters, and what is said instead.
pub(in super::super) const NOT_PARAMETERS: &[(&[&str], &str)] = &[
    (&["model"], "say the model that leaves in `backends[].model`"),
    (&["stream", "stream_options", "background"], "how the answer comes is the caller's choice"),
    (
        &[
            "messages",
            "input",
            "prompt",
            "system",
            "instructions",
            "contents",
            "systeminstruction",
            "system_instruction",
        ],
        "what the model is told goes into `prompt`",
    ),
    (&["max_tokens", "max_completion_tokens", "max_output_tokens"], "say `maxOutputTokens`"),
];

/// What a rule changes; none if it says nothing of it.
pub(super) fn read_changes(rule: &Object<'_>) -> Option<Changes> {
    let mut changes = Changes::default();
    if let Some(parameters) = rule.get("parameters") {
        read_parameters(&parameters, &mut changes);
    }
    if let Some(prompt) = rule.get("prompt") {
        changes.prompt = read_prompt(&prompt).unwrap_or_default();
    }
    (!changes.is_empty()).then_some(changes)
}

fn read_parameters(reader: &Reader<'_>, changes: &mut Changes) -> Option<()> {
    let object = reader.object(&PARAMETERS)?;
    if object.is_empty() {
        object.at().error("says nothing: give it a field or leave it out");
    }
    let mut seen = HashSet::new();
    for field in ["defaults", "overrides"] {
        let action = if field == "defaults" { Action::Default } else { Action::Override };
        let entries = object.get(field).and_then(|field| field.entries());
        for (name, value) in entries.unwrap_or_default() {
            let json = value.json();
            if is_parameter(name, &value, &mut seen)
                && let Some(json) = json
            {
                changes.parameters.push(Parameter { name: name.to_owned(), action: action(json) });
            }
        }
    }
    let removed = object.get("remove").and_then(|list| {
        list.list_or_empty(|field| {
            let name = field.text().filter(|name| is_parameter(name, &field, &mut seen))?;
            Some(Parameter { name: name.to_owned(), action: Action::Remove })
        })
    });
    changes.parameters.extend(removed.unwrap_or_default());
    let most = object.get("maxOutputTokens");
    changes.max_output = most.and_then(|most| most.whole(value::quantity, 1, MAX_OUTPUT));
    Some(())
}

/// Whether a rule may act on this field of a request, and does so once.
fn is_parameter(name: &str, field: &Reader<'_>, seen: &mut HashSet<String>) -> bool {
    let folded = name.to_ascii_lowercase();
    let other = NOT_PARAMETERS.iter().find(|(names, _)| names.contains(&folded.as_str()));
    if let Some((_, instead)) = other {
        field.error(format_args!("cannot be set or removed here; {instead}"));
    } else if name.is_empty() {
        field.error("the name of a parameter is empty");
        // `max_tokens` and `maxTokens` are one field to Google.
    } else if !seen.insert(folded.replace('_', "")) {
        field.error("is named twice in these `parameters`");
    } else {
        return true;
    }
    false
}

fn read_prompt(reader: &Reader<'_>) -> Option<Prompt> {
    let object = reader.object(&PROMPT)?;
    if object.is_empty() {
        object.at().error("says nothing: give it `prepend` or `append`, or leave it out");
    }
    let messages = |name| object.get(name).and_then(|list| list.list_or_empty(|item| read_message(&item)));
    Some(Prompt::new(&messages("prepend").unwrap_or_default(), &messages("append").unwrap_or_default()))
}

fn read_message(reader: &Reader<'_>) -> Option<Message> {
    let object = reader.object(&MESSAGE)?;
    let role = object.need("role").and_then(|role| role.word(ROLES));
    let content = object.need("content").and_then(|content| content.text());
    Some(Message { role: role?, content: content?.to_owned() })
}
