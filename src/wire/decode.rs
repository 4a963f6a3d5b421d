//! Undoes a content encoding on a copy of a body, push by push, so that it can be metered; the body
//! itself goes on as it came. It bounds what hostile input can make it produce.
//!
//! `identity`, `gzip` (RFC 1952, any number of members, zeros behind the last one), `deflate`, `br` and `zstd`
//! are known. What was flushed comes out at once: of an answer that is left early all is billed that was said.
//! (For `zstd` this needs the reference library: what there is in plain Rust holds a whole window back.)
//!
//! The gzip framing is read here and only the deflate stream is left to `flate2`: its own writer
//! holds output back until a buffer fills, which delays metering, and may panic when it is flushed
//! on corrupt data.

mod plain;
mod zstd;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use plain::Plain;

/// Output up to this size is never taken for a bomb by its ratio: small answers compress well.
const FREE: u64 = 1 << 20;

/// How much is decompressed before the limits are looked at again.
const STEP: usize = 8 << 10;

/// What `flate2` holds for one stream: its window of 32 KiB and its tables.
const INFLATE: usize = 43 << 10;

/// How much an encoded body may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Decoded bytes for each encoded byte, over the whole body, once 1 MiB has been decoded.
    pub max_ratio: u32,
    /// Decoded bytes altogether.
    pub max_bytes: u64,
}

/// What a body has grown to, against its limits.
#[derive(Clone, Copy, Debug)]
struct Budget {
    limits: Limits,
    /// Encoded and decoded bytes of the whole body.
    taken: u64,
    made: u64,
}

/// The content encoding is none that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unsupported content encoding")]
pub struct Unsupported;

/// Why decoding ended. It does not go on after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the encoded body is corrupt")]
    Corrupt,
    #[error("the encoded body grows beyond the limits")]
    Bomb,
    #[error("the encoded body ends too early")]
    Truncated,
}

/// Decodes one body.
#[derive(Debug)]
pub struct Decoder {
    coding: Coding,
}

#[derive(Debug)]
enum Coding {
    Identity,
    Gzip(Box<Gzip>),
    Plain(Box<Plain>),
}

#[derive(Debug)]
struct Gzip {
    part: Part,
    budget: Budget,
    inflate: Decompress,
    crc: Crc,
    scratch: [u8; STEP],
    failed: Option<DecodeError>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The ten fixed bytes: which one, and the flags as far as they are known.
    Head {
        at: u8,
        flags: u8,
    },
    /// The length of the extra field.
    ExtraLength {
        at: u8,
        length: u16,
        flags: u8,
    },
    Extra {
        left: u16,
        flags: u8,
    },
    /// The file name, ended by a zero.
    Name {
        flags: u8,
    },
    Comment {
        flags: u8,
    },
    /// The header's own checksum, which nobody writes; how many bytes are left.
    HeadCrc {
        left: u8,
    },
    Deflate,
    /// Checksum and length, both little-endian.
    Tail {
        at: u8,
        bytes: [u8; 8],
    },
    /// Behind a member.
    Between,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_ratio: 64, max_bytes: 64 << 20 }
    }
}

// === impl Decoder ===

impl Decoder {
    /// A decoder for the value of a `content-encoding` header; an empty one is `identity`.
    pub fn new(encoding: &str, limits: Limits) -> Result<Self, Unsupported> {
        let mut coding = Coding::Identity;
        for name in encoding.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            // Nobody sensible encodes twice, and limits would have to hold for each layer.
            if !matches!(coding, Coding::Identity) {
                return Err(Unsupported);
            }
            let budget = Budget { limits, taken: 0, made: 0 };
            coding = match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Coding::Gzip(Box::new(Gzip::new(budget))),
                "deflate" => Coding::Plain(Box::new(Plain::deflate(budget))),
                "br" => Coding::Plain(Box::new(Plain::brotli(budget))),
                "zstd" => Coding::Plain(Box::new(Plain::zstd(budget)?)),
                _ => return Err(Unsupported),
            };
        }
        Ok(Decoder { coding })
    }

    /// Whether the bytes come out as they go in.
    pub fn is_identity(&self) -> bool {
        matches!(self.coding, Coding::Identity)
    }

    /// Bytes of memory that it holds: 52 KiB for `gzip` and `deflate`; for `br` and `zstd` what the body asks
    /// for, at most 16 MiB and 8.5 MiB and their tables.
    pub fn held(&self) -> usize {
        match &self.coding {
            Coding::Identity => 0,
            Coding::Gzip(_) => size_of::<Gzip>() + INFLATE,
            Coding::Plain(plain) => plain.held(),
        }
    }

    /// Takes the next encoded bytes and appends all that can be decoded by now to `out`, at most
    /// what the limits leave. On an error `out` has what was decoded before it.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        match &mut self.coding {
            Coding::Identity => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Coding::Gzip(gzip) => gzip.push(bytes, out),
            Coding::Plain(plain) => plain.push(bytes, out),
        }
    }

    /// Ends the body. An empty one is complete in every encoding.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        match &self.coding {
            Coding::Identity => Ok(()),
            Coding::Gzip(gzip) => gzip.finish(),
            Coding::Plain(plain) => plain.finish(),
        }
    }
}

// === impl Budget ===

impl Budget {
    fn take(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes as u64);
    }

    fn make(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.made = self.made.saturating_add(bytes as u64);
        let by_ratio = self.taken.saturating_mul(u64::from(self.limits.max_ratio)).max(FREE);
        if self.made > by_ratio.min(self.limits.max_bytes) { Err(DecodeError::Bomb) } else { Ok(()) }
    }
}

// === impl Gzip ===

impl Gzip {
    fn new(budget: Budget) -> Self {
        Gzip {
            part: Part::Head { at: 0, flags: 0 },
            budget,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            scratch: [0; STEP],
            failed: None,
        }
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            let step = if self.part == Part::Deflate {
                self.inflate(rest, out)
            } else {
                self.frame(first).map(|part| {
                    self.part = part;
                    1
                })
            };
            match step {
                Ok(used) => {
                    self.budget.take(used);
                    rest = rest.get(used..).unwrap_or_default();
                }
                Err(error) => {
                    self.failed = Some(error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), DecodeError> {
        match (self.failed, self.part) {
            (Some(error), _) => Err(error),
            (None, Part::Between) => Ok(()),
            (None, _) if self.budget.taken == 0 => Ok(()),
            (None, _) => Err(DecodeError::Truncated),
        }
    }

    /// Decompresses until `bytes` are used up, the stream ends, or nothing moves; says how many
    /// bytes it used.
    fn inflate(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let mut used = 0;
        loop {
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&bytes[used..], &mut self.scratch, FlushDecompress::None)
                .map_err(|_| DecodeError::Corrupt)?;
            // Both differences are bounded by the slices given.
            let took = (self.inflate.total_in() - before_in) as usize;
            let gave = (self.inflate.total_out() - before_out) as usize;
            used += took;
            let output = &self.scratch[..gave];
            Budget { taken: self.budget.taken.saturating_add(used as u64), ..self.budget }.make(gave)?;
            self.budget.made = self.budget.made.saturating_add(gave as u64);
            self.crc.update(output);
            out.extend_from_slice(output);
            if status == Status::StreamEnd {
                self.part = Part::Tail { at: 0, bytes: [0; 8] };
                return Ok(used);
            }
            // A full buffer may hide more output, so that only an unfilled one ends the step.
            if gave < STEP && used == bytes.len() {
                return Ok(used);
            }
            if took == 0 && gave == 0 {
                return Err(DecodeError::Corrupt);
            }
        }
    }

    /// Takes one byte of the framing; says what comes next.
    fn frame(&mut self, byte: u8) -> Result<Part, DecodeError> {
        Ok(match self.part {
            Part::Head { at, flags } => {
                let valid = match at {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    3 => byte & 0xe0 == 0,
                    _ => true,
                };
                match (valid, at) {
                    (false, _) => return Err(DecodeError::Corrupt),
                    (_, 3) => Part::Head { at: 4, flags: byte },
                    (_, 9) => self.behind_head(flags),
                    _ => Part::Head { at: at + 1, flags },
                }
            }
            Part::ExtraLength { at: 0, flags, .. } => Part::ExtraLength { at: 1, length: u16::from(byte), flags },
            Part::ExtraLength { length, flags, .. } => match length | u16::from(byte) << 8 {
                0 => self.behind_head(flags & !EXTRA),
                left => Part::Extra { left, flags: flags & !EXTRA },
            },
            Part::Extra { left: 0 | 1, flags } => self.behind_head(flags),
            Part::Extra { left, flags } => Part::Extra { left: left - 1, flags },
            Part::Name { flags } if byte == 0 => self.behind_head(flags & !NAME),
            Part::Comment { flags } if byte == 0 => self.behind_head(flags & !COMMENT),
            same @ (Part::Name { .. } | Part::Comment { .. } | Part::Deflate) => same,
            Part::HeadCrc { left: 0 | 1 } => self.behind_head(0),
            Part::HeadCrc { left } => Part::HeadCrc { left: left - 1 },
            Part::Tail { at, mut bytes } => {
                bytes[usize::from(at & 7)] = byte;
                if at < 7 { Part::Tail { at: at + 1, bytes } } else { self.behind_tail(bytes)? }
            }
            Part::Between if byte == 0 => Part::Between,
            Part::Between if byte == 0x1f => Part::Head { at: 1, flags: 0 },
            Part::Between => return Err(DecodeError::Corrupt),
        })
    }

    /// The optional parts of a header come in this order.
    fn behind_head(&mut self, flags: u8) -> Part {
        if flags & EXTRA != 0 {
            Part::ExtraLength { at: 0, length: 0, flags }
        } else if flags & NAME != 0 {
            Part::Name { flags }
        } else if flags & COMMENT != 0 {
            Part::Comment { flags }
        } else if flags & HEAD_CRC != 0 {
            Part::HeadCrc { left: 2 }
        } else {
            self.inflate.reset(false);
            self.crc.reset();
            Part::Deflate
        }
    }

    fn behind_tail(&self, [a, b, c, d, e, f, g, h]: [u8; 8]) -> Result<Part, DecodeError> {
        let sum = u32::from_le_bytes([a, b, c, d]);
        let length = u32::from_le_bytes([e, f, g, h]);
        let right = sum == self.crc.sum() && length == self.crc.amount();
        if right { Ok(Part::Between) } else { Err(DecodeError::Corrupt) }
    }
}

const HEAD_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;

#[cfg(test)]
mod tests;
