//! Errors: `{"type":"error","error":{"type","message","details"},"request_id"}` (Anthropic, "Errors",
//! 2026-11), and what Bedrock and Vertex answer in front of the model in their own forms.

use super::reply_read::owned;
use crate::base::json::tree::Value;
use crate::base::json::{ObjectWriter, write_object};
use crate::llm::{Fault, FaultKind};
use crate::wire::codec::Said;
use crate::wire::google;

/// Anthropic's words. Where one stands for several kinds, the first is what it is read as.
const TYPES: &[(&str, FaultKind)] = &[
    ("invalid_request_error", FaultKind::InvalidRequest),
    ("invalid_request_error", FaultKind::ContextLength),
    ("invalid_request_error", FaultKind::ContentPolicy),
    ("authentication_error", FaultKind::Authentication),
    ("billing_error", FaultKind::Quota),
    ("permission_error", FaultKind::Permission),
    ("not_found_error", FaultKind::NotFound),
    ("request_too_large", FaultKind::TooLarge),
    ("rate_limit_error", FaultKind::RateLimit),
    ("timeout_error", FaultKind::Timeout),
    ("api_error", FaultKind::Server),
    ("overloaded_error", FaultKind::Overloaded),
];

/// Bedrock's (`InvokeModel`, errors, 2026-11).
const EXCEPTIONS: &[(&str, FaultKind)] = &[
    ("ValidationException", FaultKind::InvalidRequest),
    ("AccessDeniedException", FaultKind::Permission),
    ("ResourceNotFoundException", FaultKind::NotFound),
    ("ThrottlingException", FaultKind::RateLimit),
    ("ServiceQuotaExceededException", FaultKind::Quota),
    ("ModelTimeoutException", FaultKind::Timeout),
    ("ModelNotReadyException", FaultKind::Overloaded),
    ("ServiceUnavailableException", FaultKind::Overloaded),
    ("ModelErrorException", FaultKind::Server),
    ("ModelStreamErrorException", FaultKind::Server),
    ("InternalServerException", FaultKind::Server),
];

/// Words of messages that tell more than the type does, in small letters.
const WORDS: &[(&str, FaultKind)] = &[
    ("prompt is too long", FaultKind::ContextLength),
    ("exceed context limit", FaultKind::ContextLength),
    ("input is too long", FaultKind::ContextLength),
    ("content filtering policy", FaultKind::ContentPolicy),
    ("credit balance is too low", FaultKind::Quota),
    ("api usage limits", FaultKind::Quota),
];

/// How a prompt that does not fit is told: clients look for these words to make it shorter.
const TOO_LONG: &str = "prompt is too long";

/// Reads an error answer, whatever its body is.
pub(super) fn read(said: &Said<'_>) -> Fault {
    let tree = said.tree();
    let root = tree.as_ref().map(|tree| tree.root());
    // Google wraps its errors in a list where the answer would have been a stream.
    let root = root.and_then(|root| root.elements().next().or(Some(root)));
    let error = root.and_then(|root| root.get("error").or(Some(root)));
    let message = error.and_then(|error| owned(error, "message").or_else(|| owned(error, "Message")));
    let Some(message) = message.filter(|message| !message.trim().is_empty()) else {
        return Fault { kind: kind(said, None, ""), ..said.plain() };
    };
    let word = error.and_then(|error| owned(error, "type"));
    let kind = kind(said, word.as_deref(), &message);
    let code = error.and_then(code).or_else(|| said.error_type.map(|word| plain_exception(word).to_owned()));
    let retry_after = error.and_then(google::retry_delay);
    Fault { kind, code, retry_after, ..Fault::new(said.status, message) }
}

/// Reads the data of an `error` event.
pub(super) fn in_stream(root: Value<'_, '_>) -> Fault {
    let error = root.get("error").unwrap_or(root);
    let message = owned(error, "message").unwrap_or_else(|| "The provider ended the stream with an error.".into());
    let word = owned(error, "type").unwrap_or_default();
    let kind = of_words(&message).or_else(|| find(TYPES, &word)).unwrap_or(FaultKind::Server);
    Fault { code: code(error), ..Fault::in_stream(kind, message) }
}

/// Reads an exception in a stream of Bedrock's, by its name there: `throttlingException`.
pub(super) fn exception(name: &str, root: Value<'_, '_>) -> Fault {
    let message = owned(root, "message").unwrap_or_else(|| format!("The provider ended the stream with a {name}."));
    let kind = of_words(&message).or_else(|| find(EXCEPTIONS, name)).unwrap_or(FaultKind::Server);
    Fault { code: Some(name.to_owned()), ..Fault::in_stream(kind, message) }
}

/// Writes a whole error.
pub(super) fn write(fault: &Fault) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + fault.message.len());
    write_object(&mut out, |o| {
        o.text("type", "error");
        o.object("error", |o| write_error(o, fault));
    });
    out
}

fn write_error(o: &mut ObjectWriter<'_>, fault: &Fault) {
    let word = TYPES.iter().find(|(_, kind)| *kind == fault.kind).map_or("api_error", |(word, _)| word);
    o.text("type", word);
    let is_said = fault.message.to_ascii_lowercase().contains(TOO_LONG);
    match fault.kind == FaultKind::ContextLength && !is_said {
        true => o.text("message", &format!("{TOO_LONG}: {}", fault.message)),
        false => o.text("message", &fault.message),
    }
    if let Some(code) = &fault.code {
        o.object("details", |o| o.text("error_code", code));
    }
}

/// Anthropic's `details.error_code`; Google's `status`.
fn code(error: Value<'_, '_>) -> Option<String> {
    let details = error.get("details").and_then(|details| owned(details, "error_code"));
    details.or_else(|| owned(error, "status"))
}

fn kind(said: &Said<'_>, word: Option<&str>, message: &str) -> FaultKind {
    let exception = said.error_type.map(plain_exception);
    of_words(message)
        .or_else(|| word.and_then(|word| find(TYPES, word)))
        .or_else(|| exception.and_then(|word| find(EXCEPTIONS, word)))
        .unwrap_or_else(|| FaultKind::of_status(said.status))
}

/// `ThrottlingException:http://internal.amazon.com/…` is a `ThrottlingException`.
fn plain_exception(word: &str) -> &str {
    word.split(':').next().unwrap_or(word)
}

fn of_words(message: &str) -> Option<FaultKind> {
    let message = message.to_ascii_lowercase();
    WORDS.iter().find(|(words, _)| message.contains(words)).map(|&(_, kind)| kind)
}

fn find(table: &[(&str, FaultKind)], word: &str) -> Option<FaultKind> {
    table.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|&(_, kind)| kind)
}
