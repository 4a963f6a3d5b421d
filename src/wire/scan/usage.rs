//! Every usage object of every provider, as one table of fields and one rule for each family that
//! makes disjoint token classes of them. It reads no JSON: [`super::Scan`] feeds it.
//!
//! No family is guessed from the context, because the field names tell it:
//!
//! * OpenAI chat (and what imitates it): `prompt_tokens` **includes** what
//!   `prompt_tokens_details` lists, `completion_tokens` what `completion_tokens_details` lists.
//!   Proxies that add Anthropic's `cache_*` fields to `prompt_tokens` include those too.
//! * OpenAI Responses, images and audio: `input_tokens` **includes** what `input_tokens_details`
//!   lists. Only these write a details object.
//! * Anthropic: `input_tokens` **excludes** `cache_read_input_tokens` and
//!   `cache_creation_input_tokens`. Only Anthropic writes these beside `input_tokens`.
//! * Gemini: `promptTokenCount` includes `cachedContentTokenCount`, `candidatesTokenCount` excludes
//!   `thoughtsTokenCount`.
//! * Bedrock Converse: `inputTokens` excludes its `cache*InputTokens`; `cacheDetails` are parts of
//!   `cacheWriteInputTokens`.
//! * Cohere v2: `billed_units` have the names of Anthropic's and are the bill; `tokens`, which is what the
//!   model saw, counts where nothing is billed.
//! * Ollama: `prompt_eval_count` and `eval_count`, beside the answer itself.
//! * Bedrock `InvokeModel` adds [`INVOCATION`] to what the model says: it counts where the model is silent.
//!
//! Units other than tokens have names of their own in every family; see [`crate::llm::Units`].

mod rules;

/// A number that some provider writes in a usage object. The comment names the wire fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `prompt_tokens`
    Prompt,
    /// `completion_tokens`
    Completion,
    /// `input_tokens`
    Input,
    /// `output_tokens`
    Output,
    /// `{prompt,input}_tokens_details.cached_tokens`, DeepSeek's `prompt_cache_hit_tokens`
    InCached,
    /// `{prompt,input}_tokens_details.cache_write_tokens`
    InCacheWrite,
    InAudio,
    InImage,
    InVideo,
    /// Of the cached, sound: `cached_tokens_details.audio_tokens`, Gemini's `cacheTokensDetails`
    InCachedAudio,
    /// Of the cached, images
    InCachedImage,
    /// `{completion,output}_tokens_details.reasoning_tokens`
    OutReasoning,
    OutAudio,
    OutImage,
    OutVideo,
    /// `cache_read_input_tokens`
    CacheRead,
    /// `cache_creation_input_tokens`, of whatever time to live
    CacheCreation,
    /// `cache_creation.ephemeral_5m_input_tokens`
    CacheCreation5m,
    /// `cache_creation.ephemeral_1h_input_tokens`
    CacheCreation1h,
    /// `promptTokenCount`
    GeminiPrompt,
    /// `cachedContentTokenCount`
    GeminiCached,
    /// `candidatesTokenCount`
    GeminiCandidates,
    /// `thoughtsTokenCount`
    GeminiThoughts,
    /// `toolUsePromptTokenCount`
    GeminiToolUse,
    /// `inputTokens`
    BedrockInput,
    /// `outputTokens`
    BedrockOutput,
    /// `cacheReadInputTokens`
    BedrockCacheRead,
    /// `cacheWriteInputTokens`, of whatever time to live
    BedrockCacheWrite,
    /// `cacheDetails`, for 5 minutes
    BedrockCacheWrite5m,
    /// `cacheDetails`, for 1 hour
    BedrockCacheWrite1h,
    /// `usage.cached_tokens`: Moonshot, a part of `prompt_tokens`; Cohere, which bills it as any other
    Cached,
    /// `tokens.input_tokens`
    CohereInput,
    /// `tokens.output_tokens`
    CohereOutput,
    /// `prompt_eval_count`
    OllamaInput,
    /// `eval_count`
    OllamaOutput,
    /// `inputTokenCount`
    InvocationInput,
    /// `outputTokenCount`
    InvocationOutput,
    /// `cacheReadInputTokenCount`
    InvocationCacheRead,
    /// `cacheWriteInputTokenCount`
    InvocationCacheWrite,
    /// `images`
    BilledImages,
    /// `seconds`, `prompt_audio_seconds`; in milliseconds
    AudioIn,
    /// `search_units`
    SearchUnits,
    /// `pages_processed`
    Pages,
    /// `server_tool_use.web_search_requests` (Anthropic), `num_search_queries` (Perplexity)
    Searches,
}

const FIELDS: usize = Field::Searches as usize + 1;

/// What Bedrock adds to the last event of an `InvokeModelWithResponseStream`.
pub const INVOCATION: &[u8] = b"amazon-bedrock-invocationMetrics";

/// The fields that are no tokens.
const UNITS: &[Field] = &[Field::BilledImages, Field::AudioIn, Field::SearchUnits, Field::Pages];

/// An object in a usage object, or that object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Usage,
    InputDetails,
    OutputDetails,
    /// OpenAI's `cached_tokens_details` in the details of the input.
    CachedDetails,
    CacheCreation,
    /// Gemini's `promptTokensDetails` and `candidatesTokensDetails`: an array of `{modality,
    /// tokenCount}`.
    InputModalities,
    OutputModalities,
    /// Gemini's `cacheTokensDetails`, likewise.
    CacheModalities,
    /// Bedrock's `cacheDetails`: an array of `{ttl, inputTokens}`.
    CacheDetails,
    /// Cohere's `tokens`.
    CohereTokens,
    /// Of the whole document: Ollama has no object for it.
    Top,
    Invocation,
    /// Anthropic's `server_tool_use`.
    ServerTools,
    /// Perplexity's `cost`.
    Cost,
    /// Parts of numbers that are counted elsewhere.
    Repeated,
    Unknown,
}

/// What a member of a usage object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Number(Field),
    /// A number of seconds, which may have a fraction.
    Seconds(Field),
    /// A number that says nothing that another one does not say.
    Redundant,
    Part(Part),
    Tier,
    /// Words on which the whole price depends: Anthropic's `inference_geo` and `speed`.
    Geo,
    Speed,
    /// What the provider bills, in USD: OpenRouter's `cost`, Perplexity's `cost.total_cost`.
    Cost,
    /// The same in ticks of 1e-10 USD: xAI's `cost_in_usd_ticks`.
    Ticks,
    /// Whether the provider bills its own fee alone, and another one the rest: OpenRouter's `is_byok`.
    Byok,
    Modality,
    ModalityCount,
    Unknown,
}

/// The usage fields seen so far; a later value replaces an earlier one, field by field, because
/// streams restate cumulative numbers and leave out those that did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    fields: [Option<u64>; FIELDS],
}

// === impl Part ===

impl Part {
    /// An array of counts, each with a word for what it counts.
    pub fn is_list(self) -> bool {
        matches!(self, Part::InputModalities | Part::OutputModalities | Part::CacheModalities | Part::CacheDetails)
    }
}

/// What the member `key` of `part` is.
pub fn entry(part: Part, key: &[u8]) -> Entry {
    match part {
        Part::Usage => usage_entry(key),
        Part::InputDetails => input_detail(key),
        Part::OutputDetails => match key {
            b"reasoning_tokens" => Entry::Number(Field::OutReasoning),
            b"audio_tokens" => Entry::Number(Field::OutAudio),
            b"image_tokens" => Entry::Number(Field::OutImage),
            b"text_tokens" | b"accepted_prediction_tokens" | b"rejected_prediction_tokens" => Entry::Redundant,
            _ => Entry::Unknown,
        },
        Part::CachedDetails => match key {
            b"audio_tokens" => Entry::Number(Field::InCachedAudio),
            b"image_tokens" => Entry::Number(Field::InCachedImage),
            b"text_tokens" => Entry::Redundant,
            _ => Entry::Unknown,
        },
        Part::CacheCreation => match key {
            b"ephemeral_5m_input_tokens" => Entry::Number(Field::CacheCreation5m),
            b"ephemeral_1h_input_tokens" => Entry::Number(Field::CacheCreation1h),
            _ => Entry::Unknown,
        },
        Part::InputModalities | Part::OutputModalities | Part::CacheModalities => match key {
            b"modality" => Entry::Modality,
            b"tokenCount" => Entry::ModalityCount,
            _ => Entry::Unknown,
        },
        Part::CacheDetails => match key {
            b"ttl" => Entry::Modality,
            b"inputTokens" => Entry::ModalityCount,
            _ => Entry::Unknown,
        },
        Part::CohereTokens => match key {
            b"input_tokens" => Entry::Number(Field::CohereInput),
            b"output_tokens" => Entry::Number(Field::CohereOutput),
            _ => Entry::Unknown,
        },
        Part::Top => match key {
            b"prompt_eval_count" => Entry::Number(Field::OllamaInput),
            b"eval_count" => Entry::Number(Field::OllamaOutput),
            _ => Entry::Unknown,
        },
        Part::Invocation => match key {
            b"inputTokenCount" => Entry::Number(Field::InvocationInput),
            b"outputTokenCount" => Entry::Number(Field::InvocationOutput),
            b"cacheReadInputTokenCount" => Entry::Number(Field::InvocationCacheRead),
            b"cacheWriteInputTokenCount" => Entry::Number(Field::InvocationCacheWrite),
            b"invocationLatency" | b"firstByteLatency" => Entry::Redundant,
            _ => Entry::Unknown,
        },
        Part::ServerTools => server_tool(key),
        Part::Cost if key == b"total_cost" => Entry::Cost,
        Part::Cost | Part::Repeated => Entry::Redundant,
        Part::Unknown => Entry::Unknown,
    }
}

fn input_detail(key: &[u8]) -> Entry {
    match key {
        b"cached_tokens" => Entry::Number(Field::InCached),
        b"cache_write_tokens" => Entry::Number(Field::InCacheWrite),
        b"audio_tokens" => Entry::Number(Field::InAudio),
        b"image_tokens" => Entry::Number(Field::InImage),
        b"text_tokens" => Entry::Redundant,
        b"cached_tokens_details" => Entry::Part(Part::CachedDetails),
        // DashScope's explicit cache.
        b"cache_creation_input_tokens" => Entry::Number(Field::InCacheWrite),
        b"cache_creation" => Entry::Part(Part::Repeated),
        _ => Entry::Unknown,
    }
}

fn server_tool(key: &[u8]) -> Entry {
    match key {
        b"web_search_requests" => Entry::Number(Field::Searches),
        // Nothing is billed for one but the tokens of what it fetched.
        b"web_fetch_requests" => Entry::Redundant,
        _ => Entry::Unknown,
    }
}

fn usage_entry(key: &[u8]) -> Entry {
    Entry::Number(match key {
        b"prompt_tokens" => Field::Prompt,
        b"completion_tokens" => Field::Completion,
        b"input_tokens" => Field::Input,
        b"output_tokens" => Field::Output,
        b"prompt_cache_hit_tokens" => Field::InCached,
        b"cache_read_input_tokens" => Field::CacheRead,
        b"cache_creation_input_tokens" => Field::CacheCreation,
        b"promptTokenCount" => Field::GeminiPrompt,
        b"cachedContentTokenCount" => Field::GeminiCached,
        b"candidatesTokenCount" => Field::GeminiCandidates,
        b"thoughtsTokenCount" => Field::GeminiThoughts,
        b"toolUsePromptTokenCount" => Field::GeminiToolUse,
        b"inputTokens" => Field::BedrockInput,
        b"outputTokens" => Field::BedrockOutput,
        b"cacheReadInputTokens" => Field::BedrockCacheRead,
        b"cacheWriteInputTokens" => Field::BedrockCacheWrite,
        b"images" => Field::BilledImages,
        b"search_units" => Field::SearchUnits,
        b"pages_processed" => Field::Pages,
        b"seconds" | b"prompt_audio_seconds" => return Entry::Seconds(Field::AudioIn),
        // Cohere v2 states what it bills, and beside it what the model saw.
        b"billed_units" => return Entry::Part(Part::Usage),
        b"tokens" => return Entry::Part(Part::CohereTokens),
        b"cached_tokens" => Field::Cached,
        b"cacheDetails" => return Entry::Part(Part::CacheDetails),
        // The singular is the spelling of OpenAI's transcriptions.
        b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
            return Entry::Part(Part::InputDetails);
        }
        b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
            return Entry::Part(Part::OutputDetails);
        }
        b"cache_creation" => return Entry::Part(Part::CacheCreation),
        // The singular is the spelling of embeddings.
        b"promptTokensDetails" | b"promptTokenDetails" => return Entry::Part(Part::InputModalities),
        b"candidatesTokensDetails" => return Entry::Part(Part::OutputModalities),
        b"cacheTokensDetails" => return Entry::Part(Part::CacheModalities),
        b"toolUsePromptTokensDetails" => return Entry::Part(Part::Repeated),
        // Sums and differences of the above, older spellings of the above, and times.
        b"total_tokens"
        | b"totalTokenCount"
        | b"totalTokens"
        | b"prompt_cache_miss_tokens"
        | b"cacheReadInputTokenCount"
        | b"cacheWriteInputTokenCount"
        | b"doc_size_bytes"
        | b"queue_time"
        | b"prompt_time"
        | b"completion_time"
        | b"total_time" => return Entry::Redundant,
        b"server_tool_use" => return Entry::Part(Part::ServerTools),
        b"num_search_queries" => Field::Searches,
        _ => return billing(key),
    })
}

/// What is said of the bill as a whole.
fn billing(key: &[u8]) -> Entry {
    match key {
        b"cost" => Entry::Cost,
        b"cost_details" => Entry::Part(Part::Repeated),
        b"cost_in_usd_ticks" => Entry::Ticks,
        b"is_byok" => Entry::Byok,
        b"inference_geo" => Entry::Geo,
        b"speed" => Entry::Speed,
        b"service_tier" => Entry::Tier,
        _ => Entry::Unknown,
    }
}

/// Whether a [`Entry::Geo`] or [`Entry::Speed`] says nothing that changes the price.
pub fn is_ordinary(factor: &str) -> bool {
    matches!(factor, "" | "global" | "not_available" | "standard")
}

/// The class that a Gemini modality has of its own, the other modalities being priced as text; and the one
/// that Bedrock's time to live has.
pub fn modality_field(part: Part, modality: &[u8]) -> Option<Field> {
    match (part, modality) {
        (Part::InputModalities, b"AUDIO") => Some(Field::InAudio),
        (Part::InputModalities, b"IMAGE") => Some(Field::InImage),
        (Part::InputModalities, b"VIDEO") => Some(Field::InVideo),
        (Part::OutputModalities, b"AUDIO") => Some(Field::OutAudio),
        (Part::OutputModalities, b"IMAGE") => Some(Field::OutImage),
        (Part::OutputModalities, b"VIDEO") => Some(Field::OutVideo),
        (Part::CacheModalities, b"AUDIO") => Some(Field::InCachedAudio),
        (Part::CacheModalities, b"IMAGE") => Some(Field::InCachedImage),
        (Part::CacheDetails, b"5m") => Some(Field::BedrockCacheWrite5m),
        (Part::CacheDetails, b"1h") => Some(Field::BedrockCacheWrite1h),
        _ => None,
    }
}
