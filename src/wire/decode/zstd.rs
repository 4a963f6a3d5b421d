//! `zstd` (RFC 8878) on the reference library. A block comes out as soon as it is in, so that whatever an
//! encoder has flushed can be read; several frames and skippable ones are one body.
//!
//! As a content coding it needs windows of at most 8 MiB (RFC 9659); a frame that asks for more, or for a
//! dictionary, is refused. A decoder takes 94 KiB, and from the first frame header on the window that the frame
//! states and two blocks, at most 8.5 MiB; encoders state 2 MiB where nobody orders otherwise.

use std::fmt;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::plain::Step;
use super::{DecodeError, Unsupported};

/// The largest window, as its logarithm.
const WINDOW_LOG: u32 = 23;

/// Decodes one body.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// No frame has begun since the last one ended.
    between: bool,
    /// The last output filled its place, so that there may be more.
    full: bool,
    /// What the library would like to have next: to the end of what it reads, and a block's header.
    hint: usize,
}

/// A block's header (RFC 8878, 3.1.1.2).
const BLOCK_HEADER: usize = 3;

// === impl Zstd ===

impl Zstd {
    /// # Errors
    /// [`Unsupported`] when there is no memory for it.
    pub fn new() -> Result<Self, Unsupported> {
        let mut context = DCtx::try_create().ok_or(Unsupported)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(|_| Unsupported)?;
        Ok(Zstd { context, between: true, full: false, hint: 0 })
    }

    /// Bytes of memory that the library holds for it.
    pub fn held(&self) -> usize {
        self.context.sizeof()
    }

    /// True where a body may end.
    pub fn is_between(&self) -> bool {
        self.between
    }

    /// Decodes a part of `bytes`, at most one header or block: the library drops what it made in a call that
    /// ends with an error, and what comes out must not depend on how a body was split.
    pub fn step(&mut self, bytes: &[u8], scratch: &mut [u8]) -> Result<Step, DecodeError> {
        if self.full {
            let rest = self.call(&[], scratch)?;
            if rest.gave > 0 {
                return Ok(rest);
            }
        }
        let next = match self.hint {
            // Of a frame that it has at once the library makes a single step.
            _ if self.between => 1,
            hint if hint > BLOCK_HEADER => hint - BLOCK_HEADER,
            hint => hint,
        };
        match bytes.get(..next).unwrap_or(bytes) {
            // Without a reason it is not called: it takes too many empty calls for an error.
            [] => Ok(Step { took: 0, gave: 0, ended: false }),
            bytes => self.call(bytes, scratch),
        }
    }

    fn call(&mut self, bytes: &[u8], scratch: &mut [u8]) -> Result<Step, DecodeError> {
        let (mut input, mut output) = (InBuffer::around(bytes), OutBuffer::around(scratch));
        self.hint = self.context.decompress_stream(&mut output, &mut input).map_err(|_| DecodeError::Corrupt)?;
        self.between = self.hint == 0;
        self.full = output.pos() == output.capacity();
        Ok(Step { took: input.pos(), gave: output.pos(), ended: false })
    }
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd").field("between", &self.between).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
