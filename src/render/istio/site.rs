//! Where backends are, as the mesh knows it: hosts with a ServiceEntry of ours, and Services of the cluster. Backends
//! that go to one place the same way share it. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Form, IstioError, Plan};
use crate::target::Upstream;

/// One place, and which backends go there.
#[derive(Clone, Debug)]
pub(super) struct Site<'a> {
    /// Of the first backend that goes there; the others differ from it in their name alone.
    pub upstream: &'a Upstream,
    /// The host by which the mesh knows it, and the port that it has there.
    pub host: String,
    pub port: u16,
    /// What its resources are called.
    pub name: String,
    pub place: Place,
    pub backends: Vec<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside the mesh, under its own name.
    Named,
    /// Outside the mesh, under a name that is made up: an address, or the second port of a host.
    Addressed,
    /// A Service of the cluster: it has its entry, its TLS and its owner.
    Mesh,
}

/// The port that applications call, and which every place outside the mesh has in it.
pub(super) const PORT: u16 = 80;

/// What ends the made up names. No DNS is asked for them.
const MADE_UP: &str = "backend.weir.internal";

/// All places, in the order of the backends.
///
/// # Errors
/// A Service of the cluster that the form cannot reach.
pub(super) fn sites<'a>(plan: &Plan<'a>) -> Result<Vec<Site<'a>>, IstioError> {
    let mut sites: Vec<Site> = Vec::new();
    let mut names = BTreeSet::new();
    for upstream in plan.upstreams {
        if let Some(site) = sites.iter_mut().find(|site| is_same(site.upstream, upstream)) {
            site.backends.push(&upstream.name);
            continue;
        }
        if upstream.host.eq_ignore_ascii_case(plan.host) {
            return Err(IstioError::OwnHost { backend: upstream.name.to_string(), host: plan.host.to_owned() });
        }
        let name = unused(&mut names, &upstream.host);
        let is_second = sites.iter().any(|site| site.upstream.host == upstream.host);
        let place = if in_mesh(&upstream.host) {
            checked(plan.form, upstream)?
        } else if is_second || upstream.host.parse::<IpAddr>().is_ok() {
            Place::Addressed
        } else {
            Place::Named
        };
        let host = if place == Place::Addressed { format!("{name}.{MADE_UP}") } else { upstream.host.clone() };
        let port = if place == Place::Mesh { upstream.port } else { PORT };
        sites.push(Site { upstream, host, port, name, place, backends: vec![&upstream.name] });
    }
    Ok(sites)
}

/// The hosts at which calls are Weir's: the one for applications, and those of the places outside the mesh, which
/// Weir sends calls on to. In the order of the backends.
pub(super) fn hosts<'a>(plan: &Plan<'a>, sites: &[Site<'a>]) -> Vec<&'a str> {
    let mut hosts = vec![plan.host];
    for site in sites {
        // Behind a gateway nobody but Weir calls, so every host there is Weir's.
        let is_ours = site.place != Place::Mesh || plan.form == Form::EgressGateway;
        if is_ours && !hosts.contains(&site.upstream.host.as_str()) {
            hosts.push(&site.upstream.host);
        }
    }
    hosts
}

fn is_same(one: &Upstream, other: &Upstream) -> bool {
    let Upstream { name: _, https, host, port, ca, server_name } = one;
    (https, host, port, ca, server_name) == (&other.https, &other.host, &other.port, &other.ca, &other.server_name)
}

/// `name`, `name.namespace`, and what ends as Services do.
fn in_mesh(host: &str) -> bool {
    host.parse::<IpAddr>().is_err()
        && (!host.contains('.') || host.ends_with(".svc") || host.contains(".svc.") || host.ends_with(".cluster.local"))
}

fn checked(form: Form, upstream: &Upstream) -> Result<Place, IstioError> {
    let Upstream { name, https, host, port, .. } = upstream;
    let (backend, host, port) = (name.to_string(), host.clone(), *port);
    if *https {
        return Err(IstioError::ServiceTls { backend, host });
    }
    // A sidecar's table for the port that was called knows Services by their own ports.
    if form == Form::Sidecar && port != PORT {
        return Err(IstioError::ServicePort { backend, host, port });
    }
    Ok(Place::Mesh)
}

/// A name for resources, made of the host. Two hosts never share one.
fn unused(names: &mut BTreeSet<String>, host: &str) -> String {
    let plain: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let plain = format!("weir-{}", plain.trim_matches(['.', '-']));
    let mut name = plain.clone();
    let mut number = 2;
    while !names.insert(name.clone()) {
        name = format!("{plain}-{number}");
        number += 1;
    }
    name
}
