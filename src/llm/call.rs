//! What a client asks for, as far as deciding needs it.

use std::fmt;
use std::sync::Arc;

/// A wire format. A provider speaks one; a client shows its own by the path it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    OpenAi,
    /// OpenAI's Responses for everything, where a provider has no Chat Completions or does less by them.
    Responses,
    Anthropic,
    Gemini,
    Vertex,
    Bedrock,
    Azure,
    Cohere,
    Ollama,
}

/// What is asked of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Chat,
    Completion,
    Responses,
    Embeddings,
    Moderation,
    Rerank,
    Image,
    Audio,
    CountTokens,
    Models,
    /// Anything else: it passes and is metered where a usage object is recognised.
    Other,
}

/// One call, read from a complete request body. The body itself stays as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub dialect: Dialect,
    pub operation: Operation,
    /// The model name as the client wrote it.
    pub model: Arc<str>,
    /// The client asked for a stream of events.
    pub stream: bool,
    /// The client asked for a usage event in its stream.
    pub stream_usage: bool,
    /// The answer is asked for later, by another request (OpenAI Responses `background`).
    pub background: bool,
    /// The bound on output tokens that the client stated, under whichever of its format's names.
    pub max_output: Option<u64>,
    /// A bound that stands under another format's name alone, or beside one that is none. Some servers read it, and
    /// others not: it may tell that there will be more output than is assumed, and never that there will be less.
    pub output_alias: Option<u64>,
    /// How many answers are asked for at once; at least 1.
    pub choices: u64,
    /// The service tier asked for, as the provider spells it.
    pub service_tier: Option<String>,
    /// How fast, and where, the answer is asked to be made: Anthropic's `speed` and `inference_geo`.
    pub speed: Option<Box<str>>,
    pub geo: Option<Box<str>>,
    /// Bytes of the request body: what an estimate of the input starts from.
    pub body_bytes: u64,
    /// What a call for images or sound is billed by and its answer may not say.
    pub media: Option<Box<Media>>,
}

/// What a request for images or sound says that its price depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// The size of the images, as the client spells it: `1024x1024`.
    pub size: Option<Box<str>>,
    /// Their quality: `hd`, `high`.
    pub quality: Option<Box<str>>,
    /// Characters to be spoken.
    pub characters: u64,
    /// Milliseconds of the uploaded sound, where its file says so.
    pub audio_ms: u64,
    /// Bytes of the uploaded sound, where its file does not.
    pub sound_bytes: u64,
}

// === impl Dialect ===

impl Dialect {
    /// The name used in configuration and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::OpenAi => "OpenAI",
            Dialect::Responses => "OpenAIResponses",
            Dialect::Anthropic => "Anthropic",
            Dialect::Gemini => "Gemini",
            Dialect::Vertex => "Vertex",
            Dialect::Bedrock => "Bedrock",
            Dialect::Azure => "Azure",
            Dialect::Cohere => "Cohere",
            Dialect::Ollama => "Ollama",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Operation ===

impl Operation {
    /// True where the bytes of a request and of its answer say nothing about tokens: they are images,
    /// sounds, or what is found in them.
    pub fn is_media(self) -> bool {
        matches!(self, Operation::Image | Operation::Audio)
    }

    /// `gen_ai.operation.name` of the OpenTelemetry GenAI conventions, own words where it has none.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Chat => "chat",
            Operation::Completion => "text_completion",
            Operation::Responses => "responses",
            Operation::Embeddings => "embeddings",
            Operation::Moderation => "moderation",
            Operation::Rerank => "rerank",
            Operation::Image => "image",
            Operation::Audio => "audio",
            Operation::CountTokens => "count_tokens",
            Operation::Models => "models",
            Operation::Other => "other",
        }
    }
}
