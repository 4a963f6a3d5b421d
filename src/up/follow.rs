//! [io] Envoy follows the configuration: what a new one adds is there before Weir sends a call to it,
//! and what it removes goes only when no exchange can still be sent there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::http::{Client, HttpError};
use crate::app::reload::{FollowError, Follower};
use crate::policy::Policy;
use crate::render::attempt;
use crate::render::envoy::{BodyMode, CLUSTERS_FILE, ExtProc, Plan, ROUTES, ROUTES_FILE};
use crate::render::files;
use crate::target::{Chain, Upstream};

/// Envoy reads its files in milliseconds, and resolves a new name in seconds at most.
const LIMIT: Duration = Duration::from_secs(10);
const ADMIN_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(15);

/// The files of one Envoy.
pub struct Proxy {
    directory: PathBuf,
    system_ca: PathBuf,
    extproc: PathBuf,
    version: String,
    listen: SocketAddr,
    /// Envoy's admin endpoint, as it is bound.
    admin: SocketAddr,
    max_request: u64,
    body_mode: BodyMode,
    max_wait: Duration,
    /// What the policy in force, or the one that comes, needs.
    current: Needs,
    /// What is needed only by exchanges that began before.
    leaving: Vec<(Weak<Policy>, Needs)>,
    client: Client,
}

/// What a policy needs of Envoy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Needs {
    upstreams: Vec<Upstream>,
    chains: Vec<Chain>,
}

// === impl Needs ===

impl Needs {
    fn of(policy: &Policy) -> Needs {
        Needs { upstreams: policy.upstreams.clone(), chains: policy.chains.clone() }
    }

    /// Adds what others need; of one name what is here stays.
    fn add(&mut self, others: &Needs) {
        for upstream in &others.upstreams {
            if !self.upstreams.iter().any(|known| known.name == upstream.name) {
                self.upstreams.push(upstream.clone());
            }
        }
        for chain in &others.chains {
            if !self.chains.contains(chain) {
                self.chains.push(chain.clone());
            }
        }
    }
}

// === impl Proxy ===

impl Proxy {
    /// Follows from what this plan, which was written for this policy, says.
    pub fn new(plan: &Plan<'_>, policy: &Policy) -> Proxy {
        let extproc = match plan.extproc {
            ExtProc::Unix(path) => path.to_owned(),
            ExtProc::Tcp(_) | ExtProc::Tls(..) => PathBuf::new(),
        };
        Proxy {
            directory: plan.files.to_owned(),
            system_ca: plan.system_ca.to_owned(),
            extproc,
            version: plan.envoy_version.to_owned(),
            listen: plan.listen,
            admin: plan.admin,
            max_request: plan.max_request,
            body_mode: plan.body_mode,
            max_wait: plan.max_wait,
            current: Needs::of(policy),
            leaving: Vec::new(),
            client: Client::new(),
        }
    }

    /// Where Envoy's admin endpoint is.
    pub fn runs_at(&mut self, admin: SocketAddr) {
        self.admin = admin;
    }

    /// What is needed now, and what is still needed; of one name the newest.
    fn union(&self) -> Needs {
        let mut all = self.current.clone();
        self.leaving.iter().rev().for_each(|(_, needs)| all.add(needs));
        all
    }

    /// A backend that is to be somewhere else while exchanges may still send a key to where it is: Envoy
    /// knows it by its name alone, and would send them to the new place.
    fn moved<'a>(&self, next: &'a [Upstream]) -> Option<&'a Arc<str>> {
        let place = |upstream: &Upstream| {
            let Upstream { https, host, port, server_name, .. } = upstream;
            (*https, host.clone(), *port, server_name.clone())
        };
        let known = self.union();
        let has_moved =
            |one: &&Upstream| known.upstreams.iter().any(|old| old.name == one.name && place(old) != place(one));
        next.iter().find(has_moved).map(|one| &one.name)
    }

    /// Writes both files: clusters before the routes that name them, or after those that do no more.
    fn write(&self, needs: &Needs, adds: bool) -> Result<(), FollowError> {
        let plan = Plan {
            listen: self.listen,
            admin: self.admin,
            extproc: ExtProc::Unix(&self.extproc),
            files: &self.directory,
            access_log: None,
            system_ca: &self.system_ca,
            max_request: self.max_request,
            body_mode: self.body_mode,
            max_wait: self.max_wait,
            upstreams: &needs.upstreams,
            chains: &needs.chains,
            follows: true,
            node_id: "weir-up",
            envoy_version: &self.version,
        };
        let write = if adds { files::update } else { files::reduce };
        write(&plan).map_err(FollowError::Files)
    }

    /// Waits until Envoy uses what stands in the files and knows each of these clusters.
    async fn wait(&self, needs: &Needs, rejected: u64) -> Result<(), FollowError> {
        let (clusters, routes) = (version(&self.directory, CLUSTERS_FILE), version(&self.directory, ROUTES_FILE));
        let of_attempts = attempt::cluster_names(&needs.chains, &self.version);
        let until = Instant::now() + LIMIT;
        loop {
            if let Ok(seen) = self.look().await {
                if seen.rejected > rejected {
                    return Err(FollowError::Refused);
                }
                let has = |name: &str| seen.names.iter().any(|known| known == name);
                let knows_all = needs.upstreams.iter().all(|upstream| has(&upstream.name))
                    && of_attempts.iter().all(|name| has(name));
                if seen.clusters == clusters && seen.routes == routes && knows_all {
                    return Ok(());
                }
            }
            if Instant::now() >= until {
                return Err(FollowError::Late(LIMIT));
            }
            sleep(POLL).await;
        }
    }

    async fn look(&self) -> Result<Seen, HttpError> {
        let get = async |path: &str| self.client.get(&format!("http://{}{path}", self.admin), ADMIN_TIMEOUT).await;
        let stats = get("/stats?filter=%5E(cluster_manager%5C.cds%7Chttp%5C.weir%5C.rds)%5C.").await?;
        let stats = String::from_utf8_lossy(&stats.body).into_owned();
        let value = |name: &str| {
            let mut lines = stats.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"').to_owned())
        };
        let (cds, rds) = ("cluster_manager.cds", format!("http.{ROUTES}.rds.{ROUTES}"));
        let number = |name: String| value(&name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        let rejected = number(format!("{cds}.update_rejected")) + number(format!("{rds}.update_rejected"));
        let clusters: Value = serde_json::from_slice(&get("/clusters?format=json").await?.body).unwrap_or_default();
        let statuses = clusters["cluster_statuses"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Seen {
            clusters: value(&format!("{cds}.version_text")).unwrap_or_default(),
            routes: value(&format!("{rds}.version_text")).unwrap_or_default(),
            names: statuses.iter().filter_map(|cluster| Some(cluster["name"].as_str()?.to_owned())).collect(),
            rejected,
        })
    }
}

impl Follower for Proxy {
    async fn prepare(&mut self, next: &Policy) -> Result<(), FollowError> {
        let max_request = next.profile.bodies.max_request as u64;
        let needs = Needs::of(next);
        if needs == self.current && max_request == self.max_request {
            return Ok(());
        }
        if let Some(name) = self.moved(&next.upstreams) {
            return Err(FollowError::Moved(name.to_string()));
        }
        let rejected = self.look().await.map_or(0, |seen| seen.rejected);
        let before = std::mem::replace(&mut self.current, needs);
        let size = std::mem::replace(&mut self.max_request, max_request);
        // Exchanges go on with the policy before until this one is in force, and some after it.
        self.leaving.push((Weak::new(), before.clone()));
        let all = self.union();
        let taken = match self.write(&all, true) {
            Ok(()) => self.wait(&all, rejected).await,
            Err(error) => Err(error),
        };
        if taken.is_err() {
            self.leaving.pop();
            (self.current, self.max_request) = (before, size);
            // Envoy refuses a bad cluster and keeps the rest; the files say again what is in force.
            let _ = self.write(&self.union(), true);
        }
        taken
    }

    fn left(&mut self, before: Arc<Policy>) {
        match self.leaving.last_mut() {
            Some((policy, needs)) if policy.strong_count() == 0 && *needs == Needs::of(&before) => {
                *policy = Arc::downgrade(&before);
            }
            _ if Needs::of(&before) == self.current => {}
            _ => self.leaving.push((Arc::downgrade(&before), Needs::of(&before))),
        }
    }

    async fn tidy(&mut self) -> bool {
        let before = self.union();
        self.leaving.retain(|(policy, _)| policy.strong_count() > 0);
        let all = self.union();
        if all != before && self.write(&all, false).is_err() {
            tracing::warn!("Envoy's files cannot be written; clusters that nothing uses stay in them");
        }
        !self.leaving.is_empty()
    }
}

/// What Envoy has.
struct Seen {
    clusters: String,
    routes: String,
    names: Vec<String>,
    rejected: u64,
}

/// The version that stands in a file.
fn version(directory: &Path, file: &str) -> String {
    let content: Value = std::fs::read(directory.join(file))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    content["version_info"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, port: u16) -> Upstream {
        let (host, ca) = ("api.example.com".to_owned(), None);
        Upstream { name: name.into(), https: true, host, port, ca, server_name: None }
    }

    fn policy(upstreams: Vec<Upstream>) -> Policy {
        Policy { upstreams, ..Policy::new(Default::default(), Vec::new(), crate::catalog::Catalog::builtin()) }
    }

    #[tokio::test]
    async fn a_backend_does_not_move_while_its_key_may_still_be_sent() {
        let here = policy(vec![at("one", 443)]);
        let folder = tempfile::tempdir().unwrap();
        let mut proxy = Proxy::new(
            &Plan {
                listen: ([127, 0, 0, 1], 0).into(),
                admin: ([127, 0, 0, 1], 0).into(),
                extproc: ExtProc::Unix(Path::new("/s")),
                files: folder.path(),
                access_log: None,
                system_ca: Path::new("/ca"),
                max_request: here.profile.bodies.max_request as u64,
                body_mode: BodyMode::FullDuplex,
                max_wait: here.max_wait,
                upstreams: &here.upstreams,
                chains: &[],
                follows: true,
                node_id: "n",
                envoy_version: "1.40.0",
            },
            &here,
        );
        let there = policy(vec![at("one", 8443), at("two", 443)]);
        assert!(matches!(proxy.prepare(&there).await, Err(FollowError::Moved(name)) if name == "one"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
        let other_ca = Upstream { ca: Some("/other.pem".into()), ..at("one", 443) };
        assert_eq!(proxy.moved(&[other_ca]), None, "the same place");
        // Also while only calls that began before need it.
        proxy.current = Needs::default();
        proxy.leaving.push((Weak::new(), Needs::of(&here)));
        assert_eq!(proxy.moved(&there.upstreams).map(|name| &**name), Some("one"));
    }
}
