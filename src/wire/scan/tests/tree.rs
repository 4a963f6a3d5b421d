//! The scanner against the same rules read off a tree, over generated OpenAI-style bodies, and over
//! every split of them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::scan;
use crate::llm::Usage;
use crate::wire::scan::{Aside, Scan, Seen};

fn number(value: &Value, path: &[&str]) -> u64 {
    path.iter().try_fold(value, |value, key| value.get(key)).and_then(Value::as_u64).unwrap_or(0)
}

fn text_in(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(text_in).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if TEXTS.contains(&&**key) => text.len() as u64,
                _ => text_in(value),
            })
            .sum(),
        _ => 0,
    }
}

const TEXTS: [&str; 5] = ["content", "refusal", "reasoning_content", "arguments", "text"];

fn reference(body: &Value) -> Seen {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let usage = body.get("usage").filter(|usage| usage.get("prompt_tokens").is_some()).map(|usage| {
        let (cached, audio) = (
            number(usage, &["prompt_tokens_details", "cached_tokens"]),
            number(usage, &["prompt_tokens_details", "audio_tokens"]),
        );
        let prompt = number(usage, &["prompt_tokens"]);
        // More parts than there are tokens: that much sound was cached.
        let both = (cached + audio).saturating_sub(prompt).min(audio).min(cached);
        Usage {
            input: prompt.saturating_sub(cached + audio - both),
            cache_read: cached,
            cache_read_audio: both,
            audio_in: audio - both,
            output: number(usage, &["completion_tokens"]),
            reasoning: number(usage, &["completion_tokens_details", "reasoning_tokens"]),
            ..Usage::default()
        }
    });
    let choices = body["choices"].as_array().unwrap();
    Seen {
        model: text(&body["model"]).filter(|model| model.len() <= 256).map(Into::into),
        usage,
        text_bytes: text_in(&body["choices"]),
        finish: choices.iter().rev().find_map(|choice| text(&choice["finish_reason"])).map(Into::into),
        aside: Aside { total_tokens: usage.is_some().then_some(1), ..Aside::default() },
        has_error: body.get("error").is_some_and(|error| !error.is_null()),
        complete: true,
        ..Seen::default()
    }
}

fn object(members: Vec<(&'static str, Option<Value>)>) -> Value {
    Value::Object(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>())
}

fn some_text() -> BoxedStrategy<Option<Value>> {
    let text = prop_oneof![any::<String>(), "[a-z \n\"\\\\é😀]{0,60}"];
    prop::option::of(prop_oneof![9 => text.prop_map(Value::from), 1 => Just(Value::Null)]).boxed()
}

fn choice() -> impl Strategy<Value = Value> {
    let message = (some_text(), some_text(), some_text(), some_text(), some_text()).prop_map(|(a, b, c, d, e)| {
        let call =
            object(vec![("id", Some(json!("call"))), ("function", Some(object(vec![("name", e), ("arguments", d)])))]);
        object(vec![
            ("role", Some(json!("assistant"))),
            ("content", a),
            ("refusal", b),
            ("reasoning_content", c),
            ("tool_calls", Some(json!([call]))),
        ])
    });
    let finish = prop::option::of(prop::sample::select(vec![json!("stop"), json!("length"), json!(null), json!("")]));
    (message, any::<bool>(), finish, some_text()).prop_map(|(message, delta, finish, text)| {
        let key = if delta { "delta" } else { "message" };
        object(vec![
            ("index", Some(json!(0))),
            (key, Some(message)),
            ("text", text),
            ("logprobs", Some(Value::Null)),
            ("finish_reason", finish),
        ])
    })
}

fn usage_value() -> impl Strategy<Value = Value> {
    let count = || prop::option::of((0u64..1_000_000).prop_map(Value::from));
    (count(), count(), count(), count(), count()).prop_map(|(prompt, completion, cached, audio, reasoning)| {
        // Without `prompt_tokens` the reference knows no usage; then there is nothing else either.
        if prompt.is_none() {
            return Value::Null;
        }
        object(vec![
            ("prompt_tokens_details", Some(object(vec![("cached_tokens", cached), ("audio_tokens", audio)]))),
            ("prompt_tokens", prompt),
            ("completion_tokens_details", Some(object(vec![("reasoning_tokens", reasoning)]))),
            ("completion_tokens", completion),
            ("total_tokens", Some(json!(1))),
        ])
    })
}

fn body() -> impl Strategy<Value = Value> {
    let model = prop_oneof![some_text(), Just(Some(json!("gpt-5-nano"))), Just(Some(json!("m".repeat(300))))];
    let error =
        prop::option::weighted(0.2, prop::sample::select(vec![json!(null), json!({ "message": "x" }), json!("x")]));
    (prop::collection::vec(choice(), 0..3), model, prop::option::of(usage_value()), error, any::<prop::sample::Index>())
        .prop_map(|(choices, model, usage, error, turn)| {
            let mut members = vec![
                ("id", Some(json!("id"))),
                ("choices", Some(json!(choices))),
                ("model", model),
                ("usage", usage),
                ("error", error),
            ];
            let by = turn.index(members.len());
            members.rotate_left(by);
            object(members)
        })
}

/// All characters of strings as escapes, so that every split falls into one.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    let mut out = String::new();
    let mut units = [0; 2];
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            _ => c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out
}

proptest! {
    #[test]
    fn agrees_with_a_reader_of_trees(body in body()) {
        let expected = reference(&body);
        prop_assert_eq!(&scan(body.to_string().as_bytes()), &expected);
        prop_assert_eq!(&scan(serde_json::to_string_pretty(&body).unwrap().as_bytes()), &expected);
        prop_assert_eq!(&scan(escaped(&body).as_bytes()), &expected);
    }

    #[test]
    fn any_split_sees_the_same(body in body(), step in 1usize..40) {
        let text = escaped(&body);
        let whole = scan(text.as_bytes());
        for step in [1, step] {
            let mut scan = Scan::new();
            text.as_bytes().chunks(step).for_each(|part| scan.push(part));
            prop_assert_eq!(scan.seen(), &whole);
        }
    }

    #[test]
    fn a_changed_byte_is_seen_the_same_in_any_split(body in body(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = body.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let mut scan_bytes = Scan::new();
        text.chunks(1).for_each(|part| scan_bytes.push(part));
        prop_assert_eq!(scan_bytes.seen(), &scan(&text));
    }

    #[test]
    fn what_is_kept_is_the_beginning_of_what_is_counted(
        bodies in prop::collection::vec((body(), any::<bool>()), 1..4),
        room in 0usize..200,
        step in 1usize..40,
    ) {
        let (mut scan, mut all) = (Scan::new(), Scan::new());
        scan.keep_text(room);
        all.keep_text(usize::MAX);
        for (body, repeats) in bodies {
            let kind = if repeats { ",\"type\":\"response.completed\"}" } else { "}" };
            let text = escaped(&body).strip_suffix('}').unwrap_or_default().to_owned() + kind;
            all.reset();
            all.push(text.as_bytes());
            scan.reset();
            for part in text.as_bytes().chunks(step) {
                scan.push(part);
                prop_assert!(scan.kept() <= room, "{} bytes of memory for {room}", scan.kept());
            }
        }
        prop_assert_eq!(scan.seen(), all.seen());
        let (counted, all) = (all.seen().text_bytes, all.take_text().unwrap());
        prop_assert_eq!(all.len() as u64, counted);
        prop_assert!(std::str::from_utf8(&all).is_ok(), "escapes are decoded");
        prop_assert_eq!(scan.take_text().unwrap(), &all[..all.len().min(room)]);
        prop_assert_eq!((scan.kept(), scan.take_text()), (0, None));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\u0d8".to_vec())], 0..200)) {
        let mut scan_bytes = Scan::new();
        bytes.chunks(1).for_each(|part| scan_bytes.push(part));
        prop_assert_eq!(scan_bytes.seen(), &scan(&bytes));
    }
}
