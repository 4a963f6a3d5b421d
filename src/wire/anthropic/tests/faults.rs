//! Errors.

use super::*;
use crate::llm::{Code, FaultKind};

fn check(status: u16, error_type: Option<&str>, body: &str, kind: FaultKind, code: Option<&str>) {
    let fault = Anthropic.read_fault(&Said { status, error_type, body: body.as_bytes() });
    assert_eq!((fault.status, fault.kind, fault.code.as_deref()), (Some(status), kind, code), "{body}");
    assert!(!fault.message.is_empty());
}

#[test]
fn anthropics_errors_are_understood() {
    for (status, word, message, kind) in [
        (400, "invalid_request_error", "max_tokens: Field required", FaultKind::InvalidRequest),
        (400, "invalid_request_error", "prompt is too long: 9 > 8", FaultKind::ContextLength),
        (400, "invalid_request_error", "Your credit balance is too low to go on", FaultKind::Quota),
        (400, "invalid_request_error", "Output blocked by content filtering policy", FaultKind::ContentPolicy),
        (401, "authentication_error", "invalid x-api-key", FaultKind::Authentication),
        (402, "billing_error", "b", FaultKind::Quota),
        (403, "permission_error", "p", FaultKind::Permission),
        (404, "not_found_error", "model: x", FaultKind::NotFound),
        (413, "request_too_large", "r", FaultKind::TooLarge),
        (429, "rate_limit_error", "r", FaultKind::RateLimit),
        (500, "api_error", "i", FaultKind::Server),
        (504, "timeout_error", "t", FaultKind::Timeout),
        (529, "overloaded_error", "Overloaded", FaultKind::Overloaded),
    ] {
        let body =
            format!(r#"{{"type":"error","error":{{"type":"{word}","message":"{message}"}},"request_id":"req_1"}}"#);
        check(status, None, &body, kind, None);
    }
    let coded = r#"{"error":{"type":"invalid_request_error","message":"m","details":{"error_code":"file_expired"}}}"#;
    check(400, None, coded, FaultKind::InvalidRequest, Some("file_expired"));
}

#[test]
fn errors_of_the_clouds_are_understood() {
    let (slow, long) = (r#"{"message":"slow"}"#, r#"{"message":"Input is too long for requested model."}"#);
    let google = r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#;
    let throttled = Some("ThrottlingException:http://x");
    check(429, throttled, slow, FaultKind::RateLimit, Some("ThrottlingException"));
    check(400, Some("ValidationException"), long, FaultKind::ContextLength, Some("ValidationException"));
    check(429, None, google, FaultKind::RateLimit, Some("RESOURCE_EXHAUSTED"));
    check(503, None, "<html>", FaultKind::Overloaded, None);
    check(424, Some("ModelErrorException"), "", FaultKind::Server, None);
}

#[test]
fn each_kind_has_its_word_and_comes_back_as_it_was() {
    for kind in FaultKind::ALL {
        let fault = Fault { kind, ..Fault::new(400, "m") };
        let body = Anthropic.write_fault(&fault);
        let status = kind.status();
        let read = Anthropic.read_fault(&Said { status, error_type: None, body: &body });
        // That a filter was at work is told in words alone.
        let expected = if kind == FaultKind::ContentPolicy { FaultKind::InvalidRequest } else { kind };
        assert_eq!(read.kind, expected, "{}", String::from_utf8_lossy(&body));
    }
    let long = Fault { kind: FaultKind::ContextLength, ..Fault::new(400, "too many tokens") };
    let expected =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: too many tokens"}}"#;
    assert_eq!(String::from_utf8(Anthropic.write_fault(&long)).unwrap(), expected);
}

#[test]
fn a_refusal_is_an_error_of_this_format() {
    let refusal = Refusal::new(Code::ModelNotAllowed, "No.");
    let expected = r#"{"type":"error","error":{"type":"permission_error","message":"No. (model_not_allowed)"}}"#;
    assert_eq!(String::from_utf8(Anthropic.refusal(&refusal)).unwrap(), expected);
    let mut out = Vec::new();
    Anthropic.stream_refusal(&refusal, &mut out);
    assert_eq!(parsed(&out), [("error".to_owned(), expected.to_owned())]);
}
