//! Weir behind a real Envoy, against a no-op processor and against none. Prints one table of loads,
//! one of streams, and the goals with what was reached.
//!
//! Every row goes to the same mock through an Envoy of its own with the same configuration. Rows take
//! turns in short slots, so that a busy machine slows all of them alike; what is shown is the median
//! over the rounds, and ratios are medians of the rounds' ratios. Load, mock, Envoy and processor
//! share the machine's cores.
//!
//! `--noop SOCKET` makes this binary the no-op processor; the bench starts itself that way, so that
//! the processor is a process of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its table")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use rig::failover;
use rig::goals::{self, Goal, at_least, at_most};
use rig::loads::{chat, request};
use rig::rounds::{self, Cell, Effort, StreamCell, median, micros};
use rig::stand::{Row, Stand};
use rig::table;
use support::proc;
use support::streams::Streams;

mod rig;
mod support;

/// The allocator of `weir`, for the no-op too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// Be the no-op processor on this socket.
    #[arg(long, value_name = "SOCKET", hide = true)]
    noop: Option<PathBuf>,
    /// A second or less a slot, one round: for trying things out.
    #[arg(long)]
    quick: bool,
    /// Only the closed loops at so many connections; 0 for the streams and the memory alone.
    #[arg(long)]
    connections: Option<usize>,
    /// Worker threads of each Envoy.
    #[arg(long, default_value_t = 2)]
    threads: u32,
    /// Only the attempts.
    #[arg(long, conflicts_with = "connections")]
    attempts: bool,
    /// Rounds of the closed loops.
    #[arg(long)]
    rounds: Option<usize>,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Size of the small requests' bodies.
const SMALL: usize = 1024;
const LARGE: usize = 220 * 1024;
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const MANY: usize = 1000;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.noop {
        Some(socket) => noop(socket),
        // On this thread, for the kernel ends Envoy with the thread that started it.
        None => runtime().and_then(|runtime| runtime.block_on(bench(&args))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Box<dyn Error>> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn noop(socket: &Path) -> Result<(), Box<dyn Error>> {
    Ok(support::noop::run(socket, || println!("ready extproc={}", socket.display()))?)
}

async fn bench(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut goals = Vec::new();
    if !args.attempts {
        let stand = Stand::start(args.threads).await?;
        let result = measure(&stand, args).await;
        stand.stop().await?;
        goals = result?;
    }
    if args.connections.is_none() {
        let stand = failover::Stand::start(args.threads).await?;
        let result = attempts(&stand, args, &mut goals).await;
        stand.stop().await?;
        result?;
    }
    println!("{}", goals::table(&goals));
    Ok(())
}

async fn measure(stand: &Stand, args: &Args) -> Result<Vec<Goal>, Box<dyn Error>> {
    let cores = std::thread::available_parallelism()?;
    println!(
        "Envoy {} with {} worker threads; {cores} cores; Unix socket; bodies of {SMALL} bytes.\n",
        stand.envoy_version, stand.threads
    );
    let mut goals = Vec::new();
    let only = args.connections;
    if only.is_none_or(|only| only == 0) {
        // First, for memory that was used once is not given back at once.
        memory(stand, &mut goals).await?;
        cold_start(stand, &mut goals).await?;
    }
    if only != Some(0) {
        let connections: Vec<usize> = only.map_or(CONNECTIONS.to_vec(), |only| vec![only]);
        closed_loops(stand, args, &connections, &mut goals).await?;
    }
    if only.is_none_or(|only| only == 0) {
        streams(stand, args.quick, &mut goals).await?;
    }
    Ok(goals)
}

fn effort(args: &Args) -> Effort {
    let millis = Duration::from_millis;
    match args.quick {
        true => Effort { rounds: args.rounds.unwrap_or(1), slot: millis(1000), warm_up: millis(200) },
        false => Effort { rounds: args.rounds.unwrap_or(3), slot: millis(3000), warm_up: millis(400) },
    }
}

/// Idle memory, and what an open stream adds to it.
async fn memory(stand: &Stand, goals: &mut Vec<Goal>) -> Result<(), Box<dyn Error>> {
    let mut open = Vec::new();
    for (row, limit) in [(Row::Noop, f64::INFINITY), (Row::Full, 32.0)] {
        let pid = stand.processor(row).ok_or("no processor")?;
        let idle = proc::rss_bytes(pid)?;
        let streams = idle_streams(stand, row);
        let sampled = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            proc::rss_bytes(pid)
        };
        let busy = tokio::select! {
            outcome = support::streams::run(&streams) => return Err(format!("streams ended early: {outcome:?}").into()),
            busy = sampled => busy?,
        };
        let each = busy.saturating_sub(idle) as f64 / MANY as f64 / 1024.0;
        open.push((row, idle, each, limit));
    }
    for (row, idle, each, limit) in open {
        println!(
            "{}: {:.1} MiB idle, {each:.1} KiB more for each of {MANY} open streams.",
            row.name(),
            table::mebibytes(idle)
        );
        if limit.is_finite() {
            goals.push(at_most("memory, idle, before the first exact count", 30.0, table::mebibytes(idle), "MiB"));
            goals.push(at_most("memory of an open stream", limit, each, "KiB"));
        }
    }
    println!();
    Ok(())
}

fn idle_streams(stand: &Stand, row: Row) -> Streams {
    Streams {
        address: stand.proxy(row).address,
        request: request(row, "x-mock-spacing: 3000\r\nx-mock-tokens: 8\r\n", &chat(SMALL, "\"stream\":true,")),
        count: MANY,
        spacing: Duration::from_secs(3),
    }
}

async fn cold_start(stand: &Stand, goals: &mut Vec<Goal>) -> Result<(), Box<dyn Error>> {
    let starts = stand.cold_starts(5).await?;
    let millis = median(starts.iter().map(|took| micros(*took) / 1000.0));
    goals.push(at_most("cold start to the ready line", 200.0, millis, "ms"));
    Ok(())
}

async fn closed_loops(
    stand: &Stand,
    args: &Args,
    connections: &[usize],
    goals: &mut Vec<Goal>,
) -> Result<(), Box<dyn Error>> {
    let effort = effort(args);
    let mut all: Vec<Cell> = Vec::new();
    for &connections in connections {
        let body = chat(SMALL, "");
        let cells = rounds::drive(stand, &Row::ALL, connections, |row| request(row, "", &body), effort).await?;
        if let [_, noop, _, unlimited, full, hit, miss] = &cells[..] {
            compare_cache(connections, [noop, unlimited, hit, miss], goals);
            compare(connections, full, noop, goals);
            if connections == 16 {
                let ratio = full.against(unlimited, |mine, theirs| mine.rps / theirs.rps);
                goals.push(at_least("throughput with three limits against without, 16 connections", 0.95, ratio, "x"));
                let more = full.against(unlimited, |mine, theirs| mine.processor - theirs.processor);
                goals.push(at_most("CPU a request of three limits, 16 connections", 5.0, more, "us"));
            }
        }
        all.extend(cells);
    }
    let effort = Effort { rounds: effort.rounds + 2, slot: effort.slot / 2, ..effort };
    let body = chat(LARGE, "");
    let large = rounds::drive(stand, &[Row::Noop, Row::Full], 1, |row| request(row, "", &body), effort).await?;
    println!("{}", table::loads(&all));
    println!("With prompts of {} KiB:\n\n{}", LARGE / 1024, table::loads(&large));
    if let [noop, full] = &large[..] {
        let added = full.against(noop, |mine, theirs| mine.p50 - theirs.p50) / 1000.0;
        goals.push(at_most("a 220 KB prompt, p50 added over the no-op", 0.5, added, "ms"));
    }
    let errors: u64 = all.iter().chain(&large).map(Cell::errors).sum();
    goals.push(at_most("errors", 0.0, errors as f64, ""));
    Ok(())
}

fn compare(connections: usize, full: &Cell, noop: &Cell, goals: &mut Vec<Goal>) {
    match connections {
        1 => {
            let added = full.against(noop, |mine, theirs| mine.p50 - theirs.p50);
            goals.push(at_most("p50 added over the no-op, 1 connection", 60.0, added, "us"));
        }
        16 => {
            let ratio = full.against(noop, |mine, theirs| mine.rps / theirs.rps);
            goals.push(at_least("throughput against the no-op, 16 connections", 0.9, ratio, "x"));
            let ratio = full.against(noop, |mine, theirs| mine.processor / theirs.processor);
            goals.push(at_most("CPU a request against the no-op, 16 connections", 2.0, ratio, "x"));
            let more = full.against(noop, |mine, theirs| mine.processor - theirs.processor);
            goals.push(at_most("CPU a request over the no-op, 16 connections", 10.0, more, "us"));
        }
        _ => {}
    }
}

/// A call that may visit two backends, where the first answers and where it fails.
async fn attempts(stand: &failover::Stand, args: &Args, goals: &mut Vec<Goal>) -> Result<(), Box<dyn Error>> {
    let effort = effort(args);
    let effort = Effort { rounds: if args.quick { effort.rounds } else { args.rounds.unwrap_or(7) }, ..effort };
    let mut sets = Vec::new();
    for connections in [1, 16] {
        sets.push((connections, stand.drive(connections, SMALL, effort).await?));
    }
    println!("Attempts, bodies of {SMALL} bytes, providers that answer at once:\n\n{}", table::attempts(&sets));
    for (connections, cells) in &sets {
        let [noop_answers, answers, noop_fails, fails] = &cells[..] else { continue };
        let time = |mine: &failover::Sample, theirs: &failover::Sample| theirs.rps / mine.rps;
        let [first, second, added] = match connections {
            1 => [
                "time of a call that may fail over, against the no-op, 1 connection",
                "time of a call that fails over, against the no-op, 1 connection",
                "a failover, p99 from the failed answer to the next attempt, 1 connection",
            ],
            _ => [
                "time of a call that may fail over, against the no-op, 16 connections",
                "time of a call that fails over, against the no-op, 16 connections",
                "a failover, p99 from the failed answer to the next attempt, 16 connections",
            ],
        };
        goals.push(at_most(first, 1.2, answers.against(noop_answers, time), "x"));
        goals.push(at_most(second, 1.2, fails.against(noop_fails, time), "x"));
        goals.push(at_most(added, 10.0, micros(fails.added.quantile(0.99)) / 1000.0, "ms"));
    }
    let errors: u64 = sets.iter().flat_map(|(_, cells)| cells).map(failover::Cell::errors).sum();
    goals.push(at_most("attempts: errors", 0.0, errors as f64, ""));
    Ok(())
}

/// An answer from memory against the no-op and the mock, which answers at once; and what it costs to look and to keep.
fn compare_cache(connections: usize, [noop, unlimited, hit, miss]: [&Cell; 4], goals: &mut Vec<Goal>) {
    match connections {
        1 => {
            let ratio = hit.against(noop, |mine, theirs| mine.p50 / theirs.p50);
            goals.push(at_most("p50 of an answer from memory against the no-op's, 1 connection", 1.0, ratio, "x"));
            let added = miss.against(unlimited, |mine, theirs| mine.p50 - theirs.p50);
            goals.push(at_most("p50 added by a key that nothing is under, 1 connection", 20.0, added, "us"));
        }
        16 => {
            let ratio = hit.against(noop, |mine, theirs| mine.rps / theirs.rps);
            goals.push(at_least("throughput from memory against the no-op, 16 connections", 1.0, ratio, "x"));
            let more = miss.against(unlimited, |mine, theirs| mine.processor - theirs.processor);
            goals.push(at_most("CPU a request of a miss that is kept, 16 connections", 3.0, more, "us"));
        }
        _ => {}
    }
}

async fn streams(stand: &Stand, quick: bool, goals: &mut Vec<Goal>) -> Result<(), Box<dyn Error>> {
    let body = chat(SMALL, "\"stream\":true,");
    let make = |row, count, spacing_ms: u64, words: u64| Streams {
        address: stand.proxy(row).address,
        request: request(
            row,
            &format!("x-mock-spacing: {spacing_ms}\r\nx-mock-tokens: {words}\r\nx-mock-stamp: 1\r\n"),
            &body,
        ),
        count,
        spacing: Duration::from_millis(spacing_ms),
    };
    let (words, rounds) = if quick { (50, 1) } else { (200, 3) };
    let rows = [Row::Bare, Row::Noop, Row::Full];
    let few = rounds::stream(stand, &rows, |row| make(row, 16, 20, words), rounds).await?;
    let words = if quick { 15 } else { 40 };
    let many = rounds::stream(stand, &rows, |row| make(row, MANY, 200, words), 1).await?;
    println!("{}", table::streams(&[("16 x 50 events/s", &few), ("1,000 x 5 events/s", &many)]));
    if let [_, noop, full] = &few[..] {
        goals.push(at_most(
            "delay of an event over the no-op, p99, 16 streams",
            100.0,
            full.later_than(noop, 0.99),
            "us",
        ));
    }
    if let [bare, _, full] = &many[..] {
        goals.push(at_most("1,000 streams x 5 events/s: streams lost", 0.0, full.lost() as f64, ""));
        let missing = events(bare).saturating_sub(events(full));
        goals.push(at_most("1,000 streams x 5 events/s: events lost", 0.0, missing as f64, ""));
    }
    Ok(())
}

fn events(cell: &StreamCell) -> u64 {
    cell.outcomes.iter().map(|outcome| outcome.events).sum()
}
