//! Attachment, attempts, counters, Pods and Weir's own word.

use super::*;

use Severity::{Error, Note, Warning};

const EXT_PROC: &str = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
const PER_ROUTE: &str = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";

fn filters(dump: &mut Value) -> &mut Vec<Value> {
    dump.pointer_mut(&format!("{MANAGER}/http_filters")).unwrap().as_array_mut().unwrap()
}

#[test]
fn without_the_filter_nothing_applies() {
    let mut dump = healthy();
    filters(&mut dump).remove(0);
    assert_eq!(codes(&report(&dump)), [(Error, "no-filter"), (Error, "route-not-attached")]);
    let nothing = report(&json!({"configs": []}));
    assert_eq!(codes(&nothing), [(Error, "no-filter")]);
}

#[test]
fn a_filter_is_off_until_a_route_turns_it_on() {
    let mut dump = healthy();
    filters(&mut dump)[0]["disabled"] = json!(true);
    assert_eq!(codes(&report(&dump)), [(Error, "route-not-attached")]);
    let name = "envoy.filters.http.ext_proc";
    let on =
        json!({"@type": PER_ROUTE, "overrides": {"grpc_initial_metadata": [{"key": "x-weir-role", "value": "route"}]}});
    let off = json!({"@type": PER_ROUTE, "disabled": true});
    let config =
        |disabled: bool| json!({"@type": "x/envoy.config.route.v3.FilterConfig", "disabled": disabled, "config": {}});
    for (value, is_on) in [(&on, true), (&config(false), true), (&off, false), (&config(true), false)] {
        let mut dump = dump.clone();
        set(&mut dump, &format!("{HOST}/typed_per_filter_config"), json!({name: value}));
        let wanted: &[_] = if is_on { &[] } else { &[(Error, "route-not-attached")] };
        assert_eq!(codes(&report(&dump)), wanted, "{value}");
    }
    // The nearest word counts.
    set(&mut dump, &format!("{HOST}/typed_per_filter_config"), json!({name: on}));
    set(&mut dump, &format!("{ROUTE}/typed_per_filter_config"), json!({name: off}));
    let report = report(&dump);
    assert_eq!(codes(&report), [(Error, "route-not-attached")]);
    assert!(report.findings[0].means.contains("(#1)"), "{:?}", report.findings);
}

#[test]
fn modes_of_a_route_count_as_well() {
    let mut dump = healthy();
    let own = json!({"@type": PER_ROUTE, "overrides": {"processing_mode": {"request_body_mode": "STREAMED",
        "request_trailer_mode": "SEND", "response_trailer_mode": "SEND"}}});
    set(&mut dump, &format!("{ROUTE}/typed_per_filter_config"), json!({"envoy.filters.http.ext_proc": own}));
    let report = report(&dump);
    assert_eq!(codes(&report), [(Error, "body-mode")]);
    assert!(report.findings[0].at.ends_with("route #1"), "{:?}", report.findings);
}

#[test]
fn the_filter_is_the_last_before_the_router_and_alone() {
    let other = |name: &str| json!({"name": name, "typed_config": {"@type": format!("x/envoy.extensions.filters.http.{name}.v3.X")}});
    for (name, wanted) in [("lua", Error), ("rbac", Note), ("default", Error)] {
        let mut dump = healthy();
        filters(&mut dump).insert(1, other(name));
        assert_eq!(codes(&report(&dump)), [(wanted, "filter-not-last")], "{name}");
        let mut dump = healthy();
        filters(&mut dump).insert(0, other(name));
        assert_eq!(codes(&report(&dump)), [], "{name} before it");
    }
    let mut dump = healthy();
    let again = filters(&mut dump)[0].clone();
    filters(&mut dump).insert(0, again);
    assert_eq!(codes(&report(&dump)), [(Error, "filter-twice")]);
}

/// The attempt's filter in the form that Envoy survives, on the first provider.
fn with_attempt(change: impl FnOnce(&mut Value)) -> Value {
    let mut dump = healthy();
    let mut filter = json!({"name": "attempt", "typed_config": {
        "@type": EXT_PROC,
        "grpc_service": {"envoy_grpc": {"cluster_name": "weir_attempt"}, "initial_metadata": [{"key": "x-weir-role", "value": "attempt"}]},
        "processing_mode": {"request_header_mode": "SEND", "response_header_mode": "SKIP"},
        "request_attributes": ["xds.cluster_name", "xds.upstream_host_metadata"],
    }});
    change(&mut filter["typed_config"]);
    set(&mut dump, &format!("{PROVIDER}/typed_extension_protocol_options/{OPTIONS}/http_filters"), json!([filter]));
    let mut own = dump.pointer(WEIR).unwrap().clone();
    own["name"] = json!("weir_attempt");
    own["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["pipe"]["path"] =
        json!("/run/weir/extproc-attempt.sock");
    dump["configs"][2]["static_clusters"].as_array_mut().unwrap().push(json!({"cluster": own}));
    dump
}

#[test]
fn the_forms_of_an_attempt_that_crash_envoy_are_errors() {
    assert_eq!(codes(&report(&with_attempt(|_| {}))), []);
    type Change = fn(&mut Value);
    let rows: [(Change, Severity, &str); 7] = [
        (|f| f["grpc_service"]["envoy_grpc"]["cluster_name"] = json!("weir_extproc"), Error, "attempt-cluster"),
        (|f| f["processing_mode"]["request_body_mode"] = json!("FULL_DUPLEX_STREAMED"), Error, "attempt-body"),
        (|f| f["processing_mode"]["response_header_mode"] = Value::Null, Error, "attempt-body"),
        (|f| f["request_attributes"] = json!(["xds.cluster_name", "xds.node"]), Error, "attempt-attributes"),
        (|f| f["response_attributes"] = json!(["request.headers"]), Error, "attempt-attributes"),
        (|f| f["grpc_service"]["initial_metadata"][0]["value"] = json!("route"), Error, "role-wrong"),
        (
            |f| {
                f["grpc_service"] = json!({"envoy_grpc": {"cluster_name": "epp"}});
                f["request_attributes"] = json!(["xds.node"]);
            },
            Warning,
            "attempt-attributes",
        ),
    ];
    for (change, severity, code) in rows {
        let report = report(&with_attempt(change));
        assert_eq!(codes(&report), [(severity, code)], "{}", report.to_text());
    }
}

/// What a mesh drops in silence, or a patch that found nothing.
#[test]
fn an_order_whose_clusters_do_not_ask_weir_or_are_not_chosen_anew_is_an_error() {
    let order = HOST.to_owned() + "/routes/2";
    let action = order.clone() + "/route";
    let weighted = json!({"clusters": [
        {"name": "weir_attempt/openai", "weight": 1}, {"name": "weir_attempt/own", "weight": 1},
    ]});
    let by_weight = |lot: Value| {
        let mut dump = with_orders();
        assert_eq!(dump.pointer(&order).unwrap()["match"]["headers"][0]["string_match"]["exact"], "openai,own");
        set(&mut dump, &format!("{action}/inline_cluster_specifier_plugin"), Value::Null);
        set(&mut dump, &format!("{action}/weighted_clusters"), lot);
        dump
    };
    let mut ordered = weighted.clone();
    ordered["header_name"] = json!("content-length");
    assert_eq!(codes(&report(&by_weight(ordered.clone()))), []);
    assert_eq!(codes(&report(&by_weight(weighted))), [(Warning, "attempt-order")]);
    let mut stays = by_weight(ordered.clone());
    set(&mut stays, &format!("{action}/retry_policy/refresh_cluster_on_retry"), Value::Null);
    assert_eq!(codes(&report(&stays)), [(Error, "attempt-refresh")]);
    ordered["clusters"][1]["name"] = json!("own");
    let unpatched = report(&by_weight(ordered));
    assert_eq!(codes(&unpatched), [(Error, "attempt-filter")]);
    assert!(unpatched.to_text().contains("An attempt at own is not Weir's to write"), "{}", unpatched.to_text());
}

#[test]
fn attempts_have_a_socket_of_their_own() {
    let at = |address: Value| {
        let mut dump = with_attempt(|_| {});
        let own = dump["configs"][2]["static_clusters"].as_array_mut().unwrap().last_mut().unwrap();
        own["cluster"]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = address;
        report(&dump)
    };
    let shared = at(json!({"pipe": {"path": "/run/weir/extproc.sock"}}));
    assert_eq!(codes(&shared), [(Warning, "attempt-socket")], "{}", shared.to_text());
    assert!(shared.findings[0].change.contains("/run/weir/extproc-attempt.sock"), "{:?}", shared.findings);
    let tcp = at(json!({"socket_address": {"address": "10.0.0.1", "port_value": 9700}}));
    assert_eq!(codes(&tcp), [(Warning, "weir-plain-tcp"), (Warning, "attempt-socket")], "{}", tcp.to_text());
}

#[test]
fn counters_that_should_be_zero_are_told() {
    let look = |text: &str| {
        let mut evidence = evidence(&healthy());
        evidence.stats = Stats::read(text);
        examine(&evidence)
    };
    let zero = "http.weir.ext_proc.spurious_msgs_received: 0\ncluster.openai.upstream_rq_retry_overflow: 0\n";
    let report = look(zero);
    assert!(report.findings.is_empty() && report.to_text().contains("ok      stats: "), "{}", report.to_text());
    let rows = [
        ("http.weir.ext_proc.spurious_msgs_received: 1", Error, "counted-errors"),
        ("http.weir.ext_proc.rejected_header_mutations: 1", Error, "counted-errors"),
        ("http.weir.ext_proc.failure_mode_allowed: 1", Error, "counted-errors"),
        ("http.weir.ext_proc.streams_failed: 1", Warning, "counted-failures"),
        ("http.weir.ext_proc.message_timeouts: 1", Warning, "counted-failures"),
        ("cluster.weir_extproc.upstream_rq_pending_overflow: 2", Warning, "counted-overflow"),
        ("cluster.weir_extproc.upstream_cx_connect_fail: 2", Warning, "counted-connect"),
        ("cluster.openai.upstream_rq_retry_overflow: 2", Warning, "counted-overflow"),
        ("cluster.own.retry_or_shadow_abandoned: 2", Warning, "counted-overflow"),
    ];
    for (line, severity, code) in rows {
        let report = look(&format!("{line}\n"));
        assert_eq!(codes(&report), [(severity, code)], "{line}: {}", report.to_text());
    }
    // Others' filters and clusters are others' business.
    let others = "http.other.ext_proc.streams_failed: 9\ncluster.web.upstream_rq_pending_overflow: 9\n";
    assert_eq!(codes(&look(others)), []);
}

const POD: &str = "
kind: Pod
metadata: {name: chat}
spec:
  initContainers:
  - {name: weir, image: 'r.example/weir:1', volumeMounts: [{name: socket, mountPath: /run/weir}]}
  - {name: istio-proxy, image: 'r.example/proxyv2:1', volumeMounts: [{name: socket, mountPath: /run/weir}]}
  containers:
  - {name: app, image: app, volumeMounts: []}
  volumes: [{name: socket, emptyDir: {}}]
";

#[test]
fn the_sockets_volume_is_the_proxys_and_weirs_alone() {
    let look = |pod: &str| {
        let mut evidence = evidence(&healthy());
        evidence.pods = Some(Pods::read(pod).unwrap());
        examine(&evidence)
    };
    let right = look(POD);
    assert!(right.findings.is_empty() && right.to_text().contains("ok      socket: "), "{}", right.to_text());
    let mounted = POD.replace("volumeMounts: []", "volumeMounts: [{name: socket, mountPath: /mnt}]");
    let report = look(&mounted);
    assert_eq!(codes(&report), [(Error, "socket-mounted")]);
    assert_eq!(report.findings[0].at, "pod chat, container app");
    assert_eq!(codes(&look(&POD.replace("emptyDir: {}", "hostPath: {path: /x}"))), [(Error, "socket-host-path")]);
    let shared = POD.replace("spec:", "spec:\n  shareProcessNamespace: true");
    assert_eq!(codes(&look(&shared)), [(Warning, "socket-processes")]);
    assert_eq!(codes(&look(&POD.replace("/run/weir", "/elsewhere"))), [(Warning, "socket-unmounted")]);
    // A Pod alone: the configuration says where the socket is.
    let mut alone = Evidence { dump: None, pods: Some(Pods::read(&mounted).unwrap()), ..evidence(&healthy()) };
    assert_eq!(codes(&examine(&alone)), []);
    alone.wanted.socket = Some("/run/weir/extproc.sock".to_owned());
    assert_eq!(codes(&examine(&alone)), [(Error, "socket-mounted")]);
}

#[test]
fn weirs_own_word_counts() {
    let right = Weir { is_ready: true, signs: Some(true), ..Weir::default() };
    let rows = [
        (right.clone(), &[][..]),
        (Weir { absent: Some("gone".into()), ..Weir::default() }, &[(Error, "weir-absent")]),
        (Weir { is_ready: false, ..right.clone() }, &[(Error, "weir-not-ready")]),
        (Weir { refused: 2, ..right.clone() }, &[(Error, "weir-config-refused")]),
        (Weir { signs: Some(false), ..right.clone() }, &[(Warning, "weir-signing-off")]),
        (Weir { failed_open: 1, ..right.clone() }, &[(Warning, "weir-failed-open")]),
        (Weir { shed: 1, ..right.clone() }, &[(Warning, "weir-shed")]),
    ];
    for (weir, wanted) in rows {
        let shown = format!("{weir:?}");
        let report = examine(&Evidence { weir: Some(weir), ..evidence(&healthy()) });
        assert_eq!(codes(&report), wanted, "{shown}");
    }
}

#[test]
fn each_backend_of_the_configuration_has_a_route() {
    let mut evidence = evidence(&healthy());
    evidence.wanted.backends = Some(vec!["openai".into(), "own".into()]);
    assert_eq!(codes(&examine(&evidence)), []);
    evidence.wanted.backends = Some(vec!["openai".into(), "new".into()]);
    let report = examine(&evidence);
    assert_eq!(codes(&report), [(Error, "backend-without-route")]);
    assert_eq!(report.findings[0].at, "backend new");
}

#[test]
fn what_envoy_refused_is_told() {
    let mut dump = healthy();
    let refused = json!({"name": "late", "error_state": {"details": "no such filter"}});
    dump["configs"][1]["dynamic_listeners"] = json!([refused]);
    let report = report(&dump);
    assert_eq!(codes(&report), [(Warning, "update-refused")]);
    assert_eq!(report.findings[0].at, "listener late");
}
