//! What Weir's filter and its connection manager are told: modes, rules, metadata, attributes, time. Pure.

use std::time::Duration;

use super::{Findings, NO_FILTER, Scene, Told, many, shown, since};
use crate::doctor::dump::{BodyForm, ExtProc, HttpFilter, Modes};
use crate::doctor::scene::{Attached, ROLE};
use crate::render::since::{CONTENT_LENGTH, STATUS_ON_ERROR};

/// What a connection buffers where nobody says.
const ENVOY_BUFFER: u64 = 1 << 20;
/// What a request has besides its body.
const HEADROOM: u64 = 1 << 20;
/// What Envoy must wait longer than Weir.
const GRACE: Duration = Duration::from_secs(10);
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(200);

/// Attributes without which Weir does not know who calls, and why it matters.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("connection.uri_san_peer_certificate", "a caller behind mTLS is nobody to Weir"),
    ("source.address", "a caller's address is unknown to Weir"),
    ("xds.cluster_name", "Weir does not know which cluster answered"),
];
/// About 100 KB with each request.
const LARGE: &str = "xds.node";
const JWT: &str = "envoy.filters.http.jwt_authn";

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    let mut count = 0;
    for at in scene.attached() {
        for (filter, ext_proc) in at.settings() {
            let place = format!("{}, filter {}", at.place(), filter.name);
            modes(&place, &ext_proc.modes, findings);
            rules(scene, at, &place, ext_proc, findings);
            told(at, &place, ext_proc, findings);
            failing(scene, &place, ext_proc, findings);
            buffered(scene, at, &place, ext_proc, findings);
            role(&place, filter, ext_proc, findings);
            count += 1;
        }
        for to in scene.to_providers(at) {
            if let Some(own) = to.modes {
                modes(&to.place(at), own, findings);
            }
        }
        if at.manager.proxy_100_continue {
            findings.error(
                "100-continue",
                &at.place(),
                "A client that waits for 100 Continue waits for the provider, which waits for Weir, which waits for \
                 the body: nothing moves until a timeout.",
                "proxy_100_continue: false",
            );
        }
    }
    if count == 0 {
        return NO_FILTER;
    }
    let filters = many(count, "filter");
    Told::Looked(format!("modes, rules, metadata, attributes and failure settings of {filters} are as Weir needs them"))
}

fn modes(place: &str, modes: &Modes, findings: &mut Findings) {
    let bodies = (modes.request_body, modes.response_body);
    let is_known = matches!(
        bodies,
        (BodyForm::FullDuplex, BodyForm::FullDuplex) | (BodyForm::Buffered, BodyForm::Streamed | BodyForm::Buffered)
    );
    if !is_known {
        let means =
            format!("Bodies are sent as {} and {}, which Weir cannot work with.", bodies.0.name(), bodies.1.name());
        findings.error(
            "body-mode",
            place,
            means,
            "request_body_mode and response_body_mode: FULL_DUPLEX_STREAMED (or BUFFERED with STREAMED or BUFFERED)",
        );
    }
    if !(modes.request_headers && modes.response_headers) {
        findings.error(
            "header-mode",
            place,
            "Weir does not see the headers of requests or of answers.",
            "request_header_mode: SEND, response_header_mode: SEND",
        );
    }
    if !(modes.request_trailers && modes.response_trailers) {
        findings.error(
            "trailer-mode",
            place,
            "A body that ends with trailers never ends for Weir: the call hangs until it is idle for too long.",
            "request_trailer_mode: SEND, response_trailer_mode: SEND",
        );
    }
}

fn rules(scene: &Scene, at: &Attached, place: &str, ext_proc: &ExtProc, findings: &mut Findings) {
    if !ext_proc.allow_content_length {
        findings.add(
            since(scene, CONTENT_LENGTH),
            "content-length",
            place,
            "Envoy takes away the length that Weir writes, so bodies leave in chunks, which some providers refuse."
                .into(),
            format!("allow_content_length_header: true (Envoy 1.{})", CONTENT_LENGTH.since),
        );
    }
    if ext_proc.disallow_all {
        findings.error(
            "mutation-rules",
            place,
            "Weir may change no header at all.",
            "mutation_rules.disallow_all: false",
        );
    } else if !ext_proc.allow_routing {
        let routes = scene.to_providers(at);
        let means =
            "Weir may not set the host of a call, so it would reach a provider under the name that the client used.";
        let change = "mutation_rules.allow_all_routing: true";
        if !routes.is_empty() && routes.iter().all(|to| to.route.sets_host) {
            let means = "Weir may not set the host of a call. The routes do it here; a new one must do it too.";
            findings.note("mutation-rules", place, means, change);
        } else {
            findings.error("mutation-rules", place, means, change);
        }
    }
    if !ext_proc.allow_envoy {
        findings.warning(
            "retry-orders",
            place,
            "Weir may not set Envoy's own headers, in which it orders retries: a provider's 503 or 429 goes to the client.",
            "mutation_rules.allow_envoy: true",
        );
    }
    if ext_proc.keeps_route {
        findings.error(
            "route-cache",
            place,
            "The route stays the one from before Weir has chosen a backend.",
            "route_cache_action: DEFAULT, and no disable_clear_route_cache",
        );
    }
}

fn told(at: &Attached, place: &str, ext_proc: &ExtProc, findings: &mut Findings) {
    if !ext_proc.receives.iter().any(|namespace| namespace == "weir") {
        findings.warning(
            "metadata-receiving",
            place,
            "Envoy drops what Weir tells of each call, so access logs, rate limits and local replies know nothing of it.",
            "metadata_options.receiving_namespaces.untyped: [weir]",
        );
    }
    if !ext_proc.forwards.iter().any(|namespace| namespace == JWT) {
        let change = "metadata_options.forwarding_namespaces.untyped: [envoy.filters.http.jwt_authn]";
        if at.manager.filters.iter().any(|filter| filter.is_a("jwt_authn")) {
            let means = "Tokens are checked here, and Weir does not see whose they are.";
            findings.warning("metadata-forwarding", place, means, change);
        } else {
            findings.note(
                "metadata-forwarding",
                place,
                "Should tokens be checked here, Weir would not see whose.",
                change,
            );
        }
    }
    for (name, why) in ATTRIBUTES {
        if !ext_proc.request_attributes.iter().any(|attribute| attribute == name) {
            let means = format!("Weir is not told {name}: {why}.");
            findings.warning("attribute-missing", place, means, format!("request_attributes: add {name}"));
        }
    }
    let all = ext_proc.request_attributes.iter().chain(&ext_proc.response_attributes);
    if all.into_iter().any(|attribute| attribute == LARGE) {
        findings.warning(
            "attribute-large",
            place,
            "The attribute xds.node is about 100 KB with every request.",
            "request_attributes: take xds.node out",
        );
    }
}

fn failing(scene: &Scene, place: &str, ext_proc: &ExtProc, findings: &mut Findings) {
    let is_duplex = ext_proc.modes.request_body == BodyForm::FullDuplex;
    match ext_proc.status_on_error.as_deref() {
        Some("ServiceUnavailable" | "503") => {}
        other => {
            let now = other.unwrap_or("500, Envoy's default");
            let means = format!("When Weir does not answer, clients see {now}; 503 is what they try again after.");
            let change = format!("status_on_error: {{code: ServiceUnavailable}} (Envoy 1.{})", STATUS_ON_ERROR.since);
            findings.add(since(scene, STATUS_ON_ERROR), "status-on-error", place, means, change);
        }
    }
    if ext_proc.failure_mode_allow && is_duplex {
        findings.error(
            "failure-mode",
            place,
            "failure_mode_allow does not hold in this body mode: a call fails or passes half-read, as it comes.",
            "failure_mode_allow: false; for calls that may pass without Weir: BUFFERED and STREAMED",
        );
    } else if ext_proc.failure_mode_allow {
        findings.note(
            "fails-open",
            place,
            "Without Weir calls pass unseen, with the caller's own credential. That is right for metering alone.",
            "failure_mode_allow: false, where anything must hold",
        );
    }
    if ext_proc.observes {
        findings.error(
            "observability-mode",
            place,
            "Envoy does not wait for Weir's answers: nothing is decided.",
            "observability_mode: false",
        );
    }
}

/// What only matters where Envoy holds bodies for Weir.
fn buffered(scene: &Scene, at: &Attached, place: &str, ext_proc: &ExtProc, findings: &mut Findings) {
    if ext_proc.modes.request_body != BodyForm::Buffered {
        return;
    }
    let wanted = &scene.evidence.wanted;
    let wait = ext_proc.message_timeout.unwrap_or(MESSAGE_TIMEOUT);
    let needed = wanted.max_wait.saturating_add(GRACE);
    if wait < needed {
        let means =
            format!("Envoy waits {} for an answer of Weir's, which may take {}.", shown(wait), shown(wanted.max_wait));
        findings.error("message-timeout", place, means, format!("message_timeout: {}s", needed.as_secs()));
    }
    let (buffer, needed) = (at.listener.buffer.unwrap_or(ENVOY_BUFFER), wanted.max_request.saturating_add(HEADROOM));
    if buffer < needed {
        let means = format!(
            "Envoy refuses bodies above {buffer} bytes with 413 before Weir sees them; Weir takes {} bytes.",
            wanted.max_request
        );
        findings.error("connection-buffer", &at.place(), means, format!("per_connection_buffer_limit_bytes: {needed}"));
    }
    if !ext_proc.allow_mode_override {
        findings.warning(
            "mode-override",
            place,
            "Weir cannot let uploads and WebSockets through unbuffered: they are held, and refused when they are large.",
            "allow_mode_override: true",
        );
    }
}

fn role(place: &str, filter: &HttpFilter, ext_proc: &ExtProc, findings: &mut Findings) {
    match ext_proc.says(ROLE) {
        Some("route") => {}
        // A route may say it instead.
        None if filter.is_disabled => {}
        None => findings.note(
            "role-missing",
            place,
            "Streams do not say what they are for; Weir takes them for a route's.",
            "grpc_service.initial_metadata: add {key: x-weir-role, value: route}",
        ),
        Some(other) => {
            let means = format!("Streams of a listener's filter say x-weir-role {other:?}.");
            findings.error(
                "role-wrong",
                place,
                means,
                "grpc_service.initial_metadata: {key: x-weir-role, value: route}",
            );
        }
    }
}
