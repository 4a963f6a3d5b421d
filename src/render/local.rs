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
    /// Any status of the 4xx: the client is told that it is at fault.
    Client,
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
    // A token that the proxy checks and does not believe (jwt_authn).
    Row { when: When::Status(401), code: "invalid_api_key", kind: "invalid_request_error", message: ENVOY_SAYS },
    Row { when: When::Status(403), code: "proxy_error", kind: "permission_error", message: ENVOY_SAYS },
    Row { when: When::Status(429), code: "rate_limit_exceeded", kind: "rate_limit_error", message: ENVOY_SAYS },
    Row { when: When::Status(408), code: "request_timeout", kind: "invalid_request_error", message: ENVOY_SAYS },
    Row { when: When::Status(413), code: "request_too_large", kind: "invalid_request_error", message: ENVOY_SAYS },
    Row { when: When::Status(502), code: "upstream_invalid_response", kind: "server_error", message: ENVOY_SAYS },
    Row { when: When::Status(503), code: "upstream_unavailable", kind: "server_error", message: ENVOY_SAYS },
    Row { when: When::Status(504), code: "upstream_timeout", kind: "server_error", message: ENVOY_SAYS },
    Row {
        when: When::Client,
        code: "proxy_error",
        kind: "invalid_request_error",
        message: "The proxy refused this call: %RESPONSE_CODE_DETAILS%.",
    },
    Row {
        when: When::Always,
        code: "proxy_error",
        kind: "server_error",
        message: "The proxy ended this call: %RESPONSE_CODE_DETAILS%.",
    },
];

/// The `local_reply_config` of the connection manager. `scope` is a filter that is true of the calls that are
/// Weir's, where the connection manager has others besides.
pub(super) fn config(scope: Option<&Value>) -> Value {
    json!({"mappers": ROWS.iter().map(|row| mapper(row, scope)).collect::<Vec<_>>()})
}

fn mapper(row: &Row, scope: Option<&Value>) -> Value {
    let mut filter = match row.when {
        When::Status(status) => both(status_is("EQ", status)),
        When::Client => json!({"and_filter": {"filters": [unanswered(), status_is("GE", 400), status_is("LE", 499)]}}),
        When::Details(prefix) => both(details_begin(prefix)),
        When::Always => unanswered(),
    };
    if let Some(scope) = scope {
        filter = json!({"and_filter": {"filters": [scope, filter]}});
    }
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

fn status_is(op: &str, status: u16) -> Value {
    json!({"status_code_filter": {"comparison": {
        "op": op,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::refusal::kind_of;

    /// What Envoy would do with the rows.
    fn answered(status: u16, details: &str) -> &'static Row {
        let is_it = |row: &&Row| match row.when {
            When::Status(wanted) => wanted == status,
            When::Client => (400..500).contains(&status),
            When::Details(prefix) => details.starts_with(prefix),
            When::Always => true,
        };
        ROWS.iter().find(is_it).unwrap()
    }

    #[test]
    fn every_status_has_the_type_of_weirs_own_refusals() {
        for status in 400..600 {
            let row = answered(status, "via_upstream");
            assert_eq!(row.kind, kind_of(status), "{status}");
        }
        let jwt = answered(401, "jwt_authn_access_denied{Jwt_is_missing}");
        assert_eq!((jwt.code, jwt.kind), ("invalid_api_key", "invalid_request_error"));
    }

    #[test]
    fn a_row_for_the_clients_fault_compares_the_status_with_both_ends() {
        let client = ROWS.iter().find(|row| matches!(row.when, When::Client)).unwrap();
        let filters = &mapper(client, None)["filter"]["and_filter"]["filters"];
        let ends: Vec<(&Value, &Value)> = (1..3)
            .map(|at| &filters[at]["status_code_filter"]["comparison"])
            .map(|comparison| (&comparison["op"], &comparison["value"]["default_value"]))
            .collect();
        assert_eq!(ends, [(&json!("GE"), &json!(400)), (&json!("LE"), &json!(499))]);
    }
}
