//! `{"error":{"message","type","param","code"}}` (API reference "Error codes"), as OpenAI's Chat and
//! Responses write it, and those who imitate them.

use crate::base::json::tree::Value;
use crate::base::json::write_object;
use crate::llm::{Fault, FaultKind, Refusal};
use crate::wire::codec::Said;
use crate::wire::google;

/// Weir's own words.
pub(in crate::wire) fn refusal(refusal: &Refusal) -> Vec<u8> {
    let words = Words {
        message: &refusal.message,
        kind: refusal.code.kind(),
        param: refusal.param.as_deref(),
        code: Some(refusal.code.as_str()),
    };
    words.write()
}

/// A provider's words.
pub(in crate::wire) fn write_fault(fault: &Fault) -> Vec<u8> {
    let (kind, code) = words(fault.kind);
    // A code of the provider's own says more than the kind does; of OpenAI's words clients know these.
    let code = code.or(fault.code.as_deref());
    Words { message: &fault.message, kind, param: fault.param.as_deref(), code }.write()
}

/// OpenAI's type and code for a kind of error.
fn words(kind: FaultKind) -> (&'static str, Option<&'static str>) {
    match kind {
        FaultKind::InvalidRequest | FaultKind::TooLarge => ("invalid_request_error", None),
        FaultKind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        FaultKind::ContentPolicy => ("invalid_request_error", Some("content_policy_violation")),
        FaultKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        FaultKind::Permission => ("permission_error", None),
        FaultKind::NotFound => ("invalid_request_error", Some("model_not_found")),
        FaultKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        FaultKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::Timeout | FaultKind::Overloaded | FaultKind::Server => ("server_error", None),
    }
}

struct Words<'a> {
    message: &'a str,
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

impl Words<'_> {
    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.message.len());
        write_object(&mut out, |o| {
            o.object("error", |o| {
                o.text("message", self.message);
                o.text("type", self.kind);
                for (key, value) in [("param", self.param), ("code", self.code)] {
                    match value {
                        Some(value) => o.text(key, value),
                        None => o.null(key),
                    }
                }
            });
        });
        out
    }
}

/// Reads an error answer. Azure, Mistral and others write `code` as a number or put the message at the top.
pub(in crate::wire) fn read_fault(said: &Said<'_>) -> Fault {
    let Some(tree) = said.tree() else { return said.plain() };
    let root = tree.root();
    // Gemini's OpenAI-compatible API answers with an array of one.
    let root = root.elements().next().unwrap_or(root);
    match root.get("error").unwrap_or(root) {
        error if error.get("message").is_some() => {
            let mut fault = read_error(error, FaultKind::of_status(said.status));
            fault.status = Some(said.status);
            if fault.message.trim().is_empty() {
                fault.message = said.plain().message;
            }
            fault
        }
        error => match error.text().or_else(|| root.get("detail")?.text()) {
            Some(message) if !message.trim().is_empty() => Fault::new(said.status, message),
            _ => said.plain(),
        },
    }
}

/// Reads an error object; `kind` is what is known of it.
pub(in crate::wire) fn read_error(error: Value<'_, '_>, kind: FaultKind) -> Fault {
    let text = |key: &str| {
        let value = error.get(key)?;
        value.text().map(|text| text.into_owned()).or_else(|| value.number().map(str::to_owned))
    };
    let (code, of_type) = (text("code"), text("type"));
    let message = text("message").unwrap_or_default();
    let told = [&code, &of_type].into_iter().flatten().find_map(|word| kind_of(word));
    let kind = told.or_else(|| is_too_long(&message, kind).then_some(FaultKind::ContextLength)).unwrap_or(kind);
    let retry_after = google::retry_delay(error);
    Fault { code: code.or(of_type), param: text("param"), retry_after, ..Fault::in_stream(kind, message) }
}

/// Those who imitate OpenAI say in words alone that a prompt does not fit (vLLM, DeepSeek, Groq, xAI), and
/// agents make it shorter only when they are told so.
fn is_too_long(message: &str, kind: FaultKind) -> bool {
    const WORDS: &[&str] = &[
        "maximum context length",
        "maximum prompt length",
        "context window",
        "longer than the model's context length",
        "reduce the length of the messages",
    ];
    let message = message.to_ascii_lowercase();
    matches!(kind, FaultKind::InvalidRequest | FaultKind::TooLarge) && WORDS.iter().any(|words| message.contains(words))
}

/// The kind that a code or a type of OpenAI's names; none for one that says less than the status.
fn kind_of(word: &str) -> Option<FaultKind> {
    Some(match word {
        "context_length_exceeded" => FaultKind::ContextLength,
        "content_policy_violation" | "content_filter" => FaultKind::ContentPolicy,
        "invalid_api_key" | "authentication_error" => FaultKind::Authentication,
        "permission_error" => FaultKind::Permission,
        "model_not_found" | "DeploymentNotFound" => FaultKind::NotFound,
        "insufficient_quota" | "billing_hard_limit_reached" => FaultKind::Quota,
        "rate_limit_exceeded" | "rate_limit_error" => FaultKind::RateLimit,
        _ => return None,
    })
}
