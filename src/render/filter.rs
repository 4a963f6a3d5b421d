//! The `ext_proc` filter of the rendered listener, in each body mode. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::attempt::FAILOVER;
use super::envoy::{BodyMode, EXTPROC_CLUSTER, Plan};

/// What a connection buffers where Envoy does not hold bodies for Weir.
const BUFFER: u64 = 1 << 20;

/// What Envoy waits longer than Weir: Weir's own end of a wait comes first, with words.
const GRACE: Duration = Duration::from_secs(10);

/// What the filter and the connections before it depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    /// How Envoy sends bodies to Weir.
    pub body_mode: BodyMode,
    /// The longest request body that Weir holds, in bytes.
    pub max_request: u64,
    /// The longest that Weir itself lets a request wait.
    pub max_wait: Duration,
    /// The version of the Envoy that will run.
    pub envoy_version: &'a str,
    /// For which orders of backends there are routes, as [`said`](super::attempt::said) says it; empty for none.
    pub orders: &'a str,
}

/// The processor's filter.
pub(super) fn ext_proc(asking: Asking) -> Value {
    let (request, response) = match asking.body_mode {
        BodyMode::FullDuplex => ("FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED"),
        BodyMode::BufferedStreamed => ("BUFFERED", "STREAMED"),
        BodyMode::Buffered => ("BUFFERED", "BUFFERED"),
    };
    let mut filter = json!({
        "@type": TYPE_EXT_PROC,
        "grpc_service": {
            // Without an authority Envoy says the cluster's name, which an HTTP/2 server may refuse.
            "envoy_grpc": {"cluster_name": EXTPROC_CLUSTER, "authority": "weir", "skip_envoy_headers": true},
            "initial_metadata": initial_metadata(asking.envoy_version, asking.orders),
        },
        "processing_mode": {
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            "request_body_mode": request,
            "response_body_mode": response,
            "request_trailer_mode": "SEND",
            "response_trailer_mode": "SEND",
        },
        "allow_content_length_header": true,
        "mutation_rules": mutation_rules(),
        "metadata_options": {
            "receiving_namespaces": {"untyped": ["weir"]},
            "forwarding_namespaces": {"untyped": ["envoy.filters.http.jwt_authn"]},
        },
        "request_attributes": ["connection.uri_san_peer_certificate", "source.address", "xds.cluster_name"],
        "status_on_error": {"code": "ServiceUnavailable"},
    });
    if asking.body_mode != BodyMode::FullDuplex {
        // Envoy waits for each answer here. Its default of 200 ms is shorter than any question of Weir's.
        filter["message_timeout"] = json!(wait(asking.max_wait));
        // Uploads and WebSockets are not buffered: Weir says so at their heads.
        filter["allow_mode_override"] = json!(true);
    }
    filter
}

/// How long Envoy waits for an answer, as it is told.
pub(super) fn wait(max_wait: Duration) -> String {
    let wait = max_wait.saturating_add(GRACE);
    format!("{}.{:03}s", wait.as_secs(), wait.subsec_millis())
}

/// What Weir is told of the Envoy that asks it, once a stream.
pub(super) fn initial_metadata(envoy_version: &str, orders: &str) -> Value {
    let mut said = vec![
        json!({"key": "x-weir-envoy-version", "value": envoy_version}),
        json!({"key": "x-weir-role", "value": "route"}),
    ];
    if !orders.is_empty() {
        said.push(json!({"key": FAILOVER, "value": orders}));
    }
    Value::Array(said)
}

/// Weir orders retries in Envoy's own headers; those of clients are stripped before.
pub(super) fn mutation_rules() -> Value {
    json!({"allow_all_routing": true, "allow_envoy": true})
}

/// What the listener's connections buffer. Envoy refuses a body above it with 413 where it holds bodies; up
/// to there Weir refuses it, in the client's dialect.
pub(super) fn buffer_limit(asking: Asking) -> u64 {
    match asking.body_mode {
        BodyMode::FullDuplex => BUFFER,
        BodyMode::BufferedStreamed | BodyMode::Buffered => asking.max_request + BUFFER,
    }
}

/// Over HTTP/2 it is the stream's window that limits what is buffered of it (Envoy 1.40).
pub(super) fn downstream_http2(asking: Asking, mut options: Value) -> Value {
    if asking.body_mode != BodyMode::FullDuplex {
        options["initial_stream_window_size"] = json!(buffer_limit(asking));
    }
    options
}

// === impl Asking ===

/// Without a word of orders.
impl<'a> From<&Plan<'a>> for Asking<'a> {
    fn from(plan: &Plan<'a>) -> Self {
        let Plan { body_mode, max_request, max_wait, envoy_version, .. } = *plan;
        Asking { body_mode, max_request, max_wait, envoy_version, orders: "" }
    }
}

pub(super) const TYPE_EXT_PROC: &str =
    "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
