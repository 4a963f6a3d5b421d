//! Two tiers on loopback: two real Envoys with a Weir each, sidecar and gateway, with the documents of
//! `examples/egress-gateway` and mutual TLS between the Envoys. What a mesh does is done here by hand: it gives
//! every proxy a certificate, and the caller's proxy makes mutual TLS of plain HTTP.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use weir::mock::Mock;
use weir::render::envoy::EXTPROC_CLUSTER;
use weir::up::RunDir;

use super::resolved::root;
use crate::e2e::ledger;
use crate::e2e::pair::{Call, Protocol};
use crate::e2e::render;
use crate::gateway::rig::pair;
use crate::support::certs::{Authority, Pair, Subject};
use crate::support::envoy_stats::{Admin, Exceptions, Oracle};
use crate::support::process::{self, Child};
use crate::support::response::Response;
use crate::support::root::must;
use crate::support::tls::Client;

const LONG: Duration = Duration::from_secs(60);

const KEY: &str = "sk-canary-of-two-tiers";
const GATEWAY: &str = "spiffe://cluster.local/ns/weir-system/sa/weir-gateway";
/// What an application puts where a key is wanted.
const DUMMY: &str = "Bearer not-a-key";

/// Envoy and Weir, in one directory.
struct Tier {
    weir: Child,
    envoy: Child,
    address: String,
    directory: RunDir,
    oracle: Oracle,
    calls: usize,
}

/// The documents of a tier, with places of this machine.
fn documents(tier: &str, at: &Path, edits: &[(&str, &str)]) -> String {
    let path = root().join(format!("examples/egress-gateway/{tier}/weir.yaml"));
    let at = at.to_str().expect("text");
    let places = [
        ("/run/weir", at),
        ("/var/lib/weir", at),
        ("0.0.0.0:9790", "127.0.0.1:0"),
        ("0.0.0.0:8443", "127.0.0.1:0"),
        ("127.0.0.1:9901", "127.0.0.1:0"),
    ];
    let text = std::fs::read_to_string(path).expect("an example");
    places.iter().chain(edits).fold(text, |text, (from, to)| text.replace(from, to))
}

/// Starts Weir on these documents, and Envoy on what is rendered of them, after `mesh` has changed it.
async fn start(directory: RunDir, text: &str, names: &[(&str, &str)], tls: &[&str], mesh: impl Fn(&mut Value)) -> Tier {
    let file = directory.file("weir.yaml");
    std::fs::write(&file, text).expect("a file");
    let path = file.to_str().expect("text");
    let secrets = directory.file("secrets");
    let mut run = process::weir(&["run", "--config", path, "--secrets-dir", secrets.to_str().expect("text")]);
    run.envs(names.iter().copied()).env("WEIR_LOG", "info");
    let weir = Child::spawn("weir run", run);
    weir.ready_line("ready ", LONG);
    let made = must(process::weir(&[&["render", "--mesh", "envoy", path], tls].concat()));
    let mut made: Value = serde_saphyr::from_str(&made).expect("YAML");
    mesh(&mut made);
    let config = directory.file("envoy.json");
    std::fs::write(&config, made.to_string()).expect("a file");
    let (envoy, address) = render::start(&directory, &config).await;
    let admin = std::fs::read_to_string(directory.file("admin.txt")).expect("where Envoy's admin endpoint is");
    let oracle = Oracle::new(Admin::new(&admin), envoy.id(), &[EXTPROC_CLUSTER]);
    Tier { weir, envoy, address, directory, oracle, calls: 0 }
}

async fn gateway(mesh: &Authority, mock: &Mock) -> Tier {
    let directory = RunDir::create().expect("a directory");
    std::fs::create_dir_all(directory.file("secrets/openai")).expect("a directory");
    std::fs::write(directory.file("secrets/openai/token"), KEY).expect("a file");
    let names = format!("IP:127.0.0.1,URI:{GATEWAY}");
    let own = mesh.sign(Subject { name: "gateway", names: &names, usage: "", days: 2 });
    let provider = format!("provider: openai\n  endpoint: 'http://{}/v1'", mock.addr());
    let text = documents("gateway", directory.path(), &[("provider: openai", &provider)]);
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    let (certificate, key, ca) = (path(&own.certificate), path(&own.key), path(&mesh.certificate));
    let tls = ["--server-certificate", &certificate, "--server-key", &key, "--callers-ca", &ca];
    start(directory, &text, &[], &tls, |_| {}).await
}

async fn sidecar(mesh: &Authority, gateway: &str, namespace: &str, account: &str) -> Tier {
    let directory = RunDir::create().expect("a directory");
    let own = mesh.workload(account, &[&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")]);
    let edits = [("weir-gateway.weir-system.svc.cluster.local", gateway)];
    let text = documents("sidecar", directory.path(), &edits);
    let listen = "  egress: {listen: '127.0.0.1:0', envoyAdmin: '127.0.0.1:0'}\n  ledger:";
    let text = text.replacen("  ledger:", listen, 1);
    let names = [("WEIR_NAMESPACE", namespace), ("WEIR_SERVICE_ACCOUNT", account), ("WEIR_WORKLOAD", account)];
    start(directory, &text, &names, &[], |made| secure(made, &own, &mesh.certificate)).await
}

/// What the DestinationRule of the example asks of Istio's proxy.
fn secure(made: &mut Value, own: &Pair, ca: &Path) {
    let clusters = made["static_resources"]["clusters"].as_array_mut().expect("clusters");
    let gateway = clusters.iter_mut().find(|cluster| cluster["name"] == "gateway").expect("the backend's cluster");
    gateway["transport_socket"] = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {
            "tls_certificates": [pair(own)],
            "validation_context": {
                "trusted_ca": {"filename": ca},
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": GATEWAY}}],
            },
        },
    }});
}

/// What an application sends: it names a model, has no key, and may try to be somebody else.
fn ask(model: &str) -> Call {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let call = Call { headers: Vec::new(), ..Call::chat(body) };
    call.with(&[
        ("content-type", "application/json"),
        ("authorization", DUMMY),
        ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/root/sa/admin"),
        ("x-weir-backend", "openai"),
    ])
}

// === impl Tier ===

impl Tier {
    /// The record of the last exchange, of which there are so many.
    async fn record(&mut self) -> Value {
        self.calls += 1;
        let records = ledger::wait_for(&self.directory.file("usage.jsonl"), self.calls).await;
        assert_eq!(records.len(), self.calls, "one record an exchange: {records:#?}");
        records.last().expect("a record").clone()
    }

    /// Asks the oracle, and ends both in order.
    async fn end(mut self, sent_on: u64) {
        self.oracle.assert_clean(|| async { sent_on }, &Exceptions::default()).await;
        assert!(self.weir.stop(LONG).success(), "{}", self.weir.written());
        assert!(self.envoy.stop(LONG).success(), "{}", self.envoy.written());
        assert!(!self.weir.written().contains(KEY), "a key was written down");
    }
}

/// What a tier has written down of a call.
fn told(record: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let principal = &record["principal"];
    let who = match record["principal"]["team"].as_str() {
        Some(team) => format!("{} of team {team}", text(&principal["name"])),
        None => text(&principal["name"]),
    };
    let signed = if record["signed"] == true { "signed" } else { "not signed" };
    let tokens = match &record["usage"] {
        Value::Null => String::new(),
        usage => format!(", {} tokens in, {} out", text(&usage["input"]), text(&usage["output"])),
    };
    format!("{who}; backend {}, {signed}{tokens}", text(&record["backend"]))
}

/// Whether the README has this in its place.
fn is_told(page: &str) -> bool {
    let path = root().join("examples/egress-gateway/README.md");
    let readme = std::fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme.split_once("what both tiers wrote down:\n\n```text\n").expect("the place");
    let (told, after) = rest.split_once("```").expect("its end");
    if std::env::var_os("WEIR_BLESS").is_some() {
        let place = &readme[before.len()..readme.len() - rest.len()];
        std::fs::write(&path, format!("{before}{place}{page}```{after}")).expect("it can be written");
        return true;
    }
    told == page
}

/// Asks through a sidecar, and says what both tiers made of it.
async fn asked(sidecar: &mut Tier, gateway: &mut Tier, who: &str, model: &str) -> (Response, String) {
    let answer = ask(model).send(Protocol::Http1, &sidecar.address).await;
    let (near, far) = (sidecar.record().await, gateway.record().await);
    for record in [&near, &far] {
        assert_eq!(record["status"].as_u64(), Some(u64::from(answer.status)), "{record}");
    }
    let code = answer.json()["error"]["code"].as_str().map_or(String::new(), |code| format!(" {code}"));
    let said = format!(
        "{who} asks for {model}: {}{code}\n  sidecar: {}\n  gateway: {}\n",
        answer.status,
        told(&near),
        told(&far)
    );
    (answer, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sidecars_meter_and_the_gateway_knows_limits_and_signs() {
    let certificates = RunDir::create().expect("a directory");
    let mesh = Authority::new(certificates.path(), "mesh");
    let mock = Mock::start(tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port")).await;
    // It takes no call that the gateway has not signed.
    mock.require_keys(&[KEY]);
    let mut gateway = gateway(&mesh, &mock).await;
    let mut web = sidecar(&mesh, &gateway.address, "search", "web").await;
    let mut notebook = sidecar(&mesh, &gateway.address, "lab", "notebook").await;
    let mut batch = sidecar(&mesh, &gateway.address, "nightly", "batch").await;

    let mut page = String::new();
    let rows: [(&str, &str, &str, u16); 6] = [
        ("search/web", "gpt-4o", "web", 200),
        ("search/web", "gpt-4o-mini", "web", 200),
        // Two an hour.
        ("search/web", "gpt-4o-mini", "web", 429),
        // Another consumer, another count; and another right.
        ("lab/notebook", "gpt-4o", "notebook", 403),
        ("lab/notebook", "gpt-4o-mini", "notebook", 200),
        // It has a certificate of the mesh, and is no consumer.
        ("nightly/batch", "gpt-4o-mini", "batch", 400),
    ];
    for (who, model, tier, status) in rows {
        let sidecar = match tier {
            "web" => &mut web,
            "notebook" => &mut notebook,
            _ => &mut batch,
        };
        let (answer, said) = asked(sidecar, &mut gateway, who, model).await;
        assert_eq!((answer.status, answer.complete), (status, true), "{said}{answer:?}");
        page += &said;
    }
    assert_eq!(mock.tally().requests, 3, "what is refused at the gateway reaches no provider");
    println!("{page}");
    assert!(is_told(&page), "the README says something else (WEIR_BLESS=1 writes it anew):\n{page}");

    // Whoever has no certificate of the mesh does not come in.
    let other = Authority::new(certificates.path(), "other");
    let forger = other.workload("web", &["spiffe://cluster.local/ns/search/sa/web"]);
    for stranger in [Client::new(&mesh.certificate, None), Client::new(&mesh.certificate, Some(&forger))] {
        let answer = stranger.exchange(&gateway.address, &ask("gpt-4o").http1()).await;
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 0), "{answer:?}");
    }
    assert_eq!(mock.tally().requests, 3);
    for tier in [web, notebook, batch] {
        let calls = tier.calls as u64;
        tier.end(calls).await;
    }
    gateway.end(3).await;
    mock.shutdown().await;
}
