//! What is counted, once, and that it cannot be seen.

use std::cell::Cell;

use super::*;

fn bill(tokens: u64) -> Counted {
    Counted { usage: Usage { output: tokens, ..Usage::default() }, cost: Some(NanoUsd(7)), price: None }
}

fn text(kept: &[u8], whole: u64, beyond: u64) -> Text {
    Text { kept: kept.to_vec(), whole, beyond }
}

#[test]
fn what_was_not_kept_is_estimated_by_what_was_or_by_the_model() {
    assert_eq!(text(b"hello world", 11, 99).tokens("gpt-4o"), 2);
    assert_eq!(text(b"hello world", 22, 99).tokens("gpt-4o"), 2 + 99, "too short to say anything");
    assert_eq!(text(b"", 22, 5).tokens("gpt-4o"), 5);
    // Words of five bytes, each one token.
    let words = b" time".repeat(1000);
    assert_eq!(text(&words, 5000, 99).tokens("gpt-4o"), 1000);
    assert_eq!(text(&words, 7503, 99).tokens("gpt-4o"), 1000 + 501);
}

#[test]
fn a_character_that_was_cut_off_is_no_token() {
    for (part, rest) in
        [("\u{e9}", 1), ("\u{4e16}", 2), ("\u{4e16}", 1), ("\u{1f980}", 3), ("\u{1f980}", 2), ("\u{1f980}", 1)]
    {
        let whole = format!("hello \u{e9}{part}");
        let cut = &whole.as_bytes()[..whole.len() - rest];
        assert_eq!(complete(cut), "hello \u{e9}".as_bytes(), "{part} less {rest}");
        assert_eq!(complete(whole.as_bytes()), whole.as_bytes());
    }
    for odd in [&b""[..], b"\x80", b"\x80\x80\x80\x80", b"a\xff"] {
        assert!(odd.starts_with(complete(odd)), "no panic: {odd:?}");
    }
}

#[test]
fn clones_are_counted_once_and_agree() {
    let (room, calls) = (Cell::new(100_usize), std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0)));
    let seen = calls.clone();
    let one = Uncounted::new("gpt-4o", text(b"hello world", 11, 0), move |tokens| {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        bill(tokens)
    });
    let other = one.clone();
    let take = |bytes: usize| room.get().checked_sub(bytes).map(|left| room.set(left)).is_some();
    one.admit(take);
    other.admit(take);
    assert_eq!(room.get(), 89, "one text, one place");
    for handle in [&one, &other] {
        assert_eq!(handle.count(|bytes| room.set(room.get() + bytes)), Some(bill(2)));
    }
    assert_eq!((room.get(), calls.load(std::sync::atomic::Ordering::Relaxed)), (100, 1));
}

#[test]
fn without_room_the_estimate_stands_for_all() {
    let one = Uncounted::new("gpt-4o", text(b"hello world", 11, 0), bill);
    let other = one.clone();
    one.admit(|_| false);
    other.admit(|_| true);
    assert_eq!((one.count(|_| unreachable!()), other.count(|_| unreachable!())), (None, None));
}

#[test]
fn a_text_is_compared_and_never_shown() {
    let of = |bytes: &[u8]| Uncounted::new("gpt-4o", text(bytes, 22, 0), bill);
    assert_eq!(of(b"hello world"), of(b"hello world"));
    assert_ne!(of(b"hello world"), of(b"hello there"));
    assert_eq!(format!("{:?}", of(b"hello world")), "Uncounted(11 of 22 bytes)");
}
