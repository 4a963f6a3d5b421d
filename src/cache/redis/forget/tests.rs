//! What is news, and what is believed.

use std::sync::Mutex;

use super::*;
use crate::cache::Tag;

const SECOND: u64 = 1_000_000;

fn place(namespace: &str, tag: u8) -> Place {
    Place { namespace: namespace.into(), tag: Tag([tag; 16]) }
}

fn namespace(name: &str) -> Extent {
    Extent::Namespace(name.into())
}

fn heard(version: u64, floor: u64, extents: &[(Extent, u64)]) -> Heard {
    Heard { version, floor, extents: extents.to_vec() }
}

#[test]
fn what_was_stored_before_is_forgotten_and_what_came_after_is_not() {
    let forgotten = Forgotten::new(Arc::new(|_| {}));
    assert!(!forgotten.is(&place("a", 1), 0));
    forgotten.said(Extent::Place(place("a", 1)), 100 * SECOND + 1);
    forgotten.said(namespace("b"), 50 * SECOND);
    for (place, stored, is) in [
        (place("a", 1), 100, true),
        (place("a", 1), 101, false),
        (place("a", 2), 1, false),
        (place("b", 2), 50, true),
        (place("b", 2), 51, false),
        (place("c", 1), 1, false),
    ] {
        assert_eq!(forgotten.is(&place, stored), is, "{place:?} {stored}");
    }
    forgotten.said(Extent::All, 70 * SECOND);
    assert!(forgotten.is(&place("c", 1), 70) && forgotten.is(&place("b", 2), 51) && !forgotten.is(&place("c", 1), 71));
}

#[test]
fn each_is_told_once_and_everything_where_something_was_missed() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let book = Arc::clone(&told);
    let forgotten = Forgotten::new(Arc::new(move |extent: &Extent| book.lock().unwrap().push(extent.clone())));
    let take = || std::mem::take(&mut *told.lock().unwrap());
    let (a, b) = (namespace("a"), namespace("b"));
    forgotten.hear(heard(5, 0, &[(a.clone(), 5)]));
    assert_eq!(take(), std::slice::from_ref(&a));
    forgotten.hear(heard(7, 0, &[(a.clone(), 5), (b.clone(), 7)]));
    assert_eq!(take(), std::slice::from_ref(&b));
    forgotten.said(a.clone(), 9);
    forgotten.hear(heard(9, 0, &[(a.clone(), 9), (b.clone(), 7)]));
    assert_eq!(take(), std::slice::from_ref(&a), "what this replica has said it need not hear");
    // More than are remembered have come since 9.
    forgotten.hear(heard(900, 20, &[(b.clone(), 900)]));
    assert_eq!(take(), [Extent::All]);
    forgotten.hear(heard(901, 20, &[(b.clone(), 901)]));
    assert_eq!(take(), std::slice::from_ref(&b));
    // The store has lost what it had; what was forgotten stays so.
    forgotten.hear(heard(0, 0, &[]));
    assert_eq!(take(), [Extent::All]);
    forgotten.hear(heard(0, 0, &[]));
    assert_eq!((take(), forgotten.is(&place("a", 1), 0)), (vec![], true));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut book = Book::default();
    for number in 1..=10 * MOST as u64 {
        assert!(book.note(namespace(&number.to_string()), number));
        assert!(book.at.len() <= 2 * MOST);
    }
    assert!(book.at.contains_key(&namespace("2560")) && !book.at.contains_key(&namespace("1")));
}

#[test]
fn only_what_the_script_says_is_heard() {
    let text = |text: &[u8]| Value::BulkString(text.to_vec());
    let said = [
        (text(b"a"), Value::Int(3)),
        (text(b"*"), Value::Int(4)),
        (text(b"\xff"), Value::Int(4)),
        (text(b"a:b"), Value::Int(4)),
        (text(b"c"), Value::Int(-1)),
        (text(b"d"), text(b"4")),
        (Value::Nil, Value::Int(4)),
    ];
    let flat = said.into_iter().flat_map(|(extent, version)| [extent, version]);
    let values: Vec<Value> = [Value::Int(9), Value::Int(1)].into_iter().chain(flat).collect();
    assert_eq!(read(Value::Array(values)), Some(heard(9, 1, &[(namespace("a"), 3), (Extent::All, 4)])));
    for none in [Value::Nil, Value::Array(vec![Value::Int(1)]), Value::Array(vec![Value::Int(-1), Value::Int(0)])] {
        assert_eq!(read(none), None);
    }
    let flood = [Value::Int(1), Value::Int(0)].into_iter();
    let flood = flood.chain((0..9_000).flat_map(|number: u32| [text(number.to_string().as_bytes()), Value::Int(1)]));
    assert_eq!(read(Value::Array(flood.collect())).map(|heard| heard.extents.len()), Some(MOST + 2));
    assert_eq!(step(Value::Nil).err(), Some(Down::Strange));
}
