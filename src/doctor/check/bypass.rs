//! Does anything reach a provider as bytes that Weir cannot read: TLS from the application? Pure.

use std::collections::BTreeSet;

use super::{Findings, NO_DUMP, Scene, Told, many};
use crate::doctor::dump::{Chain, Cluster, End, Listener};

const CHANGE: &str = "let applications call plain HTTP (OPENAI_BASE_URL=http://…), and close 443 to providers for them: \
                      no ServiceEntry with port 443, outboundTrafficPolicy REGISTRY_ONLY, or a NetworkPolicy";
/// Connections through a cluster, ever.
const CONNECTIONS: &str = "upstream_cx_total";

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    if scene.evidence.dump.is_none() {
        return NO_DUMP;
    }
    let mut anywhere = BTreeSet::new();
    for (listener, chain) in scene.chains() {
        let End::Tcp(clusters) = &chain.end else { continue };
        let clusters: Vec<&Cluster> =
            clusters.iter().filter_map(|name| scene.clusters.get(name.as_str()).copied()).collect();
        if let Some((host, provider)) = provider(scene, chain, &clusters) {
            passes(scene, listener, &host, &provider, &clusters, findings);
        } else if let Some(open) = clusters.iter().find(|cluster| cluster.kind == "ORIGINAL_DST") {
            // Traffic that comes in is passed on the same way.
            if listener.name != "virtualInbound" && !open.name.starts_with("Inbound") {
                anywhere.insert((listener.name.as_str(), open.name.as_str()));
            }
        }
    }
    for (listener, cluster) in anywhere {
        let place = format!("listener {listener}, cluster {cluster}");
        let used = scene.evidence.stats.as_ref().and_then(|stats| stats.cluster(cluster, CONNECTIONS));
        let used = used.map_or_else(String::new, |count| format!(" It has taken {}.", many_connections(count)));
        let means = format!(
            "Connections to any host pass here, HTTPS to a provider too, and nobody can tell them apart.{used}"
        );
        findings.note(
            "bypass-open",
            &place,
            means,
            "outboundTrafficPolicy: {mode: REGISTRY_ONLY}, or a NetworkPolicy that closes 443",
        );
    }
    Told::Looked(format!("no listener passes TLS to one of {} known hosts of providers", scene.evidence.hosts.len()))
}

/// The provider whose connections a chain takes, by the names of clients' TLS or by where it leads.
fn provider(scene: &Scene, chain: &Chain, clusters: &[&Cluster]) -> Option<(String, String)> {
    let asked = chain.server_names.iter().map(String::as_str);
    let led = clusters.iter().flat_map(|cluster| cluster.leads_to());
    let found = |name: &str| Some((name.to_owned(), scene.evidence.hosts.find(name)?.to_owned()));
    asked.chain(led).find_map(found)
}

fn passes(
    scene: &Scene,
    listener: &Listener,
    host: &str,
    provider: &str,
    clusters: &[&Cluster],
    findings: &mut Findings,
) {
    let place = format!("listener {}, TLS to {host}", listener.name);
    let counts = |cluster: &&Cluster| scene.evidence.stats.as_ref()?.cluster(&cluster.name, CONNECTIONS);
    // A cluster for everybody's connections says nothing of this provider's.
    let own = clusters.iter().filter(|cluster| cluster.kind != "ORIGINAL_DST");
    let count = own.filter_map(counts).reduce(u64::saturating_add);
    let what = format!("TLS to {provider} passes unread: no policy, meter or limit sees it");
    match count {
        Some(0) => findings.warning("bypass-tls", &place, format!("{what}. Nobody has used it yet."), CHANGE),
        Some(count) => {
            findings.error(
                "bypass-tls",
                &place,
                format!("{what}. It is used: {} so far.", many_connections(count)),
                CHANGE,
            );
        }
        None => {
            findings.warning("bypass-tls", &place, format!("{what}. Whether it is used, no counter here says."), CHANGE)
        }
    }
}

fn many_connections(count: u64) -> String {
    many(usize::try_from(count).unwrap_or(usize::MAX), "connection")
}
