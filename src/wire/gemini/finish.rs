//! `finishReason`.

use crate::llm::Finish;

/// Those that say that a filter stopped the answer (REST reference, `FinishReason`, of both APIs).
const FILTERED: &[&str] = &[
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "ESCALATION",
    "PUP_LIMITED_DISABLED",
    "MODEL_ARMOR",
];

/// Reads one. The second is false where the word says more, as that the model tried a call and failed.
pub(super) fn read(word: &str, has_calls: bool) -> (Finish, bool) {
    match word {
        "STOP" if has_calls => (Finish::ToolCalls, true),
        "STOP" => (Finish::Stop, true),
        "MAX_TOKENS" => (Finish::Length, true),
        "CONTINUATION" => (Finish::Length, false),
        word if FILTERED.contains(&word) => (Finish::ContentFilter, true),
        _ if has_calls => (Finish::ToolCalls, false),
        _ => (Finish::Stop, false),
    }
}

pub(super) fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::ToolCalls | Finish::Pause => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::ContentFilter | Finish::Refusal => "SAFETY",
    }
}
