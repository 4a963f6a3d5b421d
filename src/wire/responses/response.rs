//! The response object: of an answer in one piece, and of the events at both ends of a stream.

use crate::base::json::{ArrayWriter, ObjectWriter};
use crate::llm::{Fault, FaultKind, Finish, Usage};
use crate::wire::codec::Writing;
use crate::wire::openai::tier_word;

/// Who answers, and when it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub id: String,
    pub model: String,
    pub created: u64,
    pub tier: Option<String>,
}

/// How far it is.
#[derive(Clone, Copy)]
pub(super) enum State<'a> {
    Running,
    Completed,
    /// It ended before its end, for this reason.
    Incomplete(&'static str),
    Failed(&'a Fault),
}

// === impl Head ===

impl Head {
    /// The provider's id stays where it is one of this API.
    pub fn new(to: &Writing, id: &str, model: &str, created: u64) -> Self {
        Head {
            id: if id.starts_with("resp_") { id.to_owned() } else { ["resp_", &to.id].concat() },
            model: if model.is_empty() { to.model.clone() } else { model.to_owned() },
            created: if created == 0 { to.created } else { created },
            tier: None,
        }
    }

    /// Writes the object. What the request said is not repeated but for what the official SDKs take for
    /// granted; that has its defaults here.
    pub fn write(
        &self,
        o: &mut ObjectWriter<'_>,
        state: State<'_>,
        usage: Option<&Usage>,
        output: impl FnOnce(&mut ArrayWriter<'_>),
    ) {
        o.text("id", &self.id);
        o.text("object", "response");
        o.number("created_at", self.created);
        o.text("status", state.word());
        o.flag("background", false);
        match state {
            State::Failed(fault) => o.object("error", |o| {
                o.text("code", code_of(fault));
                o.text("message", &fault.message);
            }),
            _ => o.null("error"),
        }
        match state {
            State::Incomplete(reason) => o.object("incomplete_details", |o| o.text("reason", reason)),
            _ => o.null("incomplete_details"),
        }
        for key in ["instructions", "max_output_tokens", "max_tool_calls"] {
            o.null(key);
        }
        o.text("model", &self.model);
        o.array("output", output);
        o.flag("parallel_tool_calls", true);
        o.null("previous_response_id");
        o.object("reasoning", |o| {
            o.null("effort");
            o.null("summary");
        });
        o.text_if("service_tier", self.tier.as_deref().and_then(tier_word));
        o.flag("store", false);
        o.null("temperature");
        o.object("text", |o| o.object("format", |o| o.text("type", "text")));
        o.text("tool_choice", "auto");
        o.array("tools", |_| {});
        o.number("top_logprobs", 0);
        o.null("top_p");
        o.text("truncation", "disabled");
        match usage {
            Some(usage) => write_usage(o, usage),
            None => o.null("usage"),
        }
        o.null("user");
        o.object("metadata", |_| {});
    }
}

// === impl State ===

impl State<'_> {
    fn word(self) -> &'static str {
        match self {
            State::Running => "in_progress",
            State::Completed => "completed",
            State::Incomplete(_) => "incomplete",
            State::Failed(_) => "failed",
        }
    }

    /// The state of an item that ended with the answer.
    pub fn of_item(self) -> &'static str {
        match self {
            State::Incomplete(_) => "incomplete",
            _ => "completed",
        }
    }

    /// How an answer ends. A model that will not is done when it said so; else something cut it off.
    pub fn of_finish(finish: Option<Finish>, refused: bool) -> State<'static> {
        match finish {
            Some(Finish::Length) => State::Incomplete("max_output_tokens"),
            Some(Finish::ContentFilter) => State::Incomplete("content_filter"),
            Some(Finish::Refusal) if !refused => State::Incomplete("content_filter"),
            _ => State::Completed,
        }
    }
}

/// The code of an error inside of a response, in OpenAI's words.
pub(super) fn code_of(fault: &Fault) -> &str {
    match fault.kind {
        FaultKind::RateLimit => "rate_limit_exceeded",
        FaultKind::Quota => "insufficient_quota",
        FaultKind::ContextLength => "context_length_exceeded",
        FaultKind::ContentPolicy => "invalid_prompt",
        _ => "server_error",
    }
}

/// OpenAI counts cached tokens, sound and images inside the totals, so they are added back here.
fn write_usage(o: &mut ObjectWriter<'_>, usage: &Usage) {
    o.object("usage", |o| {
        o.number("input_tokens", usage.total_input());
        o.object("input_tokens_details", |o| {
            o.number("cached_tokens", usage.cache_read);
            o.number("cache_write_tokens", usage.cache_write_5m.saturating_add(usage.cache_write_1h));
            let audio_in = usage.audio_in.saturating_add(usage.cache_read_audio);
            let image_in = usage.image_in.saturating_add(usage.cache_read_image);
            write_some(o, &[("audio_tokens", audio_in), ("image_tokens", image_in)]);
            if usage.cache_read_audio > 0 || usage.cache_read_image > 0 {
                o.object("cached_tokens_details", |o| {
                    o.number("audio_tokens", usage.cache_read_audio);
                    o.number("image_tokens", usage.cache_read_image);
                });
            }
        });
        o.number("output_tokens", usage.total_output());
        o.object("output_tokens_details", |o| {
            o.number("reasoning_tokens", usage.reasoning);
            write_some(o, &[("audio_tokens", usage.audio_out), ("image_tokens", usage.image_out)]);
        });
        o.number("total_tokens", usage.total_input().saturating_add(usage.total_output()));
    });
}

/// What this API does not count by itself, where there is some.
fn write_some(o: &mut ObjectWriter<'_>, counts: &[(&str, u64)]) {
    for &(key, count) in counts.iter().filter(|(_, count)| *count > 0) {
        o.number(key, count);
    }
}
