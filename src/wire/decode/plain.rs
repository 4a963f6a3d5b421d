//! The codings without a framing of their own here: `deflate` (RFC 1950, and RFC 1951 as some servers say it),
//! `br` (RFC 7932) and `zstd`. What a library can give by now comes out at once; nothing is held back.

use std::fmt;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};

use super::zstd::Zstd;
use super::{Budget, DecodeError, INFLATE, STEP, Unsupported};

/// Decodes one body.
#[derive(Debug)]
pub(super) struct Plain {
    kind: Kind,
    budget: Budget,
    ended: bool,
    scratch: [u8; STEP],
    failed: Option<DecodeError>,
}

/// Which coding it is.
#[derive(Debug)]
enum Kind {
    /// The first two bytes tell whether there is a zlib header; this is what came of them.
    Undecided(Option<u8>),
    Deflate(Decompress),
    Brotli(Box<Brotli>),
    Zstd(Zstd),
}

/// The library's state, which has no `Debug`.
struct Brotli(BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>);

/// What one step of a library did.
pub(super) struct Step {
    pub took: usize,
    pub gave: usize,
    /// Nothing may follow.
    pub ended: bool,
}

// === impl Plain ===

impl Plain {
    pub fn deflate(budget: Budget) -> Self {
        Plain::new(Kind::Undecided(None), budget)
    }

    pub fn brotli(budget: Budget) -> Self {
        let alloc = StandardAlloc::default;
        // Without the large windows of the command line tool: 16 MiB is the most that a body can ask for.
        let state = BrotliState::new_strict(alloc(), alloc(), alloc());
        Plain::new(Kind::Brotli(Box::new(Brotli(state))), budget)
    }

    pub fn zstd(budget: Budget) -> Result<Self, Unsupported> {
        Ok(Plain::new(Kind::Zstd(Zstd::new()?), budget))
    }

    fn new(kind: Kind, budget: Budget) -> Self {
        Plain { kind, budget, ended: false, scratch: [0; STEP], failed: None }
    }

    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let result = self.failed.map_or_else(|| self.decode(bytes, out), Err);
        self.failed = result.err();
        result
    }

    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.may_end() || self.budget.taken == 0 => Ok(()),
            None => Err(DecodeError::Truncated),
        }
    }

    /// Bytes of memory that it holds.
    pub fn held(&self) -> usize {
        let state = match &self.kind {
            Kind::Undecided(_) => 0,
            Kind::Deflate(_) => INFLATE,
            Kind::Brotli(brotli) => brotli.held(),
            Kind::Zstd(zstd) => zstd.held(),
        };
        state + size_of::<Plain>()
    }

    fn may_end(&self) -> bool {
        match &self.kind {
            Kind::Zstd(zstd) => zstd.is_between(),
            _ => self.ended,
        }
    }

    fn decode(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let Kind::Undecided(first) = self.kind else { return self.inflate(bytes, out) };
        let (first, second, rest) = match (first, bytes) {
            (_, []) => return Ok(()),
            (None, &[byte]) => {
                self.kind = Kind::Undecided(Some(byte));
                // A body that ends here has begun.
                self.budget.taken = 1;
                return Ok(());
            }
            (None, &[first, second, ref rest @ ..]) => (first, second, rest),
            (Some(first), &[second, ref rest @ ..]) => (first, second, rest),
        };
        self.kind = Kind::Deflate(Decompress::new(is_zlib(first, second)));
        self.budget.taken = 0;
        self.inflate(&[first, second], out)?;
        self.inflate(rest, out)
    }

    /// Decodes until `bytes` are used up and nothing moves any more.
    fn inflate(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let mut rest = bytes;
        loop {
            if self.ended {
                return if rest.is_empty() { Ok(()) } else { Err(DecodeError::Corrupt) };
            }
            let step = match &mut self.kind {
                Kind::Undecided(_) => return Ok(()),
                Kind::Deflate(deflate) => step_deflate(deflate, rest, &mut self.scratch)?,
                Kind::Brotli(brotli) => step_brotli(&mut brotli.0, rest, &mut self.scratch)?,
                Kind::Zstd(zstd) => zstd.step(rest, &mut self.scratch)?,
            };
            rest = rest.get(step.took..).unwrap_or_default();
            self.budget.take(step.took);
            self.budget.make(step.gave)?;
            out.extend_from_slice(self.scratch.get(..step.gave).unwrap_or_default());
            self.ended = step.ended;
            // A full buffer may hide more output, so that only an unfilled one ends the step.
            if !self.ended && rest.is_empty() && step.gave < STEP {
                return Ok(());
            }
            if !self.ended && step.took == 0 && step.gave == 0 {
                return Err(DecodeError::Corrupt);
            }
        }
    }
}

/// RFC 1950, 2.2: the method is 8, its window at most 32 KiB, and both bytes together divide by 31.
fn is_zlib(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
}

fn step_deflate(deflate: &mut Decompress, bytes: &[u8], scratch: &mut [u8]) -> Result<Step, DecodeError> {
    let (before_in, before_out) = (deflate.total_in(), deflate.total_out());
    let status = deflate.decompress(bytes, scratch, FlushDecompress::None).map_err(|_| DecodeError::Corrupt)?;
    // Both differences are bounded by the slices given.
    let took = (deflate.total_in() - before_in) as usize;
    let gave = (deflate.total_out() - before_out) as usize;
    Ok(Step { took, gave, ended: status == Status::StreamEnd })
}

fn step_brotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    bytes: &[u8],
    scratch: &mut [u8],
) -> Result<Step, DecodeError> {
    let (mut left_in, mut took) = (bytes.len(), 0);
    let (mut left_out, mut gave, mut total) = (scratch.len(), 0, 0);
    let result =
        BrotliDecompressStream(&mut left_in, &mut took, bytes, &mut left_out, &mut gave, scratch, &mut total, state);
    match result {
        BrotliResult::ResultFailure => Err(DecodeError::Corrupt),
        result => Ok(Step { took, gave, ended: matches!(result, BrotliResult::ResultSuccess) }),
    }
}

// === impl Brotli ===

impl Brotli {
    /// Bytes of memory: the window, and the tables of the codes and of their contexts.
    fn held(&self) -> usize {
        let state = &self.0;
        let groups = [&state.literal_hgroup, &state.insert_copy_hgroup, &state.distance_hgroup];
        let codes: usize = groups.iter().map(|group| size_of_val(group.codes.slice())).sum();
        let maps = state.context_map.slice().len() + state.dist_context_map.slice().len();
        state.ringbuffer.slice().len() + codes + maps + size_of::<Brotli>()
    }
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
