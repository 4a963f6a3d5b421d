//! One call at several backends in turn, in Envoy's words: a route for each order, and clusters whose own filter asks
//! Weir what each attempt sends. Pure.
//!
//! Each attempt's cluster is chosen by its number (`priority_group` with `refresh_cluster_on_retry`, Envoy 1.40). The
//! clusters are others than those of the plain routes, so that a call that has one place to go is not asked about
//! twice. Envoy 1.40 ends with a segmentation fault when the side stream of a filter in a provider's cluster passes the
//! watermark of the connection it shares: so it has a connection of its own (this cluster for Weir, to a socket that Weir
//! serves for as long as it has calls), and sends the request's head alone; with the response's head it ends too, so how an attempt ended is written into dynamic metadata
//! by a few lines of Lua, where the filter of the next attempt finds it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::envoy::{ExtProc, HTTP_OPTIONS, Plan, exact_route, extproc_cluster, provider_cluster};
use super::{filter, retry};
use crate::target::{Chain, Upstream, fingerprint};

/// Name of the cluster through which attempts reach Weir.
pub const CLUSTER: &str = "weir_attempt";

/// What stands behind the stem of the ext_proc socket's name in that of the socket for attempts.
const SOCKET: &str = "-attempt";

/// The socket at which Weir hears attempts, where it hears calls at `ext_proc`: `extproc-attempt.sock` beside
/// `extproc.sock`. It is another one because it lives longer: a process that is told to end takes no call any more, and
/// hears the attempts of its calls until the last one has ended.
pub fn socket(ext_proc: &Path) -> PathBuf {
    let mut name = OsString::from(ext_proc.file_stem().unwrap_or_default());
    name.push(SOCKET);
    if let Some(extension) = ext_proc.extension() {
        name.push(".");
        name.push(extension);
    }
    ext_proc.with_file_name(name)
}

/// The header that keeps the length of a body that was replaced; see `extproc`.
pub const LENGTH_HEADER: &str = "x-weir-length";

/// The namespace of dynamic metadata in which the attempt before says how it ended: `backend`, `status`, `retry-after`,
/// `retry-after-ms`, each a text and empty where there is none.
pub const ENDED: &str = "weir.attempt";

/// Initial metadata of the route's filter, by which Weir knows for which orders of backends the proxy has routes.
/// Without it a call is never sent to several backends.
pub const FAILOVER: &str = "x-weir-failover";

/// The proxy has those of whatever configuration is in force.
const FOLLOWS: &str = "PerAttempt";

/// What the filter says of this plan's orders: that they follow the configuration, or which ones they are.
pub(super) fn said(plan: &Plan) -> String {
    match (is_supported(plan), plan.follows) {
        (false, _) => String::new(),
        (true, true) => FOLLOWS.to_owned(),
        (true, false) => said_of(plan.chains),
    }
}

/// What the filter says where the proxy has routes for these orders and no others.
pub(super) fn said_of(chains: &[Chain]) -> String {
    format!("{FOLLOWS}/{}", fingerprint(chains))
}

/// Whether a proxy that says this has a route for each order of a policy.
pub fn has_routes(said: &str, orders: &str) -> bool {
    said == FOLLOWS || said.strip_prefix(FOLLOWS).and_then(|rest| rest.strip_prefix('/')) == Some(orders)
}

/// The clusters that attempts need, by name.
pub fn cluster_names<'c>(chains: &'c [Chain], envoy_version: &str) -> Vec<String> {
    if chains.is_empty() || !can_choose(envoy_version) {
        return Vec::new();
    }
    let mut names: Vec<&'c str> = chains.iter().flat_map(|chain| &chain.backends).map(|name| &**name).collect();
    names.sort_unstable();
    names.dedup();
    std::iter::once(CLUSTER.to_owned()).chain(names.into_iter().map(name)).collect()
}

/// What stands before a backend's name in the name of its cluster for attempts. No backend has an underscore.
const PREFIX: &str = "weir_attempt/";

/// The first Envoy that chooses a cluster for each attempt.
const SINCE: (u32, u32) = (1, 40);

/// How an attempt ended, for the filter of the next one. It is emptied when an attempt begins: one that gets no answer
/// leaves it so. No name of a backend holds a quote.
fn lua(backend: &str) -> String {
    format!(
        "\
local names = {{[':status'] = 'status', ['retry-after'] = 'retry-after', ['retry-after-ms'] = 'retry-after-ms'}}
function envoy_on_request(handle)
  local told = handle:streamInfo():dynamicMetadata()
  told:set('{ENDED}', 'backend', '')
  for _, key in pairs(names) do told:set('{ENDED}', key, '') end
end
function envoy_on_response(handle)
  local told = handle:streamInfo():dynamicMetadata()
  told:set('{ENDED}', 'backend', '{backend}')
  for name, key in pairs(names) do told:set('{ENDED}', key, handle:headers():get(name) or '') end
end
"
    )
}

/// True where this Envoy can choose a cluster for each attempt, and Weir hears what it sends. A Weir that is reached by
/// TCP is no process of this machine: others may be behind the same address, and one that ends has no second door.
fn is_supported(plan: &Plan) -> bool {
    can_choose(plan.envoy_version) && matches!(plan.extproc, ExtProc::Unix(_))
}

fn can_choose(envoy_version: &str) -> bool {
    let mut parts = envoy_version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= SINCE
}

/// The cluster for Weir, and those of the backends that an attempt may go to; none where there is no order.
pub(super) fn clusters<'p>(plan: &'p Plan<'p>) -> impl Iterator<Item = Value> + 'p {
    let is_needed = is_supported(plan) && !plan.chains.is_empty();
    let own = is_needed.then(|| own_cluster(plan.extproc)).flatten();
    let is_visited = |upstream: &&Upstream| plan.chains.iter().any(|chain| chain.backends.contains(&upstream.name));
    let providers = plan.upstreams.iter().filter(move |upstream| is_needed && is_visited(upstream)).map(|upstream| {
        let mut cluster = provider_cluster(plan, upstream);
        let name = name(&upstream.name);
        cluster["load_assignment"]["cluster_name"] = json!(name);
        cluster["name"] = json!(name);
        let filters = filters(plan.envoy_version, plan.max_wait, &upstream.name);
        cluster["typed_extension_protocol_options"][HTTP_OPTIONS]["http_filters"] = filters;
        cluster
    });
    own.into_iter().chain(providers)
}

/// The cluster through which attempts reach a Weir that is reached so; none where it does not hear them.
pub(super) fn own_cluster(extproc: ExtProc) -> Option<Value> {
    match extproc {
        ExtProc::Unix(path) => Some(extproc_cluster(ExtProc::Unix(&socket(path)), CLUSTER)),
        ExtProc::Tcp(_) | ExtProc::Tls(..) => None,
    }
}

/// The route of one order. An Envoy that cannot choose anew tries the first backend again.
pub(super) fn route(plan: &Plan, chain: &Chain) -> Value {
    let mut route = exact_route(plan, &chain.header);
    let mut policy = retry::policy();
    match (is_supported(plan), chain.backends.first()) {
        (true, _) => {
            policy = anew();
            let group = |(at, backend): (usize, &std::sync::Arc<str>)| json!({"name": at.to_string(), "clusters": [{"cluster_name": name(backend), "weight": 1}]});
            let groups: Vec<Value> = chain.backends.iter().enumerate().map(group).collect();
            route["route"]["inline_cluster_specifier_plugin"] = json!({"extension": {
                "name": "envoy.router.cluster_specifier_plugin.priority_group",
                "typed_config": {"@type": TYPE_PRIORITY_GROUP, "priority_groups": groups},
            }});
        }
        (false, Some(first)) => route["route"]["cluster"] = json!(&**first),
        (false, None) => {}
    }
    route["route"]["retry_policy"] = policy;
    route
}

/// The `retry_policy` of an order's route: each attempt chooses its cluster anew.
pub(super) fn anew() -> Value {
    let mut policy = retry::policy();
    policy["refresh_cluster_on_retry"] = json!(true);
    // Another backend need not wait for what this one says.
    policy.as_object_mut().map(|fields| fields.shift_remove("rate_limited_retry_back_off"));
    policy
}

fn name(backend: &str) -> String {
    format!("{PREFIX}{backend}")
}

/// The filters of a cluster that attempts at this backend go through, the last of them Envoy's own. Nothing but such
/// attempts may go through it.
pub(super) fn filters(envoy_version: &str, max_wait: Duration, backend: &str) -> Value {
    json!([
        {"name": "envoy.filters.http.ext_proc", "typed_config": {
            "@type": filter::TYPE_EXT_PROC,
            "grpc_service": {
                "envoy_grpc": {"cluster_name": CLUSTER, "authority": "weir", "skip_envoy_headers": true},
                "initial_metadata": [
                    {"key": "x-weir-envoy-version", "value": envoy_version},
                    {"key": "x-weir-role", "value": "attempt"},
                    {"key": "x-weir-backend", "value": backend},
                ],
            },
            "processing_mode": {
                "request_header_mode": "SEND",
                "response_header_mode": "SKIP",
                "request_body_mode": "NONE",
                "response_body_mode": "NONE",
                "request_trailer_mode": "SKIP",
                "response_trailer_mode": "SKIP",
            },
            "mutation_rules": {"allow_all_routing": true},
            "metadata_options": {
                "forwarding_namespaces": {"untyped": ["weir", ENDED]},
                "receiving_namespaces": {"untyped": ["weir"]},
            },
            // Weir answers at once; a connection that is gone is found out by the cluster's keepalive.
            "message_timeout": filter::wait(max_wait),
            "status_on_error": {"code": "ServiceUnavailable"},
        }},
        {"name": "envoy.filters.http.lua", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": lua(backend)},
        }},
        // Envoy drops the length of a body that is replaced, and would send chunks.
        {"name": "envoy.filters.http.header_mutation", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [
                {"append": {
                    "header": {"key": "content-length", "value": format!("%REQ({LENGTH_HEADER})%")},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "keep_empty_value": false,
                }},
                {"remove": LENGTH_HEADER},
                // Where a mesh has attempts counted in it, no route removes it after the first.
                {"remove": "x-envoy-attempt-count"},
            ]},
        }},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        }},
    ])
}

const TYPE_PRIORITY_GROUP: &str = "type.googleapis.com/\
    envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier";
