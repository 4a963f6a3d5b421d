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
        let text = whole(plan).unwrap();
        assert_eq!(text, whole(plan).unwrap());
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
        let files = files(plan).unwrap();
        assert!(files.iter().all(|file| file.text.starts_with("# ")));
        assert_eq!(read(&files[1].text), envoy::clusters(plan));
        assert_eq!(read(&files[2].text), envoy::routes(plan));
        let text = envoy::bootstrap(plan).to_string().replace(".json\"", ".yaml\"");
        assert_eq!(read(&files[0].text), serde_json::from_str::<Value>(&text).unwrap());
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
