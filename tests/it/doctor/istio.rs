//! An Envoy in the shape of an Istio sidecar: its names of listeners, routes and clusters, Weir's filter off until
//! a virtual host turns it on, and a listener that passes TLS to a provider.

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::rig::{Proxy, Rig, doctor, manager};

/// What is rendered, with Istio's names.
fn istio(config: &mut Value, provider: std::net::SocketAddr) {
    let upstream = "outbound|80||api.openai.com";
    let resources = &mut config["static_resources"];
    let openai = resources["clusters"].as_array_mut().expect("clusters").iter_mut().find(|one| one["name"] == "mock");
    let openai = openai.expect("the provider's cluster");
    let tls = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
    openai["name"] = json!(upstream);
    openai["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": tls, "sni": "api.openai.com", "common_tls_context": {"validation_context": {
            "trusted_ca": {"filename": weir::render::files::system_ca()},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "api.openai.com"}}],
        }},
    }});
    let passed = "outbound|443||api.openai.com";
    let endpoint =
        json!({"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": provider.port()}}}});
    let assignment = json!({"cluster_name": passed, "endpoints": [{"lb_endpoints": [endpoint]}]});
    let cluster = json!({"name": passed, "type": "STATIC", "load_assignment": assignment});
    resources["clusters"].as_array_mut().expect("clusters").push(cluster);
    let tcp = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    let passing = json!({"@type": tcp, "stat_prefix": passed, "cluster": passed});
    let listeners = resources["listeners"].as_array_mut().expect("listeners");
    listeners[0]["name"] = json!("0.0.0.0_80");
    listeners.push(json!({
        "name": "0.0.0.0_443",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": passing}]}],
    }));
    let manager = manager(config);
    let per_route = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
    let metadata = json!([{"key": "x-weir-role", "value": "route"}]);
    manager["http_filters"][0]["disabled"] = json!(true);
    manager["http_filters"][0]["name"] = json!("envoy.filters.http.ext_proc.weir");
    let table = &mut manager["route_config"];
    table["name"] = json!("80");
    let host = &mut table["virtual_hosts"][0];
    host["name"] = json!("api.openai.com:80");
    host["typed_per_filter_config"] = json!({"envoy.filters.http.ext_proc.weir": {
        "@type": per_route, "overrides": {"grpc_initial_metadata": metadata},
    }});
    host["routes"][0]["route"]["cluster"] = json!(upstream);
}

/// Where the listener of this name is.
async fn listener(proxy: &Proxy, name: &str) -> String {
    let listeners = proxy.admin.get("/listeners").await.expect("its listeners");
    let found = listeners.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("::"));
    found.unwrap_or_else(|| panic!("{listeners}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_past_weir_is_found_in_an_istio_sidecar_and_worse_when_it_is_used() {
    let rig = Rig::new().await;
    let provider = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = provider.local_addr().expect("an address");
    let proxy = rig.envoy(|config| istio(config, at)).await;
    let dump = proxy.dump().await;
    // `istioctl proxy-config all POD -o json` prints what Envoy says.
    let piped = doctor(&["-", "--format", "json"], Some(&dump));
    assert_eq!(piped.codes(), ["warning bypass-tls"], "{piped:?}");
    assert!(piped.code == Some(0) && piped.out.contains("listener 0.0.0.0_443, TLS to api.openai.com"), "{piped:?}");
    let unused = doctor(&["--envoy", &proxy.url, "--format", "json"], None);
    assert!(unused.codes() == ["warning bypass-tls"] && unused.out.contains("Nobody has used it yet"), "{unused:?}");

    let client = TcpStream::connect(listener(&proxy, "0.0.0.0_443").await).await.expect("it connects");
    let _accepted = provider.accept().await.expect("Envoy connects");
    let used = doctor(&["--envoy", &proxy.url, "--format", "json"], None);
    assert_eq!((used.codes(), used.code), (vec!["error bypass-tls".to_owned()], Some(1)), "{used:?}");
    assert!(used.out.contains("It is used: 1 connection so far."), "{used:?}");
    drop(client);

    // The virtual host no longer turns the filter on.
    let mut off: Value = serde_json::from_str(&dump).expect("JSON");
    let sections = off["configs"].as_array_mut().expect("sections");
    let listeners = sections.iter_mut().filter_map(|section| section["static_listeners"].as_array_mut()).flatten();
    for listener in listeners.filter(|one| one["listener"]["name"] == "0.0.0.0_80") {
        let manager = &mut listener["listener"]["filter_chains"][0]["filters"][0]["typed_config"];
        manager["route_config"]["virtual_hosts"][0]["typed_per_filter_config"] = json!({});
    }
    let said = doctor(&["-", "--format", "json"], Some(&off.to_string()));
    assert_eq!((said.codes()[0].as_str(), said.code), ("error route-not-attached", Some(1)), "{said:?}");
    rig.mock.shutdown().await;
}
