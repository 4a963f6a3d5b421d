//! What Envoy's own answers look like to a client: a JSON error with a code of Weir's table, for
//! every answer that Weir did not make. Pure.

use serde_json::{Value, json};

use crate::exchange::LOCAL_REPLY_HEADER;

/// One kind of answer that Envoy makes by itself.
struct Row {
    when: When,
    code: &'static str,
    kind: &'static str,
    /// What to say, in Envoy's own words where it has any.
    message: &'static str,
}

/// How Envoy's answers are told apart.
enum When {
    Status(u16),
    /// Envoy's word for what happened begins like this (`%RESPONSE_CODE_DETAILS%`).
    Details(&'static str),
    Always,
}

const ENVOY_SAYS: &str = "%LOCAL_REPLY_BODY%";

/// The first row that matches decides.
const ROWS: &[Row] = &[
    Row {
        when: When::Details("ext_proc_error"),
        code: "weir_unavailable",
        kind: "server_error",
        message: "Weir, which decides about this call, does not answer.",
    },
    Row {
        when: When::Details("direct_response"),
        code: "no_backend",
        kind: "server_error",
        message: "No backend was chosen for this call.",
    },
    Row {
        when: When::Details("route_not_found"),
        code: "no_backend",
        kind: "invalid_request_error",
        message: "There is no route for this method.",
    },
    Row { when: When::Status(408), code: "request_timeout", kind: "invalid_request_error", message: ENVOY_SAYS },
    Row { when: When::Status(413), code: "request_too_large", kind: "invalid_request_error", message: ENVOY_SAYS },
    Row { when: When::Status(502), code: "upstream_invalid_response", kind: "server_error", message: ENVOY_SAYS },
    Row { when: When::Status(503), code: "upstream_unavailable", kind: "server_error", message: ENVOY_SAYS },
    Row { when: When::Status(504), code: "upstream_timeout", kind: "server_error", message: ENVOY_SAYS },
    Row {
        when: When::Always,
        code: "proxy_error",
        kind: "server_error",
        message: "The proxy ended this call: %RESPONSE_CODE_DETAILS%.",
    },
];

/// The `local_reply_config` of the connection manager.
pub(super) fn config() -> Value {
    json!({"mappers": ROWS.iter().map(mapper).collect::<Vec<_>>()})
}

fn mapper(row: &Row) -> Value {
    let filter = match row.when {
        When::Status(status) => both(is_status(status)),
        When::Details(prefix) => both(details_begin(prefix)),
        When::Always => unanswered(),
    };
    json!({
        "filter": filter,
        // So that Weir tells it from a provider's answer when it comes by, and knows whether the backend
        // could be reached at all.
        "headers_to_add": [{
            "header": {"key": LOCAL_REPLY_HEADER, "value": "%RESPONSE_FLAGS%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }],
        "body_format_override": {
            "json_format": {"error": {"message": row.message, "type": row.kind, "param": null, "code": row.code}},
            "content_type": "application/json",
        },
    })
}

fn both(filter: Value) -> Value {
    json!({"and_filter": {"filters": [unanswered(), filter]}})
}

/// True until Weir has said how the exchange ended; its own refusals say so and stay as they are.
/// Envoy ignores a matcher's `invert` here, so a value that is there is compared with null, which
/// it never is, and a value that is not there matches.
fn unanswered() -> Value {
    json!({"metadata_filter": {
        "matcher": {"filter": "weir", "path": [{"key": "outcome"}], "value": {"null_match": {}}},
        "match_if_key_not_found": true,
    }})
}

fn is_status(status: u16) -> Value {
    json!({"status_code_filter": {"comparison": {
        "op": "EQ",
        "value": {"default_value": status, "runtime_key": format!("weir.local_reply.{status}")},
    }}})
}

fn details_begin(prefix: &str) -> Value {
    json!({"extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": format!("response.code_details.startsWith('{prefix}')"),
        },
    }})
}
