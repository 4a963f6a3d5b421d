//! A whole request to a chat model, in no wire format: what a reader of one makes, and a writer of
//! another one spells.

use std::borrow::Cow;
use std::collections::HashMap;

use super::part::{CacheMark, Content, Part};

/// One request. What no field here can hold was named in [`super::Dropped`] by the reader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chat<'a> {
    /// The model name that leaves.
    pub model: Cow<'a, str>,
    pub stream: bool,
    /// The client asked for a usage event in its stream.
    pub stream_usage: bool,
    /// In their order. No two neighbours have the same role, but for [`Role::System`] and
    /// [`Role::Developer`].
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether the model may want several functions called at once.
    pub parallel_tools: Option<bool>,
    pub output: Option<OutputFormat<'a>>,
    pub reasoning: Option<Reasoning>,
    /// The bound on output tokens, reasoning included.
    pub max_output: Option<u64>,
    pub stop: Vec<Cow<'a, str>>,
    pub sampling: Sampling<'a>,
    pub logprobs: Option<bool>,
    /// How many alternatives of each token are told, beside it.
    pub top_logprobs: Option<u64>,
    /// How many answers are asked for; none for one.
    pub choices: Option<u64>,
    pub metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The end user, in whatever name (`user`, `safety_identifier`, `metadata.user_id`).
    pub user: Option<Cow<'a, str>>,
    /// As the client's API spells it.
    pub service_tier: Option<Cow<'a, str>>,
    /// OpenAI's `prompt_cache_key`.
    pub cache_key: Option<Cow<'a, str>>,
    /// The provider shall keep the answer (OpenAI).
    pub store: Option<bool>,
    /// How much shall be said: `low`, `medium`, `high` (OpenAI).
    pub verbosity: Option<Cow<'a, str>>,
    /// The answer shall have sound, too.
    pub audio: Option<AudioOut<'a>>,
    /// The answer may have images, too (Gemini `responseModalities`, OpenRouter `modalities`).
    pub images: bool,
}

/// What one side said at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    pub role: Role,
    pub parts: Vec<Part<'a>>,
    /// Who of several speakers it is (OpenAI's `name`).
    pub name: Option<Cow<'a, str>>,
}

/// Who says it. What a function returned is said by the user, as [`Content::ToolResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    System,
    /// OpenAI's newer word for it.
    Developer,
    User,
    Assistant,
}

/// A function that may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    /// A JSON Schema, as it was written where it was written as one; none for a function without parameters.
    pub parameters: Option<Cow<'a, str>>,
    /// The arguments must keep to the schema.
    pub strict: Option<bool>,
    /// It takes a text and no parameters (OpenAI's custom tools): the text's `format` as JSON, `{}` where nothing
    /// is said of it. Its calls have that text as `input`, their one argument.
    pub custom: Option<Cow<'a, str>>,
    pub cache: Option<CacheMark>,
}

/// Whether and which functions are to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    /// Some function must be called.
    Required,
    Named(Cow<'a, str>),
    /// One of these functions: must be, or else may be.
    Among {
        names: Vec<Cow<'a, str>>,
        required: bool,
    },
}

/// The form that the answer must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputFormat<'a> {
    Text,
    /// Some JSON object.
    Json,
    Schema {
        name: Option<Cow<'a, str>>,
        description: Option<Cow<'a, str>>,
        /// A JSON Schema, as it was written where it was written as one.
        schema: Cow<'a, str>,
        strict: Option<bool>,
    },
}

/// How much the model shall think, and what of it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// False: not at all. None: not said, or follows from the rest.
    pub enabled: Option<bool>,
    pub effort: Option<Effort>,
    /// Tokens of it.
    pub budget: Option<u64>,
    /// The model chooses how much (Anthropic `adaptive`, Gemini `thinkingBudget: -1`).
    pub dynamic: bool,
    /// It shall be told: Gemini `includeThoughts`, OpenAI `reasoning.summary`.
    pub tell: Option<Tell>,
}

/// What is told of the reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    Nothing,
    /// As much as there is.
    Auto,
    Concise,
    Detailed,
}

/// The words of OpenAI and of Anthropic, which has no `minimal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

/// Numbers as they were written, so that none loses a digit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampling<'a> {
    pub temperature: Option<&'a str>,
    pub top_p: Option<&'a str>,
    pub top_k: Option<&'a str>,
    pub min_p: Option<&'a str>,
    pub seed: Option<&'a str>,
    pub presence_penalty: Option<&'a str>,
    pub frequency_penalty: Option<&'a str>,
    /// OpenAI's object of token numbers.
    pub logit_bias: Option<&'a str>,
}

/// The sound of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioOut<'a> {
    pub voice: Option<Cow<'a, str>>,
    /// `wav`, `mp3`, `pcm16`.
    pub format: Option<Cow<'a, str>>,
}

// === impl Chat ===

impl<'a> Chat<'a> {
    /// Adds what `role` said. Where the turn before it is the same side's, it goes on with that one: most
    /// APIs want the sides to take turns.
    pub fn say(&mut self, role: Role, parts: impl IntoIterator<Item = Part<'a>>) {
        match self.turns.last_mut() {
            Some(last) if last.role == role && last.name.is_none() && role.is_side() => last.parts.extend(parts),
            _ => self.turns.push(Turn { role, parts: parts.into_iter().collect(), name: None }),
        }
    }

    /// Everything that was said by no side, in order: what APIs with one place for it put there.
    pub fn instructions(&self) -> impl Iterator<Item = &Part<'a>> {
        self.turns.iter().filter(|turn| !turn.role.is_side()).flat_map(|turn| &turn.parts)
    }

    /// What the sides said.
    pub fn talk(&self) -> impl Iterator<Item = &Turn<'a>> {
        self.turns.iter().filter(|turn| turn.role.is_side())
    }

    /// True when instructions stand behind the first word of a side, where a single place in front of all
    /// changes their order.
    pub fn has_late_instructions(&self) -> bool {
        self.turns.iter().skip_while(|turn| !turn.role.is_side()).any(|turn| !turn.role.is_side())
    }

    /// Says of each function result whose it is, for APIs that tell by the name and not by the id.
    pub fn name_results(&mut self) {
        let mut names: HashMap<String, Cow<'a, str>> = HashMap::new();
        for part in self.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
            match &mut part.content {
                Content::ToolCall(call) if !call.id.is_empty() => {
                    names.insert(call.id.to_string(), call.name.clone());
                }
                Content::ToolResult(result) if result.name.is_none() => {
                    result.name = names.get(&*result.id).cloned();
                }
                _ => {}
            }
        }
    }
}

// === impl Role ===

impl Role {
    /// The user and the assistant are the two sides of a talk.
    pub fn is_side(self) -> bool {
        matches!(self, Role::User | Role::Assistant)
    }
}

// === impl Effort ===

impl Effort {
    pub const ALL: [Effort; 6] =
        [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::XHigh, Effort::Max];

    pub fn as_str(self) -> &'static str {
        match self {
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        }
    }

    pub fn read(word: &str) -> Option<Effort> {
        Effort::ALL.into_iter().find(|effort| effort.as_str() == word)
    }

    /// The tokens that stand for it where an API counts them. Low, medium and high are those of Google's
    /// OpenAI-compatible API (Gemini API, "OpenAI compatibility", 2025); the ends are ours.
    pub fn budget(self) -> u64 {
        match self {
            Effort::Minimal => 512,
            Effort::Low => 1_024,
            Effort::Medium => 8_192,
            Effort::High => 24_576,
            Effort::XHigh => 32_768,
            Effort::Max => 65_536,
        }
    }

    /// The least effort whose budget is not below this one. All that there is must be asked for by its word.
    pub fn of_budget(tokens: u64) -> Effort {
        let below = |effort: &Effort| effort.budget() >= tokens;
        Effort::ALL.into_iter().find(below).unwrap_or(Effort::XHigh).min(Effort::XHigh)
    }
}

// === impl Reasoning ===

impl Reasoning {
    /// How much effort is asked for, by whichever word.
    pub fn effort(&self) -> Option<Effort> {
        self.effort.or_else(|| self.budget.map(Effort::of_budget))
    }

    /// How many tokens are asked for, by whichever word.
    pub fn budget(&self) -> Option<u64> {
        self.budget.or_else(|| self.effort.map(Effort::budget))
    }

    /// It is asked for that the model does not think.
    pub fn is_off(&self) -> bool {
        self.enabled == Some(false) || self.budget == Some(0)
    }

    /// It is told to think, or how much.
    pub fn is_asked(&self) -> bool {
        !self.is_off() && (self.enabled == Some(true) || self.dynamic || self.effort.is_some() || self.budget.is_some())
    }
}
