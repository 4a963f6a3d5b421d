//! Holds what a client told of one turn against what must come of the case.

use serde_json::{Value, json};

use super::cases::{Answer, Case, Expect, text};
use super::clients::{Client, Thoughts};

/// What a target can say.
pub struct Told {
    pub thoughts: Thoughts,
    pub cached: bool,
    /// It is asked in the client's own dialect.
    pub own: bool,
    /// The call that the request names ends in the way of any other answer, as with OpenAI's chat.
    pub named_stops: bool,
    /// The target's API has no word that makes a model call a tool, so it may say something instead.
    pub cannot_force: bool,
}

/// What is wrong with a turn; nothing where all is well.
pub fn turn(client: &Client, told: &Told, case: &Case, number: usize, line: &Value) -> Vec<String> {
    let (answer, error) = (&line["said"], &line["error"]);
    let mut wrong = Vec::new();
    match &case.expect {
        Expect::Answers(_) if !error.is_null() => wrong.push(format!("an error instead of an answer: {error}")),
        Expect::Answers(answers) => {
            wrong.extend(answer["illegal"].as_array().into_iter().flatten().map(|what| format!("illegal: {what}")));
            let mut expected = answers.get(number).cloned().unwrap_or_default();
            if case.name == "named" && told.named_stops {
                expected.finish = "stop";
            }
            if case.name == "named" && told.cannot_force {
                expected = Answer { words: Some(expected.output()), finish: "stop", ..Answer::default() };
            }
            wrong.extend(said(client, told, &expected, answer));
        }
        _ if error.is_null() => wrong.push(format!("an answer instead of an error: {answer}")),
        Expect::Unreadable if told.own => {}
        expected => wrong.extend(failed(client, expected, told.own, error)),
    }
    wrong
}

fn said(client: &Client, told: &Told, expected: &Answer, answer: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, got: &Value, expected: Value| {
        if *got != expected {
            wrong.push(format!("{what} is {got}, not {expected}"));
        }
    };
    same("the text", &answer["text"], expected.words.map(text).unwrap_or_default().into());
    same("the finish", &answer["finish"], expected.finish.into());
    let calls: Vec<Value> = answer["calls"].as_array().into_iter().flatten().map(named).collect();
    let wanted = expected.calls.iter().map(|(name, words)| json!({"name": name, "arguments": {"q": text(*words)}}));
    same("the calls", &calls.into(), wanted.collect());
    let heard = told.thoughts.text() && client.thoughts.text();
    same("the thoughts", &answer["thoughts"], if heard { text(expected.thoughts).into() } else { "".into() });
    let usage = &answer["usage"];
    same("the output", &usage["output"], expected.output().into());
    let counted = told.thoughts.count() && client.thoughts.count();
    same("the reasoning", &usage["reasoning"], if counted { expected.thoughts.into() } else { 0.into() });
    same("the cached part", &usage["cached"], if told.cached { expected.cached.into() } else { 0.into() });
    let input = usage["input"].as_u64().unwrap_or(0);
    same("the total", &usage["total"], (input + expected.output()).into());
    if input == 0 {
        wrong.push("no input is counted".to_owned());
    }
    wrong.extend(ids(answer));
    wrong
}

/// Every call has an id of its own, and so has the answer.
fn ids(answer: &Value) -> Option<String> {
    let ids: Vec<&str> = answer["calls"].as_array()?.iter().map(|call| call["id"].as_str().unwrap_or("")).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    let all = unique.len() == ids.len() && ids.iter().all(|id| !id.is_empty());
    (!all || answer["id"].as_str().is_none_or(str::is_empty)).then(|| format!("ids are missing or the same: {answer}"))
}

fn named(call: &Value) -> Value {
    json!({"name": call["name"], "arguments": call["arguments"]})
}

fn failed(client: &Client, expected: &Expect, own: bool, error: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let status = error["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let begun = error["begun"].as_str().unwrap_or_default();
    let mut must = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{what}: {error}"));
        }
    };
    let class = |status: u16| error["class"] == (client.class)(status);
    must(error["message"].as_str().is_some_and(|message| !message.is_empty()), "no message");
    match expected {
        Expect::Error { status: wanted, after } => {
            must(status == Some(*wanted), "another status");
            must(class(*wanted), "another class");
            must(error["after"].as_str() == *after, "another retry-after");
        }
        // A stream of the client's own dialect passes as it is.
        Expect::ErrorFirst if own => {
            must(error["class"] == client.within, "another class");
            must(begun.is_empty(), "something was said before");
        }
        Expect::ErrorFirst => {
            must(status.is_some_and(|status| status >= 500 && class(status)), "no error of a server");
            must(begun.is_empty(), "something was said before");
        }
        Expect::ErrorWithin => {
            must(error["class"] == client.within, "another class");
            must(error["kind"].is_string() || error["code"].is_string(), "no word for the error");
            must(!begun.is_empty() && text(16).starts_with(begun), "what was said before is not what the mock said");
        }
        Expect::Unreadable => must(status == Some(502) && class(502), "no 502"),
        Expect::Answers(_) => {}
    }
    wrong
}
