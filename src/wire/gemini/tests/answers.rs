//! Whole answers.

use super::{json, names, read_reply, write_reply};
use crate::llm::part::{Citation, Media, MediaKind, Source, ToolCall};
use crate::llm::reply::Choice;
use crate::llm::{Content, Finish, Format, Part, Reply, Signature, Usage};

/// An answer with one candidate of these members.
fn candidate(members: &str) -> String {
    format!(r#"{{"candidates":[{{{members}}}]}}"#)
}

const ANSWER: &str = r#"{
        "candidates": [
            {"index": 1, "content": {"role": "model", "parts": [{"text": "two"}]}, "finishReason": "MAX_TOKENS"},
            {"content": {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"text": "Grüße"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                {"functionCall": {"name": "g"}}
            ]}, "finishReason": "STOP", "index": 0, "avgLogprobs": -0.1,
             "logprobsResult": {"chosenCandidates": [{"token": "G", "tokenId": 3, "logProbability": -0.5}],
                                "topCandidates": [{"candidates": [{"token": "H", "logProbability": -1}]}]}}
        ],
        "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 5, "candidatesTokenCount": 7,
                          "thoughtsTokenCount": 3, "toolUsePromptTokenCount": 2, "totalTokenCount": 32,
                          "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}, {"modality": "AUDIO", "tokenCount": 4},
                                                  {"modality": "IMAGE", "tokenCount": 4}],
                          "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 2}]},
        "modelVersion": "gemini-3-pro", "responseId": "r1", "createTime": "2026-01-01T00:00:00Z"}"#;

/// What [`ANSWER`] says.
fn answer() -> Reply {
    let call = |id: &'static str, name: &'static str, arguments: &'static str, signature: Option<&'static str>| {
        let signature = signature.map(|data| Signature { maker: Format::Gemini, data: data.into() });
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature,
        }))
    };
    let picture = Media {
        kind: MediaKind::Image,
        mime: Some("image/png".into()),
        source: Source::Base64("aGk=".into()),
        name: None,
        detail: None,
    };
    let first = Choice {
        parts: vec![
            Part::new(Content::Reasoning { text: "hm".into(), signature: None }),
            Part::text("Grüße"),
            Part::new(Content::Media(picture)),
            call("i", "f", r#"{"a": 1}"#, Some("c2ln")),
            call("", "g", "{}", None),
        ],
        finish: Some(Finish::ToolCalls),
        stop_sequence: None,
        logprobs: Some(
            r#"{"token":"G","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"H","logprob":-1,"bytes":null}]}"#
                .into(),
        ),
    };
    let second = Choice { parts: vec![Part::text("two")], finish: Some(Finish::Length), ..Choice::default() };
    let usage = Usage {
        input: 9,
        cache_read: 5,
        audio_in: 4,
        image_in: 4,
        output: 8,
        reasoning: 3,
        image_out: 2,
        ..Usage::default()
    };
    Reply {
        id: "r1".into(),
        model: "gemini-3-pro".into(),
        created: 0,
        choices: vec![first, second],
        usage: Some(usage),
        service_tier: None,
    }
}

#[test]
fn an_answer_is_read_whole() {
    let (reply, dropped) = read_reply(ANSWER);
    assert!(dropped.is_empty(), "{dropped}");
    assert_eq!(reply, Ok(answer()));
    // And what is written of it is read as the same.
    let (again, dropped) = write_reply(&answer());
    assert!(dropped.is_empty(), "{dropped}");
    assert_eq!(read_reply(&again).0, Ok(answer()));
}

#[test]
fn reasons_to_end() {
    for (word, parts, finish, lost) in [
        ("STOP", r#"{"text":"a"}"#, Finish::Stop, None),
        ("STOP", r#"{"functionCall":{"name":"f"}}"#, Finish::ToolCalls, None),
        ("MAX_TOKENS", "", Finish::Length, None),
        ("SAFETY", "", Finish::ContentFilter, None),
        ("RECITATION", "", Finish::ContentFilter, None),
        ("PROHIBITED_CONTENT", "", Finish::ContentFilter, None),
        ("MODEL_ARMOR", "", Finish::ContentFilter, None),
        ("MALFORMED_FUNCTION_CALL", "", Finish::Stop, Some("candidates[].finishReason")),
        ("SOMETHING_NEW", "", Finish::Stop, Some("candidates[].finishReason")),
    ] {
        let body = candidate(&format!(r#""content":{{"parts":[{parts}]}},"finishReason":"{word}""#));
        let (reply, dropped) = read_reply(&body);
        assert_eq!(reply.unwrap().choices[0].finish, Some(finish), "{word}");
        assert_eq!(names(&dropped), Vec::from_iter(lost), "{word}");
    }
}

#[test]
fn a_stopped_prompt_is_a_filtered_answer() {
    let body = r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[{"category":"x"}]},"usageMetadata":{"promptTokenCount":3}}"#;
    let (reply, dropped) = read_reply(body);
    let reply = reply.unwrap();
    assert_eq!(reply.choices, [Choice { finish: Some(Finish::ContentFilter), ..Choice::default() }]);
    assert_eq!(reply.usage.map(|usage| usage.input), Some(3));
    assert_eq!(names(&dropped), ["promptFeedback.safetyRatings"]);
    let (body, _) = write_reply(&reply);
    assert_eq!(json(&body)["candidates"].to_string(), r#"[{"finishReason":"SAFETY","index":0}]"#);
}

#[test]
fn what_is_no_answer_is_not_read() {
    for body in [
        "{}",
        "[]",
        "7",
        r#"{"usageMetadata":{"promptTokenCount":1}}"#,
        r#"{"candidates":[]}"#,
        r#"{"candidates":{}}"#,
        r#"{"error":{"code":500,"message":"x","status":"INTERNAL"}}"#,
        r#"{"candidates":[{"index":4000}]}"#,
        r#"{"choices":[{"message":{"content":"OpenAI"}}]}"#,
    ] {
        assert!(read_reply(body).0.is_err(), "{body}");
    }
}

#[test]
fn citations_count_characters_in_the_hub_and_bytes_at_google() {
    let body = candidate(concat!(
        r#""content":{"parts":[{"text":"né là"}]},"finishReason":"STOP","#,
        r#""citationMetadata":{"citationSources":[{"endIndex":3,"uri":"https://a"}]},"#,
        r#""groundingMetadata":{"webSearchQueries":["q"],"#,
        r#""groundingChunks":[{"web":{"uri":"https://b","title":"B"}},{"retrievedContext":{"title":"C","text":"from"}}],"#,
        r#""groundingSupports":[{"segment":{"startIndex":4,"endIndex":7,"text":"là"},"groundingChunkIndices":[0]}]}"#
    ));
    let (reply, dropped) = read_reply(&body);
    let reply = reply.unwrap();
    let cite = |url: Option<&'static str>,
                title: Option<&'static str>,
                quote: Option<&'static str>,
                range: Option<(u64, u64)>| Citation {
        url: url.map(Into::into),
        title: title.map(Into::into),
        quote: quote.map(Into::into),
        document: None,
        start: range.map(|(start, _)| start),
        end: range.map(|(_, end)| end),
    };
    let citations = vec![
        cite(Some("https://a"), None, None, Some((0, 2))),
        cite(Some("https://b"), Some("B"), None, Some((3, 5))),
        cite(None, Some("C"), Some("from"), None),
    ];
    assert_eq!(reply.choices[0].parts, [Part::new(Content::Text { text: "né là".into(), citations })]);
    assert_eq!(names(&dropped), ["candidates[].groundingMetadata.webSearchQueries"]);
    let (body, _) = write_reply(&reply);
    assert_eq!(
        json(&body)["candidates"][0]["groundingMetadata"].to_string(),
        concat!(
            r#"{"groundingChunks":[{"web":{"uri":"https://a"}},{"web":{"uri":"https://b","title":"B"}},"#,
            r#"{"retrievedContext":{"title":"C","text":"from"}}],"#,
            r#""groundingSupports":[{"segment":{"startIndex":0,"endIndex":3},"groundingChunkIndices":[0]},"#,
            r#"{"segment":{"startIndex":4,"endIndex":7},"groundingChunkIndices":[1]}]}"#,
        )
    );
}

#[test]
fn another_makers_answer_is_said_with_its_seals() {
    let seal = || Signature { maker: Format::Messages, data: "c2Vh".into() };
    let reply = Reply {
        choices: vec![Choice {
            parts: vec![
                Part::new(Content::Reasoning { text: "hm".into(), signature: Some(seal()) }),
                Part::new(Content::Redacted(seal())),
                Part::new(Content::Refusal("no".into())),
            ],
            finish: Some(Finish::Refusal),
            stop_sequence: Some("x".into()),
            logprobs: None,
        }],
        service_tier: Some("flex".into()),
        ..Reply::default()
    };
    let (body, dropped) = write_reply(&reply);
    assert_eq!(
        body,
        concat!(
            r#"{"candidates":[{"content":{"parts":["#,
            r#"{"text":"hm","thought":true,"thoughtSignature":"d2Vpci5hbnRocm9waWMtbWVzc2FnZXM6YzJWaA=="},"#,
            r#"{"text":"","thought":true,"thoughtSignature":"cmVkYWN0ZWQud2Vpci5hbnRocm9waWMtbWVzc2FnZXM6YzJWaA=="},"#,
            r#"{"text":"no"}],"role":"model"},"finishReason":"SAFETY","index":0}],"modelVersion":"asked","responseId":"x1"}"#,
        )
    );
    assert_eq!(names(&dropped), ["stop_sequence", "service_tier"]);
    // The client's next request brings both back.
    let parts = &json(&body)["candidates"][0]["content"]["parts"];
    super::read(&format!(r#"{{"contents":[{{"role":"model","parts":{parts}}}]}}"#), |chat, _| {
        let chat = chat.unwrap();
        assert_eq!(chat.turns[0].parts[..2], reply.choices[0].parts[..2]);
    });
}
