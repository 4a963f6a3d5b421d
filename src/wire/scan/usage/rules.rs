//! One rule for each family that makes disjoint token classes of what it states.

use super::{FIELDS, Field, Raw, UNITS};
use crate::llm::{Units, Usage};

// === impl Usage ===

impl Usage {
    /// So many tokens of sound and of images are cached ones, and are counted as those alone.
    fn count_once(&mut self, audio: u64, image: u64) {
        let known = self.cache_read_audio.saturating_add(self.cache_read_image);
        let audio = audio.min(self.audio_in).min(self.cache_read.saturating_sub(known));
        let known = known.saturating_add(audio);
        let image = image.min(self.image_in).min(self.cache_read.saturating_sub(known));
        self.audio_in -= audio;
        self.cache_read_audio += audio;
        self.image_in -= image;
        self.cache_read_image += image;
    }
}

// === impl Raw ===

impl Default for Raw {
    fn default() -> Self {
        Raw { fields: [None; FIELDS] }
    }
}

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
        } else if self.has(&[Field::CohereInput, Field::CohereOutput]) {
            self.plain(Field::CohereInput, Field::CohereOutput)
        } else if self.has(&[Field::OllamaInput, Field::OllamaOutput]) {
            self.plain(Field::OllamaInput, Field::OllamaOutput)
        } else if self.has(&[Field::InvocationInput, Field::InvocationOutput]) {
            Usage {
                cache_read: self.get(Field::InvocationCacheRead),
                cache_write_5m: self.get(Field::InvocationCacheWrite),
                ..self.plain(Field::InvocationInput, Field::InvocationOutput)
            }
        } else {
            return None;
        })
    }

    /// A total that has no parts.
    fn plain(&self, input: Field, output: Field) -> Usage {
        Usage { input: self.get(input), output: self.get(output), ..Usage::default() }
    }

    fn units(&self) -> Units {
        Units {
            images_in: self.get(Field::BilledImages),
            audio_in_ms: self.get(Field::AudioIn),
            queries: self.get(Field::SearchUnits),
            pages: self.get(Field::Pages),
            searches: self.get(Field::Searches),
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
    ///
    /// Sound and images that were read from a cache are stated twice, as what they are and as cached. Where
    /// nobody says how many, they are as few as make the parts no more than their total.
    fn split(&self, input: u64, output: u64, classes: Usage) -> Usage {
        let mut usage = Usage {
            audio_in: self.get(Field::InAudio),
            image_in: self.get(Field::InImage),
            video_in: self.get(Field::InVideo),
            audio_out: self.get(Field::OutAudio),
            image_out: self.get(Field::OutImage),
            video_out: self.get(Field::OutVideo),
            ..classes
        };
        usage.count_once(self.get(Field::InCachedAudio), self.get(Field::InCachedImage));
        let excess = usage.total_input().saturating_sub(input);
        let audio = excess.min(usage.audio_in);
        usage.count_once(audio, excess - audio);
        let (parts_in, parts_out) = (usage.total_input(), usage.total_output());
        Usage { input: input.saturating_sub(parts_in), output: output.saturating_sub(parts_out), ..usage }
    }

    fn openai_chat(&self) -> Usage {
        let (write_5m, write_1h) = self.cache_creation();
        let classes = Usage {
            cache_read: self.get(Field::InCached).max(self.get(Field::CacheRead)).max(self.get(Field::Cached)),
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
        let hour = self.get(Field::BedrockCacheWrite1h);
        let rest = self.get(Field::BedrockCacheWrite).saturating_sub(hour);
        Usage {
            cache_read: self.get(Field::BedrockCacheRead),
            cache_write_5m: rest.max(self.get(Field::BedrockCacheWrite5m)),
            cache_write_1h: hour,
            ..self.plain(Field::BedrockInput, Field::BedrockOutput)
        }
    }
}
