//! What is no text, of each format.

use super::*;

fn parts(tokens: u64, bytes: u64, refers: bool) -> Parts {
    Parts { tokens, bytes, refers, ..Parts::default() }
}

fn content(part: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"hi"}},{part}]}}]}}"#)
}

#[test]
fn each_kind_of_part_comes_to_what_is_documented() {
    let sound = Parts { sound: 32, ..parts(32, 6, false) };
    const REFERS: Parts = Parts { tokens: 0, sound: 0, documents: 0, bytes: 0, refers: true, goes_on: false };
    const GOES_ON: Parts = Parts { goes_on: true, refers: false, ..REFERS };
    let document = |bytes| Parts { documents: bytes, bytes, ..Parts::default() };
    for (part, expected) in [
        (r#"{"type":"text","text":"an \"image_url\" and a \"source\""}"#, Parts::default()),
        (r#"{"type":"image_url","image_url":{"url":"https://x/y"}}"#, parts(16_384, 13, false)),
        (r#"{"type":"image_url","image_url":"https://x/y"}"#, parts(16_384, 13, false)),
        (r#"{"type":"\u0069mage_url","\u0069mage_url":{"url":"https://x/y"}}"#, parts(16_384, 13, false)),
        (r#"{"type":"input_image","file_id":"f-1"}"#, parts(16_384, 5, false)),
        (r#"{"type":"image","source":{"type":"url","url":"https://x/y"}}"#, parts(16_384, 13, false)),
        (r#"{"type":"image","source":{"type":"file","file_id":"f-1"}}"#, parts(16_384, 5, false)),
        (
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#,
            parts(16_384, 6, false),
        ),
        (r#"{"image":{"format":"png","source":{"bytes":"AAAA"}}}"#, parts(16_384, 6, false)),
        (r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#, parts(16_384, 6, false)),
        (r#"{"file_data":{"file_uri":"gs://x","mime_type":"image/png"}}"#, parts(16_384, 8, false)),
        (r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}"#, sound),
        (r#"{"type":"file","file":{"file_data":"data:x,AAAA","filename":"x"}}"#, document(13)),
        (r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a text"}}"#, Parts::default()),
        (r#"{"inlineData":{"mimeType":"text/csv","data":"AAAA"}}"#, Parts::default()),
        (r#"{"type":"document_url","document_url":"https://x/y.pdf"}"#, REFERS),
        (r#"{"type":"input_audio","input_audio":"AAAA"}"#, sound),
        (r#"{"inline_data":{"mime_type":"video/mp4","data":"AAAA"}}"#, document(6)),
        (r#"{"type":"document","source":{"type":"url","url":"https://x/y.pdf"}}"#, REFERS),
        (r#"{"type":"document","source":{"type":"file","file_id":"f-1"}}"#, REFERS),
        (r#"{"type":"input_file","file_url":"https://x/y.pdf"}"#, REFERS),
        (r#"{"type":"file","file":{"file_id":"f-1"}}"#, REFERS),
        (r#"{"fileData":{"fileUri":"gs://x","mimeType":"video/mp4"}}"#, REFERS),
        (r#"{"video":{"format":"mp4","source":{"s3Location":{"uri":"s3://x/y"}}}}"#, REFERS),
        (r#"{"type":"item_reference","id":"msg_1"}"#, GOES_ON),
        (r#"{"type":"container_upload","file_id":"f-1"}"#, REFERS),
        (r#"{"type":"tool_use","id":"t","name":"f","input":{"file":{"url":"https://x"}}}"#, Parts::default()),
        (r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"}]}}"#, Parts::default()),
    ] {
        assert_eq!(read("m", content(part).as_bytes()), expected, "{part}");
    }
}

#[test]
fn what_stands_outside_of_the_body_is_referred_to() {
    const NONE: (bool, bool) = (false, false);
    const REFERS: (bool, bool) = (true, false);
    const GOES_ON: (bool, bool) = (false, true);
    for (body, (refers, goes_on)) in [
        (r#"{"model":"m","input":"hi","previous_response_id":"r"}"#, GOES_ON),
        (r#"{"model":"m","input":"hi","previous_response_id":null}"#, NONE),
        (r#"{"model":"m","input":"hi","conversation":{"id":"c"}}"#, GOES_ON),
        (r#"{"model":"m","prompt":{"id":"p"}}"#, GOES_ON),
        (r#"{"model":"m","prompt":"p"}"#, NONE),
        (r#"{"model":"m","messages":[],"Previous_Response_Id":"r"}"#, GOES_ON),
        (r#"{"model":"m","tools":[{"type":"tool_search"}]}"#, REFERS),
        (r#"{"model":"m","messages":[],"search_parameters":{}}"#, REFERS),
        (r#"{"contents":[],"cachedContent":"c"}"#, GOES_ON),
        (r#"{"model":"m","input":"hi","tools":[{"type":"web_search"}]}"#, REFERS),
        (r#"{"model":"m","messages":[],"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#, REFERS),
        (r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"web_"}}]}"#, NONE),
        (r#"{"contents":[],"tools":[{"googleSearch":{}}]}"#, REFERS),
        (r#"{"model":"m","messages":[],"mcp_servers":[{}]}"#, REFERS),
        (r#"no "image" at all"#, NONE),
    ] {
        assert_eq!(read("m", body.as_bytes()), Parts { refers, goes_on, ..Parts::default() }, "{body}");
    }
}

#[test]
fn a_query_is_read_for_each_document() {
    let tokens = |body: &str| read("m", body.as_bytes()).tokens;
    assert_eq!(tokens(r#"{"model":"m","query":"1234567","documents":["a","b","c"]}"#), 2 * 9);
    assert_eq!(tokens(r#"{"model":"m","query":"1234567","documents":["a"]}"#), 0);
    assert_eq!(tokens(r#"{"model":"m","query":"1234567","documents":[]}"#), 0);
    assert_eq!(tokens(r#"{"model":"m","messages":[],"documents":["a","b"]}"#), 0);
}

#[test]
fn in_what_cannot_be_listed_there_may_be_anything() {
    let many =
        format!(r#"{{"documents":[{}],"messages":[{{"image_url":"u"}}]}}"#, vec!["0"; json::MAX_LISTED + 1].join(","));
    let deep =
        format!(r#"{{"messages":{}{}, "image":1}}"#, "[".repeat(json::MAX_DEPTH + 1), "]".repeat(json::MAX_DEPTH + 1));
    for body in [many, deep] {
        assert!(read("m", body.as_bytes()).refers, "{body:.40}");
    }
}

#[test]
fn an_image_is_as_large_as_its_model_makes_any() {
    let body = content(r#"{"type":"image_url","image_url":{"url":"u"}},{"type":"image_url","image_url":{"url":"u"}}"#);
    for (model, tokens) in [
        ("anthropic.claude-opus-5-v1:0", 4_784),
        ("gemini-3.5-flash", 2_240),
        ("gpt-4o-mini-2024-07-18", 48_169),
        ("gpt-4o-2024-11-20", 1_445),
        ("gpt-4.1", 1_445),
        ("gpt-4.1-nano", 3_779),
        ("gpt-5-mini", 3_779),
        ("gpt-5.4", 16_384),
        ("o3-pro", 1_275),
        ("o4-mini", 3_779),
        ("openai/o3", 1_275),
        ("demo3", 16_384),
        ("qwen3-vl", 16_384),
    ] {
        assert_eq!(read(model, body.as_bytes()).tokens, 2 * tokens, "{model}");
    }
    let low = |model, part: &str| read(model, content(part).as_bytes()).tokens;
    let chat = r#"{"type":"image_url","image_url":{"url":"u","detail":"low"}}"#;
    let response = r#"{"type":"input_image","detail":"low","image_url":"u"}"#;
    assert_eq!([low("gpt-4o", chat), low("gpt-4o", response), low("gpt-4o-mini", chat)], [85, 85, 2_833]);
    assert_eq!([low("claude-opus-5", chat), low("gpt-5-mini", chat)], [4_784, 3_779], "these do not know it");
    assert_eq!(low("gpt-4o", &chat.replace("low", "auto")), 1_445);
    assert_eq!(read("llava", br#"{"model":"llava","images":["AAAA","AAAA"]}"#), parts(32_768, 12, false));
}
