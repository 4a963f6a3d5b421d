//! Errors in this API's words (API reference "Error codes", "Streaming events": `error`,
//! `response.failed`). Their shape outside of a stream is that of OpenAI's other APIs.

use super::response::code_of;
use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::{Fault, FaultKind};
use crate::wire::codec::Said;
use crate::wire::openai;

/// Reads an error answer.
pub(super) fn read(said: &Said<'_>) -> Fault {
    let mut fault = openai::read_fault(said);
    if let Some(kind) = fault.code.as_deref().and_then(kind_of) {
        fault.kind = kind;
    }
    fault
}

/// Reads the error of an event: of an `error` event, where it may be wrapped or not, or of a response.
pub(super) fn read_event(error: Value<'_, '_>) -> Fault {
    let text = |key: &str| {
        let value = error.get(key)?;
        value.text().map(|text| text.into_owned()).or_else(|| value.number().map(str::to_owned))
    };
    let code = text("code").or_else(|| text("type").filter(|kind| kind != "error"));
    let kind = code.as_deref().and_then(kind_of).unwrap_or(FaultKind::Server);
    let message = text("message").unwrap_or_else(|| "The provider says that it failed, and not why.".to_owned());
    Fault { code, param: text("param"), ..Fault::in_stream(kind, message) }
}

/// The members of an `error` event behind its type.
pub(super) fn write_event(o: &mut ObjectWriter<'_>, fault: &Fault) {
    o.text("code", code_of(fault));
    o.text("message", &fault.message);
    match &fault.param {
        Some(param) => o.text("param", param),
        None => o.null("param"),
    }
}

/// The kind that a code names (`ResponseError.code`, and the codes of HTTP errors).
fn kind_of(code: &str) -> Option<FaultKind> {
    Some(match code {
        "server_error" => FaultKind::Server,
        "rate_limit_exceeded" | "rate_limit_error" => FaultKind::RateLimit,
        "insufficient_quota" | "billing_hard_limit_reached" => FaultKind::Quota,
        "context_length_exceeded" => FaultKind::ContextLength,
        "invalid_prompt"
        | "content_policy_violation"
        | "image_content_policy_violation"
        | "bio_policy"
        | "misalignment_policy_violation"
        | "content_filter" => FaultKind::ContentPolicy,
        "vector_store_timeout" => FaultKind::Timeout,
        "server_is_overloaded" | "slow_down" => FaultKind::Overloaded,
        "invalid_api_key" => FaultKind::Authentication,
        "model_not_found" => FaultKind::NotFound,
        "image_too_large" | "image_file_too_large" => FaultKind::TooLarge,
        "invalid_request_error"
        | "invalid_image"
        | "invalid_image_format"
        | "invalid_base64_image"
        | "invalid_image_url"
        | "image_too_small"
        | "image_parse_error"
        | "invalid_image_mode"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image"
        | "image_file_not_found" => FaultKind::InvalidRequest,
        _ => return None,
    })
}
