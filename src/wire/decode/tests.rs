//! What `flate2` encodes is decoded however it is split; hostile input is stopped within bounds.

use std::io::Write;

use flate2::{Compression, GzBuilder, write::GzEncoder};
use proptest::prelude::*;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Text that does not repeat itself too much.
pub(super) fn text(length: usize) -> Vec<u8> {
    let mut seed = 1u32;
    std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnop "[(seed >> 24) as usize % 17]
    })
    .take(length)
    .collect()
}

fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new("gzip", Limits::default()).unwrap();
    let mut out = Vec::new();
    for part in parts {
        decoder.push(part, &mut out)?;
    }
    decoder.finish()?;
    Ok(out)
}

#[test]
fn encodings() {
    for identity in ["", "identity", " Identity , "] {
        assert!(Decoder::new(identity, Limits::default()).unwrap().is_identity());
    }
    for known in ["gzip", "X-GZip", "identity, gzip", "Deflate", "br", "ZSTD"] {
        assert!(!Decoder::new(known, Limits::default()).unwrap().is_identity());
    }
    for unknown in ["compress", "gzip, gzip", "gzip, br", "br, deflate", "zstd, zstd", "gzipped"] {
        assert_eq!(Decoder::new(unknown, Limits::default()).unwrap_err(), Unsupported);
    }
}

#[test]
fn identity_passes_anything() {
    let mut decoder = Decoder::new("identity", Limits { max_ratio: 0, max_bytes: 0 }).unwrap();
    let mut out = Vec::new();
    decoder.push(b"ab", &mut out).unwrap();
    decoder.push(b"\x1f\x8b", &mut out).unwrap();
    assert_eq!((decoder.finish(), &out[..]), (Ok(()), &b"ab\x1f\x8b"[..]));
}

#[test]
fn every_header_field_and_every_split() {
    let data = text(3000);
    let mut encoder =
        GzBuilder::new().extra(vec![7; 300]).filename("name").comment("comment").write(Vec::new(), Compression::fast());
    encoder.write_all(&data).unwrap();
    let mut body = encoder.finish().unwrap();
    // A second member with a header checksum and an empty extra field, a third one without anything, zeros.
    let plain = gzip(b"more");
    body.extend_from_slice(&[0x1f, 0x8b, 8, 2 | 4, 0, 0, 0, 0, 0, 255, 0, 0, 0xaa, 0xbb]);
    body.extend_from_slice(&plain[10..]);
    body.extend_from_slice(&plain);
    body.extend_from_slice(&[0; 5]);
    let expected = [&data[..], b"more", b"more"].concat();
    for cut in 0..=body.len() {
        assert_eq!(decode([&body[..cut], &body[cut..]]).as_ref(), Ok(&expected), "cut at {cut}");
    }
    assert_eq!(decode(body.chunks(1)), Ok(expected));
}

#[test]
fn output_is_not_held_back() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = Decoder::new("gzip", Limits::default()).unwrap();
    let mut sent = 0;
    for event in ["data: one\n\n", "data: two\n\n"] {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let mut out = Vec::new();
        decoder.push(&encoder.get_ref()[sent..], &mut out).unwrap();
        sent = encoder.get_ref().len();
        assert_eq!(out, event.as_bytes());
    }
    assert_eq!(decoder.finish(), Err(DecodeError::Truncated));
}

#[test]
fn truncated_anywhere() {
    let body = gzip(&text(500));
    assert_eq!(decode([]), Ok(Vec::new()));
    for end in 1..body.len() {
        assert_eq!(decode([&body[..end]]), Err(DecodeError::Truncated), "{end}");
    }
}

#[test]
fn corrupt_header_data_and_checksum() {
    let body = gzip(&text(500));
    let length = body.len();
    // The identification, the method, reserved flags, the first block's type, checksum and length.
    let places = [(0, 1), (1, 1), (2, 1), (3, 0x80), (10, 0x06), (length - 8, 1), (length - 1, 1)];
    for (at, flip) in places {
        let mut bad = body.clone();
        bad[at] ^= flip;
        assert_eq!(decode([&bad[..]]), Err(DecodeError::Corrupt), "{at}");
        assert_eq!(decode(bad.chunks(1)), Err(DecodeError::Corrupt), "{at}");
    }
    assert_eq!(decode([&body[..], b"x"]), Err(DecodeError::Corrupt));
    assert_eq!(decode([&b"{\"not\":\"gzip\"}"[..]]), Err(DecodeError::Corrupt));
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::new("gzip", Limits::default()).unwrap();
    let mut out = Vec::new();
    assert_eq!(decoder.push(b"x", &mut out), Err(DecodeError::Corrupt));
    assert_eq!(decoder.push(&gzip(b"a"), &mut out), Err(DecodeError::Corrupt));
    assert_eq!(decoder.finish(), Err(DecodeError::Corrupt));
    assert!(out.is_empty());
}

#[test]
fn a_small_answer_may_compress_well() {
    let data = vec![b' '; 1 << 20];
    let body = gzip(&data);
    assert!(data.len() / body.len() > 500);
    assert_eq!(decode([&body[..]]), Ok(data));
}

#[test]
fn a_bomb_is_stopped_within_bounds() {
    is_stopped("gzip", &gzip(&vec![0; 40 << 20]));
}

#[test]
fn the_size_is_capped_whatever_the_ratio() {
    let data = text(300_000);
    is_capped("gzip", &gzip(&data), &data);
}

/// A body that grows beyond all measure ends in an error, however it is cut, and takes no memory for it.
pub(super) fn is_stopped(coding: &str, body: &[u8]) {
    assert!(body.len() < 64 << 10, "{coding}: {} bytes", body.len());
    for step in [1, 100, body.len()] {
        let mut decoder = Decoder::new(coding, Limits::default()).unwrap();
        let mut out = Vec::new();
        let result = body.chunks(step).try_for_each(|part| decoder.push(part, &mut out));
        assert_eq!(result, Err(DecodeError::Bomb), "{coding}");
        // The vector doubles, so that its capacity is what memory was really taken.
        assert!(out.capacity() <= 4 << 20, "{coding}: {} bytes", out.capacity());
        assert_eq!(decoder.push(b"", &mut out), Err(DecodeError::Bomb));
    }
}

/// The cap lets through exactly `data`, and not one byte less.
pub(super) fn is_capped(coding: &str, body: &[u8], data: &[u8]) {
    let limits = |max_bytes| Limits { max_ratio: 64, max_bytes };
    let size = data.len() as u64;
    let mut out = Vec::new();
    let exact = Decoder::new(coding, limits(size)).unwrap().push(body, &mut out);
    assert_eq!((exact, out == data), (Ok(()), true));
    out.clear();
    assert_eq!(Decoder::new(coding, limits(size - 1)).unwrap().push(body, &mut out), Err(DecodeError::Bomb));
    assert!(out.len() < data.len());
}

#[test]
fn many_members_are_one_body_to_the_limits() {
    let member = gzip(&vec![0; 512 << 10]);
    let body = member.repeat(40);
    assert_eq!(decode([&body[..]]), Err(DecodeError::Bomb));
}

proptest! {
    #[test]
    fn any_split_gives_the_same(data in prop::collection::vec(any::<u8>(), 0..4000), step in 1usize..400) {
        let body = gzip(&data);
        prop_assert_eq!(decode(body.chunks(step)), Ok(data));
    }

    #[test]
    fn one_changed_byte_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), step in 1usize..100) {
        let mut body = gzip(&text(2000));
        let at = at.index(body.len());
        body[at] = byte;
        let whole = decode([&body[..]]);
        prop_assert_eq!(decode(body.chunks(step)), whole);
    }

    #[test]
    fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..200), flags in 0u8..32) {
        let body = [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3][..], &tail].concat();
        prop_assert_eq!(decode([&body[..]]), decode(body.chunks(1)));
    }
}
