//! Route tables. Pure.

use std::time::Duration;

use super::filter::Modes;
use super::node::Node;
use crate::render::envoy::BACKEND_HEADER;

/// A route table, of its own or written into a listener.
#[derive(Debug, Default)]
pub struct RouteTable {
    pub name: String,
    /// Request headers that do not leave.
    pub removes: Vec<String>,
    pub overrides: Vec<Override>,
    pub hosts: Vec<VirtualHost>,
}

#[derive(Debug, Default)]
pub struct VirtualHost {
    pub name: String,
    pub domains: Vec<String>,
    pub removes: Vec<String>,
    pub overrides: Vec<Override>,
    /// What a retry may buffer, where a route does not say.
    pub body_limit: Option<u64>,
    pub has_retries: bool,
    /// Its routes are chosen by a tree that is not read here.
    pub has_matcher: bool,
    pub routes: Vec<Route>,
}

#[derive(Debug, Default)]
pub struct Route {
    /// Its name, or its place in the virtual host.
    pub name: String,
    pub backend: Backend,
    pub action: Action,
    /// None for Envoy's default of 15 s.
    pub timeout: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    pub longest: Option<Duration>,
    pub has_retries: bool,
    /// Each attempt chooses its cluster anew.
    pub chooses_anew: bool,
    /// Of several clusters one is drawn by lot, for no header decides.
    pub draws: bool,
    pub body_limit: Option<u64>,
    pub sets_host: bool,
    pub removes: Vec<String>,
    pub overrides: Vec<Override>,
}

/// What a route wants of the header that Weir sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Nothing: it takes requests that Weir has never seen.
    #[default]
    Any,
    Exactly(String),
    /// Something, and more than one value fits.
    Loosely,
}

/// Where a route leads.
#[derive(Debug, Default)]
pub enum Action {
    Clusters(Vec<String>),
    /// The cluster is named by this request header.
    Header(String),
    /// Envoy answers by itself.
    Local,
    #[default]
    Other,
}

/// What a route, a virtual host or a table says of one filter.
#[derive(Debug)]
pub struct Override {
    pub filter: String,
    pub is_off: bool,
    pub metadata: Vec<(String, String)>,
    /// Other modes than the filter's own.
    pub modes: Option<Modes>,
}

// === impl RouteTable ===

impl RouteTable {
    pub fn read(node: Node) -> RouteTable {
        RouteTable {
            name: node.get("name").name(),
            removes: removed(node),
            overrides: overrides(node),
            hosts: node.get("virtual_hosts").items().map(VirtualHost::read).collect(),
        }
    }
}

// === impl VirtualHost ===

impl VirtualHost {
    fn read(node: Node) -> VirtualHost {
        VirtualHost {
            name: node.get("name").name(),
            domains: node.get("domains").texts(),
            removes: removed(node),
            overrides: overrides(node),
            body_limit: body_limit(node),
            has_retries: node.get("retry_policy").is_there(),
            has_matcher: node.get("matcher").is_there(),
            routes: node.get("routes").items().enumerate().map(|(at, route)| Route::read(at, route)).collect(),
        }
    }
}

// === impl Route ===

impl Route {
    fn read(at: usize, node: Node) -> Route {
        let name = node.get("name").text().filter(|name| !name.is_empty());
        let action = node.get("route");
        let sets_host = ["host_rewrite_literal", "auto_host_rewrite", "host_rewrite_header", "host_rewrite_path_regex"];
        Route {
            name: name.map_or_else(|| format!("#{}", at + 1), str::to_owned),
            backend: Backend::read(node.get("match")),
            action: Action::read(node),
            timeout: action.get("timeout").duration(),
            idle_timeout: action.get("idle_timeout").duration(),
            longest: action.path(&["max_stream_duration", "max_stream_duration"]).duration(),
            has_retries: action.get("retry_policy").is_there(),
            chooses_anew: action.path(&["retry_policy", "refresh_cluster_on_retry"]).flag(),
            draws: action.get("weighted_clusters").is_there()
                && !action.path(&["weighted_clusters", "header_name"]).is_there(),
            body_limit: body_limit(node),
            sets_host: sets_host.iter().any(|field| action.get(field).is_there()),
            removes: removed(node),
            overrides: overrides(node),
        }
    }
}

fn removed(node: Node) -> Vec<String> {
    node.get("request_headers_to_remove").texts().iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn body_limit(node: Node) -> Option<u64> {
    node.get("request_body_buffer_limit").number().or(node.get("per_request_buffer_limit_bytes").number())
}

fn overrides(node: Node) -> Vec<Override> {
    let read = |(filter, value): (&str, Node)| {
        let (kind, mut config) = value.typed();
        let mut is_off = false;
        if kind.ends_with("route.v3.FilterConfig") {
            is_off = config.get("disabled").flag();
            config = config.get("config").typed().1;
        }
        let said = config.get("overrides");
        let modes = said.get("processing_mode");
        Override {
            filter: filter.to_owned(),
            is_off: is_off || config.get("disabled").flag(),
            metadata: [
                super::filter::pairs(said.get("grpc_initial_metadata")),
                super::filter::pairs(said.path(&["grpc_service", "initial_metadata"])),
            ]
            .concat(),
            modes: modes.is_there().then(|| Modes::read(modes)),
        }
    };
    node.get("typed_per_filter_config").members().map(read).collect()
}

// === impl Backend ===

impl Backend {
    fn read(matching: Node) -> Backend {
        let is_it =
            |header: &Node| header.get("name").text().is_some_and(|name| name.eq_ignore_ascii_case(BACKEND_HEADER));
        let mut loosely = false;
        for header in matching.get("headers").items().filter(is_it) {
            let string = header.get("string_match");
            let exact = string.get("exact").text().or(header.get("exact_match").text());
            match exact {
                Some(value) if !header.get("invert_match").flag() && !string.get("ignore_case").flag() => {
                    return Backend::Exactly(value.to_owned());
                }
                _ => loosely = true,
            }
        }
        if loosely { Backend::Loosely } else { Backend::Any }
    }
}

// === impl Action ===

impl Action {
    fn read(node: Node) -> Action {
        let route = node.get("route");
        if ["direct_response", "redirect"].iter().any(|field| node.get(field).is_there()) {
            return Action::Local;
        }
        if let Some(header) = route.get("cluster_header").text() {
            return Action::Header(header.to_ascii_lowercase());
        }
        let weighted = route.path(&["weighted_clusters", "clusters"]);
        let mut clusters: Vec<String> = weighted.items().map(|cluster| cluster.get("name").name()).collect();
        clusters.extend(route.get("cluster").text().map(str::to_owned));
        // A plug-in that chooses for each attempt names its clusters somewhere in itself.
        let plugin = route.path(&["inline_cluster_specifier_plugin", "extension", "typed_config"]);
        named_clusters(plugin, &mut clusters);
        if clusters.is_empty() { Action::Other } else { Action::Clusters(clusters) }
    }
}

/// The values of every `cluster` and `cluster_name` in a tree.
fn named_clusters(node: Node, clusters: &mut Vec<String>) {
    for (name, value) in node.members() {
        match value.text() {
            Some(text) if ["cluster", "cluster_name"].contains(&name) => clusters.push(text.to_owned()),
            _ => named_clusters(value, clusters),
        }
    }
    node.items().for_each(|item| named_clusters(item, clusters));
}
