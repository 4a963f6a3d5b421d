//! Content codings of the mock's answers: each event is flushed, as a provider must who streams.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// A content coding that the mock can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    /// Frames of stored blocks: all of the format but the compression, whose encoder would be larger than
    /// the rest of the mock.
    Zstd,
}

/// Encodes one body.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    /// Whether the frame has begun.
    Zstd(bool),
}

/// RFC 8878: the magic number, no flags, and a window of 128 KiB.
const ZSTD_HEAD: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];

/// The most that a block may hold.
const ZSTD_BLOCK: usize = 128 << 10;

// === impl Coding ===

impl Coding {
    pub const ALL: [Coding; 3] = [Coding::Gzip, Coding::Deflate, Coding::Zstd];

    /// As `accept-encoding` and `content-encoding` say it.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
        }
    }

    /// The whole of `bytes` as one body.
    pub(super) fn whole(self, bytes: &[u8]) -> Bytes {
        Encoder::new(self).push(bytes, true)
    }
}

// === impl Encoder ===

impl Encoder {
    pub(super) fn new(coding: Coding) -> Encoder {
        match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Coding::Deflate => Encoder::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Coding::Zstd => Encoder::Zstd(false),
        }
    }

    /// The next piece of the body, to its end. Writing to a `Vec` does not fail.
    pub(super) fn push(&mut self, bytes: &[u8], last: bool) -> Bytes {
        match self {
            Encoder::Gzip(encoder) => {
                let _ = encoder.write_all(bytes);
                let _ = if last { encoder.try_finish() } else { encoder.flush() };
                std::mem::take(encoder.get_mut()).into()
            }
            Encoder::Deflate(encoder) => {
                let _ = encoder.write_all(bytes);
                let _ = if last { encoder.try_finish() } else { encoder.flush() };
                std::mem::take(encoder.get_mut()).into()
            }
            Encoder::Zstd(begun) => {
                let head = if std::mem::replace(begun, true) { &[][..] } else { &ZSTD_HEAD };
                stored(head, bytes, last)
            }
        }
    }
}

/// `head`, and `bytes` as stored blocks behind it.
fn stored(head: &[u8], bytes: &[u8], last: bool) -> Bytes {
    let mut out = Vec::with_capacity(head.len() + bytes.len() + 16);
    out.extend_from_slice(head);
    let mut rest = bytes;
    while !rest.is_empty() || last {
        let (block, behind) = rest.split_at(rest.len().min(ZSTD_BLOCK));
        let ends = last && behind.is_empty();
        // At most 2^17 bytes, in 21 bits.
        let header = (block.len() as u32) << 3 | u32::from(ends);
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
        rest = behind;
        if ends {
            break;
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::decode::{Decoder, Limits};

    #[test]
    fn what_it_writes_can_be_read_at_once() {
        let long = vec![b'x'; 3 * ZSTD_BLOCK - 1];
        let pieces = [&b"one"[..], b"", &long, b"four", b""];
        for coding in Coding::ALL {
            let mut decoder = Decoder::new(coding.name(), Limits { max_ratio: 2000, ..Limits::default() }).unwrap();
            let mut encoder = Encoder::new(coding);
            for (at, piece) in pieces.into_iter().enumerate() {
                let mut out = Vec::new();
                decoder.push(&encoder.push(piece, at + 1 == pieces.len()), &mut out).unwrap();
                assert!(out == piece, "{coding:?}: piece {at}");
            }
            assert_eq!(decoder.finish(), Ok(()));
            assert_ne!(coding.whole(b""), Bytes::new());
        }
    }
}
