//! An edited body says what the edited value says, and nothing else in it has changed.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::base::json::object;

fn whole(body: &str) -> Span {
    Span { start: body.find('{').unwrap(), end: body.rfind('}').unwrap() + 1 }
}

/// `body` without the members `gone` and with the members `new`, all of its outermost object.
fn edited(body: &str, gone: &[usize], new: &[(&'static str, &'static str)]) -> String {
    let members = object(body.as_bytes()).unwrap();
    let mut edits = Edits::new();
    for &index in gone {
        edits.remove_member(whole(body), &members, index);
    }
    for (key, value) in new {
        edits.insert_member(whole(body), &members, key, value.as_bytes());
    }
    String::from_utf8(edits.apply(body.as_bytes())).unwrap()
}

#[test]
fn removes_one_comma() {
    let body = r#"{ "a" : 1 , "b":2,"c" : 3 }"#;
    assert_eq!(edited(body, &[0], &[]), r#"{ "b":2,"c" : 3 }"#);
    assert_eq!(edited(body, &[1], &[]), r#"{ "a" : 1 , "c" : 3 }"#);
    assert_eq!(edited(body, &[2], &[]), r#"{ "a" : 1 , "b":2 }"#);
    assert_eq!(edited(body, &[0, 1], &[]), r#"{ "c" : 3 }"#);
    assert_eq!(edited(body, &[2, 1], &[]), r#"{ "a" : 1 }"#);
    assert_eq!(edited(body, &[0, 2], &[]), r#"{ "b":2 }"#);
    assert_eq!(edited(body, &[0, 1, 2], &[]), r#"{  }"#);
    assert_eq!(edited(body, &[7], &[]), body);
}

#[test]
fn inserts_behind_the_last_member() {
    assert_eq!(edited("{}", &[], &[("k", "1")]), r#"{"k":1}"#);
    assert_eq!(edited("{ }", &[], &[("k", "1"), ("l", "2")]), r#"{"k":1,"l":2 }"#);
    assert_eq!(edited("{\"a\":1\n}", &[], &[("k\"", "{}")]), "{\"a\":1,\"k\\\"\":{}\n}");
    assert_eq!(edited(r#"{"a":1 }"#, &[0], &[("k", "2")]), r#"{"k":2 }"#);
    assert_eq!(edited(r#"{"a":1, "b":2 }"#, &[1], &[("k", "2")]), r#"{"a":1,"k":2 }"#);
    assert_eq!(edited(r#"{"a":1, "b":2 }"#, &[0], &[("k", "2")]), r#"{"b":2,"k":2 }"#);
}

#[test]
fn keeps_every_other_byte() {
    let body = "\n{\"x\" : 1.50e+3,\"model\":\"a\" ,\t\"x\":\"\\ud800\",\"n\":123456789012345678901234567890}\r\n";
    let members = object(body.as_bytes()).unwrap();
    let mut edits = Edits::new();
    assert!(edits.is_empty());
    assert_eq!(edits.apply(body.as_bytes()), body.as_bytes());
    edits.replace(members[1].value, &b"\"longer\""[..]);
    assert!(!edits.is_empty());
    let out = edits.apply(body.as_bytes());
    assert_eq!(String::from_utf8(out).unwrap(), body.replace("\"a\"", "\"longer\""));
}

#[test]
fn a_wider_edit_wins_and_of_equal_ones_the_later() {
    let body = r#"{"o":{"p":1},"q":2}"#;
    let outer = object(body.as_bytes()).unwrap();
    let inner = json::members(body.as_bytes(), outer[0].value).unwrap();
    let mut edits = Edits::new();
    edits.replace(inner[0].value, &b"5"[..]);
    edits.insert_member(outer[0].value, &inner, "r", &b"6"[..]);
    assert_eq!(edits.apply(body.as_bytes()), br#"{"o":{"p":5,"r":6},"q":2}"#);
    edits.replace(outer[0].value, &b"7"[..]);
    assert_eq!(edits.apply(body.as_bytes()), br#"{"o":7,"q":2}"#);
    edits.replace(outer[0].value, &b"8"[..]);
    edits.insert_member(whole(body), &outer, "s", &b"9"[..]);
    edits.replace(outer[1].value, &b"3"[..]);
    assert_eq!(edits.apply(body.as_bytes()), br#"{"o":8,"q":3,"s":9}"#);
    edits.remove_member(whole(body), &outer, 0);
    assert_eq!(edits.apply(body.as_bytes()), br#"{"q":3,"s":9}"#);
}

#[test]
fn spans_of_another_body_are_ignored() {
    let mut edits = Edits::new();
    for (start, end) in [(5, 2), (0, 99), (usize::MAX, usize::MAX)] {
        edits.replace(Span { start, end }, &b"x"[..]);
        edits.insert_member(Span { start, end }, &[], "k", &b"x"[..]);
    }
    // Only the insertion that happens to have a place in the body is made.
    assert_eq!(edits.apply(b"{}"), br#"{"k":x}"#);
    assert_eq!(edits.apply(b""), b"");
}

#[derive(Clone, Debug)]
enum Change {
    Replace(prop::sample::Index, i32),
    Remove(prop::sample::Index),
    Append(u8),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<prop::sample::Index>(), any::<i32>()).prop_map(|(index, value)| Change::Replace(index, value)),
        any::<prop::sample::Index>().prop_map(Change::Remove),
        (0u8..4).prop_map(Change::Append),
    ];
    prop::collection::vec(change, 0..6)
}

const NEW: [&str; 4] = ["new 0", "new 1", "new\n2", "new 3"];

/// An object written with the given white space, and its value.
fn spaced() -> impl Strategy<Value = (String, Map<String, Value>)> {
    let space = || prop::sample::select(vec!["", " ", "\n", "\t ", "\r\n"]);
    let value =
        prop::sample::select(vec![json!(1), json!("a,b}\"]"), json!({"in": [1, {"x": null}]}), json!([]), json!({})]);
    let member = ("[a-z\"\\\\é]{0,4}", value, space(), space(), space(), space());
    (prop::collection::vec(member, 0..6), space(), space()).prop_map(|(members, before, behind)| {
        let mut seen = Map::new();
        let mut texts = Vec::new();
        for (key, value, s0, s1, s2, s3) in members {
            if seen.insert(key.clone(), value.clone()).is_none() {
                texts.push(format!("{s0}{}{s1}:{s2}{value}{s3}", Value::from(key)));
            }
        }
        // A key that came twice keeps its first text, so that its value must be the first, too.
        let inside = if texts.is_empty() { before.to_owned() } else { texts.join(",") };
        let body = format!("{before}{{{inside}}}{behind}");
        let value = serde_json::from_str(&body).unwrap();
        (body, value)
    })
}

proptest! {
    #[test]
    fn an_edited_body_parses_as_the_edited_value((body, mut value) in spaced(), changes in changes()) {
        let members = object(body.as_bytes()).unwrap();
        let keys: Vec<String> = value.keys().cloned().collect();
        let mut edits = Edits::new();
        let (mut removed, mut appended, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        for change in &changes {
            match change {
                Change::Replace(index, number) if !members.is_empty() => {
                    let at = index.index(members.len());
                    edits.replace(members[at].value, number.to_string().into_bytes());
                    value[&keys[at]] = json!(number);
                    replaced.push(at);
                }
                Change::Remove(index) if !members.is_empty() => {
                    let at = index.index(members.len());
                    edits.remove_member(whole(&body), &members, at);
                    removed.push(at);
                }
                Change::Append(n) if !appended.contains(n) => {
                    edits.insert_member(whole(&body), &members, NEW[usize::from(*n)], n.to_string().into_bytes());
                    appended.push(*n);
                }
                _ => {}
            }
        }
        removed.iter().for_each(|&at| { value.shift_remove(&keys[at]); });
        for n in &appended {
            value.insert(NEW[usize::from(*n)].into(), json!(n));
        }
        let out = edits.apply(body.as_bytes());
        prop_assert_eq!(out.capacity(), out.len());
        let got: Map<String, Value> = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(got.iter().collect::<Vec<_>>(), value.iter().collect::<Vec<_>>());

        // Every member that stays is there byte for byte, in its own spelling.
        let after = object(&out).unwrap();
        let kept = (0..members.len()).filter(|at| !removed.contains(at));
        for (at, now) in kept.zip(&after) {
            prop_assert_eq!(members[at].key_span.slice(body.as_bytes()), now.key_span.slice(&out));
            if !replaced.contains(&at) {
                let was = Span { start: members[at].key_span.start, end: members[at].value.end };
                let is = Span { start: now.key_span.start, end: now.value.end };
                prop_assert_eq!(was.slice(body.as_bytes()), is.slice(&out));
            }
        }
        // What stands around the members is there as well: up to the first, and from the last on.
        let head = body.find('{').unwrap() + 1;
        prop_assert_eq!(&out[..head], &body.as_bytes()[..head]);
        if !removed.contains(&0) && !members.is_empty() {
            prop_assert!(out.starts_with(&body.as_bytes()[..members[0].value.start]));
        }
        let tail = members.last().map_or(head, |last| last.value.end);
        prop_assert!(out.ends_with(&body.as_bytes()[tail..]));
    }

    #[test]
    fn replacing_changes_no_byte_outside((body, _) in spaced(), at in any::<prop::sample::Index>()) {
        let members = object(body.as_bytes()).unwrap();
        prop_assume!(!members.is_empty());
        let span = members[at.index(members.len())].value;
        let mut edits = Edits::new();
        edits.replace(span, &b"[0]"[..]);
        let expected = [&body.as_bytes()[..span.start], b"[0]", &body.as_bytes()[span.end..]].concat();
        prop_assert_eq!(edits.apply(body.as_bytes()), expected);
    }
}
