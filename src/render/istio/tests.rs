//! Places: what backends share, and what they are called.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::version::Version;
use super::*;

fn upstream(name: &str, https: bool, host: &str, port: u16) -> Upstream {
    Upstream { name: name.into(), https, host: host.to_owned(), port, ca: None, server_name: None }
}

fn chain(backends: &[&str]) -> Chain {
    Chain { header: backends.join(","), backends: backends.iter().map(|name| (*name).into()).collect() }
}

fn plan<'a>(form: Form, upstreams: &'a [Upstream], replaceable: &'a [&'a str]) -> Plan<'a> {
    Plan {
        version: Version::parse("1.30").unwrap(),
        form,
        host: "llm.internal",
        address: Ipv4Addr::new(240, 0, 0, 80),
        namespace: None,
        selector: ("weir.dev/inject", "true"),
        gateway: "weir-egress.weir-system.svc.cluster.local",
        extproc: ExtProc::Unix(Path::new("/run/weir/extproc.sock")),
        max_request: 1024,
        max_wait: Duration::from_secs(240),
        upstreams,
        chains: &[],
        replaceable,
    }
}

/// The resources of the page with this number.
fn page(plan: &Plan, number: &str) -> Vec<Value> {
    let (_, pages) = rendered(plan).unwrap();
    pages.into_iter().find(|page| page.name.starts_with(number)).map(|page| page.resources).unwrap_or_default()
}

fn names(resources: &[Value]) -> Vec<&str> {
    resources.iter().map(|resource| resource["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn two_accounts_of_one_provider_share_a_place_and_have_a_route_each() {
    let upstreams = [
        upstream("openai", true, "api.openai.com", 443),
        upstream("shop/openai", true, "api.openai.com", 443),
        upstream("shop-openai", true, "api.openai.com", 443),
    ];
    let plan = plan(Form::Sidecar, &upstreams, &[]);
    assert_eq!(names(&page(&plan, "10")), ["weir-applications", "weir-api.openai.com"]);
    assert_eq!(names(&page(&plan, "20")), ["weir-api.openai.com"]);
    let services = page(&plan, "50");
    let http = services[0]["spec"]["http"].as_array().unwrap();
    let routes: Vec<_> = http.iter().map(|route| route["name"].as_str().unwrap()).collect();
    assert_eq!(routes, ["weir-openai", "weir-shop/openai", "weir-shop-openai", "weir-no-backend"]);
    assert_eq!(http[1]["match"][0]["headers"]["x-weir-backend"]["exact"], "shop/openai");
    assert_eq!(http[3]["directResponse"]["status"], 503);
}

#[test]
fn addresses_and_second_ports_get_a_name_of_their_own_and_no_two_share_one() {
    let upstreams = [
        upstream("a", true, "gw.example.com", 443),
        upstream("b", true, "gw.example.com", 8443),
        upstream("c", false, "10.0.0.5", 8000),
        upstream("d", false, "gw-example.com", 80),
        Upstream { server_name: Some("other".into()), ..upstream("e", true, "gw.example.com", 443) },
    ];
    let plan = plan(Form::Sidecar, &upstreams, &[]);
    let entries = page(&plan, "10");
    let of = |at: usize| (&entries[at]["spec"], entries[at]["spec"]["hosts"][0].as_str().unwrap());
    let mut names = names(&entries);
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), entries.len()), (6, 6));
    assert_eq!((of(1).1, &of(1).0["endpoints"]), ("gw.example.com", &Value::Null));
    let (second, host) = of(2);
    assert!(host.ends_with(".backend.weir.internal"), "{host}");
    assert_eq!(
        (&second["endpoints"][0]["address"], &second["ports"][0]["targetPort"]),
        (&"gw.example.com".into(), &8443.into())
    );
    let (address, _) = of(3);
    assert_eq!((&address["resolution"], &address["endpoints"][0]["address"]), (&"STATIC".into(), &"10.0.0.5".into()));
    // Where Weir sends calls on to, by their own names.
    let hosts = page(&plan, "50")[0]["spec"]["hosts"].clone();
    assert_eq!(hosts, json!(["llm.internal", "gw.example.com", "10.0.0.5", "gw-example.com"]));
    let rules = page(&plan, "20");
    assert_eq!(rules[2]["spec"]["trafficPolicy"].get("tls"), None);
    assert_eq!(rules[4]["spec"]["trafficPolicy"]["tls"]["sni"], "other");
}

#[test]
fn only_what_a_rule_can_replace_is_ejected() {
    let upstreams = [upstream("a", true, "a.example.com", 443), upstream("b", true, "b.example.com", 443)];
    let rules = page(&plan(Form::Sidecar, &upstreams, &["b"]), "20");
    let ejected: Vec<_> = rules.iter().map(|rule| &rule["spec"]["trafficPolicy"]["outlierDetection"]).collect();
    assert_eq!((ejected[0], &ejected[1]["maxEjectionPercent"]), (&Value::Null, &100.into()));
}

#[test]
fn a_service_of_the_cluster_keeps_its_other_callers_and_is_no_host_of_weirs() {
    let upstreams = [upstream("own", false, "vllm.ml.svc.cluster.local", 80)];
    let sidecar = plan(Form::Sidecar, &upstreams, &[]);
    assert_eq!((names(&page(&sidecar, "10")), names(&page(&sidecar, "20"))), (vec!["weir-applications"], vec![]));
    let services = page(&sidecar, "50");
    assert_eq!(services[0]["spec"]["hosts"], json!(["llm.internal"]));
    let (hosts, http) = (&services[1]["spec"]["hosts"], &services[1]["spec"]["http"]);
    assert_eq!((hosts, &http[0]["name"]), (&json!(["vllm.ml.svc.cluster.local"]), &"weir-own".into()));
    let others = json!({"name": "weir-others", "route": [{"destination":
        {"host": "vllm.ml.svc.cluster.local", "port": {"number": 80}}}]});
    assert_eq!(http[1], others);
    let switched: Vec<Value> = page(&sidecar, "40")[0]["spec"]["configPatches"].as_array().unwrap().clone();
    let switched = switched.iter().filter(|patch| patch["applyTo"] == "VIRTUAL_HOST").count();
    assert_eq!(switched, 1);

    // A gateway's table has the ports of VirtualServices alone, so any port will do.
    let upstreams = [upstream("own", false, "vllm.ml.svc.cluster.local", 8000)];
    let refused = files(&plan(Form::Sidecar, &upstreams, &[])).unwrap_err().to_string();
    assert!(refused.contains("targetPort: 8000"), "{refused}");
    let services = page(&plan(Form::EgressGateway, &upstreams, &[]), "50");
    assert_eq!(services[0]["spec"]["http"][0]["route"][0]["destination"]["port"]["number"], 8000);
    assert_eq!(services[0]["spec"]["hosts"], json!(["llm.internal", "vllm.ml.svc.cluster.local"]));
}

#[test]
fn an_order_leads_to_a_subset_for_each_backend_and_a_patch_completes_both() {
    let upstreams = [
        upstream("openai", true, "api.openai.com", 443),
        upstream("shop/openai", true, "api.openai.com", 443),
        upstream("shop-openai", true, "api.openai.com", 443),
        upstream("alone", true, "alone.example", 443),
    ];
    let chains = [chain(&["openai", "shop/openai", "shop-openai", "openai"]), chain(&["shop-openai", "openai"])];
    let plan = Plan {
        version: Version::parse("1.31").unwrap(),
        chains: &chains,
        ..plan(Form::EgressGateway, &upstreams, &["openai", "shop/openai", "shop-openai"])
    };
    let rules = page(&plan, "20");
    let subsets: Vec<&str> =
        rules[0]["spec"]["subsets"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(subsets, ["weir-openai", "weir-shop-openai", "weir-shop-openai-2"]);
    assert_eq!(rules[1]["spec"].get("subsets"), None);
    // Each subset is the whole host.
    let entries = page(&plan, "10");
    let address = &entries[0]["spec"]["endpoints"][0];
    assert_eq!(address["address"], "api.openai.com");
    assert_eq!(
        (&address["labels"]["weir.dev/attempts"], &address["labels"]),
        (&json!("true"), &rules[0]["spec"]["subsets"][1]["labels"])
    );
    assert_eq!(entries[1]["spec"].get("endpoints"), None);
    // The host's ejection would end a call that has another backend.
    assert_eq!(rules[0]["spec"]["subsets"][0]["trafficPolicy"]["outlierDetection"]["consecutive5xxErrors"], 0);

    let services = page(&plan, "50");
    let order = &services[0]["spec"]["http"][4];
    assert_eq!(order["match"][0]["headers"]["x-weir-backend"]["exact"], "openai,shop/openai,shop-openai,openai");
    let led: Vec<&Value> = order["route"].as_array().unwrap().iter().map(|one| &one["destination"]["subset"]).collect();
    assert_eq!(led, ["weir-openai", "weir-shop-openai", "weir-shop-openai-2"], "the first follows the last by itself");
    let weights = order["route"].as_array().unwrap().iter().map(|one| one["weight"].as_u64().unwrap());
    assert!(weights.clone().all(|weight| weight > 2 * (64 << 20) - 1), "no body is as long");
    assert!(weights.take(1).all(|weight| 5 * weight < 1 << 31), "the longest order can be said");

    let patches = page(&plan, "55")[0]["spec"]["configPatches"].as_array().unwrap().clone();
    let of = |kind: &str| patches.iter().filter(|patch| patch["applyTo"] == kind).collect::<Vec<_>>();
    let names: Vec<&Value> = of("CLUSTER").iter().map(|patch| &patch["match"]["cluster"]["subset"]).collect();
    assert_eq!(names, [&Value::Null, &json!("weir-openai"), &json!("weir-shop-openai"), &json!("weir-shop-openai-2")]);
    let filters = &of("CLUSTER")[2]["patch"]["value"]["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
        ["http_filters"];
    let said = &filters[0]["typed_config"]["grpc_service"]["initial_metadata"];
    assert_eq!((&said[0]["value"], &said[2]["value"]), (&json!("1.39"), &json!("shop/openai")));
    assert_eq!(filters.as_array().unwrap().last().unwrap()["name"], "envoy.filters.http.upstream_codec");
    for patch in of("HTTP_ROUTE") {
        let route = &patch["patch"]["value"]["route"];
        assert_eq!(route["retry_policy"]["refresh_cluster_on_retry"], true);
        assert_eq!(route["weighted_clusters"], json!({"header_name": "content-length"}));
    }
    assert_eq!(of("HTTP_ROUTE")[1]["match"]["routeConfiguration"]["vhost"]["route"]["name"], "weir-shop-openai,openai");
    // Weir is told last, of these orders and no others.
    let told = &patches.last().unwrap()["patch"]["value"]["typed_per_filter_config"]["weir.ext_proc"]["overrides"];
    let orders = format!("PerAttempt/{}", crate::target::fingerprint(&chains));
    assert_eq!(told["grpc_initial_metadata"], json!([{"key": "x-weir-failover", "value": orders}]));
}

#[test]
fn no_order_means_no_page_and_what_cannot_be_says_why() {
    let upstreams =
        [upstream("a", true, "a.example.com", 443), upstream("own", false, "vllm.ml.svc.cluster.local", 80)];
    let chains = [chain(&["a", "own"])];
    let able = Plan { version: Version::parse("1.31").unwrap(), ..plan(Form::Sidecar, &upstreams, &[]) };
    let wanted = Plan { chains: &chains, ..able };
    let old = Plan { version: Version::parse("1.30").unwrap(), ..wanted };
    let by_tcp = Plan { extproc: ExtProc::Tcp(([127, 0, 0, 1], 9002).into()), ..wanted };
    for (plan, why) in [
        (able, None),
        (wanted, Some("backend own is a Service")),
        (old, Some("of Istio 1.30 cannot")),
        (by_tcp, Some("Weir is reached by TCP")),
    ] {
        assert_eq!((page(&plan, "55").len(), stream(&plan).unwrap().contains("subset")), (0, false));
        let said = no_attempts(&plan).unwrap().map(|why| why.to_string());
        assert_eq!(said.is_some(), why.is_some());
        assert!(why.is_none_or(|why| said.unwrap_or_default().contains(why)));
    }
}
