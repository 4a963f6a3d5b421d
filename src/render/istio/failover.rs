//! One call at several backends (`failover: PerAttempt`), in Istio's words and Envoy's. Experimental. Pure.
//!
//! Each backend of an order has a subset of its host's DestinationRule: a cluster of its own, with the TLS, addresses
//! and limits that Istio gives the host, into which a patch puts the filters that the plain renderer has there. Each
//! order has a route of the VirtualService that leads to these subsets, by weight.
//!
//! The proxy of Istio is built from a list of Envoy's extensions, which has none of those that choose a cluster by the
//! number of the attempt. So it is done with what Envoy always has: with `refresh_cluster_on_retry` a cluster by weight
//! is chosen anew for each attempt, among those that were not tried yet, and then again among all (Envoy 1.39). Chance
//! is taken out of it by `header_name`: the number that decides is then read from a header, and the one header that
//! is a number, is there at each attempt, and may reach a provider, is `content-length`. Each weight is above any
//! length, so it is always the first that is left.

use serde_json::{Value, json};

use super::Plan;
use super::patch::{self, patch};
use super::site::{Place, Site, hosts};
use super::version::Version;
use crate::render::attempt::{self, FAILOVER};
use crate::render::envoy::{HTTP_OPTIONS, TYPE_HTTP_OPTIONS};
use crate::target::Chain;

pub(super) const WHAT: &str = "\
EXPERIMENTAL: one call at several backends (`failover: PerAttempt`). Each attempt goes through a cluster of its own (a\n\
subset, see the DestinationRules) whose filter asks Weir what to send. It was tried on Envoy, never on a cluster of\n\
Kubernetes. Apply it after the VirtualServices; without it the rule chooses its backend before the call, as ever.";

/// Where each attempt of the orders may go; empty where the proxy is not asked to try one call at several backends.
#[derive(Debug, Default)]
pub(super) struct Attempts<'a> {
    places: Vec<Attempt<'a>>,
    /// The orders that have a route.
    chains: &'a [Chain],
}

/// A backend, and the cluster that attempts at it go through.
#[derive(Debug)]
struct Attempt<'a> {
    backend: &'a str,
    host: String,
    port: u16,
    subset: String,
}

/// Why documents that want one call tried at several backends get no routes for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAttempts {
    #[error("the proxy of Istio {0} cannot choose another backend for an attempt; it needs 1.31")]
    Version(Version),
    #[error("Weir is reached by TCP, and hears attempts at a Unix socket alone (`listen.extProc: unix:PATH`)")]
    Tcp,
    /// A subset would take the place of what its owner says of it.
    #[error("backend {0} is a Service of the cluster, whose clusters are its owner's")]
    Service(String),
}

/// Of each backend in an order. Bodies are below it ([`Plan::max_request`] is at most half of it), and the sum of the
/// longest order (five, for there are at most [`MAX_CHAINS`](crate::target::MAX_CHAINS) of a rule) is below 2^31, which
/// is what a VirtualService can say.
const WEIGHT: u32 = 1 << 27;

/// What a body may be longer when it leaves than when it came.
const GROWN: u64 = 1 << 20;

/// What a name of a subset may have of its backend's: it is a label of DNS.
const LONGEST: usize = 48;

/// The EnvoyFilter, applied after the one that has the route's filter.
pub(super) fn filter(plan: &Plan, sites: &[Site], attempts: &Attempts) -> Value {
    let own = attempt::own_cluster(plan.extproc);
    let mut patches: Vec<Value> = own.into_iter().map(|own| patch("CLUSTER", plan.at(json!({})), "ADD", own)).collect();
    for one in &attempts.places {
        let mut matching = plan.at(json!({}));
        matching["cluster"] = json!({"service": one.host, "portNumber": one.port, "subset": one.subset});
        patches.push(patch("CLUSTER", matching, "MERGE", cluster(plan, one.backend)));
    }
    for chain in attempts.chains {
        let vhost = json!({"route": {"name": Site::route_name(&chain.header)}});
        patches.push(patch("HTTP_ROUTE", plan.routes(vhost), "MERGE", order(plan)));
    }
    let overrides = json!({"grpc_initial_metadata": [{"key": FAILOVER, "value": attempt::said_of(attempts.chains)}]});
    patches.extend(hosts(plan, sites).iter().map(|host| patch::switch_on(plan, host, &overrides)));
    let (key, value) = plan.selector;
    let spec = json!({"workloadSelector": {"labels": {key: value}}, "priority": 1, "configPatches": patches});
    plan.resource("v1alpha3", "EnvoyFilter", "weir-failover", spec)
}

/// The options take the place of those that Istio has written, so they say again what those do: HTTP/1.1. (The name
/// for TLS is in the DestinationRule.)
fn cluster(plan: &Plan, backend: &str) -> Value {
    json!({"typed_extension_protocol_options": {HTTP_OPTIONS: {
        "@type": TYPE_HTTP_OPTIONS,
        "explicit_http_config": {"http_protocol_options": {}},
        "http_filters": attempt::filters(&plan.version.envoy(), plan.max_wait, backend),
    }}})
}

fn order(plan: &Plan) -> Value {
    let mut route = patch::route(plan);
    route["route"]["retry_policy"] = attempt::anew();
    route["route"]["weighted_clusters"] = json!({"header_name": "content-length"});
    route["request_body_buffer_limit"] = json!(plan.max_request + GROWN);
    route
}

// === impl Attempts ===

impl<'a> Attempts<'a> {
    /// What the plan's orders need.
    ///
    /// # Errors
    /// Why there are no routes for them.
    pub fn of(plan: &Plan<'a>, sites: &[Site<'a>]) -> Result<Attempts<'a>, NoAttempts> {
        if plan.chains.is_empty() {
            return Ok(Attempts::default());
        }
        if !plan.version.fails_over() {
            return Err(NoAttempts::Version(plan.version));
        }
        if attempt::own_cluster(plan.extproc).is_none() {
            return Err(NoAttempts::Tcp);
        }
        let mut places: Vec<Attempt> = Vec::new();
        for backend in plan.chains.iter().flat_map(|chain| &chain.backends).map(|name| &**name) {
            if places.iter().any(|place| place.backend == backend) {
                continue;
            }
            let outside = sites.iter().filter(|site| site.place != Place::Mesh);
            let site = outside.into_iter().find(|site| site.backends.contains(&backend));
            let Some(Site { host, port, .. }) = site else { return Err(NoAttempts::Service(backend.to_owned())) };
            let subset = unused(&places, backend);
            places.push(Attempt { backend, host: host.clone(), port: *port, subset });
        }
        Ok(Attempts { places, chains: plan.chains })
    }

    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// The subsets of the DestinationRule of this host, each the whole of it. Nobody is ejected from them, because
    /// Envoy ends a call whose cluster has nobody left instead of trying the next one.
    pub fn subsets(&self, host: &str) -> Vec<Value> {
        let own = self.places.iter().filter(|place| place.host == host);
        let policy = json!({"outlierDetection": {"consecutive5xxErrors": 0}});
        own.map(|place| json!({"name": place.subset, "labels": labels(), "trafficPolicy": policy})).collect()
    }

    /// The labels that the address of this host needs, so that it is in its subsets; none where it has none.
    pub fn labels(&self, host: &str) -> Option<Value> {
        self.places.iter().any(|place| place.host == host).then(labels)
    }

    /// The orders: the value of the header that chooses each, and its destinations in turn.
    pub fn orders(&self) -> impl Iterator<Item = (&'a str, Vec<Value>)> {
        self.chains.iter().map(|chain| {
            let mut seen: Vec<&str> = Vec::new();
            for backend in &chain.backends {
                // What begins again with the first does so by itself.
                if !seen.contains(&&**backend) {
                    seen.push(backend);
                }
            }
            let places = seen.iter().filter_map(|name| self.places.iter().find(|place| place.backend == *name));
            (&*chain.header, places.map(Attempt::destination).collect())
        })
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    fn destination(&self) -> Value {
        let destination = json!({"host": self.host, "port": {"number": self.port}, "subset": self.subset});
        json!({"destination": destination, "weight": WEIGHT})
    }
}

/// What the address of a host and its subsets have in common. (A subset without labels was found to be empty where the
/// address has none either: istio/istio, issue 34566.)
fn labels() -> Value {
    json!({"weir.dev/attempts": "true"})
}

/// A label of DNS, made of the backend's name. No two backends share one.
fn unused(places: &[Attempt], backend: &str) -> String {
    let plain: String =
        backend.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = format!("weir-{}", plain.get(..LONGEST).unwrap_or(&plain).trim_matches('-'));
    let mut name = plain.clone();
    let mut number = 2;
    while places.iter().any(|place| place.subset == name) {
        name = format!("{plain}-{number}");
        number += 1;
    }
    name
}
