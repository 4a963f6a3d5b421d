//! Errors: `google.rpc.Status` as JSON, alone or as the one element of an array (AIP-193; Gemini API,
//! "Troubleshooting").

use std::borrow::Cow;
use std::time::Duration;

use super::spelling::get;
use crate::base::json::tree::Value;
use crate::base::json::{Kind, write_object};
use crate::llm::{Fault, FaultKind};
use crate::wire::codec::Said;
use crate::wire::google;

/// Kinds by `error.status`, which are the words of `google.rpc.Code`.
const STATUSES: &[(&str, FaultKind)] = &[
    ("INVALID_ARGUMENT", FaultKind::InvalidRequest),
    ("FAILED_PRECONDITION", FaultKind::InvalidRequest),
    ("OUT_OF_RANGE", FaultKind::InvalidRequest),
    ("ALREADY_EXISTS", FaultKind::InvalidRequest),
    ("UNIMPLEMENTED", FaultKind::InvalidRequest),
    ("UNAUTHENTICATED", FaultKind::Authentication),
    ("PERMISSION_DENIED", FaultKind::Permission),
    ("NOT_FOUND", FaultKind::NotFound),
    ("RESOURCE_EXHAUSTED", FaultKind::RateLimit),
    ("DEADLINE_EXCEEDED", FaultKind::Timeout),
    ("CANCELLED", FaultKind::Timeout),
    ("UNAVAILABLE", FaultKind::Overloaded),
    ("ABORTED", FaultKind::Overloaded),
    ("INTERNAL", FaultKind::Server),
    ("UNKNOWN", FaultKind::Server),
    ("DATA_LOSS", FaultKind::Server),
];

/// `ErrorInfo.reason`s that say more than the status does.
const REASONS: &[(&str, FaultKind)] = &[
    ("API_KEY_INVALID", FaultKind::Authentication),
    ("API_KEY_EXPIRED", FaultKind::Authentication),
    ("ACCESS_TOKEN_EXPIRED", FaultKind::Authentication),
    ("ACCESS_TOKEN_TYPE_UNSUPPORTED", FaultKind::Authentication),
    ("CREDENTIALS_MISSING", FaultKind::Authentication),
    ("BILLING_DISABLED", FaultKind::Quota),
    ("RATE_LIMIT_EXCEEDED", FaultKind::RateLimit),
];

/// Words of messages, in small letters, that say more than the status does.
const WORDS: &[(FaultKind, &[&str])] = &[
    (FaultKind::ContextLength, &["input token count", "exceeds the maximum number of tokens"]),
    (FaultKind::ContextLength, &["input token count", "only supports up to"]),
    (FaultKind::TooLarge, &["request payload size exceeds"]),
    (FaultKind::ContentPolicy, &["violat", "polic"]),
    (FaultKind::ContentPolicy, &["prompt", "blocked"]),
    (FaultKind::Authentication, &["api key not valid"]),
    (FaultKind::Quota, &["prepayment credits"]),
    (FaultKind::Quota, &["spend cap"]),
];

/// Reads an error answer.
pub(super) fn read(said: &Said<'_>) -> Fault {
    let tree = said.tree();
    tree.as_ref().and_then(|tree| of(tree.root(), Some(said.status))).unwrap_or_else(|| said.plain())
}

/// The error that a document is, if it is one; `status` is the one that it came with.
pub(super) fn of(root: Value<'_, '_>, status: Option<u16>) -> Option<Fault> {
    let alone = (root.kind() == Kind::Array).then(|| root.elements().next()).flatten();
    let error = get(alone.unwrap_or(root), "error").filter(|error| error.kind() == Kind::Object)?;
    let text = |name| get(error, name).and_then(Value::text);
    let code = get(error, "code").and_then(Value::whole).and_then(|code| u16::try_from(code).ok());
    let (word, message) = (text("status").unwrap_or_default(), text("message").unwrap_or_default());
    let (reason, daily, param) = details(error);
    let by_status = || STATUSES.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    let by_reason = REASONS.iter().find(|(known, _)| Some(*known) == reason.as_deref()).map(|(_, kind)| *kind);
    let plain = by_status().or(status.or(code).map(FaultKind::of_status)).unwrap_or(FaultKind::Server);
    let kind = match (by_reason, by_words(&message, plain)) {
        // What is used up until tomorrow does not come back by asking again.
        _ if daily && plain == FaultKind::RateLimit => FaultKind::Quota,
        (Some(kind), _) | (None, Some(kind)) => kind,
        (None, None) => plain,
    };
    let code = reason.or(Some(word).filter(|word| !word.is_empty())).map(Cow::into_owned);
    let message = match message.is_empty() {
        true => format!("The provider answered with an error{}.", status.map_or(String::new(), |s| format!(" {s}"))),
        false => message.into_owned(),
    };
    let retry_after = google::retry_delay(error);
    Some(Fault { status, code, param, retry_after, ..Fault::in_stream(kind, message) })
}

fn by_words(message: &str, plain: FaultKind) -> Option<FaultKind> {
    if !matches!(plain, FaultKind::InvalidRequest | FaultKind::RateLimit | FaultKind::TooLarge) {
        return None;
    }
    let message = message.to_lowercase();
    WORDS.iter().find(|(_, all)| all.iter().all(|word| message.contains(word))).map(|(kind, _)| *kind)
}

/// Of `error.details`: the reason, whether a quota of a day is used up, and the field that is at fault.
fn details<'a>(error: Value<'_, 'a>) -> (Option<Cow<'a, str>>, bool, Option<String>) {
    let (mut reason, mut daily, mut param) = (None, false, None);
    for detail in get(error, "details").into_iter().flat_map(Value::elements) {
        let said = detail.get("reason").and_then(Value::text);
        reason = reason.or(said);
        let violations = get(detail, "violations").into_iter().flat_map(Value::elements);
        let mut quotas = violations.filter_map(|violation| get(violation, "quotaId")?.text());
        daily = daily || quotas.any(|quota| quota.contains("PerDay"));
        let field = get(detail, "fieldViolations").and_then(|all| get(all.elements().next()?, "field")?.text());
        param = param.or(field.filter(|field| !field.is_empty()).map(Cow::into_owned));
    }
    (reason, daily, param)
}

/// The body of an error; `after` is when to ask again.
pub(super) fn write(status: u16, word: &str, message: &str, after: Option<Duration>) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    write_object(&mut out, |o| {
        o.object("error", |o| {
            o.number("code", status.into());
            o.text("message", message);
            o.text("status", word);
            if let Some(after) = after {
                o.array("details", |a| a.object(|o| google::write_retry_info(o, after)));
            }
        });
    });
    out
}

/// A provider's error as the body of one.
pub(super) fn write_fault(fault: &Fault) -> Vec<u8> {
    write(fault.status(), word(fault.kind), &fault.message, fault.retry_after)
}

fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentPolicy | FaultKind::TooLarge => {
            "INVALID_ARGUMENT"
        }
        FaultKind::Authentication => "UNAUTHENTICATED",
        FaultKind::Permission => "PERMISSION_DENIED",
        FaultKind::NotFound => "NOT_FOUND",
        FaultKind::RateLimit | FaultKind::Quota => "RESOURCE_EXHAUSTED",
        FaultKind::Timeout => "DEADLINE_EXCEEDED",
        FaultKind::Overloaded => "UNAVAILABLE",
        FaultKind::Server => "INTERNAL",
    }
}

/// The word for a status of Weir's own refusals.
pub(super) fn word_of_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        502 | 503 => "UNAVAILABLE",
        status if status < 500 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}
