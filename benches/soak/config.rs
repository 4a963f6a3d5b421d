//! [io] What is added to a rendered configuration for attempts: a cluster to the processor, a filter on each
//! provider's cluster, and a route that chooses anew for each attempt.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::attempts::{LENGTH, NEXT};

const CLUSTER: &str = "weir_attempt";
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub fn edit(path: &Path, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    let mut value = serde_json::from_slice(&std::fs::read(path)?)?;
    change(&mut value);
    std::fs::write(path, serde_json::to_vec(&value)?)
}

/// The cluster through which attempts are told: that of the route filter under another name.
pub fn add_attempts(bootstrap: &mut Value) {
    let Some(clusters) = bootstrap["static_resources"]["clusters"].as_array_mut() else { return };
    let mut own = clusters[0].clone();
    own["name"] = json!(CLUSTER);
    own["load_assignment"]["cluster_name"] = json!(CLUSTER);
    clusters.push(own);
}

/// The filter of a provider's cluster: heads alone, through the cluster of its own.
pub fn tell_attempts(clusters: &mut Value, shared: bool) {
    let Some(all) = clusters["resources"].as_array_mut() else { return };
    let cluster = if shared { weir::render::envoy::EXTPROC_CLUSTER } else { CLUSTER };
    for one in all {
        one["typed_extension_protocol_options"][OPTIONS]["http_filters"] = json!([
            {"name": "envoy.filters.http.ext_proc", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
                "grpc_service": {
                    "envoy_grpc": {"cluster_name": cluster, "authority": "weir", "skip_envoy_headers": true},
                    "initial_metadata": [{"key": "x-weir-role", "value": "attempt"}],
                },
                "processing_mode": {
                    "request_header_mode": "SEND",
                    "response_header_mode": "SKIP",
                    "request_body_mode": "NONE",
                    "response_body_mode": "NONE",
                    "request_trailer_mode": "SKIP",
                    "response_trailer_mode": "SKIP",
                },
                "message_timeout": "250s",
                "mutation_rules": {"allow_all_routing": true, "allow_envoy": true},
                "request_attributes": ["xds.cluster_name", "xds.upstream_host_metadata"],
            }},
            // Envoy drops the length of a body that is replaced, and would send chunks.
            {"name": "envoy.filters.http.header_mutation", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
                "mutations": {"request_mutations": [
                    {"append": {
                        "header": {"key": "content-length", "value": format!("%REQ({LENGTH})%")},
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                        "keep_empty_value": false,
                    }},
                    {"remove": LENGTH},
                ]},
            }},
            {"name": "envoy.filters.http.upstream_codec", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
            }},
        ]);
    }
}

/// One route, whose cluster each attempt's header names.
pub fn fail_over(routes: &mut Value) {
    let to = |name: &str| {
        json!({"action": {"name": name, "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction",
            "cluster": name,
        }}})
    };
    let chosen = json!({
        "match": {"prefix": "/", "headers": [{"name": NEXT, "present_match": true}]},
        "request_body_buffer_limit": 32 << 20,
        "route": {
            "timeout": "0s",
            "retry_policy": {
                "retry_on": "5xx,reset,connect-failure",
                "num_retries": 1,
                "refresh_cluster_on_retry": true,
                "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
            },
            "inline_cluster_specifier_plugin": {"extension": {
                "name": "envoy.router.cluster_specifier_plugin.matcher",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier",
                    "cluster_matcher": {"matcher_tree": {
                        "input": {"name": "next", "typed_config": {
                            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                            "header_name": NEXT,
                        }},
                        "exact_match_map": {"map": {"bad": to("bad"), "good": to("good")}},
                    }},
                },
            }},
        },
    });
    let host = &mut routes["resources"][0]["virtual_hosts"][0];
    host["routes"] = json!([chosen, {"match": {"prefix": "/"}, "direct_response": {"status": 503}}]);
    // What one attempt names must be there for the next.
    if let Some(table) = routes["resources"][0].as_object_mut() {
        table.remove("request_headers_to_remove");
    }
}

/// The counters of Envoy that tell what became of retries.
pub async fn stats(admin: SocketAddr) -> Result<String, Box<dyn Error>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let names =
        "upstream_rq_retry|upstream_rq_.*overflow|server.uptime|ext_proc.*(failed|error|spurious|opened|closed)";
    let uri = format!("http://{admin}/stats?usedonly&filter={names}").replace('|', "%7C");
    let answer = client.get(uri.parse()?).await?;
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
}
