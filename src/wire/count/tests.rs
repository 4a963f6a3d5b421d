//! What is counted, and what stands around it.

use proptest::prelude::*;

use super::*;

const CLAUDE: &str =
    r#"{"model":"x","max_tokens":9,"temperature":1,"system":"S","messages":[{"role":"user","content":"hi"}]}"#;

fn outbound(format: Format, envelope: Envelope) -> Outbound {
    Outbound { format, envelope }
}

fn written(client: Format, to: Outbound, body: &str) -> Result<String, Refusal> {
    let call =
        Outgoing { model: "m", envelope: Envelope::Plain, quirks: &[], ask_usage: false, default_max_output: 4096 };
    let mut out = Vec::new();
    write(client, to, body.as_bytes(), &call, &mut out, &mut Dropped::default())?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn only_what_is_counted_leaves() {
    let contents = r#""contents":[{"role":"user","parts":[{"text":"hi"}]}]"#;
    let gemini = format!(
        r#"{{"systemInstruction":{{"parts":[{{"text":"S"}}]}},{contents},"generationConfig":{{"maxOutputTokens":7}}}}"#
    );
    let within = format!(r#"{{"generate_content_request":{gemini}}}"#);
    let studio = outbound(Format::Gemini, Envelope::Plain);
    let vertex = outbound(Format::Gemini, Envelope::Vertex);
    let claude = outbound(Format::Messages, Envelope::Vertex);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let left = json(&written(Format::Messages, studio, CLAUDE).unwrap());
    assert_eq!(left["generateContentRequest"]["model"], "models/m");
    assert_eq!(left["generateContentRequest"]["contents"], json(&gemini)["contents"]);
    let left = json(&written(Format::Messages, vertex, CLAUDE).unwrap());
    assert_eq!(left["contents"], json(&gemini)["contents"]);
    assert_eq!(left["systemInstruction"]["parts"][0]["text"], "S");
    for body in [&gemini, &within] {
        let left = json(&written(Format::Gemini, claude, body).unwrap());
        let mut names: Vec<&str> = left.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!((names, &left["model"]), (vec!["messages", "model", "system"], &"m".into()));
    }
    let invoke = r#"{"input":{"invokeModel":{"body":"e30="}}}"#;
    let refused = written(Format::Converse, studio, invoke).unwrap_err();
    assert_eq!((refused.code, refused.param.as_deref()), (Code::UnsupportedValue, Some("input")));
}

#[test]
fn a_body_in_the_providers_own_format_is_kept() {
    let kept = |to, body: &'static str| own(to, Bytes::from_static(body.as_bytes()), "new").unwrap();
    let contents = r#"{ "contents":[{"parts":[{"text":"hi"}]}] }"#;
    for to in [outbound(Format::Messages, Envelope::Plain), outbound(Format::Gemini, Envelope::Vertex)] {
        assert_eq!(kept(to, contents), contents);
    }
    let within = r#"{"generateContentRequest":{"model":"models/old","contents":[ 1 ],"toolConfig":{},"x":1}}"#;
    assert_eq!(
        kept(outbound(Format::Gemini, Envelope::Plain), within),
        r#"{"generateContentRequest":{"model":"models/new","contents":[ 1 ],"toolConfig":{}}}"#
    );
    assert_eq!(kept(outbound(Format::Gemini, Envelope::Vertex), within), r#"{"contents":[ 1 ]}"#);
}

#[test]
fn answers_are_read_and_written() {
    for (format, body) in [
        (Format::Messages, r#"{"input_tokens":7}"#),
        (Format::Gemini, r#"{"totalTokens":7}"#),
        (Format::Converse, r#"{"inputTokens":7}"#),
        (Format::Responses, r#"{"object":"response.input_tokens","input_tokens":7}"#),
    ] {
        let mut out = Vec::new();
        write_reply(format, 7, &mut out);
        assert_eq!((&out[..], read_reply(format, body.as_bytes())), (body.as_bytes(), Ok(7)));
        assert!(read_reply(format, b"{}").is_err() && read_reply(format, b"7").is_err());
    }
}

#[test]
fn who_counts_and_where() {
    let speaks = Speaks { responses: true, ..Speaks::default() };
    for (dialect, model, path) in [
        (Dialect::OpenAi, "m", Some("/responses/input_tokens")),
        (Dialect::Azure, "m", Some("/responses/input_tokens")),
        (Dialect::Anthropic, "m", Some("/messages/count_tokens")),
        (Dialect::Vertex, "claude-x", Some("/publishers/anthropic/models/count-tokens:rawPredict")),
        (Dialect::Vertex, "gemini-x", Some("/publishers/google/models/gemini-x:countTokens")),
        (Dialect::Gemini, "g/1", Some("/models/g%2F1:countTokens")),
        (Dialect::Bedrock, "anthropic.c:0", Some("/model/anthropic.c%3A0/count-tokens")),
        (Dialect::Cohere, "m", None),
        (Dialect::Ollama, "m", None),
    ] {
        let to = provider(dialect, model, speaks);
        let found = to.map(|to| super::path(to, &PathCall { model, ..PathCall::default() }));
        assert_eq!(found.as_deref(), path, "{dialect}");
    }
    assert_eq!(provider(Dialect::OpenAi, "m", Speaks::default()), None);
}

/// Requests of each client that say the same: the words of a system, of a turn and of a function.
fn same() -> [(Dialect, &'static str); 4] {
    [
        (
            Dialect::Anthropic,
            r#"{"model":"m","system":"be kind","messages":[{"role":"user","content":[{"type":"text","text":"what is it"},
                {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}],
                "tools":[{"name":"f","description":"of a town","input_schema":{"type":"object","properties":{"town":{"type":"string"}}}}]}"#,
        ),
        (
            Dialect::OpenAi,
            r#"{"model":"m","instructions":"be kind","input":[{"role":"user","content":[
                {"type":"input_text","text":"what is it"},{"type":"input_image","image_url":"data:image/png;base64,AAAA"}]}],
                "tools":[{"type":"function","name":"f","description":"of a town","parameters":{"type":"object","properties":{"town":{"type":"string"}}}}]}"#,
        ),
        (
            Dialect::Gemini,
            r#"{"generateContentRequest":{"model":"models/m","systemInstruction":{"parts":[{"text":"be kind"}]},
                "contents":[{"role":"user","parts":[{"text":"what is it"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}],
                "tools":[{"functionDeclarations":[{"name":"f","description":"of a town","parametersJsonSchema":
                    {"type":"object","properties":{"town":{"type":"string"}}}}]}]}}"#,
        ),
        (
            Dialect::Bedrock,
            r#"{"input":{"converse":{"system":[{"text":"be kind"}],"messages":[{"role":"user","content":[
                {"text":"what is it"},{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}],
                "toolConfig":{"tools":[{"toolSpec":{"name":"f","description":"of a town","inputSchema":{"json":
                    {"type":"object","properties":{"town":{"type":"string"}}}}}}]}}}}"#,
        ),
    ]
}

#[test]
fn the_words_of_a_chat_are_the_same_in_every_format() {
    for (dialect, body) in same() {
        let wording = wording(dialect, body.as_bytes()).unwrap();
        let mut pieces = Vec::new();
        let tokens = wording.tokens(|text| {
            pieces.push(text.to_owned());
            1
        });
        let expected = ["system", "be kind", "user", "what is it", "f", "of a town", "object", "town", "string"]
            .map(str::to_owned);
        // Two turns and the beginning of the answer, and an image.
        assert_eq!((&pieces[..], wording.added()), (&expected[..], 3 * 3 + 765), "{dialect}");
        assert_eq!(tokens, 9 + 3 * 3 + 765, "{dialect}");
        assert!(!format!("{wording:?}").contains("kind"), "{wording:?}");
    }
}

#[test]
fn what_is_no_text_has_a_figure() {
    let part = |part: &str| {
        let body = format!(r#"{{"contents":[{{"role":"user","parts":[{part}]}}]}}"#);
        let wording = wording(Dialect::Gemini, body.as_bytes()).unwrap();
        (wording.added() - 6, wording.bytes() - 4)
    };
    let inline = |mime: &str| format!(r#"{{"inlineData":{{"mimeType":"{mime}","data":"AAAA"}}}}"#);
    for (mime, tokens) in [("image/jpeg", 765), ("application/pdf", 3000), ("audio/wav", 1920), ("video/mp4", 15_780)] {
        assert_eq!(part(&inline(mime)), (tokens, 0), "{mime}");
    }
    let image = |detail: &str| {
        let body = format!(
            r#"{{"model":"m","input":[{{"role":"user","content":[
                {{"type":"input_image","image_url":"https://example.com/a.png","detail":"{detail}"}}]}}]}}"#
        );
        wording(Dialect::OpenAi, body.as_bytes()).unwrap().added() - 6
    };
    assert_eq!((image("low"), image("high"), image("auto")), (85, 765, 765));
}

/// Whatever its length, no more is kept than [`wording::MOST`], and the rest is taken to be like it.
#[test]
fn a_long_prompt_is_counted_by_its_beginning() {
    let long = "\u{e9}".repeat(5 << 20);
    let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": long}]}).to_string();
    let wording = wording(Dialect::Anthropic, body.as_bytes()).unwrap();
    assert_eq!(wording.bytes(), 4 + (10 << 20));
    let mut read = 0;
    let tokens = wording.tokens(|text| {
        read += text.len();
        text.len() as u64
    });
    assert!(read <= 4 << 20, "{read}");
    assert_eq!(tokens, wording.bytes() + wording.added());
}

#[test]
fn what_is_no_chat_is_not_counted() {
    for (dialect, body, param) in [
        (Dialect::Anthropic, r#"{"model":"m"}"#, Some("messages")),
        (Dialect::OpenAi, r#"{"model":"m","input":"a","previous_response_id":"r"}"#, Some("previous_response_id")),
        (Dialect::Bedrock, r#"{"input":{"invokeModel":{"body":"e30="}}}"#, Some("input")),
        (Dialect::Gemini, "[]", None),
        (Dialect::Cohere, "{}", None),
    ] {
        let refused = wording(dialect, body.as_bytes()).unwrap_err();
        assert_eq!((refused.code.status(), refused.param.as_deref()), (400, param), "{dialect}: {}", refused.message);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..32),
        json in r#"\{"(input|contents|generateContentRequest)":[\[\]{}",:0-9.eE a-z-]{0,40}\}"#,
    ) {
        for body in [&bytes[..], json.as_bytes()] {
            for (client, _) in COUNTED {
                for to in [outbound(Format::Gemini, Envelope::Plain), outbound(Format::Messages, Envelope::Plain)] {
                    let text = String::from_utf8_lossy(body);
                    let _ = (written(*client, to, &text), own(to, Bytes::copy_from_slice(body), "m"));
                }
                let _ = read_reply(*client, body);
            }
            for (dialect, _) in same() {
                let _ = wording(dialect, body).map(|wording| wording.tokens(|text| text.len() as u64));
            }
        }
    }
}
