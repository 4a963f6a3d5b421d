//! What Envoy Gateway has no field for, as JSON patches of what it makes. Each is one operation at places that
//! a JSON path finds, and sets a field whether it is there or not. Pure.

use serde_json::{Value, json};

use super::version::{self, Names};
use super::{NAME, Plan, VERSION, resource, to_gateway};
use crate::render::{envoy, filter, local, retry};

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// In a cluster of Envoy Gateway's.
const HTTP2: &str = "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\
                     /explicit_http_config/http2_protocol_options";

/// The EnvoyPatchPolicy of the Gateway.
pub(super) fn policy(plan: &Plan) -> Value {
    let spec = json!({"targetRef": to_gateway(), "type": "JSONPatch", "jsonPatches": patches(plan)});
    resource(VERSION, "EnvoyPatchPolicy", plan.namespace, NAME, spec)
}

fn patches(plan: &Plan) -> Vec<Value> {
    let names: Names = plan.names;
    let listener = names.listener(plan.namespace, plan.port);
    let routes = names.routes(plan.namespace, plan.port);
    let manager = "..filters[?(@.name == 'envoy.filters.network.http_connection_manager')].typed_config";
    let filter = format!("..http_filters[?(@.name == '{}')].typed_config", version::filter(plan.namespace));
    let service = format!("{filter}.grpc_service");
    let mut all: Vec<Value> =
        of_filter(plan).into_iter().map(|(field, value)| at(LISTENER, &listener, &filter, field, value)).collect();
    for (field, value) in [
        ("initial_metadata", filter::initial_metadata(&plan.version.envoy(), "")),
        ("envoy_grpc/authority", json!("weir")),
        ("envoy_grpc/skip_envoy_headers", json!(true)),
    ] {
        all.push(at(LISTENER, &listener, &service, field, value));
    }
    for (field, value) in of_manager() {
        all.push(at(LISTENER, &listener, manager, field, value));
    }
    // A path that finds nothing is an error.
    if !plan.upstreams.is_empty() {
        for (field, value) in of_route() {
            all.push(at(ROUTES, &routes, "..routes[*].route", field, value));
        }
        if plan.version.route_has_body_limit() {
            let limit = json!(plan.max_request);
            all.push(at(ROUTES, &routes, "..routes[*]", "request_body_buffer_limit", limit));
        }
    }
    let cluster = version::process_cluster(plan.namespace);
    let keepalive = json!({"op": "add", "path": format!("{HTTP2}/connection_keepalive"), "value": envoy::keepalive()});
    all.push(json!({"type": CLUSTER, "name": cluster, "operation": keepalive}));
    all
}

/// Of the filter that asks Weir.
fn of_filter(plan: &Plan) -> Vec<(&'static str, Value)> {
    let mut fields = vec![("mutation_rules", filter::mutation_rules())];
    if plan.version.filter_allows_length() {
        fields.push(("allow_content_length_header", json!(true)));
    }
    if !plan.version.has_status_on_error() {
        fields.push(("status_on_error", json!({"code": "ServiceUnavailable"})));
    }
    fields
}

/// Of the connection manager.
fn of_manager() -> Vec<(&'static str, Value)> {
    vec![
        ("local_reply_config", local::config(None)),
        // A request that Weir holds counts as idle.
        ("stream_idle_timeout", json!("900s")),
        ("skip_xff_append", json!(true)),
        ("normalize_path", json!(false)),
        ("scheme_header_transformation", json!({"match_upstream": true})),
        // The first route of a WebSocket is that for calls without a backend.
        ("upgrade_configs", json!([{"upgrade_type": "websocket"}])),
    ]
}

/// Of a route to a backend.
fn of_route() -> Vec<(&'static str, Value)> {
    vec![
        // Without an order of Weir's nothing is tried again.
        ("retry_policy", retry::policy()),
        ("idle_timeout", json!("900s")),
        // The host that the application called is nothing that a provider is told.
        ("append_x_forwarded_host", json!(false)),
    ]
}

fn at(kind: &str, name: &str, path: &str, field: &str, value: Value) -> Value {
    let operation = json!({"op": "add", "jsonPath": path, "path": field, "value": value});
    json!({"type": kind, "name": name, "operation": operation})
}
