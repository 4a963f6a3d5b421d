//! Dumps in the forms of control planes: names, spellings, wrappers, and TLS that passes unread.

use super::*;

use Severity::{Error, Note, Warning};

const TCP: &str = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

/// What is healthy, and a listener of Istio's that passes TLS to a provider.
fn passing(cluster: &str, names: Value) -> Value {
    let mut dump = healthy();
    let chain = json!({
        "filter_chain_match": {"server_names": names},
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": {"@type": TCP, "cluster": cluster}}],
    });
    dump["configs"][1]["dynamic_listeners"] = json!([{"name": "0.0.0.0_443", "active_state": {"listener": {"name": "0.0.0.0_443", "filter_chains": [chain]}}}]);
    let clusters = dump["configs"][2]["dynamic_active_clusters"].as_array_mut().unwrap();
    for name in ["outbound|443||api.openai.com", "outbound|443||shop.example"] {
        clusters.push(json!({"cluster": {"name": name, "type": "STRICT_DNS"}}));
    }
    clusters.push(json!({"cluster": {"name": "PassthroughCluster", "type": "ORIGINAL_DST"}}));
    dump
}

fn with_stats(dump: &Value, stats: &str) -> Report {
    examine(&Evidence { stats: Stats::read(stats), ..evidence(dump) })
}

#[test]
fn tls_to_a_provider_is_a_bypass_and_worse_when_it_is_used() {
    let named = passing("outbound|443||shop.example", json!(["api.openai.com"]));
    let led = passing("outbound|443||api.openai.com", json!([]));
    let wild = passing("outbound|443||shop.example", json!(["*.openai.com"]));
    for dump in [&named, &led, &wild] {
        assert_eq!(codes(&report(dump)), [(Warning, "bypass-tls")]);
    }
    let count = |count: u32| format!("cluster.outbound|443||api.openai.com.upstream_cx_total: {count}\n");
    assert_eq!(codes(&with_stats(&led, &count(0))), [(Warning, "bypass-tls")]);
    let report = with_stats(&led, &count(7));
    assert_eq!(codes(&report), [(Error, "bypass-tls")]);
    let finding = &report.findings[0];
    assert_eq!(finding.at, "listener 0.0.0.0_443, TLS to api.openai.com");
    assert!(finding.means.contains("TLS to openai") && finding.means.contains("7 connections"), "{finding:?}");
    assert_eq!(codes(&super::report(&passing("outbound|443||shop.example", json!(["shop.example"])))), []);
}

#[test]
fn an_open_mesh_is_a_note() {
    let open = passing("PassthroughCluster", json!([]));
    assert_eq!(codes(&report(&open)), [(Note, "bypass-open")]);
    let report = with_stats(&open, "cluster.PassthroughCluster.upstream_cx_total: 1\n");
    assert!(report.findings[0].means.contains("taken 1 connection."), "{:?}", report.findings);
    // Nobody's connections but this provider's are counted as this provider's.
    let named = passing("PassthroughCluster", json!(["api.openai.com"]));
    let report = with_stats(&named, "cluster.PassthroughCluster.upstream_cx_total: 9\n");
    assert_eq!(codes(&report), [(Warning, "bypass-tls")]);
}

#[test]
fn plain_http_to_a_provider_past_the_filter_is_an_error() {
    let mut dump = healthy();
    let mut other = dump.pointer(LISTENER).unwrap().clone();
    other["name"] = json!("0.0.0.0_80");
    let manager = &mut other["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"].as_array_mut().unwrap().remove(0);
    manager["rds"]["route_config_name"] = json!("80");
    dump["configs"][1]["static_listeners"].as_array_mut().unwrap().push(json!({"listener": other}));
    let host = |name: &str, cluster: &str| json!({"name": name, "domains": [name], "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {"cluster": cluster}}]});
    // A server of one's own has callers besides Weir's.
    let hosts = [host("api.openai.com:80", "openai"), host("web:80", "web"), host("vllm.ml:80", "own")];
    let tables = dump["configs"][3]["dynamic_route_configs"].as_array_mut().unwrap();
    tables.push(json!({"route_config": {"name": "80", "virtual_hosts": hosts}}));
    let report = report(&dump);
    assert_eq!(codes(&report), [(Error, "route-not-attached")]);
    assert_eq!(report.findings[0].at, "listener 0.0.0.0_80, virtual host api.openai.com:80");
}

/// A filter of Envoy Gateway's: off, named by the policy, to a cluster whose endpoints are discovered.
#[test]
fn weir_is_known_by_what_tells_of_it() {
    let mut dump = healthy();
    let policy = "envoyextensionpolicy/llm/attach/extproc/0";
    set(&mut dump, &format!("{FILTER}/grpc_service/envoy_grpc/cluster_name"), json!(policy));
    set(&mut dump, &format!("{WEIR}/name"), json!(policy));
    assert_eq!(codes(&report(&dump)), [], "by its role");
    set(&mut dump, &format!("{FILTER}/grpc_service/initial_metadata"), json!([]));
    assert_eq!(codes(&report(&dump)), [(Note, "role-missing")], "by its socket");
    set(&mut dump, &format!("{WEIR}/load_assignment"), Value::Null);
    assert_eq!(codes(&report(&dump)), [(Note, "role-missing")], "by its metadata");
    let assignment = json!({"cluster_name": policy, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"pipe": {"path": "/run/weir/extproc.sock"}}}}]}]});
    dump["configs"][0]["dynamic_endpoint_configs"] = json!([{"endpoint_config": assignment}]);
    set(&mut dump, &format!("{FILTER}/metadata_options/receiving_namespaces"), Value::Null);
    let codes_of = |dump: &Value| codes(&report(dump));
    assert_eq!(codes_of(&dump), [(Warning, "metadata-receiving"), (Note, "role-missing")], "by its endpoint");
    dump["configs"][0]["dynamic_endpoint_configs"] = json!([]);
    assert_eq!(codes_of(&dump)[0], (Error, "no-filter"));
    let mut told = evidence(&dump);
    told.clusters = vec![policy.to_owned()];
    assert_eq!(
        codes(&examine(&told)),
        [(Warning, "metadata-receiving"), (Note, "role-missing")],
        "by the command line"
    );
    told.clusters.clear();
    told.wanted.socket = Some("/x/e.sock".to_owned());
    assert_eq!(codes(&examine(&told))[0], (Error, "no-filter"));
}

#[test]
fn a_dump_may_be_in_protobufs_spelling_and_wrapped() {
    fn camel(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(camel).collect(),
            Value::Object(members) => members.iter().map(|(name, value)| (respelled(name), camel(value))).collect(),
            other => other.clone(),
        }
    }
    fn respelled(name: &str) -> String {
        // Names of extensions and headers stay.
        if name.contains(['.', '-', '@']) {
            return name.to_owned();
        }
        let mut out = String::new();
        let mut up = false;
        for letter in name.chars() {
            match letter {
                '_' => up = true,
                letter if up => {
                    out.push(letter.to_ascii_uppercase());
                    up = false;
                }
                letter => out.push(letter),
            }
        }
        out
    }
    let mut dump = healthy();
    assert_eq!(codes(&report(&camel(&dump))), []);
    set(&mut dump, &format!("{ROUTE}/route/timeout"), Value::Null);
    assert_eq!(codes(&report(&camel(&dump))), [(Error, "route-timeout")]);
    let wrapped = json!({"envoy-gateway-system": {"envoy-llm-1": {"configDump": dump}}});
    assert_eq!(codes(&report(&wrapped)), [(Error, "route-timeout")]);
}
