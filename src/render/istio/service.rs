//! Who is called, and how: ServiceEntry and DestinationRule of each place outside the mesh. Pure.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::failover::Attempts;
use super::site::{PORT, Place, Site};
use super::{Form, Plan};
use crate::target::Upstream;

pub(super) const ENTRIES: &str = "\
The hosts that calls go to. In the mesh each has port 80 and plain HTTP, so that the proxy can read calls; the\n\
proxy connects to the provider's own port, with TLS where the backend has it (see the DestinationRules).";

pub(super) const RULES: &str = "\
How the proxy connects to each host: TLS with the name that the certificate must have, limits far above what one\n\
proxy needs, and ejection only where a rule has another backend.\n\
A caCertificates file is one of the proxy's container: mount it there (sidecar.istio.io/userVolumeMount).";

/// Envoy's own default of connections and requests is too low for one busy host.
const MOST: u32 = 100_000;

/// The ServiceEntries.
pub(super) fn entries(plan: &Plan, sites: &[Site], attempts: &Attempts) -> Vec<Value> {
    // Behind a gateway the host of the applications is known to the whole mesh: see `traffic`.
    let own = (plan.form == Form::Sidecar).then(|| logical(plan, "."));
    let outside = sites.iter().filter(|site| site.place != Place::Mesh);
    own.into_iter().chain(outside.map(|site| entry(plan, site, attempts.labels(&site.host)))).collect()
}

/// The DestinationRules. A Service of the cluster has an owner, who says how it is called.
pub(super) fn rules(plan: &Plan, sites: &[Site], attempts: &Attempts) -> Vec<Value> {
    let ours = sites.iter().filter(|site| site.place != Place::Mesh);
    ours.map(|site| rule(plan, site, attempts.subsets(&site.host))).collect()
}

/// The host of the applications. The address is for the mesh's DNS; no call is sent there.
pub(super) fn logical(plan: &Plan, export_to: &str) -> Value {
    let spec = json!({
        "hosts": [plan.host],
        "addresses": [plan.address.to_string()],
        "location": "MESH_EXTERNAL",
        "resolution": "NONE",
        "exportTo": [export_to],
        "ports": [{"number": PORT, "name": "http", "protocol": "HTTP"}],
    });
    plan.resource("v1", "ServiceEntry", "weir-applications", spec)
}

/// Limits and keepalive of a place.
pub(super) fn connection_pool() -> Value {
    json!({
        "tcp": {
            "maxConnections": MOST,
            "connectTimeout": "5s",
            "tcpKeepalive": {"probes": 3, "time": "30s", "interval": "15s"},
        },
        "http": {"http1MaxPendingRequests": MOST, "http2MaxRequests": MOST, "maxRetries": MOST},
    })
}

/// The place, whose address has these labels.
fn entry(plan: &Plan, site: &Site, labels: Option<Value>) -> Value {
    let Upstream { host, port, .. } = site.upstream;
    let mut spec = json!({
        "hosts": [site.host],
        "location": "MESH_EXTERNAL",
        "resolution": if host.parse::<IpAddr>().is_ok() { "STATIC" } else { "DNS" },
        "exportTo": ["."],
        "ports": [{"number": PORT, "name": "http", "protocol": "HTTP", "targetPort": port}],
    });
    if site.place == Place::Addressed || labels.is_some() {
        spec["endpoints"] = json!([{"address": host}]);
    }
    if let Some(labels) = labels {
        spec["endpoints"][0]["labels"] = labels;
    }
    plan.resource("v1", "ServiceEntry", &site.name, spec)
}

fn rule(plan: &Plan, site: &Site, subsets: Vec<Value>) -> Value {
    let mut policy = json!({"connectionPool": connection_pool()});
    // Ejecting the only place there is turns a few errors into an outage.
    if site.backends.iter().all(|backend| plan.replaceable.contains(backend)) {
        policy["outlierDetection"] = json!({
            "consecutive5xxErrors": 5,
            "interval": "10s",
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 100,
        });
    }
    if site.upstream.https {
        policy["tls"] = tls(site.upstream);
    }
    let mut spec = json!({"host": site.host, "exportTo": ["."], "trafficPolicy": policy});
    if !subsets.is_empty() {
        spec["subsets"] = Value::Array(subsets);
    }
    plan.resource("v1", "DestinationRule", &site.name, spec)
}

fn tls(upstream: &Upstream) -> Value {
    let name = upstream.server_name.as_deref().unwrap_or(&upstream.host);
    let mut tls = json!({"mode": "SIMPLE", "subjectAltNames": [name]});
    // An address is no SNI.
    if name.parse::<IpAddr>().is_err() {
        tls["sni"] = json!(name);
    }
    if let Some(ca) = &upstream.ca {
        tls["caCertificates"] = json!(&**ca);
    }
    tls
}
