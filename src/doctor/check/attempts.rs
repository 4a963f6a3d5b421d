//! Upstream `ext_proc` filters, which run for each attempt: the forms that make Envoy 1.40 crash; and the routes of
//! orders of backends, whose clusters must have one. A mesh drops in silence what it does not know of them. Pure.

use super::{Findings, NO_DUMP, Scene, Told, many};
use crate::doctor::dump::{Action, Backend, BodyForm, Cluster, HttpFilter};
use crate::doctor::finding::Severity;
use crate::doctor::scene::{ROLE, ToProvider, cluster_of};
use crate::render::attempt;

/// All that such a filter may ask for; more can pass the watermark.
const ATTRIBUTES: &[&str] = &["xds.cluster_name", "xds.upstream_host_metadata"];

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    if scene.evidence.dump.is_none() {
        return NO_DUMP;
    }
    let mut count = 0;
    for cluster in &scene.dump.clusters {
        for filter in cluster.filters.iter().filter(|filter| filter.ext_proc.is_some()) {
            count += 1;
            form(scene, cluster, filter, findings);
        }
    }
    let mut orders = 0;
    for at in scene.attached() {
        for to in scene.to_providers(at).iter().filter(|to| is_order(to)) {
            orders += 1;
            order(scene, &to.place(at), to, findings);
        }
    }
    let filters = many(count, "upstream ext_proc filter");
    Told::Looked(match (count, orders) {
        (0, 0) => "no cluster has an upstream ext_proc filter".to_owned(),
        (_, 0) => format!("{filters} have the one form that Envoy survives"),
        _ => {
            format!("{filters} have the one form that Envoy survives, and {} go to them in turn", many(orders, "route"))
        }
    })
}

/// Attempts come by another socket than calls: one that stays open while Weir ends.
fn door(scene: &Scene, own: &str, place: &str, findings: &mut Findings) {
    let Some(cluster) = scene.clusters.get(own) else { return };
    let on_routes = scene.attached().flat_map(|at| at.weir.iter().filter_map(|(_, filter)| cluster_of(filter)));
    let of_calls = on_routes.filter_map(|name| scene.clusters.get(name)).flat_map(|cluster| &cluster.hosts.sockets);
    if let Some(socket) = of_calls.into_iter().find(|socket| cluster.hosts.sockets.contains(socket)) {
        let means = format!(
            "Attempts and calls reach Weir at the same socket, {socket}: when Weir is replaced, calls that have left for a \
             backend do not fail over."
        );
        let change = format!("the address of the cluster {own}: pipe: {}", attempt::socket(socket.as_ref()).display());
        findings.warning("attempt-socket", place, means, change);
    } else if cluster.hosts.sockets.is_empty() {
        let means = "Attempts reach Weir by the network, where another process than the call's may answer them.";
        findings.warning("attempt-socket", place, means, "a Weir beside this Envoy, with listen.extProc: unix:PATH");
    }
}

/// A route for several backends in turn: their names are separated by commas, which no name has. (An Envoy that cannot
/// choose anew has such routes too, to the first cluster alone; nobody uses them.)
fn is_order(to: &ToProvider) -> bool {
    matches!((&to.route.backend, &to.route.action), (Backend::Exactly(value), Action::Clusters(names))
        if value.contains(',') && names.len() > 1)
}

fn order(scene: &Scene, place: &str, to: &ToProvider, findings: &mut Findings) {
    let Action::Clusters(names) = &to.route.action else { return };
    let asks = |name: &String| {
        let cluster = scene.clusters.get(name.as_str());
        cluster.is_some_and(|cluster| cluster.filters.iter().any(|filter| scene.is_weir(filter, None)))
    };
    let mut silent: Vec<&str> = names.iter().filter(|name| !asks(name)).map(String::as_str).collect();
    silent.dedup();
    if !silent.is_empty() {
        let means = format!(
            "An attempt at {} is not Weir's to write: it would leave as it was written for the backend before, with its key.",
            silent.join(", ")
        );
        let change = "the filters that `weir render` writes into this cluster (Istio: is the patch of 55-failover.yaml \
                      applied, and for this version?)";
        findings.error("attempt-filter", place, means, change);
    }
    if !to.route.chooses_anew {
        let means = "Every attempt goes to the first backend of the order.";
        let change = "retry_policy.refresh_cluster_on_retry: true (Envoy 1.39; an older istiod drops it)";
        findings.error("attempt-refresh", place, means, change);
    }
    if to.route.draws {
        let means = "The backend of each attempt is drawn by lot, and not the next of the order.";
        findings.warning("attempt-order", place, means, "weighted_clusters.header_name: content-length");
    }
}

fn form(scene: &Scene, cluster: &Cluster, filter: &HttpFilter, findings: &mut Findings) {
    let Some(ext_proc) = &filter.ext_proc else { return };
    let is_weir = scene.is_weir(filter, None);
    // Another's filter may never see enough calls at once.
    let severity = if is_weir { Severity::Error } else { Severity::Warning };
    let place = format!("cluster {}, filter {}", cluster.name, filter.name);
    let own = cluster_of(filter).unwrap_or_default();
    let on_routes = scene.managers.iter().flat_map(|at| &at.manager.filters);
    if on_routes.into_iter().any(|other| !own.is_empty() && cluster_of(other) == Some(own)) {
        let means = format!("Attempts and routes ask through the same cluster, {own}: Envoy 1.40 crashes under load.");
        let change = "a cluster of its own (`weir_attempt`) to the socket at which Weir hears attempts".to_owned();
        findings.add(severity, "attempt-cluster", &place, means, change);
    } else if is_weir {
        door(scene, own, &place, findings);
    }
    let modes = &ext_proc.modes;
    if modes.request_body != BodyForm::None || modes.response_body != BodyForm::None || modes.response_headers {
        let means = "An attempt's filter is sent more than the request's headers: Envoy 1.40 crashes under load.";
        let change = "processing_mode: {request_header_mode: SEND, request_body_mode: NONE, response_header_mode: SKIP, \
                      response_body_mode: NONE}";
        findings.add(severity, "attempt-body", &place, means.to_owned(), change.to_owned());
    }
    let all = ext_proc.request_attributes.iter().chain(&ext_proc.response_attributes);
    let more: Vec<&str> = all.map(String::as_str).filter(|name| !ATTRIBUTES.contains(name)).collect();
    if !more.is_empty() {
        let means =
            format!("An attempt's filter asks for {}: large attributes make Envoy 1.40 crash.", more.join(", "));
        let change = format!("request_attributes: [{}]", ATTRIBUTES.join(", "));
        findings.add(severity, "attempt-attributes", &place, means, change);
    }
    if is_weir && ext_proc.says(ROLE).is_some_and(|role| role != "attempt") {
        let means = "Streams of an attempt do not say so, and Weir takes them for calls.";
        findings.error(
            "role-wrong",
            &place,
            means,
            "grpc_service.initial_metadata: {key: x-weir-role, value: attempt}",
        );
    }
}
