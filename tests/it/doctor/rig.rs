//! A Weir, an Envoy with whatever configuration, and the doctor between them.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use weir::mock::Mock;
use weir::up::RunDir;

use crate::e2e::egress::ONE_BACKEND;
use crate::e2e::render;
use crate::support::envoy_stats::Admin;
use crate::support::http1::{self, Request};
use crate::support::process::{self, Child};
use crate::support::response::Response;

pub const LONG: Duration = Duration::from_secs(60);

/// What the doctor says.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A mock provider, a Weir for it, and the configuration of an Envoy between them.
pub struct Rig {
    pub mock: Mock,
    pub weir: Option<Child>,
    /// Weir's documents.
    pub config: String,
    /// What is rendered of them.
    pub rendered: Value,
    pub directory: RunDir,
}

/// A running Envoy.
pub struct Proxy {
    pub child: Child,
    /// Its listener's `host:port`; of several, of one of them.
    pub address: String,
    pub admin: Admin,
    /// `http://host:port` of its admin endpoint.
    pub url: String,
}

/// Runs `weir doctor`, with this on its standard input.
pub fn doctor(arguments: &[&str], input: Option<&str>) -> Said {
    let mut command = process::weir(&[&["doctor"], arguments].concat());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    if let Some(input) = input {
        // It reads all before it says a word, unless it does not want it.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Said {
    /// The codes of findings, by `--format json`.
    pub fn codes(&self) -> Vec<String> {
        let report: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let findings = report["findings"].as_array().expect("a list");
        findings.iter().map(|finding| format!("{} {}", finding["severity"], finding["code"]).replace('"', "")).collect()
    }
}

impl Rig {
    /// With a running Weir.
    pub async fn new() -> Rig {
        let mut rig = Rig::without_weir().await;
        let weir = Child::spawn("weir run", process::weir(&["run", "--config", &rig.config]));
        weir.ready_line("ready ", LONG);
        rig.weir = Some(weir);
        rig
    }

    pub async fn without_weir() -> Rig {
        let mock = Mock::start(tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await;
        let directory = RunDir::create().expect("a directory");
        let at = directory.path().display();
        let process = format!(
            "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: p}}\nspec:\n  \
             listen: {{extProc: 'unix:{at}/run/e.sock', adminSocket: 'unix:{at}/a.sock', metrics: '127.0.0.1:0'}}\n  \
             egress: {{listen: '127.0.0.1:0', envoyAdmin: '127.0.0.1:0'}}\n---\n"
        );
        let file = directory.file("weir.yaml");
        std::fs::write(&file, process + &ONE_BACKEND.replace("{mock}", &mock.addr().to_string())).expect("a file");
        let config = file.display().to_string();
        let output = process::weir(&["render", "--mesh", "envoy", &config]).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rendered = serde_saphyr::from_str(&String::from_utf8_lossy(&output.stdout)).expect("YAML");
        Rig { mock, weir: None, config, rendered, directory }
    }

    /// An Envoy with what is rendered, changed.
    pub async fn envoy(&self, change: impl FnOnce(&mut Value)) -> Proxy {
        let mut config = self.rendered.clone();
        change(&mut config);
        let file = self.directory.file("envoy.json");
        std::fs::write(&file, config.to_string()).expect("a file");
        let (child, address) = render::start(&self.directory, &file).await;
        let at = std::fs::read_to_string(self.directory.file("admin.txt")).expect("the address of its admin endpoint");
        Proxy { child, address, admin: Admin::new(&at), url: format!("http://{}", at.trim()) }
    }
}

impl Proxy {
    /// Its dump, as a file or a pipe would hold it.
    pub async fn dump(&self) -> String {
        self.admin.get("/config_dump?include_eds").await.expect("a dump")
    }

    pub async fn call(&self) -> Response {
        let headers = [("content-type", "application/json")];
        let request = Request { method: "POST", path: "/v1/chat/completions", headers: &headers };
        let body = br#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say something."}]}"#;
        http1::exchange(&self.address, "POST", &request.with_length(body)).await.expect("an answer")
    }
}

/// Where the connection manager is in what is rendered.
pub const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// The manager of a configuration.
pub fn manager(config: &mut Value) -> &mut Value {
    config.pointer_mut(MANAGER).expect("a connection manager")
}
