//! The validator agrees with `serde_json` on what is JSON, and its spans on what it says.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;

/// `serde_json` without its own limits: `IgnoredAny` keeps numbers and surrogates as bytes.
fn reference(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let object = text.trim_start_matches([' ', '\n', '\r', '\t']).starts_with('{');
    object && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn nested(levels: usize) -> String {
    format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
}

#[test]
fn spans_and_kinds() {
    let body = br#" { "a" : 1e400 , "b":{"c":[true,null , "x\"]"]}, "\u006dodel":"gpt" }"#;
    let found = object(body).unwrap();
    let keys: Vec<_> = found.iter().map(|member| &*member.key).collect();
    assert_eq!(keys, ["a", "b", "model"]);
    assert_eq!(found[0].value.slice(body), b"1e400");
    assert_eq!(found[2].key_span.slice(body), br#""\u006dodel""#);
    assert_eq!((found[0].kind, found[1].kind, found[2].kind), (Kind::Number, Kind::Object, Kind::String));
    let inner = members(body, found[1].value).unwrap();
    assert_eq!(inner[0].kind, Kind::Array);
    let elements = elements(body, inner[0].value).unwrap();
    let texts: Vec<_> = elements.iter().map(|(span, kind)| (span.slice(body), *kind)).collect();
    assert_eq!(texts, [(&b"true"[..], Kind::True), (b"null", Kind::Null), (br#""x\"]""#, Kind::String)]);
}

#[test]
fn refuses_what_rfc_8259_refuses() {
    let bad: &[&[u8]] = &[
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"{},",
        br#"{"a":1,}"#,
        br#"{,"a":1}"#,
        br#"{"a" 1}"#,
        br#"{a:1}"#,
        br#"{'a':1}"#,
        br#"{"a":01}"#,
        br#"{"a":-}"#,
        br#"{"a":1.}"#,
        br#"{"a":.5}"#,
        br#"{"a":1e}"#,
        br#"{"a":+1}"#,
        br#"{"a":NaN}"#,
        br#"{"a":tru}"#,
        br#"{"a":[1,]}"#,
        br#"{"a":[1}}"#,
        br#"{"a":{]}"#,
        br#"{"a":"\x"}"#,
        br#"{"a":"\u12g4"}"#,
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"a long text in front of a control character \x01\"}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"a\":1}\0",
        b"{\"a\":1\x0c}",
    ];
    for body in bad {
        let error = object(body).expect_err(&String::from_utf8_lossy(body));
        assert!(matches!(error, JsonError::Syntax { .. }), "{error:?} {}", String::from_utf8_lossy(body));
    }
}

#[test]
fn keeps_what_others_choke_on() {
    let body =
        br#"{"lone":"\ud800 \udc00\ud83d","huge":1234567890123456789012345678901234567890e99999,"dup":1,"dup":2}"#;
    let found = object(body).unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(string(found[0].value.slice(body)).unwrap(), "\u{fffd} \u{fffd}\u{fffd}");
}

#[test]
fn every_prefix_is_truncated() {
    let body = "{\"key\":[-0.5e+7,\"\\u00e9 a text of some length, with ü\",true,false,null,{\"b\":{}}]}";
    for end in 0..body.len() {
        assert_eq!(
            object(&body.as_bytes()[..end]),
            Err(JsonError::Truncated),
            "{}",
            &body.as_bytes()[..end].escape_ascii()
        );
    }
    assert_eq!(object(body.as_bytes()).map(|found| found.len()), Ok(1));
}

#[test]
fn depth_is_capped() {
    assert!(object(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(
        matches!(object(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::Depth { at }) if at == 5 + MAX_DEPTH - 1)
    );
    assert!(matches!(object(nested(1_000_000).as_bytes()), Err(JsonError::Depth { .. })));
    // A mixture of both kinds closes in the right order at the cap.
    let deep = format!("{{\"a\":{}1{}}}", "[{\"b\":".repeat(63), "}]".repeat(63));
    assert!(object(deep.as_bytes()).is_ok());
    assert!(matches!(object(deep.replacen("}]", "]}", 1).as_bytes()), Err(JsonError::Syntax { .. })));
}

#[test]
fn another_type_is_told() {
    assert_eq!(object(b" [1]"), Err(JsonError::Type { at: 1, wanted: Kind::Object, found: Kind::Array }));
    assert!(matches!(elements(b"{}", Span { start: 0, end: 2 }), Err(JsonError::Type { .. })));
    assert!(elements(b"[]", Span { start: 0, end: 9 }).is_err());
    assert!(members(b"{}", Span { start: 9, end: 1 }).is_err());
}

#[test]
fn lists_are_bounded_but_validation_is_not() {
    let many = format!("{{{}\"a\":0}}", "\"a\":0,".repeat(MAX_LISTED));
    assert!(matches!(object(many.as_bytes()), Err(JsonError::TooMany { .. })));
    let body = format!("{{\"input\":[{}0]}}", "0,".repeat(MAX_LISTED));
    let found = object(body.as_bytes()).unwrap();
    assert!(matches!(elements(body.as_bytes(), found[0].value), Err(JsonError::TooMany { .. })));
}

#[test]
fn duplicates_of_a_key_in_use_are_refused() {
    let body = br#"{"model":"a","x":1,"x":2,"\u006dodel":"b"}"#;
    let found = object(body).unwrap();
    assert_eq!(unique(&found, "model"), Err(JsonError::DuplicateKey { key: "model".into() }));
    assert_eq!(unique(&found, "y"), Ok(None));
    assert!(unique(&found[1..], "model").unwrap().is_some());
}

#[test]
fn strings_are_decoded_whole_or_not_at_all() {
    assert_eq!(string(br#""plain""#), Some(Cow::Borrowed("plain")));
    assert_eq!(string(br#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\té😀");
    assert_eq!(string(br#""\ud83d\n\ud83dA""#).unwrap(), "\u{fffd}\n\u{fffd}A");
    for bad in [&b"\""[..], b"", b"x", b"\"a", b"\"a\"b\"", b"\"\\\"", b"\"\xff\"", b"\"\t\""] {
        assert_eq!(string(bad), None, "{}", bad.escape_ascii());
    }
}

/// Bytes that are likely to be nearly JSON.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"a\":",
        "{\"k\":",
        "0",
        "-1",
        "1.5",
        "1e9",
        "e",
        ".",
        "01",
        "true",
        "null",
        "false",
        "nul",
        " ",
        "\n",
        "\t",
        "\\",
        "\\u",
        "\\n",
        "\\u00e9",
        "\\ud800",
        "é",
        "\u{1}",
        "a text longer than the short loop",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("{{\"a\":{}}}", pieces.concat()).into_bytes())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths are exact in decimal; serde_json's float parsing is not exact otherwise.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn check_spans(body: &[u8], found: &[Member<'_>], expected: &Value) {
    assert_eq!(found.len(), expected.as_object().unwrap().len());
    for (member, (key, value)) in found.iter().zip(expected.as_object().unwrap()) {
        assert_eq!(&member.key, key);
        assert_eq!(serde_json::from_slice::<String>(member.key_span.slice(body)).unwrap(), *key);
        let raw = member.value.slice(body);
        assert_eq!(serde_json::from_slice::<Value>(raw).unwrap(), *value);
        match value {
            Value::Object(_) => check_spans(body, &members(body, member.value).unwrap(), value),
            Value::Array(items) => {
                let spans = elements(body, member.value).unwrap();
                assert_eq!(spans.len(), items.len());
                for ((span, _), item) in spans.iter().zip(items) {
                    assert_eq!(serde_json::from_slice::<Value>(span.slice(body)).unwrap(), *item);
                }
            }
            Value::String(text) => assert_eq!(string(raw).as_deref(), Some(&**text)),
            _ => assert_eq!(string(raw), None),
        }
    }
}

proptest! {
    #[test]
    fn agrees_on_what_is_json(body in nearly_json()) {
        prop_assert_eq!(object(&body).is_ok(), reference(&body), "{}", body.escape_ascii());
    }

    #[test]
    fn agrees_after_one_changed_byte(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = serde_json::to_vec(&serde_json::json!({ "v": value })).unwrap();
        let at = at.index(body.len());
        body[at] = byte;
        prop_assert_eq!(object(&body).is_ok(), reference(&body), "{}", body.escape_ascii());
    }

    #[test]
    fn spans_say_what_serde_says(value in value(), pretty in any::<bool>()) {
        let value = serde_json::json!({ "v": value, "w": 1 });
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        check_spans(&body, &object(&body).unwrap(), &value);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), start in 0usize..80, end in 0usize..80) {
        let span = Span { start, end };
        prop_assert_eq!(object(&bytes).is_ok(), reference(&bytes));
        let _ = (members(&bytes, span), elements(&bytes, span), span.slice(&bytes));
        if let Some(text) = string(&bytes) {
            prop_assert!(bytes.len() >= text.chars().count() + 2);
        }
    }

    #[test]
    fn written_strings_read_back(text in prop_oneof![any::<String>(), "([ -~é]{0,70}[\\x00-\\x1f\"\\\\]){0,4}[a-z]{0,40}"]) {
        let mut raw = Vec::new();
        write_string(&mut raw, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&raw).unwrap(), &text[..]);
        prop_assert_eq!(string(&raw).unwrap(), text);
    }

    #[test]
    fn escaped_strings_read_as_serde_reads_them(units in prop::collection::vec(any::<u16>(), 0..8)) {
        let raw = format!("\"{}\"", units.iter().map(|unit| format!("\\u{unit:04X}")).collect::<String>());
        prop_assert_eq!(string(raw.as_bytes()).unwrap(), String::from_utf16_lossy(&units));
    }
    #[test]
    fn what_is_copied_is_the_same_text_to_every_parser(units in prop::collection::vec(any::<u16>(), 0..8), plain in ".{0,6}") {
        let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let raw = format!(r#"{{"\\{escaped}":[{}]}}"#, Value::from(plain));
        let mut out = Vec::new();
        write_array(&mut out, |a| a.raw(&raw));
        let whole: Value = serde_json::from_slice(&out).unwrap();
        let key = format!("\\{}", String::from_utf16_lossy(&units));
        prop_assert_eq!(whole[0].as_object().unwrap().keys().next(), Some(&key));
        if !key.contains(char::REPLACEMENT_CHARACTER) {
            prop_assert_eq!(out, format!("[{raw}]").into_bytes());
        }
    }

    #[test]
    fn no_text_that_is_copied_panics(raw in r#"[\\u0-9d-fD-F"é]{0,24}"#) {
        write_array(&mut Vec::new(), |a| a.raw(&raw));
    }
}
