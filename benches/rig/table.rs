//! The numbers as one Markdown table.

use std::fmt::Write;

use super::failover;
use super::rounds::{Cell, StreamCell, median, micros};

/// The table of closed loops.
pub fn loads(cells: &[Cell]) -> String {
    let mut out = String::from(
        "| row | connections | rps | p50 us | p99 us | Envoy CPU us/request | ext_proc CPU us/request | ext_proc RSS MiB | errors |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for cell in cells {
        let rss = cell.rss.map_or_else(|| "-".to_owned(), |rss| format!("{:.1}", mebibytes(rss)));
        let processor = match cell.rss {
            Some(_) => format!("{:.1}", cell.median(|sample| sample.processor)),
            None => "-".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {processor} | {rss} | {} |",
            cell.row.name(),
            cell.connections,
            cell.median(|sample| sample.rps),
            cell.median(|sample| sample.p50),
            cell.median(|sample| sample.p99),
            cell.median(|sample| sample.envoy),
            cell.errors(),
        );
    }
    out
}

/// The table of attempts.
pub fn attempts(sets: &[(usize, Vec<failover::Cell>)]) -> String {
    let mut out = String::from(
        "| row | connections | rps | p50 us | p99 us | Envoy CPU us/request | ext_proc CPU us/request | added p50 us | \
         added p99 us | errors |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for (connections, cells) in sets {
        for cell in cells {
            let added = |share| match cell.way.fails {
                true => format!("{:.0}", micros(cell.added.quantile(share))),
                false => "-".to_owned(),
            };
            let _ = writeln!(
                out,
                "| {} | {connections} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {} | {} |",
                cell.way.name(),
                cell.median(|sample| sample.rps),
                cell.median(|sample| sample.p50),
                cell.median(|sample| sample.p99),
                cell.median(|sample| sample.envoy),
                cell.median(|sample| sample.processor),
                added(0.5),
                added(0.99),
                cell.errors(),
            );
        }
    }
    out
}

/// The table of streams.
pub fn streams(sets: &[(&str, &[StreamCell])]) -> String {
    let mut out = String::from(
        "| streams | row | events | lost streams | delay p50 us | delay p99 us |\n|---|---|---:|---:|---:|---:|\n",
    );
    for (name, cells) in sets {
        for cell in *cells {
            let _ = writeln!(
                out,
                "| {name} | {} | {} | {} | {:.0} | {:.0} |",
                cell.row.name(),
                cell.outcomes.iter().map(|outcome| outcome.events).sum::<u64>(),
                cell.lost(),
                cell.delay(0.5),
                cell.delay(0.99),
            );
        }
    }
    out
}

pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

// === impl StreamCell ===

impl StreamCell {
    pub fn lost(&self) -> u64 {
        self.outcomes.iter().map(|outcome| outcome.lost).sum()
    }

    /// The median over the rounds of a quantile of the delays, in microseconds.
    pub fn delay(&self, share: f64) -> f64 {
        median(self.outcomes.iter().map(|outcome| micros(outcome.delay.quantile(share))))
    }

    /// How much later than in `other`, by the median of the rounds' differences.
    pub fn later_than(&self, other: &StreamCell, share: f64) -> f64 {
        let pairs = self.outcomes.iter().zip(&other.outcomes);
        median(pairs.map(|(mine, theirs)| micros(mine.delay.quantile(share)) - micros(theirs.delay.quantile(share))))
    }
}
