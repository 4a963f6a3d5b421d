//! Envoy's counters, as its admin page `/stats` writes them: `name: number`, one a line. Pure.

use std::collections::BTreeMap;

/// Counters and gauges by their full names.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    values: BTreeMap<String, u64>,
}

/// Parts of the names that a check asks for: a busy mesh has a million others.
const WANTED: &[&str] = &[".ext_proc.", "cluster."];
const ENDS: &[&str] = &[
    ".spurious_msgs_received",
    ".rejected_header_mutations",
    ".streams_failed",
    ".failure_mode_allowed",
    ".streams_started",
    ".message_timeouts",
    ".upstream_cx_total",
    ".upstream_cx_connect_fail",
    ".upstream_cx_overflow",
    ".upstream_rq_pending_overflow",
    ".upstream_rq_retry_overflow",
    ".retry_or_shadow_abandoned",
];

// === impl Stats ===

impl Stats {
    /// Reads the page. None when it holds no line of this form.
    pub fn read(text: &str) -> Option<Stats> {
        let mut values = BTreeMap::new();
        let mut lines = 0;
        for line in text.lines() {
            let Some((name, value)) = line.rsplit_once(": ") else { continue };
            let Ok(value) = value.trim().parse::<u64>() else { continue };
            lines += 1;
            if WANTED.iter().any(|part| name.contains(part)) && ENDS.iter().any(|end| name.ends_with(end)) {
                values.insert(name.to_owned(), value);
            }
        }
        (lines > 0).then_some(Stats { values })
    }

    /// A counter of a cluster; none where Envoy does not show it.
    pub fn cluster(&self, cluster: &str, counter: &str) -> Option<u64> {
        // A colon ends a name in this form, so Envoy writes another letter.
        let cluster = cluster.replace(':', "_");
        self.values.get(&format!("cluster.{cluster}.{counter}")).copied()
    }

    /// Counters of this name of the `ext_proc` filters in a manager, with the prefixes that filters may have.
    pub fn ext_proc(&self, stat_prefix: &str, counter: &str) -> Option<u64> {
        let prefix = format!("http.{}.ext_proc.", stat_prefix.replace(':', "_"));
        let end = format!(".{counter}");
        let of_it =
            |(name, value): (&String, &u64)| (name.starts_with(&prefix) && name.ends_with(&end)).then_some(*value);
        self.values
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter_map(of_it)
            .reduce(u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_cluster_and_manager() {
        let text = "cluster.outbound|80||api.openai.com.upstream_cx_total: 3\ncluster.a_b.upstream_cx_total: 1\n\
                    http.weir.ext_proc.streams_failed: 2\nhttp.weir.ext_proc.llm.streams_failed: 4\n\
                    http.weirdo.ext_proc.streams_failed: 64\nserver.uptime: 9\nh: P0(1,2)\n";
        let stats = Stats::read(text).unwrap();
        assert_eq!(stats.cluster("outbound|80||api.openai.com", "upstream_cx_total"), Some(3));
        assert_eq!(stats.cluster("a:b", "upstream_cx_total"), Some(1));
        assert_eq!(stats.cluster("c", "upstream_cx_total"), None);
        assert_eq!(stats.ext_proc("weir", "streams_failed"), Some(6));
        assert_eq!(stats.ext_proc("other", "streams_failed"), None);
        assert!(Stats::read("<html>\n").is_none());
    }
}
