//! [io] Loads in interleaved rounds, so that what the machine does meanwhile meets every row alike,
//! and their medians.

use std::io;
use std::time::Duration;

use super::stand::{Row, Stand};
use crate::support::load::{self, Amount, Load};
use crate::support::streams::{self, Streams};
use crate::support::{proc, streams as stream_support};

/// One row under one load, in one round.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub rps: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    /// Microseconds of CPU time a request.
    pub envoy: f64,
    pub processor: f64,
    pub errors: u64,
}

/// One row under one load: its samples, a round each.
#[derive(Clone, Debug)]
pub struct Cell {
    pub row: Row,
    pub connections: usize,
    pub samples: Vec<Sample>,
    /// Resident memory of the processor afterwards.
    pub rss: Option<u64>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub rounds: usize,
    pub slot: Duration,
    pub warm_up: Duration,
}

/// One row's stream load, a round each.
#[derive(Clone, Debug)]
pub struct StreamCell {
    pub row: Row,
    pub outcomes: Vec<stream_support::Outcome>,
}

/// Drives the same load through each of `rows`, in turn, round after round; a round begins with
/// another row each time.
pub async fn drive(
    stand: &Stand,
    rows: &[Row],
    connections: usize,
    request: impl Fn(Row) -> Vec<u8>,
    effort: Effort,
) -> io::Result<Vec<Cell>> {
    let mut cells: Vec<Cell> =
        rows.iter().map(|&row| Cell { row, connections, samples: Vec::new(), rss: None }).collect();
    for round in 0..effort.rounds {
        for at in 0..rows.len() {
            let at = (at + round) % rows.len();
            let load = Load {
                address: stand.proxy(rows[at]).address,
                request: request(rows[at]),
                connections,
                warm_up: Duration::ZERO,
                amount: Amount::For(effort.slot),
            };
            cells[at].samples.push(sample(stand, rows[at], &load, effort).await?);
        }
    }
    for cell in &mut cells {
        cell.rss = stand.processor(cell.row).map(proc::rss_bytes).transpose()?;
    }
    Ok(cells)
}

/// The warm-up is a run of its own, so that its CPU time is not counted either.
async fn sample(stand: &Stand, row: Row, load: &Load, effort: Effort) -> io::Result<Sample> {
    load::run(&Load { amount: Amount::For(effort.warm_up), ..load.clone() }).await?;
    let cpu = || -> io::Result<(f64, f64)> {
        let of = |pid| proc::cpu_time(pid).map(|time| time.as_secs_f64() * 1e6);
        Ok((of(stand.proxy(row).pid)?, stand.processor(row).map(of).transpose()?.unwrap_or(0.0)))
    };
    let before = cpu()?;
    let outcome = load::run(load).await?;
    let after = cpu()?;
    let requests = (outcome.requests + outcome.errors).max(1) as f64;
    Ok(Sample {
        rps: outcome.rps(),
        p50: micros(outcome.p50()),
        p99: micros(outcome.p99()),
        envoy: (after.0 - before.0) / requests,
        processor: (after.1 - before.1) / requests,
        errors: outcome.errors,
    })
}

/// Runs the same streams through each of `rows`, interleaved.
pub async fn stream(
    stand: &Stand,
    rows: &[Row],
    streams: impl Fn(Row) -> Streams,
    rounds: usize,
) -> io::Result<Vec<StreamCell>> {
    let mut cells: Vec<StreamCell> = rows.iter().map(|&row| StreamCell { row, outcomes: Vec::new() }).collect();
    for round in 0..rounds {
        for at in 0..rows.len() {
            let at = (at + round) % rows.len();
            let streams = Streams { address: stand.proxy(rows[at]).address, ..streams(rows[at]) };
            cells[at].outcomes.push(streams::run(&streams).await?);
        }
    }
    Ok(cells)
}

pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

// === impl Cell ===

impl Cell {
    pub fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of))
    }

    pub fn errors(&self) -> u64 {
        self.samples.iter().map(|sample| sample.errors).sum()
    }

    /// The median over the rounds of what `compare` makes of this cell's sample and the other's.
    pub fn against(&self, other: &Cell, compare: impl Fn(&Sample, &Sample) -> f64) -> f64 {
        median(self.samples.iter().zip(&other.samples).map(|(mine, theirs)| compare(mine, theirs)))
    }
}
