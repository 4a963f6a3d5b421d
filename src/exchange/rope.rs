//! A body that is held in the pieces in which it came. Small pieces are put together, so that a peer
//! that sends one byte at a time costs no more than its bytes.

use bytes::{Bytes, BytesMut};

/// Pieces below this size are copied together.
const SMALL: usize = 4 << 10;
/// Small pieces are put together up to this size.
const FULL: usize = 64 << 10;

/// A held body.
#[derive(Default)]
pub(super) struct Rope {
    /// The first piece: most bodies have no other.
    first: Bytes,
    pieces: Vec<Bytes>,
    /// What is not a piece yet.
    tail: BytesMut,
    len: usize,
}

// === impl Rope ===

impl Rope {
    /// Appends a piece. A first one, and a large one, is not copied.
    pub fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        if self.len == bytes.len() {
            self.first = bytes;
            return;
        }
        if bytes.len() >= SMALL {
            self.seal();
            self.pieces.push(bytes);
            return;
        }
        self.tail.extend_from_slice(&bytes);
        if self.tail.len() >= FULL {
            self.seal();
        }
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The pieces, in order; none is empty.
    pub fn into_pieces(mut self) -> Vec<Bytes> {
        self.seal();
        if !self.first.is_empty() {
            self.pieces.insert(0, self.first);
        }
        self.pieces
    }

    /// The whole in one piece; what came in one piece is not copied.
    pub fn into_whole(self) -> Bytes {
        if self.first.len() == self.len {
            return self.first;
        }
        Bytes::from(self.into_pieces().concat())
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_stays_the_very_same_bytes() {
        let bytes = Bytes::from_static(b"abc");
        let mut rope = Rope::default();
        rope.push(bytes.clone());
        assert_eq!(rope.into_whole().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn many_small_pieces_become_few_and_keep_their_order() {
        let mut rope = Rope::default();
        let mut expected = Vec::new();
        for at in 0..200_000_u32 {
            let byte = at.to_le_bytes()[0];
            expected.push(byte);
            rope.push(Bytes::copy_from_slice(&[byte]));
        }
        rope.push(Bytes::from(vec![7; SMALL]));
        expected.extend([7; SMALL]);
        assert_eq!(rope.len(), expected.len());
        let pieces = rope.into_pieces();
        assert!(pieces.len() < 10, "{} pieces", pieces.len());
        assert_eq!(pieces.concat(), expected);
    }
}
