//! Transcripts a person can read: what came and what was done about it. `UPDATE_GOLDEN=1` writes them anew.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir::cache::{Recall, Ticket};
use weir::exchange::event::{
    Action, Again, Answer, Edits, Event, Failure, Feed, Length, Local, Meta, MetaValue, Note, Stop, Value,
};
use weir::exchange::record::Record;
use weir::llm::{Delta, Finish, Quirk};
use weir::policy::limits::Exceeded;
use weir::policy::{Mode, OnError};

use super::support::*;

/// Events in, actions out, one line each.
#[derive(Debug, Default)]
pub struct Transcript {
    pub text: String,
}

// === impl Transcript ===

impl Transcript {
    pub fn event(&mut self, event: &Event) {
        let end = |end: &bool| if *end { " END" } else { "" };
        let line = match event {
            Event::Request(head, ends) => format!("Request {} {}{}", head.method, head.path, end(ends)),
            Event::RequestBody(bytes, ends) => format!("RequestBody {}{}", show(bytes), end(ends)),
            Event::Response(head, ends) => {
                let kind = head.headers.get("content-type").unwrap_or("no type");
                format!("Response {} {kind}{}", head.status, end(ends))
            }
            Event::Chunk(bytes, ends) => format!("Chunk {}{}", show(bytes), end(ends)),
            other => format!("{other:?}"),
        };
        let _ = writeln!(self.text, "> {line}");
    }

    pub fn action(&mut self, action: &Action) {
        match action {
            Action::Pass(edits) => self.head("Pass", edits),
            Action::Head(edits) => self.head("Head", edits),
            Action::Forward { head, body } => {
                self.head("Forward", head);
                self.body(&body.concat());
            }
            Action::Retry(attempt, Again::Anew { head, body }) => {
                self.head(&format!("Retry {attempt}"), head);
                self.body(body);
            }
            Action::Retry(attempt, again) => self.line(&format!("Retry {attempt} {again:?}")),
            Action::Respond(local) => self.local("Respond", local),
            Action::Open(local) => self.local("Open", local),
            Action::Emit { bytes, end, meta } => {
                self.line(&format!("Emit {}{}", show(bytes), if *end { " END" } else { "" }));
                self.meta(meta);
            }
            Action::Wake(at) => self.line(&format!("Wake at {} s", at.0 / 1_000_000_000)),
            Action::Note(Note::Record(record)) => self.record(record),
            other => self.line(&format!("{other:?}")),
        }
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "    {line}");
    }

    fn head(&mut self, name: &str, edits: &Edits) {
        self.line(name);
        let pseudo = [(":path", &edits.path), (":authority", &edits.authority)];
        for (name, value) in pseudo {
            value.iter().for_each(|value| self.line(&format!("  {name}: {value}")));
        }
        for (name, value) in &edits.set {
            let value = match value {
                Value::Text(text) => text.to_string(),
                Value::Secret { prefix, .. } => format!("{prefix}(secret)"),
                Value::Original(fields) => {
                    let values: Vec<_> = fields.iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
                    format!("{values:?}")
                }
            };
            self.line(&format!("  {name}: {value}"));
        }
        edits.remove.iter().for_each(|name| self.line(&format!("  -{name}")));
        if edits.length != Length::Kept {
            self.line(&format!("  length {:?}", edits.length));
        }
        self.meta(&edits.meta);
    }

    fn local(&mut self, name: &str, local: &Local) {
        self.line(&format!("{name} {}", local.status));
        local.headers.iter().for_each(|(name, value)| self.line(&format!("  {name}: {value}")));
        self.body(&local.body);
        self.meta(&local.meta);
    }

    fn body(&mut self, body: &[u8]) {
        if !body.is_empty() {
            self.line(&format!("  {}", show(body)));
        }
    }

    fn meta(&mut self, meta: &Meta) {
        for (name, value) in meta {
            match value {
                MetaValue::Text(text) => self.line(&format!("  weir.{name} = {text:?}")),
                MetaValue::Number(number) => self.line(&format!("  weir.{name} = {number}")),
            }
        }
    }

    fn record(&mut self, record: &Record) {
        let cost = record.cost.map_or("unknown".to_owned(), |cost| format!("${cost}"));
        let usage = format!("in {}, out {}", record.usage.total_input(), record.usage.total_output());
        let source = record.usage_source.as_str();
        self.line(&format!("Record {} {} {usage} ({source}), cost {cost}", record.status, record.outcome.as_str()));
        for decision in &record.decisions {
            let line = format!("  {}: {} ({}) {}", decision.step, decision.outcome, decision.reason, decision.detail);
            self.line(line.trim_end());
        }
    }
}

fn show(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

fn check(name: &str, mut world: World, script: impl FnOnce(&mut World)) {
    world.transcript = Some(Transcript::default());
    script(&mut world);
    world.end();
    let text = world.transcript.map(|transcript| transcript.text).unwrap_or_default();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exchange").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        std::fs::write(&path, &text).expect("the transcript is written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}: UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn a_document() {
    check("document", World::new(policy()), |world| {
        world.call(CHAT, chat(false));
        world.reply(json(), DOCUMENT);
    });
}

#[test]
fn a_stream_whose_usage_was_asked_for_by_weir() {
    check("stream", World::new(policy()), |world| {
        world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
        for event in STREAM.split_inclusive("\n\n") {
            world.send(Event::Chunk(bytes(event), false));
        }
        world.send(Event::Chunk(bytes(""), true));
    });
}

#[test]
fn a_stream_of_a_provider_that_refuses_stream_options() {
    let mut policy = policy();
    let mut mistral = backend("mistral", false);
    mistral.quirks = vec![Quirk::RefusesStreamOptions];
    policy.targets.backends[0] = Arc::new(mistral);
    check("refuses-stream-options", World::new(policy), |world| {
        let ask = r#"{"stream" : true, "stream_options": {"include_usage":true} ,"model":"gpt-4o-mini", "n":1.0}"#;
        world.call(CHAT, ask).send(Event::Response(sse(), false));
        // It states usage unasked, in its last chunk.
        let last = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#;
        world.send(Event::Chunk(bytes(format!("data: {last}\n\ndata: [DONE]\n\n")), true));
    });
}

#[test]
fn every_gate_is_answered() {
    check("gates", World::new(gated()).answers(all_clear()), |world| {
        world.call(CHAT, chat(false)).reply(json(), DOCUMENT);
    });
}

#[test]
fn a_limit_is_exhausted() {
    let mut answers = all_clear();
    // What was not counted is counted before it is refused.
    answers[3] = exhausted(Some(Duration::from_millis(1500)));
    answers[4] = Answer::Count(9);
    answers.push(exhausted(Some(Duration::from_millis(1500))));
    check("exhausted", World::new(gated()).answers(answers), |world| {
        world.call(CHAT, chat(false));
    });
}

#[test]
fn a_follower_is_fed_as_it_comes() {
    let mut answers = all_clear();
    answers[2] = Answer::Recall(Recall::Follow(Ticket(9)));
    check("follower", World::new(gated()).answers(answers), |world| {
        world.call(CHAT, chat(true));
        let start = Delta::Start { id: "c-1".into(), model: "m".into(), created: 5, usage: None };
        for delta in [start, Delta::text("hi"), Delta::finish(Finish::Stop), Delta::End] {
            world.send(Event::Feed(Feed::Delta(delta)));
        }
    });
}

#[test]
fn the_store_is_down_and_the_policy_is_open() {
    let mut policy = gated();
    policy.limits = limits(Mode::Enforce, OnError::Allow, &Exceeded::Deny);
    let mut answers = all_clear();
    answers[0] = Answer::Failed(Failure::Timeout);
    check("fail-open", World::new(policy).answers(answers), |world| {
        world.call(CHAT, chat(false)).send(Event::Response(json(), false)).send(Event::Stop(Stop::Deadline));
    });
}

#[test]
fn a_request_that_is_too_large_is_listened_to_before_it_is_refused() {
    let mut policy = policy();
    policy.profile.bodies.max_request = 8;
    check("too-large", World::new(policy), |world| {
        world.send(Event::Request(post(CHAT), false)).send(Event::RequestBody(bytes("0123456789"), false));
        world.send(Event::RequestBody(bytes("more"), false)).wait(Duration::from_secs(2));
    });
}

#[test]
fn a_passing_upload() {
    check("pass", World::new(policy()), |world| {
        world.send(Event::Request(request("POST", "/v1/files", &[("authorization", "Bearer dummy")]), false));
        world.send(Event::RequestBody(bytes("part"), false)).send(Event::RequestBody(bytes("rest"), true));
        world.reply(json(), r#"{"id":"file-1"}"#);
    });
}
