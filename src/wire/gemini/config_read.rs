//! `generationConfig` of a request, read.

use std::borrow::Cow;

use super::schema_read;
use super::spelling::{Bad, elements, flag, get, message, number, text, whole};
use crate::base::json::tree::Value;
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Reasoning, Tell};
use crate::llm::{Chat, Dropped};

/// The form of the answer, whose fields may stand in any order.
#[derive(Default)]
struct Form<'a> {
    mime: Option<Cow<'a, str>>,
    schema: Option<Cow<'a, str>>,
}

const PLACE: &str = "generationConfig.";

/// Reads it into `chat`.
///
/// # Errors
/// For fields of another type.
pub(super) fn read<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Bad> {
    let mut form = Form::default();
    for (key, value) in message(value, "generationConfig")? {
        match &*key {
            "temperature" => chat.sampling.temperature = Some(number(value, "generationConfig.temperature")?),
            "topP" => chat.sampling.top_p = Some(number(value, "generationConfig.topP")?),
            "topK" => chat.sampling.top_k = Some(number(value, "generationConfig.topK")?),
            "seed" => chat.sampling.seed = Some(number(value, "generationConfig.seed")?),
            "presencePenalty" => {
                chat.sampling.presence_penalty = Some(number(value, "generationConfig.presencePenalty")?);
            }
            "frequencyPenalty" => {
                chat.sampling.frequency_penalty = Some(number(value, "generationConfig.frequencyPenalty")?);
            }
            "maxOutputTokens" => chat.max_output = Some(whole(value, "generationConfig.maxOutputTokens")?),
            "candidateCount" => chat.choices = Some(whole(value, "generationConfig.candidateCount")?),
            "stopSequences" => {
                for stop in elements(value, "generationConfig.stopSequences")? {
                    chat.stop.push(text(stop, "generationConfig.stopSequences[]")?);
                }
            }
            "responseLogprobs" => chat.logprobs = Some(flag(value, "generationConfig.responseLogprobs")?),
            "logprobs" => chat.top_logprobs = Some(whole(value, "generationConfig.logprobs")?),
            "responseMimeType" => form.mime = Some(text(value, "generationConfig.responseMimeType")?),
            "responseSchema" => form.schema = Some(schema_read::read(value)?.into()),
            // The name with the underscore is the one of the field's preview.
            "responseJsonSchema" | "ResponseJsonSchema" => form.schema = Some(Cow::Borrowed(value.raw())),
            "responseModalities" => modalities(value, chat, dropped)?,
            "speechConfig" => speech(value, chat, dropped)?,
            "thinkingConfig" => chat.reasoning = Some(thinking(value, dropped)?),
            _ if value.is_empty() => {}
            other => dropped.inside(PLACE, other),
        }
    }
    chat.output = form.read(dropped);
    Ok(())
}

fn modalities(value: Value<'_, '_>, chat: &mut Chat<'_>, dropped: &mut Dropped) -> Result<(), Bad> {
    for word in elements(value, "generationConfig.responseModalities")? {
        match &*text(word, "generationConfig.responseModalities[]")?.to_ascii_uppercase() {
            "TEXT" | "MODALITY_UNSPECIFIED" => {}
            "IMAGE" => chat.images = true,
            "AUDIO" => {
                chat.audio.get_or_insert_default();
            }
            _ => dropped.field("generationConfig.responseModalities"),
        }
    }
    Ok(())
}

fn speech<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Bad> {
    for (key, value) in message(value, "generationConfig.speechConfig")? {
        let voice = || get(get(value, "prebuiltVoiceConfig")?, "voiceName")?.text();
        match (&*key, voice()) {
            ("voiceConfig", Some(voice)) => {
                chat.audio.get_or_insert_with(AudioOut::default).voice = Some(voice);
            }
            _ if value.is_empty() => {}
            (other, _) => dropped.inside("generationConfig.speechConfig.", other),
        }
    }
    Ok(())
}

fn thinking(value: Value<'_, '_>, dropped: &mut Dropped) -> Result<Reasoning, Bad> {
    let mut reasoning = Reasoning::default();
    for (key, value) in message(value, "generationConfig.thinkingConfig")? {
        match &*key {
            "includeThoughts" => {
                let told = flag(value, "generationConfig.thinkingConfig.includeThoughts")?;
                reasoning.tell = Some(if told { Tell::Auto } else { Tell::Nothing });
            }
            "thinkingBudget" if number(value, "thinkingBudget").is_ok_and(|budget| budget == "-1") => {
                reasoning.dynamic = true;
            }
            "thinkingBudget" => match whole(value, "generationConfig.thinkingConfig.thinkingBudget")? {
                0 => reasoning.enabled = Some(false),
                budget => reasoning.budget = Some(budget),
            },
            "thinkingLevel" => {
                let word = text(value, "generationConfig.thinkingConfig.thinkingLevel")?.to_ascii_lowercase();
                reasoning.effort = Effort::read(&word);
                if reasoning.effort.is_none() && word != "thinking_level_unspecified" {
                    dropped.field("generationConfig.thinkingConfig.thinkingLevel");
                }
            }
            _ if value.is_empty() => {}
            other => dropped.inside("generationConfig.thinkingConfig.", other),
        }
    }
    Ok(reasoning)
}

// === impl Form ===

impl<'a> Form<'a> {
    fn read(self, dropped: &mut Dropped) -> Option<OutputFormat<'a>> {
        match (self.mime.as_deref(), self.schema) {
            (Some("application/json"), Some(schema)) => {
                Some(OutputFormat::Schema { name: None, description: None, schema, strict: None })
            }
            (Some("application/json"), None) => Some(OutputFormat::Json),
            (Some("text/plain" | ""), None) => Some(OutputFormat::Text),
            (None, None) => None,
            (_, schema) => {
                // One word of an enumeration, without quotes, is no form of any other API.
                dropped.field("generationConfig.responseMimeType");
                if schema.is_some() {
                    dropped.field("generationConfig.responseSchema");
                }
                None
            }
        }
    }
}
