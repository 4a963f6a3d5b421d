//! The labels of each family. Every value is one of the program's own words, except the names that
//! `series` and `Metrics::fail_open` bound.

use std::fmt::{self, Write};
use std::hash::Hash;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

/// Stands for every name beyond a bound.
pub const OTHER: &str = "other";

/// What a family needs of its labels.
pub trait LabelSet: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static {}

impl<T: EncodeLabelSet + Clone + Eq + Hash + fmt::Debug + Send + Sync + 'static> LabelSet for T {}

/// Which model did what: the labels that the `gen_ai_` families share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Call {
    pub gen_ai_operation_name: &'static str,
    pub gen_ai_provider_name: Arc<str>,
    pub gen_ai_request_model: Arc<str>,
    pub gen_ai_response_model: Arc<str>,
}

/// Tokens of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Tokens {
    #[prometheus(flatten)]
    pub call: Call,
    pub gen_ai_token_type: &'static str,
}

/// What became of a cool-down that replicas share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Shared {
    pub result: &'static str,
}

/// A call and how it failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ending {
    #[prometheus(flatten)]
    pub call: Call,
    pub error_type: ErrorType,
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// One of the program's words; empty, which for Prometheus is the same as absent, when the call
    /// did not fail.
    Word(&'static str),
    /// The provider's status.
    Status(u16),
}

/// A credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Named {
    pub credential: Arc<str>,
}

/// A credential that a backend did not take.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Rejected {
    pub backend: Arc<str>,
    pub credential: Arc<str>,
}

/// A part of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Phase {
    pub phase: &'static str,
}

/// A step's decision.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Decided {
    pub step: &'static str,
    pub outcome: &'static str,
    pub reason: &'static str,
}

/// Where token numbers come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Source {
    pub source: &'static str,
}

/// Tokens in or out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Type {
    pub r#type: &'static str,
}

/// What calls are counted in beside tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Unit {
    pub unit: &'static str,
}

/// Why there was no room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Cause {
    pub cause: &'static str,
}

/// Why somebody was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    pub reason: &'static str,
}

/// Who ended a stream, in words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    pub side: &'static str,
}

/// How a load of the configuration went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Loaded {
    pub result: &'static str,
}

/// Which configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct InForce {
    pub hash: Arc<str>,
}

/// How it stands with a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StoreState {
    pub state: &'static str,
}

/// A policy that let pass what it could not check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FailOpen {
    pub policy: Arc<str>,
    pub cause: &'static str,
}

/// Who ended a stream before its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The provider, without its terminal event.
    Upstream,
    /// The client or the provider; Envoy does not say which.
    Either,
    /// Weir: a limit ran out, or the process stopped.
    Weir,
}

// === impl ErrorType ===

impl EncodeLabelValue for ErrorType {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            ErrorType::Word(word) => encoder.write_str(word),
            ErrorType::Status(status) => write!(encoder, "{status}"),
        }
    }
}

// === impl Side ===

impl Side {
    /// The word in the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Upstream => "upstream",
            Side::Either => "either",
            Side::Weir => "weir",
        }
    }
}
