//! What other encoders made is decoded however it is split; hostile input is stopped within bounds.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::super::tests::{is_stopped, text};
use super::super::{Decoder, Limits};
use super::*;

/// The reference encoder's, of `text(300)`.
const TEXT: &str = "1b2b01f8e5b1b175d9b785b644412e7448ceac9aeca7b5ef572e7c454d5ae81d306cdc5304196f2b73afcfa016f1b605844500d991ee53\
    e25349cda1b5506a1e8e3003ed68450571ed4aed95b8f3c565e7efea7cad6a54ac95313bf4a2a4fc9da741a5f3d94a2aae6895eaeac3c3\
    9ad8a493c2d6c0f7ffca61d7615698f13d516a3a42f03c8ffefebc48ef660669cf5fcfb2b2ede6da031be8667671d929590b588c819cc8\
    0e67c142";

/// The same of 40 MiB of zeros.
const BOMB: &str = "cfffff7ff82700e2b14020f7fe9ffffffff04f00c4610180eefd7ffeffffe19f0088c32200ddfb3f";

/// `data: one`, an empty line, and a flush.
const ONE: &str = "0b0580646174613a206f6e650a0a";

/// What follows it for `data: two`.
const TWO: &str = "5000805f5ae18dee4e11a24a04600b";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn decode<'a>(coding: &str, parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(coding, Limits::default()).unwrap();
    let mut out = Vec::new();
    for part in parts {
        decoder.push(part, &mut out)?;
    }
    decoder.finish()?;
    Ok(out)
}

/// Each coding with the same text in it.
fn bodies() -> [(&'static str, Vec<u8>); 3] {
    let text = text(300);
    [("deflate", zlib(&text)), ("deflate", raw(&text)), ("br", bytes(TEXT))]
}

#[test]
fn every_split_and_every_early_end() {
    for (coding, body) in bodies() {
        for cut in 0..=body.len() {
            assert_eq!(decode(coding, [&body[..cut], &body[cut..]]), Ok(text(300)), "{coding} cut at {cut}");
        }
        assert_eq!(decode(coding, body.chunks(1)), Ok(text(300)));
        assert_eq!(decode(coding, []), Ok(Vec::new()));
        for end in 1..body.len() {
            assert_eq!(decode(coding, [&body[..end]]), Err(DecodeError::Truncated), "{coding} up to {end}");
        }
        let longer = [&body[..], b"x"].concat();
        assert_eq!(decode(coding, [&longer[..]]), Err(DecodeError::Corrupt), "{coding}");
        assert_eq!(decode(coding, longer.chunks(1)), Err(DecodeError::Corrupt), "{coding}");
    }
}

#[test]
fn output_is_not_held_back() {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut pieces = Vec::new();
    for event in ["data: one\n\n", "data: two\n\n"] {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        pieces.push(std::mem::take(encoder.get_mut()));
    }
    for (coding, pieces) in [("deflate", pieces), ("br", vec![bytes(ONE), bytes(TWO)])] {
        let mut decoder = Decoder::new(coding, Limits::default()).unwrap();
        for (piece, event) in pieces.iter().zip(["data: one\n\n", "data: two\n\n"]) {
            let mut out = Vec::new();
            decoder.push(piece, &mut out).unwrap();
            assert_eq!(String::from_utf8_lossy(&out), event, "{coding}");
        }
        assert_eq!(decoder.finish(), Err(DecodeError::Truncated));
    }
}

#[test]
fn a_bomb_is_stopped_within_bounds() {
    for (coding, body) in [("deflate", zlib(&vec![0; 40 << 20])), ("br", bytes(BOMB))] {
        is_stopped(coding, &body);
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same(data in prop::collection::vec(any::<u8>(), 0..4000), step in 1usize..400) {
        for body in [zlib(&data), raw(&data)] {
            prop_assert_eq!(decode("deflate", body.chunks(step)), Ok(data.clone()));
        }
    }

    #[test]
    fn one_changed_byte_never_panics(
        which in 0..3_usize,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        step in 1usize..100,
    ) {
        let (coding, mut body) = bodies()[which].clone();
        let at = at.index(body.len());
        body[at] = byte;
        prop_assert_eq!(decode(coding, body.chunks(step)), decode(coding, [&body[..]]));
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for coding in ["deflate", "br"] {
            prop_assert_eq!(decode(coding, [&body[..]]), decode(coding, body.chunks(1)));
        }
    }
}

#[test]
fn what_a_body_makes_its_decoder_hold_is_told() {
    let fresh = Decoder::new("br", Limits::default()).unwrap().held();
    let mut decoder = Decoder::new("br", Limits { max_ratio: u32::MAX, max_bytes: u64::MAX }).unwrap();
    let mut out = Vec::new();
    decoder.push(&bytes(BOMB), &mut out).unwrap();
    assert_eq!(out.len(), 40 << 20);
    assert!(fresh < 1 << 16 && (4 << 20..17 << 20).contains(&decoder.held()), "{fresh} {}", decoder.held());
    for (coding, least) in [("gzip", 40 << 10), ("deflate", 0), ("identity", 0)] {
        let held = Decoder::new(coding, Limits::default()).unwrap().held();
        assert!((least..=64 << 10).contains(&held), "{coding} {held}");
    }
}
