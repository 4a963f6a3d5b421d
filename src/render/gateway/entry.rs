//! Where calls come in: the Gateway, what its listener does with what clients send, and the route for calls
//! that Weir has given no backend. Pure.

use serde_json::{Value, json};

use super::{GATEWAY_API, GROUP, NAME, Plan, VERSION, resource, to_gateway};
use crate::render::envoy::{INTERNAL_HEADERS, ORDER_HEADERS};

/// The route that takes what no other does, and its answer.
const NOWHERE: &str = "weir-nowhere";
const GATEWAY_API_VERSION: &str = "gateway.networking.k8s.io/v1";
/// What a connection buffers where it need not hold bodies.
const BUFFER: u64 = 1 << 20;
/// Envoy Gateway's default of 100 lets one busy client wait for itself.
const MOST_STREAMS: u32 = 100_000;

pub(super) fn resources(plan: &Plan) -> Vec<Value> {
    vec![gateway(plan), client_policy(plan), nowhere_answer(plan), nowhere(plan)]
}

fn gateway(plan: &Plan) -> Value {
    let spec = json!({
        "gatewayClassName": plan.gateway_class,
        "infrastructure": {"parametersRef": {"group": GROUP, "kind": "EnvoyProxy", "name": NAME}},
        // No hostname, here or at a route: Weir sets `:authority` to the provider's host, and the route is then
        // chosen anew.
        "listeners": [{
            "name": "http",
            "port": plan.port,
            "protocol": "HTTP",
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }],
    });
    resource(GATEWAY_API_VERSION, "Gateway", plan.namespace, NAME, spec)
}

fn client_policy(plan: &Plan) -> Value {
    // Where a route cannot say how much it keeps for a retry, the connection's buffer does.
    let buffer = if plan.version.route_has_body_limit() { BUFFER } else { plan.max_request + BUFFER };
    let stripped: Vec<&str> = [INTERNAL_HEADERS, ORDER_HEADERS].concat();
    let spec = json!({
        "targetRefs": [to_gateway()],
        "headers": {
            "earlyRequestHeaders": {"remove": stripped},
            "requestID": "Disable",
        },
        // A path is the provider's affair, and may be signed.
        "path": {"escapedSlashesAction": "KeepUnchanged", "disableMergeSlashes": true},
        "http1": {"enableTrailers": true},
        "http2": {
            "initialStreamWindowSize": "1Mi",
            "initialConnectionWindowSize": "16Mi",
            "maxConcurrentStreams": MOST_STREAMS,
        },
        "connection": {"bufferLimit": buffer.to_string()},
    });
    resource(VERSION, "ClientTrafficPolicy", plan.namespace, NAME, spec)
}

fn nowhere_answer(plan: &Plan) -> Value {
    let body = json!({"error": {
        "message": "No backend was chosen for this call.",
        "type": "server_error",
        "param": null,
        "code": "no_backend",
    }});
    let spec = json!({"directResponse": {
        "statusCode": 503,
        "contentType": "application/json",
        "body": {"type": "Inline", "inline": body.to_string()},
    }});
    resource(VERSION, "HTTPRouteFilter", plan.namespace, NOWHERE, spec)
}

fn nowhere(plan: &Plan) -> Value {
    let answer = json!({"group": GROUP, "kind": "HTTPRouteFilter", "name": NOWHERE});
    let spec = json!({
        "parentRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": NAME}],
        "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": [{"type": "ExtensionRef", "extensionRef": answer}],
        }],
    });
    resource(GATEWAY_API_VERSION, "HTTPRoute", plan.namespace, NOWHERE, spec)
}
