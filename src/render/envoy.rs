//! A plan becomes the configuration of one plain Envoy, as JSON. Pure: no file is read or written.
//!
//! Only the listener, the admin endpoint and Weir's own cluster are static. Clusters and routes of
//! providers are files that Envoy watches, so that they can be replaced while it runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{attempt, filter, local, retry, tls};
pub use crate::exchange::BACKEND_HEADER;
pub use crate::exchange::phase::BodyMode;
use crate::target::{Chain, Upstream};

/// The Envoy that this configuration is written for and was tried on.
pub const ENVOY_VERSION: &str = "1.40.0";

/// Name of the cluster through which Envoy reaches Weir. No backend can have it: names hold no
/// underscore.
pub const EXTPROC_CLUSTER: &str = "weir_extproc";

/// Name of the route table and prefix of the listener's statistics (`http.weir.*`).
pub const ROUTES: &str = "weir";

/// Request headers by which Weir and the proxy talk to one another: taken from a client's request
/// before a route is chosen, and again from what leaves for a provider.
pub const INTERNAL_HEADERS: &[&str] =
    &[BACKEND_HEADER, "x-weir-length", "x-weir-request-id", "x-weir-role", "x-weir-route"];

/// Request headers for Weir that a client may send. Weir removes what it has read; the route
/// removes them once more.
pub(super) const CLIENT_HEADERS: &[&str] = &["x-weir-cache", "x-weir-cache-threshold", "x-weir-explain", "x-weir-tags"];

/// Request headers that Envoy adds or takes orders from. A provider has no use for them, and
/// `x-forwarded-proto: http` makes some answer with a redirect to where they are already.
pub(super) const PROXY_HEADERS: &[&str] = &[
    "x-envoy-attempt-count",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-forwarded-proto",
];

/// Orders to Envoy's router that a client could give: a retry of its own would be billed by the
/// provider and seen by nobody.
pub(super) const ORDER_HEADERS: &[&str] = &[
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
];

/// Everything that one Envoy needs to know.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// Where clients connect. Port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Envoy's own admin endpoint; whoever reaches it can stop Envoy. Port 0 lets the kernel choose.
    pub admin: SocketAddr,
    pub extproc: ExtProc<'a>,
    /// The directory that holds [`CLUSTERS_FILE`] and [`ROUTES_FILE`].
    pub files: &'a Path,
    /// Where to write a JSON line for each exchange, with Weir's metadata; none for no access log.
    pub access_log: Option<&'a Path>,
    /// The CA bundle for upstreams that have none of their own; see `files::system_ca`.
    pub system_ca: &'a Path,
    /// How Envoy sends bodies to Weir.
    pub body_mode: BodyMode,
    /// The longest request body that Weir holds, in bytes.
    pub max_request: u64,
    /// The longest that Weir itself lets a request wait.
    pub max_wait: Duration,
    pub upstreams: &'a [Upstream],
    /// The orders in which one call may visit several of them.
    pub chains: &'a [Chain],
    /// Weir itself keeps clusters and routes as its configuration wants them.
    pub follows: bool,
    /// How Envoy names itself.
    pub node_id: &'a str,
    /// The version of the Envoy that will run, which Weir is told in each stream's metadata.
    pub envoy_version: &'a str,
}

/// Where Envoy finds Weir.
#[derive(Clone, Copy, Debug)]
pub enum ExtProc<'a> {
    Unix(&'a Path),
    Tcp(SocketAddr),
    Tls(SocketAddr, tls::ToWeir<'a>),
}

/// File of [`bootstrap`] inside [`Plan::files`].
pub const BOOTSTRAP_FILE: &str = "envoy.json";
/// File of [`clusters`] inside [`Plan::files`].
pub const CLUSTERS_FILE: &str = "clusters.json";
/// File of [`routes`] inside [`Plan::files`].
pub const ROUTES_FILE: &str = "routes.json";

const MAX_ENVOY_CONNECTIONS: u32 = 100_000;

/// What Envoy is started with: `--config-path`.
pub fn bootstrap(plan: &Plan) -> Value {
    json!({
        "node": {"id": plan.node_id, "cluster": "weir"},
        "admin": {"address": socket(plan.admin)},
        "dynamic_resources": {"cds_config": watched(plan.files, CLUSTERS_FILE)},
        "static_resources": {"listeners": [listener(plan)], "clusters": [extproc_cluster(plan.extproc, EXTPROC_CLUSTER)]},
        // Without a limit Envoy warns at every start.
        "overload_manager": {"resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": TYPE_MAX_CONNECTIONS,
                "max_active_downstream_connections": MAX_ENVOY_CONNECTIONS,
            },
        }]},
    })
}

/// The clusters of all providers, as the file that Envoy's cluster discovery reads.
pub fn clusters(plan: &Plan) -> Value {
    let plain = plan.upstreams.iter().map(|upstream| provider_cluster(plan, upstream));
    discovery(TYPE_CLUSTER, plain.chain(attempt::clusters(plan)).collect())
}

/// The route table, as the file that Envoy's route discovery reads.
pub fn routes(plan: &Plan) -> Value {
    let removed: Vec<&str> = [INTERNAL_HEADERS, CLIENT_HEADERS, PROXY_HEADERS].concat();
    let plain = plan.upstreams.iter().map(|upstream| provider_route(plan, upstream));
    let mut routes: Vec<Value> = plain.chain(plan.chains.iter().map(|chain| attempt::route(plan, chain))).collect();
    // Without a backend a request must go nowhere: not even one that Weir never saw.
    routes.push(json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": 503},
    }));
    let table = json!({
        "name": ROUTES,
        "request_headers_to_remove": removed,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
    });
    discovery(TYPE_ROUTES, vec![table])
}

fn provider_route(plan: &Plan, upstream: &Upstream) -> Value {
    let mut route = exact_route(plan, &upstream.name);
    route["route"]["cluster"] = json!(&*upstream.name);
    route["route"]["retry_policy"] = retry::policy();
    route
}

/// A route for this value of the header that Weir alone may say; where it leads is not in it.
pub(super) fn exact_route(plan: &Plan, value: &str) -> Value {
    json!({
        "match": {
            "prefix": "/",
            "headers": [
                {"name": BACKEND_HEADER, "string_match": {"exact": value}},
                // A CONNECT is no request to a provider. (A WebSocket is none to Envoy, over HTTP/2 either.)
                {"name": ":method", "string_match": {"exact": "CONNECT"}, "invert_match": true},
            ],
        },
        // Neither a host rewrite nor a deadline: Weir sets `:authority`, and answers may take minutes.
        "route": {"timeout": "0s"},
        // Bodies above Envoy's default of 1 MiB would not be retried, and nothing would say so. What leaves may be a
        // little longer than what came.
        "request_body_buffer_limit": plan.max_request + (1 << 20),
    })
}

fn listener(plan: &Plan) -> Value {
    json!({
        "name": "weir",
        "address": socket(plan.listen),
        "per_connection_buffer_limit_bytes": filter::buffer_limit(plan.into()),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(plan),
        }]}],
    })
}

fn connection_manager(plan: &Plan) -> Value {
    let orders = attempt::said(plan);
    let asking = filter::Asking { orders: &orders, ..plan.into() };
    let stripped: Vec<Value> =
        [INTERNAL_HEADERS, ORDER_HEADERS].concat().iter().map(|name| json!({"remove": name})).collect();
    json!({
        "@type": TYPE_CONNECTION_MANAGER,
        "stat_prefix": ROUTES,
        "codec_type": "AUTO",
        "rds": {"route_config_name": ROUTES, "config_source": watched(plan.files, ROUTES_FILE)},
        "http_filters": [
            {"name": "envoy.filters.http.ext_proc", "typed_config": filter::ext_proc(asking)},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE_ROUTER}},
        ],
        // The route is chosen before the first HTTP filter runs, so a filter would strip too late.
        "early_header_mutation_extensions": [{
            "name": "strip-internal-headers",
            "typed_config": {"@type": TYPE_EARLY_MUTATION, "mutations": stripped},
        }],
        "http_protocol_options": {"enable_trailers": true},
        "http2_protocol_options": filter::downstream_http2(plan.into(), windows()),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        // A request that Weir holds counts as idle.
        "stream_idle_timeout": "900s",
        "server_header_transformation": "PASS_THROUGH",
        // The address that Weir is told is the peer's, never one that the client wrote.
        "use_remote_address": true,
        "skip_xff_append": true,
        "generate_request_id": false,
        "scheme_header_transformation": {"match_upstream": true},
        "local_reply_config": local::config(None),
        "access_log": access_log(plan.access_log),
    })
}

fn access_log(path: Option<&Path>) -> Value {
    path.map_or_else(|| json!([]), |path| json!([log(path)]))
}

/// A JSON line for each exchange, with what Weir decided.
pub(super) fn log(path: &Path) -> Value {
    json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": TYPE_FILE_LOG,
            "path": path,
            "log_format": {"json_format": log_format()},
        },
    })
}

/// A line of the access log: what became of a call, and what Weir decided.
pub(super) fn log_format() -> Value {
    json!({
        "start": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        // Without the query, which may hold a key.
        "path": "%PATH(NQ:PATH)%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "duration_ms": "%DURATION%",
        "request_bytes": "%BYTES_RECEIVED%",
        "response_bytes": "%BYTES_SENT%",
        "cluster": "%UPSTREAM_CLUSTER_RAW%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "weir": "%DYNAMIC_METADATA(weir)%",
    })
}

/// The cluster `name` for Weir.
pub(super) fn extproc_cluster(extproc: ExtProc, name: &str) -> Value {
    let address = match extproc {
        ExtProc::Unix(path) => json!({"pipe": {"path": path}}),
        ExtProc::Tcp(address) | ExtProc::Tls(address, _) => socket(address),
    };
    let mut http2 = windows();
    http2["connection_keepalive"] = keepalive();
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": endpoint(name, address),
        "circuit_breakers": breakers(),
        "typed_extension_protocol_options":
            protocol(json!({"explicit_http_config": {"http2_protocol_options": http2}})),
    });
    if let ExtProc::Tls(_, to_weir) = extproc {
        cluster["transport_socket"] = tls::to_weir(to_weir);
    }
    cluster
}

/// A stopped Weir then costs 7 seconds; there is no message timeout in this body mode.
pub(super) fn keepalive() -> Value {
    json!({"interval": "5s", "timeout": "2s", "interval_jitter": {"value": 0}})
}

pub(super) fn provider_cluster(plan: &Plan, upstream: &Upstream) -> Value {
    let ip: Option<IpAddr> = upstream.host.parse().ok();
    let address = json!({"socket_address": {"address": &upstream.host, "port_value": upstream.port}});
    let http1 = json!({"enable_trailers": true});
    let options = if upstream.https {
        let mut http2 = windows();
        // Longer than towards Weir: a provider is reached over networks that lose packets.
        http2["connection_keepalive"] = json!({"interval": "30s", "timeout": "15s"});
        json!({"auto_config": {"http_protocol_options": http1, "http2_protocol_options": http2}})
    } else {
        json!({"explicit_http_config": {"http_protocol_options": http1}})
    };
    let mut cluster = json!({
        "name": &*upstream.name,
        "type": if ip.is_some() { "STATIC" } else { "STRICT_DNS" },
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": 1_048_576,
        "load_assignment": endpoint(&upstream.name, address),
        "circuit_breakers": breakers(),
        "typed_extension_protocol_options": protocol(options),
    });
    if ip.is_none() {
        cluster["dns_lookup_family"] = json!("V4_PREFERRED");
        cluster["outlier_detection"] = outliers();
    }
    if upstream.https {
        cluster["transport_socket"] = tls::to_provider(plan, upstream);
    }
    cluster
}

fn socket(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

fn endpoint(cluster: &str, address: Value) -> Value {
    json!({"cluster_name": cluster, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]})
}

/// Of the addresses of a name, those that cannot be connected to are left out. What a provider answers says nothing of
/// the address that answered: a 429 is an account's, and a 5xx a model's as often as not.
fn outliers() -> Value {
    json!({
        "split_external_local_origin_errors": true,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "10s",
        "base_ejection_time": "30s",
        "max_ejection_percent": 50,
    })
}

/// Envoy's defaults (1,024 requests, 3 retries) refuse what one busy host needs.
fn breakers() -> Value {
    let most = 100_000;
    json!({"thresholds": [{
        "max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": most,
    }]})
}

fn windows() -> Value {
    json!({"initial_stream_window_size": 1_048_576, "initial_connection_window_size": 16_777_216})
}

fn protocol(mut options: Value) -> Value {
    options["@type"] = json!(TYPE_HTTP_OPTIONS);
    json!({HTTP_OPTIONS: options})
}

fn watched(directory: &Path, file: &str) -> Value {
    json!({"resource_api_version": "V3", "path_config_source": {"path": directory.join(file)}})
}

/// The version names the content, so that a reader of Envoy's dump sees which one is loaded.
fn discovery(type_url: &str, resources: Vec<Value>) -> Value {
    let resources: Vec<Value> = resources
        .into_iter()
        .map(|mut resource| {
            resource["@type"] = json!(type_url);
            resource
        })
        .collect();
    let mut hasher = DefaultHasher::new();
    json!(resources).to_string().hash(&mut hasher);
    json!({"version_info": format!("{:016x}", hasher.finish()), "type_url": type_url, "resources": resources})
}

/// Under which name a cluster has its HTTP options.
pub(super) const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

const TYPE_CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const TYPE_ROUTES: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
pub(super) const TYPE_CONNECTION_MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TYPE_ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
pub(super) const TYPE_EARLY_MUTATION: &str =
    "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";
const TYPE_FILE_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
pub(super) const TYPE_HTTP_OPTIONS: &str = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const TYPE_MAX_CONNECTIONS: &str =
    "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig";

#[cfg(test)]
mod tests;
