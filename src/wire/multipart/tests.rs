//! Forms as SDKs write them, forms as an attacker would, and any bytes at all.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::llm::{Dialect, Operation};

const TYPE: &str = "multipart/form-data; boundary=XX";

fn endpoint() -> Endpoint {
    Endpoint {
        dialect: Dialect::OpenAi,
        operation: Operation::Audio,
        held: true,
        multipart: true,
        named: crate::wire::Named::Body,
    }
}

fn read_as(kind: &str, body: &[u8]) -> Result<Fields, Code> {
    read(kind, endpoint(), body).map_err(|refusal| refusal.code)
}

fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let head = format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn file(name: &str, value: &[u8]) -> Vec<u8> {
    let head = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\n"
    );
    [head.as_bytes(), value, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], b"--XX--\r\n"].concat()
}

fn disposition(line: &str) -> Vec<u8> {
    form(&[format!("--XX\r\n{line}\r\n\r\nsecret\r\n").into_bytes(), field("model", b"a")])
}

#[test]
fn a_form_is_read_and_its_model_alone_is_changed() {
    let body = form(&[
        file("file", b"RIFF\0\r\n--X\r\n"),
        field("model", b"whisper-1"),
        field("stream", b"True"),
        field("n", b"3"),
    ]);
    let fields = read_as(TYPE, &body).unwrap();
    let call = &fields.call;
    assert_eq!((&*call.model, call.stream, call.choices, call.body_bytes), ("whisper-1", true, 3, 14));
    let body = Bytes::from(body);
    assert_eq!(rewrite(&body, &fields, "whisper-1").as_ptr(), body.as_ptr(), "no copy where nothing changes");
    let expected =
        form(&[file("file", b"RIFF\0\r\n--X\r\n"), field("model", b"w"), field("stream", b"True"), field("n", b"3")]);
    assert_eq!(rewrite(&body, &fields, "w"), expected);
}

#[test]
fn boundaries_are_found_as_they_are_written() {
    let body = form(&[field("model", b"a")]);
    for kind in [
        "multipart/form-data; boundary=XX",
        "Multipart/Form-Data; charset=utf-8; Boundary=\"XX\"",
        "multipart/form-data;boundary=XX ;x=y",
    ] {
        assert!(is_form(Some(kind)), "{kind}");
        assert_eq!(read_as(kind, &body).map(|fields| fields.call.model), Ok("a".into()), "{kind}");
    }
    for kind in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=XX; boundary=YY",
        "multipart/form-data; boundary*=utf-8''XX",
        "multipart/form-data; boundary*0=X; boundary*1=X",
        "multipart/form-data; boundary=X X",
        "multipart/form-data; boundary=\"XX",
        "multipart/form-data; boundary=XX\"",
        "multipart/form-data; boundary=\"X\\\"X\"",
    ] {
        assert_eq!(read_as(kind, &body), Err(Code::UnsupportedValue), "{kind}");
    }
    assert!(!is_form(Some("multipart/mixed; boundary=XX")) && !is_form(None));
}

#[test]
fn what_is_around_the_form_is_let_be() {
    let body = form(&[field("model", b"a")]);
    for (before, behind) in [("", ""), ("preamble --XX\r\n", ""), ("\r\n", "epilogue --XX"), ("", "\r\n\r\n")] {
        let body = [before.as_bytes(), &body, behind.as_bytes()].concat();
        assert_eq!(read_as(TYPE, &body).map(|fields| fields.call.model), Ok("a".into()), "{before:?} {behind:?}");
    }
    let unended = b"--XX \t\r\ncontent-disposition:form-data;name=model\r\n\r\na\r\n--XX--";
    assert_eq!(read_as(TYPE, unended).map(|fields| fields.call.model), Ok("a".into()));
}

#[test]
fn what_is_no_form_is_refused() {
    let whole = form(&[field("model", b"a")]);
    let bodies: &[&[u8]] = &[
        b"",
        b"{\"model\":\"a\"}",
        b"--XX--\r\n",
        b"--XX\r\n--XX--\r\n",
        &whole[..whole.len() - 4],
        // Lines that only some servers read as lines.
        b"--XX\nContent-Disposition: form-data; name=\"model\"\n\na\n--XX--\n",
        b"--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\n--XX\r\n\r\n--XX--\r\n",
        b"--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n--XXb\r\n\r\n--XX--\r\n",
        b"--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n--XX--x\r\n",
        b"--XX\r\nContent-Disposition: form-data; name=\"model\"\n\r\n\r\na\r\n--XX--\r\n",
        b"--XX\r\nContent-Disposition: form-data;\r\n name=\"model\"\r\n\r\na\r\n--XX--\r\n",
    ];
    for body in bodies {
        assert_eq!(read_as(TYPE, body), Err(Code::UnsupportedValue), "{}", body.escape_ascii());
    }
    let behind = [&whole[..], &field("model", b"b"), b"--XX--\r\n"].concat();
    assert_eq!(read_as(TYPE, &behind), Err(Code::UnsupportedValue), "another form behind the end");
    let many: Vec<_> = (0..=MAX_PARTS).map(|_| field("x", b"")).collect();
    assert_eq!(read_as(TYPE, &form(&many)), Err(Code::UnsupportedValue));
}

#[test]
fn a_field_that_is_acted_on_stands_once_in_whatever_spelling() {
    for twin in ["model", "Model", " model", "model[]", "model[0]"] {
        for parts in [[field("model", b"a"), field(twin, b"b")], [field(twin, b"b"), field("model", b"a")]] {
            assert_eq!(read_as(TYPE, &form(&parts)), Err(Code::DuplicateField), "{twin}");
        }
        let file = form(&[field("model", b"a"), file(twin, b"b")]);
        assert_eq!(read_as(TYPE, &file), Err(Code::DuplicateField), "{twin} as a file");
    }
    assert_eq!(read_as(TYPE, &form(&[field("Model", b"a")])), Err(Code::UnsupportedValue));
    assert_eq!(read_as(TYPE, &form(&[file("model", b"a")])), Err(Code::UnsupportedValue));
    let others = form(&[field("model", b"a"), field("include[]", b"x"), field("include[]", b"y")]);
    assert!(read_as(TYPE, &others).is_ok(), "a field that nobody acts on");
}

#[test]
fn names_that_servers_read_differently_are_refused() {
    for line in [
        "Content-Disposition: form-data; name=\"mod\\el\"",
        "Content-Disposition: form-data; name=\"mod%65l\"",
        "Content-Disposition: form-data; name*=utf-8''model",
        "Content-Disposition: form-data; name=\"x\"; name=\"model\"",
        "Content-Disposition: form-data; name=\"x\"; name*0=\"model\"",
        "Content-Disposition: form-data; filename=\"a\\\"; name=\"model\"",
        "Content-Disposition: form-data; name=\"x\" name=\"model\"",
        "Content-Disposition: form-data; name=x\r\nContent-Disposition: form-data; name=model",
        "Content-Disposition: attachment; name=\"x\"",
        "Content-Disposition: form-data",
        "Content-Disposition : form-data; name=\"model\"",
        "Content-Type: text/plain",
        "X",
    ] {
        assert_eq!(read_as(TYPE, &disposition(line)), Err(Code::UnsupportedValue), "{line}");
    }
    for line in [
        "Content-Disposition: form-data; name=\"file\"; filename=\"a; name=model.wav\"",
        "content-disposition: form-data; name=\"file\"; filename=\"ü.wav\"; filename*=utf-8''%C3%BC.wav",
    ] {
        assert!(read_as(TYPE, &disposition(line)).is_ok(), "{line}");
    }
}

#[test]
fn a_model_is_plain_text() {
    let with = |header: &str, value: &[u8]| {
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n{header}\r\n\r\n");
        form(&[[head.as_bytes(), value, b"\r\n"].concat()])
    };
    assert!(read_as(TYPE, &with("Content-Type: text/plain; charset=UTF-8", b"a")).is_ok());
    for (header, value) in [
        ("Content-Transfer-Encoding: base64", &b"YQ=="[..]),
        ("Content-Type: text/plain; charset=utf-16", b"a"),
        ("Content-Type: application/json", b"\"a\""),
        ("X: y", b"\xff"),
        ("X: y", b"a\r\nb"),
        ("X: y", b""),
        ("X: y", &[b'm'; fields::MAX_MODEL + 1]),
    ] {
        assert_eq!(read_as(TYPE, &with(header, value)), Err(Code::UnsupportedValue), "{header} {value:?}");
    }
}

/// Bytes full of what a form is made of.
fn formlike() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&'static [u8]] =
        &[b"--XX", b"--XX--", b"\r\n", b"\n", b"\r", b"--X", b"XX", b"--", b"name=\"model\"", b"form-data", b";", b":"];
    let word = prop_oneof![
        proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 0..6),
        Just(field("model", b"a")),
        Just(b"Content-Disposition: ".to_vec()),
    ];
    vec(word, 0..16).prop_map(|words| words.concat())
}

/// A file's content in which no line begins with the boundary.
fn content() -> impl Strategy<Value = Vec<u8>> {
    formlike().prop_filter("a delimiter may not stand in a part", |content| {
        let lined = [b"\n", &content[..]].concat();
        !lined.windows(5).any(|window| matches!(window[0], b'\r' | b'\n') && &window[1..] == b"--XX")
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(kind in ".{0,40}", body in formlike()) {
        let _ = read_as(&kind, &body);
        let _ = read_as(&format!("multipart/form-data; boundary={kind}"), &body);
        if let Ok(fields) = read_as(TYPE, &body) {
            prop_assert_eq!(&body[fields.model.unwrap().start..fields.model.unwrap().end], fields.call.model.as_bytes());
        }
    }

    #[test]
    fn every_file_survives(before in content(), behind in content(), model in "[a-z/.:-]{1,12}", other in "[a-z]{1,12}") {
        let with = |model: &str| form(&[file("file", &before), field("model", model.as_bytes()), file("mask", &behind)]);
        let body = Bytes::from(with(&model));
        let fields = read_as(TYPE, &body).unwrap();
        prop_assert_eq!(&*fields.call.model, &model[..]);
        prop_assert_eq!(rewrite(&body, &fields, &other), with(&other));
    }
}
