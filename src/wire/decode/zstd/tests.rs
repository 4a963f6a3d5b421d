//! What the reference encoder made is decoded however it is split, and at once; hostile input is stopped within
//! bounds.

use proptest::prelude::*;
use zstd_safe::zstd_sys::ZSTD_EndDirective::{self, ZSTD_e_continue, ZSTD_e_end, ZSTD_e_flush};
use zstd_safe::{CCtx, CParameter};

use super::super::tests::{is_capped, is_stopped, text};
use super::super::{Decoder, Limits};
use super::*;

/// An encoder with a checksum, and with this window where one is given.
fn encoder(window_log: Option<u32>) -> CCtx<'static> {
    let mut encoder = CCtx::create();
    encoder.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    if let Some(log) = window_log {
        encoder.set_parameter(CParameter::WindowLog(log)).unwrap();
    }
    encoder
}

fn encode(encoder: &mut CCtx<'_>, data: &[u8], how: ZSTD_EndDirective) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    let mut input = InBuffer::around(data);
    loop {
        let mut output = OutBuffer::around(&mut piece[..]);
        let left = encoder.compress_stream2(&mut output, &mut input, how).unwrap();
        all.extend_from_slice(output.as_slice());
        if input.pos() == data.len() && (left == 0 || how == ZSTD_e_continue) {
            return all;
        }
    }
}

/// One frame whose header says how long it is.
fn sized(data: &[u8]) -> Vec<u8> {
    encode(&mut encoder(None), data, ZSTD_e_end)
}

/// One frame whose header does not.
fn streamed(data: &[u8]) -> Vec<u8> {
    let mut encoder = encoder(None);
    let (first, second) = data.split_at(data.len() / 2);
    let first = encode(&mut encoder, first, ZSTD_e_flush);
    [first, encode(&mut encoder, second, ZSTD_e_end)].concat()
}

/// A frame that a decoder leaves out (RFC 8878, 3.1.2).
fn skippable(data: &[u8]) -> Vec<u8> {
    [&[0x53, 0x2a, 0x4d, 0x18][..], &(data.len() as u32).to_le_bytes(), data].concat()
}

/// Frames of each kind, one after another.
fn mixed() -> (Vec<u8>, Vec<u8>) {
    let data = text(400);
    let frames = [skippable(b"before"), streamed(&data), skippable(b""), sized(b""), sized(&data), skippable(b"x")];
    (frames.concat(), [&data[..], &data].concat())
}

fn push_all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new("zstd", Limits::default()).unwrap();
    let mut out = Vec::new();
    let result = parts.into_iter().try_for_each(|part| decoder.push(part, &mut out)).and_then(|()| decoder.finish());
    (out, result)
}

fn decode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, DecodeError> {
    let (out, result) = push_all(parts);
    result.map(|()| out)
}

#[test]
fn every_split_and_every_early_end() {
    let data = text(400);
    for body in [sized(&data), streamed(&data)] {
        for cut in 0..=body.len() {
            assert_eq!(decode([&body[..cut], b"", &body[cut..]]).as_ref(), Ok(&data), "cut at {cut}");
        }
        for end in 1..body.len() {
            assert_eq!(decode([&body[..end]]), Err(DecodeError::Truncated), "up to {end}");
        }
        assert_eq!(decode([&body[..], b"x"]), Err(DecodeError::Corrupt));
        assert_eq!(decode([&body[..], &body[..20]]), Err(DecodeError::Truncated));
    }
    assert_eq!(decode([]), Ok(Vec::new()));
    assert_eq!(decode([&b""[..]; 40]), Ok(Vec::new()));
}

#[test]
fn many_frames_and_skippable_ones_are_one_body() {
    let (body, data) = mixed();
    for cut in 0..=body.len() {
        assert_eq!(decode([&body[..cut], &body[cut..]]).as_ref(), Ok(&data), "cut at {cut}");
    }
    assert_eq!(decode(body.chunks(1)), Ok(data));
}

#[test]
fn output_is_not_held_back() {
    // Also what fills the decoding step exactly, and a whole block.
    let sizes = [1, 11, 8192, 16384, 128 << 10, 300_000, 7];
    for window in [None, Some(10), Some(23)] {
        let (mut encoder, mut decoder) = (encoder(window), Decoder::new("zstd", Limits::default()).unwrap());
        for (at, size) in sizes.into_iter().enumerate() {
            let event = text(size);
            let piece = encode(&mut encoder, &event, ZSTD_e_flush);
            let mut out = Vec::new();
            decoder.push(&piece, &mut out).unwrap();
            assert!(out == event, "event {at}: {} of {size} bytes", out.len());
            for _ in 0..40 {
                decoder.push(b"", &mut out).unwrap();
            }
        }
        assert_eq!(decoder.finish(), Err(DecodeError::Truncated));
        let tail = encode(&mut encoder, b"", ZSTD_e_end);
        decoder.push(&tail, &mut Vec::new()).unwrap();
        assert_eq!(decoder.finish(), Ok(()));
    }
}

/// A frame of nothing with this window (RFC 8878, 3.1.1.1.2: exponent and mantissa), and one empty block.
fn window(exponent: u8, mantissa: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3 | mantissa, 1, 0, 0]
}

#[test]
fn a_window_of_8_mebibytes_is_the_largest() {
    assert_eq!(decode([&window(13, 0)[..]]), Ok(Vec::new()));
    for (exponent, mantissa) in [(13, 1), (14, 0), (31, 7)] {
        assert_eq!(decode([&window(exponent, mantissa)[..]]), Err(DecodeError::Corrupt), "{exponent} {mantissa}");
    }
    let data = text(100);
    let mut log_24 = encoder(Some(24));
    let body = [encode(&mut log_24, &data, ZSTD_e_flush), encode(&mut log_24, b"", ZSTD_e_end)].concat();
    assert_eq!(decode([&body[..]]), Err(DecodeError::Corrupt));
}

#[test]
fn memory_is_what_the_head_of_this_file_says() {
    let mut zstd = Zstd::new().unwrap();
    assert!(zstd.context.sizeof() <= 94 << 10, "{}", zstd.context.sizeof());
    let mut scratch = [0; 64];
    let frame = window(13, 0);
    for byte in &frame[..6] {
        zstd.step(&[*byte], &mut scratch).unwrap();
    }
    let most = zstd.context.sizeof();
    assert!((8 << 20..17 << 19).contains(&most), "{most}");
}

#[test]
fn a_dictionary_is_refused() {
    let (dictionary, data) = (text(4000), text(300));
    let mut with = encoder(None);
    with.load_dictionary(&dictionary).unwrap();
    let body = encode(&mut with, &data, ZSTD_e_end);
    assert!(body.len() < sized(&data).len(), "the dictionary was used");
    assert_eq!(decode([&body[..]]), Err(DecodeError::Corrupt));
    // One that is named by its number: a flag in the frame's header, and the number.
    let named = [&[0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 0, 1, 0, 0][..]].concat();
    assert_eq!(decode([&named[..]]), Err(DecodeError::Corrupt));
}

#[test]
fn corrupt_data_and_checksum() {
    let body = streamed(&text(400));
    assert_eq!(body[6] >> 1 & 3, 2, "a compressed block");
    // The magic number, a reserved flag, the reserved kind of block, the checksum.
    for (at, flip) in [(0, 1), (3, 1), (4, 0x08), (6, 0x02), (body.len() - 1, 1)] {
        let mut bad = body.clone();
        bad[at] ^= flip;
        assert_eq!(decode([&bad[..]]), Err(DecodeError::Corrupt), "{at}");
        assert_eq!(decode(bad.chunks(1)), Err(DecodeError::Corrupt), "{at}");
    }
    assert_eq!(decode([&b"{\"not\":\"zstd\"}"[..]]), Err(DecodeError::Corrupt));
    let mut decoder = Decoder::new("zstd", Limits::default()).unwrap();
    let mut out = Vec::new();
    for bytes in [&b"x"[..], &body, b""] {
        assert_eq!(decoder.push(bytes, &mut out), Err(DecodeError::Corrupt));
    }
    assert_eq!((decoder.finish(), out.len()), (Err(DecodeError::Corrupt), 0));
}

#[test]
fn a_bomb_is_stopped_within_bounds() {
    let zeros = vec![0; 40 << 20];
    let one = sized(&vec![0; 7 << 20]);
    let long = encode(&mut encoder(Some(20)), &zeros, ZSTD_e_flush);
    for body in [one.repeat(6), long] {
        is_stopped("zstd", &body);
    }
}

#[test]
fn the_size_is_capped_whatever_the_ratio() {
    let data = text(300_000);
    is_capped("zstd", &streamed(&data), &data);
}

proptest! {
    #[test]
    fn all_that_was_flushed_is_out(
        events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..12),
        step in 1usize..700,
    ) {
        let (mut encoder, mut decoder) = (encoder(None), Decoder::new("zstd", Limits::default()).unwrap());
        for event in &events {
            let mut out = Vec::new();
            for part in encode(&mut encoder, event, ZSTD_e_flush).chunks(step) {
                decoder.push(part, &mut out).unwrap();
            }
            prop_assert_eq!(&out, event);
        }
    }

    #[test]
    fn any_split_gives_the_same(data in prop::collection::vec(any::<u8>(), 0..4000), step in 1usize..400) {
        for body in [sized(&data), streamed(&data)] {
            prop_assert_eq!(decode(body.chunks(step)), Ok(data.clone()));
        }
    }

    #[test]
    fn one_changed_byte_never_panics_and_gives_the_same(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        step in 1usize..100,
    ) {
        let mut body = mixed().0;
        let at = at.index(body.len());
        body[at] = byte;
        let ((some, end), (all, whole)) = (push_all(body.chunks(step)), push_all([&body[..]]));
        prop_assert_eq!(&end, &whole);
        // A damaged block is out as far as it was read when the damage is found.
        let shorter = some.len().min(all.len());
        prop_assert_eq!(&some[..shorter], &all[..shorter]);
        prop_assert!(end.is_err() || some.len() == all.len());
    }

    #[test]
    fn no_bytes_panic(descriptor in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..300)) {
        let framed = [&[0x28, 0xb5, 0x2f, 0xfd, descriptor][..], &body].concat();
        for body in [body, framed] {
            prop_assert_eq!(push_all([&body[..]]), push_all(body.chunks(1)));
        }
    }
}
