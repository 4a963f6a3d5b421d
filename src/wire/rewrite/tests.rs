//! What leaves says what an independent reference over parsed JSON says, and every byte beside the edits
//! is as it came.

mod nested;
mod quirks;
mod reference;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::*;
use crate::base::json::object;
use crate::llm::{Code, Dialect};
use crate::wire::{self, Endpoint, Fields, Named, Rewrite, fields, openai};
use reference::Wanted;

type Call = (Dialect, Operation);

const CHAT: Call = (Dialect::OpenAi, Operation::Chat);
const MESSAGES: Call = (Dialect::Anthropic, Operation::Chat);
const COUNT: Call = (Dialect::Anthropic, Operation::CountTokens);
const RESPONSES: Call = (Dialect::OpenAi, Operation::Responses);
const COMPLETION: Call = (Dialect::OpenAi, Operation::Completion);
const EMBEDDINGS: Call = (Dialect::OpenAi, Operation::Embeddings);

fn read(call: Call, body: &[u8]) -> Result<Fields, Refusal> {
    let (named, path) = match call.0 {
        Dialect::Gemini => (Named::Path { stream: false, array: false }, "/v1beta/models/m:generateContent"),
        Dialect::Bedrock => (Named::Path { stream: false, array: false }, "/model/m/converse"),
        _ => (Named::Body, "/v1/chat/completions"),
    };
    let endpoint = Endpoint { dialect: call.0, operation: call.1, held: true, multipart: false, named };
    wire::read(endpoint, path, body)
}

fn rewrite(call: Call, body: &[u8], changes: &Changes, quirks: &[Quirk]) -> Result<(Bytes, Done), Refusal> {
    let body = Bytes::copy_from_slice(body);
    let fields = read(call, &body)?;
    openai::rewrite(
        &body,
        &fields,
        Rewrite { model: &fields.call.model, ask_usage: false, quirks, changes: Some(changes) },
    )
}

fn left(call: Call, body: &str, changes: &Changes) -> String {
    let (left, _) = rewrite(call, body.as_bytes(), changes, &[]).unwrap();
    String::from_utf8(left.to_vec()).unwrap()
}

fn refused(call: Call, body: &str, changes: &Changes) -> (Code, Option<String>) {
    let refusal = rewrite(call, body.as_bytes(), changes, &[]).unwrap_err();
    (refusal.code, refusal.param.map(|param| param.into_owned()))
}

fn capped(most: u64) -> Changes {
    Changes { max_output: Some(most), ..Changes::default() }
}

fn parameter(name: &str, action: Action) -> Changes {
    Changes { parameters: vec![Parameter { name: name.into(), action }], ..Changes::default() }
}

fn say(role: Role, content: &str) -> Message {
    Message { role, content: content.into() }
}

fn prompt(before: &[Message], behind: &[Message]) -> Changes {
    Changes { prompt: Prompt::new(before, behind), ..Changes::default() }
}

#[test]
fn a_bound_is_lowered_where_it_stands_and_stated_where_it_does_not() {
    for (call, asked, leaves) in [
        (CHAT, r#""max_tokens" : 9000"#, r#""max_tokens" : 100"#),
        (CHAT, r#""max_tokens":100"#, r#""max_tokens":100"#),
        (CHAT, r#""max_tokens":18446744073709551616"#, r#""max_tokens":100"#),
        (CHAT, r#""max_tokens":1,"max_completion_tokens":101"#, r#""max_tokens":1,"max_completion_tokens":100"#),
        (CHAT, r#""max_tokens":null"#, r#""max_tokens":100"#),
        (CHAT, r#""max_tokens":null,"max_completion_tokens":7"#, r#""max_tokens":null,"max_completion_tokens":7"#),
        (CHAT, r#""x":1"#, r#""x":1,"max_completion_tokens":100"#),
        // Chat reads no such field, so it bounds nothing.
        (CHAT, r#""max_output_tokens":5"#, r#""max_output_tokens":5,"max_completion_tokens":100"#),
        (COMPLETION, r#""x":1"#, r#""x":1,"max_tokens":100"#),
        (RESPONSES, r#""x":1"#, r#""x":1,"max_output_tokens":100"#),
        (MESSAGES, r#""x":1"#, r#""x":1,"max_tokens":100"#),
        (MESSAGES, r#""max_tokens":0"#, r#""max_tokens":0"#),
        (EMBEDDINGS, r#""max_tokens":9000"#, r#""max_tokens":9000"#),
        (COUNT, r#""x":1"#, r#""x":1"#),
    ] {
        let body = |inside: &str| format!(r#"{{"model":"m",{inside} }}"#);
        assert_eq!(left(call, &body(asked), &capped(100)), body(leaves), "{asked}");
    }
}

#[test]
fn a_bound_that_cannot_be_compared_is_refused_by_name() {
    for value in ["1e3", "100.0", "-1", "-0", "\"100\"", "true", "[]", "{}", "0"] {
        let body = format!(r#"{{"model":"m","max_tokens":{value}}}"#);
        assert_eq!(refused(CHAT, &body, &capped(5)), (Code::UnsupportedValue, Some("max_tokens".into())), "{value}");
    }
    // In another spelling it would get past the rule.
    for name in ["Max_Tokens", "max_to\u{212a}ens", "max_to\\u212aens"] {
        let body = format!(r#"{{"model":"m","{name}":9000}}"#);
        assert_eq!(refused(CHAT, &body, &capped(5)), (Code::UnsupportedValue, Some("max_tokens".into())), "{name}");
    }
}

#[test]
fn a_provider_that_reads_max_tokens_alone_gets_it() {
    let quirks = [Quirk::OnlyMaxTokens];
    let body = br#"{"model":"m","max_completion_tokens":900}"#;
    let (left, _) = rewrite(CHAT, body, &capped(100), &quirks).unwrap();
    assert_eq!(left, &br#"{"model":"m","max_tokens":100}"#[..]);
}

#[test]
fn a_null_is_said_and_a_field_that_is_acted_on_stands_once() {
    let default = parameter("temperature", Action::Default(b"0.2".to_vec()));
    assert_eq!(left(CHAT, r#"{"model":"m","temperature":null}"#, &default), r#"{"model":"m","temperature":null}"#);
    assert_eq!(left(CHAT, r#"{"model":"m"}"#, &default), r#"{"model":"m","temperature":0.2}"#);
    let remove = parameter("logit_bias", Action::Remove);
    for body in [
        r#"{"model":"m","logit_bias":1,"logit_bias":2}"#,
        r#"{"model":"m","logit_bias":1,"Logit_Bias":2}"#,
        r#"{"model":"m","logit_bias":1,"logit\u005fbias":2}"#,
    ] {
        assert_eq!(refused(CHAT, body, &remove), (Code::DuplicateField, Some("logit_bias".into())), "{body}");
    }
    let odd = r#"{"model":"m","Logit_Bias":1}"#;
    assert_eq!(refused(CHAT, odd, &remove), (Code::UnsupportedValue, Some("logit_bias".into())));
    // Nobody acts on these.
    let twice = r#"{"model":"m","user":1,"user":2,"User":3,"logit_bias" : {} }"#;
    assert_eq!(left(CHAT, twice, &remove), r#"{"model":"m","user":1,"user":2,"User":3 }"#);
}

#[test]
fn a_prompt_that_cannot_be_extended_is_refused_by_name() {
    let rule = prompt(&[say(Role::System, "a"), say(Role::User, "b")], &[]);
    for (call, inside, name) in [
        (CHAT, r#""x":1"#, "messages"),
        (CHAT, r#""messages":"hi""#, "messages"),
        (CHAT, r#""messages":null"#, "messages"),
        (CHAT, r#""Messages":[]"#, "messages"),
        (MESSAGES, r#""messages":[],"system":7"#, "system"),
        (RESPONSES, r#""input":{}"#, "input"),
        (RESPONSES, r#""input":"","instructions":[]"#, "instructions"),
        (COMPLETION, r#""prompt":[1,2]"#, "prompt"),
        (COMPLETION, r#""prompt":[]"#, "prompt"),
        (COMPLETION, r#""prompt":["a",[1]]"#, "prompt"),
    ] {
        let body = format!(r#"{{"model":"m",{inside}}}"#);
        assert_eq!(refused(call, &body, &rule), (Code::UnsupportedValue, Some(name.into())), "{body}");
    }
    let (same, done) = rewrite(EMBEDDINGS, br#"{"model":"m","input":"x"}"#, &rule, &[]).unwrap();
    assert_eq!((&same[..], done.kinds(), done.no_messages), (&br#"{"model":"m","input":"x"}"#[..], None, true));
}

#[test]
fn edits_of_a_rule_and_of_weir_itself_meet_without_a_stray_comma() {
    let changes = Changes {
        parameters: vec![
            Parameter { name: "logit_bias".into(), action: Action::Remove },
            Parameter { name: "seed".into(), action: Action::Default(b"7".to_vec()) },
        ],
        max_output: Some(5),
        prompt: Prompt::default(),
    };
    let rows = [
        r#"{"model":"m","stream":true,"stream_options":{},"logit_bias":{}}"#,
        r#"{"model":"m","stream":true,"logit_bias":{},"stream_options":{}}"#,
        r#"{"logit_bias":{},"stream_options":{},"model":"m","stream":true}"#,
        r#"{"stream":true,"model":"m","logit_bias":{}}"#,
    ];
    for body in rows {
        for (quirks, asks) in [(&[Quirk::RefusesStreamOptions][..], false), (&[][..], true)] {
            let bytes = Bytes::from_static(body.as_bytes());
            let fields = fields::read(Dialect::OpenAi, Operation::Chat, &bytes).unwrap();
            let want = Rewrite { model: "other", ask_usage: true, quirks, changes: Some(&changes) };
            let (left, _) = openai::rewrite(&bytes, &fields, want).unwrap();
            let mut wanted = json!({"model": "other", "stream": true, "seed": 7, "max_completion_tokens": 5});
            if asks {
                wanted["stream_options"] = json!({"include_usage": true});
            }
            assert_eq!(serde_json::from_slice::<Value>(&left).unwrap(), wanted, "{body}");
        }
    }
}

// === Inputs ===

const VALUES: &[&str] = &[
    "null",
    "0",
    "5",
    "100",
    "4096",
    "1.0",
    "0.2e1",
    "true",
    "\"\"",
    "\"a \\\" \\u00e9\\n\"",
    "[]",
    "[ ]",
    "{}",
    "[ {\"role\":\"user\",\"content\":\"hi\"} ]",
    "[{\"a\":1} , {\"b\":[ ]}]",
];
const NAMES: &[&str] = &[
    "temperature",
    "seed",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "messages",
    "system",
    "input",
    "instructions",
    "prompt",
    "other",
    "Other",
    "stream",
];

/// A body of members in odd spellings, one of them the model.
fn any_body() -> impl Strategy<Value = String> {
    let space = || select(vec!["", " ", "\n", "\t "]);
    let member = (select(VALUES), space(), space(), space(), space());
    let names = subsequence(NAMES.to_vec(), 0..NAMES.len()).prop_shuffle();
    (names, proptest::collection::vec(member, NAMES.len()), any::<prop::sample::Index>()).prop_map(
        |(names, values, at)| {
            let text = |(name, (value, a, b, c, d)): (&&str, &_)| format!("{a}\"{name}\"{b}:{c}{value}{d}");
            let mut members: Vec<String> = names.iter().zip(&values).map(text).collect();
            members.insert(at.index(members.len() + 1), " \"model\": \"m\"".into());
            format!(" {{{}}}\n", members.join(","))
        },
    )
}

fn any_messages() -> impl Strategy<Value = Vec<Message>> {
    let role = select(vec![Role::System, Role::Developer, Role::User, Role::Assistant]);
    let message = (role, "[a-z\"\\\\\n\u{1}\u{2028}é😀]{1,6}").prop_map(|(role, content)| Message { role, content });
    proptest::collection::vec(message, 0..3)
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let value = select(vec![json!(0.2), json!(null), json!({"a": [1, "x"]}), json!("s"), json!(5)]);
    let parameter = (0u8..3, value);
    let names = subsequence(vec!["temperature", "seed", "stop", "top_p"], 0..4);
    let most = prop::option::of(select(vec![1u64, 100, 4096]));
    (names, proptest::collection::vec(parameter, 4), most, any_messages(), any_messages()).prop_map(
        |(names, values, most, before, behind)| {
            let parameters = names.into_iter().zip(values).map(|(name, (kind, value))| (name, kind, value));
            Wanted { parameters: parameters.collect(), most, before, behind }
        },
    )
}

fn any_call() -> impl Strategy<Value = Call> {
    select(vec![CHAT, MESSAGES, COUNT, RESPONSES, COMPLETION, EMBEDDINGS])
}

/// A list of completions is refused or edited element by element, which the table shows.
fn is_list_of_prompts(call: Call, value: &Map<String, Value>) -> bool {
    call == COMPLETION && value.get("prompt").is_some_and(Value::is_array)
}

proptest! {
    #[test]
    fn what_leaves_is_what_the_reference_says(call in any_call(), body in any_body(), wanted in any_wanted()) {
        let value: Map<String, Value> = serde_json::from_str(&body).unwrap();
        prop_assume!(!is_list_of_prompts(call, &value));
        let changes = wanted.changes();
        let expected = wanted.apply(call, value);
        match (rewrite(call, body.as_bytes(), &changes, &[]), expected) {
            (Ok((left, done)), Some(expected)) => {
                let left: Value = serde_json::from_slice(&left).unwrap();
                prop_assert_eq!(&left, &expected);
                prop_assert!(done.kinds().is_some() || left == serde_json::from_str::<Value>(&body).unwrap());
            }
            (Err(refusal), None) => prop_assert_eq!(refusal.code, Code::UnsupportedValue),
            (found, expected) => prop_assert!(false, "{:?} and not {:?}", found, expected),
        }
    }

    #[test]
    fn every_byte_beside_the_edits_is_kept(call in any_call(), body in any_body(), wanted in any_wanted()) {
        let Ok((left, _)) = rewrite(call, body.as_bytes(), &wanted.changes(), &[]) else { return Ok(()) };
        // The members that nobody touches, from the key to the end of the value.
        let own = |name: &str| wanted.parameters.iter().any(|row| row.0 == name);
        let touched = |name: &str| own(name) || NAMES[3..11].contains(&name);
        let untouched = |bytes: &[u8]| -> Vec<Vec<u8>> {
            let members = object(bytes).unwrap();
            let kept = members.iter().filter(|member| !touched(&member.key));
            kept.map(|member| bytes[member.key_span.start..member.value.end].to_vec()).collect()
        };
        prop_assert_eq!(untouched(body.as_bytes()), untouched(&left));
        // Inside of what was extended, the client's own part.
        let after = object(&left).unwrap();
        for member in object(body.as_bytes()).unwrap() {
            let is_text = matches!(member.kind, crate::base::json::Kind::Array | crate::base::json::Kind::String);
            if is_text && NAMES[6..11].contains(&&*member.key) {
                let raw = member.value.slice(body.as_bytes());
                let inner = raw[1..raw.len() - 1].trim_ascii_end();
                let now = after.iter().find(|now| now.key == member.key).unwrap().value.slice(&left);
                prop_assert!(inner.is_empty() || now.windows(inner.len()).any(|window| window == inner));
            }
        }
        prop_assert_eq!((&left[..2], &left[left.len() - 2..]), (&b" {"[..], &b"}\n"[..]));
    }

    #[test]
    fn no_bytes_panic_and_what_leaves_can_be_read(
        call in any_call(),
        body in any_body(),
        cut in any::<prop::sample::Index>(),
        odd in proptest::collection::vec(any::<u8>(), 0..4),
        wanted in any_wanted(),
    ) {
        let mut body = body.into_bytes();
        let at = cut.index(body.len());
        body.splice(at..at + odd.len().min(body.len() - at), odd);
        if let Ok((left, _)) = rewrite(call, &body, &wanted.changes(), &[Quirk::OnlyMaxTokens]) {
            prop_assert!(read(call, &left).is_ok());
        }
    }
}
