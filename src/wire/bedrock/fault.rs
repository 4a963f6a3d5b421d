//! Errors, of whole answers (`x-amzn-errortype`, or `__type` of the body) and inside of a stream.

use crate::base::json::tree::Value;
use crate::base::json::write_object;
use crate::llm::{Fault, FaultKind, Refusal};
use crate::wire::codec::Said;
use crate::wire::frames;

/// The exceptions and what they mean. The first of a kind is the one that is written for it.
const EXCEPTIONS: &[(&str, FaultKind)] = &[
    ("ValidationException", FaultKind::InvalidRequest),
    ("UnrecognizedClientException", FaultKind::Authentication),
    ("ExpiredTokenException", FaultKind::Authentication),
    ("ExpiredToken", FaultKind::Authentication),
    ("InvalidSignatureException", FaultKind::Authentication),
    ("IncompleteSignatureException", FaultKind::Authentication),
    ("IncompleteSignature", FaultKind::Authentication),
    ("InvalidClientTokenId", FaultKind::Authentication),
    ("MissingAuthenticationTokenException", FaultKind::Authentication),
    ("MissingAuthenticationToken", FaultKind::Authentication),
    ("AccessDeniedException", FaultKind::Permission),
    ("ResourceNotFoundException", FaultKind::NotFound),
    ("RequestEntityTooLargeException", FaultKind::TooLarge),
    ("ThrottlingException", FaultKind::RateLimit),
    ("TooManyRequestsException", FaultKind::RateLimit),
    ("ServiceQuotaExceededException", FaultKind::Quota),
    ("ModelTimeoutException", FaultKind::Timeout),
    ("ServiceUnavailableException", FaultKind::Overloaded),
    ("ModelNotReadyException", FaultKind::Overloaded),
    ("InternalServerException", FaultKind::Server),
    ("ModelErrorException", FaultKind::Server),
    ("ModelStreamErrorException", FaultKind::Server),
];

/// Words of a `ValidationException` for a prompt that does not fit, in lower case.
const TOO_LONG: &[&str] = &[
    "input is too long",
    "prompt is too long",
    "too many input tokens",
    "too many tokens",
    "too many total text bytes",
    "maximum context length",
    "context window",
    "exceed context limit",
    "exceeds the maximum number of tokens",
    "exceeds the model's maximum",
    "input tokens exceeded",
];

/// Words of one for what must not be said, in lower case.
const FORBIDDEN: &[&str] = &["content filtering policy", "content policy", "content filter", "blocked by our"];

/// Reads an error answer.
pub(super) fn read(said: &Said<'_>) -> Fault {
    let tree = said.tree();
    let root = tree.as_ref().map(|tree| tree.root());
    let text = |key: &str| root.and_then(|root| root.get(key)).and_then(Value::text);
    let kind = text("__type").or_else(|| text("code"));
    // `ValidationException:http://internal.amazon.com/…`, `com.amazon.coral.service#ThrottlingException`
    let name = said.error_type.or(kind.as_deref());
    let name = name.map(|name| name.split(':').next().unwrap_or_default());
    let name = name.map(|name| name.rsplit('#').next().unwrap_or_default().trim()).filter(|name| !name.is_empty());
    let message = text("message").or_else(|| text("Message")).filter(|message| !message.trim().is_empty());
    let mut fault = match message {
        Some(message) => Fault::new(said.status, message),
        None => said.plain(),
    };
    if let Some(name) = name {
        fault.kind = EXCEPTIONS.iter().find(|(known, _)| *known == name).map_or(fault.kind, |(_, kind)| *kind);
        fault.code = Some(name.to_owned());
    }
    fault.kind = refine(fault.kind, &fault.message);
    fault
}

/// An exception inside of a stream, by its name there: `throttlingException`.
pub(super) fn read_in_stream(name: &str, data: Option<Value<'_, '_>>) -> Fault {
    let is_same = |known: &str| known.eq_ignore_ascii_case(name);
    let kind = EXCEPTIONS.iter().find(|(known, _)| is_same(known)).map_or(FaultKind::Server, |(_, kind)| *kind);
    let text = |key: &str| data.and_then(|data| data.get(key)).and_then(Value::text);
    let message = text("message").or_else(|| text("originalMessage"));
    let message = message.map_or_else(|| format!("The provider ended the stream with {name}."), |text| text.into());
    Fault { code: Some(name.to_owned()), ..Fault::in_stream(refine(kind, &message), message) }
}

/// One exception stands for many things; its words tell them apart.
fn refine(kind: FaultKind, message: &str) -> FaultKind {
    if kind != FaultKind::InvalidRequest {
        return kind;
    }
    let message = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match () {
        () if says(TOO_LONG) => FaultKind::ContextLength,
        () if says(FORBIDDEN) => FaultKind::ContentPolicy,
        () => kind,
    }
}

/// The exception of a kind.
pub(super) fn exception(kind: FaultKind) -> &'static str {
    let kind = match kind {
        FaultKind::ContextLength | FaultKind::ContentPolicy | FaultKind::TooLarge => FaultKind::InvalidRequest,
        kind => kind,
    };
    EXCEPTIONS.iter().find(|(_, of)| *of == kind).map_or("InternalServerException", |(name, _)| *name)
}

/// The exception of a kind as a stream knows it: it has five of them.
fn exception_in_stream(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::RateLimit | FaultKind::Quota => "throttlingException",
        FaultKind::Overloaded => "serviceUnavailableException",
        FaultKind::Timeout => "modelStreamErrorException",
        FaultKind::Server => "internalServerException",
        _ => "validationException",
    }
}

/// What kind of error a refusal of Weir's own is.
pub(super) fn of_refusal(refusal: &Refusal) -> FaultKind {
    match refusal.code.status() {
        // To the SDK of AWS this is the model's timeout; the request's own has no exception.
        408 => FaultKind::Timeout,
        status => FaultKind::of_status(status),
    }
}

/// Writes the body of an error answer. SDKs read the exception in `x-amzn-errortype`, and else here.
pub(super) fn write(kind: FaultKind, message: &str, out: &mut Vec<u8>) {
    write_object(out, |o| {
        o.text("__type", exception(kind));
        o.text("message", message);
    });
}

/// Appends the frame that ends a stream with an error.
pub(super) fn write_in_stream(kind: FaultKind, message: &str, out: &mut Vec<u8>) {
    let mut data = Vec::new();
    write_object(&mut data, |o| o.text("message", message));
    frames::write_exception(out, exception_in_stream(kind), &data);
}
