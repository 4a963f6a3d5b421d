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
//! * Bedrock Converse: `inputTokens` excludes its `cache*InputTokens`.
//!
//! Units other than tokens have names of their own in every family; see [`crate::llm::Units`].

use crate::llm::{Units, Usage};

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
    /// `{completion,output}_tokens_details.reasoning_tokens`
    OutReasoning,
    OutAudio,
    OutImage,
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
    /// `cacheWriteInputTokens`
    BedrockCacheWrite,
    /// `images`
    BilledImages,
    /// `seconds`, `prompt_audio_seconds`; in milliseconds
    AudioIn,
    /// `search_units`
    SearchUnits,
    /// `pages_processed`
    Pages,
}

const FIELDS: usize = Field::Pages as usize + 1;

/// The fields that are no tokens.
const UNITS: &[Field] = &[Field::BilledImages, Field::AudioIn, Field::SearchUnits, Field::Pages];

/// An object in a usage object, or that object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Usage,
    InputDetails,
    OutputDetails,
    CacheCreation,
    /// Gemini's `promptTokensDetails` and `candidatesTokensDetails`: an array of `{modality,
    /// tokenCount}`.
    InputModalities,
    OutputModalities,
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
    /// A word on which the whole price depends and which no bill here knows yet: Anthropic's
    /// `inference_geo` and `speed`.
    Factor,
    Modality,
    ModalityCount,
    Unknown,
}

/// The usage fields seen so far; a later value replaces an earlier one, field by field, because
/// streams restate cumulative numbers and leave out those that did not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw {
    fields: [Option<u64>; FIELDS],
}

/// What the member `key` of `part` is.
pub fn entry(part: Part, key: &[u8]) -> Entry {
    match part {
        Part::Usage => usage_entry(key),
        Part::InputDetails => match key {
            b"cached_tokens" => Entry::Number(Field::InCached),
            b"cache_write_tokens" => Entry::Number(Field::InCacheWrite),
            b"audio_tokens" => Entry::Number(Field::InAudio),
            b"image_tokens" => Entry::Number(Field::InImage),
            b"text_tokens" => Entry::Redundant,
            b"cached_tokens_details" => Entry::Part(Part::Repeated),
            _ => Entry::Unknown,
        },
        Part::OutputDetails => match key {
            b"reasoning_tokens" => Entry::Number(Field::OutReasoning),
            b"audio_tokens" => Entry::Number(Field::OutAudio),
            b"image_tokens" => Entry::Number(Field::OutImage),
            b"text_tokens" | b"accepted_prediction_tokens" | b"rejected_prediction_tokens" => Entry::Redundant,
            _ => Entry::Unknown,
        },
        Part::CacheCreation => match key {
            b"ephemeral_5m_input_tokens" => Entry::Number(Field::CacheCreation5m),
            b"ephemeral_1h_input_tokens" => Entry::Number(Field::CacheCreation1h),
            _ => Entry::Unknown,
        },
        Part::InputModalities | Part::OutputModalities => match key {
            b"modality" => Entry::Modality,
            b"tokenCount" => Entry::ModalityCount,
            _ => Entry::Unknown,
        },
        Part::Repeated => Entry::Redundant,
        Part::Unknown => Entry::Unknown,
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
        b"tokens" => return Entry::Part(Part::Repeated),
        // The singular is the spelling of OpenAI's transcriptions.
        b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
            return Entry::Part(Part::InputDetails);
        }
        b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
            return Entry::Part(Part::OutputDetails);
        }
        b"cache_creation" => return Entry::Part(Part::CacheCreation),
        b"promptTokensDetails" => return Entry::Part(Part::InputModalities),
        b"candidatesTokensDetails" => return Entry::Part(Part::OutputModalities),
        b"cacheTokensDetails" | b"toolUsePromptTokensDetails" => return Entry::Part(Part::Repeated),
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
        b"service_tier" => return Entry::Tier,
        b"inference_geo" | b"speed" => return Entry::Factor,
        _ => return Entry::Unknown,
    })
}

/// Whether a [`Entry::Factor`] says nothing that changes the price.
pub fn is_ordinary(factor: &str) -> bool {
    matches!(factor, "" | "global" | "not_available" | "standard")
}

/// The class that a Gemini modality has of its own; the other modalities are priced as text.
pub fn modality_field(part: Part, modality: &[u8]) -> Option<Field> {
    match (part, modality) {
        (Part::InputModalities, b"AUDIO") => Some(Field::InAudio),
        (Part::InputModalities, b"IMAGE") => Some(Field::InImage),
        (Part::OutputModalities, b"AUDIO") => Some(Field::OutAudio),
        (Part::OutputModalities, b"IMAGE") => Some(Field::OutImage),
        _ => None,
    }
}

// === impl Raw ===

impl Raw {
    /// Sets a field, whatever it was.
    pub fn set(&mut self, field: Field, value: u64) {
        self.fields[field as usize] = Some(value);
    }

    /// The numbers in disjoint classes, or `None` if no total of any family has been seen: parts
    /// alone are no usage, and zero would be a bill. A part that is larger than its whole makes the
    /// rest zero, never an underflow.
    pub fn normalise(&self) -> Option<Usage> {
        let units = self.units();
        match self.tokens() {
            Some(tokens) => Some(Usage { units, ..tokens }),
            None => self.has(UNITS).then(|| Usage { units, ..Usage::default() }),
        }
    }

    fn tokens(&self) -> Option<Usage> {
        Some(if self.has(&[Field::Prompt, Field::Completion]) {
            self.openai_chat()
        } else if self.has(&[Field::Input, Field::Output, Field::CacheRead, Field::CacheCreation]) {
            self.input_output()
        } else if self.has(&[Field::GeminiPrompt, Field::GeminiCandidates, Field::GeminiThoughts]) {
            self.gemini()
        } else if self.has(&[Field::BedrockInput, Field::BedrockOutput]) {
            self.bedrock()
        } else {
            return None;
        })
    }

    fn units(&self) -> Units {
        Units {
            images_in: self.get(Field::BilledImages),
            audio_in_ms: self.get(Field::AudioIn),
            queries: self.get(Field::SearchUnits),
            pages: self.get(Field::Pages),
            ..Units::default()
        }
    }

    fn has(&self, fields: &[Field]) -> bool {
        fields.iter().any(|&field| self.fields[field as usize].is_some())
    }

    fn get(&self, field: Field) -> u64 {
        self.fields[field as usize].unwrap_or(0)
    }

    /// Tokens written to the cache as Anthropic states them: for 5 minutes and for 1 hour. What the
    /// total says beyond its parts was written for the default time, which is 5 minutes.
    fn cache_creation(&self) -> (u64, u64) {
        let hour = self.get(Field::CacheCreation1h);
        let rest = self.get(Field::CacheCreation).saturating_sub(hour);
        (rest.max(self.get(Field::CacheCreation5m)), hour)
    }

    /// Takes the parts that have a class of their own out of a total.
    fn split(&self, input: u64, output: u64, classes: Usage) -> Usage {
        let usage = Usage {
            audio_in: self.get(Field::InAudio),
            image_in: self.get(Field::InImage),
            audio_out: self.get(Field::OutAudio),
            image_out: self.get(Field::OutImage),
            ..classes
        };
        let (parts_in, parts_out) = (usage.total_input(), usage.total_output());
        Usage { input: input.saturating_sub(parts_in), output: output.saturating_sub(parts_out), ..usage }
    }

    fn openai_chat(&self) -> Usage {
        let (write_5m, write_1h) = self.cache_creation();
        let classes = Usage {
            cache_read: self.get(Field::InCached).max(self.get(Field::CacheRead)),
            cache_write_5m: self.get(Field::InCacheWrite).max(write_5m),
            cache_write_1h: write_1h,
            reasoning: self.get(Field::OutReasoning),
            ..Usage::default()
        };
        self.split(self.get(Field::Prompt), self.get(Field::Completion), classes)
    }

    /// OpenAI Responses and Anthropic: what is inside the total and what is beside it has different
    /// names, so that one rule serves both.
    fn input_output(&self) -> Usage {
        let (write_5m, write_1h) = self.cache_creation();
        let inside = Usage {
            cache_read: self.get(Field::InCached),
            cache_write_5m: self.get(Field::InCacheWrite),
            reasoning: self.get(Field::OutReasoning),
            ..Usage::default()
        };
        let usage = self.split(self.get(Field::Input), self.get(Field::Output), inside);
        Usage {
            cache_read: usage.cache_read.saturating_add(self.get(Field::CacheRead)),
            cache_write_5m: usage.cache_write_5m.saturating_add(write_5m),
            cache_write_1h: write_1h,
            ..usage
        }
    }

    fn gemini(&self) -> Usage {
        let classes = Usage {
            cache_read: self.get(Field::GeminiCached),
            reasoning: self.get(Field::GeminiThoughts),
            ..Usage::default()
        };
        let input = self.get(Field::GeminiPrompt).saturating_add(self.get(Field::GeminiToolUse));
        let output = self.get(Field::GeminiCandidates).saturating_add(self.get(Field::GeminiThoughts));
        self.split(input, output, classes)
    }

    fn bedrock(&self) -> Usage {
        Usage {
            input: self.get(Field::BedrockInput),
            output: self.get(Field::BedrockOutput),
            cache_read: self.get(Field::BedrockCacheRead),
            cache_write_5m: self.get(Field::BedrockCacheWrite),
            ..Usage::default()
        }
    }
}
