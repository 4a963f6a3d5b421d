//! Time, retries, who may choose a backend, and headers that must not leave: on the routes to providers. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Findings, NO_FILTER, Scene, Told, many, shown, since};
use crate::doctor::dump::{Action, Backend, Manager};
use crate::doctor::scene::{Attached, ToProvider};
use crate::render::envoy::{BACKEND_HEADER, INTERNAL_HEADERS};
use crate::render::since::BODY_LIMIT;

const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// What a held request or a slow provider may take.
const LONG: Duration = Duration::from_secs(900);

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    let (mut count, mut backends) = (0, BTreeSet::new());
    for at in scene.attached() {
        idle(&at.place(), at.manager.stream_idle_timeout.unwrap_or(IDLE_TIMEOUT), findings);
        longest(&at.place(), at.manager.longest, findings);
        early(at, findings);
        unread(at, findings);
        for to in scene.to_providers(at).iter().filter(|to| to.weir.is_some()) {
            let place = to.place(at);
            time(&place, to, findings);
            retries(scene, at, &place, to, findings);
            chosen(&place, to, findings);
            leaving(&place, to, findings);
            if let Backend::Exactly(name) = &to.route.backend {
                backends.insert(name.as_str());
            }
            count += 1;
        }
    }
    if scene.attached().next().is_none() {
        return NO_FILTER;
    }
    for backend in scene.evidence.wanted.backends.iter().flatten().filter(|name| !backends.contains(name.as_str())) {
        let means = "Weir's configuration has this backend, and no route leads to it: its calls get 503.";
        let change =
            format!("a route that matches {BACKEND_HEADER} exactly {backend:?} (render the configuration again)");
        findings.error("backend-without-route", &format!("backend {backend}"), means, change);
    }
    let routes = many(count, "route");
    Told::Looked(format!("{routes} to providers: time, retries, exact {BACKEND_HEADER} and internal headers are right"))
}

fn time(place: &str, to: &ToProvider, findings: &mut Findings) {
    let timeout = to.route.timeout.unwrap_or(ROUTE_TIMEOUT);
    if !timeout.is_zero() {
        let default = if to.route.timeout.is_none() { ", its default" } else { "" };
        let means = format!("Envoy ends each call after {}{default}, also one that is streaming.", shown(timeout));
        let change = "route.timeout: 0s (VirtualService, HTTPRoute: timeout 0s)";
        if timeout < LONG {
            findings.error("route-timeout", place, means, change);
        } else {
            findings.warning("route-timeout", place, means, change);
        }
    }
    if let Some(idle_timeout) = to.route.idle_timeout {
        idle(place, idle_timeout, findings);
    }
    longest(place, to.route.longest, findings);
}

fn idle(place: &str, timeout: Duration, findings: &mut Findings) {
    if !timeout.is_zero() && timeout < LONG {
        let means = format!(
            "A call that is silent for {} ends with 504: one that Weir holds, or whose provider thinks, is silent.",
            shown(timeout)
        );
        findings.warning("idle-timeout", place, means, "stream_idle_timeout: 900s");
    }
}

fn longest(place: &str, limit: Option<Duration>, findings: &mut Findings) {
    if let Some(limit) = limit.filter(|limit| !limit.is_zero() && *limit < LONG) {
        let means = format!("A call is cut after {}, also one that is streaming.", shown(limit));
        findings.warning("stream-duration", place, means, "max_stream_duration: 0s");
    }
}

fn retries(scene: &Scene, at: &Attached, place: &str, to: &ToProvider, findings: &mut Findings) {
    if !(to.route.has_retries || to.host.has_retries) {
        return;
    }
    let (limit, wanted) = (to.route.body_limit.or(to.host.body_limit), scene.evidence.wanted.max_request);
    let buffer = limit.or(at.listener.buffer).unwrap_or(1 << 20);
    if buffer < wanted {
        let means =
            format!("Bodies above {buffer} bytes are not tried again when a provider fails, and nothing says so.");
        let change = format!("request_body_buffer_limit: {wanted} on the route (Envoy 1.{})", BODY_LIMIT.since);
        findings.add(since(scene, BODY_LIMIT), "retry-buffer", place, means, change);
    }
}

fn chosen(place: &str, to: &ToProvider, findings: &mut Findings) {
    match (&to.route.backend, &to.route.action) {
        (Backend::Exactly(_), _) | (_, Action::Header(_)) => {}
        (Backend::Loosely, _) => {
            let means = format!(
                "The route takes more than one value of {BACKEND_HEADER}: a call may reach a provider with the key of another."
            );
            findings.error("backend-match", place, means, format!("match {BACKEND_HEADER} with `exact`"));
        }
        (Backend::Any, _) => findings.error(
            "catch-all",
            place,
            "A request reaches the provider without Weir's choice: one that Weir never saw, or refused while it was \
             still arriving, leaves as the client wrote it.",
            format!("match {BACKEND_HEADER} exactly, and end the virtual host with direct_response: {{status: 503}}"),
        ),
    }
}

/// What a client must not say to Envoy in Weir's name.
fn early(at: &Attached, findings: &mut Findings) {
    let missing = missing(&[&at.manager.early_removes]);
    if missing.is_empty() {
        return;
    }
    let late = |manager: &Manager| {
        manager.filters.iter().any(|filter| filter.removes.iter().any(|name| name == BACKEND_HEADER))
    };
    let means = match (missing.contains(&BACKEND_HEADER), late(at.manager)) {
        (true, true) => {
            "A client can choose the backend: a filter removes the header after the route has been chosen.".to_owned()
        }
        (true, false) => format!("A client can choose the backend with {BACKEND_HEADER}."),
        (false, _) => "A client can speak to Envoy in Weir's name.".to_owned(),
    };
    let change = format!("early_header_mutation_extensions: remove {}", missing.join(", "));
    if missing.contains(&BACKEND_HEADER) {
        findings.error("early-headers", &at.place(), means, change);
    } else {
        findings.warning("early-headers", &at.place(), means, change);
    }
}

/// What a provider must not see.
fn leaving(place: &str, to: &ToProvider, findings: &mut Findings) {
    let missing = missing(&[&to.route.removes, &to.host.removes, &to.table.removes]);
    if !missing.is_empty() {
        let means = "Headers between Weir and Envoy leave for the provider.";
        let change = format!("request_headers_to_remove: {} on the route or its virtual host", missing.join(", "));
        findings.warning("leaving-headers", place, means, change);
    }
}

fn missing(lists: &[&Vec<String>]) -> Vec<&'static str> {
    let is_removed = |header: &str| lists.iter().any(|list| list.iter().any(|name| name == header));
    INTERNAL_HEADERS.iter().copied().filter(|header| !is_removed(header)).collect()
}

fn unread(at: &Attached, findings: &mut Findings) {
    let Some(table) = at.table else {
        let means = "The routes of this listener are not in the dump, so nothing is known of them.";
        return findings.warning("routes-unknown", &at.place(), means, "take a whole dump, with its RoutesConfigDump");
    };
    for host in table.hosts.iter().filter(|host| host.has_matcher) {
        let place = format!("{}, virtual host {}", at.place(), host.name);
        let means = "Its routes are chosen by a matcher, which is not looked into.";
        findings.note("routes-unknown", &place, means, "compare with what `weir render` writes");
    }
}
