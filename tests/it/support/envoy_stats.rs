//! Envoy's own counters, and the oracle that every end-to-end suite asks at its end: Envoy found
//! nothing to complain of, did not restart, and sent upstream what the mock received.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::http1::{self, Request};
use super::proc;

/// Counters of the filter that must be 0 when Weir spoke the protocol right.
const MUST_BE_ZERO: &[&str] = &["spurious_msgs_received", "rejected_header_mutations", "streams_failed"];

/// How often and how far apart the counts are compared: the mock counts a request after Envoy has.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// Envoy's admin interface.
#[derive(Clone, Debug)]
pub struct Admin {
    address: String,
}

/// Counters and gauges at one moment, by their full names.
#[derive(Clone, Debug, Default)]
pub struct Stats(BTreeMap<String, u64>);

/// What a suite knows it caused.
#[derive(Clone, Debug, Default)]
pub struct Exceptions {
    /// Names of [`MUST_BE_ZERO`] that may count: a test that stops Weir makes streams fail.
    pub may_count: Vec<&'static str>,
    /// Whether requests may have been sent upstream and never reached the mock's counter (aborts).
    pub may_miss_requests: bool,
    /// Whether clusters were removed, and Envoy's count of what went to them with them.
    pub clusters_went: bool,
}

/// Made when Envoy is up, asked when the suite is over.
#[derive(Clone, Debug)]
pub struct Oracle {
    admin: Admin,
    pid: u32,
    started: u64,
    /// Clusters that are no provider.
    own_clusters: Vec<String>,
}

// === impl Admin ===

impl Admin {
    /// `address` is `host:port`, with or without `http://` before it.
    pub fn new(address: &str) -> Self {
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        Self { address: address.into() }
    }

    pub async fn stats(&self) -> io::Result<Stats> {
        Ok(Stats::parse(&self.get("/stats").await?))
    }

    /// The body of an admin page.
    pub async fn get(&self, path: &str) -> io::Result<String> {
        let request = Request { method: "GET", path, headers: &[("host", &self.address)] }.head();
        let response = http1::exchange(&self.address, "GET", &request).await?;
        if response.status != 200 || !response.complete {
            return Err(io::Error::other(format!("{path}: {response:?}")));
        }
        Ok(response.text())
    }
}

// === impl Stats ===

impl Stats {
    /// Lines `name: number`; histograms and texts are left out.
    fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// By the full name, as `http.llm.ext_proc.streams_started`.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// All counters of ext_proc filters with this last name, whatever prefixes the filter has.
    pub fn ext_proc(&self, name: &str) -> Vec<(&str, u64)> {
        let all = self.0.iter().map(|(full, value)| (full.as_str(), *value));
        all.filter(|(full, _)| full.contains("ext_proc.") && full.rsplit('.').next() == Some(name)).collect()
    }

    /// Requests sent to every cluster but these.
    pub fn upstream_requests(&self, except: &[String]) -> u64 {
        let clusters = self.0.iter().filter_map(|(full, value)| {
            let cluster = full.strip_prefix("cluster.")?.strip_suffix(".upstream_rq_total")?;
            (!except.iter().any(|own| own == cluster)).then_some(*value)
        });
        clusters.sum()
    }

    fn complaints(&self, exceptions: &Exceptions) -> Vec<String> {
        let mut found = Vec::new();
        for name in MUST_BE_ZERO {
            let counters = self.ext_proc(name);
            if counters.is_empty() {
                found.push(format!("Envoy has no counter ext_proc.{name}: the oracle would see nothing"));
            }
            if exceptions.may_count.contains(name) {
                continue;
            }
            found.extend(
                counters.iter().filter(|(_, value)| *value != 0).map(|(full, value)| format!("{full}: {value}")),
            );
        }
        found
    }
}

// === impl Oracle ===

impl Oracle {
    /// `pid` is Envoy's; `own_clusters` are those that lead to no provider (Weir's own).
    pub fn new(admin: Admin, pid: u32, own_clusters: &[&str]) -> Self {
        let started = proc::started(pid).expect("Envoy runs when the suite begins");
        Self { admin, pid, started, own_clusters: own_clusters.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// Panics with everything that is not as it must be. `mock_requests` gives the mock's count.
    pub async fn assert_clean<F>(&self, mock_requests: impl Fn() -> F, exceptions: &Exceptions)
    where
        F: Future<Output = u64>,
    {
        let same = proc::started(self.pid).is_ok_and(|started| started == self.started);
        assert!(same && proc::runs(self.pid), "Envoy (process {}) has ended or was started anew", self.pid);
        let mut found = self.admin.stats().await.expect("Envoy's admin answers").complaints(exceptions);
        let (mut sent, mut received) = (0, 0);
        for _ in 0..TRIES {
            sent = self.admin.stats().await.expect("Envoy's admin answers").upstream_requests(&self.own_clusters);
            received = mock_requests().await;
            if sent == received {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let lost = received > sent && !exceptions.clusters_went;
        if lost || (received < sent && !exceptions.may_miss_requests) {
            found.push(format!("Envoy sent {sent} requests upstream, the mock received {received}"));
        }
        assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    }
}

mod tests {
    use super::*;

    const TEXT: &str = "cluster.mock.upstream_rq_total: 3\ncluster.b.upstream_rq_total: 2\n\
        cluster.weir.upstream_rq_total: 9\ncluster.mock.upstream_rq_time: P0(nan,1.0) P25(nan,1.05)\n\
        http.llm.ext_proc.spurious_msgs_received: 0\nhttp.llm.ext_proc.rejected_header_mutations: 0\n\
        http.llm.ext_proc.streams_failed: 1\n";

    #[test]
    fn provider_requests_are_those_of_other_clusters() {
        let stats = Stats::parse(TEXT);
        assert_eq!(stats.get("cluster.weir.upstream_rq_total"), Some(9));
        assert_eq!(stats.get("cluster.mock.upstream_rq_time"), None);
        assert_eq!(stats.upstream_requests(&["weir".into()]), 5);
    }

    #[test]
    fn a_count_is_a_complaint_unless_the_suite_named_it() {
        let stats = Stats::parse(TEXT);
        assert_eq!(stats.complaints(&Exceptions::default()), ["http.llm.ext_proc.streams_failed: 1"]);
        let exceptions = Exceptions { may_count: vec!["streams_failed"], ..Exceptions::default() };
        assert_eq!(stats.complaints(&exceptions), Vec::<String>::new());
        assert_eq!(Stats::default().complaints(&exceptions).len(), 3);
    }
}
