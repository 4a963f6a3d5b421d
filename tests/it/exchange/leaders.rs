//! Who asks the provider for others: what it publishes, and what of it is remembered.

use proptest::prelude::*;
use weir::cache::{Reason, Recall, Ticket};
use weir::exchange::event::{Answer, Event, Feed, Note, ResponseHead, Stop};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::llm::{Delta, Finish, Fold, Reply};

use super::replays::{feed, recalling};
use super::support::*;

fn led(stream: bool, head: ResponseHead, body: impl AsRef<[u8]>) -> (Vec<Delta>, Option<Reply>, Outcome) {
    let mut world = recalling(stream, BodyMode::FullDuplex, Recall::Lead(Ticket(2)));
    assert_eq!(world.upstream_header("accept-encoding"), Some("identity"));
    world.send(Event::Feed(Feed::Followed)).reply(head, body).end();
    let notes = world.timeless_notes();
    let published = |note: &Note| match note {
        Note::Publish(Ticket(2), delta) => Some(delta.clone()),
        _ => None,
    };
    let remembered = notes.iter().find_map(|note| match note {
        Note::Remember(kept) => Some((*kept.reply).clone()),
        _ => None,
    });
    (notes.iter().filter_map(published).collect(), remembered, world.record().outcome)
}

fn gzip(body: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

#[test]
fn a_leader_publishes_each_step_once_and_remembers_the_whole() {
    let zipped = response(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")]);
    let expected = [
        Delta::Start { id: "c-1".into(), model: "gpt-4o-mini".into(), created: 5, usage: None },
        Delta::text("Hello."),
        Delta::finish(Finish::Stop),
        Delta::Usage(usage(9, 3)),
        Delta::End,
    ];
    for (head, body) in [(sse(), STREAM.as_bytes().to_vec()), (zipped, gzip(STREAM))] {
        let (published, remembered, ended) = led(true, head, body);
        assert_eq!((published.as_slice(), ended), (expected.as_slice(), Outcome::Completed));
        let reply = remembered.expect("a complete answer is kept");
        let finish = reply.choices[0].finish;
        assert_eq!((&*reply.text(), reply.usage, finish), ("Hello.", Some(usage(9, 3)), Some(Finish::Stop)));
    }
    let (published, remembered, _) = led(false, json(), DOCUMENT);
    assert_eq!(published.len(), 5);
    assert_eq!(remembered.expect("a complete answer is kept").model, "gpt-4o-mini-2024-07-18");
}

#[test]
fn a_leader_without_followers_publishes_nothing_and_remembers_the_same() {
    for (stream, head, body) in [(true, sse(), STREAM), (false, json(), DOCUMENT)] {
        let mut world = recalling(stream, BodyMode::FullDuplex, Recall::Lead(Ticket(2)));
        world.reply(head.clone(), body).end();
        let notes = world.timeless_notes();
        assert!(!notes.iter().any(|note| matches!(note, Note::Publish(..) | Note::Forsake(_))), "{notes:?}");
        let kept = notes.iter().find_map(|note| match note {
            Note::Remember(kept) => Some((*kept.reply).clone()),
            _ => None,
        });
        assert_eq!((kept.is_some(), kept), (true, led(stream, head, body).1));
    }
}

#[test]
fn who_follows_late_is_told_what_was_heard_by_then() {
    let events: Vec<&str> = STREAM.split_inclusive("\n\n").collect();
    for late in 0..=events.len() {
        let mut world = recalling(true, BodyMode::FullDuplex, Recall::Lead(Ticket(2)));
        world.send(Event::Response(sse(), false));
        for (n, event) in events.iter().enumerate() {
            if n == late {
                world.send(Event::Feed(Feed::Followed));
            }
            world.send(Event::Chunk(bytes(event), false));
        }
        if late == events.len() {
            world.send(Event::Feed(Feed::Followed));
        }
        world.send(Event::Chunk(bytes(""), true)).end();
        let mut fold = Fold::default();
        world.timeless_notes().iter().for_each(|note| {
            if let Note::Publish(Ticket(2), delta) = note {
                fold.push(delta);
            }
        });
        assert_eq!(fold.complete(), led(true, sse(), STREAM).1, "followed before event {late}");
    }
}

#[test]
fn what_is_not_complete_and_successful_is_not_remembered() {
    let failed = response(500, &[("content-type", "application/json")]);
    let odd = UNASKED.replace("\"delta\":{}", "\"delta\":{\"content\":null,\"tool_calls\":null}");
    assert!(led(true, sse(), odd).1.is_some(), "null is no error");
    for (stream, head, body) in [
        (true, sse(), &STREAM[..STREAM.len() - 20]),
        (true, sse(), &*format!("data: {{\"error\":{{\"message\":\"x\"}}}}\n\n{STREAM}")),
        (false, json(), &DOCUMENT[..DOCUMENT.len() - 10]),
        (false, failed, DOCUMENT),
        (false, json(), "{\"choices\":[]}"),
    ] {
        let (_, remembered, _) = led(stream, head, body);
        assert_eq!(remembered, None, "{body:.40}");
    }
}

/// What a document's message or choice, or the answer itself, may say beside the canonical words.
const BESIDE: &[(&str, &str)] = &[
    ("message", r#""annotations":[{"type":"url_citation"}]"#),
    ("message", r#""audio":{"id":"a","data":"AA=="}"#),
    ("message", r#""function_call":{"name":"f","arguments":"{}"}"#),
    ("message", r#""tool_calls":[{"index":0,"id":"t","type":"remote","remote":{"name":"f"}}]"#),
    (
        "message",
        r#""tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"},"extra_content":{"a":1}}]"#,
    ),
    ("choice", r#""content_filter_results":{"hate":{"filtered":false}}"#),
    // The one in a chunk, the other in a document.
    ("choice", r#""message":{"content":"Hi."}"#),
    ("choice", r#""delta":{"content":"Hi."}"#),
    ("answer", r#""citations":["https://example.com"]"#),
    ("answer", r#""x_groq":{"error":"no"}"#),
];

/// The same, said with nothing in it, or of no meaning to who asked.
const HARMLESS: &[(&str, &str)] = &[
    ("message", r#""refusal":null,"annotations":[ ],"audio":null,"tool_calls":[],"function_call":null"#),
    ("choice", r#""logprobs":null,"content_filter_results":{}"#),
    ("answer", r#""system_fingerprint":"fp_1","service_tier":"default","obfuscation":"aB","x_groq":{"id":"r"}"#),
];

/// `DOCUMENT` and `UNASKED` with a member more.
fn saying(place: &str, member: &str) -> [(bool, ResponseHead, String); 2] {
    let before = match place {
        "message" => "\"content\":\"Hello.\"",
        "choice" => "\"finish_reason\":\"stop\"",
        _ => "\"created\":5",
    };
    let with = |body: &str| body.replacen(before, &format!("{member},{before}"), 1);
    [(false, json(), with(DOCUMENT)), (true, sse(), with(UNASKED))]
}

#[test]
fn an_answer_that_says_more_than_can_be_said_again_is_not_kept() {
    for (place, member) in BESIDE {
        for (stream, head, body) in saying(place, member) {
            let (published, remembered, outcome) = led(stream, head, &body);
            assert_eq!((remembered, outcome), (None, Outcome::Completed), "{body}");
            assert!(!published.contains(&Delta::End), "followers are not told that it was all: {body}");
        }
    }
    for (place, member) in HARMLESS {
        for (stream, head, body) in saying(place, member) {
            let (published, remembered, _) = led(stream, head, &body);
            assert!(remembered.is_some_and(|reply| reply.text() == "Hello."), "{body}");
            assert_eq!(published.last(), Some(&Delta::End));
        }
    }
    for (said, instead) in [
        ("\"finish_reason\":\"stop\"", "\"finish_reason\":\"insufficient_system_resource\""),
        ("\"finish_reason\":\"stop\"", "\"finish_reason\":\"function_call\""),
        ("\"role\":\"assistant\"", "\"role\":\"tool\""),
    ] {
        assert_eq!(led(false, json(), DOCUMENT.replace(said, instead)).1, None, "{instead}");
        assert_eq!(led(true, sse(), UNASKED.replace(said, instead)).1, None, "{instead}");
    }
}

#[test]
fn a_leader_whose_answer_cannot_be_said_again_does_not_end_its_flight() {
    let sound = r#"{"content":"Hello.","audio":{"id":"a","data":"AA=="}}"#;
    let mut world = recalling(true, BodyMode::FullDuplex, Recall::Lead(Ticket(2)));
    world.send(Event::Feed(Feed::Followed)).reply(sse(), UNASKED.replace("{\"content\":\"Hello.\"}", sound)).end();
    assert_eq!(world.record().outcome, Outcome::Completed);
    let notes = world.notes();
    assert!(!notes.iter().any(|note| matches!(note, Note::Publish(_, Delta::End) | Note::Remember(_))), "{notes:?}");
    assert!(notes.contains(&&Note::Part(Ticket(2), Reason::Lossy)), "{notes:?}");
}

#[test]
fn a_follower_is_told_when_what_it_was_fed_cannot_be_said_again() {
    let mut world = recalling(false, BodyMode::FullDuplex, Recall::Follow(Ticket(2)));
    let call = Delta::ToolCall {
        choice: 0,
        index: 5000,
        id: None,
        name: Some("f".into()),
        arguments: "{}".into(),
        signature: None,
    };
    feed(&mut world, &[call, Delta::End]);
    world.end();
    assert_eq!(world.refused(), (502, "upstream_invalid_response".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A stream was published as it passed, up to its end; a document was not, so somebody else has to lead.
    #[test]
    fn a_leader_without_room_keeps_nothing_and_its_answer_goes_on(step in 1_usize..200, stream in any::<bool>()) {
        let mut world = recalling(stream, BodyMode::FullDuplex, Recall::Lead(Ticket(2)));
        let (head, body) = if stream { (sse(), UNASKED) } else { (json(), DOCUMENT) };
        world.send(Event::Feed(Feed::Followed)).send(Event::Response(head, false));
        let (first, rest) = body.as_bytes().split_at(step);
        world.send(Event::Chunk(bytes(first), false)).send(Event::Stop(Stop::Shed));
        prop_assert!(!world.exchange.is_holding_response());
        for chunk in rest.chunks(step) {
            world.send(Event::Chunk(bytes(chunk), false));
            prop_assert!(stream || world.exchange.buffered() == 0);
        }
        world.send(Event::Chunk(bytes(""), true)).end();
        prop_assert_eq!(world.client(), body);
        prop_assert_eq!(world.record().outcome, Outcome::Completed);
        let notes = world.notes();
        prop_assert!(!notes.iter().any(|note| matches!(note, Note::Remember(_))));
        let ends = notes.iter().filter(|note| matches!(note, Note::Publish(_, Delta::End))).count();
        let forsaken = notes.iter().filter(|note| matches!(note, Note::Part(Ticket(2), _))).count();
        prop_assert_eq!((ends, forsaken), (usize::from(stream), 1));
    }
}

#[test]
fn an_answer_that_is_too_large_is_not_kept() {
    let mut policy = gated();
    policy.profile.bodies.max_capture = 300;
    let text = DOCUMENT.replace("Hello.", &"x".repeat(400));
    let mut answers = all_clear();
    answers[2] = Answer::Recall(Recall::Lead(Ticket(2)));
    let mut world = World::new(policy).answers(answers);
    world.call(CHAT, chat(false)).send(Event::Response(json(), false));
    for chunk in text.as_bytes().chunks(100) {
        world.send(Event::Chunk(bytes(chunk), false));
        assert!(world.exchange.buffered() <= 300);
    }
    world.send(Event::Chunk(bytes(""), true)).end();
    assert_eq!(world.client(), text);
    assert!(!world.notes().iter().any(|note| matches!(note, Note::Remember(_))));
}
