//! What is not looked for, and what is not kept: each with its reason.

use super::Rule;
use crate::base::json::tree::Value;
use crate::base::json::{Kind, Tree};
use crate::base::money::Multiplier;
use crate::llm::part::Content;
use crate::llm::{Call, Finish, Format, Reply};

/// Why a call and the cache have not met, or why its answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The caller has no name at the rule's scope.
    NoScope,
    /// Answers to this kind of call are not kept.
    Operation,
    /// The call wants more chance than the rule allows.
    Temperature,
    /// The answer depends on what the provider holds or finds, or does something there.
    Stateful,
    /// The body is none that can be read.
    Unreadable,
    /// The caller asked for it, and may.
    Asked,
    /// The caller asked for its answer not to be kept.
    NoStore,
    /// The answer failed, or was cut.
    Incomplete,
    /// The answer says what cannot be said again.
    Lossy,
    ToolCalls,
    /// The provider kept something back, or took a pause.
    Unfinished,
    /// It is larger than what is kept.
    TooLarge,
    /// It came from another backend than the one that was asked for.
    OtherBackend,
    /// The caller's own key decides at the provider what it may have.
    OwnKey,
    /// The rule keeps nothing.
    NotKept,
}

/// Members that turn something on by being there: `{}` is a search with what its API takes where nothing is said.
const SWITCHES: &[&str] = &["search_parameters", "web_search_options"];

/// Members of a body by which its answer depends on more than on the body: hosted search and servers of tools, and
/// conversations that the provider holds. By API, as of 2026: OpenAI `web_search_options`, `previous_response_id`,
/// `conversation`, `prompt` (a template that may change), `background`; Anthropic `mcp_servers`, `container`; xAI
/// `search_parameters`; OpenRouter `plugins`; Qwen `enable_search`; Cohere `connectors`, `conversation_id`.
const STATE: &[&str] = &[
    "background",
    "connectors",
    "container",
    "conversation",
    "conversation_id",
    "enable_search",
    "mcp_servers",
    "plugins",
    "previous_response_id",
    "prompt",
    "search_parameters",
    "web_search_options",
];

// === impl Reason ===

impl Reason {
    pub const ALL: [Reason; 15] = [
        Reason::NoScope,
        Reason::Operation,
        Reason::Temperature,
        Reason::Stateful,
        Reason::Unreadable,
        Reason::Asked,
        Reason::NoStore,
        Reason::Incomplete,
        Reason::Lossy,
        Reason::ToolCalls,
        Reason::Unfinished,
        Reason::TooLarge,
        Reason::OtherBackend,
        Reason::OwnKey,
        Reason::NotKept,
    ];

    /// The word in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoScope => "no_scope",
            Reason::Operation => "operation",
            Reason::Temperature => "temperature",
            Reason::Stateful => "stateful",
            Reason::Unreadable => "unreadable",
            Reason::Asked => "asked",
            Reason::NoStore => "no_store",
            Reason::Incomplete => "incomplete",
            Reason::Lossy => "lossy",
            Reason::ToolCalls => "tool_calls",
            Reason::Unfinished => "unfinished",
            Reason::TooLarge => "too_large",
            Reason::OtherBackend => "other_backend",
            Reason::OwnKey => "own_key",
            Reason::NotKept => "not_kept",
        }
    }

    /// It in words, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Reason::NoScope => "the caller has no name at the scope of the policy",
            Reason::Operation => "answers to this kind of call are not kept",
            Reason::Temperature => {
                "the call wants more chance than maxTemperature allows (it is 1 where nothing is said)"
            }
            Reason::Stateful => "the answer depends on what the provider holds, finds or runs by itself",
            Reason::Unreadable => "the body cannot be read",
            Reason::Asked => "the caller asked for it, and may",
            Reason::NoStore => "the caller asked for its answer not to be kept",
            Reason::Incomplete => "the answer failed, or was cut",
            Reason::Lossy => "the answer says what cannot be said again",
            Reason::ToolCalls => "the answer calls tools",
            Reason::Unfinished => "the provider kept something back, or took a pause",
            Reason::TooLarge => "the answer is larger than what is kept",
            Reason::OtherBackend => "the answer came from another backend than the one that was asked for",
            Reason::OwnKey => "the caller's own key decides at the provider what it may have",
            Reason::NotKept => "the policy keeps nothing",
        }
    }
}

/// Whether the temperature of a call is one that a rule answers from memory. Where a call says none it is 1, which is
/// the default of every API here.
pub fn is_cool(rule: &Rule, temperature: Option<&str>) -> bool {
    let Some(most) = rule.exact.as_ref().and_then(|exact| exact.max_temperature) else { return true };
    match temperature {
        None => Multiplier::ONE <= most,
        // What is no decimal number of a sensible length is no temperature either.
        Some(text) => text.parse::<Multiplier>().is_ok_and(|temperature| temperature <= most),
    }
}

/// Whether the answer to a body depends on nothing but it, as far as can be told.
pub fn is_pure(call: &Call, body: &Tree<'_>, format: Format) -> bool {
    let root = body.root();
    let says = |name: &str| root.get(name).filter(|value| value.kind() != Kind::Null && value.flag() != Some(false));
    let stateful = |name: &&str| says(name).is_some_and(|value| !value.is_empty() || SWITCHES.contains(name));
    !call.background && !STATE.iter().any(stateful) && !has_hosted_tools(root, format)
}

/// Whether there are tools that the provider runs by itself: their results change with the world.
fn has_hosted_tools(body: Value<'_, '_>, format: Format) -> bool {
    let is_own = |tool: Value<'_, '_>, kinds: &[&str]| {
        let kind = tool.get("type").and_then(Value::text);
        kind.is_none_or(|kind| kinds.contains(&&*kind))
    };
    let mut tools = body.get("tools").into_iter().flat_map(Value::elements);
    match format {
        Format::Chat | Format::Responses | Format::Cohere | Format::Ollama => {
            tools.any(|tool| !is_own(tool, &["function", "custom"]))
        }
        Format::Messages => tools.any(|tool| !is_own(tool, &["custom"])),
        Format::Gemini => tools.any(|tool| {
            tool.members().any(|(key, _)| !matches!(&*key, "functionDeclarations" | "function_declarations"))
        }),
        Format::Converse => {
            let tools = body.get("toolConfig").and_then(|config| config.get("tools"));
            tools
                .into_iter()
                .flat_map(Value::elements)
                .any(|tool| tool.members().any(|(key, _)| !matches!(&*key, "toolSpec" | "cachePoint")))
        }
    }
}

/// Why an answer that is complete and successful is not kept; none where it is. In this order: what the provider
/// cut, what calls tools, what is too large.
pub fn refusal(rule: &Rule, reply: &Reply, encoded: usize, room: u64) -> Option<Reason> {
    let finishes = || reply.choices.iter().map(|choice| choice.finish);
    if reply.choices.is_empty() || finishes().any(|finish| finish.is_none()) {
        return Some(Reason::Incomplete);
    }
    if finishes().any(|finish| matches!(finish, Some(Finish::ContentFilter | Finish::Refusal | Finish::Pause))) {
        return Some(Reason::Unfinished);
    }
    let calls = || reply.choices.iter().flat_map(|choice| &choice.parts);
    if !rule.keeps_tool_calls() && calls().any(|part| matches!(part.content, Content::ToolCall(_))) {
        return Some(Reason::ToolCalls);
    }
    let most = rule.exact.as_ref().and_then(|exact| exact.max_entry).map_or(room, |most| most.min(room));
    (encoded as u64 > most).then_some(Reason::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let mut words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
