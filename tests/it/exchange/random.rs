//! Any events in any order, with any bytes: nothing panics, and what `support` and `envoy` check after
//! every event holds.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use weir::cache::items::Found;
use weir::cache::{Recall, Ticket};
use weir::exchange::event::{Answer, Ask, Event, Failure, Feed, Slot, Stop};
use weir::exchange::phase::BodyMode;
use weir::guard::Verdict;
use weir::limit::take::{Fit, Grant, Standing, Taken};
use weir::limit::window::Window;
use weir::limit::{Limit, Unit};
use weir::llm::reply::Choice;
use weir::llm::{Delta, Finish, Part, Reply};
use weir::policy::limits::{Exceeded, LimitPolicy, Rule};
use weir::policy::{Mode, OnError, Policy};

use super::support::*;

/// An event, or time that passes.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a few, in a test")]
enum Step {
    Send(Event),
    Wait(Duration),
    /// The host gives up the original.
    Forget,
}

/// Postures by flag, and how much is held: few bytes, so that every bound is met.
fn policy_of(flags: &[bool], small: usize, max_event: usize) -> Policy {
    let mut policy = if flags[0] { gated() } else { policy() };
    policy.count_exactly = flags[1];
    if flags[2] {
        policy = fails_over(policy);
    }
    policy.profile.response_headers.cost = flags[3];
    policy.profile.response_headers.tokens = flags[3];
    let mode = if flags[4] { Mode::Shadow } else { Mode::Enforce };
    let on_error = if flags[5] { OnError::Allow } else { OnError::Deny };
    if flags[0] {
        let ways = [
            Exceeded::Deny,
            Exceeded::Downgrade("two".into(), "other".into()),
            Exceeded::Downgrade("none".into(), "other".into()),
            Exceeded::Throttle(Duration::from_secs(2)),
        ];
        let exceeded = ways[usize::from(flags[8]) + 2 * usize::from(flags[9])].clone();
        let rule = |name: &str, unit: Unit| {
            let limit = Limit::new(name, unit, 50 * unit.scale(), Window::Rolling(Duration::from_secs(60)));
            Rule { mode, on_error, exceeded: exceeded.clone(), cuts: flags[10], ..Rule::new(limit) }
        };
        policy.limits = vec![LimitPolicy::new([rule("rpm", Unit::Requests), rule("tpm", Unit::Tokens)])].into();
    }
    policy.guards.mode = if flags[6] { Mode::Shadow } else { Mode::Enforce };
    policy.caches = caches(if flags[7] { Mode::Shadow } else { Mode::Enforce });
    policy.profile.bodies.max_request = small.max(100);
    policy.profile.bodies.max_response_hold = small;
    policy.profile.bodies.max_capture = small;
    policy.profile.bodies.max_event = max_event;
    policy
}

/// A grant of what was asked for last.
fn granted_as_asked(world: &World, id: u128) -> Answer {
    let takes = match world.asks.last() {
        Some(Ask::Reserve(ask)) => ask.takes.clone(),
        _ => Vec::new(),
    };
    let taken = takes.into_iter().map(|take| Taken {
        grant: id,
        standing: Standing { ceiling: take.ceiling, left: take.ceiling / 2, reset: Duration::from_secs(9) },
        limit: take.limit,
        key: take.key,
        amount: take.amount,
        bucket: 1,
        fit: if id % 5 == 3 { Fit::Unchecked } else { Fit::Fits },
        passed: None,
        slice: None,
    });
    Answer::Reserve(Ok(Grant { id, taken: taken.collect() }))
}

fn any_delta() -> impl Strategy<Value = Delta> {
    select(vec![
        Delta::Start { id: "c".into(), model: "m".into(), created: 1, usage: None },
        Delta::text("some words that are said"),
        Delta::Reasoning { choice: 0, text: "hm".into() },
        Delta::ToolCall {
            choice: 0,
            index: 3,
            id: Some("t".into()),
            name: Some("f".into()),
            arguments: "{}".into(),
            signature: None,
        },
        Delta::finish(Finish::Length),
        Delta::Usage(usage(4, 2)),
        Delta::End,
    ])
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let reply = Reply {
        choices: vec![Choice { parts: vec![Part::text("kept")], finish: Some(Finish::Stop), ..Choice::default() }],
        ..Reply::default()
    };
    let others = vec![
        exhausted(None),
        exhausted(Some(Duration::from_secs(1))),
        Answer::Judge(Verdict::Pass),
        Answer::Judge(Verdict::Deny { rule: "pii".into() }),
        Answer::Recall(found(reply)),
        Answer::Recall(Recall::Lead(Ticket(1))),
        Answer::Recall(Recall::Follow(Ticket(2))),
        Answer::Recall(Recall::Miss),
        Answer::RecallItems(vec![None; 3].into()),
        Answer::RecallItems(Found { lead: Some(Ticket(9)), ..Found::default() }),
        Answer::Embed(vec![0.5]),
        Answer::Count(77),
        Answer::Token(weir::credential::Grant::Token(weir::base::secret::Secret::new("t"))),
        Answer::Peeked,
        Answer::Failed(Failure::Timeout),
    ];
    prop_oneof![
        2 => any::<u64>().prop_map(granted),
        3 => select(others),
    ]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let cut = |text: &'static str| (0..=text.len()).prop_map(|at| text.as_bytes()[at..].to_vec());
    prop_oneof![
        Just(chat(true).into_bytes()),
        Just(STREAM.as_bytes().to_vec()),
        cut(STREAM),
        cut(DOCUMENT),
        Just(b"data: {\"error\":{\"message\":\"no\"}}\r\n\r".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(Vec::new()),
    ]
}

fn any_request() -> impl Strategy<Value = Event> {
    let heads = vec![
        post(CHAT),
        post("/v1/completions"),
        post("/v1/messages"),
        post("/v1/embeddings?x=1"),
        request("POST", CHAT, &[("content-length", "99999999999")]),
        request("POST", CHAT, &[("content-type", "multipart/form-data")]),
        request("POST", CHAT, &[("x-api-key", "sk-weir-unknown")]),
        request("POST", CHAT, &[("content-encoding", "gzip")]),
        request("GET", "/v1/realtime", &[("upgrade", "websocket"), ("x-weir-tags", "a=b")]),
        request("POST", "/v1/files", &[]),
        request("", "", &[]),
    ];
    (select(heads), any::<bool>()).prop_map(|(head, end)| Event::Request(head, end))
}

fn any_response() -> impl Strategy<Value = Event> {
    let heads = vec![
        json(),
        sse(),
        response(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")]),
        response(503, &[("content-type", "text/plain")]),
        response(429, &[("content-type", "application/json")]),
        response(204, &[]),
        response(101, &[("content-type", "application/json"), ("content-encoding", "what")]),
    ];
    (select(heads), prop::bool::weighted(0.1)).prop_map(|(head, end)| Event::Response(head, end))
}

fn any_step() -> impl Strategy<Value = Step> {
    let body = |make: fn(bytes::Bytes, bool) -> Event| {
        (any_bytes(), prop::bool::weighted(0.2)).prop_map(move |(data, end)| Step::Send(make(bytes(data), end)))
    };
    let stops = vec![Stop::Deadline, Stop::Shed, Stop::Leave];
    prop_oneof![
        1 => any_request().prop_map(Step::Send),
        2 => body(Event::RequestBody),
        2 => any_response().prop_map(Step::Send),
        4 => body(Event::Chunk),
        5 => any_answer().prop_map(|answer| Step::Send(Event::Answer(Slot::Gate, answer))),
        1 => any_answer().prop_map(|answer| Step::Send(Event::Answer(Slot::Side, answer))),
        2 => any_delta().prop_map(|delta| Step::Send(Event::Feed(Feed::Delta(delta)))),
        1 => select(vec![Feed::Lost(Ticket(2)), Feed::Cut]).prop_map(|feed| Step::Send(Event::Feed(feed))),
        1 => (1_u32..5, select(vec!["one", "two", "none"])).prop_map(|(number, name)| Step::Send(attempt(number, name))),
        1 => Just(Step::Forget),
        1 => Just(Step::Send(Event::Tick)),
        1 => select(vec![0, 1, 3, 400]).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        1 => select(stops).prop_map(|stop| Step::Send(Event::Stop(stop))),
    ]
}

/// Mostly an exchange that begins as real ones do, so that the later phases are reached.
fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let begin =
        vec![Step::Send(Event::Request(post(CHAT), false)), Step::Send(Event::RequestBody(bytes(chat(true)), true))];
    let recalls = vec![Recall::Miss, Recall::Miss, Recall::Lead(Ticket(1)), Recall::Follow(Ticket(2))];
    let rest = proptest::collection::vec(any_step(), 0..24);
    (prop::bool::weighted(0.8), 0..6_usize, select(recalls), prop::bool::weighted(0.4), rest).prop_map(
        move |(begins, answered, recall, responds, rest)| {
            let mut steps = if begins { begin.clone() } else { Vec::new() };
            let mut gates = all_clear();
            gates[2] = Answer::Recall(recall);
            let answers = gates.into_iter().take(answered);
            steps.extend(answers.map(|answer| Step::Send(Event::Answer(Slot::Gate, answer))));
            if responds {
                steps.push(Step::Send(Event::Response(sse(), false)));
            }
            steps.extend(rest);
            steps
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Invariants 1 to 5 and 9.
    #[test]
    fn whatever_comes_every_invariant_holds(
        flags in proptest::collection::vec(any::<bool>(), 11),
        small in select(vec![24_usize, 200, 32 << 20]),
        max_event in select(vec![40_usize, 1 << 20]),
        mode in select(vec![BodyMode::FullDuplex, BodyMode::BufferedStreamed, BodyMode::Buffered]),
        trailers in any::<(bool, bool)>(),
        steps in any_steps(),
    ) {
        let mut world = World::in_mode(policy_of(&flags, small, max_event), mode);
        (world.envoy.request_trailers, world.envoy.response_trailers) = trailers;
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                // Every grant is another one, so that each can be told from the others.
                Step::Send(Event::Answer(slot, Answer::Reserve(Ok(_)))) => {
                    let answer = granted_as_asked(&world, at as u128);
                    world.send(Event::Answer(slot, answer));
                }
                Step::Send(event) => _ = world.send(event),
                Step::Wait(time) => _ = world.wait(time),
                Step::Forget => world.kept = None,
            }
            let limit = world.exchange.buffered();
            prop_assert!(limit < 1 << 20, "{limit} bytes held");
        }
        world.end();
        // Nothing comes after the end, whatever is said.
        let before = world.actions.len();
        world.send(Event::Response(json(), false)).send(Event::Tick);
        prop_assert_eq!(world.actions.len(), before);
    }
}
