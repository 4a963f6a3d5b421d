//! What each pair of APIs loses, from what is really written and really named: every feature of every client's API
//! is asked for at every target, and everything that an answer can hold is answered to every client. It is either in
//! what is written, or named as left out, or refused; anything else is a bug and fails here.
//!
//! `WEIR_BLESS=1` writes the tables anew: the short one in the README, and `tests/golden/drops/README.md`.

mod asked;
mod found;
mod page;
mod rows;

use asked::{Client, policy};
use found::{Found, Outcome};

use crate::e2e::matrix::clients::CLIENTS;
use crate::e2e::matrix::targets::TARGETS;

/// What is neither written nor named, and is not lost: the feature, the targets, and why.
const ANYWAY: &[(&str, &[&str], &str)] = &[
    (
        rows::KEPT_OFF,
        &[
            "anthropic",
            "vertex-anthropic",
            "bedrock-anthropic",
            "gemini",
            "vertex-gemini",
            "bedrock",
            "cohere",
            "ollama",
        ],
        "they keep none",
    ),
    ("no reasoning", &["bedrock"], "Nova thinks only when it is asked to"),
    (
        "the model chooses how much it thinks",
        &["openai-chat", "azure-deployment", "azure-v1"],
        "it does where nothing is said",
    ),
    ("service tier", &["vertex-gemini"], "the standard one is what Vertex has where nothing is said"),
    (
        "summary of the reasoning",
        &["anthropic", "vertex-anthropic", "bedrock-anthropic", "cohere", "ollama"],
        "thoughts are told in any case",
    ),
];

/// Everything that clients can ask, and which rows of [`ANYWAY`] are true.
fn asked() -> (Vec<Found>, Vec<usize>) {
    let (mut all, mut met) = (Vec::new(), Vec::new());
    let clients: Vec<Client> = CLIENTS.iter().map(Client::read).collect();
    for target in TARGETS {
        let policy = policy(target);
        for (client, row) in clients.iter().zip(CLIENTS).filter(|(_, row)| row.own != target.api(row)) {
            for feature in &client.features {
                let mut outcome = client.at(&policy, feature);
                let is_met = |(what, targets, _): &(&str, &[&str], &str)| {
                    *what == feature.what && targets.contains(&target.name)
                };
                if let (Outcome::Silent(_), Some(at)) = (&outcome, ANYWAY.iter().position(is_met)) {
                    met.push(at);
                    outcome = Outcome::Said;
                }
                all.push(Found { client: row.name, target: target.name, what: feature.what.clone(), outcome });
            }
        }
    }
    (all, met)
}

#[test]
fn nothing_is_lost_in_silence_and_the_tables_say_what_is_lost() {
    let (all, met) = asked();
    let silent = all.iter().filter(|found| matches!(found.outcome, Outcome::Silent(_)));
    let silent: Vec<String> = silent.map(|found| format!("{found:?}")).collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    for (at, row) in ANYWAY.iter().enumerate() {
        assert!(met.contains(&at), "nothing is silent any more: {row:?}");
    }
    let unknown: Vec<&str> = all.iter().map(|found| &*found.what).filter(|what| !rows::ASKED.contains(what)).collect();
    assert!(unknown.is_empty(), "no row for {unknown:?}");
    let unasked: Vec<&&str> = rows::ASKED.iter().filter(|row| !all.iter().any(|found| found.what == **row)).collect();
    assert!(unasked.is_empty(), "nobody asks {unasked:?}");
    page::check(&all);
}
