//! Texts of counters: what they look like, and that no two calls share one that should not.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::limit::Unit;
use crate::limit::window::Window;

fn limit(per: usize, missing: WhenKeyMissing) -> Limit {
    let per = (0..per).map(|at| Key::Tag(at.to_string().into())).collect();
    let window = Window::Rolling(Duration::from_secs(60));
    Limit { per, when_key_missing: missing, ..Limit::new("p/l", Unit::Requests, 1, window) }
}

/// The counter of a call with these tags; none is a value that is missing.
fn of(values: &[Option<&str>]) -> String {
    let tag = |name: &str| values.get(name.parse::<usize>().ok()?).copied().flatten();
    match counter(&limit(values.len(), WhenKeyMissing::Shared), &facts(&tag)) {
        Counter::Of(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

fn facts<'a>(tag: &'a dyn Fn(&str) -> Option<&'a str>) -> Facts<'a> {
    Facts {
        consumer: None,
        team: None,
        namespace: "shop",
        service_account: "",
        workload: "",
        model: "m",
        backend: "",
        route: None,
        end_user: None,
        session: None,
        tag,
    }
}

#[test]
fn values_stand_behind_the_id_and_what_would_be_mistaken_is_written_as_in_a_url() {
    for (values, expected) in [
        (&[Some("search"), Some("gpt-4o")][..], "p/l|search|gpt-4o"),
        (&[None, Some("")], "p/l|~|~"),
        (&[Some("~"), Some("a~")], "p/l|%7E|a~"),
        (&[Some("a|"), Some("b")], "p/l|a%7C|b"),
        (&[Some("a"), Some("|b")], "p/l|a|%7Cb"),
        (&[Some("100%7C"), Some("{x}")], "p/l|100%257C|%7Bx%7D"),
        (&[Some("a\nb\u{85}"), Some("J\u{f6}rg 東")], "p/l|a%0Ab%C2%85|J\u{f6}rg 東"),
    ] {
        assert_eq!(of(values), expected);
    }
}

#[test]
fn a_limit_for_all_has_one_counter_and_what_is_missing_is_told_or_skipped() {
    let tag = |_: &str| None;
    let all = Limit { per: vec![Key::Fact(Fact::Global)], ..limit(0, WhenKeyMissing::Shared) };
    assert_eq!(counter(&all, &facts(&tag)), Counter::Of("p/l".into()));
    assert_eq!(counter(&limit(2, WhenKeyMissing::Skip), &facts(&tag)), Counter::Skipped);
    let missing = Counter::Missing(Key::Tag("0".into()));
    assert_eq!(counter(&limit(2, WhenKeyMissing::Deny), &facts(&tag)), missing);
}

#[test]
fn what_is_long_is_known_by_its_head_and_its_digest() {
    let long = |end: &str| "x".repeat(LONGEST) + end;
    assert_eq!(of(&[Some(&long(""))]), format!("p/l|{}", long("")));
    let digest = "%#F90587A7484711A86FD5A46B02E32023";
    let text = of(&[Some(&long("y"))]);
    assert_eq!((text.len(), &text[..HEAD + 4]), (4 + HEAD + digest.len(), &*format!("p/l|{}", "x".repeat(HEAD))));
    // Nobody who writes a value as long values are known gets their counter.
    assert_ne!(of(&[Some(&text[4..])]), text);
    // A letter is not cut.
    assert!(of(&[Some(&"東".repeat(100))]).starts_with(&format!("p/l|{}%#", "東".repeat(21))));
}

/// Values that are made of what could be mistaken for something else.
fn value() -> impl Strategy<Value = Option<String>> {
    let hostile = proptest::collection::vec(
        prop_oneof![
            Just("|"),
            Just("~"),
            Just("%"),
            Just("%7C"),
            Just("%#"),
            Just("{"),
            Just("}"),
            Just("a"),
            Just("\n")
        ],
        0..5,
    );
    let long = (250_usize..270, "[ab|]").prop_map(|(length, end)| "a".repeat(length) + &end);
    prop_oneof![
        8 => hostile.prop_map(|pieces| Some(pieces.concat())),
        2 => long.prop_map(Some),
        1 => any::<String>().prop_map(Some),
        1 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn two_calls_share_a_counter_only_if_every_value_is_the_same(
        one in proptest::collection::vec(value(), 3), other in proptest::collection::vec(value(), 3),
    ) {
        let known = |values: &[Option<String>]| -> Vec<Option<String>> {
            values.iter().map(|value| value.clone().filter(|value| !value.is_empty())).collect()
        };
        let text = |values: &[Option<String>]| of(&values.iter().map(Option::as_deref).collect::<Vec<_>>());
        prop_assert_eq!(text(&one) == text(&other), known(&one) == known(&other));
    }

    /// A text says in one way only what its values were, as far as they are not too long.
    #[test]
    fn what_is_written_can_be_read_back(values in proptest::collection::vec(value(), 1..4)) {
        let text = of(&values.iter().map(Option::as_deref).collect::<Vec<_>>());
        let is_plain = !text.contains(|letter: char| letter.is_control() || "{}".contains(letter));
        prop_assert!(is_plain, "{}", text);
        let fields: Vec<&str> = text.split(BAR).skip(1).collect();
        prop_assert_eq!(fields.len(), values.len());
        for (field, value) in fields.into_iter().zip(values) {
            let value = value.unwrap_or_default();
            match value.len() {
                0 => prop_assert_eq!(field, "~"),
                1..=LONGEST => prop_assert_eq!(read(field), value),
                _ => prop_assert!(field.len() <= 3 * HEAD + 34, "{}", field),
            }
        }
    }
}

fn read(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next().unwrap()).to_digit(16).unwrap();
        bytes.push(if byte == b'%' { u8::try_from(digit() * 16 + digit()).unwrap() } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}
