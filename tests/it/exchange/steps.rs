//! The steps of a request: gates that grant, refuse, fail, come late or are of the wrong kind.

use std::time::Duration;

use weir::cache::{Recall, Ticket};
use weir::credential::Credential;
use weir::exchange::event::{Action, Again, Answer, Ask, Event, Failure, Note, RequestHead, Slot, Stop};
use weir::exchange::record::Outcome;
use weir::guard::Verdict;
use weir::identity::Role;
use weir::limit::{Spent, Unit};
use weir::llm::reply::Choice;
use weir::llm::{Part, Reply, UsageSource};
use weir::policy::limits::Exceeded;
use weir::policy::{Mode, OnError, Policy};

use super::support::*;

/// [`all_clear`] with one answer changed.
fn with(at: usize, answer: Answer) -> Vec<Answer> {
    let mut answers = all_clear();
    answers[at] = answer;
    answers
}

fn called(policy: Policy, answers: Vec<Answer>) -> World {
    let mut world = World::new(policy).answers(answers);
    world.call(CHAT, chat(false));
    world
}

/// [`gated`] with limits that send what does not fit elsewhere.
fn downgrading(backend: &str, model: &str) -> Policy {
    let to = Exceeded::Downgrade(backend.into(), model.into());
    Policy { limits: limits(Mode::Enforce, OnError::Deny, &to), ..gated() }
}

fn soon() -> Answer {
    exhausted(Some(Duration::from_millis(1500)))
}

#[test]
fn every_gate_is_asked_in_order_and_what_was_granted_is_settled_with_the_bill() {
    let mut world = called(gated(), all_clear());
    world.reply(json(), DOCUMENT).end();
    let names: Vec<&str> = world.asks.iter().map(name).collect();
    assert_eq!(names, ["admit", "judge", "recall", "reserve", "token"]);
    assert_eq!(world.upstream_header("authorization"), Some("Bearer fresh"));
    assert!(world.record().signed);
    for settle in world.settles() {
        assert_eq!(settle.spent, Spent::Used { usage: usage(9, 3), cost: world.record().cost });
    }
}

fn name(ask: &Ask) -> &'static str {
    match ask {
        Ask::Judge(_) => "judge",
        Ask::Recall(..) | Ask::RecallItems(_) => "recall",
        Ask::Embed(_) => "embed",
        Ask::Count { .. } => "count",
        Ask::Wording { .. } => "wording",
        Ask::Reserve(ask) if ask.takes[0].limit.unit == Unit::Requests => "admit",
        Ask::Reserve(_) => "reserve",
        Ask::Token { .. } => "token",
    }
}

/// Invariant 7.
#[test]
fn a_question_without_an_answer_means_what_the_policy_says() {
    let codes = ["limit_store_unavailable", "upstream_unavailable", "", "limit_store_unavailable"];
    for (at, code) in codes.into_iter().enumerate() {
        for failure in [Failure::Timeout, Failure::Unavailable] {
            for (on_error, mode) in
                [(OnError::Deny, Mode::Enforce), (OnError::Allow, Mode::Enforce), (OnError::Deny, Mode::Shadow)]
            {
                let mut policy = gated();
                policy.limits = limits(mode, on_error, &Exceeded::Deny);
                (policy.guards.on_error, policy.guards.mode) = (on_error, mode);
                let mut world = called(policy, with(at, Answer::Failed(failure)));
                let denied = on_error == OnError::Deny && mode == Mode::Enforce && at != 2;
                assert_eq!(world.envoy.upstream.began, !denied, "gate {at} {on_error:?} {mode:?}");
                if denied {
                    assert_eq!(world.refused(), (503, code.to_owned()));
                    assert_eq!(world.client_header("retry-after"), Some("1"));
                }
                world.end();
            }
        }
    }
    let mut world = called(gated(), with(4, Answer::Failed(Failure::Timeout)));
    assert_eq!(world.refused(), (503, "credential_unavailable".to_owned()));
    assert!(world.client().contains(r#"Backend \"one\" has no valid token yet"#), "{}", world.client());
    assert_eq!(world.client_header("retry-after"), Some("1"));
    world.end();
}

#[test]
fn an_answer_of_the_wrong_kind_is_none_and_a_grant_in_it_is_given_back() {
    let mut world = called(gated(), with(1, granted(77)));
    assert_eq!(world.refused().0, 503);
    world.end();
    assert_eq!(world.settles().len(), 2, "{:?}", world.settles());
}

#[test]
fn a_refusal_says_when_to_ask_again_and_gives_back_what_was_granted() {
    let mut answers = with(3, soon());
    answers[4] = Answer::Count(9);
    answers.push(soon());
    let mut world = called(gated(), answers);
    assert_eq!(world.refused(), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(world.client_header("retry-after"), Some("2"));
    assert_eq!(world.client_header("retry-after-ms"), Some("1500"));
    world.end();
    let spent: Vec<Spent> = world.settles().iter().map(|settle| settle.spent).collect();
    assert_eq!(spent, [Spent::Undone], "all or nothing: the request it was admitted as is given back too");
    assert_eq!((world.record().outcome, world.record().cost), (Outcome::Refused, None));
    let mut world = called(gated(), with(1, Answer::Judge(Verdict::Deny { rule: "pii".into() })));
    assert_eq!(world.refused(), (400, "content_policy_violation".to_owned()));
    world.end();
}

#[test]
fn a_rule_in_shadow_changes_nothing() {
    let choices = vec![Choice { parts: vec![Part::text("kept")], ..Choice::default() }];
    let kept = Answer::Recall(found(Reply { choices, ..Reply::default() }));
    let denied = Answer::Judge(Verdict::Deny { rule: "pii".into() });
    let cases = [
        (0, Answer::Failed(Failure::Timeout)),
        (3, Answer::Failed(Failure::Timeout)),
        (1, denied),
        (2, kept),
        (2, Answer::Recall(Recall::Follow(Ticket(1)))),
    ];
    for (at, answer) in cases {
        let mut policy = gated();
        policy.limits = limits(Mode::Shadow, OnError::Deny, &Exceeded::Deny);
        (policy.guards.mode, policy.caches) = (Mode::Shadow, caches(Mode::Shadow));
        let mut world = called(policy, with(at, answer));
        assert_eq!(world.upstream(), chat(false), "gate {at}");
        assert_eq!(world.upstream_header("x-weir-backend"), Some("one"));
        let shadows = world.notes().iter().filter(|note| matches!(note, Note::Shadow { .. })).count();
        assert_eq!(shadows, 1, "gate {at}");
        world.reply(json(), DOCUMENT).end();
    }
}

/// The prompt is counted before a limit of tokens sends the call away.
fn sent_away(recall: Recall) -> Vec<Answer> {
    let mut answers = with(2, Answer::Recall(recall));
    answers.truncate(3);
    answers.extend([soon(), Answer::Count(9), soon()]);
    answers
}

#[test]
fn an_exhausted_limit_can_send_the_call_elsewhere_once() {
    // What was judged stays so; there it meets its limits, the cache and the key anew. The limit that has
    // sent it away, the only one of tokens, counts it there.
    let mut answers = sent_away(Recall::Miss);
    answers.extend([granted(2), Answer::Recall(Recall::Lead(Ticket(3))), granted(3)]);
    let mut world = called(downgrading("two", "other"), answers);
    assert_eq!(world.upstream(), chat(false).replace("gpt-4o-mini", "other"));
    assert_eq!(world.envoy.upstream.headers[":authority"], b"two.example");
    assert_eq!(world.upstream_header("authorization"), Some("Bearer k-two"));
    let names: Vec<&str> = world.asks.iter().map(name).collect();
    assert_eq!(names, ["admit", "judge", "recall", "reserve", "count", "reserve", "admit", "recall", "reserve"]);
    world.reply(json(), DOCUMENT).end();
    let settled: Vec<(u128, bool)> =
        world.settles().iter().map(|settle| (settle.grant.id, settle.spent == Spent::Undone)).collect();
    assert_eq!(settled, [(1, true), (2, false), (3, false)]);

    // Where it is sent another limit wants to send it on.
    let mut answers = sent_away(Recall::Miss);
    answers.push(soon());
    let mut world = called(downgrading("two", "other"), answers);
    assert_eq!(world.refused(), (429, "rate_limit_exceeded".to_owned()));
    world.end();
    let mut world = called(downgrading("none", "x"), with(0, soon()));
    assert_eq!(world.refused(), (404, "no_backend".to_owned()));
    world.end();
}

#[test]
fn a_flight_that_was_led_for_another_model_is_not_published_to() {
    let mut answers = sent_away(Recall::Lead(Ticket(3)));
    answers.extend([granted(2), Answer::Recall(Recall::Miss)]);
    let mut world = called(downgrading("two", "other"), answers);
    world.reply(json(), DOCUMENT).end();
    let told = world.notes().iter().any(|note| matches!(note, Note::Publish(..) | Note::Remember(_)));
    assert!(!told, "{:?}", world.notes());
}

#[test]
fn a_throttled_call_asks_again_when_it_would_fit_and_no_longer_than_it_may_wait() {
    let mut policy = gated();
    policy.limits = limits(Mode::Enforce, OnError::Deny, &Exceeded::Throttle(Duration::from_secs(2)));
    let mut answers = with(0, soon());
    answers.splice(1..1, [granted(1)]);
    let mut world = called(policy.clone(), answers);
    assert!(!world.envoy.upstream.began, "it waits");
    world.wait(Duration::from_millis(1499));
    assert!(!world.envoy.upstream.began, "it still waits");
    world.wait(Duration::from_millis(1));
    assert_eq!(world.upstream(), chat(false));
    world.reply(json(), DOCUMENT).end();

    // A second wait of one and a half seconds would be too long.
    let mut world = called(policy, vec![soon(), soon()]);
    world.wait(Duration::from_millis(1500));
    assert_eq!(world.refused(), (429, "rate_limit_exceeded".to_owned()));
    world.end();
}

#[test]
fn a_grant_that_comes_too_late_is_given_back() {
    // After an early answer, after a refusal of another kind, after the proxy has left.
    let early = Event::Response(response(504, &[("content-type", "text/plain")]), true);
    let ways = [early, Event::Stop(Stop::Shed), Event::Stop(Stop::Deadline), Event::Stop(Stop::Leave)];
    for (at, way) in ways.into_iter().enumerate() {
        let mut world = called(gated(), Vec::new());
        world.send(way).send(Event::Answer(Slot::Gate, granted(5))).end();
        assert_eq!(world.settles().len(), 1, "way {at}");
        assert!(!world.envoy.upstream.began, "nothing is sent on, way {at}");
        let records: Vec<_> = world.records().iter().map(|record| record.usage_source).collect();
        assert_eq!(records, if at == 3 { vec![] } else { vec![UsageSource::Unknown] }, "way {at}");
    }
}

#[test]
fn an_explained_request_goes_through_every_gate() {
    let mut world = called(gated(), vec![Answer::Peeked; 5]);
    assert_eq!((world.asks.len(), world.upstream()), (5, chat(false)));
    assert_eq!(world.upstream_header("authorization"), None, "the caller's own never leaves");
    world.end();
}

#[test]
fn an_exact_count_completes_an_estimate_and_never_blocks() {
    let mut policy = policy();
    policy.count_exactly = true;
    let mut world = World::new(policy);
    world.side = Some(Answer::Count(5));
    world.call(CHAT, chat(true));
    let [Ask::Count { model, body, .. }] = &world.asks[..] else { panic!("{:?}", world.asks) };
    assert_eq!((model.as_str(), body), ("gpt-4o-mini", &bytes(chat(true))));
    world.reply(sse(), &UNASKED[..UNASKED.len() - 40]).end();
    let record = world.record();
    assert_eq!((record.usage.input, record.usage_source), (5, UsageSource::Estimated));
    assert_eq!(record.outcome, Outcome::Truncated);
}

#[test]
fn another_attempt_is_written_from_the_original() {
    let policy = fails_over(policy());
    let mut world = called(policy.clone(), Vec::new());
    for (number, backend) in [(1, "one"), (2, "two"), (3, "none"), (4, "one")] {
        world.send(attempt(number, backend));
    }
    let tries: Vec<(u32, &str)> = world.actions.iter().filter_map(retry).collect();
    assert_eq!(tries, [(2, "two.example"), (4, "one.example")]);
    world.reply(json(), DOCUMENT).end();
    let record = world.record();
    assert_eq!((record.backend.as_deref(), record.outcome), (Some("one"), Outcome::Completed));

    // What the second backend was not asked for is its own, and stays.
    let mut world = World::new(policy);
    world.call(CHAT, chat(true)).send(attempt(1, "one")).send(attempt(2, "two")).reply(sse(), STREAM).end();
    assert_eq!(world.client(), STREAM);
}

fn retry(action: &Action) -> Option<(u32, &str)> {
    match action {
        Action::Retry(attempt, Again::Anew { head, body }) => {
            assert_eq!(body, chat(false).as_bytes());
            Some((*attempt, head.authority.as_deref()?))
        }
        _ => None,
    }
}

#[test]
fn an_attempt_at_the_wrong_time_is_not_heard() {
    let mut world = World::new(fails_over(gated())).answers(all_clear());
    world.send(Event::Request(post(CHAT), false)).send(attempt(1, "two"));
    world.send(Event::RequestBody(bytes(chat(false)), true));
    assert!(world.envoy.upstream.began, "what is held is still there");
    world.send(Event::Response(json(), false)).send(attempt(2, "two"));
    world.send(Event::Chunk(bytes(DOCUMENT), true)).end();
    assert_eq!(world.record().backend.as_deref(), Some("one"));
}

#[test]
fn what_a_key_lacks_is_the_operators_to_know() {
    for (role, told) in [(Role::Sidecar, true), (Role::Gateway, false)] {
        let mut policy = policy();
        policy.role = role;
        policy.credentials.set(0, Credential::Missing("file /etc/keys/one does not exist".into()));
        let (mut held, mut passed) = (World::new(policy.clone()), World::new(policy));
        let from_peer = |mut head: RequestHead| {
            head.facts.peer_uri = Some("spiffe://mesh.example/ns/a/sa/b".into());
            head
        };
        held.send(Event::Request(from_peer(post(CHAT)), false)).send(Event::RequestBody(bytes(chat(false)), true));
        passed.send(Event::Request(from_peer(request("GET", "/v1/files", &[])), true));
        for world in [&mut held, &mut passed] {
            world.end();
            assert_eq!(world.refused(), (503, "credential_unavailable".to_owned()));
            assert!(world.client().contains("has no usable credential."), "{}", world.client());
            assert_eq!(world.client().contains("/etc/keys/one"), told, "{role:?}: {}", world.client());
            let decisions = &world.record().decisions;
            let detail = &decisions.iter().find(|decision| decision.step == "sign").expect("a decision").detail;
            assert!(detail.contains("file /etc/keys/one does not exist"), "{detail}");
        }
    }
}
