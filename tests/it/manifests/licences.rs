//! Every crate of the shipped program has a licence that `.deny.toml` allows, of which `cargo metadata` tells
//! without a network. What is shipped is for Linux, so the crates of other systems are not asked for.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::resolved::root;
use crate::support::root::must;

/// The target triple of this build.
fn host() -> String {
    let mut rustc = Command::new("rustc");
    rustc.arg("-vV");
    let said = must(rustc);
    said.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

fn allowed() -> Vec<String> {
    let rules = std::fs::read_to_string(root().join(".deny.toml")).expect("the rules");
    let rules: toml::Value = toml::from_str(&rules).expect("TOML");
    assert!(rules["licenses"]["exceptions"].as_array().is_some_and(Vec::is_empty), "an exception: look for it here");
    let allowed = rules["licenses"]["allow"].as_array().expect("a list");
    allowed.iter().map(|licence| licence.as_str().expect("text").to_owned()).collect()
}

/// Whether an SPDX expression can be met with these licences: `OR` of `AND`s, with parentheses.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    // Written so before SPDX had expressions.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = either(&words, allowed);
    assert!(rest.is_empty(), "{expression:?} is no licence expression");
    met
}

fn either<'a, 'b>(words: &'a [&'b str], allowed: &[String]) -> (bool, &'a [&'b str]) {
    let (mut met, mut rest) = both(words, allowed);
    while let ["OR", more @ ..] = rest {
        let (other, left) = both(more, allowed);
        (met, rest) = (met || other, left);
    }
    (met, rest)
}

fn both<'a, 'b>(words: &'a [&'b str], allowed: &[String]) -> (bool, &'a [&'b str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", more @ ..] = rest {
        let (other, left) = one(more, allowed);
        (met, rest) = (met && other, left);
    }
    (met, rest)
}

fn one<'a, 'b>(words: &'a [&'b str], allowed: &[String]) -> (bool, &'a [&'b str]) {
    let holds = |licence: &str| allowed.iter().any(|allowed| allowed == licence);
    match words {
        ["(", inner @ ..] => match either(inner, allowed) {
            (met, [")", rest @ ..]) => (met, rest),
            (_, rest) => panic!("a parenthesis is open before {rest:?}"),
        },
        [licence, "WITH", exception, rest @ ..] => (holds(&format!("{licence} WITH {exception}")), rest),
        [licence, rest @ ..] => (holds(licence), rest),
        [] => (false, words),
    }
}

/// The crates that the program is made of or by; not those of its tests.
fn shipped(metadata: &Value) -> BTreeSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a graph");
    let mut found = BTreeSet::new();
    let mut next = vec![metadata["resolve"]["root"].as_str().expect("a root")];
    while let Some(id) = next.pop() {
        if found.insert(id) {
            let node = nodes.iter().find(|node| node["id"] == id).expect("a node");
            let needed =
                |edge: &&Value| edge["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"] != "dev");
            let edges = node["deps"].as_array().expect("edges").iter().filter(needed);
            next.extend(edges.map(|edge| edge["pkg"].as_str().expect("an id")));
        }
    }
    found
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &host()]);
    cargo.current_dir(root());
    let metadata: Value = serde_json::from_str(&must(cargo)).expect("JSON");
    let shipped = shipped(&metadata);
    assert!(shipped.len() > 200, "{}", shipped.len());
    let allowed = allowed();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    let wrong: Vec<String> = packages
        .filter(|package| shipped.contains(package["id"].as_str().expect("an id")))
        .filter(|package| !package["license"].as_str().is_some_and(|licence| is_met(licence, &allowed)))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn expressions_are_met_as_spdx_means_them() {
    let allowed: Vec<String> = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned).into();
    for (expression, met) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("GPL-3.0 AND MIT OR ISC", true),
        ("MIT AND (GPL-3.0 OR ISC)", true),
        ("MIT AND (GPL-3.0 OR GPL-2.0)", false),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("(MIT)", true),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
}
