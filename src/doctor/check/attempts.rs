//! Upstream `ext_proc` filters, which run for each attempt: the forms that make Envoy 1.40 crash. Pure.

use super::{Findings, NO_DUMP, Scene, Told, many};
use crate::doctor::dump::{BodyForm, Cluster, HttpFilter};
use crate::doctor::finding::Severity;
use crate::doctor::scene::{ROLE, cluster_of};

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
    Told::Looked(match count {
        0 => "no cluster has an upstream ext_proc filter".to_owned(),
        _ => format!("{} have the one form that Envoy survives", many(count, "upstream ext_proc filter")),
    })
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
        let change = "a cluster of its own to the same socket (`weir_attempt`)".to_owned();
        findings.add(severity, "attempt-cluster", &place, means, change);
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
