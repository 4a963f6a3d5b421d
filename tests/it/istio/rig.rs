//! A pod of a mesh on this machine: mocks behind TLS, `weir run`, and an Envoy with what was rendered. Everything
//! ends when the fixture is dropped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use weir::mock::Mock;
use weir::render::attempt::CLUSTER as ATTEMPT_CLUSTER;
use weir::render::envoy::EXTPROC_CLUSTER;
use weir::up::RunDir;

use crate::e2e::ledger;
use crate::e2e::pair::{Call, Protocol};
use crate::e2e::render::start;
use crate::support::certs::{Authority, Pair, Subject};
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::istio::{self, Proxy, Site};
use crate::support::process::{self, Child};
use crate::support::response::Response;
use crate::support::tls;

pub const LONG: Duration = Duration::from_secs(60);

/// The host that applications call.
pub const HOST: &str = "llm.internal";
/// A host of the mesh that is nobody's business.
pub const BYSTANDER: &str = "cart.shop.svc.cluster.local";

/// An address and a port at which that host is too, without TLS.
pub const ADDRESS: (&str, u64) = ("10.9.8.7", 8000);

/// The keys of the documents, by the variables that they name.
pub const KEYS: &[(&str, &str)] = &[
    ("OPENAI_API_KEY", "sk-canary-openai"),
    ("BILLING_API_KEY", "sk-canary-billing"),
    ("ANTHROPIC_API_KEY", "sk-canary-anthropic"),
    ("OWN_API_KEY", "sk-canary-own"),
];

/// Two accounts of one provider, another provider, and a server with an authority of its own.
pub const BACKENDS: &str = "
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {env: OPENAI_API_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: billing}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {env: BILLING_API_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: anthropic}
spec: {provider: anthropic, credentials: [{type: APIKey, apiKey: {env: ANTHROPIC_API_KEY}}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: own}
spec:
  endpoint: https://llm.own.example:8443/v1
  dialect: OpenAI
  tls: {ca: {file: '{dir}/own.ca.pem'}}
  credentials: [{type: APIKey, apiKey: {env: OWN_API_KEY}}]
---
apiVersion: weir.dev/v1alpha1
kind: LLMRoute
metadata: {name: chat}
spec:
  rules:
  - name: again
    matches: [{model: {value: again}}]
    backends: [{name: own, model: m}]
    retry: {attempts: 1, on: [ServerError]}
  - name: either
    matches: [{model: {value: either}}]
    backends: [{name: openai, model: gpt-4o-mini}, {name: anthropic, model: claude-sonnet-4-5, priority: 1}]
";

/// Where nobody listens.
const DOWN: (&str, u64) = ("down.example", 443);

/// Who answers at which host and port.
const PROVIDERS: &[(&str, u64)] = &[("api.openai.com", 443), ("api.anthropic.com", 443), ("llm.own.example", 8443)];

/// A running pod.
pub struct Mesh {
    /// By host.
    pub providers: BTreeMap<&'static str, Mock>,
    pub bystander: Mock,
    /// Where calls to hosts in no table go: the addresses that were called.
    pub passthrough: Mock,
    pub weir: Child,
    pub proxy: Child,
    /// Where the proxy takes calls.
    pub address: String,
    pub admin: Admin,
    pub directory: RunDir,
    /// The mesh's own authority.
    pub authority: Authority,
    oracle: Oracle,
}

/// What is in the directory of every pod before anything runs.
pub struct Place {
    pub directory: RunDir,
    public: Authority,
    own: Authority,
    pub authority: Authority,
}

/// `weir render --mesh istio` with these arguments. Panics when it fails, or says a key.
pub fn render(arguments: &[&str]) -> String {
    let output = rendering(arguments).output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {err}");
    assert!(!out.contains("sk-canary") && !err.contains("sk-canary"), "{arguments:?}: a key is in the output");
    out.into_owned()
}

pub fn rendering(arguments: &[&str]) -> std::process::Command {
    let mut command = process::weir(&["render", "--mesh", "istio"]);
    command.args(arguments).envs(KEYS.iter().copied());
    command
}

/// A WeirBootstrap for a process of this place, and these documents.
pub fn documents(directory: &Path, role: &str, text: &str) -> PathBuf {
    let at = directory.display().to_string();
    let process = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: p}}\nspec:\n  role: {role}\n  \
         listen: {{extProc: 'unix:{at}/run/e.sock', socketAccess: Mount, adminSocket: 'unix:{at}/a.sock', metrics: \
         '127.0.0.1:0'}}\n  ledger: {{path: '{at}/usage.jsonl'}}\n---"
    );
    let path = directory.join("weir.yaml");
    std::fs::write(&path, process + &text.replace("{dir}", &at)).expect("a file of our own");
    path
}

// === impl Place ===

impl Place {
    pub fn new() -> Place {
        let directory = RunDir::create().expect("a directory");
        let authority = |name: &str| Authority::new(directory.path(), name);
        let (public, own, authority) = (authority("public"), authority("own"), authority("mesh"));
        Place { directory, public, own, authority }
    }

    /// The resources in an Envoy, as the control plane would have them there.
    pub fn config(&self, resources: &[Value], proxy: Proxy, site: &Site, label: (&str, &str)) -> Value {
        istio::patched(istio::base(resources, proxy, site), resources, proxy, &[("app", "shop"), label])
    }

    /// What stands around a proxy that nobody calls.
    pub fn nowhere(&self) -> Site {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let hosts = PROVIDERS.iter().chain([&DOWN]);
        let places = hosts.map(|(host, port)| (((*host).to_owned(), *port), address)).collect();
        self.site(places, address, address)
    }

    fn site(
        &self,
        places: BTreeMap<(String, u64), SocketAddr>,
        bystander: SocketAddr,
        passthrough: SocketAddr,
    ) -> Site {
        let bystander = (BYSTANDER.to_owned(), bystander);
        let system_ca = self.public.certificate.clone();
        Site { places, system_ca, bystander, passthrough, downstream: None, mutual: None }
    }

    fn certificate(&self, host: &str) -> Pair {
        let authority = if host == "llm.own.example" { &self.own } else { &self.public };
        authority.sign(Subject { name: host, names: &format!("DNS:{host}"), usage: "", days: 2 })
    }
}

// === impl Mesh ===

impl Mesh {
    /// A pod with a sidecar of this version.
    pub async fn sidecar(version: &str, backends: &str) -> Mesh {
        let place = Place::new();
        let file = documents(place.directory.path(), "Sidecar", backends);
        let text = render(&["--istio-version", version, file.to_str().expect("text")]);
        Mesh::start(place, &file, &text, Proxy::Sidecar, ("weir.dev/inject", "true"), None).await
    }

    /// Starts the pod with these resources. `downstream` is TLS towards clients.
    pub async fn start(
        place: Place,
        file: &Path,
        text: &str,
        proxy: Proxy,
        label: (&str, &str),
        downstream: Option<Value>,
    ) -> Mesh {
        let (mut providers, mut places) = (BTreeMap::new(), BTreeMap::new());
        for (host, port) in PROVIDERS {
            let mock = mock().await;
            places.insert(((*host).to_owned(), *port), front(&place.certificate(host), mock.addr()).await);
            providers.insert(*host, mock);
        }
        let keys = |names: &[usize]| names.iter().map(|at| KEYS[*at].1).collect::<Vec<_>>();
        providers["api.openai.com"].require_keys(&keys(&[0, 1]));
        providers["api.anthropic.com"].require_keys(&keys(&[2]));
        providers["llm.own.example"].require_keys(&keys(&[3]));
        let (bystander, passthrough) = (mock().await, mock().await);
        places.insert((ADDRESS.0.to_owned(), ADDRESS.1), bystander.addr());
        places.insert((DOWN.0.to_owned(), DOWN.1), SocketAddr::from(([127, 0, 0, 1], 1)));
        let site = Site { downstream, ..place.site(places, bystander.addr(), passthrough.addr()) };
        let config = place.config(&istio::resources(text), proxy, &site, label);
        let path = place.directory.file("envoy.json");
        std::fs::write(&path, config.to_string()).expect("a file of our own");

        let mut command = process::weir(&["run", "--config", file.to_str().expect("text")]);
        command.envs(KEYS.iter().copied());
        let weir = Child::spawn("weir run", command);
        weir.ready_line("ready ", LONG);
        let (proxy, address) = start(&place.directory, &path).await;
        let admin = std::fs::read_to_string(place.directory.file("admin.txt")).expect("Envoy has written it");
        let admin = Admin::new(&admin);
        let oracle = Oracle::new(admin.clone(), proxy.id(), &[EXTPROC_CLUSTER, ATTEMPT_CLUSTER]);
        let Place { directory, authority, .. } = place;
        Mesh { providers, bystander, passthrough, weir, proxy, address, admin, directory, authority, oracle }
    }

    /// Makes a call to this host.
    pub async fn call(&self, host: &str, call: Call) -> Response {
        call.with(&[("host", host)]).send(Protocol::Http1, &self.address).await
    }

    /// A chat with this model at the host of the applications.
    pub async fn chat(&self, model: &str, headers: &[(&str, &str)]) -> Response {
        self.call(HOST, chat(model).with(headers)).await
    }

    /// How many requests have come to each provider.
    pub fn counts(&self) -> [u64; 3] {
        PROVIDERS
            .iter()
            .map(|(host, _)| self.providers[host].tally().requests)
            .collect::<Vec<_>>()
            .try_into()
            .expect("3")
    }

    /// The record of the call that was answered so.
    pub async fn record_of(&self, answer: &Response) -> Value {
        let id = answer.header("x-weir-request-id").unwrap_or_else(|| panic!("no id: {answer:?}"));
        let path = self.directory.file("usage.jsonl");
        let find = || ledger::read(&path).into_iter().find(|record| record["id"] == id);
        for _ in 0..600 {
            if let Some(record) = find() {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no record of {id}")
    }

    /// How many calls Weir was asked about.
    pub async fn asked(&self) -> u64 {
        let stats = self.admin.stats().await.expect("Envoy's admin answers");
        let started = stats.ext_proc("streams_started");
        assert_eq!(started.len(), 1, "one filter");
        started[0].1
    }

    /// Asks the oracle. Nothing may have gone where no table leads.
    pub async fn assert_clean(&self, exceptions: &Exceptions) {
        let others = || self.bystander.tally().requests + self.passthrough.tally().requests;
        self.oracle.assert_clean(|| async { self.counts().iter().sum::<u64>() + others() }, exceptions).await;
        assert_eq!(self.passthrough.tally().requests, 0, "a call went to the address that was called");
        assert!(!self.weir.written().contains("sk-canary") && !self.proxy.written().contains("sk-canary"));
    }
}

pub fn chat(model: &str) -> Call {
    Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#))
}

async fn mock() -> Mock {
    Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await
}

/// TLS with this certificate before a server that has none.
async fn front(pair: &Pair, behind: SocketAddr) -> SocketAddr {
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(tls::certificates(&pair.certificate), key)
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(behind).await?;
                server.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    address
}
