//! Places: what backends share, and what they are called.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::version::Version;
use super::*;

fn upstream(name: &str, https: bool, host: &str, port: u16) -> Upstream {
    Upstream { name: name.into(), https, host: host.to_owned(), port, ca: None, server_name: None }
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
        replaceable,
    }
}

/// The resources of the page with this number.
fn page(plan: &Plan, number: &str) -> Vec<Value> {
    let pages = pages(plan).unwrap();
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
