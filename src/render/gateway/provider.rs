//! Where each backend is, how its certificate is checked, and the one route that leads there. Pure.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{GATEWAY_API, GROUP, NAME, Plan, PlanError, VERSION, labels, name, resource, to_backend, to_gateway};
use crate::render::envoy::{BACKEND_HEADER, CLIENT_HEADERS, INTERNAL_HEADERS, PROXY_HEADERS};
use crate::target::Upstream;

/// Envoy Gateway's defaults (1,024) refuse what one busy host needs.
const MOST: u32 = 100_000;

/// The resources of all backends, one backend after the other, and the policy for them all.
pub(super) fn resources(plan: &Plan) -> Result<Vec<Value>, PlanError> {
    let mut all = vec![policy(plan)];
    for upstream in plan.upstreams {
        let resource_name = name::of(&upstream.name);
        all.push(backend(plan, upstream, &resource_name)?);
        if upstream.https {
            all.extend(tls(plan, upstream, &resource_name)?);
        }
        all.push(route(plan, upstream, &resource_name));
    }
    Ok(all)
}

fn backend(plan: &Plan, upstream: &Upstream, name: &str) -> Result<Value, PlanError> {
    let endpoint = match upstream.host.parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => return Err(PlanError::Loopback(upstream.name.to_string())),
        Ok(ip) => json!({"ip": {"address": ip.to_string(), "port": upstream.port}}),
        Err(_) => json!({"fqdn": {"hostname": dns(upstream, &upstream.host)?, "port": upstream.port}}),
    };
    Ok(resource(VERSION, "Backend", plan.namespace, name, json!({"endpoints": [endpoint]})))
}

/// The certificate must be signed by the CA and have the name; SNI is the same name.
fn tls(plan: &Plan, upstream: &Upstream, name: &str) -> Result<Vec<Value>, PlanError> {
    let server: &str = upstream.server_name.as_deref().unwrap_or(&upstream.host);
    if server.parse::<IpAddr>().is_ok() {
        return Err(PlanError::AddressWithoutName(upstream.name.to_string()));
    }
    let mut validation = json!({"hostname": dns(upstream, server)?});
    let mut all = Vec::new();
    match upstream.ca.as_deref() {
        Some(pem) => {
            let ca = format!("{name}-ca");
            validation["caCertificateRefs"] = json!([{"group": "", "kind": "ConfigMap", "name": ca}]);
            all.push(json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": ca, "namespace": plan.namespace, "labels": labels()},
                "data": {"ca.crt": pem},
            }));
        }
        None => validation["wellKnownCACertificates"] = json!("System"),
    }
    let spec = json!({"targetRefs": [to_backend(name)], "validation": validation});
    all.push(resource(plan.version.tls_policy(), "BackendTLSPolicy", plan.namespace, name, spec));
    Ok(all)
}

fn route(plan: &Plan, upstream: &Upstream, name: &str) -> Value {
    let removed: Vec<&str> = [INTERNAL_HEADERS, CLIENT_HEADERS, PROXY_HEADERS].concat();
    let mut filters = vec![json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": removed}})];
    if let Some(host) = rewritten(upstream) {
        // Weir sets `:authority` itself where the patches let it. Where they are not in force the route does, for a
        // key must not leave under the client's host.
        filters.push(json!({"type": "URLRewrite", "urlRewrite": {"hostname": host}}));
    }
    let spec = json!({
        "parentRefs": [{"group": GATEWAY_API, "kind": "Gateway", "name": NAME}],
        "rules": [{
            "matches": [{
                "path": {"type": "PathPrefix", "value": "/"},
                "headers": [{"type": "Exact", "name": BACKEND_HEADER, "value": &*upstream.name}],
            }],
            "filters": filters,
            "backendRefs": [{"group": GROUP, "kind": "Backend", "name": name}],
        }],
    });
    resource("gateway.networking.k8s.io/v1", "HTTPRoute", plan.namespace, name, spec)
}

/// The host as a route can say it: a name without a port.
fn rewritten(upstream: &Upstream) -> Option<&str> {
    let usual = if upstream.https { 443 } else { 80 };
    (upstream.port == usual && upstream.host.parse::<IpAddr>().is_err()).then_some(&*upstream.host)
}

fn policy(plan: &Plan) -> Value {
    let mut http2 = windows();
    if plan.version.has_keepalive() {
        http2["connectionKeepalive"] = json!({"interval": "30s", "timeout": "15s"});
    }
    let spec = json!({
        "targetRefs": [to_gateway()],
        "circuitBreaker": breakers(),
        "connection": {"bufferLimit": "1Mi"},
        "http2": http2,
        "timeout": {"tcp": {"connectTimeout": "5s"}, "http": {"requestTimeout": "0s"}},
        // Until the patches are in force, under which Weir orders retries call by call.
        "retry": {
            "numRetries": 1,
            "retryOn": {"triggers": ["connect-failure", "refused-stream"]},
            "perRetry": {"backOff": {"baseInterval": "1ms", "maxInterval": "10ms"}},
        },
        // An address that cannot be connected to is left alone for a while. An answer of the service, whatever its
        // status, says nothing of one address.
        "healthCheck": {"passive": {
            "splitExternalLocalOriginErrors": true,
            "consecutiveLocalOriginFailures": 5,
            "consecutive5XxErrors": 100,
            "interval": "10s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 50,
        }},
    });
    resource(VERSION, "BackendTrafficPolicy", plan.namespace, NAME, spec)
}

pub(super) fn breakers() -> Value {
    let fields = ["maxConnections", "maxPendingRequests", "maxParallelRequests", "maxParallelRetries"];
    Value::Object(fields.iter().map(|field| ((*field).to_owned(), json!(MOST))).collect::<Map<_, _>>())
}

pub(super) fn windows() -> Value {
    json!({"initialStreamWindowSize": "1Mi", "initialConnectionWindowSize": "16Mi"})
}

/// A name as a Backend takes it.
fn dns<'a>(upstream: &Upstream, host: &'a str) -> Result<&'a str, PlanError> {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match host.len() <= 253 && host.contains('.') && host.split('.').all(is_label) {
        true => Ok(host),
        false => Err(PlanError::NotAName(upstream.name.to_string(), host.to_owned())),
    }
}
