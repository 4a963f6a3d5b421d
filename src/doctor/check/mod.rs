//! The checks, a file a group. Each says what it looked at, so that silence is never taken for health. Pure.

mod attachment;
mod attempts;
mod bypass;
mod clusters;
mod filter;
mod replies;
mod routes;
mod secrets;
mod socket;
mod stats;
mod weir;

use std::time::Duration;

use super::finding::{Findings, Group, Severity, Told};
use super::report::{Report, many};
use super::scene::Scene;
use crate::render::since::Field;

type Check = fn(&Scene, &mut Findings) -> Told;

const CHECKS: &[(Group, Check)] = &[
    (Group::Attachment, attachment::check),
    (Group::Filter, filter::check),
    (Group::Clusters, clusters::check),
    (Group::Routes, routes::check),
    (Group::Attempts, attempts::check),
    (Group::Bypass, bypass::check),
    (Group::Secrets, secrets::check),
    (Group::Replies, replies::check),
    (Group::Stats, stats::check),
    (Group::Socket, socket::check),
    (Group::Weir, weir::check),
];

/// Why a group about Weir's filter has nothing to say.
const NO_FILTER: Told = Told::Skipped("there is no filter of Weir's");
const NO_DUMP: Told = Told::Skipped("no configuration of an Envoy was given");

/// Every check, and what was looked at.
pub fn all(scene: &Scene) -> Report {
    let run = |(group, check): &(Group, Check)| {
        let mut found = Findings::of(*group);
        let told = check(scene, &mut found);
        (*group, told, found)
    };
    Report::new(seen(scene), CHECKS.iter().map(run).collect())
}

fn seen(scene: &Scene) -> String {
    let Some(dump) = &scene.evidence.dump else { return "No Envoy was looked at.".to_owned() };
    let version = dump.version.map_or_else(|| "of unknown version".to_owned(), |version| version.to_string());
    let routes: usize = scene
        .managers
        .iter()
        .filter_map(|at| at.table)
        .flat_map(|table| &table.hosts)
        .map(|host| host.routes.len())
        .sum();
    format!(
        "Envoy {version}: {}, {}, {}",
        many(dump.listeners.len(), "listener"),
        many(dump.clusters.len(), "cluster"),
        many(routes, "route")
    )
}

/// How bad it is to be without a field: nobody can mend it in an Envoy that is older than it.
fn since(scene: &Scene, field: Field) -> Severity {
    if scene.has(field.since.into()) { Severity::Warning } else { Severity::Note }
}

/// `0.2 s`, `15 s`, `5 min`.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    if time.subsec_millis() > 0 {
        format!("{:.1} s", time.as_secs_f64())
    } else if seconds >= 60 && seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}
