//! Errors read and written.

use super::*;
use crate::llm::{Code, Fault};

fn read_fault(status: u16, error_type: Option<&str>, body: &str) -> Fault {
    Bedrock.read_fault(&Said { status, error_type, body: body.as_bytes() })
}

#[test]
fn every_exception_is_told_by_its_name_and_its_words() {
    let url = ":http://internal.amazon.com/coral/com.amazon.bedrock/";
    for (status, name, message, kind) in [
        (400, "ValidationException", "Malformed input request", FaultKind::InvalidRequest),
        (400, "ValidationException", "Input is too long for requested model.", FaultKind::ContextLength),
        (400, "ValidationException", "prompt is too long: 220000 tokens > 200000 maximum", FaultKind::ContextLength),
        (400, "ValidationException", "Output blocked by content filtering policy", FaultKind::ContentPolicy),
        (403, "AccessDeniedException", "You don't have access to the model", FaultKind::Permission),
        (403, "UnrecognizedClientException", "The security token is invalid", FaultKind::Authentication),
        (403, "ExpiredTokenException", "expired", FaultKind::Authentication),
        (404, "ResourceNotFoundException", "no such model", FaultKind::NotFound),
        (408, "ModelTimeoutException", "timeout", FaultKind::Timeout),
        (429, "ThrottlingException", "Too many tokens, please wait", FaultKind::RateLimit),
        (429, "ModelNotReadyException", "not ready", FaultKind::Overloaded),
        (400, "ServiceQuotaExceededException", "quota", FaultKind::Quota),
        (503, "ServiceUnavailableException", "busy", FaultKind::Overloaded),
        (500, "InternalServerException", "oops", FaultKind::Server),
        (424, "ModelErrorException", "oops", FaultKind::Server),
        (418, "TeapotException", "tea", FaultKind::InvalidRequest),
    ] {
        let body = json!({"message": message}).to_string();
        let fault = read_fault(status, Some(&[name, url].concat()), &body);
        let expected = Fault { kind, code: Some(name.into()), ..Fault::new(status, message) };
        assert_eq!(fault, expected, "{name}: {message}");
        let body = json!({"__type": format!("com.amazon.coral.service#{name}"), "Message": message}).to_string();
        assert_eq!(read_fault(status, None, &body), expected);
    }
}

#[test]
fn a_body_of_another_kind_is_told_by_its_status() {
    assert_eq!(read_fault(502, None, "<html>").kind, FaultKind::Server);
    assert_eq!(read_fault(429, None, "slow down").message, "slow down");
    assert_eq!(read_fault(403, Some(""), "").code, None);
}

#[test]
fn what_is_written_is_read_again() {
    for kind in FaultKind::ALL {
        let written = Bedrock.write_fault(&Fault { kind, ..Fault::new(kind.status(), "m") });
        let read = read_fault(kind.status(), None, std::str::from_utf8(&written).unwrap());
        let same = match kind {
            FaultKind::ContextLength | FaultKind::ContentPolicy | FaultKind::TooLarge => FaultKind::InvalidRequest,
            kind => kind,
        };
        assert_eq!((read.kind, &*read.message), (same, "m"));
    }
}

#[test]
fn refusals_are_exceptions() {
    for (code, name) in [
        (Code::InvalidJson, "ValidationException"),
        (Code::InvalidApiKey, "UnrecognizedClientException"),
        (Code::ModelNotAllowed, "AccessDeniedException"),
        (Code::ModelNotFound, "ResourceNotFoundException"),
        (Code::RequestTooLarge, "ValidationException"),
        (Code::RateLimitExceeded, "ThrottlingException"),
        (Code::UpstreamTimeout, "ModelTimeoutException"),
        (Code::Overloaded, "ServiceUnavailableException"),
        (Code::UpstreamInvalidResponse, "InternalServerException"),
    ] {
        let refusal = Refusal::new(code, "why \"so\"");
        let body: Json = serde_json::from_slice(&Bedrock.refusal(&refusal)).unwrap();
        assert_eq!(body, json!({"__type": name, "message": "why \"so\""}));
        let mut out = Vec::new();
        Bedrock.stream_refusal(&refusal, &mut out);
        let event = events(&out, 99).remove(0);
        assert!(frames::is_failure(&event.name.unwrap()));
        assert_eq!(serde_json::from_slice::<Json>(&event.data).unwrap()["message"], "why \"so\"");
    }
}
