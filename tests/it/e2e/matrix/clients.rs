//! The clients: each a script around an official SDK, and how that SDK tells of errors.

/// One SDK in one dialect.
pub struct Client {
    pub name: &'static str,
    script: &'static str,
    /// The model that its own provider is asked for.
    pub model: &'static str,
    /// Which of the seven APIs it speaks.
    pub own: &'static str,
    /// What thinking comes to in its dialect.
    pub thoughts: Thoughts,
    /// The class for a status.
    pub class: fn(u16) -> &'static str,
    /// The class of an error within a stream.
    pub within: &'static str,
}

/// What can be said of thinking.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Thoughts {
    /// How many tokens.
    Count,
    /// What was thought.
    Text,
    /// Both.
    TextAndCount,
}

const COMMON: &str = include_str!("common.py");

pub const CLIENTS: &[Client] = &[
    Client {
        name: "openai-chat",
        script: include_str!("openai_chat.py"),
        model: "gpt-4o-mini",
        own: "openai-chat",
        // The text in `reasoning_content`, which is not OpenAI's but which everybody reads who reads it at all.
        thoughts: Thoughts::TextAndCount,
        class: openai,
        within: "APIError",
    },
    Client {
        name: "anthropic-messages",
        script: include_str!("anthropic_messages.py"),
        model: "claude-sonnet-4-5",
        own: "anthropic",
        thoughts: Thoughts::Text,
        class: anthropic,
        within: "APIStatusError",
    },
    Client {
        name: "openai-responses",
        script: include_str!("openai_responses.py"),
        model: "gpt-4o-mini",
        own: "openai-responses",
        thoughts: Thoughts::TextAndCount,
        class: openai,
        within: "APIError",
    },
    Client {
        name: "gemini",
        script: include_str!("gemini.py"),
        model: "gemini-2.5-flash",
        own: "gemini",
        thoughts: Thoughts::TextAndCount,
        class: gemini,
        within: "ServerError",
    },
    Client {
        name: "bedrock",
        script: include_str!("bedrock.py"),
        model: "anthropic.claude-sonnet-4-5-20250929-v1:0",
        own: "bedrock",
        thoughts: Thoughts::Text,
        class: bedrock,
        within: "EventStreamError",
    },
];

// === impl Client ===

impl Client {
    pub fn source(&self) -> String {
        format!("{COMMON}\n\n{}", self.script)
    }
}

// === impl Thoughts ===

impl Thoughts {
    pub fn text(self) -> bool {
        matches!(self, Thoughts::Text | Thoughts::TextAndCount)
    }

    pub fn count(self) -> bool {
        matches!(self, Thoughts::Count | Thoughts::TextAndCount)
    }
}

fn openai(status: u16) -> &'static str {
    match status {
        400 => "BadRequestError",
        403 => "PermissionDeniedError",
        429 => "RateLimitError",
        _ => "InternalServerError",
    }
}

fn anthropic(status: u16) -> &'static str {
    match status {
        503 => "ServiceUnavailableError",
        529 => "OverloadedError",
        status => openai(status),
    }
}

fn gemini(status: u16) -> &'static str {
    if status < 500 { "ClientError" } else { "ServerError" }
}

fn bedrock(status: u16) -> &'static str {
    match status {
        400 => "ValidationException",
        403 => "AccessDeniedException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        _ => "InternalServerException",
    }
}
