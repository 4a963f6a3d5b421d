//! What the configuration means: which filters are Weir's, which clusters lead to providers, which routes lead
//! there and whether Weir sees what takes them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Evidence;
use super::dump::{Action, Backend, Chain, Cluster, Dump, End, ExtProc, HttpFilter, Listener, Manager, Modes};
use super::dump::{Override, Route, RouteTable, Routes, Version, VirtualHost};
use crate::render::envoy::{BACKEND_HEADER, EXTPROC_CLUSTER};

/// The configuration, understood.
pub struct Scene<'a> {
    pub evidence: &'a Evidence,
    pub dump: &'a Dump,
    pub clusters: BTreeMap<&'a str, &'a Cluster>,
    pub managers: Vec<Attached<'a>>,
    /// Clusters through which Weir is reached.
    pub weir: BTreeSet<&'a str>,
    /// Clusters that lead to a provider or to a server that Weir chooses, and whose it is.
    pub providers: BTreeMap<&'a str, &'a str>,
}

/// A connection manager and where it is.
pub struct Attached<'a> {
    pub listener: &'a Listener,
    pub manager: &'a Manager,
    pub table: Option<&'a RouteTable>,
    /// Weir's filters, by their places.
    pub weir: Vec<(usize, &'a HttpFilter)>,
}

/// A route that leads to a provider.
#[derive(Clone, Copy)]
pub struct ToProvider<'a> {
    pub table: &'a RouteTable,
    pub host: &'a VirtualHost,
    pub route: &'a Route,
    /// The filter of Weir's that is on here.
    pub weir: Option<&'a HttpFilter>,
    /// The modes of that filter, where the route has its own.
    pub modes: Option<&'a Modes>,
}

/// What a stream of Weir's says of itself.
pub const ROLE: &str = "x-weir-role";
/// A word in names by which Weir is known where nothing else tells.
const NAME: &str = "weir";
/// What stands for a provider where only Weir knows which it is.
const CHOSEN: &str = "a backend";

static NOTHING: Dump =
    Dump { listeners: Vec::new(), tables: Vec::new(), clusters: Vec::new(), version: None, unread: Vec::new() };

// === impl Scene ===

impl<'a> Scene<'a> {
    pub fn new(evidence: &'a Evidence) -> Scene<'a> {
        let dump = evidence.dump.as_ref().unwrap_or(&NOTHING);
        let clusters: BTreeMap<&str, &Cluster> =
            dump.clusters.iter().map(|cluster| (cluster.name.as_str(), cluster)).collect();
        let mut scene =
            Scene { evidence, dump, clusters, managers: Vec::new(), weir: BTreeSet::new(), providers: BTreeMap::new() };
        scene.managers = scene.find_managers();
        let on_route = scene.managers.iter().flat_map(|at| at.weir.iter().filter_map(|(_, filter)| cluster_of(filter)));
        let on_attempt = dump.clusters.iter().flat_map(|cluster| &cluster.filters);
        let on_attempt = on_attempt.filter(|filter| scene.is_weir(filter, None)).filter_map(cluster_of);
        scene.weir = on_route.chain(on_attempt).collect();
        scene.providers = scene.find_providers();
        scene
    }

    fn find_managers(&self) -> Vec<Attached<'a>> {
        let mut found = Vec::new();
        for (listener, chain) in self.chains() {
            let End::Http(manager) = &chain.end else { continue };
            let table = match &manager.routes {
                Routes::Inline(table) => Some(table),
                Routes::Named(name) => self.dump.tables.iter().find(|table| table.name == *name),
                Routes::Other => None,
            };
            let filters = manager.filters.iter().enumerate();
            let weir = filters.filter(|(_, filter)| self.is_weir(filter, table)).collect();
            found.push(Attached { listener, manager, table, weir });
        }
        found
    }

    /// Every filter chain with its listener.
    pub fn chains(&self) -> impl Iterator<Item = (&'a Listener, &'a Chain)> {
        self.dump.listeners.iter().flat_map(|listener| listener.chains.iter().map(move |chain| (listener, chain)))
    }

    /// Weir's own filter: by what it or a route says at the start of a stream, by its cluster, its socket or its
    /// name.
    pub fn is_weir(&self, filter: &HttpFilter, table: Option<&RouteTable>) -> bool {
        let Some(ext_proc) = &filter.ext_proc else { return false };
        let cluster = ext_proc.cluster.as_deref().unwrap_or_default();
        let said = |one: &Override| one.filter == filter.name && one.metadata.iter().any(|(key, _)| key == ROLE);
        ext_proc.says(ROLE).is_some()
            || cluster == EXTPROC_CLUSTER
            || self.evidence.clusters.iter().any(|name| name == cluster)
            || cluster.contains(NAME)
            || filter.name.contains(NAME)
            || ext_proc.receives.iter().any(|namespace| namespace == NAME)
            || self.clusters.get(cluster).is_some_and(|cluster| self.is_weirs_socket(cluster))
            || table.is_some_and(|table| overrides(table).any(said))
    }

    fn is_weirs_socket(&self, cluster: &Cluster) -> bool {
        let known = self.evidence.wanted.socket.as_deref();
        cluster.hosts.sockets.iter().any(|path| path.contains(NAME) || Some(path.as_str()) == known)
    }

    fn find_providers(&self) -> BTreeMap<&'a str, &'a str> {
        let hosts = &self.evidence.hosts;
        let mut found = BTreeMap::new();
        for cluster in &self.dump.clusters {
            if let Some(provider) = cluster.leads_to().find_map(|name| hosts.find(name)) {
                found.insert(cluster.name.as_str(), provider);
            }
        }
        let routes = self.managers.iter().filter_map(|at| at.table).flat_map(|table| &table.hosts);
        for route in routes.flat_map(|host| &host.routes).filter(|route| route.backend != Backend::Any) {
            if let Action::Clusters(names) = &route.action {
                names.iter().for_each(|name| {
                    found.entry(name).or_insert(CHOSEN);
                });
            }
        }
        found
    }

    /// The routes of a manager that lead to a provider.
    pub fn to_providers(&self, at: &Attached<'a>) -> Vec<ToProvider<'a>> {
        let Some(table) = at.table else { return Vec::new() };
        let routes = table.hosts.iter().flat_map(|host| host.routes.iter().map(move |route| (host, route)));
        let led = routes.filter(|(_, route)| self.leads_to_provider(route));
        led.map(|(host, route)| {
            let (weir, modes) = at.on(table, host, route);
            ToProvider { table, host, route, weir, modes }
        })
        .collect()
    }

    fn leads_to_provider(&self, route: &Route) -> bool {
        match &route.action {
            Action::Clusters(names) => names.iter().any(|name| self.providers.contains_key(name.as_str())),
            Action::Header(header) => header == BACKEND_HEADER,
            Action::Local | Action::Other => false,
        }
    }

    /// Whether this Envoy has what came with `1.MINOR`; one that does not say what it is has it.
    pub fn has(&self, minor: u64) -> bool {
        self.dump.version.is_none_or(|version| version >= Version::minor(minor))
    }

    /// Whether it is a server of one's own, of which only Weir's routes tell: it has callers besides, and gets no
    /// provider's key.
    pub fn is_own(&self, route: &Route) -> bool {
        let chosen = |name: &String| self.providers.get(name.as_str()).is_none_or(|provider| *provider == CHOSEN);
        matches!(&route.action, Action::Clusters(names) if names.iter().all(chosen)) && route.backend == Backend::Any
    }

    /// Managers in which a filter of Weir's stands.
    pub fn attached(&self) -> impl Iterator<Item = &Attached<'a>> {
        self.managers.iter().filter(|at| !at.weir.is_empty())
    }
}

/// The cluster of a filter's processor.
pub fn cluster_of(filter: &HttpFilter) -> Option<&str> {
    filter.ext_proc.as_ref().and_then(|ext_proc| ext_proc.cluster.as_deref())
}

fn overrides(table: &RouteTable) -> impl Iterator<Item = &Override> {
    let hosts = table.hosts.iter();
    let below =
        hosts.flat_map(|host| host.overrides.iter().chain(host.routes.iter().flat_map(|route| &route.overrides)));
    table.overrides.iter().chain(below)
}

// === impl Attached ===

impl<'a> Attached<'a> {
    /// `listener weir`.
    pub fn place(&self) -> String {
        format!("listener {}", self.listener.name)
    }

    /// The filter of Weir's that is on for a route, and the modes that the route gives it. The nearest word counts.
    fn on(
        &self,
        table: &'a RouteTable,
        host: &'a VirtualHost,
        route: &'a Route,
    ) -> (Option<&'a HttpFilter>, Option<&'a Modes>) {
        for (_, filter) in &self.weir {
            let said = [&route.overrides, &host.overrides, &table.overrides].into_iter().flatten();
            let nearest = said.into_iter().find(|one| one.filter == filter.name);
            match nearest {
                Some(one) if !one.is_off => return (Some(filter), one.modes.as_ref()),
                None if !filter.is_disabled => return (Some(filter), None),
                _ => {}
            }
        }
        (None, None)
    }

    /// The settings of Weir's filters.
    pub fn settings(&self) -> impl Iterator<Item = (&'a HttpFilter, &'a ExtProc)> {
        self.weir.iter().filter_map(|(_, filter)| Some((*filter, filter.ext_proc.as_deref()?)))
    }
}

// === impl ToProvider ===

impl ToProvider<'_> {
    /// `listener weir, virtual host all, route chat`.
    pub fn place(&self, at: &Attached) -> String {
        format!("{}, virtual host {}, route {}", at.place(), self.host.name, self.route.name)
    }
}
