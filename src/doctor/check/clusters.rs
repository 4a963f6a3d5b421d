//! Breakers, keepalive and TLS: of the clusters through which Weir is reached, and of providers'. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Findings, NO_DUMP, Scene, Told, many};
use crate::doctor::dump::{Action, Cluster};
use crate::doctor::scene::cluster_of;

/// As rendered: as good as none.
const ENOUGH: u64 = 100_000;
/// Envoy's own limits for all but retries, and for these.
const ENVOYS: u64 = 1024;
const ENVOYS_RETRIES: u64 = 3;
/// A stopped Weir is found out within this.
const LONGEST: Duration = Duration::from_secs(60);
const HTTPS: u64 = 443;

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    if scene.evidence.dump.is_none() {
        return NO_DUMP;
    }
    for name in &scene.weir {
        match scene.clusters.get(name) {
            Some(cluster) => weirs(cluster, findings),
            None => {
                let place = format!("cluster {name}");
                let means = "A filter of Weir's names this cluster, and there is none: every call fails.";
                findings.error("cluster-missing", &place, means, "add the cluster that `weir render` writes");
            }
        }
    }
    for at in scene.attached() {
        for (_, filter) in at.weir.iter().filter(|(_, filter)| cluster_of(filter).is_none()) {
            let place = format!("{}, filter {}", at.place(), filter.name);
            let means = "The filter names no cluster, so breakers and keepalive of its connections cannot be set.";
            findings.warning("cluster-unnamed", &place, means, "grpc_service.envoy_grpc.cluster_name");
        }
    }
    let used: BTreeSet<&str> = used(scene);
    for name in &used {
        if let Some(cluster) = scene.clusters.get(name) {
            providers(scene, cluster, findings);
        }
    }
    let (weir, providers) = (many(scene.weir.len(), "cluster"), many(used.len(), "cluster"));
    Told::Looked(format!("breakers, keepalive and TLS of {weir} to Weir and {providers} to providers are right"))
}

/// Clusters of providers that a route which Weir sees leads to.
fn used<'a>(scene: &Scene<'a>) -> BTreeSet<&'a str> {
    let mut used = BTreeSet::new();
    for at in &scene.managers {
        for to in scene.to_providers(at).iter().filter(|to| to.weir.is_some()) {
            if let Action::Clusters(names) = &to.route.action {
                used.extend(names.iter().map(String::as_str));
            }
        }
    }
    used
}

fn weirs(cluster: &Cluster, findings: &mut Findings) {
    let place = format!("cluster {}", cluster.name);
    let few = few(cluster, &["max_connections", "max_pending_requests", "max_requests"]);
    if !few.is_empty() {
        let means =
            format!("{}: each call is a stream of its own, and what is above is refused with 503.", few.join(", "));
        findings.warning(
            "weir-breakers",
            &place,
            means,
            "circuit_breakers.thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]",
        );
    }
    let wanted = "http2_protocol_options.connection_keepalive: {interval: 5s, timeout: 2s}";
    match cluster.keepalive {
        None => findings.warning(
            "weir-keepalive",
            &place,
            "Nobody asks whether Weir is still there: one that has stopped holds every call until it is idle for too \
             long, twice.",
            wanted,
        ),
        Some(keepalive) => {
            let sum = keepalive.interval.unwrap_or_default() + keepalive.timeout.unwrap_or_default();
            if keepalive.interval.is_none() || sum > LONGEST {
                findings.warning("weir-keepalive", &place, "A Weir that has stopped is found out too late.", wanted);
            }
        }
    }
    if !cluster.speaks_http2 {
        findings.error(
            "weir-http2",
            &place,
            "Weir is asked over gRPC, and this cluster does not speak HTTP/2.",
            "typed_extension_protocol_options: HttpProtocolOptions.explicit_http_config.http2_protocol_options: {}",
        );
    }
    if cluster.hosts.sockets.is_empty()
        && (cluster.hosts.has_addresses || !cluster.hosts.names.is_empty())
        && !cluster.has_tls
    {
        findings.warning(
            "weir-plain-tcp",
            &place,
            "Weir is reached over plain TCP, where it puts no key on a request: whoever can connect could read it.",
            "a Unix socket (address.pipe.path), or TLS with a client certificate (listen.tls)",
        );
    }
}

fn providers(scene: &Scene, cluster: &Cluster, findings: &mut Findings) {
    let place = format!("cluster {}", cluster.name);
    let retries = cluster.breakers.retries.unwrap_or(ENVOYS_RETRIES);
    if retries < ENOUGH && !cluster.breakers.has_budget {
        let means =
            format!("At most {retries} retries at once: when a provider fails under load, most calls fail with it.");
        findings.warning("retry-breaker", &place, means, "circuit_breakers.thresholds: [{max_retries: 100000}]");
    }
    let few = few(cluster, &["max_connections", "max_pending_requests", "max_requests"]);
    if !few.is_empty() {
        let means = format!("{}: calls last minutes, and what is above is refused with 503.", few.join(", "));
        findings.warning(
            "provider-breakers",
            &place,
            means,
            "circuit_breakers.thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]",
        );
    }
    let by_host = cluster.leads_to().any(|name| scene.evidence.hosts.find(name).is_some());
    if by_host && !cluster.has_tls {
        let port = if cluster.hosts.names.iter().any(|(_, port)| *port == HTTPS) { ", port 443" } else { "" };
        let means = format!("A provider is called without TLS{port}: its key would cross the network in clear text.");
        let change = "transport_socket: envoy.transport_sockets.tls with sni and match_typed_subject_alt_names \
                      (DestinationRule: tls: {mode: SIMPLE, sni, subjectAltNames})";
        findings.error("provider-tls", &place, means, change);
    } else if by_host && !cluster.checks_names {
        findings.error(
            "provider-name",
            &place,
            "Any server with a certificate of the CA could take the provider's place, and its key.",
            "validation_context.match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: HOST}}] \
             (DestinationRule: tls.subjectAltNames)",
        );
    }
}

/// The limits that are too low, in words.
fn few(cluster: &Cluster, names: &[&str]) -> Vec<String> {
    let breakers = &cluster.breakers;
    let value = |name: &str| match name {
        "max_connections" => breakers.connections,
        "max_pending_requests" => breakers.pending,
        _ => breakers.requests,
    };
    let low = names.iter().map(|name| (name, value(name))).filter(|(_, value)| value.unwrap_or(ENVOYS) < ENOUGH);
    low.map(|(name, value)| match value {
        Some(value) => format!("{name} is {value}"),
        None => format!("{name} is Envoy's {ENVOYS}"),
    })
    .collect()
}
