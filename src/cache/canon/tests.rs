//! What is the same call, and what is another one.

use super::*;
use crate::llm::Dropped;
use crate::wire;

const AROUND: Around<'static> = Around {
    backend: "openai",
    authority: "api.openai.com",
    prefix: "/v1",
    model: "gpt-4o-mini",
    headers: &[],
    query: "",
};

/// The digest as the step Recall makes it.
fn digest_of(format: Format, body: &str, around: Around<'_>) -> Digest {
    let tree = Tree::read(body.as_bytes()).unwrap();
    let mut dropped = Dropped::default();
    let chat = wire::codec(format).read_chat(&tree, &mut dropped).unwrap();
    let known = if dropped.is_empty() { of_chat(around, &chat) } else { None };
    known.unwrap_or_else(|| of_json(around, &tree, format))
}

fn digest(format: Format, body: &str) -> Digest {
    digest_of(format, body, AROUND)
}

fn question_of(body: &str) -> Option<Question> {
    let tree = Tree::read(body.as_bytes()).unwrap();
    let chat = wire::codec(Format::Chat).read_chat(&tree, &mut Dropped::default()).unwrap();
    question(AROUND, &chat)
}

const PLAIN: &str = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],
    "temperature":0.5,"max_tokens":9,"tools":[{"type":"function","function":{"name":"f","parameters":
    {"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}}}}}],"seed":3}"#;

#[test]
fn order_white_space_and_the_form_of_the_answer_make_no_other_call() {
    let plain = digest(Format::Chat, PLAIN);
    for same in [
        r#"{"seed":3,"max_tokens":9,"temperature":0.50,"stream":true,"stream_options":{"include_usage":true},
            "tools":[{"function":{"parameters":{"properties":{"b":{"type":"string"},"a":{"type":"integer"}},
            "type":"object"},"name":"f"},"type":"function"}],
            "messages":[{"content":"Be brief.","role":"system"},{"content":"Hi","role":"user"}],"model":"other"}"#,
        &PLAIN.replace("\"Hi\"", "[{\"type\":\"text\",\"text\":\"Hi\"}]"),
        &PLAIN.replace("\"Hi\"", "\"\\u0048i\""),
        &PLAIN.replace("\"max_tokens\"", "\"max_completion_tokens\""),
        &PLAIN.replace("\"seed\":3", "\"seed\":3,\"prompt_cache_key\":\"k\",\"n\":1"),
    ] {
        assert_eq!(digest(Format::Chat, same), plain, "{same}");
    }
}

#[test]
fn whatever_changes_the_answer_makes_another_call() {
    let plain = digest(Format::Chat, PLAIN);
    let mut seen = vec![plain];
    for (from, to) in [
        ("\"Hi\"", "\"Hi \""),
        ("\"Hi\"", "\"hi\""),
        ("Be brief.", "Be long."),
        ("\"system\"", "\"developer\""),
        ("0.5", "0.6"),
        ("\"max_tokens\":9", "\"max_tokens\":90"),
        ("\"f\"", "\"g\""),
        ("integer", "number"),
        ("\"seed\":3", "\"seed\":4"),
        ("\"seed\":3", "\"seed\":3,\"user\":\"ann\""),
        ("\"seed\":3", "\"seed\":3,\"user\":\"bob\""),
        ("\"seed\":3", "\"seed\":3,\"top_p\":0.1"),
        ("\"seed\":3", "\"seed\":3,\"n\":2"),
        ("\"seed\":3", "\"seed\":3,\"stop\":[\"a\",\"b\"]"),
        ("\"seed\":3", "\"seed\":3,\"stop\":[\"ab\"]"),
        ("\"seed\":3", "\"seed\":3,\"logit_bias\":{\"1\":2}"),
        ("\"seed\":3", "\"seed\":3,\"response_format\":{\"type\":\"json_object\"}"),
        ("\"seed\":3", "\"seed\":3,\"reasoning_effort\":\"low\""),
        ("\"seed\":3", "\"seed\":3,\"tool_choice\":\"required\""),
        ("\"seed\":3", "\"seed\":3,\"service_tier\":\"flex\""),
        ("\"seed\":3", "\"seed\":3,\"metadata\":{\"a\":\"b\"}"),
        ("\"seed\":3", "\"seed\":3,\"store\":true"),
        // What nobody here knows.
        ("\"seed\":3", "\"seed\":3,\"top_secret\":1"),
        ("\"seed\":3", "\"seed\":3,\"top_secret\":2"),
        ("\"seed\":3", "\"seed\":3,\"top_secret\":{\"a\":[1,2]}"),
        ("\"seed\":3", "\"seed\":3,\"top_secret\":{\"a\":[2,1]}"),
    ] {
        let other = digest(Format::Chat, &PLAIN.replacen(from, to, 1));
        assert!(!seen.contains(&other), "{from} {to}");
        seen.push(other);
    }
    let headers = [("anthropic-beta", "x")];
    for around in [
        Around { backend: "other", ..AROUND },
        Around { authority: "proxy.example", ..AROUND },
        Around { prefix: "/v2", ..AROUND },
        Around { model: "gpt-4o", ..AROUND },
        Around { headers: &headers, ..AROUND },
        Around { query: "beta=true", ..AROUND },
    ] {
        assert_ne!(digest_of(Format::Chat, PLAIN, around), plain, "{around:?}");
    }
}

#[test]
fn the_same_chat_is_the_same_call_in_every_api() {
    let openai = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],
        "max_tokens":9,"temperature":0.5}"#;
    let anthropic = r#"{"model":"n","max_tokens":9,"system":"Be brief.","temperature":0.5,
        "messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"stream":true}"#;
    let gemini = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],
        "systemInstruction":{"parts":[{"text":"Be brief."}]},
        "generationConfig":{"temperature":0.5,"maxOutputTokens":9}}"#;
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}],"system":[{"text":"Be brief."}],
        "inferenceConfig":{"maxTokens":9,"temperature":0.5}}"#;
    let expected = digest(Format::Chat, openai);
    assert_eq!(digest(Format::Messages, anthropic), expected);
    assert_eq!(digest(Format::Gemini, gemini), expected);
    assert_eq!(digest(Format::Converse, converse), expected);
    assert_ne!(digest(Format::Messages, &anthropic.replace("Hi", "Ho")), expected);
    // What the words here cannot say keeps to its own API.
    let odd = openai.replace("\"max_tokens\"", "\"odd\":1,\"max_tokens\"");
    assert_ne!(digest(Format::Chat, &odd), digest(Format::Messages, &anthropic.replace("\"max", "\"odd\":1,\"max")));
}

#[test]
fn halves_of_a_surrogate_pair_are_not_all_the_same() {
    let with = |text: &str| digest(Format::Chat, &PLAIN.replace("\"Hi\"", text));
    let all = [with("\"\\ud800\""), with("\"\\ud801\""), with("\"\\ufffd\"")];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    assert_eq!(all[0], with(" \"\\ud800\""));
    let emoji = "\"\\ud83d\\ude00\"";
    assert_eq!(with(emoji), with("\"\u{1f600}\""));
}

#[test]
fn a_question_is_the_last_text_of_the_user_and_its_fingerprint_the_rest() {
    let asked = question_of(PLAIN).unwrap();
    assert_eq!(asked.text, "Hi");
    let other = question_of(&PLAIN.replace("\"Hi\"", "\"Ho\"")).unwrap();
    assert_eq!((other.fingerprint, &*other.text), (asked.fingerprint, "Ho"));
    for (from, to) in [
        ("Be brief.", "Be long."),
        ("0.5", "0.6"),
        ("\"f\"", "\"g\""),
        ("\"seed\":3", "\"user\":\"x\""),
        ("\"role\":\"user\"", "\"role\":\"user\",\"name\":\"ann\""),
    ] {
        assert_ne!(question_of(&PLAIN.replacen(from, to, 1)).unwrap().fingerprint, asked.fingerprint, "{from}");
    }
    assert!(!format!("{asked:?}").contains("Hi"));
    let picture = r#"[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"https://a.example/i.png"}}]"#;
    for odd in [
        PLAIN.replace("\"role\":\"user\"", "\"role\":\"assistant\""),
        PLAIN.replace("\"Hi\"", picture),
        PLAIN.replace("\"Hi\"", "\" \""),
    ] {
        assert_eq!(question_of(&odd), None, "{odd}");
    }
}
