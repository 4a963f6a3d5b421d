//! A chat in the canonical words. Every field is named here once, and a new one does not compile until it is said
//! whether an answer depends on it.

use super::hash::Canon;
use super::json;
use crate::llm::chat::{AudioOut, Chat, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{Citation, Content, Media, MediaKind, Part, Signature, Source, ToolCall, ToolResult};

/// Hashes a chat; of the turn of this number its place alone.
pub(super) fn put(chat: &Chat<'_>, without: Option<usize>, canon: &mut Canon) {
    let Chat {
        // These are known from elsewhere, or change no answer.
        model: _,
        stream: _,
        stream_usage: _,
        cache_key: _,
        turns,
        tools,
        tool_choice,
        parallel_tools,
        output,
        reasoning,
        max_output,
        stop,
        sampling,
        logprobs,
        top_logprobs,
        choices,
        metadata,
        user,
        service_tier,
        store,
        verbosity,
        audio,
        images,
    } = chat;
    put_turns(turns, without, canon);
    canon.count(tools.len());
    tools.iter().for_each(|tool| put_tool(tool, canon));
    canon.maybe(tool_choice.as_ref(), put_choice);
    canon.maybe_bool(*parallel_tools);
    canon.maybe(output.as_ref(), put_output);
    canon.maybe(reasoning.as_ref(), put_reasoning);
    canon.maybe_number(*max_output);
    canon.count(stop.len());
    stop.iter().for_each(|text| canon.text(text));
    put_sampling(sampling, canon);
    canon.maybe_bool(*logprobs);
    canon.maybe_number(*top_logprobs);
    // One answer is what is asked for where nobody says how many.
    canon.number(choices.unwrap_or(1));
    canon.count(metadata.len());
    for (name, value) in metadata {
        canon.text(name);
        canon.text(value);
    }
    canon.maybe_text(user.as_deref());
    canon.maybe_text(service_tier.as_deref());
    canon.maybe_bool(*store);
    canon.maybe_text(verbosity.as_deref());
    canon.maybe(audio.as_ref(), |canon, AudioOut { voice, format }| {
        canon.maybe_text(voice.as_deref());
        canon.maybe_text(format.as_deref());
    });
    canon.tag(u8::from(*images));
}

fn put_turns(turns: &[Turn<'_>], without: Option<usize>, canon: &mut Canon) {
    canon.count(turns.len());
    for (place, turn) in turns.iter().enumerate() {
        match without == Some(place) {
            true => put_around(turn, canon),
            false => put_turn(turn, canon),
        }
    }
}

/// What is said in a turn beside its text: who of several speakers it is, and in how many pieces of which kind.
fn put_around(turn: &Turn<'_>, canon: &mut Canon) {
    canon.tag(255);
    canon.maybe_text(turn.name.as_deref());
    canon.count(turn.parts.len());
    for part in &turn.parts {
        if let Content::Text { citations, .. } = &part.content {
            canon.count(citations.len());
            citations.iter().for_each(|citation| put_citation(citation, canon));
        }
    }
}

fn put_turn(turn: &Turn<'_>, canon: &mut Canon) {
    let Turn { role, parts, name } = turn;
    canon.tag(match role {
        Role::System => 1,
        Role::Developer => 2,
        Role::User => 3,
        Role::Assistant => 4,
    });
    canon.maybe_text(name.as_deref());
    put_parts(parts, canon);
}

fn put_parts(parts: &[Part<'_>], canon: &mut Canon) {
    canon.count(parts.len());
    // What the provider's own cache does with a prompt changes its price and no answer.
    for Part { content, cache: _ } in parts {
        match content {
            Content::Text { text, citations } => {
                canon.tag(1);
                canon.text(text);
                canon.count(citations.len());
                citations.iter().for_each(|citation| put_citation(citation, canon));
            }
            Content::Media(media) => {
                canon.tag(2);
                put_media(media, canon);
            }
            Content::ToolCall(ToolCall { id, name, arguments, signature }) => {
                canon.tag(3);
                canon.text(id);
                canon.text(name);
                json::put_text(if arguments.is_empty() { "{}" } else { arguments }, canon);
                canon.maybe(signature.as_ref(), put_signature);
            }
            Content::ToolResult(ToolResult { id, name, parts, is_error }) => {
                canon.tag(4);
                canon.text(id);
                canon.maybe_text(name.as_deref());
                put_parts(parts, canon);
                canon.tag(u8::from(*is_error));
            }
            Content::Reasoning { text, signature } => {
                canon.tag(5);
                canon.text(text);
                canon.maybe(signature.as_ref(), put_signature);
            }
            Content::Redacted(signature) => {
                canon.tag(6);
                put_signature(canon, signature);
            }
            Content::Refusal(text) => {
                canon.tag(7);
                canon.text(text);
            }
        }
    }
}

fn put_citation(citation: &Citation<'_>, canon: &mut Canon) {
    let Citation { url, title, quote, document, start, end } = citation;
    [url, title, quote].into_iter().for_each(|text| canon.maybe_text(text.as_deref()));
    [document, start, end].into_iter().for_each(|number| canon.maybe_number(*number));
}

fn put_media(media: &Media<'_>, canon: &mut Canon) {
    let Media { kind, mime, source, name, detail } = media;
    canon.tag(match kind {
        MediaKind::Image => 1,
        MediaKind::Audio => 2,
        MediaKind::Video => 3,
        MediaKind::File => 4,
    });
    [mime, name, detail].into_iter().for_each(|text| canon.maybe_text(text.as_deref()));
    let (tag, text) = match source {
        Source::Base64(text) => (1, text),
        Source::Url(text) => (2, text),
        Source::FileId(text) => (3, text),
        Source::Text(text) => (4, text),
    };
    canon.tag(tag);
    canon.text(text);
}

fn put_signature(canon: &mut Canon, signature: &Signature<'_>) {
    let Signature { maker, data } = signature;
    canon.text(maker.as_str());
    canon.text(data);
}

fn put_tool(tool: &Tool<'_>, canon: &mut Canon) {
    let Tool { name, description, parameters, strict, custom, cache: _ } = tool;
    canon.text(name);
    canon.maybe_text(description.as_deref());
    [parameters, custom].into_iter().for_each(|text| {
        canon.maybe(text.as_deref(), |canon, text| json::put_text(text, canon));
    });
    canon.maybe_bool(*strict);
}

fn put_choice(canon: &mut Canon, choice: &ToolChoice<'_>) {
    match choice {
        ToolChoice::Auto => canon.tag(1),
        ToolChoice::None => canon.tag(2),
        ToolChoice::Required => canon.tag(3),
        ToolChoice::Named(name) => {
            canon.tag(4);
            canon.text(name);
        }
        ToolChoice::Among { names, required } => {
            canon.tag(5);
            canon.count(names.len());
            names.iter().for_each(|name| canon.text(name));
            canon.tag(u8::from(*required));
        }
    }
}

fn put_output(canon: &mut Canon, output: &OutputFormat<'_>) {
    match output {
        OutputFormat::Text => canon.tag(1),
        OutputFormat::Json => canon.tag(2),
        OutputFormat::Schema { name, description, schema, strict } => {
            canon.tag(3);
            canon.maybe_text(name.as_deref());
            canon.maybe_text(description.as_deref());
            json::put_text(schema, canon);
            canon.maybe_bool(*strict);
        }
    }
}

fn put_reasoning(canon: &mut Canon, reasoning: &Reasoning) {
    let Reasoning { enabled, effort, budget, dynamic, tell } = reasoning;
    canon.maybe_bool(*enabled);
    canon.maybe_text(effort.map(|effort| effort.as_str()));
    canon.maybe_number(*budget);
    canon.tag(u8::from(*dynamic));
    canon.maybe(*tell, |canon, tell| {
        canon.tag(match tell {
            Tell::Nothing => 1,
            Tell::Auto => 2,
            Tell::Concise => 3,
            Tell::Detailed => 4,
        });
    });
}

fn put_sampling(sampling: &Sampling<'_>, canon: &mut Canon) {
    let Sampling { temperature, top_p, top_k, min_p, seed, presence_penalty, frequency_penalty, logit_bias } = sampling;
    for number in [temperature, top_p, top_k, min_p, seed, presence_penalty, frequency_penalty] {
        canon.maybe_text(number.map(plain));
    }
    canon.maybe(*logit_bias, |canon, text| json::put_text(text, canon));
}

/// A number without the zeros that say nothing: 1.0 and 0.20 are set as they are meant.
fn plain(number: &str) -> &str {
    match number.contains('.') && !number.contains(['e', 'E']) {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}
