//! The configuration that a control plane generates for one proxy from ServiceEntry, DestinationRule, VirtualService
//! and Gateway, as far as ours need it: names, tables, clusters. What a test puts in its place is what is outside: the
//! listener's address, where hosts are, and the authority that the system trusts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Proxy, list, of_kind, text};

/// What stands around the proxy.
pub struct Site {
    /// Where the port of each host is: what DNS and the network would say.
    pub places: BTreeMap<(String, u64), SocketAddr>,
    /// What the proxy trusts where a rule names no authority.
    pub system_ca: PathBuf,
    /// A host of the mesh that has nothing to do with LLM calls, and where it is.
    pub bystander: (String, SocketAddr),
    /// Where a call goes whose host is in no table: to the address that was called.
    pub passthrough: SocketAddr,
    /// TLS towards clients, as a gateway with the mesh's certificates has it.
    pub downstream: Option<Value>,
    /// Where a Service is that a rule wants mutual TLS for, and what the workload shows there.
    pub mutual: Option<(SocketAddr, Value)>,
}

const MANAGER: &str = "envoy.filters.network.http_connection_manager";

/// The bootstrap of the proxy, before patches.
pub fn base(resources: &[Value], proxy: Proxy, site: &Site) -> Value {
    let (listener, table) = match proxy {
        Proxy::Sidecar => ("0.0.0.0_80", "80".to_owned()),
        Proxy::Gateway => ("0.0.0.0_443", "https.443.https.weir-egress.weir-system".to_owned()),
    };
    let mut clusters = vec![
        cluster("PassthroughCluster", site.passthrough, json!({})),
        cluster(&outbound(80, &site.bystander.0), site.bystander.1, json!({})),
    ];
    clusters.extend(of_kind(resources, "ServiceEntry").into_iter().flat_map(|entry| of_entry(entry, resources, site)));
    clusters.extend(of_kind(resources, "DestinationRule").into_iter().filter_map(|rule| of_service(rule, site)));
    let mut chain = json!({"filters": [{"name": MANAGER, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": listener,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "normalize_path": true,
        // As older proxies have it, and meshes that name their networks: a call from there may give orders.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
        "http_filters": [
            {"name": "envoy.filters.http.cors", "typed_config":
                {"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}},
            {"name": "envoy.filters.http.router", "typed_config":
                {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
        ],
        "route_config": {
            "name": table,
            "ignore_port_in_host_matching": true,
            "virtual_hosts": virtual_hosts(resources, proxy, site),
        },
    }}]});
    if let Some(downstream) = &site.downstream {
        chain["transport_socket"] = downstream.clone();
    }
    json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "clusters": clusters,
            "listeners": [{
                "name": listener,
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [chain],
            }],
        },
    })
}

fn outbound(port: u64, host: &str) -> String {
    of_subset(port, "", host)
}

fn of_subset(port: u64, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

// === tables ===

/// A host has one virtual host: of its VirtualService, else of its own service.
fn virtual_hosts(resources: &[Value], proxy: Proxy, site: &Site) -> Vec<Value> {
    let mut vhosts: Vec<(String, Vec<Value>)> = Vec::new();
    let port = if proxy == Proxy::Sidecar { 80 } else { 443 };
    for service in of_kind(resources, "VirtualService") {
        let gateways = list(&service["spec"]["gateways"]);
        let is_mesh = gateways.is_empty() || gateways.contains(&json!("mesh"));
        if is_mesh == (proxy == Proxy::Sidecar) {
            let routes: Vec<Value> = list(&service["spec"]["http"]).iter().map(route).collect();
            let hosts = list(&service["spec"]["hosts"]).iter().map(text);
            vhosts.extend(hosts.map(|host| (host.to_owned(), routes.clone())));
        }
    }
    if proxy == Proxy::Sidecar {
        let entries = of_kind(resources, "ServiceEntry").into_iter().flat_map(|entry| list(&entry["spec"]["hosts"]));
        let hosts: Vec<String> = entries.map(|host| text(host).to_owned()).chain([site.bystander.0.clone()]).collect();
        for host in hosts {
            if !vhosts.iter().any(|(there, _)| *there == host) {
                let route =
                    json!({"name": "default", "match": {"prefix": "/"}, "route": {"cluster": outbound(80, &host)}});
                vhosts.push((host, vec![route]));
            }
        }
    }
    let mut vhosts: Vec<Value> = vhosts
        .iter()
        .map(|(host, routes)| {
            json!({"name": format!("{host}:{port}"), "domains": [host, format!("{host}.")], "routes": routes,
                "include_request_attempt_count": true})
        })
        .collect();
    if proxy == Proxy::Sidecar {
        vhosts.push(json!({"name": "allow_any", "domains": ["*"], "routes": [
            {"name": "allow_any", "match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster", "timeout": "0s"}},
        ]}));
    }
    vhosts
}

fn route(http: &Value) -> Value {
    let mut matching = json!({"prefix": "/", "case_sensitive": true});
    if let Some(headers) = http["match"][0]["headers"].as_object() {
        let headers = headers.iter().map(|(name, is)| json!({"name": name, "string_match": {"exact": is["exact"]}}));
        matching["headers"] = headers.collect();
    }
    let mut route = json!({"name": http["name"], "match": matching});
    if let Some(status) = http["directResponse"]["status"].as_u64() {
        route["direct_response"] = json!({"status": status});
        return route;
    }
    route["route"] = match list(&http["route"]) {
        [one] => json!({"cluster": destination(one)}),
        several => json!({"weighted_clusters": {"clusters": several
            .iter()
            .map(|one| json!({"name": destination(one), "weight": one["weight"]}))
            .collect::<Vec<_>>()}}),
    };
    if !http["timeout"].is_null() {
        route["route"]["timeout"] = http["timeout"].clone();
    }
    // What is not said is two attempts.
    if http["retries"]["attempts"] != 0 {
        let on = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
        route["route"]["retry_policy"] = json!({"retry_on": on, "num_retries": 2, "retriable_status_codes": [503], "host_selection_retry_max_attempts": "5"});
    }
    let removed = list(&http["headers"]["request"]["remove"]);
    if !removed.is_empty() {
        route["request_headers_to_remove"] = json!(removed);
    }
    route
}

/// The cluster of one destination.
fn destination(one: &Value) -> String {
    let destination = &one["destination"];
    let port = destination["port"]["number"].as_u64().expect("a port");
    of_subset(port, destination["subset"].as_str().unwrap_or_default(), text(&destination["host"]))
}

// === clusters ===

/// The cluster of the host, and that of each subset.
fn of_entry(entry: &Value, resources: &[Value], site: &Site) -> Vec<Value> {
    let spec = &entry["spec"];
    let (host, port) = (text(&spec["hosts"][0]), &spec["ports"][0]);
    if spec["resolution"] == "NONE" {
        return vec![cluster(&outbound(80, host), site.passthrough, json!({}))];
    }
    let place = spec["endpoints"][0]["address"].as_str().unwrap_or(host).to_owned();
    let target = port["targetPort"].as_u64().or(port["number"].as_u64()).expect("a port");
    let address = site.places.get(&(place, target)).unwrap_or_else(|| panic!("nobody is at {host}:{target}"));
    let rules = of_kind(resources, "DestinationRule");
    let number = port["number"].as_u64().expect("a port");
    let Some(rule) = rules.iter().find(|rule| rule["spec"]["host"] == host).map(|rule| &rule["spec"]) else {
        return vec![cluster(&outbound(number, host), *address, json!({}))];
    };
    let whole = cluster(&outbound(number, host), *address, by_rule(&rule["trafficPolicy"], site));
    let subsets = list(&rule["subsets"]).iter().map(|subset| {
        // Without labels on either side nobody is in it; a section that it has takes the place of the host's.
        let labels = subset["labels"].as_object().expect("labels");
        let there = &spec["endpoints"][0]["labels"];
        assert!(labels.iter().all(|(name, value)| there[name] == *value), "nobody is in {subset}");
        let mut policy = rule["trafficPolicy"].clone();
        policy
            .as_object_mut()
            .expect("a policy")
            .extend(subset["trafficPolicy"].as_object().cloned().unwrap_or_default());
        cluster(&of_subset(number, text(&subset["name"]), host), *address, by_rule(&policy, site))
    });
    std::iter::once(whole).chain(subsets).collect()
}

/// A Service that workloads show their certificates to.
fn of_service(rule: &Value, site: &Site) -> Option<Value> {
    let policy = &rule["spec"]["trafficPolicy"];
    let (address, shown) = site.mutual.as_ref().filter(|_| policy["tls"]["mode"] == "ISTIO_MUTUAL")?;
    let mut said = by_rule(policy, site);
    said["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": policy["tls"]["sni"],
        "common_tls_context": shown,
    }});
    Some(cluster(&outbound(443, text(&rule["spec"]["host"])), *address, said))
}

/// What a DestinationRule says of a cluster.
fn by_rule(policy: &Value, site: &Site) -> Value {
    let (tcp, http) = (&policy["connectionPool"]["tcp"], &policy["connectionPool"]["http"]);
    let mut said = json!({
        "connect_timeout": tcp["connectTimeout"],
        "circuit_breakers": {"thresholds": [{
            "max_connections": tcp["maxConnections"],
            "max_pending_requests": http["http1MaxPendingRequests"],
            "max_requests": http["http2MaxRequests"],
            "max_retries": http["maxRetries"],
        }]},
        "upstream_connection_options": {"tcp_keepalive": {
            "keepalive_probes": tcp["tcpKeepalive"]["probes"],
            "keepalive_time": seconds(&tcp["tcpKeepalive"]["time"]),
            "keepalive_interval": seconds(&tcp["tcpKeepalive"]["interval"]),
        }},
    });
    let outlier = &policy["outlierDetection"];
    if outlier.is_object() {
        // None at all is no ejection.
        let is_on = outlier["consecutive5xxErrors"] != 0;
        // Nobody is called where nobody is left.
        said["common_lb_config"] = json!({"healthy_panic_threshold": {"value": 0}});
        said["outlier_detection"] = json!({
            "consecutive_5xx": outlier["consecutive5xxErrors"],
            "enforcing_consecutive_5xx": if is_on { 100 } else { 0 },
            "interval": outlier["interval"],
            "base_ejection_time": outlier["baseEjectionTime"],
            "max_ejection_percent": outlier["maxEjectionPercent"],
            "enforcing_success_rate": 0,
        });
    }
    let tls = &policy["tls"];
    if tls["mode"] == "SIMPLE" {
        let ca = tls["caCertificates"].as_str().map_or_else(|| json!(site.system_ca), Into::into);
        let names: Vec<Value> = list(&tls["subjectAltNames"]).iter().map(|name| json!({"exact": name})).collect();
        said["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": tls["sni"].as_str().unwrap_or_default(),
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": ca},
                "match_subject_alt_names": names,
            }},
        }});
    }
    said
}

fn seconds(duration: &Value) -> Value {
    text(duration).trim_end_matches('s').parse::<u64>().expect("seconds").into()
}

fn cluster(name: &str, address: SocketAddr, said: Value) -> Value {
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
            {"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}}}}]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
        }},
    });
    if let Value::Object(said) = said {
        cluster.as_object_mut().expect("an object").extend(said);
    }
    cluster
}
