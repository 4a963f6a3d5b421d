//! What is rendered is healthy; with one field broken there is one finding, and it is the right one.

mod broken;
mod forms;
mod hostile;
mod meshes;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::finding::Severity;
use super::report::Report;
use super::stats::Stats;
use super::*;
use crate::catalog::Catalog;
use crate::render::envoy::{self, BodyMode, ExtProc, Plan};
use crate::target;
use crate::target::Upstream;

const LISTENER: &str = "/configs/1/static_listeners/0/listener";
const MANAGER: &str = "/configs/1/static_listeners/0/listener/filter_chains/0/filters/0/typed_config";
const FILTER: &str =
    "/configs/1/static_listeners/0/listener/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config";
const WEIR: &str = "/configs/2/static_clusters/0/cluster";
const PROVIDER: &str = "/configs/2/dynamic_active_clusters/0/cluster";
const HOST: &str = "/configs/3/dynamic_route_configs/0/route_config/virtual_hosts/0";
const ROUTE: &str = "/configs/3/dynamic_route_configs/0/route_config/virtual_hosts/0/routes/0";
const TABLE: &str = "/configs/3/dynamic_route_configs/0/route_config";
const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The dump of an Envoy with what is rendered for two backends.
fn rendered(body_mode: BodyMode, chains: &[target::Chain]) -> Value {
    let upstream = |name: &str, https: bool, host: &str, port: u16| Upstream {
        name: name.into(),
        https,
        host: host.into(),
        port,
        ca: None,
        server_name: None,
    };
    let upstreams = [upstream("openai", true, "api.openai.com", 443), upstream("own", false, "127.0.0.1", 8000)];
    let plan = Plan {
        listen: ([127, 0, 0, 1], 10000).into(),
        admin: ([127, 0, 0, 1], 9901).into(),
        extproc: ExtProc::Unix(Path::new("/run/weir/extproc.sock")),
        files: Path::new("/run/weir/envoy"),
        access_log: Some(Path::new("/dev/stdout")),
        system_ca: Path::new("/etc/ssl/certs/ca-certificates.crt"),
        body_mode,
        max_request: 32 << 20,
        max_wait: Duration::from_secs(240),
        upstreams: &upstreams,
        chains,
        follows: false,
        node_id: "test",
        envoy_version: "1.40.0",
    };
    let (bootstrap, clusters, routes) = (envoy::bootstrap(&plan), envoy::clusters(&plan), envoy::routes(&plan));
    let resources = bootstrap["static_resources"].clone();
    let clusters: Vec<Value> =
        clusters["resources"].as_array().unwrap().iter().map(|cluster| json!({"cluster": cluster})).collect();
    let version = json!({"version": {"major_number": 1, "minor_number": 40}});
    json!({"configs": [
        {"bootstrap": {"node": {"user_agent_build_version": version}}},
        {"static_listeners": [{"listener": resources["listeners"][0]}]},
        {"static_clusters": [{"cluster": resources["clusters"][0]}], "dynamic_active_clusters": clusters},
        {"dynamic_route_configs": [{"route_config": routes["resources"][0]}]},
    ]})
}

fn healthy() -> Value {
    rendered(BodyMode::FullDuplex, &[])
}

fn evidence(dump: &Value) -> Evidence {
    Evidence {
        dump: Some(Dump::read(dump.to_string().as_bytes()).unwrap()),
        stats: None,
        pods: None,
        weir: None,
        hosts: Hosts::of(&Catalog::builtin()),
        wanted: Wanted::default(),
        clusters: Vec::new(),
    }
}

fn report(dump: &Value) -> Report {
    examine(&evidence(dump))
}

/// Severity and code of each finding.
fn codes(report: &Report) -> Vec<(Severity, &'static str)> {
    report.findings.iter().map(|finding| (finding.severity, finding.code)).collect()
}

/// Puts a value at a place; `null` takes away what is there.
fn set(dump: &mut Value, at: &str, value: Value) {
    let (parent, last) = at.rsplit_once('/').unwrap();
    let parent = dump.pointer_mut(parent).unwrap_or_else(|| panic!("{at}"));
    match last.parse::<usize>() {
        Ok(index) if parent.is_array() => parent[index] = value,
        _ => parent[&last.replace("~1", "/")] = value,
    }
}

/// The dump of an Envoy with routes for one call at two backends.
fn with_orders() -> Value {
    let chain = |header: &str, first: &str, second: &str| target::Chain {
        header: header.into(),
        backends: vec![first.into(), second.into()],
    };
    let chains = [chain("openai,own", "openai", "own"), chain("own,openai", "own", "openai")];
    rendered(BodyMode::FullDuplex, &chains)
}

/// What is rendered for one call at several backends is what Envoy survives.
#[test]
fn attempts_as_they_are_rendered_are_healthy() {
    let report = report(&with_orders());
    assert_eq!(report.findings, Vec::new());
    let text = report.to_text();
    assert!(text.contains("2 upstream ext_proc filters") && text.contains("2 routes go to them in turn"), "{text}");
}

#[test]
fn what_is_rendered_has_no_finding_in_any_mode() {
    for mode in [BodyMode::FullDuplex, BodyMode::BufferedStreamed, BodyMode::Buffered] {
        let report = report(&rendered(mode, &[]));
        assert_eq!(report.findings, [], "{mode:?}");
        assert_eq!((report.exit_code(true), report.exit_code(false)), (0, 0));
        let text = report.to_text();
        for group in ["attachment", "filter", "clusters", "routes", "attempts", "bypass", "secrets", "replies"] {
            assert!(text.contains(&format!("\nok      {group}: ")), "{mode:?}: {group}: {text}");
        }
        for group in ["stats", "socket", "weir"] {
            assert!(text.contains(&format!("\n-       {group}: not looked at: ")), "{group}: {text}");
        }
        assert!(text.starts_with("Envoy 1.40.0: 1 listener, 3 clusters, 3 routes\n"), "{text}");
        assert!(text.ends_with("\n0 errors, 0 warnings, 0 notes\n"), "{text}");
    }
}

#[test]
fn a_report_is_in_order_and_says_each_thing_once() {
    let mut dump = healthy();
    set(&mut dump, &format!("{ROUTE}/route/timeout"), Value::Null);
    set(&mut dump, &format!("{WEIR}/circuit_breakers"), Value::Null);
    set(&mut dump, &format!("{MANAGER}/local_reply_config"), Value::Null);
    // The same listener twice, as a mesh has one manager in many chains.
    let chains = dump.pointer_mut(&format!("{LISTENER}/filter_chains")).unwrap();
    let again = chains[0].clone();
    chains.as_array_mut().unwrap().push(again);
    let report = report(&dump);
    let wanted = [
        (Severity::Error, "route-timeout"),
        (Severity::Warning, "weir-breakers"),
        (Severity::Note, "local-reply-missing"),
    ];
    assert_eq!(codes(&report), wanted);
    assert_eq!((report.exit_code(false), report.count(Severity::Error)), (1, 1));
    let text = report.to_text();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(at("error   route-timeout: listener weir, virtual host all, route #1") < at("warning weir-breakers"));
    assert!(text.contains("        change: route.timeout: 0s"), "{text}");
    // A note leaves its group right; an error does not.
    assert!(text.contains("ok      replies") && !text.contains("ok      routes"), "{text}");
    let json = report.to_json();
    assert_eq!(json["findings"][0]["code"], "route-timeout");
    assert_eq!(json["findings"][0]["severity"], "error");
    assert_eq!([&json["errors"], &json["warnings"], &json["notes"]], [1, 1, 1]);
}

#[test]
fn warnings_fail_only_the_strict() {
    let mut dump = healthy();
    set(&mut dump, &format!("{WEIR}/circuit_breakers"), Value::Null);
    let report = report(&dump);
    assert_eq!((report.exit_code(false), report.exit_code(true)), (0, 1));
}

#[test]
fn no_name_of_a_dump_steers_a_terminal() {
    let mut dump = healthy();
    let name = format!("evil\u{1b}[2J\n{}", "x".repeat(10_000));
    set(&mut dump, &format!("{LISTENER}/name"), json!(name));
    set(&mut dump, &format!("{MANAGER}/stream_idle_timeout"), Value::Null);
    let text = report(&dump).to_text();
    assert!(text.contains("listener evil\u{fffd}[2J\u{fffd}xxx"), "{text}");
    assert!(!text.contains('\u{1b}') && text.len() < 4096, "{text}");
}
