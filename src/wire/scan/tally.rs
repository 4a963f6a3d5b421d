//! How much text an answer holds and, where somebody wants to count it, the text itself: never more
//! than there is room for, and no allocation where nothing is kept.

use std::fmt;

use super::Scan;

/// The least that is allocated at once.
const STEP: usize = 256;

/// The text of the documents so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Bytes in the current document, in case it turns out to be a repetition.
    document: u64,
    repetition: bool,
    kept: Option<Kept>,
}

/// The beginning of the text: always its first `room` bytes, or all of it.
#[derive(Clone)]
struct Kept {
    text: Vec<u8>,
    room: usize,
    /// Where the current document's part begins.
    document: usize,
}

// === impl Tally ===

impl Tally {
    /// Another document begins.
    pub(super) fn begin(&mut self) {
        self.document = 0;
        self.repetition = false;
        if let Some(kept) = &mut self.kept {
            kept.document = kept.text.len();
        }
    }

    /// Takes decoded text and says how many bytes of it count.
    pub(super) fn push(&mut self, bytes: &[u8]) -> u64 {
        if self.repetition {
            return 0;
        }
        if let Some(kept) = &mut self.kept {
            kept.push(bytes);
        }
        let count = bytes.len() as u64;
        self.document = self.document.saturating_add(count);
        count
    }

    /// The current document repeats what came before: nothing in it counts. Says how many bytes
    /// have been counted and must be taken back.
    pub(super) fn repeat(&mut self) -> u64 {
        self.repetition = true;
        if let Some(kept) = &mut self.kept {
            kept.text.truncate(kept.document);
        }
        std::mem::take(&mut self.document)
    }
}

// === impl Scan ===

impl Scan {
    /// Keeps the text from here on, its first `room` bytes.
    pub fn keep_text(&mut self, room: usize) {
        self.text.kept = Some(Kept { text: Vec::new(), room, document: 0 });
    }

    /// The text that was kept; nothing is kept any more.
    pub fn take_text(&mut self) -> Option<Vec<u8>> {
        self.text.kept.take().map(|kept| kept.text)
    }

    /// True until the text is taken.
    pub fn keeps_text(&self) -> bool {
        self.text.kept.is_some()
    }

    /// Bytes of memory that text is kept in.
    pub fn kept(&self) -> usize {
        self.text.kept.as_ref().map_or(0, |kept| kept.text.capacity())
    }
}

// === impl Kept ===

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(self.room.saturating_sub(self.text.len()))];
        let needed = self.text.len() + bytes.len();
        if needed > self.text.capacity() {
            // A vector would double beyond the room by itself.
            let wanted = needed.max(self.text.capacity().saturating_mul(2)).max(STEP).min(self.room);
            self.text.reserve_exact(wanted - self.text.len());
        }
        self.text.extend_from_slice(bytes);
    }
}

/// The size alone: the text is somebody's answer.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} of {} bytes)", self.text.len(), self.room)
    }
}
