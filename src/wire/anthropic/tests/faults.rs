//! Errors.

use super::*;
use crate::llm::{Code, FaultKind};

#[test]
fn errors_of_all_three_hosts_are_understood() {
    let anthropic = |kind: &str, message: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#)
    };
    for (status, error_type, body, kind, code) in [
        (400, None, anthropic("invalid_request_error", "max_tokens: Field required"), FaultKind::InvalidRequest, None),
        (400, None, anthropic("invalid_request_error", "prompt is too long: 9 > 8"), FaultKind::ContextLength, None),
        (
            400,
            None,
            anthropic("invalid_request_error", "Your credit balance is too low to go on"),
            FaultKind::Quota,
            None,
        ),
        (
            400,
            None,
            anthropic("invalid_request_error", "Output blocked by content filtering policy"),
            FaultKind::ContentPolicy,
            None,
        ),
        (401, None, anthropic("authentication_error", "invalid x-api-key"), FaultKind::Authentication, None),
        (402, None, anthropic("billing_error", "b"), FaultKind::Quota, None),
        (403, None, anthropic("permission_error", "p"), FaultKind::Permission, None),
        (404, None, anthropic("not_found_error", "model: x"), FaultKind::NotFound, None),
        (413, None, anthropic("request_too_large", "r"), FaultKind::TooLarge, None),
        (429, None, anthropic("rate_limit_error", "r"), FaultKind::RateLimit, None),
        (500, None, anthropic("api_error", "i"), FaultKind::Server, None),
        (504, None, anthropic("timeout_error", "t"), FaultKind::Timeout, None),
        (529, None, anthropic("overloaded_error", "Overloaded"), FaultKind::Overloaded, None),
        (
            400,
            None,
            r#"{"error":{"type":"invalid_request_error","message":"m","details":{"error_code":"file_expired"}}}"#
                .to_owned(),
            FaultKind::InvalidRequest,
            Some("file_expired"),
        ),
        (
            429,
            Some("ThrottlingException:http://x"),
            r#"{"message":"slow"}"#.to_owned(),
            FaultKind::RateLimit,
            Some("ThrottlingException"),
        ),
        (
            400,
            Some("ValidationException"),
            r#"{"message":"Input is too long for requested model."}"#.to_owned(),
            FaultKind::ContextLength,
            Some("ValidationException"),
        ),
        (
            429,
            None,
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#.to_owned(),
            FaultKind::RateLimit,
            Some("RESOURCE_EXHAUSTED"),
        ),
        (503, None, "<html>".to_owned(), FaultKind::Overloaded, None),
        (424, Some("ModelErrorException"), String::new(), FaultKind::Server, None),
    ] {
        let fault = Anthropic.read_fault(&Said { status, error_type, body: body.as_bytes() });
        assert_eq!((fault.status, fault.kind, fault.code.as_deref()), (Some(status), kind, code), "{body}");
        assert!(!fault.message.is_empty());
    }
}

#[test]
fn each_kind_has_its_word_and_comes_back_as_it_was() {
    for kind in FaultKind::ALL {
        let fault = Fault { kind, status: Some(400), message: "m".into(), code: None, param: None };
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
