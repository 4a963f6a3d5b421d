//! Streams.

use bytes::Bytes;

use super::{Gemini, json, names, read_events, read_stream, write_stream, writing};
use crate::llm::part::Citation;
use crate::llm::{Delta, Dropped, Fault, FaultKind, Finish, Format, Signature, Usage};
use crate::wire::array;
use crate::wire::codec::{Codec, Writing};

const CHUNKS: [&str; 4] = [
    r#"{"candidates":[{"content":{"parts":[{"text":"hm","thought":true}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":9},"modelVersion":"g","responseId":"r"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"He"}],"role":"model"},"index":0},{"content":{"parts":[{"text":"B"}]},"index":1}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"llo"},{"functionCall":{"name":"f","args":{"a":1}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"j","name":"g","args":{}}}]},"index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP","index":0},{"finishReason":"MAX_TOKENS","index":1}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":5,"thoughtsTokenCount":1}}"#,
];

fn text(choice: u32, text: &str) -> Delta {
    Delta::Text { choice, text: text.into() }
}

fn start() -> Delta {
    Delta::Start { id: "r".into(), model: "g".into(), created: 0, usage: None }
}

fn call(index: u32, id: Option<&str>, name: Option<&str>, arguments: &str, signature: Option<&str>) -> Delta {
    let signature = signature.map(|data| Signature { maker: Format::Gemini, data: data.to_owned().into() });
    let (id, name) = (id.map(str::to_owned), name.map(str::to_owned));
    Delta::ToolCall { choice: 0, index, id, name, arguments: arguments.into(), signature }
}

fn expected() -> Vec<Delta> {
    vec![
        start(),
        Delta::Reasoning { choice: 0, text: "hm".into() },
        text(0, "He"),
        text(1, "B"),
        text(0, "llo"),
        call(0, Some(""), Some("f"), r#"{"a":1}"#, Some("c2ln")),
        call(1, Some("j"), Some("g"), "{}", None),
        Delta::finish(Finish::ToolCalls),
        Delta::Finish { choice: 1, finish: Finish::Length, stop_sequence: None },
        Delta::Usage(Usage { input: 9, output: 6, reasoning: 1, ..Usage::default() }),
        Delta::End,
    ]
}

#[test]
fn a_stream_says_the_same_in_either_form_and_however_it_is_cut() {
    let events: String = CHUNKS.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect();
    let elements = format!("[{}]\n", CHUNKS.join("\n,\r\n"));
    for step in [1, 2, 3, 7, 100, 10_000] {
        let (deltas, dropped, all) = read_stream(events.as_bytes(), step);
        assert_eq!((deltas, dropped.is_empty(), all), (expected(), true, true));
        let (mut parser, mut events) = (array::Parser::new(1 << 20), Vec::new());
        for chunk in elements.as_bytes().chunks(step) {
            parser.push(Bytes::copy_from_slice(chunk), &mut events).unwrap();
        }
        parser.finish(&mut events);
        assert_eq!(read_events(&events).0, expected());
    }
}

#[test]
fn without_a_reason_to_end_a_stream_has_no_end() {
    let cut = format!("data: {}\n\ndata: {}\n\n", CHUNKS[0], CHUNKS[1]);
    let (deltas, _, all) = read_stream(cut.as_bytes(), 50);
    assert!(all && !deltas.contains(&Delta::End), "{deltas:?}");
}

#[test]
fn an_error_inside_ends_it() {
    let stream = format!(
        "data: {}\n\ndata: {{\"error\":{{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}}}\n\ndata: {}\n\n",
        CHUNKS[1], CHUNKS[3]
    );
    let (deltas, ..) = read_stream(stream.as_bytes(), 50);
    let fault = Fault { code: Some("UNAVAILABLE".into()), ..Fault::in_stream(FaultKind::Overloaded, "busy") };
    assert_eq!(deltas.last(), Some(&Delta::Error(fault)));
}

#[test]
fn a_citation_stands_in_front_of_its_texts_seal() {
    let stream = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\",\"thoughtSignature\":\"c2ln\"}]}}]}\n\n",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}]},\"finishReason\":\"STOP\",",
        "\"groundingMetadata\":{\"groundingChunks\":[{\"web\":{\"uri\":\"https://a\"}}]}}]}\n\n",
    );
    let (deltas, dropped, _) = read_stream(stream.as_bytes(), 50);
    let citation = Box::new(Citation { url: Some("https://a".into()), ..Citation::default() });
    let signature = Signature { maker: Format::Gemini, data: "c2ln".into() };
    let expected = [
        text(0, "a"),
        Delta::Citation { choice: 0, citation },
        Delta::Signature { choice: 0, signature },
        Delta::finish(Finish::Stop),
        Delta::End,
    ];
    assert_eq!((&deltas[1..], dropped.is_empty()), (&expected[..], true));
}

#[test]
fn a_blocked_prompt_ends_it() {
    let (deltas, ..) = read_stream(b"data: {\"promptFeedback\":{\"blockReason\":\"OTHER\"}}\n\n", 50);
    assert_eq!(deltas[1..], [Delta::finish(Finish::ContentFilter), Delta::End]);
}

#[test]
fn what_is_no_event_of_gemini_is_unreadable() {
    for event in ["{}", "[DONE]", "null", r#"{"choices":[]}"#, r#"{"candidates":[{"content":{"parts":[{"text":1}]}}]}"#]
    {
        assert!(!read_stream(format!("data: {event}\n\n").as_bytes(), 50).2, "{event}");
    }
}

#[test]
fn a_stream_is_written_as_events_or_as_an_array() {
    let deltas = [
        Delta::Start {
            id: String::new(),
            model: "m".into(),
            created: 1,
            usage: Some(Usage { input: 1, ..Usage::default() }),
        },
        Delta::Reasoning { choice: 0, text: "hm".into() },
        Delta::Signature { choice: 0, signature: Signature { maker: Format::Messages, data: "s".into() } },
        Delta::text("né"),
        Delta::Citation {
            choice: 0,
            citation: Box::new(Citation {
                url: Some("https://a".into()),
                start: Some(0),
                end: Some(2),
                ..Citation::default()
            }),
        },
        Delta::Ping,
        // Arguments come in pieces, and calls in turns.
        call(0, Some("i"), Some("f"), "{\"a\"", None),
        call(1, Some("j"), Some("g"), "", None),
        call(0, None, None, ":\n1}", None),
        Delta::finish(Finish::ToolCalls),
        Delta::Usage(Usage { input: 3, output: 2, reasoning: 1, ..Usage::default() }),
        Delta::End,
    ];
    let tail = r#"],"modelVersion":"m","responseId":"x1"}"#;
    let chunk = |parts: &str, more: &str| {
        format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}}{more},"index":0}}{tail}"#)
    };
    let elements = [
        chunk(r#"{"text":"hm","thought":true}"#, ""),
        chunk(r#"{"text":"","thought":true,"thoughtSignature":"d2Vpci5hbnRocm9waWMtbWVzc2FnZXM6cw=="}"#, ""),
        chunk(r#"{"text":"né"}"#, ""),
        chunk(
            r#"{"text":""}"#,
            r#","groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a"}}],"groundingSupports":[{"segment":{"startIndex":0,"endIndex":3},"groundingChunkIndices":[0]}]}"#,
        ),
        chunk(r#"{"functionCall":{"id":"i","name":"f","args":{"a": 1}}}"#, ""),
        chunk(r#"{"functionCall":{"id":"j","name":"g","args":{}}}"#, ""),
        concat!(
            r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"#,
            r#""usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":5,"thoughtsTokenCount":1},"#,
            r#""modelVersion":"m","responseId":"x1"}"#
        )
        .to_owned(),
    ];
    let (events, dropped) = write_stream(&deltas, false);
    assert_eq!(events, elements.iter().map(|element| format!("data: {element}\n\n")).collect::<String>());
    assert!(dropped.is_empty(), "{dropped}");
    let (array, _) = write_stream(&deltas, true);
    assert_eq!(array, format!("[{}\n]", elements.join(",\n")));
    assert_eq!(json(&array).as_array().map(Vec::len), Some(7));
}

#[test]
fn whatever_comes_becomes_a_legal_stream() {
    let fault = || Delta::Error(Fault::in_stream(FaultKind::Server, "why"));
    let error = r#"{"error":{"code":500,"message":"why","status":"INTERNAL"}}"#;
    for (deltas, events, array) in [
        (vec![Delta::End], String::new(), "[]".to_owned()),
        (vec![fault(), Delta::End, Delta::text("late")], format!("data: {error}\n\n"), format!("[{error}\n]")),
        // A call that was not finished is not said.
        (vec![call(0, Some("i"), Some("f"), "{", None), fault()], format!("data: {error}\n\n"), format!("[{error}\n]")),
        (vec![start(), call(0, Some("i"), Some("f"), "{", None)], String::new(), String::new()),
    ] {
        assert_eq!(write_stream(&deltas, false).0, events);
        assert_eq!(write_stream(&deltas, true).0, array);
    }
    let (_, dropped) = write_stream(&[text(400, "a"), Delta::End], false);
    assert_eq!(names(&dropped), ["choices[]"]);
}

#[test]
fn calls_that_are_too_large_end_it_with_an_error() {
    let large = "x".repeat(1 << 20);
    let mut deltas = vec![start()];
    deltas.extend((0..6).map(|_| call(0, None, Some("f"), &large, None)));
    deltas.push(Delta::End);
    let (stream, _) = write_stream(&deltas, true);
    let stream = json(&stream);
    assert_eq!((stream.as_array().map(Vec::len), stream[0]["error"]["status"].as_str()), (Some(1), Some("INTERNAL")));
    let far = [call(0, None, Some("f"), "", None), call(u32::MAX, None, Some("f"), "", None), Delta::End];
    assert!(write_stream(&far, false).0.contains("\"error\""));
}

#[test]
fn an_array_that_was_begun_elsewhere_is_ended() {
    let (mut out, mut dropped) = (b"[{}".to_vec(), Dropped::default());
    let mut writer = Gemini.stream_writer(Writing { resumed: true, ..writing(true) }).unwrap();
    for delta in [Delta::finish(Finish::Length), Delta::End] {
        writer.write(&delta, &mut out, &mut dropped);
    }
    let all = json(std::str::from_utf8(&out).unwrap());
    assert_eq!(
        (all.as_array().map(Vec::len), all[1]["candidates"][0]["finishReason"].as_str()),
        (Some(2), Some("MAX_TOKENS"))
    );
}

#[test]
fn a_filtered_answer_has_no_content() {
    let (stream, _) = write_stream(&[start(), Delta::finish(Finish::ContentFilter), Delta::End], false);
    assert_eq!(
        stream,
        "data: {\"candidates\":[{\"finishReason\":\"SAFETY\",\"index\":0}],\"modelVersion\":\"g\",\"responseId\":\"r\"}\n\n"
    );
}
