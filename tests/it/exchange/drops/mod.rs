//! What each pair of APIs loses, from what is really written and really named: every feature of every client's API
//! is asked for at every target, and everything that an answer can hold is answered to every client. It is either in
//! what is written, or named as left out, or refused; anything else is a bug and fails here.
//!
//! `WEIR_BLESS=1` writes the tables anew: the short one in the README, and `tests/golden/drops/README.md`.

mod asked;
mod found;
mod page;
mod rows;
mod told;

use asked::{Client, policy};
use found::{Found, Outcome};
use told::Answers;

use crate::e2e::matrix::clients::CLIENTS;
use crate::e2e::matrix::targets::TARGETS;

/// What is neither written nor named: the feature; the targets, then the clients, none for all; what is said of it;
/// and why.
struct Unnamed {
    what: &'static str,
    targets: &'static [&'static str],
    clients: &'static [&'static str],
    /// It holds all the same. Else it is lost, and naming it would say of nearly every call that it lost something.
    holds: bool,
    why: &'static str,
}

const CHATS: &[&str] = &["openai-chat", "azure-deployment", "azure-v1"];
const OPENAI: &[&str] = &["openai-chat", "openai-responses"];
const THINKERS: &[&str] = &["anthropic", "vertex-anthropic", "bedrock-anthropic", "cohere", "ollama"];
const KEEPERS_OF_NOTHING: &[&str] =
    &["anthropic", "vertex-anthropic", "bedrock-anthropic", "gemini", "vertex-gemini", "bedrock", "cohere", "ollama"];

const fn holds(what: &'static str, targets: &'static [&'static str], why: &'static str) -> Unnamed {
    Unnamed { what, targets, clients: &[], holds: true, why }
}

const fn told_elsewhere(what: &'static str, clients: &'static [&'static str], why: &'static str) -> Unnamed {
    Unnamed { what, targets: &[], clients, holds: false, why }
}

const IN_THE_RECORD: &str = "the totals are right, and the record of the call has the class";

const UNNAMED: &[Unnamed] = &[
    holds("not kept by the provider", KEEPERS_OF_NOTHING, "they keep none"),
    holds("no reasoning", &["bedrock"], "Nova thinks only when it is asked to"),
    holds("no reasoning", CHATS, "GPT-4o does not think"),
    holds("service tier", &["vertex-gemini"], "the standard one is what Vertex has where nothing is said"),
    holds("summary of the reasoning", THINKERS, "thoughts are told in any case"),
    holds("ended: stop sequence", &["cohere"], "\"stop\" is the word for it, and Cohere does not say which it was"),
    told_elsewhere("tokens of thoughts", &["bedrock"], IN_THE_RECORD),
    told_elsewhere("tokens of sound", &["anthropic-messages", "bedrock"], IN_THE_RECORD),
    told_elsewhere("tokens of images", &["anthropic-messages", "bedrock"], IN_THE_RECORD),
    told_elsewhere("tokens written for an hour", OPENAI, IN_THE_RECORD),
    told_elsewhere("service tier", &[], "a stream's steps have no place for it, and the record of the call has it"),
    told_elsewhere("fingerprint", &[], "nearly every answer has one, and it is none of the answer's words"),
    Unnamed {
        what: "cached tokens",
        targets: &["cohere"],
        clients: &[],
        holds: false,
        why: "Cohere bills them as any others",
    },
];

impl Unnamed {
    fn covers(&self, client: &str, target: &str, what: &str) -> bool {
        let one_of = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
        self.what == what && one_of(self.targets, target) && one_of(self.clients, client)
    }
}

/// What became of a feature, where the rows of [`UNNAMED`] have their say; `met` gets those that had.
fn found(client: &'static str, target: &'static str, what: &str, outcome: Outcome, met: &mut Vec<usize>) -> Found {
    let known = UNNAMED.iter().position(|row| row.covers(client, target, what));
    let outcome = match (outcome, known) {
        (Outcome::Silent(_), Some(at)) => {
            met.push(at);
            if UNNAMED[at].holds { Outcome::Said } else { Outcome::Lost(Vec::new()) }
        }
        (outcome, _) => outcome,
    };
    Found { client, target, what: what.to_owned(), outcome }
}

/// Everything that clients can ask.
fn asked(met: &mut Vec<usize>) -> Vec<Found> {
    let mut all = Vec::new();
    let clients: Vec<Client> = CLIENTS.iter().map(Client::read).collect();
    for target in TARGETS {
        let policy = policy(target);
        for (client, row) in clients.iter().zip(CLIENTS).filter(|(_, row)| row.own != target.api(row)) {
            let outcomes = client.features.iter().map(|feature| (&feature.what, client.at(&policy, feature)));
            all.extend(outcomes.map(|(what, outcome)| found(row.name, target.name, what, outcome, met)));
        }
    }
    all
}

/// Everything that answers can hold, whole or as a stream.
fn told(stream: bool, met: &mut Vec<usize>) -> Vec<Found> {
    let mut all = Vec::new();
    // One target for each API: an envelope's answers are those of what is in it.
    for target in TARGETS.iter().filter(|target| target.name == target.api) {
        let (answers, policy) = (Answers::read(target.api), policy(target));
        for row in CLIENTS.iter().filter(|row| row.own != target.api) {
            let client = Client::read(row);
            for feature in &answers.features {
                let outcome = answers.at(&policy, &client, feature, stream);
                all.push(found(row.name, target.name, &feature.what, outcome, met));
            }
        }
    }
    all
}

fn assert_named(all: &[Found]) {
    let silent = |found: &&Found| matches!(found.outcome, Outcome::Silent(_));
    let silent: Vec<String> = all.iter().filter(silent).map(|found| format!("{found:?}")).collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Every feature has its row, and every row its feature.
fn assert_listed(all: &[Found], rows: &[&str]) {
    let unknown: Vec<&str> = all.iter().map(|found| &*found.what).filter(|what| !rows.contains(what)).collect();
    assert!(unknown.is_empty(), "no row for {unknown:?}");
    let unasked: Vec<&&str> = rows.iter().filter(|row| !all.iter().any(|found| found.what == **row)).collect();
    assert!(unasked.is_empty(), "nobody says {unasked:?}");
}

#[test]
fn nothing_is_lost_in_silence_and_the_tables_say_what_is_lost() {
    let mut met = Vec::new();
    let asked = asked(&mut met);
    let told = [told(false, &mut met), told(true, &mut met)].concat();
    [&asked, &told].into_iter().for_each(|all| assert_named(all));
    let stale = UNNAMED.iter().enumerate().filter(|(at, _)| !met.contains(at)).map(|(_, row)| (row.what, row.why));
    assert_eq!(stale.collect::<Vec<_>>(), [], "these are named now, or written");
    assert_listed(&asked, rows::ASKED);
    assert_listed(&told, rows::TOLD);
    page::check(&asked, &told);
}
