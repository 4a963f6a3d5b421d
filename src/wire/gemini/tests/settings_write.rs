//! What requests set, written.

use super::requests_write::{field, hi};
use super::{json, names, to, written};
use crate::llm::Chat;
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Reasoning, Sampling, Tell, Tool, ToolChoice};
use crate::wire::codec::Envelope;

#[test]
fn tools_and_their_choice() {
    let tool = |name: &'static str, strict| Tool {
        custom: None,
        name: name.into(),
        description: Some("d".into()),
        parameters: Some(r#"{"$schema":"x","properties":{}}"#.into()),
        strict,
        cache: None,
    };
    let names = || vec!["a".into()];
    for (choice, strict, config, declared) in [
        (None, None, "null", 2),
        (Some(ToolChoice::Auto), None, r#"{"functionCallingConfig":{"mode":"AUTO"}}"#, 2),
        (None, Some(true), r#"{"functionCallingConfig":{"mode":"VALIDATED"}}"#, 2),
        (Some(ToolChoice::Required), Some(true), r#"{"functionCallingConfig":{"mode":"ANY"}}"#, 2),
        (Some(ToolChoice::None), None, r#"{"functionCallingConfig":{"mode":"NONE"}}"#, 2),
        (
            Some(ToolChoice::Named("a".into())),
            None,
            r#"{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["a"]}}"#,
            2,
        ),
        (
            Some(ToolChoice::Among { names: names(), required: true }),
            None,
            r#"{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["a"]}}"#,
            2,
        ),
        (
            Some(ToolChoice::Among { names: names(), required: false }),
            None,
            r#"{"functionCallingConfig":{"mode":"AUTO"}}"#,
            1,
        ),
    ] {
        let mut chat = Chat { tools: vec![tool("a", strict), tool("b", None)], tool_choice: choice, ..hi() };
        let (body, dropped) = written(&chat, &to("m", Envelope::Plain));
        let body = json(&body);
        assert!(dropped.is_empty());
        assert_eq!(body["toolConfig"].to_string(), config);
        let declarations = body["tools"][0]["functionDeclarations"].as_array().unwrap();
        assert_eq!(declarations.len(), declared, "{config}");
        assert_eq!(
            declarations[0].to_string(),
            r#"{"name":"a","description":"d","parametersJsonSchema":{"type":"object","properties":{}}}"#
        );
        // A choice without functions is an error at Google's.
        chat.tools.clear();
        let (body, _) = written(&chat, &to("m", Envelope::Plain));
        assert!(json(&body).get("toolConfig").is_none(), "{body}");
    }
}

#[test]
fn the_configuration_is_spelled_whole() {
    let chat = Chat {
        max_output: Some(u64::MAX),
        stop: ["a", "b", "c", "d", "e", "f"].map(Into::into).into(),
        sampling: Sampling {
            temperature: Some("0.50"),
            top_p: Some("1"),
            top_k: Some("3"),
            min_p: Some("0.1"),
            seed: Some("99999999999"),
            presence_penalty: Some("0.1"),
            frequency_penalty: Some("0.2"),
            logit_bias: Some("{}"),
        },
        logprobs: Some(true),
        top_logprobs: Some(4),
        choices: Some(2),
        output: Some(OutputFormat::Schema {
            name: Some("n".into()),
            description: None,
            schema: r#"{"type":"object"}"#.into(),
            strict: Some(true),
        }),
        images: true,
        ..hi()
    };
    let (config, dropped) = field(&chat, "gemini-2.5-flash", "generationConfig");
    assert_eq!(
        config,
        concat!(
            r#"{"temperature":0.50,"topP":1,"topK":3,"presencePenalty":0.1,"frequencyPenalty":0.2,"#,
            r#""maxOutputTokens":2147483647,"stopSequences":["a","b","c","d","e"],"candidateCount":2,"#,
            r#""responseLogprobs":true,"logprobs":4,"responseMimeType":"application/json","#,
            r#""responseJsonSchema":{"title":"n","type":"object"},"responseModalities":["TEXT","IMAGE"]}"#,
        )
        .replace("0.50", "0.5")
    );
    assert_eq!(dropped, ["seed", "min_p", "logit_bias", "stop"]);
    let voice = |voice: &'static str| Chat {
        audio: Some(AudioOut { voice: Some(voice.into()), format: Some("pcm16".into()) }),
        ..hi()
    };
    let kore = r#"{"responseModalities":["AUDIO"],"speechConfig":{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"Kore"}}}}"#;
    assert_eq!(field(&voice("Kore"), "m", "generationConfig"), (kore.to_owned(), vec![]));
    let (_, dropped) = field(&voice("alloy"), "m", "generationConfig");
    assert_eq!(dropped, ["audio.voice"]);
    // Before Gemini 3, JSON and functions exclude each other.
    let both =
        Chat { tools: vec![Tool { name: "f".into(), ..Tool::default() }], output: Some(OutputFormat::Json), ..hi() };
    assert_eq!(
        field(&both, "gemini-2.5-pro", "generationConfig"),
        ("null".to_owned(), vec!["response_format".to_owned()])
    );
    let json = r#"{"responseMimeType":"application/json"}"#;
    assert_eq!(field(&both, "gemini-3-pro", "generationConfig"), (json.to_owned(), vec![]));
}

#[test]
fn thinking_is_told_as_the_model_takes_it() {
    let none = Reasoning::default();
    let effort = |effort| Reasoning { effort: Some(effort), ..none };
    let off = Reasoning { enabled: Some(false), ..none };
    for (model, reasoning, config, lost) in [
        ("gemini-2.5-flash", effort(Effort::Low), r#"{"thinkingBudget":1024}"#, false),
        ("gemini-2.5-flash", off, r#"{"thinkingBudget":0}"#, false),
        ("gemini-2.5-pro", off, r#"{"thinkingBudget":128}"#, true),
        ("gemini-2.5-flash", Reasoning { dynamic: true, ..none }, r#"{"thinkingBudget":-1}"#, false),
        (
            "gemini-2.5-flash",
            Reasoning { budget: Some(99_999), tell: Some(Tell::Auto), ..none },
            r#"{"includeThoughts":true,"thinkingBudget":24576}"#,
            false,
        ),
        ("gemini-3-pro-preview", effort(Effort::Medium), r#"{"thinkingLevel":"HIGH"}"#, false),
        ("gemini-3.5-flash", effort(Effort::Medium), r#"{"thinkingLevel":"MEDIUM"}"#, false),
        ("gemini-3-pro-preview", effort(Effort::XHigh), r#"{"thinkingLevel":"HIGH"}"#, false),
        ("gemini-3-flash", Reasoning { budget: Some(600), ..none }, r#"{"thinkingLevel":"LOW"}"#, false),
        ("gemini-3-flash", off, r#"{"thinkingLevel":"MINIMAL"}"#, false),
        ("gemini-3.1-pro", off, r#"{"thinkingLevel":"LOW"}"#, true),
        (
            "gemini-3.1-pro",
            Reasoning { dynamic: true, tell: Some(Tell::Nothing), ..none },
            r#"{"includeThoughts":false}"#,
            false,
        ),
        ("gemini-2.0-flash", effort(Effort::High), "null", true),
    ] {
        let chat = Chat { reasoning: Some(reasoning), ..hi() };
        let (written, dropped) = written(&chat, &to(model, Envelope::Plain));
        assert_eq!(json(&written)["generationConfig"]["thinkingConfig"].to_string(), config, "{model} {reasoning:?}");
        assert_eq!(names(&dropped), Vec::from_iter(lost.then_some("reasoning_effort")), "{model} {reasoning:?}");
    }
}

#[test]
fn each_api_gets_its_own_fields() {
    let chat = Chat {
        metadata: vec![("team".into(), "a-1".into()), ("Team".into(), "b".into())],
        service_tier: Some("default".into()),
        ..hi()
    };
    let (body, dropped) = written(&chat, &to("m", Envelope::Vertex));
    assert!(body.ends_with(r#","labels":{"team":"a-1"}}"#) && names(&dropped) == ["metadata"], "{body}");
    let (body, dropped) = written(&chat, &to("m", Envelope::Plain));
    assert!(body.ends_with(r#","serviceTier":"standard"}"#) && names(&dropped) == ["metadata"], "{body}");
    let flex = Chat { service_tier: Some("flex".into()), ..hi() };
    assert_eq!(names(&written(&flex, &to("m", Envelope::Vertex)).1), ["service_tier"]);
    assert_eq!(
        names(&written(&Chat { service_tier: Some("scale".into()), ..hi() }, &to("m", Envelope::Plain)).1),
        ["service_tier"]
    );
}
