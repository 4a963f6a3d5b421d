//! `generationConfig` of a request, written.

use super::models::{self, Thinking};
use super::schema_write::{self, Outermost};
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Reasoning, Tell};
use crate::llm::{Chat, Dropped};
use crate::wire::codec::Outgoing;

/// The most stop sequences (REST reference, `GenerationConfig.stopSequences`).
const STOPS: usize = 5;

/// The most candidates, and the most alternatives of a token.
const CANDIDATES: u64 = 8;
const ALTERNATIVES: u64 = 20;

/// Writes the field, if there is something to say.
pub(super) fn write(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, to: &Outgoing<'_>, dropped: &mut Dropped) {
    let mut config = Vec::new();
    write_object(&mut config, |o| {
        sampling(o, chat, dropped);
        bounds(o, chat, dropped);
        if let Some(output) = &chat.output {
            form(o, output, chat, to, dropped);
        }
        if let Some(reasoning) = &chat.reasoning {
            thinking(o, *reasoning, models::thinking(to.model), dropped);
        }
        modalities(o, chat, dropped);
    });
    if config.len() > 2 {
        o.raw("generationConfig", &String::from_utf8(config).unwrap_or_default());
    }
}

fn sampling(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    let sampling = &chat.sampling;
    o.raw_if("temperature", sampling.temperature);
    o.raw_if("topP", sampling.top_p);
    let top_k = sampling.top_k.filter(|count| count.parse::<u32>().is_ok_and(|count| count > 0));
    o.raw_if("topK", top_k);
    // 32 bits here, 64 elsewhere.
    let seed = sampling.seed.filter(|seed| seed.parse::<i32>().is_ok());
    o.raw_if("seed", seed);
    o.raw_if("presencePenalty", sampling.presence_penalty);
    o.raw_if("frequencyPenalty", sampling.frequency_penalty);
    for (name, is_lost) in [
        ("top_k", sampling.top_k.is_some() && top_k.is_none()),
        ("seed", sampling.seed.is_some() && seed.is_none()),
        ("min_p", sampling.min_p.is_some()),
        ("logit_bias", sampling.logit_bias.is_some()),
    ] {
        if is_lost {
            dropped.field(name);
        }
    }
}

fn bounds(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    o.number_if("maxOutputTokens", chat.max_output.map(|most| most.min(i32::MAX as u64)));
    if chat.stop.len() > STOPS {
        dropped.field("stop");
    }
    if !chat.stop.is_empty() {
        o.array("stopSequences", |a| chat.stop.iter().take(STOPS).for_each(|stop| a.text(stop)));
    }
    if chat.choices.is_some_and(|choices| choices > CANDIDATES) {
        dropped.field("n");
    }
    o.number_if("candidateCount", chat.choices.map(|choices| choices.clamp(1, CANDIDATES)));
    o.flag_if("responseLogprobs", chat.logprobs);
    // It is an error without the field before it.
    let told = chat.top_logprobs.filter(|_| chat.logprobs == Some(true));
    if chat.top_logprobs.is_some_and(|most| most > ALTERNATIVES || told.is_none()) {
        dropped.field("top_logprobs");
    }
    o.number_if("logprobs", told.map(|most| most.min(ALTERNATIVES)));
}

fn form(
    o: &mut ObjectWriter<'_>,
    output: &OutputFormat<'_>,
    chat: &Chat<'_>,
    to: &Outgoing<'_>,
    dropped: &mut Dropped,
) {
    if *output == OutputFormat::Text {
        return o.text("responseMimeType", "text/plain");
    }
    if !chat.tools.is_empty() && !models::takes_json_beside_tools(to.model) {
        return dropped.field("response_format");
    }
    o.text("responseMimeType", "application/json");
    if let OutputFormat::Schema { name, description, schema, .. } = output {
        let mut out = Vec::new();
        let outermost = Outermost { is_arguments: false, title: name.as_deref(), description: description.as_deref() };
        if !schema_write::write(schema, outermost, &mut out) {
            dropped.field("response_format.json_schema.schema");
        }
        o.raw("responseJsonSchema", &String::from_utf8(out).unwrap_or_default());
    }
}

fn thinking(o: &mut ObjectWriter<'_>, reasoning: Reasoning, how: Thinking, dropped: &mut Dropped) {
    let Reasoning { tell, .. } = reasoning;
    let include = tell.map(|tell| tell != Tell::Nothing);
    let asked = reasoning.effort.is_some() || reasoning.budget.is_some() || reasoning.dynamic;
    let mut config = Vec::new();
    write_object(&mut config, |o| {
        o.flag_if("includeThoughts", include.filter(|_| how != Thinking::Never));
        match how {
            Thinking::Never if asked && !reasoning.is_off() => dropped.field("reasoning_effort"),
            Thinking::Never => {}
            Thinking::Budget { least, most, stops } if reasoning.is_off() => {
                if !stops {
                    dropped.field("reasoning_effort");
                }
                o.number("thinkingBudget", if stops { 0 } else { least.min(most) });
            }
            Thinking::Budget { .. } if reasoning.dynamic => o.raw("thinkingBudget", "-1"),
            Thinking::Budget { least, most, .. } => {
                o.number_if("thinkingBudget", reasoning.budget().map(|budget| budget.clamp(least, most)));
            }
            Thinking::Level(levels) if reasoning.is_off() => {
                // There is no off: the least thinks next to nothing, where it is `MINIMAL`.
                let least = levels.first().copied().unwrap_or(Effort::Low);
                if least != Effort::Minimal {
                    dropped.field("reasoning_effort");
                }
                o.text("thinkingLevel", level(least));
            }
            Thinking::Level(levels) => {
                let nearest = |effort| levels.iter().find(|level| **level >= effort).or(levels.last()).copied();
                o.text_if("thinkingLevel", reasoning.effort().and_then(nearest).map(level));
            }
        }
    });
    if config.len() > 2 {
        o.raw("thinkingConfig", &String::from_utf8(config).unwrap_or_default());
    }
}

fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}

fn modalities(o: &mut ObjectWriter<'_>, chat: &Chat<'_>, dropped: &mut Dropped) {
    if let Some(AudioOut { voice, format }) = &chat.audio {
        // Gemini's speech is of models that say nothing else, as samples of 16 bits.
        o.array("responseModalities", |a| a.text("AUDIO"));
        // Gemini's voices are named after stars, OpenAI's are not capitalised.
        let known = voice.as_deref().filter(|voice| voice.starts_with(|c: char| c.is_ascii_uppercase()));
        if voice.is_some() && known.is_none() {
            dropped.field("audio.voice");
        }
        if format.as_deref().is_some_and(|format| format != "pcm16") {
            dropped.field("audio.format");
        }
        if chat.images {
            dropped.field("modalities");
        }
        if let Some(voice) = known {
            o.object("speechConfig", |o| {
                o.object("voiceConfig", |o| o.object("prebuiltVoiceConfig", |o| o.text("voiceName", voice)));
            });
        }
    } else if chat.images {
        o.array("responseModalities", |a| {
            a.text("TEXT");
            a.text("IMAGE");
        });
    }
}
