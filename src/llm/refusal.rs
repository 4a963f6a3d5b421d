//! A no, with its reason. One table maps each reason to its HTTP status and to the word that a
//! client's SDK knows; a wire format only gives it a shape.

use std::borrow::Cow;
use std::time::Duration;

/// Why a call is refused or fails. The words follow the OpenAI API's `error.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    InvalidJson,
    DuplicateField,
    UnsupportedValue,
    ContentPolicyViolation,
    InvalidApiKey,
    ModelNotAllowed,
    IdentityConflict,
    ModelNotFound,
    NoBackend,
    RequestTimeout,
    RequestTooLarge,
    RateLimitExceeded,
    InsufficientQuota,
    ProjectSpendLimitExceeded,
    UpstreamInvalidResponse,
    Overloaded,
    CredentialUnavailable,
    LimitStoreUnavailable,
    NoConfiguration,
    UpstreamUnavailable,
    ShuttingDown,
    UpstreamTimeout,
    /// Only inside a stream whose status has already been sent.
    StreamTruncated,
}

/// One refusal, not yet in any wire format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// For the person who reads the client's log: what, where, what to do. Never a secret, never a
    /// prompt.
    pub message: Cow<'static, str>,
    /// For the operator, in the record: what of the configuration is at fault, such as the name of a
    /// variable or a file. A caller learns it only where it is in the same trust domain.
    pub detail: Option<Cow<'static, str>>,
    /// The request field that is at fault.
    pub param: Option<Cow<'static, str>>,
    /// When it makes sense to ask again; exact, to the millisecond.
    pub retry_after: Option<Duration>,
}

/// The whole table: code, its word, its status.
pub const CODES: &[(Code, &str, u16)] = &[
    (Code::InvalidJson, "invalid_json", 400),
    (Code::DuplicateField, "duplicate_field", 400),
    (Code::UnsupportedValue, "unsupported_value", 400),
    (Code::ContentPolicyViolation, "content_policy_violation", 400),
    (Code::InvalidApiKey, "invalid_api_key", 401),
    (Code::ModelNotAllowed, "model_not_allowed", 403),
    (Code::IdentityConflict, "identity_conflict", 403),
    (Code::ModelNotFound, "model_not_found", 404),
    (Code::NoBackend, "no_backend", 404),
    (Code::RequestTimeout, "request_timeout", 408),
    (Code::RequestTooLarge, "request_too_large", 413),
    (Code::RateLimitExceeded, "rate_limit_exceeded", 429),
    (Code::InsufficientQuota, "insufficient_quota", 429),
    (Code::ProjectSpendLimitExceeded, "project_spend_limit_exceeded", 429),
    (Code::UpstreamInvalidResponse, "upstream_invalid_response", 502),
    (Code::Overloaded, "overloaded", 503),
    (Code::CredentialUnavailable, "credential_unavailable", 503),
    (Code::LimitStoreUnavailable, "limit_store_unavailable", 503),
    (Code::NoConfiguration, "no_configuration", 503),
    (Code::UpstreamUnavailable, "upstream_unavailable", 503),
    (Code::ShuttingDown, "shutting_down", 503),
    (Code::UpstreamTimeout, "upstream_timeout", 504),
    (Code::StreamTruncated, "stream_truncated", 502),
];

// === impl Code ===

impl Code {
    fn row(self) -> (&'static str, u16) {
        // The table is complete (a test walks it); the fallback keeps a missing row from a panic.
        CODES.iter().find(|(code, ..)| *code == self).map_or(("server_error", 500), |&(_, word, status)| (word, status))
    }

    /// The word a client's SDK sees.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().1
    }

    /// What is used up does not come back soon: to ask again is of no use. (`x-should-retry`, which the SDKs of
    /// OpenAI and Anthropic obey.)
    pub fn is_final(self) -> bool {
        matches!(self, Code::InsufficientQuota | Code::ProjectSpendLimitExceeded)
    }

    /// OpenAI's `error.type` for this status.
    pub fn kind(self) -> &'static str {
        kind_of(self.status())
    }
}

/// OpenAI's `error.type` for a status.
pub fn kind_of(status: u16) -> &'static str {
    match status {
        403 => "permission_error",
        429 => "rate_limit_error",
        status if status < 500 => "invalid_request_error",
        _ => "server_error",
    }
}

// === impl Refusal ===

impl Refusal {
    /// A refusal with a message and nothing else.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal { code, message: message.into(), detail: None, param: None, retry_after: None }
    }

    /// Names the request field that is at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says what the operator has to know beside the message.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same for a caller who may know the detail.
    #[must_use]
    pub fn disclosed(mut self) -> Self {
        if let Some(detail) = self.detail.take() {
            self.message = format!("{} {detail}", self.message).into();
        }
        self
    }

    /// Says when to ask again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}
