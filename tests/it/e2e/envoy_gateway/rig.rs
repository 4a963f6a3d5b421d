//! One gateway pod without a cluster: the Envoy that Envoy Gateway would configure, and `weir run` as the rendered
//! container would start it, with mocks in the place of providers.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use weir::identity::key::{Digest, RANDOM, new_key};
use weir::mock::Mock;
use weir::up::RunDir;

use super::super::egress::mock;
use super::super::pair::{Call, Protocol};
use super::super::render::start;
use super::super::tls::{SERVER, certificate};
use super::rendered::Rendered;
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::gateway_xds::{Scheme, Xds};
use crate::support::process::{self, Child};
use crate::support::response::Response;

const LONG: Duration = Duration::from_secs(60);

/// The digest that stands in the example.
const DIGEST: &str = "a7bdd28d5d0bfeee7b3ee3ba9ec20bb21d8ded2ecc0bb2bb4ed1e17f3be9c0b6";

/// The names of the example's backends.
const BACKENDS: [&str; 3] = ["openai", "anthropic", "vllm"];

/// Weir's own cluster and a gateway's name for it.
const PROCESS_CLUSTER: &str = "envoyextensionpolicy/weir-system/weir/extproc/0";

/// Two servers with the same certificate, of which one is checked with another CA.
const PRIVATE: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: private}
spec: {endpoint: 'https://llm.test/llm/v1', dialect: OpenAI, tls: {ca: {file: {own}}}, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: stranger}
spec: {endpoint: 'https://llm.test/llm/v1', dialect: OpenAI, tls: {ca: {file: {other}}}, credentials: [{type: None}]}
";

pub struct Rig {
    /// Envoy's listener, as `host:port`.
    pub address: String,
    key: String,
    mocks: Vec<(&'static str, Mock)>,
    weir: Child,
    server: Option<Child>,
    _proxy: Child,
    oracle: Oracle,
    _directory: RunDir,
}

/// What a provider saw of a call.
#[derive(Debug)]
pub struct Seen {
    pub host: String,
    headers: Vec<(String, String)>,
}

// === impl Rig ===

impl Rig {
    /// Brings up a gateway with these documents, and with the patches in force or not.
    pub async fn start(documents: &str, patched: bool) -> Rig {
        Rig::start_version(documents, patched, "1.9").await
    }

    /// As an earlier version would have it.
    pub async fn start_version(documents: &str, patched: bool, version: &str) -> Rig {
        Rig::bring_up(documents, patched, version, None).await
    }

    /// With a server whose certificate has a CA of its own.
    pub async fn start_private() -> Rig {
        let directory = RunDir::create().expect("a directory");
        let (own, key) = certificate(directory.path(), "own");
        let (other, _) = certificate(directory.path(), "other");
        let mut command = Command::new("python3");
        command.args(["-c", SERVER, &own, &key]);
        let server = Child::spawn("https server", command);
        let port = process::ready_value(&server.ready_line("ready ", LONG), "port").parse().expect("a port");
        // Without the example's WeirBootstrap: the command adds one.
        let (_, example) = super::EXAMPLE.split_once("---\n").expect("several documents");
        let documents = example.to_owned() + &PRIVATE.replace("{own}", &own).replace("{other}", &other);
        Rig::bring_up(&documents, true, "1.9", Some((server, port))).await
    }

    async fn bring_up(documents: &str, patched: bool, version: &str, server: Option<(Child, u16)>) -> Rig {
        let mut mocks = Vec::new();
        for name in BACKENDS {
            mocks.push((name, mock().await));
        }
        let directory = RunDir::create().expect("a directory");
        let key = new_key(&[7; RANDOM]);
        let documents = with_mocks(documents).replace(DIGEST, &Digest::of(&key).hex());
        let mut rendered = Rendered::of(&documents, &["--gateway-version", version]);
        let at = directory.path().display().to_string();
        rendered.resources.iter_mut().for_each(|resource| moved(resource, &at));
        let weir = run_weir(&rendered, directory.path());

        let https = server.as_ref().map(|(_, port)| *port);
        let place = |host: &str, _: u64| {
            let name = host.split('.').next().unwrap_or_default();
            let of_mock = mocks.iter().find(|(own, _)| *own == name).map(|(_, mock)| mock.addr().port());
            let port = of_mock.or(https).unwrap_or_else(|| panic!("nobody knows {host}"));
            ("127.0.0.1".to_owned(), port)
        };
        let xds = Xds::of(&rendered.resources, Scheme::Gateway, place);
        let xds = if patched { xds.patched(&rendered.resources) } else { xds };
        let config = directory.file("envoy.json");
        std::fs::write(&config, xds.bootstrap().to_string()).expect("a file");
        let (proxy, address) = start(&directory, &config).await;
        let admin = std::fs::read_to_string(directory.file("admin.txt")).expect("Envoy's admin address");
        let oracle = Oracle::new(Admin::new(&admin), proxy.id(), &[PROCESS_CLUSTER]);
        let server = server.map(|(server, _)| server);
        Rig { address, key, mocks, weir, server, _proxy: proxy, oracle, _directory: directory }
    }

    /// The call as the example's consumer makes it.
    pub fn call(&self, mut call: Call) -> Call {
        call.headers.retain(|(name, _)| name != "authorization");
        call.with(&[("authorization", &format!("Bearer {}", self.key))])
    }

    pub async fn send(&self, call: Call) -> Response {
        self.call(call).send(Protocol::Http1, &self.address).await
    }

    pub fn mock(&self, name: &str) -> &Mock {
        &self.mocks.iter().find(|(own, _)| *own == name).expect("a backend of the example").1
    }

    /// What a backend's host is to its provider.
    pub fn host(&self, backend: &str) -> String {
        if backend == "vllm" { "vllm.models.svc:8000".to_owned() } else { format!("{backend}.mock.test") }
    }

    /// What came to all mocks.
    pub fn requests(&self) -> u64 {
        self.mocks.iter().map(|(_, mock)| mock.tally().requests).sum()
    }

    pub fn stop_weir(&mut self) {
        assert!(self.weir.stop(LONG).success(), "{}", self.weir.written());
    }

    /// What the https server wrote.
    pub fn written(&self) -> String {
        self.server.as_ref().map(Child::written).unwrap_or_default()
    }

    /// Panics when Envoy complains of anything, has ended, or sent another number of requests than arrived.
    pub async fn assert_clean(&self, exceptions: &Exceptions) {
        self.oracle.assert_clean(|| async { self.requests() }, exceptions).await;
    }
}

// === impl Seen ===

impl Seen {
    /// Of the answer to `x-mock-echo`.
    pub fn of(answer: &Response) -> Seen {
        let echo = answer.json();
        let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
        let headers: Vec<(String, String)> =
            echo["headers"].as_array().expect("headers").iter().filter_map(pair).collect();
        let host = headers.iter().find(|(name, _)| name == "host").map(|(_, host)| host.clone());
        Seen { host: host.or(echo["authority"].as_str().map(str::to_owned)).expect("a host"), headers }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The credential that a provider would take.
    pub fn key(&self) -> Option<String> {
        ["authorization", "x-api-key"].into_iter().find_map(|name| self.header(name)).map(str::to_owned)
    }
}

/// The documents, with their providers under names of their own.
fn with_mocks(documents: &str) -> String {
    let line = |line: &str| match line.strip_prefix("  provider: ") {
        Some(provider) => format!("{line}\n  endpoint: http://{provider}.mock.test/v1\n"),
        None => format!("{line}\n"),
    };
    documents.lines().map(line).collect()
}

/// Puts what is in the container's file system below a directory of the test.
fn moved(value: &mut Value, at: &str) {
    match value {
        Value::String(text) => {
            for (from, to) in [
                ("/run/weir-admin/", "/admin/"),
                ("/run/weir-secrets", "/secrets"),
                ("/run/weir/", "/run/"),
                ("/etc/weir", "/documents"),
            ] {
                *text = text.replace(from, &format!("{at}{to}"));
            }
            *text = text.replace("0.0.0.0:9090", "127.0.0.1:0");
        }
        Value::Array(items) => items.iter_mut().for_each(|item| moved(item, at)),
        Value::Object(fields) => fields.values_mut().for_each(|value| moved(value, at)),
        _ => {}
    }
}

/// Weir with the arguments of its container, the ConfigMap and the Secrets mounted as it says.
fn run_weir(rendered: &Rendered, directory: &Path) -> Child {
    let write = |path: &Path, text: &str| {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    let documents = rendered.resources.iter().find(|resource| resource["metadata"]["name"] == "weir-documents");
    for (name, text) in documents.expect("a ConfigMap")["data"].as_object().expect("documents") {
        write(&directory.join("documents").join(name), text.as_str().expect("a document"));
    }
    for name in ["run", "admin"] {
        std::fs::create_dir_all(directory.join(name)).expect("a directory");
    }
    let deployment = &rendered.one("EnvoyProxy")["spec"]["provider"]["kubernetes"]["envoyDeployment"];
    for volume in deployment["pod"]["volumes"].as_array().expect("volumes") {
        if let Some(secret) = volume["secret"]["secretName"].as_str() {
            write(&directory.join("secrets").join(secret).join("token"), &format!("sk-{secret}"));
        }
    }
    let arguments = deployment["initContainers"][0]["args"].as_array().expect("arguments");
    let arguments: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
    let weir = Child::spawn("weir run", process::weir(&arguments));
    weir.ready_line("ready ", LONG);
    weir
}
