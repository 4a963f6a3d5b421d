//! The EnvoyFilter: what Istio's own resources cannot say. Pure.
//!
//! Patches name what the control plane generates. A `MERGE` adds to lists and to messages, and replaces an entry of a
//! map of typed options whole. So no patch here touches the `HttpProtocolOptions` of a provider's cluster: all that
//! such a cluster needs is in its DestinationRule. (`failover` has clusters of its own, and repeats all of it.)

use std::path::Path;

use serde_json::{Value, json};

use super::site::{PORT, Site, hosts};
use super::{Form, Plan};
use crate::render::envoy::{
    self, BodyMode, INTERNAL_HEADERS, ORDER_HEADERS, TYPE_CONNECTION_MANAGER, TYPE_EARLY_MUTATION,
};
use crate::render::filter::{self, Asking};
use crate::render::{local, retry};

pub(super) const WHAT: &str = "\
The filter that asks Weir, switched off, and switched on at Weir's hosts alone: other calls of these pods never\n\
reach it. Besides: what clients must not say is removed before a route is chosen, Envoy's own answers become JSON\n\
errors at Weir's hosts, and each call there is logged with what Weir decided.";

/// The filter that asks Weir.
const ASK: &str = "weir.ext_proc";
/// The filter that takes orders for the router from clients.
const ORDERS: &str = "weir.no_orders";

/// The proxy's own output.
const ACCESS_LOG: &str = "/dev/stdout";

const MANAGER: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";

/// All patches, in the order in which they are applied.
pub(super) fn filter(plan: &Plan, sites: &[Site]) -> Value {
    let hosts = hosts(plan, sites);
    let envoy_version = plan.version.envoy();
    let asking = Asking {
        body_mode: plan.version.body_mode(),
        max_request: plan.max_request,
        max_wait: plan.max_wait,
        envoy_version: &envoy_version,
        orders: "",
    };
    let mut patches = vec![
        patch("CLUSTER", plan.at(json!({})), "ADD", envoy::extproc_cluster(plan.extproc, envoy::EXTPROC_CLUSTER)),
        patch("NETWORK_FILTER", plan.listener(json!({"name": MANAGER})), "MERGE", manager(plan, asking, &hosts)),
        before_router(plan, orders()),
        before_router(plan, ask(plan, asking)),
    ];
    if asking.body_mode != BodyMode::FullDuplex {
        let limit = json!({"per_connection_buffer_limit_bytes": filter::buffer_limit(asking)});
        patches.push(patch("LISTENER", plan.at(plan.port()), "MERGE", limit));
    }
    patches.extend(hosts.iter().map(|host| switch_on(plan, host, &json!({}))));
    for backend in sites.iter().flat_map(|site| &site.backends) {
        let vhost = json!({"route": {"name": Site::route_name(backend)}});
        patches.push(patch("HTTP_ROUTE", plan.routes(vhost), "MERGE", route(plan)));
    }
    let (key, value) = plan.selector;
    let spec = json!({"workloadSelector": {"labels": {key: value}}, "configPatches": patches});
    plan.resource("v1alpha3", "EnvoyFilter", "weir", spec)
}

/// One patch.
pub(super) fn patch(apply_to: &str, matching: Value, operation: &str, value: Value) -> Value {
    json!({"applyTo": apply_to, "match": matching, "patch": {"operation": operation, "value": value}})
}

fn before_router(plan: &Plan, filter: Value) -> Value {
    let place = json!({"name": MANAGER, "subFilter": {"name": ROUTER}});
    patch("HTTP_FILTER", plan.listener(place), "INSERT_BEFORE", filter)
}

fn ask(plan: &Plan, asking: Asking) -> Value {
    json!({
        "name": ASK,
        "disabled": true,
        "typed_config": plan.version.only_known(filter::ext_proc(asking)),
    })
}

/// The router takes such orders when it runs, and Weir gives its own directly before. Elsewhere applications may
/// give them, as the mesh lets them.
fn orders() -> Value {
    let removed: Vec<Value> = ORDER_HEADERS.iter().map(|name| json!({"remove": name})).collect();
    json!({
        "name": ORDERS,
        "disabled": true,
        "typed_config": {"@type": TYPE_MUTATION, "mutations": {"request_mutations": removed}},
    })
}

/// Weir's filters at a host, with what the one that asks says there besides what it says everywhere.
pub(super) fn switch_on(plan: &Plan, host: &str, overrides: &Value) -> Value {
    let vhost = if plan.version.matches_domains() {
        json!({"domainName": host})
    } else {
        let port = match plan.form {
            Form::Sidecar => PORT,
            Form::EgressGateway => 443,
        };
        json!({"name": format!("{host}:{port}")})
    };
    let on = json!({"typed_per_filter_config": {
        ORDERS: {"@type": TYPE_MUTATION_HERE, "mutations": {}},
        ASK: {"@type": TYPE_ASK_HERE, "overrides": overrides},
    }});
    patch("VIRTUAL_HOST", plan.routes(vhost), "MERGE", on)
}

/// What Weir's routes need besides what a VirtualService says.
pub(super) fn route(plan: &Plan) -> Value {
    plan.version.only_known(json!({
        // A CONNECT is no request to a provider.
        "match": {"headers": [{"name": ":method", "string_match": {"exact": "CONNECT"}, "invert_match": true}]},
        // Istio's listener has no limit of its own for idle streams, and other calls keep it so.
        "route": {"retry_policy": retry::policy(), "idle_timeout": "900s"},
        // Bodies above Envoy's default of 1 MiB would not be retried, and nothing would say so.
        "request_body_buffer_limit": plan.max_request,
    }))
}

fn manager(plan: &Plan, asking: Asking, hosts: &[&str]) -> Value {
    let scope = scope(hosts);
    let stripped: Vec<Value> = INTERNAL_HEADERS.iter().map(|name| json!({"remove": name})).collect();
    let mut log = envoy::log(Path::new(ACCESS_LOG));
    log["typed_config"] = plan.version.only_known(log["typed_config"].take());
    log["filter"] = scope.clone();
    let mut config = json!({
        "@type": TYPE_CONNECTION_MANAGER,
        // The route is chosen before the first HTTP filter runs, so a filter would strip too late.
        "early_header_mutation_extensions": [{
            "name": "weir.strip_internal_headers",
            "typed_config": {"@type": TYPE_EARLY_MUTATION, "mutations": stripped},
        }],
        "local_reply_config": local::config(Some(&scope)),
        "access_log": [log],
    });
    if asking.body_mode != BodyMode::FullDuplex {
        config["http2_protocol_options"] = filter::downstream_http2(asking, json!({}));
    }
    json!({"name": MANAGER, "typed_config": config})
}

/// True of calls to these hosts. A call keeps being one when Weir has set its host to the provider's.
fn scope(hosts: &[&str]) -> Value {
    let names: Vec<String> = hosts.iter().map(|host| quoted(host)).collect();
    let regex = format!("(?i)({})\\.?(:[0-9]+)?", names.join("|"));
    json!({"header_filter": {"header": {"name": ":authority", "string_match": {"safe_regex": {"regex": regex}}}}})
}

/// Hosts hold letters, digits, `-`, `.` and `:`; an IPv6 address stands in brackets.
fn quoted(host: &str) -> String {
    let host = host.replace('.', "\\.");
    if host.contains(':') { format!("\\[{host}\\]") } else { host }
}

// === impl Plan ===

impl Plan<'_> {
    /// The match of a patch: Weir's side of the proxy, and of it this listener.
    pub(super) fn at(&self, listener: Value) -> Value {
        let context = match self.form {
            Form::Sidecar => "SIDECAR_OUTBOUND",
            Form::EgressGateway => "GATEWAY",
        };
        let mut place = json!({"context": context});
        if listener.as_object().is_some_and(|fields| !fields.is_empty()) {
            place["listener"] = listener;
        }
        place
    }

    /// The listener that applications call. All listeners of a gateway are Weir's.
    fn port(&self) -> Value {
        match self.form {
            Form::Sidecar => json!({"portNumber": PORT}),
            Form::EgressGateway => json!({}),
        }
    }

    fn listener(&self, filter: Value) -> Value {
        let mut listener = self.port();
        listener["filterChain"] = json!({"filter": filter});
        self.at(listener)
    }

    /// The match of a patch: this virtual host of the table that applications call.
    pub(super) fn routes(&self, vhost: Value) -> Value {
        let mut place = self.at(json!({}));
        place["routeConfiguration"] = match self.form {
            Form::Sidecar => json!({"name": PORT.to_string(), "vhost": vhost}),
            Form::EgressGateway => json!({"vhost": vhost}),
        };
        place
    }
}

const TYPE_MUTATION: &str = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
const TYPE_MUTATION_HERE: &str =
    "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute";
const TYPE_ASK_HERE: &str = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
