//! Inputs and vectors as they stand in their bodies.

use proptest::prelude::*;

use super::*;

fn inputs(body: &str) -> Option<Vec<&str>> {
    let inputs = Inputs::read(body.as_bytes())?;
    Some(inputs.each.iter().map(|span| &body[span.start..span.end]).collect())
}

#[test]
fn inputs_are_found_one_by_one() {
    for (body, expected) in [
        (r#"{"input":"a"}"#, vec!["\"a\""]),
        (r#"{"input": ["a" , "b\n"] ,"x":1}"#, vec!["\"a\"", r#""b\n""#]),
        (r#"{"input":[1, 2]}"#, vec!["[1, 2]"]),
        (r#"{"input":[[1], [2,3]]}"#, vec!["[1]", "[2,3]"]),
        (r#"{"input":["a",[1],{"content":"c","x":1}]}"#, vec!["\"a\"", "[1]", r#"{"content":"c","x":1}"#]),
        (r#"{"input":""}"#, vec!["\"\""]),
    ] {
        assert_eq!(inputs(body), Some(expected), "{body}");
    }
    for body in [
        "",
        "[]",
        "{}",
        r#"{"input":[]}"#,
        r#"{"input":null}"#,
        r#"{"input":7}"#,
        r#"{"input":[1,"a"]}"#,
        r#"{"input":["a",null]}"#,
        r#"{"input":[[]]}"#,
        r#"{"input":[[1.5]]}"#,
        r#"{"input":[-1]}"#,
        r#"{"input":[{"image_url":"https://example.com/a.png"}]}"#,
        r#"{"input":[{"content":"a","content":"b"}]}"#,
        r#"{"input":"a","input":"b"}"#,
        r#"{"input":"a","\u0069nput":"b"}"#,
        r#"{"input":"a"}x"#,
    ] {
        assert_eq!(inputs(body), None, "{body}");
    }
}

#[test]
fn a_body_with_some_of_its_inputs_is_otherwise_the_same() {
    let body = "{ \"model\" : \"m\",\n\t\"input\" : [ \"a\" , \"\\u0062\" ,\"c\"], \"x\": 1.0 }";
    let read = Inputs::read(body.as_bytes()).unwrap();
    let left = String::from_utf8(read.only(body.as_bytes(), &[1, 2])).unwrap();
    assert_eq!(left, "{ \"model\" : \"m\",\n\t\"input\" : [\"\\u0062\",\"c\"], \"x\": 1.0 }");
}

fn vectors(body: &str, inputs: usize) -> Result<Vectors, Unreadable> {
    Vectors::read(&Bytes::copy_from_slice(body.as_bytes()), inputs)
}

#[test]
fn vectors_are_put_into_an_answer_of_which_all_else_stays() {
    let (a, b) = (r#"{"index": 1, "embedding": [1.50, -2e-7 ], "x": {}}"#, r#"{"embedding": "AA\/=", "index":0}"#);
    let body = format!("{{\n \"data\": [ {a},\n{b} ], \"model\": \"m\\u0031\", \"usage\": {{\"prompt_tokens\": 7}}}}");
    let read = vectors(&body, 2).unwrap();
    assert_eq!((&*read.model, read.tokens), ("m1", Some(7)));
    let turned = read.with([&read.each[1], &read.each[0], &read.each[1]].into_iter());
    let (first, second, third) = (a.replace("1,", "0,"), b.replace(":0", ":1"), a.replace("1,", "2,"));
    let expected = format!(
        "{{\n \"data\": [{first},{second},{third}], \"model\": \"m\\u0031\", \"usage\": {{\"prompt_tokens\": 7}}}}"
    );
    assert_eq!(String::from_utf8(turned).unwrap(), expected);
    let mut out = Vec::new();
    write([&read.each[0]].into_iter(), "m\"", 3, &mut out);
    let usage = r#"{"prompt_tokens":3,"total_tokens":3}"#;
    let expected = format!(r#"{{"object":"list","data":[{b}],"model":"m\"","usage":{usage}}}"#);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn where_no_number_is_said_the_place_counts() {
    let read = vectors(r#"{"data":[{"embedding":[1]},{"embedding":[2]}],"usage":{"prompt_tokens":0}}"#, 2).unwrap();
    assert_eq!((&*read.model, read.tokens), ("", None));
    let out = read.with([&read.each[1]].into_iter());
    assert_eq!(out, br#"{"data":[{"embedding":[2]}],"usage":{"prompt_tokens":0}}"#);
}

#[test]
fn what_is_no_answer_to_the_inputs_is_not_read() {
    let one = r#"{"index":0,"embedding":[1]}"#;
    let beside = |other: &str| format!(r#"{{"data":[{one},{other}]}}"#);
    for body in [
        String::new(),
        "[]".into(),
        "{}".into(),
        format!(r#"{{"data":[{one}]}}"#),
        beside(one),
        format!(r#"{{"data":[{one},{one},{one}]}}"#),
        beside(r#"{"index":2,"embedding":[1]}"#),
        beside(r#"{"index":-1,"embedding":[1]}"#),
        beside(r#"{"index":null,"embedding":[1]}"#),
        beside(r#"{"index":1,"index":1,"embedding":[1]}"#),
        beside(r#"{"index":1,"embedding":[]}"#),
        beside(r#"{"index":1,"embedding":[[1]]}"#),
        beside(r#"{"index":1,"embedding":""}"#),
        beside(r#"{"index":1,"embedding":"a b"}"#),
        beside(r#"{"index":1,"embedding":null}"#),
        beside(r#"{"index":1}"#),
        beside("null"),
        format!(r#"{{"data":[{one},{{"index":1,"embedding":[1]}}],"error":{{"message":"no"}}}}"#),
        format!(r#"{{"data":[{one},{{"index":1,"embedding":[1]}}],"data":[]}}"#),
        format!(r#"{{"data":[{one},{{"index":1,"embedding":[1]}}]"#),
    ] {
        assert!(vectors(&body, 2).is_err(), "{body}");
    }
    let good = format!(r#"{{"error":null,"data":[{{"index":1,"embedding":[1]}},{one}]}}"#);
    assert!(vectors(&good, 2).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..48),
        json in r#"\{"(data|input)":[\[\]{}",:0-9.eE a-z-]{0,40}\}"#,
    ) {
        for body in [&bytes[..], json.as_bytes()] {
            if let Some(read) = Inputs::read(body) {
                prop_assert!(Inputs::read(&read.only(body, &[0])).is_some());
            }
            let _ = Vectors::read(&Bytes::copy_from_slice(body), 1);
        }
    }
}
