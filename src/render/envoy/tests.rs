//! The rendered configuration holds what the design says, at the places where Envoy looks for it.

use super::*;

const FILTER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

fn upstream(name: &str, https: bool, host: &str) -> Upstream {
    Upstream { name: name.into(), https, host: host.into(), port: 443, ca: None, server_name: None }
}

fn with_plan<T>(upstreams: &[Upstream], use_it: impl FnOnce(&Plan) -> T) -> T {
    use_it(&Plan {
        listen: ([127, 0, 0, 1], 10000).into(),
        admin: ([127, 0, 0, 1], 9901).into(),
        extproc: ExtProc::Unix(Path::new("/run/weir/extproc.sock")),
        files: Path::new("/run/weir/envoy"),
        access_log: Some(Path::new("/run/weir/access.jsonl")),
        system_ca: Path::new("/etc/ssl/certs/ca-certificates.crt"),
        body_mode: BodyMode::FullDuplex,
        max_request: 33_554_432,
        max_wait: Duration::from_secs(240),
        upstreams,
        chains: &[],
        follows: false,
        node_id: "test",
        envoy_version: "1.40.2",
    })
}

fn manager() -> Value {
    with_plan(&[], bootstrap).pointer(FILTER).cloned().unwrap()
}

fn names(list: &Value, field: Option<&str>) -> Vec<String> {
    let item = |value: &Value| field.map_or(value.clone(), |field| value[field].clone());
    list.as_array().unwrap().iter().map(|value| item(value).as_str().unwrap().to_owned()).collect()
}

#[test]
fn internal_headers_are_removed_before_the_route_and_before_the_provider() {
    let manager = manager();
    let early = names(&manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"], Some("remove"));
    let table = with_plan(&[], routes);
    let late = names(&table["resources"][0]["request_headers_to_remove"], None);
    for header in INTERNAL_HEADERS {
        assert!(early.iter().any(|name| name == header), "{header} from a client would be believed");
        assert!(late.iter().any(|name| name == header), "{header} would reach a provider");
        assert_eq!(*header, header.to_ascii_lowercase());
    }
    for header in CLIENT_HEADERS {
        assert!(!early.iter().any(|name| name == header), "Weir would not see {header}");
        assert!(late.iter().any(|name| name == header), "{header} would reach a provider");
    }
    for header in ORDER_HEADERS {
        assert!(early.iter().any(|name| name == header), "a client could order Envoy with {header}");
    }
}

#[test]
fn attempts_ask_at_a_socket_of_their_own_and_only_beside_their_weir() {
    let upstreams = [upstream("one", true, "one.test"), upstream("two", true, "two.test")];
    let order = ["one", "two"].map(std::sync::Arc::from).to_vec();
    let chains = [Chain { header: "one,two".into(), backends: order }];
    let with = |extproc: ExtProc| {
        with_plan(&upstreams, |plan| {
            let plan = Plan { extproc, chains: &chains, ..plan.clone() };
            (bootstrap(&plan).to_string(), clusters(&plan), routes(&plan).to_string())
        })
    };
    let (filter, all, table) = with(ExtProc::Unix(Path::new("/run/weir/extproc.sock")));
    let own = all["resources"].as_array().unwrap().iter().find(|cluster| cluster["name"] == attempt::CLUSTER).unwrap();
    let address = &own["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
    assert_eq!(address, &json!({"pipe": {"path": "/run/weir/extproc-attempt.sock"}}));
    assert!(filter.contains(attempt::FAILOVER) && table.contains("refresh_cluster_on_retry"));
    let (filter, all, table) = with(ExtProc::Tcp(([127, 0, 0, 1], 9700).into()));
    assert!(!all.to_string().contains("weir_attempt"), "{all}");
    assert!(!filter.contains(attempt::FAILOVER) && !table.contains("refresh_cluster_on_retry"), "{table}");
    for (ext_proc, socket) in [("/run/a.b/weir", "/run/a.b/weir-attempt"), ("/s/x.y.sock", "/s/x.y-attempt.sock")] {
        assert_eq!(attempt::socket(Path::new(ext_proc)), Path::new(socket));
    }
}

#[test]
fn the_processor_stands_before_the_router_in_full_duplex() {
    let manager = manager();
    assert_eq!(
        names(&manager["http_filters"], Some("name")),
        ["envoy.filters.http.ext_proc", "envoy.filters.http.router"]
    );
    let filter = &manager["http_filters"][0]["typed_config"];
    let mode = &filter["processing_mode"];
    for field in ["request_body_mode", "response_body_mode"] {
        assert_eq!(mode[field], "FULL_DUPLEX_STREAMED", "{field}");
    }
    for field in ["request_header_mode", "response_header_mode", "request_trailer_mode", "response_trailer_mode"] {
        assert_eq!(mode[field], "SEND", "{field}");
    }
    assert_eq!(filter["allow_content_length_header"], true);
    assert_eq!(filter["mutation_rules"], json!({"allow_all_routing": true, "allow_envoy": true}));
    assert_eq!(filter["status_on_error"]["code"], "ServiceUnavailable");
    assert_eq!(filter["metadata_options"]["receiving_namespaces"]["untyped"], json!(["weir"]));
    assert_eq!(
        filter["request_attributes"],
        json!(["connection.uri_san_peer_certificate", "source.address", "xds.cluster_name"])
    );
    let said = names(&filter["grpc_service"]["initial_metadata"], Some("value"));
    assert_eq!(said, ["1.40.2", "route", &format!("PerAttempt/{}", crate::target::fingerprint(&[]))]);
}

#[test]
fn the_connection_manager_keeps_what_passes_as_it_is() {
    let manager = manager();
    assert_eq!(manager["stream_idle_timeout"], "900s");
    assert_eq!(manager["server_header_transformation"], "PASS_THROUGH");
    assert_eq!(manager["http_protocol_options"]["enable_trailers"], true);
    assert_eq!(manager["upgrade_configs"], json!([{"upgrade_type": "websocket"}]));
    assert_eq!(manager["rds"]["config_source"]["path_config_source"]["path"], "/run/weir/envoy/routes.json");
    for absent in ["proxy_100_continue", "normalize_path", "merge_slashes", "route_config"] {
        assert!(manager.get(absent).is_none(), "{absent}");
    }
}

#[test]
fn only_a_named_backend_has_a_route_to_a_provider() {
    let backends = [upstream("openai", true, "api.example.com"), upstream("local", false, "127.0.0.1")];
    let table = with_plan(&backends, routes);
    let rows = table.pointer("/resources/0/virtual_hosts/0/routes").unwrap().as_array().unwrap();
    let (last, named) = rows.split_last().unwrap();
    for (row, backend) in named.iter().zip(&backends) {
        let header = &row["match"]["headers"][0];
        assert_eq!(header["name"], BACKEND_HEADER);
        assert_eq!(header["string_match"]["exact"], *backend.name);
        let method = json!({"name": ":method", "string_match": {"exact": "CONNECT"}, "invert_match": true});
        assert_eq!(row["match"]["headers"][1], method);
        assert_eq!([&row["route"]["cluster"], &row["route"]["timeout"]], [&json!(*backend.name), &json!("0s")]);
        // Without an order of Weir's nothing is tried again.
        for order in ["retry_on", "num_retries", "retriable_status_codes"] {
            assert!(row["route"]["retry_policy"].get(order).is_none(), "{order}");
        }
        assert_eq!(row["request_body_buffer_limit"], 34_603_008);
    }
    assert_eq!(named.len(), backends.len());
    assert_eq!(last["direct_response"]["status"], 503);
    assert!(last.get("route").is_none());
}

#[test]
fn https_checks_the_name_against_a_ca() {
    let mut own = upstream("own", true, "10.0.0.7");
    own.ca = Some("/etc/private.pem".into());
    own.server_name = Some("llm.example.com".into());
    let backends = [upstream("named", true, "api.example.com"), upstream("ip", true, "2001:db8::1"), own];
    let found = with_plan(&backends, clusters);
    let facts: Vec<_> = (0..3)
        .map(|index| {
            let cluster = &found["resources"][index];
            let tls = &cluster["transport_socket"]["typed_config"];
            let check = &tls["common_tls_context"]["validation_context"];
            let san = &check["match_typed_subject_alt_names"][0];
            let words = [&cluster["type"], &tls["sni"], &san["san_type"], &san["matcher"]["exact"]];
            (words.map(|word| word.as_str().unwrap_or("none").to_owned()), check["trusted_ca"]["filename"].clone())
        })
        .collect();
    let system = json!("/etc/ssl/certs/ca-certificates.crt");
    let row = |words: [&str; 4], ca: &Value| (words.map(str::to_owned), ca.clone());
    assert_eq!(facts[0], row(["STRICT_DNS", "api.example.com", "DNS", "api.example.com"], &system));
    assert_eq!(facts[1], row(["STATIC", "none", "IP_ADDRESS", "2001:db8::1"], &system));
    assert_eq!(facts[2], row(["STATIC", "llm.example.com", "DNS", "llm.example.com"], &json!("/etc/private.pem")));
}

#[test]
fn plain_http_is_http1_with_trailers_and_no_tls() {
    let found = with_plan(&[upstream("local", false, "localhost")], clusters);
    let cluster = &found["resources"][0];
    let options =
        &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    assert_eq!(options["explicit_http_config"], json!({"http_protocol_options": {"enable_trailers": true}}));
    assert_eq!(cluster["dns_lookup_family"], "V4_PREFERRED");
    assert!(cluster.get("transport_socket").is_none());
}

#[test]
fn breakers_are_wide_and_a_stopped_weir_is_noticed() {
    let whole = with_plan(&[], bootstrap);
    let own = &whole["static_resources"]["clusters"][0];
    let found = with_plan(&[upstream("a", true, "a.example.com")], clusters);
    for cluster in [own, &found["resources"][0]] {
        let limits = &cluster["circuit_breakers"]["thresholds"][0];
        for field in ["max_connections", "max_pending_requests", "max_requests", "max_retries"] {
            assert_eq!(limits[field], 100_000, "{field}");
        }
    }
    let options = &own["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
    let http2 = &options["explicit_http_config"]["http2_protocol_options"];
    let keepalive = &http2["connection_keepalive"];
    assert_eq!([&keepalive["interval"], &keepalive["timeout"]], ["5s", "2s"]);
    assert_eq!(http2["initial_stream_window_size"], 1_048_576);
    assert_eq!(http2["initial_connection_window_size"], 16_777_216);
}

#[test]
fn no_local_reply_is_wrapped_once_weir_has_spoken() {
    let mappers = manager()["local_reply_config"]["mappers"].as_array().unwrap().clone();
    assert!(!mappers.is_empty());
    for mapper in &mappers {
        let filter = mapper.pointer("/filter/and_filter/filters/0").unwrap_or(&mapper["filter"]);
        let metadata = &filter["metadata_filter"];
        assert_eq!(metadata["matcher"]["filter"], "weir");
        assert_eq!(metadata["matcher"]["path"], json!([{"key": "outcome"}]));
        assert!(metadata["matcher"].get("invert").is_none(), "Envoy ignores it");
        assert_eq!(metadata["match_if_key_not_found"], true);
        let error = &mapper["body_format_override"]["json_format"]["error"];
        assert!(["message", "type", "code"].iter().all(|field| error[field].is_string()));
        assert_eq!(mapper["body_format_override"]["content_type"], "application/json");
    }
    assert!(mappers.last().unwrap()["filter"].get("and_filter").is_none(), "the last row takes every other");
}

#[test]
fn the_version_follows_the_content() {
    let version = |found: Value| found["version_info"].as_str().unwrap().to_owned();
    let one = [upstream("a", true, "a.example.com")];
    let other = [upstream("a", true, "b.example.com")];
    assert_eq!(version(with_plan(&one, clusters)), version(with_plan(&one, clusters)));
    assert_ne!(version(with_plan(&one, clusters)), version(with_plan(&other, clusters)));
}

#[test]
fn without_an_access_log_there_is_none() {
    let none = with_plan(&[], |plan| bootstrap(&Plan { access_log: None, ..plan.clone() }));
    assert_eq!(none.pointer(FILTER).unwrap()["access_log"], json!([]));
    let path = "/access_log/0/typed_config/log_format/json_format/path";
    assert_eq!(manager().pointer(path).unwrap(), "%PATH(NQ:PATH)%", "a query may hold a key");
}

#[test]
fn where_envoy_holds_bodies_it_has_room_and_patience_for_them() {
    for (body_mode, request, response) in
        [(BodyMode::BufferedStreamed, "BUFFERED", "STREAMED"), (BodyMode::Buffered, "BUFFERED", "BUFFERED")]
    {
        let max_wait = Duration::from_millis(4500);
        let held = with_plan(&[], |plan| bootstrap(&Plan { body_mode, max_wait, ..plan.clone() }));
        let manager = held.pointer(FILTER).unwrap();
        let filter = &manager["http_filters"][0]["typed_config"];
        assert_eq!(filter["processing_mode"]["request_body_mode"], request);
        assert_eq!(filter["processing_mode"]["response_body_mode"], response);
        assert_eq!((&filter["message_timeout"], &filter["allow_mode_override"]), (&json!("14.500s"), &json!(true)));
        let room = json!(33_554_432 + (1 << 20));
        assert_eq!(held["static_resources"]["listeners"][0]["per_connection_buffer_limit_bytes"], room);
        assert_eq!(manager["http2_protocol_options"]["initial_stream_window_size"], room);
    }
    let duplex = manager();
    assert_eq!(duplex["http2_protocol_options"]["initial_stream_window_size"], 1 << 20);
    let filter = &duplex["http_filters"][0]["typed_config"];
    assert!(filter["message_timeout"].is_null() && filter["allow_mode_override"].is_null(), "{filter}");
}
