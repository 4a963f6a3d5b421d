//! Since which Envoy there is what Weir asks of one: the one table that the renderers and the doctor read. Pure.

/// A field of a filter, or of a route, by its JSON pointer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub pointer: &'static str,
    /// The release branch `1.N` of Envoy that it came with.
    pub since: u16,
}

/// The path of a JSON access log. A proxy without it refuses the listener.
pub const LOG_PATH: Field = Field { pointer: "/log_format/json_format/path", since: 34 };
/// What clients get when the processor does not answer.
pub const STATUS_ON_ERROR: Field = Field { pointer: "/status_on_error", since: 36 };
/// How much of a body is kept for another attempt.
pub const BODY_LIMIT: Field = Field { pointer: "/request_body_buffer_limit", since: 36 };
/// The processor may say the length of a body.
pub const CONTENT_LENGTH: Field = Field { pointer: "/allow_content_length_header", since: 38 };

/// All of them.
pub const FIELDS: &[Field] = &[LOG_PATH, STATUS_ON_ERROR, BODY_LIMIT, CONTENT_LENGTH];

/// The first release branch `1.N` with `FULL_DUPLEX_STREAMED`.
pub const FULL_DUPLEX: u16 = 34;

/// The first release branch `1.N` that chooses a cluster of several anew for each attempt (`refresh_cluster_on_retry`),
/// and not one twice before all were tried. Istio 1.31 is built from its branch, and so is what its control plane knows
/// of Envoy's fields (`go-control-plane` 1.39); older ones drop the field in silence.
pub const ANOTHER_CLUSTER: u16 = 39;

// === impl Field ===

impl Field {
    /// Whether Envoy `1.minor` has it.
    pub fn is_in(self, minor: u16) -> bool {
        minor >= self.since
    }
}
