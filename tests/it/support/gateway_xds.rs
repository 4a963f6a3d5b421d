//! What Envoy Gateway would make of the resources that Weir renders, for one Envoy that needs no control plane:
//! its names, its defaults, the fields that these resources use. Where it would find endpoints by itself, the
//! caller says where each host is.

use serde_json::{Value, json};

use super::json_patch;

/// The resources of one proxy, before they are put into a bootstrap.
pub struct Xds {
    /// The listener, the route table, then clusters.
    resources: Vec<Value>,
}

/// How the names are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Gateway,
    Port,
}

const TYPES: &str = "type.googleapis.com/envoy.";
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The resources of this kind.
fn of<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources.iter().filter(|resource| resource["kind"] == kind).collect()
}

/// The one resource of this kind, and of this name if one is said.
fn the<'a>(resources: &'a [Value], kind: &str, name: Option<&str>) -> &'a Value {
    let found: Vec<&Value> = of(resources, kind)
        .into_iter()
        .filter(|found| name.is_none_or(|name| found["metadata"]["name"] == name))
        .collect();
    assert_eq!(found.len(), 1, "{kind} {name:?}");
    found[0]
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn full_name(resource: &Value) -> String {
    format!("{}/{}", text(&resource["metadata"]["namespace"]), text(&resource["metadata"]["name"]))
}

fn bytes(quantity: &Value) -> u64 {
    let quantity = text(quantity);
    let (number, unit) = match quantity.strip_suffix("Mi") {
        Some(number) => (number, 1 << 20),
        None => (quantity, 1),
    };
    number.parse::<u64>().unwrap_or_else(|_| panic!("{quantity}")) * unit
}

fn any(kind: &str, mut value: Value) -> Value {
    value["@type"] = json!(format!("{TYPES}{kind}"));
    value
}

// === impl Xds ===

impl Xds {
    /// Translates. `place` says where a host and port are.
    pub fn of(resources: &[Value], scheme: Scheme, place: impl Fn(&str, u64) -> (String, u16)) -> Xds {
        let gateway = the(resources, "Gateway", None);
        let entry = &gateway["spec"]["listeners"][0];
        let own = format!("{}/{}", full_name(gateway), text(&entry["name"]));
        let (name, table) = match scheme {
            Scheme::Gateway => (own.clone(), own),
            Scheme::Port => (format!("tcp-{}", entry["port"]), format!("http-{}", entry["port"])),
        };
        let mut all = vec![listener(resources, &name, &table), routes(resources, &table)];
        all.push(process_cluster(resources));
        let with_backends =
            of(resources, "HTTPRoute").into_iter().filter(|route| !route["spec"]["rules"][0]["backendRefs"].is_null());
        all.extend(with_backends.map(|route| provider_cluster(resources, route, &place)));
        Xds { resources: all }
    }

    /// Applies every EnvoyPatchPolicy.
    pub fn patched(mut self, resources: &[Value]) -> Xds {
        let names: Vec<(&str, String)> = self
            .resources
            .iter()
            .enumerate()
            .map(|(index, resource)| {
                let kind =
                    ["listener.v3.Listener", "route.v3.RouteConfiguration"].get(index).unwrap_or(&"cluster.v3.Cluster");
                (*kind, text(&resource["name"]).to_owned())
            })
            .collect();
        let index = |kind: &str, name: &str| {
            names.iter().position(|(of, own)| kind == format!("{TYPES}config.{of}") && own == name)
        };
        for policy in of(resources, "EnvoyPatchPolicy") {
            json_patch::apply(policy, index, &mut self.resources);
        }
        self
    }

    /// A bootstrap that holds it all.
    pub fn bootstrap(self) -> Value {
        let mut resources = self.resources.into_iter();
        let (mut listener, routes) = (resources.next().expect("a listener"), resources.next().expect("routes"));
        let manager = &mut listener["default_filter_chain"]["filters"][0]["typed_config"];
        assert_eq!(manager["rds"]["route_config_name"], routes["name"]);
        let manager = manager.as_object_mut().expect("a connection manager");
        manager.remove("rds");
        manager.insert("route_config".to_owned(), routes);
        json!({
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "static_resources": {"listeners": [listener], "clusters": resources.collect::<Vec<_>>()},
        })
    }
}

fn listener(resources: &[Value], name: &str, table: &str) -> Value {
    let client = &the(resources, "ClientTrafficPolicy", None)["spec"];
    let http2 = &client["http2"];
    let early = client["headers"]["earlyRequestHeaders"]["remove"].as_array().expect("headers");
    let early: Vec<Value> = early.iter().map(|name| json!({"remove": name})).collect();
    let escaped = match text(&client["path"]["escapedSlashesAction"]) {
        "KeepUnchanged" => "KEEP_UNCHANGED",
        other => panic!("{other}"),
    };
    let manager = json!({
        "stat_prefix": "http-10080",
        "rds": {"route_config_name": table, "config_source": {"ads": {}, "resource_api_version": "V3"}},
        "http_filters": [
            ext_proc(resources),
            {
                "name": "envoy.filters.http.router",
                "typed_config": any("extensions.filters.http.router.v3.Router", json!({"suppress_envoy_headers": true})),
            },
        ],
        "common_http_protocol_options": {"headers_with_underscores_action": "REJECT_REQUEST"},
        "http_protocol_options": {"enable_trailers": client["http1"]["enableTrailers"]},
        "http2_protocol_options": {
            "max_concurrent_streams": http2["maxConcurrentStreams"],
            "initial_stream_window_size": bytes(&http2["initialStreamWindowSize"]),
            "initial_connection_window_size": bytes(&http2["initialConnectionWindowSize"]),
        },
        "merge_slashes": client["path"]["disableMergeSlashes"] != true,
        "normalize_path": true,
        "path_with_escaped_slashes_action": escaped,
        "server_header_transformation": "PASS_THROUGH",
        "use_remote_address": true,
        "generate_request_id": client["headers"]["requestID"] != "Disable",
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config":
                any("extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", json!({"mutations": early})),
        }],
    });
    let kind = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "per_connection_buffer_limit_bytes": bytes(&client["connection"]["bufferLimit"]),
        "default_filter_chain": {"name": table, "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": any(kind, manager),
        }]},
    })
}

/// The name of the processor in both its cluster and its filter.
fn process_name(resources: &[Value]) -> String {
    format!("envoyextensionpolicy/{}/extproc/0", full_name(the(resources, "EnvoyExtensionPolicy", None)))
}

fn ext_proc(resources: &[Value]) -> Value {
    let processor = &the(resources, "EnvoyExtensionPolicy", None)["spec"]["extProc"][0];
    let mode = |side: &str| match text(&processor["processingMode"][side]["body"]) {
        "FullDuplexStreamed" => "FULL_DUPLEX_STREAMED",
        other => panic!("{other}"),
    };
    let backend = the(resources, "Backend", processor["backendRefs"][0]["name"].as_str());
    let mut config = json!({
        "grpc_service": {
            "envoy_grpc": {
                "cluster_name": process_name(resources),
                "authority": full_name(backend).replace('/', "."),
            },
            "timeout": "10s",
        },
        "failure_mode_allow": processor["failOpen"],
        "processing_mode": {
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            "request_body_mode": mode("request"),
            "response_body_mode": mode("response"),
            "request_trailer_mode": "SEND",
            "response_trailer_mode": "SEND",
        },
        "request_attributes": processor["processingMode"]["request"]["attributes"],
        "metadata_options": {
            "forwarding_namespaces": {"untyped": processor["metadata"]["accessibleNamespaces"]},
            "receiving_namespaces": {"untyped": processor["metadata"]["writableNamespaces"]},
        },
    });
    if let Some(status) = processor["statusOnError"].as_u64() {
        config["status_on_error"] = json!({"code": status});
    }
    json!({
        "name": format!("envoy.filters.http.ext_proc/{}", process_name(resources)),
        // Each route that the policy speaks for turns it on.
        "disabled": true,
        "typed_config": any("extensions.filters.http.ext_proc.v3.ExternalProcessor", config),
    })
}

fn routes(resources: &[Value], table: &str) -> Value {
    let mut routes: Vec<Value> = of(resources, "HTTPRoute").into_iter().map(|found| route(resources, found)).collect();
    // Gateway API: of two matches of one path the one with more headers goes first.
    routes.sort_by_key(|route| std::cmp::Reverse(route["match"]["headers"].as_array().map_or(0, Vec::len)));
    json!({
        "name": table,
        "ignore_port_in_host_matching": true,
        "virtual_hosts": [{"name": format!("{table}/*"), "domains": ["*"], "routes": routes}],
    })
}

fn route(resources: &[Value], resource: &Value) -> Value {
    let rule = &resource["spec"]["rules"][0];
    let name = format!("httproute/{}/rule/0", full_name(resource));
    let headers = rule["matches"][0]["headers"].as_array().cloned().unwrap_or_default();
    let headers: Vec<Value> = headers
        .iter()
        .map(|header| json!({"name": header["name"], "string_match": {"exact": header["value"]}}))
        .collect();
    let on = any("config.route.v3.FilterConfig", json!({"config": {}}));
    let mut route = json!({
        "name": format!("{name}/match/0/*"),
        "match": {"prefix": rule["matches"][0]["path"]["value"], "headers": headers},
        "typed_per_filter_config": {format!("envoy.filters.http.ext_proc/{}", process_name(resources)): on},
    });
    if !rule["backendRefs"].is_null() {
        let policy = &the(resources, "BackendTrafficPolicy", None)["spec"];
        route["route"] = json!({
            "cluster": name,
            "timeout": policy["timeout"]["http"]["requestTimeout"],
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "retry_policy": {
                "retry_on": policy["retry"]["retryOn"]["triggers"].as_array().expect("triggers").iter().map(text)
                    .collect::<Vec<_>>().join(","),
                "num_retries": policy["retry"]["numRetries"],
                "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
            },
        });
    }
    for filter in rule["filters"].as_array().expect("filters") {
        match text(&filter["type"]) {
            "RequestHeaderModifier" => {
                route["request_headers_to_remove"] = filter["requestHeaderModifier"]["remove"].clone();
            }
            "URLRewrite" => {
                route["route"]["host_rewrite_literal"] = filter["urlRewrite"]["hostname"].clone();
                route["route"]["append_x_forwarded_host"] = json!(true);
            }
            _ => {
                let answer = &the(resources, "HTTPRouteFilter", filter["extensionRef"]["name"].as_str())["spec"];
                let answer = &answer["directResponse"];
                route["direct_response"] =
                    json!({"status": answer["statusCode"], "body": {"inline_string": answer["body"]["inline"]}});
            }
        }
    }
    route
}

/// What Envoy Gateway says of every cluster that these settings are for.
fn cluster(name: &str, settings: &Value, http: Value, endpoint: Value) -> Value {
    let breaker = &settings["circuitBreaker"];
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({
        "name": name,
        "type": "STATIC",
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": settings["timeout"]["tcp"]["connectTimeout"],
        "per_connection_buffer_limit_bytes": bytes(&settings["connection"]["bufferLimit"]),
        "circuit_breakers": {"thresholds": [{
            "max_connections": breaker["maxConnections"],
            "max_pending_requests": breaker["maxPendingRequests"],
            "max_requests": breaker["maxParallelRequests"],
            "max_retries": breaker["maxParallelRetries"],
        }]},
        "ignore_health_on_host_removal": true,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {options: any(&options["envoy.".len()..], http)},
    })
}

fn http2(settings: &Value) -> Value {
    let mut options = json!({
        "initial_stream_window_size": bytes(&settings["http2"]["initialStreamWindowSize"]),
        "initial_connection_window_size": bytes(&settings["http2"]["initialConnectionWindowSize"]),
    });
    if let Some(keepalive) = settings["http2"]["connectionKeepalive"].as_object() {
        options["connection_keepalive"] = json!({"interval": keepalive["interval"], "timeout": keepalive["timeout"]});
    }
    options
}

fn process_cluster(resources: &[Value]) -> Value {
    let processor = &the(resources, "EnvoyExtensionPolicy", None)["spec"]["extProc"][0];
    let settings = &processor["backendSettings"];
    let backend = &the(resources, "Backend", processor["backendRefs"][0]["name"].as_str())["spec"];
    assert_eq!(backend["appProtocols"], json!(["gateway.envoyproxy.io/h2c"]));
    let endpoint = json!({"endpoint": {"address": {"pipe": {"path": backend["endpoints"][0]["unix"]["path"]}}}});
    let http = json!({"explicit_http_config": {"http2_protocol_options": http2(settings)}});
    cluster(&process_name(resources), settings, http, endpoint)
}

fn provider_cluster(resources: &[Value], route: &Value, place: impl Fn(&str, u64) -> (String, u16)) -> Value {
    let name = format!("httproute/{}/rule/0", full_name(route));
    let backend = the(resources, "Backend", route["spec"]["rules"][0]["backendRefs"][0]["name"].as_str());
    let settings = &the(resources, "BackendTrafficPolicy", None)["spec"];
    let endpoint = &backend["spec"]["endpoints"][0];
    let (host, port) = match endpoint["fqdn"].as_object() {
        Some(name) => (text(&name["hostname"]), &name["port"]),
        None => (text(&endpoint["ip"]["address"]), &endpoint["ip"]["port"]),
    };
    let (address, port) = place(host, port.as_u64().expect("a port"));
    let mut endpoint = json!({"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}});
    let passive = &settings["healthCheck"]["passive"];
    let tls = of(resources, "BackendTLSPolicy")
        .into_iter()
        .find(|policy| policy["spec"]["targetRefs"][0]["name"] == backend["metadata"]["name"]);
    let http = match tls {
        Some(_) => json!({"auto_config": {"http2_protocol_options": http2(settings)}}),
        None => json!({"explicit_http_config": {"http_protocol_options": {}}}),
    };
    if tls.is_some() {
        endpoint["metadata"] =
            json!({"filter_metadata": {"envoy.transport_socket_match": {"name": format!("{name}/tls/0")}}});
    }
    let mut cluster = cluster(&name, settings, http, endpoint);
    cluster["outlier_detection"] = json!({
        "split_external_local_origin_errors": passive["splitExternalLocalOriginErrors"],
        "consecutive_local_origin_failure": passive["consecutiveLocalOriginFailures"],
        "consecutive_5xx": passive["consecutive5XxErrors"],
        "interval": passive["interval"],
        "base_ejection_time": passive["baseEjectionTime"],
        "max_ejection_percent": passive["maxEjectionPercent"],
    });
    if let Some(policy) = tls {
        let socket = tls_socket(resources, policy);
        // Envoy wants a socket for ALPN; the match of the endpoint decides.
        cluster["transport_socket"] = socket.clone();
        let matched = json!({"name": format!("{name}/tls/0")});
        cluster["transport_socket_matches"] =
            json!([{"name": matched["name"], "match": matched, "transport_socket": socket}]);
    }
    cluster
}

fn tls_socket(resources: &[Value], policy: &Value) -> Value {
    let validation = &policy["spec"]["validation"];
    let ca = match validation["caCertificateRefs"][0]["name"].as_str() {
        Some(name) => json!({"inline_string": the(resources, "ConfigMap", Some(name))["data"]["ca.crt"]}),
        None => json!({"filename": SYSTEM_CA}),
    };
    let host = &validation["hostname"];
    let context = json!({
        "sni": host,
        "common_tls_context": {"validation_context": {
            "trusted_ca": ca,
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
        }},
    });
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": any("extensions.transport_sockets.tls.v3.UpstreamTlsContext", context),
    })
}
