//! `weir render`: a real Envoy accepts what it writes, whole, as files and as pieces put into another
//! bootstrap, and serves a call with it beside `weir run`. The bytes are kept in `tests/golden/render`;
//! `WEIR_BLESS=1` writes them anew.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use weir::up::RunDir;

use super::egress::{ONE_BACKEND, envoy, mock};
use crate::support::envoy_stats::Admin;
use crate::support::http1::{self, Request};
use crate::support::process::{self, Child};

const LONG: Duration = Duration::from_secs(60);

const ASK: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say something."}]}"#;

/// Backends of each kind that a cluster can have, and a key that no output may hold.
const DOCUMENTS: &str = "\
apiVersion: weir.dev/v1alpha1
kind: WeirBootstrap
metadata: {name: process}
spec:
  listen: {extProc: 'unix:/run/weir/extproc.sock'}
  egress: {listen: '127.0.0.1:10080', envoyAdmin: '127.0.0.1:9902'}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {env: A_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: own}
spec: {endpoint: 'http://127.0.0.1:8000/v1', dialect: OpenAI, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: own, namespace: shop}
spec: {endpoint: 'http://127.0.0.1:8001/v1', dialect: OpenAI, credentials: [{type: None}]}
";

const KEY: &str = "sk-canary-render-0123456789";

/// A bootstrap of somebody's own, with one route of its own.
const MINIMAL: &str = r#"{
  "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
  "static_resources": {"clusters": [], "listeners": [{
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
    "filter_chains": [{"filters": [{
      "name": "envoy.filters.network.http_connection_manager",
      "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "own",
        "route_config": {"virtual_hosts": [{"name": "own", "domains": ["own.example"], "routes": [
          {"match": {"prefix": "/"}, "direct_response": {"status": 204}}
        ]}]},
        "http_filters": [{
          "name": "envoy.filters.http.router",
          "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}
        }]
      }
    }]}]
  }]}
}"#;

/// A directory with these documents, and its file.
fn documents(text: &str) -> (RunDir, String) {
    let directory = RunDir::create().expect("a directory");
    let file = directory.file("weir.yaml");
    std::fs::write(&file, text).expect("a file");
    (directory, file.display().to_string())
}

/// What `weir render --mesh envoy` with these arguments writes.
fn render(arguments: &[&str]) -> String {
    let mut command = process::weir(&["render", "--mesh", "envoy"]);
    let output = command.args(arguments).env("A_KEY", KEY).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {err}");
    assert!(!out.contains(KEY) && !err.contains(KEY), "{arguments:?}: the key is in the output");
    out.into_owned()
}

/// Panics where Envoy does not accept this configuration.
pub(super) async fn validate(config: &Path) {
    let output = Command::new(envoy().await)
        .args(["--mode", "validate", "--log-level", "error", "--config-path"])
        .arg(config)
        .output()
        .expect("Envoy starts");
    assert!(output.status.success(), "{}: {}", config.display(), String::from_utf8_lossy(&output.stderr));
}

/// Panics where a rendered text is not the one that is kept.
pub(super) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/render").join(name);
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, text).expect("a golden file");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is no longer what is rendered (WEIR_BLESS=1 writes it anew):\n{text}", path.display());
}

/// Puts each piece where its comment says.
fn apply(patch: &str, bootstrap: &mut Value) {
    let mut pieces = 0;
    for piece in patch.split("---\n").skip(1) {
        let said =
            |key: &str| piece.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{piece}"));
        let (at, how) = (said("# at: "), said("# how: "));
        let value: Value = serde_saphyr::from_str(piece).unwrap_or_else(|error| panic!("{error}: {piece}"));
        let mut place = &mut *bootstrap;
        for key in at.split('/').skip(1) {
            place = match key.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[key],
            };
        }
        match (how, value) {
            ("set these fields", Value::Object(fields)) => place.as_object_mut().expect("an object").extend(fields),
            ("append to this list; make it where there is none", Value::Array(items)) => {
                if place.is_null() {
                    *place = json!([]);
                }
                place.as_array_mut().expect("a list").extend(items);
            }
            ("insert into this list, directly before envoy.filters.http.router", Value::Array(items)) => {
                let list = place.as_array_mut().expect("a list");
                let router = list.iter().position(|filter| filter["name"] == "envoy.filters.http.router");
                let router = router.expect("a router");
                list.splice(router..router, items);
            }
            (how, value) => panic!("{at}: nobody knows how to {how} with {value}"),
        }
        pieces += 1;
    }
    assert!(pieces >= 10, "{patch}");
}

#[tokio::test]
async fn envoy_accepts_every_form_and_the_bytes_are_those_kept() {
    let (directory, file) = documents(DOCUMENTS);
    let ca = ["--ca-file", "/etc/ssl/certs/ca-certificates.crt"];
    for (name, more) in [("envoy.yaml", &[][..]), ("patch.yaml", &["--patch"])] {
        let arguments = [&[file.as_str()], &ca[..], more].concat();
        let text = render(&arguments);
        assert_eq!(text, render(&arguments), "{name}: twice the same");
        golden(name, &text);
    }
    let whole = directory.file("whole.yaml");
    std::fs::write(&whole, render(&[&file])).expect("a file");
    validate(&whole).await;

    let mut bootstrap: Value = serde_json::from_str(MINIMAL).expect("JSON");
    apply(&render(&[&file, "--patch"]), &mut bootstrap);
    let patched = directory.file("patched.json");
    std::fs::write(&patched, bootstrap.to_string()).expect("a file");
    validate(&patched).await;

    let out = directory.file("out");
    assert_eq!(render(&[&file, "--out", out.to_str().expect("text")]), "");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("it is written");
    for name in ["envoy.yaml", "clusters.yaml", "routes.yaml"] {
        let text = read(name);
        assert!(text.starts_with("# ") && text.contains(&out.join(name).display().to_string()), "{text}");
        assert!(!text.contains(KEY), "{name}");
    }
    validate(&out.join("envoy.yaml")).await;
}

/// Envoy with this configuration, once it listens, and where.
pub async fn start(directory: &RunDir, config: &Path) -> (Child, String) {
    let mut command = Command::new(envoy().await);
    let admin = directory.file("admin.txt");
    command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn"]);
    command.arg("--admin-address-path").arg(&admin).arg("--config-path").arg(config);
    let proxy = Child::spawn("envoy", command);
    let until = Instant::now() + LONG;
    loop {
        let address = std::fs::read_to_string(&admin).unwrap_or_default();
        if let (false, Ok(listeners)) = (address.is_empty(), Admin::new(&address).get("/listeners").await) {
            let found = listeners.lines().find_map(|line| line.rsplit_once("::")).map(|(_, at)| at.to_owned());
            let is_ready = Admin::new(&address).get("/ready").await.is_ok();
            if let Some(at) = found.filter(|at| is_ready && !at.ends_with(":0")) {
                return (proxy, at);
            }
        }
        assert!(Instant::now() < until, "Envoy is not ready: {}", proxy.written());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Envoy with this configuration beside `weir run` answers a call with the mock's answer.
async fn serves(form: &str) {
    let mock = mock().await;
    let (directory, _) = documents("");
    let at = directory.path().display();
    let process = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: p}}\nspec:\n  \
         listen: {{extProc: 'unix:{at}/run/e.sock', adminSocket: 'unix:{at}/a.sock', metrics: '127.0.0.1:0'}}\n  \
         egress: {{listen: '127.0.0.1:0', envoyAdmin: '127.0.0.1:0'}}\n---\n"
    );
    let file = directory.file("weir.yaml");
    std::fs::write(&file, process + &ONE_BACKEND.replace("{mock}", &mock.addr().to_string())).expect("a file");
    let file = file.to_str().expect("text");
    let weir = Child::spawn("weir run", process::weir(&["run", "--config", file]));
    weir.ready_line("ready ", LONG);

    let mut config = directory.file("envoy.yaml");
    match form {
        "whole" => std::fs::write(&config, render(&[file])).expect("a file"),
        "files" => {
            render(&[file, "--out", directory.path().to_str().expect("text")]);
        }
        _ => {
            let mut bootstrap: Value = serde_json::from_str(MINIMAL).expect("JSON");
            apply(&render(&[file, "--patch"]), &mut bootstrap);
            config = directory.file("patched.json");
            std::fs::write(&config, bootstrap.to_string()).expect("a file");
        }
    }
    let (mut proxy, address) = start(&directory, &config).await;
    // A client cannot name the backend itself.
    let headers = [("content-type", "application/json"), ("x-weir-backend", "nobody")];
    let request = Request { method: "POST", path: "/v1/chat/completions", headers: &headers };
    let answer = http1::exchange(&address, "POST", &request.with_length(ASK.as_bytes())).await.expect("an answer");
    assert!(answer.status == 200 && answer.complete, "{form}: {answer:?}");
    assert_eq!(mock.tally().requests, 1, "{form}");
    let unknown = br#"{"model":"gpt-4o-mini","messages":[}"#;
    let refused = http1::exchange(&address, "POST", &request.with_length(unknown)).await.expect("an answer");
    assert!(refused.status == 400 && refused.text().contains("invalid_json"), "{form}: {refused:?}");
    assert!(proxy.stop(LONG).success(), "{form}: {}", proxy.written());
    mock.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_of_ones_own_serves_with_every_form() {
    for form in ["whole", "files", "patch"] {
        serves(form).await;
    }
}

#[tokio::test]
async fn a_listener_with_tls_needs_a_certificate_of_envoys_own() {
    let tls = "tls: {certificate: {file: /c}, key: {file: /k}, clientCA: {file: /a}, peers: ['spiffe://d/p']}";
    let secured = DOCUMENTS.replace("'unix:/run/weir/extproc.sock'", &format!("'tcp:127.0.0.1:9700', {tls}"));
    let (directory, file) = documents(&secured);
    let paths = ["/etc/envoy/tls.crt", "/etc/envoy/tls.key", "/etc/envoy/ca.crt", "spiffe://mesh/ns/llm/sa/weir"];
    let names = ["--client-certificate", "--client-key", "--weir-ca", "--weir-name"];
    let options: Vec<&str> = names.iter().zip(paths).flat_map(|(name, path)| [*name, path]).collect();
    let text = render(&[&[file.as_str()], &options[..]].concat());
    let patch = render(&[&[file.as_str(), "--patch"], &options[..]].concat());
    for (name, path) in names.iter().zip(paths) {
        assert!(text.contains(path) && patch.contains(path), "{name}: {text}");
    }
    let failed = |arguments: &[&str], expected: &str| {
        let output = process::weir(&["render", "--mesh", "envoy"]).args(arguments).env("A_KEY", KEY).output();
        let output = output.expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}: {said}");
    };
    failed(&[&file], "--client-certificate, --client-key, --weir-ca and --weir-name");
    failed(&[&[file.as_str()], &options[..2]].concat(), "--client-key");
    let (_plain, file) = documents(DOCUMENTS);
    failed(&[&[file.as_str()], &options[..]].concat(), "without TLS");
    drop(directory);
}
