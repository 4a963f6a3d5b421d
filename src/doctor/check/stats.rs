//! What Envoy has counted since its start. Pure.

use super::{Findings, Scene, Told};

/// Counters of Weir's filter: whether it is an error, its name, what it means and what to do.
const FILTER: &[(bool, &str, &str, &str)] = &[
    (
        true,
        "spurious_msgs_received",
        "Weir's answers came where Envoy expected none; those calls ended with 500",
        "use the modes that `weir render` writes; if they are in use, report it with Weir's log",
    ),
    (
        true,
        "rejected_header_mutations",
        "Envoy did not set headers that Weir set",
        "mutation_rules: {allow_all_routing: true, allow_envoy: true}",
    ),
    (
        true,
        "failure_mode_allowed",
        "calls passed without Weir's decision",
        "failure_mode_allow: false, where anything must hold; else look why Weir did not answer",
    ),
    (
        false,
        "streams_failed",
        "streams to Weir broke: those calls got 503",
        "look at Weir's log, at restarts, and at breakers and keepalive of its cluster",
    ),
    (
        false,
        "message_timeouts",
        "Envoy gave up waiting for Weir",
        "message_timeout: overload.maxWait + 10 s, or FULL_DUPLEX_STREAMED, which has no such timeout",
    ),
];

const CLUSTER: &[(&str, &str, &str)] = &[
    (
        "upstream_rq_pending_overflow",
        "calls were refused with 503 by max_pending_requests or max_requests",
        "circuit_breakers.thresholds: [{max_pending_requests: 100000, max_requests: 100000}]",
    ),
    (
        "upstream_cx_overflow",
        "connections were refused by max_connections",
        "circuit_breakers.thresholds: [{max_connections: 100000}]",
    ),
    (
        "upstream_rq_retry_overflow",
        "retries were not made, by max_retries",
        "circuit_breakers.thresholds: [{max_retries: 100000}]",
    ),
    (
        "retry_or_shadow_abandoned",
        "calls were not tried again because their body was too large to keep",
        "request_body_buffer_limit on the route: the largest request",
    ),
];

const CONNECT: &str = "upstream_cx_connect_fail";

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    let Some(stats) = &scene.evidence.stats else {
        return Told::Skipped("no counters were given (--envoy URL, or --stats FILE with Envoy's /stats)");
    };
    for at in scene.attached() {
        for (is_error, counter, means, change) in FILTER {
            let Some(count) = stats.ext_proc(&at.manager.stat_prefix, counter).filter(|count| *count > 0) else {
                continue;
            };
            let (place, means) = (at.place(), format!("{counter} is {count}: {means}."));
            match is_error {
                true => findings.error("counted-errors", &place, means, *change),
                false => findings.warning("counted-failures", &place, means, *change),
            }
        }
    }
    let clusters = scene.weir.iter().chain(scene.providers.keys());
    for cluster in clusters {
        for (counter, means, change) in CLUSTER {
            if let Some(count) = stats.cluster(cluster, counter).filter(|count| *count > 0) {
                let place = format!("cluster {cluster}");
                findings.warning("counted-overflow", &place, format!("{counter} is {count}: {means}."), *change);
            }
        }
    }
    for cluster in &scene.weir {
        if let Some(count) = stats.cluster(cluster, CONNECT).filter(|count| *count > 0) {
            let means = format!("{CONNECT} is {count}: Envoy could not connect to Weir.");
            let change = "is Weir running, and may Envoy's user open the socket? (an Istio proxy has uid 1337: \
                          listen.socketMode \"0666\", with the volume in the proxy and Weir alone)";
            findings.warning("counted-connect", &format!("cluster {cluster}"), means, change);
        }
    }
    Told::Looked("nothing overflowed, failed or was taken for spurious since Envoy started".to_owned())
}
