//! Listeners, and the HTTP connection managers in them. Pure.

use std::time::Duration;

use super::filter::HttpFilter;
use super::logged::{self, Headers};
use super::node::Node;
use super::route::RouteTable;

/// A listener.
#[derive(Debug, Default)]
pub struct Listener {
    pub name: String,
    pub buffer: Option<u64>,
    pub chains: Vec<Chain>,
    /// Headers that its own access log writes down.
    pub logged: Headers,
    /// Envoy has refused a newer version of it.
    pub is_refused: bool,
}

/// A filter chain.
#[derive(Debug, Default)]
pub struct Chain {
    /// Names that a client may ask for in TLS; empty for any.
    pub server_names: Vec<String>,
    pub end: End,
}

/// What a chain ends in.
#[derive(Debug, Default)]
pub enum End {
    Http(Box<Manager>),
    /// Bytes go to one of these clusters, unread.
    Tcp(Vec<String>),
    #[default]
    Other,
}

/// An HTTP connection manager.
#[derive(Debug, Default)]
pub struct Manager {
    pub stat_prefix: String,
    pub filters: Vec<HttpFilter>,
    pub routes: Routes,
    /// Headers of a client that are gone before a route is chosen.
    pub early_removes: Vec<String>,
    /// None for Envoy's default of 5 minutes.
    pub stream_idle_timeout: Option<Duration>,
    pub longest: Option<Duration>,
    pub proxy_100_continue: bool,
    /// None where there is no `local_reply_config`.
    pub local_replies: Option<Vec<LocalReply>>,
    pub logged: Headers,
}

/// Where the routes of a manager are.
#[derive(Debug, Default)]
pub enum Routes {
    Inline(RouteTable),
    Named(String),
    /// Chosen for each request, or not told.
    #[default]
    Other,
}

/// A rule that changes answers which Envoy makes by itself, or which a filter made.
#[derive(Debug)]
pub struct LocalReply {
    /// Only answers that Weir has not given.
    pub spares_weir: bool,
    /// It changes the body or the status.
    pub changes: bool,
}

const MANAGER: &str = "http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "tcp_proxy.v3.TcpProxy";

// === impl Listener ===

impl Listener {
    pub fn read(node: Node) -> Listener {
        let mut logged = Headers::new();
        logged::access_logs(node.get("access_log"), &mut logged);
        let chains = node.get("filter_chains").items().chain([node.get("default_filter_chain")]);
        Listener {
            name: node.get("name").text().map_or_else(|| address(node.get("address")), str::to_owned),
            buffer: node.get("per_connection_buffer_limit_bytes").number(),
            chains: chains.filter(|chain| chain.is_there()).map(Chain::read).collect(),
            logged,
            is_refused: false,
        }
    }
}

fn address(node: Node) -> String {
    let socket = node.get("socket_address");
    match (socket.get("address").text(), node.path(&["pipe", "path"]).text()) {
        (Some(host), _) => format!("{host}:{}", socket.get("port_value").number().unwrap_or_default()),
        (None, Some(path)) => path.to_owned(),
        (None, None) => String::new(),
    }
}

// === impl Chain ===

impl Chain {
    fn read(node: Node) -> Chain {
        let mut end = End::Other;
        for filter in node.get("filters").items() {
            let (kind, config) = filter.get("typed_config").typed();
            if kind.ends_with(MANAGER) {
                end = End::Http(Box::new(Manager::read(config)));
            } else if kind.ends_with(TCP_PROXY) {
                let weighted = config.path(&["weighted_clusters", "clusters"]).items();
                let mut clusters: Vec<String> = weighted.map(|cluster| cluster.get("name").name()).collect();
                clusters.extend(config.get("cluster").text().map(str::to_owned));
                end = End::Tcp(clusters);
            }
        }
        Chain { server_names: node.path(&["filter_chain_match", "server_names"]).texts(), end }
    }
}

// === impl Manager ===

impl Manager {
    fn read(config: Node) -> Manager {
        let mut logged = Headers::new();
        logged::access_logs(config.get("access_log"), &mut logged);
        logged::tracing(config.get("tracing"), &mut logged);
        let routes = match (config.get("route_config"), config.path(&["rds", "route_config_name"]).text()) {
            (_, Some(name)) => Routes::Named(name.to_owned()),
            (table, None) if table.is_there() => Routes::Inline(RouteTable::read(table)),
            _ => Routes::Other,
        };
        let replies = config.get("local_reply_config");
        Manager {
            stat_prefix: config.get("stat_prefix").name(),
            filters: config.get("http_filters").items().map(HttpFilter::read).collect(),
            routes,
            early_removes: early_removes(config.get("early_header_mutation_extensions")),
            stream_idle_timeout: config.get("stream_idle_timeout").duration(),
            longest: config.path(&["common_http_protocol_options", "max_stream_duration"]).duration(),
            proxy_100_continue: config.get("proxy_100_continue").flag(),
            local_replies: replies.is_there().then(|| local_replies(replies)),
            logged,
        }
    }
}

fn early_removes(extensions: Node) -> Vec<String> {
    let mutations = extensions.items().flat_map(|one| one.get("typed_config").typed().1.get("mutations").items());
    mutations.filter_map(|mutation| mutation.get("remove").text()).map(str::to_ascii_lowercase).collect()
}

fn local_replies(config: Node) -> Vec<LocalReply> {
    let mappers = config.get("mappers").items().map(|mapper| LocalReply {
        spares_weir: spares_weir(mapper.get("filter")),
        changes: ["status_code", "body", "body_format_override"].iter().any(|field| mapper.get(field).is_there()),
    });
    // The format for everything knows no conditions.
    let general = config.get("body_format").is_there().then_some(LocalReply { spares_weir: false, changes: true });
    mappers.chain(general).collect()
}

/// True for a condition that does not hold once Weir has said how the exchange ended.
fn spares_weir(filter: Node) -> bool {
    let matcher = filter.path(&["metadata_filter", "matcher"]);
    if matcher.is_there() {
        let keys: Vec<_> = matcher.get("path").items().filter_map(|segment| segment.get("key").text()).collect();
        // Envoy does not heed `invert`: only a comparison that never holds works.
        let never = matcher.path(&["value", "null_match"]).is_there();
        return matcher.get("filter").text() == Some(WEIR) && keys == ["outcome"] && never;
    }
    filter.path(&["and_filter", "filters"]).items().any(spares_weir)
}

/// The namespace of Weir's metadata.
pub const WEIR: &str = "weir";
