//! Errors.

use std::time::Duration;

use super::{Gemini, json};
use crate::llm::{Code, Fault, FaultKind, Refusal};
use crate::wire::codec::{Codec, Said};

fn said(status: u16, body: &str) -> Fault {
    Gemini.read_fault(&Said { status, error_type: None, body: body.as_bytes() })
}

/// Status, word, message, details, and what they come to.
type Row = (u16, &'static str, &'static str, &'static str, FaultKind, &'static str);

const ROWS: &[Row] = &[
    (400, "INVALID_ARGUMENT", "bad", "", FaultKind::InvalidRequest, "INVALID_ARGUMENT"),
    (
        400,
        "INVALID_ARGUMENT",
        "API key not valid.",
        r#","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]"#,
        FaultKind::Authentication,
        "API_KEY_INVALID",
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        "",
        FaultKind::ContextLength,
        "INVALID_ARGUMENT",
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "Request payload size exceeds the limit: 20971520 bytes.",
        "",
        FaultKind::TooLarge,
        "INVALID_ARGUMENT",
    ),
    (400, "INVALID_ARGUMENT", "The prompt was blocked.", "", FaultKind::ContentPolicy, "INVALID_ARGUMENT"),
    (401, "UNAUTHENTICATED", "x", "", FaultKind::Authentication, "UNAUTHENTICATED"),
    (
        403,
        "PERMISSION_DENIED",
        "This violates the policy of your organisation.",
        "",
        FaultKind::Permission,
        "PERMISSION_DENIED",
    ),
    (404, "NOT_FOUND", "x", "", FaultKind::NotFound, "NOT_FOUND"),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "slow down",
        r#","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinute"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"19s"}]"#,
        FaultKind::RateLimit,
        "RESOURCE_EXHAUSTED",
    ),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "x",
        r#","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}]"#,
        FaultKind::Quota,
        "RESOURCE_EXHAUSTED",
    ),
    (503, "UNAVAILABLE", "x", "", FaultKind::Overloaded, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED", "x", "", FaultKind::Timeout, "DEADLINE_EXCEEDED"),
    (500, "INTERNAL", "x", "", FaultKind::Server, "INTERNAL"),
    (418, "NEW_WORD", "x", "", FaultKind::InvalidRequest, "NEW_WORD"),
];

#[test]
fn an_error_is_of_the_kind_that_google_says() {
    for &(status, word, message, details, kind, code) in ROWS {
        let body = format!(r#"{{"error":{{"code":{status},"message":"{message}","status":"{word}"{details}}}}}"#);
        let after = details.contains("RetryInfo").then(|| Duration::from_secs(19));
        let expected = Fault { kind, code: Some(code.into()), retry_after: after, ..Fault::new(status, message) };
        assert_eq!(said(status, &body), expected);
        assert_eq!(said(status, &format!("[{body}]")), expected, "as an array");
    }
}

#[test]
fn the_field_at_fault_is_told() {
    let body = r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[
        {"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents[0].role","description":"d"}]}]}}"#;
    assert_eq!(said(400, body).param.as_deref(), Some("contents[0].role"));
}

#[test]
fn what_is_no_status_keeps_its_words() {
    for (status, body, kind, message) in [
        (503, "upstream down", FaultKind::Overloaded, "upstream down"),
        (502, "<html>", FaultKind::Server, "The provider answered with status 502."),
        (404, r#"{"error":"x"}"#, FaultKind::NotFound, r#"{"error":"x"}"#),
        (429, r#"{"error":{}}"#, FaultKind::RateLimit, "The provider answered with an error 429."),
    ] {
        let fault = said(status, body);
        assert_eq!((fault.kind, &*fault.message, fault.status), (kind, message, Some(status)), "{body}");
    }
}

#[test]
fn every_kind_is_written_and_read_as_itself_or_its_neighbour() {
    for kind in FaultKind::ALL {
        let body = Gemini.write_fault(&Fault::in_stream(kind, "why"));
        let text = String::from_utf8(body).unwrap();
        let status = kind.status();
        assert_eq!(json(&text)["error"]["code"], status);
        let expected = match kind {
            FaultKind::ContextLength | FaultKind::ContentPolicy | FaultKind::TooLarge => FaultKind::InvalidRequest,
            FaultKind::Quota => FaultKind::RateLimit,
            kind => kind,
        };
        assert_eq!(said(status, &text).kind, expected);
    }
}

#[test]
fn a_refusal_is_a_status() {
    let refusal = Refusal::new(Code::RateLimitExceeded, "why \"so\"");
    let body = r#"{"error":{"code":429,"message":"why \"so\"","status":"RESOURCE_EXHAUSTED"}}"#;
    assert_eq!(Gemini.refusal(&refusal), body.as_bytes());
    let mut out = Vec::new();
    Gemini.stream_refusal(&refusal, &mut out);
    assert_eq!(out, format!("data: {body}\n\n").as_bytes());
}
