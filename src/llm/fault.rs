//! What a provider says went wrong, in no wire format.

use std::time::Duration;

/// A provider's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// The status it came with; none inside of a stream.
    pub status: Option<u16>,
    /// The provider's own words.
    pub message: String,
    /// The provider's own code, where it has one: `context_length_exceeded`, `ThrottlingException`.
    pub code: Option<String>,
    /// The request field that is at fault, in the provider's spelling.
    pub param: Option<String>,
    /// The time after which the provider may be asked again, where it says so.
    pub retry_after: Option<Duration>,
}

/// What kind of error it is, as far as clients act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    InvalidRequest,
    /// The prompt does not fit into the model.
    ContextLength,
    ContentPolicy,
    Authentication,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    /// There is no money or no quota left; asking again does not help.
    Quota,
    Timeout,
    Overloaded,
    Server,
}

// === impl FaultKind ===

impl FaultKind {
    pub const ALL: [FaultKind; 12] = [
        FaultKind::InvalidRequest,
        FaultKind::ContextLength,
        FaultKind::ContentPolicy,
        FaultKind::Authentication,
        FaultKind::Permission,
        FaultKind::NotFound,
        FaultKind::TooLarge,
        FaultKind::RateLimit,
        FaultKind::Quota,
        FaultKind::Timeout,
        FaultKind::Overloaded,
        FaultKind::Server,
    ];

    /// The kind that a status alone tells.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => FaultKind::Authentication,
            402 => FaultKind::Quota,
            403 => FaultKind::Permission,
            404 => FaultKind::NotFound,
            408 | 504 => FaultKind::Timeout,
            413 => FaultKind::TooLarge,
            429 => FaultKind::RateLimit,
            // 529 is Anthropic's.
            503 | 529 => FaultKind::Overloaded,
            500.. => FaultKind::Server,
            _ => FaultKind::InvalidRequest,
        }
    }

    /// The status of an error that came without one.
    pub fn status(self) -> u16 {
        match self {
            FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentPolicy => 400,
            FaultKind::Authentication => 401,
            FaultKind::Permission => 403,
            FaultKind::NotFound => 404,
            FaultKind::TooLarge => 413,
            FaultKind::RateLimit | FaultKind::Quota => 429,
            FaultKind::Timeout => 504,
            FaultKind::Overloaded => 503,
            FaultKind::Server => 500,
        }
    }
}

// === impl Fault ===

impl Fault {
    /// An error with its status and the provider's words for it.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        let kind = FaultKind::of_status(status);
        Fault { status: Some(status), ..Fault::in_stream(kind, message) }
    }

    /// An error inside of a stream.
    pub fn in_stream(kind: FaultKind, message: impl Into<String>) -> Self {
        Fault { kind, status: None, message: message.into(), code: None, param: None, retry_after: None }
    }

    /// The status to answer with: the provider's where it is one that everybody knows, else that of the kind.
    pub fn status(&self) -> u16 {
        match self.status {
            Some(status @ 400..=528) => status,
            _ => self.kind.status(),
        }
    }
}
