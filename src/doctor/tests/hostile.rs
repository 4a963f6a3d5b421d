//! What is no dump, and what only looks like one.

use proptest::prelude::*;

use super::dump::DumpError;
use super::*;

/// Words that mean something in a dump.
const WORDS: &[&str] = &[
    "configs",
    "static_listeners",
    "listener",
    "filter_chains",
    "filters",
    "typed_config",
    "@type",
    "http_filters",
    "route_config",
    "virtual_hosts",
    "routes",
    "match",
    "route",
    "cluster",
    "timeout",
    "name",
    "value",
    "access_log",
    "typed_per_filter_config",
    "type_url",
    "load_assignment",
    "endpoints",
    "15s",
    "-1s",
    "1e400s",
    "%REQ(",
    "%CEL(request.headers[",
    "type.googleapis.com/xds.type.v3.TypedStruct",
    "outbound|443||",
    "x-weir-backend",
    "*.",
];

fn any_json() -> impl Strategy<Value = Value> {
    let word = || prop_oneof![prop::sample::select(WORDS).prop_map(str::to_owned), ".{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Every place in a value, as pointers.
fn places(value: &Value, at: String, into: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, format!("{at}/{index}"), into));
        }
        Value::Object(members) => {
            for (name, member) in members {
                places(member, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        _ => {}
    }
    into.push(at);
}

fn look(text: &str) {
    let Ok(dump) = Dump::read(text.as_bytes()) else { return };
    let evidence = Evidence { dump: Some(dump), stats: Stats::read(text), ..evidence(&json!({"configs": []})) };
    let report = examine(&evidence);
    assert!(!report.to_text().is_empty() && report.to_json().is_object());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_json_makes_it_panic(value in any_json()) {
        look(&value.to_string());
        look(&json!({"configs": [value]}).to_string());
        let _ = Pods::read(&value.to_string());
    }

    #[test]
    fn no_piece_of_a_dump_makes_it_panic(value in any_json(), at in any::<prop::sample::Index>()) {
        let mut dump = healthy();
        let mut found = Vec::new();
        places(&dump, String::new(), &mut found);
        *dump.pointer_mut(&found[at.index(found.len())]).unwrap() = value;
        look(&dump.to_string());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Dump::read(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = (Pods::read(&text), Stats::read(&text));
    }

    #[test]
    fn a_dump_that_is_cut_is_no_dump(cut in any::<prop::sample::Index>()) {
        let text = healthy().to_string();
        let cut = cut.index(text.len());
        prop_assert!(Dump::read(&text.as_bytes()[..cut]).is_err());
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = "[".repeat(1 << 20);
    assert!(matches!(Dump::read(deep.as_bytes()), Err(DumpError::Json { .. })));
    let closed = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    assert!(matches!(Dump::read(closed.as_bytes()), Err(DumpError::NoConfigs)));
    let objects = format!("{}1{}", "{\"a\":".repeat(1 << 20), "}".repeat(1 << 20));
    assert!(matches!(Dump::read(objects.as_bytes()), Err(DumpError::NoConfigs)));
    // A piece that is too deep is left out and told; the others are read.
    let mut dump = healthy();
    dump["configs"][1]["static_listeners"].as_array_mut().unwrap().insert(0, json!("DEEP"));
    let text = dump.to_string().replace("\"DEEP\"", &closed);
    let report = examine(&Evidence { dump: Some(Dump::read(text.as_bytes()).unwrap()), ..evidence(&healthy()) });
    assert_eq!(codes(&report), [(Severity::Warning, "dump-unreadable")]);
    assert_eq!(report.findings[0].at, "static_listeners[0]");
}

#[test]
fn what_is_no_dump_is_told_where() {
    let error = |text: &[u8]| Dump::read(text).unwrap_err().to_string();
    assert!(error(b"").contains("line 1, column 0: it ends too early"), "{}", error(b""));
    assert!(error(b"{\n  \"configs\": [,]}").contains("line 2"), "{}", error(b"{\n  \"configs\": [,]}"));
    assert!(error(b"{\n\"a\xff\"}").contains("line 2, column 3: no UTF-8"), "{}", error(b"{\n\"a\xff\"}"));
    for other in [&b"[]"[..], b"{}", b"7", b"{\"a\": {}, \"b\": {}}", b"{\"configs\": {}}"] {
        assert!(error(other).contains("`istioctl proxy-config all POD -o json`"), "{}", error(other));
    }
    assert!(Dump::read(b"\xef\xbb\xbf{\"configs\": []}").is_ok());
}
