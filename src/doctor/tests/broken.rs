//! One field is broken at a time.

use super::*;

type Row<'a> = (&'a str, &'a str, Value, Severity, &'static str);

use Severity::{Error, Note, Warning};

/// Breaks one field after the other; what it is without is `null`.
fn breaks(healthy: &Value, rows: &[Row]) {
    for (base, field, value, severity, code) in rows {
        let mut dump = healthy.clone();
        let at = if field.is_empty() { (*base).to_owned() } else { format!("{base}/{field}") };
        set(&mut dump, &at, value.clone());
        assert_ne!(dump, *healthy, "{at} is so already");
        let report = report(&dump);
        assert_eq!(codes(&report), [(*severity, *code)], "{field} = {value}\n{}", report.to_text());
    }
}

#[test]
fn each_setting_of_the_filter_has_its_finding() {
    let rows = [
        (FILTER, "processing_mode/request_body_mode", json!("STREAMED"), Error, "body-mode"),
        (FILTER, "processing_mode/response_body_mode", Value::Null, Error, "body-mode"),
        (FILTER, "processing_mode/response_body_mode", json!("BUFFERED"), Error, "body-mode"),
        (FILTER, "processing_mode/request_header_mode", json!("SKIP"), Error, "header-mode"),
        (FILTER, "processing_mode/response_header_mode", json!("SKIP"), Error, "header-mode"),
        (FILTER, "processing_mode/request_trailer_mode", Value::Null, Error, "trailer-mode"),
        (FILTER, "processing_mode/response_trailer_mode", json!("SKIP"), Error, "trailer-mode"),
        (FILTER, "allow_content_length_header", Value::Null, Warning, "content-length"),
        (FILTER, "mutation_rules/allow_all_routing", json!({"value": false}), Error, "mutation-rules"),
        (FILTER, "mutation_rules/disallow_all", json!(true), Error, "mutation-rules"),
        (FILTER, "mutation_rules/allow_envoy", Value::Null, Warning, "retry-orders"),
        (FILTER, "metadata_options/receiving_namespaces", Value::Null, Warning, "metadata-receiving"),
        (FILTER, "metadata_options/forwarding_namespaces", Value::Null, Note, "metadata-forwarding"),
        (FILTER, "request_attributes/0", json!("source.port"), Warning, "attribute-missing"),
        (FILTER, "response_attributes", json!(["xds.node"]), Warning, "attribute-large"),
        (FILTER, "status_on_error", Value::Null, Warning, "status-on-error"),
        (FILTER, "failure_mode_allow", json!(true), Error, "failure-mode"),
        (FILTER, "observability_mode", json!(true), Error, "observability-mode"),
        (FILTER, "route_cache_action", json!("RETAIN"), Error, "route-cache"),
        (FILTER, "disable_clear_route_cache", json!(true), Error, "route-cache"),
        (FILTER, "grpc_service/initial_metadata", Value::Null, Note, "role-missing"),
        (FILTER, "grpc_service/initial_metadata/1/value", json!("attempt"), Error, "role-wrong"),
        (MANAGER, "proxy_100_continue", json!(true), Error, "100-continue"),
    ];
    breaks(&healthy(), &rows);
}

#[test]
fn what_an_older_envoy_cannot_do_is_a_note() {
    let mut older = healthy();
    set(&mut older, "/configs/0/bootstrap/node/user_agent_build_version/version/minor_number", json!(35));
    assert_eq!(codes(&report(&older)), []);
    let rows = [
        (FILTER, "allow_content_length_header", Value::Null, Note, "content-length"),
        (FILTER, "status_on_error", Value::Null, Note, "status-on-error"),
        (ROUTE, "request_body_buffer_limit", Value::Null, Note, "retry-buffer"),
    ];
    breaks(&older, &rows);
    // One that does not say what it is could be any.
    let mut unknown = healthy();
    set(&mut unknown, "/configs/0/bootstrap", json!({}));
    breaks(&unknown, &[(FILTER, "status_on_error", Value::Null, Warning, "status-on-error")]);
}

#[test]
fn what_envoy_buffers_and_waits_is_looked_at_where_it_buffers() {
    for mode in [BodyMode::BufferedStreamed, BodyMode::Buffered] {
        let rows = [
            (FILTER, "message_timeout", Value::Null, Error, "message-timeout"),
            (FILTER, "message_timeout", json!("30s"), Error, "message-timeout"),
            (LISTENER, "per_connection_buffer_limit_bytes", Value::Null, Error, "connection-buffer"),
            (LISTENER, "per_connection_buffer_limit_bytes", json!(32 << 20), Error, "connection-buffer"),
            (FILTER, "allow_mode_override", Value::Null, Warning, "mode-override"),
            (FILTER, "failure_mode_allow", json!(true), Note, "fails-open"),
        ];
        breaks(&rendered(mode, &[]), &rows);
    }
}

#[test]
fn each_limit_of_a_cluster_has_its_finding() {
    let breaker = |field: &str| match field {
        "max_retries" => "circuit_breakers/thresholds/0/max_retries",
        "max_requests" => "circuit_breakers/thresholds/0/max_requests",
        "max_connections" => "circuit_breakers/thresholds/0/max_connections",
        _ => "circuit_breakers/thresholds/0/max_pending_requests",
    };
    const KEEPALIVE: &str = "typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions/\
                             explicit_http_config/http2_protocol_options/connection_keepalive";
    const EXPLICIT: &str =
        "typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions/explicit_http_config";
    const NAMES: &str =
        "transport_socket/typed_config/common_tls_context/validation_context/match_typed_subject_alt_names";
    let pipe = "load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";
    let tcp = json!({"socket_address": {"address": "10.0.0.7", "port_value": 9000}});
    let rows = [
        (WEIR, breaker("max_requests"), json!(1024), Warning, "weir-breakers"),
        (WEIR, breaker("max_connections"), Value::Null, Warning, "weir-breakers"),
        (WEIR, breaker("max_pending"), Value::Null, Warning, "weir-breakers"),
        (WEIR, "circuit_breakers", Value::Null, Warning, "weir-breakers"),
        (WEIR, KEEPALIVE, Value::Null, Warning, "weir-keepalive"),
        (WEIR, KEEPALIVE, json!({"interval": "300s", "timeout": "20s"}), Warning, "weir-keepalive"),
        (WEIR, pipe, tcp, Warning, "weir-plain-tcp"),
        (WEIR, "name", json!("other"), Error, "cluster-missing"),
        (PROVIDER, breaker("max_retries"), Value::Null, Warning, "retry-breaker"),
        (PROVIDER, breaker("max_requests"), Value::Null, Warning, "provider-breakers"),
        (PROVIDER, "transport_socket", Value::Null, Error, "provider-tls"),
        (PROVIDER, NAMES, Value::Null, Error, "provider-name"),
    ];
    breaks(&healthy(), &rows);
    let mut dump = healthy();
    set(&mut dump, &format!("{WEIR}/{EXPLICIT}"), json!({"http_protocol_options": {}}));
    assert_eq!(codes(&report(&dump)), [(Error, "weir-http2"), (Warning, "weir-keepalive")]);
    // A budget limits retries by a share of the requests.
    set(&mut dump, &format!("{WEIR}/{EXPLICIT}"), healthy().pointer(&format!("{WEIR}/{EXPLICIT}")).unwrap().clone());
    set(&mut dump, &format!("{PROVIDER}/circuit_breakers/thresholds/0/max_retries"), Value::Null);
    set(&mut dump, &format!("{PROVIDER}/circuit_breakers/thresholds/0/retry_budget"), json!({"budget_percent": {}}));
    assert_eq!(codes(&report(&dump)), []);
}

#[test]
fn each_setting_of_a_route_has_its_finding() {
    let early = "early_header_mutation_extensions/0/typed_config/mutations/0";
    let header = |matching: Value| json!({"name": "x-weir-backend", "string_match": matching});
    let rows = [
        (ROUTE, "route/timeout", Value::Null, Error, "route-timeout"),
        (ROUTE, "route/timeout", json!("60s"), Error, "route-timeout"),
        (ROUTE, "route/timeout", json!("3600s"), Warning, "route-timeout"),
        (ROUTE, "route/idle_timeout", json!("30s"), Warning, "idle-timeout"),
        (ROUTE, "route/max_stream_duration", json!({"max_stream_duration": "30s"}), Warning, "stream-duration"),
        (MANAGER, "stream_idle_timeout", Value::Null, Warning, "idle-timeout"),
        (MANAGER, "stream_idle_timeout", json!("300s"), Warning, "idle-timeout"),
        (MANAGER, "common_http_protocol_options", json!({"max_stream_duration": "60s"}), Warning, "stream-duration"),
        (ROUTE, "request_body_buffer_limit", Value::Null, Warning, "retry-buffer"),
        (ROUTE, "request_body_buffer_limit", json!(1 << 20), Warning, "retry-buffer"),
        (ROUTE, "match/headers/0", header(json!({"prefix": "open"})), Error, "backend-match"),
        (ROUTE, "match/headers/0", header(json!({"exact": "openai", "ignore_case": true})), Error, "backend-match"),
        (ROUTE, "match/headers/0", json!({"name": "x-weir-backend", "present_match": true}), Error, "backend-match"),
        (ROUTE, "match/headers", Value::Null, Error, "catch-all"),
        (MANAGER, early, json!({"remove": "x-other"}), Error, "early-headers"),
        (MANAGER, "early_header_mutation_extensions/0/typed_config/mutations/1", json!({}), Warning, "early-headers"),
        (MANAGER, "early_header_mutation_extensions", Value::Null, Error, "early-headers"),
        (HOST, "matcher", json!({}), Note, "routes-unknown"),
        (TABLE, "name", json!("another"), Warning, "routes-unknown"),
    ];
    breaks(&healthy(), &rows);
    let mut dump = healthy();
    set(&mut dump, &format!("{TABLE}/request_headers_to_remove"), json!(["x-weir-attempt"]));
    assert_eq!(codes(&report(&dump)), [(Warning, "leaving-headers"); 2]);
    // No limit on time is not a short one.
    for (field, value) in [("stream_idle_timeout", "0s"), ("stream_idle_timeout", "3600s")] {
        let mut dump = healthy();
        set(&mut dump, &format!("{MANAGER}/{field}"), json!(value));
        assert_eq!(codes(&report(&dump)), [], "{value}");
    }
}

#[test]
fn a_route_without_a_host_to_set_needs_no_rule_for_it() {
    let mut dump = healthy();
    set(&mut dump, &format!("{FILTER}/mutation_rules/allow_all_routing"), Value::Null);
    for index in 0..2 {
        set(&mut dump, &format!("{HOST}/routes/{index}/route/auto_host_rewrite"), json!(true));
    }
    assert_eq!(codes(&report(&dump)), [(Note, "mutation-rules")]);
}

#[test]
fn the_header_that_a_filter_removes_is_removed_too_late() {
    let mut dump = healthy();
    set(&mut dump, &format!("{MANAGER}/early_header_mutation_extensions"), Value::Null);
    let kind = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
    let filters = dump.pointer_mut(&format!("{MANAGER}/http_filters")).unwrap().as_array_mut().unwrap();
    let config = json!({"@type": kind, "mutations": {"request_mutations": [{"remove": "x-weir-backend"}]}});
    filters.insert(0, json!({"name": "strip", "typed_config": config}));
    let report = report(&dump);
    assert_eq!(codes(&report), [(Error, "early-headers")]);
    assert!(report.findings[0].means.contains("after the route has been chosen"), "{:?}", report.findings);
}

#[test]
fn what_writes_credentials_down_has_its_finding() {
    let format = "access_log/0/typed_config/log_format/json_format/key";
    let trace = |name: &str| json!({"custom_tags": [{"tag": "k", "request_header": {"name": name}}]});
    let upstream =
        json!([{"typed_config": {"log_format": {"text_format_source": {"inline_string": "%REQ(api-key)%"}}}}]);
    let rows = [
        (MANAGER, format, json!("%REQ(AUTHORIZATION)%"), Error, "logs-credentials"),
        (MANAGER, format, json!("%REQ(X-A?X-API-KEY):20%"), Error, "logs-credentials"),
        (MANAGER, format, json!("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"), Note, "logs-query"),
        (MANAGER, "tracing", trace("x-goog-api-key"), Error, "logs-credentials"),
        (MANAGER, "http_filters/1/typed_config/upstream_log", upstream, Error, "logs-credentials"),
        (
            LISTENER,
            "access_log",
            json!([{"typed_config": {"additional_request_headers_to_log": ["Authorization"]}}]),
            Error,
            "logs-credentials",
        ),
    ];
    breaks(&healthy(), &rows);
    let mut dump = healthy();
    set(&mut dump, &format!("{MANAGER}/tracing"), trace("user-agent"));
    assert_eq!(codes(&report(&dump)), []);
    let router = json!({"name": "router", "typed_config": {
        "@type": "x/envoy.extensions.filters.http.router.v3.Router",
        "upstream_log": [{"typed_config": {"log_format": {"json_format": {"k": "%REQ(cookie)%"}}}}],
    }});
    let filters = format!("typed_extension_protocol_options/{OPTIONS}/http_filters");
    breaks(&healthy(), &[(PROVIDER, &filters, json!([router]), Error, "logs-credentials")]);
    let tap = json!({"name": "t", "typed_config": {"@type": "x/envoy.extensions.filters.http.tap.v3.Tap"}});
    let mut dump = healthy();
    dump.pointer_mut(&format!("{MANAGER}/http_filters")).unwrap().as_array_mut().unwrap().insert(0, tap);
    assert_eq!(codes(&report(&dump)), [(Warning, "tap")]);
    // What serves others is others' business.
    let mut other = healthy().pointer(LISTENER).unwrap().clone();
    let manager = &mut other["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http_filters"].as_array_mut().unwrap().remove(0);
    manager["rds"]["route_config_name"] = json!("web");
    manager["tracing"] = trace("authorization");
    let mut dump = healthy();
    dump["configs"][1]["static_listeners"].as_array_mut().unwrap().push(json!({"listener": other}));
    assert_eq!(codes(&report(&dump)), []);
}

#[test]
fn a_foreign_local_reply_config_is_found() {
    let config = healthy().pointer(&format!("{MANAGER}/local_reply_config")).unwrap().clone();
    let mut general = config.clone();
    general["body_format"] = json!({"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}});
    let mut inverted = config.clone();
    let filter = &mut inverted["mappers"][0]["filter"]["and_filter"]["filters"][0]["metadata_filter"]["matcher"];
    *filter = json!({"filter": "weir", "path": [{"key": "outcome"}], "value": {"present_match": true}, "invert": true});
    let mut added = config;
    let mapper = json!({"filter": {"status_code_filter": {}}, "status_code": 500});
    added["mappers"].as_array_mut().unwrap().push(mapper);
    for config in [general, inverted, added] {
        breaks(&healthy(), &[(MANAGER, "local_reply_config", config, Warning, "local-reply-wraps")]);
    }
    breaks(&healthy(), &[(MANAGER, "local_reply_config", Value::Null, Note, "local-reply-missing")]);
    // One that changes no answer of Weir's wraps nothing.
    let mut dump = healthy();
    let harmless = json!({"mappers": [{"filter": {"status_code_filter": {}}, "headers_to_add": []}]});
    set(&mut dump, &format!("{MANAGER}/local_reply_config"), harmless);
    assert_eq!(codes(&report(&dump)), []);
}
