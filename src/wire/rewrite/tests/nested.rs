//! Gemini's format and Converse's: what they state stands in objects, and a turn is a list.

use super::*;
use crate::base::json::Tree;
use crate::llm::Dropped;
use crate::wire::codec_of;

pub const GEMINI: Call = (Dialect::Gemini, Operation::Chat);
pub const CONVERSE: Call = (Dialect::Bedrock, Operation::Chat);
const GEMINI_COUNT: Call = (Dialect::Gemini, Operation::CountTokens);
const CONVERSE_COUNT: Call = (Dialect::Bedrock, Operation::CountTokens);

#[test]
fn a_bound_is_lowered_in_its_object_and_stated_where_there_is_none() {
    for (call, asked, leaves) in [
        (GEMINI, r#"{ }"#, r#"{"generationConfig":{"maxOutputTokens":100} }"#),
        (GEMINI, " {}\n", " {\"generationConfig\":{\"maxOutputTokens\":100}}\n"),
        (GEMINI, r#"{"a":1}"#, r#"{"a":1,"generationConfig":{"maxOutputTokens":100}}"#),
        (GEMINI, r#"{"generationConfig":{}}"#, r#"{"generationConfig":{"maxOutputTokens":100}}"#),
        (GEMINI, r#"{"generationConfig":null,"a":1}"#, r#"{"generationConfig":{"maxOutputTokens":100},"a":1}"#),
        (
            GEMINI,
            r#"{"generation_config" : { "max_output_tokens" : 900 , "topK":1}}"#,
            r#"{"generation_config" : { "max_output_tokens" : 100 , "topK":1}}"#,
        ),
        (
            GEMINI,
            r#"{"generation_config":{"maxOutputTokens":"900"}}"#,
            r#"{"generation_config":{"maxOutputTokens":100}}"#,
        ),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":"7"}}"#, r#"{"generationConfig":{"maxOutputTokens":"7"}}"#),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":null}}"#, r#"{"generationConfig":{"maxOutputTokens":100}}"#),
        // Nothing of Google's reads this one, so it bounds nothing.
        (GEMINI, r#"{"max_tokens":5}"#, r#"{"max_tokens":5,"generationConfig":{"maxOutputTokens":100}}"#),
        (CONVERSE, r#"{"a":1}"#, r#"{"a":1,"inferenceConfig":{"maxTokens":100}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"topP":1}}"#, r#"{"inferenceConfig":{"topP":1,"maxTokens":100}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":101}}"#, r#"{"inferenceConfig":{"maxTokens":100}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":100}}"#, r#"{"inferenceConfig":{"maxTokens":100}}"#),
        (GEMINI_COUNT, r#"{"a":1}"#, r#"{"a":1}"#),
        (CONVERSE_COUNT, r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(left(call, asked, &capped(100)), leaves, "{asked}");
    }
}

#[test]
fn what_would_get_past_a_bound_is_refused_by_name() {
    let [twice, odd] = [Code::DuplicateField, Code::UnsupportedValue];
    for (call, body, code, name) in [
        (GEMINI, r#"{"generationConfig":{},"generation_config":{}}"#, twice, "generationConfig"),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#, twice, "maxOutputTokens"),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":1,"MaxOutputTokens":9}}"#, twice, "maxOutputTokens"),
        (GEMINI, r#"{"GenerationConfig":{"maxOutputTokens":900}}"#, odd, "generationConfig"),
        (GEMINI, r#"{"generationConfig":{"maxoutputtokens":900}}"#, odd, "maxOutputTokens"),
        (GEMINI, r#"{"generationConfig":[]}"#, odd, "generationConfig"),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":0}}"#, odd, "maxOutputTokens"),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":""}}"#, odd, "maxOutputTokens"),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":"1e9"}}"#, odd, "maxOutputTokens"),
        (GEMINI, r#"{"generationConfig":{"maxOutputTokens":1e9}}"#, odd, "maxOutputTokens"),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":"9"}}"#, odd, "maxTokens"),
        (CONVERSE, r#"{"inferenceConfig":{"max_tokens":9,"MaxTokens":9}}"#, odd, "maxTokens"),
        (CONVERSE, r#"{"InferenceConfig":{}}"#, odd, "inferenceConfig"),
        (
            CONVERSE,
            r#"{"additionalModelRequestFields":{"top_k":1,"Max_Gen_Len":9000}}"#,
            odd,
            "additionalModelRequestFields.Max_Gen_Len",
        ),
    ] {
        assert_eq!(refused(call, body, &capped(5)), (code, Some(name.into())), "{body}");
    }
    let extra = r#"{"additionalModelRequestFields":{"max_tokens":9}}"#;
    assert_eq!(left(CONVERSE, extra, &Changes::default()), extra);
    let gone = Changes { max_output: Some(5), ..parameter("additionalModelRequestFields", Action::Remove) };
    assert_eq!(left(CONVERSE, extra, &gone), r#"{"inferenceConfig":{"maxTokens":5}}"#);
}

#[test]
fn a_bound_holds_in_the_object_that_the_same_rule_sets() {
    let rule = |action| Changes { max_output: Some(5), ..parameter("generationConfig", action) };
    let json = |json: &str| json.as_bytes().to_vec();
    let client = r#"{"generation_config":{"maxOutputTokens":9}}"#;
    for (action, body, leaves) in [
        (Action::Override(json(r#"{"topK":1}"#)), client, r#"{"generation_config":{"topK":1,"maxOutputTokens":5}}"#),
        (
            Action::Override(json(r#"{"max_output_tokens":3}"#)),
            client,
            r#"{"generation_config":{"max_output_tokens":3}}"#,
        ),
        (Action::Override(json(r#"{"max_output_tokens":8}"#)), "{}", r#"{"generationConfig":{"max_output_tokens":5}}"#),
        (Action::Default(json(r#"{"topK":1}"#)), "{}", r#"{"generationConfig":{"topK":1,"maxOutputTokens":5}}"#),
        (Action::Default(json("7")), client, r#"{"generation_config":{"maxOutputTokens":5}}"#),
        (Action::Remove, client, r#"{"generationConfig":{"maxOutputTokens":5}}"#),
        (Action::Remove, "{}", r#"{"generationConfig":{"maxOutputTokens":5}}"#),
    ] {
        assert_eq!(left(GEMINI, body, &rule(action)), leaves, "{body}");
    }
    let odd = rule(Action::Override(json("7")));
    assert_eq!(refused(GEMINI, client, &odd), (Code::UnsupportedValue, Some("generationConfig".into())));
}

/// Instructions, a turn of each side and instructions behind; and instructions alone.
fn prompts() -> (Changes, Changes) {
    let (system, user, model) = (say(Role::System, "S"), say(Role::User, "U"), say(Role::Assistant, "A"));
    let whole = prompt(&[system.clone(), user.clone()], &[user.clone(), model.clone(), say(Role::Developer, "D")]);
    (whole, prompt(&[system], &[]))
}

#[test]
fn a_prompt_goes_where_gemini_has_instructions_and_turns() {
    let (whole, one) = prompts();
    for (call, rule, body, leaves) in [
        (
            GEMINI,
            &whole,
            r#"{"contents":[ {"parts":{"text":"x"}} ]}"#,
            r#"{"contents":[{"role":"user","parts":[{"text":"U"}]}, {"parts":{"text":"x"}},{"role":"user","parts":[{"text":"U"}]},{"role":"model","parts":[{"text":"A"}]} ],"systemInstruction":{"parts":[{"text":"S"},{"text":"D"}]}}"#,
        ),
        (
            GEMINI,
            &one,
            r#"{"system_instruction":{"parts":{"text":"x"}},"contents":7}"#,
            r#"{"system_instruction":{"parts":[{"text":"S"},{"text":"x"}]},"contents":7}"#,
        ),
        (GEMINI, &one, r#"{"systemInstruction":null}"#, r#"{"systemInstruction":{"parts":[{"text":"S"}]}}"#),
        (
            GEMINI,
            &one,
            r#"{"systemInstruction":{"role":"x"}}"#,
            r#"{"systemInstruction":{"role":"x","parts":[{"text":"S"}]}}"#,
        ),
        (
            GEMINI_COUNT,
            &one,
            r#"{"contents":{"parts":[]}}"#,
            r#"{"contents":[{"role":"user","parts":[{"text":"S"}]},{"parts":[]}]}"#,
        ),
        (
            GEMINI_COUNT,
            &one,
            r#"{"contents":[],"system_instruction":{}}"#,
            r#"{"contents":[],"system_instruction":{"parts":[{"text":"S"}]}}"#,
        ),
        (
            GEMINI_COUNT,
            &one,
            r#"{"generate_content_request":{"model":"m"}}"#,
            r#"{"generate_content_request":{"model":"m","systemInstruction":{"parts":[{"text":"S"}]}}}"#,
        ),
    ] {
        assert_eq!(left(call, body, rule), leaves, "{body}");
    }
}

#[test]
fn a_prompt_goes_where_converse_has_instructions_and_turns() {
    let (whole, one) = prompts();
    for (call, rule, body, leaves) in [
        (
            CONVERSE,
            &whole,
            r#"{"messages":[{"role":"user","content":[ {"text":"x"} ]}]}"#,
            r#"{"messages":[{"role":"user","content":[{"text":"U"}, {"text":"x"},{"text":"U"} ]},{"role":"assistant","content":[{"text":"A"}]}],"system":[{"text":"S"},{"text":"D"}]}"#,
        ),
        (
            CONVERSE,
            &whole,
            r#"{"messages":[{"role":"user","content":[]}],"system":[{"text":"x"}]}"#,
            r#"{"messages":[{"role":"user","content":[{"text":"U"},{"text":"U"}]},{"role":"assistant","content":[{"text":"A"}]}],"system":[{"text":"S"},{"text":"x"},{"text":"D"}]}"#,
        ),
        (
            CONVERSE,
            &whole,
            r#"{"messages":[],"system":[]}"#,
            r#"{"messages":[{"role":"user","content":[{"text":"U"},{"text":"U"}]},{"role":"assistant","content":[{"text":"A"}]}],"system":[{"text":"S"},{"text":"D"}]}"#,
        ),
        (
            CONVERSE_COUNT,
            &one,
            r#"{"input":{"converse":{"messages":[]}}}"#,
            r#"{"input":{"converse":{"messages":[],"system":[{"text":"S"}]}}}"#,
        ),
    ] {
        assert_eq!(left(call, body, rule), leaves, "{body}");
    }
    let raw = br#"{"input":{"invokeModel":{"body":""}}}"#;
    let (same, done) = rewrite(CONVERSE_COUNT, raw, &one, &[]).unwrap();
    assert_eq!((&same[..], done.kinds(), done.no_messages), (&raw[..], None, true));
}

#[test]
fn a_prompt_without_its_place_is_refused_by_name() {
    let rule = prompt(&[say(Role::System, "a"), say(Role::User, "b")], &[]);
    for (call, body, name) in [
        (GEMINI, r#"{}"#, "contents"),
        (GEMINI, r#"{"contents":"x"}"#, "contents"),
        (GEMINI, r#"{"contents":[],"systemInstruction":"x"}"#, "systemInstruction"),
        (GEMINI, r#"{"contents":[],"systemInstruction":{"parts":"x"}}"#, "systemInstruction.parts"),
        (GEMINI, r#"{"contents":[],"system_Instructio_n":{}}"#, "systemInstruction"),
        (GEMINI_COUNT, r#"{"generateContentRequest":[]}"#, "generateContentRequest"),
        (CONVERSE, r#"{"system":[]}"#, "messages"),
        (CONVERSE, r#"{"messages":{},"system":[]}"#, "messages"),
        (CONVERSE, r#"{"messages":[],"system":"x"}"#, "system"),
        (CONVERSE, r#"{"messages":[{"Role":"user","content":[]}]}"#, "role"),
        (CONVERSE_COUNT, r#"{}"#, "input"),
    ] {
        assert_eq!(refused(call, body, &rule), (Code::UnsupportedValue, Some(name.into())), "{body}");
    }
}

// === Inputs ===

/// Top-level members in every spelling, and values of them that are right in one format or in none.
const MEMBERS: &[(&[&str], &[&str])] = &[
    (&["generationConfig", "generation_config", "inferenceConfig"], CONFIGS),
    (&["inferenceConfig2", "temperature"], VALUES),
    (&["systemInstruction", "system_instruction"], SYSTEMS),
    (&["system"], SYSTEMS),
    (&["contents"], TURNS),
    (&["messages"], TURNS),
    (&["additionalModelRequestFields"], &["null", "{}", r#"{"top_k":1}"#, r#"{"max_tokens":9000}"#]),
    (&["topP", "top_p"], VALUES),
    (&["other"], VALUES),
];
const CONFIGS: &[&str] = &[
    "null",
    "{ }",
    "[]",
    r#"{"maxOutputTokens":5,"maxTokens":5}"#,
    r#"{"max_output_tokens" : "9000" , "maxTokens":"9000"}"#,
    r#"{ "maxOutputTokens":9000, "topK" : 1 }"#,
    r#"{"maxTokens":9000,"x":[ ]}"#,
    r#"{"maxTokens":null,"maxOutputTokens":null}"#,
    r#"{"maxTokens":0,"max_output_tokens":0}"#,
    r#"{"maxTokens":1.5,"maxOutputTokens":-1}"#,
];
const SYSTEMS: &[&str] = &[
    "null",
    "{}",
    "[ ]",
    "\"s\"",
    r#"[{"text":"s"}]"#,
    r#"{"parts" : [ {"text":"s"} ] }"#,
    r#"{"parts":{"text":"s"},"role":"x"}"#,
    r#"{"parts":null}"#,
    r#"{"parts":7}"#,
];
const TURNS: &[&str] = &[
    "null",
    "[ ]",
    "[7]",
    r#"{"role":"user","parts":[{"text":"x"}]}"#,
    r#"[{"role":"user","parts":[{"text":"x"}]} ]"#,
    r#"[ {"role":"user","content":[{"text":"x"} ], "a":1} ]"#,
    r#"[{"content":[],"role":"user"}]"#,
    r#"[{"role":"user","content":[{"text":"x"}]},{"role":"user","content":[{"text":"y"}]}]"#,
    r#"[{"role":"user","content":[{"text":"x"}]} , {"role":"assistant","content":[ ]}]"#,
    r#"[{"role":"assistant","content":"x"}]"#,
];

fn any_body() -> impl Strategy<Value = String> {
    let member = |(names, values): &(&'static [&'static str], &'static [&'static str])| {
        (select(*names), select(*values), select(vec!["", " ", "\n"]), any::<bool>())
    };
    MEMBERS.iter().map(member).collect::<Vec<_>>().prop_shuffle().prop_map(|members| {
        let is_there = |&&(.., there): &&(_, _, _, bool)| there;
        let text =
            |(name, value, space, _): &(&str, &str, &str, bool)| format!("{space}\"{name}\"{space}:{value}{space}");
        let members: Vec<String> = members.iter().filter(is_there).map(text).collect();
        format!(" {{{}}}\n", members.join(","))
    })
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    let value = select(vec![
        json!(0.2),
        json!(null),
        json!({"topK": 1}),
        json!({"maxOutputTokens": 7000, "maxTokens": 7000}),
        json!({"max_output_tokens": 3, "maxTokens": 3}),
    ]);
    let parameter = (0u8..3, value);
    let names = subsequence(vec!["temperature", "top_p", "generationConfig", "inferenceConfig"], 0..4);
    let most = prop::option::of(select(vec![1u64, 100, 4096]));
    (names, proptest::collection::vec(parameter, 4), most, any_messages(), any_messages()).prop_map(
        |(names, values, most, before, behind)| {
            let parameters = names.into_iter().zip(values).map(|(name, (kind, value))| (name, kind, value));
            Wanted { parameters: parameters.collect(), most, before, behind }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_leaves_is_what_the_reference_says(
        call in select(vec![GEMINI, CONVERSE]),
        body in any_body(),
        wanted in any_wanted(),
    ) {
        let expected = wanted.apply(call, serde_json::from_str(&body).unwrap());
        match (rewrite(call, body.as_bytes(), &wanted.changes(), &[]), expected) {
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
    fn nobody_who_reads_what_leaves_finds_more_than_the_bound(
        call in select(vec![GEMINI, CONVERSE]),
        body in any_body(),
        odd in "[a-zA-Z_]{0,2}",
        at in any::<prop::sample::Index>(),
        wanted in any_wanted(),
    ) {
        // A key in another spelling, mostly.
        let mut body = body;
        let at = at.index(body.len());
        body.insert_str(at, &odd);
        let Ok((left, _)) = rewrite(call, body.as_bytes(), &wanted.changes(), &[]) else { return Ok(()) };
        let Some(most) = wanted.most else { return Ok(()) };
        let fields = read(call, &left).unwrap();
        prop_assert!(fields.call.max_output.is_some_and(|stated| stated <= most), "{:?}", left);
        let tree = Tree::read(&left).unwrap();
        if let Ok(chat) = codec_of(call.0, call.1).read_chat(&tree, &mut Dropped::default()) {
            prop_assert!(chat.max_output.is_some_and(|stated| stated <= most), "{:?}", left);
        }
    }

    #[test]
    fn every_byte_beside_the_edits_is_kept(
        call in select(vec![GEMINI, CONVERSE]),
        body in any_body(),
        wanted in any_wanted(),
    ) {
        let Ok((left, _)) = rewrite(call, body.as_bytes(), &wanted.changes(), &[]) else { return Ok(()) };
        let touched = |name: &str| {
            let own = wanted.parameters.iter().any(|row| row.0 == name || (row.0, name) == ("top_p", "topP"));
            own || MEMBERS[0].0.contains(&name) || MEMBERS[2..6].iter().any(|(names, _)| names.contains(&name))
        };
        let untouched = |bytes: &[u8]| -> Vec<Vec<u8>> {
            let members = object(bytes).unwrap();
            let kept = members.iter().filter(|member| !touched(&member.key));
            kept.map(|member| bytes[member.key_span.start..member.value.end].to_vec()).collect()
        };
        prop_assert_eq!(untouched(body.as_bytes()), untouched(&left));
        prop_assert_eq!((&left[..2], &left[left.len() - 2..]), (&b" {"[..], &b"}\n"[..]));
    }
}
