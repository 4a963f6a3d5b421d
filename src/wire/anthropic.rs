//! The Anthropic Messages API: requests with a top-level `model`, `{"type":"error","error":{…}}`
//! (API reference "Errors", version 2023-06-01). Streams pass and are metered; they are not written yet.

use serde_json::json;

use super::{Codec, Fields, fields, sse};
use crate::llm::{Dialect, Operation, Refusal};

/// The Anthropic codec.
pub struct Anthropic;

impl Codec for Anthropic {
    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }

    fn read(&self, operation: Operation, body: &[u8]) -> Result<Fields, Refusal> {
        fields::read(Dialect::Anthropic, operation, body)
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let kind = match refusal.code.status() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            status if status < 500 => "invalid_request_error",
            _ => "api_error",
        };
        let message = format!("{} ({})", refusal.message, refusal.code.as_str());
        json!({"type": "error", "error": {"type": kind, "message": message}}).to_string().into_bytes()
    }

    fn stream_refusal(&self, _: Operation, refusal: &Refusal, out: &mut Vec<u8>) {
        sse::write(out, Some("error"), &self.refusal(refusal));
    }
}
