//! Clusters. Pure.

use std::net::IpAddr;
use std::time::Duration;

use super::Endpoints;
use super::filter::HttpFilter;
use super::node::Node;

/// A cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    pub name: String,
    /// `STATIC`, `STRICT_DNS`, `EDS`, `ORIGINAL_DST`, or the name of an extension.
    pub kind: String,
    pub hosts: Hosts,
    /// The name that TLS asks for, and those that the server's certificate may have.
    pub server_names: Vec<String>,
    pub has_tls: bool,
    /// The server's certificate must have one of the names that are stated.
    pub checks_names: bool,
    pub breakers: Breakers,
    pub speaks_http2: bool,
    pub keepalive: Option<Keepalive>,
    /// Filters that run for each attempt.
    pub filters: Vec<HttpFilter>,
}

/// Where a cluster leads, as far as names and sockets tell.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    pub names: Vec<(String, u64)>,
    pub sockets: Vec<String>,
    /// There are addresses besides.
    pub has_addresses: bool,
}

/// What is allowed at once; none for Envoy's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breakers {
    pub connections: Option<u64>,
    pub pending: Option<u64>,
    pub requests: Option<u64>,
    pub retries: Option<u64>,
    /// Retries are limited by a share of the requests instead.
    pub has_budget: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
}

/// Names of one cluster that are kept.
const MOST: usize = 64;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

// === impl Cluster ===

impl Cluster {
    pub fn read(node: Node, endpoints: &Endpoints) -> Cluster {
        let name = node.get("name").name();
        let service = node.path(&["eds_cluster_config", "service_name"]).text().unwrap_or(&name);
        let mut hosts = endpoints.get(service).cloned().unwrap_or_default();
        hosts.add(node.get("load_assignment"));
        let socket = node.get("transport_socket");
        let (mut has_tls, mut server_names, mut checks_names) = (false, Vec::new(), false);
        let matched = node.get("transport_socket_matches");
        for socket in std::iter::once(socket).chain(matched.items().map(|one| one.get("transport_socket"))) {
            let (kind, context) = socket.get("typed_config").typed();
            has_tls |= kind.ends_with("UpstreamTlsContext");
            server_names.extend(context.get("sni").text().map(str::to_owned));
            let names = alternative_names(context.get("common_tls_context"));
            checks_names |= !names.is_empty();
            server_names.extend(names);
        }
        let options = node.get("typed_extension_protocol_options").get(HTTP_OPTIONS);
        let http2 = ["explicit_http_config", "use_downstream_protocol_config", "auto_config"]
            .map(|form| options.path(&[form, "http2_protocol_options"]));
        let http2 = http2.into_iter().chain([node.get("http2_protocol_options")]).find(|node| node.is_there());
        let keepalive = http2.map(|http2| http2.get("connection_keepalive")).filter(|node| node.is_there());
        let san = options.path(&["upstream_http_protocol_options", "auto_san_validation"]).flag();
        Cluster {
            kind: node
                .get("type")
                .text()
                .or(node.path(&["cluster_type", "name"]).text())
                .unwrap_or("STATIC")
                .to_owned(),
            hosts,
            has_tls,
            checks_names: checks_names || san,
            server_names,
            breakers: Breakers::read(node.path(&["circuit_breakers", "thresholds"])),
            speaks_http2: http2.is_some(),
            keepalive: keepalive.map(|node| Keepalive {
                interval: node.get("interval").duration(),
                timeout: node.get("timeout").duration(),
            }),
            filters: options.get("http_filters").items().map(HttpFilter::read).collect(),
            name,
        }
    }

    /// Every name that says where it leads: of its endpoints, of TLS, and the one that Istio puts into the
    /// cluster's own name (`outbound|443||api.openai.com`).
    pub fn leads_to(&self) -> impl Iterator<Item = &str> {
        let istio = self.name.starts_with("outbound|").then(|| self.name.rsplit('|').next()).flatten();
        let hosts = self.hosts.names.iter().map(|(name, _)| name.as_str());
        hosts.chain(self.server_names.iter().map(String::as_str)).chain(istio)
    }
}

/// The exact names that a server's certificate may have.
fn alternative_names(tls: Node) -> Vec<String> {
    let contexts =
        [tls.get("validation_context"), tls.path(&["combined_validation_context", "default_validation_context"])];
    let lists = contexts.iter().flat_map(|context| {
        let typed = context.get("match_typed_subject_alt_names").items().map(|one| one.get("matcher"));
        typed.chain(context.get("match_subject_alt_names").items())
    });
    let text = |matcher: Node| {
        let exact = matcher.get("exact").text().or(matcher.get("suffix").text());
        exact.unwrap_or("a pattern").to_owned()
    };
    lists.map(text).collect()
}

// === impl Hosts ===

impl Hosts {
    /// Adds what a `ClusterLoadAssignment` names.
    pub fn add(&mut self, assignment: Node) {
        for endpoint in assignment.get("endpoints").items().flat_map(|locality| locality.get("lb_endpoints").items()) {
            let endpoint = endpoint.get("endpoint");
            let address = endpoint.get("address");
            if let Some(path) = address.path(&["pipe", "path"]).text() {
                push(&mut self.sockets, path.to_owned());
            }
            let socket = address.get("socket_address");
            let port = socket.get("port_value").number().unwrap_or_default();
            for name in [socket.get("address").text(), endpoint.get("hostname").text()].into_iter().flatten() {
                match name.parse::<IpAddr>() {
                    Ok(_) => self.has_addresses = true,
                    Err(_) => push(&mut self.names, (name.to_ascii_lowercase(), port)),
                }
            }
        }
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST && !list.contains(&item) {
        list.push(item);
    }
}

// === impl Breakers ===

impl Breakers {
    fn read(thresholds: Node) -> Breakers {
        // The row for requests of ordinary priority; it is the one without a name.
        let ordinary = |row: &Node| matches!(row.get("priority").text(), None | Some("DEFAULT"));
        let Some(row) = thresholds.items().find(ordinary) else { return Breakers::default() };
        Breakers {
            connections: row.get("max_connections").number(),
            pending: row.get("max_pending_requests").number(),
            requests: row.get("max_requests").number(),
            retries: row.get("max_retries").number(),
            has_budget: row.get("retry_budget").is_there(),
        }
    }
}
