//! The vectors of one fingerprint in one number of dimensions, side by side, and the scan over them.
//!
//! They lie in blocks, so that adding one never moves many. The scan is over the codes, which is what is read from
//! memory: 384 bytes for 384 dimensions. Where a code says that its vector might be near enough, both halves are
//! looked at. Nothing is missed: how far a code is from its vector is known for each.

use super::super::vector::{Measure, Vector, exact};

/// The vectors and, for each, the number that stands for its entry.
pub(super) struct Group {
    dimensions: usize,
    blocks: Vec<Block>,
}

/// At most [`ROWS`] vectors.
#[derive(Default)]
struct Block {
    high: Vec<i8>,
    low: Vec<i8>,
    measures: Vec<Measure>,
    entries: Vec<u32>,
}

/// An entry and how near it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub entry: u32,
    pub similarity: f32,
}

/// Vectors in a block: 96 KiB of codes of 384 dimensions.
const ROWS: usize = 256;

// === impl Group ===

impl Group {
    pub fn new(dimensions: usize) -> Group {
        Group { dimensions, blocks: Vec::new() }
    }

    /// The bytes that one with a single vector has allocated.
    pub fn least(dimensions: usize) -> usize {
        4 * size_of::<Block>() + Block::row(dimensions)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        let last = self.blocks.last().map_or(0, |last| last.entries.len());
        self.blocks.len().saturating_sub(1) * ROWS + last
    }

    /// The bytes it has allocated.
    pub fn bytes(&self) -> usize {
        let full = ROWS * Block::row(self.dimensions);
        let blocks = self.blocks.capacity() * size_of::<Block>() + self.blocks.len().saturating_sub(1) * full;
        blocks + self.blocks.last().map_or(0, |last| last.entries.capacity() * Block::row(self.dimensions))
    }

    /// Adds a vector of these dimensions; returns where it is.
    pub fn push(&mut self, vector: &Vector, entry: u32) -> usize {
        if self.blocks.last().is_none_or(|last| last.entries.len() == ROWS) {
            self.blocks.push(Block::default());
        }
        let at = self.len();
        if let Some(last) = self.blocks.last_mut() {
            last.fit(self.dimensions);
            last.high.extend_from_slice(vector.high());
            last.low.extend_from_slice(vector.low());
            last.measures.push(vector.measure());
            last.entries.push(entry);
        }
        at
    }

    /// Takes one out; the last one takes its place. Returns that one's entry, if it was another.
    pub fn remove(&mut self, at: usize) -> Option<u32> {
        let from = self.blocks.last_mut()?;
        let (high, low, measure, entry) = from.pop(self.dimensions)?;
        from.fit(self.dimensions);
        if from.entries.is_empty() {
            self.blocks.pop();
        }
        if at == self.len() {
            return None;
        }
        let block = self.blocks.get_mut(at / ROWS)?;
        let (row, start) = (at % ROWS, at % ROWS * self.dimensions);
        let end = start + self.dimensions;
        block.high.get_mut(start..end)?.copy_from_slice(&high);
        block.low.get_mut(start..end)?.copy_from_slice(&low);
        *block.measures.get_mut(row)? = measure;
        *block.entries.get_mut(row)? = entry;
        Some(entry)
    }

    /// The nearest `most` entries that `may` be found, at least as near as `at_least`, best first; of equals, those
    /// that have been there longer.
    pub fn nearest(&self, vector: &Vector, most: usize, at_least: f32, may: impl Fn(u32) -> bool) -> Vec<Near> {
        let query: Vec<i16> = vector.high().iter().map(|code| i16::from(*code)).collect();
        let own = vector.measure();
        // The cosine of two codes, from the sum of their products.
        let shorten = (own.shorten * 65_536.0) as f32;
        let mut found: Vec<Near> = Vec::with_capacity(most + 1);
        let mut floor = at_least;
        for block in &self.blocks {
            let rows = block.high.chunks_exact(self.dimensions).zip(&block.measures);
            for (row, (codes, measure)) in rows.enumerate() {
                let cosine = product(&query, codes) as f32 * shorten * measure.shorten as f32;
                // |ab - a'b'| <= (1 + |a - a'|) |b - b'| + |a - a'|, and a little for the floats.
                let off = own.slack + measure.slack * (1.0 + own.slack) + 1e-5;
                if cosine + off < floor {
                    continue;
                }
                let (start, end) = (row * self.dimensions, (row + 1) * self.dimensions);
                let Some((low, entry)) = block.low.get(start..end).zip(block.entries.get(row)) else { continue };
                let similarity = exact(vector, codes, low, *measure);
                if similarity < floor || !may(*entry) {
                    continue;
                }
                let at = found.partition_point(|near| near.similarity >= similarity);
                found.insert(at, Near { entry: *entry, similarity });
                found.truncate(most);
                if found.len() == most {
                    floor = found.last().map_or(floor, |last| last.similarity.max(at_least));
                }
            }
        }
        found
    }
}

// === impl Block ===

impl Block {
    /// The bytes of one vector.
    fn row(dimensions: usize) -> usize {
        2 * dimensions + size_of::<Measure>() + size_of::<u32>()
    }

    /// Has room for one more, and for an eighth more at most; a whole block has [`ROWS`].
    fn fit(&mut self, dimensions: usize) {
        let (rows, room) = (self.entries.len(), self.entries.capacity());
        if rows < room && room - rows <= room / 4 + 1 {
            return;
        }
        let fit = (rows + rows / 8 + 1).min(ROWS);
        resize(&mut self.high, fit * dimensions);
        resize(&mut self.low, fit * dimensions);
        resize(&mut self.measures, fit);
        resize(&mut self.entries, fit);
    }

    /// Takes the last one off.
    fn pop(&mut self, dimensions: usize) -> Option<(Vec<i8>, Vec<i8>, Measure, u32)> {
        let start = self.high.len().checked_sub(dimensions)?;
        Some((self.high.split_off(start), self.low.split_off(start), self.measures.pop()?, self.entries.pop()?))
    }
}

/// Has capacity for exactly that many, or for what it holds.
fn resize<T>(list: &mut Vec<T>, capacity: usize) {
    list.reserve_exact(capacity.saturating_sub(list.len()));
    list.shrink_to(capacity);
}

/// The sum of products of two codes. Each is below 2^14, and there are at most 2^13, so that the sum fits. The query is
/// wide already: processors multiply and add pairs of 16-bit numbers at once.
fn product(query: &[i16], codes: &[i8]) -> i32 {
    query.iter().zip(codes).map(|(one, other)| i32::from(*one) * i32::from(*other)).sum()
}
