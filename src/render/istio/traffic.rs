//! Which call goes where: VirtualServices, and the gateway where there is one. Pure.

use serde_json::{Value, json};

use super::failover::Attempts;
use super::site::{PORT, Place, Site, hosts};
use super::{Form, Plan, service};
use crate::render::envoy::{BACKEND_HEADER, CLIENT_HEADERS, INTERNAL_HEADERS, PROXY_HEADERS};

pub(super) const SERVICES: &str = "\
Where a call goes once Weir has named its backend. Weir sets the host to the provider's own and has the route chosen\n\
anew, so the routes are the same at every host. A call without a backend reaches no provider: 503.\n\
This holds for every workload of the namespace that calls these hosts on port 80; HTTPS to them is not touched.";

pub(super) const GATEWAY: &str = "\
Where the gateway listens: mutual TLS with the mesh's certificates, so that Weir is told who calls (its SPIFFE id).\n\
The gateway's Service needs port 443; its pods need the label.";

pub(super) const TO_GATEWAY: &str = "\
What leads the whole mesh to the gateway: the host that applications call, the route to the gateway, and the\n\
certificate of each workload that its sidecar shows there. Apply it last; remove it first.";

/// What Istio's proxies tell one another in requests. A provider has no use for a pod's labels.
const MESH_HEADERS: &[&str] = &["x-envoy-decorator-operation", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"];

const GATEWAY_NAME: &str = "weir-egress";
const GATEWAY_PORT: u16 = 443;

/// The VirtualServices that hold Weir's routes.
pub(super) fn services(plan: &Plan, sites: &[Site], attempts: &Attempts) -> Vec<Value> {
    let mut http: Vec<Value> = sites.iter().flat_map(routes).collect();
    http.extend(attempts.orders().map(|(header, destinations)| route(header, destinations)));
    http.push(json!({"name": "weir-no-backend", "directResponse": {"status": 503}}));
    let mut spec = json!({"hosts": hosts(plan, sites), "exportTo": ["."], "http": http});
    if plan.form == Form::EgressGateway {
        spec["gateways"] = json!([GATEWAY_NAME]);
        return vec![plan.resource("v1", "VirtualService", "weir", spec)];
    }
    let own = plan.resource("v1", "VirtualService", "weir", spec);
    let mut services = vec![own];
    let mut done: Vec<&str> = Vec::new();
    for site in sites.iter().filter(|site| site.place == Place::Mesh) {
        if !done.contains(&site.host.as_str()) {
            done.push(&site.host);
            services.push(of_mesh(plan, site));
        }
    }
    services
}

/// The gateway's listener.
pub(super) fn gateway(plan: &Plan) -> Value {
    let (key, value) = plan.selector;
    let spec = json!({
        "selector": {key: value},
        "servers": [{
            "port": {"number": GATEWAY_PORT, "name": "https", "protocol": "HTTPS"},
            // Whatever host the VirtualServices of this namespace have, which may be an address; those of no other.
            "hosts": ["./*"],
            "tls": {"mode": "ISTIO_MUTUAL"},
        }],
    });
    plan.resource("v1", "Gateway", GATEWAY_NAME, spec)
}

/// What leads sidecars to the gateway.
pub(super) fn to_gateway(plan: &Plan) -> Vec<Value> {
    let rule = json!({
        "host": plan.gateway,
        "exportTo": ["*"],
        "trafficPolicy": {
            "connectionPool": service::connection_pool(),
            "tls": {"mode": "ISTIO_MUTUAL", "sni": plan.host},
        },
    });
    let service = json!({
        "hosts": [plan.host],
        "gateways": ["mesh"],
        "exportTo": ["*"],
        "http": [{
            "name": "weir-egress",
            "headers": {"request": {"remove": INTERNAL_HEADERS}},
            "timeout": "0s",
            // An attempt that nobody decided about would be billed by the provider.
            "retries": {"attempts": 0},
            "route": [{"destination": {"host": plan.gateway, "port": {"number": GATEWAY_PORT}}}],
        }],
    });
    vec![
        plan.resource("v1", "DestinationRule", GATEWAY_NAME, rule),
        plan.resource("v1", "VirtualService", GATEWAY_NAME, service),
        service::logical(plan, "*"),
    ]
}

/// A Service of the cluster has callers besides: what Weir has not sent goes on to it as before.
fn of_mesh(plan: &Plan, site: &Site) -> Value {
    let mut http = routes(site);
    let destination = json!({"host": site.host, "port": {"number": PORT}});
    http.push(json!({"name": "weir-others", "route": [{"destination": destination}]}));
    let spec = json!({"hosts": [site.host], "exportTo": ["."], "http": http});
    plan.resource("v1", "VirtualService", &site.name, spec)
}

fn routes(site: &Site) -> Vec<Value> {
    let destination = json!({"destination": {"host": site.host, "port": {"number": site.port}}});
    site.backends.iter().map(|backend| route(backend, vec![destination.clone()])).collect()
}

/// The route for this value of the header that Weir alone may say.
fn route(value: &str, destinations: Vec<Value>) -> Value {
    let removed: Vec<&str> = [INTERNAL_HEADERS, CLIENT_HEADERS, PROXY_HEADERS, MESH_HEADERS].concat();
    json!({
        "name": Site::route_name(value),
        "match": [{"headers": {BACKEND_HEADER: {"exact": value}}}],
        "headers": {"request": {"remove": removed}},
        // Answers may take minutes; Weir has the deadlines.
        "timeout": "0s",
        // Weir orders attempts for each call. Istio's own default of two would be billed and seen by nobody.
        "retries": {"attempts": 0},
        "route": destinations,
    })
}
