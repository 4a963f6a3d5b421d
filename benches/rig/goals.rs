//! The goals, each with its number and whether it was met.

use std::fmt::Write;

pub struct Goal {
    pub what: &'static str,
    pub goal: String,
    pub value: String,
    pub met: bool,
}

/// A goal that a number shall not exceed.
pub fn at_most(what: &'static str, limit: f64, value: f64, unit: &str) -> Goal {
    Goal { what, goal: format!("<= {limit} {unit}"), value: format!("{value:.2} {unit}"), met: value <= limit }
}

/// A goal that a number shall reach.
pub fn at_least(what: &'static str, limit: f64, value: f64, unit: &str) -> Goal {
    Goal { what, goal: format!(">= {limit} {unit}"), value: format!("{value:.2} {unit}"), met: value >= limit }
}

pub fn table(goals: &[Goal]) -> String {
    let mut out = String::from("| goal | wanted | measured | |\n|---|---|---:|---|\n");
    for Goal { what, goal, value, met } in goals {
        let verdict = if *met { "met" } else { "**missed**" };
        let _ = writeln!(out, "| {what} | {goal} | {value} | {verdict} |");
    }
    out
}
