//! What no configuration can cause yet, behind a real Envoy: answers from memory, streams that are
//! cut, other targets, refusals of limits and guards, questions without an answer.

use std::time::Duration;

use serde_json::{Value, json};
use weir::base::money::NanoUsd;
use weir::cache::{self, Recall};
use weir::exchange::event::{Answer, Ask, Failure, Feed, Note};
use weir::exchange::record::{Outcome, Record};
use weir::guard::{self, Verdict};
use weir::limit::take::{Grant, Posture, Refused};
use weir::limit::window::Window;
use weir::limit::{Limit, Spent, Unit};
use weir::llm::reply::Choice;
use weir::llm::{Finish, Part, Reply, Usage};
use weir::policy::cache::CachePolicy;
use weir::policy::limits::{Exceeded, LimitPolicy, Rule};
use weir::policy::{Mode, OnError, Policy};
use weir::render::envoy::BodyMode;

use super::rig::{aborts, ask, wait};
use super::world::{Script, Stage};
use crate::support::envoy_stats::Exceptions;

const NOW: Duration = Duration::ZERO;

fn with_cache(policy: &mut Policy) {
    let rule = cache::Rule::new("kept", cache::Scope::Shared, Duration::from_secs(60));
    policy.caches = vec![CachePolicy::everywhere(rule, Mode::Enforce)].into();
}

fn with_limits(policy: &mut Policy) {
    limited(policy, |_| ());
}

fn limited(policy: &mut Policy, adapt: impl FnOnce(&mut Rule)) {
    let window = Window::Rolling(Duration::from_secs(60));
    let mut rule = Rule::new(Limit::new("tokens", Unit::Tokens, 1000, window));
    adapt(&mut rule);
    policy.limits = vec![LimitPolicy::new([rule])].into();
}

fn with_guard(policy: &mut Policy) {
    policy.guards.rules = vec![guard::Rule { name: "judge".into() }];
}

fn always(answer: Answer) -> Script {
    Box::new(move |_| (NOW, answer.clone()))
}

fn kept() -> Reply {
    let parts = vec![Part::text("The weir is two metres high. \u{1f30a}")];
    Reply {
        id: "chatcmpl-kept".into(),
        model: "alpha-1".into(),
        created: 1_700_000_000,
        choices: vec![Choice { parts, finish: Some(Finish::Stop), ..Choice::default() }],
        usage: Some(Usage { input: 12, output: 9, ..Usage::default() }),
        ..Reply::default()
    }
}

fn records(notes: &[Note]) -> Vec<&Record> {
    notes.iter().filter_map(|note| if let Note::Record(record) = note { Some(&**record) } else { None }).collect()
}

fn settled(notes: &[Note]) -> Vec<u128> {
    notes.iter().filter_map(|note| if let Note::Settle(settle) = note { Some(settle.grant.id) } else { None }).collect()
}

/// The text of a stream, its finish reason and its usage, put together as an SDK does.
fn read_stream(events: &[String]) -> (String, Option<String>, Option<Value>) {
    let (mut text, mut finish, mut usage) = (String::new(), None, None);
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap_or_else(|error| panic!("{error}: {event:?}"));
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        let choice = &chunk["choices"][0];
        text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        finish = choice["finish_reason"].as_str().map(str::to_owned).or(finish);
        usage = chunk.get("usage").filter(|usage| usage.is_object()).cloned().or(usage);
    }
    (text, finish, usage)
}

async fn a_kept_answer_is_replayed_whole_and_as_a_stream(mode: BodyMode) {
    let hit = cache::Hit { reply: kept(), age: Duration::from_secs(9), is_similar: false, cost: None };
    let stage = Stage::set(mode, with_cache, always(Answer::Recall(Recall::Hit(Box::new(hit))))).await;
    let whole = stage.chat(&[], &ask("first/alpha", false)).await;
    assert!(whole.status == 200 && whole.complete, "{whole:?}");
    // To whom all answers are open it is not told what others have asked.
    assert_eq!(whole.header("x-weir-cache"), None);
    let json = whole.json();
    assert_eq!((&json["object"], &json["model"]), (&json!("chat.completion"), &json!("alpha-1")));
    assert_eq!(json["choices"][0]["message"]["content"], kept().text());
    assert_eq!((&json["usage"]["prompt_tokens"], &json["usage"]["completion_tokens"]), (&json!(12), &json!(9)));

    let mut body = ask("first/alpha", true);
    body["stream_options"] = json!({"include_usage": true});
    let stream = stage.chat(&[], &body).await;
    assert!(stream.status == 200 && stream.complete, "{stream:?}");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let events = stream.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let (text, finish, usage) = read_stream(&events);
    assert_eq!((text, finish.as_deref()), (kept().text(), Some("stop")));
    assert_eq!(usage.expect("it was asked for")["total_tokens"], 21);

    // A megabyte of request does not change it: nothing of it reaches an upstream.
    let mut large = ask("first/alpha", true);
    large["messages"][0]["content"] = "x".repeat(1 << 20).into();
    let stream = stage.chat(&[("authorization", "Bearer of-the-client")], &large).await;
    assert!(stream.status == 200 && stream.complete, "{stream:?}");
    assert_eq!(read_stream(&stream.events()).0, kept().text());
    let tally = stage.mock.tally();
    assert_eq!((tally.requests, tally.connections), (0, 0), "a replay reaches no upstream");
    let notes = stage.notes(3).await;
    assert!(
        records(&notes).iter().all(|record| record.outcome == Outcome::Replayed && record.cost == Some(NanoUsd(0)))
    );
    stage.strike(&Exceptions::default()).await;
}

async fn a_cut_stream_ends_in_good_order(mode: BodyMode) {
    let stage = Stage::set(mode, |_| (), always(Answer::Failed(Failure::Unavailable))).await;
    let headers = [("x-mock-tokens", "3000"), ("x-mock-spacing", "20"), ("x-mock-id", "cut")];
    let mut live = stage.open(&headers, &ask("first/alpha", true)).await;
    live.read_body(1000).await;
    stage.feed(Feed::Cut).await;
    let ended = live.finish().await;
    assert!(ended.complete, "the client sees a clean end: {ended:?}");
    let events = ended.events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let (text, finish, _) = read_stream(&events);
    assert_eq!(finish.as_deref(), Some("length"));
    assert!(text.len() >= 5 && text.len() % 5 == 0, "whole words: {text:?}");
    let seen = || stage.mock.tally().recent.into_iter().find(|request| request.id.as_deref() == Some("cut"));
    wait("reset of the upstream", || async { seen().is_some_and(|request| request.aborted) }).await;
    let notes = stage.notes(1).await;
    assert_eq!(records(&notes)[0].outcome, Outcome::Cut);
    stage.strike(&Exceptions::default()).await;
}

async fn a_limit_sends_a_call_to_another_backend_and_model(mode: BodyMode) {
    // Two limits: the first sends the call away, and then only counts it; the second is granted there.
    let adapt = |policy: &mut Policy| {
        let rule =
            |name: &str| Rule::new(Limit::new(name, Unit::Tokens, 1000, Window::Rolling(Duration::from_secs(60))));
        let first = Rule { exceeded: Exceeded::Downgrade("second".into(), "small".into()), ..rule("first") };
        policy.limits = vec![LimitPolicy::new([first, rule("then")])].into();
    };
    let script: Script = Box::new(|ask| match ask {
        Ask::Reserve(ask) if ask.takes[0].posture == Posture::Enforce => (NOW, refused(None)),
        Ask::Reserve(ask) => {
            let takes: Vec<_> = ask.takes.iter().map(|take| (&*take.limit.id, take.posture)).collect();
            assert_eq!(takes, [("first", Posture::Observe), ("then", Posture::Enforce)]);
            (NOW, granted(7))
        }
        _ => (NOW, Answer::Count(5)),
    });
    let stage = Stage::set(mode, adapt, script).await;
    let answer = stage.chat(&[("x-mock-tokens", "3")], &ask("first/alpha", false)).await;
    assert!(answer.status == 200 && answer.json()["model"] == "small", "{answer:?}");
    let models = stage.mock.tally().models;
    assert_eq!(models.keys().collect::<Vec<_>>(), ["small"]);
    let notes = stage.notes(1).await;
    let record = records(&notes)[0];
    assert_eq!(
        (record.backend.as_deref(), &*record.sent_model, &*record.requested_model),
        (Some("second"), "small", "first/alpha")
    );
    assert_eq!(settled(&notes), [7]);
    stage.strike(&Exceptions::default()).await;
}

fn granted(id: u128) -> Answer {
    Answer::Reserve(Ok(Grant { id, taken: Vec::new() }))
}

fn refused(wait: Option<Duration>) -> Answer {
    Answer::Reserve(Err(Refused { take: 0, wait, standings: Vec::new() }))
}

async fn a_limit_and_a_guard_refuse_in_words(mode: BodyMode) {
    let after = Some(Duration::from_millis(1234));
    let script: Script = Box::new(move |ask| match ask {
        Ask::Reserve(_) => (NOW, refused(after)),
        _ => (NOW, Answer::Count(5)),
    });
    let stage = Stage::set(mode, with_limits, script).await;
    for stream in [false, true] {
        let answer = stage.chat(&[], &ask("first/alpha", stream)).await;
        assert!(answer.status == 429 && answer.complete, "{answer:?}");
        assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("2"), Some("1234")));
        let error = &answer.json()["error"];
        assert_eq!((&error["code"], &error["type"]), (&json!("rate_limit_exceeded"), &json!("rate_limit_error")));
    }
    assert_eq!(stage.mock.tally().requests, 0);
    let notes = stage.notes(2).await;
    assert!(records(&notes).iter().all(|record| record.outcome == Outcome::Refused && record.status == 429));
    stage.strike(&Exceptions::default()).await;

    let stage = Stage::set(mode, with_guard, always(Answer::Judge(Verdict::Deny { rule: "judge".into() }))).await;
    let answer = stage.chat(&[], &ask("first/alpha", true)).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!("content_policy_violation")),
        "{answer:?}"
    );
    assert!(!answer.text().contains("How high"), "the prompt is not repeated: {answer:?}");
    assert_eq!(stage.mock.tally().requests, 0);
    stage.notes(1).await;
    stage.strike(&Exceptions::default()).await;
}

async fn what_is_granted_to_a_client_that_has_gone_is_given_back_once(mode: BodyMode) {
    let grant = granted(42);
    let script: Script = Box::new(move |_| (Duration::from_millis(1500), grant.clone()));
    let stage = Stage::set(mode, with_limits, script).await;
    let client = stage.open(&[], &ask("first/alpha", true)).await;
    wait("question", || async { stage.asked().len() == 1 }).await;
    client.abort();
    wait("settlement", || async { settled(&stage.notes(0).await) == [42] }).await;
    // One that stays is settled once as well, with what it used.
    let answer = stage.chat(&[("x-mock-tokens", "6")], &ask("first/alpha", false)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let notes = stage.notes(1).await;
    assert_eq!(settled(&notes), [42, 42]);
    let used = notes.iter().filter_map(|note| if let Note::Settle(settle) = note { Some(settle.spent) } else { None });
    let output = |spent| if let Spent::Used { usage, .. } = spent { Some(usage.output) } else { None };
    let used: Vec<Option<u64>> = used.map(output).collect();
    assert_eq!(used, [None, Some(6)]);
    assert_eq!(stage.mock.tally().requests, 1);
    stage.strike(&aborts()).await;
}

async fn a_question_without_an_answer_is_decided_by_the_policy(mode: BodyMode) {
    for (on_error, status, requests) in [(OnError::Deny, 503, 0), (OnError::Allow, 200, 1)] {
        let adapt = |policy: &mut Policy| {
            limited(policy, |rule| rule.on_error = on_error);
            policy.max_wait = Duration::from_millis(100);
        };
        let script: Script = Box::new(|_| (Duration::from_secs(3600), Answer::Failed(Failure::Unavailable)));
        let stage = Stage::set(mode, adapt, script).await;
        let answer = stage.chat(&[], &ask("first/alpha", false)).await;
        assert!(answer.status == status && answer.complete, "{on_error:?}: {answer:?}");
        if on_error == OnError::Deny {
            assert_eq!(answer.json()["error"]["code"], "limit_store_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(stage.mock.tally().requests, requests);
        let notes = stage.notes(1).await;
        assert_eq!(settled(&notes), [0; 0], "nothing was granted");
        stage.strike(&Exceptions::default()).await;
    }
}

every_mode!(
    a_kept_answer_is_replayed_whole_and_as_a_stream,
    a_limit_sends_a_call_to_another_backend_and_model,
    a_limit_and_a_guard_refuse_in_words,
    what_is_granted_to_a_client_that_has_gone_is_given_back_once,
    a_question_without_an_answer_is_decided_by_the_policy
);

first_mode!(a_cut_stream_ends_in_good_order);
