//! A gateway behind a proxy: two real Envoys, of which the first one ends the clients' mutual TLS and says in
//! `x-forwarded-client-cert` who they were.

use serde_json::{Value, json};
use weir::render::envoy::{BodyMode, ROUTES};
use weir::up::RunDir;

use super::callers::{Clients, INTERN, WEB, call, documents, principal};
use super::rig::{Gateway, LONG, Parts, Site, downstream, pair};
use crate::e2e::render;
use crate::support::certs::Pair;
use crate::support::envoy_stats::Exceptions;
use crate::support::process::Child;

/// Who the proxy in front is for the gateway.
const FRONT: &str = "spiffe://mesh/ns/ingress/sa/front";

/// An Envoy that ends mutual TLS and connects by mutual TLS to `to`.
fn front(site: &Site, own: &Pair, to: &str, forward: &str) -> Value {
    let (host, port) = to.rsplit_once(':').expect("an address");
    let port: u16 = port.parse().expect("a port");
    let socket = |host: &str, port: u16| json!({"socket_address": {"address": host, "port_value": port}});
    json!({
        "node": {"id": "front", "cluster": "front"},
        "admin": {"address": socket("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{"name": "front", "address": socket("127.0.0.1", 0), "filter_chains": [{
                "transport_socket": downstream(site),
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": ROUTES,
                    "forward_client_cert_details": forward,
                    "set_current_client_cert_details": {"uri": true, "subject": true},
                    "route_config": {"name": ROUTES, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        {"match": {"prefix": "/"}, "route": {"cluster": "gateway"}},
                    ]}]},
                    "http_filters": [{"name": "envoy.filters.http.router", "typed_config":
                        {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
                }}],
            }]}],
            "clusters": [{
                "name": "gateway", "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": {"cluster_name": "gateway", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": socket(host, port)}},
                ]}]},
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                    "common_tls_context": {
                        "tls_certificates": [pair(own)],
                        "validation_context": {"trusted_ca": {"filename": site.mesh.certificate}},
                    },
                }},
            }],
        },
    })
}

async fn start_front(gateway: &Gateway, directory: &RunDir, forward: &str) -> (Child, String) {
    let own = gateway.site.mesh.workload("ingress", &[FRONT]);
    let path = directory.file("front.json");
    let text = front(&gateway.site, &own, &gateway.address, forward).to_string();
    std::fs::write(&path, text).expect("a file of our own");
    render::start(directory, &path).await
}

/// How the gateway's Envoy treats the header, what Weir believes of it, how the front treats it, and who a web
/// client is that claims in front of it to be the admin.
const ROWS: [(&str, usize, &str, &str); 5] = [
    // The gateway hands on what the front says: one element, of the front's own peer.
    ("FORWARD_ONLY", 1, "SANITIZE_SET", WEB),
    // It adds who the front is: two elements.
    ("APPEND_FORWARD", 2, "SANITIZE_SET", WEB),
    // The front hands on what clients write, and adds its peer behind it.
    ("FORWARD_ONLY", 1, "APPEND_FORWARD", WEB),
    // Nothing is believed, or nothing is left to believe: the caller is the front.
    ("FORWARD_ONLY", 0, "SANITIZE_SET", FRONT),
    ("SANITIZE_SET", 1, "SANITIZE_SET", FRONT),
];

first_mode!(behind_a_proxy_the_caller_is_the_one_whom_it_names);

async fn behind_a_proxy_the_caller_is_the_one_whom_it_names(mode: BodyMode) {
    for (forward, trusted_hops, in_front, expected) in ROWS {
        let row = format!("{forward}, {trusted_hops} hops, {in_front}");
        let gateway =
            Gateway::start(Parts { documents: documents(trusted_hops), mode, forward, ..Parts::default() }).await;
        let directory = RunDir::create().expect("a directory");
        let (mut proxy, address) = start_front(&gateway, &directory, in_front).await;
        let clients = Clients::of(&gateway.site);
        let forged = "By=spiffe://x;URI=spiffe://mesh/ns/root/sa/admin";
        for headers in [&[][..], &[("x-forwarded-client-cert", forged)]] {
            let answer = clients.web.exchange(&address, &call("a", headers).http1()).await.expect("an answer");
            assert_eq!(answer.status, 200, "{row}: {answer:?}");
            assert_eq!(principal(&gateway.record_of(&answer).await)[0], expected, "{row}");
        }
        // Who is named is whom policies speak of.
        let answer = clients.intern.exchange(&address, &call("claude-opus-4", &[]).http1()).await.expect("an answer");
        let (status, who) = if expected == FRONT { (200, FRONT) } else { (403, INTERN) };
        assert_eq!(answer.status, status, "{row}: {answer:?}");
        assert_eq!(principal(&gateway.record_of(&answer).await)[0], who, "{row}");
        // A header that is no list names nobody where it is believed.
        let broken = call("a", &[("x-forwarded-client-cert", "URI=spiffe://mesh/ns/root/sa/admin;Subject=\"")]);
        let answer = clients.web.exchange(&address, &broken.http1()).await.expect("an answer");
        let status = if in_front == "APPEND_FORWARD" { 401 } else { 200 };
        assert_eq!(answer.status, status, "{row}: {answer:?}");
        assert!(proxy.stop(LONG).success(), "{}", proxy.written());
        gateway.end(&Exceptions::default()).await;
    }
}
