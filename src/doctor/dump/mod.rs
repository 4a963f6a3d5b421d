//! What doctor keeps of an Envoy's `/config_dump`: what a check asks for, and nothing else. The dump is read
//! piece by piece: one of 180 MB takes less than three times that. Pure.
//!
//! Versions of Envoy differ in fields: what is not known is passed over, and what has another form than the one
//! that is known is as if it were absent. A piece that is no JSON that can be read is counted in [`Dump::unread`].

mod cluster;
mod filter;
mod listener;
mod logged;
mod node;
mod route;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

pub use cluster::{Breakers, Cluster, Keepalive};
pub use filter::{BodyForm, ExtProc, HttpFilter, Modes};
pub use listener::{Chain, End, Listener, LocalReply, Manager, Routes};
pub use route::{Action, Backend, Override, Route, RouteTable, VirtualHost};

use node::Node;

/// The configuration of one Envoy.
#[derive(Debug, Default)]
pub struct Dump {
    pub listeners: Vec<Listener>,
    /// Route tables that listeners name.
    pub tables: Vec<RouteTable>,
    pub clusters: Vec<Cluster>,
    pub version: Option<Version>,
    /// Pieces that could not be read.
    pub unread: Vec<String>,
}

/// An Envoy's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
}

/// Why something is no dump.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error("no JSON at line {line}, column {column}: {what}")]
    Json { line: usize, column: usize, what: &'static str },
    #[error(
        "it has no list `configs`: take what Envoy's admin page /config_dump?include_eds answers, or what `istioctl \
         proxy-config all POD -o json` prints"
    )]
    NoConfigs,
}

/// Pieces of a dump by their names: a section is an object whose members are these lists.
const PIECES: &[(&str, &[&str], Keep)] = &[
    ("static_listeners", &["listener"], Dump::listener),
    ("dynamic_listeners", &["active_state", "listener"], Dump::listener),
    ("static_clusters", &["cluster"], Dump::cluster),
    ("dynamic_active_clusters", &["cluster"], Dump::cluster),
    ("static_route_configs", &["route_config"], Dump::table),
    ("dynamic_route_configs", &["route_config"], Dump::table),
];

/// Pieces that are needed before the others can be understood.
const FIRST: &[(&str, &[&str], Keep)] = &[
    ("static_endpoint_configs", &["endpoint_config"], Dump::endpoints),
    ("dynamic_endpoint_configs", &["endpoint_config"], Dump::endpoints),
];

/// Takes what is wanted of a piece: the piece as a whole, and what its path leads to.
type Keep = fn(&mut Dump, &mut Endpoints, Node, Node);

/// Where clusters lead that are told by endpoint discovery.
type Endpoints = BTreeMap<String, cluster::Hosts>;

type Section<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// Objects around the one with `configs`, as tools of control planes put them there by namespace and pod.
const WRAPPERS: usize = 4;

/// Pieces that are named when they cannot be read.
const NAMED: usize = 8;

// === impl Dump ===

impl Dump {
    /// Reads a dump.
    ///
    /// # Errors
    /// When it is no JSON, or JSON of something else.
    pub fn read(bytes: &[u8]) -> Result<Dump, DumpError> {
        let sections: Vec<&RawValue> = serde_json::from_str(configs(bytes)?).map_err(|error| broken(&error))?;
        let (mut dump, mut endpoints) = (Dump::default(), Endpoints::new());
        let sections: Vec<Section> = sections.iter().filter_map(|raw| dump.section(raw)).collect();
        for pieces in [FIRST, PIECES] {
            for section in &sections {
                dump.pieces(section, pieces, &mut endpoints);
            }
        }
        for section in &sections {
            if let Some(Ok(bootstrap)) = section.get("bootstrap").map(|raw| serde_json::from_str(raw.get())) {
                dump.version = version(Node::new(&bootstrap));
            }
        }
        Ok(dump)
    }

    fn section<'a>(&mut self, raw: &'a RawValue) -> Option<Section<'a>> {
        let section = serde_json::from_str(raw.get()).ok();
        if section.is_none() {
            self.cannot_read("a section");
        }
        section
    }

    fn pieces(&mut self, section: &Section, pieces: &[(&str, &[&str], Keep)], endpoints: &mut Endpoints) {
        for (name, path, keep) in pieces {
            let found = section.iter().find(|(key, _)| is_name(key, name));
            let Some((_, raw)) = found else { continue };
            let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
                self.cannot_read(name);
                continue;
            };
            for (index, piece) in list.iter().enumerate() {
                match serde_json::from_str::<Value>(piece.get()) {
                    Ok(value) => keep(self, endpoints, Node::new(&value), Node::new(&value).path(path)),
                    Err(_) => self.cannot_read(&format!("{name}[{index}]")),
                }
            }
        }
    }

    fn cannot_read(&mut self, what: &str) {
        if self.unread.len() < NAMED {
            self.unread.push(what.to_owned());
        }
    }

    fn listener(&mut self, _: &mut Endpoints, piece: Node, inner: Node) {
        let refused = piece.path(&["error_state", "details"]).is_there();
        // What Envoy refused whole has never been in force.
        if inner.is_there() || refused {
            let mut listener = Listener::read(inner);
            if listener.name.is_empty() {
                listener.name = piece.get("name").name();
            }
            listener.is_refused = refused;
            self.listeners.push(listener);
        }
    }

    fn cluster(&mut self, endpoints: &mut Endpoints, _: Node, inner: Node) {
        if inner.is_there() {
            self.clusters.push(Cluster::read(inner, endpoints));
        }
    }

    fn table(&mut self, _: &mut Endpoints, _: Node, inner: Node) {
        if inner.is_there() {
            self.tables.push(RouteTable::read(inner));
        }
    }

    fn endpoints(&mut self, endpoints: &mut Endpoints, _: Node, inner: Node) {
        endpoints.entry(inner.get("cluster_name").name()).or_default().add(inner);
    }
}

/// The text of the list `configs`.
fn configs(bytes: &[u8]) -> Result<&str, DumpError> {
    let mut text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        DumpError::Json { line: lines + 1, column: column + 1, what: "no UTF-8" }
    })?;
    // What was written by other tools than those of today.
    text = text.trim_start_matches('\u{feff}');
    for _ in 0..WRAPPERS {
        if !text.trim_start().starts_with('{') {
            // A list, a number: JSON or not, no dump.
            let _: &RawValue = serde_json::from_str(text).map_err(|error| broken(&error))?;
            return Err(DumpError::NoConfigs);
        }
        let object: Section = serde_json::from_str(text).map_err(|error| broken(&error))?;
        if let Some(configs) = object.get("configs").filter(|raw| raw.get().starts_with('[')) {
            return Ok(configs.get());
        }
        let mut inner = object.values().filter(|raw| raw.get().starts_with('{'));
        match (inner.next(), inner.next()) {
            (Some(only), None) => text = only.get(),
            _ => return Err(DumpError::NoConfigs),
        }
    }
    Err(DumpError::NoConfigs)
}

/// What is wrong without what stands there.
fn broken(error: &serde_json::Error) -> DumpError {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "another kind of value",
        _ => "no JSON",
    };
    DumpError::Json { line: error.line(), column: error.column(), what }
}

fn is_name(key: &str, name: &str) -> bool {
    let same = |a: &u8, b: &u8| a.eq_ignore_ascii_case(b);
    key == name || {
        let letters: Vec<u8> = name.bytes().filter(|byte| *byte != b'_').collect();
        key.len() == letters.len() && key.as_bytes().iter().zip(&letters).all(|(a, b)| same(a, b))
    }
}

fn version(bootstrap: Node) -> Option<Version> {
    let version = bootstrap.path(&["node", "user_agent_build_version", "version"]);
    let number = |name: &str| version.get(name).number().unwrap_or_default();
    Some(Version {
        major: version.get("major_number").number()?,
        minor: number("minor_number"),
        patch: number("patch"),
    })
}

// === impl Version ===

impl Version {
    /// The first of a minor version, `1.N.0`.
    pub fn minor(minor: u64) -> Version {
        Version { major: 1, minor, patch: 0 }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
