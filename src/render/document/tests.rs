//! What is written as YAML is read again as what it was made from.

use std::path::Path;

use proptest::prelude::*;

use std::time::Duration;

use super::*;
use crate::render::envoy::{BodyMode, EXTPROC_CLUSTER, ExtProc};
use crate::target::Upstream;

fn with_plan<T>(use_it: impl FnOnce(&Plan) -> T) -> T {
    let upstream = |name: &str, https| Upstream {
        name: name.into(),
        https,
        host: "api.example.com".to_owned(),
        port: 443,
        ca: Some("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".into()),
        server_name: None,
    };
    // Names that YAML would read as something else.
    let upstreams = [upstream("1e5", true), upstream("no", false), upstream("0x10", false)];
    use_it(&Plan {
        listen: ([127, 0, 0, 1], 10000).into(),
        admin: ([127, 0, 0, 1], 9901).into(),
        extproc: ExtProc::Unix(Path::new("/run/weir/extproc.sock")),
        files: Path::new("/etc/weir: #1"),
        access_log: Some(Path::new("/dev/stdout")),
        system_ca: Path::new("/ca.pem"),
        max_request: 33_554_432,
        body_mode: BodyMode::FullDuplex,
        max_wait: Duration::from_secs(240),
        upstreams: &upstreams,
        chains: &[],
        follows: false,
        node_id: "weir",
        envoy_version: "1.40.0",
    })
}

fn read(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn the_whole_document_holds_clusters_and_routes_itself() {
    with_plan(|plan| {
        let text = whole(plan, None).unwrap();
        assert_eq!(text, whole(plan, None).unwrap());
        let document = read(&text);
        assert_eq!(document.get("dynamic_resources"), None);
        let clusters = document["static_resources"]["clusters"].as_array().unwrap();
        let names: Vec<_> = clusters.iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
        assert_eq!(names, [EXTPROC_CLUSTER, "1e5", "no", "0x10"]);
        let manager = document.pointer(MANAGER).unwrap();
        assert_eq!(manager.get("rds"), None);
        assert_eq!(manager["route_config"], table(plan));
        assert_eq!(manager["http_filters"], envoy::bootstrap(plan).pointer(MANAGER).unwrap()["http_filters"]);
    });
}

#[test]
fn files_hold_what_up_runs_under_their_own_names() {
    with_plan(|plan| {
        let files = files(plan, None).unwrap();
        assert!(files.iter().all(|file| file.text.starts_with("# ")));
        assert_eq!(read(&files[1].text), envoy::clusters(plan));
        assert_eq!(read(&files[2].text), envoy::routes(plan));
        let text = envoy::bootstrap(plan).to_string().replace(".json\"", ".yaml\"");
        assert_eq!(read(&files[0].text), serde_json::from_str::<Value>(&text).unwrap());
    });
}

#[test]
fn callers_come_by_mutual_tls_where_it_is_said_and_nothing_else_changes() {
    let path = Path::new;
    let callers = FromCallers { certificate: path("/tls.crt"), key: path("/tls.key"), ca: path("/callers.crt") };
    with_plan(|plan| {
        let mut secured = read(&whole(plan, Some(callers)).unwrap());
        assert_eq!(secured, {
            let mut whole = read(&whole(plan, None).unwrap());
            whole.pointer_mut(CHAIN).unwrap()["transport_socket"] = tls::from_callers(callers);
            whole
        });
        let chain = secured.pointer_mut(CHAIN).unwrap();
        let tls = &chain["transport_socket"]["typed_config"];
        assert_eq!(tls["require_client_certificate"], true);
        let context = &tls["common_tls_context"];
        assert_eq!(context["validation_context"]["trusted_ca"]["filename"], "/callers.crt");
        assert_eq!(context["tls_certificates"][0]["private_key"]["filename"], "/tls.key");
        let bootstrap = read(&files(plan, Some(callers)).unwrap()[0].text);
        assert_eq!(bootstrap.pointer(CHAIN).unwrap()["transport_socket"], chain["transport_socket"]);
    });
}

#[test]
fn every_field_of_the_connection_manager_is_in_the_patch_or_left_out_by_name() {
    with_plan(|plan| {
        let manager = envoy::bootstrap(plan).pointer(MANAGER).cloned().unwrap();
        let pieces = pieces(plan);
        let set = &pieces.iter().find(|piece| piece.at == MANAGER).unwrap().value;
        for (name, value) in manager.as_object().unwrap() {
            assert!(NOT_SET.contains(&name.as_str()) || set[name] == *value, "{name}");
        }
        for name in NOT_SET {
            assert!(manager.get(name).is_some(), "{name} is no field any more");
        }
        assert!(pieces.iter().all(|piece| !piece.value.is_null()));
        assert_eq!(patch(plan).unwrap(), patch(plan).unwrap());
    });
}

proptest! {
    #[test]
    fn any_string_is_read_as_it_was_written(text in any::<String>(), key in "[a-z@:.~-]{1,8}") {
        let value = json!({"list": [{key: text.clone()}], "text": text});
        prop_assert_eq!(read(&yaml(&value).unwrap()), value);
    }
}
