//! A plain Envoy with what is rendered, as it is and broken.

use serde_json::json;

use super::rig::{LONG, Rig, doctor, manager};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_with_what_is_rendered_is_healthy() {
    let rig = Rig::new().await;
    let mut proxy = rig.envoy(|_| {}).await;
    assert_eq!(proxy.call().await.status, 200);
    // All that it can know of a running pair.
    let said = doctor(&["--envoy", &proxy.url, "--config", &rig.config, "--strict"], None);
    assert_eq!(said.code, Some(0), "{said:?}");
    for group in
        ["attachment", "filter", "clusters", "routes", "attempts", "bypass", "secrets", "replies", "stats", "weir"]
    {
        assert!(said.out.contains(&format!("\nok      {group}: ")), "{group}: {said:?}");
    }
    assert!(said.out.starts_with("Envoy 1.40.0: 1 listener, 2 clusters, 2 routes\n"), "{said:?}");
    assert!(said.out.ends_with("\n0 errors, 0 warnings, 0 notes\n") && said.err.is_empty(), "{said:?}");
    // The same twice, from standard input and from a file.
    let dump = proxy.dump().await;
    let piped = doctor(&["-"], Some(&dump));
    assert_eq!(piped.code, Some(0), "{piped:?}");
    assert!(piped.out.contains("-       stats: not looked at: "), "{piped:?}");
    let file = rig.directory.file("dump.json");
    std::fs::write(&file, &dump).expect("a file");
    let kept = doctor(&["--config-dump", file.to_str().expect("text")], None);
    assert_eq!((kept.code, &kept.out), (Some(0), &piped.out));
    assert!(proxy.child.stop(LONG).success(), "{}", proxy.child.written());
    rig.mock.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_broken_in_a_running_envoy_is_found() {
    let rig = Rig::new().await;
    let proxy = rig
        .envoy(|config| {
            let manager = manager(config);
            let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
            route["route"].as_object_mut().expect("an object").remove("timeout");
            manager["access_log"][0]["typed_config"]["log_format"]["json_format"]["who"] =
                json!("%REQ(AUTHORIZATION)%");
            manager.as_object_mut().expect("an object").remove("stream_idle_timeout");
            manager["local_reply_config"]["body_format"] =
                json!({"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}});
            let lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
            let code = json!({"inline_string": "function envoy_on_request(handle) end"});
            let lua =
                json!({"name": "envoy.filters.http.lua", "typed_config": {"@type": lua, "default_source_code": code}});
            manager["http_filters"].as_array_mut().expect("a list").insert(1, lua);
            let cluster = &mut config["static_resources"]["clusters"][0];
            cluster.as_object_mut().expect("an object").remove("circuit_breakers");
        })
        .await;
    let said = doctor(&["--envoy", &proxy.url, "--config", &rig.config, "--format", "json"], None);
    let wanted = [
        "error filter-not-last",
        "error route-timeout",
        "error logs-credentials",
        "warning weir-breakers",
        "warning idle-timeout",
        "warning local-reply-wraps",
    ];
    assert_eq!(said.codes(), wanted, "{said:?}");
    assert_eq!(said.code, Some(1), "{said:?}");
    let text = doctor(&["--envoy", &proxy.url], None);
    assert!(text.code == Some(1) && text.out.contains("\n        change: route.timeout: 0s"), "{text:?}");
    rig.mock.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_failed_without_weir_are_told_and_warnings_fail_only_the_strict() {
    let rig = Rig::without_weir().await;
    let proxy = rig.envoy(|_| {}).await;
    assert_eq!(proxy.call().await.status, 503);
    let arguments = ["--envoy", &proxy.url, "--format", "json"];
    let said = doctor(&arguments, None);
    let codes = said.codes();
    assert!(codes.contains(&"warning counted-connect".to_owned()), "{said:?}");
    assert!(codes.iter().all(|code| code.starts_with("warning counted-")), "{said:?}");
    assert_eq!(said.code, Some(0));
    assert_eq!(doctor(&[&arguments[..], &["--strict"]].concat(), None).code, Some(1));
    // Whoever names Weir's socket wants it to be there.
    let socket = rig.directory.file("a.sock");
    let said = doctor(&[&arguments[..], &["--admin", socket.to_str().expect("text")]].concat(), None);
    assert!(said.code == Some(1) && said.codes().contains(&"error weir-absent".to_owned()), "{said:?}");
    rig.mock.shutdown().await;
}
