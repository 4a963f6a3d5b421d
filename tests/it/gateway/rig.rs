//! What the suites stand on: authorities, certificates and an issuer; a mock; `weir run` behind mutual TLS; an
//! Envoy whose clients come by mutual TLS. Everything ends when the fixture is dropped.
//!
//! In documents `{mock}` stands for the mock's `host:port`, `{dir}` for the directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use weir::app;
use weir::config::{Options, Source};
use weir::mock::Mock;
use weir::render::envoy::{BodyMode, EXTPROC_CLUSTER, ExtProc, Plan};
use weir::render::files;
use weir::render::tls::ToWeir;
use weir::up::RunDir;
use weir::up::install;
use weir::up::process::{Envoy, Launch};

use super::tokens::{ISSUER, Issuer};
use crate::e2e::pair::{Call, Protocol};
pub use crate::faults::rig::{LONG, Samples, wait};
use crate::support::certs::{Authority, Pair};
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::http1::{self, Request};
use crate::support::http2;
use crate::support::process::{self, Child};
use crate::support::response::Response;
use crate::support::tls::Client;

/// Who Envoy is for Weir.
pub const PROXY: &str = "spiffe://mesh/ns/egress/sa/proxy";

/// The backend's key: it reaches the mock only where Weir has signed.
pub const KEY: &str = "sk-canary-of-the-gateway";

/// A place with everything that has to do with certificates.
pub struct Site {
    pub directory: RunDir,
    pub mesh: Authority,
    /// Another authority, which nobody here trusts.
    pub other: Authority,
    pub issuer: Issuer,
    /// Weir's own certificate, and the proxy's for Weir.
    pub weir: Pair,
    pub proxy: Pair,
    /// What Envoy shows to clients.
    pub front: Pair,
    /// Whom Weir lets connect.
    pub client_ca: PathBuf,
}

/// What a rig is made of.
pub struct Parts {
    pub role: &'static str,
    /// Documents beside the WeirBootstrap.
    pub documents: String,
    pub mode: BodyMode,
    /// `forward_client_cert_details` of Envoy.
    pub forward: &'static str,
    /// What `jwt_authn` lets pass besides a valid token.
    pub tokens: &'static str,
    /// Exchanges after which Envoy connects to Weir anew; 0 for never.
    pub per_connection: u32,
}

pub struct Gateway {
    pub site: Site,
    pub mock: Mock,
    pub weir: Child,
    pub envoy: Envoy,
    /// `host:port` that clients call.
    pub address: String,
    /// `host:port` of Weir's public metrics, and of its ext_proc listener.
    pub metrics: String,
    pub extproc: String,
    oracle: Oracle,
}

impl Default for Parts {
    fn default() -> Self {
        Parts {
            role: "Gateway",
            documents: BACKEND.to_owned(),
            mode: BodyMode::FullDuplex,
            forward: "SANITIZE_SET",
            tokens: "allow_missing",
            per_connection: 0,
        }
    }
}

pub const BACKEND: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: main}
spec: {endpoint: 'http://{mock}/v1', dialect: OpenAI, credentials: [{type: APIKey, apiKey: {env: RIG_KEY}}]}
";

// === impl Site ===

impl Site {
    pub fn new() -> Site {
        let directory = RunDir::create().expect("a directory for the run");
        let at = directory.path();
        let (mesh, other) = (Authority::new(at, "mesh"), Authority::new(at, "other"));
        let issuer = Issuer::new(at, "issuer");
        let (weir, proxy, front) = (mesh.server("weir"), mesh.workload("proxy", &[PROXY]), mesh.server("front"));
        let client_ca = mesh.certificate.clone();
        Site { directory, mesh, other, issuer, weir, proxy, front, client_ca }
    }

    /// The `listen` of a Weir that these files are for.
    pub fn listen(&self) -> String {
        let Pair { certificate, key } = &self.weir;
        format!(
            "{{extProc: 'tcp:127.0.0.1:0', adminSocket: 'unix:{}/admin.sock', metrics: '127.0.0.1:0', tls: {{certificate: \
             {{file: {}}}, key: {{file: {}}}, clientCA: {{file: {}}}, peers: ['{PROXY}']}}}}",
            self.directory.path().display(),
            certificate.display(),
            key.display(),
            self.client_ca.display()
        )
    }

    /// A client of ours with this URI in its certificate; none for a certificate without.
    pub fn client(&self, name: &str, uri: Option<&str>) -> Client {
        let uris: Vec<&str> = uri.into_iter().collect();
        Client::new(&self.mesh.certificate, Some(&self.mesh.workload(name, &uris)))
    }
}

/// A WeirBootstrap.
pub fn bootstrap(role: &str, listen: &str, directory: &Path) -> String {
    format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: process}}\nspec:\n  role: {role}\n  \
         listen: {listen}\n  ledger: {{path: {}/usage.jsonl}}\n---\n",
        directory.display()
    )
}

/// Starts Weir on these documents: the process, and its line that it is ready.
pub fn start_weir(directory: &RunDir, documents: &str) -> (Child, String) {
    let path = directory.file("weir.yaml");
    std::fs::write(&path, documents).expect("the directory can be written to");
    let mut command = process::weir(&["run", "--config", &path.display().to_string()]);
    command.env("RIG_KEY", KEY).env("WEIR_LOG", "info");
    let weir = Child::spawn("weir run", command);
    let line = weir.ready_line("ready ", LONG);
    (weir, line)
}

// === impl Gateway ===

impl Gateway {
    pub async fn start(parts: Parts) -> Gateway {
        Gateway::start_at(Site::new(), parts).await
    }

    pub async fn start_at(site: Site, parts: Parts) -> Gateway {
        let mock = Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await;
        mock.require_keys(&[KEY]);
        let at = site.directory.path();
        let documents =
            parts.documents.replace("{mock}", &mock.addr().to_string()).replace("{dir}", &at.display().to_string());
        let config = bootstrap(parts.role, &site.listen(), at) + &documents;
        let (weir, ready) = start_weir(&site.directory, &config);
        let extproc = process::ready_value(&ready, "extproc").trim_start_matches("tcp:").to_owned();
        let source = Source { files: vec![("weir.yaml".to_owned(), config)], ..Source::default() };
        let compiled = app::load(&source, &Options::default()).expect("the configuration of the test is valid");
        let (envoy, address, admin) = attach(&site, &parts, &extproc, &compiled.policy.upstreams).await;
        let oracle = Oracle::new(Admin::new(&admin), envoy.pid().expect("Envoy runs"), &[EXTPROC_CLUSTER]);
        let metrics = process::ready_value(&ready, "metrics");
        Gateway { site, mock, weir, envoy, address, metrics, extproc, oracle }
    }

    /// Makes a call as this client.
    pub async fn call(&self, client: &Client, call: &Call) -> Response {
        send(client, Protocol::Http1, &self.address, call).await
    }

    /// The one record of the exchange with this answer.
    pub async fn record_of(&self, answer: &Response) -> Value {
        let id = answer.header("x-weir-request-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned();
        let find = || self.records().into_iter().filter(|record| record["id"] == *id).collect::<Vec<_>>();
        wait("a record", || async { !find().is_empty() }).await;
        let mut found = find();
        assert_eq!(found.len(), 1, "one record an exchange: {found:#?}");
        found.remove(0)
    }

    /// The lines of the ledger, as they stand.
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.site.directory.file("usage.jsonl")).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(|line| serde_json::from_str(line).expect("a line of the ledger is JSON")).collect()
    }

    pub async fn samples(&self) -> Samples {
        samples(&self.metrics).await
    }

    /// Asks the oracle, and ends everything in order. Weir must end well.
    pub async fn end(mut self, exceptions: &Exceptions) {
        self.oracle.assert_clean(|| async { self.mock.tally().requests }, exceptions).await;
        let status = self.weir.stop(LONG);
        assert!(status.success(), "Weir ended with {status}; it wrote:\n{}", self.weir.written());
        assert!(!self.weir.written().contains(KEY), "a key was written down");
        self.envoy.stop().await.expect("Envoy ends");
        self.mock.shutdown().await;
    }
}

/// All samples of a metrics page.
pub async fn samples(address: &str) -> Samples {
    let request = Request { method: "GET", path: "/metrics", headers: &[] }.head();
    let answer = http1::exchange(address, "GET", &request).await.expect("the metrics port answers");
    assert_eq!(answer.status, 200, "{answer:?}");
    Samples::parse(&answer.text())
}

/// Makes a call over TLS.
pub async fn send(client: &Client, protocol: Protocol, address: &str, call: &Call) -> Response {
    match protocol {
        Protocol::Http1 => client.exchange(address, &call.http1()).await.expect("an answer"),
        Protocol::Http2 => {
            let stream = client.connect(address).await.expect("a connection");
            let mut client = http2::Client::over(stream).await.expect("a connection");
            client.exchange(call.http2(address, http2::whole(&call.body))).await.expect("an answer")
        }
    }
}

/// An Envoy between clients of the mesh and Weir: where it listens, for clients and for us.
async fn attach(
    site: &Site,
    parts: &Parts,
    extproc: &str,
    upstreams: &[weir::target::Upstream],
) -> (Envoy, String, String) {
    let binary = install::locate(None).await.expect("a real Envoy");
    let version = install::version(&binary).await.expect("a real Envoy");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let log = site.directory.file("access.jsonl");
    let to_weir = ToWeir {
        certificate: &site.proxy.certificate,
        key: &site.proxy.key,
        ca: &site.mesh.certificate,
        name: "spiffe://mesh/ns/llm/sa/weir",
    };
    let plan = Plan {
        listen: loopback,
        admin: loopback,
        extproc: ExtProc::Tls(extproc.parse().expect("an address"), to_weir),
        files: site.directory.path(),
        access_log: Some(&log),
        system_ca: &files::system_ca(),
        body_mode: parts.mode,
        max_request: 32 << 20,
        max_wait: Duration::from_secs(240),
        upstreams,
        chains: &[],
        follows: false,
        node_id: "gateway",
        envoy_version: &version,
    };
    let path = files::write(&plan).expect("Envoy's files");
    secure(&path, site, parts);
    launch(&binary, &path, site.directory.path()).await
}

/// Starts an Envoy with this configuration.
async fn launch(binary: &Path, config: &Path, directory: &Path) -> (Envoy, String, String) {
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let launch = Launch {
        envoy: binary,
        config,
        directory,
        listen: loopback,
        admin: loopback,
        concurrency: Some(2),
        log_level: "warn",
    };
    let mut envoy = Envoy::spawn(&launch).expect("Envoy starts");
    let ready = envoy.wait_ready(LONG).await.expect("Envoy is ready");
    (envoy, ready.listen.to_string(), ready.admin.to_string())
}

/// Adds to a rendered Envoy what a mesh adds: TLS towards clients, and the check of tokens before Weir.
fn secure(path: &PathBuf, site: &Site, parts: &Parts) {
    let text = std::fs::read_to_string(path).expect("it was written");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    let chain = &mut config["static_resources"]["listeners"][0]["filter_chains"][0];
    chain["transport_socket"] = downstream(site);
    let manager = &mut chain["filters"][0]["typed_config"];
    manager["forward_client_cert_details"] = json!(parts.forward);
    manager["set_current_client_cert_details"] = json!({"uri": true, "subject": true, "dns": true});
    manager["http_filters"].as_array_mut().expect("filters").insert(0, jwt_authn(&site.issuer, parts.tokens));
    let cluster = &mut config["static_resources"]["clusters"][0];
    assert_eq!(cluster["name"], EXTPROC_CLUSTER);
    if parts.per_connection > 0 {
        let options =
            &mut cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
        options["common_http_protocol_options"] = json!({"max_requests_per_connection": parts.per_connection});
    }
    std::fs::write(path, config.to_string()).expect("it can be written");
}

/// What clients of an Envoy see: its certificate, and that they need one.
pub fn downstream(site: &Site) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [pair(&site.front)],
            "validation_context": {"trusted_ca": {"filename": site.mesh.certificate}},
        },
    }})
}

pub fn pair(pair: &Pair) -> Value {
    json!({"certificate_chain": {"filename": pair.certificate}, "private_key": {"filename": pair.key}})
}

fn jwt_authn(issuer: &Issuer, besides: &str) -> Value {
    json!({"name": "envoy.filters.http.jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"test": {
            "issuer": ISSUER,
            "local_jwks": {"inline_string": issuer.key_set()},
            "payload_in_metadata": "payload",
            "forward": true,
        }},
        "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [
            {"provider_name": "test"},
            {besides: {}},
        ]}}}],
    }})
}
