//! Trees against another library's.

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// The tree as another library's, so that the two can be compared.
fn plain(value: Value<'_, '_>) -> Json {
    match value.kind() {
        Kind::Object => value.members().map(|(key, value)| (key.into_owned(), plain(value))).collect(),
        Kind::Array => value.elements().map(plain).collect(),
        _ => serde_json::from_str(value.raw()).unwrap(),
    }
}

fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "[a-z\"\\\\\u{e9}\u{1f600}\n]{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(6, 128, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Json::from),
            prop::collection::hash_map("[a-z\"\u{e9}]{0,3}", inner, 0..24).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_tree_says_what_its_document_says(json in document(), pretty: bool) {
        let body = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        let body = body.unwrap();
        let tree = Tree::read(body.as_bytes()).unwrap();
        prop_assert_eq!(plain(tree.root()), json);
    }

    #[test]
    fn it_takes_what_another_library_takes(bytes in "[\\[\\]{}:,\"a0-9e.+ \\\\u-]{0,24}") {
        let ours = Tree::read(bytes.as_bytes());
        let theirs = serde_json::from_str::<Json>(&bytes);
        match ours {
            // A number beyond a double's range, and half of a surrogate pair, are kept here.
            Ok(_) => prop_assert!(theirs.is_ok() || bytes.contains(['e', 'u'])),
            Err(JsonError::DuplicateKey { .. }) => {}
            Err(_) => prop_assert!(theirs.is_err(), "{bytes:?}"),
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Tree::read(&bytes).map(|tree| tree.root().members().count());
    }
}

#[test]
fn a_key_stands_once_wherever_it_stands() {
    let many: String = (0..40).map(|at| format!("\"k{at}\":0,")).collect();
    for body in [
        r#"{"a":1,"a":2}"#.to_owned(),
        r#"{"x":[{"a":1,"\u0061":2}]}"#.to_owned(),
        format!("{{{many}\"k7\":1}}"),
        format!("{{{many}\"k39\":1}}"),
    ] {
        assert!(matches!(Tree::read(body.as_bytes()), Err(JsonError::DuplicateKey { .. })), "{body}");
    }
    assert!(Tree::read(format!("{{{many}\"k\":1}}").as_bytes()).is_ok());
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(Tree::read(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(matches!(Tree::read(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::Depth { .. })));
    let list = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
    assert!(Tree::read(list(MAX_NODES).as_bytes()).is_ok());
    assert!(matches!(Tree::read(list(MAX_NODES + 1).as_bytes()), Err(JsonError::TooMany { .. })));
}

#[test]
fn values_read_as_what_they_are() {
    let body = r#"{"s":"a\u00e9","n":1.50,"w":3.0,"t":true,"z":null,"e":[],"o":{"k":"v"}}"#;
    let tree = Tree::read(body.as_bytes()).unwrap();
    let root = tree.root();
    let get = |name: &str| root.get(name).unwrap();
    assert_eq!(get("s").text().as_deref(), Some("aé"));
    assert_eq!((get("n").number(), get("n").whole(), get("w").whole()), (Some("1.50"), None, Some(3)));
    assert_eq!((get("t").flag(), get("s").flag()), (Some(true), None));
    assert!(root.get("z").is_none() && get("e").is_empty() && !get("o").is_empty());
    assert_eq!(get("o").raw(), r#"{"k":"v"}"#);
    assert!(matches!(get("o").get("k").unwrap().text(), Some(Cow::Borrowed("v"))));
}
