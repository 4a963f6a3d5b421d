//! Is Weir's filter there, on for the hosts of providers, and last before the router? Pure.

use std::collections::BTreeMap;

use super::{Findings, NO_DUMP, Scene, Told, many};
use crate::doctor::dump::HttpFilter;
use crate::doctor::scene::Attached;

/// Filters that only look or decide, and leave headers and bodies as Weir wrote them.
const HARMLESS: &[&str] = &[
    "rbac",
    "ratelimit",
    "local_ratelimit",
    "grpc_stats",
    "stats",
    "health_check",
    "alpn",
    "fault",
    "cors",
    "upstream_codec",
];

/// Routes that are named in one finding.
const NAMED: usize = 3;

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    if scene.evidence.dump.is_none() {
        return NO_DUMP;
    }
    for what in &scene.dump.unread {
        findings.warning(
            "dump-unreadable",
            what,
            "This piece of the dump could not be read, so nothing is known of what it holds.",
            "take the dump again: /config_dump?include_eds of Envoy's admin page",
        );
    }
    for listener in scene.dump.listeners.iter().filter(|listener| listener.is_refused) {
        findings.warning(
            "update-refused",
            &format!("listener {}", listener.name),
            "Envoy has refused the newest version of this listener; an older one, or none, is in force.",
            "look at error_state in the dump, or at Envoy's log, and mend what the control plane sent",
        );
    }
    let attached = scene.attached().count();
    if attached == 0 {
        findings.error(
            "no-filter",
            "every listener",
            "No connection manager has a filter that asks Weir, so no policy applies to anything.",
            "add what `weir render` writes: an ext_proc filter before envoy.filters.http.router whose \
             grpc_service.initial_metadata has x-weir-role (or name its cluster with --cluster)",
        );
    }
    for at in scene.attached() {
        order(at, findings);
    }
    let mut on = 0;
    for at in &scene.managers {
        on += routes(scene, at, findings);
    }
    Told::Looked(format!(
        "Weir's filter is the last before the router on {}, and on for {} to providers",
        many(attached, "listener"),
        many(on, "route")
    ))
}

fn order(at: &Attached, findings: &mut Findings) {
    let on: Vec<_> = at.weir.iter().filter(|(_, filter)| !filter.is_disabled).collect();
    if on.len() > 1 {
        findings.error(
            "filter-twice",
            &at.place(),
            "Two filters ask Weir about each request, so it is decided, counted and billed twice.",
            "keep one of them",
        );
    }
    let Some((last, _)) = at.weir.last() else { return };
    let behind = at.manager.filters.iter().skip(last + 1).take_while(|filter| !filter.is_router());
    let (harmless, others): (Vec<&HttpFilter>, Vec<&HttpFilter>) =
        behind.filter(|filter| !filter.is_disabled).partition(|filter| HARMLESS.contains(&word(filter)));
    let named =
        |filters: &[&HttpFilter]| filters.iter().map(|filter| filter.name.as_str()).collect::<Vec<_>>().join(", ");
    let change = "move Weir's filter directly before envoy.filters.http.router (EnvoyFilter: INSERT_BEFORE with \
                  subFilter envoy.filters.http.router)";
    if !others.is_empty() {
        let means = format!(
            "Between Weir and the router stands {}: it sees the provider's key, and what it changes no longer fits \
             the length and the body that Weir has written.",
            named(&others)
        );
        findings.error("filter-not-last", &at.place(), means, change);
    } else if !harmless.is_empty() {
        let means = format!(
            "Between Weir and the router stands {}: it sees the request as Weir has written it.",
            named(&harmless)
        );
        findings.note("filter-not-last", &at.place(), means, change);
    }
}

/// What a filter is, in a word of its type: `rbac` of `envoy.extensions.filters.http.rbac.v3.RBAC`. One that is
/// discovered has only a name.
fn word(filter: &HttpFilter) -> &str {
    let is_version = |part: &&str| part.starts_with('v') && part.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    let mut parts = filter.kind.rsplit('.').skip(1).skip_while(is_version);
    parts.next().unwrap_or_else(|| filter.name.rsplit('.').next().unwrap_or_default())
}

/// Routes to providers that Weir does not see; how many it does.
fn routes(scene: &Scene, at: &Attached, findings: &mut Findings) -> usize {
    let (seen, unseen): (Vec<_>, Vec<_>) = scene.to_providers(at).into_iter().partition(|to| to.weir.is_some());
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // A server of one's own has callers besides.
    for to in unseen.iter().filter(|to| !scene.is_own(to.route)) {
        hosts.entry(&to.host.name).or_default().push(&to.route.name);
    }
    for (host, routes) in hosts {
        let more = if routes.len() > NAMED { ", …" } else { "" };
        let routes = routes.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let why = match at.weir.first() {
            None => "this listener has no filter that asks Weir".to_owned(),
            Some((_, filter)) => format!("the filter {} is off here", filter.name),
        };
        let means = format!(
            "Routes lead to a provider ({routes}{more}) and {why}: calls pass unseen, with the key that the caller brings."
        );
        let change = match at.weir.first() {
            None => "attach Weir to this listener, or take the route away".to_owned(),
            Some((_, filter)) => format!(
                "typed_per_filter_config: {{{:?}: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute, \
                 overrides: {{}}}}}} on the virtual host",
                filter.name
            ),
        };
        findings.error("route-not-attached", &format!("{}, virtual host {host}", at.place()), means, change);
    }
    seen.len()
}
