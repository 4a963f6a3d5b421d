//! Where Envoy asks Weir: the socket as a Backend, and the policy that puts the question to every route of
//! the Gateway. Pure.

use serde_json::{Value, json};

use super::{NAME, Plan, VERSION, provider, resource, to_backend, to_gateway};

const H2C: &str = "gateway.envoyproxy.io/h2c";

pub(super) fn resources(plan: &Plan) -> Vec<Value> {
    let backend = json!({
        "appProtocols": [H2C],
        "endpoints": [{"unix": {"path": plan.weir.socket}}],
    });
    vec![
        resource(VERSION, "Backend", plan.namespace, NAME, backend),
        resource(
            VERSION,
            "EnvoyExtensionPolicy",
            plan.namespace,
            NAME,
            json!({"targetRefs": [to_gateway()], "extProc": [ext_proc(plan)]}),
        ),
    ]
}

fn ext_proc(plan: &Plan) -> Value {
    let mut processor = json!({
        "backendRefs": [to_backend(NAME)],
        "backendSettings": {
            "circuitBreaker": provider::breakers(),
            "connection": {"bufferLimit": "1Mi"},
            "http2": provider::windows(),
            "timeout": {"tcp": {"connectTimeout": "5s"}},
        },
        "failOpen": false,
        "processingMode": {
            "request": {
                "body": "FullDuplexStreamed",
                "attributes": ["connection.uri_san_peer_certificate", "source.address"],
            },
            "response": {"body": "FullDuplexStreamed"},
        },
        "metadata": {
            "accessibleNamespaces": ["envoy.filters.http.jwt_authn"],
            "writableNamespaces": ["weir"],
        },
    });
    if plan.version.has_status_on_error() {
        processor["statusOnError"] = json!(503);
    }
    processor
}
