//! Weir in an egress gateway: sidecars come by mutual TLS, and who they are is who calls.

use serde_json::json;

use super::rig::{BACKENDS, HOST, LONG, Mesh, Place, chat, documents, render};
use crate::e2e::ledger;
use crate::e2e::pair::Protocol;
use crate::e2e::render::start;
use crate::gateway::rig::pair;
use crate::support::certs::Subject;
use crate::support::envoy_stats::Exceptions;
use crate::support::istio::{Proxy, Site, resources};
use crate::support::tls::Client;

const WEB: &str = "spiffe://cluster.local/ns/search/sa/web";

/// TLS as a gateway has it with `ISTIO_MUTUAL`.
pub(super) fn downstream(place: &Place) -> serde_json::Value {
    let front = place.authority.sign(Subject { name: "gateway", names: "IP:127.0.0.1", usage: "", days: 2 });
    json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [pair(&front)],
            "validation_context": {"trusted_ca": {"filename": place.authority.certificate}},
        },
    }})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_caller_is_who_the_certificate_names() {
    let place = Place::new();
    let file = documents(place.directory.path(), "Gateway", BACKENDS);
    let text = render(&["--istio-version", "1.31", file.to_str().expect("text")]);
    let downstream = downstream(&place);
    let mut mesh =
        Mesh::start(place, &file, &text, Proxy::Gateway, ("weir.dev/gateway", "egress"), Some(downstream)).await;
    let client = |name: &str, uris: &[&str]| {
        Client::new(&mesh.authority.certificate, Some(&mesh.authority.workload(name, uris)))
    };
    let (web, nameless) = (client("web", &[WEB]), client("nameless", &[]));
    let call =
        |host: &str, headers: &[(&str, &str)]| chat("openai/gpt-4o-mini").with(&[("host", host)]).with(headers).http1();
    let forged = [("x-weir-backend", "anthropic"), ("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/a/sa/b")];

    let answer = web.exchange(&mesh.address, &call(HOST, &forged)).await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let records = ledger::wait_for(&mesh.directory.file("usage.jsonl"), 1).await;
    let caller = &records[0]["principal"];
    assert_eq!((&caller["name"], &caller["namespace"]), (&json!(WEB), &json!("search")), "{caller}");
    // In role Gateway nobody calls without a name.
    let answer = nameless.exchange(&mesh.address, &call(HOST, &[])).await.expect("an answer");
    assert_eq!(answer.status, 401, "{answer:?}");
    let bare = Client::new(&mesh.authority.certificate, None).exchange(&mesh.address, &call(HOST, &[])).await;
    assert!(bare.is_err() || bare.is_ok_and(|answer| answer.status == 0), "without a certificate there is no answer");

    assert!(mesh.weir.stop(LONG).success(), "{}", mesh.weir.written());
    for host in [HOST, "api.anthropic.com"] {
        let answer = web.exchange(&mesh.address, &call(host, &forged)).await.expect("an answer");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("weir_unavailable")), "{answer:?}");
    }
    assert_eq!(mesh.counts(), [1, 0, 0]);
    mesh.assert_clean(&Exceptions { may_count: vec!["streams_failed"], ..Exceptions::default() }).await;
}

/// A workload of the mesh without Weir: its sidecar has the route to the gateway and its own certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_leads_to_the_gateway_and_says_who_it_is() {
    let place = Place::new();
    let file = documents(place.directory.path(), "Gateway", BACKENDS);
    let text = render(&["--istio-version", "1.31", file.to_str().expect("text")]);
    let label = ("weir.dev/gateway", "egress");
    let (downstream, all) = (downstream(&place), resources(&text));
    let shown = json!({
        "tls_certificates": [pair(&place.authority.workload("shop", &[WEB]))],
        "validation_context": {"trusted_ca": {"filename": place.authority.certificate}},
    });
    let elsewhere = Place::new();
    let nowhere = elsewhere.nowhere();
    let mesh = Mesh::start(place, &file, &text, Proxy::Gateway, label, Some(downstream)).await;

    let gateway = mesh.address.parse().expect("an address");
    let site = Site { mutual: Some((gateway, shown)), ..nowhere };
    let config = elsewhere.config(&all, Proxy::Sidecar, &site, ("app", "web"));
    let path = elsewhere.directory.file("envoy.json");
    std::fs::write(&path, config.to_string()).expect("a file of our own");
    let (_sidecar, address) = start(&elsewhere.directory, &path).await;
    let call = chat("openai/gpt-4o-mini").with(&[("host", HOST), ("x-weir-backend", "anthropic")]);
    let answer = call.send(Protocol::Http1, &address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let records = ledger::wait_for(&mesh.directory.file("usage.jsonl"), 1).await;
    assert_eq!((&records[0]["principal"]["name"], mesh.counts()), (&json!(WEB), [1, 0, 0]));
    mesh.assert_clean(&Exceptions::default()).await;
}
