//! Requests, read.

use std::borrow::Cow;

use super::{names, read};
use crate::llm::chat::{AudioOut, Effort, OutputFormat, Reasoning, Role, Sampling, Tell, Tool, ToolChoice, Turn};
use crate::llm::part::{Media, MediaKind, Source, ToolCall, ToolResult};
use crate::llm::{Chat, Code, Content, Format, Part, Signature};

fn own(data: &str) -> Option<Signature<'_>> {
    Some(Signature { maker: Format::Gemini, data: data.into() })
}

fn media<'a>(kind: MediaKind, mime: &'a str, source: Source<'a>) -> Part<'a> {
    Part::new(Content::Media(Media { kind, mime: Some(mime.into()), source, name: None, detail: None }))
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn { role, parts, name: None }
}

fn thought<'a>(text: &'a str, signature: Option<Signature<'a>>) -> Part<'a> {
    Part::new(Content::Reasoning { text: text.into(), signature })
}

/// One user's word and a member more.
fn with(member: &str) -> String {
    format!(r#"{{"contents":[{{"parts":[{{"text":"hi"}}]}}],{member}}}"#)
}

const CONTENTS: &str = r#"{
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "look"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk_-w=="}},
                {"file_data": {"mime_type": "application/pdf", "file_uri": "gs://b/a.pdf"}},
                {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x"}}
            ]},
            {"role": "model", "parts": [
                {"text": "I ", "thought": true}, {"text": "think", "thought": true, "thoughtSignature": "c2ln"},
                {"text": "ok", "thoughtSignature": "dHh0"},
                {"functionCall": {"id": "c1", "name": "f", "args": {"a" : 1}}, "thought_signature": "Y2Fs"},
                {"functionCall": {"name": "g"}}
            ]},
            {"role": "function", "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"temp": 20}}},
                {"functionResponse": {"name": "g", "response": {"error": "no"},
                                      "parts": [{"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}}]}}
            ]}
        ]}"#;

/// What [`CONTENTS`] say.
fn turns() -> Vec<Turn<'static>> {
    let call = |id: &'static str, name: &'static str, arguments: &'static str, signature| {
        Part::new(Content::ToolCall(ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature,
        }))
    };
    let result = |id: &'static str, name: &'static str, parts, is_error| {
        Part::new(Content::ToolResult(ToolResult { id: id.into(), name: Some(name.into()), parts, is_error }))
    };
    let upload = "https://generativelanguage.googleapis.com/v1beta/files/x";
    let picture = media(MediaKind::Image, "image/jpeg", Source::Base64("/9j/".into()));
    vec![
        turn(Role::System, vec![Part::text("be brief")]),
        turn(
            Role::User,
            vec![
                Part::text("look"),
                media(MediaKind::Image, "image/png", Source::Base64("aGk/+w==".into())),
                media(MediaKind::File, "application/pdf", Source::Url("gs://b/a.pdf".into())),
                Part::new(Content::Media(Media {
                    kind: MediaKind::File,
                    mime: None,
                    source: Source::FileId(upload.into()),
                    name: None,
                    detail: None,
                })),
            ],
        ),
        turn(
            Role::Assistant,
            vec![
                thought("I think", own("c2ln")),
                Part::text("ok"),
                thought("", own("dHh0")),
                call("c1", "f", r#"{"a" : 1}"#, own("Y2Fs")),
                call("", "g", "{}", None),
            ],
        ),
        turn(
            Role::User,
            vec![
                result("c1", "f", vec![Part::text(r#"{"temp": 20}"#)], false),
                result("", "g", vec![Part::text("no"), picture], true),
            ],
        ),
    ]
}

#[test]
fn contents_become_turns() {
    read(CONTENTS, |chat, dropped| {
        assert_eq!((chat.unwrap().turns, dropped.is_empty()), (turns(), true));
    });
}

#[test]
fn fields_say_what_they_say_in_either_spelling() {
    let body = with(
        r#""tools":[{"function_declarations":[{"name":"f","description":"d","parameters":{"type":"OBJECT"}},
            {"name":"g","parametersJsonSchema":{"type":"object"}}]}],
        "tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["f"]}},
        "generation_config":{"temperature":0.50,"top_p":1,"topK":"40","max_output_tokens":"9","stop_sequences":["s"],
            "candidateCount":2,"seed":7,"presence_penalty":0.1,"frequencyPenalty":-0.2,"responseLogprobs":true,"logprobs":3,
            "response_mime_type":"application/json","responseSchema":{"type":"STRING"},
            "responseModalities":["TEXT","IMAGE","audio"],
            "speechConfig":{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"Kore"}}},
            "thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}},
        "labels":{"team":"a"},"serviceTier":"flex","store":false,"model":"models/g""#,
    );
    read(&body, |chat, dropped| {
        assert!(dropped.is_empty(), "{dropped}");
        let tool = |name: &'static str, description: Option<&'static str>| Tool {
            name: name.into(),
            description: description.map(Cow::Borrowed),
            parameters: Some(r#"{"type":"object"}"#.into()),
            ..Tool::default()
        };
        let expected = Chat {
            turns: vec![turn(Role::User, vec![Part::text("hi")])],
            tools: vec![tool("f", Some("d")), tool("g", None)],
            tool_choice: Some(ToolChoice::Named("f".into())),
            output: Some(OutputFormat::Schema {
                name: None,
                description: None,
                schema: r#"{"type":"string"}"#.into(),
                strict: None,
            }),
            reasoning: Some(Reasoning { effort: Some(Effort::High), tell: Some(Tell::Auto), ..Reasoning::default() }),
            max_output: Some(9),
            stop: vec!["s".into()],
            sampling: Sampling {
                temperature: Some("0.50"),
                top_p: Some("1"),
                top_k: Some("40"),
                seed: Some("7"),
                presence_penalty: Some("0.1"),
                frequency_penalty: Some("-0.2"),
                ..Sampling::default()
            },
            logprobs: Some(true),
            top_logprobs: Some(3),
            choices: Some(2),
            metadata: vec![("team".into(), "a".into())],
            service_tier: Some("flex".into()),
            store: Some(false),
            audio: Some(AudioOut { voice: Some("Kore".into()), format: None }),
            images: true,
            ..Chat::default()
        };
        assert_eq!(chat.unwrap(), expected);
    });
}

#[test]
fn choices_of_functions_are_read_in_all_forms() {
    let among = |required| ToolChoice::Among { names: vec!["a".into(), "b".into()], required };
    for (config, choice, lost) in [
        (r#"{"mode":"AUTO"}"#, Some(ToolChoice::Auto), None),
        (r#"{"mode":"NONE"}"#, Some(ToolChoice::None), None),
        (r#"{"mode":"ANY"}"#, Some(ToolChoice::Required), None),
        (r#"{"mode":"ANY","allowedFunctionNames":["a","b"]}"#, Some(among(true)), None),
        (r#"{"mode":"VALIDATED","allowedFunctionNames":["a","b"]}"#, Some(among(false)), None),
        (r#"{"mode":"VALIDATED"}"#, Some(ToolChoice::Auto), Some("toolConfig.functionCallingConfig.mode")),
        (
            r#"{"streamFunctionCallArguments":true}"#,
            None,
            Some("toolConfig.functionCallingConfig.streamFunctionCallArguments"),
        ),
        ("{}", None, None),
    ] {
        read(&with(&format!(r#""toolConfig":{{"functionCallingConfig":{config}}}"#)), |chat, dropped| {
            assert_eq!(chat.unwrap().tool_choice, choice, "{config}");
            assert_eq!(names(dropped), Vec::from_iter(lost), "{config}");
        });
    }
}

#[test]
fn thinking_is_read_in_all_forms() {
    let none = Reasoning::default();
    for (config, reasoning) in [
        (r#"{"thinkingBudget":0}"#, Reasoning { enabled: Some(false), ..none }),
        (
            r#"{"thinkingBudget":-1,"includeThoughts":false}"#,
            Reasoning { dynamic: true, tell: Some(Tell::Nothing), ..none },
        ),
        (r#"{"thinking_budget":1024}"#, Reasoning { budget: Some(1024), ..none }),
        (r#"{"thinkingLevel":"minimal"}"#, Reasoning { effort: Some(Effort::Minimal), ..none }),
        (r#"{"thinkingLevel":"THINKING_LEVEL_UNSPECIFIED"}"#, none),
    ] {
        read(&with(&format!(r#""generationConfig":{{"thinkingConfig":{config}}}"#)), |chat, dropped| {
            assert_eq!((chat.unwrap().reasoning, dropped.is_empty()), (Some(reasoning), true), "{config}");
        });
    }
}

#[test]
fn what_the_hub_cannot_say_is_named() {
    for (member, lost) in [
        (r#""safetySettings":[{"category":"x"}]"#, "safetySettings"),
        (r#""tools":[{"googleSearch":{}}]"#, "tools[].googleSearch"),
        (
            r#""tools":[{"functionDeclarations":[{"name":"f","response":{"type":"STRING"}}]}]"#,
            "tools[].functionDeclarations[].response",
        ),
        (r#""toolConfig":{"retrievalConfig":{"languageCode":"de"}}"#, "toolConfig.retrievalConfig"),
        (r#""generationConfig":{"mediaResolution":"LOW"}"#, "generationConfig.mediaResolution"),
        (r#""generationConfig":{"speechConfig":{"languageCode":"de"}}"#, "generationConfig.speechConfig.languageCode"),
        (r#""generationConfig":{"responseMimeType":"text/x.enum"}"#, "generationConfig.responseMimeType"),
        (
            r#""systemInstruction":{"parts":[{"inlineData":{"data":"aGk=","mimeType":"image/png"}}]}"#,
            "systemInstruction.parts[]",
        ),
        (r#""new_field":1"#, "newField"),
    ] {
        read(&with(member), |chat, dropped| {
            assert!(chat.is_ok(), "{member}");
            assert_eq!(names(dropped), [lost], "{member}");
        });
    }
    for (part, lost) in [
        (r#"{"executableCode":{"code":"1"}}"#, "contents[].parts[].executableCode"),
        (r#"{"text":"a","videoMetadata":{"fps":1}}"#, "contents[].parts[].videoMetadata"),
        (r#"{"inlineData":{"data":"aGk=","x":1}}"#, "contents[].parts[].inlineData.x"),
        (
            r#"{"functionResponse":{"name":"f","response":{},"scheduling":"SILENT"}}"#,
            "contents[].parts[].functionResponse.scheduling",
        ),
    ] {
        read(&format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#), |chat, dropped| {
            assert!(chat.is_ok(), "{part}");
            assert_eq!(names(dropped), [lost], "{part}");
        });
    }
}

#[test]
fn what_is_no_request_is_refused_with_the_field() {
    for (body, code, param) in [
        (with(r#""cachedContent":"cachedContents/x""#), Code::UnsupportedValue, "cachedContent"),
        (with(r#""toolConfig":{},"tool_config":{}"#), Code::DuplicateField, "toolConfig"),
        (with(r#""generationConfig":{"topK":1,"top_k":2}"#), Code::DuplicateField, "topK"),
        (with(r#""generationConfig":{"topK":"many"}"#), Code::UnsupportedValue, "generationConfig.topK"),
        (with(r#""generationConfig":{"temperature":".5"}"#), Code::UnsupportedValue, "generationConfig.temperature"),
        (with(r#""tools":7"#), Code::UnsupportedValue, "tools"),
        ("{}".into(), Code::UnsupportedValue, "contents"),
        ("[]".into(), Code::UnsupportedValue, "The body"),
        (r#"{"contents":[{"role":"system","parts":[]}]}"#.into(), Code::UnsupportedValue, "contents[].role"),
        (
            r#"{"contents":[{"parts":[{"text":"a","inlineData":{"data":""}}]}]}"#.into(),
            Code::UnsupportedValue,
            "parts[]",
        ),
        (
            r#"{"contents":[{"parts":[{"functionCall":{"name":"f"}}]}]}"#.into(),
            Code::UnsupportedValue,
            "contents[].parts[].functionCall",
        ),
    ] {
        read(&body, |chat, _| {
            let refusal = chat.unwrap_err();
            assert_eq!((refusal.code, refusal.param.as_deref()), (code, Some(param)), "{body}");
        });
    }
}

#[test]
fn what_an_sdk_streamed_is_joined_and_its_answers_find_their_calls() {
    let body = r#"{"contents":[
        {"role":"model","parts":[{"text":"I ","thought":true}]},
        {"role":"model","parts":[{"text":"think","thought":true}]},
        {"role":"model","parts":[{"text":"","thought":true,"thoughtSignature":"d2Vpci5hbnRocm9waWMtbWVzc2FnZXM6eA=="}]},
        {"role":"model","parts":[{"text":"He"}]},
        {"role":"model","parts":[{"text":""}]},
        {"role":"model","parts":[{"text":"llo"}]},
        {"role":"model","parts":[{"functionCall":{"id":"c1","name":"f"}},{"functionCall":{"id":"c2","name":"f"}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}},{"functionResponse":{"name":"f","response":{}}}]}
    ]}"#;
    read(body, |chat, _| {
        let chat = chat.unwrap();
        let seal = Signature { maker: Format::Messages, data: "x".into() };
        assert_eq!(chat.turns[0].parts[..2], [thought("I think", Some(seal)), Part::text("Hello")]);
        let ids = chat.turns[1].parts.iter().filter_map(|part| match &part.content {
            Content::ToolResult(result) => Some(&*result.id),
            _ => None,
        });
        assert_eq!(ids.collect::<Vec<_>>(), ["c1", "c2"]);
    });
}

/// As Google's own examples have it.
#[test]
fn one_message_is_an_array_of_it() {
    let lists = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}],"systemInstruction":{"parts":[{"text":"s"}]},
        "tools":[{"functionDeclarations":[{"name":"f"}]}]}"#;
    let alone = r#"{"contents":{"role":"user","parts":{"text":"a"}},"system_instruction":{"parts":{"text":"s"}},
        "tools":{"functionDeclarations":{"name":"f"}}}"#;
    let shown = |body: &str| {
        read(body, |chat, dropped| {
            assert_eq!(names(dropped), [""; 0]);
            format!("{:?}", chat.unwrap())
        })
    };
    assert_eq!(shown(alone), shown(lists));
    for body in [r#"{"contents":"a"}"#, r#"{"contents":[{"parts":"a"}]}"#, r#"{"contents":7}"#] {
        assert!(read(body, |chat, _| chat.is_err()), "{body}");
    }
}
