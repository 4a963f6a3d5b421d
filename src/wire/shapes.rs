//! Formats of which only the shape of an error is written yet: Gemini's and Bedrock's. Their calls
//! pass and are metered where a usage object is recognised.

use serde_json::json;

use super::Codec;
use crate::llm::{Dialect, Refusal};

/// Google's `{"error":{"code","message","status"}}` (google.rpc.Status as JSON).
pub struct Gemini;

/// Bedrock's `{"message"}` (Bedrock Runtime API, "Common errors").
pub struct Bedrock;

impl Codec for Gemini {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        let status = match refusal.code.status() {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            408 | 504 => "DEADLINE_EXCEEDED",
            429 => "RESOURCE_EXHAUSTED",
            502 | 503 => "UNAVAILABLE",
            status if status < 500 => "INVALID_ARGUMENT",
            _ => "INTERNAL",
        };
        let code = refusal.code.status();
        json!({"error": {"code": code, "message": refusal.message, "status": status}}).to_string().into_bytes()
    }
}

impl Codec for Bedrock {
    fn dialect(&self) -> Dialect {
        Dialect::Bedrock
    }

    fn refusal(&self, refusal: &Refusal) -> Vec<u8> {
        json!({"message": refusal.message}).to_string().into_bytes()
    }
}
