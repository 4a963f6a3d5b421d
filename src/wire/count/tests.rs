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
        }
    }
}
