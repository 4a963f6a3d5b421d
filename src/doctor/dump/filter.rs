//! HTTP filters, and of `ext_proc` all that it is told. Pure.

use std::time::Duration;

use super::logged::{self, Headers};
use super::node::Node;

/// A filter of a connection manager or of a cluster.
#[derive(Debug, Default)]
pub struct HttpFilter {
    pub name: String,
    /// Its type without the host, such as `envoy.extensions.filters.http.router.v3.Router`.
    pub kind: String,
    /// Off, unless a route turns it on.
    pub is_disabled: bool,
    pub ext_proc: Option<Box<ExtProc>>,
    /// Headers that a `header_mutation` filter removes.
    pub removes: Vec<String>,
    /// Headers that its own logs write down.
    pub logged: Headers,
}

/// The settings of an `ext_proc` filter.
#[derive(Debug, Default)]
pub struct ExtProc {
    /// The cluster of the processor; none for one that is named by an address.
    pub cluster: Option<String>,
    /// What each stream says at its start.
    pub metadata: Vec<(String, String)>,
    pub modes: Modes,
    pub allow_content_length: bool,
    /// Host, path and method may be set.
    pub allow_routing: bool,
    /// Headers of Envoy's own may be set.
    pub allow_envoy: bool,
    pub disallow_all: bool,
    pub receives: Vec<String>,
    pub forwards: Vec<String>,
    pub request_attributes: Vec<String>,
    pub response_attributes: Vec<String>,
    /// As Envoy writes it: a name or a number; none for its default.
    pub status_on_error: Option<String>,
    pub failure_mode_allow: bool,
    pub message_timeout: Option<Duration>,
    pub allow_mode_override: bool,
    pub observes: bool,
    /// The route stays the one that was chosen before the filter ran.
    pub keeps_route: bool,
}

/// What is sent to the processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    pub request_headers: bool,
    pub response_headers: bool,
    pub request_body: BodyForm,
    pub response_body: BodyForm,
    pub request_trailers: bool,
    pub response_trailers: bool,
}

/// How a body is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyForm {
    #[default]
    None,
    Streamed,
    Buffered,
    BufferedPartial,
    FullDuplex,
    Grpc,
    Unknown,
}

const EXT_PROC: &str = "filters.http.ext_proc.v3.ExternalProcessor";
const ROUTER: &str = "filters.http.router.v3.Router";

// === impl HttpFilter ===

impl HttpFilter {
    pub fn read(node: Node) -> HttpFilter {
        let (kind, config) = node.get("typed_config").typed();
        let kind = kind.rsplit('/').next().unwrap_or_default();
        let mut logged = Headers::new();
        logged::access_logs(config.get("upstream_log"), &mut logged);
        let mutations = config.path(&["mutations", "request_mutations"]);
        HttpFilter {
            name: node.get("name").name(),
            kind: kind.to_owned(),
            is_disabled: node.get("disabled").flag(),
            ext_proc: kind.ends_with(EXT_PROC).then(|| Box::new(ExtProc::read(config))),
            removes: mutations
                .items()
                .filter_map(|one| one.get("remove").text())
                .map(str::to_ascii_lowercase)
                .collect(),
            logged,
        }
    }

    pub fn is_router(&self) -> bool {
        self.kind.ends_with(ROUTER)
    }

    /// Its type or name has this word in it: names are chosen freely, and a filter that is discovered has no type.
    pub fn is_a(&self, word: &str) -> bool {
        self.kind.contains(word) || self.name.contains(word)
    }
}

// === impl ExtProc ===

impl ExtProc {
    fn read(config: Node) -> ExtProc {
        let service = config.get("grpc_service");
        let http = config.path(&["http_service", "http_service", "http_uri"]);
        let cluster = service.path(&["envoy_grpc", "cluster_name"]).text().or(http.get("cluster").text());
        let rules = config.get("mutation_rules");
        let options = config.get("metadata_options");
        let untyped = |name: &str| options.path(&[name, "untyped"]).texts();
        let status = config.path(&["status_on_error", "code"]);
        ExtProc {
            cluster: cluster.map(str::to_owned),
            metadata: pairs(service.get("initial_metadata")),
            modes: Modes::read(config.get("processing_mode")),
            allow_content_length: config.get("allow_content_length_header").flag(),
            allow_routing: rules.get("allow_all_routing").flag(),
            allow_envoy: rules.get("allow_envoy").flag(),
            disallow_all: rules.get("disallow_all").flag(),
            receives: untyped("receiving_namespaces"),
            forwards: untyped("forwarding_namespaces"),
            request_attributes: config.get("request_attributes").texts(),
            response_attributes: config.get("response_attributes").texts(),
            status_on_error: status.text().map(str::to_owned).or(status.number().map(|code| code.to_string())),
            failure_mode_allow: config.get("failure_mode_allow").flag(),
            message_timeout: config.get("message_timeout").duration(),
            allow_mode_override: config.get("allow_mode_override").flag(),
            observes: config.get("observability_mode").flag(),
            keeps_route: config.get("disable_clear_route_cache").flag()
                || config.get("route_cache_action").text() == Some("RETAIN"),
        }
    }

    /// What it says of itself under this key.
    pub fn says(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Rows of key and value.
pub fn pairs(list: Node) -> Vec<(String, String)> {
    list.items().map(|row| (row.get("key").name(), row.get("value").name())).collect()
}

// === impl Modes ===

impl Modes {
    pub fn read(mode: Node) -> Modes {
        // Headers are sent unless told not to be, trailers only when told so.
        let sent = |name: &str| mode.get(name).text() != Some("SKIP");
        let trailers = |name: &str| mode.get(name).text() == Some("SEND");
        Modes {
            request_headers: sent("request_header_mode"),
            response_headers: sent("response_header_mode"),
            request_body: BodyForm::read(mode.get("request_body_mode")),
            response_body: BodyForm::read(mode.get("response_body_mode")),
            request_trailers: trailers("request_trailer_mode"),
            response_trailers: trailers("response_trailer_mode"),
        }
    }
}

// === impl BodyForm ===

impl BodyForm {
    fn read(node: Node) -> BodyForm {
        match node.text() {
            None | Some("NONE") => BodyForm::None,
            Some("STREAMED") => BodyForm::Streamed,
            Some("BUFFERED") => BodyForm::Buffered,
            Some("BUFFERED_PARTIAL") => BodyForm::BufferedPartial,
            Some("FULL_DUPLEX_STREAMED") => BodyForm::FullDuplex,
            Some("GRPC") => BodyForm::Grpc,
            Some(_) => BodyForm::Unknown,
        }
    }

    /// As Envoy writes it.
    pub fn name(self) -> &'static str {
        match self {
            BodyForm::None => "NONE",
            BodyForm::Streamed => "STREAMED",
            BodyForm::Buffered => "BUFFERED",
            BodyForm::BufferedPartial => "BUFFERED_PARTIAL",
            BodyForm::FullDuplex => "FULL_DUPLEX_STREAMED",
            BodyForm::Grpc => "GRPC",
            BodyForm::Unknown => "a mode that is not known here",
        }
    }
}
