//! What Converse demands of a request beyond its types (`bedrock.types`): the order of turns, which block
//! stands in whose turn, that every call has its result, names and ids, documents, base64.
//!
//! Sources: `Message`, `DocumentBlock` and `ToolConfiguration` in the API reference of Bedrock Runtime, with
//! the patterns of its service model, and the words of `ValidationException` as Bedrock says them.

use serde_json::Value;

/// Whose turns may hold a block; others may stand in both.
const PLACES: &[(&str, &str)] = &[
    ("image", "user"),
    ("document", "user"),
    ("video", "user"),
    ("audio", "user"),
    ("toolResult", "user"),
    ("searchResult", "user"),
    ("guardContent", "user"),
    ("toolUse", "assistant"),
    ("reasoningContent", "assistant"),
    ("citationsContent", "assistant"),
];

const MOST_IMAGES: usize = 20;
const MOST_DOCUMENTS: usize = 5;
const MOST_STOPS: usize = 2500;
const LONGEST_NAME: usize = 64;
const LONGEST_DOCUMENT_NAME: usize = 200;

/// The first rule that `request` breaks, as a sentence. Its types have been checked.
pub(super) fn check(request: &Value) -> Result<(), String> {
    let messages = list(&request["messages"]);
    turns(messages)?;
    for (number, message) in messages.iter().enumerate() {
        blocks(number, message)?;
    }
    calls(messages, request.get("toolConfig").is_some())?;
    tools(&request["toolConfig"])?;
    blobs(&request["messages"])?;
    rest(request)
}

/// The elements of a list; none of anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The name and the value of a union's only member.
pub(super) fn member(value: &Value) -> (&str, &Value) {
    let first = value.as_object().and_then(|members| members.iter().next());
    first.map_or(("", &Value::Null), |(name, value)| (name, value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise()) }
}

fn turns(messages: &[Value]) -> Result<(), String> {
    let roles: Vec<&str> = messages.iter().map(|message| text(&message["role"])).collect();
    holds(roles.first() == Some(&"user"), || {
        "A conversation must start with a user message. Try again with a conversation that starts with a user message."
            .into()
    })?;
    holds(roles.windows(2).all(|pair| pair[0] != pair[1]), || {
        "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between \
         user and assistant roles and try again."
            .into()
    })
}

fn blocks(number: usize, message: &Value) -> Result<(), String> {
    let (role, content) = (text(&message["role"]), list(&message["content"]));
    for (index, block) in content.iter().enumerate() {
        let at = format!("messages.{number}.content.{index}");
        let (kind, value) = member(block);
        let place = PLACES.iter().find(|(known, _)| *known == kind);
        holds(place.is_none_or(|(_, who)| *who == role), || {
            format!("The {kind} block at {at} is not allowed in a message of the role {role}.")
        })?;
        match kind {
            "text" => holds(!text(value).trim().is_empty(), || {
                format!(
                    "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
                )
            })?,
            "document" => document(&at, value)?,
            "toolUse" => {
                identifier(&format!("{at}.toolUse.toolUseId"), &value["toolUseId"], "_.:-")?;
                identifier(&format!("{at}.toolUse.name"), &value["name"], "_-")?;
            }
            "toolResult" => {
                identifier(&format!("{at}.toolResult.toolUseId"), &value["toolUseId"], "_.:-")?;
                let documents = list(&value["content"]).iter().filter_map(|part| part.get("document"));
                documents.into_iter().try_for_each(|value| document(&at, value))?;
            }
            _ => {}
        }
    }
    let count = |kind: &str| content.iter().filter(|block| member(block).0 == kind).count();
    holds(count("image") <= MOST_IMAGES, || format!("messages.{number} has more than {MOST_IMAGES} images."))?;
    holds(count("document") <= MOST_DOCUMENTS, || {
        format!("messages.{number} has more than {MOST_DOCUMENTS} documents.")
    })?;
    holds(count("document") == 0 || count("text") > 0, || {
        format!("messages.{number} has a document and therefore must have a text as well.")
    })
}

fn document(at: &str, document: &Value) -> Result<(), String> {
    let name = text(&document["name"]);
    let plain = |c: char| c.is_ascii_alphanumeric() || c.is_whitespace() || "-()[]".contains(c);
    let twice = name.chars().zip(name.chars().skip(1)).any(|(one, next)| one.is_whitespace() && next.is_whitespace());
    holds(name.chars().all(plain) && !twice && name.chars().count() <= LONGEST_DOCUMENT_NAME, || {
        format!(
            "The document file name at {at} can only contain alphanumeric characters, whitespace characters, hyphens, \
             parentheses, and square brackets. The name can't contain more than one consecutive whitespace character."
        )
    })
}

/// A name or id: 1 to 64 letters, digits and `others`.
fn identifier(at: &str, value: &Value, others: &str) -> Result<(), String> {
    let name = text(value);
    let plain = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    holds(name.chars().all(plain) && (1..=LONGEST_NAME).contains(&name.len()), || {
        format!(
            "1 validation error detected: Value '{name}' at '{at}' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z0-9{others}]+ and have length less than or equal to {LONGEST_NAME}"
        )
    })
}

/// Every call of a turn is answered in the next, and nothing else is.
fn calls(messages: &[Value], configured: bool) -> Result<(), String> {
    let ids = |message: &Value, kind: &str| -> Vec<String> {
        let blocks = list(&message["content"]).iter().filter_map(|block| block.get(kind));
        blocks.map(|block| text(&block["toolUseId"]).to_owned()).collect()
    };
    let mut open: Vec<String> = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let results = ids(message, "toolResult");
        let missing: Vec<&str> = open.iter().filter(|id| !results.contains(id)).map(String::as_str).collect();
        holds(missing.is_empty(), || {
            format!(
                "Expected toolResult blocks at messages.{number}.content for the following Ids: {}",
                missing.join(", ")
            )
        })?;
        holds(results.len() == open.len(), || {
            format!(
                "The number of toolResult blocks at messages.{number}.content exceeds the number of toolUse blocks of previous turn."
            )
        })?;
        open = ids(message, "toolUse");
        holds(configured || (open.is_empty() && results.is_empty()), || {
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.".into()
        })?;
        let twice = open.iter().enumerate().any(|(at, id)| open.iter().take(at).any(|other| other == id));
        holds(!twice, || format!("messages.{number}.content has two toolUse blocks of one toolUseId."))?;
    }
    holds(open.is_empty(), || {
        format!(
            "Expected toolResult blocks at messages.{}.content for the following Ids: {}",
            messages.len(),
            open.join(", ")
        )
    })
}

fn tools(config: &Value) -> Result<(), String> {
    let mut names: Vec<&str> = Vec::new();
    for (index, tool) in list(&config["tools"]).iter().enumerate() {
        let (kind, spec) = member(tool);
        if kind == "cachePoint" {
            continue;
        }
        let at = format!("toolConfig.tools.{index}.{kind}");
        identifier(&format!("{at}.name"), &spec["name"], "_-")?;
        let name = text(&spec["name"]);
        holds(!names.contains(&name), || {
            format!("The tool {name} is defined more than once. Tool names must be unique.")
        })?;
        names.push(name);
        holds(kind != "toolSpec" || spec["inputSchema"]["json"]["type"] == "object", || {
            format!("The value at {at}.inputSchema.json.type must be one of the following: object.")
        })?;
    }
    holds(config.is_null() || !names.is_empty(), || "toolConfig.tools has no tool.".into())?;
    let chosen = config["toolChoice"]["tool"]["name"].as_str();
    holds(chosen.is_none_or(|name| names.contains(&name)), || {
        "The tool of toolConfig.toolChoice is not among toolConfig.tools.".into()
    })
}

/// Every `bytes` and `redactedContent` is base64; what is JSON of the caller's own is left alone.
fn blobs(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(blobs),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| match (name.as_str(), value) {
            ("bytes" | "redactedContent", Value::String(text)) => {
                holds(is_base64(text), || format!("The value of {name} is not base64."))
            }
            ("input" | "json", _) => Ok(()),
            _ => blobs(value),
        }),
        _ => Ok(()),
    }
}

/// Standard base64 with its padding, and some of it.
pub(super) fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
    !digits.is_empty() && text.len().is_multiple_of(4) && padding <= 2 && digits.bytes().all(plain)
}

/// The members besides messages and tools.
fn rest(request: &Value) -> Result<(), String> {
    holds(list(&request["inferenceConfig"]["stopSequences"]).len() <= MOST_STOPS, || {
        format!("inferenceConfig.stopSequences has more than {MOST_STOPS} elements.")
    })?;
    let paths = list(&request["additionalModelResponseFieldPaths"]);
    holds(
        paths.len() <= 10 && paths.iter().all(|path| text(path).starts_with('/') && text(path).len() <= 256),
        || "additionalModelResponseFieldPaths must be at most 10 JSON pointers.".into(),
    )?;
    let guardrail = &request["guardrailConfig"];
    holds(guardrail["guardrailIdentifier"].is_null() == guardrail["guardrailVersion"].is_null(), || {
        "guardrailConfig needs both guardrailIdentifier and guardrailVersion.".into()
    })?;
    if let Some(metadata) = request["requestMetadata"].as_object() {
        let plain = |text: &str| {
            text.len() <= 256 && text.chars().all(|c| c.is_ascii_alphanumeric() || " :_@$#=/+,-.".contains(c))
        };
        let pair =
            |(name, value): (&String, &Value)| !name.is_empty() && plain(name) && value.as_str().is_some_and(plain);
        holds((1..=16).contains(&metadata.len()) && metadata.iter().all(pair), || {
            "requestMetadata must be 1 to 16 pairs of plain text of at most 256 characters.".into()
        })?;
    }
    let schema = request["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"].as_str();
    let object = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|schema| schema.is_object());
    holds(schema.is_none_or(object), || "The value of outputConfig's jsonSchema.schema is not a JSON schema.".into())
}
