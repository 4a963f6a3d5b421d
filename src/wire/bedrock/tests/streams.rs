//! Streams read and written.

use super::*;
use crate::llm::{Fault, Fold};

fn usage() -> Usage {
    Usage { input: 5, output: 7, ..Usage::default() }
}

fn wire_usage() -> Json {
    json!({"usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}, "metrics": {"latencyMs": 0}})
}

fn start() -> Delta {
    Delta::Start { id: String::new(), model: String::new(), created: 0, usage: None }
}

fn thought(text: &str) -> Delta {
    Delta::Reasoning { choice: 0, text: text.into() }
}

fn tool(index: u32, name: Option<&str>, arguments: &str) -> Delta {
    let id = name.map(|_| format!("t{index}"));
    Delta::ToolCall { choice: 0, index, id, name: name.map(Into::into), arguments: arguments.into(), signature: None }
}

fn at(block: u64, delta: Json) -> (&'static str, Json) {
    ("contentBlockDelta", json!({"delta": delta, "contentBlockIndex": block}))
}

fn stop(block: u64) -> (&'static str, Json) {
    ("contentBlockStop", json!({"contentBlockIndex": block}))
}

fn begin(block: u64, name: &str) -> (&'static str, Json) {
    let start = json!({"toolUse": {"toolUseId": format!("t{}", block - 2), "name": name}});
    ("contentBlockStart", json!({"start": start, "contentBlockIndex": block}))
}

/// A stream with every kind of block, as frames and as steps.
fn full() -> (Vec<(&'static str, Json)>, Vec<Delta>) {
    let frames = vec![
        ("messageStart", json!({"role": "assistant"})),
        at(0, json!({"reasoningContent": {"text": "Hm"}})),
        at(0, json!({"reasoningContent": {"signature": "c2ln"}})),
        stop(0),
        at(1, json!({"text": "He"})),
        at(1, json!({"text": "llo"})),
        at(1, json!({"citation": {"title": "T", "location": {"web": {"url": "https://x"}}}})),
        stop(1),
        begin(2, "f"),
        at(2, json!({"toolUse": {"input": "{\"a\""}})),
        at(2, json!({"toolUse": {"input": ":1}"}})),
        stop(2),
        begin(3, "g"),
        stop(3),
        ("messageStop", json!({"stopReason": "tool_use"})),
        ("metadata", wire_usage()),
    ];
    let citation = Citation { url: Some("https://x".into()), title: Some("T".into()), ..Citation::default() };
    let deltas = vec![
        start(),
        thought("Hm"),
        Delta::Signature { choice: 0, signature: seal("c2ln") },
        Delta::text("He"),
        Delta::text("llo"),
        Delta::Citation { choice: 0, citation: Box::new(citation) },
        tool(0, Some("f"), ""),
        tool(0, None, "{\"a\""),
        tool(0, None, ":1}"),
        tool(1, Some("g"), ""),
        Delta::finish(Finish::ToolCalls),
        Delta::Usage(usage()),
        Delta::End,
    ];
    (frames, deltas)
}

fn wire(events: &[(&str, Json)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in events {
        frames::write(&mut out, name, data.to_string().as_bytes());
    }
    out
}

#[test]
fn a_whole_stream_goes_both_ways() {
    let (frames, steps) = full();
    assert_eq!(deltas(&wire(&frames), usize::MAX), (steps.clone(), vec![]));
    let (_, seen, left_out) = stream_of(&steps);
    let seen: Vec<_> = seen.iter().map(|(name, data)| (&**name, data.clone())).collect();
    assert_eq!((seen, left_out), (frames, vec![]));
}

#[test]
fn what_bedrock_pads_and_adds_does_not_matter() {
    let (frames, steps) = full();
    let padded: Vec<_> = frames
        .into_iter()
        .map(|(name, mut data)| {
            data["p"] = "abcdefgh".into();
            (name, data)
        })
        .collect();
    let mut stream = wire(&[("initial-response", json!({}))]);
    stream.extend(wire(&padded));
    // Behind the end nothing counts.
    stream.extend(wire(&padded[..2]));
    assert_eq!(deltas(&stream, 7).0, steps);
}

#[test]
fn blocks_in_a_row_are_told_apart() {
    let redacted = |data| Delta::Redacted { choice: 0, data: seal(data) };
    let image = Media { mime: Some("image/png".into()), ..media(MediaKind::Image, "", Source::Base64("aGk=".into())) };
    let steps = [
        start(),
        redacted("YQ=="),
        redacted("Yg=="),
        thought("x"),
        Delta::Signature { choice: 0, signature: seal("s") },
        thought("y"),
        Delta::Media { choice: 0, media: Box::new(image) },
        Delta::text("a"),
        Delta::Citation { choice: 0, citation: Box::new(Citation { quote: Some("q".into()), ..Citation::default() }) },
        Delta::text("b"),
        Delta::Finish { choice: 0, finish: Finish::StopSequence, stop_sequence: Some("X".into()) },
        Delta::Usage(usage()),
        Delta::End,
    ];
    let (stream, seen, left_out) = stream_of(&steps);
    let blocks = seen.iter().filter(|(name, _)| name == "contentBlockStop").count();
    assert_eq!((blocks, left_out.len()), (7, 0));
    assert_eq!(deltas(&stream, usize::MAX), (steps.to_vec(), vec![]));
}

#[test]
fn a_stream_that_is_no_whole_one_is_written_legally() {
    let names = |deltas: &[Delta]| stream_of(deltas).1.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&[Delta::End]), ["messageStart", "messageStop", "metadata"]);
    assert_eq!(
        names(&[Delta::text("a"), Delta::Ping, Delta::End, Delta::text("b")]),
        ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
    );
    // What another writer began is only ended here.
    let to = Writing { resumed: true, ..Writing::default() };
    let (mut writer, mut out) = (Bedrock.stream_writer(to).unwrap(), Vec::new());
    writer.write(&Delta::End, &mut out, &mut Dropped::default());
    let seen: Vec<_> = events(&out, 9).into_iter().map(|event| event.name.unwrap()).collect();
    assert_eq!(seen, ["messageStop", "metadata"]);
}

#[test]
fn calls_without_ids_get_some_and_late_pieces_end_the_stream() {
    let nameless = |index| Delta::ToolCall {
        choice: 0,
        index,
        id: None,
        name: Some("f".into()),
        arguments: "{}".into(),
        signature: None,
    };
    let (_, seen, _) = stream_of(&[start(), nameless(0), nameless(1)]);
    let ids: Vec<_> = seen.iter().filter_map(|(_, data)| data["start"]["toolUse"]["toolUseId"].as_str()).collect();
    assert_eq!(ids, ["tooluse_abc_0", "tooluse_abc_1"]);
    let (_, seen, _) = stream_of(&[start(), nameless(0), nameless(1), tool(0, None, "x"), Delta::End]);
    assert_eq!(seen.last().unwrap().0, "internalServerException");
}

#[test]
fn calls_that_come_by_turns_are_written_one_behind_the_other() {
    let steps = [
        start(),
        tool(0, Some("f"), ""),
        tool(1, Some("g"), "{\"b\":"),
        tool(0, None, "{\"a\":"),
        tool(1, None, "2}"),
        tool(2, Some("h"), "{"),
        tool(0, None, "1}"),
        tool(2, None, "}"),
        Delta::finish(Finish::ToolCalls),
        Delta::Usage(usage()),
        Delta::End,
    ];
    let (stream, _, left_out) = stream_of(&steps);
    assert_eq!(left_out.len(), 0);
    let (mut said, mut expected) = (Fold::default(), Fold::default());
    deltas(&stream, usize::MAX).0.iter().for_each(|delta| said.push(delta));
    steps.iter().for_each(|delta| expected.push(delta));
    assert_eq!(said.complete(), expected.complete());
    // What is held is told, and bounded.
    let mut writer = Bedrock.stream_writer(Writing::default()).unwrap();
    let (mut out, mut most) = (Vec::new(), 0);
    steps[..3].iter().for_each(|step| writer.write(step, &mut out, &mut Dropped::default()));
    for _ in 0..100 {
        writer.write(&tool(1, None, &"x".repeat(1 << 20)), &mut out, &mut Dropped::default());
        most = most.max(writer.held());
    }
    assert!((3 << 20..=4 << 20).contains(&most), "{most}");
    assert_eq!(events(&out, 9).last().unwrap().name.as_deref(), Some(&b"internalServerException"[..]));
}

#[test]
fn other_answers_and_probabilities_are_named() {
    let other = Delta::Text { choice: 1, text: "b".into() };
    let sound = media(MediaKind::Audio, "audio/wav", Source::Base64("aGk=".into()));
    let finish = Delta::Finish { choice: 1, finish: Finish::Length, stop_sequence: None };
    let (_, seen, left_out) = stream_of(&[
        start(),
        Delta::text("a"),
        other,
        Delta::Logprobs { choice: 0, tokens: "{}".into() },
        Delta::Media { choice: 0, media: Box::new(sound) },
        finish,
        Delta::finish(Finish::Stop),
        Delta::End,
    ]);
    assert_eq!(left_out, ["choices", "logprobs", "audio"]);
    assert_eq!(seen.len(), 5);
}

#[test]
fn errors_inside_of_a_stream_are_read_and_written() {
    for (name, kind, message) in [
        ("throttlingException", FaultKind::RateLimit, "slow"),
        ("validationException", FaultKind::InvalidRequest, "bad"),
        ("validationException", FaultKind::ContextLength, "Input is too long for requested model."),
        ("serviceUnavailableException", FaultKind::Overloaded, "x"),
        ("internalServerException", FaultKind::Server, "x"),
        ("modelStreamErrorException", FaultKind::Server, "x"),
        ("newException", FaultKind::Server, "x"),
    ] {
        let mut stream = wire(&[("messageStart", json!({"role": "assistant"}))]);
        frames::write_exception(&mut stream, name, json!({"message": message}).to_string().as_bytes());
        let (steps, _) = deltas(&stream, 5);
        let fault = Fault { code: Some(name.into()), ..Fault::in_stream(kind, message) };
        assert_eq!(steps, [start(), Delta::Error(fault)], "{name}");
    }
    for (kind, name) in [
        (FaultKind::RateLimit, "throttlingException"),
        (FaultKind::Quota, "throttlingException"),
        (FaultKind::ContextLength, "validationException"),
        (FaultKind::Overloaded, "serviceUnavailableException"),
        (FaultKind::Timeout, "modelStreamErrorException"),
        (FaultKind::Server, "internalServerException"),
    ] {
        let (_, seen, _) = stream_of(&[start(), Delta::Error(Fault::in_stream(kind, "m")), Delta::End]);
        assert_eq!(seen[1..], [(name.to_owned(), json!({"message": "m"}))]);
    }
    // An error that is not modelled, and an exception without words.
    let error = json!({"error": "Broken", "message": "m"});
    assert!(matches!(&deltas(&wire(&[("Broken", error)]), 99).0[..], [Delta::Error(fault)] if fault.message == "m"));
    let mut bare = Vec::new();
    frames::write_exception(&mut bare, "throttlingException", b"");
    assert!(matches!(&deltas(&bare, 99).0[..], [Delta::Error(fault)] if fault.kind == FaultKind::RateLimit));
}

#[test]
fn a_stream_without_usage_is_whole_and_one_that_broke_off_is_not() {
    let (frames, _) = full();
    let steps = deltas(&wire(&frames[..15]), usize::MAX).0;
    assert_eq!(steps.last(), Some(&Delta::End));
    assert!(!deltas(&wire(&frames[..14]), usize::MAX).0.contains(&Delta::End));
}

#[test]
fn what_is_no_event_of_converse_is_unreadable_or_named() {
    let read = |name: &str, data: &str| {
        let mut out = Vec::new();
        frames::write(&mut out, name, data.as_bytes());
        let mut dropped = Dropped::default();
        let result = Bedrock.stream_reader().read(&events(&out, 99)[0], &mut Vec::new(), &mut dropped);
        result.map(|()| names(&dropped))
    };
    assert!(read("messageStart", "nothing").is_err());
    assert!(read("contentBlockDelta", "{}").is_err());
    assert!(read("contentBlockStart", r#"{"start":{"toolUse":{}}}"#).is_err());
    assert_eq!(read("news", "{}").unwrap(), ["news"]);
    let result = r#"{"start":{"toolResult":{"toolUseId":"s"}},"contentBlockIndex":1}"#;
    assert_eq!(read("contentBlockStart", result).unwrap(), ["contentBlockStart.start.toolResult"]);
    let piece = r#"{"delta":{"toolUse":{"input":"{}"}},"contentBlockIndex":1}"#;
    assert_eq!(read("contentBlockDelta", piece).unwrap(), ["contentBlockDelta.delta.toolUse"]);
    assert_eq!(read("metadata", r#"{"trace":{"x":1}}"#).unwrap(), ["trace"]);
}

#[test]
fn the_steps_of_a_stream_fold_into_its_answer() {
    let mut fold = Fold::default();
    for delta in full().1 {
        fold.push(&delta);
    }
    let reply = fold.complete().unwrap();
    let again = deltas(&stream_of(&reply.steps()).0, usize::MAX).0;
    let mut fold = Fold::default();
    again.iter().for_each(|delta| fold.push(delta));
    assert_eq!(fold.complete(), Some(reply));
}
