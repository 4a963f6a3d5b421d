//! Every client dialect with every target: five official SDKs, each at its own provider, and through the egress
//! at all of them.

mod cases;
pub mod clients;
mod judge;
pub mod targets;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use self::cases::Case;
use self::clients::{CLIENTS, Client, Thoughts};
use self::judge::Told;
use self::targets::{APIS, TARGETS, Target};
use super::egress::{self, Egress};
use crate::support::envoy_stats::Exceptions;
use crate::support::python;

/// A target as a script knows it: its name, and the model that leads there.
type Known<'a> = (&'a str, String);

/// What a script told, a line a turn.
async fn told(client: &Client, base: String, targets: &[Known<'_>], cases: &[Case]) -> Vec<Value> {
    let both = |case: &Case| [false, true].into_iter().filter(|stream| case.ways.include(*stream)).collect::<Vec<_>>();
    let plans: Vec<Value> = cases.iter().flat_map(|case| both(case).into_iter().map(|way| case.plan(way))).collect();
    let targets: Vec<Value> = targets.iter().map(|(name, model)| json!({"name": name, "model": model})).collect();
    let plan = json!({"base": base, "targets": targets, "cases": plans}).to_string();
    let source = client.source();
    let run = tokio::task::spawn_blocking(move || python::run_script(&source, &[&plan], &[]));
    let output = run.await.expect("the script runs");
    assert!(output.status.success(), "{}: {}", client.name, output.stderr);
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    output.stdout.lines().map(line).collect()
}

/// What is wrong with the turns of one case.
fn judged(client: &Client, can: &Told, target: &str, case: &Case, stream: bool, lines: &[Value]) -> Vec<String> {
    let of = |line: &&Value| line["target"] == target && line["case"] == case.name && line["stream"] == stream;
    let turns: Vec<&Value> = lines.iter().filter(of).collect();
    let way = if stream { "stream" } else { "whole" };
    let mut wrong: Vec<String> = Vec::new();
    for (number, line) in turns.iter().enumerate() {
        wrong.extend(judge::turn(client, can, case, number, line));
    }
    if turns.len() != case.turns() {
        wrong.push(format!("{} of {} turns", turns.len(), case.turns()));
    }
    wrong.into_iter().map(|what| format!("{} -> {target}, {}, {way}: {what}", client.name, case.name)).collect()
}

/// What is wrong in each cell of the matrix: a client, an API, and whether it streams.
type Matrix = BTreeMap<(&'static str, &'static str, bool), Vec<String>>;

async fn row(egress: &Egress, client: &'static Client, cases: &[Case]) -> Matrix {
    let known: Vec<Known> = TARGETS.iter().map(|target| (target.name, target.alias())).collect();
    let lines = told(client, format!("http://{}", egress.address), &known, cases).await;
    let mut matrix = Matrix::new();
    for (target, stream) in TARGETS.iter().flat_map(|target| [(target, false), (target, true)]) {
        let can = can(client, target);
        let cell = matrix.entry((client.name, target.api(client), stream)).or_default();
        for case in cases.iter().filter(|case| case.ways.include(stream)) {
            cell.extend(judged(client, &can, target.name, case, stream, &lines));
        }
    }
    matrix
}

fn can(client: &Client, target: &Target) -> Told {
    let own = client.own == target.api(client);
    let thoughts = if target.api(client) == "openai-responses" { Thoughts::TextAndCount } else { target.thoughts };
    let named_stops = own && client.own == "openai-chat";
    Told { thoughts, cached: target.cached, own, named_stops, cannot_force: target.name == "ollama" }
}

/// A line a client, a column an API; `1/2` is what is wrong in whole answers and in streams.
fn printed(matrix: &Matrix) -> String {
    let mut out = format!("{:20}", "");
    APIS.iter().for_each(|api| write!(out, "{api:18}").expect("text"));
    for client in CLIENTS {
        write!(out, "\n{:20}", client.name).expect("text");
        for api in APIS {
            let wrong = |stream| matrix.get(&(client.name, api, stream)).map_or(usize::MAX, Vec::len);
            let shown = match (wrong(false), wrong(true)) {
                (0, 0) => "ok/ok".to_owned(),
                (whole, stream) => format!("{whole}/{stream}"),
            };
            write!(out, "{shown:18}").expect("text");
        }
    }
    out
}

async fn every_client_reaches_every_target(mode: BodyMode) {
    let egress = Egress::up(mode, &targets::documents()).await;
    let cases = cases::all();
    let mut matrix = Matrix::new();
    for client in CLIENTS {
        matrix.extend(row(&egress, client, &cases).await);
    }
    println!("{}", printed(&matrix));
    assert_eq!(matrix.len(), CLIENTS.len() * APIS.len() * 2, "a cell is missing");
    let wrong: Vec<String> = matrix.into_values().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    egress.assert_clean(&Exceptions::default()).await;
}

first_mode!(every_client_reaches_every_target);

async fn at_its_own_provider(name: &str) {
    let mock = egress::mock().await;
    let client = CLIENTS.iter().find(|client| client.name == name).expect("a client of the table");
    let cases = cases::all();
    let lines = told(client, format!("http://{}", mock.addr()), &[("itself", client.model.to_owned())], &cases).await;
    let named_stops = client.own == "openai-chat";
    let thoughts = if named_stops { Thoughts::Count } else { client.thoughts };
    let can = Told { thoughts, cached: true, own: true, named_stops, cannot_force: false };
    let mut wrong = Vec::new();
    for case in &cases {
        for stream in [false, true].into_iter().filter(|stream| case.ways.include(*stream)) {
            wrong.extend(judged(client, &can, "itself", case, stream, &lines));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_chat_client_understands_the_mock() {
    at_its_own_provider("openai-chat").await;
}

#[tokio::test]
async fn the_messages_client_understands_the_mock() {
    at_its_own_provider("anthropic-messages").await;
}

#[tokio::test]
async fn the_responses_client_understands_the_mock() {
    at_its_own_provider("openai-responses").await;
}

#[tokio::test]
async fn the_gemini_client_understands_the_mock() {
    at_its_own_provider("gemini").await;
}

#[tokio::test]
async fn the_bedrock_client_understands_the_mock() {
    at_its_own_provider("bedrock").await;
}
