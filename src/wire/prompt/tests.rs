//! What of each format's prompt is text, and that no bytes hurt.

use proptest::prelude::*;

use super::*;

fn texts(body: &str) -> (Vec<String>, Shape) {
    let mut texts = Vec::new();
    let shape = read(body.as_bytes(), &mut |text| texts.push(text.to_owned())).unwrap();
    (texts, shape)
}

fn shape(messages: u64, names: u64, tokens: u64) -> Shape {
    Shape { messages, names, tokens }
}

#[test]
fn a_chat_is_its_messages_without_pictures() {
    let (texts, seen) = texts(
        r#"{"model":"m","user":"u","stop":"s","messages":[
            {"role":"system","content":"be \"kind\""},
            {"role":"user","name":"ann","content":[{"type":"text","text":"what is \u0041"},
                {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},
                {"type":"input_audio","input_audio":{"data":"BBBB","format":"wav"}}]},
            {"role":"assistant","content":null,"tool_calls":[
                {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},
            {"role":"tool","tool_call_id":"c1","content":"2"}]}"#,
    );
    let expected = ["system", "be \"kind\"", "user", "ann", "what is A", "assistant", "f", "{\"a\":1}", "tool", "2"];
    assert_eq!((texts, seen), (expected.map(str::to_owned).to_vec(), shape(4, 1, 0)));
}

#[test]
fn other_formats_have_theirs_elsewhere() {
    let anthropic = r#"{"system":[{"type":"text","text":"be kind","cache_control":{"type":"ephemeral"}}],"messages":[
        {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},
            {"type":"tool_use","id":"t","name":"f","input":{"a":[1,"b"]}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"done"},
            {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}]}"#;
    let expected = ["be kind", "assistant", "hm", "f", r#"{"a":[1,"b"]}"#, "user", "done"];
    assert_eq!(texts(anthropic), (expected.map(str::to_owned).to_vec(), shape(3, 0, 0)));
    let responses = r#"{"instructions":"be kind","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},
        {"type":"function_call_output","call_id":"c","output":"42"}]}"#;
    let expected = ["be kind", "user", "hi", "42"];
    assert_eq!(texts(responses), (expected.map(str::to_owned).to_vec(), shape(3, 0, 0)));
    assert_eq!(texts(r#"{"input":"hi"}"#), (vec!["hi".to_owned()], Shape::default()));
    assert_eq!(texts(r#"{"input":["a","b"]}"#).0, ["a", "b"]);
    assert_eq!(texts(r#"{"input":[[1,2],[3]]}"#), (vec![], shape(0, 0, 3)));
    assert_eq!(texts(r#"{"prompt":[15339,1917]}"#), (vec![], shape(0, 0, 2)));
    assert_eq!(texts(r#"{"query":"q","documents":["d",{"text":"e"}]}"#).0, ["q", "d", "e"]);
}

#[test]
fn gemini_and_converse_have_their_own_names_for_it() {
    let gemini = r#"{"systemInstruction":{"parts":[{"text":"be kind"}]},"contents":[
        {"role":"user","parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]},
        {"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":1}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"f","response":{"b":2}}}]}],
        "tools":[{"functionDeclarations":[{"name":"f","description":"of a town"}]}]}"#;
    let expected = ["be kind", "user", "hi", "model", "f", r#"{"a":1}"#, "user", "f", r#"{"b":2}"#, "f", "of a town"];
    assert_eq!(texts(gemini), (expected.map(str::to_owned).to_vec(), shape(4, 0, 0)));
    let converse = r#"{"system":[{"text":"be kind"}],"messages":[{"role":"user","content":[{"text":"hi"},
        {"toolResult":{"toolUseId":"t","content":[{"json":{"c":3}}]}}]}],
        "toolConfig":{"tools":[{"toolSpec":{"name":"f"}}]}}"#;
    let expected = ["be kind", "user", "hi", r#"{"c":3}"#, "f"];
    assert_eq!(texts(converse), (expected.map(str::to_owned).to_vec(), shape(2, 0, 0)));
}

#[test]
fn tools_are_their_words_and_the_names_of_their_parameters() {
    let (texts, seen) = texts(
        r#"{"tools":[{"type":"function","function":{"name":"weather","description":"of a town","strict":true,
            "parameters":{"type":"object","properties":{"town":{"type":"string"},"properties":{"enum":["a"]}},
            "required":["town"]}}}]}"#,
    );
    let expected =
        ["function", "weather", "of a town", "object", "town", "string", "properties", "a", "town"].map(str::to_owned);
    assert_eq!((texts, seen), (expected.to_vec(), Shape::default()));
}

#[test]
fn what_is_no_prompt_is_an_error_or_nothing() {
    assert!(read(b"[]", &mut |_| ()).is_err());
    assert!(read(b"{\"messages\":[", &mut |_| ()).is_err());
    for odd in [r#"{"messages":null,"system":null,"tools":7}"#, r#"{"messages":{"a":true}}"#, "{}"] {
        assert_eq!(texts(odd), (vec![], Shape::default()), "{odd}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\u0d8 1e".to_vec()), 0..60)) {
        let body = [br#"{"messages":["#, &bytes[..], b"]}"].concat();
        let _ = read(&body, &mut |_| ());
        let _ = read(&bytes, &mut |_| ());
    }

    #[test]
    fn every_text_of_a_message_is_read_as_it_is(content in any::<String>(), name in any::<String>()) {
        let body = serde_json::json!({"messages": [{"content": content, "name": name}]}).to_string();
        let (texts, seen) = texts(&body);
        prop_assert_eq!((texts, seen), (vec![content, name], shape(1, 1, 0)));
    }
}

#[test]
fn what_a_model_reads_is_text_whatever_it_is_called() {
    let of = |body: &str| {
        let mut all = Vec::new();
        read(body.as_bytes(), &mut |text| all.push(text.to_owned())).map(|shape| (all, shape.tokens)).unwrap()
    };
    let chat = |part: &str| of(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#)).0;
    for (part, texts) in [
        (r#"{"type":"document","title":"T","context":"C","source":{"type":"url","url":"u"}}"#, &["T", "C"][..]),
        (r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"D"}}"#, &["D"]),
        (r#"{"inlineData":{"mimeType":"text/csv","data":"D"}}"#, &["D"]),
        (r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"D"}}"#, &[]),
        (r#"{"type":"image_url","image_url":{"url":"u","detail":"low"}}"#, &[]),
        (r#"{"type":"thinking","thinking":"T","signature":"S"}"#, &["T"]),
    ] {
        assert_eq!(chat(part)[1..], *texts, "{part}");
    }
    let format =
        r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"properties":{"a":{}}}}}"#;
    assert_eq!(of(&format!(r#"{{"model":"m",{format}}}"#)).0, ["json_schema", "n", "a"]);
    assert_eq!(
        of(r#"{"model":"m","Messages":[{"Role":"user","Content":"hi"}],"prompt":"p","suffix":"s"}"#).0,
        ["user", "hi", "p", "s"]
    );
    let many = format!(r#"{{"model":"m","prompt":[{}]}}"#, vec!["1"; json::MAX_LISTED + 1].join(","));
    assert_eq!(of(&many).1, json::MAX_LISTED as u64 + 1);
}
